//! Answers: of issuers to the switch, and of the switch to acquirers.

use domain::ResponseCode;
use domain::code_map::CodeMap;
use domain::reconciliation::named_day;
use domain::request::Answer;
use domain::result_code::CodeEdition;
use iso8583::mti::Function;
use iso8583::translate;
use transaction::matching::{Expected, ResponseKind};

use super::asking::normal;
use super::leg::echo_of;
use super::reconciling::{date_text, said_of_totals, write_reckoned};
use super::*;
use crate::simulation::ledger::{Broken, authorisation};
use crate::simulation::reconciling::without_day;
use crate::simulation::words::{Ask, Said};

/// Writes what an issuer says.
pub(in crate::simulation) fn write_said(dialect: &'static Dialect, said: &Said) -> Vec<u8> {
    if said.expected.kind == ResponseKind::Reconciliation {
        return write_reckoned(dialect, said);
    }
    let mut fields = Fields::default();
    let kind = said.expected.kind;
    let is_money = matches!(kind, ResponseKind::Authorisation | ResponseKind::Financial);
    if let Some(amount) = said.amount {
        fields.put(4, &amount_digits(amount));
    }
    let time = said.echo.transmitted.expect("leg B carries DE7");
    fields.put(7, &time.digits());
    if !is_1987(dialect) {
        fields.put(12, &local(time));
    }
    fields.put(11, &said.expected.stan.digits());
    fields.put(37, said.echo.rrn.as_bytes());
    fields.put(41, said.echo.terminal.as_bytes());
    fields.put(49, &currency());
    if let Some(code) = said.code {
        fields.put(39, &code_text(dialect, kind, code));
        if is_money && code.is_approval() {
            fields.put(38, &authorisation(said.purchase));
            fields.put(44, &short_text(said.purchase));
            if let Some(date) = said.settles {
                fields.put(15, &date_text(dialect, date));
            }
        }
    }
    let digits = match kind {
        ResponseKind::Authorisation => *b"0110",
        ResponseKind::Financial => *b"0210",
        ResponseKind::Reversal => *b"0430",
        ResponseKind::AuthorisationAdvice => *b"0130",
        ResponseKind::FinancialAdvice => *b"0230",
        ResponseKind::Reconciliation => *b"0530",
        ResponseKind::Administrative => *b"0610",
        ResponseKind::AdministrativeAdvice => *b"0630",
    };
    fields.write(dialect, mti(digits))
}

/// DE39; 1993 says otherwise yes to what is no request.
fn code_text(dialect: &Dialect, kind: ResponseKind, code: ResponseCode) -> Vec<u8> {
    if is_1987(dialect) {
        return code.as_bytes().to_vec();
    }
    let told = match kind {
        ResponseKind::Reversal if code.is_approval() => return b"400".to_vec(),
        ResponseKind::AuthorisationAdvice | ResponseKind::FinancialAdvice if code.is_approval() => {
            return b"900".to_vec();
        }
        _ => code.written_in(CodeEdition::N3),
    };
    told.digits().as_bytes().to_vec()
}

/// What the switch reads of it; `None` of what is no answer.
pub(in crate::simulation) fn read_said(dialect: &'static Dialect, bytes: &[u8]) -> Option<Said> {
    parsed(dialect, bytes, |message| {
        let mti = message.mti();
        if mti.class() == Class::Reconciliation {
            return said_of_totals(message);
        }
        let is_advice = mti.function() == Function::AdviceResponse;
        let kind = match (mti.class(), class_of(mti)) {
            (Class::Reversal, _) => ResponseKind::Reversal,
            (_, Some(class)) if is_advice => ResponseKind::of_advice(class),
            (_, Some(class)) => class.into(),
            _ => return None,
        };
        let stan = translate::stan(message).ok()?;
        let mut said = Said {
            expected: Expected { kind, stan },
            echo: echo_of(message),
            code: None,
            amount: None,
            purchase: 0,
            settles: None,
            verdict: None,
        };
        if is_advice || kind == ResponseKind::Reversal {
            said.code = translate::response_code(message, &CodeMap::STANDARD).ok();
            return Some(said);
        }
        let mut scratch = [0; Answer::FIELDS_LEN_MAX];
        let answer = translate::issuer_answer(message, &CodeMap::STANDARD, &mut scratch);
        if let Ok(answer) = answer {
            said.code = Some(answer.code);
            said.amount = answer.amount.map(|amount| amount.minor());
            said.settles = named_day(answer.fields, WALL);
            let named = std::str::from_utf8(answer.authorisation.as_bytes()).ok();
            said.purchase = named.and_then(|text| text.parse().ok()).unwrap_or(0);
        }
        Some(said)
    })
}

/// Writes what the switch tells an acquirer.
pub(in crate::simulation) fn write_told(
    dialect: &'static Dialect,
    message: &[u8],
    answer: &Answer<'_>,
) -> Option<Vec<u8>> {
    let mut fields = Vec::new();
    // An acquirer has no use for the day.
    if let Some(text) = without_day(answer.fields).get(3..) {
        // As many as DE44 of 1987 holds.
        let text = &text[text.len().saturating_sub(25)..];
        fields.extend([44, 0, text.len() as u8]);
        fields.extend_from_slice(text);
    }
    let fields = fields.as_slice();
    let answer = Answer { fields, ..*answer };
    parsed(dialect, message, |message| {
        let mut out = [0; MESSAGE_MAX];
        let len = translate::write_answer(dialect, message, &answer, &mut out).ok()?;
        Some(out[..len].to_vec())
    })
}

/// What an acquirer reads: the code, when the bytes are a message. It answers its own message and
/// no other (S7).
pub(in crate::simulation) fn read_told(
    dialect: &'static Dialect,
    bytes: &[u8],
    (ask, sent): (&Ask, &[u8]),
) -> Result<Option<ResponseCode>, Broken> {
    let read = parsed(dialect, bytes, |message| {
        let code = translate::response_code(message, &CodeMap::STANDARD).ok()?;
        let echoed = [7, 11, 37, 41].map(|number| text_of(message, number));
        Some((message.mti(), normal(code), echoed, text_of(message, 44)))
    });
    let Some((mti, code, echoed, further)) = read else {
        return Ok(None);
    };
    let own = parsed(dialect, sent, |message| {
        let own = [7, 11, 37, 41].map(|number| text_of(message, number));
        Some((message.mti().response()?, own))
    });
    let is_own = own == Some((mti, echoed));
    let further = further.is_none_or(|text| text == short_text(ask.of.number));
    if is_own && further {
        return Ok(Some(code));
    }
    Err(("S7", format!("{ask:?} was answered with another's message")))
}

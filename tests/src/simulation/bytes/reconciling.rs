//! Reconciliations, either way.

use domain::network::SettlementDate;
use domain::reconciliation::{Figure, ReconSign, ReconciliationOwed, Totals, Verdict};
use domain::request::Transmission;
use iso8583::translate::{self, OurReconciliation, ReconciliationAnswer};
use transaction::matching::{Echo, Expected, ResponseKind};

use super::leg::echo_of;
use super::*;
use crate::simulation::ledger::Broken;
use crate::simulation::reconciling::{Reckoned, Reconciliation, TotalsTold};
use crate::simulation::words::{LegB, Said};

/// Writes what the acquirer sends.
pub(in crate::simulation) fn write_reconciliation_ask(
    dialect: &'static Dialect,
    ask: &Reconciliation,
    sign: ReconSign,
) -> Vec<u8> {
    let mut fields = Fields::default();
    let time = TransmissionTime::at(ask.sent);
    fields.put(7, &time.digits());
    fields.put(11, &digits_of::<6>(u64::from(ask.stan())));
    if let Some(date) = ask.date {
        put_date(&mut fields, dialect, date);
    }
    if !is_1987(dialect) {
        fields.put(12, &local(time));
        fields.put(24, if ask.is_checkpoint { b"501" } else { b"500" });
    }
    fields.put(50, &currency());
    if let Some(totals) = &ask.declared {
        for figure in Figure::ALL {
            put_figure(&mut fields, figure, totals.of(figure));
        }
        fields.put(97, &totals.net(sign).digits());
    }
    fields.write(dialect, mti(*b"0500"))
}

fn put_date(fields: &mut Fields, dialect: &Dialect, date: SettlementDate) {
    fields.put(15, &date_text(dialect, date));
}

/// `MMDD`, with its year in 1993.
pub(super) fn date_text(dialect: &Dialect, date: SettlementDate) -> Vec<u8> {
    let year = digits_of::<4>(u64::from(date.year()));
    let full = [year, date.digits()].concat();
    let len = if is_1987(dialect) { 4 } else { 6 };
    full[full.len() - len..].to_vec()
}

fn put_figure(fields: &mut Fields, figure: Figure, value: u64) {
    if figure.is_amount() {
        fields.put(figure.field(), &digits_of::<16>(value));
    } else {
        fields.put(figure.field(), &digits_of::<10>(value));
    }
}

/// Reads it; what bytes cannot tell comes from the hint.
pub(in crate::simulation) fn read_reconciliation(
    dialect: &'static Dialect,
    bytes: &[u8],
    (hint, sign): (&Reconciliation, ReconSign),
) -> Option<Reconciliation> {
    let read = parsed(dialect, bytes, |message| {
        translate::reconciliation(message, WALL).ok()
    })?;
    let ask = Reconciliation {
        serial: hint.serial,
        sent: resolved(read.transmitted)?,
        date: read.date,
        declared: hint.declared,
        is_checkpoint: read.is_checkpoint,
    };
    let declared = hint.declares(sign);
    (read.declared == declared && read.stan == ask.key().stan).then_some(ask)
}

/// Writes what the switch tells the acquirer.
pub(in crate::simulation) fn write_reconciliation_told(
    dialect: &'static Dialect,
    sent: &[u8],
    answer: &ReconciliationAnswer,
) -> Option<Vec<u8>> {
    parsed(dialect, sent, |message| {
        let mut out = [0; MESSAGE_MAX];
        let written = translate::write_reconciliation_answer(dialect, message, answer, &mut out);
        Some(out[..written.ok()?].to_vec())
    })
}

/// Whether the acquirer can read it; what it reads is what was meant.
pub(in crate::simulation) fn reads_totals(
    dialect: &'static Dialect,
    bytes: &[u8],
    told: &TotalsTold,
) -> Result<bool, Broken> {
    let read = parsed(dialect, bytes, |message| {
        let number = |figure: Figure| number_in(message, figure.field());
        let ours: Vec<Option<u64>> = Figure::ALL.into_iter().map(number).collect();
        Some((text_of(message, 11)?, verdict_in(message), ours))
    });
    let Some((stan, verdict, ours)) = read else {
        return Ok(false);
    };
    let of = |figure: Figure| told.answer.ours.map(|ours| ours.of(figure));
    let own: Vec<Option<u64>> = Figure::ALL.into_iter().map(of).collect();
    let is_garbled = own
        .iter()
        .zip(&ours)
        .any(|(own, ours)| own.is_some() && ours.is_none());
    let Some(verdict) = verdict.filter(|_| !is_garbled) else {
        return Ok(false);
    };
    let is_own = stan == digits_of::<6>(u64::from(told.ask.stan()));
    if is_own && verdict == told.answer.verdict && ours == own {
        return Ok(true);
    }
    Err(("wire", format!("{told:?} was read as {verdict:?} {ours:?}")))
}

fn verdict_in(message: MessageRef<'_>) -> Option<Verdict> {
    let code = text_of(message, 39)?;
    if is_1987(message.dialect()) {
        return match (text_of(message, 66)?.as_slice(), code.as_slice()) {
            (b"0", b"00") => Some(Verdict::Unknown),
            (b"1", b"00") => Some(Verdict::InBalance),
            (b"2", b"00") => Some(Verdict::OutOfBalance),
            _ => None,
        };
    }
    match code.as_slice() {
        b"500" => Some(Verdict::InBalance),
        b"501" => Some(Verdict::OutOfBalance),
        b"504" => Some(Verdict::Unknown),
        _ => None,
    }
}

/// Writes a reconciliation of ours.
pub(in crate::simulation) fn write_reconciliation(
    dialect: &'static Dialect,
    owed: &ReconciliationOwed,
    transmission: Transmission,
    sign: ReconSign,
) -> Option<Vec<u8>> {
    let ours = OurReconciliation {
        mti: mti(*b"0522"),
        transmission,
        stan: owed.stan,
        decided: owed.decided,
        date: owed.date,
        currency: owed.currency,
        forwarding: &forwarding(),
        ours: owed.ours.read_as(sign),
        sign,
    };
    let mut out = [0; MESSAGE_MAX];
    let len = translate::write_reconciliation(dialect, &ours, &mut out).ok()?;
    Some(out[..len].to_vec())
}

/// An issuer reads it.
pub(super) fn reckoned(message: MessageRef<'_>) -> Option<LegB> {
    let fields = translate::reconciliation(message, WALL).ok()?;
    let mut values = [0; Figure::ALL.len()];
    for (value, figure) in values.iter_mut().zip(Figure::ALL) {
        *value = number_in(message, figure.field())?;
    }
    Some(LegB {
        expected: Expected {
            kind: ResponseKind::Reconciliation,
            stan: fields.stan,
        },
        echo: Echo {
            transmitted: Some(fields.transmitted),
            ..Echo::default()
        },
        purchase: 0,
        amount: 0,
        reversal: None,
        report: None,
        asks: None,
        local: None,
        reckoned: Some(Reckoned {
            date: fields.date?,
            ours: Totals::new(values),
        }),
        is_inquiry: false,
    })
}

/// Writes what an issuer says to it.
pub(super) fn write_reckoned(dialect: &'static Dialect, said: &Said) -> Vec<u8> {
    let mut fields = Fields::default();
    let time = said.echo.transmitted.expect("leg B carries DE7");
    fields.put(7, &time.digits());
    fields.put(11, &said.expected.stan.digits());
    let (code, found): (&[u8], &[u8]) = match said.verdict {
        Some(Verdict::InBalance) => (b"500", b"1"),
        Some(Verdict::OutOfBalance) => (b"501", b"2"),
        Some(Verdict::Unknown | Verdict::Error) => (b"504", b"0"),
        None => (b"904", b""),
    };
    if is_1987(dialect) {
        fields.put(39, if found.is_empty() { b"30" } else { b"00" });
        if !found.is_empty() {
            fields.put(66, found);
        }
    } else {
        fields.put(12, &local(time));
        fields.put(39, code);
    }
    fields.write(dialect, mti(*b"0532"))
}

/// The switch reads it.
pub(super) fn said_of_totals(message: MessageRef<'_>) -> Option<Said> {
    Some(Said {
        expected: Expected {
            kind: ResponseKind::Reconciliation,
            stan: translate::stan(message).ok()?,
        },
        echo: echo_of(message),
        code: None,
        amount: None,
        purchase: 0,
        settles: None,
        verdict: translate::reconciliation_verdict(message),
    })
}

//! From acquirers: requests, advices and reversals.

use domain::ResponseCode;
use domain::request::{MessageClass, OriginalReference, Transmission};
use domain::time::{TransmissionTime, WallTime};
use iso8583::mti::{Class, Function};
use iso8583::translate::{self, ReasonField, Why};

use super::*;
use crate::simulation::words::{Ask, Asked, Identity, Original, Report, pan_digits, rrn};

/// Writes what an acquirer sends.
pub(in crate::simulation) fn write_ask(lines: &Lines, ask: &Ask) -> Vec<u8> {
    let (of, dialect) = (&ask.of, lines.acquirer);
    let mut fields = Fields::default();
    fields.put(2, &pan_digits(of.account()));
    fields.put(3, if of.is_credit { b"200000" } else { b"000000" });
    fields.put(4, &amount_digits(of.amount));
    fields.put(11, &stan_digits(of.stan));
    let category = if is_1987(dialect) { 18 } else { 26 };
    fields.put(category, &digits_of::<4>(u64::from(of.number)));
    fields.put(37, rrn(of.account()).as_bytes());
    fields.put(41, &digits_of::<8>(u64::from(of.terminal)));
    fields.put(42, b"MERCHANT0000001");
    fields.put(49, &currency());
    put_time(&mut fields, dialect, of.sent);
    if is_1987(dialect) && lines.has_local {
        let digits = TransmissionTime::at(of.sent).digits();
        fields.put(12, &digits[4..]);
        fields.put(13, &digits[..4]);
    }
    if !is_1987(dialect) {
        fields.put(
            24,
            if of.class == MessageClass::Financial {
                b"200"
            } else {
                b"100"
            },
        );
    }
    let mti = match ask.what {
        Asked::Request {
            transmission,
            other_content,
        } => {
            let amount = of.amount + u64::from(other_content);
            fields.put(4, &amount_digits(amount));
            if let Some(report) = &of.report {
                put_report(&mut fields, dialect, of, report);
            }
            if let Some(original) = of.asks.as_ref().filter(|original| !original.is_unnamed) {
                put_completed(&mut fields, dialect, of, original);
            }
            let function = if of.is_advice() { b'2' } else { b'0' };
            let origin = origin(transmission) + if of.asks.is_some() { 2 } else { 0 };
            mti([b'0', class_digit(of.class), function, origin])
        }
        Asked::Reversal { .. } => put_reversal(&mut fields, dialect, ask),
    };
    fields.write(dialect, mti)
}

fn put_report(fields: &mut Fields, dialect: &Dialect, of: &Identity, report: &Report) {
    fields.put(44, &short_text(of.number));
    if report.declined {
        fields.put(39, if is_1987(dialect) { b"05" } else { b"100" });
    }
    if let Some(original) = &report.completes {
        put_completed(fields, dialect, of, original);
    }
}

fn put_completed(fields: &mut Fields, dialect: &Dialect, of: &Identity, original: &Original) {
    let digits = [b'0', class_digit(original.class), b'0', b'0'];
    let sent = original.sent.unwrap_or(of.sent);
    put_original(fields, dialect, (digits, original.stan), sent);
}

fn put_reversal(fields: &mut Fields, dialect: &Dialect, ask: &Ask) -> Mti {
    let of = &ask.of;
    let Asked::Reversal {
        transmission,
        serial,
        stays,
        amount,
        vague,
        astray,
    } = ask.what
    else {
        unreachable!("a reversal");
    };
    // Each has a second of its own.
    let seconds = std::time::Duration::from_secs(1 + u64::from(serial));
    put_time(fields, dialect, of.sent.after(seconds));
    let serial = u64::from(serial);
    if is_1987(dialect) {
        fields.put(4, &amount_digits(amount));
        fields.put(25, &digits_of::<2>(serial));
        if let Some(stays) = stays {
            let mut replacement = [b'0'; 42];
            replacement[..12].copy_from_slice(&amount_digits(stays));
            fields.put(95, &replacement);
        }
    } else {
        fields.put(24, if stays.is_some() { b"401" } else { b"400" });
        fields.put(25, &digits_of::<4>(serial));
        fields.put(4, &amount_digits(stays.unwrap_or(amount)));
        let mut whole = [b'0'; 24];
        whole[..12].copy_from_slice(&amount_digits(amount));
        fields.put(30, &whole);
    }
    if vague {
        fields.0.remove(&2);
        fields.0.remove(&42);
    } else if astray {
        fields.put(11, &stan_digits(ask.named_stan()));
    } else {
        let function = if of.is_advice() { b'2' } else { b'0' };
        let digits = [b'0', class_digit(of.class), function, b'0'];
        put_original(fields, dialect, (digits, of.stan), of.sent);
    }
    mti([b'0', b'4', b'2', origin(transmission)])
}

fn put_time(fields: &mut Fields, dialect: &Dialect, sent: WallTime) {
    let time = TransmissionTime::at(sent);
    fields.put(7, &time.digits());
    if !is_1987(dialect) {
        fields.put(12, &local(time));
    }
}

/// DE90, or DE56 of 1993.
fn put_original(
    fields: &mut Fields,
    dialect: &Dialect,
    (digits, stan): ([u8; 4], u32),
    sent: WallTime,
) {
    let time = TransmissionTime::at(sent);
    let named = mti(digits).in_version(dialect.version());
    let mut text = named.as_bytes().to_vec();
    text.extend(stan_digits(stan));
    if is_1987(dialect) {
        text.extend(time.digits());
        text.resize(42, b'0');
        fields.put(90, &text);
    } else {
        text.extend(local(time));
        text.extend(b"00");
        fields.put(56, &text);
    }
}

/// What an advice of these bytes says beyond its facts, as the product keeps it.
pub(in crate::simulation) fn content_of(dialect: &'static Dialect, bytes: &[u8]) -> Vec<u8> {
    let content = parsed(dialect, bytes, |message| {
        let mut scratch = [0; domain::request::Answer::FIELDS_LEN_MAX];
        let why = Why::Said(ReasonField::of_dialect(dialect));
        Some(translate::advice_content(message, why, &mut scratch).to_vec())
    });
    content.unwrap_or_default()
}

/// Reads what an acquirer sends. What bytes cannot tell comes from `hint`: which of two contents is
/// the other one, and what the checker knows.
pub(in crate::simulation) fn read_ask(
    dialect: &'static Dialect,
    bytes: &[u8],
    hint: &Ask,
) -> Option<Ask> {
    parsed(dialect, bytes, |message| {
        let mti = message.mti();
        match (mti.class(), mti.function()) {
            (Class::Reversal, _) => reversal(message, hint),
            (_, Function::Advice) => advice(message, hint),
            _ => {
                let asks = translate::completion(message).ok()?;
                let asks = asks.and_then(|asks| match asks.original {
                    Some(named) => named_in(message, Some(named), hint),
                    None => hint.of.asks,
                });
                let fields = translate::request(message).ok()?;
                request(&fields, message, (None, asks), hint)
            }
        }
    })
}

fn request(
    fields: &translate::RequestFields,
    message: MessageRef<'_>,
    (report, asks): (Option<Report>, Option<Original>),
    hint: &Ask,
) -> Option<Ask> {
    let other_content = match hint.what {
        Asked::Request { other_content, .. } => other_content,
        Asked::Reversal { .. } => return None,
    };
    let of = Identity {
        number: purchase_in(message)?,
        amount: fields
            .amount
            .minor()
            .checked_sub(u64::from(other_content))?,
        stan: fields.trace.stan.number(),
        terminal: number_in(message, 41)? as u8,
        sent: resolved(fields.trace.transmitted)?,
        class: fields.class,
        report,
        asks,
        on_wire: true,
        has_local: !fields.trace.local_time.is_empty(),
        is_credit: fields.processing_code.as_bytes() == b"200000",
    };
    let is_it = fields.account.expose_digits() == pan_digits(of.account());
    is_it.then_some(Ask {
        of,
        what: Asked::Request {
            transmission: fields.transmission,
            other_content,
        },
    })
}

fn advice(message: MessageRef<'_>, hint: &Ask) -> Option<Ask> {
    let fields = translate::advice(message).ok()?;
    let report = Report {
        declined: fields.reported.is_some_and(|code| !code.is_approval()),
        completes: named_in(message, fields.original, hint),
    };
    request(&fields.request, message, (Some(report), None), hint)
}

/// What a message completes.
fn named_in(
    message: MessageRef<'_>,
    named: Option<OriginalReference>,
    hint: &Ask,
) -> Option<Original> {
    let named = named?;
    Some(Original {
        number: number_in(message, 37)? as u32,
        stan: named.stan.number(),
        terminal: number_in(message, 41)? as u8,
        sent: named.transmitted.and_then(resolved),
        class: named.class?,
        is_real: hint.of.completes().is_some_and(|original| original.is_real),
        is_unnamed: false,
    })
}

fn reversal(message: MessageRef<'_>, hint: &Ask) -> Option<Ask> {
    let fields = translate::reversal(message).ok()?;
    let named = fields.original;
    let by_name = named.transmitted.or_else(|| {
        let local = fields.original_local.as_bytes();
        TransmissionTime::from_digits(local).ok()
    });
    let number = purchase_in(message)?;
    let vague = fields.account.is_none();
    let astray = !vague && named.class.is_none();
    // The account of what completes another purchase is that one's, as DE37 is.
    let of = Identity {
        number,
        amount: hint.of.amount,
        stan: match astray {
            true => hint.of.stan,
            false => named.stan.number(),
        },
        terminal: number_in(message, 41)? as u8,
        sent: by_name.and_then(resolved).unwrap_or(hint.of.sent),
        class: named.class.unwrap_or(hint.of.class),
        report: hint.of.report,
        asks: hint.of.asks,
        on_wire: true,
        has_local: false,
        is_credit: hint.of.is_credit,
    };
    Some(Ask {
        of,
        what: Asked::Reversal {
            transmission: fields.transmission,
            serial: number_in(message, 25)? as u8,
            stays: fields.replacement.map(|amount| amount.minor()),
            amount: fields.amount.minor(),
            vague,
            astray,
        },
    })
}

/// Whether an answer with this code is a yes, whatever the edition writes for it.
pub(super) fn normal(code: ResponseCode) -> ResponseCode {
    if code.is_approval() && code.edition() == ResponseCode::APPROVED.edition() {
        return code;
    }
    let settled = code.reversal_ending() == domain::response_code::ReversalEnding::Settled;
    match code.internal() {
        internal if internal.edition() == ResponseCode::APPROVED.edition() => internal,
        _ if settled => ResponseCode::APPROVED,
        other => other,
    }
}

fn stan_digits(stan: u32) -> [u8; 6] {
    digits_of(u64::from(stan))
}

const fn origin(transmission: Transmission) -> u8 {
    match transmission {
        Transmission::First => b'0',
        Transmission::Repeat => b'1',
    }
}

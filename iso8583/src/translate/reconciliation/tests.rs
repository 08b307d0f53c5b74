//! Reconciliations, there and back, in both editions.

use std::vec::Vec;

use super::*;
use crate::testing::Message;
use domain::reconciliation::{Effect, Kind};

/// 1 June 2026, 12:00:00.
const NOW: WallTime = WallTime::from_unix_millis(1_780_315_200_000);
const SIGN: ReconSign = ReconSign::CreditReversal;

fn day() -> SettlementDate {
    SettlementDate::from_digits(b"0531", NOW).unwrap()
}

/// Two sales, one of them cancelled, a refund and an authorisation.
fn totals() -> Totals {
    let mut totals = Totals::default();
    totals.count(Kind::Debit, Effect::Approval, 1_500);
    totals.count(Kind::Debit, Effect::Approval, 2_500);
    totals.count(Kind::Debit, Effect::Reversal, 2_500);
    totals.count(Kind::Credit, Effect::Approval, 300);
    totals.count(Kind::Authorisation, Effect::Approval, 9_999);
    totals.read_as(SIGN)
}

fn sent(dialect: &'static Dialect, transmission: Transmission) -> Message {
    let ours = OurReconciliation {
        mti: Mti::RECONCILIATION_ADVICE,
        transmission,
        stan: Stan::new(42).unwrap(),
        decided: NOW,
        date: day(),
        currency: Currency::KES,
        forwarding: &InstitutionId::new("DE33", b"628123").unwrap(),
        ours: totals(),
        sign: SIGN,
    };
    let mut out = [0; 512];
    let len = write_reconciliation(dialect, &ours, &mut out).unwrap();
    Message::new(dialect, out[..len].to_vec())
}

fn answered(request: &Message, verdict: Verdict) -> Message {
    let answer = ReconciliationAnswer {
        verdict,
        date: Some(day()),
        ours: Some(totals()),
        sign: SIGN,
    };
    let mut out = [0; 512];
    let view = request.view();
    let len = write_reconciliation_answer(view.dialect(), view, &answer, &mut out).unwrap();
    Message::new(view.dialect(), out[..len].to_vec())
}

fn text(message: &Message, field: u8) -> Vec<u8> {
    let mut scratch = [0; 32];
    let value = message.view().decode(field, &mut scratch);
    value.unwrap_or_default().to_vec()
}

#[test]
fn what_is_sent_is_read_and_says_the_same_totals() {
    for (dialect, mti, repeat) in [
        (Dialect::ISO87_ASCII, b"0520", b"0521"),
        (Dialect::ISO87_BCD, b"0520", b"0521"),
        (Dialect::ISO93_ASCII, b"1520", b"1521"),
    ] {
        let first = sent(dialect, Transmission::First);
        let again = sent(dialect, Transmission::Repeat);
        assert_eq!(first.view().mti().as_bytes(), mti);
        assert_eq!(again.view().mti().as_bytes(), repeat);
        let read = reconciliation(first.view(), NOW).unwrap();
        assert_eq!((read.date, read.currency), (Some(day()), Currency::KES));
        assert_eq!(read.transmitted, TransmissionTime::at(NOW));
        assert!(read.declared.compare(&totals(), SIGN).is_empty());
        assert!(!read.declared.compare(&Totals::default(), SIGN).is_empty());
        assert!(!read.is_checkpoint);
        let read = reconciliation(again.view(), NOW).unwrap();
        assert_eq!(read.transmission, Transmission::Repeat);
    }
    let first = sent(Dialect::ISO87_ASCII, Transmission::First);
    let fields = [74, 75, 76, 77, 81, 86, 87, 88, 89].map(|field| {
        let digits = text(&first, field);
        decimal("total", &digits).unwrap()
    });
    assert_eq!(fields, [1, 1, 2, 0, 1, 300, 2_500, 4_000, 0]);
    assert_eq!(text(&first, 97), b"D0000000000001200");
    assert_eq!(
        (text(&first, 15), text(&first, 50)),
        (b"0531".to_vec(), b"404".to_vec())
    );
    let later = sent(Dialect::ISO93_ASCII, Transmission::First);
    assert_eq!(
        (text(&later, 15), text(&later, 24)),
        (b"260531".to_vec(), b"500".to_vec())
    );
}

#[test]
fn an_answer_says_what_was_found_in_the_words_of_its_edition() {
    let check = |dialect, verdict, de39: &[u8], de66: &[u8], read: Option<Verdict>| {
        let request = sent(dialect, Transmission::Repeat);
        let answer = answered(&request, verdict);
        let mti = answer.view().mti();
        assert_eq!(mti.as_bytes()[1..], *b"530");
        assert_eq!((&*text(&answer, 39), &*text(&answer, 66)), (de39, de66));
        assert_eq!(reconciliation_verdict(answer.view()), read);
        for echoed in [7, 11, 50] {
            assert_eq!(text(&answer, echoed), text(&request, echoed), "DE{echoed}");
        }
        assert_eq!(text(&answer, 88), b"0000000000004000");
        assert_eq!(text(&answer, 97), b"D0000000000001200");
    };
    let (old, new) = (Dialect::ISO87_ASCII, Dialect::ISO93_ASCII);
    check(
        old,
        Verdict::InBalance,
        b"00",
        b"1",
        Some(Verdict::InBalance),
    );
    check(
        old,
        Verdict::OutOfBalance,
        b"00",
        b"2",
        Some(Verdict::OutOfBalance),
    );
    check(old, Verdict::Error, b"30", b"3", Some(Verdict::Error));
    check(old, Verdict::Unknown, b"00", b"0", Some(Verdict::Unknown));
    check(
        new,
        Verdict::InBalance,
        b"500",
        b"",
        Some(Verdict::InBalance),
    );
    check(
        new,
        Verdict::OutOfBalance,
        b"501",
        b"",
        Some(Verdict::OutOfBalance),
    );
    check(new, Verdict::Unknown, b"504", b"", Some(Verdict::Unknown));
    check(new, Verdict::Error, b"904", b"", None);
}

#[test]
fn a_reconciliation_without_its_mandatory_fields_names_the_one() {
    let good: [(u8, &[u8]); 5] = [
        (7, b"0601120000"),
        (11, b"000042"),
        (50, b"404"),
        (76, b"0000000001"),
        (97, b"D0000000000001500"),
    ];
    let of = |mti: &[u8; 4], fields: &[(u8, &[u8])]| {
        let mut out = [0; 512];
        let mti = Mti::new(*mti).unwrap();
        let mut writer = Writer::new(Dialect::ISO87_ASCII, mti, &mut out);
        for (number, value) in fields {
            writer.put(*number, value).unwrap();
        }
        let len = writer.finish().unwrap();
        let message = Message::new(Dialect::ISO87_ASCII, out[..len].to_vec());
        reconciliation(message.view(), NOW).map_err(|error| error.field)
    };
    assert!(of(b"0500", &good).is_ok());
    for missing in [7, 11, 50] {
        let rest = good.into_iter().filter(|(number, _)| *number != missing);
        let rest: Vec<_> = rest.collect();
        assert_eq!(of(b"0520", &rest).unwrap_err(), missing);
    }
    let mut other = good;
    other[2] = (49, b"404");
    assert_eq!(of(b"0520", &other).unwrap().currency, Currency::KES);
    for mti in [b"0530", b"0820", b"1520", b"0540"] {
        assert_eq!(of(mti, &good).unwrap_err(), 0);
    }
}

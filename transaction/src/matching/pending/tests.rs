//! Tests of `pending`.

use super::*;
use crate::matching::{StanAllocator, StanRange};
use crate::output::StanReuse;
use std::string::ToString;
use std::vec::Vec;

const WINDOW: Duration = Duration::from_secs(600);
const NOW: Instant = Instant::from_millis(1_000);

fn limits() -> PendingLimits {
    PendingLimits {
        inflight_max: 4,
        late_max: 3,
        answered_max: 2,
        window: WINDOW,
    }
}

fn table() -> PendingTable<u32> {
    PendingTable::new(limits(), 1)
}

fn expected(kind: ResponseKind, stan: u32) -> Expected {
    let stan = Stan::new(stan).unwrap();
    Expected { kind, stan }
}

fn financial(stan: u32) -> Expected {
    expected(ResponseKind::Financial, stan)
}

fn echo() -> Echo {
    Echo {
        transmitted: Some(TransmissionTime::from_digits(b"0101120000").unwrap()),
        terminal: Text::new("DE41", b"TERM0001").unwrap(),
        rrn: Text::new("DE37", b"000000000001").unwrap(),
        merchant: Text::new("DE42", b"MERCHANT").unwrap(),
        processing_code: Text::new("DE3", b"000000").unwrap(),
        currency: Some(Currency::KES),
        account: Some(7),
    }
}

#[test]
fn an_answer_goes_to_whoever_waits_for_it_once() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    table.insert(financial(2), echo(), 20, NOW).unwrap();
    assert_eq!(
        table.resolve(financial(2), &echo(), NOW),
        Match::Matched(20)
    );
    assert_eq!(
        table.resolve(financial(1), &echo(), NOW),
        Match::Matched(10)
    );
    let age = Duration::from_secs(1);
    let later = NOW.after(age);
    let again = Match::AlreadyAnswered { owner: 10, age };
    assert_eq!(table.resolve(financial(1), &echo(), later), again);
    assert_eq!(table.inflight(), 0);
}

#[test]
fn a_request_and_its_reversal_may_share_a_stan() {
    let mut table = table();
    let reversal = expected(ResponseKind::Reversal, 1);
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    table.insert(reversal, echo(), 11, NOW).unwrap();
    assert_eq!(table.resolve(reversal, &echo(), NOW), Match::Matched(11));
    assert_eq!(
        table.resolve(financial(1), &echo(), NOW),
        Match::Matched(10)
    );
}

#[test]
fn every_field_that_differs_is_named_and_nothing_matches() {
    let check = |change: fn(&mut Echo), fields: EchoFields, shown: &str| {
        let mut table = table();
        table.insert(financial(1), echo(), 10, NOW).unwrap();
        let mut other = echo();
        change(&mut other);
        let differs = Match::Differs(fields);
        assert_eq!(table.resolve(financial(1), &other, NOW), differs, "{shown}");
        assert_eq!(fields.to_string(), shown);
        assert_eq!(
            table.resolve(financial(1), &echo(), NOW),
            Match::Matched(10)
        );
    };
    check(
        |echo| echo.transmitted = Some(TransmissionTime::default()),
        EchoFields::TRANSMITTED,
        "DE7",
    );
    check(
        |echo| echo.terminal = Text::new("", b"OTHER").unwrap(),
        EchoFields::TERMINAL,
        "DE41",
    );
    check(
        |echo| echo.rrn = Text::new("", b"2").unwrap(),
        EchoFields::RRN,
        "DE37",
    );
    check(
        |echo| echo.merchant = Text::new("", b"OTHER").unwrap(),
        EchoFields::MERCHANT,
        "DE42",
    );
    let other = |echo: &mut Echo| echo.processing_code = Text::new("", b"200000").unwrap();
    check(other, EchoFields::PROCESSING_CODE, "DE3");
    check(
        |echo| echo.currency = Some(Currency::UGX),
        EchoFields::CURRENCY,
        "DE49",
    );
    check(|echo| echo.account = Some(8), EchoFields::ACCOUNT, "DE2");
    let two = EchoFields::ACCOUNT.with(EchoFields::TERMINAL);
    let change = |echo: &mut Echo| {
        echo.account = Some(8);
        echo.terminal = Text::new("", b"OTHER").unwrap();
    };
    check(change, two, "DE2, DE41");
    assert!(two.contains(EchoFields::ACCOUNT) && !two.contains(EchoFields::RRN));
}

#[test]
fn what_the_response_leaves_out_is_not_compared() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    let sparse = Echo {
        terminal: echo().terminal,
        ..Echo::default()
    };
    assert_eq!(
        table.resolve(financial(1), &sparse, NOW),
        Match::Matched(10)
    );
}

#[test]
fn a_stan_alone_never_matches() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    let bare = Echo {
        currency: Some(Currency::KES),
        ..Echo::default()
    };
    let Match::Differs(fields) = table.resolve(financial(1), &bare, NOW) else {
        panic!("DE49 tells nobody apart");
    };
    assert_eq!(fields.to_string(), "DE7, DE37, DE41");
    let refused = Err(KeyRefused::NothingToCompare);
    assert_eq!(table.insert(financial(2), bare, 20, NOW), refused);
}

#[test]
fn the_stan_under_another_class_is_a_wrong_mti() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    let other = expected(ResponseKind::Authorisation, 1);
    assert_eq!(
        table.resolve(other, &echo(), NOW),
        Match::Differs(EchoFields::CLASS)
    );
    assert_eq!(EchoFields::CLASS.to_string(), "MTI");
    let unknown = expected(ResponseKind::Authorisation, 2);
    assert_eq!(table.resolve(unknown, &echo(), NOW), Match::Unknown);
}

#[test]
fn a_key_in_use_is_never_overwritten() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    assert_eq!(table.inflight(), 1, "its owner sends it again");
    assert_eq!(
        table.insert(financial(1), echo(), 20, NOW),
        Err(KeyRefused::InUse)
    );
    assert!(table.give_up(financial(1), NOW));
    assert_eq!(
        table.insert(financial(1), echo(), 20, NOW),
        Err(KeyRefused::InUse)
    );
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    assert_eq!(
        table.resolve(financial(1), &echo(), NOW),
        Match::Matched(10)
    );
    table.insert(financial(1), echo(), 20, NOW).unwrap();
    assert_eq!(
        table.resolve(financial(1), &echo(), NOW),
        Match::Matched(20)
    );
}

#[test]
fn a_late_answer_is_known_for_the_window() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    assert!(table.give_up(financial(1), NOW));
    assert!(!table.give_up(financial(1), NOW), "once");
    let age = Duration::from_secs(599);
    let late = Match::Late { owner: 10, age };
    assert_eq!(table.resolve(financial(1), &echo(), NOW.after(age)), late);
    assert_eq!(
        table.resolve(financial(1), &echo(), NOW.after(WINDOW)),
        Match::Unknown
    );
    assert_eq!(table.late(), 0);
}

#[test]
fn what_was_not_sent_leaves_no_trace() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    assert_eq!(table.withdraw(financial(1)), Some(10));
    assert_eq!(table.withdraw(financial(1)), None);
    assert_eq!(table.resolve(financial(1), &echo(), NOW), Match::Unknown);
    table.insert(financial(1), echo(), 20, NOW).unwrap();
}

#[test]
fn all_three_parts_are_bounded() {
    let mut table = table();
    for stan in 1..=4 {
        table.insert(financial(stan), echo(), stan, NOW).unwrap();
    }
    assert_eq!(
        table.insert(financial(5), echo(), 5, NOW),
        Err(KeyRefused::Full)
    );
    assert_eq!(table.outstanding().count(), 4);
    for stan in 1..=4 {
        table.give_up(financial(stan), NOW);
    }
    assert_eq!((table.inflight(), table.late()), (0, 3));
    assert_eq!(
        table.resolve(financial(1), &echo(), NOW),
        Match::Unknown,
        "the oldest went"
    );
    for stan in 5..=8 {
        table.insert(financial(stan), echo(), stan, NOW).unwrap();
    }
    for stan in 5..=8 {
        assert_eq!(
            table.resolve(financial(stan), &echo(), NOW),
            Match::Matched(stan)
        );
    }
    assert_eq!(table.resolve(financial(6), &echo(), NOW), Match::Unknown);
    let age = Duration::ZERO;
    let seventh = Match::AlreadyAnswered { owner: 7, age };
    assert_eq!(table.resolve(financial(7), &echo(), NOW), seventh);
}

#[test]
fn fault_065_a_million_stans_through_the_wrap_with_late_answers() {
    let range = StanRange {
        base: 1,
        size: 300_000,
        shards: 1,
        shard: 0,
    };
    let late_max = 2_000;
    let mut allocator = StanAllocator::new(&range, WINDOW, late_max, 3);
    let limits = PendingLimits {
        inflight_max: 64,
        late_max,
        answered_max: 1_000,
        window: WINDOW,
    };
    let mut table = PendingTable::new(limits, 3);
    let mut late: Vec<(u32, Stan)> = Vec::new();
    for serial in 0..1_000_000_u32 {
        let now = Instant::from_nanos(u64::from(serial) * 100_000);
        let stan = allocator.allocate(now).unwrap();
        let mut sent = echo();
        sent.rrn = Text::new("DE37", &domain::time::digits_of::<12>(u64::from(serial))).unwrap();
        let key = Expected {
            kind: ResponseKind::Financial,
            stan,
        };
        table.insert(key, sent, serial, now).unwrap();
        if serial % 1_000 == 0 {
            assert!(table.give_up(key, now));
            allocator.release(stan, StanReuse::AfterLateWindow, now);
            late.push((serial, stan));
        } else {
            assert_eq!(table.resolve(key, &sent, now), Match::Matched(serial));
            allocator.release(stan, StanReuse::AtOnce, now);
        }
    }
    let now = Instant::from_nanos(1_000_000 * 100_000);
    for (serial, stan) in late {
        let mut answer = echo();
        answer.rrn = Text::new("DE37", &domain::time::digits_of::<12>(u64::from(serial))).unwrap();
        let key = Expected {
            kind: ResponseKind::Financial,
            stan,
        };
        let found = table.resolve(key, &answer, now);
        assert!(
            matches!(found, Match::Late { owner, .. } if owner == serial),
            "{found:?}"
        );
    }
}

#[test]
fn the_next_reversal_takes_the_place_of_the_one_before() {
    let reversal = expected(ResponseKind::Reversal, 1);
    for ended in [false, true] {
        let mut table = table();
        table.insert(reversal, echo(), 10, NOW).unwrap();
        if ended {
            assert!(table.give_up(reversal, NOW));
        }
        table.supersede(reversal, |owner| *owner == 99);
        let refused = table.insert(reversal, echo(), 11, NOW);
        assert_eq!(refused, Err(KeyRefused::InUse), "it is of another one");
        table.supersede(reversal, |owner| *owner == 10);
        table.insert(reversal, echo(), 11, NOW).unwrap();
        assert_eq!((table.inflight(), table.late()), (1, 0));
        assert_eq!(table.resolve(reversal, &echo(), NOW), Match::Matched(11));
    }
}

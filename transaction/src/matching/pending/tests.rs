//! Tests of `pending`.

use super::*;
use crate::matching::{StanAllocator, StanRange};
use crate::output::StanReuse;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::time::TransmissionTime;
use std::borrow::ToOwned as _;
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
        local_time: Text::new("DE12", b"120000").unwrap(),
        local_date: Text::new("DE13", b"0101").unwrap(),
        institution: Text::new("DE32", b"628123").unwrap(),
    }
}

//= docs/rules.md#M-04
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

//= docs/rules.md#T-06
#[test]
fn fault_046_of_an_answer_and_a_deadline_at_one_instant_the_first_counts() {
    let mut table = table();
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    let answered = table.resolve(financial(1), &echo(), NOW);
    assert_eq!(answered, Match::Matched(10));
    assert!(
        !table.give_up(financial(1), NOW),
        "there is nothing to give up"
    );

    table.insert(financial(2), echo(), 20, NOW).unwrap();
    assert!(table.give_up(financial(2), NOW));
    let (owner, age) = (20, Duration::ZERO);
    let answered = table.resolve(financial(2), &echo(), NOW);
    assert_eq!(answered, Match::Late { owner, age });
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

//= docs/rules.md#M-03
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

/// Whether an answer with only these fields matches a request that has all of them.
#[track_caller]
fn check_key(key: EchoFields, answer: Echo, expected: Match<u32>) {
    let mut table = PendingTable::matching_by(key, limits(), 1);
    table.insert(financial(1), echo(), 10, NOW).unwrap();
    assert_eq!(table.resolve(financial(1), &answer, NOW), expected);
}

//= docs/rules.md#M-06
#[test]
fn an_answer_must_give_back_what_its_profile_says_and_may_leave_out_the_rest() {
    let key = |numbers: &[u8]| {
        let fields = numbers
            .iter()
            .map(|number| EchoFields::of_key(*number).unwrap());
        fields.fold(EchoFields::default(), EchoFields::with)
    };
    let sparse = Echo {
        terminal: echo().terminal,
        ..Echo::default()
    };
    check_key(key(&[41]), sparse, Match::Matched(10));
    let without = Match::Differs(EchoFields::TRANSMITTED);
    check_key(EchoFields::DEFAULT_KEY, sparse, without);
    let others = EchoFields::LOCAL_TIME
        .with(EchoFields::LOCAL_DATE)
        .with(EchoFields::INSTITUTION)
        .with(EchoFields::MERCHANT);
    check_key(key(&[12, 13, 32, 41, 42]), sparse, Match::Differs(others));
    check_key(
        key(&[7, 12, 13, 32, 37, 41, 42]),
        echo(),
        Match::Matched(10),
    );

    // What hosts rewrite counts in the key alone.
    let rewritten = Echo {
        transmitted: Some(TransmissionTime::default()),
        local_time: Text::new("", b"235959").unwrap(),
        local_date: Text::new("", b"1231").unwrap(),
        institution: Text::new("", b"1").unwrap(),
        ..echo()
    };
    check_key(key(&[37]), rewritten, Match::Matched(10));
    let differs = EchoFields::TRANSMITTED.with(EchoFields::INSTITUTION);
    check_key(key(&[7, 32, 37]), rewritten, Match::Differs(differs));
    for other in [2, 3, 11, 38, 39, 49, 90] {
        assert_eq!(EchoFields::of_key(other), None, "DE{other}");
    }
}

//= docs/rules.md#M-01
#[test]
fn a_stan_alone_never_matches() {
    let bare = Echo {
        currency: Some(Currency::KES),
        ..Echo::default()
    };
    let differs = Match::Differs(EchoFields::DEFAULT_KEY);
    check_key(EchoFields::DEFAULT_KEY, bare, differs);
    assert_eq!(EchoFields::DEFAULT_KEY.to_string(), "DE7, DE41");
    let refused = Err(KeyRefused::NothingToCompare);
    assert_eq!(table().insert(financial(2), bare, 20, NOW), refused);
}

#[test]
fn the_nearest_is_under_the_same_stan_else_what_differs_in_the_fewest_fields() {
    let mut table = table();
    let terminal = |name: &[u8]| Echo {
        terminal: Text::new("", name).unwrap(),
        rrn: Text::new("", name).unwrap(),
        ..echo()
    };
    table
        .insert(financial(1), terminal(b"ONE"), 10, NOW)
        .unwrap();
    table
        .insert(financial(2), terminal(b"TWO"), 20, NOW)
        .unwrap();
    let near = |expected: Option<Expected>, echo: &Echo| {
        let nearest = table.nearest(expected, echo)?;
        Some((nearest.expected.stan.number(), nearest.differs.to_string()))
    };
    let told = |stan, differs: &str| Some((stan, differs.to_owned()));
    let one = terminal(b"ONE");
    assert_eq!(near(Some(financial(2)), &one), told(2, "DE37, DE41"));
    assert_eq!(near(Some(financial(9)), &one), told(1, "DE11"));
    assert_eq!(near(None, &one), told(1, "MTI, DE11"));
    let reversal = expected(ResponseKind::Reversal, 2);
    assert_eq!(near(Some(reversal), &one), told(2, "MTI, DE37, DE41"));
    assert_eq!(near(Some(financial(9)), &Echo::default()), None);
    assert!(table.is_stan_out(Stan::new(1).unwrap()) && !table.is_stan_out(Stan::new(3).unwrap()));
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

//! The book of a shard: what counts, when, and that the journal says the same.

use core::time::Duration;
use std::vec::Vec;

use domain::ResponseCode;
use domain::bytes::Text;
use domain::ids::{AcquirerId, IssuerId};
use domain::network::SettlementDate;
use domain::profile::PartialApproval;
use domain::reconciliation::{Figure, Party, Totals, Verdict};
use domain::record::SafResult;
use domain::request::{Answer, DuplicateKey, Facts, MessageClass, Reversal, Transmission};
use domain::time::Instant;
use proptest::prelude::*;

use super::*;
use crate::input::Input;
use crate::output::Output;
use crate::settings::Settings;
use crate::testing::{
    Auto, DEADLINE, NOON, Rig, advice, approval, decline, facts, kes, reversal, settings,
};

/// The acquirer of all requests, and the two issuers.
const ACQUIRER: Party = Party::Acquirer(AcquirerId(1));
const FIRST: Party = Party::Issuer(IssuerId(0));
const SECOND: Party = Party::Issuer(IssuerId(1));

fn kept() -> Settings {
    Settings {
        parties: Parties::default().with(ACQUIRER).with(FIRST),
        ..settings()
    }
}

/// A rig that has a day with everybody.
fn rig() -> Rig {
    let mut rig = Rig::with(kept(), Auto::Flush);
    rig.engine.recovered(rig.now).unwrap();
    rig.drain();
    rig.flush();
    rig
}

fn today() -> SettlementDate {
    SettlementDate::at(NOON)
}

fn key(party: Party, date: SettlementDate) -> BucketKey {
    BucketKey {
        party,
        date,
        currency: Currency::KES,
    }
}

/// What is counted with a party today, by data element; the rest is nothing.
#[track_caller]
fn check(rig: &Rig, bucket: BucketKey, expected: &[(u8, u64)]) {
    let totals = rig.engine.totals(bucket);
    let found: Vec<(u8, u64)> = Figure::ALL
        .into_iter()
        .map(|figure| (figure.field(), totals.of(figure)))
        .filter(|(_, value)| *value > 0)
        .collect();
    assert_eq!(found, expected, "{bucket:?}");
}

fn cut_over(rig: &mut Rig, party: Party, date: SettlementDate) {
    rig.give(Input::Book(BookInput::Day { party, date }));
}

fn close(rig: &mut Rig, bucket: BucketKey, token: u32) {
    let end = DayEnd::Closed;
    rig.give(Input::Book(BookInput::Close { bucket, end, token }));
}

fn partial(number: u32, frame: u32, stays: u64) -> Reversal {
    Reversal {
        key: DuplicateKey(u128::from(frame)),
        replacement: Some(kes(stays)),
        ..reversal(number, frame)
    }
}

#[test]
fn an_approval_counts_with_both_sides_and_a_decline_with_none() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    rig.request(2, 11);
    rig.respond(decline());
    for party in [ACQUIRER, FIRST] {
        check(&rig, key(party, today()), &[(76, 1), (88, 10_000)]);
    }
    check(&rig, key(SECOND, today()), &[]);
    rig.repeat(1, 12);
    check(&rig, key(ACQUIRER, today()), &[(76, 1), (88, 10_000)]);
}

#[test]
fn what_timed_out_counts_nowhere_and_its_reversal_neither() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.pass(DEADLINE);
    rig.respond(approval());
    rig.request(2, 11);
    rig.reverse(2, 12);
    rig.respond(approval());
    check(&rig, key(ACQUIRER, today()), &[]);
    check(&rig, key(FIRST, today()), &[]);
}

#[test]
fn reversals_count_for_what_they_take_back() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    rig.give(Input::Reversal(partial(1, 20, 4_000)));
    check(
        &rig,
        key(FIRST, today()),
        &[(76, 1), (77, 1), (88, 10_000), (89, 6_000)],
    );
    rig.give(Input::Reversal(partial(1, 20, 4_000)));
    rig.reverse(1, 21);
    let all = [(76, 1), (77, 2), (88, 10_000), (89, 10_000)];
    check(&rig, key(FIRST, today()), &all);
    check(&rig, key(ACQUIRER, today()), &all);
    rig.reverse(1, 22);
    check(&rig, key(ACQUIRER, today()), &all);
}

//= docs/rules.md#B-06
/// What was approved of it counts, and no more than that is ever taken back.
#[test]
fn a_partial_approval_counts_with_what_was_approved_and_goes_back_to_nothing() {
    let check_all = |rig: &Rig, figures: &[(u8, u64)]| {
        for party in [ACQUIRER, FIRST] {
            check(rig, key(party, today()), figures);
        }
    };
    for restarts in [false, true] {
        for stays in [None, Some(1_000)] {
            let mut rig = rig();
            rig.profile.partial_approval = PartialApproval::Pass;
            rig.request(1, 10);
            rig.respond(Answer {
                code: ResponseCode::PARTIAL_APPROVAL,
                amount: Some(kes(4_000)),
                ..approval()
            });
            check_all(&rig, &[(76, 1), (88, 4_000)]);
            if restarts {
                rig.restart(rig.journal.len()).unwrap();
            }
            if let Some(stays) = stays {
                // Above what was approved, though below what was asked for.
                rig.give(Input::Reversal(partial(1, 20, 4_001)));
                assert_eq!(rig.told(20), Some(ResponseCode::INVALID_AMOUNT));
                rig.give(Input::Reversal(partial(1, 21, stays)));
                check_all(&rig, &[(76, 1), (77, 1), (88, 4_000), (89, 3_000)]);
            }
            if restarts {
                rig.restart(rig.journal.len()).unwrap();
            }
            rig.reverse(1, 22);
            let reversals = if stays.is_some() { 2 } else { 1 };
            check_all(&rig, &[(76, 1), (77, reversals), (88, 4_000), (89, 4_000)]);
        }
    }
}

#[test]
fn class_and_processing_code_choose_the_figures() {
    let mut rig = rig();
    let other = |number, code: &[u8], class| Facts {
        class,
        processing_code: Text::new("DE3", code).unwrap(),
        ..facts(number)
    };
    for (number, code, class) in [
        (1, b"200000", MessageClass::Financial),
        (2, b"310000", MessageClass::Financial),
        (3, b"400000", MessageClass::Financial),
        (4, b"000000", MessageClass::Authorisation),
    ] {
        rig.request_as(other(number, code, class), 10 + number, Transmission::First);
        rig.respond(approval());
    }
    let counted = [(74, 1), (78, 1), (80, 1), (81, 1), (86, 10_000)];
    check(&rig, key(ACQUIRER, today()), &counted);
}

#[test]
fn an_advice_counts_when_it_is_acknowledged() {
    let mut rig = rig();
    rig.give(Input::Advice(advice(1, 10)));
    check(&rig, key(ACQUIRER, today()), &[(76, 1), (88, 10_000)]);
    let declined = crate::testing::code(b"05");
    rig.give(Input::Advice(domain::request::Advice {
        reported: Some(declined),
        ..advice(2, 11)
    }));
    check(&rig, key(FIRST, today()), &[(76, 1), (88, 10_000)]);
}

#[test]
fn the_day_that_an_answer_names_goes_before_the_one_in_force() {
    let mut rig = rig();
    let tomorrow = today().next();
    rig.request(1, 10);
    let digits = tomorrow.digits();
    let fields = [&[15, 0, 4][..], &digits].concat();
    let answer = Answer {
        fields: &fields,
        ..approval()
    };
    rig.respond(answer);
    rig.request(2, 11);
    // A day far away is a mistake of the issuer's.
    let fields = [&[15, 0, 4][..], b"0701"].concat();
    rig.respond(Answer {
        fields: &fields,
        ..approval()
    });
    for party in [ACQUIRER, FIRST] {
        check(&rig, key(party, tomorrow), &[(76, 1), (88, 10_000)]);
        check(&rig, key(party, today()), &[(76, 1), (88, 10_000)]);
    }
}

#[test]
fn a_reversal_after_the_cut_over_falls_into_the_next_day() {
    let mut rig = rig();
    let tomorrow = today().next();
    rig.request(1, 10);
    rig.respond(approval());
    cut_over(&mut rig, FIRST, tomorrow);
    rig.reverse(1, 20);
    check(&rig, key(FIRST, today()), &[(76, 1), (88, 10_000)]);
    check(&rig, key(FIRST, tomorrow), &[(77, 1), (89, 10_000)]);
    let both = [(76, 1), (77, 1), (88, 10_000), (89, 10_000)];
    check(&rig, key(ACQUIRER, today()), &both);
}

#[test]
fn a_closed_day_never_changes() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    close(&mut rig, key(ACQUIRER, today()), 7);
    assert!(rig.seen.contains(&Output::Noted { token: 7 }));
    rig.request(2, 11);
    rig.respond(approval());
    check(&rig, key(ACQUIRER, today()), &[(76, 1), (88, 10_000)]);
    check(
        &rig,
        key(ACQUIRER, today().next()),
        &[(76, 1), (88, 10_000)],
    );
    check(&rig, key(FIRST, today()), &[(76, 2), (88, 20_000)]);
    let records = rig.journal.len();
    close(&mut rig, key(ACQUIRER, today()), 8);
    assert_eq!(rig.journal.len(), records, "it is closed once");
    assert!(rig.seen.contains(&Output::Noted { token: 8 }));
}

#[test]
fn a_question_for_totals_waits_for_all_that_is_counted() {
    let mut rig = Rig::with(kept(), Auto::Decide);
    rig.engine.recovered(rig.now).unwrap();
    rig.drain();
    rig.flush();
    rig.request(1, 10);
    rig.flush();
    rig.respond(approval());
    let (bucket, end) = (key(FIRST, today()), DayEnd::GoesOn);
    let token = 3;
    rig.give(Input::Book(BookInput::Close { bucket, end, token }));
    assert!(!rig.seen.contains(&Output::Noted { token }));
    rig.flush();
    assert!(rig.seen.contains(&Output::Noted { token }));
    rig.request(2, 11);
    rig.flush();
    rig.respond(approval());
    check(&rig, bucket, &[(76, 2), (88, 20_000)]);
}

#[test]
fn the_day_that_has_ended_is_due_until_it_is_closed() {
    let mut rig = rig();
    let due = |rig: &Rig| rig.engine.due_day(ACQUIRER, Currency::KES);
    assert_eq!(due(&rig), today());
    cut_over(&mut rig, ACQUIRER, today().next());
    assert_eq!(due(&rig), today());
    close(&mut rig, key(ACQUIRER, today()), 1);
    assert_eq!(due(&rig), today().next());
    close(&mut rig, key(ACQUIRER, today().next()), 2);
    assert_eq!(due(&rig), today().next().next());
}

fn decision(stan: u32, verdict: Verdict) -> Decision {
    Decision {
        key: ReconciliationKey {
            party: ACQUIRER,
            currency: Currency::KES,
            stan: Stan::new(stan).unwrap(),
            transmitted: TransmissionTime::at(NOON),
        },
        date: today(),
        verdict,
        differs: Differences(1 << 10),
        ours: Totals::default(),
    }
}

#[test]
fn a_result_is_kept_for_its_copies_over_a_restart() {
    let mut rig = rig();
    let decided = decision(42, Verdict::OutOfBalance);
    let (decision, token) = (decided, 5);
    rig.give(Input::Book(BookInput::Decided { decision, token }));
    assert!(rig.seen.contains(&Output::Noted { token }));
    for _ in 0..2 {
        let known = rig.engine.reconciled_before(decided.key).unwrap();
        assert_eq!(known.verdict, Verdict::OutOfBalance);
        assert_eq!(known.differs, decided.differs);
        let other = ReconciliationKey {
            stan: Stan::new(43).unwrap(),
            ..decided.key
        };
        assert_eq!(rig.engine.reconciled_before(other), None);
        let kept = rig.journal.len();
        rig.restart(kept).unwrap();
    }
}

//= docs/rules.md#B-03
#[test]
fn a_result_is_told_to_nobody_before_it_is_durable() {
    let mut rig = Rig::with(kept(), Auto::Decide);
    rig.engine.recovered(rig.now).unwrap();
    rig.drain();
    rig.flush();
    let decision = decision(42, Verdict::OutOfBalance);
    let token = 5;
    rig.give(Input::Book(BookInput::Decided { decision, token }));
    assert_eq!(rig.engine.reconciled_before(decision.key), None);
    rig.flush();
    assert!(rig.seen.contains(&Output::Noted { token }));
    assert!(rig.engine.reconciled_before(decision.key).is_some());
}

//= docs/rules.md#B-05
#[test]
fn all_days_before_the_one_in_force_have_ended() {
    let mut rig = rig();
    assert_eq!(rig.engine.ended_day(FIRST), None);
    let later = SettlementDate::from_days(today().days() + 3);
    cut_over(&mut rig, FIRST, later);
    let ended = SettlementDate::from_days(today().days() + 2);
    assert_eq!(rig.engine.ended_day(FIRST), Some(ended));
}

#[test]
fn who_is_added_is_counted_from_then_on() {
    let mut rig = Rig::with(settings(), Auto::Flush);
    rig.engine.recovered(rig.now).unwrap();
    rig.drain();
    rig.request(1, 10);
    rig.respond(approval());
    rig.engine.settings.parties = kept().parties;
    let all = rig.journal.len();
    rig.restart(all).unwrap();
    check(&rig, key(FIRST, today()), &[]);
    rig.request(2, 11);
    rig.respond(approval());
    check(&rig, key(FIRST, today()), &[(76, 1), (88, 10_000)]);
    let all = rig.journal.len();
    rig.restart(all).unwrap();
    check(&rig, key(FIRST, today()), &[(76, 1), (88, 10_000)]);
}

/// What the rig has sent since the last look.
fn sent(rig: &Rig) -> Vec<(ReconciliationId, Transmission)> {
    let sent = rig.seen.iter().filter_map(|output| {
        if let Output::SendReconciliation { owed, transmission } = output {
            Some((*owed, *transmission))
        } else {
            None
        }
    });
    sent.collect()
}

/// How reconciliations have ended since the last look.
fn ended(rig: &Rig) -> Vec<(SafResult, Verdict)> {
    let ended = rig.seen.iter().filter_map(|output| {
        if let Output::ReconciliationEnded {
            result, verdict, ..
        } = output
        {
            Some((*result, *verdict))
        } else {
            None
        }
    });
    ended.collect()
}

fn owe(rig: &mut Rig) {
    let bucket = key(FIRST, today());
    let (stan, ours) = (Stan::new(77).unwrap(), Totals::default());
    rig.give(Input::Book(BookInput::Owe { bucket, stan, ours }));
}

fn answer(rig: &mut Rig, verdict: Option<Verdict>) {
    let (owed, _) = *sent(rig).last().unwrap();
    rig.give(Input::Book(BookInput::Answered { owed, verdict }));
}

#[test]
fn a_frozen_day_is_closed_in_every_currency_and_told_once() {
    let mut rig = rig();
    rig.request(1, 10);
    rig.respond(approval());
    let tomorrow = today().next();
    cut_over(&mut rig, FIRST, tomorrow);
    assert_eq!(rig.engine.ended_day(FIRST), Some(today()));
    let (party, date, token) = (FIRST, today(), 9);
    rig.give(Input::Book(BookInput::Freeze { party, date, token }));
    assert!(rig.seen.contains(&Output::Noted { token }));
    let frozen = rig.engine.frozen(FIRST, today());
    assert_eq!(frozen.len(), 1);
    assert_eq!(frozen[0].1.of(Figure::DebitAmount), 10_000);
    // An answer that names the day in a currency that was not seen: it is closed all the same.
    let fields = [&[15, 0, 4][..], &today().digits()].concat();
    for number in [2, 3] {
        rig.request(number, 10 + number);
        let fields = &fields;
        rig.respond(Answer {
            fields,
            ..approval()
        });
    }
    check(&rig, key(FIRST, today()), &[(76, 1), (88, 10_000)]);
    check(&rig, key(FIRST, tomorrow), &[(76, 2), (88, 20_000)]);
    let all = rig.journal.len();
    rig.restart(all).unwrap();
    check(&rig, key(FIRST, tomorrow), &[(76, 2), (88, 20_000)]);
    assert_eq!(rig.engine.frozen(FIRST, today()), frozen);
}

#[test]
fn what_is_owed_is_repeated_until_it_is_acknowledged_over_restarts() {
    let mut rig = Rig::with(kept(), Auto::Decide);
    rig.engine.recovered(rig.now).unwrap();
    rig.drain();
    rig.flush();
    owe(&mut rig);
    assert_eq!(sent(&rig), [], "its record is not durable");
    rig.flush();
    assert_eq!(sent(&rig).len(), 1);
    assert_eq!(sent(&rig)[0].1, Transmission::First);
    owe(&mut rig);
    rig.flush();
    assert_eq!(sent(&rig).len(), 1, "it is owed once");
    rig.pass(Duration::from_secs(8));
    assert_eq!(sent(&rig).last().unwrap().1, Transmission::Repeat);
    let all = rig.journal.len();
    rig.restart(all).unwrap();
    let again = sent(&rig);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].1, Transmission::Repeat);
    let record = *rig.engine.owed_reconciliation(again[0].0).unwrap();
    assert_eq!((record.stan.number(), record.date), (77, today()));
    answer(&mut rig, Some(Verdict::OutOfBalance));
    assert_eq!(
        ended(&rig),
        [(SafResult::Acknowledged, Verdict::OutOfBalance)]
    );
    assert_eq!(rig.records().last(), Some(&"reconciliation-done"));
    for _ in 0..2 {
        let all = rig.journal.len();
        rig.restart(all).unwrap();
        rig.pass(Duration::from_secs(600));
        assert_eq!(sent(&rig), []);
        assert!(rig.engine.knows_reconciliation(key(FIRST, today())));
    }
}

#[test]
fn what_is_refused_three_times_or_too_old_is_left_to_people() {
    let mut rig = rig();
    owe(&mut rig);
    for refusals in 1..=3 {
        answer(&mut rig, None);
        assert_eq!(ended(&rig).len(), usize::from(refusals == 3));
        rig.pass(Duration::from_secs(60));
    }
    assert_eq!(ended(&rig), [(SafResult::Refused, Verdict::Unknown)]);

    let mut rig = Rig::with(kept(), Auto::Flush);
    rig.engine.recovered(rig.now).unwrap();
    rig.drain();
    rig.flush();
    owe(&mut rig);
    let (owed, _) = sent(&rig)[0];
    rig.give(Input::Book(BookInput::Unsent { owed }));
    rig.pass(Duration::from_secs(8 * 86_400));
    assert_eq!(ended(&rig), [(SafResult::Expired, Verdict::Unknown)]);
}

/// One thing that may happen.
#[derive(Clone, Copy, Debug)]
enum Step {
    Approve(u32),
    Decline(u32),
    Silence(u32),
    Reverse(u32),
    ReversePart(u32, u64),
    Advise(u32),
    CutOver(bool),
    Close(bool),
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 1_u32..12;
    prop_oneof![
        4 => number.clone().prop_map(Step::Approve),
        1 => number.clone().prop_map(Step::Decline),
        1 => number.clone().prop_map(Step::Silence),
        2 => number.clone().prop_map(Step::Reverse),
        2 => (number.clone(), 1..10_000_u64).prop_map(|(of, stays)| Step::ReversePart(of, stays)),
        1 => number.prop_map(Step::Advise),
        1 => any::<bool>().prop_map(Step::CutOver),
        1 => any::<bool>().prop_map(Step::Close),
        1 => Just(Step::Snapshot),
    ]
}

fn play(rig: &mut Rig, frame: u32, step: Step) {
    let party = |is_issuer| if is_issuer { FIRST } else { ACQUIRER };
    match step {
        Step::Approve(number) | Step::Decline(number) => {
            rig.seen.clear();
            rig.request(number, frame);
            let is_sent = rig
                .seen
                .iter()
                .any(|one| matches!(one, Output::Send { .. }));
            let is_approval = matches!(step, Step::Approve(_));
            if is_sent {
                rig.respond(if is_approval { approval() } else { decline() });
            }
        }
        Step::Silence(number) => {
            rig.request(number, frame);
            rig.pass(DEADLINE);
        }
        Step::Reverse(number) => rig.reverse(number, frame),
        Step::ReversePart(number, stays) => {
            rig.give(Input::Reversal(partial(number, frame, stays)));
        }
        Step::Advise(number) => rig.give(Input::Advice(advice(number + 100, frame))),
        Step::CutOver(is_issuer) => {
            let party = party(is_issuer);
            let date = rig.engine.day(party).unwrap().next();
            cut_over(rig, party, date);
        }
        Step::Close(is_issuer) => {
            let date = rig.engine.due_day(party(is_issuer), Currency::KES);
            close(rig, key(party(is_issuer), date), frame);
        }
        Step::Snapshot => rig.give(Input::Book(BookInput::Snapshot)),
    }
}

fn sorted(rig: &Rig) -> Vec<(BucketKey, Totals, bool)> {
    let mut all = rig.engine.book.all();
    all.retain(|(_, totals, is_closed)| *is_closed || *totals != Totals::default());
    all.sort_by_key(|(key, ..)| (key.party, key.date.days(), key.currency.code()));
    all
}

/// What `records` of the journal add up to, by a start that writes nothing of its own.
fn folded(rig: &Rig, from: usize) -> Rig {
    let mut other = Rig::with(kept(), Auto::Flush);
    for record in &rig.journal[from..] {
        let alone = matches!(record, Record::Day(_) | Record::Totals(_));
        if from == 0 || alone {
            other.engine.recover(record, Instant::ZERO).unwrap();
        }
    }
    other
}

proptest! {
    #[test]
    fn totals_are_the_fold_of_the_journal(
        steps in proptest::collection::vec(step(), 1..60),
        again in proptest::collection::vec(step(), 0..20),
    ) {
        let mut rig = rig();
        let play_all = |rig: &mut Rig, steps: &[Step], base: u32| {
            for (frame, step) in (base..).zip(steps) {
                play(rig, frame, *step);
            }
        };
        play_all(&mut rig, &steps, 1_000);
        let live = sorted(&rig);
        prop_assert_eq!(&sorted(&folded(&rig, 0)), &live);

        let kept = rig.journal.len();
        rig.restart(kept).unwrap();
        prop_assert_eq!(&sorted(&rig), &live, "a start moves nothing");
        // Its snapshot alone says the same: the segments before it may go.
        prop_assert_eq!(&sorted(&folded(&rig, kept)), &live);

        play_all(&mut rig, &again, 5_000);
        let live = sorted(&rig);
        prop_assert_eq!(&sorted(&folded(&rig, 0)), &live);
    }
}

//! Tests of `carrying`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use domain::ids::{AcquirerId, IssuerId, Stan};
use domain::reconciliation::Party;
use domain::request::{DuplicateKey, Reversal, Transmission};
use domain::time::TransmissionTime;
use proptest::prelude::*;

use super::*;
use crate::input::Input;
use crate::reconciliation::Parties;
use crate::settings::Settings;
use crate::testing::{
    Auto, DEADLINE, Rig, advice, approval, code, decline, facts, kes, reversal, settings,
};

/// What happens to one of a few transactions.
#[derive(Clone, Copy, Debug)]
enum Step {
    Request(u32),
    Repeat(u32),
    Approve,
    Decline,
    Reverse(u32),
    ReverseInPart(u32, u64),
    Advise(u32),
    Acknowledge,
    Refuse,
    Deadline,
    Links(bool),
    NoRoute(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 1..9_u32;
    prop_oneof![
        4 => number.clone().prop_map(Step::Request),
        1 => number.clone().prop_map(Step::Repeat),
        4 => Just(Step::Approve),
        1 => Just(Step::Decline),
        3 => number.clone().prop_map(Step::Reverse),
        1 => (number, 1..9_000_u64).prop_map(|(number, stays)| {
            Step::ReverseInPart(number, stays)
        }),
        2 => (20..26_u32).prop_map(Step::Advise),
        2 => Just(Step::Acknowledge),
        1 => Just(Step::Refuse),
        1 => Just(Step::Deadline),
        1 => any::<bool>().prop_map(Step::Links),
        1 => any::<bool>().prop_map(Step::NoRoute),
    ]
}

fn kept() -> Settings {
    let parties = Parties::default();
    let parties = parties.with(Party::Acquirer(AcquirerId(1)));
    Settings {
        parties: parties.with(Party::Issuer(IssuerId(0))),
        ..settings()
    }
}

fn play(rig: &mut Rig, frame: u32, step: Step) {
    match step {
        Step::Request(number) => rig.request(number, frame),
        Step::Repeat(number) => rig.repeat(number, frame),
        Step::Approve if is_sent(rig) => rig.respond(approval()),
        Step::Decline if is_sent(rig) => rig.respond(decline()),
        Step::Approve | Step::Decline => {}
        Step::Reverse(number) => rig.reverse(number, frame),
        Step::ReverseInPart(number, stays) => rig.give(Input::Reversal(Reversal {
            key: DuplicateKey(u128::from(frame)),
            replacement: Some(kes(stays)),
            ..reversal(number, frame)
        })),
        Step::Advise(number) => rig.give(Input::Advice(advice(number, frame))),
        Step::Acknowledge | Step::Refuse => {
            let owed = rig.owed_sent().last().copied();
            let owed = owed.or_else(|| rig.advices_sent().last().map(|(owed, _)| *owed));
            let is_refused = matches!(step, Step::Refuse);
            let code = code(if is_refused { b"05" } else { b"00" });
            if let Some(owed) = owed {
                rig.give(Input::ReversalResponse { owed, code });
            }
        }
        Step::Deadline => rig.pass(DEADLINE),
        Step::Links(down) => rig.links_down = down,
        Step::NoRoute(none) => rig.no_route = none,
    }
}

fn is_sent(rig: &Rig) -> bool {
    let sent = |output: &crate::Output| matches!(output, crate::Output::Send { .. });
    rig.seen.iter().any(sent)
}

/// Where a transaction lives among `shards`.
fn owner(record: &Record<'_>, shards: u16) -> ShardId {
    let slot = u16::try_from(record.transaction().0 % 4096 / 256).unwrap();
    ShardId(slot % shards)
}

fn is_of_book(record: &Record<'_>) -> bool {
    matches!(record, Record::Day(_) | Record::Totals(_))
}

type Journals = Vec<Vec<(Record<'static>, Carriage)>>;

/// The records of one journal, as `shards` shards would have written them; business days were told
/// to all of them.
fn dealt(journal: &[Record<'static>], shards: u16) -> Journals {
    let mut dealt: Journals = vec![Vec::new(); usize::from(shards)];
    for record in journal {
        for (shard, own) in dealt.iter_mut().enumerate() {
            let home = usize::from(owner(record, shards).0);
            if is_of_book(record) || home == shard {
                own.push((*record, Carriage::Fresh));
            }
        }
    }
    dealt
}

/// The engines that the journals leave behind, before their recovery ends.
fn folded(journals: &Journals, rig: &Rig) -> Vec<Engine> {
    let fold = |journal: &Vec<(Record<'static>, Carriage)>| {
        let mut engine = Engine::new(kept());
        for (record, carriage) in journal {
            engine.recover_as(record, *carriage, rig.now).unwrap();
        }
        engine.clock.advance(rig.now);
        engine
    };
    journals.iter().map(fold).collect()
}

/// What an import writes for `shards` shards.
fn carried(old: &Journals, engines: &mut [Engine], shards: u16) -> Journals {
    let mut new: Journals = vec![Vec::new(); usize::from(shards)];
    for (journal, engine) in old.iter().zip(engines.iter()) {
        for (record, _) in journal {
            if let Some(carriage) = engine.carriage(record) {
                new[usize::from(owner(record, shards).0)].push((*record, carriage));
            }
        }
    }
    let books: Vec<_> = engines.iter_mut().map(Engine::book_records).collect();
    for (own, book) in new
        .iter_mut()
        .zip(deal_books(&books, shards, |_, _| ShardId(0)))
    {
        own.extend(book.into_iter().map(|record| (record, Carriage::Carried)));
    }
    new
}

/// Everything that is known, without its places.
fn known(engines: &[Engine]) -> BTreeMap<u128, String> {
    let mut known = BTreeMap::new();
    for engine in engines {
        let len = u32::try_from(engine.table.len()).unwrap();
        for index in 0..len {
            match engine.table.body(index) {
                Some(Body::Tombstone(own)) => {
                    known.insert(own.transaction.0, format!("{own:?}"));
                }
                Some(Body::Transaction(own)) => {
                    known.insert(own.id.0, told(engine, index, own));
                }
                Some(Body::Vacant) | None => {}
            }
        }
    }
    known
}

fn told(engine: &Engine, index: u32, own: &crate::transaction::Transaction) -> String {
    let handle = engine.table.handle(index).unwrap();
    let chain: Vec<u32> = engine.owed_from(own.saf_head).map(|(saf, _)| saf).collect();
    let mine = engine
        .saf
        .iter()
        .filter(|(_, entry)| entry.handle == handle);
    let mut owed: Vec<(u8, String)> = mine
        .map(|(saf, entry)| {
            let what = (
                entry.issuer,
                entry.what,
                entry.completed,
                entry.is_over,
                entry.key,
            );
            let rest = (
                (entry.before, entry.replacement),
                entry.reason,
                entry.decided,
                entry.found,
                entry.attempts,
                entry.code,
            );
            let content = engine.saf.content(saf);
            let place = chain.iter().position(|other| *other == saf);
            let status = entry.status;
            (
                entry.ordinal,
                format!("{what:?} {rest:?} {status:?} {place:?} {content:?}"),
            )
        })
        .collect();
    owed.sort();
    let answer = own.answer(&engine.table.arena);
    let ended = (
        own.state,
        own.leg,
        own.left,
        own.reversals,
        own.is_counted,
        own.owed_count > 0,
    );
    let flags = (
        own.stan_held,
        own.late,
        own.advised,
        own.reported,
        own.exceptions,
        own.exceptions > 0 || own.legs.has_failed(),
    );
    let rest = (own.owed_count, own.taken, own.facts, own.admitted);
    format!("{ended:?} {flags:?} {rest:?} {answer:?} {owed:?}")
}

fn sums(engines: &[Engine]) -> BTreeMap<String, Totals> {
    let mut sums: BTreeMap<String, Totals> = BTreeMap::new();
    for (bucket, totals, _) in engines.iter().flat_map(|engine| engine.book.all()) {
        sums.entry(format!("{bucket:?}"))
            .or_default()
            .merge(&totals);
    }
    sums.retain(|_, totals| *totals != Totals::default());
    sums
}

proptest! {
    #[test]
    fn what_is_carried_over_rebuilds_what_was_known(
        steps in proptest::collection::vec(step(), 1..80),
        counts in proptest::collection::vec(1..5_u16, 2..4),
    ) {
        let mut rig = Rig::with(kept(), Auto::Flush);
        rig.restart(0).unwrap();
        for (frame, step) in (1_000..).zip(steps) {
            play(&mut rig, frame, step);
        }
        let mut journals = dealt(&rig.journal, counts[0]);
        for shards in counts {
            let mut engines = folded(&journals, &rig);
            let (before, totals) = (known(&engines), sums(&engines));
            journals = carried(&journals, &mut engines, shards);
            let mut engines = folded(&journals, &rig);
            prop_assert_eq!(known(&engines), before);
            prop_assert_eq!(sums(&engines), totals);
            for engine in &mut engines {
                engine.recovered(rig.now).unwrap();
                engine.check_invariants();
            }
        }
    }
}

/// What a checkpoint behind `journal` holds, but for what `is_left_out`.
fn checkpoint(
    journal: &[(Record<'static>, Carriage)],
    rig: &Rig,
    is_left_out: impl Fn(&Record<'_>) -> bool,
) -> Vec<(Record<'static>, Carriage)> {
    let mut engines = folded(&vec![journal.to_vec()], rig);
    let engine = &mut engines[0];
    let mut held = Vec::new();
    for (record, _) in journal {
        if let Some(carriage) = engine.carriage(record)
            && !is_left_out(record)
        {
            held.push((*record, carriage));
        }
    }
    let book = engine.book_records().into_iter();
    held.extend(book.map(|record| (record, Carriage::Carried)));
    held
}

fn fresh(journal: &[Record<'static>]) -> Vec<(Record<'static>, Carriage)> {
    let fresh = journal.iter().map(|record| (*record, Carriage::Fresh));
    fresh.collect()
}

proptest! {
    #[test]
    fn checkpoints_before_any_records_stand_for_all_that_was_before(
        steps in proptest::collection::vec(step(), 1..80),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 1..4),
    ) {
        let mut rig = Rig::with(kept(), Auto::Flush);
        rig.restart(0).unwrap();
        for (frame, step) in (1_000..).zip(steps) {
            play(&mut rig, frame, step);
        }
        let whole = fresh(&rig.journal);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len())).collect();
        cuts.sort_unstable();
        let (mut journal, mut at) = (Vec::new(), 0);
        for cut in cuts {
            journal.extend_from_slice(&whole[at..cut]);
            journal = checkpoint(&journal, &rig, |_| false);
            at = cut;
        }
        journal.extend_from_slice(&whole[at..]);
        let expected = folded(&vec![whole], &rig);
        let mut found = folded(&vec![journal], &rig);
        prop_assert_eq!(known(&found), known(&expected));
        prop_assert_eq!(sums(&found), sums(&expected));
        found[0].recovered(rig.now).unwrap();
        found[0].check_invariants();
    }
}

/// The null control of the one above.
#[test]
fn a_checkpoint_without_what_is_owed_is_told_apart() {
    let mut rig = Rig::with(kept(), Auto::Flush);
    rig.restart(0).unwrap();
    rig.request(1, 10);
    rig.respond(approval());
    rig.reverse(1, 11);
    let whole = fresh(&rig.journal);
    let is_owed = |record: &Record<'_>| matches!(record, Record::SafOwed(_));
    assert!(whole.iter().any(|(record, _)| is_owed(record)));
    let expected = known(&folded(&vec![whole.clone()], &rig));
    let good = checkpoint(&whole, &rig, |_| false);
    assert_eq!(known(&folded(&vec![good], &rig)), expected);
    let bad = checkpoint(&whole, &rig, is_owed);
    assert_ne!(known(&folded(&vec![bad], &rig)), expected);
}

/// The exception of the first one has given way to the later ones, of which people know.
#[test]
fn a_reversal_that_has_failed_is_no_less_failed_behind_checkpoints() {
    let mut rig = Rig::with(kept(), Auto::Flush);
    rig.restart(0).unwrap();
    for number in 1..=5 {
        rig.request(number, number);
        rig.respond(approval());
        rig.reverse(number, 100 + number);
        for _ in 0..3 {
            rig.respond_to_reversal(code(b"05"));
            rig.pass(Duration::from_secs(10));
        }
    }
    assert_eq!(rig.engine.counts().exceptions, 4);
    let failed = |engine: &Engine| {
        (1..=5).all(|number| {
            let facts = facts(number);
            let found = engine.keyed(facts.trace_key, facts.key);
            let seen = found.and_then(|(handle, _)| engine.seen(handle));
            seen.is_some_and(|seen| seen.is_excepted && !seen.is_owed)
        })
    };
    assert!(failed(&rig.engine));
    let mut journal = fresh(&rig.journal);
    for _ in 0..2 {
        journal = checkpoint(&journal, &rig, |_| false);
        assert!(failed(&folded(&vec![journal.clone()], &rig)[0]));
    }
    let is_end = |record: &Record<'_>| matches!(record, Record::SafDone(_));
    let without = checkpoint(&journal, &rig, is_end);
    assert!(!failed(&folded(&vec![without], &rig)[0]));
}

#[test]
fn what_the_table_has_forgotten_stays_behind_and_nothing_else() {
    let mut rig = Rig::with(kept(), Auto::Flush);
    for number in 1..=12 {
        rig.request(number, number);
        rig.respond(decline());
        rig.pass(Duration::from_secs(1));
    }
    rig.pass(Duration::from_secs(9 * 86_400));
    let journals: Journals = vec![
        rig.journal
            .iter()
            .map(|one| (*one, Carriage::Fresh))
            .collect(),
    ];
    let carried = |engine: &Engine| {
        let carries = |record: &&Record<'_>| engine.carriage(record).is_some();
        rig.journal.iter().filter(carries).count()
    };
    let all = folded(&journals, &rig);
    assert_eq!(all[0].left_behind(rig.wall()), LeftBehind::default());
    assert_eq!(carried(&all[0]), 24, "what is old may still be reversed");
    let mut small = Engine::new(Settings {
        transactions_max: 8,
        ..kept()
    });
    for record in &rig.journal {
        small.recover(record, rig.now).unwrap();
    }
    assert_eq!(small.left_behind(rig.wall()).over, rig.wall());
    assert_eq!(carried(&small), 16);
}

#[test]
fn a_copy_of_what_was_left_behind_is_not_admitted_by_a_clock_that_was_set_back() {
    let mut rig = Rig::with(kept(), Auto::Flush);
    rig.restart(0).unwrap();
    rig.engine.begin_behind(LeftBehind {
        over: rig.wall().after(Duration::from_secs(601)),
        ..LeftBehind::default()
    });
    rig.request(1, 10);
    assert_eq!(rig.told(10), Some(domain::ResponseCode::DUPLICATE));
}

/// Who has a longer window may send one as old as that for the first time.
#[test]
fn an_advice_whose_own_window_is_over_speaks_for_nobody_else() {
    let settings = Settings {
        transactions_max: 8,
        ..kept()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.give(Input::Advice(advice(1, 10)));
    let (owed, _) = rig.advices_sent()[0];
    let code = domain::ResponseCode::APPROVED;
    rig.give(Input::ReversalResponse { owed, code });
    rig.pass(Duration::from_secs(30 * 86_400));
    for number in 2..12 {
        let mut request = facts(number);
        request.trace.transmitted = TransmissionTime::at(rig.wall());
        rig.request_as(request, 10 + number, Transmission::First);
        rig.respond(decline());
    }
    let behind = rig.engine.left_behind(rig.wall());
    assert_eq!(behind.over, rig.wall(), "it is forgotten");
    assert_eq!(behind.advices, WallTime::default());
}

/// Its window is not over: requests needed the room.
#[test]
fn a_copy_of_an_advice_that_gave_way_early_is_not_taken_by_the_next_generation() {
    let settings = Settings {
        transactions_max: 8,
        ..kept()
    };
    let mut rig = Rig::with(settings, Auto::Flush);
    rig.give(Input::Advice(advice(1, 10)));
    assert_eq!(rig.told(10), Some(domain::ResponseCode::APPROVED));
    let (owed, _) = rig.advices_sent()[0];
    let code = domain::ResponseCode::APPROVED;
    rig.give(Input::ReversalResponse { owed, code });
    rig.pass(Duration::from_secs(3_600));
    let last = 1 + u32::try_from(Settings::live_max(settings.transactions_max)).unwrap();
    for number in 2..=last {
        let mut request = facts(number);
        request.trace.transmitted = TransmissionTime::at(rig.wall());
        rig.request_as(request, 10 + number, Transmission::First);
        rig.respond(decline());
    }
    let copy = |rig: &mut Rig, frame| {
        rig.give(Input::Advice(advice(1, frame)));
        rig.told(frame)
    };
    assert_eq!(copy(&mut rig, 40), Some(domain::ResponseCode::DUPLICATE));
    let behind = rig.engine.left_behind(rig.wall());
    let next = |behind| {
        let mut next = Rig::with(settings, Auto::Flush);
        next.now = rig.now;
        next.restart(0).unwrap();
        next.engine.begin_behind(behind);
        copy(&mut next, 50)
    };
    assert_eq!(next(behind), Some(domain::ResponseCode::DUPLICATE));
    let over = LeftBehind {
        advices: WallTime::default(),
        ..behind
    };
    assert_eq!(
        next(over),
        Some(domain::ResponseCode::APPROVED),
        "what was over then says nothing of it"
    );
}

#[test]
fn results_and_what_is_owed_are_dealt_to_where_they_are_looked_for() {
    let mut rig = Rig::with(kept(), Auto::Flush);
    rig.restart(0).unwrap();
    let day = *rig
        .journal
        .iter()
        .find(|record| matches!(record, Record::Day(_)))
        .unwrap();
    let at = rig.wall();
    let Record::Day(mut later) = day else {
        panic!("a day")
    };
    later.date = later.date.next();
    let totals = DayTotals {
        transaction: TransactionId(5),
        noted: at,
        party: Party::Issuer(IssuerId(3)),
        date: later.date,
        currency: domain::currency::Currency::KES,
        totals: Totals::default(),
        is_closed: true,
    };
    let owed = domain::reconciliation::ReconciliationOwed {
        transaction: TransactionId(6),
        decided: at,
        issuer: IssuerId(3),
        date: later.date,
        currency: totals.currency,
        stan: Stan::new(7).unwrap(),
        ours: Totals::default(),
    };
    let done = domain::reconciliation::ReconciliationDone {
        transaction: TransactionId(6),
        decided: at,
        result: domain::record::SafResult::Acknowledged,
        verdict: domain::reconciliation::Verdict::InBalance,
        attempts: 1,
    };
    let books = [
        vec![day, Record::Totals(totals)],
        vec![
            Record::Day(later),
            Record::ReconciliationOwed(owed),
            Record::ReconciliationDone(done),
        ],
    ];
    let dealt = deal_books(&books, 2, |_, _| ShardId(0));
    let closed = Record::Totals(totals);
    assert_eq!(dealt[0], [Record::Day(later), closed]);
    let owed = [
        Record::ReconciliationOwed(owed),
        Record::ReconciliationDone(done),
    ];
    assert_eq!(dealt[1], [Record::Day(later), closed, owed[0], owed[1]]);
}

/// An offline advice may be old when it first comes.
#[test]
fn an_advice_that_gave_way_early_says_nothing_of_another_acquirers() {
    let settings = Settings {
        transactions_max: 8,
        ..kept()
    };
    let windows = std::vec![settings.windows(); 2];
    let mut rig = Rig::with_windows(settings, windows, Auto::Flush);
    rig.give(Input::Advice(advice(1, 10)));
    let (owed, _) = rig.advices_sent()[0];
    let code = domain::ResponseCode::APPROVED;
    rig.give(Input::ReversalResponse { owed, code });
    rig.pass(Duration::from_secs(3_600));
    let last = 1 + u32::try_from(Settings::live_max(settings.transactions_max)).unwrap();
    for number in 2..=last {
        let mut request = facts(number);
        request.trace.transmitted = TransmissionTime::at(rig.wall());
        rig.request_as(request, 10 + number, Transmission::First);
        rig.respond(decline());
    }
    let as_old = |rig: &mut Rig, number, frame, acquirer| {
        let mut advice = advice(number, frame);
        advice.facts.acquirer = acquirer;
        advice.facts.trace.transmitted = facts(1).trace.transmitted;
        rig.give(Input::Advice(advice));
        rig.told(frame)
    };
    let own = facts(1).acquirer;
    let other = AcquirerId(1 - own.0);
    let told = as_old(&mut rig, 30, 40, own);
    assert_eq!(told, Some(domain::ResponseCode::DUPLICATE));
    // There is room when the requests may be forgotten.
    rig.pass(Duration::from_secs(3_600));
    let told = as_old(&mut rig, 31, 41, other);
    assert_eq!(told, Some(domain::ResponseCode::APPROVED));
}

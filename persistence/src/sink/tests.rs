//! Tests of `sink`.

use proptest::prelude::*;

use super::*;
use crate::batch::open;
use crate::testing::{Dice, intent, sample, small};

const JOURNAL: JournalUuid = JournalUuid([3; 16]);
const BATCH_MAX: usize = 4 * BLOCK;

fn sink() -> Sink {
    Sink::new(JOURNAL, Tail::new(), BATCH_MAX)
}

/// Opens what is in flight as recovery would, behind `tail`, and returns its positions.
#[track_caller]
fn check_flight(sink: &Sink, tail: &mut Tail) -> Vec<Lsn> {
    let flight = sink.in_flight().unwrap();
    assert!(flight.bytes.len().is_multiple_of(BLOCK) && flight.bytes.len() <= BATCH_MAX);
    let (header, batch) = open(JOURNAL, flight.bytes).unwrap();
    tail.segment = header.segment;
    assert_eq!(tail.misfit(&header), None);
    assert_eq!(header.acked_up_to, sink.durable());
    assert_eq!(header.records, flight.records);
    let lsns: Vec<Lsn> = batch::records(&header, batch)
        .map(|step| step.unwrap().0.lsn)
        .collect();
    tail.pass(&header);
    assert_eq!(flight.last.next(), tail.next_lsn);
    lsns
}

#[test]
fn the_next_batch_is_what_arrived_during_the_flush_before() {
    let (mut sink, mut tail) = (sink(), Tail::new());
    assert_eq!(sink.try_append(&small(1), Class::New), Ok(Lsn(1)));
    assert!(sink.take_batch(1).is_some());
    for number in 2..=4 {
        assert_eq!(sink.try_append(&small(number), Class::New), Ok(Lsn(number)));
    }
    assert!(
        sink.take_batch(1).is_none(),
        "one batch is in flight at most"
    );
    assert_eq!(check_flight(&sink, &mut tail), [Lsn(1)]);
    assert_eq!(sink.durable(), Lsn::ZERO);
    assert_eq!(sink.completed(), Lsn(1));
    assert!(sink.take_batch(1).is_some());
    assert_eq!(check_flight(&sink, &mut tail), [Lsn(2), Lsn(3), Lsn(4)]);
    assert_eq!(sink.completed(), Lsn(4));
    assert!(sink.take_batch(1).is_none());
    assert_eq!(sink.next_extent(), None);
}

#[test]
fn a_full_backlog_refuses_and_takes_again_when_a_batch_is_durable() {
    let mut sink = sink();
    let record = intent(1);
    let mut taken = 0;
    let refused = loop {
        match sink.try_append(&record, Class::Reserved) {
            Ok(lsn) => {
                taken += 1;
                assert_eq!(lsn, Lsn(taken));
            }
            Err(full) => break full,
        }
    };
    assert_eq!(refused, Full::Backlog);
    assert_eq!(sink.next_lsn(), Lsn(taken + 1));
    let per_batch = (BATCH_MAX - BATCH_HEADER_LEN) / record::encoded_len(&record);
    assert_eq!(taken, u64::try_from(per_batch * BUFFERS).unwrap());
    let mut tail = Tail::new();
    assert!(sink.take_batch(1).is_some());
    check_flight(&sink, &mut tail);
    assert_eq!(sink.try_append(&record, Class::New), Err(Full::Backlog));
    sink.completed();
    assert_eq!(sink.try_append(&record, Class::New), Ok(Lsn(taken + 1)));
}

#[test]
fn space_decides_by_class_and_closing_is_for_good() {
    let mut sink = sink();
    let mut check = |space, new: Result<(), Full>, reserved: Result<(), Full>| {
        sink.set_space(space);
        assert_eq!(
            sink.try_append(&small(1), Class::New).map(drop),
            new,
            "{space:?}"
        );
        let taken = sink.try_append(&small(1), Class::Reserved).map(drop);
        assert_eq!(taken, reserved, "{space:?}");
    };
    check(Space::Open, Ok(()), Ok(()));
    check(Space::Reserved, Err(Full::Space), Ok(()));
    check(Space::Exhausted, Err(Full::Space), Err(Full::Space));
    check(Space::Open, Ok(()), Ok(()));
    check(Space::Closed, Err(Full::Closed), Err(Full::Closed));
    check(Space::Open, Err(Full::Closed), Err(Full::Closed));
}

#[test]
fn an_anchor_follows_records_once_and_never_overtakes_them() {
    let (mut sink, mut tail) = (sink(), Tail::new());
    assert!(
        !sink.wants_anchor() && sink.take_anchor(1).is_none(),
        "nothing to guard"
    );
    sink.try_append(&small(1), Class::New).unwrap();
    assert!(sink.take_anchor(1).is_none(), "records wait");
    sink.take_batch(1).unwrap();
    assert!(sink.take_anchor(1).is_none(), "records are in flight");
    check_flight(&sink, &mut tail);
    sink.completed();
    assert!(sink.wants_anchor());
    assert_eq!(sink.take_anchor(1).unwrap().records, 0);
    assert_eq!(check_flight(&sink, &mut tail), []);
    assert_eq!(sink.completed(), Lsn(1));
    assert!(
        !sink.wants_anchor() && sink.take_anchor(1).is_none(),
        "one is enough"
    );
}

#[test]
fn records_that_arrive_while_an_anchor_is_in_flight_want_their_own() {
    let mut sink = sink();
    sink.try_append(&small(1), Class::New).unwrap();
    sink.take_batch(1).unwrap();
    sink.completed();
    sink.take_anchor(1).unwrap();
    sink.try_append(&small(2), Class::New).unwrap();
    sink.completed();
    sink.take_batch(1).unwrap();
    sink.completed();
    assert!(sink.wants_anchor());
}

#[test]
fn a_record_that_fits_no_batch_is_refused() {
    let mut sink = Sink::new(JOURNAL, Tail::new(), BLOCK);
    let long = (0..)
        .map(sample)
        .filter(|record| matches!(record, Record::Outcome(_)))
        .find(|record| record::encoded_len(record) > 1000)
        .unwrap();
    assert_eq!(sink.try_append(&long, Class::New), Ok(Lsn(1)));
    let mut over = long;
    let fields = [0; 4096];
    if let Record::Outcome(outcome) = &mut over {
        outcome.answer.fields = &fields;
    }
    assert_eq!(sink.try_append(&over, Class::New), Err(Full::TooLong));
    let within = [0; 2000];
    if let Record::Outcome(outcome) = &mut over {
        outcome.answer.fields = &within;
    }
    assert_eq!(sink.try_append(&over, Class::New), Err(Full::TooLong));
    assert_eq!(sink.try_append(&small(2), Class::New), Ok(Lsn(2)));
}

proptest! {
    /// Any interleaving of appends, takes and completions yields one chain with every record that
    /// was taken, in order.
    #[test]
    fn no_record_is_lost_or_moved(seed: u64, steps in 1_usize..400) {
        let (mut sink, mut tail, mut dice) = (sink(), Tail::new(), Dice::new(seed));
        let (mut taken, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..steps {
            match dice.below(8) {
                0 => {
                    if sink.take_batch(1).is_some() || sink.take_anchor(1).is_some() {
                        seen.extend(check_flight(&sink, &mut tail));
                    }
                }
                1 if sink.in_flight().is_some() => {
                    let durable = sink.completed();
                    prop_assert_eq!(durable.next(), tail.next_lsn);
                }
                _ => taken.extend(sink.try_append(&sample(dice.next()), Class::New)),
            }
        }
        loop {
            if sink.in_flight().is_some() {
                sink.completed();
            }
            if sink.take_batch(1).is_none() {
                break;
            }
            seen.extend(check_flight(&sink, &mut tail));
        }
        prop_assert_eq!(&seen, &taken);
        prop_assert_eq!(sink.pending_bytes(), 0);
        let dense: Vec<Lsn> = (1..).take(taken.len()).map(Lsn).collect();
        prop_assert_eq!(taken, dense);
    }
}

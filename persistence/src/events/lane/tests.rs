//! A lane without its brokers.

use std::time::Duration;

use super::*;

/// A journal of `1` readable records out of many durable ones.
struct Nothing(u64, u64);

impl RecordSource for Nothing {
    fn durable(&self) -> Lsn {
        Lsn(self.0)
    }

    fn first_retained(&self) -> Lsn {
        Lsn(self.1)
    }

    fn read(
        &mut self,
        _: Lsn,
        _: Lsn,
        _: usize,
        _: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), SourceError> {
        Ok(())
    }
}

fn lane(durable: u64, first: u64) -> Lane {
    Lane::new(ShardJournal {
        journal: JournalUuid([1; 16]),
        shard: ShardId(2),
        origin: crate::applier::Origin::Recovered,
        phase: Phase::Live,
        source: Box::new(Nothing(durable, first)),
    })
}

fn mark(journal: u8, shard: u16, lsn: u64) -> Watermark {
    Watermark {
        journal: JournalUuid([journal; 16]),
        shard: ShardId(shard),
        lsn: Lsn(lsn),
    }
}

const AT: WallTime = WallTime::from_unix_millis(5);

#[test]
fn the_watermark_moves_over_what_is_acknowledged_without_a_gap() {
    let mut lane = lane(100, 1);
    lane.attach(&[]).unwrap();
    for _ in 0..5 {
        lane.hand_over(AT, false);
    }
    // A record without an event, and one that waits behind it.
    lane.hand_over(AT, true);
    lane.hand_over(AT, false);
    let at = |lane: &Lane| (lane.watermark().lsn.0, lane.sent().0, lane.inflight());
    assert_eq!(at(&lane), (0, 7, 7));
    for lsn in [3, 2, 5] {
        lane.acknowledged(Lsn(lsn));
        assert_eq!(at(&lane), (0, 7, 7), "1 is not acknowledged");
    }
    lane.acknowledged(Lsn(1));
    assert_eq!(at(&lane), (3, 7, 4));
    lane.acknowledged(Lsn(4));
    assert_eq!(at(&lane), (6, 7, 1));
    lane.acknowledged(Lsn(2));
    assert_eq!(at(&lane), (6, 7, 1), "one from before changes nothing");
    lane.rewind();
    assert_eq!((at(&lane), lane.due(), lane.lag()), ((6, 6, 0), 94, 94));
}

#[test]
fn a_lane_begins_where_the_file_says_or_with_what_is_left() {
    let check = |known: &[Watermark], begins| {
        let mut lane = lane(100, 41);
        lane.attach(known).unwrap();
        assert_eq!(lane.watermark().lsn, Lsn(begins), "{known:?}");
        assert!(!lane.is_unsaved());
    };
    check(&[], 40);
    check(&[mark(1, 2, 70)], 70);
    check(&[mark(1, 1, 70), mark(9, 2, 71)], 40);
    check(&[mark(1, 2, 100)], 100);
}

#[test]
fn a_journal_that_is_behind_its_watermark_is_refused() {
    let refused = lane(100, 1).attach(&[mark(1, 2, 101)]).unwrap_err();
    assert!(
        refused.contains("ended at 100") && refused.contains("101"),
        "{refused}"
    );
}

#[test]
fn a_journal_that_cannot_be_read_is_left_alone_for_longer_each_time() {
    let policy = Backoff {
        first: Duration::from_millis(10),
        max: Duration::from_millis(35),
        pause: Duration::ZERO,
    };
    let mut lane = lane(100, 1);
    let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
    for (failures, until) in [(1, 10), (2, 20), (3, 35), (4, 35)] {
        assert_eq!(lane.halt(at(0), &policy), failures);
        assert!(lane.is_halted(at(until - 1)) && !lane.is_halted(at(until)));
    }
    lane.read_on();
    assert!(!lane.is_halted(at(0)));
    assert_eq!(lane.halt(at(0), &policy), 1);
}

//! What happens when the bytes of the journal run out, and when they come back.

use std::fs;

use super::*;
use crate::testing::intent;

/// Appends intents until `class` is refused, and returns the refusal.
async fn fill_up(journal: &Journal, class: Class) -> Full {
    loop {
        for _ in 0..20 {
            if let Err(full) = journal.append(&intent(1), class) {
                return full;
            }
        }
        wait(journal, journal.next_lsn().0 - 1).await;
    }
}

/// A journal of eight segments.
fn bench(name: &str) -> Bench {
    let mut bench = Bench::new(name);
    bench.settings.bytes_max = 8 * bench.settings.segment_bytes;
    bench
}

//= docs/rules.md#R-08
#[test]
fn fault_031_the_last_tenth_is_kept_for_what_ends_or_reverses() {
    let bench = bench("reserve");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        let limit = journal.limit_bytes();
        assert_eq!(limit, 8 * bench.settings.segment_bytes);
        assert_eq!(journal.pressure(bench.clock.now()), Pressure::Admit);
        assert_eq!(fill_up(&journal, Class::New).await, Full::Space);
        let share = journal.used_bytes() * 100 / limit;
        assert!((85..=95).contains(&share), "{share} %");
        let pressure = journal.pressure(bench.clock.now());
        assert_eq!(pressure, Pressure::Shed(ShedCause::HighWater));
        let before = journal.next_lsn();
        assert_eq!(fill_up(&journal, Class::Reserved).await, Full::Space);
        assert!(journal.next_lsn() > before, "the reserve was used");
        assert!(journal.used_bytes() <= limit);
        journal.close().await.unwrap();
    });
    assert!(
        bench
            .names()
            .iter()
            .filter(|name| name.ends_with(".seg"))
            .count()
            <= 8
    );
}

#[test]
fn what_ends_has_room_behind_the_last_reversal() {
    let bench = bench("reversals");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        while journal.pressure(bench.clock.now()) == Pressure::Admit {
            journal.append(&intent(1), Class::New).unwrap();
            wait(&journal, journal.next_lsn().0 - 1).await;
        }
        assert!(journal.takes_reversals(), "when new work is shed");
        while journal.takes_reversals() {
            journal.append(&intent(1), Class::Reserved).unwrap();
            wait(&journal, journal.next_lsn().0 - 1).await;
        }
        let before = journal.used_bytes();
        assert_eq!(fill_up(&journal, Class::Reserved).await, Full::Space);
        let kept = journal.used_bytes() - before;
        let most = journal.limit_bytes() / 20;
        assert!(kept > most / 2 && kept <= most, "{kept} of {most}");
        journal.close().await.unwrap();
    });
}

#[test]
fn fault_031_pressure_begins_above_the_high_water_mark_and_ends_below_the_low_one() {
    let bench = bench("water");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        let share = || journal.used_bytes() * 100 / journal.limit_bytes();
        let mut next = 1;
        while journal.pressure(bench.clock.now()) == Pressure::Admit {
            assert!(share() <= 80);
            journal.append(&intent(next), Class::New).unwrap();
            next += 1;
            wait(&journal, next - 1).await;
        }
        assert!((80..85).contains(&share()), "{} %", share());
        let keep_from = journal.next_lsn();
        let newest = journal.position().segment();
        checkpoints::draft(&bench, newest).keep().unwrap();
        let mut segments = journal.segments();
        while share() >= 70 {
            assert_ne!(journal.pressure(bench.clock.now()), Pressure::Admit);
            let second = journal.shared.segments.borrow()[1].first_lsn;
            assert_eq!(journal.retire(second).await.unwrap(), 1);
            segments -= 1;
            assert_eq!(
                (journal.segments(), journal.first_lsn()),
                (segments, second)
            );
        }
        assert_eq!(journal.pressure(bench.clock.now()), Pressure::Admit);
        assert_eq!(journal.retire(keep_from).await.unwrap(), segments - 1);
        assert_eq!(journal.retire(keep_from).await.unwrap(), 0);
        fill_some(&journal).await;
        journal.close().await.unwrap();
        let reopened = bench.open().await.unwrap();
        assert!(
            reopened.recovered.found.first > Lsn(1),
            "what was retired is gone"
        );
    });
}

async fn fill_some(journal: &Journal) {
    for _ in 0..100 {
        journal.append(&intent(1), Class::New).unwrap();
    }
    wait(journal, journal.next_lsn().0 - 1).await;
}

#[test]
fn fault_019_a_spare_that_cannot_be_made_sheds_new_work_and_is_tried_again() {
    let bench = bench("no-spare");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        let supply = || journal.shared.spare.borrow().is_some();
        until(supply).await;
        let aside = bench.dir.path().join("aside");
        fs::rename(bench.shard_dir(), &aside).unwrap();
        *journal.shared.spare.borrow_mut() = None;
        journal.shared.supply.notify();
        until(|| journal.counters().prepare_errors > 0).await;
        let pressure = journal.pressure(bench.clock.now());
        assert_eq!(pressure, Pressure::Shed(ShedCause::NoSpare));
        journal.append(&small(1), Class::New).unwrap();
        wait(&journal, 1).await;
        fs::rename(&aside, bench.shard_dir()).unwrap();
        until(supply).await;
        assert_eq!(journal.pressure(bench.clock.now()), Pressure::Admit);
        journal.close().await.unwrap();
    });
}

//! Seeds of the simulated world. A failure names its seed; `SIM_SEED=n` runs that one alone, and
//! `SIM_SEEDS=n` the first n: as many as a night has time for.

use njia_tests::simulation::{Driver, Report, Violation, run};

/// Seeds in `cargo test`.
const SEEDS: u64 = 256;

/// A null control that survives so many seeds has not been caught.
const CONTROL_SEEDS: u64 = 1_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn chosen() -> Option<u64> {
    number("SIM_SEED")
}

#[track_caller]
fn holds(seed: u64) -> Report {
    match run(seed, Driver::Faithful) {
        Ok(report) => report,
        Err(violation) => panic!("{violation}"),
    }
}

#[test]
fn every_promise_holds_in_every_seed() {
    let seeds = match chosen() {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let mut sum = Report::default();
    for seed in seeds {
        let report = holds(seed);
        sum.purchases += report.purchases;
        sum.restarts += report.restarts;
        sum.approvals += report.approvals;
        sum.replays += report.replays;
        sum.reversals += report.reversals;
        sum.unmatched += report.unmatched;
        sum.unsent += report.unsent;
        sum.tombstones += report.tombstones;
        sum.table_full += report.table_full;
        sum.outside_window += report.outside_window;
        sum.steps += report.steps;
    }
    println!("{sum:?}");
    if chosen().is_none() {
        let seen = [
            sum.restarts,
            sum.replays,
            sum.reversals,
            sum.unmatched,
            sum.unsent,
            sum.tombstones,
            sum.table_full,
            sum.outside_window,
        ];
        assert!(
            seen.iter().all(|count| *count > 100),
            "too tame a world: {sum:?}"
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..16 {
        assert_eq!(holds(seed), holds(seed), "seed {seed}");
    }
    assert_ne!(holds(1).trace, holds(2).trace);
}

#[track_caller]
fn caught(driver: Driver, rules: &[&str]) {
    let violation = (0..CONTROL_SEEDS).find_map(|seed| run(seed, driver).err());
    let Some(Violation {
        rule, what, seed, ..
    }) = violation
    else {
        panic!("{driver:?} was not caught in {CONTROL_SEEDS} seeds");
    };
    println!("{driver:?} caught by seed {seed}: {rule}: {what}");
    assert!(
        rules.contains(&rule),
        "{driver:?} fell for another reason: {rule}: {what}"
    );
}

#[test]
fn a_reply_before_its_record_is_durable_is_caught() {
    caught(Driver::RepliesBeforeDurable, &["S1", "L3", "sum"]);
}

#[test]
fn a_skipped_sync_is_caught() {
    caught(Driver::SkipsSync, &["S1", "L3", "sum"]);
}

#[test]
fn sending_again_after_a_restart_is_caught() {
    caught(Driver::ResendsAfterRestart, &["S2"]);
}

#[test]
fn matching_on_the_stan_alone_is_caught() {
    caught(Driver::MatchesOnStanAlone, &["S7", "sum", "S2"]);
}

//! Kill the switch under load, start it again, and compare what everybody believes: nothing that
//! was acknowledged is lost, no money moves twice, every open intent is reversed. Each row of
//! faults.md 3.1 is hit at its very step at least once; `make crash` does so a thousand times.
//!
//! SIGKILL keeps the page cache, so this says nothing about a missing sync: that is the simulator's
//! to find. What it must find is an answer that leaves before its record is written, and the null
//! control shows that it does.

use std::sync::OnceLock;
use std::time::Duration;

use njia_tests::e2e::campaign::{Plan, ROUND, Report, campaign};
use njia_tests::e2e::{Build, alone, folder};

fn run(build: Build, name: &str, points: u64, life: u64) -> Report {
    let _machine = alone();
    let plan = Plan {
        build,
        points,
        seed: 0x006e_6a69_6121,
        rate: 1_000.0,
        life: Duration::from_secs(life),
        folder: folder(env!("CARGO_TARGET_TMPDIR"), name),
    };
    let report = campaign(&plan, &mut |_| ()).unwrap();
    println!("{report}");
    report
}

/// One campaign for all rows. Row 16 is not in it: `keys` shows it.
fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| run(Build::CrashPoints, "crash", ROUND + 2, 30))
}

/// The process died at a step of this row, and what must hold after the restart held.
#[track_caller]
fn check(row: u8) {
    let report = report();
    assert!(report.hits(row) > 0, "row {row} was never hit:\n{report}");
    assert!(report.passed(), "{report}");
}

#[test]
fn kills_under_load_lose_nothing_double_nothing_and_leave_nothing_open() {
    let report = report();
    assert!(report.passed(), "{report}");
    assert!(report.acked_writes() > 2_000, "the load was there");
}

#[test]
fn an_answer_before_its_record_is_caught() {
    // Whether a kill falls between the answer and its record is up to the machine.
    let loses = |turn| {
        let name = format!("crash-null-control-{turn}");
        run(Build::ReplyBeforeJournal, &name, 8, 8).lost() > 0
    };
    assert!((0..3).any(loses), "a build that answers too early");
}

#[test]
fn fault_001_a_death_when_a_frame_was_parsed_and_nothing_journaled() {
    check(1);
}

#[test]
fn fault_002_a_death_when_an_intent_was_appended_and_not_synced() {
    check(2);
}

#[test]
fn fault_003_a_death_when_an_intent_is_durable_and_not_sent() {
    check(3);
}

#[test]
fn fault_004_a_death_when_half_of_a_frame_was_written_to_the_link() {
    check(4);
}

#[test]
fn fault_005_a_death_when_a_request_was_sent() {
    check(5);
}

#[test]
fn fault_006_a_death_when_an_answer_was_read_and_not_journaled() {
    check(6);
}

#[test]
fn fault_007_a_death_when_an_outcome_was_appended_and_not_synced() {
    check(7);
}

#[test]
fn fault_008_a_death_when_an_outcome_is_durable_and_not_told() {
    check(8);
}

#[test]
fn fault_009_a_death_when_a_reply_was_sent() {
    check(9);
}

#[test]
fn fault_010_a_death_when_a_batch_is_before_begin_or_inside_copy() {
    check(10);
}

#[test]
fn fault_011_a_death_when_commit_was_sent_and_not_answered() {
    check(11);
}

#[test]
fn fault_012_a_death_when_commit_was_answered() {
    check(12);
}

#[test]
fn fault_013_a_death_when_a_segment_is_being_made() {
    check(13);
}

#[test]
fn fault_014_a_death_when_recovery_is_under_way_three_times_in_a_row() {
    check(14);
}

#[test]
fn fault_015_a_death_when_a_reversal_was_answered_and_its_end_not_journaled() {
    check(15);
}

#[test]
fn fault_017_a_death_when_a_drain_is_under_way() {
    check(17);
}

#[test]
fn fault_018_the_applier_stops_and_the_switch_lives() {
    check(18);
}

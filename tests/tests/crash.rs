//! Kill the switch under load, start it again, and compare what everybody believes: nothing that
//! was acknowledged is lost, no money moves twice, every open intent is reversed. Each row of
//! faults.md 3.1 is hit at its very step at least once; `make crash` does so a thousand times.
//!
//! SIGKILL keeps the page cache, so this says nothing about a missing sync: that is the simulator's
//! to find. What it must find is an answer that leaves before its record is written, and the null
//! control shows that it does.

use std::time::Duration;

use njia_tests::e2e::campaign::{Plan, ROUND, Report, campaign};
use njia_tests::e2e::{Build, alone, folder};

fn run(build: Build, name: &str, points: u64, life: u64) -> Report {
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

/// Rows 1 to 18, but for 16: nothing is reloaded yet.
#[test]
fn kills_at_every_step_lose_nothing_double_nothing_and_leave_nothing_open() {
    let _machine = alone();
    let report = run(Build::CrashPoints, "crash", ROUND + 2, 30);
    assert!(report.passed(), "{report}");
    for row in (1..=18).filter(|row| *row != 16) {
        assert!(report.hits(row) > 0, "row {row} was never hit:\n{report}");
    }
    assert!(report.acked_writes() > 10_000, "the load was there");
}

#[test]
fn an_answer_before_its_record_is_caught() {
    let _machine = alone();
    let report = run(Build::ReplyBeforeJournal, "crash-null-control", 8, 8);
    assert!(
        report.lost() > 0,
        "a build that answers too early:\n{report}"
    );
}

//! Bad connections on both sides, kills and PostgreSQL restarts in random order, for a short time;
//! `make chaos` is the long one. Then everybody must agree on the money to the minor unit.

use std::time::Duration;

use njia_tests::e2e::chaos::{Plan, chaos};
use njia_tests::e2e::mix::Edition;
use njia_tests::e2e::{alone, folder};

#[test]
fn after_chaos_an_acquirer_of_1987_and_all_others_agree_to_the_minor_unit() {
    check(Edition::Of1987, 8);
}

#[test]
fn after_chaos_an_acquirer_of_1993_and_all_others_agree_to_the_minor_unit() {
    check(Edition::Of1993, 7);
}

#[track_caller]
fn check(edition: Edition, seed: u64) {
    let _machine = alone();
    assert_eq!(Edition::alternating(seed), edition);
    let found = chaos(&Plan {
        time: Duration::from_secs(20),
        seed,
        rate: 500.0,
        folder: folder(env!("CARGO_TARGET_TMPDIR"), &format!("chaos-{seed}")),
    })
    .unwrap();
    println!("{found}");
    assert!(found.passed(), "{found}");
    assert!(found.audit.acked_writes > 2_000, "the load was there");
    assert!(found.audit.sums.len() > 1, "in several currencies");
    let acts: u64 = found.acts.values().sum();
    assert!(acts >= 4, "there were faults: {:?}", found.acts);
}

//! Bad connections on both sides, kills and PostgreSQL restarts in random order, for a short time;
//! `make chaos` is the long one. Then everybody must agree on the money to the minor unit.

use std::time::Duration;

use njia_tests::e2e::chaos::{Plan, chaos};
use njia_tests::e2e::folder;

#[test]
fn after_chaos_acquirer_switch_issuers_and_postgres_agree_to_the_minor_unit() {
    let found = chaos(&Plan {
        time: Duration::from_secs(25),
        seed: 7,
        rate: 500.0,
        folder: folder(env!("CARGO_TARGET_TMPDIR"), "chaos"),
    })
    .unwrap();
    println!("{found}");
    assert!(found.passed(), "{found}");
    assert!(found.audit.acked_writes > 2_000, "the load was there");
    assert!(found.audit.sums.len() > 1, "in several currencies");
    let acts: u64 = found.acts.values().sum();
    assert!(acts >= 4, "there were faults: {:?}", found.acts);
}

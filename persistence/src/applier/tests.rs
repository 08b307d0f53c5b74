//! The public face: futures that any executor may move, names that need no quoting.

use std::time::Duration;

use domain::ids::NodeId;
use domain::time::Instant;

use super::*;

fn settings() -> ApplierSettings {
    ApplierSettings {
        server: Server {
            url: SecretSource::fixed("postgresql://user:secret@localhost/njia".to_owned()),
            password: None,
            tls: None,
            schema: SchemaName::new("njia").unwrap(),
            timeouts: Timeouts::STANDARD,
        },
        node: NodeId(1),
        owner: 7,
        names: Names {
            acquirers: Vec::new(),
            issuers: Vec::new(),
            routes: Vec::new(),
        },
        strategy: Strategy::Copy,
        batch: BatchPolicy::STANDARD,
        backoff: Backoff::STANDARD,
        drain: Duration::ZERO,
        payload: Payload::Omit,
        fees: Fees::default(),
        retention_days: 0,
        accept_lost: Vec::new(),
        clock: || Instant::ZERO,
    }
}

#[test]
fn an_applier_may_be_spawned_and_never_shows_its_url() {
    fn sendable<T: Send>(value: T) -> T {
        value
    }
    let applier = Applier::new(settings(), Vec::new());
    assert!(!format!("{applier:?}").contains("secret"));
    drop(sendable(applier.run(std::future::ready(()))));
}

#[test]
fn a_schema_name_needs_no_quoting() {
    for good in ["njia", "_x", "demo_7"] {
        assert_eq!(SchemaName::new(good).unwrap().as_str(), good);
    }
    let long = "a".repeat(64);
    for bad in ["", "7x", "Njia", "a b", "a;drop", "a\"", "pg_temp", &long] {
        assert!(SchemaName::new(bad).is_err(), "{bad}");
    }
}

//! Many idle connections beside busy ones, against the real binary.

use std::fs;
use std::time::Duration;

use njia_tests::e2e::crowd::{Crowd, CrowdStage, Size, raise_files};
use njia_tests::e2e::{eventually, folder};

/// `NJIA_CROWD_IDLE=10000 NJIA_CROWD_BUSY=1000` is what a switch has to bear; it takes 20,000 open
/// files.
#[test]
fn fault_087_idle_connections_take_nothing_from_busy_ones() {
    let variables = [("NJIA_CROWD_IDLE", 2_000), ("NJIA_CROWD_BUSY", 100)];
    let size = Size::of_variables(variables).unwrap();
    raise_files(size).unwrap();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "crowd");
    let stage = CrowdStage::start(&folder, size).unwrap();
    let before = stage.taken().unwrap();
    let mut crowd = Crowd::default();
    let gateways = crowd.open_clear(&stage).unwrap() + crowd.open_sealed(&stage).unwrap();
    let sessions = crowd.open_sessions(&stage).unwrap();
    let idle = stage.taken().unwrap();
    let descriptors = before.descriptors + gateways + 2 * sessions;
    // Segments of journals come and go.
    assert!(idle.descriptors <= descriptors + 32, "{before:?}, {idle:?}");
    let each = idle.kib.saturating_sub(before.kib) / u64::try_from(gateways + sessions).unwrap();
    assert!(each <= KIB_EACH_MAX, "{each} KiB each");

    let report = stage.offer(200, ("6s", "1s")).unwrap().finish().unwrap();
    report.check_refusals(&stage.node);
    for pointer in ["/timeout", "/disconnected", "/protocol_error"] {
        assert_eq!(report.number(pointer), 0.0, "{pointer}: {}", report.printed);
    }
    assert!(report.number("/sent") > 0.0, "{}", report.printed);
    assert_eq!(crowd.use_each().unwrap(), gateways + sessions);

    drop(crowd);
    let is_given_back = || stage.taken().unwrap().descriptors <= before.descriptors + 32;
    assert!(eventually(Duration::from_secs(60), is_given_back));
    stage.close().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// Above what was measured (benches/README.md), far below what would fill a machine.
const KIB_EACH_MAX: u64 = 128;

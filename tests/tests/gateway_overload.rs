//! What a gateway is told when there is no room for it: its acquirer has as many in flight as it
//! may, its body is too long, or the journal stands still. What is refused is not remembered.

use std::fs;
use std::thread;
use std::time::Duration;

use njia_tests::e2e::disk::Disk;
use njia_tests::e2e::gateway::{Answer, GATEWAY, GatewayStage, PAYMENT};
use njia_tests::e2e::session::{Session, purchase};
use njia_tests::e2e::{Issuers, alone, eventually, folder};

const PATIENCE: Duration = Duration::from_secs(120);
const LATER: [&str; 2] = ["-H", "Prefer: respond-async"];

fn open(name: &str, more: &str) -> GatewayStage {
    GatewayStage::open(env!("CARGO_TARGET_TMPDIR"), name, more)
}

fn rejected(stage: &GatewayStage, reason: &str) -> f64 {
    let labels = ["ingress=\"http\"", &format!("reason=\"{reason}\"")];
    stage.node.metric("njia_rejected_total", &labels).unwrap()
}

#[track_caller]
fn check_refused(refusal: &Answer, status: u16, slug: &str) {
    assert_eq!(refusal.problem(), (status, slug.to_owned()), "{refusal:?}");
    let seconds: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

/// Two on each of two shards: of many keys four come in, and others when these have ended.
#[test]
fn a_gateway_has_as_many_in_flight_as_its_acquirer_may() {
    let _machine = alone();
    let stage = open("gateway-in-flight", &format!("inflight_max = 4\n{GATEWAY}"));
    let momo = stage.issuers.host.control(Issuers::MOMO);
    momo.freeze(true);
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for nth in 0..32 {
        let key = format!("key-{nth}");
        let answer = stage.pay(&key, &LATER);
        if answer.status == 429 {
            check_refused(&answer, 429, "rate-limited");
            refused.push(key);
        } else {
            assert_eq!(answer.state(), (202, "pending".to_owned()), "{answer:?}");
            taken.push(key);
        }
    }
    assert_eq!(taken.len(), 4, "{taken:?}");
    assert_eq!(
        rejected(&stage, "acquirer_full").to_bits(),
        28_f64.to_bits()
    );
    // What is known is told all the same, and of the rest nothing is known.
    let copy = stage.pay(&taken[0], &LATER);
    assert_eq!(copy.state(), (202, "pending".to_owned()));
    assert_eq!(copy.header("idempotency-replayed"), Some("true"));
    let unknown = format!("/v1/transactions?idempotency_key={}", refused[0]);
    assert_eq!(stage.curl(&unknown, &[]).status, 404);
    // Another acquirer has room of its own.
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    assert_eq!(session.receive().unwrap().text(39), "00");
    momo.freeze(false);
    for key in &taken {
        assert_eq!(stage.pay(key, &[]).state(), (201, "approved".to_owned()));
    }
    let again = stage.pay(&refused[0], &[]);
    assert_eq!(again.state(), (201, "approved".to_owned()), "{again:?}");
    assert_eq!(again.header("idempotency-replayed"), None);
    let told = stage.close();
    assert_eq!(told.len(), 5, "{told:?}");
}

#[test]
fn a_body_may_be_as_long_as_is_configured() {
    let _machine = alone();
    let stage = open("gateway-body", &format!("{GATEWAY}body_len_max = 65_536\n"));
    let file = folder(env!("CARGO_TARGET_TMPDIR"), "gateway-body-files").join("body");
    let from_file = format!("@{}", file.display());
    for (len, status) in [(65_536, 201), (65_537, 413)] {
        let blanks = " ".repeat(len - PAYMENT.len());
        fs::write(&file, format!("{PAYMENT}{blanks}")).unwrap();
        let answer = stage.post("/v1/transactions", &format!("key-{len}"), &from_file, &[]);
        assert_eq!(answer.status, status, "{len} bytes: {answer:?}");
    }
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(stage.close().len(), 1);
}

/// What comes first waits for its intent; what comes while nothing moves is told to come again, and
/// is executed once when it does.
#[test]
fn fault_022_a_gateway_is_told_to_come_again_while_the_disk_stands_still() {
    let _machine = alone();
    let files = folder(env!("CARGO_TARGET_TMPDIR"), "gateway-still-disk");
    let Some(disk) = Disk::mount(&files.join("disk"), 192, 160).unwrap() else {
        return;
    };
    let journal = disk.files().join("journal");
    let more = format!(
        "{GATEWAY}\n[journal]\ndir = \"{}\"\nsegment_bytes = 8_388_608\nbytes_max = 67_108_864\n",
        journal.display()
    );
    let stage = open("gateway-still", &more);
    assert_eq!(stage.pay("before", &[]).status, 201);
    disk.freeze().unwrap();
    let answers: Vec<(String, Answer)> = thread::scope(|scope| {
        let mut asked = Vec::new();
        let sheds = eventually(PATIENCE, || {
            let key = format!("key-{}", asked.len());
            let stage = &stage;
            asked.push(scope.spawn(move || {
                let answer = stage.pay(&key, &[]);
                (key, answer)
            }));
            rejected(stage, "shed") > 0.0
        });
        disk.thaw().unwrap();
        assert!(sheds, "{}", stage.node.log());
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (refused, taken): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|(_, answer)| answer.status == 503);
    println!("{} taken, {} refused", taken.len(), refused.len());
    assert!(!refused.is_empty());
    for (_, refusal) in &refused {
        check_refused(refusal, 503, "overloaded");
    }
    // Whatever each was told: under its key there is one payment in the end.
    let keys = refused.iter().chain(&taken).map(|(key, _)| key);
    for key in keys.clone() {
        let approved = || stage.pay(key, &[]).state() == (201, "approved".to_owned());
        assert!(
            eventually(PATIENCE, approved),
            "{key}: {}",
            stage.node.log()
        );
    }
    let count = keys.count() + 1;
    let told = stage.close();
    assert_eq!(told.len(), count, "{told:?}");
    drop(disk);
    fs::remove_dir_all(&files).unwrap();
}

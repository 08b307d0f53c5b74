//! What was signed before a restart, and what is signed after it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use njia_tests::e2e::gateway::{Answer, GatewayStage, PAYMENT};
use njia_tests::e2e::{alone, eventually};

use super::{PATIENCE, Signed, TRANSACTIONS, now, open, refusals, send, unauthenticated};

/// A request whose bytes stay what they are: a payment that binds nothing, as its body is wrong.
struct Kept {
    authorization: String,
    timestamp: u64,
}

impl Kept {
    fn signed(nonce: &str) -> Self {
        let signed = Signed {
            body: UNUSABLE,
            ..Signed::new("POST", TRANSACTIONS, nonce)
        };
        Self {
            authorization: signed.authorization(),
            timestamp: signed.timestamp,
        }
    }

    fn sent(&self, stage: &GatewayStage) -> Answer {
        let (target, body) = (("POST", TRANSACTIONS), ("key-1", UNUSABLE));
        send(stage, "signed", target, Some(&self.authorization), body)
    }
}

const UNUSABLE: &str = r#"{"type":"merchantpay"}"#;

/// Signs anew until it is taken; gives back the seconds that it was told to wait first.
fn taken_at_last(stage: &GatewayStage, name: &str, key: &str) -> Option<u64> {
    let (mut first_told, mut tries) = (None, 0);
    let taken = eventually(PATIENCE, || {
        tries += 1;
        let nonce = format!("{name}{tries}");
        let signed = Signed {
            idempotency_key: key,
            ..Signed::new("POST", TRANSACTIONS, &nonce)
        };
        let answer = signed.sent(stage);
        if answer.status == 201 {
            return true;
        }
        check_forgotten(&answer);
        let told = answer.header("retry-after");
        let told = told.map(|seconds| seconds.parse().unwrap());
        first_told = first_told.or(told);
        false
    });
    assert!(taken, "{}", stage.node.log());
    first_told
}

/// It is refused as what may have come before, and told what to do.
#[track_caller]
fn check_forgotten(answer: &Answer) {
    assert!(unauthenticated(answer), "{answer:?}");
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("sign anew"), "{answer:?}");
}

fn horizon_of(stage: &GatewayStage) -> PathBuf {
    stage.node.journal().join("signatures")
}

fn until(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("until "));
    line.unwrap().parse().unwrap()
}

#[test]
fn fault_085_what_was_signed_before_a_crash_does_not_come_again_behind_it() {
    let _machine = alone();
    let stage = open("gateway-auth-crash");
    let kept = Kept::signed("kept");
    let invalid = (400, "invalid-field".to_owned());
    assert_eq!(kept.sent(&stage).problem(), invalid);
    assert!(unauthenticated(&kept.sent(&stage)));
    let stage = stage.killed();
    // Whichever shard it comes to.
    for _ in 0..8 {
        check_forgotten(&kept.sent(&stage));
    }
    assert!(refusals(&stage, "signed", "signature_forgotten") >= 8.0);
    // What is signed anew is good within seconds, and what was signed before is not.
    if let Some(told) = taken_at_last(&stage, "crash", "key-2") {
        assert!((1..=8).contains(&told), "{told}");
    }
    check_forgotten(&kept.sent(&stage));
    assert!(now() <= kept.timestamp + 300, "it would have been stale");
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

#[test]
fn fault_085_an_orderly_restart_refuses_what_came_before_it_alone() {
    let _machine = alone();
    let stage = open("gateway-auth-restart");
    let kept = Kept::signed("kept");
    assert_eq!(kept.sent(&stage).status, 400);
    let path = horizon_of(&stage);
    let running = until(&fs::read_to_string(&path).unwrap());
    assert!(running > kept.timestamp, "{running}");
    let stage = stage.restarted();
    let told = "njia_signatures_forgotten_timestamp_seconds";
    let forgotten = stage.node.metric(told, &[]).unwrap();
    assert_eq!(forgotten.to_string(), kept.timestamp.to_string());
    check_forgotten(&kept.sent(&stage));
    // The second of what came last is over, which takes no longer than a start.
    assert!(eventually(PATIENCE, || now() > kept.timestamp));
    let at_once = Signed::new("POST", TRANSACTIONS, "at-once");
    assert_eq!(at_once.sent(&stage).state(), (201, "approved".to_owned()));
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

#[test]
fn fault_085_a_horizon_that_is_gone_or_damaged_lets_nothing_in_from_before() {
    let _machine = alone();
    let stage = open("gateway-auth-horizon");
    let kept = Kept::signed("kept");
    assert_eq!(kept.sent(&stage).status, 400);
    let gone = stage.killed_with(|journal| fs::remove_file(journal.join("signatures")).unwrap());
    check_forgotten(&kept.sent(&gone));
    assert!(gone.node.log().contains("no horizon of signatures"));
    let _waited = taken_at_last(&gone, "gone", "key-2");
    // A clock that was set back, as far as the switch can tell.
    let ahead = gone.killed_with(|journal| {
        let text = fs::read_to_string(journal.join("signatures")).unwrap();
        persistence::horizon_file::replace(journal, until(&text) + 3_600).unwrap();
    });
    let late = Signed::new("POST", TRANSACTIONS, "late").sent(&ahead);
    check_forgotten(&late);
    assert_eq!(late.header("retry-after"), Some("60"));
    assert!(ahead.node.log().contains("the clock is behind"));
    let (code, log) = ahead.killed_and_refused(|journal| {
        let path = journal.join("signatures");
        let text = fs::read_to_string(&path).unwrap();
        let earlier = (until(&text) - 3_600).to_string();
        let changed = text.replace(&until(&text).to_string(), &earlier);
        fs::write(&path, changed).unwrap();
    });
    assert_eq!(code, Some(65), "{log}");
    assert!(log.contains("journal/signatures is refused"), "{log}");
}

#[test]
fn fault_085_a_horizon_that_cannot_be_written_is_told_and_lets_nothing_beyond_it() {
    let _machine = alone();
    let stage = open("gateway-auth-disk");
    let failing = || stage.node.metric("njia_signature_horizon_failing", &[]);
    assert_eq!(failing().unwrap().to_bits(), 0.0_f64.to_bits());
    let in_the_way = stage.node.journal().join("signatures.new");
    // The file may stand there for a moment.
    let put = eventually(PATIENCE, || fs::create_dir(&in_the_way).is_ok());
    assert!(put);
    assert!(eventually(PATIENCE, || failing().unwrap() > 0.0));
    let mut tries = 0;
    let refused = eventually(Duration::from_secs(30), || {
        tries += 1;
        let nonce = format!("disk{tries}");
        let path = "/v1/transactions?idempotency_key=k";
        let answer = Signed::new("GET", path, &nonce).sent(&stage);
        assert!([404, 503].contains(&answer.status), "{answer:?}");
        answer.status == 503
    });
    assert!(refused, "{}", stage.node.log());
    let kept = until(&fs::read_to_string(horizon_of(&stage)).unwrap());
    assert!(now() > kept, "{kept}");
    let paid = Signed::new("POST", TRANSACTIONS, "paid").sent(&stage);
    assert_eq!(paid.problem(), (503, "overloaded".to_owned()));
    assert!(refusals(&stage, "signed", "beyond_horizon") >= 2.0);
    assert!(stage.node.log().contains("cannot be written"));
    fs::remove_dir(&in_the_way).unwrap();
    assert!(eventually(PATIENCE, || failing().unwrap() < 1.0));
    let again = Signed {
        body: PAYMENT,
        ..Signed::new("POST", TRANSACTIONS, "again")
    };
    assert_eq!(again.sent(&stage).state(), (201, "approved".to_owned()));
    assert_eq!(stage.close(), [("approve".to_owned(), 1_000)]);
}

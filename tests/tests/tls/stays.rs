//! Who may stay: sessions whose certificate ends, or is withdrawn while they stand.

use std::io::{self, ErrorKind};

use njia_tests::certificates::{Authority, Pair};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Issuers, alone, eventually};

use crate::rig::{ACQUIRER, Acquirer, BOTH, Caller, PATIENCE, Secured};

/// Sessions that do nothing: so many that each shard has one of them.
const IDLE: u32 = 16;

/// Behind its first answer, and so behind its handshake.
fn open(secured: &Secured, own: &Pair, stan: u32) -> Acquirer {
    let caller = Caller {
        trust: &secured.authority.root(),
        own: Some(own),
        versions: &BOTH,
    };
    let mut acquirer = Acquirer::connect(secured.node.listener(), &caller).unwrap();
    let answer = acquirer.ask(&purchase(&format!("{stan:06}")));
    assert_eq!(answer.unwrap(), "00");
    acquirer
}

/// Whoever is not closed waits for an answer in vain, which is another error.
#[track_caller]
fn check_closed(session: &mut Acquirer) {
    let error = session.receive().unwrap_err();
    let kind = error.downcast_ref().map(io::Error::kind);
    let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].map(Some);
    assert!(closed.contains(&kind), "{error}");
}

/// What is in flight is answered, what comes behind it is not read, and nobody else feels it.
#[track_caller]
fn check_leaves(secured: &Secured, own: &Pair, over: impl FnOnce()) {
    let metric = |name: &str, labels: &[&str]| secured.node.metric(name, labels).unwrap();
    let mut busy = open(secured, own, 99);
    let idle: Vec<Acquirer> = (0..IDLE)
        .map(|place| open(secured, own, 100 + place))
        .collect();
    let mut other = open(secured, &secured.acquirer(), 98);
    let bank = secured.issuers.host.control(Issuers::BANK);
    bank.freeze(true);
    // Made once: a copy has the same DE7.
    let in_hand = purchase("000001");
    busy.send(&in_hand).unwrap();
    let inflight = || metric("njia_inflight_transactions", &["ingress=\"iso\""]);
    assert!(eventually(PATIENCE, || inflight() == 1.0));
    over();
    for mut session in idle {
        check_closed(&mut session);
    }
    let requests = metric("njia_requests_total", &[]);
    drop(busy.send(&purchase("000002")));
    bank.freeze(false);
    assert_eq!(
        busy.receive().unwrap(),
        ("0210".to_owned(), "00".to_owned())
    );
    check_closed(&mut busy);
    let closed = || metric("njia_session_closes_total", &["reason=\"certificate\""]);
    assert!(eventually(PATIENCE, || closed() == f64::from(IDLE + 1)));
    assert_eq!(
        metric("njia_requests_total", &[]),
        requests,
        "it was not read"
    );
    // On a connection of somebody who may stay it is taken as if it had come first.
    assert_eq!(other.ask(&purchase("000002")).unwrap(), "00");
    assert_eq!(other.ask(&in_hand).unwrap(), "00");
    let repeats = || metric("njia_repeats_total", &["result=\"stored\""]);
    let is_known = eventually(PATIENCE, || repeats() == 1.0);
    assert!(is_known, "what was answered is known");
    secured.node.check_sums().unwrap();
}

//= docs/rules.md#L-04
#[test]
fn fault_099_a_session_goes_when_its_certificate_is_withdrawn() {
    let _machine = alone();
    let authority = Authority::new().unwrap();
    let list = authority.withdraw(&[]).unwrap();
    let more = format!(", crl = \"file:{}\"", list.display());
    let secured = Secured::start_with("tls-withdrawn", authority, &more);
    let own = secured.authority.issue("stolen", ACQUIRER).unwrap();
    check_leaves(&secured, &own, || {
        secured.authority.withdraw(&[&own]).unwrap();
        secured.hang_up();
    });
    secured.close();
}

#[test]
fn fault_099_a_session_goes_when_its_certificate_ends() {
    let _machine = alone();
    let secured = Secured::start("tls-ends", "");
    let own = secured
        .authority
        .issue_until("short", ACQUIRER, "+20 seconds");
    check_leaves(&secured, &own.unwrap(), || ());
    secured.close();
}

//! Who comes in and who does not: rows 99 and 100 of docs/faults.md.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use njia_tests::certificates::{Authority, Pair};
use njia_tests::e2e::eventually;
use njia_tests::e2e::session::{Session, framed, message, purchase};

use crate::rig::{Acquirer, BOTH, Caller, ONLY_12, ONLY_13, PATIENCE, Secured};

fn caller<'a>(trust: &'a PathBuf, own: Option<&'a Pair>) -> Caller<'a> {
    Caller {
        trust,
        own,
        versions: &BOTH,
    }
}

/// Nothing is answered to who shows this.
#[track_caller]
fn check_refused(secured: &Secured, own: Option<&Pair>, stan: &str) {
    let (trust, before) = (secured.authority.root(), secured.handshakes("refused"));
    let connected = Acquirer::connect(secured.node.listener(), &caller(&trust, own));
    let answered = connected.and_then(|mut acquirer| acquirer.ask(&purchase(stan)));
    assert!(answered.is_err(), "{answered:?}");
    secured.await_handshakes("refused", before + 1.0);
}

#[test]
fn both_versions_come_in_with_a_certificate() {
    let secured = Secured::start("tls-versions", "");
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    for (versions, stan) in [(&ONLY_12[..], "000001"), (&ONLY_13, "000002")] {
        let caller = Caller {
            trust: &trust,
            own: Some(&own),
            versions,
        };
        let mut acquirer = Acquirer::connect(secured.node.listener(), &caller).unwrap();
        assert_eq!(acquirer.ask(&purchase(stan)).unwrap(), "00");
    }
    assert_eq!(secured.handshakes("ok"), 2.0);
    assert!(
        secured
            .node
            .metric(
                "njia_tls_certificate_expiry_timestamp_seconds",
                &["listener/pos"]
            )
            .unwrap()
            > 0.0
    );
    secured.close();
}

#[test]
fn fault_099_certificates_that_are_not_good_are_refused() {
    let authority = Authority::new().unwrap();
    let withdrawn = authority
        .issue("withdrawn", "URI:urn:acquirer:one")
        .unwrap();
    let crl = authority.withdraw(&[&withdrawn]).unwrap();
    let more = format!(
        ", crl = \"file:{}\", identities = [{{ san = \"urn:acquirer:one\" }}, {{ san = \
         \"pos.example\" }}]",
        crl.display()
    );
    let secured = Secured::start_with("tls-matrix", authority, &more);
    let good = secured.acquirer();
    let dns = secured.authority.issue("dns", "DNS:pos.example").unwrap();
    let trust = secured.authority.root();
    for (own, stan) in [(&good, "000001"), (&dns, "000002")] {
        let caller = caller(&trust, Some(own));
        let mut acquirer = Acquirer::connect(secured.node.listener(), &caller).unwrap();
        assert_eq!(acquirer.ask(&purchase(stan)).unwrap(), "00");
    }
    check_refused(&secured, None, "000011");
    check_refused(&secured, Some(&withdrawn), "000012");
    let stranger = Authority::new().unwrap();
    let forged = stranger.issue("acquirer", "URI:urn:acquirer:one").unwrap();
    check_refused(&secured, Some(&forged), "000013");
    let expired = secured
        .authority
        .issue_expired("old", "URI:urn:acquirer:one");
    check_refused(&secured, Some(&expired.unwrap()), "000014");
    let early = secured.authority.issue_early("new", "URI:urn:acquirer:one");
    check_refused(&secured, Some(&early.unwrap()), "000016");
    // The common name says nothing.
    let other = secured
        .authority
        .issue("pos.example", "URI:urn:acquirer:two");
    check_refused(&secured, Some(&other.unwrap()), "000015");
    let requests = secured.node.metric("njia_requests_total", &[]).unwrap();
    assert_eq!(requests, 2.0, "nothing is remembered of the others");
    secured.close();
}

#[test]
fn fault_100_what_is_no_handshake_ends_and_harms_nobody() {
    let secured = Secured::start("tls-garbage", "");
    let listener = secured.node.listener().to_owned();
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    let mut acquirer = Acquirer::connect(&listener, &caller(&trust, Some(&own))).unwrap();
    assert_eq!(acquirer.ask(&purchase("000001")).unwrap(), "00");

    // In clear, and noise.
    let noise: Vec<u8> = (0..4_096_u32)
        .map(|i| i.wrapping_mul(193).to_le_bytes()[1])
        .collect();
    for bytes in [&framed(&purchase("000002"))[..], &noise] {
        let mut socket = TcpStream::connect(&listener).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(bytes).unwrap();
        let mut rest = Vec::new();
        // A reset is an end too.
        drop(socket.read_to_end(&mut rest));
        assert!(rest.len() < 64, "an alert at most");
    }
    secured.await_handshakes("error", 2.0);

    // Who says nothing, says goodbye before anything, or stops in the middle: at the deadline.
    let mut silent: Vec<TcpStream> = (0..3)
        .map(|_| TcpStream::connect(&listener).unwrap())
        .collect();
    silent[1].write_all(&[0x16, 3, 1, 2, 0]).unwrap();
    silent[2].write_all(&[0x15, 3, 3, 0, 2, 1, 0]).unwrap();
    for socket in &mut silent {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        drop(socket.read_to_end(&mut rest));
    }
    secured.await_handshakes("timeout", 3.0);
    assert_eq!(
        acquirer.ask(&purchase("000003")).unwrap(),
        "00",
        "others go on"
    );
    let closed = secured
        .node
        .metric("njia_session_closes_total", &["reason=\"tls\""]);
    assert_eq!(closed.unwrap(), 5.0);
    secured.close();
}

/// A handshake in pieces of one byte is one.
#[test]
fn fault_100_a_handshake_in_single_bytes_is_done() {
    let secured = Secured::start("tls-bytes", "");
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap().to_string();
    let listener = secured.node.listener().to_owned();
    let carrying = std::thread::spawn(move || {
        let (theirs, _) = proxy.accept().unwrap();
        let ours = TcpStream::connect(listener).unwrap();
        ours.set_nodelay(true).unwrap();
        let (mut back, mut front) = (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
        let back = std::thread::spawn(move || drop(std::io::copy(&mut back, &mut front)));
        let (mut from, mut to) = (theirs, ours);
        let mut byte = [0];
        while matches!(from.read(&mut byte), Ok(1)) {
            to.write_all(&byte).unwrap();
        }
        to.shutdown(std::net::Shutdown::Both).ok();
        back.join().unwrap();
    });
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    let mut acquirer = Acquirer::connect(&address, &caller(&trust, Some(&own))).unwrap();
    assert_eq!(acquirer.ask(&purchase("000001")).unwrap(), "00");
    drop(acquirer);
    carrying.join().unwrap();
    secured.close();
}

#[test]
fn handshakes_of_one_network_are_bounded() {
    let secured = Secured::start("tls-bound", "");
    let listener = secured.node.listener().to_owned();
    // More than both shards together admit of one network.
    let many: Vec<TcpStream> = (0..400)
        .map(|_| TcpStream::connect(&listener).unwrap())
        .collect();
    assert!(eventually(PATIENCE, || secured.handshakes("limit") > 0.0));
    drop(many);
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    let comes_in = || {
        let acquirer = Acquirer::connect(&listener, &caller(&trust, Some(&own)));
        acquirer
            .and_then(|mut acquirer| acquirer.ask(&purchase("000001")))
            .is_ok()
    };
    assert!(eventually(PATIENCE, comes_in));
    secured.close();
}

#[test]
fn an_institution_that_the_certificate_does_not_speak_for_gets_63() {
    let more = ", identities = [{ san = \"urn:acquirer:one\", institutions = [\"628123\"] }]";
    let secured = Secured::start("tls-institution", more);
    let (trust, own) = (secured.authority.root(), secured.acquirer());
    let caller = caller(&trust, Some(&own));
    let mut acquirer = Acquirer::connect(secured.node.listener(), &caller).unwrap();
    assert_eq!(acquirer.ask(&purchase("000001")).unwrap(), "00");
    let clock = loadgen::clock::Clock::start();
    let at = domain::time::TransmissionTime::at(clock.wall(clock.now()));
    let transmitted = String::from_utf8(at.digits().to_vec()).unwrap();
    let other = |stan, fields: &[(u8, &str)]| {
        let mut all = vec![
            (2, "5061001234567890"),
            (3, "000000"),
            (4, "000000001500"),
            (7, &transmitted),
            (11, stan),
            (12, "120000"),
            (13, "0101"),
            (22, "051"),
        ];
        all.extend(fields);
        all.extend([
            (37, "000000000002"),
            (41, "TERM0001"),
            (42, "MERCHANT0000001"),
            (49, "404"),
        ]);
        message(*b"0200", &all)
    };
    assert_eq!(
        acquirer.ask(&other("000002", &[(32, "628124")])).unwrap(),
        "63"
    );
    let forwarded = other("000003", &[(32, "628123"), (33, "999")]);
    assert_eq!(acquirer.ask(&forwarded).unwrap(), "63");
    let rejected = secured
        .node
        .metric("njia_rejected_total", &["not_permitted"]);
    assert_eq!(rejected.unwrap(), 2.0);
    assert_eq!(
        acquirer.ask(&other("000002", &[(32, "628123")])).unwrap(),
        "00",
        "nothing is remembered"
    );
    secured.close();
}

/// The outside client: what it sends is answered, behind a handshake that it calls good.
#[test]
fn openssl_s_client_talks_to_it() {
    let secured = Secured::start("tls-openssl", "");
    let own = secured.acquirer();
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error", "-connect"])
        .arg(secured.node.listener())
        .arg("-CAfile")
        .arg(secured.authority.root())
        .arg("-cert")
        .arg(&own.certificate)
        .arg("-key")
        .arg(&own.key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&framed(&purchase("000001"))).unwrap();
    input.flush().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut len = [0; 2];
    output.read_exact(&mut len).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    output.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[..4], b"0210");
    child.kill().unwrap();
    child.wait().unwrap();
    secured.close();
}

#[test]
fn in_clear_nobody_is_heard() {
    let secured = Secured::start("tls-clear", "");
    let mut session = Session::connect(secured.node.listener()).unwrap();
    // It may be closed already.
    drop(session.send(&purchase("000001")));
    assert!(session.receive().is_err());
    secured.await_handshakes("error", 1.0);
    secured.close();
}

//! Issuers that send what is no message, or send and read too slowly, on real sockets: the test is
//! the bank (faults.md rows 53 and 54).

use std::time::Duration;

use njia_tests::e2e::desk::answered;
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked, next, told};
use njia_tests::e2e::session::{Session, framed, purchase, purchase_and};

/// What cannot be a frame ends the link at once, without a guess where the next one begins. What
/// was in flight on it is unknown: 91 at its deadline, and a reversal on the next link.
#[test]
fn fault_053_garbage_from_an_issuer_ends_its_link_and_nothing_is_guessed() {
    let caps = [
        ALONE,
        SHORT,
        ("NJIA__ISSUER__BANK__FRAME_CAP", "1024"),
        ("NJIA__LIMITS__FRAME_DEADLINE_MS", "60000"),
    ];
    let (scene, mut link) = Scene::open("garbage", &caps);
    let mut session = scene.session();
    let too_long = 1_025_u16.to_be_bytes();
    let bad: [&[u8]; 3] = [&[0xFF; 64], &too_long, &[0x80, 0x00, b'0', b'2']];
    for (place, garbage) in (1_u32..).zip(bad) {
        let stan = format!("{place:06}");
        session.send(&purchase(&stan)).unwrap();
        let request = asked(&mut link, "0200");
        // A length of zero is no message and no garbage.
        link.send_raw(&[0, 0]).unwrap();
        link.send_raw(garbage).unwrap();
        link.is_closed().unwrap();
        // The right answer behind garbage is not found by looking for it.
        assert!(link.send(&answered(&request, "00")).is_err() || link.is_closed().is_ok());
        link = scene.bank.signed_on().unwrap();
        scene.await_up(1.0);
        assert_eq!(next(&mut session), told("0210", &stan, "91"));
        let owed = owed(&mut link);
        assert_eq!(owed.text(11), request.text(11));
        link.send(&answered(&owed, "00")).unwrap();
        scene.node.settle(Duration::from_secs(60)).unwrap();
    }
    let bad_lengths = scene.metric("njia_parse_errors_total", &["issuer"]);
    assert_eq!(bad_lengths, 3.0);
    scene.close_with(link);
}

/// A good frame whose content is no message costs its own request alone.
#[test]
fn fault_053_garbage_within_a_frame_leaves_the_link() {
    let (scene, mut link) = Scene::open("garbled", &[ALONE, SHORT]);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    session.send(&purchase("000002")).unwrap();
    let first = asked(&mut link, "0200");
    let second = asked(&mut link, "0200");
    link.send(&[0xFF; 100]).unwrap();
    link.send(&[b'0'; 60]).unwrap();
    link.send(&answered(&second, "00")).unwrap();
    let (good, lost) = (next(&mut session), next(&mut session));
    assert_eq!((good.2.as_str(), lost.2.as_str()), ("00", "91"));
    let owed = owed(&mut link);
    assert_eq!(owed.text(11), first.text(11));
    link.send(&answered(&owed, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(scene.unmatched("mismatch"), 2.0);
    assert_eq!(scene.metric("njia_link_reconnects_total", &[]), 0.0);
    scene.close_with(link);
}

/// An answer that comes a byte at a time is given up at the deadline of a frame; nobody waits for
/// it but its own request.
#[test]
fn fault_054_an_answer_a_byte_at_a_time_ends_the_link_at_the_frames_deadline() {
    let slow = [
        ALONE,
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "3000"),
        ("NJIA__LIMITS__FRAME_DEADLINE_MS", "500"),
    ];
    let (scene, mut link) = Scene::open("drip", &slow);
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    let request = asked(&mut link, "0200");
    let answer = framed(&answered(&request, "00"));
    link.send_raw(&answer[..2]).unwrap();
    let taken = link.drip(b'0', Duration::from_millis(50)).unwrap();
    assert!(taken < 100, "the frame is longer than {taken} bytes");
    let mut link = scene.bank.signed_on().unwrap();
    scene.await_up(1.0);
    assert_eq!(next(&mut session), told("0210", "000001", "91"));
    let owed = owed(&mut link);
    link.send(&answered(&owed, "00")).unwrap();
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.close_with(link);
}

/// An issuer that reads nothing: the queue to it has a bound in bytes and in time, its link is
/// closed, and each request is answered all the same. Others are not held up meanwhile.
#[test]
fn fault_054_an_issuer_that_reads_nothing_is_left_and_each_request_is_answered() {
    let deaf = [
        SHORT,
        // The breaker would spare it.
        ("NJIA__ISSUER__BANK__BREAKER__CALLS_MIN", "1000000"),
        ("NJIA__LIMITS__FRAME_DEADLINE_MS", "2000"),
        ("NJIA__LIMITS__OUT_QUEUE_BYTES_MAX", "16384"),
        ("NJIA__LIMITS__SESSION_INFLIGHT_MAX", "65536"),
        ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "60000"),
    ];
    let (scene, link) = Scene::open("deaf-issuer", &deaf);
    let mut session = scene.session();
    let filler = [b'x'; 999];
    let mut sent = 0_u32;
    let is_closed = || scene.metric("njia_link_reconnects_total", &["bank"]) > 0.0;
    let mut codes: Vec<(String, u32)> = Vec::new();
    // What the kernels hold comes first.
    while !is_closed() && sent < 60_000 {
        let stans = (sent + 1)..=(sent + 40);
        let many: Vec<u8> = stans
            .flat_map(|stan| framed(&purchase_and(&format!("{stan:06}"), &[(60, &filler)])))
            .collect();
        session.send_raw(&many).unwrap();
        sent += 40;
        while session.has_more().unwrap() {
            count(&mut codes, &next(&mut session).2);
        }
    }
    assert!(is_closed(), "{}", scene.node.log());
    while total(&codes) < sent {
        count(&mut codes, &next(&mut session).2);
    }
    let known = ["00", "91", "96"];
    assert!(
        codes.iter().all(|(code, _)| known.contains(&code.as_str())),
        "what left is unknown, what did not was the operator's or nobody's: {codes:?}"
    );
    drop(link);
    // Whoever comes next reads and takes back what is owed.
    let mut link = scene.bank.signed_on().unwrap();
    scene.await_that("what is owed is taken back", || {
        while link.has_more().unwrap() {
            let owed = owed(&mut link);
            link.send(&answered(&owed, "00")).unwrap();
        }
        scene.metric("njia_saf_depth", &[]) == 0.0
    });
    scene.node.settle(Duration::from_secs(60)).unwrap();
    scene.node.check_sums().unwrap();
    scene.close_with(link);
}

/// The next reversal that the switch owes; it may have been sent on the link before this one.
#[track_caller]
fn owed(link: &mut Session) -> njia_tests::e2e::session::Received {
    let owed = link.receive().unwrap();
    assert!(
        ["0420", "0421"].contains(&owed.mti().as_str()),
        "{}",
        owed.mti()
    );
    owed
}

fn count(codes: &mut Vec<(String, u32)>, code: &str) {
    match codes.iter_mut().find(|(known, _)| known == code) {
        Some((_, count)) => *count += 1,
        None => codes.push((code.to_owned(), 1)),
    }
}

fn total(codes: &[(String, u32)]) -> u32 {
    codes.iter().map(|(_, count)| count).sum()
}

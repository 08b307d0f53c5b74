//! Bytes that no acquirer should send, on real sockets (faults.md rows 73 to 78 and 81): each gets
//! its refusal or a closed connection, and the other sessions do not notice.

use std::fs;
use std::time::Duration;

use njia_tests::e2e::session::{Session, framed, purchase, purchase_and, purchase_without};
use njia_tests::e2e::{Build, Issuers, Node, folder};

/// Replaces the first occurrence of `from`.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("it is there");
    bytes.splice(at..at + from.len(), to.iter().copied());
    bytes
}

/// The good session: it must get its answers whatever the bad one does.
struct Witness {
    session: Session,
    stan: u32,
}

impl Witness {
    fn sees_nothing(&mut self) {
        self.stan += 1;
        let stan = format!("{:06}", self.stan);
        self.session.send(&purchase(&stan)).unwrap();
        let answer = self.session.receive().unwrap();
        assert_eq!(
            (answer.mti().as_str(), answer.text(39).as_str()),
            ("0210", "00")
        );
        assert_eq!(answer.text(11), stan);
    }
}

/// A switch under test, and a session that must not notice.
struct Scene<'a> {
    node: &'a Node,
    witness: Witness,
}

impl Scene<'_> {
    /// `bytes` close the session that they came on.
    #[track_caller]
    fn closed(&mut self, name: &str, bytes: &[u8]) {
        let mut session = Session::connect(self.node.listener()).unwrap();
        session.send_raw(bytes).unwrap();
        session
            .is_closed()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        self.witness.sees_nothing();
    }

    /// A frame that comes byte by byte, each well within the deadline of a frame, is not whole
    /// within it.
    #[track_caller]
    fn closed_while_dripping(&mut self, start: &[u8], byte: u8) {
        let mut session = Session::connect(self.node.listener()).unwrap();
        session.send_raw(start).unwrap();
        let sent = session.drip(byte, Duration::from_millis(50)).unwrap();
        assert!(sent < 100, "{sent} bytes at 50 ms each were borne");
        self.witness.sees_nothing();
    }

    /// `bytes` are answered with DE39 `code` and DE44 `field`, and their session goes on.
    #[track_caller]
    fn refused(&mut self, name: &str, bytes: &[u8], code: &str, field: &str) {
        let mut session = Session::connect(self.node.listener()).unwrap();
        session.send(bytes).unwrap();
        let answer = session
            .receive()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let told = (answer.text(39), answer.text(44));
        assert_eq!(told, (code.to_owned(), field.to_owned()), "{name}");
        session.send(&purchase("900100")).unwrap();
        let next = session.receive().unwrap().text(39);
        assert_eq!(next, "00", "{name}: the session goes on");
        self.witness.sees_nothing();
    }
}

#[test]
fn fault_081_bad_input_is_refused_or_closes_its_own_session() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "bad-input");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let fast_deadline = [("NJIA__LIMITS__FRAME_DEADLINE_MS", "300")];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &fast_deadline).unwrap();
    let session = Session::connect(node.listener()).unwrap();
    let mut scene = Scene {
        node: &node,
        witness: Witness { session, stan: 0 },
    };
    no_way_to_the_next_frame(&mut scene);
    framed_but_wrong(&mut scene);

    let intents = node.metric("njia_issuer_requests_total", &[]).unwrap();
    let purchases = node.metric("njia_transactions_total", &["financial"]);
    assert_eq!(intents, purchases.unwrap(), "nothing refused was sent on");
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

fn no_way_to_the_next_frame(scene: &mut Scene<'_>) {
    let good = purchase("900001");
    let with_mti = |mti: &[u8]| framed(&replaced(good.clone(), b"0200", mti));
    scene.closed("a length above the cap", &[0xFF, 0xFF, 0x30, 0x32]);
    scene.closed("a length of one", &[0x00, 0x01, 0x30]);
    scene.closed("a frame that is cut and never ends", &framed(&good)[..40]);
    scene.closed("a length in ASCII hex", b"00A40200");
    scene.closed("garbage behind a good length", &framed(&[0xA5; 64]));
    scene.closed("an MTI that is none", &with_mti(b"X200"));
    scene.closed("a response from an acquirer", &with_mti(b"0210"));
    scene.closed("a bitmap without its fields", &framed(&good[..20]));
    scene.closed("no terminal", &framed(&purchase_without("900001", 41)));
    scene.closed("no STAN", &framed(&purchase_without("900001", 11)));
    let with = |from: &[u8], to: &[u8]| framed(&replaced(good.clone(), from, to));
    let digit = with(b"165061001234567890", b"+9506100123");
    scene.closed("a length with a sign", &digit);
    let long = with(b"165061001234567890", b"2050610012345678901234");
    scene.closed("an account of twenty digits", &long);
    scene.closed("bytes for a STAN", &with(b"900001", &[9, 0, 0, 0, 0, 1]));
    scene.closed_while_dripping(&framed(&good)[..2], b'0');
}

fn framed_but_wrong(scene: &mut Scene<'_>) {
    let good = purchase("900001");
    let with = |from: &[u8], to: &[u8]| replaced(good.clone(), from, to);
    let amount = with(b"000000001500", b"C00000001500");
    scene.refused("a sign in the amount", &amount, "30", "004");
    let account = with(b"5061001234567890", b"50610012345678x0");
    scene.refused("a letter in the account", &account, "30", "002");
    let month = with(b"1200000101051", b"1200001301051");
    scene.refused("month 13", &month, "30", "013");
    let trailing = [&good[..], b"00"].concat();
    scene.refused("bytes behind the last field", &trailing, "30", "049");
    let endless = [(55, &[0x9F, 0x36, 0x80, 0x00, 0x00][..])];
    let chip = purchase_and("900001", &endless);
    scene.refused("chip data of indefinite length", &chip, "30", "055");
    let zero = with(b"000000001500", b"000000000000");
    scene.refused("an amount of nothing", &zero, "13", "004");
    let no_account = purchase_without("900001", 2);
    scene.refused("no account", &no_account, "30", "002");
    let no_currency = purchase_without("900001", 49);
    scene.refused("no currency", &no_currency, "30", "049");
    let unserved = with(b"0200", b"0300");
    scene.refused("a class that is not served", &unserved, "12", "");
    let edition = with(b"0200", b"1200");
    scene.refused("another edition", &edition, "12", "");
    let later = with(b"0200", b"2200");
    scene.refused("the edition of 2003", &later, "12", "");
    let version = with(b"0200", b"3200");
    scene.refused("a version that there is not", &version, "30", "");
}

/// What is found malformed behind the session counts as much as what the session finds.
#[test]
fn a_session_bears_so_many_malformed_messages_and_no_more() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "malformed");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let limit = [("NJIA__LIMITS__BAD_FRAMES_PER_MINUTE_MAX", "3")];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &limit).unwrap();
    let mut session = Session::connect(node.listener()).unwrap();
    // Too short for an account: only the owner of the transaction sees that.
    let short = replaced(purchase("900001"), b"165061001234567890", b"0550610");
    for _ in 0..4 {
        session.send(&short).unwrap();
        assert_eq!(session.receive().unwrap().text(39), "30");
    }
    session.send(&purchase("900002")).unwrap();
    session.is_closed().unwrap();
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// A cap of its own holds for a listener to the byte, header included.
#[test]
fn a_frame_above_the_cap_of_its_listener_closes_its_own_session() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "frame-cap");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let cap = [("NJIA__LISTENER__POS__FRAME_CAP", "512")];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &cap).unwrap();
    let session = Session::connect(node.listener()).unwrap();
    let mut scene = Scene {
        node: &node,
        witness: Witness { session, stan: 0 },
    };
    let of_len = |len: usize| {
        let around = purchase_and("900001", &[(63, b"x")]).len() - 1;
        purchase_and("900001", &[(63, &vec![b'x'; len - around][..])])
    };
    let (longest, longer) = (of_len(512), of_len(513));
    assert_eq!((longest.len(), longer.len()), (512, 513));
    scene.closed("one byte above the cap", &framed(&longer));
    let mut session = Session::connect(node.listener()).unwrap();
    session.send(&longest).unwrap();
    assert_eq!(session.receive().unwrap().text(39), "00");
    scene.witness.sees_nothing();
    let closed = node.metric("njia_session_closes_total", &["pos", "frame"]);
    assert_eq!(closed.unwrap(), 1.0);
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn fault_075_frames_may_come_byte_by_byte_or_all_at_once() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "split-frames");
    let issuers = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
    let node = Node::start(
        Build::Product,
        &folder.join("state"),
        issuers.addresses(),
        &[],
    )
    .unwrap();
    let mut session = Session::connect(node.listener()).unwrap();
    for byte in framed(&purchase("000001")) {
        session.send_raw(&[byte]).unwrap();
    }
    assert_eq!(session.receive().unwrap().text(39), "00");

    let many: Vec<u8> = (2..66)
        .flat_map(|stan| framed(&purchase(&format!("{stan:06}"))))
        .collect();
    session.send_raw(&many).unwrap();
    let mut answered: Vec<String> = (2..66)
        .map(|_| session.receive().unwrap().text(11))
        .collect();
    answered.sort();
    let expected: Vec<String> = (2..66).map(|stan| format!("{stan:06}")).collect();
    assert_eq!(answered, expected);
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

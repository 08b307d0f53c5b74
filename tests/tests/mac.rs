//! MACs of sessions and links on real sockets (faults.md row 80): what is not authentic gets its
//! refusal, and nothing of it reaches an issuer or is remembered.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use iso8583::header::HeaderBytes;
use iso8583::mac::MacEngine as _;
use iso8583::{Dialect, FieldIndex, Header, MessageRef, Writer, mac};
use njia_tests::e2e::bank::{AnswerMac, Bank};
use njia_tests::e2e::session::{Session, authenticated, message, purchase};
use njia_tests::e2e::{Build, Issuers, Node, eventually, folder};
use switch::crypto::mac::{MacAlgorithm, MacLen, MacPadding, SoftwareMac};

/// Of the session and of the bank's links, by who sends.
const POS_TO_US: &str = "0123456789abcdeffedcba9876543210";
const US_TO_POS: &str = "7ca110454a1a6e570131d9619dc1376e";
const BANK_TO_US: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const US_TO_BANK: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";

const ASCII: &Dialect = Dialect::ISO87_ASCII;
const RETAIL: (MacAlgorithm, MacLen) = (MacAlgorithm::Retail(MacPadding::Method2), MacLen::Eight);
const CMAC: (MacAlgorithm, MacLen) = (MacAlgorithm::AesCmac, MacLen::Eight);

fn key((algorithm, len): (MacAlgorithm, MacLen), hex: &str) -> SoftwareMac {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
    SoftwareMac::new(algorithm, len, &bytes).unwrap()
}

/// A switch whose session takes retail MACs and whose bank takes AES-CMAC; the operator takes none.
struct Scene {
    folder: PathBuf,
    node: Node,
    bank: Bank,
    operator: Issuers,
    pos_to_us: SoftwareMac,
    us_to_pos: SoftwareMac,
}

impl Scene {
    fn open(name: &str, more: &[(&str, &str)]) -> Self {
        Self::open_behind(Header::None, name, more)
    }

    /// The same with a bank whose messages have headers of this form.
    fn open_behind(header: Header, name: &str, more: &[(&str, &str)]) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let operator = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        let bank = Bank::start(header, key(CMAC, US_TO_BANK), key(CMAC, BANK_TO_US)).unwrap();
        let environment = [
            ("NJIA__NODE__SHARDS", "2"),
            ("NJIA__KEYS__SOFTWARE_MAC", "true"),
            ("NJIA__LISTENER__POS__MAC__ALGORITHM", "retail"),
            ("NJIA__LISTENER__POS__MAC__RECEIVE_KEY", "env:POS_TO_US"),
            ("NJIA__LISTENER__POS__MAC__SEND_KEY", "env:US_TO_POS"),
            ("NJIA__ISSUER__BANK__MAC__ALGORITHM", "aes-cmac"),
            ("NJIA__ISSUER__BANK__MAC__RECEIVE_KEY", "env:BANK_TO_US"),
            ("NJIA__ISSUER__BANK__MAC__SEND_KEY", "env:US_TO_BANK"),
            ("POS_TO_US", POS_TO_US),
            ("US_TO_POS", US_TO_POS),
            ("BANK_TO_US", BANK_TO_US),
            ("US_TO_BANK", US_TO_BANK),
        ];
        let addresses = [bank.address(), operator.addresses()[Issuers::MOMO]];
        let environment = [&environment, more].concat();
        let state = folder.join("state");
        let node = Node::start(Build::Product, &state, addresses, &environment).unwrap();
        let scene = Self {
            folder,
            node,
            bank,
            operator,
            pos_to_us: key(RETAIL, POS_TO_US),
            us_to_pos: key(RETAIL, US_TO_POS),
        };
        scene.await_that("both issuers have signed on", || {
            scene.metric("njia_links", &["state=\"up\""]) == 8.0
        });
        scene
    }

    fn session(&self) -> Session {
        Session::connect(self.node.listener()).unwrap()
    }

    fn authentic(&self, message: &[u8]) -> Vec<u8> {
        authenticated(ASCII, message, &self.pos_to_us)
    }

    /// Sends bytes; MTI and DE39 of the answer, whose MAC is right.
    #[track_caller]
    fn told(&self, session: &mut Session, bytes: &[u8]) -> (String, String) {
        session.send(bytes).unwrap();
        let answer = session.receive().unwrap();
        assert_eq!(mac::verify(answer.message(), &self.us_to_pos), Ok(()));
        (answer.mti(), answer.text(39))
    }

    /// What the bank was asked to approve.
    fn asked(&self) -> Vec<String> {
        let asked = self.bank.asked("0200");
        asked.into_iter().map(|asked| asked.stan).collect()
    }

    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.node.metric(name, labels).unwrap()
    }

    #[track_caller]
    fn await_that(&self, what: &str, found: impl FnMut() -> bool) {
        let waited = eventually(Duration::from_secs(60), found);
        assert!(waited, "never: {what}\n{}", self.node.log());
    }

    fn close(self) {
        assert!(self.bank.trusts_all(), "all that left has a MAC");
        assert!(self.node.terminate().unwrap().success());
        self.operator.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn pair(mti: &str, code: &str) -> (String, String) {
    (mti.to_owned(), code.to_owned())
}

/// With one bit of the amount changed.
fn forged(bytes: &[u8]) -> Vec<u8> {
    let amount = b"000000001500";
    let at = bytes
        .windows(amount.len())
        .position(|window| window == amount);
    let mut forged = bytes.to_vec();
    forged[at.unwrap()] ^= 1;
    forged
}

#[test]
fn fault_080_only_what_is_authentic_reaches_the_issuer() {
    let scene = Scene::open("mac-session", &[]);
    let mut session = scene.session();
    let (plain, good) = (purchase("000001"), scene.authentic(&purchase("000001")));
    let under_another_key = authenticated(ASCII, &plain, &scene.us_to_pos);
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 0x80;
    for (name, bytes) in [
        ("no MAC", &plain),
        ("one bit of the amount", &forged(&good)),
        ("one bit of the MAC", &wrong),
        ("another key", &under_another_key),
    ] {
        assert_eq!(
            scene.told(&mut session, bytes),
            pair("0210", "63"),
            "{name}"
        );
    }
    assert_eq!(scene.asked(), [""; 0]);

    // Nothing is remembered of what was refused: the same STAN is new.
    assert_eq!(scene.told(&mut session, &good), pair("0210", "00"));
    let asked = scene.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        scene.told(&mut session, &good),
        pair("0210", "00"),
        "a replay is a copy"
    );
    assert_eq!(scene.told(&mut session, &forged(&good)), pair("0210", "63"));
    assert_eq!(scene.asked(), asked, "it was asked once");
    let failures = |labels: &[&str]| scene.metric("njia_mac_failures_total", labels);
    assert_eq!(failures(&["acquirer", "missing"]), 1.0);
    assert_eq!(failures(&["acquirer", "wrong"]), 4.0);
    assert_eq!(failures(&["issuer"]), 0.0);
    assert_eq!(scene.metric("njia_rejected_total", &["\"mac\""]), 5.0);
    let accounted = [
        "njia_repeats_total",
        "njia_rejected_total",
        "njia_transactions_total",
    ];
    let accounted: f64 = accounted.iter().map(|name| scene.metric(name, &[])).sum();
    assert_eq!(scene.metric("njia_requests_total", &[]), accounted);
    scene.close();
}

/// DE7 of a message.
fn transmitted(message: &[u8]) -> String {
    let mut index = FieldIndex::new();
    ASCII.parse(message, &mut index).unwrap();
    let digits = MessageRef::new(message, &index).field(7).unwrap();
    String::from_utf8_lossy(digits).into_owned()
}

/// An 0420 of a purchase.
fn reversal(original: &[u8], stan: &str) -> Vec<u8> {
    let transmitted = transmitted(original);
    let reference = format!("0200{stan}{transmitted}{:022}", 0);
    let fields = [
        (2, "5061001234567890"),
        (3, "000000"),
        (4, "000000001500"),
        (7, transmitted.as_str()),
        (11, "000900"),
        (32, "628123"),
        (37, "000000000001"),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
        (90, reference.as_str()),
    ];
    message(*b"0420", &fields)
}

#[test]
fn reversals_and_network_messages_are_authenticated_alike() {
    let scene = Scene::open("mac-classes", &[]);
    let mut session = scene.session();
    let echo = message(*b"0800", &[(7, "0601120000"), (11, "000800"), (70, "301")]);
    assert_eq!(scene.told(&mut session, &echo), pair("0810", "63"));
    let echo = scene.authentic(&echo);
    assert_eq!(scene.told(&mut session, &echo), pair("0810", "00"));

    let original = purchase("000001");
    let good = scene.authentic(&original);
    assert_eq!(scene.told(&mut session, &good), pair("0210", "00"));
    let reversal = reversal(&original, "000001");
    assert_eq!(scene.told(&mut session, &reversal), pair("0430", "63"));
    let reversal = scene.authentic(&reversal);
    assert_eq!(
        scene.told(&mut session, &forged(&reversal)),
        pair("0430", "63")
    );
    assert_eq!(scene.bank.asked("0420").len(), 0);
    assert_eq!(scene.told(&mut session, &reversal), pair("0430", "00"));
    scene.await_that("the reversal reaches the bank", || {
        scene.bank.asked("0420").len() == 1
    });
    scene.node.settle(Duration::from_secs(60)).unwrap();

    // The mobile-money operator takes no MAC: the one of the session is not passed on.
    let other = replaced(&purchase("000002"), "506100", "639000");
    let to_operator = scene.authentic(&other);
    assert_eq!(scene.told(&mut session, &to_operator), pair("0210", "00"));
    // Refusals of the session and of the transaction's owner.
    let nothing = replaced(&purchase("000003"), "000000001500", "000000000000");
    let nothing = scene.authentic(&nothing);
    assert_eq!(scene.told(&mut session, &nothing), pair("0210", "13"));
    let malformed = scene.authentic(&replaced(&original, "0200", "0300"));
    assert_eq!(scene.told(&mut session, &malformed), pair("0310", "12"));
    scene.close();
}

/// Replaces the first occurrence.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes());
    let mut bytes = bytes.to_vec();
    bytes[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn a_mac_covers_the_message_and_not_the_header_before_it() {
    let headers = [
        ("NJIA__LISTENER__POS__HEADER", "tpdu"),
        ("NJIA__ISSUER__BANK__HEADER", "tpdu"),
        ("NJIA__ISSUER__BANK__HEADER_DESTINATION", "0042"),
        ("NJIA__ISSUER__BANK__HEADER_SOURCE", "8000"),
    ];
    let scene = Scene::open_behind(Header::Tpdu, "mac-tpdu", &headers);
    let mut session = scene.session();
    let tpdu = Header::Tpdu.addressed("0001", "8023").unwrap();
    session.speak_behind(tpdu);
    let original = purchase("000001");
    let good = scene.authentic(&original);
    for (name, bytes) in [
        ("no MAC", &original),
        ("one bit of the amount", &forged(&good)),
        ("over the header too", &covering(tpdu, &good, &scene)),
    ] {
        assert_eq!(
            scene.told(&mut session, bytes),
            pair("0210", "63"),
            "{name}"
        );
    }
    assert_eq!(scene.asked(), [""; 0]);
    assert_eq!(scene.told(&mut session, &good), pair("0210", "00"));

    // A network may bring the copy on another way: the header differs, the MAC does not.
    session.speak_behind(Header::Tpdu.addressed("0002", "8099").unwrap());
    assert_eq!(scene.told(&mut session, &good), pair("0210", "00"));
    assert_eq!(scene.asked().len(), 1);
    let echo = message(*b"0800", &[(7, "0601120000"), (11, "000800"), (70, "301")]);
    assert_eq!(scene.told(&mut session, &echo), pair("0810", "63"));
    let echo = scene.authentic(&echo);
    assert_eq!(scene.told(&mut session, &echo), pair("0810", "00"));
    let reversal = scene.authentic(&reversal(&original, "000001"));
    assert_eq!(scene.told(&mut session, &reversal), pair("0430", "00"));
    // The metrics of a shard lag behind what it does: what the bank has seen comes first.
    scene.await_that("the reversal reaches the bank", || {
        scene.bank.asked("0420").len() == 1
    });
    scene.node.settle(Duration::from_secs(60)).unwrap();
    assert_eq!(scene.bank.asked("0420").len(), 1);
    let failures = |labels: &[&str]| scene.metric("njia_mac_failures_total", labels);
    assert_eq!(failures(&["acquirer", "missing"]), 2.0);
    assert_eq!(failures(&["acquirer", "wrong"]), 2.0);
    assert_eq!(failures(&["issuer"]), 0.0);
    scene.close();
}

/// The same message with a MAC that covers the header before it.
fn covering(header: HeaderBytes, message: &[u8], scene: &Scene) -> Vec<u8> {
    let (covered, _) = message.split_last_chunk::<{ mac::MAC_LEN }>().unwrap();
    let mac = scene
        .pos_to_us
        .compute(&[header.as_bytes(), covered].concat());
    [covered, &mac].concat()
}

#[test]
fn an_answer_that_is_not_authentic_is_as_good_as_none() {
    let fast = [
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "400"),
        ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "2000"),
        ("NJIA__ISSUER__MOMO__REVERSAL_TIMEOUT_MS", "2000"),
        ("NJIA__SAF__BACKOFF_FIRST_MS", "50"),
    ];
    let scene = Scene::open("mac-link", &fast);
    let mut session = scene.session();
    let mut stan = 0;
    for (mac, reason) in [(AnswerMac::Wrong, "wrong"), (AnswerMac::Missing, "missing")] {
        stan += 1;
        scene.bank.answer_with(mac);
        let purchase = scene.authentic(&purchase(&format!("{stan:06}")));
        assert_eq!(
            scene.told(&mut session, &purchase),
            pair("0210", "91"),
            "{mac:?}"
        );
        let failures = || scene.metric("njia_mac_failures_total", &["issuer", reason]);
        // Its request, its reversal, and the reversal again.
        scene.await_that("the reversal is repeated", || failures() >= 3.0);
        assert_eq!(
            scene.metric("njia_saf_depth", &[]),
            1.0,
            "{mac:?}: it stays owed"
        );
        scene.bank.answer_with(AnswerMac::Right);
        scene.node.settle(Duration::from_secs(60)).unwrap();
    }
    let reversals = |result: &str| scene.metric("njia_reversals_total", &[result]);
    assert_eq!((reversals("owed"), reversals("acknowledged")), (2.0, 2.0));
    let unmatched = |reason: &str| scene.metric("njia_unmatched_answers_total", &["bank", reason]);
    let failures = scene.metric("njia_mac_failures_total", &["issuer"]);
    assert_eq!(unmatched("mismatch"), failures);
    assert_eq!(scene.metric("njia_link_reconnects_total", &[]), 0.0);
    scene.close();
}

#[test]
fn a_session_may_be_told_nothing_and_bears_only_so_many() {
    let silent = [
        ("NJIA__LISTENER__POS__MAC_FAILURE_ANSWER", "none"),
        ("NJIA__LIMITS__BAD_FRAMES_PER_MINUTE_MAX", "3"),
    ];
    let scene = Scene::open("mac-silence", &silent);
    let mut session = scene.session();
    for stan in ["000001", "000002", "000003"] {
        session.send(&purchase(stan)).unwrap();
    }
    session.send(&scene.authentic(&purchase("000004"))).unwrap();
    let answer = session.receive().unwrap();
    assert_eq!(
        (answer.text(11), answer.text(39)),
        ("000004".to_owned(), "00".to_owned())
    );
    session.send(&purchase("000005")).unwrap();
    session.is_closed().unwrap();
    assert_eq!(scene.asked().len(), 1);
    scene.close();
}

#[test]
fn hexadecimal_messages_and_short_macs() {
    let dialect = Dialect::ISO87_ASCII_HEX;
    let hexadecimal = [
        ("NJIA__LISTENER__POS__DIALECT", dialect.name()),
        ("NJIA__LISTENER__POS__MAC__ALGORITHM", "alg1"),
        ("NJIA__LISTENER__POS__MAC__PADDING", "1"),
        ("NJIA__LISTENER__POS__MAC__LENGTH", "4"),
        ("NJIA__LISTENER__POS__MAC__NETWORK", "false"),
    ];
    let scene = Scene::open("mac-hex", &hexadecimal);
    let short = |hex| key((MacAlgorithm::Cbc(MacPadding::Method1), MacLen::Four), hex);
    let (pos_to_us, us_to_pos) = (short(POS_TO_US), short(US_TO_POS));
    let mut session = scene.session();
    let mut bytes = authenticated(dialect, &in_hex(&purchase("000001")), &pos_to_us);
    let mac = bytes.len() - 16;
    assert_eq!(&bytes[mac + 8..], b"00000000");
    for case in [<[u8]>::make_ascii_uppercase, <[u8]>::make_ascii_lowercase] {
        case(&mut bytes[mac..]);
        session.send(&bytes).unwrap();
        let answer = session.receive_in(dialect).unwrap();
        assert_eq!(answer.text(39), "00");
        assert_eq!(mac::verify(answer.message(), &us_to_pos), Ok(()));
        let [.., a, b, c, d] = answer.message().array::<{ mac::MAC_LEN }>(64).unwrap();
        assert_eq!([a, b, c, d], [0; 4]);
    }
    assert_eq!(scene.asked().len(), 1, "another letter case is a copy");
    let echo = message(*b"0800", &[(7, "0601120000"), (11, "000800"), (70, "301")]);
    session.send(&in_hex(&echo)).unwrap();
    let answer = session.receive_in(dialect).unwrap();
    assert_eq!(
        (answer.text(39).as_str(), answer.text(128).as_str()),
        ("00", "")
    );
    scene.close();
}

/// The same message with its binary parts in hexadecimal digits.
fn in_hex(message: &[u8]) -> Vec<u8> {
    let mut index = FieldIndex::new();
    ASCII.parse(message, &mut index).unwrap();
    let message = MessageRef::new(message, &index);
    let mut out = vec![0; 2048];
    let mut writer = Writer::new(Dialect::ISO87_ASCII_HEX, message.mti(), &mut out);
    for number in message.present() {
        writer.copy(number, message).unwrap();
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

//! One link with a real connection: what it writes, what it takes for authentic, what it matches.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use domain::ids::ShardId;
use domain::time::TransmissionTime;
use iso8583::error::MacRule;
use iso8583::header::HeaderBytes;
use iso8583::translate::NetworkCodes;
use iso8583::{Dialect, Framing, Mti, Writer};
use transaction::Handle;

use super::*;
use crate::crypto::endpoint_keys::EndpointKeys;
use crate::crypto::mac::{EndpointMac, MacAlgorithm, MacLen, SoftwareMac};
use crate::frame::FramePool;
use crate::mesh::Purpose;
use crate::sys::SocketWriter;

const ASCII: &Dialect = Dialect::ISO87_ASCII;
const THEN: Instant = Instant::ZERO;
const WALL: WallTime = WallTime::from_unix_millis(0);
const POLICY: LinkPolicy = LinkPolicy {
    sign_on: true,
    key: None,
    echo_idle: Duration::from_secs(30),
    echo_missed: 3,
    answer_timeout: Duration::from_secs(10),
    sign_on_attempts: 3,
    sign_on_retry: Duration::from_secs(60),
    mismatches_max: 2,
};
const CASING: Casing = Casing {
    framing: Framing::Be16,
    header: HeaderBytes::NONE,
};

/// A link whose connection stands, and the issuer's end of it.
struct Scene {
    link: Link,
    conn: Rc<Conn>,
    issuer: TcpStream,
    _ours: TcpStream,
}

impl Scene {
    fn open(change: impl FnOnce(&mut LinkSetup)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (issuer, _) = listener.accept().unwrap();
        let writer = SocketWriter::of(&ours, Duration::from_secs(10)).unwrap();
        let mut setup = LinkSetup {
            id: LinkId(0),
            issuer: IssuerId(0),
            name: "bank".to_owned(),
            voice: Voice {
                dialect: ASCII,
                codes: NetworkCodes::GENERIC,
                mac: None,
                keys: None,
            },
            casing: CASING,
            policy: POLICY,
            match_fields: EchoFields::DEFAULT_KEY,
            group: LinkGroup::Link,
            pending_max: 16,
            late_window: Duration::from_secs(600),
            echo: EchoReader::new(),
        };
        change(&mut setup);
        let conn = Rc::new(Conn::new(writer, None, 4_096));
        let mut link = Link::new(setup);
        link.connected(Rc::clone(&conn), THEN, WALL);
        Self {
            link,
            conn,
            issuer,
            _ours: ours,
        }
    }

    /// One that takes work.
    fn up(change: impl FnOnce(&mut LinkSetup)) -> Self {
        let mut scene = Self::open(|setup| {
            setup.policy.sign_on = false;
            change(setup);
        });
        assert_eq!(scene.link.take_change(), Some(true));
        scene
    }

    fn received(&mut self, bytes: &[u8]) -> LinkEvent {
        self.link
            .received(&frame(bytes), Received::Message, THEN, WALL)
    }

    /// MTI, DE70 and DE39 of the next message to the issuer.
    fn next(&mut self) -> (String, String, String) {
        self.conn.flush(THEN).unwrap();
        let mut len = [0; 2];
        self.issuer.read_exact(&mut len).unwrap();
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
        self.issuer.read_exact(&mut bytes).unwrap();
        let frame = frame(&bytes);
        let message = frame.message();
        let text = |number| {
            let value = message.field(number).unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        (message.mti().to_string(), text(70), text(39))
    }

    fn send(&mut self, stan: u32) {
        let stan = Stan::new(stan).unwrap();
        let expected = Expected {
            kind: ResponseKind::Financial,
            stan,
        };
        let outbound = Box::new(Outbound {
            id: outbound(stan),
            link: LinkId(0),
            expected,
            echo: self
                .link
                .setup
                .echo
                .of_answer(frame(&answer(b"0210", stan, b"T1")).message()),
            by: Instant::FAR_FUTURE,
            bytes: vec![0, 0],
        });
        assert!(self.link.send(outbound, THEN).is_ok());
    }
}

fn outbound(stan: Stan) -> OutboundId {
    OutboundId {
        owner: ShardId(0),
        handle: Handle {
            index: 1,
            generation: 1,
        },
        stan,
        purpose: Purpose::Request,
    }
}

fn written(mti: &[u8; 4], fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = [0; 256];
    let mut writer = Writer::new(ASCII, Mti::new(*mti).unwrap(), &mut out);
    for (number, value) in fields {
        writer.put_padded(*number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out[..len].to_vec()
}

fn network(mti: &[u8; 4], code: &[u8]) -> Vec<u8> {
    let fields: [(u8, &[u8]); 4] = [(7, b"0601120000"), (11, b"000001"), (39, b"00"), (70, code)];
    written(mti, &fields)
}

fn answer(mti: &[u8; 4], stan: Stan, terminal: &[u8]) -> Vec<u8> {
    let at = TransmissionTime::at(WALL).digits();
    let fields: [(u8, &[u8]); 4] = [(7, &at), (11, &stan.digits()), (39, b"00"), (41, terminal)];
    written(mti, &fields)
}

fn frame(bytes: &[u8]) -> Box<Frame> {
    let mut frame = FramePool::new(1).take(bytes, CASING);
    ASCII.parse(&frame.bytes, &mut frame.index).unwrap();
    frame
}

fn told(mti: &str, code: &str, answer: &str) -> (String, String, String) {
    (mti.to_owned(), code.to_owned(), answer.to_owned())
}

fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

#[test]
fn what_the_issuer_asks_is_answered_in_every_state() {
    let mut scene = Scene::open(|_| {});
    assert_eq!(scene.next(), told("0800", "001", ""));
    for code in ["301", "001", "002", "201", "999"] {
        scene.received(&network(b"0800", code.as_bytes()));
        assert_eq!(scene.next(), told("0810", code, "00"), "not signed on");
    }
    scene.received(&network(b"0810", b"001"));
    assert_eq!(scene.link.take_change(), Some(true));
    scene.link.drain(THEN, WALL);
    assert_eq!(scene.link.take_change(), Some(false));
    assert_eq!(scene.next(), told("0800", "002", ""));
    scene.received(&network(b"0820", b"301"));
    assert_eq!(scene.next(), told("0830", "301", "00"), "signing off");
    scene.received(&network(b"0810", b"002"));
    assert!(scene.link.is_at_rest());
    scene.received(&network(b"0800", b"161"));
    assert_eq!(
        scene.next(),
        told("0810", "161", "12"),
        "no keys are changed here"
    );
}

#[test]
fn a_link_speaks_with_the_codes_of_its_issuer() {
    let mut scene = Scene::open(|setup| setup.voice.codes = NetworkCodes::MASTERCARD);
    assert_eq!(scene.next(), told("0800", "061", ""));
    scene.received(&network(b"0810", b"061"));
    assert_eq!(scene.link.take_change(), Some(true));
    let due = scene.link.poll_timeout().unwrap();
    scene.link.handle_timeout(due, WALL);
    assert_eq!(scene.next(), told("0800", "270", ""));
}

//= docs/rules.md#N-03
#[test]
fn answers_to_earlier_requests_are_taken_after_a_sign_off_of_either_side() {
    for code in [Some(b"002"), None] {
        let mut scene = Scene::up(|_| {});
        scene.send(7);
        match code {
            Some(code) => drop(scene.received(&network(b"0800", code))),
            None => scene.link.drain(THEN, WALL),
        }
        assert_eq!(scene.link.take_change(), Some(false));
        let event = scene.received(&answer(b"0210", stan(7), b"T1"));
        assert!(matches!(
            event,
            LinkEvent::Answer { outbound: found, late: None } if found == outbound(stan(7))
        ));
    }
}

#[test]
fn fault_050_what_is_no_answer_matches_nothing() {
    let mut scene = Scene::up(|_| {});
    scene.send(7);
    let mut check = |bytes: &[u8], cause: Cause| {
        let event = scene.received(bytes);
        assert!(
            matches!(event, LinkEvent::Unmatched(found) if found == cause),
            "{cause}"
        );
    };
    check(&answer(b"0200", stan(7), b"T1"), Cause::WrongMti);
    check(&answer(b"0110", stan(7), b"T1"), Cause::WrongMti);
    check(&answer(b"0200", stan(8), b"T1"), Cause::Unknown);
    check(&answer(b"0210", stan(8), b"T1"), Cause::Unknown);
    check(&answer(b"1210", stan(7), b"T1"), Cause::WrongMti);
    let differs = Cause::Differs(EchoFields::TERMINAL);
    check(&answer(b"0210", stan(7), b"T2"), differs);
    scene.received(&network(b"0800", b"301"));
    let event = scene.received(&answer(b"0210", stan(7), b"T1"));
    assert!(matches!(event, LinkEvent::Answer { late: None, .. }));
    let event = scene.received(&answer(b"0210", stan(7), b"T1"));
    assert!(matches!(event, LinkEvent::Second { .. }), "fault 47");
}

//= docs/rules.md#M-07
#[test]
fn fault_049_an_answer_on_another_link_is_taken_where_the_group_allows_it() {
    let own = answer(b"0210", stan(7), b"T1");
    let mut scene = Scene::up(|_| {});
    scene.send(7);
    let event = scene.link.adopt(frame(&own).message(), THEN);
    assert!(matches!(event, LinkEvent::Unmatched(Cause::WrongLink)));
    // It was not taken: the right one is still matched, and a second one elsewhere is known.
    let event = scene.received(&own);
    assert!(matches!(event, LinkEvent::Answer { late: None, .. }));
    let event = scene.link.adopt(frame(&own).message(), THEN);
    assert!(matches!(
        event,
        LinkEvent::Unmatched(Cause::AlreadyAnswered(_))
    ));

    let mut scene = Scene::up(|setup| setup.group = LinkGroup::Issuer);
    scene.send(7);
    let event = scene.link.adopt(frame(&own).message(), THEN);
    assert!(matches!(event, LinkEvent::Answer { late: None, .. }));
    let event = scene
        .link
        .adopt(frame(&answer(b"0210", stan(9), b"T1")).message(), THEN);
    assert!(matches!(event, LinkEvent::Unmatched(Cause::Unknown)));
}

#[test]
fn what_is_noted_of_an_unmatched_answer_shuts_the_link_when_it_is_too_much() {
    let mut scene = Scene::up(|_| {});
    scene.send(7);
    let other = frame(&answer(b"0210", stan(7), b"T2"));
    let cause = Cause::Differs(EchoFields::TERMINAL);
    let note = scene
        .link
        .note_unmatched(cause, other.message(), THEN, WALL);
    assert_eq!(
        note.unwrap().to_string(),
        "differs(DE41): 0210 stan 000007; nearest is financial stan 000007, which differs in DE41"
    );
    for _ in 0..2 {
        let note = scene
            .link
            .note_unmatched(cause, other.message(), THEN, WALL);
        assert_eq!(note, None, "told a moment ago");
    }
    assert_eq!(scene.link.take_change(), Some(false));
    assert_eq!(scene.link.label(), StateLabel::Quarantined);
}

#[test]
fn a_cut_over_is_told_and_so_is_its_end() {
    let mut scene = Scene::up(|_| {});
    let start = written(b"0800", &[(11, b"000001"), (15, b"0102"), (70, b"201")]);
    let date = SettlementDate::from_days(1);
    assert!(matches!(
        scene.received(&start),
        LinkEvent::CutOver { step: CutOverStep::Start, date: Some(found) } if found == date
    ));
    assert_eq!(scene.link.take_change(), None, "it serves on");
    assert!(matches!(
        scene.received(&network(b"0800", b"202")),
        LinkEvent::CutOver {
            step: CutOverStep::End,
            date: None
        }
    ));
}

#[test]
fn an_issuer_that_answers_no_echo_is_left() {
    let mut scene = Scene::up(|_| {});
    for _ in 0..4 {
        let due = scene.link.poll_timeout().unwrap();
        scene.link.handle_timeout(due, WALL);
    }
    assert_eq!(scene.link.take_change(), Some(false));
    assert!(scene.conn.is_closed() && scene.link.conn().is_none());
    scene.link.lost(THEN, WALL);
    assert_eq!(scene.link.take_change(), None, "it is told once");
}

#[test]
fn what_is_not_authentic_is_not_even_a_sign_of_life() {
    let mut scene = Scene::open(|setup| setup.voice.keys = Some(Rc::new(keys())));
    let signed_on = network(b"0810", b"001");
    for (bytes, rule) in [
        (signed_on.clone(), MacRule::Missing),
        (authenticated(&signed_on, 2), MacRule::Wrong),
    ] {
        let expected = MacError { field: 128, rule };
        let event = scene.received(&bytes);
        assert!(matches!(event, LinkEvent::Unauthentic(found) if found == expected));
    }
    scene.received(&authenticated(&signed_on, 1));
    assert_eq!(scene.link.take_change(), Some(true));

    let echo = network(b"0800", b"301");
    let (due, later) = (
        scene.link.poll_timeout(),
        THEN.after(Duration::from_secs(1)),
    );
    scene
        .link
        .received(&frame(&echo), Received::Message, later, WALL);
    assert_eq!(
        scene.link.poll_timeout(),
        due,
        "an echo of its own is still due"
    );
    let echo = frame(&authenticated(&echo, 1));
    scene.link.received(&echo, Received::Message, later, WALL);
    assert_eq!(
        scene.link.poll_timeout(),
        Some(later.after(POLICY.echo_idle))
    );
}

#[test]
fn what_comes_back_has_the_mac_that_it_left_with() {
    let mut scene = Scene::up(|setup| setup.voice.keys = Some(Rc::new(keys())));
    let rejected = Received::Rejected {
        code: RejectCode(601),
        call: CallOutcome::Failure,
    };
    let echo = network(b"0800", b"301");
    for (bytes, rule) in [
        (echo.clone(), MacRule::Missing),
        (authenticated(&echo, 1), MacRule::Wrong),
    ] {
        let expected = MacError { field: 128, rule };
        let event = scene.link.received(&frame(&bytes), rejected, THEN, WALL);
        assert!(matches!(event, LinkEvent::Unauthentic(found) if found == expected));
    }
    let ours = frame(&authenticated(&echo, 2));
    let event = scene.link.received(&ours, rejected, THEN, WALL);
    assert!(matches!(event, LinkEvent::Rejected { outbound: None, .. }));
}

/// Key 1 checks, key 2 makes.
fn keys() -> EndpointKeys {
    EndpointKeys::new(&EndpointMac {
        receive: Arc::new(key(1)),
        send: Arc::new(key(2)),
        network: true,
        change: None,
    })
}

fn key(byte: u8) -> SoftwareMac {
    SoftwareMac::new(MacAlgorithm::AesCmac, MacLen::Eight, &[byte; 16]).unwrap()
}

fn authenticated(message: &[u8], byte: u8) -> Vec<u8> {
    let mut out = [message, &[0; 8]].concat();
    iso8583::mac::append(ASCII, &key(byte), &mut out, message.len()).unwrap();
    out
}

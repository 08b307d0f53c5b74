//! Framings, headers and keep-alives of the real switch, on real sockets.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use iso8583::frame::FrameStep;
use iso8583::header::{HeaderBytes, Stripped};
use iso8583::{Dialect, FieldIndex, Framing, Header, MessageRef, translate};
use loadgen::message::Wire;
use njia_tests::e2e::session::{headed, message, purchase, purchase_and, purchase_without};
use njia_tests::e2e::{Build, Issuers, Node, eventually, folder};

const LATENCY: Duration = Duration::from_millis(2);
const MAX: usize = 8192;

/// One blocking connection that speaks in a framing.
struct Peer {
    stream: TcpStream,
    framing: Framing,
    received: Vec<u8>,
}

impl Peer {
    fn connect(listener: &str, framing: Framing) -> Self {
        Self::of(TcpStream::connect(listener).unwrap(), framing)
    }

    fn of(stream: TcpStream, framing: Framing) -> Self {
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self {
            stream,
            framing,
            received: Vec::new(),
        }
    }

    fn send(&mut self, content: &[u8]) {
        let frame = framed(self.framing, content);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next frame's content, empty for a keep-alive; `None` when the switch has closed.
    fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.framing.split(&self.received, MAX) {
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    let content = self.received[header..header + len].to_vec();
                    self.received.drain(..header + len + trailer);
                    return Some(content);
                }
                FrameStep::KeepAlive { consumed } => {
                    self.received.drain(..consumed);
                    return Some(Vec::new());
                }
                FrameStep::Refused(error) => panic!("{error}"),
                FrameStep::NeedMore { .. } => {
                    let mut chunk = [0; 4096];
                    match self.stream.read(&mut chunk) {
                        Ok(0) => return None,
                        Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                        Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    /// The next message behind a header of this form; keep-alives are passed over.
    #[track_caller]
    fn message(&mut self, form: Header) -> (HeaderBytes, Vec<u8>) {
        loop {
            let content = self.receive().expect("the switch keeps the connection");
            if content.is_empty() {
                continue;
            }
            let Ok(Stripped::Message { header, message }) = form.strip(&content) else {
                panic!("no header of {form}");
            };
            return (header, message.to_vec());
        }
    }
}

fn framed(framing: Framing, content: &[u8]) -> Vec<u8> {
    let header = framing.header_len();
    let mut frame = vec![0; header + content.len() + framing.trailer_len()];
    frame[header..header + content.len()].copy_from_slice(content);
    let len = framing.enclose(&mut frame, content.len()).unwrap();
    frame.truncate(len);
    frame
}

fn field(message: &[u8], number: u8) -> String {
    let mut index = FieldIndex::new();
    Dialect::ISO87_ASCII.parse(message, &mut index).unwrap();
    let view = MessageRef::new(message, &index);
    String::from_utf8_lossy(view.field(number).unwrap_or_default()).into_owned()
}

fn start(name: &str, wires: [Wire; 2], environment: &[(&str, &str)]) -> (PathBuf, Issuers, Node) {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
    let issuers = Issuers::start_on(&folder, LATENCY, wires).unwrap();
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), environment).unwrap();
    (folder, issuers, node)
}

fn end(folder: &Path, issuers: Issuers, node: Node) {
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(folder).unwrap();
}

const POS: [(&str, &str); 4] = [
    ("NJIA__LISTENER__POS__FRAMING", "le16"),
    ("NJIA__LISTENER__POS__HEADER", "tpdu"),
    ("NJIA__LISTENER__POS__ANSWER_KEEP_ALIVE", "true"),
    ("NJIA__ISSUER__BANK__FRAMING", "ascii4"),
];

#[test]
fn an_answer_goes_back_behind_the_tpdu_turned_round() {
    let bank = Wire {
        framing: Framing::Ascii4,
        ..Wire::PLAIN
    };
    let (folder, issuers, node) = start("tpdu", [bank, Wire::PLAIN], &POS);
    let mut session = Peer::connect(node.listener(), Framing::Le16);
    let sent = Header::Tpdu.addressed("0001", "8023").unwrap();
    let turned = Header::Tpdu.addressed("8023", "0001").unwrap();

    let original = purchase("000001");
    session.send(&headed(sent, &original));
    let (header, answer) = session.message(Header::Tpdu);
    assert_eq!(header.as_bytes(), turned.as_bytes());
    assert_eq!((&answer[..4], &*field(&answer, 39)), (&b"0210"[..], "00"));
    assert_eq!(issuers.host.stats()[Issuers::BANK].1.approved, 1);

    // The same answer for a repeat, behind the header of the repeat.
    let other = Header::Tpdu.addressed("0002", "8099").unwrap();
    let repeat = [b"0201", &original[4..]].concat();
    session.send(&headed(other, &repeat));
    let (header, again) = session.message(Header::Tpdu);
    assert_eq!(header.as_bytes(), other.reply().as_bytes());
    assert_eq!((&again[..4], &*field(&again, 39)), (&b"0210"[..], "00"));

    // What is refused in the session, and what is answered there.
    session.send(&headed(sent, &purchase_without("000002", 4)));
    let (header, refusal) = session.message(Header::Tpdu);
    assert_eq!(header.as_bytes(), turned.as_bytes());
    assert_eq!(field(&refusal, 39), "30");
    let echo = message(*b"0800", &[(7, "0601120000"), (11, "000003"), (70, "301")]);
    session.send(&headed(sent, &echo));
    let (header, echoed) = session.message(Header::Tpdu);
    assert_eq!(header.as_bytes(), turned.as_bytes());
    assert_eq!(&echoed[..4], b"0810");

    // Without its header a message is none, and there is no next one to be found.
    session.send(&purchase("000004"));
    assert_eq!(session.receive(), None, "closed");
    end(&folder, issuers, node);
}

#[test]
fn a_keep_alive_is_answered_once() {
    let (folder, issuers, node) = start("keep-alive", [Wire::PLAIN; 2], &POS[..3]);
    let mut session = Peer::connect(node.listener(), Framing::Le16);
    let sent = Header::Tpdu.addressed("0001", "8023").unwrap();
    let echo = message(*b"0800", &[(7, "0601120000"), (11, "000001"), (70, "301")]);
    // The second counts as the answer to the switch's own, the third comes within a second.
    let three = framed(Framing::Le16, &[]).repeat(3);
    let after = framed(Framing::Le16, &headed(sent, &echo));
    session.stream.write_all(&[three, after].concat()).unwrap();
    assert_eq!(session.receive(), Some(Vec::new()), "the answer");
    let next = session.receive().unwrap();
    assert_eq!(&next[5..9], b"0810", "and no second one");

    // A hundred in a row are borne, one more is a storm.
    for _ in 0..100 {
        session.send(&[]);
    }
    session.send(&headed(sent, &echo));
    let (_, echoed) = session.message(Header::Tpdu);
    assert_eq!(&echoed[..4], b"0810");
    let storm: Vec<u8> = framed(Framing::Le16, &[]).repeat(101);
    session.stream.write_all(&storm).unwrap();
    while let Some(content) = session.receive() {
        assert!(content.is_empty(), "keep-alives at most");
    }
    end(&folder, issuers, node);
}

#[test]
fn a_keep_alive_without_leave_is_not_answered() {
    let (folder, issuers, node) = start("no-keep-alive", [Wire::PLAIN; 2], &[]);
    let mut session = Peer::connect(node.listener(), Framing::Be16);
    session.send(&[]);
    session.send(&purchase("000001"));
    let answer = session.receive().unwrap();
    assert_eq!(&answer[..4], b"0210", "nothing before it");
    end(&folder, issuers, node);
}

/// Every framing on both sides, and the codec between them.
#[test]
fn a_purchase_passes_in_every_framing() {
    for framing in Framing::ALL {
        // The configuration refuses those of 99 bytes.
        if framing.len_max() < 512 {
            continue;
        }
        let cap = framing.len_max().min(MAX).to_string();
        let dialect = if framing.is_transparent() {
            Dialect::ISO87_ASCII
        } else {
            Dialect::ISO87_ASCII_HEX
        };
        let wire = Wire {
            framing,
            dialect,
            ..Wire::PLAIN
        };
        let environment = [
            ("NJIA__LISTENER__POS__FRAMING", framing.name()),
            ("NJIA__LISTENER__POS__DIALECT", dialect.name()),
            ("NJIA__LISTENER__POS__FRAME_CAP", &cap),
            ("NJIA__ISSUER__BANK__FRAME_CAP", &cap),
            ("NJIA__ISSUER__BANK__FRAMING", framing.name()),
            ("NJIA__ISSUER__BANK__DIALECT", dialect.name()),
        ];
        let (folder, issuers, node) = start(framing.name(), [wire, Wire::PLAIN], &environment);
        let mut session = Peer::connect(node.listener(), framing);
        session.send(&in_dialect(dialect, &purchase("000001")));
        let answer = session.receive().unwrap();
        assert_eq!(&answer[..4], b"0210", "{}", framing.name());
        let mut index = FieldIndex::new();
        dialect.parse(&answer, &mut index).unwrap();
        let view = MessageRef::new(&answer, &index);
        assert_eq!(view.field(39), Some(&b"00"[..]), "{}", framing.name());
        end(&folder, issuers, node);
    }
}

/// What the first candidate's framing cannot hold goes to the next: one transaction, told once.
#[test]
fn what_cannot_be_written_fails_over_and_counts_once() {
    let bank = Wire {
        framing: Framing::Ascii3,
        ..Wire::PLAIN
    };
    let environment = [
        // Each shard tells it.
        ("NJIA__NODE__SHARDS", "1"),
        ("NJIA__ISSUER__BANK__FRAMING", "ascii3"),
        ("NJIA__ISSUER__BANK__FRAME_CAP", "999"),
    ];
    let (folder, issuers, node) = start("unwritable", [bank, Wire::PLAIN], &environment);
    let mut session = Peer::connect(node.listener(), Framing::Be16);
    for stan in ["000001", "000002"] {
        session.send(&purchase_and(stan, &[(63, &[b'x'; 990])]));
        let answer = session.receive().unwrap();
        assert_eq!((&answer[..4], &*field(&answer, 39)), (&b"0210"[..], "00"));
    }
    let metric = |name: &str, labels: &[&str]| node.metric(name, labels).unwrap();
    let unwritable = metric("njia_issuer_unwritable_total", &["bank", "frame"]);
    assert_eq!(unwritable, 2.0);
    assert_eq!(metric("njia_failovers_total", &["momo"]), 2.0);
    assert_eq!(metric("njia_requests_total", &[]), 2.0);
    assert_eq!(metric("njia_transactions_total", &[]), 2.0);
    assert_eq!(metric("njia_declines_total", &[]), 0.0);
    let tells = || node.log().contains("cannot be written");
    assert!(eventually(Duration::from_secs(60), tells), "{}", node.log());
    let log = node.log();
    assert_eq!(log.matches("cannot be written").count(), 1, "{log}");
    end(&folder, issuers, node);
}

/// The same message in another dialect.
fn in_dialect(dialect: &'static Dialect, message: &[u8]) -> Vec<u8> {
    let mut index = FieldIndex::new();
    Dialect::ISO87_ASCII.parse(message, &mut index).unwrap();
    let view = MessageRef::new(message, &index);
    let (mut out, mut scratch) = (vec![0; 2048], [0; 999]);
    let mut writer = iso8583::Writer::new(dialect, view.mti(), &mut out);
    for number in view.present() {
        let value = view.decode(number, &mut scratch).unwrap();
        writer.put(number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

/// A network that signs on, and gives every request back.
struct RejectingNetwork {
    listener: TcpListener,
}

impl RejectingNetwork {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { listener }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Serves one connection until it has given back one purchase, with a keep-alive behind it;
    /// the two frames that came after it, without their headers.
    fn serve(self) -> [Vec<u8>; 2] {
        let (stream, _) = self.listener.accept().unwrap();
        let mut link = Peer::of(stream, Framing::Be16Zeros);
        loop {
            let (header, message) = link.message(Header::Base1);
            assert_eq!(
                header.as_bytes()[5..11],
                [0x12, 0x34, 0x56, 0x99, 0x99, 0x99]
            );
            let mut index = FieldIndex::new();
            Dialect::ISO87_ASCII.parse(&message, &mut index).unwrap();
            let view = MessageRef::new(&message, &index);
            if &message[..4] == b"0800" {
                let mut out = [0; 512];
                let len = translate::write_network_answer(Dialect::ISO87_ASCII, view, &mut out);
                link.send(&headed(header.reply(), &out[..len.unwrap()]));
                continue;
            }
            link.send(&rejected(header, &message));
            link.send(&[]);
            return [(); 2].map(|()| {
                let content = link.receive().unwrap();
                content.get(22..26).unwrap_or_default().to_vec()
            });
        }
    }
}

/// A reject header of 26 bytes with code 0510, then what was sent.
fn rejected(header: HeaderBytes, message: &[u8]) -> Vec<u8> {
    let sent = headed(header, message);
    let mut outer = sent[..22].to_vec();
    outer[0] = 26;
    outer[1] |= 0x80;
    outer.extend([0x80, 0x00, 0x05, 0x10]);
    let total = u16::try_from(outer.len() + sent.len()).unwrap();
    outer[3..5].copy_from_slice(&total.to_be_bytes());
    [outer, sent].concat()
}

/// It never reached the issuer: answered with 96, at once, and nothing is owed.
#[test]
fn a_rejected_request_is_answered_and_not_reversed() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "reject");
    let issuers = Issuers::start(&folder, LATENCY).unwrap();
    let network = RejectingNetwork::start();
    let momo = issuers.addresses()[Issuers::MOMO];
    let environment = [
        ("NJIA__ISSUER__BANK__LINKS", "1"),
        ("NJIA__ISSUER__BANK__FRAMING", "be16-00"),
        ("NJIA__ISSUER__BANK__HEADER", "base1"),
        ("NJIA__ISSUER__BANK__HEADER_DESTINATION", "123456"),
        ("NJIA__ISSUER__BANK__HEADER_SOURCE", "999999"),
        ("NJIA__ISSUER__BANK__ECHO_IDLE_S", "1"),
        ("NJIA__ISSUER__BANK__ANSWER_KEEP_ALIVE", "true"),
        ("NJIA__ROUTE__BANK_CARDS__CANDIDATES", "bank"),
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "20000"),
    ];
    let addresses = [network.address(), momo];
    let serving = std::thread::spawn(move || network.serve());
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, addresses, &environment).unwrap();
    let is_up = || node.metric("njia_links", &["bank", "up"]).unwrap() == 1.0;
    assert!(eventually(Duration::from_secs(60), is_up), "{}", node.log());
    let mut session = Peer::connect(node.listener(), Framing::Be16);
    session.send(&purchase("000001"));
    let answer = session.receive().unwrap();
    assert_eq!((&answer[..4], &*field(&answer, 39)), (&b"0210"[..], "96"));
    // What follows on the link is the answered keep-alive and an echo, and no reversal.
    assert_eq!(serving.join().unwrap(), [b"".to_vec(), b"0800".to_vec()]);
    let metric = |name: &str| node.metric(name, &[]).unwrap();
    assert_eq!(metric("njia_issuer_rejects_total"), 1.0);
    assert_eq!(metric("njia_saf_depth"), 0.0);
    let tells = || {
        let log = node.log();
        log.contains("rejects messages") && log.contains("0510")
    };
    assert!(eventually(Duration::from_secs(60), tells), "{}", node.log());
    let log = node.log();
    assert!(!log.contains("5061001234567890"), "no account in the log");
    end(&folder, issuers, node);
}

//! A dialect that stands in TOML alone, on real sockets: an acquirer speaks it, an issuer speaks
//! another one, and the switch between them translates.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use domain::ResponseCode;
use domain::time::TransmissionTime;
use iso8583::charset::Charset;
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Length, Prefix};
use iso8583::packed::Packed;
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer, translate};
use loadgen::clock::Clock;
use njia_tests::e2e::{Build, Node, folder};

/// How the acquirer's messages are cut out of the stream.
const FRAMING: &str = "le16";

/// Two bytes of length by the name of a framing.
fn header(framing: &str, len: usize) -> [u8; 2] {
    let len = u16::try_from(len).expect("a message fits two bytes of length");
    match framing {
        "be16" => len.to_be_bytes(),
        "le16" => len.to_le_bytes(),
        other => panic!("the test does not know the framing {other}"),
    }
}

/// The three rows of [`acme`], as a user writes them.
const ACME: &str = r#"
[dialects.acme]
extends = "iso87-ascii"

[dialects.acme.fields.11]
encoding = "bcd"

[dialects.acme.fields.43]
length = "LLVAR"
max = 99

[dialects.acme.fields.48]
prefix = "bcd"
"#;

/// The same dialect by hand, so that the test does not believe what it tests.
fn acme() -> &'static Dialect {
    let packed = Encoding::Packed(Packed::RIGHT, Charset::Ascii);
    let row = |row: &FieldSpec| match row.number {
        11 => row.encoded(packed),
        43 => FieldSpec {
            length: Length::ll(99),
            ..*row
        },
        48 => row.prefixed(Prefix::new(Coding::Packed, Count::Units)),
        _ => *row,
    };
    let base = Dialect::ISO87_ASCII;
    let rows: Vec<FieldSpec> = base.rows().map(row).collect();
    let acme = Dialect::new("acme", base.form(), &rows, base.requirements());
    Box::leak(Box::new(acme.expect("the rows suit one another")))
}

/// A whole configuration, with the dialect in a file beside it.
fn configuration(folder: &Path, issuer: SocketAddr) -> PathBuf {
    let state = folder.join("state");
    let text = format!(
        r#"
dialect_files = ["dialects.toml"]

[node]
state_dir = "{}"
shards = 1

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[[acquirer]]
name = "acquirer-1"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"
framing = "{FRAMING}"
dialect = "acme"

[[issuer]]
name = "bank"
addresses = ["{issuer}"]
institution = "100001"
links = 1
sign_on = false
echo_idle_s = 3600

[[route]]
name = "all"
prefixes = ["5061"]
candidates = ["bank"]
"#,
        state.display()
    );
    fs::create_dir_all(&state).unwrap();
    fs::write(folder.join("dialects.toml"), ACME).unwrap();
    let path = folder.join("njia.toml");
    fs::write(&path, text).unwrap();
    path
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// One frame behind two bytes of length; `None` at the end of the stream.
fn frame(stream: &mut TcpStream, framing: &str) -> Option<Vec<u8>> {
    let mut bytes = [0; 2];
    stream.read_exact(&mut bytes).ok()?;
    let len = (0..=usize::from(u16::MAX)).find(|len| header(framing, *len) == bytes)?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

fn framed(framing: &str, body: &[u8]) -> Vec<u8> {
    [&header(framing, body.len())[..], body].concat()
}

/// An issuer that speaks `iso87-ascii`, approves everything, and hands on what it was sent.
fn issuer() -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    // It ends with the switch, or with the test.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            approve_all(stream, &sender);
        }
    });
    (address, receiver)
}

fn approve_all(mut stream: TcpStream, received: &Sender<Vec<u8>>) {
    while let Some(request) = frame(&mut stream, "be16") {
        let mut index = FieldIndex::new();
        Dialect::ISO87_ASCII
            .parse(&request, &mut index)
            .expect("the issuer is spoken to in its own dialect");
        let mut out = [0; 1024];
        let message = MessageRef::new(&request, &index);
        let approved = ResponseCode::APPROVED;
        let dialect = Dialect::ISO87_ASCII;
        let len = translate::write_acknowledgement(dialect, message, approved, &mut out);
        let answer = framed("be16", &out[..len.unwrap()]);
        if stream.write_all(&answer).is_err() || received.send(request).is_err() {
            return;
        }
    }
}

/// A purchase with the fields that the three rows are about.
fn purchase(dialect: &'static Dialect, stan: &str) -> Vec<u8> {
    let clock = Clock::start();
    let at = TransmissionTime::at(clock.wall(clock.now()));
    let transmitted = at.digits();
    let rrn = format!("000000{stan}");
    let fields: [(u8, &[u8]); 15] = [
        (2, b"5061001234567890"),
        (3, b"000000"),
        (4, b"000000001500"),
        (7, &transmitted),
        (11, stan.as_bytes()),
        (12, b"120000"),
        (13, b"0101"),
        (22, b"051"),
        (32, b"628123"),
        (37, rrn.as_bytes()),
        (41, b"TERM0001"),
        (42, b"MERCHANT0000001"),
        (43, PLACE),
        (48, PRIVATE),
        (49, b"404"),
    ];
    let mut out = vec![0; 1024];
    let mut writer = Writer::new(dialect, Mti::new(*b"0200").unwrap(), &mut out);
    for (number, value) in fields {
        writer.put(number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

const PLACE: &[u8; 40] = b"DUKA LA MAMA NJERI     NAIROBI       KE ";
const PRIVATE: &[u8] = b"loyalty 0012";

/// A field of a message in some dialect, as text.
fn text(dialect: &'static Dialect, bytes: &[u8], number: u8) -> String {
    let mut index = FieldIndex::new();
    dialect.parse(bytes, &mut index).unwrap();
    let mut scratch = [0; 999];
    let message = MessageRef::new(bytes, &index);
    let value = message.decode(number, &mut scratch).unwrap_or_default();
    String::from_utf8(value.to_vec()).unwrap()
}

/// A session of the acquirer.
struct Acquirer(TcpStream);

impl Acquirer {
    fn ask(&mut self, message: &[u8]) -> Vec<u8> {
        self.0.write_all(&framed(FRAMING, message)).unwrap();
        frame(&mut self.0, FRAMING).expect("the switch answers")
    }
}

#[test]
fn a_dialect_by_toml_alone_is_spoken_on_real_sockets() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "dialect-toml");
    let (address, received) = issuer();
    let config = configuration(&folder, address);
    let key = [("NJIA_TEST_KEY", KEY)];
    let node = Node::configured(Build::Product, &config, &folder.join("state"), &key).unwrap();
    let stream = TcpStream::connect(node.listener()).unwrap();
    let timeout = Duration::from_secs(60);
    stream.set_read_timeout(Some(timeout)).unwrap();
    let mut acquirer = Acquirer(stream);
    let acme = acme();

    let sent = purchase(acme, "000123");
    let answer = acquirer.ask(&sent);
    assert_eq!(text(acme, &answer, 39), "00");
    assert_eq!(text(acme, &answer, 11), "000123");
    let packed = answer.windows(3).any(|bytes| bytes == [0x00, 0x01, 0x23]);
    assert!(packed, "DE11 is packed in the answer too");

    let forwarded = received.recv_timeout(timeout).unwrap();
    let at_issuer = |number| text(Dialect::ISO87_ASCII, &forwarded, number);
    assert_eq!(at_issuer(4), "000000001500");
    assert_eq!(at_issuer(43).as_bytes(), PLACE);
    assert_eq!(at_issuer(48).as_bytes(), PRIVATE);
    assert_eq!(at_issuer(11).len(), 6, "the STAN of the link");
    assert!(acme.parse(&forwarded, &mut FieldIndex::new()).is_err());

    let refused = acquirer.ask(&purchase(Dialect::ISO87_ASCII, "000124"));
    assert_eq!(text(acme, &refused, 39), "30");
    let next = acquirer.ask(&purchase(acme, "000125"));
    assert_eq!(text(acme, &next, 39), "00", "the session goes on");
    received.recv_timeout(timeout).unwrap();
    assert!(
        received.try_recv().is_err(),
        "what was refused went nowhere"
    );

    assert!(node.terminate().unwrap().success());
    fs::remove_dir_all(&folder).unwrap();
}

/// What is wrong with a dialect is told with its file and line, and nothing is started.
#[test]
fn a_fault_in_a_dialect_file_refuses_the_start() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "dialect-fault");
    let config = configuration(&folder, ([127, 0, 0, 1], 9).into());
    let faulty = ACME.replace("LLVAR", "LLAVR");
    fs::write(folder.join("dialects.toml"), faulty).unwrap();
    let key = [("NJIA_TEST_KEY", KEY)];
    let state = folder.join("state");
    let error = Node::configured(Build::Product, &config, &state, &key).unwrap_err();
    let told = format!("{error:#}");
    assert!(
        told.contains("dialects.toml:9:1: `length` takes 1 to 65535"),
        "{told}"
    );
    assert!(told.contains("exit 78"), "{told}");
    fs::remove_dir_all(&folder).unwrap();
}

//! An acquirer and an issuer that speak different editions and encodings, on real sockets, with the
//! switch between them: requests, repeats, reversals and timeouts mean the same on both sides.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use domain::ResponseCode;
use domain::ids::AuthorisationId;
use domain::request::Answer;
use domain::time::{TransmissionTime, WallTime};
use iso8583::mti::{Class, Version};
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer, translate};
use loadgen::clock::Clock;
use njia_tests::e2e::session::{Received, Session, framed};
use njia_tests::e2e::{Build, Node, folder};

const TIMEOUT: Duration = Duration::from_secs(60);
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn dialect(name: &str) -> &'static Dialect {
    Dialect::by_name(name).expect("it is built in")
}

fn is_1993(dialect: &Dialect) -> bool {
    dialect.version() == Version::Iso1993
}

/// A message that the issuer was sent.
struct Sent {
    bytes: Vec<u8>,
    dialect: &'static Dialect,
}

impl Sent {
    fn text(&self, number: u8) -> String {
        let mut index = FieldIndex::new();
        self.dialect.parse(&self.bytes, &mut index).unwrap();
        let mut scratch = [0; 999];
        let message = MessageRef::new(&self.bytes, &index);
        let value = message.decode(number, &mut scratch).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }

    fn mti(&self) -> String {
        let mut index = FieldIndex::new();
        self.dialect.parse(&self.bytes, &mut index).unwrap();
        MessageRef::new(&self.bytes, &index).mti().to_string()
    }
}

/// An issuer that tells the code that DE4 ends with, in its own edition, stays silent at 999, and
/// hands on what it was sent.
struct Issuer {
    address: SocketAddr,
    sent: Receiver<Sent>,
}

impl Issuer {
    fn start(dialect: &'static Dialect) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, sent) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || serve(dialect, stream, &sender));
            }
        });
        Self { address, sent }
    }

    fn next(&self) -> Sent {
        self.sent.recv_timeout(TIMEOUT).expect("the switch sends")
    }

    #[track_caller]
    fn sees_nothing(&self) {
        assert!(self.sent.try_recv().is_err(), "nothing further was sent");
    }
}

fn serve(dialect: &'static Dialect, mut stream: TcpStream, sent: &Sender<Sent>) -> Option<()> {
    loop {
        let mut len = [0; 2];
        stream.read_exact(&mut len).ok()?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut bytes).ok()?;
        let mut index = FieldIndex::new();
        dialect
            .parse(&bytes, &mut index)
            .expect("the issuer is spoken to in its own dialect");
        let message = MessageRef::new(&bytes, &index);
        assert_eq!(message.check_requirements(), Ok(()));
        let mut out = [0; 1024];
        let len = answer(dialect, message, &mut out);
        sent.send(Sent { bytes, dialect }).ok()?;
        if let Some(len) = len {
            stream.write_all(&framed(&out[..len])).ok()?;
        }
    }
}

fn answer(dialect: &'static Dialect, message: MessageRef<'_>, out: &mut [u8]) -> Option<usize> {
    let approved = ResponseCode::APPROVED;
    if message.mti().class() == Class::Reversal {
        return translate::write_acknowledgement(dialect, message, approved, out).ok();
    }
    let mut amount = [0; 12];
    let code = &message.decode(4, &mut amount)?[9..];
    let code = if is_1993(dialect) { code } else { &code[1..] };
    let code = ResponseCode::read(code).ok()?;
    if code.digits().as_bytes().ends_with(b"99") {
        return None;
    }
    let mut answer = Answer::of(code);
    if code.is_approval() {
        answer.authorisation = AuthorisationId::new("DE38", b"A1B2C3").ok()?;
    }
    translate::write_answer(dialect, message, &answer, out).ok()
}

/// A switch between an acquirer and an issuer.
struct Scene {
    folder: PathBuf,
    node: Node,
    issuer: Issuer,
    session: Session,
    acquirer: &'static Dialect,
}

impl Scene {
    fn open(name: &str, acquirer: &str, issuer: &str) -> Self {
        Self::open_with(name, acquirer, issuer, "", "")
    }

    /// With further keys of listener and issuer.
    fn open_with(name: &str, acquirer: &str, issuer: &str, of_pos: &str, of_bank: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), &format!("translation-{name}"));
        let bank = Issuer::start(dialect(issuer));
        let more = [
            format!("dialect = \"{acquirer}\"\n{of_pos}"),
            format!("dialect = \"{issuer}\"\n{of_bank}"),
        ];
        let config = configuration(&folder, bank.address, &more);
        let key = [("NJIA_TEST_KEY", KEY)];
        let state = folder.join("state");
        let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
        let session = Session::connect(node.listener()).unwrap();
        Self {
            folder,
            node,
            issuer: bank,
            session,
            acquirer: dialect(acquirer),
        }
    }

    fn ask(&mut self, message: &[u8]) -> Received {
        self.session.send(message).unwrap();
        self.session.receive_in(self.acquirer).unwrap()
    }

    fn close(self) {
        assert!(self.node.terminate().unwrap().success());
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn configuration(folder: &Path, issuer: SocketAddr, more: &[String; 2]) -> PathBuf {
    let [of_pos, of_bank] = more;
    let state = folder.join("state");
    let text = format!(
        r#"
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
{of_pos}

[[issuer]]
name = "bank"
addresses = ["{issuer}"]
institution = "100001"
links = 1
sign_on = false
echo_idle_s = 3600
{of_bank}

[[route]]
name = "all"
prefixes = ["5061"]
candidates = ["bank"]
deadline_ms = 3_000
"#,
        state.display()
    );
    fs::create_dir_all(&state).unwrap();
    let path = folder.join("njia.toml");
    fs::write(&path, text).unwrap();
    path
}

fn now() -> WallTime {
    let clock = Clock::start();
    clock.wall(clock.now())
}

/// A message of the acquirer's edition; `mti` is that of 1987.
struct Draft {
    mti: &'static str,
    stan: &'static str,
    amount: &'static str,
    original: Option<(&'static str, &'static str)>,
    sent: WallTime,
}

impl Draft {
    fn purchase(mti: &'static str, stan: &'static str, amount: &'static str) -> Self {
        Self {
            mti,
            stan,
            amount,
            original: None,
            sent: now(),
        }
    }

    fn repeat(&self, mti: &'static str) -> Self {
        Self { mti, ..*self }
    }

    /// Its reversal, with a STAN of its own.
    fn reversal(&self, mti: &'static str, stan: &'static str) -> Self {
        Self {
            mti,
            stan,
            original: Some((self.mti, self.stan)),
            ..*self
        }
    }

    /// Local time is that of the original in all messages of a transaction.
    fn write(&self, dialect: &'static Dialect) -> Vec<u8> {
        let later = is_1993(dialect);
        let transmitted = TransmissionTime::at(self.sent).digits();
        let year = self.sent.civil().year % 100;
        let local = format!("{year:02}{}", String::from_utf8_lossy(&transmitted));
        let rrn = match self.original {
            Some((_, stan)) => format!("000000{stan}"),
            None => format!("000000{}", self.stan),
        };
        let mut fields: Vec<(u8, Vec<u8>)> = vec![
            (2, b"5061001234567890".to_vec()),
            (3, b"000000".to_vec()),
            (4, format!("{:0>12}", self.amount).into_bytes()),
            (7, transmitted.to_vec()),
            (11, self.stan.into()),
            (32, b"628123".to_vec()),
            (37, rrn.into_bytes()),
            (41, b"TERM0001".to_vec()),
            (42, b"MERCHANT0000001".to_vec()),
        ];
        if later {
            let function: &[u8] = match self.mti.as_bytes()[1] {
                b'1' => b"100",
                b'2' => b"200",
                _ => b"400",
            };
            fields.extend([
                (12, local.clone().into_bytes()),
                (24, function.to_vec()),
                (26, b"5411".to_vec()),
                (43, b"DUKA LA MAMA NJERI".to_vec()),
                (49, b"KES".to_vec()),
            ]);
        } else {
            fields.extend([
                (12, transmitted[4..].to_vec()),
                (13, transmitted[..4].to_vec()),
                (18, b"5411".to_vec()),
                (22, b"051".to_vec()),
                (43, format!("{:40}", "DUKA LA MAMA NJERI").into_bytes()),
                (49, b"404".to_vec()),
            ]);
        }
        if let Some((mti, stan)) = self.original {
            fields.retain(|(number, _)| ![22, 43].contains(number));
            let original = if later {
                let mti = format!("1{}", &mti[1..3]);
                (56, format!("{mti}0{stan}{local}06628123"))
            } else {
                let transmitted = String::from_utf8_lossy(&transmitted).into_owned();
                (90, format!("{mti}{stan}{transmitted}{:022}", 0))
            };
            fields.push((original.0, original.1.into_bytes()));
        }
        fields.sort();
        let mti = Mti::new(self.mti.as_bytes().try_into().unwrap()).unwrap();
        let mut out = vec![0; 1024];
        let mut writer = Writer::new(dialect, mti.in_version(dialect.version()), &mut out);
        for (number, value) in &fields {
            writer.put(*number, value).unwrap();
        }
        let len = writer.finish().unwrap();
        out.truncate(len);
        out
    }
}

/// `mti` of 1987, and a code of 1987 and 1993, as a dialect has them.
fn of(dialect: &Dialect, mti: &str, codes: [&str; 2]) -> (String, String) {
    let mti = Mti::new(mti.as_bytes().try_into().unwrap()).unwrap();
    let code = codes[usize::from(is_1993(dialect))];
    (
        mti.in_version(dialect.version()).to_string(),
        code.to_owned(),
    )
}

#[track_caller]
fn told(scene: &mut Scene, draft: &Draft, mti: &str, codes: [&str; 2]) {
    let acquirer = scene.acquirer;
    let sent = draft.write(acquirer);
    let answer = scene.ask(&sent);
    let found = (answer.mti(), answer.text(39));
    assert_eq!(found, of(acquirer, mti, codes), "{acquirer:?}");
    let sent = Sent {
        bytes: sent,
        dialect: acquirer,
    };
    for echoed in [2, 3, 4, 7, 11, 12, 32, 37, 41, 42, 49] {
        assert_eq!(answer.text(echoed), sent.text(echoed), "DE{echoed}");
    }
}

/// Approved, declined, repeated, reversed, timed out: the same in all pairs.
fn check_pair(acquirer: &str, issuer: &str) {
    let mut scene = Scene::open(&format!("{acquirer}-{issuer}"), acquirer, issuer);
    let to = dialect(issuer);
    let first = Draft::purchase("0200", "000001", "1000");
    told(&mut scene, &first, "0210", ["00", "000"]);
    let sent = scene.issuer.next();
    check_request(&sent, to, &first, "0200");
    told(&mut scene, &first.repeat("0201"), "0210", ["00", "000"]);
    let other = Draft {
        amount: "2000",
        ..first.repeat("0200")
    };
    told(&mut scene, &other, "0210", ["94", "913"]);
    scene.issuer.sees_nothing();

    let hold = Draft::purchase("0100", "000002", "1000");
    told(&mut scene, &hold, "0110", ["00", "000"]);
    check_request(&scene.issuer.next(), to, &hold, "0100");
    let declined = Draft::purchase("0200", "000003", if is_1993(to) { "1116" } else { "1051" });
    told(&mut scene, &declined, "0210", ["51", "116"]);
    scene.issuer.next();

    // An acquirer's reversal, as request, as advice, and again.
    for (draft, mti, answer, stan) in [
        (&hold, "0400", "0410", "000004"),
        (&first, "0420", "0430", "000005"),
    ] {
        let reversal = draft.reversal(mti, stan);
        told(&mut scene, &reversal, answer, ["00", "400"]);
        check_reversal(&scene.issuer.next(), to, draft);
        let again = if mti == "0400" { "0401" } else { "0421" };
        told(&mut scene, &reversal.repeat(again), answer, ["00", "400"]);
        told(
            &mut scene,
            &draft.repeat(draft.mti),
            &response(draft.mti),
            ["94", "913"],
        );
    }
    let of_declined = declined.reversal("0420", "000006");
    told(&mut scene, &of_declined, "0430", ["00", "400"]);
    scene.issuer.sees_nothing();

    // No answer: 91 (911), and the switch owes the reversal.
    let silent = Draft::purchase("0200", "000007", "1999");
    told(&mut scene, &silent, "0210", ["91", "911"]);
    scene.issuer.next();
    check_reversal(&scene.issuer.next(), to, &silent);
    told(&mut scene, &silent.repeat("0201"), "0210", ["91", "911"]);
    scene.close();
}

fn response(mti: &str) -> String {
    let mti = Mti::new(mti.as_bytes().try_into().unwrap()).unwrap();
    mti.response().unwrap().to_string()
}

#[track_caller]
fn check_request(sent: &Sent, to: &Dialect, draft: &Draft, mti: &str) {
    assert_eq!(sent.mti(), of(to, mti, ["", ""]).0);
    assert_eq!(sent.text(4), format!("{:0>12}", draft.amount));
    assert_eq!(sent.text(37), format!("000000{}", draft.stan));
    let transmitted = TransmissionTime::at(draft.sent).digits();
    let transmitted = String::from_utf8_lossy(&transmitted).into_owned();
    if is_1993(to) {
        let year = draft.sent.civil().year % 100;
        assert_eq!(sent.text(12), format!("{year:02}{transmitted}"));
        let function = if mti == "0100" { "100" } else { "200" };
        assert_eq!(
            (sent.text(24).as_str(), sent.text(26).as_str()),
            (function, "5411")
        );
    } else {
        let local = format!("{}{}", sent.text(13), sent.text(12));
        assert_eq!((local, sent.text(18)), (transmitted, "5411".to_owned()));
    }
    assert_eq!(sent.text(43).trim_end(), "DUKA LA MAMA NJERI");
}

/// It names the original by what the issuer was sent, which the issuer's own fields say.
#[track_caller]
fn check_reversal(sent: &Sent, to: &Dialect, draft: &Draft) {
    assert_eq!(sent.mti(), of(to, "0420", ["", ""]).0);
    assert_eq!(sent.text(4), format!("{:0>12}", draft.amount));
    let (number, mti) = if is_1993(to) {
        (56, format!("1{}", &draft.mti[1..]))
    } else {
        (90, draft.mti.to_owned())
    };
    let original = sent.text(number);
    assert_eq!(original[..4], *mti);
    assert_eq!(original[4..10], sent.text(11), "the STAN of the leg");
    if is_1993(to) {
        assert_eq!(original[10..22], sent.text(12));
        assert_eq!(sent.text(24), "400");
    }
    assert_eq!(sent.text(37), format!("000000{}", draft.stan));
}

//= docs/rules.md#M-05
#[test]
fn an_acquirer_of_1987_and_an_issuer_of_1993() {
    check_pair("iso87-ascii", "iso93-ascii");
    check_pair("iso87-bcd", "iso93-ebcdic-cp037");
}

#[test]
fn an_acquirer_of_1993_and_an_issuer_of_1987() {
    check_pair("iso93-ascii", "iso87-ascii");
    check_pair("iso93-ebcdic-cp500", "iso87-bcd");
}

#[test]
fn both_of_one_edition() {
    check_pair("iso87-ascii", "iso87-ebcdic-cp1047");
    check_pair("iso93-bcd", "iso93-ascii-hex");
    check_pair("iso93-ascii", "iso93-ascii");
}

/// What the issuer says otherwise than the standard, and what the acquirer is told otherwise.
#[test]
fn codes_are_those_of_each_endpoint() {
    let of_pos = "code_map = [\"12=13\"]\ntimeout_answer = \"68\"\n";
    let of_bank = "code_map = [\"180=55\"]\napproval_codes = [\"000-003\", \"185\"]\n";
    let mut scene = Scene::open_with("codes", "iso87-ascii", "iso93-ascii", of_pos, of_bank);
    let codes = [
        ("000001", "1000", "00"),
        ("000002", "1180", "55"),
        ("000003", "1185", "00"),
        ("000004", "1004", "05"),
        ("000005", "1110", "12"),
        ("000006", "1208", "41"),
        ("000007", "1250", "04"),
        ("000008", "1126", "63"),
        ("000009", "1190", "05"),
        ("000010", "1400", "05"),
        ("000011", "1907", "91"),
        ("000012", "1911", "91"),
    ];
    for (stan, amount, code) in codes {
        let draft = Draft::purchase("0200", stan, amount);
        told(&mut scene, &draft, "0210", [code, code]);
        scene.issuer.next();
    }
    let silent = Draft::purchase("0200", "000020", "1999");
    told(&mut scene, &silent, "0210", ["68", "68"]);
    let reversed = scene
        .node
        .metric("njia_reversals_total", &["result=\"owed\""]);
    assert_eq!(
        reversed.unwrap(),
        1.0,
        "no decline was taken for anything else"
    );
    scene.close();
}

/// The acquirer counts shillings with three decimal places, the issuer with two as ISO 4217 does.
#[test]
fn each_endpoint_counts_in_its_own_units() {
    let of_pos = "exponent_override = [\"KES=3\"]\n";
    let mut scene = Scene::open_with("units", "iso87-ascii", "iso93-ascii", of_pos, "");
    let draft = Draft::purchase("0200", "000001", "10000");
    told(&mut scene, &draft, "0210", ["00", "000"]);
    assert_eq!(scene.issuer.next().text(4), "000000001000");
    let odd = Draft::purchase("0200", "000002", "10005");
    let answer = scene.ask(&odd.write(scene.acquirer));
    assert_eq!(
        (answer.text(39).as_str(), answer.text(44).as_str()),
        ("30", "004")
    );
    told(
        &mut scene,
        &draft.reversal("0420", "000003"),
        "0430",
        ["00", "400"],
    );
    assert_eq!(scene.issuer.next().text(4), "000000001000");
    scene.issuer.sees_nothing();
    scene.close();
}

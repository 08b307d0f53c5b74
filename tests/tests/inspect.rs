//! `njia inspect message` and `njia inspect dialect`, as a person or a script runs them: the real
//! binary, its arguments, its input, and everything that it answers.

#[path = "inspect/documents.rs"]
mod documents;
#[path = "inspect/faults.rs"]
mod faults;
#[path = "inspect/planted.rs"]
mod planted;
#[path = "inspect/shown.rs"]
mod shown;
#[path = "inspect/streams.rs"]
mod streams;
#[path = "inspect/table.rs"]
mod table;
#[path = "inspect/toml.rs"]
mod toml;
#[path = "inspect/usage.rs"]
mod usage;
#[path = "inspect/vectors.rs"]
mod vectors;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use iso8583::{Dialect, Framing, Mti, Writer};
use njia_tests::e2e::Build;
use serde_json::Value;

/// What a command answered.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `njia inspect` with these arguments and this standard input.
#[track_caller]
fn inspect(arguments: &[&str], input: &[u8]) -> Told {
    let mut child = Command::new(Build::Product.njia())
        .arg("inspect")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever refuses the arguments does not read; whoever reads does so before it answers.
    child.stdin.take().unwrap().write_all(input).ok();
    let output = child.wait_with_output().unwrap();
    Told {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `njia inspect message`.
#[track_caller]
fn message(arguments: &[&str], input: &[u8]) -> Told {
    inspect(&[&["message"], arguments].concat(), input)
}

/// `njia inspect message` of bytes on standard input, in a dialect.
#[track_caller]
fn of_bytes(dialect: &Dialect, arguments: &[&str], bytes: &[u8]) -> Told {
    let named = ["--dialect", dialect.name(), "--raw"];
    message(&[&named, arguments, &["-"]].concat(), bytes)
}

impl Told {
    /// All of standard output, where nothing was wrong.
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(
            (self.code, self.err.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        self.out
    }

    /// Standard output, where messages could not be read.
    #[track_caller]
    fn unreadable(self, told: &str) -> String {
        assert_eq!(self.err, format!("njia: {told} (exit 1)\n"), "{}", self.out);
        assert_eq!(self.code, Some(1));
        self.out
    }
}

/// An object a line.
#[track_caller]
fn objects(out: &str) -> Vec<Value> {
    let object = |line| serde_json::from_str(line).unwrap();
    out.lines().map(object).collect()
}

#[track_caller]
fn object(out: &str) -> Value {
    let objects = objects(out);
    let [object] = &objects[..] else {
        panic!("{out}");
    };
    object.clone()
}

/// Lines with a single space wherever there are several.
fn lines(out: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    out.lines().map(words).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn written(dialect: &'static Dialect, mti: &[u8; 4], fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let mut writer = Writer::new(dialect, Mti::new(*mti).unwrap(), &mut out);
    for (number, value) in fields {
        writer.put(*number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

/// A message with what frames it; nothing is a keep-alive.
#[track_caller]
fn framed(framing: &str, message: &[u8]) -> Vec<u8> {
    let framing = Framing::by_name(framing).unwrap();
    let mut out = vec![0; framing.header_len() + message.len() + framing.trailer_len()];
    out[framing.header_len()..][..message.len()].copy_from_slice(message);
    let len = framing.enclose(&mut out, message.len()).unwrap();
    out.truncate(len);
    out
}

/// A purchase with a card, a PIN, chip data and a MAC.
fn purchase() -> Vec<u8> {
    written(Dialect::ISO87_ASCII, b"0200", &PURCHASE)
}

/// The number has a good check digit, and nothing else has three digits of it.
const PURCHASE: [(u8, &[u8]); 17] = [
    (2, b"5061069876543216"),
    (3, b"000000"),
    (4, b"000000001500"),
    (7, b"0601120000"),
    (11, b"000042"),
    (12, b"150000"),
    (13, b"0601"),
    (22, b"051"),
    (32, b"200200"),
    (35, b"5061069876543216=28122011234567890123"),
    (37, b"815202000042"),
    (41, b"TERM0001"),
    (49, b"404"),
    (52, &[0x9A, 0x87, 0x6F, 0x5E, 0xD4, 0xC3, 0xB2, 0xA1]),
    (55, CHIP_DATA),
    (63, b"private"),
    (64, &[0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3, 4]),
];

/// 9F26, 9F36, 5A, 57, and 9F36 once more.
const CHIP_DATA: &[u8] = &[
    0x9F, 0x26, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x9F, 0x36, 2, 0, 42, 0x5A, 8, 0x50, 0x61, 0x06, 0x98,
    0x76, 0x54, 0x32, 0x16, 0x57, 4, 0x50, 0x61, 0xD2, 0x81, 0x9F, 0x36, 2, 0, 43,
];

/// A folder for the files of one test.
fn folder(name: &str) -> PathBuf {
    njia_tests::e2e::folder(env!("CARGO_TARGET_TMPDIR"), &format!("inspect-{name}"))
}

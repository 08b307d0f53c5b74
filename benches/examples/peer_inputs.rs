//! What the codec and its peers do with inputs that are wrong: the table of `docs/codec-peers.md`.
//!
//! Each input is the message of the bench with one thing wrong, in the bytes that the peer reads.
//! An answer that is not an error is an acceptance. A peer may panic; that is caught and noted.
//! `cargo run --locked -p njia-benches --example peer_inputs`

#[path = "../benches/peers/mod.rs"]
#[expect(dead_code, reason = "shared with the bench")]
mod peers;

use std::panic::{AssertUnwindSafe, catch_unwind};

use peers::json_codec::Checks;
use peers::message::{Bits, Form, Wire, wire};
use peers::ours::{BINARY, HEX, MIXED, TEXT};
use peers::{Read, core_crate, json_codec, ours, slices, yaml_spec};

/// A column of the table.
struct Column {
    name: &'static str,
    form: Form,
    read: fn(&[u8]) -> Read,
}

const COLUMNS: [Column; 8] = [
    Column {
        name: "`iso87-ascii`",
        form: BINARY,
        read: |bytes| ours::read(ours::dialect(BINARY), bytes),
    },
    Column {
        name: "`iso87-ascii-hex`",
        form: HEX,
        read: |bytes| ours::read(ours::dialect(HEX), bytes),
    },
    Column {
        name: "i8583",
        form: MIXED,
        read: slices::read,
    },
    Column {
        name: "iso8583_rs",
        form: BINARY,
        read: yaml_spec::read,
    },
    Column {
        name: "iso8583-codec-rs",
        form: MIXED,
        read: |bytes| json_codec::read(MIXED, bytes, Checks::Parser),
    },
    Column {
        name: "with its validator",
        form: MIXED,
        read: |bytes| json_codec::read(MIXED, bytes, Checks::Validator),
    },
    Column {
        name: "iso8583-core",
        form: TEXT,
        read: |bytes| core_crate::read(bytes, Checks::Parser),
    },
    Column {
        name: "with its validator",
        form: TEXT,
        read: |bytes| core_crate::read(bytes, Checks::Validator),
    },
];

/// A row: what is wrong, and the bytes that have it; `None` where a form cannot have it.
type Row = (&'static str, fn(Form) -> Option<Vec<u8>>);

const ROWS: [Row; 11] = [
    ("a letter in DE2", |form| {
        value(form, 2, 2, b"50610012345678X2")
    }),
    ("a letter in DE4", |form| value(form, 4, 0, b"00000000150A")),
    ("a letter in DE11", |form| value(form, 11, 0, b"00004X")),
    ("bytes 00 to 05 in DE11", |form| {
        value(form, 11, 0, &[0, 1, 2, 3, 4, 5])
    }),
    ("month 13 in DE13", |form| value(form, 13, 0, b"1301")),
    ("MTI X200", |form| {
        let mut bytes = wire(form).bytes;
        bytes[0] = b'X';
        Some(bytes)
    }),
    ("length `+9` of DE2, nine digits", |form| {
        Some(instead_of_de2(form, b"+9506100123"))
    }),
    ("length `1x` of DE2", |form| value(form, 2, 0, b"1x")),
    ("PAN of 20 digits", |form| {
        Some(instead_of_de2(form, b"2050610012345678920000"))
    }),
    ("two bytes behind the last field", |form| {
        Some([&wire(form).bytes[..], b"00"].concat())
    }),
    ("`G` in the bitmap", |form| {
        let mut bytes = wire(form).bytes;
        bytes[8] = b'G';
        (form.bits == Bits::Hex).then_some(bytes)
    }),
];

fn main() {
    yaml_spec::with_spec();
    for column in &COLUMNS {
        let read = (column.read)(&wire(column.form).bytes);
        assert!(
            read.is_ok(),
            "{} refuses the message: {read:?}",
            column.name
        );
    }
    std::panic::set_hook(Box::new(|_| {}));
    let names = COLUMNS.iter().map(|column| column.name);
    line("input", names.map(str::to_owned));
    line("---", COLUMNS.iter().map(|_| "---".to_owned()));
    for (name, bytes) in ROWS {
        line(
            name,
            COLUMNS
                .iter()
                .map(|column| cell(column, bytes(column.form))),
        );
    }
    line("cut at every byte", COLUMNS.iter().map(cuts));
}

fn line(name: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// What a peer made of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Accepted,
    Panicked,
}

fn outcome(column: &Column, bytes: &[u8]) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| (column.read)(bytes))) {
        Ok(Ok(_)) => Outcome::Accepted,
        Ok(Err(_)) => Outcome::Refused,
        Err(_) => Outcome::Panicked,
    }
}

fn cell(column: &Column, bytes: Option<Vec<u8>>) -> String {
    let Some(bytes) = bytes else {
        return "–".to_owned();
    };
    match outcome(column, &bytes) {
        Outcome::Refused => "refused".to_owned(),
        Outcome::Accepted => "**accepted**".to_owned(),
        Outcome::Panicked => "**panics**".to_owned(),
    }
}

/// Every beginning of the message that is not all of it.
fn cuts(column: &Column) -> String {
    let bytes = wire(column.form).bytes;
    let outcomes: Vec<Outcome> = (0..bytes.len())
        .map(|len| outcome(column, &bytes[..len]))
        .collect();
    let count = |wanted| {
        outcomes
            .iter()
            .filter(|outcome| **outcome == wanted)
            .count()
    };
    match (count(Outcome::Accepted), count(Outcome::Panicked)) {
        (0, 0) => format!("refused, all {}", bytes.len()),
        (0, panics) => format!("**panics at {panics}** of {}", bytes.len()),
        (accepted, panics) => {
            format!(
                "**accepts {accepted}, panics at {panics}** of {}",
                bytes.len()
            )
        }
    }
}

/// The message with other bytes in a field, `skip` behind its start.
fn value(form: Form, number: u8, skip: usize, other: &[u8]) -> Option<Vec<u8>> {
    let Wire { mut bytes, starts } = wire(form);
    let at = starts.iter().find(|start| start.0 == number)?.1 + skip;
    bytes[at..at + other.len()].copy_from_slice(other);
    Some(bytes)
}

/// The message with another DE2, length and all.
fn instead_of_de2(form: Form, other: &[u8]) -> Vec<u8> {
    let Wire { bytes, starts } = wire(form);
    let (from, to) = (starts[0].1, starts[1].1);
    [&bytes[..from], other, &bytes[to..]].concat()
}

//! Records as lines: text for people, JSON for programs. Both say what [`super::fields`] shows.

use std::io::Write as _;

use domain::ids::{Lsn, ShardId};
use domain::record::Record;
use persistence::identity::JournalUuid;
use persistence::manifest::PartyNames;
use persistence::record::RecordType;

use super::fields::{self, Sink, Value};

/// The version of the JSON objects. Fields are only added to it; one that changes its meaning or
/// goes makes a new version.
pub(super) const SCHEMA: u64 = 1;

const CARRIED: &str = "carried";

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) node: Option<u16>,
    pub(super) journal: JournalUuid,
    /// `None` of a record that PostgreSQL holds.
    pub(super) generation: Option<u32>,
    pub(super) shard: ShardId,
    /// It lies in a checkpoint: the first segment that this does not cover.
    pub(super) checkpoint: Option<u64>,
    pub(super) lsn: Lsn,
    /// Its segment and where its batch begins; `None` of a record that PostgreSQL holds.
    pub(super) file: Option<(u64, u64)>,
    /// It was carried over from an earlier generation.
    pub(super) is_carried: bool,
}

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl Form {
    /// Appends one record to `out`, with a line feed.
    pub(super) fn write(
        self,
        place: &Place,
        record: &Record<'_>,
        names: &PartyNames,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Text => text(place, record, names, out),
            Self::Json => json(place, record, names, out),
        }
    }
}

fn text(place: &Place, record: &Record<'_>, names: &PartyNames, out: &mut Vec<u8>) {
    let at = fields::at(record);
    let (transaction, word) = (record.transaction(), RecordType::of(record).word());
    // Writing to memory does not fail.
    if let Some(generation) = place.generation {
        drop(write!(out, "{generation}/"));
    }
    let Place { shard, lsn, .. } = place;
    drop(write!(out, "{shard} {lsn} {at} {transaction} {word}"));
    if place.is_carried {
        TextLine(out).put(CARRIED, Value::Flag(true));
    }
    fields::put(record, names, &mut TextLine(out));
    out.push(b'\n');
}

fn json(place: &Place, record: &Record<'_>, names: &PartyNames, out: &mut Vec<u8>) {
    let mut line = Object::begin(out);
    line.put("schema", Value::Number(SCHEMA));
    if let Some(node) = place.node {
        line.put("node", Value::Number(u64::from(node)));
    }
    line.put("journal", Value::Text(&place.journal.to_string()));
    if let Some(generation) = place.generation {
        line.put("generation", Value::Number(u64::from(generation)));
    }
    line.put("shard", Value::Number(u64::from(place.shard.0)));
    if let Some(checkpoint) = place.checkpoint {
        line.put("checkpoint", Value::Number(checkpoint));
    }
    line.put("lsn", Value::Number(place.lsn.0));
    if let Some((segment, offset)) = place.file {
        line.put("segment", Value::Number(segment));
        line.put("offset", Value::Number(offset));
    }
    line.put("type", Value::Text(RecordType::of(record).word()));
    line.put(
        "transaction",
        Value::Text(&record.transaction().to_string()),
    );
    line.put("at", Value::Text(&fields::at(record).to_string()));
    if place.is_carried {
        line.put(CARRIED, Value::Flag(true));
    }
    fields::put(record, names, &mut line);
    line.end();
    out.push(b'\n');
}

/// Fields as ` key=value` behind what stands in the line.
pub(super) struct TextLine<'a>(pub(super) &'a mut Vec<u8>);

impl Sink for TextLine<'_> {
    fn put(&mut self, key: &'static str, value: Value<'_>) {
        let out = &mut *self.0;
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"')
        };
        drop(match value {
            Value::Text(text) if plain(text) => write!(out, " {key}={text}"),
            Value::Text(text) => write!(out, " {key}=\"{}\"", text.escape_debug()),
            Value::Number(number) => write!(out, " {key}={number}"),
            Value::Flag(flag) => write!(out, " {key}={flag}"),
            Value::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(out, " {key}={}", numbers.join(","))
            }
        });
    }

    fn put_more(&mut self, _: &'static str, _: Value<'_>) {}
}

/// A JSON object in one line.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_empty: true,
        }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// A list, each member of which `write` puts behind what is there.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        members: &[T],
        write: impl Fn(&T, &mut Vec<u8>),
    ) {
        drop(write!(self.out, ",\"{key}\":["));
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write(member, self.out);
        }
        self.out.push(b']');
    }
}

impl Sink for Object<'_> {
    fn put(&mut self, key: &'static str, value: Value<'_>) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        let out = &mut *self.out;
        drop(match value {
            Value::Text(text) => {
                drop(write!(out, "\"{key}\":"));
                string(text, out);
                Ok(())
            }
            Value::Number(number) => write!(out, "\"{key}\":{number}"),
            Value::Flag(flag) => write!(out, "\"{key}\":{flag}"),
            Value::Numbers(numbers) => {
                let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(out, "\"{key}\":[{}]", numbers.join(","))
            }
        });
    }
}

/// Everything beyond printable ASCII is escaped: a terminal takes some of it for commands.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            ' '..='~' => out.push(character as u8),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    drop(write!(out, "\\u{unit:04x}"));
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_a_string_that_a_parser_reads_back() {
        for text in [
            "",
            "plain",
            "a \"b\" \\ c",
            "line\nfeed\u{1b}[0m",
            "clôturé 💳",
        ] {
            let mut out = Vec::new();
            let mut object = Object::begin(&mut out);
            object.put("text", Value::Text(text));
            object.put("numbers", Value::Numbers(&[1, 2]));
            object.put("flag", Value::Flag(true));
            object.end();
            assert!(
                out.iter().all(|byte| (b' '..=b'~').contains(byte)),
                "{text:?}"
            );
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(read["text"], text);
            assert_eq!(read["numbers"][1], 2);
        }
    }

    #[test]
    fn a_value_in_text_stays_one_word_in_one_line() {
        let check = |value, expected: &str| {
            let mut out = Vec::new();
            TextLine(&mut out).put("k", value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(Value::Text("506100******1234"), " k=506100******1234");
        check(Value::Text("two words"), " k=\"two words\"");
        check(Value::Text("a\"b\n"), " k=\"a\\\"b\\n\"");
        check(Value::Numbers(&[74, 86]), " k=74,86");
    }
}

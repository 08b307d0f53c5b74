//! A message as one JSON object on one line, for scripts.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::ops::Range;

use iso8583::bitmap::Bitmap;
use iso8583::parts::{self, Part, Path, Value, Visitor};
use iso8583::{Dialect, Mti};
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use super::frames::{self, Content, Message, Piece, Wire};
use super::message::missing;
use super::pretty::SCRATCH_LEN;

/// Keys and values in the order in which they were put.
#[derive(Debug, Default)]
struct Ordered(Vec<(String, String)>);

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Everything beyond ASCII is escaped: a terminal takes some of these characters for commands, and
/// a field may hold any.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        fragment.chars().try_for_each(|character| match character {
            ' '..='~' => write!(writer, "{character}"),
            _ => {
                let mut units = [0; 2];
                let mut units = character.encode_utf16(&mut units).iter();
                units.try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
            }
        })
    }
}

/// What is printed.
#[derive(Debug, Default, Serialize)]
struct Object {
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Ordered>,
    #[serde(serialize_with = "digits")]
    mti: Option<Mti>,
    fields: Ordered,
    /// What a message of the type must have and this one has not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    malformed: Vec<Malformed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    /// The fields that the bitmaps announce.
    #[serde(skip)]
    announced: Bitmap,
    /// How often each key was wanted.
    #[serde(skip)]
    seen: HashMap<String, u32>,
}

fn digits<S: Serializer>(mti: &Option<Mti>, serializer: S) -> Result<S::Ok, S::Error> {
    match mti {
        Some(mti) => serializer.collect_str(mti),
        None => serializer.serialize_none(),
    }
}

/// Where the message stands in the stream.
#[derive(Debug, Serialize)]
struct Frame {
    /// Bytes from the start of the input.
    offset: usize,
    /// Bytes of all of it.
    len: usize,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
}

/// What a field holds is malformed; the message itself can be read.
#[derive(Debug, Serialize)]
struct Malformed {
    /// The field, or the part of it.
    path: String,
    /// Bytes from the start of the message.
    offset: usize,
    rule: String,
}

/// Where it stopped.
#[derive(Debug, Serialize)]
struct Fault {
    /// 0 is the type indicator, 1 a bitmap; none where frame or header cannot be read.
    field: Option<u8>,
    /// Bytes from the start of the message; from that of the stream where there is no field.
    offset: usize,
    rule: String,
}

/// Writes a piece of a stream: nothing for a keep-alive. Whether it can be read.
pub(super) fn write(
    piece: &Piece<'_>,
    wire: Wire,
    dialect: &'static Dialect,
    out: &mut dyn Write,
) -> std::io::Result<bool> {
    let mut object = match &piece.content {
        Content::Message(message) => object_of(message, piece.offset, dialect),
        Content::KeepAlive => return Ok(true),
        Content::Refused { offset, rule } => Object {
            error: Some(Fault {
                field: None,
                offset: *offset,
                rule: rule.clone(),
            }),
            ..Object::default()
        },
    };
    object.frame = wire.framing.map(|_| Frame {
        offset: piece.offset,
        len: piece.len,
        rule: match &piece.content {
            Content::Message(message) => message.cut.clone(),
            Content::KeepAlive | Content::Refused { .. } => None,
        },
    });
    object.serialize(&mut serde_json::Serializer::with_formatter(
        &mut *out, Ascii,
    ))?;
    writeln!(out)?;
    Ok(object.error.is_none())
}

fn object_of(message: &Message<'_>, offset: usize, dialect: &'static Dialect) -> Object {
    let mut object = Object {
        header: message
            .header
            .as_ref()
            .map(|header| Ordered(frames::told(header, message.reject))),
        ..Object::default()
    };
    let mut scratch = vec![0; SCRATCH_LEN];
    let read = parts::visit(dialect, message.bytes, &mut scratch, &mut object);
    let cut = || {
        message.cut.clone().map(|rule| Fault {
            field: None,
            offset,
            rule,
        })
    };
    if let (Ok(()), Some(mti)) = (read, object.mti) {
        object.missing = missing(dialect, mti, object.announced);
    }
    object.error = match read {
        Ok(()) => cut(),
        Err(error) => Some(Fault {
            field: Some(error.field),
            offset: usize::try_from(error.offset).unwrap_or(usize::MAX),
            rule: error.kind.to_string(),
        }),
    };
    object
}

impl Visitor for Object {
    fn mti(&mut self, mti: Mti) {
        self.mti = Some(mti);
    }

    fn bitmaps(&mut self, _place: Range<usize>, fields: Bitmap) {
        self.announced = fields;
    }

    fn part(&mut self, part: &Part<'_>) {
        let value = match part.value {
            _ if part.fault.is_some() => return,
            Value::Parts => return,
            // Characters of Latin-1 have their own byte as number.
            Value::Text(text) => text.iter().map(|byte| char::from(*byte)).collect(),
            Value::Bytes(_) | Value::Account(_) | Value::Hidden(_) => part.value.to_string(),
        };
        let key = self.free_key(part.path);
        self.fields.0.push((key, value));
    }

    fn malformed(&mut self, path: &Path, offset: usize, rule: &dyn fmt::Display) {
        self.malformed.push(Malformed {
            path: path.to_string(),
            offset,
            rule: rule.to_string(),
        });
    }
}

impl Object {
    /// The key of a path; the second element of one tag is `55.9F36#2`.
    fn free_key(&mut self, path: Path) -> String {
        let key = path.to_string();
        let count = self.seen.entry(key.clone()).or_default();
        *count += 1;
        match count {
            1 => key,
            _ => format!("{key}#{count}"),
        }
    }
}

//! A message as text for people: one part a line, each with its place.

use std::fmt;
use std::io::Write;
use std::ops::Range;

use iso8583::bitmap::Bitmap;
use iso8583::dialect::{Layout, MtiForm};
use iso8583::error::ParseError;
use iso8583::field::{FieldSpec, Length};
use iso8583::parts::{self, Hidden, Part, Path, Value, Visitor};
use iso8583::{Dialect, Mti};

use super::frames::{self, Content, Message, Piece, Wire};
use super::message::missing;

/// Writes a piece of a stream. Whether it can be read.
pub(super) fn write(
    piece: &Piece<'_>,
    wire: Wire,
    dialect: &'static Dialect,
    out: &mut dyn Write,
) -> std::io::Result<bool> {
    if let Some(framing) = wire.framing {
        let (name, at, len) = (framing.name(), piece.offset, piece.len);
        writeln!(out, "frame {name}, {len} bytes at {at} ({at:04X})")?;
    }
    match &piece.content {
        Content::Message(message) => self::message(message, dialect, out),
        Content::KeepAlive => {
            writeln!(out, "  keep-alive")?;
            Ok(true)
        }
        Content::Refused { offset, rule } => {
            writeln!(
                out,
                "cannot be read at offset {offset} ({offset:04X}): {rule}"
            )?;
            Ok(false)
        }
    }
}

fn message(
    message: &Message<'_>,
    dialect: &'static Dialect,
    out: &mut dyn Write,
) -> std::io::Result<bool> {
    if let Some(header) = &message.header {
        let told = frames::told(header, message.reject);
        let told: Vec<String> = told
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        writeln!(out, "header {}: {}", header.form(), told.join(", "))?;
    }
    writeln!(
        out,
        "message {}, {} bytes",
        dialect.name(),
        message.bytes.len()
    )?;
    let mut page = Page::new(dialect, message.bytes);
    let mut scratch = vec![0; SCRATCH_LEN];
    let read = parts::visit(dialect, message.bytes, &mut scratch, &mut page);
    page.write(out)?;
    page.notes(read.err());
    if let Some(rule) = &message.cut {
        page.notes.push(rule.clone());
    }
    if let Err(error) = read {
        writeln!(out, "{}", stopped(dialect, message.bytes, error))?;
    }
    for note in &page.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(read.is_ok() && message.cut.is_none())
}

/// Where a message is at fault, and the bytes around.
fn stopped(dialect: &'static Dialect, message: &[u8], error: ParseError) -> String {
    let name = match error.field {
        0 => "type indicator".to_owned(),
        1 => "bitmap".to_owned(),
        number => match dialect.field(number) {
            Some(row) => format!("field {number} {} ({})", row.name, admitted(row)),
            None => format!("field {number}"),
        },
    };
    let offset = error.offset;
    let window = parts::window(dialect, message, error);
    let start = window.start();
    let bytes = if message.is_empty() {
        String::new()
    } else {
        format!("\n  {start:04X}  {window}")
    };
    let outsider = parts::outsider(dialect, message, error);
    let outsider = outsider.map(|place| format!(", the one at {place} ({place:04X})"));
    format!(
        "fault: {name}, offset {offset} ({offset:04X}): {}{}{bytes}",
        error.kind,
        outsider.unwrap_or_default()
    )
}

/// What a row takes, as the standard writes it: `n 6, hhmmss` or `z ..37`.
fn admitted(row: &FieldSpec) -> String {
    let class = row.class.name();
    let length = match row.length {
        Length::Fixed(len) => len.to_string(),
        Length::Var { max, .. } => format!("..{max}"),
    };
    if row.calendar.is_empty() {
        format!("{class} {length}")
    } else {
        format!("{class} {length}, {}", row.calendar.name())
    }
}

/// The lines of a message.
struct Page {
    dialect: &'static Dialect,
    len: usize,
    mti: Option<Mti>,
    announced: Bitmap,
    lines: Vec<Line>,
    notes: Vec<String>,
    is_doubted: bool,
    /// Without a fault, because it is none that could be masked.
    is_account_hidden: bool,
}

struct Line {
    offset: usize,
    path: String,
    name: String,
    len: usize,
    value: String,
}

impl Page {
    fn new(dialect: &'static Dialect, message: &[u8]) -> Self {
        Self {
            dialect,
            len: message.len(),
            mti: None,
            announced: Bitmap::EMPTY,
            lines: Vec::new(),
            notes: Vec::new(),
            is_doubted: false,
            is_account_hidden: false,
        }
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let widest = |of: fn(&Line) -> usize| self.lines.iter().map(of).max().unwrap_or(0);
        let path = widest(|line| line.path.len());
        let name = widest(|line| line.name.len());
        let digits = self.len.to_string().len().max(3);
        for line in &self.lines {
            let text = format!(
                "  {:04X} {:>digits$}  {:<path$}  {:<name$}  {:>digits$}  {}",
                line.offset, line.offset, line.path, line.name, line.len, line.value
            );
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }

    /// What is odd, or asked of a message of the type, beside the fault itself.
    fn notes(&mut self, error: Option<ParseError>) {
        if self.is_doubted || (self.is_account_hidden && error.is_some()) {
            self.notes.push(DOUBTED.to_owned());
        }
        // Where the pass stopped, nobody knows what is there.
        let (None, Some(mti)) = (error, self.mti) else {
            return;
        };
        for missing in missing(self.dialect, mti, self.announced) {
            let name = self.dialect.field(missing).map_or("", |row| row.name);
            self.notes.push(format!(
                "field {missing} {name} is missing: a {mti} must have it"
            ));
        }
    }

    fn line(&mut self, place: Range<usize>, path: &str, name: &str, value: String) {
        self.lines.push(Line {
            offset: place.start,
            path: path.to_owned(),
            name: name.to_owned(),
            len: place.len(),
            value,
        });
    }
}

impl Visitor for Page {
    fn mti(&mut self, mti: Mti) {
        self.mti = Some(mti);
        let form = self.dialect.form().mti;
        if form != MtiForm::None {
            let value = format!("{mti}: {}", in_words(mti));
            self.line(0..form.wire_len(), "MTI", "message type", value);
        }
    }

    fn bitmaps(&mut self, place: Range<usize>, fields: Bitmap) {
        self.announced = fields;
        let count = place
            .len()
            .checked_div(self.dialect.form().bitmap_len())
            .unwrap_or(0);
        let value = bits(self.dialect.form().layout, count, fields);
        self.line(place, "bitmap", "fields", value);
    }

    fn part(&mut self, part: &Part<'_>) {
        let depth = part.path.steps().len().saturating_sub(1);
        let path = format!("{:indent$}{}", "", part.path, indent = depth * 2);
        let place = part.offset..part.offset + part.len;
        let mut value = shown(part.value);
        if let Some(kind) = part.fault {
            value = format!("{value}  <- {kind}");
        }
        self.is_doubted |= matches!(part.value, Value::Hidden(Hidden::Doubt(_)));
        self.is_account_hidden |= matches!(part.value, Value::Hidden(Hidden::Account(_)));
        if !part.is_padded {
            let note = format!("field {}: its padding is not the dialect's", part.path);
            self.notes.push(note);
        }
        self.line(place, &path, part.name, value);
    }

    fn malformed(&mut self, path: &Path, offset: usize, rule: &dyn fmt::Display) {
        let note = format!("field {path} at offset {offset} ({offset:04X}): {rule}");
        self.notes.push(note);
    }
}

/// What a type indicator says.
fn in_words(mti: Mti) -> String {
    let words = [
        mti.version().name(),
        mti.class().name(),
        mti.function().name(),
        mti.origin().name(),
    ];
    let repeat = if mti.is_repeat() { ", repeat" } else { "" };
    format!("{}{repeat}", words.join(", "))
}

/// Bitmaps as hexadecimal digits, with the bits that announce one another, and the fields.
fn bits(layout: Layout, count: usize, fields: Bitmap) -> String {
    let mut words = [0_u64; 3];
    for number in fields {
        let place = usize::from(number - 1);
        words[place / 64] |= 1 << (63 - place % 64);
    }
    let count = match layout {
        Layout::Chained(_) => {
            for word in words.iter_mut().take(count.saturating_sub(1)) {
                *word |= 1 << 63;
            }
            count
        }
        Layout::Fixed(len) => usize::from(len).div_ceil(8),
        Layout::Positional => 0,
    };
    let digits: String = words
        .iter()
        .take(count)
        .map(|word| format!("{word:016X}"))
        .collect();
    let numbers: Vec<String> = fields.iter().map(|number| number.to_string()).collect();
    format!("{digits}: {}", numbers.join(" "))
}

fn shown(value: Value<'_>) -> String {
    match value {
        Value::Bytes(bytes) if bytes.len() > BYTES_SHOWN_MAX => {
            let first = frames::hex(bytes.get(..BYTES_SHOWN_MAX).unwrap_or_default());
            format!("{first}… {} bytes", bytes.len())
        }
        Value::Text(_) | Value::Bytes(_) | Value::Account(_) | Value::Hidden(_) | Value::Parts => {
            value.to_string()
        }
    }
}

/// Twice the longest message.
pub(super) const SCRATCH_LEN: usize = 128 << 10;
/// Of a longer value the beginning is printed.
const BYTES_SHOWN_MAX: usize = 64;
const DOUBTED: &str = "values that could be card data are hidden: with a fault in the message, \
                       nothing need be where it seems to be";

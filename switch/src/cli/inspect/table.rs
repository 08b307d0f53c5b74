//! `njia inspect dialect`: the rows of a dialect as a table. The words are those of dialect files.

use std::io::Write;

use clap::Args;
use iso8583::bitmap::Bitmap;
use iso8583::charset::Charset;
use iso8583::composite::Composite;
use iso8583::dialect::{BitmapForm, Form, MtiForm, Tertiary};
use iso8583::field::{Encoding, FieldSpec, Length};
use iso8583::packed::{Justify, Packed};
use iso8583::requirement::Requirement;
use iso8583::{Dialect, dialect, tagged};
use serde::Serialize;

use super::super::CliError;
use super::message;

#[derive(Debug, Args)]
pub(crate) struct Table {
    /// A built-in dialect, or FILE.toml, or FILE.toml:NAME; without it the built-in ones are
    /// listed.
    #[arg(value_name = "NAME")]
    dialect: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Table {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let Some(name) = &self.dialect else {
            return Ok(list(self.json, out)?);
        };
        let dialect = message::dialect(name).map_err(CliError::Usage)?;
        let told = Told::of(dialect);
        if self.json {
            serde_json::to_writer(&mut *out, &told).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            told.write(out)?;
        }
        Ok(())
    }
}

fn list(json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let names: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.name()).collect();
    if json {
        serde_json::to_writer(&mut *out, &names)?;
        return writeln!(out);
    }
    names.iter().try_for_each(|name| writeln!(out, "{name}"))
}

/// A dialect, or what a field holds, in words.
#[derive(Debug, Serialize)]
struct Told {
    name: &'static str,
    /// How the type indicator is written; none within a field.
    mti: Option<&'static str>,
    #[serde(flatten)]
    bitmap: BitmapTold,
    strict_padding: bool,
    fields: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requirements: Vec<Rule>,
}

#[derive(Debug, Serialize)]
struct BitmapTold {
    /// How a bitmap is written; none where rows stand one after the other.
    bitmap: Option<String>,
    /// Bytes of the only one; none where there may be more.
    bitmap_len: Option<u8>,
    tertiary: &'static str,
}

#[derive(Debug, Serialize)]
struct Row {
    number: u8,
    name: &'static str,
    class: &'static str,
    length: LengthTold,
    /// None where the length is fixed.
    prefix: Option<PrefixTold>,
    encoding: String,
    /// Where the digits are packed.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    packed: Option<PackedTold>,
    calendar: &'static str,
    holds: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tagged: Option<Tagged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<Told>,
    sensitivity: &'static str,
    relay: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum LengthTold {
    Fixed { fixed: u16 },
    Var { digits: u8, max: u32 },
}

#[derive(Debug, Serialize)]
struct PrefixTold {
    coding: &'static str,
    count: &'static str,
}

#[derive(Debug, Serialize)]
struct PackedTold {
    justify: &'static str,
    pad: u8,
    /// Of the sign before x+n.
    charset: &'static str,
}

#[derive(Debug, Serialize)]
struct Tagged {
    lead: u8,
    id: u8,
    id_form: &'static str,
    length: u8,
    length_form: &'static str,
    counts: &'static str,
}

#[derive(Debug, Serialize)]
struct Rule {
    mti: String,
    mandatory: Vec<u8>,
    one_of: Vec<Vec<u8>>,
    conditions: Vec<When>,
}

#[derive(Debug, Serialize)]
struct When {
    when: u8,
    then: Vec<u8>,
}

impl Told {
    fn of(dialect: &'static Dialect) -> Self {
        let form = dialect.form();
        Self {
            name: dialect.name(),
            mti: match form.mti {
                MtiForm::Text(charset) => Some(charset.name()),
                MtiForm::Packed => Some("bcd"),
                MtiForm::None => None,
            },
            bitmap: BitmapTold::of(form),
            strict_padding: form.strict_padding,
            fields: dialect.rows().map(Row::of).collect(),
            requirements: dialect.requirements().iter().map(Rule::of).collect(),
        }
    }

    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "dialect     {}", self.name)?;
        writeln!(out, "mti         {}", self.mti.unwrap_or("none"))?;
        writeln!(out, "bitmap      {}", self.bitmap.line())?;
        let padding = if self.strict_padding {
            "strict"
        } else {
            "lenient"
        };
        writeln!(out, "padding     {padding}\n")?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        self.rows("", &mut rows);
        let mut widths = [0; HEADINGS.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.len().max(*width);
            }
        }
        for row in &rows {
            let cells = row.iter().zip(widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        if !self.requirements.is_empty() {
            writeln!(out)?;
        }
        self.requirements
            .iter()
            .try_for_each(|rule| writeln!(out, "{}", rule.line()))
    }

    /// The rows, and below each those of what it holds.
    fn rows(&self, before: &str, rows: &mut Vec<[String; HEADINGS.len()]>) {
        for row in &self.fields {
            let path = format!("{before}{}", row.number);
            rows.push(row.cells(&path));
            if let Some(inner) = &row.dialect {
                let indent = path.len() - path.trim_start().len() + 2;
                inner.rows(&format!("{:indent$}{}.", "", path.trim_start()), rows);
            }
        }
    }
}

const HEADINGS: [&str; 10] = [
    "field",
    "name",
    "class",
    "length",
    "prefix",
    "encoding",
    "calendar",
    "holds",
    "sensitivity",
    "relay",
];

impl BitmapTold {
    fn of(form: Form) -> Self {
        let name = match form.bitmap {
            BitmapForm::Binary => "binary".to_owned(),
            BitmapForm::Hex(charset) => hex_in(charset),
        };
        let (bitmap, bitmap_len, tertiary) = match form.layout {
            dialect::Layout::Chained(tertiary) => (Some(name), None, tertiary),
            dialect::Layout::Fixed(len) => (Some(name), Some(len), Tertiary::None),
            dialect::Layout::Positional => (None, None, Tertiary::None),
        };
        Self {
            bitmap,
            bitmap_len,
            tertiary: match tertiary {
                Tertiary::None => "none",
                Tertiary::AfterSecondary => "after-secondary",
                Tertiary::Field65 => "field65",
            },
        }
    }

    fn line(&self) -> String {
        let name = self.bitmap.as_deref().unwrap_or("none");
        match (self.bitmap_len, self.tertiary) {
            (Some(len), _) => format!("{name}, one of {len} bytes"),
            (None, "none") => name.to_owned(),
            (None, tertiary) => format!("{name}, tertiary {tertiary}"),
        }
    }
}

impl Row {
    fn of(row: &FieldSpec) -> Self {
        let (encoding, packed) = encoding_of(row.encoding);
        let (length, prefix) = match row.length {
            Length::Fixed(len) => (LengthTold::Fixed { fixed: len }, None),
            Length::Var { digits, max } => {
                let prefix = PrefixTold {
                    coding: row.prefix.coding.name(),
                    count: row.prefix.count.name(),
                };
                (LengthTold::Var { digits, max }, Some(prefix))
            }
        };
        let (holds, tagged, dialect) = held(row.composite);
        Self {
            number: row.number,
            name: row.name,
            class: row.class.name(),
            length,
            prefix,
            encoding,
            packed,
            calendar: row.calendar.name(),
            holds,
            tagged,
            dialect,
            sensitivity: row.sensitivity.name(),
            relay: row.relay.name(),
        }
    }

    fn cells(&self, path: &str) -> [String; HEADINGS.len()] {
        let length = match self.length {
            LengthTold::Fixed { fixed } => fixed.to_string(),
            LengthTold::Var { digits, max } => {
                format!("{}VAR {max}", "L".repeat(usize::from(digits)))
            }
        };
        let prefix = self.prefix.as_ref();
        let prefix = prefix.map(|prefix| format!("{}, {}", prefix.coding, prefix.count));
        let packed = self.packed.as_ref();
        let packed = packed.map(|packed| format!(" {} {:X}", packed.justify, packed.pad));
        [
            path.to_owned(),
            self.name.to_owned(),
            self.class.to_owned(),
            length,
            prefix.unwrap_or_default(),
            format!("{}{}", self.encoding, packed.unwrap_or_default()),
            unless_none(self.calendar),
            unless_none(self.holds),
            self.sensitivity.to_owned(),
            self.relay.to_owned(),
        ]
    }
}

fn unless_none(word: &str) -> String {
    if word == "none" { "" } else { word }.to_owned()
}

fn encoding_of(encoding: Encoding) -> (String, Option<PackedTold>) {
    match encoding {
        Encoding::Text(charset) => (charset.name().to_owned(), None),
        Encoding::Binary => ("binary".to_owned(), None),
        Encoding::Hex(charset) => (hex_in(charset), None),
        Encoding::Packed(Packed { justify, pad }, charset) => {
            let justify = match justify {
                Justify::Left => "left",
                Justify::Right => "right",
            };
            let charset = charset.name();
            let packed = PackedTold {
                justify,
                pad,
                charset,
            };
            ("bcd".to_owned(), Some(packed))
        }
    }
}

fn hex_in(charset: Charset) -> String {
    match charset {
        Charset::Ascii => "hex".to_owned(),
        Charset::Cp037 | Charset::Cp500 | Charset::Cp1047 => format!("hex-{}", charset.name()),
    }
}

fn held(composite: Composite) -> (&'static str, Option<Tagged>, Option<Told>) {
    match composite {
        Composite::Opaque => ("none", None, None),
        Composite::Tlv => ("tlv", None, None),
        Composite::Datasets => ("datasets", None, None),
        Composite::Tagged(layout) => ("tagged", Some(Tagged::of(layout)), None),
        Composite::Bitmapped(dialect) => ("nested", None, Some(Told::of(dialect))),
        Composite::Positional(dialect) => ("positional", None, Some(Told::of(dialect))),
    }
}

impl Tagged {
    const fn of(layout: tagged::Layout) -> Self {
        Self {
            lead: layout.lead,
            id: layout.id_len,
            id_form: form_name(layout.id_form),
            length: layout.len_len,
            length_form: form_name(layout.len_form),
            counts: match layout.len_counts {
                tagged::LenCounts::Value => "value",
                tagged::LenCounts::IdAndValue => "id-and-value",
            },
        }
    }
}

const fn form_name(form: tagged::Form) -> &'static str {
    match form {
        tagged::Form::Ascii => "ascii",
        tagged::Form::Ebcdic => "ebcdic",
        tagged::Form::Bcd => "bcd",
        tagged::Form::Binary => "binary",
    }
}

impl Rule {
    fn of(rule: &Requirement) -> Self {
        let when = |condition: &iso8583::requirement::Condition| When {
            when: condition.when,
            then: numbers(condition.then),
        };
        Self {
            mti: rule.mti.to_string(),
            mandatory: numbers(rule.mandatory),
            one_of: rule.one_of.iter().map(|set| numbers(*set)).collect(),
            conditions: rule.conditions.iter().map(when).collect(),
        }
    }

    fn line(&self) -> String {
        let mut parts = vec![format!(
            "{} must have {}",
            self.mti,
            words(&self.mandatory, " ")
        )];
        parts.extend(self.one_of.iter().map(|set| words(set, " or ")));
        let when = |when: &When| format!("{} with {}", words(&when.then, " "), when.when);
        parts.extend(self.conditions.iter().map(when));
        parts.join(", ")
    }
}

fn numbers(set: Bitmap) -> Vec<u8> {
    set.iter().collect()
}

fn words(numbers: &[u8], between: &str) -> String {
    let words: Vec<String> = numbers.iter().map(u8::to_string).collect();
    words.join(between)
}

pub(crate) const EXAMPLES: &str = "Examples:
  njia inspect dialect
  njia inspect dialect iso87-ascii
  njia inspect dialect --json acme.toml:acme";

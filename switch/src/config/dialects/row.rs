//! `[dialects.NAME.fields.N]`: one row, over the row of the base.

use std::borrow::Cow;

use iso8583::calendar::Calendar;
use iso8583::class::Class;
use iso8583::composite::Composite;
use iso8583::error::DialectError;
use iso8583::field::{Count, Encoding, FieldSpec, Length, Prefix, Sensitivity};
use iso8583::packed::{Justify, Packed};

use super::nested;
use super::spec::{Custom, Holds, Row, Spec};
use super::tagged;
use super::words::{self, EncodingWord, LengthWord};
use crate::config::section::Section;

/// Reads the table `fields` of a dialect, or of what a field holds.
pub(super) fn read_all(fields: &Section<'_>, spec: &mut Spec) {
    for (key, row) in fields.tables_by_key() {
        match key.parse::<u8>().ok().filter(|number| *number > 0) {
            Some(number) => read(row, number, spec),
            None => row.fault(format!("`{key}` is no number of a field: take 2 to 192")),
        }
    }
}

fn read(section: Section<'_>, number: u8, spec: &mut Spec) {
    if section.flag("remove", false) {
        if may_go(&section, number, spec) {
            spec.rows.remove(&number);
        }
        return;
    }
    let row = row(&section, number, spec);
    section.finish();
    let Some(row) = row else { return };
    spec.rows.insert(number, row);
}

/// Whether the row may go; nothing else can be said of it.
fn may_go(section: &Section<'_>, number: u8, spec: &Spec) -> bool {
    for (key, _) in section.entries() {
        if key != "remove" {
            no_use(section, &[key], "the field is removed");
        }
    }
    if !spec.rows.contains_key(&number) {
        let fault = format!("`remove`: the base has no field {number}");
        section.fault_at("remove", fault);
        return false;
    }
    let stays = spec.depth == 0 && written(number).is_some();
    if stays {
        let fault = format!("`remove`: njia writes field {number}, so every dialect has it");
        section.fault_at("remove", fault);
    }
    !stays
}

/// The row, when it can be.
fn row(section: &Section<'_>, number: u8, spec: &Spec) -> Option<Row> {
    let base = spec.rows.get(&number);
    let title = section.parsed("name", words::title);
    let class = section.parsed("class", words::class);
    let length = length(section, base.map(|row| row.field.length));
    let is_complete = base.is_some() || is_complete(section, number);
    let mut row = match base {
        Some(row) => row.clone(),
        None => new(number, class.unwrap_or(Class::B), spec.custom),
    };
    if let Some(title) = title {
        row.name = Cow::Owned(title);
    }
    let field = &mut row.field;
    field.class = class.unwrap_or(field.class);
    field.prefix = prefix(section, field, length, spec.custom);
    field.length = length.unwrap_or(field.length);
    let calendar = section.parsed("calendar", words::calendar);
    field.calendar = calendar.unwrap_or(field.calendar);
    field.relay = section.parsed("relay", words::relay).unwrap_or(field.relay);
    field.encoding = encoding(section, field, spec.custom);
    sensitivity(section, field, least(number, spec));
    holds(section, &mut row);
    nested::read(section, &mut row, spec);
    let is_known = base.is_some() || (class.is_some() && length.is_some());
    (is_complete && is_known && check(section, &row, spec)).then_some(row)
}

/// Whether a row that the base does not have says all that it must.
fn is_complete(section: &Section<'_>, number: u8) -> bool {
    let needed = ["name", "length", "class"].into_iter();
    let lacking: Vec<&str> = needed.filter(|key| !section.has(key)).collect();
    if lacking.is_empty() {
        return true;
    }
    let lacking = lacking.join("`, `");
    section.fault(format!(
        "the base has no field {number}, so it needs `{lacking}`"
    ));
    false
}

/// A row that the base does not have, before its other keys are read.
fn new(number: u8, class: Class, custom: Custom) -> Row {
    let encoding = match class {
        Class::B => Encoding::Binary,
        _ => Encoding::Text(custom.charset),
    };
    let field = FieldSpec::new(number, "", class, Length::Fixed(1))
        .encoded(encoding)
        .prefixed(custom.prefix);
    Row {
        field,
        name: Cow::Borrowed(""),
        holds: Holds::Known(Composite::Opaque),
    }
}

fn length(section: &Section<'_>, base: Option<Length>) -> Option<Length> {
    let written = section.scalar("length").and_then(|text| {
        let told = |fault| section.fault_at("length", format!("`length` {fault}"));
        words::length(&text).map_err(told).ok()
    });
    let max = section.optional_number("max", 1..=LENGTH_MAX);
    let max = max.and_then(|max| u32::try_from(max).ok());
    let kept = match base {
        Some(Length::Var { max, .. }) => Some(max),
        Some(Length::Fixed(_)) | None => None,
    };
    match (written, base) {
        (Some(LengthWord::Var(digits)), _) => {
            if max.or(kept).is_none() && !section.has("max") {
                section.fault_at("length", "`length` varies, so it needs `max`");
            }
            max.or(kept).map(|max| Length::Var { digits, max })
        }
        (None, Some(Length::Var { digits, max: kept })) => Some(Length::Var {
            digits,
            max: max.unwrap_or(kept),
        }),
        (Some(LengthWord::Fixed(len)), _) => {
            no_use(section, &["max"], "the length is fixed");
            Some(Length::Fixed(len))
        }
        (None, Some(Length::Fixed(len))) => {
            if !section.has("length") {
                no_use(section, &["max"], "the length is fixed");
            }
            Some(Length::Fixed(len))
        }
        (None, None) => None,
    }
}

/// A row whose length begins to vary has the prefix of the dialect where it says nothing else.
fn prefix(
    section: &Section<'_>,
    field: &FieldSpec,
    length: Option<Length>,
    custom: Custom,
) -> Prefix {
    let coding = section.parsed("prefix", words::coding);
    let count = section.parsed("counts", words::count);
    let base = match (field.length, length) {
        (Length::Fixed(_), Some(Length::Var { .. })) => custom.prefix,
        _ => field.prefix,
    };
    if let Some(Length::Fixed(_)) = length {
        no_use(section, &["prefix", "counts"], "the length is fixed");
    }
    Prefix::new(coding.unwrap_or(base.coding), count.unwrap_or(base.count))
}

fn encoding(section: &Section<'_>, field: &FieldSpec, custom: Custom) -> Encoding {
    let word = section.parsed("encoding", words::encoding);
    let justify = section.parsed("justify", words::justify);
    let pad = section.scalar("pad").and_then(|text| {
        let told = |fault| section.fault_at("pad", format!("`pad` {fault}"));
        words::pad(&text).map_err(told).ok()
    });
    let encoding = match (word, field.encoding) {
        (None, same) => same,
        (Some(EncodingWord::Packed), packed @ Encoding::Packed(..)) => packed,
        (Some(EncodingWord::Packed), _) => Encoding::Packed(Packed::RIGHT, custom.charset),
        (Some(EncodingWord::Text(charset)), _) => Encoding::Text(charset),
        (Some(EncodingWord::Hex(charset)), _) => Encoding::Hex(charset),
        (Some(EncodingWord::Binary), _) => Encoding::Binary,
    };
    let Encoding::Packed(packed, charset) = encoding else {
        no_use(section, &["justify", "pad"], "the field is not in bcd");
        return encoding;
    };
    let justify: Justify = justify.unwrap_or(packed.justify);
    let pad = pad.unwrap_or(packed.pad);
    Encoding::Packed(Packed { justify, pad }, charset)
}

/// A field that holds an account or authentication data in every dialect stays hidden.
fn sensitivity(section: &Section<'_>, field: &mut FieldSpec, least: Sensitivity) {
    let wanted = section.parsed("sensitivity", words::sensitivity);
    if wanted.is_some_and(|wanted| rank(wanted) < rank(least)) {
        section.fault_at(
            "sensitivity",
            format!(
                "`sensitivity` of field {} is at least \"{}\" in every dialect",
                field.number,
                least.name()
            ),
        );
    }
    let found = wanted.unwrap_or(field.sensitivity);
    field.sensitivity = if rank(found) < rank(least) {
        least
    } else {
        found
    };
}

/// The least that is done to hide a field.
fn least(number: u8, spec: &Spec) -> Sensitivity {
    let is_hidden = |(known, _): &&(u8, _)| *known == number && spec.depth == 0;
    let found = HIDDEN.iter().find(is_hidden);
    found.map_or(Sensitivity::Public, |(_, least)| *least)
}

const fn rank(sensitivity: Sensitivity) -> u8 {
    match sensitivity {
        Sensitivity::Public => 0,
        Sensitivity::Pan => 1,
        Sensitivity::Sad => 2,
    }
}

fn holds(section: &Section<'_>, row: &mut Row) {
    let holds = section.parsed("holds", |text| match text {
        "tlv" => Ok(Composite::Tlv),
        "datasets" => Ok(Composite::Datasets),
        "none" => Ok(Composite::Opaque),
        _ => Err(format!(
            "does not take `{text}`; known: tlv, datasets, none"
        )),
    });
    let tagged = tagged::read(section);
    if let Some(composite) = holds {
        row.holds = Holds::Known(composite);
        no_use(
            section,
            &["nested", "positional", "fields", "tagged"],
            "`holds` says what the field holds",
        );
    } else if let Some(composite) = tagged {
        row.holds = Holds::Known(composite);
        no_use(
            section,
            &["nested", "positional", "fields"],
            "`tagged` says what the field holds",
        );
    }
}

/// Whether the row can be in the dialect, and still holds what njia writes into it.
fn check(section: &Section<'_>, row: &Row, spec: &Spec) -> bool {
    let number = row.field.number;
    if let Err(error) = row.check(spec.form) {
        section.fault(format!("{error}{}", detail(error, row)));
        return false;
    }
    let carries = |row: &Row| {
        let len = written(number).flatten();
        let digits = !matches!(row.field.class, Class::A | Class::Xn);
        len.is_none_or(|len| digits && row.field.has_length(len))
    };
    let base = spec.rows.get(&number);
    if spec.depth == 0 && base.is_some_and(carries) && !carries(row) {
        let len = written(number).flatten().unwrap_or_default();
        section.fault(format!(
            "field {number} must take {len} digits, which njia writes into it"
        ));
    }
    true
}

/// What the row says that makes the error.
fn detail(error: DialectError, row: &Row) -> String {
    match (error, row.field.length) {
        (DialectError::Length(_), Length::Var { digits, max }) => {
            let prefix = row.field.prefix.coding;
            let most = prefix.says_at_most(digits);
            let counted = match row.field.prefix.count {
                Count::Units => "",
                Count::Bytes => " bytes on the wire",
            };
            format!(
                ": `max` is {max}, and a prefix of {digits} in {} says at most {most}{counted}",
                prefix.name()
            )
        }
        (DialectError::Calendar(_), _) if row.field.calendar != Calendar::None => format!(
            ": `calendar` is \"{}\"; write `calendar` = \"none\" if it is none",
            row.field.calendar.name()
        ),
        (DialectError::Number(number), _) => match number {
            0 | 1 | 65 => ": its bit announces a bitmap".to_owned(),
            129.. => ": above 128 are fields of messages alone, with `tertiary`".to_owned(),
            _ => ": the bitmap of the dialect has no bit for it".to_owned(),
        },
        (DialectError::Bytes(_), _) => format!(
            ": one of class {} needs another `encoding`",
            row.field.class.name()
        ),
        _ => String::new(),
    }
}

/// Refuses keys that would change nothing.
pub(super) fn no_use(section: &Section<'_>, keys: &[&str], reason: &str) {
    for key in keys.iter().filter(|key| section.has(key)) {
        section.fault_at(key, format!("`{key}` is of no use: {reason}"));
    }
}

/// Digits that njia writes into a field, where it is always as many; `None` for a field that it
/// leaves alone.
fn written(number: u8) -> Option<Option<usize>> {
    let found = WRITTEN.iter().find(|(known, _)| *known == number);
    found.map(|(_, len)| *len)
}

/// The fields that translation writes on its own account, with their digits.
const WRITTEN: [(u8, Option<usize>); 14] = [
    (2, None),
    (3, Some(6)),
    (4, Some(12)),
    (7, Some(10)),
    (11, Some(6)),
    (33, None),
    (37, None),
    (39, Some(2)),
    (41, None),
    (42, None),
    (49, Some(3)),
    (70, Some(3)),
    (90, Some(42)),
    (95, Some(42)),
];

/// Fields whose meaning no dialect changes, with the least that is done to hide them.
const HIDDEN: [(u8, Sensitivity); 8] = [
    (2, Sensitivity::Pan),
    (34, Sensitivity::Pan),
    (35, Sensitivity::Sad),
    (36, Sensitivity::Sad),
    (45, Sensitivity::Sad),
    (52, Sensitivity::Sad),
    (55, Sensitivity::Sad),
    (96, Sensitivity::Sad),
];

/// A frame has at most 65,535 bytes; six digits of a prefix may promise more.
const LENGTH_MAX: u64 = 999_999;

//! Sub-elements of an id, a length and a value: the table `tagged` of a row.

use iso8583::composite::Composite;
use iso8583::tagged::{Form, Layout, LenCounts};

use super::words::word;
use crate::config::section::Section;

/// The layout that a table says; what it leaves out is as in most private fields: two characters of
/// id, two digits of length, in ASCII, which count the value.
pub(super) fn read(section: &Section<'_>) -> Option<Composite> {
    let tagged = section.optional_section("tagged")?;
    let layout = Layout {
        lead: tagged.number("lead", 0..=16, 0),
        id_len: tagged.number("id", 1..=8, 2),
        id_form: tagged.parsed("id_form", form).unwrap_or(Form::Ascii),
        len_len: tagged.number("length", 1..=4, 2),
        len_form: tagged.parsed("length_form", form).unwrap_or(Form::Ascii),
        len_counts: tagged.parsed("counts", counts).unwrap_or(LenCounts::Value),
    };
    if !layout.is_possible() {
        tagged.fault("no sub-element can have an id of that length in that form");
    }
    tagged.finish();
    Some(Composite::Tagged(layout))
}

fn form(text: &str) -> Result<Form, String> {
    let known = [
        ("ascii", Form::Ascii),
        ("ebcdic", Form::Ebcdic),
        ("bcd", Form::Bcd),
        ("binary", Form::Binary),
    ];
    word(text, &known)
}

fn counts(text: &str) -> Result<LenCounts, String> {
    let known = [
        ("value", LenCounts::Value),
        ("id-and-value", LenCounts::IdAndValue),
    ];
    word(text, &known)
}

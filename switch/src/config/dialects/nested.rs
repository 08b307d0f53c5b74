//! Sub-fields: behind a bitmap of their own (`nested`), or one after the other (`positional`).

use std::collections::BTreeMap;

use iso8583::dialect::{BitmapForm, Form, Layout};

use super::row::{no_use, read_all};
use super::spec::{Holds, Row, Spec};
use super::words::{self, Bitmaps};
use crate::config::section::Section;
use crate::limits::DIALECT_DEPTH_MAX;

/// Reads `nested`, `positional` and `fields` of a row, over the sub-fields that it has.
pub(super) fn read(section: &Section<'_>, row: &mut Row, parent: &Spec) {
    let keys = Keys {
        nested: section.optional_section("nested"),
        is_positional: section.flag("positional", false),
        has_fields: section.has("fields"),
    };
    let fields = section.section("fields");
    if section.has("holds") || section.has("tagged") || !keys.say_something() {
        return;
    }
    if parent.depth >= DIALECT_DEPTH_MAX {
        section.fault(format!(
            "sub-fields lie at most {DIALECT_DEPTH_MAX} deep in one another"
        ));
        return;
    }
    let (base, mut spec) = match row.nested() {
        Some(Holds::Bitmapped(spec)) => (Some(Kind::Bitmapped), *spec),
        Some(Holds::Positional(spec)) => (Some(Kind::Positional), *spec),
        Some(Holds::Known(_)) | None => (None, empty(parent)),
    };
    spec.name = format!("{}.{}", parent.name, row.field.number);
    spec.depth = parent.depth + 1;
    let Some(kind) = keys.shape(&mut spec, section, base) else {
        return;
    };
    spec.form.strict_padding = parent.form.strict_padding;
    spec.drop_unannounced();
    read_all(&fields, &mut spec);
    if spec.rows.is_empty() {
        section.fault("there are no sub-fields: write [….fields.N] tables");
    }
    row.holds = match kind {
        Kind::Bitmapped => Holds::Bitmapped(Box::new(spec)),
        Kind::Positional => Holds::Positional(Box::new(spec)),
    };
}

/// What a row says about sub-fields.
struct Keys<'a> {
    nested: Option<Section<'a>>,
    is_positional: bool,
    has_fields: bool,
}

/// Where sub-fields are.
#[derive(Clone, Copy)]
enum Kind {
    Bitmapped,
    Positional,
}

impl Keys<'_> {
    const fn say_something(&self) -> bool {
        self.nested.is_some() || self.is_positional || self.has_fields
    }

    /// Gives the sub-fields the form that the keys, or else the base, say.
    fn shape(self, spec: &mut Spec, section: &Section<'_>, base: Option<Kind>) -> Option<Kind> {
        if let Some(nested) = self.nested {
            let reason = "`nested` says where the sub-fields are";
            no_use(section, &["positional"], reason);
            spec.form = bitmapped(nested, spec.form);
            return Some(Kind::Bitmapped);
        }
        if self.is_positional {
            spec.form = Form::POSITIONAL;
            return Some(Kind::Positional);
        }
        if base.is_none() {
            section.fault_at(
                "fields",
                "`fields` of a field need `nested` = { bitmap = …, len = … } or `positional` = \
                 true",
            );
        }
        base
    }
}

/// `{ bitmap = "binary", len = 8 }`
fn bitmapped(section: Section<'_>, base: Form) -> Form {
    let bitmap = section.parsed("bitmap", |text| match words::bitmap(text)? {
        (bitmap, Bitmaps::Chained) => Ok(bitmap),
        (_, Bitmaps::Fixed16) => Err("of sub-fields has its length in `len`".to_owned()),
    });
    let len = match base.layout {
        Layout::Fixed(len) => len,
        _ => LEN,
    };
    let len = section.number("len", 1..=16, len);
    section.finish();
    let bitmap = bitmap.unwrap_or(match base.layout {
        Layout::Fixed(_) => base.bitmap,
        _ => BitmapForm::Binary,
    });
    Form::nested(bitmap, len)
}

/// The sub-fields of a row that has none.
fn empty(parent: &Spec) -> Spec {
    Spec {
        name: String::new(),
        depth: 0,
        form: Form::POSITIONAL,
        custom: parent.custom,
        rows: BTreeMap::new(),
        rules: Vec::new(),
    }
}

/// Bytes of a bitmap that does not say it.
const LEN: u8 = 8;

//! What fields hold: elements, datasets, sub-elements, sub-fields.

use core::fmt;

use super::field::{Around, Field};
use super::gate::Gate;
use super::mask::{self, Hidden, Value};
use super::path::{Path, Step};
use super::{Part, Visit, emv};
use crate::chip::CHIP_DATASET;
use crate::composite::Composite;
use crate::dataset::{self, Kind};
use crate::dialect::{CHIP_DATA, Dialect};
use crate::field::Sensitivity;
use crate::message::FieldIndex;
use crate::tagged::{Form, Layout};
use crate::tlv::{self, Element};

impl Visit<'_> {
    /// A field that holds something, and then what it holds.
    pub(super) fn open(&mut self, field: &Field<'_>, scratch: &mut [u8]) {
        let Some((value, rest)) = field.decode(scratch) else {
            let hidden = Value::Hidden(Hidden::Room(field.part(Value::Parts).len));
            self.visitor.part(&field.part(hidden));
            return;
        };
        let is_whole = field.row.composite.check(value).is_ok();
        let around = field.inner(value, Gate::of_held(is_whole));
        let shown = if is_whole {
            Value::Parts
        } else {
            unknown(&around, value)
        };
        self.visitor.part(&field.part(shown));
        match field.row.composite {
            Composite::Opaque => {}
            Composite::Tlv => self.elements(around),
            Composite::Datasets => self.datasets(around),
            Composite::Tagged(layout) => self.sub_elements(around, layout),
            Composite::Bitmapped(dialect) | Composite::Positional(dialect) => {
                self.sub_fields(dialect, around, rest);
            }
        }
    }

    fn sub_fields(&mut self, dialect: &'static Dialect, around: Around<'_>, scratch: &mut [u8]) {
        self.fields(dialect, around, scratch);
        if let Err(error) = dialect.parse(around.bytes, &mut FieldIndex::new()) {
            let path = match dialect.field(error.field) {
                Some(row) => around.path.with(Step::Field(row.number)),
                None => around.path,
            };
            self.malformed(&around, path, error.offset, &error.kind);
        }
    }

    fn elements(&mut self, around: Around<'_>) {
        let base = around.path.steps().len();
        let mut path = around.path;
        for walked in tlv::walk(around.bytes) {
            match walked {
                Ok((depth, element)) => {
                    path = path.first(base.saturating_add(depth));
                    path = path.with(Step::Tag(element.tag));
                    self.element(&around, path, &element);
                }
                Err(error) => self.malformed(&around, around.path, error.offset, &error.rule),
            }
        }
    }

    fn element(&mut self, around: &Around<'_>, path: Path, element: &Element<'_>) {
        let known = emv::known(element.tag).filter(|_| is_chip(&around.path));
        let holds_elements = element.is_constructed() && !element.value.is_empty();
        self.visitor.part(&Part {
            path,
            name: known.map_or("", |known| known.name),
            offset: around.place_of(usize::try_from(element.offset).unwrap_or(usize::MAX)),
            len: element.value.len(),
            value: if holds_elements {
                Value::Parts
            } else {
                value_of(around, element)
            },
            fault: None,
            is_padded: true,
        });
    }

    fn datasets(&mut self, around: Around<'_>) {
        for read in dataset::datasets(around.bytes) {
            let dataset = match read {
                Ok(dataset) => dataset,
                Err(error) => {
                    return self.malformed(&around, around.path, error.offset, &error.rule);
                }
            };
            let path = around.path.with(Step::Dataset(dataset.id));
            let is_opened = dataset.kind() == Kind::Elements && !dataset.content.is_empty();
            let value = if is_opened {
                Value::Parts
            } else {
                unknown(&around, dataset.content)
            };
            let (at, content) = (dataset.offset, dataset.content_offset());
            self.part(&around, path, at, dataset.content, value);
            if is_opened {
                self.elements(Around {
                    bytes: dataset.content,
                    path,
                    origin: around.place_of(usize::try_from(content).unwrap_or(usize::MAX)),
                    ..around
                });
            }
        }
    }

    fn sub_elements(&mut self, around: Around<'_>, layout: Layout) {
        // Ids that are not where they seem to be could be digits of a card.
        let is_told = around.gate == Gate::Open || around.sensitivity == Sensitivity::Public;
        let lead = around.bytes.get(..usize::from(layout.lead));
        if let Some(lead) = lead.filter(|lead| !lead.is_empty()) {
            let value = characters(&around, layout, lead);
            self.part(&around, around.path.with(Step::Lead), 0, lead, value);
        }
        for read in layout.sub_elements(around.bytes) {
            match read {
                Ok(sub_element) if is_told => {
                    let path = around.path.with(Step::Id(sub_element.id));
                    let value = characters(&around, layout, sub_element.value);
                    let (at, bytes) = (sub_element.offset, sub_element.value);
                    self.part(&around, path, at, bytes, value);
                }
                Ok(_) => {}
                Err(error) => self.malformed(&around, around.path, error.offset, &error.rule),
            }
        }
    }

    /// A part of which no name is known.
    fn part(&mut self, around: &Around<'_>, path: Path, at: u32, bytes: &[u8], value: Value<'_>) {
        self.visitor.part(&Part {
            path,
            name: "",
            offset: around.place_of(usize::try_from(at).unwrap_or(usize::MAX)),
            len: bytes.len(),
            value,
            fault: None,
            is_padded: true,
        });
    }

    fn malformed(&mut self, around: &Around<'_>, path: Path, at: u32, rule: &dyn fmt::Display) {
        let offset = around.place_of(usize::try_from(at).unwrap_or(usize::MAX));
        self.visitor.malformed(&path, offset, rule);
    }
}

/// Whether elements that stand there are those of a chip: elsewhere the same tags mean something
/// else.
fn is_chip(path: &Path) -> bool {
    match path.steps() {
        [Step::Field(CHIP_DATA)] => true,
        [Step::Field(CHIP_DATA), Step::Dataset(id)] => *id == CHIP_DATASET,
        _ => false,
    }
}

/// What may be shown of an element. One that is a secret of chip data is one everywhere.
fn value_of<'v>(around: &Around<'_>, element: &Element<'v>) -> Value<'v> {
    let len = element.value.len();
    let known = emv::known(element.tag).map(|known| known.sensitivity);
    match known {
        Some(Sensitivity::Sad) => Value::Hidden(Hidden::Sad(len)),
        Some(Sensitivity::Pan) if around.gate != Gate::Open => Value::Hidden(Hidden::Account(len)),
        Some(Sensitivity::Pan) => mask::packed_account(element.value),
        Some(Sensitivity::Public) if is_chip(&around.path) && around.gate == Gate::Open => {
            Value::Bytes(element.value)
        }
        Some(Sensitivity::Public) | None => unknown(around, element.value),
    }
}

/// A part of which nothing is known but where it stands.
fn unknown<'v>(around: &Around<'_>, bytes: &'v [u8]) -> Value<'v> {
    match around.sensitivity {
        Sensitivity::Sad | Sensitivity::Pan => Value::Hidden(Hidden::Sad(bytes.len())),
        Sensitivity::Public if around.gate != Gate::Open => {
            Value::Hidden(Hidden::Doubt(bytes.len()))
        }
        Sensitivity::Public => Value::Bytes(bytes),
    }
}

/// The same of a sub-element, whose value is in characters where its id is.
fn characters<'v>(around: &Around<'_>, layout: Layout, bytes: &'v [u8]) -> Value<'v> {
    match (unknown(around, bytes), layout.id_form) {
        (Value::Bytes(bytes), Form::Ascii) => Value::Text(bytes),
        (value, Form::Ascii | Form::Ebcdic | Form::Bcd | Form::Binary) => value,
    }
}

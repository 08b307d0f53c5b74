//! One field, and what may be shown of it.

use super::Part;
use super::fields::Read;
use super::gate::Gate;
use super::mask::{self, Hidden, Value};
use super::path::{Path, Step};
use crate::codec;
use crate::composite::Composite;
use crate::field::{Encoding, FieldSpec, Sensitivity};

/// What a part stands in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'b> {
    /// All bytes of it.
    pub(super) bytes: &'b [u8],
    pub(super) path: Path,
    /// Where its first byte stands in the message.
    pub(super) origin: usize,
    /// Whether its bytes are on the wire one by one.
    pub(super) is_plain: bool,
    /// What is to be thought of a part of which nothing is known.
    pub(super) sensitivity: Sensitivity,
    /// What may be shown of its parts.
    pub(super) gate: Gate,
    /// Fields around.
    pub(super) depth: usize,
}

impl<'b> Around<'b> {
    /// A message.
    pub(super) const fn message(bytes: &'b [u8], gate: Gate) -> Self {
        Self {
            bytes,
            path: Path::EMPTY,
            origin: 0,
            is_plain: true,
            sensitivity: Sensitivity::Public,
            gate,
            depth: 0,
        }
    }

    /// Where a byte stands in the message; the start of all this, where it is on the wire in
    /// another encoding.
    pub(super) const fn place_of(&self, offset: usize) -> usize {
        let offset = if self.is_plain { offset } else { 0 };
        self.origin.saturating_add(offset)
    }
}

/// A field as it was read. Its end is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'b> {
    pub(super) row: &'b FieldSpec,
    pub(super) around: Around<'b>,
    read: Read,
    wire: &'b [u8],
    units: usize,
}

impl<'b> Field<'b> {
    pub(super) fn new(row: &'b FieldSpec, read: Read, around: Around<'b>) -> Self {
        debug_assert!(!read.is_stop() && row.number == read.number);
        Self {
            row,
            around,
            read,
            wire: read.wire(around.bytes),
            units: read.units(row, around.bytes),
        }
    }

    pub(super) fn path(&self) -> Path {
        self.around.path.with(Step::Field(self.row.number))
    }

    /// Whether its parts are shown too.
    pub(super) fn is_opened(&self) -> bool {
        let holds = self.row.composite != Composite::Opaque && !self.wire.is_empty();
        let is_bounded = self.around.depth < DEPTH_MAX;
        holds && is_bounded && self.read.fault.is_none() && self.around.gate == Gate::Open
    }

    pub(super) fn part<'v>(&self, value: Value<'v>) -> Part<'v>
    where
        'b: 'v,
    {
        Part {
            path: self.path(),
            name: self.row.name,
            offset: self.around.place_of(self.read.at),
            len: self.wire.len(),
            value,
            fault: self.read.fault,
            is_padded: codec::is_padded(self.row, self.wire, self.units),
        }
    }

    /// What it holds, of which the start of `room` is taken where the wire has it otherwise; and
    /// what is left of it. `None` when it is too small.
    pub(super) fn decode<'v>(&self, room: &'v mut [u8]) -> Option<(&'v [u8], &'v mut [u8])>
    where
        'b: 'v,
    {
        let taken = match self.row.encoding {
            Encoding::ASCII | Encoding::Binary => 0,
            Encoding::Text(_) | Encoding::Packed(..) | Encoding::Hex(_) => self.units,
        };
        let (taken, left) = room.split_at_mut_checked(taken)?;
        let value = codec::decode(self.row, self.wire, self.units, taken)?;
        Some((value, left))
    }

    /// What its parts stand in.
    pub(super) fn inner<'v>(&self, value: &'v [u8], gate: Gate) -> Around<'v> {
        let one_by_one = matches!(self.row.encoding, Encoding::Text(_) | Encoding::Binary);
        Around {
            bytes: value,
            path: self.path(),
            origin: self.around.place_of(self.read.start),
            is_plain: self.around.is_plain && one_by_one,
            sensitivity: self.row.sensitivity,
            gate,
            depth: self.around.depth.saturating_add(1),
        }
    }

    /// Whether its content is wrong.
    pub(super) const fn is_faulty(&self) -> bool {
        self.read.fault.is_some()
    }

    /// What may be shown of its value as a whole, where it is the one of its row.
    pub(super) fn value<'v>(&self, room: &'v mut [u8]) -> Value<'v>
    where
        'b: 'v,
    {
        match self.row.sensitivity {
            Sensitivity::Sad => self.hidden(),
            Sensitivity::Pan if self.is_faulty() => self.hidden(),
            Sensitivity::Pan => match self.decode(room) {
                Some((digits, _)) => mask::account(digits, self.wire.len()),
                None => self.hidden(),
            },
            Sensitivity::Public => match mask::public(self.row, self.wire, self.units, room) {
                Value::Hidden(_) if self.is_faulty() => self.hidden(),
                value @ (Value::Text(_)
                | Value::Bytes(_)
                | Value::Account(_)
                | Value::Hidden(_)
                | Value::Parts) => value,
            },
        }
    }

    /// Nothing of its value, and why.
    pub(super) const fn hidden(&self) -> Value<'static> {
        let len = self.wire.len();
        Value::Hidden(match self.row.sensitivity {
            Sensitivity::Sad => Hidden::Sad(len),
            Sensitivity::Pan => Hidden::Account(len),
            Sensitivity::Public => Hidden::Doubt(len),
        })
    }
}

/// Fields that may hold one another and be shown: as many as a dialect from a file may have.
const DEPTH_MAX: usize = 3;

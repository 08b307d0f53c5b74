//! Writing a message into the caller's buffer.

use core::fmt;

use crate::bitmap::Bitmap;
use crate::charset::Charset;
use crate::chip::Conversion;
use crate::codec;
use crate::composite::Composite;
use crate::dialect::{BitmapForm, Dialect, Layout, MtiForm, TERTIARY_BIT, Tertiary};
use crate::error::WriteError;
use crate::field::{DECODED_BYTES_MAX, DECODED_TEXT_MAX, Encoding, FieldSpec, Length, Rule, Shape};
use crate::hex;
use crate::message::{FieldIndex, MessageRef};
use crate::mti::Mti;
use crate::parse::FIRST_BIT;

/// Writes one message, or what a field holds: fields in ascending order, then [`Writer::finish`].
///
/// ```text
/// out:  MTI │ primary │ (secondary, opened by the first field above 64) │ fields …
/// ```
pub struct Writer<'b> {
    dialect: &'static Dialect,
    mti: Mti,
    out: &'b mut [u8],
    at: usize,
    present: Bitmap,
    last: u8,
    /// Where the third bitmap would stand; 0 while there is no second one.
    third_at: usize,
}

impl<'b> Writer<'b> {
    /// Starts a message. A buffer that is too small shows at the first field or at the end.
    #[must_use]
    pub const fn new(dialect: &'static Dialect, mti: Mti, out: &'b mut [u8]) -> Self {
        Self {
            dialect,
            mti,
            out,
            at: dialect.form().head_len(),
            present: Bitmap::EMPTY,
            last: 0,
            third_at: 0,
        }
    }

    /// Starts what a field holds.
    #[must_use]
    pub const fn nested(dialect: &'static Dialect, out: &'b mut [u8]) -> Self {
        Self::new(dialect, Mti::UNREAD, out)
    }

    /// Its type.
    pub(crate) const fn mti(&self) -> Mti {
        self.mti
    }

    /// What the message is written in.
    pub(crate) const fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// Goes on behind the last field of a message that fills the first `len` bytes of `out` and
    /// was read into `index`. `None` when it has a bitmap that announces nothing: the bitmaps are
    /// written anew, without that one, and the fields would not stand behind them.
    pub(crate) fn resume(index: &FieldIndex, len: usize, out: &'b mut [u8]) -> Option<Self> {
        let present = index.present();
        let writer = Self {
            dialect: index.dialect(),
            mti: index.mti(),
            out,
            at: len,
            present,
            last: present.last().unwrap_or(0),
            third_at: 0,
        };
        (len_without_empty_bitmaps(index) == len).then_some(writer)
    }

    /// Puts a field: text as ASCII characters, binary as bytes in every dialect. A field that fails
    /// leaves the message as it was.
    ///
    /// # Errors
    /// The field is out of order or undefined; the value has a wrong length or character; the
    /// buffer is full.
    pub fn put(&mut self, number: u8, value: &[u8]) -> Result<(), WriteError> {
        debug_assert!(self.is_sound());
        let rule = self.next(number)?;
        if !rule.has_length(value.len()) {
            return Err(WriteError::Length(number));
        }
        if !rule.is_put_plainly {
            return self.put_special(number, value);
        }
        match rule.admits(value) {
            Some(true) => {}
            None if self.row_admits(number, value) => {}
            None | Some(false) => return Err(WriteError::Content(number)),
        }
        let prefix_len = rule.prefix_len();
        let room = self.reserve(number, value.len().saturating_add(prefix_len))?;
        let (prefix, room) = room
            .split_at_mut_checked(prefix_len)
            .ok_or(WriteError::Full)?;
        put_decimal(value.len(), prefix);
        copy(value, room);
        Ok(())
    }

    /// A value or a prefix that is written otherwise than as it is.
    #[inline(never)]
    fn put_special(&mut self, number: u8, value: &[u8]) -> Result<(), WriteError> {
        let row = self.row(number)?;
        if !codec::value_is_in_class(row, value) {
            return Err(WriteError::Content(number));
        }
        let room = self.reserve_row(row, value.len())?;
        codec::encode(row, value, room);
        Ok(())
    }

    #[inline(never)]
    fn row_admits(&self, number: u8, value: &[u8]) -> bool {
        let row = self.dialect.field(number);
        row.is_some_and(|row| codec::value_is_in_class(row, value))
    }

    /// As [`Writer::put`], with spaces after a text that is shorter than its fixed length.
    ///
    /// # Errors
    /// As [`Writer::put`]. A shorter text of a field above 64 characters has a wrong length.
    pub fn put_padded(&mut self, number: u8, value: &[u8]) -> Result<(), WriteError> {
        let rule = self.dialect.rule(number);
        let len = rule.units_max();
        let is_text = self
            .dialect
            .field(number)
            .is_some_and(|row| !row.is_binary());
        if rule.shape != Shape::Fixed || !is_text || value.len() >= len {
            return self.put(number, value);
        }
        let mut padded = [b' '; PADDED_LEN_MAX];
        for (slot, byte) in padded.iter_mut().zip(value) {
            *slot = *byte;
        }
        match padded.get(..len) {
            Some(padded) => self.put(number, padded),
            None => Err(WriteError::Length(number)),
        }
    }

    /// Puts a field of another message, if it has it: byte for byte where both are of one dialect.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn copy(&mut self, number: u8, from: MessageRef<'_>) -> Result<(), WriteError> {
        debug_assert!(self.is_sound());
        let Some(wire) = from.wire(number) else {
            return Ok(());
        };
        if core::ptr::eq(self.dialect, from.dialect()) {
            self.next(number)?;
            copy(wire, self.reserve(number, wire.len())?);
            return Ok(());
        }
        let (Some(value), Some(row)) = (from.field(number), from.dialect().field(number)) else {
            return Ok(());
        };
        let conversion = self.conversion(number, row.composite);
        if conversion != Conversion::None {
            return self.put_converted(number, from, conversion);
        }
        match row.encoding {
            Encoding::Text(Charset::Ascii) | Encoding::Binary => self.put(number, value),
            Encoding::Hex(_) => self.put_decoded(number, row, value),
            Encoding::Text(_) | Encoding::Packed(..) => {
                let mut scratch = [0; TEXT_LEN_MAX];
                match from.decode(number, &mut scratch) {
                    Some(value) => self.put(number, value),
                    None => Err(WriteError::Length(number)),
                }
            }
        }
    }

    /// Leaves out a field and all before it that have not been put.
    pub(crate) fn pass_over(&mut self, number: u8) {
        self.last = self.last.max(number);
        debug_assert!(self.is_sound());
    }

    /// Puts chip data as the row of this dialect has it, from what a row of another one holds.
    pub(crate) fn put_chip_data(
        &mut self,
        number: u8,
        value: &[u8],
        held: Composite,
    ) -> Result<(), WriteError> {
        let mut room = [0; CHIP_DATA_LEN_MAX];
        match self.conversion(number, held).apply(value, &mut room) {
            Some(value) => self.put(number, value),
            None => Err(WriteError::Content(number)),
        }
    }

    #[inline(never)]
    fn put_converted(
        &mut self,
        number: u8,
        from: MessageRef<'_>,
        conversion: Conversion,
    ) -> Result<(), WriteError> {
        let (mut scratch, mut room) = ([0; CHIP_DATA_LEN_MAX], [0; CHIP_DATA_LEN_MAX]);
        let value = from.decode(number, &mut scratch);
        match value.and_then(|value| conversion.apply(value, &mut room)) {
            Some(value) => self.put(number, value),
            None => Err(WriteError::Content(number)),
        }
    }

    /// How what a row of another dialect holds becomes what the row of this one holds.
    fn conversion(&self, number: u8, held: Composite) -> Conversion {
        match self.dialect.field(number) {
            Some(row) => Conversion::between(held, row.composite),
            None => Conversion::None,
        }
    }

    /// Puts all fields of another message that come next and are below `number`: where both are of
    /// one dialect, as the bytes that they are. The message must have been read without a fault.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn copy_up_to(&mut self, number: u8, from: MessageRef<'_>) -> Result<(), WriteError> {
        debug_assert!(self.is_sound());
        let fields = from.present().above(self.last).below(number);
        if !core::ptr::eq(self.dialect, from.dialect()) {
            return fields
                .into_iter()
                .try_for_each(|number| self.copy(number, from));
        }
        // No piece reaches over a place where this message gets another bitmap.
        for (after, before) in [(0, 65), (64, 129), (128, u8::MAX)] {
            self.copy_piece(fields.above(after).below(before), from)?;
        }
        Ok(())
    }

    /// Copies fields that stand one behind the other.
    fn copy_piece(&mut self, fields: Bitmap, from: MessageRef<'_>) -> Result<(), WriteError> {
        let (Some(first), Some(last)) = (fields.first(), fields.last()) else {
            return Ok(());
        };
        let (Some(start), Some(end)) = (from.extent(first), from.extent(last)) else {
            return Ok(());
        };
        let piece = from.bytes().get(start.start..end.end).unwrap_or_default();
        debug_assert_eq!(
            fields
                .iter()
                .filter_map(|number| from.extent(number))
                .map(|place| place.len())
                .sum::<usize>(),
            piece.len(),
            "a message without a fault has nothing between its fields"
        );
        let room = self.reserve(first, piece.len())?;
        if room.len() == piece.len() {
            room.copy_from_slice(piece);
        }
        self.present = self.present.union(fields);
        self.last = last;
        Ok(())
    }

    /// Puts a value of which `digits` are the hexadecimal form, without a copy between where bytes
    /// are written.
    fn put_decoded(
        &mut self,
        number: u8,
        from: &FieldSpec,
        digits: &[u8],
    ) -> Result<(), WriteError> {
        self.next(number)?;
        let row = self.row(number)?;
        let units = codec::units_of(from, digits);
        if !row.has_length(units) {
            return Err(WriteError::Length(number));
        }
        if !row.is_binary() {
            return Err(WriteError::Content(number));
        }
        if from.encoding == row.encoding {
            copy(digits, self.reserve_row(row, units)?);
            return Ok(());
        }
        if !matches!(row.encoding, Encoding::Binary | Encoding::ASCII) {
            let mut scratch = [0; TEXT_LEN_MAX];
            return match codec::decode(from, digits, units, &mut scratch) {
                Some(value) => self.put(number, value),
                None => Err(WriteError::Length(number)),
            };
        }
        // A scan does not look at digits, and a field that has its room cannot give it back.
        if codec::fault_of(from, digits, units, false).is_some() {
            return Err(WriteError::Content(number));
        }
        let room = self.reserve_row(row, units)?;
        let decoded = codec::decode(from, digits, units, room);
        debug_assert!(decoded.is_some(), "invariant: they are hexadecimal digits");
        Ok(())
    }

    /// Writes MTI and bitmaps, and says how long the message is.
    ///
    /// # Errors
    /// The buffer is full.
    pub fn finish(self) -> Result<usize, WriteError> {
        debug_assert!(self.is_sound());
        debug_assert!(!self.present.contains(TERTIARY_BIT) || self.mti == Mti::UNREAD);
        let form = self.dialect.form();
        let (mti, rest) = self
            .out
            .split_at_mut_checked(form.mti.wire_len())
            .ok_or(WriteError::Full)?;
        put_mti(form.mti, self.mti, mti);
        let (first, _) = rest
            .split_at_mut_checked(form.bitmap_len())
            .ok_or(WriteError::Full)?;
        let [primary, secondary, tertiary] = self.present.words();
        if !matches!(form.layout, Layout::Chained(_)) {
            put_bits(form.bitmap, [primary, secondary], first);
            return Ok(self.at);
        }
        let second = announcing(secondary, tertiary);
        put_bits(form.bitmap, [announcing(primary, second), 0], first);
        for (bits, at) in [(second, form.head_len()), (tertiary, self.third_at)] {
            if bits != 0 {
                let end = at.saturating_add(form.bitmap_len());
                let room = self.out.get_mut(at..end).ok_or(WriteError::Full)?;
                put_bits(form.bitmap, [bits, 0], room);
            }
        }
        Ok(self.at)
    }

    /// What holds between calls: nothing is written above the last field, nor beyond the buffer,
    /// and a third bitmap has its place.
    fn is_sound(&self) -> bool {
        let is_within = self.at <= self.out.len() || self.present.is_empty();
        let has_third = !self.present.above(128).is_empty();
        let is_chained = matches!(self.dialect.form().layout, Layout::Chained(_));
        let is_placed = self.third_at > 0 || !is_chained;
        is_within && self.present.above(self.last).is_empty() && (!has_third || is_placed)
    }

    fn row(&self, number: u8) -> Result<&'static FieldSpec, WriteError> {
        self.dialect
            .field(number)
            .ok_or(WriteError::Undefined(number))
    }

    /// The rule of a field that may come next. Of fields without a bitmap that is the first that
    /// has not been put.
    #[inline]
    fn next(&self, number: u8) -> Result<&'static Rule, WriteError> {
        let rule = self.dialect.rule(number);
        if !rule.is_defined() {
            return Err(WriteError::Undefined(number));
        }
        if number <= self.last {
            return Err(WriteError::Order(number));
        }
        if self.dialect.form().layout == Layout::Positional && self.skips(number) {
            return Err(WriteError::Order(number));
        }
        Ok(rule)
    }

    /// Whether a row below `number` has not been put.
    #[cold]
    fn skips(&self, number: u8) -> bool {
        let mut rows = self.dialect.rows().map(|row| row.number);
        rows.any(|row| row < number && !self.present.contains(row))
    }

    /// Room for a value of `units` behind its prefix, which is written.
    fn reserve_row(&mut self, row: &FieldSpec, units: usize) -> Result<&mut [u8], WriteError> {
        let (prefix_len, len) = (usize::from(row.prefix_len()), row.wire_len(units));
        let room = self.reserve(row.number, len.saturating_add(prefix_len))?;
        let (prefix, room) = room
            .split_at_mut_checked(prefix_len)
            .ok_or(WriteError::Full)?;
        if let Length::Var { .. } = row.length {
            let counted = match row.prefix.count {
                crate::field::Count::Units => units,
                crate::field::Count::Bytes => len,
            };
            // The maximum of the row is within what its prefix can say.
            let written = row.prefix.coding.write(counted, prefix);
            debug_assert!(written.is_some());
        }
        Ok(room)
    }

    /// Room for a field, which is in the message from then on.
    #[inline]
    fn reserve(&mut self, number: u8, len: usize) -> Result<&mut [u8], WriteError> {
        debug_assert!(number > self.last);
        if number > 64 {
            self.open_bitmaps(number, len)?;
        }
        let end = self.at.saturating_add(len);
        let room = self.out.get_mut(self.at..end).ok_or(WriteError::Full)?;
        self.at = end;
        self.last = number;
        self.present.insert(number);
        debug_assert_eq!(room.len(), len);
        Ok(room)
    }

    /// Opens the bitmaps that announce a field above 64, when there is room for them and for `len`
    /// bytes of the field as well.
    #[inline(never)]
    fn open_bitmaps(&mut self, number: u8, len: usize) -> Result<(), WriteError> {
        let form = self.dialect.form();
        let Layout::Chained(tertiary) = form.layout else {
            return Ok(());
        };
        // By what is there: fields may have been passed over.
        let opens_second = self.present.above(64).is_empty();
        let opens_third = number > 128 && self.present.above(128).is_empty();
        let added = usize::from(opens_second).saturating_add(usize::from(opens_third));
        let added = added.saturating_mul(form.bitmap_len());
        if self.at.saturating_add(added).saturating_add(len) > self.out.len() {
            return Err(WriteError::Full);
        }
        if opens_second {
            let second_at = form.head_len();
            self.insert_bitmap(second_at)?;
            self.third_at = match tertiary {
                Tertiary::None | Tertiary::AfterSecondary => {
                    second_at.saturating_add(form.bitmap_len())
                }
                Tertiary::Field65 => self.at,
            };
        }
        if opens_third {
            debug_assert!(self.third_at >= form.head_len(), "behind the first bitmap");
            self.insert_bitmap(self.third_at)?;
        }
        Ok(())
    }

    /// Moves what is written behind `place` to make room for one bitmap.
    fn insert_bitmap(&mut self, place: usize) -> Result<(), WriteError> {
        let bitmap_len = self.dialect.form().bitmap_len();
        let end = self.at.saturating_add(bitmap_len);
        let moved = self.out.get_mut(place..end).ok_or(WriteError::Full)?;
        moved.rotate_right(bitmap_len);
        self.at = end;
        Ok(())
    }
}

/// Bytes of the message that was read into `index`, if none of its bitmaps is empty.
fn len_without_empty_bitmaps(index: &FieldIndex) -> usize {
    let (form, present) = (index.dialect().form(), index.present());
    let [_, second, third] = present.words();
    let further_bitmaps = match form.layout {
        Layout::Chained(_) if third != 0 => 2,
        Layout::Chained(_) if second != 0 => 1,
        Layout::Chained(_) | Layout::Fixed(_) | Layout::Positional => 0,
    };
    // Places are known without the bytes.
    let message = MessageRef::new(&[], index);
    let head = form
        .bitmap_len()
        .saturating_mul(further_bitmaps)
        .saturating_add(form.head_len());
    let places = present.iter().filter_map(|number| message.extent(number));
    places.fold(head, |len, place| len.saturating_add(place.len()))
}

/// A bitmap whose first bit says that another one follows.
const fn announcing(bits: u64, next: u64) -> u64 {
    if next == 0 { bits } else { bits | FIRST_BIT }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} bytes", self.mti, self.dialect, self.at)
    }
}

/// At most three ASCII digits.
#[inline]
fn put_decimal(units: usize, prefix: &mut [u8]) {
    debug_assert!(prefix.is_empty() || units <= 999);
    let mut rest = u16::try_from(units).unwrap_or(0);
    for slot in prefix.iter_mut().rev() {
        let digit = (rest % 10) as u8;
        *slot = digit | b'0';
        rest /= 10;
    }
}
/// Both are of one length. The short values, which are most, are copied as one or two words,
/// without a call.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    debug_assert_eq!(from.len(), to.len());
    match from.len() {
        4..=8 => copy_ends::<4>(from, to),
        9..=16 => copy_ends::<8>(from, to),
        17..=32 => copy_ends::<16>(from, to),
        0..=3 => {
            for (slot, byte) in to.iter_mut().zip(from) {
                *slot = *byte;
            }
        }
        _ if from.len() == to.len() => to.copy_from_slice(from),
        _ => {}
    }
}

/// Both are of one length, from `N` to twice `N`.
#[inline]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(slot), Some(chunk)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *slot = *chunk;
    }
    if let (Some(slot), Some(chunk)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *slot = *chunk;
    }
}

fn put_mti(form: MtiForm, mti: Mti, out: &mut [u8]) {
    let digits = mti.as_bytes();
    match form {
        MtiForm::Text(charset) => charset.encode(digits, out),
        MtiForm::Packed => crate::packed::Packed::RIGHT.encode(digits, out),
        MtiForm::None => {}
    }
}

/// The first bytes of two words, as many as `out` has room for.
#[inline]
fn put_bits(form: BitmapForm, [primary, secondary]: [u64; 2], out: &mut [u8]) {
    match form {
        BitmapForm::Binary => {
            let words = [primary.to_be_bytes(), secondary.to_be_bytes()];
            for (slot, byte) in out.iter_mut().zip(words.as_flattened()) {
                *slot = *byte;
            }
        }
        BitmapForm::Hex(charset) => {
            let words = [hex::digits(primary), hex::digits(secondary)];
            for (slot, digit) in out.iter_mut().zip(words.as_flattened()) {
                *slot = charset.byte(*digit);
            }
        }
    }
}

/// Name and location of the card acceptor have 40 characters; njia pads nothing longer.
const PADDED_LEN_MAX: usize = 64;
/// The longest chip data that is put into datasets, or taken out of them.
const CHIP_DATA_LEN_MAX: usize = DECODED_BYTES_MAX as usize;
/// The longest text that is written in another encoding than it came in.
const TEXT_LEN_MAX: usize = DECODED_TEXT_MAX as usize;

#[cfg(test)]
mod tests;

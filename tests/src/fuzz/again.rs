//! What was read, written again: from its values, as a copy, and in another dialect.

use iso8583::bitmap::Bitmap;
use iso8583::charset::Charset;
use iso8583::error::WriteError;
use iso8583::field::Encoding;
use iso8583::{FieldIndex, MessageRef, Writer};

use super::message::scratch_for;
use super::{canonical, input, obvious};

/// Read, decoded and written, a message says the same; and it is the same bytes where it was in the
/// only form that the writer has.
pub(super) fn check_written(message: MessageRef<'_>) {
    let dialect = message.dialect();
    let room = canonical::bytes_of(message).len();
    let bytes = written(message, room).expect("there is room for it");
    assert_eq!(bytes.len(), room, "{dialect:?}");
    let mut index = FieldIndex::new();
    assert_eq!(dialect.parse(&bytes, &mut index), Ok(()), "{dialect:?}");
    let again = MessageRef::new(&bytes, &index);
    assert_eq!(again.mti(), message.mti());
    assert_eq!(again.present(), message.present());
    let (mut scratch, mut other) = (scratch_for(message), scratch_for(message));
    for number in message.present() {
        let value = message.decode(number, &mut scratch);
        assert_eq!(
            again.decode(number, &mut other),
            value,
            "{dialect:?} {number}"
        );
    }
    if canonical::is_canonical(message) && has_plain_values(message) {
        assert_eq!(bytes, message.bytes(), "{dialect:?}");
    }
    if let Some(shorter) = room.checked_sub(1) {
        assert_eq!(written(message, shorter), Err(WriteError::Full));
    }
}

fn written(message: MessageRef<'_>, room: usize) -> Result<Vec<u8>, WriteError> {
    let mut out = vec![0xEE; room];
    let mut scratch = scratch_for(message);
    let mut writer = Writer::new(message.dialect(), message.mti(), &mut out);
    for number in message.present() {
        let value = message.decode(number, &mut scratch).expect("it is there");
        writer.put(number, value)?;
    }
    let len = writer.finish()?;
    out.truncate(len);
    Ok(out)
}

/// Whether every value stands as the writer writes it: no foreign padding, no hexadecimal digits in
/// lower case.
fn has_plain_values(message: MessageRef<'_>) -> bool {
    let is_lower = |charset: Charset, digit: &u8| match charset {
        Charset::Ascii => digit.is_ascii_lowercase(),
        Charset::Cp037 | Charset::Cp500 | Charset::Cp1047 => (0x81..=0x86).contains(digit),
    };
    let is_plain = |(number, wire): (u8, &[u8])| {
        let row = message.dialect().field(number);
        match row.map(|row| row.encoding) {
            Some(Encoding::Hex(charset)) => !wire.iter().any(|digit| is_lower(charset, digit)),
            _ => true,
        }
    };
    message.wrong_padding().is_empty() && message.fields().all(is_plain)
}

/// The rule of [`canonical`].
pub(super) fn check_copied(message: MessageRef<'_>) {
    let (dialect, bytes) = (message.dialect(), message.bytes());
    let expected = canonical::bytes_of(message);
    let is_same = expected == bytes;
    assert_eq!(is_same, canonical::is_canonical(message), "{dialect:?}");
    let one_by_one = copied(message, |writer| {
        let mut numbers = message.present().iter();
        numbers.try_for_each(|number| writer.copy(number, message))
    });
    assert_eq!(one_by_one, Ok(expected.clone()), "{dialect:?}");
    let middle = bytes.len().to_le_bytes()[0];
    let in_pieces = copied(message, |writer| {
        writer.copy_up_to(middle, message)?;
        writer.copy_up_to(u8::MAX, message)
    });
    assert_eq!(in_pieces, Ok(expected), "{dialect:?} up to {middle}");
}

fn copied(
    message: MessageRef<'_>,
    copy: impl FnOnce(&mut Writer<'_>) -> Result<(), WriteError>,
) -> Result<Vec<u8>, WriteError> {
    let mut out = vec![0xEE; message.bytes().len()];
    let mut writer = Writer::new(message.dialect(), message.mti(), &mut out);
    copy(&mut writer)?;
    let len = writer.finish()?;
    out.truncate(len);
    Ok(out)
}

/// How the message that is copied was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Every value was checked.
    Parsed,
    /// Only lengths were.
    Scanned,
}

/// A copy in another dialect has the fields that could be copied, and no other; each says the same.
/// Without a fault before there is none behind.
pub(super) fn check_elsewhere(message: MessageRef<'_>, read: Read) {
    let numbers = input::dialect_numbers();
    let number = numbers[message.bytes().len() % numbers.len()];
    let dialect = input::dialect(number).expect("it has this number");
    let mut out = vec![0; message.bytes().len() * 4 + 256];
    let mut writer = Writer::new(dialect, message.mti(), &mut out);
    let mut copied = Bitmap::EMPTY;
    for number in message.present() {
        if writer.copy(number, message).is_ok() {
            copied = copied.with(number);
        }
    }
    let len = writer.finish().expect("there is room for it");
    let mut index = FieldIndex::new();
    let found = match read {
        Read::Parsed => dialect.parse(&out[..len], &mut index),
        Read::Scanned => dialect.scan(&out[..len], u8::MAX, &mut index),
    };
    let what = || format!("{:?} in {dialect:?}", message.dialect());
    if read == Read::Parsed {
        assert_eq!(found, Ok(()), "{}", what());
    }
    let copy = MessageRef::new(&out[..len], &index);
    if found.is_ok() {
        assert_eq!(copy.present(), copied, "{}", what());
        assert_eq!(copy.mti(), message.mti(), "{}", what());
    }
    if read == Read::Parsed {
        check_same_values(message, copy);
    }
}

fn check_same_values(message: MessageRef<'_>, copy: MessageRef<'_>) {
    let (mut scratch, mut other) = (scratch_for(message), scratch_for(copy));
    for number in copy.present() {
        let rows = [message, copy].map(|message| message.dialect().field(number));
        let [Some(from), Some(to)] = rows else {
            panic!("field {number} has no row");
        };
        // Chip data goes into datasets and out of them.
        if from.composite != to.composite {
            continue;
        }
        let value = message.decode(number, &mut scratch).expect("it was copied");
        let copied = copy.decode(number, &mut other).expect("it is there");
        assert_eq!(
            obvious::comparable(to, copied),
            obvious::comparable(to, value),
            "{:?} in {:?}: field {number}",
            message.dialect(),
            copy.dialect()
        );
    }
}

//! Messages: the dialect, then the bytes of a message, or a recipe where its top bit is set.

use iso8583::bitmap::Bitmap;
use iso8583::describe::describe;
use iso8583::error::{ParseError, ParseErrorKind};
use iso8583::{Dialect, FieldIndex, MessageRef};

use super::input::Input;
use super::{again, obvious, recipe, sealed};

/// No bytes panic. What is read without a fault keeps the obvious rules, is written again, copied
/// and scanned with the same outcome; a piece of it, or more than it, is refused.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.dialect() {
        Some((dialect, true)) => check_in(dialect, input.rest()),
        Some((dialect, false)) => check_bytes(dialect, input.rest()),
        None => {}
    }
}

/// What is made by the rows of a dialect is read, as it was put.
///
/// # Panics
/// When something does not hold.
pub fn check_in(dialect: &'static Dialect, data: &[u8]) {
    let made = recipe::made(dialect, &mut Input::new(data));
    let mut index = FieldIndex::new();
    assert_eq!(
        dialect.parse(&made.bytes, &mut index),
        Ok(()),
        "{dialect:?}"
    );
    let message = MessageRef::new(&made.bytes, &index);
    assert_eq!(message.mti(), made.mti);
    let numbers: Bitmap = made.fields.iter().map(|(number, _)| *number).collect();
    assert_eq!(message.present(), numbers);
    let mut scratch = scratch_for(message);
    for (number, value) in &made.fields {
        let row = dialect.field(*number).expect("it was put");
        let read = message.decode(*number, &mut scratch).expect("it is there");
        assert_eq!(
            obvious::comparable(row, read),
            obvious::comparable(row, value),
            "{dialect:?} field {number}"
        );
    }
    check_bytes(dialect, &made.bytes);
}

fn check_bytes(dialect: &'static Dialect, bytes: &[u8]) {
    let mut index = FieldIndex::new();
    let parsed = dialect.parse(bytes, &mut index);
    let message = MessageRef::new(bytes, &index);
    check_readable(message);
    for last in [u8::MAX, 64, bytes.len().to_le_bytes()[0]] {
        check_scan(message, parsed, last);
    }
    match parsed {
        Ok(()) => check_whole(message),
        Err(error) => check_fault(message, error),
    }
}

fn check_whole(message: MessageRef<'_>) {
    check_length(message);
    again::check_written(message);
    again::check_copied(message);
    again::check_elsewhere(message, again::Read::Parsed);
    check_held(message);
    sealed::check(message);
}

/// Room for the longest value of a message in any encoding.
pub(super) fn scratch_for(message: MessageRef<'_>) -> Vec<u8> {
    vec![0; message.bytes().len() * 2 + 16]
}

/// Every field that is there is one of its row, and they stand in order; also beside a fault.
fn check_readable(message: MessageRef<'_>) {
    let (mut scratch, mut copy) = (scratch_for(message), scratch_for(message));
    let mut end = 0;
    for number in message.present() {
        let what = || format!("{:?} field {number}", message.dialect());
        let row = message.dialect().field(number).expect("it was read");
        let place = message.extent(number).expect("it is there");
        assert!(end <= place.start && place.start <= place.end, "{}", what());
        assert!(place.end <= message.bytes().len(), "{}", what());
        end = place.end;
        let value = message.decode(number, &mut scratch).expect("it is there");
        assert!(obvious::admits(row, value), "{}", what());
        let len = message.decode_into(number, &mut copy);
        assert_eq!(len.map(|len| &copy[..len]), Some(value), "{}", what());
    }
    assert!(!describe(message).to_string().is_empty());
    if let Err(error) = message.check_requirements() {
        assert!(!message.present().contains(error.field));
    }
}

/// The scan finds what the pass over everything finds, up to a field; it may overlook faults of
/// content, and what is behind the last field.
fn check_scan(message: MessageRef<'_>, parsed: Result<(), ParseError>, last: u8) {
    let (dialect, bytes) = (message.dialect(), message.bytes());
    let mut index = FieldIndex::new();
    let scanned = dialect.scan(bytes, last, &mut index);
    let found = MessageRef::new(bytes, &index);
    let expected = message.present().minus(message.present().above(last));
    for number in expected {
        assert_eq!(found.extent(number), message.extent(number), "{number}");
    }
    match (parsed, scanned) {
        (Ok(()), Ok(())) => assert_eq!(found.present(), expected),
        (Err(error), Err(other)) => assert_eq!((error, true), (other, other.field <= last)),
        (Err(error), Ok(())) => {
            assert!(
                error.field > last || may_be_overlooked(error.kind),
                "{error}"
            );
        }
        (Ok(()), Err(error)) => panic!("{dialect:?}: only the scan finds {error}"),
    }
    if scanned.is_ok() {
        assert_eq!(found.mti(), message.mti());
        assert!(found.present().above(last).is_empty());
        again::check_elsewhere(found, again::Read::Scanned);
    }
}

const fn may_be_overlooked(kind: ParseErrorKind) -> bool {
    matches!(
        kind,
        ParseErrorKind::Content
            | ParseErrorKind::Padding
            | ParseErrorKind::Date
            | ParseErrorKind::Trailing
    )
}

/// A fault has a place, and its field is not there.
fn check_fault(message: MessageRef<'_>, error: ParseError) {
    let offset = usize::try_from(error.offset).expect("32 bits fit");
    assert!(offset <= message.bytes().len(), "{error}");
    let is_known = match error.kind {
        ParseErrorKind::Missing | ParseErrorKind::Composite => false,
        ParseErrorKind::Trailing => true,
        _ => !message.present().contains(error.field),
    };
    assert!(is_known, "{error}");
}

/// No message begins or ends with another one of the same dialect.
fn check_length(message: MessageRef<'_>) {
    let (dialect, bytes) = (message.dialect(), message.bytes());
    let mut index = FieldIndex::new();
    let sum: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    for cut in [bytes.len() - 1, sum % bytes.len()] {
        let parsed = dialect.parse(&bytes[..cut], &mut index);
        assert!(parsed.is_err(), "{dialect:?} cut at {cut}");
    }
    let longer = [bytes, b"0"].concat();
    let parsed = dialect.parse(&longer, &mut index);
    let kind = parsed.expect_err("a byte too many").kind;
    let is_expected = matches!(kind, ParseErrorKind::Trailing | ParseErrorKind::TooLong);
    assert!(is_expected, "{dialect:?}: {kind}");
}

/// What the fields hold behind bitmaps of their own is written again and copied as well.
fn check_held(message: MessageRef<'_>) {
    use iso8583::composite::Composite;
    let checked = message.check_composites();
    let mut first_fault = None;
    let mut scratch = scratch_for(message);
    for number in message
        .dialect()
        .composites()
        .intersection(message.present())
    {
        let row = message.dialect().field(number).expect("it was read");
        let value = message.decode(number, &mut scratch).expect("it is there");
        if row.composite.check(value).is_err() {
            first_fault = first_fault.or(Some(number));
        }
        if let Composite::Bitmapped(dialect) | Composite::Positional(dialect) = row.composite {
            let mut index = FieldIndex::new();
            let parsed = dialect.parse(value, &mut index);
            let inner = MessageRef::new(value, &index);
            check_readable(inner);
            if parsed.is_ok() {
                again::check_written(inner);
                again::check_copied(inner);
                check_held(inner);
            }
        }
    }
    match (checked, first_fault) {
        (Ok(()), None) => {}
        (Err(error), Some(number)) => assert!(error.field <= number),
        // Only a value that is too long to be opened.
        (Err(error), None) => assert!(message.field(error.field).is_some_and(|v| v.len() > 1024)),
        (Ok(()), Some(number)) => panic!("nobody sees what is wrong in field {number}"),
    }
}

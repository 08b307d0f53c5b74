//! The codec's peers: what each is called, how it reads the message and how it writes it.
//!
//! Every peer is shown to have read all 20 fields, value by value, and to have written the bytes
//! that it reads, before anything is measured.

pub mod core_crate;
pub mod json_codec;
pub mod message;
pub mod ours;
pub mod slices;
pub mod yaml_spec;

use message::{Form, digits};

/// What a peer has read: number and value, ascending. `Err` is the peer's own refusal.
pub type Read = Result<Vec<(u8, Vec<u8>)>, String>;

/// What is done to every operation: it is timed, or its allocations are counted.
pub trait Visitor {
    /// `side` is `parse` or `build`; `form` says what bytes are read or written.
    fn visit<R>(&mut self, side: Side, name: &str, form: Form, operation: impl FnMut() -> R);
}

/// Reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Parse,
    Build,
}

/// Every operation of every peer, ours first.
pub fn each(visitor: &mut impl Visitor) {
    ours::each(visitor);
    slices::each(visitor);
    yaml_spec::each(visitor);
    json_codec::each(visitor);
    core_crate::each(visitor);
}

/// That a peer has read the MTI and the 20 fields, and wrote the bytes that it has read.
///
/// # Panics
/// When it has not.
#[track_caller]
pub fn check(name: &str, read: Read, written: &[u8], form: Form) {
    let wire = message::wire(form);
    let fields = read.unwrap_or_else(|error| panic!("{name} refused the message: {error}"));
    let expected = message::fields(form);
    assert_eq!(fields.len(), expected.len(), "{name} read other fields");
    for ((number, value), (expected_number, expected)) in fields.iter().zip(expected) {
        assert_eq!(*number, expected_number, "{name}");
        let is_same = value == expected || *value == digits(expected).into_bytes();
        assert!(is_same, "{name} misread DE{number}");
    }
    assert!(written == wire.bytes, "{name} wrote other bytes");
}

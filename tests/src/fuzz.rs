//! What must hold of any bytes: one check for each target of `fuzz/`, as a plain function, so that
//! `tests/fuzz_corpus.rs` replays the corpora without a fuzzer.
//!
//! `fuzz/src/lib.rs` reaches the same files; what is named here by `super` is named so there too.
//! Dialects are named by number: where they stand in [`Dialect::ALL`](iso8583::Dialect::ALL), and
//! two more of our own.

mod again;
mod canonical;
pub mod dialect_toml;
pub mod frame;
pub mod input;
pub mod journal;
pub mod message;
mod obvious;
mod odd;
mod original;
mod recipe;
mod sealed;
pub mod seeds;
pub mod tlv;
pub mod translate;

/// A check. It panics when something does not hold.
pub type Check = fn(&[u8]);

/// The targets: their names are the folders below `fuzz/corpus` and `fuzz/regressions`.
pub const TARGETS: [(&str, Check); 6] = [
    ("dialect_toml", dialect_toml::check),
    ("frame", frame::check),
    ("journal", journal::check),
    ("message", message::check),
    ("tlv", tlv::check),
    ("translate", translate::check),
];

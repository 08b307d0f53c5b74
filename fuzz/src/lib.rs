//! The checks of `tests/src/fuzz/`, without the rest of that package: it knows runtimes and
//! sockets, which a fuzzer would have to build as well.

#[path = "../../tests/src/fuzz/again.rs"]
mod again;
#[path = "../../tests/src/fuzz/canonical.rs"]
mod canonical;
#[cfg(feature = "switch")]
#[path = "../../tests/src/fuzz/dialect_toml.rs"]
pub mod dialect_toml;
#[path = "../../tests/src/fuzz/frame.rs"]
pub mod frame;
#[path = "../../tests/src/fuzz/input.rs"]
pub mod input;
#[path = "../../tests/src/fuzz/journal.rs"]
pub mod journal;
#[path = "../../tests/src/fuzz/message.rs"]
pub mod message;
#[path = "../../tests/src/fuzz/obvious.rs"]
mod obvious;
#[path = "../../tests/src/fuzz/odd.rs"]
mod odd;
#[path = "../../tests/src/fuzz/original.rs"]
mod original;
#[path = "../../tests/src/fuzz/recipe.rs"]
mod recipe;
#[path = "../../tests/src/fuzz/sealed.rs"]
mod sealed;
#[path = "../../tests/src/fuzz/seeds.rs"]
pub mod seeds;
#[path = "../../tests/src/fuzz/tlv.rs"]
pub mod tlv;
#[path = "../../tests/src/fuzz/translate.rs"]
pub mod translate;

//! What njia remembers: the journal on local disk, which is the truth, and its copy in PostgreSQL.
//!
//! # Contract
//! A record is durable only when the position that the writer publishes has passed it. What is read
//! back is exactly what was written, or an error that names file and offset: never a guess.
//!
//! # Never contains
//! Cryptography (keys pass through wrapped), a clock of its own, or a decision about money.
//!
//! # Entry points
//! [`Manifest`], [`journal::Journal`] (feature `journal`), [`ShardReader`], [`DurablePosition`],
//! `applier` (feature `applier`), `events` (feature `kafka`). The formats are described in
//! `docs/journal-format.md`.

extern crate alloc;

#[cfg(feature = "applier")]
pub mod applier;
mod aside;
pub mod batch;
pub mod checkpoint;
pub mod crash;
pub mod error;
#[cfg(feature = "kafka")]
pub mod events;
#[cfg(test)]
mod fixtures;
pub mod horizon_file;
pub mod identity;
#[cfg(feature = "journal")]
pub mod journal;
pub mod key_file;
pub mod layout;
pub mod manifest;
pub mod marks;
pub mod position;
pub mod reader;
pub mod record;
pub mod recovery;
pub mod segment_header;
pub mod sink;
#[cfg(test)]
mod testing;

pub use error::JournalError;
pub use manifest::Manifest;
pub use position::DurablePosition;
pub use reader::ShardReader;

//! The life of every transaction of one shard: from the request to its answer, and to the last
//! acknowledged reversal.
//!
//! # Contract
//! One [`Engine`] per shard. The shell feeds an [`Input`] with the present instant, then drains
//! [`Engine::poll_output`] to `None` and acts on each [`Output`]. The engine asks (assess, select a
//! route, journal, send, reply) and is told. An intent is durable before its request leaves, an
//! outcome before its answer, an owed reversal before the answer that it stands for. Peer data
//! never makes it panic: it becomes an output, an event or nothing.
//!
//! # Never contains
//! A clock, a socket, a runtime, a thread, a random source, a logger, a wire format, an account
//! number in the clear. Steady state allocates nothing.
//!
//! # Entry points
//! [`Engine`], [`Input`], [`Output`], [`Settings`]; for the links [`matching::StanAllocator`] and
//! [`matching::PendingTable`]; for connections [`network::LinkMachine`] and
//! [`network::SessionMachine`]; for totals [`reconciliation`].
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod administrative;
pub mod advice;
mod arena;
pub mod carrying;
mod clock;
mod completion;
mod duplicate;
mod engine;
pub mod error;
mod index;
pub mod input;
mod invariants;
pub mod matching;
pub mod network;
pub mod operating;
pub mod output;
mod random;
pub mod reconciliation;
pub mod reference;
mod replay;
mod resuming;
mod reversal;
mod saf;
pub mod settings;
pub mod standing;
mod state;
mod stored_answer;
mod table;
#[cfg(test)]
mod testing;
mod timers;
mod transaction;

pub use engine::following::OlderQuery;
pub use engine::{Counts, Engine};
pub use input::{Handle, Input, OwedId};
pub use output::Output;
pub use settings::Settings;

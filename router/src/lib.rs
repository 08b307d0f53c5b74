//! Chooses an issuer: the longest prefix and its conditions name the route, groups and weights the
//! order of its candidates, breakers and bulkheads say which of them may be asked at this moment.
//!
//! # Contract
//! A [`RouteTable`] is immutable and shared; all that changes is in a [`Router`], one per shard.
//! Each [`Selection::Chosen`] hands out one [`Permit`], and each permit comes back through
//! [`Router::finish`], also when nothing was sent. `now` is the last argument, everywhere; the same
//! calls give the same choices. [`Router::poll_transition`] is drained at least once a second.
//!
//! # Never contains
//! A clock, a socket, a runtime, a random source, a logger, or what an account number looks like on
//! a wire. A second candidate after a first byte has left: the caller does not ask for one
//! (semantics.md R4).
//!
//! # Entry points
//! [`RouteTable::build`], [`Router::select`], [`Router::finish`].
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

pub mod breaker;
mod bulkhead;
pub mod candidates;
pub mod conditions;
pub mod error;
pub mod links;
pub mod policy;
pub mod prefix;
pub mod router;
pub mod selection;
pub mod table;
pub mod week;
mod window;

pub use candidates::Candidate;
pub use conditions::Conditions;
pub use policy::{BreakerPolicy, IssuerPolicy};
pub use prefix::PrefixRange;
pub use router::Router;
pub use selection::{Permit, Selection};
pub use table::{RouteSpec, RouteTable};

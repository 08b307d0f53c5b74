//! Risk rules that every request passes before its intent is written: lists, limits of one amount,
//! and velocity of an account.
//!
//! # Contract
//! [`RiskEngine::assess`] gives its verdict at once, in bounded work and without allocation: block
//! list, allow list, amount limits, velocity, in this order, up to the first decline. What it
//! accepts it counts; what it declines leaves no trace. Memory is bounded by the number of accounts
//! given at construction: when it is full, the account idle for longest is forgotten. `now` is the
//! last argument; the same calls give the same verdicts.
//!
//! # Never contains
//! A clock, a socket, a runtime, a random source, a logger, or an account number in the clear.
//! Whether an issuer later approved: velocity counts what was passed on to issuers.
//!
//! # Entry points
//! [`RiskEngine::assess`], [`RiskEngine::observe`], [`Policy`].
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

mod account;
pub mod engine;
pub mod error;
mod hash;
pub mod list;
pub mod policy;
mod ring;
mod velocity;
pub mod verdict;

pub use engine::RiskEngine;
pub use error::PolicyError;
pub use policy::Policy;
pub use velocity::Past;
pub use verdict::Verdict;

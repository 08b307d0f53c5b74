//! The words of njia: what an amount, an account, a transaction and a journal record are.
//!
//! # Contract
//! Plain values with checked constructors. A value that exists is valid.
//!
//! # Never contains
//! A clock, a socket, a runtime, a random source, a logger, or any wire format.
//!
//! # Entry points
//! [`Request`], [`Record`], [`Amount`], [`Pan`], [`ResponseCode`], [`ResultCode`].
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

pub mod amount;
pub mod bytes;
pub mod code_map;
pub mod currency;
pub mod error;
pub mod ids;
pub mod message_reason;
pub mod network;
pub mod pan;
pub mod profile;
pub mod reconciliation;
pub mod record;
pub mod request;
pub mod response_code;
pub mod result_code;
pub mod time;

pub use amount::Amount;
pub use pan::Pan;
pub use record::Record;
pub use request::Request;
pub use response_code::ResponseCode;
pub use result_code::ResultCode;

//! Bytes ⇄ messages: ISO 8583 dialects as rows of data, and the framing around them.
//!
//! # Contract
//! One pass over the bytes validates every field and fills a table of offsets; a field is a slice
//! of the caller's buffer. A message is written into the caller's buffer, and the writer says when
//! it is full. Bytes of a peer can make an error that names field and offset; they can never make a
//! panic. Nothing is allocated.
//!
//! # Never contains
//! A clock, a socket, a runtime, a random source, a logger; a decision about money; key material.
//! Only [`translate`] knows the requests and answers of `domain`; [`keep_alive`] knows its time,
//! [`describe`] and [`parts`] how it masks an account number.
//!
//! # Entry points
//! [`Dialect::parse`], [`MessageRef`], [`Writer`], [`Framing`], [`Header`],
//! [`keep_alive::KeepAlive`], [`mac`], [`translate`], [`describe::describe`].
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(test)]
extern crate std;

pub mod bitmap;
pub mod calendar;
pub mod charset;
mod chip;
pub mod class;
mod codec;
pub mod composite;
pub mod dataset;
pub mod describe;
pub mod dialect;
mod dialects;
mod enquiry;
pub mod error;
pub mod field;
pub mod frame;
pub mod header;
mod hex;
pub mod keep_alive;
pub mod mac;
pub mod message;
pub mod mti;
pub mod packed;
mod parse;
pub mod parts;
pub mod requirement;
mod rest;
pub mod tagged;
#[cfg(test)]
mod testing;
pub mod tlv;
pub mod translate;
mod walk;
pub mod writer;

pub use dialect::Dialect;
pub use frame::Framing;
pub use header::Header;
pub use message::{FieldIndex, MessageRef};
pub use mti::Mti;
pub use writer::Writer;

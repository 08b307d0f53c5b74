//! What the benches share: the bare relay, and the driver that holds the switch against it.
//!
//! # Contract
//! A figure is printed beside another one from the same run on the same machine.
//!
//! # Never contains
//! An assertion about speed; code of the product.
//!
//! # Entry points
//! [`relay::Relay`], [`limit::run`], [`samples`].

pub mod limit;
pub mod relay;
pub mod samples;

//! What the benches share: the bare relay, the bare HTTP server, and the driver that holds the
//! switch against them.
//!
//! # Contract
//! A figure is printed beside another one from the same run on the same machine.
//!
//! # Never contains
//! An assertion about speed; code of the product.
//!
//! # Entry points
//! [`relay::Relay`], [`echo::Echo`], [`limit::run`], [`samples`].

pub mod echo;
pub mod limit;
pub mod relay;
pub mod samples;

//! The switch: shards that move messages, and a control plane beside them.
//!
//! # Contract
//! A shard owns its state by value in one loop and never waits for the control plane. What was
//! refused, dropped or given up has a counter.
//!
//! # Never contains
//! Rules of payment: those are in `transaction`, `router`, `risk-inline` and `iso8583`.
//!
//! # Entry points
//! [`boot::serve`], [`config::Config`], [`metrics::Metrics`], [`control`],
//! [`cli::run`].

mod acquirer;
pub mod boot;
pub mod callback;
pub mod cli;
pub mod clock;
pub mod config;
mod conn;
pub mod control;
pub mod crypto;
mod desk;
mod echo;
mod endpoint;
pub mod exit;
mod frame;
mod gate;
mod inbox;
mod issuer;
pub mod limits;
mod mesh;
pub mod metrics;
mod readiness;
mod reading;
mod seldom;
mod shard;
mod sys;
pub mod tls;
mod voice;

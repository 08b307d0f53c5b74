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
//! [`config::Config`], [`metrics::Metrics`], [`control`], [`cli`].

pub mod config;
pub mod limits;
pub mod metrics;

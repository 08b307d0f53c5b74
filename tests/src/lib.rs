//! Helpers of the suites: the house rules, a PostgreSQL server of its own.
//!
//! # Contract
//! What a suite in `tests/tests/` needs and a second suite needs too.
//!
//! # Never contains
//! Code of the product; anything that the product depends on.
//!
//! # Entry points
//! [`tidy::Tree`], [`postgres::Cluster`].

pub mod postgres;
pub mod tidy;

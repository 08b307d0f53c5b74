//! Helpers of the suites: the house rules, a PostgreSQL server of its own, the simulated world, the
//! real binaries, the checks of the fuzzers, libraries of others.
//!
//! # Contract
//! What a suite in `tests/tests/` needs and a second suite needs too.
//!
//! # Never contains
//! Code of the product; anything that the product depends on.
//!
//! # Entry points
//! [`tidy::Tree`], [`postgres::Cluster`], [`simulation`], [`e2e`], [`fuzz`], [`outside`].

pub mod certificates;
pub mod e2e;
pub mod fuzz;
pub mod outside;
pub mod pgbouncer;
pub mod postgres;
pub mod simulation;
pub mod tidy;
pub mod vectors;

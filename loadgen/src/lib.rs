//! njia-loadgen: offers load to a payment switch and proves that nothing was lost.
//!
//! # Contract
//! Open loop: what is sent when is computed before the run from a seed, and a target that stalls
//! cannot slow its own measurement down. Every answer is checked; nothing is omitted.
//!
//! # Never contains
//! The engine that it judges: of njia it knows the words, the codec and the journal's reader.
//!
//! # Entry points
//! [`runner::run`] plays acquirers, [`issuer::IssuerHost`] plays issuers, [`verify::audit`]
//! compares what was acknowledged with the journal, the issuers and PostgreSQL, [`demo`] does all
//! of it.
#![forbid(unsafe_code)]

pub mod acks;
pub mod calendar;
pub mod cards;
pub mod chip;
pub mod cli;
pub mod clock;
pub mod command;
pub mod console;
pub mod demo;
pub mod distribution;
mod driver;
pub mod ends;
pub mod gateway;
pub mod generator;
pub mod inflight;
pub mod issuer;
pub mod message;
pub mod numeric;
pub mod profile;
pub mod random;
pub mod recorder;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod schedule;
pub mod send;
pub mod stop;
pub mod target;
pub mod terminals;
pub mod threshold;
pub mod trace_id;
pub mod traffic;
pub mod units;
pub mod verdict;
pub mod verify;

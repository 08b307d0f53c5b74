//! `njia inspect`: journals, transactions, messages and dialects, as people and scripts look at
//! them. Nothing is ever changed by looking.

pub(super) mod audit;
mod fields;
mod frames;
mod input;
pub(super) mod journal;
mod json;
mod lines;
pub(super) mod message;
mod parse;
mod pretty;
pub(super) mod table;
pub(super) mod transaction;

//! Issuers that are asked in JSON over HTTP/1.1 (docs/http-issuers.md).
//!
//! ```text
//! the shard's loop ─► link ─► bridge ─► lane: connector, pool of connections ─► issuer
//!        ▲                                  │ a message, or what became of ours
//!        └──────────────── inbox ◄──────────┘
//! ```
//! To the shard it is a link like any other: with a home, STANs, permits, a breaker, and messages
//! of ISO 8583, which go no further than the lane. What was asked and what an answer means is
//! decided in [`connector`], which is pure; [`reply`] finds the end of an answer. A submit is
//! written once, on one connection; whatever is not understood then is left to a reversal.

pub(crate) mod bridge;
mod connector;
mod lane;
pub(crate) mod operation;
pub(crate) mod plan;
mod reply;

pub(crate) use lane::keep_asking;

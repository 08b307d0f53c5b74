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
//! written once, on one connection, before its deadline and before any reversal of it, or never
//! ([`submits`]); whatever is not understood then is asked for where the issuer has a query, and
//! left to a reversal in the end.

pub(crate) mod bridge;
pub(crate) mod called;
mod connections;
mod connector;
mod lane;
pub(crate) mod operation;
mod pendings;
pub(crate) mod plan;
mod reply;
mod seldom;
mod submits;

use std::rc::Rc;
use std::sync::Arc;

pub(crate) use lane::keep_asking;
use pendings::Pendings;
use plan::Plan;
use seldom::Seldom;
use submits::Submits;

/// What all links of one issuer have in common on one shard. It outlives each loss of a link.
#[derive(Debug)]
pub(crate) struct HttpIssuer {
    plan: Arc<Plan>,
    submits: Rc<Submits>,
    pendings: Rc<Pendings>,
    not_let_in: Seldom,
}

impl HttpIssuer {
    /// One that is asked so.
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            submits: Rc::default(),
            pendings: Rc::default(),
            not_let_in: Seldom::default(),
        }
    }

    //= docs/rules.md#M-16
    /// The issuer has told that something of this payment was decided. Of one that nobody waits for
    /// on this shard it says nothing.
    pub(crate) fn call(&self, our_id: &str) {
        self.submits.call(our_id);
    }
}

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

pub(crate) mod access;
pub(crate) mod bridge;
pub(crate) mod called;
mod connections;
mod connector;
mod lane;
pub(crate) mod operation;
mod pendings;
pub(crate) mod plan;
mod reply;
mod submits;

use std::rc::Rc;
use std::sync::Arc;

use domain::time::Instant;

use access::AccessInForce;
pub(crate) use lane::keep_asking;
use pendings::Pendings;
use plan::{Plan, SecretHeader};
use submits::Submits;

use crate::seldom::Seldom;

/// What all links of one issuer have in common on one shard. It outlives each loss of a link.
#[derive(Debug)]
pub(crate) struct HttpIssuer {
    plan: Arc<Plan>,
    submits: Rc<Submits>,
    pendings: Rc<Pendings>,
    not_let_in: Seldom,
    /// What it is shown, where that is a token.
    access: Option<AccessInForce>,
}

impl HttpIssuer {
    /// One that is asked so.
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            submits: Rc::default(),
            pendings: Rc::default(),
            not_let_in: Seldom::default(),
            access: None,
        }
    }

    /// The same, where it is to be shown a token.
    pub(crate) fn with_access(self, access: AccessInForce) -> Self {
        Self {
            access: self.plan.access.is_some().then_some(access),
            ..self
        }
    }

    /// Writes a request with what shows who asks; `None` where that is a token and there is none.
    fn show<T>(&self, now: Instant, write: impl FnOnce(Option<&SecretHeader>) -> T) -> Option<T> {
        if self.plan.access.is_none() {
            return Some(write(self.plan.auth.as_ref()));
        }
        let access = self.access.as_ref()?.at(now)?;
        Some(write(Some(&access.header)))
    }

    /// It does not let in who shows what was shown.
    fn refuse_access(&self) {
        if let Some(access) = &self.access {
            access.refuse();
        }
    }

    //= docs/rules.md#M-16
    /// The issuer has told that something of this payment was decided. Of one that nobody waits for
    /// on this shard it says nothing.
    pub(crate) fn call(&self, our_id: &str) {
        self.submits.call(our_id);
    }
}

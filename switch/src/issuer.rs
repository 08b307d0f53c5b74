//! The issuers' side: connections that come back by themselves, and the state of each link.

mod connection;
pub(crate) mod http;
mod link;

use std::time::Duration;

use iso8583::header::RejectCode;
use router::selection::CallOutcome;

pub(crate) use connection::{ConnectBudget, ConnectionSetup, keep_connected};
pub(crate) use link::{CutOverStep, Link, LinkEvent, LinkSetup, ShardSet};

/// What a frame of an issuer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message.
    Message,
    /// Its fields could not all be read: where that shows.
    Unreadable {
        /// The field; 0 is the MTI, 1 any bitmap.
        field: u8,
        /// Bytes from the start of the message.
        offset: u32,
    },
    /// A message of ours that was provably not acted on: the network in between did not pass it
    /// on, or the issuer refuses it.
    Rejected {
        /// Why.
        code: RejectCode,
        /// What it says of the issuer.
        call: CallOutcome,
    },
    /// A message of ours of which provably nothing left.
    Unsent,
    /// A message of ours that was answered with what cannot be acted on.
    Unusable,
    /// A request of ours whose answer comes later, if it comes: it is waited for as before.
    Pending {
        /// What it says of the issuer.
        call: CallOutcome,
        /// How long that has taken.
        took: Duration,
    },
}

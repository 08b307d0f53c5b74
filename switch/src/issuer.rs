//! The issuers' side: connections that come back by themselves, and the state of each link.

mod connection;
mod link;

use iso8583::header::RejectCode;

pub(crate) use connection::{ConnectionSetup, keep_connected};
pub(crate) use link::{Link, LinkEvent, LinkSetup, ShardSet, Unmatched};

/// What a frame of an issuer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A message.
    Message,
    /// Its fields could not all be read.
    Unreadable,
    /// A message of ours that the network in between did not pass on.
    Rejected(RejectCode),
}

//! The issuers' side: connections that come back by themselves, and the state of each link.

mod connection;
mod link;

pub(crate) use connection::{ConnectionSetup, keep_connected};
pub(crate) use link::{Link, LinkEvent, LinkSetup, Unmatched};

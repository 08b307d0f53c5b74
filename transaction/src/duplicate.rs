//! What becomes of a request, by what is known of its key (semantics §4).
//!
//! | row | known of the key | copy | decision |
//! |---|---|---|---|
//! | D01 | nothing | any | process as original |
//! | D02 | a tombstone | any | 94 (R9) |
//! | D03 | other content | any | 94, alarm |
//! | D04 | reversed | any | 94 (R9) |
//! | D05 | finished | repeat | stored answer |
//! | D06 | finished | first sending | stored answer, or 94 by policy |
//! | D07 | in flight | repeat | attach |
//! | D08 | in flight | first sending | attach, or 09 by policy |

use domain::profile::SameContent;
use domain::request::{ContentHash, Transmission};

use crate::input::Handle;
use crate::transaction::Transaction;

/// What the table holds under a request's key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) seen: Seen,
    pub(crate) handle: Option<Handle>,
}

impl Found {
    pub(crate) const NOTHING: Self = Self {
        seen: Seen::Never,
        handle: None,
    };
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Never,
    Tombstone,
    OtherContent,
    Reversed,
    Finished,
    InFlight,
}

impl Seen {
    pub(crate) fn of(transaction: &Transaction, content: ContentHash) -> Self {
        if transaction.facts.content != content {
            Self::OtherContent
        } else if transaction.state.is_reversed() {
            Self::Reversed
        } else if transaction.state.is_settled() {
            Self::Finished
        } else {
            Self::InFlight
        }
    }
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Process,
    Replay,
    Attach,
    Reject,
    RejectInFlight,
    Conflict,
    Reversed,
    Buried,
}

//= docs/rules.md#D-04
/// The table above.
//= docs/rules.md#D-07
pub(crate) const fn decide(
    seen: Seen,
    transmission: Transmission,
    policy: SameContent,
) -> Decision {
    match (seen, transmission, policy) {
        (Seen::Never, _, _) => Decision::Process,
        (Seen::Tombstone, _, _) => Decision::Buried,
        (Seen::OtherContent, _, _) => Decision::Conflict,
        (Seen::Reversed, _, _) => Decision::Reversed,
        (Seen::Finished, Transmission::Repeat, _)
        | (Seen::Finished, Transmission::First, SameContent::Replay) => Decision::Replay,
        (Seen::InFlight, Transmission::Repeat, _)
        | (Seen::InFlight, Transmission::First, SameContent::Replay) => Decision::Attach,
        (Seen::Finished, Transmission::First, SameContent::Reject) => Decision::Reject,
        (Seen::InFlight, Transmission::First, SameContent::Reject) => Decision::RejectInFlight,
    }
}

#[cfg(test)]
mod tests;

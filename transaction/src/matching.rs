//! Whose answer came: the numbers of leg B, the table of what is out on a link, and what is told of
//! an answer that belongs to nothing.

mod echo;
mod pending;
mod stan;
mod unmatched;

pub use echo::{Echo, EchoFields};
pub use pending::{
    Expected, KeyRefused, Match, Nearest, PendingLimits, PendingTable, ResponseKind,
};
pub use stan::{StanAllocator, StanRange};
pub use unmatched::{Cause, Unmatched, UnmatchedLog, UnmatchedNote};

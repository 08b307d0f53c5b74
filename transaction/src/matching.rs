//! Whose answer came: the numbers of leg B and the table of what is out on a link.

mod pending;
mod stan;

pub use pending::{
    Echo, EchoFields, Expected, KeyRefused, Match, PendingLimits, PendingTable, ResponseKind,
};
pub use stan::{StanAllocator, StanRange};

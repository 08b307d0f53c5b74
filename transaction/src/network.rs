//! Network management (semantics.md §7): the life of a link, of a session, of a key and of a
//! business day. No message of it enters the engine, the duplicate store or the journal; which day
//! it is does.
//!
//! Each machine is told what has happened and says what to send; the shell writes the messages.
//! Answers to the other side's messages are the shell's alone: they are always given.

mod backoff;
mod keys;
mod link;
mod session;
mod settlement;

pub use backoff::{Backoff, BackoffPolicy};
pub use keys::{KeyRoll, Spread, SpreadStep};
pub use link::{Alarm, KeyPolicy, LinkInput, LinkMachine, LinkOutput, LinkPhase, LinkPolicy};
pub use session::{SessionInput, SessionMachine, SessionOutput, SessionPhase, SessionPolicy};
pub use settlement::{Hold, Settlement};

/// What an answer to a network message of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 00, or 800.
    Accepted,
    /// Anything else.
    Refused,
}

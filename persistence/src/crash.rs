//! Places at which a build for the crash ring dies when it is told to (faults.md 3.1, ring R5).
//!
//! With the feature `crash-points`, `NJIA_CRASH_AT=outcome-appended:37` makes the process send
//! itself SIGKILL when it comes to that step for the 37th time. Without the feature nothing of this
//! is left: every question is answered `false` at compile time. Never in a build for use.
//!
//! `NJIA_REPLY_BEFORE_JOURNAL=1` makes the same build the null control: what was only appended
//! counts as durable, so that an answer leaves before its record is written.

/// A step in the life of a transaction, or of the journal, at which a process may die. The number
/// is the row of faults.md 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// 1: an acquirer's message was read and checked.
    FrameParsed,
    /// 2: an intent was appended, not synced.
    IntentAppended,
    /// 3: an intent is durable, its request not written.
    IntentDurable,
    /// 4: half of what is due on a link was written.
    HalfFrame,
    /// 5: a link has what was due.
    RequestSent,
    /// 6: an issuer's answer was read, nothing of it journaled.
    AnswerRead,
    /// 7: an outcome was appended, not synced.
    OutcomeAppended,
    /// 8: an outcome is durable, its answer not written.
    OutcomeDurable,
    /// 9: a session has its answers.
    ReplySent,
    /// 10: a batch for PostgreSQL is built, its transaction not begun.
    BeforeBegin,
    /// 10: rows were handed to COPY.
    InsideCopy,
    /// 11: COMMIT was sent, its answer not read.
    CommitSent,
    /// 12: COMMIT was answered, nothing that follows from it done.
    CommitAnswered,
    /// 13: the file of a segment was created.
    SpareCreated,
    /// 13: it was filled with zeros and synced.
    SpareZeroed,
    /// 13: it has its name, the directory is not synced.
    SegmentRenamed,
    /// 13: a checkpoint was written and synced, it has no name.
    CheckpointWritten,
    /// 13: it has its name, the directory is not synced.
    CheckpointRenamed,
    /// 13: a segment that it covers was removed, the directory is not synced.
    SegmentRetired,
    /// 14: recovery has read a segment.
    RecoveryRead,
    /// 14: recovery has appended the outcomes and reversals that were missing.
    RecoveryAppended,
    /// 14: they are durable, no listener is open.
    RecoveryDurable,
    /// 15: a reversal was answered, its end not journaled.
    ReversalAnswered,
    /// 17: a drain has begun.
    DrainBegun,
    /// 17: a drain has signed off and closed the sessions.
    DrainLeft,
    /// 18: the applier cannot read the journal. It stops, the process lives.
    ApplierStops,
}

impl Step {
    /// All of them, by the names under which they are armed.
    pub const ALL: [(&'static str, Self); 26] = [
        ("frame-parsed", Self::FrameParsed),
        ("intent-appended", Self::IntentAppended),
        ("intent-durable", Self::IntentDurable),
        ("half-frame", Self::HalfFrame),
        ("request-sent", Self::RequestSent),
        ("answer-read", Self::AnswerRead),
        ("outcome-appended", Self::OutcomeAppended),
        ("outcome-durable", Self::OutcomeDurable),
        ("reply-sent", Self::ReplySent),
        ("before-begin", Self::BeforeBegin),
        ("inside-copy", Self::InsideCopy),
        ("commit-sent", Self::CommitSent),
        ("commit-answered", Self::CommitAnswered),
        ("spare-created", Self::SpareCreated),
        ("spare-zeroed", Self::SpareZeroed),
        ("segment-renamed", Self::SegmentRenamed),
        ("checkpoint-written", Self::CheckpointWritten),
        ("checkpoint-renamed", Self::CheckpointRenamed),
        ("segment-retired", Self::SegmentRetired),
        ("recovery-read", Self::RecoveryRead),
        ("recovery-appended", Self::RecoveryAppended),
        ("recovery-durable", Self::RecoveryDurable),
        ("reversal-answered", Self::ReversalAnswered),
        ("drain-begun", Self::DrainBegun),
        ("drain-left", Self::DrainLeft),
        ("applier-stops", Self::ApplierStops),
    ];
}

/// The variable that arms one step.
pub const VARIABLE: &str = "NJIA_CRASH_AT";

/// Dies here when this is the armed step and its number of passes is reached.
#[inline]
pub fn point(step: Step) {
    if is_due(step) {
        die();
    }
}

#[cfg(not(feature = "crash-points"))]
mod armed {
    use super::Step;

    /// Never.
    #[inline]
    #[must_use]
    pub const fn is_due(_: Step) -> bool {
        false
    }

    /// Nobody calls it: nothing is ever due.
    #[inline]
    pub const fn die() {}
}

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::{Step, VARIABLE};

    struct Armed {
        step: Option<Step>,
        left: AtomicU64,
    }

    /// Counts a pass of `step`; whether it is the one to die at.
    #[must_use]
    pub fn is_due(step: Step) -> bool {
        static ARMED: OnceLock<Armed> = OnceLock::new();
        let armed = ARMED.get_or_init(read);
        armed.step == Some(step) && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Ends the process as a power switch would.
    pub fn die() {
        if let Err(error) = kill_process(getpid(), Signal::KILL) {
            tracing::error!(%error, "a crash point cannot kill its process");
        }
        loop {
            std::thread::park();
        }
    }

    /// A name that is not known arms nothing: the harness sees that its step is not reached.
    fn read() -> Armed {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        let (name, passes) = text.split_once(':').unwrap_or((&text, "1"));
        let found = Step::ALL.iter().find(|(known, _)| *known == name);
        Armed {
            step: found.map(|(_, step)| *step),
            left: AtomicU64::new(passes.parse().unwrap_or(1)),
        }
    }
}

pub use armed::{die, is_due};

/// Whether this process is the null control.
#[cfg(feature = "crash-points")]
#[must_use]
pub fn replies_before_journal() -> bool {
    static REPLIES: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *REPLIES.get_or_init(|| std::env::var_os("NJIA_REPLY_BEFORE_JOURNAL").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_name_of_its_own() {
        for (position, (name, step)) in Step::ALL.iter().enumerate() {
            let same = Step::ALL.iter().filter(|(n, s)| n == name || s == step);
            assert_eq!(same.count(), 1, "{name} at {position}");
        }
    }

    #[test]
    #[cfg(not(feature = "crash-points"))]
    fn nothing_is_due_without_the_feature() {
        for (_, step) in Step::ALL {
            assert!(!is_due(step));
            point(step);
        }
    }
}

//! What is told of an answer that belongs to nothing that waits (semantics §5, "late or unknown").

use alloc::collections::VecDeque;
use core::fmt;
use core::time::Duration;

use domain::ids::Stan;
use domain::time::Instant;

use super::echo::EchoFields;
use super::pending::Nearest;

/// Why an answer was not matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its request was given up so long ago.
    Late(Duration),
    /// Its request was answered so long ago.
    AlreadyAnswered(Duration),
    /// Its STAN is in flight, these fields differ.
    Differs(EchoFields),
    /// Its STAN is in flight under another MTI, or it is no answer at all.
    WrongMti,
    /// Its request is in flight on another link, outside of the group.
    WrongLink,
    /// Its MAC is missing or wrong.
    Mac,
    /// It cannot be read: the field and the byte where that shows.
    Format {
        /// 0 when it is in front of all fields.
        field: u8,
        /// Bytes from the start of the message.
        offset: u32,
    },
    /// None of these.
    Unknown,
}

impl Cause {
    /// How many there are.
    const COUNT: usize = 8;

    const fn position(self) -> usize {
        match self {
            Self::Late(_) => 0,
            Self::AlreadyAnswered(_) => 1,
            Self::Differs(_) => 2,
            Self::WrongMti => 3,
            Self::WrongLink => 4,
            Self::Mac => 5,
            Self::Format { .. } => 6,
            Self::Unknown => 7,
        }
    }

    /// Whether it casts doubt on the link: it says something of what is in flight that cannot be.
    #[must_use]
    pub const fn is_mismatch(self) -> bool {
        match self {
            Self::Differs(_)
            | Self::WrongMti
            | Self::WrongLink
            | Self::Mac
            | Self::Format { .. } => true,
            Self::Late(_) | Self::AlreadyAnswered(_) | Self::Unknown => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(age) => write!(f, "late({} ms)", age.as_millis()),
            Self::AlreadyAnswered(age) => write!(f, "already_answered({} ms)", age.as_millis()),
            Self::Differs(fields) => write!(f, "differs({fields})"),
            Self::WrongMti => f.write_str("wrong_mti"),
            Self::WrongLink => f.write_str("wrong_link"),
            Self::Mac => f.write_str("mac"),
            Self::Format { field, offset } => write!(f, "format(DE{field}, {offset})"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// An answer that was not matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// Why.
    pub cause: Cause,
    /// Its type indicator, if it has one.
    pub mti: Option<[u8; 4]>,
    /// DE11, if it can be read.
    pub stan: Option<Stan>,
}

/// What is kept of it for people: no value of a field but the two that name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmatchedNote {
    /// The answer.
    pub answer: Unmatched,
    /// When it came.
    pub at: Instant,
    /// What it may have been meant for.
    pub nearest: Option<Nearest>,
    /// Answers of the same cause since the note before, which are only counted.
    pub unnoted: u64,
}

impl fmt::Display for UnmatchedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mti = self.answer.mti.unwrap_or(*b"????");
        write!(f, "{}: ", self.answer.cause)?;
        f.write_str(core::str::from_utf8(&mti).unwrap_or("????"))?;
        if let Some(stan) = self.answer.stan {
            write!(f, " stan {:06}", stan.number())?;
        }
        if let Some(nearest) = self.nearest {
            let expected = nearest.expected;
            let (kind, stan) = (expected.kind.text(), expected.stan.number());
            write!(f, "; nearest is {kind} stan {stan:06}")?;
            if !nearest.differs.is_empty() {
                write!(f, ", which differs in {}", nearest.differs)?;
            }
        }
        if self.unnoted > 0 {
            write!(f, "; {} more of this cause", self.unnoted)?;
        }
        Ok(())
    }
}

/// The last notes, at most one of each cause in an interval: what comes in numbers is counted.
#[derive(Debug)]
pub struct UnmatchedLog {
    notes: VecDeque<UnmatchedNote>,
    notes_max: usize,
    interval: Duration,
    causes: [PerCause; Cause::COUNT],
}

#[derive(Clone, Copy, Debug, Default)]
struct PerCause {
    noted: Option<Instant>,
    unnoted: u64,
}

impl UnmatchedLog {
    /// Keeps at most `notes_max`, at least 1, the oldest goes first.
    #[must_use]
    pub fn new(notes_max: usize, interval: Duration) -> Self {
        let notes_max = notes_max.max(1);
        Self {
            notes: VecDeque::with_capacity(notes_max),
            notes_max,
            interval,
            causes: [PerCause::default(); Cause::COUNT],
        }
    }

    /// Takes note of an answer, unless its cause was noted within the interval. `nearest` is asked
    /// only for what is noted. Returns the note that is to be told.
    pub fn note(
        &mut self,
        answer: Unmatched,
        now: Instant,
        nearest: impl FnOnce() -> Option<Nearest>,
    ) -> Option<UnmatchedNote> {
        let of_cause = self.causes.get_mut(answer.cause.position())?;
        let is_early = of_cause
            .noted
            .is_some_and(|noted| now.since(noted) < self.interval);
        if is_early {
            of_cause.unnoted = of_cause.unnoted.saturating_add(1);
            return None;
        }
        of_cause.noted = Some(now);
        let note = UnmatchedNote {
            answer,
            at: now,
            nearest: nearest(),
            unnoted: core::mem::take(&mut of_cause.unnoted),
        };
        if self.notes.len() >= self.notes_max {
            self.notes.pop_front();
        }
        self.notes.push_back(note);
        Some(note)
    }

    /// The last ones, the oldest first.
    pub fn notes(&self) -> impl Iterator<Item = &UnmatchedNote> {
        self.notes.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Expected, ResponseKind};
    use std::string::ToString;

    fn answer(cause: Cause) -> Unmatched {
        Unmatched {
            cause,
            mti: Some(*b"0210"),
            stan: Some(Stan::new(7).unwrap()),
        }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn each_cause_is_told_in_the_words_of_the_table() {
        let second = Duration::from_secs(1);
        let fields = EchoFields::TERMINAL.with(EchoFields::RRN);
        for (cause, shown, is_mismatch) in [
            (Cause::Late(second), "late(1000 ms)", false),
            (
                Cause::AlreadyAnswered(second),
                "already_answered(1000 ms)",
                false,
            ),
            (Cause::Differs(fields), "differs(DE37, DE41)", true),
            (Cause::WrongMti, "wrong_mti", true),
            (Cause::WrongLink, "wrong_link", true),
            (Cause::Mac, "mac", true),
            (
                Cause::Format {
                    field: 4,
                    offset: 30,
                },
                "format(DE4, 30)",
                true,
            ),
            (Cause::Unknown, "unknown", false),
        ] {
            assert_eq!(cause.to_string(), shown);
            assert_eq!(cause.is_mismatch(), is_mismatch, "{shown}");
            let mut log = UnmatchedLog::new(1, second);
            let note = log.note(answer(cause), at(0), || None).unwrap();
            assert_eq!(note.to_string(), std::format!("{shown}: 0210 stan 000007"));
        }
    }

    #[test]
    fn a_note_names_what_comes_nearest_and_how_many_were_not_noted() {
        let mut log = UnmatchedLog::new(2, Duration::from_millis(100));
        let nearest = || {
            let stan = Stan::new(9).unwrap();
            let kind = ResponseKind::Financial;
            let differs = EchoFields::STAN;
            Some(Nearest {
                expected: Expected { kind, stan },
                differs,
            })
        };
        let shown = "unknown: 0210 stan 000007; nearest is financial stan 000009, which differs in \
                     DE11";
        let note = log.note(answer(Cause::Unknown), at(0), nearest);
        assert_eq!(note.unwrap().to_string(), shown);
        for millis in [1, 50, 99] {
            let unasked = || -> Option<Nearest> { unreachable!("it is not noted") };
            assert_eq!(log.note(answer(Cause::Unknown), at(millis), unasked), None);
        }
        assert!(log.note(answer(Cause::Mac), at(99), || None).is_some());
        let note = log.note(answer(Cause::Unknown), at(100), || None).unwrap();
        let shown = "unknown: 0210 stan 000007; 3 more of this cause";
        assert_eq!(note.to_string(), shown);
        let kept: std::vec::Vec<Instant> = log.notes().map(|note| note.at).collect();
        assert_eq!(kept, [at(99), at(100)], "the oldest has gone");
    }
}

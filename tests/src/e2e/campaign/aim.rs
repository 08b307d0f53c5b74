//! What the points of a campaign aim at: the rows of faults.md 3.1, and random moments.

use persistence::crash::Step;

use super::dice::Dice;

/// One point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Of faults.md 3.1; none for a random moment.
    pub row: Option<u8>,
    /// How it is brought about.
    pub way: Way,
}

/// How a process is made to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At a step that load leads to, at one of its first passes.
    Load(Step, u64),
    /// At a step that a start leads to, at one of its first passes.
    Start(Step, u64),
    /// At a start that must make a segment, since its length was changed.
    Resized(Step, u64),
    /// Three starts in a row, each in a later part of recovery.
    Recoveries,
    /// In a drain under load.
    Drain(Step, u64),
    /// The applier stops and the process lives; it is killed a moment later.
    Applier(u64),
    /// At any moment.
    Random,
}

/// One kind of point after the other; within a row, one of its ways after the other.
const KINDS: [(Option<u8>, &[Way]); 18] = [
    (Some(1), &[Way::Load(Step::FrameParsed, 600)]),
    (Some(2), &[Way::Load(Step::IntentAppended, 500)]),
    (Some(3), &[Way::Load(Step::IntentDurable, 500)]),
    (Some(4), &[Way::Load(Step::HalfFrame, 300)]),
    (Some(5), &[Way::Load(Step::RequestSent, 300)]),
    (Some(6), &[Way::Load(Step::AnswerRead, 500)]),
    (None, &[Way::Random]),
    (Some(7), &[Way::Load(Step::OutcomeAppended, 500)]),
    (Some(8), &[Way::Load(Step::OutcomeDurable, 500)]),
    (Some(9), &[Way::Load(Step::ReplySent, 300)]),
    (
        Some(10),
        &[
            Way::Load(Step::BeforeBegin, 6),
            Way::Load(Step::InsideCopy, 12),
        ],
    ),
    (Some(11), &[Way::Load(Step::CommitSent, 6)]),
    (Some(12), &[Way::Load(Step::CommitAnswered, 6)]),
    (
        Some(13),
        &[
            Way::Start(Step::SpareCreated, 2),
            Way::Resized(Step::SegmentRenamed, 2),
            Way::Start(Step::SpareZeroed, 2),
        ],
    ),
    (Some(14), &[Way::Recoveries]),
    (Some(15), &[Way::Load(Step::ReversalAnswered, 8)]),
    (
        Some(17),
        &[
            Way::Drain(Step::DrainBegun, 2),
            Way::Drain(Step::DrainLeft, 2),
        ],
    ),
    (Some(18), &[Way::Applier(4)]),
];

/// Points in one round over all kinds.
pub const ROUND: u64 = KINDS.len() as u64;

impl Aim {
    /// The aim of the point of this number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let place = usize::try_from(number % ROUND).unwrap_or(0);
        let turn = usize::try_from(number / ROUND).unwrap_or(0);
        let (row, ways) = KINDS[place];
        Self {
            row,
            way: ways[turn % ways.len()],
        }
    }
}

/// What arms a step, at one of its first `passes`.
pub(super) fn armed(step: Step, passes: u64, dice: &mut Dice) -> String {
    let known = Step::ALL.iter().find(|(_, known)| *known == step);
    let name = known.map_or("", |(name, _)| *name);
    format!("{name}:{}", 1 + dice.below(passes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_aims_at_each_row_but_the_one_that_does_not_apply() {
        let rows: Vec<u8> = (0..ROUND).filter_map(|n| Aim::of(n).row).collect();
        // Nothing is reloaded here: no row 16.
        let all: Vec<u8> = (1..=18).filter(|row| *row != 16).collect();
        assert_eq!(rows, all);
        assert_ne!(Aim::of(10), Aim::of(10 + ROUND), "its ways take turns");
    }
}

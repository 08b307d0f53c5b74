//! A flood is a few lines: what one address does again and again within a window is one line with
//! a count, and what comes from too many addresses is one line for all of them.
//!
//! ```text
//!              first of its kind, and its cause has a turn ─► a line at once, and a fold
//! incident ─┬─ of a fold ─► counted; a line when its window ends, if there were any
//!           └─ no turn, or no room for a fold ─► counted for its cause; a line as above
//! ```
//! Bounded: [`FOLDS_MAX`] folds, one crowd for each cause, [`BURST`] lines of a cause at once and
//! then one a second.

use std::collections::HashMap;
use std::time::Duration;

use domain::time::Instant;

use super::incident::{Incident, Object, Who};

/// All that is folded.
#[derive(Debug, Default)]
pub(super) struct Folds {
    of_one: HashMap<Incident, Fold>,
    /// Of each cause, what was too much of it.
    crowds: HashMap<Incident, Fold>,
    turns: HashMap<Incident, Turns>,
}

#[derive(Debug)]
struct Fold {
    since: Instant,
    /// Those that no line has told of.
    count: u64,
}

/// How many lines a cause may have at this moment.
#[derive(Debug)]
struct Turns {
    left: u32,
    at: Instant,
}

/// What becomes of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// It is a line.
    Line,
    /// A later line counts it.
    Counted,
}

impl Folds {
    pub(super) fn take(&mut self, incident: Incident, now: Instant) -> Folded {
        if let Some(fold) = self.of_one.get_mut(&incident) {
            fold.count = fold.count.saturating_add(1);
            return Folded::Counted;
        }
        let cause = cause(incident);
        let turns = self.turns.entry(cause).or_insert(Turns {
            left: BURST,
            at: now,
        });
        if self.of_one.len() < FOLDS_MAX && turns.take(now) {
            let fold = Fold {
                since: now,
                count: 0,
            };
            self.of_one.insert(incident, fold);
            return Folded::Line;
        }
        let crowd = self.crowds.entry(cause).or_insert(Fold {
            since: now,
            count: 0,
        });
        crowd.count = crowd.count.saturating_add(1);
        Folded::Counted
    }

    /// Whatever is due: windows that have ended, or all of them at the end. What was silent for a
    /// window is forgotten.
    pub(super) fn due(&mut self, now: Instant, is_end: bool) -> Vec<(Incident, u64)> {
        let mut due = Vec::new();
        for folds in [&mut self.of_one, &mut self.crowds] {
            folds.retain(|incident, fold| {
                if !is_end && now.since(fold.since) < WINDOW {
                    return true;
                }
                if fold.count == 0 {
                    return false;
                }
                due.push((*incident, fold.count));
                fold.count = 0;
                fold.since = now;
                true
            });
        }
        due
    }
}

impl Turns {
    fn take(&mut self, now: Instant) -> bool {
        let gained = now.since(self.at).as_secs();
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(gained).min(BURST);
            self.at = now;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

/// What an incident has in common with those of others.
const fn cause(incident: Incident) -> Incident {
    Incident {
        who: Who::Various,
        from: None,
        object: Object::Various,
        ..incident
    }
}

/// How long the same is counted before there is a line of it.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
const FOLDS_MAX: usize = 256;
const BURST: u32 = 20;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::control::audit::incident::{Fate, What, Why};

    fn from(address: u32) -> Incident {
        Incident {
            what: What::Authentication,
            who: Who::Unknown,
            from: Some(IpAddr::V4(Ipv4Addr::from_bits(address))),
            object: Object::Various,
            fate: Fate::Refused,
            why: Why::CredentialUnknown,
        }
    }

    #[test]
    fn repeats_from_one_address_are_one_line_a_window() {
        let mut folds = Folds::default();
        let begin = Instant::ZERO;
        assert_eq!(folds.take(from(1), begin), Folded::Line);
        for _ in 0..1_000 {
            assert_eq!(folds.take(from(1), begin), Folded::Counted);
        }
        assert!(folds.due(begin.after(WINDOW / 2), false).is_empty());
        let end = begin.after(WINDOW);
        assert_eq!(folds.due(end, false), [(from(1), 1_000)]);
        // Silent for a window: forgotten, so that the next one is a line at once.
        assert!(folds.due(end.after(WINDOW), false).is_empty());
        assert_eq!(folds.take(from(1), end.after(WINDOW)), Folded::Line);
    }

    #[test]
    fn a_flood_from_many_addresses_is_bounded_and_counted() {
        let mut folds = Folds::default();
        let mut lines = 0_u64;
        let mut now = Instant::ZERO;
        for second in 0..600_u32 {
            for address in 0..100 {
                let incident = from(second * 100 + address);
                lines += u64::from(folds.take(incident, now) == Folded::Line);
            }
            now = now.after(Duration::from_secs(1));
            lines += folds.due(now, false).len() as u64;
        }
        // 60,000 in ten minutes: one a second, those at once, and a crowd each minute.
        assert!((600..640).contains(&lines), "{lines}");
        assert!(folds.of_one.len() <= FOLDS_MAX);
    }

    #[test]
    fn nothing_counted_is_lost() {
        let mut folds = Folds::default();
        let mut told = 0;
        for address in 0..500 {
            for _ in 0..3 {
                told += u64::from(folds.take(from(address), Instant::ZERO) == Folded::Line);
            }
        }
        told += folds
            .due(Instant::ZERO, true)
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>();
        assert_eq!(told, 1_500);
    }
}

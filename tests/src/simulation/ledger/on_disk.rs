//! What an answer rests on is on the disk when it leaves, and not only after the next crash.

use domain::ids::Lsn;

use super::*;

/// How purchases stand on the disk, where more was appended.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    durable: BTreeMap<u16, Lsn>,
    behind: BTreeMap<u32, Behind>,
    /// Outcomes of this turn that owe a reversal.
    owe: BTreeSet<u32>,
}

#[derive(Debug)]
struct Behind {
    /// On the disk.
    state: State,
    /// What it became with each record that may not be there.
    appended: Vec<(u16, Lsn, State)>,
}

impl OnDisk {
    pub(super) fn appended(&mut self, at: (u16, Lsn), purchase: u32, states: (State, State)) {
        let (before, after) = states;
        let behind = self.behind.entry(purchase).or_insert(Behind {
            state: before,
            appended: Vec::new(),
        });
        behind.appended.push((at.0, at.1, after));
    }

    fn reached(&self, shard: u16, lsn: Lsn) -> bool {
        self.durable
            .get(&shard)
            .is_some_and(|durable| *durable >= lsn)
    }
}

impl Ledger {
    /// A flush has ended well.
    pub(in crate::simulation) fn durable(&mut self, shard: u16, lsn: Lsn) {
        let mut on_disk = std::mem::take(&mut self.on_disk);
        on_disk.durable.insert(shard, lsn);
        let mut behind = std::mem::take(&mut on_disk.behind);
        behind.retain(|_, behind| {
            let appended = behind.appended.iter();
            let there = appended.take_while(|(shard, lsn, _)| on_disk.reached(*shard, *lsn));
            let there = there.count();
            if let Some((.., state)) = behind.appended.drain(..there).next_back() {
                behind.state = state;
            }
            !behind.appended.is_empty()
        });
        on_disk.behind = behind;
        self.on_disk = on_disk;
    }

    /// What a start would find of a purchase.
    fn on_disk(&self, purchase: u32) -> State {
        let Some(behind) = self.on_disk.behind.get(&purchase) else {
            return self.journal.state(purchase);
        };
        let mut appended = behind.appended.iter().rev();
        let there = appended.find(|(shard, lsn, _)| self.on_disk.reached(*shard, *lsn));
        there.map_or_else(|| behind.state.clone(), |(.., state)| state.clone())
    }

    /// S1: an answer leaves; the record that it rests on is on the disk.
    pub(super) fn rests_on_disk(
        &self,
        ask: &Ask,
        answer: &Answer<'_>,
        stored: bool,
    ) -> Result<(), Broken> {
        let purchase = ask.of.number;
        let state = self.on_disk(purchase);
        let is_said = answer.code.is_approval();
        let rests = match ask.what {
            Asked::Reversal { stays, .. } => {
                let is_taken = is_said || answer.code == ResponseCode::ORIGINAL_NOT_FOUND;
                !is_taken || state.is_known() && state.is_taken_back(stays.unwrap_or(0))
            }
            Asked::Request { .. } if ask.of.is_advice() => !is_said || state.is_advised(),
            Asked::Request { .. } => {
                if stored && !is_said {
                    return state.check_told(purchase);
                }
                !is_said || state.is_approved
            }
        };
        match rests {
            true => Ok(()),
            false => Err((
                "S1",
                format!("{ask:?} is told {} and the disk has {state:?}", answer.code),
            )),
        }
    }

    /// Where an issuer may have approved what is told otherwise, it is owed the reversal in the
    /// same turn.
    pub(super) fn note_owed(&mut self, purchase: u32, record: &Record<'_>) {
        match record {
            Record::Outcome(outcome)
                if matches!(outcome.kind, OutcomeKind::TimedOut | OutcomeKind::Invalid) =>
            {
                self.on_disk.owe.insert(purchase);
            }
            Record::SafOwed(_) => {
                self.on_disk.owe.remove(&purchase);
            }
            _ => {}
        }
    }

    /// S3, at the end of each turn.
    pub(in crate::simulation) fn check_turn(&self) -> Result<(), Broken> {
        match self.on_disk.owe.first() {
            None => Ok(()),
            Some(purchase) => Err((
                "S3",
                format!("purchase {purchase} may have moved and nothing is owed"),
            )),
        }
    }

    /// S3, when a start has closed what it found open.
    pub(in crate::simulation) fn check_closed(&self) -> Result<(), Broken> {
        let mut states = self.journal.states.iter();
        let open = states.find(|(_, state)| {
            state.intents != state.closed || state.may_have_moved && state.owed == 0
        });
        match open {
            None => Ok(()),
            Some((purchase, state)) => Err((
                "S3",
                format!("a start leaves purchase {purchase} open: {state:?}"),
            )),
        }
    }
}

impl State {
    /// Any record is about it.
    fn is_known(&self) -> bool {
        let asked = self.intents > 0 || self.refused;
        asked || self.advised > 0 || self.left_to_people || self.buried || self.owed > 0
    }

    /// S3: whoever is told that nothing was approved is told so when the disk has an outcome, and
    /// what the issuer is owed if it may have approved.
    fn check_told(&self, purchase: u32) -> Result<(), Broken> {
        if self.intents == self.closed && (!self.may_have_moved || self.owed > 0) {
            return Ok(());
        }
        Err((
            "S3",
            format!("purchase {purchase} is told its end and the disk has {self:?}"),
        ))
    }
}

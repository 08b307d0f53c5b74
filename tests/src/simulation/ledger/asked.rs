//! T-16: what a start asks for, and never sends.

use std::collections::BTreeSet;

use domain::ids::Stan;
use domain::time::{TransmissionTime, WallTime};

use super::{Broken, Fold, Ledger, State};
use crate::simulation::words::LegB;

/// What has left, and what is asked for.
#[derive(Debug, Default)]
pub(super) struct AskedBook {
    /// Requests, by DE11 and DE7 of leg B and by purchase.
    left: BTreeSet<(Stan, Option<TransmissionTime>, u32)>,
    /// Purchases that the last start has to ask for.
    open: BTreeSet<u32>,
}

impl AskedBook {
    /// A start finds this, before it closes anything.
    pub(super) fn found(&mut self, fold: &Fold, wall: WallTime) {
        let states = fold.states.iter();
        let asked = states.filter(|(_, state)| state.is_asked_for(wall));
        self.open = asked.map(|(purchase, _)| *purchase).collect();
    }
}

impl Ledger {
    /// No request leaves twice, in whichever life.
    pub(in crate::simulation) fn leaves(&mut self, message: &LegB) -> Result<(), Broken> {
        let (stan, sent) = (message.expected.stan, message.echo.transmitted);
        match self.asked.left.insert((stan, sent, message.purchase)) {
            true => Ok(()),
            false => Err(("T-16", format!("{message:?} is sent again"))),
        }
    }

    /// S3, when a start has closed what it found open; T-16: but for what it asks for.
    pub(in crate::simulation) fn check_closed(&self) -> Result<(), Broken> {
        let mut states = self.journal.states.iter();
        let open = states.find(|(purchase, state)| {
            let is_asked = self.asked.open.contains(purchase);
            state.is_open() != is_asked || state.may_have_moved && state.owed == 0
        });
        match open {
            None => Ok(()),
            Some((purchase, state)) if !state.is_open() && self.asked.open.contains(purchase) => {
                Err((
                    "T-16",
                    format!("a start ends purchase {purchase}, and can ask for it: {state:?}"),
                ))
            }
            Some((purchase, state)) => Err((
                "S3",
                format!("a start leaves purchase {purchase} open: {state:?}"),
            )),
        }
    }
}

impl State {
    fn is_asked_for(&self, wall: WallTime) -> bool {
        self.is_open() && self.asked_until.is_some_and(|until| until > wall)
    }

    const fn is_open(&self) -> bool {
        self.intents != self.closed
    }
}

//! What the issuers did, by request of their leg.

use std::path::PathBuf;

use anyhow::Result;
use domain::currency::Currency;
use hashbrown::HashMap;

use crate::issuer::Effect;
use crate::issuer::book::EffectKind;
use crate::issuer::ledger::Ledger;
use crate::trace_id::TraceId;

/// The effects of all issuers.
#[derive(Debug, Default)]
pub struct LedgerBook {
    pub(super) legs: HashMap<TraceId, Leg>,
}

/// What one request did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) currency: Currency,
    pub(super) approvals: u32,
    pub(super) approved: u64,
    pub(super) reversed: u64,
}

impl LedgerBook {
    /// Reads ledgers.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut book = Self::default();
        for path in paths {
            Ledger::read_all(path, |effect| book.fold(&effect))?;
        }
        Ok(book)
    }

    /// Takes one effect.
    pub fn fold(&mut self, effect: &Effect) {
        let leg = self.legs.entry(effect.id).or_insert(Leg {
            currency: effect.amount.currency(),
            approvals: 0,
            approved: 0,
            reversed: 0,
        });
        match effect.kind {
            EffectKind::Approve => {
                leg.approvals += 1;
                leg.approved += effect.amount.minor();
            }
            EffectKind::Hold => leg.approved += effect.amount.minor(),
            EffectKind::Reverse | EffectKind::Release => leg.reversed += effect.amount.minor(),
        }
    }
}

//! Issuers that may decide later, and are asked what became of a request until they tell.

use domain::ids::IssuerId;
use transaction::settings::IssuerSet;

use super::Driver;
use super::random::Random;
use super::switch::ISSUERS;

/// Chances are in permille.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// A bit for each issuer.
    issuers: u64,
    /// Requests that are decided later: until then their issuer says nothing.
    pub(super) pending: u64,
    /// And how much later, at most.
    pub(super) decides_ms: u64,
    /// Questions that are not answered.
    pub(super) silent: u64,
    /// What an issuer does not know it has not executed, and says so.
    pub(super) not_found_is_final: bool,
    /// Of the routes: time enough to decide, and for a restart.
    pub(super) deadline_ms: u64,
}

impl Asking {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            issuers: random.between(1, 4),
            pending: random.below(1_000),
            decides_ms: random.between(500, 15_000),
            silent: random.below(500),
            not_found_is_final: random.permille(500),
            deadline_ms: random.between(2_000, 12_000),
        }
    }

    pub(super) const fn has(&self, issuer: IssuerId) -> bool {
        (self.issuers >> issuer.0) & 1 == 1
    }

    /// What the engine is told: a null control says nothing to a later life.
    pub(super) fn settings(&self, driver: Driver, life: u64) -> IssuerSet {
        if driver == Driver::ReversesAsked && life > 1 {
            return IssuerSet::NOBODY;
        }
        let asked = (0..ISSUERS).map(IssuerId).filter(|id| self.has(*id));
        asked.fold(IssuerSet::NOBODY, |set, id| set.with(id))
    }

    /// Whoever is asked answers, and decides at once.
    pub(super) const fn calm(self) -> Self {
        Self {
            pending: 0,
            silent: 0,
            ..self
        }
    }
}

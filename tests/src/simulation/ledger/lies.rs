//! Issuers that decline behind the deadline what they have carried out, and then say so.

use std::collections::BTreeMap;

/// Purchases with such a lie, and whether the switch has heard the truth too. Whoever is told the
/// lie alone cannot know.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Lies(BTreeMap<u32, Truth>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Untold,
    Told,
}

impl Lies {
    pub(in crate::simulation) fn tell(&mut self, purchase: u32) {
        self.0.insert(purchase, Truth::Untold);
    }

    /// An approval is heard. Whether it is the truth behind a lie.
    pub(in crate::simulation) fn hear(&mut self, purchase: u32) -> bool {
        let truth = self.0.get_mut(&purchase);
        truth.map(|truth| *truth = Truth::Told).is_some()
    }

    /// A crash may have been quicker than the record of the truth.
    pub(super) fn crash(&mut self, is_owed_anew: impl Fn(u32) -> bool) {
        for (purchase, truth) in &mut self.0 {
            if !is_owed_anew(*purchase) {
                *truth = Truth::Untold;
            }
        }
    }

    /// Whether nobody can hold the switch to what became of this one.
    pub(in crate::simulation) fn excuse(&self, purchase: u32) -> bool {
        self.0.get(&purchase) == Some(&Truth::Untold)
    }
}

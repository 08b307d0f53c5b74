//! How the gateways of one shard show who they are: what SIGHUP has brought last.

use std::cell::RefCell;
use std::sync::Arc;

use crate::config::{Config, CredentialSet, Credentials};
use crate::control::shared::ShardShared;

/// A shard's side.
#[derive(Debug)]
pub(crate) struct CredentialsInForce {
    shared: Arc<ShardShared>,
    set: RefCell<Arc<CredentialSet>>,
}

impl CredentialsInForce {
    /// Those that the start has found.
    pub(crate) fn new(shared: &Arc<ShardShared>, config: &Config) -> Self {
        let gateways = config.gateways.iter();
        let set = gateways.map(|one| (one.name.clone(), Arc::clone(&one.credentials)));
        Self {
            shared: Arc::clone(shared),
            set: RefCell::new(Arc::new(CredentialSet(set.collect()))),
        }
    }

    /// Of a gateway by its number. Of one that is not there there are none, and nobody comes in.
    pub(super) fn of(&self, gateway: u16) -> Option<Arc<Credentials>> {
        if let Some(set) = self.shared.credentials.pop() {
            *self.set.borrow_mut() = set;
        }
        let set = self.set.borrow();
        let held = set.0.get(usize::from(gateway));
        held.map(|(_, held)| Arc::clone(held))
    }
}

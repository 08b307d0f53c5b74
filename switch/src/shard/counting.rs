//! Every message of an acquirer is counted once as read and once as what it came to, so that
//! nothing is lost between the two (docs/metrics.md, "It adds up").

use domain::ids::{AcquirerId, Slot};
use transaction::output::{Event, JournalEntry, ReversalResult};

use super::Shard;
use crate::metrics::{Counter, Ingress, RepeatResult};

/// What a shard remembers for it.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    /// Transactions of gateways that this start has begun and not decided.
    pub(crate) inflight_http: usize,
    /// What the engine decides about was asked before, for the same message of a gateway.
    pub(crate) is_again: bool,
}

impl Shard {
    /// How messages of an acquirer come in: it is of one gateway or of listeners.
    pub(super) fn ingress(&self, acquirer: AcquirerId) -> Ingress {
        let mut gateways = self.config.gateways.iter();
        if gateways.any(|gateway| gateway.acquirer == acquirer) {
            Ingress::Http
        } else {
            Ingress::Iso
        }
    }

    pub(super) fn count_event(&mut self, event: Event, acquirer: Option<AcquirerId>) {
        let ingress = acquirer.map_or(Ingress::Iso, |acquirer| self.ingress(acquirer));
        if let Event::Reversal(result) = event
            && self.work.counting.is_again
        {
            // Known from when it was asked first, and counted then.
            if result == ReversalResult::Copy {
                return;
            }
            self.metrics.count(Counter::Requests(ingress));
        }
        let has_ended = matches!(event, Event::NotAdmitted(_) | Event::Copy(_));
        if has_ended && ingress == Ingress::Http {
            self.gateway_ended();
        }
        self.metrics.count_event(ingress, event);
    }

    /// A record decides a transaction.
    pub(super) fn count_decided(&mut self, entry: &JournalEntry) {
        let handle = entry.handle();
        let Some(facts) = self.engine.facts(handle) else {
            return;
        };
        let (ingress, class) = (self.ingress(facts.acquirer), facts.class);
        // What an earlier start has begun was not counted as begun by this one, but where it goes
        // on here.
        let start = self.engine.next_transaction_id(Slot(0)).start();
        let id = self.engine.transaction_id(handle);
        let is_ours = id.is_some_and(|id| id.start() == start);
        if ingress == Ingress::Http && (is_ours || self.engine.is_resumed(handle)) {
            self.gateway_ended();
        }
        let record = self.engine.record(entry);
        self.metrics.count_record(ingress, class, &record);
    }

    /// What an earlier start has begun goes on.
    pub(super) fn count_resumed(&mut self, acquirer: AcquirerId) {
        if self.ingress(acquirer) == Ingress::Http {
            let inflight = &mut self.work.counting.inflight_http;
            *inflight = inflight.saturating_add(1);
        }
    }

    fn gateway_ended(&mut self) {
        let inflight = &mut self.work.counting.inflight_http;
        *inflight = inflight.saturating_sub(1);
    }

    /// A copy of a gateway is told of what came before, and the engine is not asked.
    pub(super) fn count_copy(&self, result: RepeatResult) {
        self.metrics.count(Counter::Repeats(Ingress::Http, result));
    }
}

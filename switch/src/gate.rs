//! Whether this shard takes work: set by the loop, read by the tasks that read sockets.

use std::cell::Cell;

use crate::metrics::RejectReason;

/// The shard's door.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shedding: Cell<Option<RejectReason>>,
    closed: Cell<bool>,
}

impl Gate {
    /// Why new requests are refused with 96, before anything is remembered of them; `None` while
    /// they are not.
    pub(crate) fn shedding(&self) -> Option<RejectReason> {
        self.shedding.get()
    }

    /// Sets the answer of [`Gate::shedding`].
    pub(crate) fn set_shedding(&self, reason: Option<RejectReason>) {
        self.shedding.set(reason);
    }

    /// No new sessions.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Closes for good: the process is draining.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }
}

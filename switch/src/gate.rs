//! Whether this shard takes work: set by the loop, read by the tasks that read sockets.

use std::cell::Cell;

/// The shard's door.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shedding: Cell<bool>,
    closed: Cell<bool>,
}

impl Gate {
    /// New requests are refused with 96, before anything is remembered of them.
    pub(crate) fn is_shedding(&self) -> bool {
        self.shedding.get()
    }

    /// Sets the answer of [`Gate::is_shedding`].
    pub(crate) fn set_shedding(&self, shedding: bool) {
        self.shedding.set(shedding);
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

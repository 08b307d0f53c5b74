//! Signals of the operating system, in the words of the switch.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::shared::NodeFlags;
use super::tls::TlsKeeper;

/// The signals that are listened to.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes them over; inside a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// SIGTERM drains; a second one, or SIGINT, ends at once; SIGHUP reads the files of TLS again.
    /// Never returns.
    pub(super) async fn obey(mut self, node: &NodeFlags, tls: &TlsKeeper) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => terminate(node),
                _ = self.interrupt.recv() => {
                    tracing::warn!("interrupted: ending without waiting for what is in flight");
                    node.stop_now();
                }
                _ = self.hang_up.recv() => tls.reload(),
            }
        }
    }
}

fn terminate(node: &NodeFlags) {
    if node.is_draining() {
        tracing::warn!("terminated twice: ending without waiting for what is in flight");
        node.stop_now();
    } else {
        tracing::info!("draining");
        node.drain();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::control::shared::Shared;

    #[test]
    fn the_second_termination_waits_for_nothing() {
        let shared = Shared::new(1, 0, Clock::start());
        terminate(shared.node());
        assert!(shared.node().is_draining() && !shared.node().must_stop_now());
        terminate(shared.node());
        assert!(shared.node().must_stop_now());
    }
}

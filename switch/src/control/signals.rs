//! Signals of the operating system, in the words of the switch.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Reloads;
use super::audit::{Act, Fate, What, Why};
use super::keys::KeysKeeper;
use super::shared::NodeFlags;

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

    /// SIGTERM drains; a second one, or SIGINT, ends at once; SIGHUP reads the files of TLS, the
    /// credentials of gateways and the keys of account numbers again. Never returns.
    pub(super) async fn obey(mut self, node: &NodeFlags, reloads: &Reloads) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => terminate(node),
                _ = self.interrupt.recv() => {
                    tracing::warn!("interrupted: ending without waiting for what is in flight");
                    node.audit().act(Act::by_signal(What::Stop, "switch", Fate::Done, Why::None));
                    node.stop_now();
                }
                _ = self.hang_up.recv() => {
                    reloads.tls.reload();
                    reloads.credentials.reload();
                    reload_keys(&reloads.keys);
                }
            }
        }
    }
}

/// On a thread of its own: it reads a block of each segment.
fn reload_keys(keys: &Arc<KeysKeeper>) {
    let keys = Arc::clone(keys);
    drop(tokio::task::spawn_blocking(move || keys.reload()));
}

fn terminate(node: &NodeFlags) {
    if node.is_draining() {
        tracing::warn!("terminated twice: ending without waiting for what is in flight");
        node.audit()
            .act(Act::by_signal(What::Stop, "switch", Fate::Done, Why::None));
        node.stop_now();
    } else {
        tracing::info!("draining");
        node.audit()
            .act(Act::by_signal(What::Drain, "switch", Fate::Done, Why::None));
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

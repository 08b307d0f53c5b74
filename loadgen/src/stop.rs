//! The wish to end, told by Ctrl-C or by a caller, and waited for with a deadline.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;

/// Shared by everything that must end early when asked to.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Asks everybody to end.
    pub fn ask(&self) {
        *self.shared.asked.lock() = true;
        self.shared.changed.notify_all();
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.shared.asked.lock()
    }

    /// Waits for this long, or until somebody asks; says whether somebody did.
    #[must_use]
    pub fn wait(&self, duration: Duration) -> bool {
        let mut asked = self.shared.asked.lock();
        if !*asked {
            self.shared.changed.wait_for(&mut asked, duration);
        }
        *asked
    }

    /// Waits until `done` says so or `deadline` has passed, looking every `interval`. Says whether
    /// it was done.
    ///
    /// # Errors
    /// What `done` says, or that somebody asked to end.
    pub fn until(
        &self,
        deadline: Duration,
        interval: Duration,
        mut done: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        let clock = Clock::start();
        let begin = clock.now();
        loop {
            if done()? {
                return Ok(true);
            }
            let left = deadline.saturating_sub(clock.now().since(begin));
            if left.is_zero() {
                return Ok(false);
            }
            if self.wait(interval.min(left)) {
                anyhow::bail!("ended by hand");
            }
        }
    }

    /// Asks to end at the first Ctrl-C or SIGTERM. The second Ctrl-C ends the process.
    ///
    /// # Errors
    /// The handler cannot be installed.
    pub fn on_signals(&self) -> Result<()> {
        let stop = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for signals")?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(stop.listen()))?;
        Ok(())
    }

    async fn listen(self) {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        self.ask();
        interrupt.recv().await;
        std::process::exit(130);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_woken() {
        let stop = Stop::default();
        assert!(!stop.wait(Duration::from_millis(1)));
        let waiter = {
            let stop = stop.clone();
            std::thread::spawn(move || stop.wait(Duration::from_secs(60)))
        };
        stop.ask();
        assert!(waiter.join().unwrap());
        assert!(stop.is_asked());
    }

    #[test]
    fn waiting_ends_when_it_is_done_at_the_deadline_or_when_asked() {
        let stop = Stop::default();
        let mut looks = 0;
        let step = Duration::from_millis(1);
        let done = stop.until(Duration::from_secs(60), step, || {
            looks += 1;
            Ok(looks == 3)
        });
        assert!(done.unwrap());
        assert!(!stop.until(step, step, || Ok(false)).unwrap());
        stop.ask();
        assert!(
            stop.until(Duration::from_secs(60), step, || Ok(false))
                .is_err()
        );
    }
}

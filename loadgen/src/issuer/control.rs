//! Faults of a simulated issuer on demand: by hand from a test, or by a script.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::units::parse_duration;

/// Switches that may be thrown while the issuer runs.
#[derive(Debug, Default)]
pub struct Control {
    mute: AtomicBool,
    freeze: AtomicBool,
    refuse: AtomicBool,
    garble: AtomicU32,
    silence: AtomicU32,
    poison: AtomicU32,
    disconnects: AtomicU32,
}

impl Control {
    /// While on, everything is processed and nothing is answered.
    pub fn mute(&self, on: bool) {
        self.mute.store(on, Ordering::Relaxed);
    }

    /// While on, answers are held back; afterwards they leave at once.
    pub fn freeze(&self, on: bool) {
        self.freeze.store(on, Ordering::Relaxed);
    }

    /// While on, connections are closed as soon as they are made.
    pub fn refuse_connections(&self, on: bool) {
        self.refuse.store(on, Ordering::Relaxed);
    }

    /// Garbles the answers to the next `requests` requests.
    pub fn garble_next(&self, requests: u32) {
        self.garble.store(requests, Ordering::Relaxed);
    }

    /// Processes the next `requests` requests without answering them.
    pub fn silence_next(&self, requests: u32) {
        self.silence.store(requests, Ordering::Relaxed);
    }

    /// Never answers the next so many requests to be reversed, however often they are repeated.
    pub fn poison_next(&self, reversals: u32) {
        self.poison.store(reversals, Ordering::Relaxed);
    }

    /// Closes all connections that are there.
    pub fn disconnect(&self) {
        self.disconnects.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing is answered at present.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.mute.load(Ordering::Relaxed)
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.freeze.load(Ordering::Relaxed)
    }

    pub(super) fn refuses(&self) -> bool {
        self.refuse.load(Ordering::Relaxed)
    }

    pub(super) fn disconnects(&self) -> u32 {
        self.disconnects.load(Ordering::Relaxed)
    }

    pub(super) fn take_garble(&self) -> bool {
        take(&self.garble)
    }

    pub(super) fn take_silence(&self) -> bool {
        take(&self.silence)
    }

    pub(super) fn take_poison(&self) -> bool {
        take(&self.poison)
    }
}

fn take(counter: &AtomicU32) -> bool {
    counter.load(Ordering::Relaxed) > 0
        && counter
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
}

/// A scripted fault: `mute@10s+3s` from the first request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// After the first request.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Everything is processed and nothing is answered.
    Mute,
    /// Answers are held back until the end.
    Freeze,
    /// Connections are closed, and new ones too until the end.
    Disconnect,
}

impl Fault {
    /// Reads a script: one fault a line, `#` begins a comment.
    ///
    /// # Errors
    /// A line that is no fault.
    pub fn parse_script(text: &str) -> Result<Vec<Self>> {
        text.lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty())
            .map(str::parse)
            .collect()
    }

    pub(super) fn covers(&self, since_first: Duration) -> bool {
        since_first >= self.at && since_first < self.at + self.lasts
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, times) = text
            .split_once('@')
            .with_context(|| format!("`{text}` is not a fault: write mute@10s+3s"))?;
        let kind = match kind {
            "mute" => FaultKind::Mute,
            "freeze" => FaultKind::Freeze,
            "disconnect" => FaultKind::Disconnect,
            other => bail!("`{other}` is not a fault: mute, freeze or disconnect"),
        };
        let (at, lasts) = times
            .split_once('+')
            .with_context(|| format!("`{text}` does not say for how long: write mute@10s+3s"))?;
        Ok(Self {
            kind,
            at: parse_duration(at)?,
            lasts: parse_duration(lasts)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_read() {
        let script = "# an outage\nmute@10s+3s\n\nfreeze@20s+500ms  # a pause\n";
        let faults = Fault::parse_script(script).unwrap();
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[1].kind, FaultKind::Freeze);
        assert!(faults[0].covers(Duration::from_secs(10)));
        assert!(faults[0].covers(Duration::from_millis(12_999)));
        assert!(!faults[0].covers(Duration::from_secs(13)));
        for wrong in ["mute", "mute@1s", "sulk@1s+1s", "mute@1+1s"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn counted_faults_run_out() {
        let control = Control::default();
        assert!(!control.take_garble());
        control.garble_next(2);
        assert!(control.take_garble());
        assert!(control.take_garble());
        assert!(!control.take_garble());
        assert!(!control.take_silence());
    }
}

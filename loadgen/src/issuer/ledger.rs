//! The ledger file of a simulated issuer: one line per money effect, append-only.
//!
//! ```text
//! njia-ledger 1
//! approve <de11> <de7> <de37> <de41> <minor> <currency> <unix ms>
//! reverse …
//! release …
//! hold …
//! ```
//! DE11 and DE7 are those of the issuer's leg. An authorisation that is completed is released: the
//! completion is approved in its place. When all of that is reversed, the authorisation holds
//! again.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use domain::amount::Amount;
use domain::currency::Currency;
use domain::time::{WallTime, digits_of};

use super::book::{Effect, EffectKind};
use crate::clock::Clock;
use crate::trace_id::TraceId;

/// Appends effects; a thread of its own writes and syncs them, so that a slow disk is not seen as a
/// slow issuer.
#[derive(Debug)]
pub struct Ledger {
    buffer: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
    writer: JoinHandle<Result<()>>,
}

impl Ledger {
    /// Creates the file with its first line.
    ///
    /// # Errors
    /// The file or the thread cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let mut file =
            File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
        writeln!(file, "{HEADER}")?;
        let (sender, receiver) = sync_channel(CHUNKS_MAX);
        let writer = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || write_chunks(&mut file, &receiver))?;
        Ok(Self {
            buffer: Vec::new(),
            sender,
            writer,
        })
    }

    /// Appends an effect.
    pub fn append(&mut self, effect: &Effect, at: WallTime) {
        let kind: &[u8] = match effect.kind {
            EffectKind::Approve => b"approve ",
            EffectKind::Reverse => b"reverse ",
            EffectKind::Release => b"release ",
            EffectKind::Hold => b"hold ",
        };
        let out = &mut self.buffer;
        out.extend_from_slice(kind);
        effect.id.write(out);
        out.push(b' ');
        push_number(out, effect.amount.minor());
        out.push(b' ');
        out.extend_from_slice(&effect.amount.currency().digits());
        out.push(b' ');
        push_number(out, at.unix_millis());
        out.push(b'\n');
    }

    /// Hands what is buffered to the writer.
    ///
    /// # Errors
    /// The writer has ended.
    pub fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sender
            .send(std::mem::take(&mut self.buffer))
            .map_err(|_| anyhow!("the ledger's writer has ended"))
    }

    /// Writes and syncs everything, and closes the file.
    ///
    /// # Errors
    /// Something could not be written.
    pub fn close(mut self) -> Result<()> {
        let flushed = self.flush();
        drop(self.sender);
        match self.writer.join() {
            Ok(written) => written.and(flushed),
            Err(_) => bail!("the ledger's writer failed"),
        }
    }

    /// Reads all effects of a ledger, in their order.
    ///
    /// # Errors
    /// The file cannot be read, is no ledger, or has a line that cannot be read.
    pub fn read_all(path: &Path, mut take: impl FnMut(Effect)) -> Result<()> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut lines = BufReader::new(file).lines();
        let header = lines.next().transpose()?;
        if header.as_deref() != Some(HEADER) {
            bail!("{} does not begin with `{HEADER}`", path.display());
        }
        for (number, line) in lines.enumerate() {
            let effect =
                parse(&line?).with_context(|| format!("{} line {}", path.display(), number + 2))?;
            take(effect);
        }
        Ok(())
    }
}

fn parse(line: &str) -> Result<Effect> {
    let mut words = line.split(' ');
    let kind = match words.next() {
        Some("approve") => EffectKind::Approve,
        Some("reverse") => EffectKind::Reverse,
        Some("release") => EffectKind::Release,
        Some("hold") => EffectKind::Hold,
        _ => bail!("a line begins with approve, reverse, release or hold"),
    };
    let id = TraceId::parse(&mut words)?;
    let mut word = |what: &'static str| words.next().context(what);
    let minor = word("the amount is missing")?.parse()?;
    let currency = Currency::from_digits(word("the currency is missing")?.as_bytes())?;
    let _at: u64 = word("the time is missing")?.parse()?;
    Ok(Effect {
        kind,
        id,
        amount: Amount::new(minor, currency)?,
    })
}

/// Decimal digits without leading zeros.
fn push_number(out: &mut Vec<u8>, number: u64) {
    let digits: [u8; 20] = digits_of(number);
    let first = digits.iter().position(|digit| *digit != b'0');
    let first = first.unwrap_or(digits.len() - 1);
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// Syncs about once a second while something comes, and at the end.
fn write_chunks(file: &mut File, chunks: &Receiver<Vec<u8>>) -> Result<()> {
    let clock = Clock::start();
    let mut synced = clock.now();
    let mut dirty = false;
    loop {
        match chunks.recv_timeout(SYNC_INTERVAL) {
            Ok(chunk) => {
                file.write_all(&chunk)
                    .context("the ledger cannot be written")?;
                dirty = true;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return file.sync_data().context("the ledger cannot be synced");
            }
        }
        if dirty && clock.now().since(synced) >= SYNC_INTERVAL {
            file.sync_data().context("the ledger cannot be synced")?;
            synced = clock.now();
            dirty = false;
        }
    }
}

const HEADER: &str = "njia-ledger 1";
const CHUNKS_MAX: usize = 1024;
/// What was written is synced within about this time.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{Rrn, Stan, TerminalId};
    use domain::time::TransmissionTime;

    #[test]
    fn effects_are_read_as_they_were_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bank.ledger");
        let mut ledger = Ledger::create(&path).unwrap();
        let effect = Effect {
            kind: EffectKind::Approve,
            id: TraceId {
                stan: Stan::new(7).unwrap(),
                transmitted: TransmissionTime::from_digits(b"0115101500").unwrap(),
                rrn: Rrn::new("DE37", b"601510000042").unwrap(),
                terminal: TerminalId::new("DE41", b"TERM 1").unwrap(),
            },
            amount: Amount::new(12_300, Currency::UGX).unwrap(),
        };
        let reverse = Effect {
            kind: EffectKind::Reverse,
            ..effect
        };
        let of = |kind| Effect { kind, ..effect };
        let completed = [of(EffectKind::Release), of(EffectKind::Hold)];
        ledger.append(&effect, WallTime::from_unix_millis(5));
        ledger.flush().unwrap();
        for one in completed.iter().chain([&reverse]) {
            ledger.append(one, WallTime::from_unix_millis(6));
        }
        ledger.close().unwrap();
        let mut read = Vec::new();
        Ledger::read_all(&path, |effect| read.push(effect)).unwrap();
        assert_eq!(read, [effect, completed[0], completed[1], reverse]);
        std::fs::write(&path, "njia-ledger 1\nkeep 1\n").unwrap();
        assert!(Ledger::read_all(&path, |_| ()).is_err());
    }
}

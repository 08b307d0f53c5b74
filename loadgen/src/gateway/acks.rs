//! `gateway-acks.log`: what gateways were told, one line per request whose end is known.
//!
//! ```text
//! njia-gateway-acks 1
//! <about> <key> <id> <outcome> <state> <de39> <de38> <minor> <currency> <stays> <unix ms>
//! payment 5d0c…-… 01a1fae5-… approved approved 00 A1B2C3 12345 404 0 1768472100123
//! reversal 5d0c…-… 01a1fae5-… approved reversed - - 12345 404 4115 1768472102456
//! ```
//! The key and the amount are those of the payment, also of a reversal, of which `stays` is what it
//! leaves. `-` stands for what was not told. A line without a state explains what the journal knows
//! and the gateway does not.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{AuthorisationId, TransactionId};
use domain::response_code::ResponseCode;
use domain::time::WallTime;
use parking_lot::Mutex;

use super::answer::{Said, State};
use super::payment::Key;
use crate::recorder::Outcome;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A payment, its copy, or a question for it.
    Payment,
    /// A reversal of it.
    Reversal,
}

impl About {
    const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Reversal => "reversal",
        }
    }
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Whose it is.
    pub about: About,
    /// Of the payment.
    pub key: Key,
    /// How the request ended.
    pub outcome: Outcome,
    /// Of the payment, where it was told; of a reversal always.
    pub id: Option<TransactionId>,
    /// Where it stands: of a reversal, where that stands.
    pub state: Option<State>,
    /// DE39 of 1987.
    pub code: Option<ResponseCode>,
    /// DE38; empty for none.
    pub authorisation: AuthorisationId,
    /// Of the payment.
    pub amount: Amount,
    /// Minor units that a reversal leaves.
    pub stays: u64,
    /// When its end was known.
    pub at: WallTime,
}

/// The file that all threads share.
pub(crate) type AckFile = Arc<Mutex<File>>;

/// Appends lines for one thread.
#[derive(Debug)]
pub(crate) struct AckLog {
    file: Option<AckFile>,
    buffer: Vec<u8>,
}

impl AckLog {
    /// Creates the file with its first line.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn create(path: &Path) -> Result<AckFile> {
        let mut file =
            File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
        writeln!(file, "{HEADER}")?;
        Ok(Arc::new(Mutex::new(file)))
    }

    /// Without a file lines are dropped.
    pub(crate) fn new(file: Option<AckFile>) -> Self {
        Self {
            file,
            buffer: Vec::new(),
        }
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The buffer was full and the file did not take it.
    pub(super) fn write(&mut self, ack: &Ack) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let id = ack.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let code = ack.code.map(|code| code.to_string());
        let authorisation = match ack.authorisation.as_str() {
            "" => "-",
            text => text,
        };
        writeln!(
            self.buffer,
            "{} {} {id} {} {} {} {authorisation} {} {} {} {}",
            ack.about.name(),
            ack.key,
            ack.outcome.name(),
            ack.state.map_or("-", State::name),
            code.as_deref().unwrap_or("-"),
            ack.amount.minor(),
            ack.amount.currency().code(),
            ack.stays,
            ack.at.unix_millis(),
        )?;
        if self.buffer.len() >= BUFFER_LEN {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands what is buffered to the file.
    ///
    /// # Errors
    /// The file did not take it.
    pub(super) fn flush(&mut self) -> Result<()> {
        if let Some(file) = &self.file {
            let mut file = file.lock();
            file.write_all(&self.buffer)
                .context("gateway-acks.log cannot be written")?;
        }
        self.buffer.clear();
        Ok(())
    }
}

impl Ack {
    /// The same with what was told.
    #[must_use]
    pub const fn told(self, said: &Said) -> Self {
        Self {
            id: Some(said.id),
            state: Some(said.state),
            code: said.code,
            authorisation: said.authorisation,
            ..self
        }
    }

    /// Reads all lines of a log, in their order.
    ///
    /// # Errors
    /// The file cannot be read, is no such log, or has a line that cannot be read.
    pub fn read_all(path: &Path, mut take: impl FnMut(Self)) -> Result<()> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut lines = BufReader::new(file).lines();
        if lines.next().transpose()?.as_deref() != Some(HEADER) {
            bail!("{} does not begin with `{HEADER}`", path.display());
        }
        for (number, line) in lines.enumerate() {
            let ack = Self::parse(&line?)
                .with_context(|| format!("{} line {}", path.display(), number + 2))?;
            take(ack);
        }
        Ok(())
    }

    fn parse(line: &str) -> Result<Self> {
        let mut words = line.split(' ');
        let mut word = |what: &'static str| words.next().context(what);
        let about = match word("what it is about is missing")? {
            "payment" => About::Payment,
            "reversal" => About::Reversal,
            _ => bail!("it is about neither a payment nor a reversal"),
        };
        let key = Key::from_shown(word("the key is missing")?).context("the key is none")?;
        let id = told(word("the id is missing")?)
            .map(|id| TransactionId::from_shown(id).context("the id is none"));
        let outcome = word("the outcome is missing")?;
        let outcome = Outcome::ALL.into_iter().find(|one| one.name() == outcome);
        let state = told(word("the state is missing")?).map(|state| {
            let found = State::ALL.into_iter().find(|one| one.name() == state);
            found.context("the state is not known")
        });
        let code = told(word("DE39 is missing")?).map(|code| ResponseCode::read(code.as_bytes()));
        let authorisation = told(word("DE38 is missing")?).unwrap_or_default();
        let minor = word("the amount is missing")?.parse()?;
        let currency = Currency::new(word("the currency is missing")?.parse()?)?;
        let ack = Self {
            about,
            key,
            outcome: outcome.context("the outcome is not known")?,
            id: id.transpose()?,
            state: state.transpose()?,
            code: code.transpose()?,
            authorisation: AuthorisationId::new("DE38", authorisation.as_bytes())?,
            amount: Amount::new(minor, currency)?,
            stays: word("what stays is missing")?.parse()?,
            at: WallTime::from_unix_millis(word("the time is missing")?.parse()?),
        };
        match words.next() {
            None => Ok(ack),
            Some(_) => bail!("the line is too long"),
        }
    }
}

fn told(word: &str) -> Option<&str> {
    (word != "-").then_some(word)
}

const HEADER: &str = "njia-gateway-acks 1";
const BUFFER_LEN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway-acks.log");
        let mut log = AckLog::new(Some(AckLog::create(&path).unwrap()));
        let lost = Ack {
            about: About::Payment,
            key: Key::of(0x0123_4567_89AB_4CDE_8F01_2345_6789_ABCD),
            outcome: Outcome::Timeout,
            id: None,
            state: None,
            code: None,
            authorisation: AuthorisationId::EMPTY,
            amount: Amount::new(12_345, Currency::KES).unwrap(),
            stays: 0,
            at: WallTime::from_unix_millis(1_768_472_100_123),
        };
        let approved = Ack {
            outcome: Outcome::Approved,
            ..lost.told(&Said {
                id: TransactionId(77),
                state: State::Approved,
                code: Some(ResponseCode::APPROVED),
                authorisation: AuthorisationId::new("DE38", b"A1B2C3").unwrap(),
            })
        };
        let reversed = Ack {
            about: About::Reversal,
            id: Some(TransactionId(77)),
            state: Some(State::ReversalPending),
            stays: 4_115,
            ..lost
        };
        for ack in [lost, approved, reversed] {
            log.write(&ack).unwrap();
        }
        log.flush().unwrap();
        let mut read = Vec::new();
        Ack::read_all(&path, |ack| read.push(ack)).unwrap();
        assert_eq!(read, [lost, approved, reversed]);
    }

    #[test]
    fn what_is_no_such_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway-acks.log");
        let texts = [
            "".to_owned(),
            "njia-acks 2\n".to_owned(),
            format!("{HEADER}\npayment\n"),
            format!("{HEADER}\npayment x - timeout - - - 1 404 0 1\n"),
        ];
        for text in texts {
            std::fs::write(&path, &text).unwrap();
            assert!(Ack::read_all(&path, |_| ()).is_err(), "{text}");
        }
    }
}

//! `acks.log`: what the acquirer was told, one line per message whose end is known.
//!
//! ```text
//! njia-acks 2
//! <mti> <de11> <de7> <de37> <de41> <outcome> <de39> <de38> <minor> <currency> <unix ms>
//! <de11 and de7 of the original> <minor units that stay>
//! 0200 000042 0115101500 601510000042 KE000007 approved 00 A1B2C3 12345 404 1768472100123 - - -
//! 0420 000043 0115101502 601510000042 KE000007 approved 00 - 12345 404 1768472102456 000042
//! 0115101500 9000
//! ```
//! A line is appended after the answer was checked. A message without an answer has `--` for DE39:
//! it explains what the journal knows and the acquirer does not.
//!
//! The original is what a reversal reverses and a completion completes: DE37 and DE41 are those of
//! both. The amount is that of the message; of a reversal that of its original, and what stays of
//! it stands last when that is not nothing. Version 1 had neither completions nor what stays.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{AuthorisationId, Stan};
use domain::response_code::ResponseCode;
use domain::result_code::CodeEdition;
use domain::time::{TransmissionTime, WallTime};
use iso8583::Mti;
use iso8583::mti::Class;
use parking_lot::Mutex;

use crate::inflight::Refers;
use crate::message::Echo;
use crate::recorder::Outcome;
use crate::trace_id::TraceId;

/// Appends lines for one generator thread; all threads share the file.
#[derive(Debug)]
pub struct AckLog {
    file: Option<Arc<Mutex<File>>>,
    buffer: Vec<u8>,
}

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub struct AckLine<'a> {
    /// The message type as first sent.
    pub mti: Mti,
    /// The message.
    pub echo: &'a Echo,
    /// How it ended.
    pub outcome: Outcome,
    /// DE39, if there was an answer.
    pub code: Option<&'a [u8]>,
    /// DE38, if the answer had one.
    pub authorisation: Option<&'a [u8]>,
    /// When its end was known.
    pub at: WallTime,
    /// What a reversal reverses, or a completion completes.
    pub original: Option<&'a Refers>,
}

impl AckLog {
    /// Creates the file with its first line.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path) -> Result<Arc<Mutex<File>>> {
        let mut file =
            File::create(path).with_context(|| format!("{} cannot be created", path.display()))?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(b"\n")?;
        Ok(Arc::new(Mutex::new(file)))
    }

    /// A thread's way into the file; without a file lines are dropped.
    #[must_use]
    pub fn new(file: Option<Arc<Mutex<File>>>) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(BUFFER_LEN + 256),
        }
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The buffer was full and the file did not take it.
    pub fn write(&mut self, line: &AckLine<'_>) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let (original_stan, original_time): (&[u8], &[u8]) = match line.original {
            Some(original) => (&original.stan, &original.transmitted),
            None => (b"-", b"-"),
        };
        let stays = line.original.and_then(|original| original.stays.as_ref());
        let echo = line.echo;
        let amount = match line.original {
            // Of 1993 DE4 of a reversal in part is what stays.
            Some(original) if line.mti.class() == Class::Reversal => &original.amount,
            Some(_) | None => &echo.amount,
        };
        let at = line.at.unix_millis().to_string();
        let words: [&[u8]; 14] = [
            line.mti.as_bytes(),
            &echo.stan,
            &echo.transmitted,
            &echo.rrn,
            &echo.terminal, // ours have neither spaces nor anything else that is escaped
            line.outcome.name().as_bytes(),
            line.code.unwrap_or(b"--"),
            line.authorisation.unwrap_or(b"-"),
            trimmed(amount),
            &echo.currency,
            at.as_bytes(),
            original_stan,
            original_time,
            stays.map_or(&b"-"[..], trimmed),
        ];
        for word in words {
            self.buffer.extend_from_slice(word);
            self.buffer.push(b' ');
        }
        if let Some(last) = self.buffer.last_mut() {
            *last = b'\n';
        }
        if self.buffer.len() >= BUFFER_LEN {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands what is buffered to the file.
    ///
    /// # Errors
    /// The file did not take it.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(file) = &self.file {
            file.lock()
                .write_all(&self.buffer)
                .context("acks.log cannot be written")?;
        }
        self.buffer.clear();
        Ok(())
    }
}

/// Digits without leading zeros; one zero for nothing.
fn trimmed(digits: &[u8; 12]) -> &[u8] {
    let first = digits
        .iter()
        .position(|digit| *digit != b'0')
        .unwrap_or(digits.len() - 1);
    digits.get(first..).unwrap_or(digits)
}

/// A line that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The message type as first sent.
    pub mti: Mti,
    /// The message.
    pub id: TraceId,
    /// DE39 as 1987 has it; `None` without an answer that can be used.
    pub code: Option<ResponseCode>,
    /// DE38; empty when the answer had none.
    pub authorisation: AuthorisationId,
    /// DE4 in DE49.
    pub amount: Amount,
    /// When its end was known.
    pub at: WallTime,
    /// The message that a reversal reverses, or a completion completes.
    pub original: Option<TraceId>,
    /// Minor units of the original that a reversal leaves.
    pub stays: u64,
}

impl Ack {
    /// Reads all lines of a log, in their order.
    ///
    /// # Errors
    /// The file cannot be read, is no such log, or has a line that cannot be read.
    pub fn read_all(path: &Path, mut take: impl FnMut(Self)) -> Result<()> {
        let file =
            File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut lines = BufReader::new(file).lines();
        let header = lines.next().transpose()?;
        if !header.is_some_and(|header| header == HEADER || header == HEADER_1) {
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
        let mti = words.next().unwrap_or_default().as_bytes();
        let mti = mti.try_into().ok().and_then(Mti::new);
        let mti = mti.context("the message type cannot be read")?;
        let id = TraceId::parse(&mut words)?;
        let mut word = |what: &'static str| words.next().context(what);
        let outcome = word("the outcome is missing")?;
        let code = match word("DE39 is missing")? {
            "--" => None,
            // A byte of it was spoiled on the way: nobody acts on it, and its request is repeated.
            _ if outcome == Outcome::Protocol.name() => None,
            code => Some(ResponseCode::read(code.as_bytes())?.written_in(CodeEdition::An2)),
        };
        let authorisation = match word("DE38 is missing")? {
            "-" => AuthorisationId::EMPTY,
            text => AuthorisationId::new("DE38", text.as_bytes())?,
        };
        let minor = word("DE4 is missing")?.parse()?;
        let currency = Currency::from_digits(word("DE49 is missing")?.as_bytes())?;
        let at = WallTime::from_unix_millis(word("the time is missing")?.parse()?);
        let original = match (
            word("the original is missing")?,
            word("its time is missing")?,
        ) {
            ("-", _) => None,
            (stan, time) => Some(TraceId {
                stan: Stan::from_digits(stan.as_bytes())?,
                transmitted: TransmissionTime::from_digits(time.as_bytes())?,
                ..id
            }),
        };
        let stays = match words.next() {
            None | Some("-") => 0,
            Some(minor) => minor.parse()?,
        };
        Ok(Self {
            mti,
            id,
            code,
            authorisation,
            amount: Amount::new(minor, currency)?,
            at,
            original,
            stays,
        })
    }
}

const HEADER: &str = "njia-acks 2";
const HEADER_1: &str = "njia-acks 1";
const BUFFER_LEN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::{CardSet, Skew};
    use domain::ids::InstitutionId;

    fn echo() -> Echo {
        let skew = Skew {
            exponent: 0.0,
            shift: 1.0,
        };
        let cards = CardSet::new(&["411111".to_owned()], 10, skew).unwrap();
        Echo {
            card: cards.card(0),
            processing_code: *b"000000",
            amount: *b"000000012300",
            transmitted: *b"0115101500",
            stan: *b"000042",
            local: *b"260115131500",
            institution: InstitutionId::EMPTY,
            rrn: *b"601510000042",
            terminal: *b"KE000007",
            merchant: *b"KE5411000000001",
            currency: *b"404",
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks.log");
        let mut log = AckLog::new(Some(AckLog::create(&path).unwrap()));
        let echo = echo();
        let line = AckLine {
            mti: Mti::FINANCIAL_REQUEST,
            echo: &echo,
            outcome: Outcome::Approved,
            code: Some(b"00"),
            authorisation: Some(b"A1B2C3"),
            at: WallTime::from_unix_millis(1_768_472_100_123),
            original: None,
        };
        log.write(&line).unwrap();
        log.write(&AckLine {
            mti: Mti::REVERSAL_ADVICE,
            outcome: Outcome::Timeout,
            code: None,
            authorisation: None,
            original: Some(&Refers {
                stan: *b"000041",
                transmitted: *b"0115101459",
                amount: *b"000000045600",
                stays: Some(*b"000000001200"),
            }),
            ..line
        })
        .unwrap();
        log.write(&AckLine {
            outcome: Outcome::Protocol,
            ..line
        })
        .unwrap();
        log.flush().unwrap();
        let mut acks = Vec::new();
        Ack::read_all(&path, |ack| acks.push(ack)).unwrap();
        assert_eq!(acks.len(), 3);
        assert_eq!(acks[2].code, None, "nobody acts on a spoiled answer");
        assert_eq!(acks[0].amount.minor(), 12_300);
        assert_eq!(acks[0].code, Some(ResponseCode::APPROVED));
        assert_eq!(acks[0].id.terminal.as_str(), "KE000007");
        assert_eq!(acks[1].code, None);
        assert_eq!(acks[1].original.unwrap().stan.number(), 41);
        assert_eq!((acks[1].amount.minor(), acks[1].stays), (45_600, 1_200));
        assert_eq!(acks[0].stays, 0);
        let text = std::fs::read_to_string(&path).unwrap();
        let card = std::str::from_utf8(echo.card.digits()).unwrap();
        assert!(!text.contains(card), "a card number is in the log");
    }

    #[test]
    fn a_log_of_the_version_before_is_read_and_codes_of_1993_are_those_of_1987() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks.log");
        let text = "njia-acks 1\n1220 000042 0115101500 601510000042 KE000007 approved 900 - 12345 \
            404 1768472100123 000041 0115101459\n";
        std::fs::write(&path, text).unwrap();
        let mut acks = Vec::new();
        Ack::read_all(&path, |ack| acks.push(ack)).unwrap();
        assert_eq!(acks[0].code, Some(ResponseCode::APPROVED));
        assert_eq!(acks[0].original.unwrap().stan.number(), 41);
        assert_eq!(acks[0].stays, 0);
    }

    #[test]
    fn what_is_no_such_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acks.log");
        for text in ["", "something else\n", "njia-acks 1\n0200 000042\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Ack::read_all(&path, |_| ()).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_lose_their_leading_zeros_only() {
        assert_eq!(trimmed(b"000000012300"), b"12300");
        assert_eq!(trimmed(b"000000000000"), b"0");
        assert_eq!(trimmed(b"100000000000"), b"100000000000");
    }
}

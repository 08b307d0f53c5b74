//! What names one request on one leg, as the logs of acquirers and issuers write it.

use std::fmt;

use anyhow::{Context, Result, bail};
use domain::ids::{Rrn, Stan, TerminalId};
use domain::time::TransmissionTime;

/// DE11, DE7, DE37 and DE41 of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId {
    /// DE11.
    pub stan: Stan,
    /// DE7.
    pub transmitted: TransmissionTime,
    /// DE37.
    pub rrn: Rrn,
    /// DE41.
    pub terminal: TerminalId,
}

impl TraceId {
    /// Takes four words as [`TraceId`]'s `Display` writes them.
    ///
    /// # Errors
    /// A word is missing or is not what it should be.
    pub fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut word = |what: &'static str| words.next().context(what);
        Ok(Self {
            stan: Stan::from_digits(word("DE11 is missing")?.as_bytes())?,
            transmitted: TransmissionTime::from_digits(word("DE7 is missing")?.as_bytes())?,
            rrn: Rrn::new("DE37", &unescape(word("DE37 is missing")?)?)?,
            terminal: TerminalId::new("DE41", &unescape(word("DE41 is missing")?)?)?,
        })
    }

    /// Appends the four words.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stan.digits());
        out.push(b' ');
        out.extend_from_slice(&self.transmitted.digits());
        out.push(b' ');
        escape(self.rrn.as_bytes(), out);
        out.push(b' ');
        escape(self.terminal.as_bytes(), out);
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(48);
        self.write(&mut text);
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A word without spaces: a space is `\s`, a backslash `\\`, a hyphen `\-`, nothing is `-`.
fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.is_empty() {
        out.push(b'-');
    }
    for byte in bytes {
        match byte {
            b' ' => out.extend_from_slice(br"\s"),
            b'\\' => out.extend_from_slice(br"\\"),
            b'-' => out.extend_from_slice(br"\-"),
            byte => out.push(*byte),
        }
    }
}

fn unescape(word: &str) -> Result<Vec<u8>> {
    if word == "-" {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'\\' => match rest.next() {
                Some(b's') => b' ',
                Some(escaped @ (b'\\' | b'-')) => escaped,
                _ => bail!("an escape in a log cannot be read"),
            },
            0x21..=0x7E => byte,
            _ => bail!("a character is not allowed in a log"),
        };
        bytes.push(byte);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for (rrn, terminal) in [
            ("601510000042", "KE000007"),
            ("", "TERM 1"),
            ("A _-B", "  "),
            ("_", "-"),
        ] {
            let id = TraceId {
                stan: Stan::new(42).unwrap(),
                transmitted: TransmissionTime::from_digits(b"0115101500").unwrap(),
                rrn: Rrn::new("DE37", rrn.as_bytes()).unwrap(),
                terminal: TerminalId::new("DE41", terminal.as_bytes()).unwrap(),
            };
            let text = id.to_string();
            let read = TraceId::parse(&mut text.split(' ')).unwrap();
            assert_eq!(read, id, "{text}");
        }
        assert!(TraceId::parse(&mut "000042 0115101500 -".split(' ')).is_err());
    }
}

//! Lines of the audit log and what ties them together: each ends with a MAC over itself, the MAC of
//! the line before among it. Pure: no clock, no file.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

use crate::config::SecretKey;

/// The MAC of a line; of none before the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag([u8; 32]);

/// Where a chain stands: the number and the MAC of its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) seq: u64,
    pub(crate) tag: Tag,
}

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// From 1, without a gap, over all files.
    pub(crate) seq: u64,
    /// When it was written, as RFC 3339 has it.
    pub(crate) time: String,
    pub(crate) event: String,
    /// Who was proven to act, or `unknown`.
    pub(crate) who: String,
    /// The address of origin, or what else it came from.
    pub(crate) from: String,
    pub(crate) object: String,
    pub(crate) result: String,
    pub(crate) reason: String,
    /// How often it happened.
    pub(crate) count: u64,
    /// The MAC of the line before, in hexadecimal digits.
    pub(crate) prev: String,
}

/// Why a line does not go on where the one before it ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Fault {
    #[error("is no line of an audit log")]
    Unreadable,
    #[error("is changed, or was made with another key")]
    Changed,
    #[error("lines {first} to {last} are missing before it")]
    Missing { first: u64, last: u64 },
    #[error("has number {found}, and line {expected} was due: it stands out of order")]
    OutOfOrder { expected: u64, found: u64 },
    #[error("does not follow the line before it, which is another one than when it was written")]
    Unchained,
}

impl Tag {
    /// Before the first line.
    pub(crate) const NONE: Self = Self([0; 32]);

    pub(crate) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let mut tag = [0; 32];
        if pairs.len() != tag.len() {
            return None;
        }
        for (byte, pair) in tag.iter_mut().zip(pairs) {
            let digits = pair.map(|digit| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            });
            let [high, low] = digits;
            *byte = high? << 4 | low?;
        }
        Some(Self(tag))
    }
}

impl Position {
    /// Before the first line.
    pub(crate) const NONE: Self = Self {
        seq: 0,
        tag: Tag::NONE,
    };
}

impl Line {
    /// The line with its MAC and its line feed.
    pub(crate) fn sealed(&self, key: &SecretKey) -> Option<(Vec<u8>, Tag)> {
        let mut bytes = serde_json::to_vec(self).ok()?;
        // The brace at the end makes room for the MAC, which is over all before it.
        bytes.pop();
        let tag = mac(key, &bytes)?;
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(tag.hex().as_bytes());
        bytes.extend_from_slice(b"\"}\n");
        Some((bytes, tag))
    }

    /// Reads a line without its line feed, as far as it can be read without the key.
    ///
    /// # Errors
    /// [`Fault::Unreadable`].
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let (covered, _) = split(bytes)?;
        let mut whole = covered.to_vec();
        whole.push(b'}');
        serde_json::from_slice(&whole).map_err(|_| Fault::Unreadable)
    }

    /// Reads a line, and whether it is as it was written.
    ///
    /// # Errors
    /// It cannot be read, or its MAC is another one.
    pub(crate) fn checked(bytes: &[u8], key: &SecretKey) -> Result<(Self, Position), Fault> {
        let (covered, tag) = split(bytes)?;
        let line = Self::read(bytes)?;
        let mut state = state(key).ok_or(Fault::Changed)?;
        state.update(covered);
        state.verify_slice(&tag.0).map_err(|_| Fault::Changed)?;
        let seq = line.seq;
        Ok((line, Position { seq, tag }))
    }

    /// Whether this line was written behind `before`.
    ///
    /// # Errors
    /// What lies between them.
    pub(crate) fn follows(&self, before: Position) -> Result<(), Fault> {
        let expected = before.seq.saturating_add(1);
        if self.seq > expected {
            return Err(Fault::Missing {
                first: expected,
                last: self.seq.saturating_sub(1),
            });
        }
        if self.seq < expected {
            let found = self.seq;
            return Err(Fault::OutOfOrder { expected, found });
        }
        if self.prev != before.tag.hex() {
            return Err(Fault::Unchained);
        }
        Ok(())
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], Tag), Fault> {
    let at = bytes.len().checked_sub(MARK.len() + TAG_LEN + 2);
    let (covered, rest) = at
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or(Fault::Unreadable)?;
    let tag = rest
        .strip_prefix(MARK)
        .and_then(|rest| rest.strip_suffix(b"\"}"));
    let tag = tag.and_then(|tag| Tag::read(std::str::from_utf8(tag).ok()?));
    Ok((covered, tag.ok_or(Fault::Unreadable)?))
}

fn state(key: &SecretKey) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    // What the key makes elsewhere is no MAC of a line.
    mac.update(PURPOSE);
    Some(mac)
}

fn mac(key: &SecretKey, covered: &[u8]) -> Option<Tag> {
    let mut mac = state(key)?;
    mac.update(covered);
    Some(Tag(mac.finalize().into_bytes().into()))
}

/// What may stand in a line of what did not come from the switch itself: visible ASCII, cut.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        if shown.len() >= TEXT_LEN_MAX {
            shown.push_str("...");
            break;
        }
        if matches!(char, ' '..='~') {
            shown.push(char);
        } else {
            shown.push_str(&format!("\\u{{{:x}}}", u32::from(char)));
        }
    }
    shown
}

const PURPOSE: &[u8] = b"njia-audit-1\n";
const MARK: &[u8] = b",\"mac\":\"";
const TAG_LEN: usize = 64;
const TEXT_LEN_MAX: usize = 96;

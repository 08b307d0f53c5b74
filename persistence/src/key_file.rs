//! The MAC keys that other sides have brought, in one file beside the journal's manifest: each as
//! it came, encrypted under the key that both sides have for that, never in clear.
//!
//! ```text
//! njia-mac-keys 1
//! key issuer receive 1763781234567 9c01d2ab44e0f713 5b1f…:82e136 - bank
//! key issuer send 1763781234567 0b6e7d12aa51c4fe 5b1f…:82e136 77a0…:19b2c3 bank
//! crc32c 1a2b3c4d
//! ```
//! Whose, which direction, when it came (Unix milliseconds), a digest of the key that is configured
//! for that direction, the key and its check value, those of the key before it (`-` for the
//! configured one), and the endpoint's name.
//!
//! Replaced as a whole: written aside and synced, which changes nothing yet; then renamed, and the
//! directory synced. Read strictly.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::time::WallTime;
use thiserror::Error;

use crate::aside::{Aside, AsideError, Readers};
use crate::layout::{MAC_KEYS, MAC_KEYS_NEW};

/// A key in force in one direction of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedKey {
    /// Whose.
    pub side: KeySide,
    /// The endpoint's name; one line.
    pub name: String,
    /// Which direction.
    pub direction: KeyDirection,
    /// When it came, by the wall clock.
    pub came: WallTime,
    /// Of the key that is configured: when another one is, the two sides have agreed anew.
    pub configured: [u8; 8],
    /// The key.
    pub key: WrappedMacKey,
    /// The one before it; `None` is the configured one.
    pub before: Option<WrappedMacKey>,
}

/// Kinds of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySide {
    /// A listener, for the sessions of acquirers.
    Listener,
    /// An issuer, for its links.
    Issuer,
}

/// Which messages a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDirection {
    /// Those that come.
    Receive,
    /// Those that leave.
    Send,
}

/// A key as it came. Shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedMacKey {
    /// Encrypted, 8 to 32 bytes.
    pub wrapped: Arc<[u8]>,
    /// The beginning of its check value, 3 to 8 bytes.
    pub check: Arc<[u8]>,
}

/// Why the file could not be read or replaced.
#[derive(Clone, Debug, Error)]
pub enum KeyFileError {
    /// It says what this program did not write.
    #[error(
        "the MAC keys in {path} are refused: {what}; put the file back as it was, or agree with \
         the other sides on keys that are configured, and remove it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A failed operation. The file is what it was.
    #[error("could not {operation} {path}: {source}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// A failed operation after which nobody knows which keys a start would find.
    #[error("could not {operation} {path}: {source}; which MAC keys are stored is not known")]
    Unknown {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
}

/// The keys below a journal's `root`; none when no file is there. Blocks.
///
/// # Errors
/// The file cannot be read or believed.
pub fn read(root: &Path) -> Result<Vec<PushedKey>, KeyFileError> {
    let path = root.join(MAC_KEYS);
    let mut text = String::new();
    let read = match File::open(&path) {
        Ok(file) => file.take(LEN_MAX).read_to_string(&mut text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    match read {
        Ok(_) => decode(&text).map_err(|what| KeyFileError::Damaged { path, what }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let what = "it is not text";
            Err(KeyFileError::Damaged { path, what })
        }
        Err(error) => Err(failed("read", &path, error)),
    }
}

/// Writes them aside, durably: [`read`] finds those before, in this process and after a restart,
/// until [`promote`]. In place of those that were written aside before. Blocks; one call at a time.
///
/// # Errors
/// [`KeyFileError::Io`].
pub fn write_aside(root: &Path, keys: &[PushedKey]) -> Result<(), KeyFileError> {
    let written = aside(root).write(encode(keys).as_bytes());
    written.map_err(KeyFileError::from)
}

/// Those that were written aside are the ones that [`read`] finds; durable when this returns.
/// Blocks; one call at a time.
///
/// # Errors
/// [`KeyFileError::Io`], [`KeyFileError::Unknown`].
pub fn promote(root: &Path) -> Result<(), KeyFileError> {
    aside(root).promote().map_err(KeyFileError::from)
}

const fn aside(root: &Path) -> Aside<'_> {
    Aside {
        root,
        name: MAC_KEYS,
        new: MAC_KEYS_NEW,
        readers: Readers::Owner,
    }
}

impl From<AsideError> for KeyFileError {
    fn from(error: AsideError) -> Self {
        if error.is_kept {
            return failed(error.operation, &error.path, error.source);
        }
        Self::Unknown {
            operation: error.operation,
            path: error.path,
            source: Arc::new(error.source),
        }
    }
}

fn failed(operation: &'static str, path: &Path, error: io::Error) -> KeyFileError {
    KeyFileError::Io {
        operation,
        path: path.to_owned(),
        source: Arc::new(error),
    }
}

fn encode(keys: &[PushedKey]) -> String {
    let mut text = format!("{HEAD}\n");
    for key in keys {
        let (side, direction) = (key.side.word(), key.direction.word());
        let (came, configured) = (key.came.unix_millis(), Hex(&key.configured));
        text.push_str(&format!("key {side} {direction} {came} {configured} "));
        write_key(&mut text, &key.key);
        text.push(' ');
        match &key.before {
            Some(before) => write_key(&mut text, before),
            None => text.push('-'),
        }
        text.push_str(&format!(" {}\n", key.name));
    }
    let sum = crc32c::crc32c(text.as_bytes());
    format!("{text}crc32c {sum:08x}\n")
}

fn write_key(text: &mut String, key: &WrappedMacKey) {
    text.push_str(&format!("{}:{}", Hex(&key.wrapped), Hex(&key.check)));
}

fn decode(text: &str) -> Result<Vec<PushedKey>, &'static str> {
    let body_len = text.rfind("crc32c ").ok_or("it has no checksum")?;
    let (body, sum) = text.split_at_checked(body_len).ok_or("it is cut short")?;
    if sum != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err("its checksum does not fit");
    }
    let mut lines = body.lines();
    if lines.next() != Some(HEAD) {
        return Err("its format is not one that this program reads");
    }
    let keys: Option<Vec<PushedKey>> = lines.map(read_line).collect();
    let keys = keys.ok_or("a line does not say what a key is")?;
    if encode(&keys) != text {
        return Err("it is not written as this program writes it");
    }
    Ok(keys)
}

fn read_line(line: &str) -> Option<PushedKey> {
    let mut words = line.strip_prefix("key ")?.splitn(7, ' ');
    let mut next = || words.next();
    Some(PushedKey {
        side: KeySide::read(next()?)?,
        direction: KeyDirection::read(next()?)?,
        came: WallTime::from_unix_millis(next()?.parse().ok()?),
        configured: bytes_of(next()?, 8..=8)?.as_ref().try_into().ok()?,
        key: read_key(next()?)?,
        before: match next()? {
            "-" => None,
            key => Some(read_key(key)?),
        },
        name: next().filter(|name| !name.is_empty())?.to_owned(),
    })
}

fn read_key(text: &str) -> Option<WrappedMacKey> {
    let (wrapped, check) = text.split_once(':')?;
    Some(WrappedMacKey {
        wrapped: bytes_of(wrapped, 8..=32)?,
        check: bytes_of(check, 3..=8)?,
    })
}

fn bytes_of(text: &str, len: std::ops::RangeInclusive<usize>) -> Option<Arc<[u8]>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes = pairs.iter().map(|pair| {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        u8::try_from(high? << 4 | low?).ok()
    });
    let bytes: Option<Arc<[u8]>> = bytes.collect();
    bytes.filter(|bytes| len.contains(&bytes.len()))
}

impl KeySide {
    /// As in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Issuer => "issuer",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Listener, Self::Issuer]
            .into_iter()
            .find(|side| side.word() == word)
    }
}

impl KeyDirection {
    /// As in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Send => "send",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Receive, Self::Send]
            .into_iter()
            .find(|direction| direction.word() == word)
    }
}

impl fmt::Debug for WrappedMacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedMacKey(set)")
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const HEAD: &str = "njia-mac-keys 1";
/// Far above two directions of every endpoint that a configuration may have.
const LEN_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn wrapped(byte: u8, len: usize) -> WrappedMacKey {
        WrappedMacKey {
            wrapped: vec![byte; len].into(),
            check: vec![byte; 3].into(),
        }
    }

    fn keys() -> Vec<PushedKey> {
        let first = PushedKey {
            side: KeySide::Issuer,
            name: "bank".to_owned(),
            direction: KeyDirection::Receive,
            came: WallTime::from_unix_millis(1_763_781_234_567),
            configured: [0xAB; 8],
            key: wrapped(1, 16),
            before: None,
        };
        let second = PushedKey {
            side: KeySide::Listener,
            name: "pos terminals".to_owned(),
            direction: KeyDirection::Send,
            before: Some(wrapped(2, 8)),
            ..first.clone()
        };
        vec![first, second]
    }

    fn save(root: &Path, keys: &[PushedKey]) -> Result<(), KeyFileError> {
        write_aside(root, keys)?;
        promote(root)
    }

    #[test]
    fn what_is_written_aside_is_nothing_until_it_is_promoted() {
        let dir = tempfile::tempdir().unwrap();
        write_aside(dir.path(), &keys()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        promote(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), keys());
        // One that was left behind gives way to the next.
        write_aside(dir.path(), &[]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), keys());
        write_aside(dir.path(), &keys()[..1]).unwrap();
        promote(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), keys()[..1]);
        let told = promote(dir.path());
        assert!(matches!(told, Err(KeyFileError::Io { .. })), "{told:?}");
        assert_eq!(read(dir.path()).unwrap(), keys()[..1]);
    }

    #[test]
    fn what_was_saved_is_read_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        for keys in [keys(), keys()[..1].to_vec(), Vec::new()] {
            save(dir.path(), &keys).unwrap();
            assert_eq!(read(dir.path()).unwrap(), keys);
        }
        let file = fs::metadata(dir.path().join(MAC_KEYS)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join(MAC_KEYS_NEW).exists());
    }

    #[test]
    fn the_text_is_the_one_that_the_page_of_the_format_shows() {
        let text = encode(&keys());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "njia-mac-keys 1");
        let key = format!("{}:010101", "01".repeat(16));
        let expected = format!("key issuer receive 1763781234567 abababababababab {key} - bank");
        assert_eq!(lines[1], expected);
    }

    #[test]
    fn a_file_that_is_changed_in_one_byte_or_cut_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(MAC_KEYS);
        let good = encode(&keys()).into_bytes();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let told = read(dir.path()).map_err(|error| error.to_string());
            assert!(
                told.as_ref().is_err_and(|told| told.contains(MAC_KEYS)),
                "{told:?}"
            );
        };
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x01;
            refused(&bytes);
            refused(&good[..at]);
        }
        refused(&[&good, b"\n".as_slice()].concat());
        refused(&[0xFF; 64]);
    }

    #[test]
    fn a_sum_that_fits_makes_no_line_good() {
        let key = format!("{}:010101", "01".repeat(16));
        let lines = [
            format!("key bank receive 1 abababababababab {key} - bank"),
            format!("key issuer both 1 abababababababab {key} - bank"),
            format!("key issuer receive 1 abab {key} - bank"),
            format!("key issuer receive 1 abababababababab {key} bank"),
            format!("key issuer receive 1 abababababababab {key} - "),
            format!("key issuer receive 01 abababababababab {key} - bank"),
            "key issuer receive 1 abababababababab 01:010101 - bank".to_owned(),
            "key issuer receive 1 abababababababab zz:010101 - bank".to_owned(),
        ];
        for line in lines {
            let body = format!("{HEAD}\n{line}\n");
            let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
            assert!(decode(&text).is_err(), "{line}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &keys()).unwrap();
        fs::create_dir(dir.path().join(MAC_KEYS_NEW)).unwrap();
        let told = save(dir.path(), &[]);
        assert!(matches!(told, Err(KeyFileError::Io { .. })), "{told:?}");
        assert_eq!(read(dir.path()).unwrap(), keys());
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let shown = format!("{:?}", keys());
        assert!(
            !shown.contains("1, 1, 1") && !shown.contains("0101"),
            "{shown}"
        );
    }
}

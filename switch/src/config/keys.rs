//! The key files of the embedded configuration: made once, at the first start.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::secret::SecretKey;

/// The key files that `njia.example.toml` names, relative to the state directory.
const NAMES: [&str; 3] = ["token.key", "pan.key", "hash.key"];

/// A key file that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system said no.
    #[error("cannot make the key file {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel gave no random bytes.
    #[error("cannot make a key: the kernel gives no random bytes ({0})")]
    Random(getrandom::Error),
    /// New keys would make what the journal holds unreadable.
    #[error(
        "the key file {} is missing, but {} holds a journal sealed with it; restore the file",
        path.display(), journal.display()
    )]
    Lost {
        /// The missing file.
        path: PathBuf,
        /// The journal.
        journal: PathBuf,
    },
}

/// Makes the key files of the embedded configuration that `state_dir` lacks: random, mode 0400.
/// Nothing is made beside a journal that exists: its keys are lost, not absent.
///
/// # Errors
/// [`KeyFileError`].
pub fn create_missing_keys(state_dir: &Path) -> Result<(), KeyFileError> {
    let folder = state_dir.join("keys");
    let journal = state_dir.join("journal");
    let journal_exists = journal.join("manifest").exists();
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&folder).map_err(|source| KeyFileError::Io {
        path: folder.clone(),
        source,
    })?;
    for path in NAMES.map(|name| folder.join(name)) {
        if path.exists() {
            continue;
        }
        if journal_exists {
            return Err(KeyFileError::Lost { path, journal });
        }
        create(&path)?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<(), KeyFileError> {
    let mut key = Zeroizing::new([0_u8; SecretKey::LEN]);
    getrandom::fill(key.as_mut_slice()).map_err(KeyFileError::Random)?;
    let mut text = Zeroizing::new(String::with_capacity(SecretKey::LEN * 2 + 1));
    for byte in key.iter() {
        for digit in [byte >> 4, byte & 0x0F] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text.push('\n');
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o400);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    })
}

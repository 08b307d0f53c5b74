//! The horizon of signatures, in one file beside the journal's manifest: no request was taken that
//! was signed later than this.
//!
//! ```text
//! njia-signatures 1
//! until 1795297148
//! crc32c c4dbd5bb
//! ```
//! Seconds since 1970. Replaced as a whole: written aside, synced, renamed, and the directory
//! synced. Read strictly: whoever could have it read as an earlier time could send again what was
//! signed since.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::aside::{Aside, Readers};
use crate::layout::{SIGNATURES, SIGNATURES_NEW};

/// Why the file could not be read or replaced.
#[derive(Debug, Error)]
pub enum HorizonFileError {
    /// It says what this program did not write.
    #[error(
        "the horizon of signatures in {path} is refused: {what}; put the file back as it was, or, \
         where the clock of this host was never set back, remove it: then nothing is taken that \
         was signed before the start"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A failed operation. The file is the old one or the new one.
    #[error("could not {operation} {path}: {source}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// The horizon below a journal's `root`, in seconds since 1970; `None` when no file is there.
/// Blocks.
///
/// # Errors
/// The file cannot be read or believed.
pub fn read(root: &Path) -> Result<Option<u64>, HorizonFileError> {
    let path = root.join(SIGNATURES);
    let mut text = String::new();
    let read = match File::open(&path) {
        Ok(file) => file.take(LEN_MAX).read_to_string(&mut text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    match read {
        Ok(_) => match decode(&text) {
            Ok(until) => Ok(Some(until)),
            Err(what) => Err(HorizonFileError::Damaged { path, what }),
        },
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let what = "it is not text";
            Err(HorizonFileError::Damaged { path, what })
        }
        Err(source) => Err(HorizonFileError::Io {
            operation: "read",
            path,
            source,
        }),
    }
}

/// Puts `until` in its place; durable when this returns. Blocks; one call at a time.
///
/// # Errors
/// [`HorizonFileError::Io`].
pub fn replace(root: &Path, until: u64) -> Result<(), HorizonFileError> {
    let aside = Aside {
        root,
        name: SIGNATURES,
        new: SIGNATURES_NEW,
        readers: Readers::Usual,
    };
    let written = aside.replace(encode(until).as_bytes());
    written.map_err(|error| HorizonFileError::Io {
        operation: error.operation,
        path: error.path,
        source: error.source,
    })
}

fn encode(until: u64) -> String {
    let body = format!("{HEAD}\nuntil {until}\n");
    let sum = crc32c::crc32c(body.as_bytes());
    format!("{body}crc32c {sum:08x}\n")
}

fn decode(text: &str) -> Result<u64, &'static str> {
    let rest = text.strip_prefix(HEAD);
    let rest = rest.ok_or("its format is not one that this program reads")?;
    let until = rest.strip_prefix("\nuntil ").and_then(|rest| {
        let (until, _) = rest.split_once('\n')?;
        until.parse().ok()
    });
    let until = until.ok_or("it does not say a time")?;
    // Its sum and every other byte.
    if encode(until) != text {
        return Err("it is not written as this program writes it");
    }
    Ok(until)
}

const HEAD: &str = "njia-signatures 1";
/// Far above its three lines.
const LEN_MAX: u64 = 4_096;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const UNTIL: u64 = 1_795_297_148;

    #[test]
    fn what_was_put_there_last_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        for until in [UNTIL, UNTIL + 1, 0, u64::MAX] {
            replace(dir.path(), until).unwrap();
            assert_eq!(read(dir.path()).unwrap(), Some(until));
        }
        assert!(!dir.path().join(SIGNATURES_NEW).exists());
    }

    #[test]
    fn the_text_is_the_one_that_the_page_of_the_format_shows() {
        let text = encode(UNTIL);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["njia-signatures 1", "until 1795297148"]);
        let page = include_str!("../../docs/journal-format.md");
        assert!(page.contains(&text), "{text}");
    }

    #[test]
    fn a_file_that_is_changed_in_one_byte_or_cut_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SIGNATURES);
        let good = encode(UNTIL).into_bytes();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let told = read(dir.path()).map_err(|error| error.to_string());
            let is_named = |told: &String| told.contains(SIGNATURES);
            assert!(told.as_ref().is_err_and(is_named), "{told:?}");
        };
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                refused(&bytes);
            }
            refused(&good[..at]);
        }
        refused(&[&good, b"\n".as_slice()].concat());
        refused(&[&good, good.as_slice()].concat());
        refused(&[0xFF; 64]);
        let earlier = String::from_utf8(good).unwrap().replace("148", "048");
        refused(earlier.as_bytes());
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), UNTIL).unwrap();
        fs::create_dir(dir.path().join(SIGNATURES_NEW)).unwrap();
        let told = replace(dir.path(), UNTIL + 1);
        assert!(matches!(told, Err(HorizonFileError::Io { .. })), "{told:?}");
        assert_eq!(read(dir.path()).unwrap(), Some(UNTIL));
    }
}

//! The files of the audit log: one that is written, and those before it, whole and renamed. Nothing
//! here removes any.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::chain::{Line, Position};
use crate::config::SecretKey;

/// The file that is written.
#[derive(Debug)]
pub(super) struct Written {
    path: PathBuf,
    file: File,
    len: u64,
}

/// What a file ends with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its last whole line, if it has one.
    pub(super) last: Option<Vec<u8>>,
    /// Where that ends.
    pub(super) end: u64,
    /// Bytes behind it.
    pub(super) torn: u64,
}

/// What was found when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No line of an audit log.
    Nothing,
    /// Its last line, and how many bytes of one that was not whole have been cut off.
    Chain {
        last: Box<Line>,
        at: Position,
        torn: u64,
    },
    /// A last line that this key has not made. The file was put aside.
    Strange,
}

impl Written {
    /// Opens the file for whoever holds `key`, cuts off what a crash has left of a line, and says
    /// where the chain stands.
    pub(super) fn open(path: &Path, key: &SecretKey) -> io::Result<(Self, Found)> {
        let mut written = Self::create(path)?;
        let tail = tail(&mut written.file)?;
        let Some(last) = &tail.last else {
            written.cut(0)?;
            return Ok((written, of_earlier(path, key, tail.torn)?));
        };
        match Line::checked(last, key) {
            Ok((line, at)) => {
                written.cut(tail.end)?;
                let found = Found::Chain {
                    last: Box::new(line),
                    at,
                    torn: tail.torn,
                };
                Ok((written, found))
            }
            Err(_) => {
                std::fs::rename(path, aside(path)?)?;
                Ok((Self::create(path)?, Found::Strange))
            }
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(MODE);
        let file = options.open(path)?;
        // One that was there may have been anybody's to read.
        file.set_permissions(Permissions::from_mode(MODE))?;
        let len = file.metadata()?.len();
        sync_folder(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
        })
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        if self.len != len {
            self.file.set_len(len)?;
            self.len = len;
        }
        Ok(())
    }

    /// Appends a line. One that is not whole is cut off again, here or when it is opened next.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let appended = self.file.write_all(line);
        if appended.is_err() {
            // What cannot be cut off is found by the next `open`.
            drop(self.file.set_len(self.len));
        }
        appended?;
        self.len = self
            .len
            .saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether whoever opens its path finds it: it may have been taken away.
    pub(super) fn is_there(&self) -> bool {
        let (Ok(own), Ok(named)) = (self.file.metadata(), std::fs::metadata(&self.path)) else {
            return false;
        };
        (own.dev(), own.ino()) == (named.dev(), named.ino())
    }

    /// Puts the file aside, named by its last line, and begins the next one.
    pub(super) fn rotate(&mut self, last: u64) -> io::Result<()> {
        self.file.sync_all()?;
        let mut name = numbered(&self.path, last);
        if name.exists() {
            name = aside(&self.path)?;
        }
        std::fs::rename(&self.path, name)?;
        *self = Self::create(&self.path)?;
        Ok(())
    }
}

/// The file was empty or not there: the chain goes on where the newest one before it ends.
fn of_earlier(path: &Path, key: &SecretKey, torn: u64) -> io::Result<Found> {
    let Some(earlier) = newest(path)? else {
        return Ok(Found::Nothing);
    };
    let tail = tail(&mut File::open(earlier)?)?;
    let last = tail.last.unwrap_or_default();
    Ok(match Line::checked(&last, key) {
        Ok((line, at)) => Found::Chain {
            last: Box::new(line),
            at,
            torn,
        },
        Err(_) => Found::Strange,
    })
}

/// The earlier file with the highest number.
fn newest(path: &Path) -> io::Result<Option<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix(&prefix);
        let number = number.and_then(|number| number.parse::<u64>().ok());
        newest = newest.max(number);
    }
    Ok(newest.map(|number| numbered(path, number)))
}

fn numbered(path: &Path, last: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{last:020}"));
    PathBuf::from(name)
}

/// A name that nothing has yet, for what this key has not written.
fn aside(path: &Path) -> io::Result<PathBuf> {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".strange-{number}"));
        PathBuf::from(name)
    };
    let free = (1..=STRANGE_MAX).map(named).find(|path| !path.exists());
    free.ok_or_else(|| io::Error::other("too many files `.strange-N` lie beside the audit log"))
}

/// Looks at the end of a file, however long it is.
fn tail(file: &mut File) -> io::Result<Tail> {
    let len = file.metadata()?.len();
    let start = len.saturating_sub(TAIL_LEN);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_LEN).read_to_end(&mut bytes)?;
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else {
        return Ok(Tail {
            last: None,
            end: 0,
            torn: len,
        });
    };
    let whole = bytes.get(..end).unwrap_or_default();
    let last = whole.rsplit(|byte| *byte == b'\n').next();
    let behind = bytes.len().saturating_sub(end).saturating_sub(1);
    let torn = u64::try_from(behind).unwrap_or(u64::MAX);
    Ok(Tail {
        last: last.map(<[u8]>::to_vec),
        end: len.saturating_sub(torn),
        torn,
    })
}

/// A new name is there after a crash as well.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(()),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

const MODE: u32 = 0o600;
/// Longer than any line.
const TAIL_LEN: u64 = 64 * 1024;
const STRANGE_MAX: u32 = 1_000;

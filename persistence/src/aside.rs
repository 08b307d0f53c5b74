//! Replaces a file as a whole: written aside, synced, renamed, and the directory synced. A reader
//! finds the old one or the new one, whatever ends in between.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A file, and the name under which it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aside<'a> {
    pub(crate) root: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) new: &'a str,
    pub(crate) readers: Readers,
}

/// Who may read it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Readers {
    /// As for any file of this process.
    Usual,
    /// Its owner alone.
    Owner,
}

/// What failed.
#[derive(Debug)]
pub(crate) struct AsideError {
    pub(crate) operation: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
    /// Whether the file is what it was, for certain; else it is the old one or the new one.
    pub(crate) is_kept: bool,
}

impl Aside<'_> {
    /// Durable when this returns. Blocks; one call at a time.
    ///
    /// # Errors
    /// The operation that failed.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<(), AsideError> {
        self.write(bytes)?;
        self.promote()
    }

    /// The first half: the new one is durable, and readers find the old one, in this process and
    /// in any later one. Blocks.
    ///
    /// # Errors
    /// The operation that failed; the file is what it was.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), AsideError> {
        let new = self.root.join(self.new);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.mode(match self.readers {
            Readers::Usual => 0o666,
            Readers::Owner => 0o600,
        });
        let mut file = options.open(&new).map_err(failed("create", &new, true))?;
        file.write_all(bytes).map_err(failed("write", &new, true))?;
        file.sync_all().map_err(failed("sync", &new, true))
    }

    /// The second half: readers find the new one. Blocks.
    ///
    /// # Errors
    /// The operation that failed.
    pub(crate) fn promote(&self) -> Result<(), AsideError> {
        let (path, new) = (self.root.join(self.name), self.root.join(self.new));
        fs::rename(&new, &path).map_err(failed("rename", &new, true))?;
        fs::File::open(self.root)
            .and_then(|root| root.sync_all())
            .map_err(failed("sync the folder of", &path, false))
    }
}

fn failed(
    operation: &'static str,
    path: &Path,
    is_kept: bool,
) -> impl FnOnce(io::Error) -> AsideError {
    let path = path.to_owned();
    move |source| AsideError {
        operation,
        path,
        source,
        is_kept,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const fn aside(root: &Path, readers: Readers) -> Aside<'_> {
        Aside {
            root,
            name: "it",
            new: "it.new",
            readers,
        }
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let aside = aside(dir.path(), Readers::Owner);
        fs::write(
            dir.path().join("it.new"),
            b"what an earlier process has left",
        )
        .unwrap();
        for bytes in [&b"a longer one"[..], b"short"] {
            aside.replace(bytes).unwrap();
            assert_eq!(fs::read(dir.path().join("it")).unwrap(), bytes);
        }
        assert!(!dir.path().join("it.new").exists());
    }

    #[test]
    fn what_is_for_its_owner_alone_is_read_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        aside(dir.path(), Readers::Owner)
            .replace(b"secret")
            .unwrap();
        let mode = fs::metadata(dir.path().join("it")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let aside = aside(dir.path(), Readers::Usual);
        aside.replace(b"old").unwrap();
        fs::create_dir(dir.path().join("it.new")).unwrap();
        let error = aside.replace(b"new").unwrap_err();
        assert_eq!((error.operation, error.is_kept), ("create", true));
        assert_eq!(error.path, dir.path().join("it.new"));
        assert_eq!(fs::read(dir.path().join("it")).unwrap(), b"old");
        fs::remove_dir(dir.path().join("it.new")).unwrap();
        fs::remove_file(dir.path().join("it")).unwrap();
        fs::create_dir_all(dir.path().join("it/full")).unwrap();
        let error = aside.replace(b"new").unwrap_err();
        assert_eq!((error.operation, error.is_kept), ("rename", true));
    }
}

//! Files of pre-written zeros and what becomes of them: spare, segment, retired.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use domain::ids::Lsn;
use glommio::GlommioError;
use glommio::io::{DmaFile, OpenOptions};

use super::directory::lock_file;
use super::shared::Shared;
use crate::batch::BLOCK;
use crate::checkpoint;
use crate::crash::{self, Step};
use crate::error::JournalError;
use crate::layout;
use crate::segment_header::SegmentHeader;

/// Zeros written at a time: small enough that a flush beside it does not wait long.
const ZEROS: usize = 256 * 1024;
/// How often a write that the kernel puts off is submitted again before it counts as failed.
const RESUBMIT_MAX: u32 = 1_000;

/// A file of zeros of a segment's length, synced, that has no number yet.
#[derive(Debug)]
pub(super) struct Spare {
    file: DmaFile,
    path: PathBuf,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    file: DmaFile,
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    /// Where the next batch goes.
    pub(super) at: u64,
}

/// The last segment, locked, while recovery judges it. Held on the descriptor that goes on writing
/// it, so that nobody else can take it in between.
#[derive(Debug)]
pub(super) struct HeldSegment {
    file: DmaFile,
    path: PathBuf,
}

impl Spare {
    /// Writes `segment_bytes` of real zeros into a file called `spare-<serial>.zero` and syncs it.
    /// A file that was merely allocated would cost metadata with each write, and on thin storage
    /// the space might not be there.
    pub(super) async fn make(
        dir: &Path,
        serial: u64,
        segment_bytes: u64,
    ) -> Result<Self, JournalError> {
        let path = dir.join(format!("spare-{serial}.zero"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let opened = options.dma_open(&path).await;
        let file = opened.map_err(|error| JournalError::io("create", &path, os_error(error)))?;
        let spare = Self { file, path };
        crash::point(Step::SpareCreated);
        match spare.fill(segment_bytes).await {
            Ok(()) => {
                crash::point(Step::SpareZeroed);
                Ok(spare)
            }
            Err(error) => {
                // What is left of it is removed, so that its space can be tried again.
                fs::remove_file(&spare.path)
                    .map_err(|error| JournalError::io("remove", &spare.path, error))?;
                spare
                    .file
                    .close()
                    .await
                    .map_err(|error| JournalError::io("close", &spare.path, os_error(error)))?;
                Err(error)
            }
        }
    }

    async fn fill(&self, segment_bytes: u64) -> Result<(), JournalError> {
        let failed = |operation| move |error| JournalError::io(operation, &self.path, error);
        lock_file(&self.file, &self.path).await?;
        let zeros = {
            let mut buffer = self.file.alloc_dma_buffer(ZEROS);
            buffer.as_bytes_mut().fill(0);
            Rc::new(buffer)
        };
        let mut at = 0;
        while at < segment_bytes {
            let left = usize::try_from(segment_bytes - at).unwrap_or(usize::MAX);
            let written = if left >= ZEROS {
                write_buffer(&self.file, &zeros, at).await.map(|()| ZEROS)
            } else {
                let rest = zeros.as_bytes().get(..left).unwrap_or_default();
                write_all(&self.file, rest, at).await.map(|()| left)
            };
            at += written.map_err(failed("write zeros to"))? as u64;
        }
        let synced = self.file.fdatasync().await;
        synced.map_err(os_error).map_err(failed("sync"))
    }

    /// Gives the spare its header and its number. A `.seg` name always has a good header: the name
    /// comes last, and the directory is synced before the first batch.
    pub(super) async fn activate(
        self,
        dir: &Path,
        header: SegmentHeader,
    ) -> Result<ActiveSegment, JournalError> {
        let path = dir.join(layout::segment_name(header.number));
        let failed = |operation| {
            let path = self.path.clone();
            move |error| JournalError::io(operation, &path, error)
        };
        let block = header.encode();
        write_all(&self.file, &block, 0)
            .await
            .map_err(failed("write the header of"))?;
        let synced = self.file.fdatasync().await;
        synced.map_err(os_error).map_err(failed("sync"))?;
        let (from, to, dir) = (self.path.clone(), path.clone(), dir.to_owned());
        // glommio's own directory sync is an fdatasync, which need not carry a name.
        glommio::executor()
            .spawn_blocking(move || rename_durably(&from, &to, &dir))
            .await
            .map_err(failed("rename"))?;
        Ok(ActiveSegment {
            file: self.file,
            path,
            header,
            at: BLOCK as u64,
        })
    }
}

impl HeldSegment {
    /// Opens and locks the segment at `path`; waits a moment for a process that is ending.
    pub(super) async fn open(path: PathBuf) -> Result<Self, JournalError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let opened = options.dma_open(&path).await;
        let file = opened.map_err(|error| JournalError::io("open", &path, os_error(error)))?;
        let held = Self { file, path };
        match lock_file(&held.file, &held.path).await {
            Ok(()) => Ok(held),
            Err(error) => {
                held.close().await?;
                Err(error)
            }
        }
    }

    /// The segment as the one that is being written, on from `at`.
    pub(super) fn resume(self, header: SegmentHeader, at: u64) -> ActiveSegment {
        ActiveSegment {
            file: self.file,
            path: self.path,
            header,
            at,
        }
    }

    /// Gives the lock up.
    pub(super) async fn close(self) -> Result<(), JournalError> {
        let closed = self.file.close().await;
        closed.map_err(|error| JournalError::io("close", &self.path, os_error(error)))
    }
}

impl ActiveSegment {
    /// Bytes that still fit.
    pub(super) const fn room(&self) -> u64 {
        self.header.segment_bytes.saturating_sub(self.at)
    }

    /// A buffer that holds `bytes`, fit for direct I/O.
    pub(super) fn buffer(&self, bytes: &[u8]) -> Rc<glommio::io::DmaBuffer> {
        filled(&self.file, bytes)
    }

    /// Writes `buffer` behind the last batch. It is durable only after [`Self::sync`].
    pub(super) async fn write(
        &mut self,
        buffer: &Rc<glommio::io::DmaBuffer>,
    ) -> Result<(), io::Error> {
        write_buffer(&self.file, buffer, self.at).await?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    /// Makes completed writes durable. Never called again after it has failed.
    pub(super) async fn sync(&self) -> Result<(), io::Error> {
        self.file.fdatasync().await.map_err(os_error)
    }

    pub(super) async fn close(self) -> Result<(), io::Error> {
        self.file.close().await.map_err(os_error)
    }
}

/// Deletes the segments whose records all lie before `keep_from` and that a checkpoint on disk
/// covers; never the one being written.
pub(super) async fn retire(shared: &Shared, keep_from: Lsn) -> Result<usize, JournalError> {
    let mut removed = 0;
    while let Some(number) = shared.retirable(keep_from) {
        let dir = shared.dir.clone();
        let is_removed = glommio::executor()
            .spawn_blocking(move || remove_covered(&dir, number))
            .await?;
        if !is_removed {
            break;
        }
        shared.retired(number);
        removed += 1;
    }
    Ok(removed)
}

/// Without a checkpoint the next start would be refused.
fn remove_covered(dir: &Path, number: u64) -> Result<bool, JournalError> {
    let newest = checkpoint::numbers(dir)?.last().copied();
    if newest.is_none_or(|covers| covers <= number) {
        return Ok(false);
    }
    let path = dir.join(layout::segment_name(number));
    let removed = fs::remove_file(&path).and_then(|()| {
        crash::point(Step::SegmentRetired);
        File::open(dir)?.sync_all()
    });
    removed.map_err(|error| JournalError::io("remove", &path, error))?;
    Ok(true)
}

/// Writes all of `bytes`, a multiple of a block, at `at`.
pub(super) async fn write_all(file: &DmaFile, bytes: &[u8], at: u64) -> Result<(), io::Error> {
    write_buffer(file, &filled(file, bytes), at).await
}

fn filled(file: &DmaFile, bytes: &[u8]) -> Rc<glommio::io::DmaBuffer> {
    let mut buffer = file.alloc_dma_buffer(bytes.len());
    buffer.as_bytes_mut().copy_from_slice(bytes);
    Rc::new(buffer)
}

/// A write that the kernel puts off (EINTR, EAGAIN) is the same write submitted again; any other
/// error and a short count are final.
async fn write_buffer(
    file: &DmaFile,
    buffer: &Rc<glommio::io::DmaBuffer>,
    at: u64,
) -> Result<(), io::Error> {
    for _ in 0..RESUBMIT_MAX {
        match file.write_rc_at(Rc::clone(buffer), at).await {
            Ok(written) => return check_count(written, buffer.len()),
            Err(error) if is_put_off(&error) => {}
            Err(error) => return Err(os_error(error)),
        }
    }
    Err(io::Error::from(io::ErrorKind::WouldBlock))
}

fn check_count(written: usize, len: usize) -> Result<(), io::Error> {
    if written == len {
        return Ok(());
    }
    let text = format!("short write: {written} of {len} bytes");
    Err(io::Error::new(io::ErrorKind::WriteZero, text))
}

fn is_put_off(error: &GlommioError<()>) -> bool {
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN)
    )
}

/// The plain error below glommio's, so that its number is kept.
pub(super) fn os_error(error: GlommioError<()>) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.into(),
    }
}

fn rename_durably(from: &Path, to: &Path, dir: &Path) -> Result<(), io::Error> {
    fs::rename(from, to)?;
    crash::point(Step::SegmentRenamed);
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_is_an_error() {
        assert!(check_count(4096, 4096).is_ok());
        assert!(check_count(512, 4096).is_err());
        assert!(check_count(0, 4096).is_err());
    }

    #[test]
    fn only_what_the_kernel_puts_off_is_submitted_again() {
        let check = |code: rustix::io::Errno, put_off| {
            let error = GlommioError::IoError(io::Error::from(code));
            assert_eq!(is_put_off(&error), put_off, "{code}");
        };
        check(rustix::io::Errno::INTR, true);
        check(rustix::io::Errno::AGAIN, true);
        check(rustix::io::Errno::IO, false);
        check(rustix::io::Errno::NOSPC, false);
        check(rustix::io::Errno::INVAL, false);
    }
}

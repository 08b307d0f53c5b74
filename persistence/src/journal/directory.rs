//! The shard's directory: made, locked, and proved fit to hold a journal (J01, J02, J10).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use glommio::io::{DmaFile, OpenOptions};
use rustix::fs::fstatfs;

use super::segment::{os_error, write_all};
use super::settings::{FileSystems, JournalSettings};
use super::sys;
use crate::batch::BLOCK;
use crate::checkpoint::remove_unfinished;
use crate::error::{JournalError, Unfit};
use crate::identity::Identity;
use crate::layout::{self, Entry};
use crate::manifest::{LOCK_ATTEMPTS, LOCK_PAUSE, sync_dir, try_lock};

const EXT4_MAGIC: u64 = 0xEF53;
const XFS_MAGIC: u64 = 0x5846_5342;

/// The shard's directory. Holds its lock.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    _lock: File,
}

/// Makes, locks, checks and cleans the directory that `settings` name.
pub(super) async fn prepare(settings: &JournalSettings) -> Result<Directory, JournalError> {
    let path = make(&settings.root, &settings.identity)?;
    let dir = File::open(&path).map_err(|error| JournalError::io("open", &path, error))?;
    lock(&dir, &path).await?;
    check_owner(&dir, &path)?;
    check_file_system(&dir, &path, settings.file_systems)?;
    clean(&path)?;
    probe(&path).await?;
    Ok(Directory { path, _lock: dir })
}

/// Tries five times, 50 ms apart, without holding up the executor.
async fn lock(dir: &File, path: &Path) -> Result<(), JournalError> {
    for _ in 0..LOCK_ATTEMPTS {
        if try_lock(dir, path)? {
            return Ok(());
        }
        glommio::timer::sleep(LOCK_PAUSE).await;
    }
    Err(JournalError::InUse {
        path: path.to_owned(),
    })
}

/// The same for a file that is written through glommio.
pub(super) async fn lock_file(file: &DmaFile, path: &Path) -> Result<(), JournalError> {
    for _ in 0..LOCK_ATTEMPTS {
        if sys::try_lock(file).map_err(|error| JournalError::io("lock", path, error))? {
            return Ok(());
        }
        glommio::timer::sleep(LOCK_PAUSE).await;
    }
    Err(JournalError::InUse {
        path: path.to_owned(),
    })
}

fn make(root: &Path, identity: &Identity) -> Result<PathBuf, JournalError> {
    let generation = layout::generation_dir(root, identity.generation);
    let shard = layout::shard_dir(root, identity.generation, identity.shard);
    fs::create_dir_all(&shard).map_err(|error| JournalError::io("create", &shard, error))?;
    sync_dir(&generation)?;
    sync_dir(root)?;
    Ok(shard)
}

fn check_owner(dir: &File, path: &Path) -> Result<(), JournalError> {
    let metadata = dir
        .metadata()
        .map_err(|error| JournalError::io("look at", path, error))?;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != user {
        return Err(unfit(path, Unfit::Owner { owner, user }));
    }
    Ok(())
}

fn check_file_system(dir: &File, path: &Path, allowed: FileSystems) -> Result<(), JournalError> {
    let found = fstatfs(dir).map_err(|error| JournalError::io("look at", path, error.into()))?;
    let magic = u64::try_from(found.f_type).unwrap_or(0);
    judge_file_system(magic, allowed).map_err(|error| unfit(path, error))
}

/// J02, as far as the type of the file system tells.
fn judge_file_system(magic: u64, allowed: FileSystems) -> Result<(), Unfit> {
    match (magic, allowed) {
        (EXT4_MAGIC | XFS_MAGIC, _) | (_, FileSystems::Any) => Ok(()),
        (magic, FileSystems::Tried) => Err(Unfit::FileSystem { magic }),
    }
}

/// J10: removes what was being made when the last process stopped. None of it holds a record.
fn clean(dir: &Path) -> Result<(), JournalError> {
    let list = |error| JournalError::io("list", dir, error);
    for entry in fs::read_dir(dir).map_err(list)? {
        let entry = entry.map_err(list)?;
        let kind = entry.file_name().to_str().map(layout::classify);
        if matches!(kind, Some(Entry::Spare | Entry::Probe)) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|error| JournalError::io("remove", &path, error))?;
        }
    }
    remove_unfinished(dir)
}

/// Writes a block as the journal would, and reads it back.
///
/// The file has content before glommio opens it, and is the first one that glommio opens here:
/// glommio probes once per device whether reads can be polled, and takes the read of an empty file,
/// which touches no device, for a yes.
async fn probe(dir: &Path) -> Result<(), JournalError> {
    let path = dir.join("probe-0.tmp");
    let failed = |operation| {
        let path = path.clone();
        move |error: io::Error| JournalError::io(operation, &path, error)
    };
    let plain = File::create_new(&path).map_err(failed("create"))?;
    plain
        .write_all_at(&[0; BLOCK], 0)
        .map_err(failed("write"))?;
    plain.sync_all().map_err(failed("sync"))?;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let opened = options.dma_open(&path).await;
    let file = opened.map_err(os_error).map_err(failed("open"))?;
    let verdict = probe_file(&file, dir).await;
    file.close()
        .await
        .map_err(os_error)
        .map_err(failed("close"))?;
    fs::remove_file(&path).map_err(failed("remove"))?;
    verdict
}

async fn probe_file(file: &DmaFile, dir: &Path) -> Result<(), JournalError> {
    let failed = |error| JournalError::io("write a probe block in", dir, error);
    if !sys::is_direct(file).map_err(failed)? {
        return Err(unfit(dir, Unfit::NotDirect));
    }
    let block = [0xA5; BLOCK];
    write_all(file, &block, 0).await.map_err(failed)?;
    file.fdatasync().await.map_err(os_error).map_err(failed)?;
    let read = file
        .read_at_aligned(0, BLOCK)
        .await
        .map_err(os_error)
        .map_err(failed)?;
    if *read != block {
        return Err(unfit(dir, Unfit::Probe));
    }
    Ok(())
}

fn unfit(path: &Path, unfit: Unfit) -> JournalError {
    JournalError::Unfit {
        path: path.to_owned(),
        unfit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn j02_only_file_systems_that_were_tried_hold_a_journal_unasked() {
        const TMPFS: u64 = 0x0102_1994;
        const OVERLAY: u64 = 0x794C_7630;
        assert_eq!(judge_file_system(EXT4_MAGIC, FileSystems::Tried), Ok(()));
        assert_eq!(judge_file_system(XFS_MAGIC, FileSystems::Tried), Ok(()));
        for magic in [TMPFS, OVERLAY, 0] {
            let refused = Err(Unfit::FileSystem { magic });
            assert_eq!(judge_file_system(magic, FileSystems::Tried), refused);
            assert_eq!(judge_file_system(magic, FileSystems::Any), Ok(()));
        }
    }
}

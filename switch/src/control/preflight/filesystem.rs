//! Where the journal lies, or will lie once its folder is made.

use std::path::Path;

use super::Unfit;

/// What a file system is to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// Durability was tried on it.
    Tried,
    /// It is memory.
    Memory(&'static str),
    /// Any other, by name where it has a well-known one.
    Other(Option<&'static str>),
}

impl FileSystem {
    /// By the number that statfs(2) gives.
    pub(super) const fn of(magic: u64) -> Self {
        match magic {
            // ext2, ext3 and ext4 share one number.
            0xEF53 | 0x5846_5342 => Self::Tried,
            0x0102_1994 => Self::Memory("tmpfs"),
            0x8584_58F6 => Self::Memory("ramfs"),
            0x9123_683E => Self::Other(Some("btrfs")),
            0x794C_7630 => Self::Other(Some("overlayfs, the layers of a container")),
            0x6969 => Self::Other(Some("NFS")),
            0x2FC1_2FC1 => Self::Other(Some("ZFS")),
            0xFF53_4D42 | 0xFE53_4D42 => Self::Other(Some("SMB")),
            0x6573_5546 => Self::Other(Some("FUSE")),
            0xF2F5_2010 => Self::Other(Some("f2fs")),
            0x0102_1997 => Self::Other(Some("9p")),
            _ => Self::Other(None),
        }
    }
}

/// Judges the file system of the nearest folder above `journal` that exists.
pub(super) fn check(journal: &Path, any: bool) -> Result<(), Unfit> {
    let folder = journal
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(journal);
    let found = rustix::fs::statfs(folder).map_err(|error| Unfit::NoFolder {
        path: journal.to_owned(),
        error: error.to_string(),
    })?;
    judge(journal, u64::try_from(found.f_type).unwrap_or(0), any)
}

pub(super) fn judge(journal: &Path, magic: u64, any: bool) -> Result<(), Unfit> {
    let path = journal.to_owned();
    match FileSystem::of(magic) {
        FileSystem::Tried => Ok(()),
        FileSystem::Memory(name) => Err(Unfit::InMemory {
            path,
            name: name.to_owned(),
        }),
        FileSystem::Other(_) if any => Ok(()),
        FileSystem::Other(name) => {
            let unnamed = || format!("a file system of type {magic:#x}");
            let name = name.map_or_else(unnamed, str::to_owned);
            Err(Unfit::UntriedFileSystem { path, name })
        }
    }
}

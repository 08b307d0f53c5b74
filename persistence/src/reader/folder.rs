//! What lies below a journal's directory: the manifest and, by generation and shard, the folders
//! with segments. For readers: nothing is locked for longer than a look takes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use domain::ids::ShardId;
use rustix::fs::{FlockOperation, flock};

use super::scan::Belongs;
use crate::error::JournalError;
use crate::layout;
use crate::manifest::{Content, Manifest};

/// A journal's directory.
#[derive(Debug)]
pub struct Folder {
    /// The manifest, or why it cannot be believed (J05).
    pub manifest: Result<Content, JournalError>,
    /// Generations from the oldest to the newest, and the shards of each.
    pub shards: Vec<ShardFolder>,
    /// Whether a process holds the lock: the journal may be written at this moment.
    pub is_held: bool,
}

/// Where the files of one shard lie.
#[derive(Clone, Debug)]
pub struct ShardFolder {
    /// Its generation.
    pub generation: u32,
    /// What that is to the manifest.
    pub state: Generation,
    /// The shard.
    pub shard: ShardId,
    /// Its files.
    pub dir: PathBuf,
    /// Where they belong.
    pub belongs: Belongs,
}

/// What a generation is to the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// The one that is written.
    Current,
    /// An older one.
    Sealed,
    /// A newer one: a change of the shard count that has not come to its end. The next start
    /// removes it (J10), and nothing in it was acknowledged.
    Unfinished,
    /// There is no manifest to compare it with.
    Unknown,
}

impl Folder {
    /// Looks at what lies below `root`.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn read(root: &Path) -> Result<Self, JournalError> {
        let manifest = Manifest::read(root);
        let mut shards = Vec::new();
        for generation in numbered::<u32>(root)? {
            let dir = layout::generation_dir(root, generation);
            for shard in numbered::<u16>(&dir)? {
                shards.push((generation, ShardId(shard)));
            }
        }
        if let Ok(content) = &manifest {
            for shard in (0..content.shards).map(ShardId) {
                if !shards.contains(&(content.generation, shard)) {
                    shards.push((content.generation, shard));
                }
            }
        }
        shards.sort_unstable();
        let folder = |(generation, shard)| shard_folder(root, &manifest, generation, shard);
        Ok(Self {
            shards: shards.into_iter().map(folder).collect(),
            manifest,
            is_held: is_held(root)?,
        })
    }
}

fn shard_folder(
    root: &Path,
    manifest: &Result<Content, JournalError>,
    generation: u32,
    shard: ShardId,
) -> ShardFolder {
    let (state, belongs) = match manifest {
        Ok(content) if generation == content.generation && shard.0 < content.shards => {
            (Generation::Current, Belongs::To(content.identity(shard)))
        }
        Ok(content) if generation > content.generation => (
            Generation::Unfinished,
            Belongs::Folder { generation, shard },
        ),
        Ok(_) => (Generation::Sealed, Belongs::Folder { generation, shard }),
        Err(_) => (Generation::Unknown, Belongs::Folder { generation, shard }),
    };
    ShardFolder {
        generation,
        state,
        shard,
        dir: layout::shard_dir(root, generation, shard),
        belongs,
    }
}

/// The subdirectories of `dir` whose names are numbers as the writer spells them, ascending.
fn numbered<N: std::str::FromStr + ToString + Ord>(dir: &Path) -> Result<Vec<N>, JournalError> {
    let failed = |error| JournalError::io("list", dir, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| {
            let number = name.parse::<N>().ok()?;
            (number.to_string() == name).then_some(number)
        });
        if let Some(number) = number
            && entry.path().is_dir()
        {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A shared lock is tried and given back at once; a switch that starts in this very moment tries
/// again.
fn is_held(root: &Path) -> Result<bool, JournalError> {
    let file = File::open(root).map_err(|error| JournalError::io("open", root, error))?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(JournalError::io(
            "ask for the lock of",
            root,
            io::Error::from(error),
        )),
    }
}

//! What lies below a journal's directory: the manifest and, by generation and shard, the folders
//! with segments. For readers: nothing is locked for longer than a look takes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use domain::ids::ShardId;
use rustix::fs::{FlockOperation, flock};

use super::scan::Belongs;
use super::segment_numbers;
use crate::checkpoint;
use crate::error::JournalError;
use crate::layout;
use crate::manifest::{Content, Manifest};
use crate::recovery::judge_cover;

/// A journal's directory.
#[derive(Debug)]
pub struct Folder {
    /// The manifest, or why it cannot be believed (J05).
    pub manifest: Result<Content, JournalError>,
    /// Generations from the oldest to the newest, and the shards of each, with a checkpoint before
    /// the segments that it stands for.
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
    /// Of a checkpoint, the first segment that it does not cover.
    pub checkpoint: Option<u64>,
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
        let mut folders = Vec::new();
        for (generation, shard) in shards {
            let folder = shard_folder(root, &manifest, generation, shard);
            for segment in checkpoint::numbers(&folder.dir)? {
                folders.push(folder.of_checkpoint(segment));
            }
            folders.push(folder);
        }
        Ok(Self {
            shards: folders,
            manifest,
            is_held: is_held(root)?,
        })
    }
}

impl ShardFolder {
    fn of_checkpoint(&self, segment: u64) -> Self {
        Self {
            checkpoint: Some(segment),
            dir: checkpoint::folder(&self.dir, segment),
            belongs: match self.belongs {
                Belongs::To(identity) => Belongs::To(checkpoint::files_of(&identity, segment)),
                folder @ Belongs::Folder { .. } => folder,
            },
            ..self.clone()
        }
    }

    /// Whether all of a checkpoint is here, with so many records; of segments, whether a checkpoint
    /// stands for those that are not.
    ///
    /// # Errors
    /// Rows J09 and J21, or the directory cannot be listed.
    pub fn judge_whole(&self, records: u64) -> Result<(), JournalError> {
        let numbers = segment_numbers(&self.dir)?;
        let refused = |refusal| JournalError::refused(&self.dir, refusal);
        match self.checkpoint {
            Some(segment) => {
                let covered = checkpoint::covered(&self.dir, segment)?;
                let files = numbers.len() as u64;
                covered.judge_whole(files, records).map_err(refused)
            }
            None => {
                let newest = checkpoint::numbers(&self.dir)?.last().copied();
                let folder = newest.map(|segment| checkpoint::folder(&self.dir, segment));
                let covered = match (newest, folder) {
                    (Some(segment), Some(folder)) => Some(checkpoint::covered(&folder, segment)?),
                    _ => None,
                };
                judge_cover(&numbers, covered.as_ref()).map_err(refused)
            }
        }
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
        checkpoint: None,
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

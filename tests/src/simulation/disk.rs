//! A disk that keeps what was synced. Of what was not, each write is kept, dropped, torn at a
//! sector or corrupted when the power fails. It also writes in the wrong place and lets bits rot.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use persistence::batch::BLOCK;
use persistence::checkpoint::{Covered, Image};
use persistence::identity::Identity;

use super::random::Random;
use super::secrets;

pub(super) const SECTOR: usize = 512;

/// A segment: in which folder, and its number.
pub(super) type FileId = (Folder, u64);

/// Where a shard's segments lie: its generation, and its number.
pub(super) type Folder = (u32, u16);

/// The folder of a journal.
pub(super) const fn folder(identity: &Identity) -> Folder {
    (identity.generation, identity.shard.0)
}

/// All files of all journals of the node.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<FileId, File>,
    has_secret: bool,
    /// By the segment that each is before.
    checkpoints: BTreeMap<FileId, (Checkpoint, Name)>,
}

/// A checkpoint of a shard: its files are synced before it gets its name.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) covered: Covered,
    pub(super) images: Vec<Image>,
    /// Records that it leaves out: for the books of the world, on no disk.
    pub(super) left_out: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Write>,
    name: Name,
    /// What the file would hold if the medium had never failed: for the repair.
    meant: Vec<u8>,
    is_damaged: bool,
}

/// How a spare comes by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Spare,
    Renamed,
    Durable,
}

#[derive(Debug)]
struct Write {
    at: usize,
    meant_at: usize,
    bytes: Vec<u8>,
}

/// What becomes of one sector of a write when the power fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
    Corrupted,
}

impl Disk {
    /// A spare of zeros with its header written, not yet synced.
    pub(super) fn prepare(&mut self, file: FileId, len: usize, header: &[u8]) {
        let zeros = vec![0; len];
        self.files.insert(
            file,
            File {
                meant: zeros.clone(),
                durable: zeros,
                pending: Vec::new(),
                name: Name::Spare,
                is_damaged: false,
            },
        );
        self.write(file, 0, 0, header);
    }

    /// The spare gets its number; a loss of power may still take it back.
    pub(super) fn rename(&mut self, file: FileId) {
        self.file_mut(file).name = Name::Renamed;
    }

    /// Syncs the directory of one shard.
    pub(super) fn sync_names(&mut self, folder: Folder) {
        for file in self.of_folder_mut(folder) {
            if file.name == Name::Renamed {
                file.name = Name::Durable;
            }
        }
        for (_, name) in self.of_checkpoints_mut(folder) {
            if *name == Name::Renamed {
                *name = Name::Durable;
            }
        }
    }

    /// A checkpoint is written and synced; it has no name.
    pub(super) fn draft(&mut self, folder: Folder, checkpoint: Checkpoint) {
        let mut images = checkpoint.images.iter();
        self.has_secret |= images.any(|image| secrets::is_in(&image.bytes));
        let file = (folder, checkpoint.covered.segment);
        self.checkpoints.insert(file, (checkpoint, Name::Spare));
    }

    /// The checkpoint before a segment gets its name; a loss of power may still take it back.
    /// `false` when there is none.
    pub(super) fn name_checkpoint(&mut self, file: FileId) -> bool {
        let found = self.checkpoints.get_mut(&file);
        found.is_some_and(|(_, name)| {
            *name = Name::Renamed;
            true
        })
    }

    /// The name is durable: those before it go.
    pub(super) fn keep_checkpoint(&mut self, (folder, segment): FileId) {
        self.sync_names(folder);
        self.checkpoints
            .retain(|(of, number), _| *of != folder || *number >= segment);
    }

    /// The newest checkpoint that has its name.
    pub(super) fn checkpoint(&self, folder: Folder) -> Option<&Checkpoint> {
        let all = self.checkpoints.range((folder, 0)..=(folder, u64::MAX));
        let mut named = all.rev().filter(|(_, (_, name))| *name != Name::Spare);
        named.next().map(|(_, (checkpoint, _))| checkpoint)
    }

    /// A segment is removed.
    pub(super) fn retire(&mut self, file: FileId) {
        self.files.remove(&file);
    }

    /// A write is submitted. `at` is where it lands, `meant_at` where it should.
    pub(super) fn write(&mut self, file: FileId, at: usize, meant_at: usize, bytes: &[u8]) {
        self.has_secret |= secrets::is_in(bytes);
        let bytes = bytes.to_vec();
        let file = self.file_mut(file);
        file.is_damaged |= at != meant_at;
        file.pending.push(Write {
            at,
            meant_at,
            bytes,
        });
    }

    /// S6: whether an account number was ever written.
    pub(super) const fn has_secret(&self) -> bool {
        self.has_secret
    }

    /// What was written is durable.
    pub(super) fn sync(&mut self, file: FileId) {
        let file = self.file_mut(file);
        for write in std::mem::take(&mut file.pending) {
            let (all, everywhere) = (0..write.bytes.len(), (true, true));
            file.land(&write, all, everywhere);
        }
    }

    /// Whether nothing that was written to a file is pending.
    pub(super) fn is_synced(&self, file: FileId) -> bool {
        let file = self.files.get(&file);
        file.is_some_and(|file| file.pending.is_empty())
    }

    /// A sync fails. The device forgets what it likes of the pending writes, and the next sync has
    /// nothing left to fail on.
    pub(super) fn fail_sync(&mut self, file: FileId, random: &mut Random) {
        let file = self.file_mut(file);
        for write in std::mem::take(&mut file.pending) {
            if random.permille(400) {
                file.pending.push(write);
            }
        }
    }

    /// The last write has failed: a part of it may have been carried out.
    pub(super) fn shorten(&mut self, file: FileId, random: &mut Random) {
        if let Some(write) = self.file_mut(file).pending.last_mut() {
            let sectors = (write.bytes.len() / SECTOR) as u64;
            write
                .bytes
                .truncate(SECTOR * random.below(sectors + 1) as usize);
        }
    }

    /// The power fails. A spare is swept away, and a name that was not synced may go.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        for file in self.files.values_mut() {
            for write in std::mem::take(&mut file.pending) {
                file.resolve(&write, random);
            }
            if file.name == Name::Renamed && random.permille(500) {
                file.name = Name::Spare;
            }
        }
        for (_, name) in self.checkpoints.values_mut() {
            if *name == Name::Renamed && random.permille(500) {
                *name = Name::Spare;
            }
        }
        self.sweep();
    }

    /// The process ends; what it has submitted is on its way. J10: spares are removed.
    pub(super) fn sweep(&mut self) {
        self.files.retain(|_, file| file.name != Name::Spare);
        self.checkpoints.retain(|_, (_, name)| *name != Name::Spare);
    }

    /// J10: removes generations behind the one in force, which were never finished.
    pub(super) fn remove_behind(&mut self, generation: u32) {
        self.files.retain(|((of, _), _), _| *of <= generation);
        self.checkpoints.retain(|((of, _), _), _| *of <= generation);
    }

    /// The numbers of a shard's segments.
    pub(super) fn numbers(&self, folder: Folder) -> Vec<u64> {
        let files = self.files.range((folder, 0)..=(folder, u64::MAX));
        let named = files.filter(|(_, file)| file.name != Name::Spare);
        named.map(|((_, number), _)| *number).collect()
    }

    /// The bytes as a reader sees them: what is pending is read as well.
    pub(super) fn read(&self, file: FileId) -> Cow<'_, [u8]> {
        let file = &self.files[&file];
        if file.pending.is_empty() {
            return Cow::Borrowed(&file.durable);
        }
        let mut bytes = file.durable.clone();
        for write in &file.pending {
            bytes[write.at..write.at + write.bytes.len()].copy_from_slice(&write.bytes);
        }
        Cow::Owned(bytes)
    }

    /// A bit rots.
    pub(super) fn flip(&mut self, file: FileId, at: usize, random: &mut Random) {
        let file = self.file_mut(file);
        file.durable[at] ^= 1 << random.below(8);
        file.is_damaged = true;
    }

    pub(super) fn is_damaged(&self, folder: Folder) -> bool {
        self.of_folder(folder).any(|file| file.is_damaged)
    }

    /// People bring the files back from a replica.
    pub(super) fn repair(&mut self, folder: Folder) {
        for file in self.of_folder_mut(folder) {
            if file.is_damaged {
                file.durable = file.meant.clone();
                file.pending.clear();
                file.is_damaged = false;
            }
        }
    }

    fn of_folder(&self, folder: Folder) -> impl Iterator<Item = &File> {
        let files = self.files.range((folder, 0)..=(folder, u64::MAX));
        files.map(|(_, file)| file)
    }

    fn of_folder_mut(&mut self, folder: Folder) -> impl Iterator<Item = &mut File> {
        let files = self.files.range_mut((folder, 0)..=(folder, u64::MAX));
        files.map(|(_, file)| file)
    }

    fn of_checkpoints_mut(
        &mut self,
        folder: Folder,
    ) -> impl Iterator<Item = &mut (Checkpoint, Name)> {
        let all = self.checkpoints.range_mut((folder, 0)..=(folder, u64::MAX));
        all.map(|(_, checkpoint)| checkpoint)
    }

    fn file_mut(&mut self, file: FileId) -> &mut File {
        self.files.get_mut(&file).expect("a file that exists")
    }
}

impl File {
    /// Bytes of a write reach the medium, and what it is meant to hold.
    fn land(&mut self, write: &Write, part: Range<usize>, (medium, meant): (bool, bool)) {
        let bytes = &write.bytes[part.clone()];
        if medium {
            let at = write.at + part.start;
            self.durable[at..at + bytes.len()].copy_from_slice(bytes);
        }
        if meant {
            let at = write.meant_at + part.start;
            self.meant[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn resolve(&mut self, write: &Write, random: &mut Random) {
        let whole = match random.below(4) {
            0 => Some(Fate::Kept),
            1 => Some(Fate::Dropped),
            _ => None,
        };
        let straight = write.at == write.meant_at;
        let sectors = write.bytes.len() / SECTOR;
        // Torn: a prefix, or any of its sectors.
        let prefix = random
            .permille(500)
            .then(|| random.below(sectors as u64 + 1));
        for sector in 0..sectors {
            let fate = whole.unwrap_or_else(|| match prefix {
                Some(prefix) if (sector as u64) < prefix => Fate::Kept,
                Some(_) => Fate::Dropped,
                None => match random.below(5) {
                    0 | 1 => Fate::Kept,
                    2 | 3 => Fate::Dropped,
                    _ => Fate::Corrupted,
                },
            });
            let part = sector * SECTOR..(sector + 1) * SECTOR;
            match fate {
                Fate::Dropped => {}
                Fate::Kept => self.land(write, part, (true, straight)),
                Fate::Corrupted => {
                    let mut bytes = write.bytes.clone();
                    let noise = random.draw().to_le_bytes();
                    bytes[part.start..part.start + 8].copy_from_slice(&noise);
                    let write = Write { bytes, ..*write };
                    self.land(&write, part, (true, straight));
                }
            }
        }
    }
}

/// A block, by its number in a file.
pub(super) const fn block(number: u64) -> usize {
    number as usize * BLOCK
}

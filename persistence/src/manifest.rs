//! The one file that says which journal a directory holds, and how often it was started.
//!
//! ```text
//! njia-journal 2
//! node 1
//! journal 5f0c9a3e-…
//! generation 1
//! shards 2
//! slot_hash 1
//! start 17
//! acquirer 0 terminals
//! issuer 0 bank
//! issuer 1 momo
//! segment 0 31
//! segment 1 32
//! crc32c 1a2b3c4d
//! ```
//! The last lines name, for each shard, the segment that it wrote to when all had recovered last: a
//! shard without it has lost files. Format 1 is the same without names and segments; it is what a
//! manifest is before its first names are known. When the number of shards has changed, lines
//! between names and segments name the generations before, and the format is 3:
//!
//! ```text
//! earlier 1 5f0c9a3e-… 1763781234567 8812 9004
//! ```
//! generation, journal, a time in Unix milliseconds (what was over then may not have been carried
//! over; 0 when everything was), and the last LSN of each of its shards.
//!
//! Format 5 holds what a start cannot tell from the records that were carried over. Behind the time
//! another one, `1763781234567/1763781200000`: advices whose DE7 is no later may not have been
//! either. Behind the generations a line for each issuer with the numbers that the shards of the
//! last of them had given out last on each link:
//!
//! ```text
//! stans 1 013432 130007
//! ```
//!
//! Format 4 says no more than that a checkpoint was made, so that segments may have been retired: a
//! program that knows no checkpoints would begin with the first segment that is left.
//!
//! Replaced as a whole: written aside, synced, renamed, and the directory synced. Read strictly: a
//! manifest that is not exactly this refuses the start (J05).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::ids::{Lsn, NodeId, ShardId};
use domain::time::WallTime;
use rustix::fs::{FlockOperation, flock};

use crate::aside::{Aside, Readers};
use crate::error::{JournalError, Unfit};
use crate::identity::{Identity, JournalUuid};
use crate::layout::{self, MANIFEST, MANIFEST_NEW};
use crate::marks::{LatestStans, Marks, is_stans, read_stans, write_stans};
use crate::reader::segment_numbers;
use crate::recovery::Refusal;

mod earlier;
mod names;

pub use earlier::{EARLIER_MAX, Earlier};
pub use names::{NAME_LEN_MAX, NAMES_MAX, PartyNames};

/// The version of the hash that deals transactions to slots.
pub const SLOT_HASH_VERSION: u16 = 1;
/// Attempts at a lock that another process holds, and the pause between them: together they bridge
/// the 250 ms in which a killed process may still be ending.
pub(crate) const LOCK_ATTEMPTS: u32 = 5;
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Without names, and with them.
const FORMAT_NAMELESS: u16 = 1;
const FORMAT: u16 = 2;
/// With earlier generations.
const FORMAT_CHANGED: u16 = 3;
/// With checkpoints.
const FORMAT_CHECKPOINTS: u16 = 4;
/// With what is not told by records that are carried over; early segments may be gone.
const FORMAT_MARKED: u16 = 5;
const SEGMENT: &str = "segment";
/// The format, and one line per number.
const LINES_BEFORE_NAMES: usize = 7;
const LEN_MAX: usize = 1_048_576;
/// Links times shards: more than any configuration allows.
pub const LATEST_STANS_MAX: usize = 65_536;
/// More than any configuration allows.
pub(crate) const SHARDS_MAX: u16 = 256;
const _: () = assert!(
    2 * NAMES_MAX * (NAME_LEN_MAX + "acquirer 49 \n".len())
        + SHARDS_MAX as usize * "segment 255 18446744073709551615\n".len()
        + EARLIER_MAX * (SHARDS_MAX as usize * 21 + 128)
        + LATEST_STANS_MAX * " 999999".len()
        + NAMES_MAX * "stans 49\n".len()
        + 512
        <= LEN_MAX,
    "a manifest with all its names and segments is read whole"
);

/// An opened journal directory. Holds the lock that keeps other processes out: keep it until the
/// process ends.
#[derive(Debug)]
pub struct Manifest {
    root: PathBuf,
    content: Content,
    is_new: bool,
    _lock: File,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The machine.
    pub node: NodeId,
    /// The journal.
    pub journal: JournalUuid,
    /// Rises by one when the slots are dealt anew.
    pub generation: u32,
    /// Shards of this generation.
    pub shards: u16,
    /// The version of the slot hash.
    pub slot_hash: u16,
    /// Starts so far, this one included. Part of every transaction id and of every nonce.
    pub start: u32,
    /// The ids of acquirers and issuers.
    pub names: PartyNames,
    /// By shard, the number of the segment that it wrote to when the last good start had recovered;
    /// empty before the first one.
    pub segments: Vec<u64>,
    /// The generations before this one, oldest first.
    pub earlier: Vec<Earlier>,
    /// The numbers that the shards of the last of them had given out last.
    pub latest_stans: LatestStans,
    /// Whether a checkpoint may have been made, so that early segments may be gone.
    pub has_checkpoints: bool,
}

impl Manifest {
    /// Opens the journal below `root`, or makes one when the directory is empty, and counts the
    /// start: the new counter is on disk when this returns. What a change of the number of shards
    /// left half made is removed. A journal that is there keeps its number of shards, whatever
    /// `shards` says: [`Content::next_generation`]. Blocks; once per process, before any executor.
    ///
    /// # Errors
    /// [`JournalError::InUse`]; [`JournalError::Refused`] when the manifest cannot be believed or
    /// is missing beside segments; [`JournalError::OtherNode`]; or a failed operation.
    pub fn open_or_create(root: &Path, node: NodeId, shards: u16) -> Result<Self, JournalError> {
        if !(1..=SHARDS_MAX).contains(&shards) {
            return Err(JournalError::Misconfigured {
                key: "shards",
                what: "must be 1 to 256",
            });
        }
        fs::create_dir_all(root).map_err(|error| unusable(root, &error))?;
        let lock = File::open(root).map_err(|error| unusable(root, &error))?;
        lock_blocking(&lock, root)?;
        let found = read(root)?;
        let is_new = found.is_none();
        let mut content = match found {
            Some(content) => content,
            None => fresh(root, node, shards)?,
        };
        check(root, &content, node)?;
        earlier::remove_unfinished(root, content.generation)?;
        earlier::remove_retired(root)?;
        content.start = content.start.checked_add(1).ok_or_else(|| {
            let what = "the start counter has reached its end";
            JournalError::refused(root, Refusal::Manifest { what })
        })?;
        write(root, &content)?;
        Ok(Self {
            root: root.to_owned(),
            content,
            is_new,
            _lock: lock,
        })
    }

    /// Gives every name of `configured` an id: the one that it has, else the next. What comes back
    /// is on disk, so no record can hold an id whose name a later start does not know. Blocks; once
    /// per process, before any executor.
    ///
    /// # Errors
    /// [`JournalError::NamesFull`], [`JournalError::Misconfigured`], or a failed operation.
    pub fn number(&mut self, configured: &PartyNames) -> Result<&PartyNames, JournalError> {
        let mut content = self.content.clone();
        content.names.learn(configured, &self.root)?;
        if content != self.content {
            write(&self.root, &content)?;
            self.content = content;
        }
        Ok(&self.content.names)
    }

    /// Remembers which segments the shards write to, now that all have recovered: `segments` by
    /// shard. Blocks; once per process, before a listener opens.
    ///
    /// # Errors
    /// A failed operation.
    pub fn recovered(&mut self, segments: Vec<u64>) -> Result<(), JournalError> {
        debug_assert_eq!(segments.len(), usize::from(self.content.shards));
        let content = Content {
            segments,
            ..self.content.clone()
        };
        write(&self.root, &content)?;
        self.content = content;
        Ok(())
    }

    /// Says that there may be checkpoints, before the first one gets its name. Blocks.
    ///
    /// # Errors
    /// A failed operation.
    pub fn expect_checkpoints(&mut self) -> Result<(), JournalError> {
        if self.content.has_checkpoints {
            return Ok(());
        }
        let content = Content {
            has_checkpoints: true,
            ..self.content.clone()
        };
        write(&self.root, &content)?;
        self.content = content;
        Ok(())
    }

    /// Puts `next`, whose files are all on disk, in force: the rename is the one moment in which
    /// the number of shards changes. Blocks.
    ///
    /// # Errors
    /// A failed operation; the next start finds one of the two in force.
    pub fn switch_to(&mut self, next: Content) -> Result<(), JournalError> {
        debug_assert!(next.generation > self.content.generation);
        write(&self.root, &next)?;
        self.content = next;
        Ok(())
    }

    /// Reads the manifest below `root` and changes nothing: for readers.
    ///
    /// # Errors
    /// [`JournalError::Refused`] when there is none or it cannot be believed; or a failed
    /// operation.
    pub fn read(root: &Path) -> Result<Content, JournalError> {
        read(root)?.ok_or_else(|| {
            let what = "there is none";
            JournalError::refused(&root.join(MANIFEST), Refusal::Manifest { what })
        })
    }

    /// The directory that holds it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What it says.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// Whether this start has made the journal: then nothing was found on disk (J03, J04).
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where files of `shard` belong.
    #[must_use]
    pub const fn identity(&self, shard: ShardId) -> Identity {
        self.content.identity(shard)
    }

    /// The segment that `shard` wrote to at the last good start; 0 when none is known.
    #[must_use]
    pub fn segment_known(&self, shard: ShardId) -> u64 {
        self.content.segment_known(shard)
    }
}

impl Content {
    /// What the manifest says when `shards` shards go on from here: a new journal in a new
    /// generation, under a start of its own, behind the one that is in force, whose shards end at
    /// `last`. `marks` as [`Content::marks`], in whatever order. Nothing is changed yet.
    ///
    /// # Errors
    /// [`JournalError::Misconfigured`]: the number of shards is out of bounds, or too many earlier
    /// generations are still kept ([`Content::without_retired`]).
    pub fn next_generation(
        &self,
        shards: u16,
        last: Vec<Lsn>,
        marks: Marks,
    ) -> Result<Self, JournalError> {
        let misfit = |what| {
            Err(JournalError::Misconfigured {
                key: "shards",
                what,
            })
        };
        let old = self;
        debug_assert_eq!(last.len(), usize::from(old.shards));
        if !(1..=SHARDS_MAX).contains(&shards) {
            return misfit("must be 1 to 256");
        }
        let next = (old.generation.checked_add(1), old.start.checked_add(1));
        let (Some(generation), Some(start)) = next else {
            return misfit("was changed too often");
        };
        if old.earlier.len() >= EARLIER_MAX {
            return misfit(
                "cannot be changed: 32 earlier generations of the journal are kept. They go, the \
                oldest first, when PostgreSQL and the topic have them and `journal.retention_s` is \
                over: run with the old number until `njia_journal_earlier_generations` falls",
            );
        }
        let Marks {
            left_behind,
            mut latest_stans,
        } = marks;
        latest_stans.sort_unstable();
        latest_stans.dedup();
        if latest_stans.len() > LATEST_STANS_MAX {
            return misfit("are too many for the links that there are");
        }
        let mut earlier = old.earlier.clone();
        earlier.push(Earlier {
            generation: old.generation,
            journal: old.journal,
            left_behind,
            last,
        });
        let mut next = Self {
            journal: JournalUuid::random(),
            generation,
            shards,
            start,
            segments: Vec::new(),
            earlier,
            latest_stans,
            ..old.clone()
        };
        next.has_checkpoints |= next.is_marked();
        Ok(next)
    }

    /// Without the generations whose files were removed: whoever reads the journal has them to
    /// their end, and what was not carried over out of them stands with the newest one. Blocks.
    #[must_use]
    pub fn without_retired(mut self, root: &Path) -> Self {
        let newest = self.earlier.last().map(|last| last.generation);
        self.earlier
            .retain(|earlier| Some(earlier.generation) == newest || earlier.is_there(root));
        self
    }

    /// Where files of `shard` belong.
    #[must_use]
    pub const fn identity(&self, shard: ShardId) -> Identity {
        Identity {
            journal: self.journal,
            node: self.node,
            generation: self.generation,
            shard,
            shards: self.shards,
        }
    }

    /// [`Earlier::left_behind`] of the generation before this one, and the numbers that its shards
    /// had given out last.
    #[must_use]
    pub fn marks(&self) -> Marks {
        let last = self.earlier.last().map(|last| last.left_behind);
        Marks {
            left_behind: last.unwrap_or_default(),
            latest_stans: self.latest_stans.clone(),
        }
    }

    /// Whether it holds what format 4 has no place for.
    fn is_marked(&self) -> bool {
        let advices = |earlier: &Earlier| earlier.left_behind.advices > WallTime::default();
        !self.latest_stans.is_empty() || self.earlier.iter().any(advices)
    }

    /// The segment that `shard` wrote to at the last good start; 0 when none is known.
    #[must_use]
    pub fn segment_known(&self, shard: ShardId) -> u64 {
        let known = self.segments.get(usize::from(shard.0));
        known.copied().unwrap_or(0)
    }

    /// Whether the newest segment of `shard` below `root` is at least as new as the one that it
    /// wrote to at the last good start.
    ///
    /// # Errors
    /// [`JournalError::Refused`] (J09), or a failed operation.
    pub fn check_segments(&self, root: &Path, shard: ShardId) -> Result<(), JournalError> {
        let dir = layout::shard_dir(root, self.generation, shard);
        let newest = match segment_numbers(&dir) {
            Ok(numbers) => numbers.last().copied().unwrap_or(0),
            Err(_) if !dir.exists() => 0,
            Err(error) => return Err(error),
        };
        check_newest(&dir, self.segment_known(shard), newest)
    }

    pub(crate) fn encode(&self) -> String {
        let format = if self.is_marked() {
            FORMAT_MARKED
        } else if self.has_checkpoints {
            FORMAT_CHECKPOINTS
        } else if !self.earlier.is_empty() {
            FORMAT_CHANGED
        } else if self.names.is_empty() && self.segments.is_empty() {
            FORMAT_NAMELESS
        } else {
            FORMAT
        };
        let mut text = format!(
            "njia-journal {format}\nnode {}\njournal {}\ngeneration {}\nshards {}\nslot_hash {}\n\
             start {}\n",
            self.node, self.journal, self.generation, self.shards, self.slot_hash, self.start
        );
        self.names.write(&mut text);
        for earlier in &self.earlier {
            earlier.write(&mut text);
        }
        write_stans(&mut text, &self.latest_stans);
        for (shard, number) in self.segments.iter().enumerate() {
            text.push_str(&format!("{SEGMENT} {shard} {number}\n"));
        }
        let checksum = crc32c::crc32c(text.as_bytes());
        format!("{text}crc32c {checksum:08x}\n")
    }

    fn decode(text: &str) -> Result<Self, &'static str> {
        let body_len = text.rfind("crc32c ").ok_or("it has no checksum")?;
        let (body, checksum) = text.split_at_checked(body_len).ok_or("it is cut short")?;
        if checksum != format!("crc32c {:08x}\n", crc32c::crc32c(body.as_bytes())) {
            return Err("its checksum does not fit");
        }
        let mut lines = body.lines();
        let mut next = |key: &str| {
            let line = lines.next()?;
            line.strip_prefix(key)?.strip_prefix(' ')
        };
        let format = next("njia-journal").ok_or("it has no format")?;
        let known = [
            FORMAT_NAMELESS,
            FORMAT,
            FORMAT_CHANGED,
            FORMAT_CHECKPOINTS,
            FORMAT_MARKED,
        ];
        let known = known.into_iter().find(|known| known.to_string() == format);
        let format = known.ok_or("its format is not one that this program reads")?;
        let content = (|| {
            Some(Self {
                node: NodeId(next("node")?.parse().ok()?),
                journal: JournalUuid::parse(next("journal")?)?,
                generation: next("generation")?.parse().ok()?,
                shards: next("shards")?.parse().ok()?,
                slot_hash: next("slot_hash")?.parse().ok()?,
                start: next("start")?.parse().ok()?,
                names: PartyNames::read(body.lines().skip(LINES_BEFORE_NAMES).filter(is_name))?,
                segments: read_segments(body.lines().skip(LINES_BEFORE_NAMES))?,
                earlier: earlier::read(body.lines().skip(LINES_BEFORE_NAMES))?,
                latest_stans: read_stans(body.lines().skip(LINES_BEFORE_NAMES))?,
                has_checkpoints: format >= FORMAT_CHECKPOINTS,
            })
        })();
        let content = content.ok_or("a line is missing or holds no number")?;
        let known = content.segments.len();
        let fits = known == 0 || known == usize::from(content.shards);
        if content.shards == 0 || !fits || content.encode() != text {
            return Err("it is not written as this program writes it");
        }
        Ok(content)
    }
}

/// J09: files of `dir` are gone when its newest segment is older than the one that is known.
pub(crate) fn check_newest(dir: &Path, known: u64, newest: u64) -> Result<(), JournalError> {
    if newest >= known {
        return Ok(());
    }
    let refusal = Refusal::Lost {
        expected: known,
        found: newest,
    };
    Err(JournalError::refused(dir, refusal))
}

/// Another start would not cure it.
fn unusable(root: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Unfit {
        path: root.to_owned(),
        unfit: Unfit::Unusable {
            reason: error.to_string(),
        },
    }
}

fn is_name(line: &&str) -> bool {
    !is_segment(line) && !earlier::is_earlier(line) && !is_stans(line)
}

fn is_segment(line: &str) -> bool {
    line.starts_with(SEGMENT)
}

/// As with names, order and shards are compared afterwards.
fn read_segments<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<u64>> {
    lines
        .filter(|line| is_segment(line))
        .map(|line| line.splitn(3, ' ').nth(2)?.parse().ok())
        .collect()
}

fn check(root: &Path, content: &Content, node: NodeId) -> Result<(), JournalError> {
    let path = || root.to_owned();
    if content.node != node {
        return Err(JournalError::OtherNode {
            path: path(),
            recorded: content.node.0,
            configured: node.0,
        });
    }
    if content.slot_hash != SLOT_HASH_VERSION {
        let what = "its slot hash is not one that this program computes";
        return Err(JournalError::refused(root, Refusal::Manifest { what }));
    }
    Ok(())
}

/// A manifest for an empty directory. Segments without a manifest are a journal that has lost its
/// name: refused.
fn fresh(root: &Path, node: NodeId, shards: u16) -> Result<Content, JournalError> {
    let content = Content {
        node,
        journal: JournalUuid::random(),
        generation: 1,
        shards,
        slot_hash: SLOT_HASH_VERSION,
        start: 0,
        names: PartyNames::default(),
        segments: Vec::new(),
        earlier: Vec::new(),
        latest_stans: Vec::new(),
        has_checkpoints: false,
    };
    let entries = fs::read_dir(root).map_err(|error| JournalError::io("list", root, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| JournalError::io("list", root, error))?;
        let name = entry.file_name();
        let generation = name
            .to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok());
        if generation {
            let what = "there is none, but there are segments";
            return Err(JournalError::refused(root, Refusal::Manifest { what }));
        }
    }
    Ok(content)
}

fn read(root: &Path) -> Result<Option<Content>, JournalError> {
    let path = root.join(MANIFEST);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(JournalError::io("open", &path, error)),
    };
    let mut text = String::new();
    let refused = |what| JournalError::refused(&path, Refusal::Manifest { what });
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LEN_MAX as u64), &mut text)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => refused("it is not text"),
            _ => JournalError::io("read", &path, error),
        })?;
    Content::decode(&text).map(Some).map_err(refused)
}

fn write(root: &Path, content: &Content) -> Result<(), JournalError> {
    let aside = Aside {
        root,
        name: MANIFEST,
        new: MANIFEST_NEW,
        readers: Readers::Usual,
    };
    let written = aside.replace(content.encode().as_bytes());
    written.map_err(|error| JournalError::io(error.operation, &error.path, error.source))
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| JournalError::io("sync", dir, error))
}

/// One attempt at the exclusive lock on `file`.
pub(crate) fn try_lock(file: &File, path: &Path) -> Result<bool, JournalError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(JournalError::io("lock", path, error.into())),
    }
}

/// For the time before any executor runs, when waiting in place harms nobody.
fn lock_blocking(file: &File, path: &Path) -> Result<(), JournalError> {
    for _ in 0..LOCK_ATTEMPTS {
        if try_lock(file, path)? {
            return Ok(());
        }
        std::thread::park_timeout(LOCK_PAUSE);
    }
    Err(JournalError::InUse {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;

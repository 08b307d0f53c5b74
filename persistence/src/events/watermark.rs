//! How far each journal has been published, in one file beside the journal's manifest.
//!
//! ```text
//! njia-events 1
//! journal 5f0c9a3e-… shard 0 lsn 4711
//! journal 5f0c9a3e-… shard 1 lsn 4023
//! crc32c 1a2b3c4d
//! ```
//! Replaced as a whole: written aside, synced, renamed, and the directory synced. It lies with the
//! journal and not in the topic, so that a copy of the folder is of one moment, and a topic that is
//! made anew no reason to publish everything again.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use domain::ids::{Lsn, ShardId};

use super::error::EventsError;
use crate::aside::{Aside, Readers};
use crate::identity::JournalUuid;
use crate::layout::EVENTS_WATERMARK;
use crate::manifest::{EARLIER_MAX, SHARDS_MAX};

/// Every record of `journal`'s `shard` up to `lsn` has been published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The journal.
    pub journal: JournalUuid,
    /// The shard.
    pub shard: ShardId,
    /// The last record; [`Lsn::ZERO`] for none.
    pub lsn: Lsn,
}

const NAME: &str = EVENTS_WATERMARK;
const NAME_NEW: &str = "events.watermark.new";
const HEAD: &str = "njia-events 1";
/// Far above the shards of all generations that a manifest can name, a line each.
const LEN_MAX: u64 = 1 << 20;
const _: () = assert!(LEN_MAX >= (SHARDS_MAX as u64) * (EARLIER_MAX as u64 + 1) * LINE_LEN_MAX);
/// `journal UUID shard N lsn N`, and its end.
const LINE_LEN_MAX: u64 = 8 + 36 + 7 + 5 + 5 + 20 + 1;

/// The watermarks below a journal's `root`: what a segment must lie behind to be of no further use
/// to the publisher. None when nothing was ever published, and then nothing may go.
///
/// # Errors
/// The file cannot be read or believed.
pub fn watermarks(root: &Path) -> Result<Vec<Watermark>, EventsError> {
    let path = root.join(NAME);
    let mut text = String::new();
    let read = match File::open(&path) {
        Ok(file) => file.take(LEN_MAX).read_to_string(&mut text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    match read {
        Ok(_) => decode(&text).map_err(|what| EventsError::Damaged { path, what }),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            let what = "it is not text";
            Err(EventsError::Damaged { path, what })
        }
        Err(source) => Err(io("read", path, source)),
    }
}

/// Writes them; durable when this returns. Blocks.
pub(super) fn save(root: &Path, watermarks: &[Watermark]) -> Result<(), EventsError> {
    let aside = Aside {
        root,
        name: NAME,
        new: NAME_NEW,
        readers: Readers::Usual,
    };
    let written = aside.replace(encode(watermarks).as_bytes());
    written.map_err(|error| io(error.operation, error.path, error.source))
}

fn io(operation: &'static str, path: PathBuf, source: std::io::Error) -> EventsError {
    EventsError::Io {
        operation,
        path,
        source,
    }
}

fn encode(watermarks: &[Watermark]) -> String {
    let mut text = format!("{HEAD}\n");
    for Watermark {
        journal,
        shard,
        lsn,
    } in watermarks
    {
        text.push_str(&format!("journal {journal} shard {shard} lsn {lsn}\n"));
    }
    let sum = crc32c::crc32c(text.as_bytes());
    text.push_str(&format!("crc32c {sum:08x}\n"));
    text
}

fn decode(text: &str) -> Result<Vec<Watermark>, &'static str> {
    let body = text.strip_suffix('\n').ok_or("it is cut off")?;
    let (body, sum) = body.rsplit_once('\n').ok_or("it is cut off")?;
    let sum = sum.strip_prefix("crc32c ").ok_or("it is cut off")?;
    let covered = text.get(..=body.len()).unwrap_or_default();
    if u32::from_str_radix(sum, 16) != Ok(crc32c::crc32c(covered.as_bytes())) {
        return Err("its checksum is wrong");
    }
    let mut lines = body.lines();
    if lines.next() != Some(HEAD) {
        return Err("it is of another version");
    }
    lines
        .map(|line| entry(line).ok_or("a line says nothing"))
        .collect()
}

fn entry(line: &str) -> Option<Watermark> {
    let rest = line.strip_prefix("journal ")?;
    let (journal, rest) = rest.split_once(" shard ")?;
    let (shard, lsn) = rest.split_once(" lsn ")?;
    Some(Watermark {
        journal: JournalUuid::parse(journal)?,
        shard: ShardId(shard.parse().ok()?),
        lsn: Lsn(lsn.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn marks() -> Vec<Watermark> {
        let mark = |name, shard, lsn| Watermark {
            journal: JournalUuid([name; 16]),
            shard: ShardId(shard),
            lsn: Lsn(lsn),
        };
        vec![mark(7, 0, 0), mark(7, 1, u64::MAX), mark(9, 0, 12)]
    }

    #[test]
    fn what_was_saved_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(watermarks(folder.path()).unwrap(), []);
        save(folder.path(), &marks()).unwrap();
        save(folder.path(), &marks()).unwrap();
        assert_eq!(watermarks(folder.path()).unwrap(), marks());
        assert!(!folder.path().join(NAME_NEW).exists());
    }

    #[test]
    fn a_damaged_file_is_refused_at_every_byte() {
        let text = encode(&marks());
        for at in 0..text.len() {
            let cut = text.get(..at).unwrap();
            assert!(decode(cut).is_err(), "cut at {at}");
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(decode(&changed).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_names_its_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), [0xFF, 0xFE]).unwrap();
        let told = watermarks(folder.path()).unwrap_err().to_string();
        assert!(told.contains(NAME) && told.contains("remove it"), "{told}");
        fs::remove_file(folder.path().join(NAME)).unwrap();
        fs::create_dir(folder.path().join(NAME)).unwrap();
        assert!(watermarks(folder.path()).is_err());
    }
}

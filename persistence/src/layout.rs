//! Where the files of a journal lie and what they are called.

use std::path::{Path, PathBuf};

use domain::ids::ShardId;

/// The manifest of a journal directory.
pub const MANIFEST: &str = "manifest";
/// A manifest that is being written; becomes [`MANIFEST`] by rename.
pub const MANIFEST_NEW: &str = "manifest.new";
/// How far each shard has been published; there once anything was.
pub const EVENTS_WATERMARK: &str = "events.watermark";
/// The MAC keys that other sides have brought; there once one was.
pub const MAC_KEYS: &str = "mac-keys";
/// Keys that are being written; become [`MAC_KEYS`] by rename.
pub const MAC_KEYS_NEW: &str = "mac-keys.new";
/// The horizon of signatures; there once a gateway had keys to sign with.
pub const SIGNATURES: &str = "signatures";
/// A horizon that is being written; becomes [`SIGNATURES`] by rename.
pub const SIGNATURES_NEW: &str = "signatures.new";
/// In a checkpoint's folder, what it covers.
pub const COVERED: &str = "covered";

const CHECKPOINT_PREFIX: &str = "checkpoint-";
const PART: &str = ".part";

/// What a name in a shard's directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `00000001.seg`: a segment with a good header.
    Segment(u64),
    /// `spare-*.zero`: pre-written zeros, or what is left of making them; holds no record.
    Spare,
    /// `*.broken`: the copy of a torn tail, for people.
    Broken,
    /// `probe-*.tmp`: what is left of the test whether the directory can be written.
    Probe,
    /// `checkpoint-00000032`: a folder with all that a start would still find before segment 32.
    Checkpoint(u64),
    /// `checkpoint-*.part`: one that was being made or removed.
    CheckpointPart,
    /// Not ours; left alone.
    Foreign,
}

/// Says what `name` stands for. Only the exact spelling that the writer gives is a segment.
#[must_use]
pub fn classify(name: &str) -> Entry {
    if let Some(digits) = name.strip_suffix(".seg") {
        return match digits.parse::<u64>() {
            Ok(number) if number > 0 && segment_name(number) == name => Entry::Segment(number),
            _ => Entry::Foreign,
        };
    }
    if let Some(rest) = name.strip_prefix(CHECKPOINT_PREFIX) {
        return match rest.parse::<u64>() {
            Ok(number) if number > 0 && checkpoint_name(number) == name => {
                Entry::Checkpoint(number)
            }
            _ if rest.ends_with(PART) => Entry::CheckpointPart,
            _ => Entry::Foreign,
        };
    }
    if name.starts_with("spare-") && name.ends_with(".zero") {
        Entry::Spare
    } else if name.ends_with(".broken") || name.ends_with(".broken.part") {
        Entry::Broken
    } else if name.starts_with("probe-") && name.ends_with(".tmp") {
        Entry::Probe
    } else {
        Entry::Foreign
    }
}

/// The name of segment `number`, counted from 1.
#[must_use]
pub fn segment_name(number: u64) -> String {
    format!("{number:08}.seg")
}

/// The folder of the checkpoint that covers what is before segment `number`.
#[must_use]
pub fn checkpoint_name(number: u64) -> String {
    format!("{CHECKPOINT_PREFIX}{number:08}")
}

/// The same while it is being made, or removed.
#[must_use]
pub fn checkpoint_part_name(number: u64) -> String {
    format!("{CHECKPOINT_PREFIX}{number:08}{PART}")
}

/// The directory of a generation below the journal's `root`.
#[must_use]
pub fn generation_dir(root: &Path, generation: u32) -> PathBuf {
    root.join(generation.to_string())
}

/// The directory of one shard below the journal's `root`.
#[must_use]
pub fn shard_dir(root: &Path, generation: u32, shard: ShardId) -> PathBuf {
    generation_dir(root, generation).join(shard.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_writers_own_spelling_is_a_segment() {
        let check = |name: &str, entry| assert_eq!(classify(name), entry, "{name}");
        check("00000001.seg", Entry::Segment(1));
        check("123456789.seg", Entry::Segment(123_456_789));
        check("1.seg", Entry::Foreign);
        check("00000000.seg", Entry::Foreign);
        check("+0000001.seg", Entry::Foreign);
        check("00000001.seg.orig", Entry::Foreign);
        check("spare-3.zero", Entry::Spare);
        check("00000001-4096.broken", Entry::Broken);
        check("00000001-4096.broken.part", Entry::Broken);
        check("probe-1.tmp", Entry::Probe);
        check("lost+found", Entry::Foreign);
        check("checkpoint-00000032", Entry::Checkpoint(32));
        check("checkpoint-00000032.part", Entry::CheckpointPart);
        check("checkpoint-32", Entry::Foreign);
        check("checkpoint-00000000", Entry::Foreign);
    }

    #[test]
    fn a_shard_lives_below_its_generation() {
        let dir = shard_dir(Path::new("/j"), 2, ShardId(13));
        assert_eq!(dir, Path::new("/j/2/13"));
    }
}

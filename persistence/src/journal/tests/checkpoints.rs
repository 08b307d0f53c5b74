//! What a start makes of checkpoints, and what they let go.

use std::fs;
use std::path::Path;

use domain::time::WallTime;

use super::*;
use crate::checkpoint::{self, Builder, Covered, Draft, Shape};
use crate::layout::{checkpoint_part_name, segment_name};
use crate::marks::Marks;
use crate::reader::{KnownReader, list};
use crate::recovery::Label;

/// Makes the checkpoint before `segment` as a maker that forgets nothing does, up to the last step
/// before it gets its name.
pub(super) fn draft(bench: &Bench, segment: u64) -> Draft {
    let (root, identity) = (bench.dir.path(), bench.settings.identity);
    let segments = list(root, &identity).unwrap();
    let place = segments.iter().find(|one| one.number == segment).unwrap();
    let mut reader = KnownReader::open(root, identity).unwrap();
    let shape = Shape {
        segment_bytes: 64 * 1024,
        batch_bytes_max: 32 * 1024,
    };
    let mut builder = Builder::new((&identity, segment), shape, Vec::new(), WallTime::default());
    let mut draft = Draft::begin(&bench.shard_dir(), segment).unwrap();
    let last = Lsn(place.first_lsn.0 - 1);
    while let Some(entry) = reader.next(UpTo::Durable(last)).unwrap() {
        if let Some(image) = builder.add(&entry.record, Carriage::Carried).unwrap() {
            draft.put(&image).unwrap();
        }
    }
    let ended = builder.end();
    for image in &ended.images {
        draft.put(image).unwrap();
    }
    let covered = Covered {
        identity,
        segment,
        next_lsn: place.begins.next_lsn,
        next_sequence: place.begins.next_sequence,
        chain: place.begins.chain,
        files: ended.files,
        records: ended.records,
        marks: Marks::default(),
    };
    draft.prove(&covered, &mut |_, _, _| {}).unwrap();
    draft
}

/// A closed journal of records 1 to 3,000 in five segments or more.
fn closed(name: &str) -> Bench {
    let mut bench = Bench::new(name);
    bench.settings.batch_bytes_max = 8 * 1024;
    bench.settings.segment_bytes = 32 * 1024;
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        for burst in 0..30 {
            fill(&journal, burst * 100 + 1..=burst * 100 + 100).await;
        }
        assert!(journal.segments() >= 4, "{}", journal.segments());
        journal.close().await.unwrap();
    });
    bench
}

/// What a start finds, without the positions: those of a checkpoint are its own.
async fn found(bench: &Bench) -> Result<Vec<String>, JournalError> {
    let opened = bench.open().await?;
    opened.journal.close().await.unwrap();
    assert_eq!(opened.recovered.next_lsn, Lsn(3_001));
    Ok(opened.records.into_iter().map(|(_, text)| text).collect())
}

fn all() -> Vec<String> {
    expected(1..=3_000)
        .into_iter()
        .map(|(_, text)| text)
        .collect()
}

fn names(bench: &Bench, suffix: &str) -> Vec<String> {
    let mut names = bench.names();
    names.retain(|name| name.ends_with(suffix));
    names
}

fn remove(dir: &Path, numbers: std::ops::Range<u64>) {
    for number in numbers {
        fs::remove_file(dir.join(segment_name(number))).unwrap();
    }
}

#[test]
fn a_start_reads_the_checkpoint_and_what_is_behind_it() {
    let bench = closed("checkpoint");
    draft(&bench, 2).keep().unwrap();
    draft(&bench, 3).keep().unwrap();
    on_executor(async {
        let opened = bench.open().await.unwrap();
        let covered = opened.recovered.covered.unwrap();
        assert_eq!(covered.segment, 3);
        assert_eq!(opened.recovered.found.first, Lsn(1), "for readers");
        assert_eq!(opened.journal.first_lsn(), Lsn(1));
        assert!(opened.recovered.records == 3_000);
        let retired = opened.journal.retire(Lsn(3_001)).await.unwrap();
        assert_eq!(retired, 2, "what it does not cover stays");
        assert_eq!(opened.journal.first_lsn(), covered.next_lsn);
        assert_eq!(opened.journal.position().first(), covered.next_lsn);
        opened.journal.close().await.unwrap();
        assert_eq!(found(&bench).await.unwrap(), all());
        let again = bench.open().await.unwrap();
        assert_eq!(again.recovered.found.first, covered.next_lsn);
        again.journal.close().await.unwrap();
    });
    assert_eq!(checkpoint::numbers(&bench.shard_dir()).unwrap(), [3]);
}

#[test]
fn nothing_is_retired_without_a_checkpoint() {
    let bench = closed("uncovered");
    on_executor(async {
        let journal = bench.open().await.unwrap().journal;
        assert_eq!(journal.retire(Lsn(3_001)).await.unwrap(), 0);
        journal.close().await.unwrap();
    });
}

/// The states that lie on disk after each step of making, naming and retiring, one after the other:
/// a start from each finds the same.
#[test]
fn j10_a_crash_at_any_step_of_a_checkpoint_loses_nothing() {
    let bench = closed("crash");
    let dir = bench.shard_dir();
    let check = || on_executor(async { assert_eq!(found(&bench).await.unwrap(), all()) });
    drop(Draft::begin(&dir, 2).unwrap());
    check();
    assert!(names(&bench, ".part").is_empty(), "J10");
    drop(draft(&bench, 2));
    check();
    assert!(names(&bench, ".part").is_empty(), "J10");
    draft(&bench, 2).keep().unwrap();
    check();
    remove(&dir, 1..2);
    check();
    // The next one: written; named beside the one before; that one without its name; and gone.
    drop(draft(&bench, 4));
    check();
    drop(draft(&bench, 4));
    let part = dir.join(checkpoint_part_name(4));
    fs::rename(&part, checkpoint::folder(&dir, 4)).unwrap();
    check();
    assert_eq!(checkpoint::numbers(&dir).unwrap(), [2, 4]);
    let older = dir.join(checkpoint_part_name(2));
    fs::rename(checkpoint::folder(&dir, 2), &older).unwrap();
    fs::remove_file(older.join(segment_name(1))).unwrap();
    check();
    assert_eq!(checkpoint::numbers(&dir).unwrap(), [4]);
    remove(&dir, 2..3);
    check();
    remove(&dir, 3..4);
    check();
}

#[test]
fn j09_early_segments_without_a_checkpoint_are_missed() {
    let bench = closed("missing");
    remove(&bench.shard_dir(), 1..2);
    on_executor(async {
        let refused = found(&bench).await.unwrap_err();
        assert_eq!(refused.label(), Some(Label::J09), "{refused}");
        assert!(refused.to_string().contains("segments before 2"));
    });
}

#[test]
fn j09_the_segment_behind_a_checkpoint_is_missed() {
    let bench = closed("unfollowed");
    draft(&bench, 3).keep().unwrap();
    let dir = bench.shard_dir();
    remove(&dir, 1..4);
    on_executor(async {
        let refused = found(&bench).await.unwrap_err();
        assert_eq!(refused.label(), Some(Label::J09), "{refused}");
        assert!(
            refused.to_string().contains("before segment 3"),
            "{refused}"
        );
    });
}

#[test]
fn j21_a_damaged_checkpoint_is_refused_and_may_be_moved_away_while_all_segments_are_there() {
    let bench = closed("damaged");
    draft(&bench, 3).keep().unwrap();
    let dir = bench.shard_dir();
    let folder = checkpoint::folder(&dir, 3);
    let file = folder.join(segment_name(1));
    let mut bytes = fs::read(&file).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    on_executor(async {
        let refused = found(&bench).await.unwrap_err();
        assert_eq!(refused.label(), Some(Label::J13), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains("checkpoint-00000003/00000001.seg") && text.contains("offset 4096"),
            "{text}"
        );
        fs::remove_file(folder.join("covered")).unwrap();
        let refused = found(&bench).await.unwrap_err();
        assert_eq!(refused.label(), Some(Label::J21), "{refused}");
        fs::rename(&folder, bench.dir.path().join("away")).unwrap();
        assert_eq!(found(&bench).await.unwrap(), all());
    });
}

//! Tests of `manifest`.

use proptest::prelude::*;

use domain::ids::{IssuerId, Stan};
use domain::record::LeftBehind;

use super::*;
use crate::recovery::Label;

fn open(root: &Path, node: u16, shards: u16) -> Result<Manifest, JournalError> {
    Manifest::open_or_create(root, NodeId(node), shards)
}

fn content() -> Content {
    Content {
        node: NodeId(1),
        journal: JournalUuid([0xAB; 16]),
        generation: 1,
        shards: 2,
        slot_hash: 1,
        start: 17,
        names: PartyNames::default(),
        segments: Vec::new(),
        earlier: Vec::new(),
        latest_stans: Vec::new(),
        has_checkpoints: false,
    }
}

fn names(acquirers: &[&str], issuers: &[&str]) -> PartyNames {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PartyNames {
        acquirers: owned(acquirers),
        issuers: owned(issuers),
    }
}

#[test]
fn j03_an_empty_directory_becomes_a_new_journal() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = open(&dir.path().join("a/b"), 5, 2).unwrap();
    assert!(manifest.is_new());
    let identity = manifest.identity(ShardId(1));
    assert_eq!(
        (identity.node, identity.shards, identity.generation),
        (NodeId(5), 2, 1)
    );
    assert_eq!(manifest.content().start, 1);
}

#[test]
fn each_start_is_counted_on_disk_before_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), 1, 2).unwrap();
    let journal = first.content().journal;
    drop(first);
    for start in 2..5 {
        let manifest = open(dir.path(), 1, 2).unwrap();
        assert!(!manifest.is_new());
        assert_eq!(
            (manifest.content().start, manifest.content().journal),
            (start, journal)
        );
        assert_eq!(Manifest::read(dir.path()).unwrap().start, start);
    }
}

#[test]
fn j01_a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path(), 1, 1).unwrap();
    let refused = open(dir.path(), 1, 1).unwrap_err();
    assert_eq!(
        (refused.label(), refused.exit_code()),
        (Some(Label::J01), 75)
    );
    drop(held);
    assert!(open(dir.path(), 1, 1).is_ok());
}

#[test]
fn another_node_is_refused_and_both_are_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1, 2).unwrap());
    let refused = open(dir.path(), 9, 2).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("belongs to node 1, this is node 9"), "{text}");
    assert_eq!(
        Manifest::read(dir.path()).unwrap().start,
        1,
        "a refused start is not counted"
    );
    assert!(open(dir.path(), 1, 0).is_err());
}

#[test]
fn another_shard_count_leaves_the_journal_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1, 2).unwrap());
    let manifest = open(dir.path(), 1, 3).unwrap();
    assert_eq!(manifest.content().shards, 2);
    let none = manifest
        .content()
        .next_generation(0, vec![Lsn(1); 2], Marks::default());
    assert_eq!(none.unwrap_err().exit_code(), 78);
}

fn marks() -> Marks {
    Marks {
        left_behind: LeftBehind {
            over: WallTime::from_unix_millis(1_763_781_234_567),
            advices: WallTime::from_unix_millis(1_763_781_200_000),
        },
        latest_stans: vec![
            (IssuerId(0), Stan::new(7).unwrap()),
            (IssuerId(1), Stan::new(13_432).unwrap()),
            (IssuerId(1), Stan::new(130_007).unwrap()),
        ],
    }
}

/// The text is the format: this test may only be added to.
#[test]
fn the_text_of_what_was_left_behind_is_as_documented_and_as_it_was_in_format_4() {
    let earlier = |left_behind| Earlier {
        generation: 1,
        journal: JournalUuid([0xCD; 16]),
        left_behind,
        last: vec![Lsn(8_812), Lsn(9_004)],
    };
    let over = LeftBehind {
        advices: WallTime::default(),
        ..marks().left_behind
    };
    let check = |content: Content, format: u16, lines: &str| {
        let text = content.encode();
        assert!(
            text.starts_with(&format!("njia-journal {format}\n")),
            "{text}"
        );
        assert!(text.contains(lines), "{text}");
        assert_eq!(Content::decode(&text), Ok(content));
    };
    let plain = Content {
        earlier: vec![earlier(over)],
        ..content()
    };
    let line = "start 17\nearlier 1 cdcdcdcd-cdcd-cdcd-cdcd-cdcdcdcdcdcd 1763781234567";
    check(plain.clone(), 3, &format!("{line} 8812 9004\ncrc32c "));
    let has_checkpoints = Content {
        has_checkpoints: true,
        ..plain
    };
    check(
        has_checkpoints.clone(),
        4,
        &format!("{line} 8812 9004\ncrc32c "),
    );
    let marked = Content {
        earlier: vec![earlier(marks().left_behind)],
        latest_stans: marks().latest_stans,
        segments: vec![3, 4],
        ..has_checkpoints
    };
    let stans = "stans 0 000007\nstans 1 013432 130007\nsegment 0 3\nsegment 1 4\ncrc32c ";
    check(
        marked,
        5,
        &format!("{line}/1763781200000 8812 9004\n{stans}"),
    );
}

#[test]
fn a_generation_takes_the_place_of_the_one_before_by_one_rename() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = open(dir.path(), 1, 2).unwrap();
    manifest.number(&names(&["pos"], &["bank"])).unwrap();
    manifest.recovered(vec![3, 4]).unwrap();
    let old = manifest.content().clone();
    let marks = marks();
    let mut shuffled = marks.clone();
    shuffled.latest_stans.reverse();
    shuffled.latest_stans.push(shuffled.latest_stans[0]);
    let next = manifest
        .content()
        .next_generation(5, vec![Lsn(10), Lsn::ZERO], shuffled);
    let next = next.unwrap();
    assert_eq!(
        Manifest::read(dir.path()).unwrap(),
        old,
        "nothing is changed yet"
    );
    manifest.switch_to(next.clone()).unwrap();
    drop(manifest);
    assert_eq!(Manifest::read(dir.path()).unwrap(), next);
    assert_eq!(
        (next.generation, next.shards, next.start),
        (2, 5, old.start + 1)
    );
    assert_eq!((&next.names, next.segments.len()), (&old.names, 0));
    assert_ne!(next.journal, old.journal);
    let [earlier] = next.earlier.as_slice() else {
        panic!("one generation is before it");
    };
    assert_eq!(
        earlier.identity(NodeId(1), ShardId(1)),
        old.identity(ShardId(1))
    );
    assert_eq!(
        (&earlier.last, earlier.left_behind),
        (&vec![Lsn(10), Lsn::ZERO], marks.left_behind)
    );
    assert_eq!(next.marks(), marks);
    // And once more.
    let mut manifest = open(dir.path(), 1, 5).unwrap();
    let again = manifest
        .content()
        .next_generation(1, vec![Lsn(1); 5], Marks::default())
        .unwrap();
    manifest.switch_to(again.clone()).unwrap();
    assert_eq!(
        (again.earlier.len(), again.marks()),
        (2, Marks::default()),
        "those of the last one count"
    );
    assert_eq!(Manifest::read(dir.path()).unwrap(), again);
}

#[test]
fn generations_whose_files_are_gone_count_no_more_among_those_that_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut content = open(dir.path(), 1, 1).unwrap().content().clone();
    let change = |content: &Content| {
        let known = content.clone().without_retired(dir.path());
        known.next_generation(1, vec![Lsn(1)], Marks::default())
    };
    for generation in 1..=32 {
        fs::create_dir_all(dir.path().join(generation.to_string())).unwrap();
        content = change(&content).unwrap();
    }
    assert_eq!(content.earlier.len(), EARLIER_MAX);
    let error = change(&content).unwrap_err().to_string();
    assert!(error.contains("32 earlier generations"), "{error}");
    for generation in [1, 2, 32] {
        fs::remove_dir(dir.path().join(generation.to_string())).unwrap();
    }
    content = change(&content).unwrap();
    let generations: Vec<u32> = content.earlier.iter().map(|one| one.generation).collect();
    // The newest says what was not carried over, whether or not its files are there.
    assert_eq!(generations, (3..=33).collect::<Vec<_>>());
}

#[test]
fn j10_a_half_made_generation_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1, 2).unwrap());
    for generation in ["1/0", "2/0", "3/1", "2.old"] {
        fs::create_dir_all(dir.path().join(generation)).unwrap();
        fs::write(dir.path().join(generation).join("00000001.seg"), "x").unwrap();
    }
    drop(open(dir.path(), 1, 2).unwrap());
    let is_there = |name: &str| dir.path().join(name).exists();
    assert!(
        is_there("1/0/00000001.seg") && is_there("2.old"),
        "what is in force stays"
    );
    assert!(!is_there("2") && !is_there("3"));
}

#[test]
fn a_generation_that_nobody_needs_goes_also_when_its_removal_was_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1, 1).unwrap());
    let earlier = |generation: u32| Earlier {
        generation,
        journal: JournalUuid::random(),
        left_behind: LeftBehind::default(),
        last: vec![Lsn(1)],
    };
    for name in ["1/0", "2/0", "7.retired/0", "x.retired"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join("00000001.seg"), "x").unwrap();
    }
    let is_there = |name: &str| dir.path().join(name).exists();
    let old = earlier(2);
    assert!(old.is_there(dir.path()));
    assert!(old.last_written(dir.path()).unwrap() > WallTime::default());
    old.retire(dir.path()).unwrap();
    assert!(!old.is_there(dir.path()) && !is_there("2.retired"));
    assert!(
        old.retire(dir.path()).is_err(),
        "there is nothing to remove"
    );
    drop(open(dir.path(), 1, 1).unwrap());
    assert!(!is_there("7.retired"));
    assert!(is_there("1/0/00000001.seg") && is_there("x.retired"));
}

#[test]
fn j02_what_is_no_directory_cannot_hold_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let unfit = open(&path, 1, 2).unwrap_err();
        assert_eq!((unfit.label(), unfit.exit_code()), (Some(Label::J02), 69));
        assert!(unfit.to_string().contains("chown it"), "{unfit}");
    }
}

#[test]
fn j05_a_manifest_that_cannot_be_believed_is_refused() {
    let good = content().encode();
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8]| {
        fs::write(dir.path().join(MANIFEST), bytes).unwrap();
        let refused = open(dir.path(), 1, 2).unwrap_err();
        assert_eq!(
            refused.label(),
            Some(Label::J05),
            "{}",
            String::from_utf8_lossy(bytes)
        );
        assert_eq!(
            fs::read(dir.path().join(MANIFEST)).unwrap(),
            bytes,
            "nothing was changed"
        );
    };
    for cut in 0..good.len() {
        check(&good.as_bytes()[..cut]);
    }
    check(b"\xFF\xFE");
    check(good.replace("node 1", "node 2").as_bytes());
    check(format!("{good}\n").as_bytes());
    let signed = |body: &str| format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
    let body = &good[..good.rfind("crc32c").unwrap()];
    assert_eq!(signed(body), good);
    check(signed(&body.replace("njia-journal 1", "njia-journal 2")).as_bytes());
    check(signed(&body.replace("shards 2", "shards 0")).as_bytes());
    check(signed(&body.replace("shards 2", "shards +2")).as_bytes());
    check(signed(&body.replace("slot_hash 1", "slot_hash 2")).as_bytes());
    check(signed(&format!("{body}extra 1\n")).as_bytes());
    check(signed(&body.replace("start 17", "start 4294967295")).as_bytes());
    fs::write(dir.path().join(MANIFEST), &good).unwrap();
    assert_eq!(open(dir.path(), 1, 2).unwrap().content().start, 18);
}

#[test]
fn j05_segments_without_a_manifest_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("1")).unwrap();
    let refused = open(dir.path(), 1, 1).unwrap_err();
    assert_eq!(refused.label(), Some(Label::J05));
    assert_eq!(
        Manifest::read(dir.path()).unwrap_err().label(),
        Some(Label::J05)
    );
}

#[test]
fn a_manifest_that_was_being_written_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), 1, 1).unwrap());
    fs::write(dir.path().join(MANIFEST_NEW), b"half").unwrap();
    assert_eq!(open(dir.path(), 1, 1).unwrap().content().start, 2);
}

/// The text is the format: this test may only be added to.
#[test]
fn the_text_is_as_documented() {
    let expected = "njia-journal 1\nnode 1\njournal abababab-abab-abab-abab-abababababab\n\
                    generation 1\nshards 2\nslot_hash 1\nstart 17\ncrc32c ";
    let text = content().encode();
    assert_eq!(text[..expected.len()], *expected);
    assert_eq!(text.len(), expected.len() + 9);
    assert_eq!(Content::decode(&text), Ok(content()));
}

#[test]
fn a_name_keeps_its_id_whatever_the_order_in_which_names_are_configured() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = open(dir.path(), 1, 1).unwrap();
    let as_configured = names(&["terminals"], &["bank", "momo"]);
    assert_eq!(first.number(&as_configured).unwrap(), &as_configured);
    drop(first);
    let configurations = [
        (&["momo", "bank"][..], &["bank", "momo"][..]),
        (&["card", "bank", "momo"], &["bank", "momo", "card"]),
        (&["momo"], &["bank", "momo", "card"]),
        (&["other", "bank"], &["bank", "momo", "card", "other"]),
    ];
    for (configured, numbered) in configurations {
        let mut manifest = open(dir.path(), 1, 1).unwrap();
        let found = manifest.number(&names(&["terminals"], configured)).unwrap();
        assert_eq!(found, &names(&["terminals"], numbered), "{configured:?}");
        drop(manifest);
        let on_disk = Manifest::read(dir.path()).unwrap().names;
        assert_eq!(on_disk, names(&["terminals"], numbered));
    }
}

#[test]
fn a_manifest_without_names_gets_those_of_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let old = content().encode();
    assert!(old.starts_with("njia-journal 1\n"));
    fs::write(dir.path().join(MANIFEST), old).unwrap();
    let mut manifest = open(dir.path(), 1, 2).unwrap();
    assert_eq!(manifest.content().names, PartyNames::default());
    manifest.number(&names(&["pos"], &["bank"])).unwrap();
    drop(manifest);
    let found = open(dir.path(), 1, 2).unwrap();
    assert_eq!(found.content().names, names(&["pos"], &["bank"]));
    assert_eq!(found.content().start, 19);
}

#[test]
fn names_beyond_the_bound_are_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = open(dir.path(), 1, 1).unwrap();
    let many: Vec<String> = (0..NAMES_MAX).map(|id| format!("{id:032}")).collect();
    let mut configured = PartyNames {
        acquirers: many.clone(),
        issuers: many,
    };
    manifest.number(&configured).unwrap();
    let before = fs::read(dir.path().join(MANIFEST)).unwrap();
    configured.issuers.push("one-more".to_owned());
    let refused = manifest.number(&configured).unwrap_err();
    assert_eq!((refused.label(), refused.exit_code()), (None, 78));
    let text = refused.to_string();
    assert!(text.contains("no id for issuer `one-more`"), "{text}");
    for wrong in [
        "",
        "two words",
        "line\nbreak",
        &"x".repeat(NAME_LEN_MAX + 1),
    ] {
        let refused = manifest.number(&names(&[wrong], &[])).unwrap_err();
        assert_eq!(refused.exit_code(), 78, "{wrong:?}");
    }
    assert_eq!(fs::read(dir.path().join(MANIFEST)).unwrap(), before);
    drop(manifest);
    assert!(open(dir.path(), 1, 1).is_ok(), "it is read whole");
}

/// The text is the format: this test may only be added to.
#[test]
fn the_text_with_names_is_as_documented() {
    let named = Content {
        names: names(&["terminals"], &["bank", "momo"]),
        segments: vec![31, 32],
        ..content()
    };
    let text = named.encode();
    let expected = "njia-journal 2\nnode 1\njournal abababab-abab-abab-abab-abababababab\n\
                    generation 1\nshards 2\nslot_hash 1\nstart 17\nacquirer 0 terminals\n\
                    issuer 0 bank\nissuer 1 momo\nsegment 0 31\nsegment 1 32\ncrc32c ";
    assert_eq!(text[..expected.len()], *expected);
    assert_eq!(Content::decode(&text), Ok(named));
    let signed = |body: &str| format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
    let body = &text[..text.rfind("crc32c").unwrap()];
    for (from, to) in [
        ("njia-journal 2", "njia-journal 1"),
        ("njia-journal 2", "njia-journal 3"),
        ("issuer 1 momo", "issuer 2 momo"),
        ("issuer 1 momo", "issuer 1 bank"),
        ("issuer 1 momo", "issuer 1 "),
        ("issuer 1 momo", "issuer 1"),
        ("issuer 1 momo", "issuer 1 mo mo"),
        ("issuer 1 momo", "route 1 momo"),
        (
            "issuer 0 bank\nissuer 1 momo",
            "issuer 1 momo\nissuer 0 bank",
        ),
    ] {
        let changed = signed(&body.replace(from, to));
        assert!(Content::decode(&changed).is_err(), "{from} -> {to}");
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_is_seen(at: usize, bit in 0_u8..7) {
        let mut bytes = content().encode().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(Content::decode(&text).is_err());
    }

    #[test]
    fn arbitrary_text_is_no_manifest(text in ".{0,200}") {
        prop_assert!(Content::decode(&text).is_err());
    }
}

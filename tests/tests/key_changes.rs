//! Keys of MACs that the other side brings, on real sockets: the test is issuer and acquirer
//! (faults.md row 57).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use iso8583::mac::MacEngine as _;
use iso8583::{Dialect, mac};
use njia_tests::e2e::desk::{accepted, answered, said, with_field};
use njia_tests::e2e::disk::Disk;
use njia_tests::e2e::folder;
use njia_tests::e2e::scene::{ALONE, Scene, asked, next, told};
use njia_tests::e2e::session::{Received, Session, authenticated, message, purchase};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use switch::crypto::mac::{MacAlgorithm, MacLen, MacPadding, SoftwareMac};

const ASCII: &Dialect = Dialect::ISO87_ASCII;
const BANK_TO_US: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const US_TO_BANK: &str = "603deb1015ca71be2b73aef0857d7781";
const KEK: &str = "0123456789abcdeffedcba9876543210";
const NEW_KEY: &str = "7ca110454a1a6e570131d9619dc1376e";
/// [`NEW_KEY`] under [`KEK`], and the first of zeros under it, both by `openssl enc -des-ede`.
const WRAPPED: &str = "f08d805d3435580116f6d4d7a1d89161";
const CHECK: &str = "29a9c3";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn key(hex: &str) -> SoftwareMac {
    let algorithm = MacAlgorithm::Retail(MacPadding::Method2);
    SoftwareMac::new(algorithm, MacLen::Eight, &bytes_of(hex)).unwrap()
}

/// The bank has MACs whose keys can be changed; network messages have none.
const BANK_CHANGEABLE: [(&str, &str); 10] = [
    ALONE,
    ("NJIA__KEYS__SOFTWARE_MAC", "true"),
    ("NJIA__ISSUER__BANK__MAC__ALGORITHM", "retail"),
    ("NJIA__ISSUER__BANK__MAC__RECEIVE_KEY", "env:BANK_TO_US"),
    ("NJIA__ISSUER__BANK__MAC__SEND_KEY", "env:US_TO_BANK"),
    ("NJIA__ISSUER__BANK__MAC__NETWORK", "false"),
    ("NJIA__ISSUER__BANK__MAC__KEY_CHANGE__KEK", "env:KEK"),
    ("BANK_TO_US", BANK_TO_US),
    ("US_TO_BANK", US_TO_BANK),
    ("KEK", KEK),
];

//= docs/rules.md#N-04
#[test]
fn fault_057_a_key_changes_under_load_and_nothing_is_lost() {
    let (scene, mut link) = Scene::open("key-change", &BANK_CHANGEABLE);
    let mut session = scene.session();
    let (old_in, old_out, new) = (key(US_TO_BANK), key(BANK_TO_US), key(NEW_KEY));
    let ask = |link: &mut Session, session: &mut Session, stan: &str, under: &SoftwareMac| {
        session.send(&purchase(stan)).unwrap();
        let request = asked(link, "0200");
        assert_eq!(mac::verify(request.message(), under), Ok(()), "{stan}");
        request
    };
    let answer = |link: &mut Session, request: &Received, under: &SoftwareMac| {
        link.send(&authenticated(ASCII, &answered(request, "00"), under))
            .unwrap();
    };
    let offered = format!("{WRAPPED}{CHECK}");
    let wrong = format!("{WRAPPED}29a9c4");
    assert_eq!(said(&mut link, "160", &[(48, &wrong)]), "63");
    assert_eq!(
        said(&mut link, "160", &[(48, WRAPPED)]),
        "30",
        "no check value"
    );
    assert_eq!(said(&mut link, "160", &[]), "12", "keys are not made here");
    let first = ask(&mut link, &mut session, "000001", &old_in);

    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    scene.await_that("both shards use it", || {
        scene.node.log().matches("new key in use").count() == 2
    });
    answer(&mut link, &first, &old_out);
    assert_eq!(
        next(&mut session),
        told("0210", "000001", "00"),
        "within the overlap"
    );
    let second = ask(&mut link, &mut session, "000002", &new);
    answer(&mut link, &second, &new);
    assert_eq!(next(&mut session), told("0210", "000002", "00"));
    let failures = scene.metric("njia_mac_failures_total", &[]);
    assert_eq!(failures, 0.0);
    assert_ne!(new.compute(b"x"), old_in.compute(b"x"));
    let log = scene.node.log().to_lowercase();
    assert!(log.contains("the check value is wrong"), "{log}");
    for secret in [KEK, NEW_KEY, WRAPPED, CHECK] {
        assert!(!log.contains(secret), "{secret}");
    }
    scene.close_with(link);
}

#[test]
fn a_link_asks_for_its_key_before_it_takes_work() {
    let asks = ("NJIA__ISSUER__BANK__MAC__KEY_CHANGE__ASK", "true");
    let keys = [&BANK_CHANGEABLE[..], &[asks]].concat();
    let scene = Scene::start("key-asked", &keys);
    let mut link = scene.bank.signed_on().unwrap();
    let wish = asked(&mut link, "0800");
    assert_eq!(wish.text(70), "101");
    scene.await_that("it waits for a key", || {
        scene.metric("njia_links", &["bank", "signed_on"]) == 1.0
    });
    let mut session = scene.session();
    session.send(&purchase("000001")).unwrap();
    assert_eq!(
        next(&mut session),
        told("0210", "000001", "91"),
        "no key, no work"
    );
    let offered = format!("{WRAPPED}{CHECK}");
    link.send(&with_field(&accepted(&wish), 48, &offered))
        .unwrap();
    scene.await_up(1.0);
    session.send(&purchase("000002")).unwrap();
    let request = asked(&mut link, "0200");
    assert_eq!(mac::verify(request.message(), &key(NEW_KEY)), Ok(()));
    let bytes = authenticated(ASCII, &answered(&request, "00"), &key(NEW_KEY));
    link.send(&bytes).unwrap();
    assert_eq!(next(&mut session), told("0210", "000002", "00"));
    scene.close_with(link);
}

/// The bank and the acquirer have MACs whose keys can be changed; network messages have none.
const CHANGEABLE: [(&str, &str); 16] = [
    ALONE,
    ("NJIA__KEYS__SOFTWARE_MAC", "true"),
    ("NJIA__ISSUER__BANK__MAC__ALGORITHM", "retail"),
    ("NJIA__ISSUER__BANK__MAC__RECEIVE_KEY", "env:BANK_TO_US"),
    ("NJIA__ISSUER__BANK__MAC__SEND_KEY", "env:US_TO_BANK"),
    ("NJIA__ISSUER__BANK__MAC__NETWORK", "false"),
    ("NJIA__ISSUER__BANK__MAC__KEY_CHANGE__KEK", "env:KEK"),
    ("NJIA__LISTENER__POS__MAC__ALGORITHM", "retail"),
    ("NJIA__LISTENER__POS__MAC__RECEIVE_KEY", "env:POS_TO_US"),
    ("NJIA__LISTENER__POS__MAC__SEND_KEY", "env:US_TO_POS"),
    ("NJIA__LISTENER__POS__MAC__NETWORK", "false"),
    ("NJIA__LISTENER__POS__MAC__KEY_CHANGE__KEK", "env:POS_KEK"),
    ("BANK_TO_US", BANK_TO_US),
    ("US_TO_BANK", US_TO_BANK),
    ("POS_TO_US", POS_TO_US),
    ("US_TO_POS", US_TO_POS),
];
const KEKS: [(&str, &str); 2] = [("KEK", KEK), ("POS_KEK", POS_KEK)];
const POS_TO_US: &str = "3b7e151628aed2a6abf7158809cf4f3d";
const US_TO_POS: &str = "733deb1015ca71be2b73aef0857d7782";
const POS_KEK: &str = "1123456789abcdeffedcba9876543211";
/// What the acquirer brings; [`POS_NEW_KEY`] under [`POS_KEK`], by `openssl enc -des-ede`.
const POS_NEW_KEY: &str = "8da110454a1a6e570131d9619dc1376f";
const POS_WRAPPED: &str = "307faa774770c1e4b81bb7e5a35518f5";
const POS_CHECK: &str = "f5f74c";

fn changeable(name: &str) -> (Scene, Session) {
    Scene::open(name, &[CHANGEABLE.as_slice(), &KEKS].concat())
}

/// A purchase of the acquirer's under `theirs`, answered under `ours`, about which the bank is
/// asked under `asks` and answers under `answers`.
#[track_caller]
fn purchased(
    (scene, link): (&Scene, &mut Session),
    stan: &str,
    [theirs, ours, asks, answers]: [&str; 4],
) {
    let mut session = scene.session();
    let request = authenticated(ASCII, &purchase(stan), &key(theirs));
    session.send(&request).unwrap();
    let request = asked(link, "0200");
    assert_eq!(mac::verify(request.message(), &key(asks)), Ok(()), "{stan}");
    let answer = authenticated(ASCII, &answered(&request, "00"), &key(answers));
    link.send(&answer).unwrap();
    let answer = session.receive().unwrap();
    assert_eq!(
        (answer.text(11), answer.text(39)),
        (stan.to_owned(), "00".to_owned())
    );
    assert_eq!(mac::verify(answer.message(), &key(ours)), Ok(()), "{stan}");
}

#[test]
fn fault_057_keys_that_were_brought_outlive_the_process() {
    let (scene, mut link) = changeable("keys-kept");
    let configured = [POS_TO_US, US_TO_POS, US_TO_BANK, BANK_TO_US];
    purchased((&scene, &mut link), "000001", configured);
    let (bank, pos) = (
        format!("{WRAPPED}{CHECK}"),
        format!("{POS_WRAPPED}{POS_CHECK}"),
    );
    assert_eq!(said(&mut link, "160", &[(48, &bank)]), "00");
    assert_eq!(said(&mut scene.session(), "160", &[(48, &pos)]), "00");
    drop(link);

    // Each side may have missed that its key was taken, and then it still uses the one before.
    let (scene, mut link) = scene.killed();
    let brought = [POS_NEW_KEY, POS_NEW_KEY, NEW_KEY, NEW_KEY];
    purchased((&scene, &mut link), "000002", brought);
    let missed = [POS_TO_US, POS_NEW_KEY, NEW_KEY, BANK_TO_US];
    purchased((&scene, &mut link), "000003", missed);
    assert_eq!(said(&mut link, "160", &[(48, &bank)]), "00", "again");
    assert_eq!(said(&mut scene.session(), "160", &[(48, &pos)]), "00");
    purchased((&scene, &mut link), "000004", brought);
    assert_eq!(scene.metric("njia_mac_failures_total", &[]), 0.0);

    let folder = scene.node.journal().parent().unwrap().to_owned();
    let (log, stored) = (scene.node.log(), written_below(&folder));
    for secret in [NEW_KEY, POS_NEW_KEY, KEK, POS_KEK, BANK_TO_US, US_TO_POS] {
        let is_told = holds(log.as_bytes(), secret);
        assert!(!is_told && !holds(&stored, secret), "{secret}");
    }
    assert!(holds(&stored, WRAPPED), "what is there is found");
    scene.close_with(link);
}

/// An 0800 under `theirs`, answered 00 under `ours`.
#[track_caller]
fn managed(session: &mut Session, code: &str, more: &[(u8, &str)], [theirs, ours]: [&str; 2]) {
    let mut fields = vec![(7, "0601120000"), (11, "000042"), (70, code)];
    fields.extend(more);
    fields.sort_unstable();
    let request = authenticated(ASCII, &message(*b"0800", &fields), &key(theirs));
    session.send(&request).unwrap();
    let answer = session.receive().unwrap();
    assert_eq!(
        (answer.mti(), answer.text(39)),
        ("0810".into(), "00".into())
    );
    assert_eq!(mac::verify(answer.message(), &key(ours)), Ok(()), "{code}");
}

/// The acquirer read no 00 and knows its old keys alone, network messages too.
#[test]
fn fault_057_a_key_that_is_brought_again_leaves_the_one_before_it() {
    let network = ("NJIA__LISTENER__POS__MAC__NETWORK", "true");
    let given = [CHANGEABLE.as_slice(), &KEKS, &[network]].concat();
    let (scene, link) = Scene::open("keys-again", &given);
    let (old, new) = ([POS_TO_US, US_TO_POS], [POS_NEW_KEY, POS_NEW_KEY]);
    let offered = format!("{POS_WRAPPED}{POS_CHECK}");
    let offered = [(48, offered.as_str())];
    managed(&mut scene.session(), "160", &offered, old);
    drop(link);

    let of = |[theirs, ours]: [&'static str; 2]| [theirs, ours, US_TO_BANK, BANK_TO_US];
    let (scene, mut link) = scene.killed();
    let mut session = scene.session();
    managed(&mut session, "301", &[], old);
    for _ in 0..3 {
        managed(&mut session, "160", &offered, old);
    }
    purchased((&scene, &mut link), "000001", of([POS_TO_US, POS_NEW_KEY]));
    managed(&mut session, "160", &offered, new);
    managed(&mut session, "301", &[], new);
    purchased((&scene, &mut link), "000002", of(new));
    purchased((&scene, &mut link), "000003", of([POS_TO_US, POS_NEW_KEY]));
    assert_eq!(scene.metric("njia_mac_failures_total", &[]), 0.0);
    scene.close_with(link);
}

/// What stands in the files below `folder`, but for blocks of zeros.
fn written_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(written_below(&path));
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let blocks = bytes.chunks(ZEROS.len());
            let written = blocks.filter(|block| *block != ZEROS.get(..block.len()).unwrap());
            written.for_each(|block| all.extend_from_slice(block));
        }
    }
    all
}

const ZEROS: [u8; 4_096] = [0; 4_096];

/// Whether a key stands there as bytes or as digits.
fn holds(bytes: &[u8], key: &str) -> bool {
    let forms = [bytes_of(key), key.into(), key.to_uppercase().into()];
    forms
        .iter()
        .any(|form| bytes.windows(form.len()).any(|window| window == form))
}

#[test]
fn fault_057_a_key_that_cannot_be_stored_is_not_taken() {
    let (scene, mut link) = changeable("keys-not-kept");
    let offered = format!("{WRAPPED}{CHECK}");
    let in_the_way = scene.node.journal().join("mac-keys.new");
    fs::create_dir(&in_the_way).unwrap();
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "96");
    let configured = [POS_TO_US, US_TO_POS, US_TO_BANK, BANK_TO_US];
    purchased((&scene, &mut link), "000001", configured);
    fs::remove_dir(&in_the_way).unwrap();
    // The change before has ended on both shards when the next one is taken.
    scene.await_that("it is taken", || {
        said(&mut link, "160", &[(48, &offered)]) == "00"
    });
    purchased(
        (&scene, &mut link),
        "000002",
        [POS_TO_US, US_TO_POS, NEW_KEY, NEW_KEY],
    );
    assert!(scene.node.log().contains("mac-keys.new"));
    scene.close_with(link);
}

/// Where the file of the keys is written aside: the first write to it waits for a reader, and then
/// it cannot be synced.
fn stuck(scene: &Scene) -> PathBuf {
    let path = scene.node.journal().join("mac-keys.new");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

#[test]
fn fault_057_a_drain_waits_for_a_key_that_is_being_stored_and_takes_no_other() {
    let (scene, mut link) = changeable("keys-drain");
    let path = stuck(&scene);
    let mut session = scene.session();
    let offered = format!("{POS_WRAPPED}{POS_CHECK}");
    let fields = [
        (7, "0601120000"),
        (11, "000042"),
        (48, &offered),
        (70, "160"),
    ];
    session.send(&message(*b"0800", &fields)).unwrap();
    scene.await_that("it is being stored", || {
        scene.node.log().contains("storing a new key")
    });
    scene.node.ask_to_drain().unwrap();
    scene.await_that("both shards drain", || {
        scene.node.log().matches("draining").count() >= 2
    });
    let bank = format!("{WRAPPED}{CHECK}");
    assert_eq!(said(&mut link, "160", &[(48, &bank)]), "96");
    drop(fs::File::open(&path).unwrap());
    let answer = session.receive().unwrap();
    assert_eq!(
        (answer.mti(), answer.text(39)),
        ("0810".into(), "96".into())
    );
    scene.close_with(link);
}

#[test]
fn fault_057_a_key_that_takes_too_long_to_be_stored_is_refused() {
    let (scene, mut link) = changeable("keys-slow");
    let path = stuck(&scene);
    let offered = format!("{POS_WRAPPED}{POS_CHECK}");
    let fields = [(48, offered.as_str())];
    assert_eq!(said(&mut scene.session(), "160", &fields), "96");
    // Another one has its turn behind the first write, which goes on.
    let bank = format!("{WRAPPED}{CHECK}");
    assert_eq!(said(&mut link, "160", &[(48, &bank)]), "96");
    let configured = [POS_TO_US, US_TO_POS, US_TO_BANK, BANK_TO_US];
    purchased((&scene, &mut link), "000001", configured);
    drop(fs::File::open(&path).unwrap());
    fs::remove_file(&path).unwrap();
    scene.await_that("it is taken", || {
        said(&mut scene.session(), "160", &fields) == "00"
    });
    assert!(scene.node.log().contains("takes too long to be stored"));
    scene.close_with(link);
}

const CONFIGURED: [&str; 4] = [POS_TO_US, US_TO_POS, US_TO_BANK, BANK_TO_US];
/// The bank has brought [`NEW_KEY`].
const BROUGHT: [&str; 4] = [POS_TO_US, US_TO_POS, NEW_KEY, NEW_KEY];

/// The process ends when the key is whole on the disk and its side has not been told.
#[test]
fn fault_057_a_key_that_was_written_and_not_stored_is_not_in_force_after_a_start() {
    let (scene, mut link) = changeable("keys-aside");
    let offered = format!("{WRAPPED}{CHECK}");
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    drop(link);
    // What the disk is like before the last step. Nobody reads it while the process is there.
    let (stored, aside) = key_files(&scene);
    fs::rename(&stored, &aside).unwrap();
    let (scene, mut link) = scene.killed();
    purchased((&scene, &mut link), "000001", CONFIGURED);
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00", "again");
    assert!(!aside.exists(), "it was in nobody's way");
    purchased((&scene, &mut link), "000002", BROUGHT);
    drop(link);
    let (scene, mut link) = scene.killed();
    purchased((&scene, &mut link), "000003", BROUGHT);
    scene.close_with(link);
}

/// The disk fails at the last step.
#[test]
fn fault_057_a_key_that_cannot_be_put_in_force_is_refused_over_a_start() {
    let (scene, mut link) = changeable("keys-unpromoted");
    let offered = format!("{WRAPPED}{CHECK}");
    let (stored, _) = key_files(&scene);
    fs::create_dir_all(stored.join("in the way")).unwrap();
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "96");
    purchased((&scene, &mut link), "000001", CONFIGURED);
    assert!(scene.node.log().contains("could not rename"));
    fs::remove_dir_all(&stored).unwrap();
    drop(link);
    let (scene, mut link) = scene.killed();
    purchased((&scene, &mut link), "000002", CONFIGURED);
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    purchased((&scene, &mut link), "000003", BROUGHT);
    scene.close_with(link);
}

/// The disk stands still, and goes on when its side has been told that the key is refused.
#[test]
fn fault_057_a_key_that_is_written_after_it_was_refused_is_not_in_force_after_a_start() {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "keys-late-disk");
    let Some(disk) = Disk::mount(&folder, 24, 16).unwrap() else {
        return;
    };
    let (scene, mut link) = changeable("keys-late");
    let (stored, aside) = key_files(&scene);
    symlink(disk.files().join("late"), &aside).unwrap();
    disk.freeze().unwrap();
    let offered = format!("{WRAPPED}{CHECK}");
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "96");
    disk.thaw().unwrap();
    scene.await_that("it is written after all", || {
        scene.node.log().contains("written too late")
    });
    assert!(!fs::read(&aside).unwrap().is_empty());
    assert!(!stored.exists());
    purchased((&scene, &mut link), "000001", CONFIGURED);
    drop(link);
    let (scene, mut link) = scene.killed();
    purchased((&scene, &mut link), "000002", CONFIGURED);
    fs::remove_file(&aside).unwrap();
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    purchased((&scene, &mut link), "000003", BROUGHT);
    scene.close_with(link);
}

/// Where keys are stored, and where they are written aside.
fn key_files(scene: &Scene) -> (PathBuf, PathBuf) {
    let of = |name| scene.node.journal().join(name);
    (of("mac-keys"), of("mac-keys.new"))
}

#[test]
fn fault_057_stored_keys_that_are_damaged_or_do_not_open_refuse_the_start() {
    let offered = format!("{WRAPPED}{CHECK}");
    let (scene, mut link) = changeable("keys-damaged");
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    drop(link);
    let damage = |journal: &Path| {
        let path = journal.join("mac-keys");
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
    };
    let (remains, code, log) = scene.killed_and_refused(damage, &[]);
    assert_eq!(code, Some(65), "{log}");
    assert!(log.contains("mac-keys"), "{log}");
    remains.forget();

    let (scene, mut link) = changeable("keys-other-kek");
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    drop(link);
    let other = [("KEK", "2123456789abcdeffedcba9876543212")];
    let (remains, code, log) = scene.killed_and_refused(|_| {}, &other);
    assert_eq!(code, Some(65), "{log}");
    for told in ["mac-keys", "bank", "kek"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    remains.forget();
}

#[test]
fn fault_057_a_stored_key_gives_way_to_one_that_is_configured_anew() {
    let offered = format!("{WRAPPED}{CHECK}");
    let (scene, mut link) = changeable("keys-anew");
    assert_eq!(said(&mut link, "160", &[(48, &offered)]), "00");
    drop(link);
    let agreed = "4b7e151628aed2a6abf7158809cf4f3e";
    let (scene, mut link) = scene.killed_for(&[("US_TO_BANK", agreed)]);
    // The other direction has what was brought for it.
    purchased(
        (&scene, &mut link),
        "000001",
        [POS_TO_US, US_TO_POS, agreed, NEW_KEY],
    );
    assert!(scene.node.log().contains("gives way"));
    drop(link);
    // A start has taken nothing away: back on what was configured, both have what was brought.
    let (scene, mut link) = scene.killed_for(&[("US_TO_BANK", US_TO_BANK)]);
    purchased(
        (&scene, &mut link),
        "000002",
        [POS_TO_US, US_TO_POS, NEW_KEY, NEW_KEY],
    );
    scene.close_with(link);
}

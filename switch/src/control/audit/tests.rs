//! The log over starts, crashes and faults of its file, and what is found of a change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use super::*;
use crate::config::SecretKey;

/// A log in a folder of its own.
struct Stage {
    folder: tempfile::TempDir,
    told: Arc<Told>,
    file_bytes_max: u64,
}

fn key() -> SecretKey {
    SecretKey::new([7; SecretKey::LEN])
}

impl Stage {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            told: Arc::default(),
            file_bytes_max: u64::MAX,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn writer(&self, key: SecretKey) -> Writer {
        let queue = AuditQueue::new();
        queue.is_on.store(true, Ordering::Relaxed);
        Writer {
            settings: Arc::new(Settings {
                file: self.path(),
                key,
                file_bytes_max: self.file_bytes_max,
            }),
            names: Names::default(),
            queue,
            folds: Folds::default(),
            state: State::Begun,
            told: Arc::clone(&self.told),
            clock: Clock::start(),
            lost: Lost::default(),
        }
    }

    /// One start and stop, with so many acts between them.
    fn ran(&self, acts: usize) {
        let mut writer = self.writer(key());
        for _ in 0..acts {
            writer.queue.act(act());
        }
        let (stop, stopped) = channel();
        drop(stop);
        writer.run(&stopped);
    }

    /// One that is killed.
    fn killed(&self) {
        let mut writer = self.writer(key());
        writer.queue.act(act());
        writer.turn(false);
    }

    /// All files in their order.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        // The one that is written has no number and is the newest.
        paths.sort_by_key(|path| (*path == self.path(), path.clone()));
        let read = |path: PathBuf| (path.display().to_string(), fs::read(&path).unwrap());
        paths.into_iter().map(read).collect()
    }

    fn verified(&self) -> Result<Verified, verify::Finding> {
        verify(&self.files(), &key(), false)
    }

    fn lines(&self) -> Vec<Line> {
        let files = self.files();
        let lines = files
            .iter()
            .flat_map(|(_, bytes)| bytes.split_inclusive(|byte| *byte == b'\n'));
        let lines = lines.filter_map(|line| line.strip_suffix(b"\n"));
        lines.map(|line| Line::read(line).unwrap()).collect()
    }

    fn events(&self) -> Vec<(String, String, u64)> {
        let told = |line: Line| (line.event, line.reason, line.count);
        self.lines().into_iter().map(told).collect()
    }

    fn counted(&self, result: Counted) -> u64 {
        self.told.results[result as usize].load(Ordering::Relaxed)
    }

    fn changed(&self, change: impl FnOnce(&mut Vec<String>)) {
        let text = fs::read_to_string(self.path()).unwrap();
        let mut lines = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(self.path(), lines.join("\n") + "\n").unwrap();
    }
}

fn act() -> Act {
    Act::by_user(What::SafDrop, (0, "root"), "a.1", Fate::Done)
}

fn incident() -> Incident {
    Incident {
        what: What::Authentication,
        who: Who::Unknown,
        from: Some([192, 0, 2, 1].into()),
        object: Object::Gateway(0, Place::Transactions),
        fate: Fate::Refused,
        why: Why::SignatureWrong,
    }
}

fn told(event: What, why: Why, count: u64) -> (String, String, u64) {
    (event.word().to_owned(), why.word().to_owned(), count)
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_chain_goes_on_over_starts() {
    let stage = Stage::new();
    stage.ran(1);
    stage.ran(0);
    let expected = [
        told(What::LogOpened, Why::First, 1),
        told(What::SafDrop, Why::None, 1),
        told(What::LogClosed, Why::None, 1),
        told(What::LogOpened, Why::AfterClose, 1),
        told(What::LogClosed, Why::None, 1),
    ];
    assert_eq!(stage.events(), expected);
    let verified = stage.verified().unwrap();
    assert_eq!((verified.first, verified.last, verified.lines), (1, 5, 5));
    assert_eq!(mode(&stage.path()), 0o600);
    let other = SecretKey::new([8; SecretKey::LEN]);
    let finding = verify(&stage.files(), &other, false).unwrap_err();
    assert_eq!(finding.line, 1);
}

#[test]
fn a_line_that_is_changed_or_taken_out_is_found() {
    type Change = fn(&mut Vec<String>);
    let changes: [(Change, usize, &str); 6] = [
        (|lines| drop(lines.remove(2)), 3, "lines 3 to 3 are missing"),
        (|lines| drop(lines.remove(0)), 1, "lines 1 to 1 are missing"),
        (|lines| lines.swap(1, 2), 2, "lines 2 to 2 are missing"),
        (
            |lines| lines[1] = lines[1].replace("root", "wood"),
            2,
            "is changed",
        ),
        (|lines| lines.insert(2, lines[1].clone()), 3, "out of order"),
        (|lines| lines[3] = "{}".to_owned(), 4, "is no line"),
    ];
    for (change, line, fault) in changes {
        let stage = Stage::new();
        stage.ran(3);
        stage.verified().unwrap();
        stage.changed(change);
        let finding = stage.verified().unwrap_err();
        assert!(finding.fault.contains(fault), "{finding:?}");
        assert_eq!(
            (finding.line, finding.file),
            (line, stage.path().display().to_string())
        );
    }
}

#[test]
fn a_chain_of_another_time_does_not_follow() {
    let (one, other) = (Stage::new(), Stage::new());
    one.ran(1);
    other.ran(2);
    let theirs = fs::read_to_string(other.path()).unwrap();
    let theirs = theirs.lines().nth(2).unwrap().to_owned();
    one.changed(|lines| lines[2] = theirs);
    let finding = one.verified().unwrap_err();
    assert!(finding.fault.contains("does not follow"), "{finding:?}");
}

#[test]
fn a_torn_tail_is_cut_off_and_told() {
    let stage = Stage::new();
    stage.killed();
    let mut text = fs::read(stage.path()).unwrap();
    let whole = text.len();
    text.extend_from_slice(b"{\"seq\":3,\"time\":\"20");
    fs::write(stage.path(), &text).unwrap();
    assert_eq!(stage.verified().unwrap().torn, text.len() - whole);
    stage.ran(0);
    let events = stage.events();
    let repaired = [
        told(What::LogRepaired, Why::TornTail, 1),
        told(What::LogOpened, Why::AfterCrash, 1),
        told(What::LogClosed, Why::None, 1),
    ];
    assert_eq!(events[2..], repaired);
    assert_eq!(stage.verified().unwrap().torn, 0);
}

#[test]
fn a_chain_goes_on_over_files() {
    let stage = Stage {
        file_bytes_max: 1_000,
        ..Stage::new()
    };
    stage.ran(20);
    assert!(stage.files().len() > 5, "{:?}", stage.files().len());
    assert_eq!(stage.verified().unwrap().lines, 22);
    // The one that is written is not there: a crash came between a rename and the next file.
    fs::remove_file(stage.path()).unwrap();
    let before = stage.verified().unwrap().last;
    stage.ran(0);
    assert_eq!(stage.verified().unwrap().last, before + 2);
    let files = stage.files();
    let finding = verify(&files[1..], &key(), false).unwrap_err();
    assert!(finding.fault.contains("missing"), "{finding:?}");
    verify(&files[1..], &key(), true).unwrap();
    let mut gap = files;
    gap.remove(1);
    verify(&gap, &key(), false).unwrap_err();
}

#[test]
fn what_another_key_has_written_is_kept_aside() {
    let stage = Stage::new();
    stage.ran(1);
    let before = fs::read(stage.path()).unwrap();
    let mut writer = stage.writer(SecretKey::new([8; SecretKey::LEN]));
    writer.turn(false);
    assert_eq!(stage.lines().last().unwrap().reason, "unknown_tail");
    let aside = stage.folder.path().join("audit.jsonl.strange-1");
    assert_eq!(fs::read(aside).unwrap(), before);
}

#[test]
fn a_flood_is_folded_and_what_finds_no_room_is_told() {
    let stage = Stage::new();
    let mut writer = stage.writer(key());
    for _ in 0..INCIDENTS_MAX + 7 {
        writer.queue.note(incident());
    }
    // Operators have room of their own.
    writer.queue.act(act());
    writer.turn(false);
    writer.turn(true);
    let repeats = INCIDENTS_MAX as u64 - 1;
    let expected = [
        told(What::LogOpened, Why::First, 1),
        told(What::SafDrop, Why::None, 1),
        told(What::Authentication, Why::SignatureWrong, 1),
        told(What::EventsLost, Why::QueueFull, 7),
        told(What::Authentication, Why::SignatureWrong, repeats),
    ];
    assert_eq!(stage.events(), expected);
    assert_eq!(stage.counted(Counted::Folded), repeats);
    assert_eq!(stage.counted(Counted::QueueFull), 7);
    let line = &stage.lines()[2];
    assert_eq!(
        (line.from.as_str(), line.who.as_str()),
        ("192.0.2.1", "unknown")
    );
    stage.verified().unwrap();
}

#[test]
fn what_could_not_be_written_is_counted_and_told_when_it_can() {
    let stage = Stage::new();
    // A folder stands where the file would.
    fs::create_dir(stage.path()).unwrap();
    let mut writer = stage.writer(key());
    writer.queue.act(act());
    writer.turn(false);
    assert!(stage.told.is_failing.load(Ordering::Relaxed));
    assert_eq!(stage.counted(Counted::Unwritten), 1);
    fs::remove_dir(stage.path()).unwrap();
    writer.state = State::Begun;
    writer.queue.act(act());
    writer.turn(false);
    let expected = [
        told(What::EventsLost, Why::Unwritten, 1),
        told(What::LogOpened, Why::First, 1),
        told(What::SafDrop, Why::None, 1),
    ];
    assert_eq!(stage.events(), expected);
    assert!(!stage.told.is_failing.load(Ordering::Relaxed));
}

#[test]
fn a_file_that_is_taken_away_leaves_a_gap() {
    let stage = Stage::new();
    let mut writer = stage.writer(key());
    writer.turn(false);
    fs::remove_file(stage.path()).unwrap();
    writer.turn(false);
    assert_eq!(stage.events(), [told(What::LogReplaced, Why::FileGone, 1)]);
    let finding = stage.verified().unwrap_err();
    assert!(
        finding.fault.contains("lines 1 to 1 are missing"),
        "{finding:?}"
    );
}

#[test]
fn text_is_escaped_and_cut() {
    let text = chain::shown("a\r\n\u{1b}[31m\u{2028}\"\u{e9}");
    assert_eq!(text, "a\\u{d}\\u{a}\\u{1b}[31m\\u{2028}\"\\u{e9}");
    assert!(chain::shown(&"\u{2028}".repeat(1_000)).len() < 120);
}

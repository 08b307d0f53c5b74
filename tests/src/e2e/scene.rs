//! A switch whose bank is the test itself, which says what comes when; and a simulated operator
//! that takes what the bank does not.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use iso8583::{Dialect, FieldIndex, MessageRef};
use rustix::process::Signal;

use super::desk::{Desk, accepted};
use super::session::{Received, Session, message};
use super::{Build, Issuers, Node, Process, eventually, folder};

/// The switch and the two issuers.
#[derive(Debug)]
pub struct Scene {
    /// The switch.
    pub node: Node,
    /// The bank.
    pub bank: Desk,
    folder: PathBuf,
    operator: Issuers,
    environment: Vec<(String, String)>,
}

/// What a switch that has ended leaves behind.
#[derive(Debug)]
pub struct Remains {
    folder: PathBuf,
    operator: Issuers,
}

impl Remains {
    /// Removes it.
    ///
    /// # Panics
    /// The simulated operator does not end well.
    pub fn forget(self) {
        self.operator.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// One link to the bank; nothing but what a test says happens within its time.
const CALM: [(&str, &str); 5] = [
    ("NJIA__NODE__SHARDS", "2"),
    ("NJIA__ISSUER__BANK__LINKS", "1"),
    ("NJIA__ISSUER__BANK__RECONNECT_MAX_MS", "100"),
    ("NJIA__ISSUER__BANK__BREAKER__CALLS_MIN", "1000"),
    ("NJIA__SAF__BACKOFF_FIRST_MS", "50"),
];
/// The bank has no stand-by.
pub const ALONE: (&str, &str) = ("NJIA__ROUTE__BANK_CARDS__CANDIDATES", "bank");
/// A silence is soon over; long enough for an answer on a machine that stands still for a while.
pub const SHORT: (&str, &str) = ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "3000");

impl Scene {
    /// With one link to the bank, signed on. `more` stands above what is usual here.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn open(name: &str, more: &[(&str, &str)]) -> (Self, Session) {
        Self::prepare(name, more).signed_on()
    }

    /// The same before any link is there.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(name: &str, more: &[(&str, &str)]) -> Self {
        let stage = Self::prepare(name, more);
        let node = stage.started();
        stage.with(node)
    }

    fn prepare(name: &str, more: &[(&str, &str)]) -> Stage {
        let exe = std::env::current_exe().expect("a test knows its own path");
        let target = exe.ancestors().nth(3).expect("it lies in target/…/deps");
        let folder = folder(&target.join("tmp").to_string_lossy(), name);
        let operator = Issuers::start(&folder, Duration::from_millis(2)).unwrap();
        let bank = Desk::open().unwrap();
        let given = CALM.iter().chain(more);
        let environment: Vec<(String, String)> = given
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Stage {
            bank,
            folder,
            operator,
            environment,
        }
    }

    /// Kills the switch and starts it again on what it has written.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn killed(self) -> (Self, Session) {
        self.killed_for(&[])
    }

    /// The same with `more` above what it had.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn killed_for(self, more: &[(&str, &str)]) -> (Self, Session) {
        let Self {
            node,
            bank,
            folder,
            operator,
            mut environment,
        } = self;
        node.kill().unwrap();
        let more = more.iter();
        environment.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        bank.forget().unwrap();
        let stage = Stage {
            bank,
            folder,
            operator,
            environment,
        };
        stage.signed_on()
    }

    /// Kills the switch, lets `change` do something to its journal's folder, and starts it again
    /// with `more` above what it had: it has to refuse. Its exit code and its log.
    ///
    /// # Panics
    /// It does not end.
    pub fn killed_and_refused(
        self,
        change: impl FnOnce(&Path),
        more: &[(&str, &str)],
    ) -> (Remains, Option<i32>, String) {
        let journal = self.node.journal().to_owned();
        self.node.kill().unwrap();
        change(&journal);
        let environment = self.environment.iter();
        let environment = environment.map(|(name, value)| (name.as_str(), value.as_str()));
        let environment: Vec<_> = environment.chain(more.iter().copied()).collect();
        let addresses = addresses(&self.bank, &self.operator);
        let state = self.folder.join("state");
        let mut process = Process::start(Build::Product, &state, addresses, &environment).unwrap();
        let mut ended = None;
        assert!(eventually(Duration::from_secs(60), || {
            ended = process.ended().unwrap();
            ended.is_some()
        }));
        let log = process.log_end();
        let remains = Remains {
            folder: self.folder,
            operator: self.operator,
        };
        (remains, ended.and_then(|status| status.code()), log)
    }

    /// Ends the switch by a signal and leaves what it has written. How it ended.
    ///
    /// # Panics
    /// It had ended before.
    #[must_use]
    pub fn signalled(self, signal: Signal) -> (Remains, ExitStatus) {
        let ended = self.node.signal_end(signal).unwrap();
        let remains = Remains {
            folder: self.folder,
            operator: self.operator,
        };
        (remains, ended)
    }

    /// A connection of the acquirer.
    ///
    /// # Panics
    /// The switch does not listen.
    #[must_use]
    pub fn session(&self) -> Session {
        Session::connect(self.node.listener()).unwrap()
    }

    /// As [`Node::metric`].
    ///
    /// # Panics
    /// It cannot be read.
    #[must_use]
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.node.metric(name, labels).unwrap()
    }

    /// Answers of the bank that were not matched, for this reason.
    #[must_use]
    pub fn unmatched(&self, reason: &str) -> f64 {
        let reason = format!("reason=\"{reason}\"");
        self.metric("njia_unmatched_answers_total", &["bank", &reason])
    }

    /// Answers of the bank that were not matched.
    #[must_use]
    pub fn unmatched_at_all(&self) -> f64 {
        self.metric("njia_unmatched_answers_total", &["bank"])
    }

    /// Waits until the bank has so many links that take work.
    ///
    /// # Panics
    /// Never in time.
    #[track_caller]
    pub fn await_up(&self, links: f64) {
        let labels = ["issuer=\"bank\"", "state=\"up\""];
        self.await_that("the bank's links are up", || {
            self.metric("njia_links", &labels) == links
        });
    }

    /// Waits for what `found` finds.
    ///
    /// # Panics
    /// Never in time.
    #[track_caller]
    pub fn await_that(&self, what: &str, found: impl FnMut() -> bool) {
        let waited = eventually(Duration::from_secs(60), found);
        assert!(waited, "never: {what}\n{}", self.node.log());
    }

    /// Ends the switch and the issuers.
    ///
    /// # Panics
    /// They do not end well.
    pub fn close(self) {
        assert!(self.node.terminate().unwrap().success());
        self.operator.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }

    /// The same with the bank's answer to the sign-off at the end of the drain.
    ///
    /// # Panics
    /// They do not end well.
    pub fn close_with(self, mut link: Session) {
        let off = std::thread::spawn(move || {
            let off = link.receive().unwrap();
            assert_eq!((off.mti().as_str(), off.text(70).as_str()), ("0800", "002"));
            link.send(&accepted(&off)).unwrap();
        });
        self.close();
        off.join().unwrap();
    }
}

fn addresses(bank: &Desk, operator: &Issuers) -> [SocketAddr; 2] {
    [bank.address().unwrap(), operator.addresses()[Issuers::MOMO]]
}

/// A scene without its switch.
struct Stage {
    bank: Desk,
    folder: PathBuf,
    operator: Issuers,
    environment: Vec<(String, String)>,
}

impl Stage {
    fn started(&self) -> Node {
        let addresses = addresses(&self.bank, &self.operator);
        let environment = self.environment.iter();
        let environment: Vec<(&str, &str)> = environment
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let state = self.folder.join("state");
        Node::start(Build::Product, &state, addresses, &environment).unwrap()
    }

    /// A switch is not ready before its links are up, unless it has waited for them in vain: the
    /// bank answers meanwhile.
    fn signed_on(self) -> (Scene, Session) {
        let (node, link) = std::thread::scope(|scope| {
            let link = scope.spawn(|| self.bank.signed_on().unwrap());
            (self.started(), link.join().unwrap())
        });
        let scene = self.with(node);
        scene.await_up(1.0);
        (scene, link)
    }

    fn with(self, node: Node) -> Scene {
        Scene {
            node,
            bank: self.bank,
            folder: self.folder,
            operator: self.operator,
            environment: self.environment,
        }
    }
}

/// MTI, DE11 and DE39 of the next message.
///
/// # Panics
/// There is none.
#[track_caller]
pub fn next(session: &mut Session) -> (String, String, String) {
    let answer = session.receive().unwrap();
    (answer.mti(), answer.text(11), answer.text(39))
}

/// What [`next`] should be.
#[must_use]
pub fn told(mti: &str, stan: &str, code: &str) -> (String, String, String) {
    (mti.to_owned(), stan.to_owned(), code.to_owned())
}

/// The next message of the switch, which has this MTI.
///
/// # Panics
/// It is another one.
#[track_caller]
pub fn asked(link: &mut Session, mti: &str) -> Received {
    let asked = link.receive().unwrap();
    assert_eq!(asked.mti(), mti);
    asked
}

/// A reversal of a purchase under a STAN of its own, which names it by DE90.
///
/// # Panics
/// The STAN is not six digits, or the purchase is none.
#[must_use]
pub fn reversal(mti: [u8; 4], stan: &str, purchase: &[u8]) -> Vec<u8> {
    let [sent, original, rrn] = [7, 11, 37].map(|field| text_in(purchase, field));
    let named = format!("0200{original}{sent}{:011}{:011}", 628_123, 0);
    let fields = [
        (2, "5061001234567890"),
        (3, "000000"),
        (4, "000000001500"),
        (7, sent.as_str()),
        (11, stan),
        (12, "120000"),
        (13, "0101"),
        (22, "051"),
        (32, "628123"),
        (37, rrn.as_str()),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
        (90, named.as_str()),
    ];
    message(mti, &fields)
}

/// A field of a message of 1987 in ASCII, without its length.
fn text_in(bytes: &[u8], field: u8) -> String {
    let mut index = FieldIndex::new();
    let dialect = Dialect::ISO87_ASCII;
    dialect.parse(bytes, &mut index).expect("it is a message");
    let message = MessageRef::new(bytes, &index);
    let text = message.field(field).expect("it has this field");
    String::from_utf8_lossy(text).into_owned()
}

//! Reconciliation on real sockets: totals per acquirer, settlement date and currency, compared once
//! and told the same for ever (semantics.md §8).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use domain::network::SettlementDate;
use domain::time::{TransmissionTime, WallTime};
use iso8583::{Dialect, Mti, Writer};
use loadgen::clock::Clock;
use njia_tests::e2e::desk::{Desk, answered, with_field};
use njia_tests::e2e::session::{Received, message, purchase};
use njia_tests::e2e::{Build, Issuers, Node, Session, away_from_midnight, eventually, folder};

const SHARDS: (&str, &str) = ("NJIA__NODE__SHARDS", "2");
const KEPT: (&str, &str) = ("NJIA__LISTENER__POS__RECONCILE", "true");

fn wall() -> WallTime {
    let clock = Clock::start();
    clock.wall(clock.now())
}

/// DE7 of now.
fn sent() -> String {
    let at = TransmissionTime::at(wall());
    String::from_utf8_lossy(&at.digits()).into_owned()
}

/// `MMDD` of the day in force after a first start, and of the next one.
fn days() -> [String; 2] {
    let today = SettlementDate::at(wall());
    [today, today.next()].map(|day| String::from_utf8_lossy(&day.digits()).into_owned())
}

/// A switch between an acquirer by hand and issuers that approve everything.
struct Scene {
    folder: PathBuf,
    issuers: Issuers,
    environment: Vec<(&'static str, &'static str)>,
    node: Node,
    session: Session,
    dialect: &'static Dialect,
}

/// Its days are those of the clock.
fn place(name: &str) -> PathBuf {
    away_from_midnight();
    let tmp = env!("CARGO_TARGET_TMPDIR");
    folder(tmp, &format!("reconciliation-{name}"))
}

impl Scene {
    fn open(name: &str, more: &[(&'static str, &'static str)]) -> Self {
        let folder = place(name);
        let issuers = Issuers::start(&folder, Duration::from_millis(1)).unwrap();
        let environment = [&[SHARDS, KEPT], more].concat();
        let state = folder.join("state");
        let addresses = issuers.addresses();
        let node = Node::start(Build::Product, &state, addresses, &environment).unwrap();
        let session = Session::connect(node.listener()).unwrap();
        Self {
            folder,
            issuers,
            environment,
            node,
            session,
            dialect: Dialect::ISO87_ASCII,
        }
    }

    /// Ends the process as a power switch would, and starts it again.
    fn kill_and_start(self) -> Self {
        self.node.kill().unwrap();
        let state = self.folder.join("state");
        let addresses = self.issuers.addresses();
        let node = Node::start(Build::Product, &state, addresses, &self.environment).unwrap();
        let session = Session::connect(node.listener()).unwrap();
        Self {
            node,
            session,
            ..self
        }
    }

    fn ask(&mut self, message: &[u8]) -> Received {
        self.session.send(message).unwrap();
        self.session.receive_in(self.dialect).unwrap()
    }

    #[track_caller]
    fn approved(&mut self, message: &[u8]) {
        let code = self.ask(message).text(39);
        assert!(["00", "000", "400"].contains(&code.as_str()), "{code}");
    }

    fn reconciled(&self, result: &str) -> f64 {
        let result = format!("result=\"{result}\"");
        let labels = ["side=\"acquirer\"", result.as_str()];
        let found = self.node.metric("njia_reconciliations_total", &labels);
        found.unwrap()
    }

    fn close(self) {
        assert!(self.node.terminate().unwrap().success());
        self.issuers.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// The reversal of a purchase by its own STAN, of all of it or down to what stays.
fn reversal(stan: &str, stays: Option<&str>) -> Vec<u8> {
    let transmitted = sent();
    let rrn = format!("000000{stan}");
    let replacement = stays.map(|minor| format!("{minor}{}C00000000C00000000", "0".repeat(12)));
    let mut fields = vec![
        (2, "5061001234567890"),
        (3, "000000"),
        (4, "000000001500"),
        (7, transmitted.as_str()),
        (11, stan),
        (37, rrn.as_str()),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
    ];
    if let Some(replacement) = &replacement {
        fields.push((95, replacement));
    }
    message(*b"0420", &fields)
}

/// A reconciliation in a currency with these totals; DE15 where a day is named.
fn totals(mti: [u8; 4], stan: &str, currency: &str, more: &[(u8, &str)]) -> Vec<u8> {
    totals_at(mti, stan, &sent(), currency, more)
}

fn totals_at(mti: [u8; 4], stan: &str, sent: &str, currency: &str, more: &[(u8, &str)]) -> Vec<u8> {
    let mut fields = vec![(7, sent), (11, stan), (50, currency)];
    fields.extend(more);
    fields.sort_unstable();
    message(mti, &fields)
}

/// MTI, DE39 and DE66 of an answer.
fn told(answer: &Received) -> (String, String, String) {
    (answer.mti(), answer.text(39), answer.text(66))
}

fn says(mti: &str, code: &str, verdict: &str) -> (String, String, String) {
    (mti.to_owned(), code.to_owned(), verdict.to_owned())
}

/// Numbers and amounts of debits and of their reversals, by the reading in which a reversal of a
/// debit credits; and the net.
fn debits(answer: &Received) -> (u64, u64, u64, u64, String) {
    let number = |field| answer.text(field).parse().unwrap();
    (
        number(76),
        number(88),
        number(75),
        number(87),
        answer.text(97),
    )
}

#[test]
fn an_acquirer_and_the_switch_count_alike() {
    let mut scene = Scene::open("alike", &[]);
    let [today, _] = days();
    let first = purchase("000001");
    scene.approved(&first);
    for stan in ["000002", "000003", "000004"] {
        scene.approved(&purchase(stan));
    }
    scene.approved(&first);
    for stan in ["000005", "000006"] {
        let other = with_field(&purchase(stan), 49, "800");
        scene.approved(&with_field(&other, 4, "000000000700"));
    }
    scene.approved(&reversal("000002", None));
    scene.approved(&reversal("000003", Some("000000000500")));

    let declared = [
        (76, "0000000004"),
        (75, "0000000002"),
        (88, "0000000000006000"),
        (87, "0000000000002500"),
        (97, "D0000000000003500"),
    ];
    let answer = scene.ask(&totals(*b"0520", "000010", "404", &declared));
    let net = "D0000000000003500".to_owned();
    assert_eq!(debits(&answer), (4, 6_000, 2, 2_500, net));
    assert_eq!(told(&answer), says("0530", "00", "1"));
    assert_eq!(answer.text(15), today);

    let answer = scene.ask(&totals(
        *b"0520",
        "000011",
        "800",
        &[(88, "0000000000001400")],
    ));
    assert_eq!(told(&answer), says("0530", "00", "1"));
    let net = "D0000000000001400".to_owned();
    assert_eq!(debits(&answer), (2, 1_400, 0, 0, net));
    assert_eq!(answer.text(50), "800");
    assert_eq!(
        (
            scene.reconciled("in_balance"),
            scene.reconciled("out_of_balance")
        ),
        (2.0, 0.0)
    );
    scene.close();
}

#[test]
fn the_other_reading_of_reversals_is_that_of_the_profile() {
    let sign = ("NJIA__LISTENER__POS__RECON_SIGN", "reversed-credit");
    let mut scene = Scene::open("reading", &[sign]);
    scene.approved(&purchase("000001"));
    scene.approved(&reversal("000001", None));
    let declared = [
        (77, "0000000001"),
        (89, "0000000000001500"),
        (97, "C0000000000000000"),
    ];
    let answer = scene.ask(&totals(*b"0500", "000010", "404", &declared));
    assert_eq!(told(&answer), says("0510", "00", "1"));
    assert_eq!(
        (answer.text(75), answer.text(87)),
        ("0".repeat(10), "0".repeat(16))
    );
    scene.close();
}

#[test]
fn out_of_balance_is_processed_and_a_repeat_gets_the_earlier_result_after_a_kill() {
    let mut scene = Scene::open("repeat", &[]);
    let [today, tomorrow] = days();
    scene.approved(&purchase("000001"));
    let (transmitted, wrong) = (sent(), [(76, "0000000001"), (88, "0000000000001600")]);
    let first = totals_at(*b"0520", "000010", &transmitted, "404", &wrong);
    let answer = scene.ask(&first);
    assert_eq!(told(&answer), says("0530", "00", "2"));
    assert_eq!(debits(&answer).1, 1_500, "ours");
    let exceptions = |scene: &Scene| {
        let node = &scene.node;
        node.metric("njia_exceptions_total", &["out_of_balance"])
            .unwrap()
    };
    assert_eq!(
        (exceptions(&scene), scene.reconciled("out_of_balance")),
        (1.0, 1.0)
    );
    let is_told = eventually(Duration::from_secs(60), || {
        let log = scene.node.log();
        log.contains("totals are out of balance") && log.contains("[88]")
    });
    assert!(is_told, "{}", scene.node.log());

    // The day is closed: what follows counts for the next one.
    scene.approved(&purchase("000002"));
    let repeat = totals_at(*b"0521", "000010", &transmitted, "404", &wrong);
    for _ in 0..2 {
        let answer = scene.ask(&repeat);
        assert_eq!(told(&answer), says("0530", "00", "2"));
        assert_eq!((answer.text(15), debits(&answer).1), (today.clone(), 1_500));
        scene = scene.kill_and_start();
    }
    // A further one of the same day finds what was closed.
    let day = [(15, today.as_str()), (76, "0000000001")];
    let answer = scene.ask(&totals(*b"0520", "000011", "404", &day));
    assert_eq!(told(&answer), says("0530", "00", "1"));
    let answer = scene.ask(&totals(
        *b"0520",
        "000012",
        "404",
        &[(88, "0000000000001500")],
    ));
    assert_eq!(told(&answer), says("0530", "00", "1"));
    assert_eq!((answer.text(15), debits(&answer).0), (tomorrow, 1));
    scene.close();
}

#[test]
fn totals_go_by_the_settlement_date_over_a_kill() {
    let mut scene = Scene::open("cut-over", &[]);
    let [today, tomorrow] = days();
    scene.approved(&purchase("000001"));
    scene.approved(&purchase("000002"));
    scene = scene.kill_and_start();
    let cut_over = [
        (7, "0601120000"),
        (11, "000042"),
        (15, tomorrow.as_str()),
        (70, "201"),
    ];
    let answer = scene.ask(&message(*b"0800", &cut_over));
    assert_eq!(answer.text(39), "00");
    // Goes through the same queue: the day is in force.
    scene.approved(&purchase("000003"));
    scene.approved(&reversal("000001", None));
    scene = scene.kill_and_start();
    scene.approved(&purchase("000004"));

    let answer = scene.ask(&totals(
        *b"0520",
        "000010",
        "404",
        &[(88, "0000000000003000")],
    ));
    assert_eq!(told(&answer), says("0530", "00", "1"));
    let net = "D0000000000003000".to_owned();
    assert_eq!(
        (answer.text(15), debits(&answer)),
        (today, (2, 3_000, 0, 0, net))
    );
    let day = [(15, tomorrow.as_str()), (88, "0000000000003000")];
    let answer = scene.ask(&totals(*b"0520", "000011", "404", &day));
    assert_eq!(told(&answer), says("0530", "00", "1"));
    let net = "D0000000000001500".to_owned();
    assert_eq!(
        (answer.text(15), debits(&answer)),
        (tomorrow, (2, 3_000, 1, 1_500, net))
    );
    scene.close();
}

#[test]
fn what_cannot_be_compared_is_told_and_not_refused() {
    let mut scene = Scene::open("unusable", &[]);
    scene.approved(&purchase("000001"));
    let answer = scene.ask(&totals(*b"0500", "000010", "404", &[]));
    assert_eq!(
        told(&answer),
        says("0510", "00", "0"),
        "it declares nothing"
    );
    assert_eq!(debits(&answer).0, 1);
    let without_currency = [(7, "0601120000"), (11, "000011"), (76, "0000000001")];
    let answer = scene.ask(&message(*b"0520", &without_currency));
    assert_eq!(told(&answer), says("0530", "30", "3"));
    assert_eq!(answer.text(88), "");
    let old = totals(
        *b"0520",
        "000012",
        "404",
        &[(15, "0229"), (76, "0000000000")],
    );
    let answer = scene.ask(&old);
    assert_eq!(
        answer.text(39),
        if answer.text(66) == "3" { "30" } else { "00" }
    );
    let far = SettlementDate::from_days(SettlementDate::at(wall()).days() - 60).digits();
    let far = String::from_utf8_lossy(&far).into_owned();
    let old = totals(*b"0520", "000013", "404", &[(15, &far), (76, "0000000000")]);
    let answer = scene.ask(&old);
    assert_eq!(
        told(&answer),
        says("0530", "00", "0"),
        "nothing is kept for so long"
    );
    assert_eq!(answer.text(88), "");
    scene.close();

    let off = ("NJIA__LISTENER__POS__RECONCILE", "false");
    let mut scene = Scene::open("off", &[off]);
    let with_terminal = totals(*b"0520", "000010", "404", &[(41, "TERM0001")]);
    let answer = scene.ask(&with_terminal);
    assert_eq!(
        (answer.mti(), answer.text(39)),
        ("0530".to_owned(), "12".to_owned())
    );
    scene.close();
}

/// A message of 1993, its fields ascending.
fn of_1993(mti: [u8; 4], fields: &[(u8, &str)]) -> Vec<u8> {
    let mut out = vec![0; 2048];
    let mti = Mti::new(mti).unwrap();
    let mut writer = Writer::new(Dialect::ISO93_ASCII, mti, &mut out);
    for (number, value) in fields {
        writer.put(*number, value.as_bytes()).unwrap();
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

fn purchase_of_1993(stan: &str) -> Vec<u8> {
    let transmitted = sent();
    let fields = [
        (2, "5061001234567890"),
        (3, "000000"),
        (4, "000000001500"),
        (7, transmitted.as_str()),
        (11, stan),
        (12, "260101120000"),
        (24, "200"),
        (32, "628123"),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
    ];
    of_1993(*b"1200", &fields)
}

#[test]
fn a_reconciliation_of_1993_has_its_verdict_in_the_action_code() {
    let edition = ("NJIA__LISTENER__POS__DIALECT", "iso93-ascii");
    let mut scene = Scene::open("1993", &[edition]);
    scene.dialect = Dialect::ISO93_ASCII;
    scene.approved(&purchase_of_1993("000001"));
    let reconcile = |mti, stan: &str, function, amount| {
        let transmitted = "0601120000";
        let fields = [
            (7, transmitted),
            (11, stan),
            (12, "260601120000"),
            (24, function),
            (50, "404"),
            (76, "0000000001"),
            (88, amount),
        ];
        of_1993(mti, &fields)
    };
    // A checkpoint goes on: the day stays open.
    let answer = scene.ask(&reconcile(*b"1500", "000010", "501", "0000000000001500"));
    assert_eq!(told(&answer), says("1510", "500", ""));
    scene.approved(&purchase_of_1993("000002"));
    let answer = scene.ask(&reconcile(*b"1520", "000011", "500", "0000000000001500"));
    assert_eq!(told(&answer), says("1530", "501", ""));
    assert_eq!(
        (answer.text(76), answer.text(24)),
        ("0000000002".to_owned(), "500".to_owned())
    );
    let answer = scene.ask(&reconcile(*b"1501", "000010", "501", "0000000000001500"));
    assert_eq!(
        told(&answer),
        says("1510", "500", ""),
        "the totals have moved on"
    );
    assert_eq!(
        (scene.reconciled("repeated"), scene.reconciled("in_balance")),
        (1.0, 1.0)
    );
    scene.close();
}

/// A switch between an acquirer and a bank, both by hand.
struct Counter {
    folder: PathBuf,
    operator: Issuers,
    bank: Desk,
    environment: Vec<(&'static str, &'static str)>,
    node: Node,
    session: Session,
    link: Session,
    dialect: &'static Dialect,
}

const ISSUER: [(&str, &str); 10] = [
    SHARDS,
    ("NJIA__ISSUER__BANK__LINKS", "1"),
    ("NJIA__ISSUER__BANK__RECONNECT_MAX_MS", "100"),
    ("NJIA__ISSUER__BANK__SIGN_ON", "false"),
    ("NJIA__ISSUER__BANK__RECONCILE", "true"),
    ("NJIA__ISSUER__BANK__RECON_GRACE_S", "0"),
    ("NJIA__ISSUER__BANK__REVERSAL_TIMEOUT_MS", "3000"),
    ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "2000"),
    // A day waits for the longest deadline of all routes.
    ("NJIA__ROUTE__MOMO_CARDS__DEADLINE_MS", "2000"),
    ("NJIA__SAF__BACKOFF_FIRST_MS", "100"),
];

impl Counter {
    fn open(name: &str, dialect: &'static Dialect, more: &[(&'static str, &'static str)]) -> Self {
        let folder = place(name);
        let operator = Issuers::start(&folder, Duration::from_millis(1)).unwrap();
        let bank = Desk::open().unwrap();
        let environment = [&ISSUER[..], more].concat();
        let (node, session, link) = Self::start(&folder, &bank, &operator, &environment);
        Self {
            folder,
            operator,
            bank,
            environment,
            node,
            session,
            link,
            dialect,
        }
    }

    fn start(
        folder: &std::path::Path,
        bank: &Desk,
        operator: &Issuers,
        environment: &[(&str, &str)],
    ) -> (Node, Session, Session) {
        let addresses = [bank.address().unwrap(), operator.addresses()[Issuers::MOMO]];
        let state = folder.join("state");
        let node = Node::start(Build::Product, &state, addresses, environment).unwrap();
        let link = bank.link().unwrap();
        let labels = ["issuer=\"bank\"", "state=\"up\""];
        let is_up = || node.metric("njia_links", &labels).unwrap() == 1.0;
        assert!(eventually(Duration::from_secs(60), is_up));
        let session = Session::connect(node.listener()).unwrap();
        (node, session, link)
    }

    fn kill_and_start(mut self) -> Self {
        self.node.kill().unwrap();
        (self.node, self.session, self.link) =
            Self::start(&self.folder, &self.bank, &self.operator, &self.environment);
        self
    }

    /// Nothing waits for what ends an entry to be durable: a kill would lose what is that new.
    fn drain_and_start(mut self) -> Self {
        assert!(self.node.terminate().unwrap().success());
        (self.node, self.session, self.link) =
            Self::start(&self.folder, &self.bank, &self.operator, &self.environment);
        self
    }

    /// The bank approves a purchase, or takes a reversal.
    #[track_caller]
    fn through(&mut self, message: &[u8]) {
        self.session.send(message).unwrap();
        let asked = self.link.receive_in(self.dialect).unwrap();
        self.link.send(&answered(&asked, "00")).unwrap();
        assert_eq!(self.session.receive().unwrap().text(39), "00");
    }

    /// The next message to the bank.
    #[track_caller]
    fn asked(&mut self, mti: &str) -> Received {
        let asked = self.link.receive_in(self.dialect).unwrap();
        assert_eq!(asked.mti(), mti);
        asked
    }

    fn reconciled(&self, result: &str) -> f64 {
        let result = format!("result=\"{result}\"");
        let labels = ["side=\"issuer\"", result.as_str()];
        self.node
            .metric("njia_reconciliations_total", &labels)
            .unwrap()
    }

    #[track_caller]
    fn await_reconciled(&self, result: &str, count: f64) {
        let is_so = || self.reconciled(result) == count;
        let waited = eventually(Duration::from_secs(60), is_so);
        assert!(waited, "never {count} {result}\n{}", self.node.log());
    }

    fn close(self) {
        assert!(self.node.terminate().unwrap().success());
        self.operator.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// What names a message, and what it says.
fn content(asked: &Received) -> Vec<String> {
    let fields = [7, 11, 15, 50, 74, 75, 76, 77, 81, 86, 87, 88, 89, 97];
    fields.into_iter().map(|field| asked.text(field)).collect()
}

/// The bank's answer to a reconciliation of ours.
fn found(asked: &Received, verdict: &str) -> Vec<u8> {
    let (sent, stan) = (asked.text(7), asked.text(11));
    message(
        *b"0530",
        &[(7, &sent), (11, &stan), (39, "00"), (66, verdict)],
    )
}

#[test]
fn an_issuer_is_told_the_totals_of_each_currency_until_it_acknowledges_them() {
    let mut counter = Counter::open("owed", Dialect::ISO87_ASCII, &[]);
    let [today, tomorrow] = days();
    counter.through(&purchase("000001"));
    counter.through(&purchase("000002"));
    counter.through(&with_field(&purchase("000003"), 49, "800"));
    counter.session.send(&reversal("000001", None)).unwrap();
    assert_eq!(counter.session.receive().unwrap().text(39), "00");
    let reversed = counter.asked("0420");
    counter.link.send(&answered(&reversed, "00")).unwrap();

    let cut_over = [
        (7, "0601120000"),
        (11, "000042"),
        (15, tomorrow.as_str()),
        (70, "201"),
    ];
    counter.link.send(&message(*b"0800", &cut_over)).unwrap();
    counter.asked("0810");
    // Of the next day: not told.
    counter.through(&purchase("000004"));

    let first = [counter.asked("0520"), counter.asked("0520")];
    let told = first.each_ref().map(content);
    let of = |currency: &str| told.iter().find(|one| one[3] == currency).unwrap().clone();
    let kes = of("404");
    assert_eq!(kes[2], today);
    let figures = ["2", "1", "3000", "1500"].map(|number| number.parse::<u64>().unwrap());
    let found_in = [6, 5, 11, 10].map(|place| kes[place].parse::<u64>().unwrap());
    assert_eq!(found_in, figures, "debits, and reversals that credit");
    assert_eq!(kes[13], "D0000000000001500");
    assert_eq!(of("800")[13], "D0000000000001500");
    assert_eq!(counter.reconciled("owed"), 2.0);

    // No answer: the same again, as a repeat, also after a kill.
    let again = counter.asked("0521");
    assert!(told.contains(&content(&again)));
    counter = counter.kill_and_start();
    let mut open: Vec<Vec<String>> = told.to_vec();
    while !open.is_empty() {
        let repeat = counter.asked("0521");
        let verdict = if repeat.text(50) == "404" { "1" } else { "2" };
        assert!(told.contains(&content(&repeat)), "nothing of it changes");
        counter.link.send(&found(&repeat, verdict)).unwrap();
        open.retain(|one| *one != content(&repeat));
    }
    counter.await_reconciled("in_balance", 1.0);
    counter.await_reconciled("out_of_balance", 1.0);

    // Acknowledged is acknowledged: the next start owes nothing.
    counter = counter.drain_and_start();
    counter.through(&purchase("000005"));
    assert_eq!(counter.reconciled("owed"), 0.0);
    counter.close();
}

#[test]
fn an_issuer_that_asks_by_itself_is_answered_on_its_link() {
    let never = ("NJIA__ISSUER__BANK__RECON_MTI", "none");
    let mut counter = Counter::open("asks", Dialect::ISO87_ASCII, &[never]);
    counter.through(&purchase("000001"));
    let [today, _] = days();
    let ours = [
        (15, today.as_str()),
        (88, "0000000000001500"),
        (97, "D0000000000001500"),
    ];
    for (mti, answer) in [(*b"0502", "0512"), (*b"0522", "0532"), (*b"0523", "0532")] {
        let stan = if mti == *b"0502" { "000077" } else { "000078" };
        let asks = totals_at(mti, stan, "0601120000", "404", &ours);
        counter.link.send(&asks).unwrap();
        let answer_of = counter.asked(answer);
        assert_eq!(told(&answer_of), says(answer, "00", "1"));
        assert_eq!(
            (answer_of.text(11), answer_of.text(76)),
            (stan.to_owned(), "0000000001".to_owned())
        );
    }
    assert_eq!(
        (
            counter.reconciled("in_balance"),
            counter.reconciled("repeated")
        ),
        (2.0, 1.0)
    );
    counter.close();
}

#[test]
fn an_issuer_of_1993_is_told_in_its_edition() {
    let edition = ("NJIA__ISSUER__BANK__DIALECT", "iso93-ascii");
    let mut counter = Counter::open("issuer-1993", Dialect::ISO93_ASCII, &[edition]);
    counter.through(&purchase("000001"));
    let cut_over = [
        (7, "0601120000"),
        (11, "000042"),
        (12, "260601120000"),
        (24, "821"),
    ];
    counter.link.send(&of_1993(*b"1804", &cut_over)).unwrap();
    counter.asked("1814");
    let first = counter.asked("1520");
    assert_eq!(
        (first.text(24), first.text(88)),
        ("500".to_owned(), "0000000000001500".to_owned())
    );
    let (sent, stan) = (first.text(7), first.text(11));
    let answer = [
        (7, sent.as_str()),
        (11, stan.as_str()),
        (12, "260601120000"),
        (39, "501"),
    ];
    counter.link.send(&of_1993(*b"1530", &answer)).unwrap();
    counter.await_reconciled("out_of_balance", 1.0);
    counter.close();
}

//! Which issuer and which link gets a request, on real sockets: conditions, weights, links that
//! fail, and breakers that ask by echo.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ResponseCode;
use domain::request::Answer;
use domain::time::{TransmissionTime, WallTime};
use iso8583::mti::Class;
use iso8583::{Dialect, FieldIndex, MessageRef, translate};
use loadgen::clock::Clock;
use njia_tests::e2e::session::{framed, message};
use njia_tests::e2e::{Build, Issuers, Node, Session, eventually, folder};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A switch with two issuers, and one session of an acquirer.
struct Scene {
    folder: PathBuf,
    node: Node,
    session: Session,
    stan: u32,
}

impl Scene {
    /// `issuer` goes into the table of each issuer, `routes` are tables of their own.
    fn open(name: &str, addresses: [SocketAddr; 2], issuer: &str, routes: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let state = folder.join("state");
        let config = folder.join("njia.toml");
        let [bank, momo] = addresses;
        let text = format!(
            r#"
[node]
state_dir = "{}"
shards = 1

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[routing]
utc_offset = "+03:00"

[[acquirer]]
name = "acquirer-1"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"

[[issuer]]
name = "bank"
addresses = ["{bank}"]
institution = "100001"
links = 2
{issuer}

[[issuer]]
name = "momo"
addresses = ["{momo}"]
institution = "100002"
links = 2

{routes}
"#,
            state.display()
        );
        fs::write(&config, text).unwrap();
        let key = [("NJIA_TEST_KEY", KEY)];
        let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
        let session = Session::connect(node.listener()).unwrap();
        let scene = Self {
            folder,
            node,
            session,
            stan: 0,
        };
        scene.await_that("all links are up", || {
            scene.node.metric("njia_links", &["state=\"up\""]).unwrap() == 4.0
        });
        scene
    }

    /// Sends a purchase; its response code.
    #[track_caller]
    fn ask(&mut self, account: &str, amount: u64, category: &str) -> String {
        self.stan += 1;
        let purchase = purchase(self.stan, account, amount, category);
        self.session.send(&purchase).unwrap();
        let answer = self.session.receive().unwrap();
        assert_eq!(answer.text(11), format!("{:06}", self.stan));
        answer.text(39)
    }

    /// As [`Scene::ask`] for one that is approved: who approved it.
    #[track_caller]
    fn taken_by(&mut self, account: &str, amount: u64, category: &str) -> &'static str {
        let names = ["bank", "momo"];
        let before = names.map(|name| self.calls(name, "approved"));
        assert_eq!(
            self.ask(account, amount, category),
            "00",
            "{}",
            self.node.log()
        );
        let after = names.map(|name| self.calls(name, "approved"));
        let taken = [after[0] - before[0], after[1] - before[1]];
        assert_eq!(taken[0] + taken[1], 1.0, "one call for one request");
        if taken[0] > 0.0 { names[0] } else { names[1] }
    }

    fn calls(&self, issuer: &str, result: &str) -> f64 {
        let labels = [
            format!("issuer=\"{issuer}\""),
            format!("result=\"{result}\""),
        ];
        let labels = [labels[0].as_str(), labels[1].as_str()];
        self.node
            .metric("njia_issuer_requests_total", &labels)
            .unwrap()
    }

    fn breaker_went(&self, to: &str) -> f64 {
        let labels = ["issuer=\"bank\"", &format!("to=\"{to}\"")];
        self.node
            .metric("njia_breaker_transitions_total", &labels)
            .unwrap()
    }

    #[track_caller]
    fn await_that(&self, what: &str, holds: impl FnMut() -> bool) {
        let in_time = eventually(Duration::from_secs(60), holds);
        assert!(in_time, "{what}:\n{}", self.node.log());
    }

    fn close(self) {
        self.node.settle(Duration::from_secs(60)).unwrap();
        assert!(self.node.terminate().unwrap().success());
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn now() -> WallTime {
    let clock = Clock::start();
    clock.wall(clock.now())
}

fn purchase(stan: u32, account: &str, amount: u64, category: &str) -> Vec<u8> {
    let transmitted = TransmissionTime::at(now()).digits();
    let transmitted = String::from_utf8_lossy(&transmitted).into_owned();
    let (stan, amount) = (format!("{stan:06}"), format!("{amount:012}"));
    let rrn = format!("000000{stan}");
    let fields = [
        (2, account),
        (3, "000000"),
        (4, amount.as_str()),
        (7, transmitted.as_str()),
        (11, stan.as_str()),
        (12, "120000"),
        (13, "0101"),
        (18, category),
        (22, "051"),
        (32, "628123"),
        (37, rrn.as_str()),
        (41, "TERM0001"),
        (42, "MERCHANT0000001"),
        (49, "404"),
    ];
    let present = fields.iter().filter(|(_, value)| !value.is_empty());
    message(*b"0200", &present.copied().collect::<Vec<_>>())
}

fn route(name: &str, prefix: &str, candidates: &str, more: &str) -> String {
    format!(
        "[[route]]\nname = \"{name}\"\nprefixes = [\"{prefix}\"]\ncandidates = {candidates}\n\
         deadline_ms = 5_000\n{more}\n\n"
    )
}

/// Both issuers as the load generator has them.
fn issuers(name: &str) -> (PathBuf, Issuers) {
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), &format!("{name}-issuers"));
    let issuers = Issuers::start(&folder, Duration::from_millis(1)).unwrap();
    (folder, issuers)
}

fn finish((folder, issuers): (PathBuf, Issuers)) {
    issuers.finish().unwrap();
    fs::remove_dir_all(folder).unwrap();
}

/// Two hours around the present one, of clocks that are so many hours ahead of UTC.
fn around_now(ahead: u64) -> String {
    let hour = |from_now: u64| (now().unix_millis() / 3_600_000 + ahead + from_now) % 24;
    // A window that ends at midnight ends at 24:00.
    let (from, to) = (hour(23), (hour(1) + 1));
    format!("times = [\"mon-sun {from:02}:00-{to:02}:00\"]")
}

#[test]
fn category_amount_and_time_choose_the_route() {
    let host = issuers("conditions");
    let routes = [
        route("all", "50", "[\"bank\"]", ""),
        route("fuel", "50", "[\"momo\"]", "categories = [\"5541-5542\"]"),
        route(
            "large",
            "50",
            "[\"momo\"]",
            "currency = \"KES\"\namount_min = 100_000",
        ),
        route("local", "5062", "[\"momo\"]", &around_now(3)),
        route("elsewhere", "5063", "[\"momo\"]", &around_now(12)),
        route("utc", "5064", "[\"momo\"]", &around_now(0)),
    ];
    let mut scene = Scene::open("conditions", host.1.addresses(), "", &routes.concat());
    let (plain, shop) = ("5061001234567890", "5411");
    assert_eq!(scene.taken_by(plain, 99_999, shop), "bank");
    assert_eq!(scene.taken_by(plain, 99_999, "5540"), "bank");
    assert_eq!(scene.taken_by(plain, 99_999, ""), "bank");
    assert_eq!(scene.taken_by(plain, 99_999, "5541"), "momo");
    assert_eq!(scene.taken_by(plain, 99_999, "5542"), "momo");
    assert_eq!(scene.taken_by(plain, 100_000, shop), "momo");
    assert_eq!(scene.taken_by("5062001234567890", 1, shop), "momo", "now");
    assert_eq!(
        scene.taken_by("5063001234567890", 1, shop),
        "bank",
        "not now"
    );
    assert_eq!(
        scene.taken_by("5064001234567890", 1, shop),
        "bank",
        "now in UTC"
    );
    assert_eq!(scene.ask("4111111111111111", 1, shop), "92");
    scene.close();
    finish(host);
}

#[test]
fn fault_042_weights_share_requests_and_what_has_no_link_falls_to_the_rest() {
    let host = issuers("weights");
    let group = "[{ issuer = \"bank\", weight = 70 }, { issuer = \"momo\", weight = 30 }]";
    let routes = route("shared", "50", group, "");
    let mut scene = Scene::open("weights", host.1.addresses(), "", &routes);
    let account = "5061001234567890";
    let mut by_bank = 0;
    for _ in 0..400 {
        by_bank += u32::from(scene.taken_by(account, 1, "") == "bank");
    }
    // Seven tenths of 400 are 280; five standard deviations are 46.
    assert!((234..=326).contains(&by_bank), "{by_bank} of 400");

    let momo = host.1.host.control(Issuers::MOMO);
    momo.refuse_connections(true);
    momo.disconnect();
    let up = |scene: &Scene| {
        let labels = ["issuer=\"momo\"", "state=\"up\""];
        scene.node.metric("njia_links", &labels).unwrap()
    };
    scene.await_that("momo's links are down", || up(&scene) == 0.0);
    for _ in 0..40 {
        assert_eq!(scene.taken_by(account, 1, ""), "bank");
    }
    let bank = host.1.host.control(Issuers::BANK);
    bank.refuse_connections(true);
    bank.disconnect();
    scene.await_that("the bank's links are down", || {
        scene.node.metric("njia_links", &["state=\"up\""]).unwrap() == 0.0
    });
    for _ in 0..5 {
        assert_eq!(scene.ask(account, 1, ""), "91");
    }
    assert_eq!(
        scene.breaker_went("open"),
        0.0,
        "nothing was sent that could fail"
    );
    assert_eq!(scene.node.metric("njia_reversals_total", &[]).unwrap(), 0.0);
    scene.close();
    finish(host);
}

/// Lets the bank fall silent until its breaker has been half open three times; how many requests
/// were spent on it after the breaker had opened first. Then it is well again.
fn spent_on_a_silent_issuer(probe: &str) -> f64 {
    let host = issuers(probe);
    let breaker = format!(
        "[issuer.breaker]\ncalls_min = 3\nopen_ms = 300\nopen_max_ms = 300\nprobes = 2\n\
         probe = \"{probe}\"\necho_timeout_ms = 100"
    );
    let routes = route("cards", "50", "[\"bank\", \"momo\"]", "").replace("5_000", "500");
    let mut scene = Scene::open(probe, host.1.addresses(), &breaker, &routes);
    let account = "5061001234567890";
    assert_eq!(scene.taken_by(account, 1, ""), "bank");
    host.1.host.control(Issuers::BANK).mute(true);
    while scene.breaker_went("open") < 1.0 {
        scene.ask(account, 1, "");
    }
    let opened_at = scene.calls("bank", "timeout");
    while scene.breaker_went("half_open") < 3.0 {
        scene.ask(account, 1, "");
    }
    let spent = scene.calls("bank", "timeout") - opened_at;
    host.1.host.control(Issuers::BANK).mute(false);
    let closes = eventually(Duration::from_secs(60), || {
        scene.ask(account, 1, "");
        scene.breaker_went("closed") >= 1.0
    });
    assert!(closes, "{}", scene.node.log());
    assert_eq!(scene.taken_by(account, 1, ""), "bank");
    scene.close();
    finish(host);
    spent
}

#[test]
fn fault_058_a_silent_issuer_is_asked_by_echo_and_gets_no_request() {
    assert_eq!(spent_on_a_silent_issuer("echo"), 0.0);
    // The same by live probes: what the echo spares.
    assert!(spent_on_a_silent_issuer("live") > 0.0);
}

/// An issuer by hand: of its connections the first one answers network messages alone, the others
/// approve everything.
fn one_line_is_dead() -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let swallowed = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&swallowed);
    std::thread::spawn(move || {
        for (line, stream) in listener.incoming().flatten().enumerate() {
            let swallowed = (line == 0).then(|| Arc::clone(&counter));
            std::thread::spawn(move || serve(stream, swallowed.as_deref()));
        }
    });
    (address, swallowed)
}

fn serve(mut stream: TcpStream, swallowed: Option<&AtomicU32>) -> Option<()> {
    loop {
        let mut len = [0; 2];
        stream.read_exact(&mut len).ok()?;
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut bytes).ok()?;
        let mut index = FieldIndex::new();
        let dialect = Dialect::ISO87_ASCII;
        dialect.parse(&bytes, &mut index).ok()?;
        let message = MessageRef::new(&bytes, &index);
        let mut out = vec![0; 2_048];
        let len = match (message.mti().class(), swallowed) {
            (Class::Network, _) => translate::write_network_answer(dialect, message, &mut out),
            (Class::Financial, Some(swallowed)) => {
                swallowed.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            _ => {
                let approved = Answer::of(ResponseCode::APPROVED);
                translate::write_answer(dialect, message, &approved, &mut out)
            }
        };
        stream.write_all(&framed(out.get(..len.ok()?)?)).ok()?;
    }
}

#[test]
fn a_link_that_swallows_its_calls_is_ejected_beside_one_that_answers() {
    let host = issuers("ejection");
    let (bank, swallowed) = one_line_is_dead();
    let ejection = "[issuer.ejection]\nfailures = 3\neject_ms = 600_000\neject_max_ms = 600_000\n\
                    [issuer.breaker]\nfailure_percent = 100";
    let routes = route("cards", "50", "[\"bank\"]", "");
    let [_, momo] = host.1.addresses();
    let mut scene = Scene::open("ejection", [bank, momo], ejection, &routes);
    let ejected = |scene: &Scene, change: &str| {
        let change = format!("change=\"{change}\"");
        let labels = ["issuer=\"bank\"", change.as_str()];
        scene
            .node
            .metric("njia_link_ejections_total", &labels)
            .unwrap()
    };
    let mut refused = 0;
    while ejected(&scene, "ejected") < 1.0 {
        refused += u32::from(scene.ask("5061001234567890", 1, "") == "91");
        assert!(
            refused <= 4,
            "three in a row are enough:\n{}",
            scene.node.log()
        );
    }
    assert_eq!(refused, 3);
    for _ in 0..100 {
        assert_eq!(scene.ask("5061001234567890", 1, ""), "00");
    }
    assert_eq!(swallowed.load(Ordering::Relaxed), 3);
    assert_eq!(ejected(&scene, "returned"), 0.0);
    assert!(
        scene
            .node
            .log()
            .contains("link keeps failing, it is ejected")
    );
    scene.close();
    finish(host);
}

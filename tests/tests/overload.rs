//! More than the switch takes, from one acquirer or through one queue, on real sockets: what is
//! refused is told so and counted, and others do not feel it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::Clock;
use njia_tests::e2e::memory::MemoryGroup;
use njia_tests::e2e::session::{Session, framed, purchase};
use njia_tests::e2e::{Build, Issuers, Node, alone, eventually, folder};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const LATENCY: Duration = Duration::from_millis(20);

/// A switch with two acquirers, of which one may have few requests in flight.
struct Scene {
    folder: PathBuf,
    node: Node,
    issuers: Issuers,
}

impl Scene {
    fn open(name: &str, share: u32, limits: &str) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let issuers = Issuers::start(&folder, LATENCY).unwrap();
        let state = folder.join("state");
        let config = folder.join("njia.toml");
        fs::write(&config, text(&state, &issuers, share, limits)).unwrap();
        let key = [("NJIA_TEST_KEY", KEY)];
        let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
        Self {
            folder,
            node,
            issuers,
        }
    }

    fn rejected(&self, reason: &str) -> f64 {
        let reason = format!("reason=\"{reason}\"");
        self.node.metric("njia_rejected_total", &[&reason]).unwrap()
    }

    /// What a machine that stands still for a second refuses, whatever else there is room for.
    fn refused_for_the_machine(&self) -> f64 {
        let reasons = [
            "journal_unavailable",
            "shed",
            "undecided",
            "waited_too_long",
        ];
        reasons.map(|reason| self.rejected(reason)).iter().sum()
    }

    fn close(self) {
        self.node.settle(Duration::from_secs(60)).unwrap();
        self.node.check_sums().unwrap();
        self.end();
    }

    /// The same, without what does not add up behind a restart: what it found open was read before.
    fn end(self) {
        self.node.settle(Duration::from_secs(60)).unwrap();
        assert!(self.node.terminate().unwrap().success());
        self.issuers.finish().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn text(state: &Path, issuers: &Issuers, share: u32, limits: &str) -> String {
    let [bank, _] = issuers.addresses();
    format!(
        r#"
[node]
state_dir = "{}"
shards = 2

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[limits]
{limits}

[[acquirer]]
name = "calm"

[[acquirer]]
name = "wild"
inflight_max = {share}

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "calm"

[[listener]]
name = "flood"
address = "127.0.0.1:0"
acquirer = "wild"

[[issuer]]
name = "bank"
addresses = ["{bank}"]
institution = "100001"
links = 2

[[route]]
name = "all"
prefixes = ["50"]
candidates = ["bank"]
deadline_ms = 5_000
"#,
        state.display()
    )
}

/// Answers by code: approved, refused with 96, unknown in time (91), others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    approved: u32,
    refused: u32,
    late: u32,
    others: u32,
}

impl Told {
    fn count(&mut self, code: &str) {
        match code {
            "00" => self.approved += 1,
            "96" => self.refused += 1,
            "91" => self.late += 1,
            _ => self.others += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.approved += other.approved;
        self.refused += other.refused;
        self.late += other.late;
        self.others += other.others;
    }
}

/// Sends purchases without waiting, in bursts, from `first` on; what they were told, each once.
fn flood(listener: &str, first: u32, bursts: u32, goes_on: impl Fn() -> bool) -> (u32, Told) {
    let mut session = Session::connect(listener).unwrap();
    let (mut sent, mut told) = (0, Told::default());
    for burst in 0..bursts {
        if !goes_on() {
            break;
        }
        let stans = (0..BURST).map(|place| first + burst * BURST + place);
        let many: Vec<u8> = stans
            .flat_map(|stan| framed(&purchase(&format!("{stan:06}"))))
            .collect();
        session.send_raw(&many).unwrap();
        sent += BURST;
        let mut answered = BTreeSet::new();
        for _ in 0..BURST {
            let answer = session.receive().unwrap();
            told.count(&answer.text(39));
            answered.insert(answer.text(11));
        }
        let asked = (0..BURST).map(|place| format!("{:06}", first + burst * BURST + place));
        assert!(
            answered.iter().eq(&asked.collect::<Vec<_>>()),
            "{answered:?}"
        );
    }
    (sent, told)
}

/// One purchase after the other; what they were told, and how long each took, ascending.
fn walk(session: &mut Session, first: u32, count: u32) -> (Told, Vec<Duration>) {
    let clock = Clock::start();
    let (mut told, mut took) = (Told::default(), Vec::new());
    for stan in first..first + count {
        let begun = clock.now();
        session.send(&purchase(&format!("{stan:06}"))).unwrap();
        let answer = session.receive().unwrap();
        assert_eq!(answer.text(11), format!("{stan:06}"));
        told.count(&answer.text(39));
        took.push(clock.now().since(begun));
    }
    took.sort_unstable();
    (told, took)
}

/// Walks of `count` each from `first` on, at most `MEASUREMENTS`, until in one of them all were
/// approved. A machine that stands still for a second refuses a few, a switch that has no room for
/// this acquirer refuses some each time. What they were told in all, and how long each took.
fn served(session: &mut Session, first: u32, count: u32) -> Result<(Told, Vec<Duration>), Told> {
    let (mut all, mut times) = (Told::default(), Vec::new());
    for turn in 0..MEASUREMENTS {
        let (told, took) = walk(session, first + turn * count, count);
        all.add(told);
        times.extend(took);
        if told.approved == count {
            times.sort_unstable();
            return Ok((all, times));
        }
    }
    Err(all)
}

/// One acquirer floods: it is refused beyond its share, counted by a reason of its own, and nobody
/// else is. How much slower the others are is printed, as the machine is shared.
#[test]
fn fault_087_one_acquirer_floods_and_another_is_not_refused() {
    let _machine = alone();
    let scene = Scene::open("flood", 16, WIDE);
    let calm = scene.node.listener().to_owned();
    let wild = scene.node.listener_named("flood").to_owned();
    let mut session = Session::connect(&calm).unwrap();
    let (before, alone_took) = served(&mut session, 1, CALM).unwrap();

    let goes_on = AtomicBool::new(true);
    let (flooded, among) = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..2)
            .map(|of| {
                let (wild, goes_on) = (&wild, &goes_on);
                let is_wanted = || goes_on.load(Ordering::Relaxed);
                scope.spawn(move || flood(wild, 1 + of * 400_000, 1_500, is_wanted))
            })
            .collect();
        let among = served(&mut session, 10_000, CALM);
        goes_on.store(false, Ordering::Relaxed);
        let flooded: Vec<(u32, Told)> = floods
            .into_iter()
            .map(|flood| flood.join().unwrap())
            .collect();
        (flooded, among)
    });
    println!("{among:?} beside {flooded:?}");
    let (among, took) = among.unwrap();
    let sent: u32 = flooded.iter().map(|(sent, _)| sent).sum();
    let refused: u32 = flooded.iter().map(|(_, told)| told.refused).sum();
    let approved: u32 = flooded.iter().map(|(_, told)| told.approved).sum();
    assert_eq!(sent, refused + approved, "each is answered, with 00 or 96");
    assert!(refused > 0 && approved > 0, "{flooded:?}");
    let full = scene.rejected("acquirer_full");
    assert!(full > 0.0, "{flooded:?}");
    assert_eq!(
        full + scene.refused_for_the_machine(),
        f64::from(before.refused + among.refused + refused)
    );
    let p99 = |took: &[Duration]| took[took.len() * 99 / 100];
    let (alone, among) = (p99(&alone_took), p99(&took));
    println!(
        "p99 of the calm one: {alone:?} alone, {among:?} beside {sent} of a flood, of which {} % \
         are refused: ratio {:.2}",
        refused * 100 / sent.max(1),
        among.as_secs_f64() / alone.as_secs_f64(),
    );
    served(&mut session, 20_000, 10).unwrap();
    let (sent, told) = flood(&wild, 900_000, 1, || true);
    assert_eq!(sent, told.approved + told.refused, "it is served again");
    scene.close();
}

/// Sessions that come and go do not have more in flight than one that stays.
#[test]
fn fault_087_whoever_connects_anew_gets_no_more_of_its_share() {
    let _machine = alone();
    let scene = Scene::open("anew", 4, WIDE);
    let wild = scene.node.listener_named("flood").to_owned();
    scene.issuers.host.control(Issuers::BANK).freeze(true);
    for of in 0..8 {
        let mut session = Session::connect(&wild).unwrap();
        let many: Vec<u8> = (1..=4)
            .flat_map(|stan| framed(&purchase(&format!("{:06}", of * 10 + stan))))
            .collect();
        session.send_raw(&many).unwrap();
        // The second session and all after it are told so; then they go.
        let more = framed(&purchase(&format!("{:06}", of * 10 + 9)));
        session.send_raw(&more).unwrap();
        if of > 3 {
            assert_eq!(session.receive().unwrap().text(39), "96");
        }
    }
    let inflight = scene.node.metric("njia_inflight_transactions", &[]);
    assert!(inflight.unwrap() <= 4.0, "its share is 4 over both shards");
    scene.issuers.host.control(Issuers::BANK).freeze(false);
    scene.close();
}

/// The queue between two shards is full, both ways at once: what is new is refused, what is under
/// way arrives.
#[test]
fn fault_095_a_full_mesh_refuses_what_is_new_and_loses_nothing() {
    let _machine = alone();
    let limits = format!("{WIDE}\nmesh_messages_max = 16");
    let scene = Scene::open("mesh", 1_000_000, &limits);
    let calm = scene.node.listener().to_owned();
    let wild = scene.node.listener_named("flood").to_owned();
    let flooded: Vec<(u32, Told)> = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|of| {
                let listener = if of % 2 == 0 { &calm } else { &wild };
                scope.spawn(move || flood(listener, 1 + of * 200_000, 10, || true))
            })
            .collect();
        let joined = floods.into_iter().map(|flood| flood.join().unwrap());
        joined.collect()
    });
    for (sent, told) in &flooded {
        assert_eq!(*sent, told.approved + told.refused, "{told:?}");
    }
    let refused: u32 = flooded.iter().map(|(_, told)| told.refused).sum();
    let full = scene.rejected("mesh_full");
    assert!(full > 0.0, "the mesh was never full");
    assert_eq!(full + scene.refused_for_the_machine(), f64::from(refused));
    let mut session = Session::connect(&calm).unwrap();
    served(&mut session, 990_000, 20).unwrap();
    scene.close();
}

/// A session whose acquirer takes no answers is closed at the bound of its queue; nobody else
/// notices, and what it was not told is kept for its repeat.
#[test]
fn fault_071_an_acquirer_that_never_reads_is_closed_and_nothing_is_lost() {
    let _machine = alone();
    // Beyond the first request nearly all is refused, which makes answers without any issuer.
    let limits = "session_inflight_max = 1\nrequest_wait_max_ms = 10\n\
                  out_queue_bytes_max = 16_384";
    let scene = Scene::open("deaf", 1_000_000, limits);
    let calm = scene.node.listener().to_owned();
    let first = purchase("000001");
    let mut deaf = Session::connect(&calm).unwrap();
    deaf.read_little().unwrap();
    deaf.send(&first).unwrap();
    let mut session = Session::connect(&calm).unwrap();
    served(&mut session, 700_000, 1).unwrap();
    // Its first one is approved by now. Until its connection is closed: what the two kernels hold
    // comes first.
    let many: Vec<u8> = (2..500)
        .flat_map(|stan| framed(&purchase(&format!("{stan:06}"))))
        .collect();
    let is_closed = (0..1_000).any(|_| deaf.send_raw(&many).is_err());
    assert!(is_closed, "{}", scene.node.log());
    served(&mut session, 710_000, 1).unwrap();
    let closed = scene
        .node
        .metric("njia_session_closes_total", &["slow_reader"]);
    assert_eq!(closed.unwrap(), 1.0);
    let stored = || {
        let repeats = scene.node.metric("njia_repeats_total", &["\"stored\""]);
        repeats.unwrap()
    };
    let before = stored();
    let repeat = [b"0201", &first[4..]].concat();
    let mut again = || {
        session.send(&repeat).unwrap();
        session.receive().unwrap().text(39)
    };
    // 96 says that this copy has waited for too long.
    let told = (0..100).map(|_| again()).find(|code| code != "96");
    assert_eq!(told.as_deref(), Some("00"));
    assert_eq!(stored(), before + 1.0, "it was kept, not asked for again");
    scene.close();
}

/// A frame that has begun must end: a session that stops in the middle is closed when its time is
/// over, and nothing is remembered of it.
#[test]
fn fault_074_a_cut_frame_and_silence_close_the_session_at_the_deadline() {
    let _machine = alone();
    let limits = "frame_deadline_ms = 300";
    let scene = Scene::open("cut", 1_000_000, limits);
    let request = framed(&purchase("000001"));
    for cut in [1, 2, 3, request.len() / 2, request.len() - 1] {
        let mut session = Session::connect(scene.node.listener()).unwrap();
        session.send_raw(&request[..cut]).unwrap();
        session
            .is_closed()
            .unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
    }
    let closed = scene
        .node
        .metric("njia_session_closes_total", &["deadline"]);
    assert_eq!(closed.unwrap(), 5.0);
    let requests = scene.node.metric("njia_requests_total", &[]);
    assert_eq!(requests.unwrap(), 0.0);
    let mut session = Session::connect(scene.node.listener()).unwrap();
    session.send_raw(&request).unwrap();
    assert_eq!(
        session.receive().unwrap().text(39),
        "00",
        "it was never seen"
    );
    scene.close();
}

/// Others take the core of one shard: each request is told once, by whichever shard, what cannot be
/// served in time is refused, and the process goes on. Its turns are so long then that it is never
/// idle.
#[test]
fn fault_094_a_core_that_is_taken_away_slows_and_loses_nothing() {
    let _machine = alone();
    let scene = Scene::open("neighbour", 1_000_000, SLOW);
    let calm = scene.node.listener().to_owned();
    let wild = scene.node.listener_named("flood").to_owned();
    let own = sched_getaffinity(None).unwrap();
    let core = (0..CpuSet::MAX_CPU).filter(|core| own.is_set(*core)).nth(1);
    let Some(core) = core else {
        let mut told = std::io::stderr().lock();
        writeln!(
            told,
            "NOT CHECKED: a core of one shard alone needs two cores"
        )
        .unwrap();
        return scene.close();
    };
    let goes_on = AtomicBool::new(true);
    let flooded: Vec<(u32, Told)> = std::thread::scope(|scope| {
        for _ in 0..NEIGHBOURS {
            scope.spawn(|| {
                let mut only = CpuSet::new();
                only.set(core);
                sched_setaffinity(None, &only).unwrap();
                while goes_on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let floods: Vec<_> = (0..4)
            .map(|of| {
                let listener = if of % 2 == 0 { &calm } else { &wild };
                scope.spawn(move || flood(listener, 1 + of * 200_000, 8, || true))
            })
            .collect();
        let joined = floods.into_iter().map(|flood| flood.join());
        let joined: Vec<_> = joined.collect();
        goes_on.store(false, Ordering::Relaxed);
        joined.into_iter().map(|flood| flood.unwrap()).collect()
    });
    for (sent, told) in &flooded {
        // A bank that is too slow for its deadline is told as 91, which is no fault of the switch.
        assert_eq!(*sent, told.approved + told.refused + told.late, "{told:?}");
    }
    println!("beside {NEIGHBOURS} neighbours on core {core}: {flooded:?}");
    let mut session = Session::connect(&calm).unwrap();
    // What the flood has left behind is at its end first.
    scene.node.settle(Duration::from_secs(60)).unwrap();
    let mut stan = 990_000;
    let is_served = || {
        stan += 1;
        walk(&mut session, stan, 1).0.approved == 1
    };
    assert!(eventually(Duration::from_secs(60), is_served));
    scene.close();
}

/// There is little memory left, and a flood: what the switch takes has its bounds, so that it needs
/// no more of it for more requests.
#[test]
fn fault_090_a_flood_takes_no_more_memory_than_is_left() {
    let _machine = alone();
    let Some(group) = MemoryGroup::new("flood").unwrap() else {
        return;
    };
    let limits = format!("{SLOW}\ntransactions_max = 20_000");
    let scene = Scene::open("memory", 1_000_000, &limits);
    let calm = scene.node.listener().to_owned();
    let mut session = Session::connect(&calm).unwrap();
    let (before, _) = walk(&mut session, 1, 20);
    assert_eq!(before.approved, 20);
    group.take(scene.node.pid(), MEMORY_LEFT).unwrap();
    let flooded: Vec<(u32, Told)> = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|of| {
                let calm = &calm;
                scope.spawn(move || flood(calm, 1_000 + of * 200_000, 40, || true))
            })
            .collect();
        let joined = floods.into_iter().map(|flood| flood.join().unwrap());
        joined.collect()
    });
    for (sent, told) in &flooded {
        assert_eq!(*sent, told.approved + told.refused + told.late, "{told:?}");
    }
    println!("{} bytes more for {flooded:?}", group.peak().unwrap());
    assert_eq!(group.kills().unwrap(), 0);
    scene.close();
}

/// There is no memory left at all: the kernel ends the process, and the next start knows what was
/// told.
#[test]
fn fault_090_whom_the_kernel_ends_has_lost_nothing() {
    let _machine = alone();
    let Some(group) = MemoryGroup::new("killed").unwrap() else {
        return;
    };
    let scene = Scene::open("killed", 1_000_000, SLOW);
    let mut session = Session::connect(scene.node.listener()).unwrap();
    group.take(scene.node.pid(), NO_MEMORY).unwrap();
    let mut told = Vec::new();
    for stan in 1..=TRIED_MAX {
        let stan = format!("{stan:06}");
        let request = purchase(&stan);
        let sent = session.send(&request);
        match sent.and_then(|()| session.receive()) {
            Ok(answer) => told.push((request, [39, 38].map(|field| answer.text(field)))),
            Err(_) => break,
        }
    }
    let Scene {
        folder,
        mut node,
        issuers,
    } = scene;
    let mut status = None;
    let has_ended = eventually(Duration::from_secs(60), || {
        status = node.ended().unwrap();
        status.is_some()
    });
    assert!(has_ended, "{} bytes were enough", group.peak().unwrap());
    assert_eq!(status.and_then(|status| status.signal()), Some(KILLED));
    assert!(group.kills().unwrap() > 0);
    drop((node, group));
    let key = [("NJIA_TEST_KEY", KEY)];
    let (config, state) = (folder.join("njia.toml"), folder.join("state"));
    let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
    let scene = Scene {
        folder,
        node,
        issuers,
    };
    let mut session = Session::connect(scene.node.listener()).unwrap();
    let is_told = |code: &str| code != "96";
    for (request, first) in told.iter().filter(|(_, [code, _])| is_told(code)) {
        let repeat = [b"0201", &request[4..]].concat();
        session.send(&repeat).unwrap();
        let answer = session.receive().unwrap();
        let again = [39, 38].map(|field| answer.text(field));
        assert_eq!(
            again,
            *first,
            "{}: its DE38 says that it was kept",
            answer.text(11)
        );
    }
    println!("{} were told before the end", told.len());
    scene.end();
}

/// Nothing is closed for being slow, which is the machine's part.
const SLOW: &str = "session_inflight_max = 65_536\nframe_deadline_ms = 60_000";
/// Busy threads on the core of one shard.
const NEIGHBOURS: usize = 3;
/// What a flood of 32,000 requests may take beside what was there before it. It is more than the
/// table of transactions holds.
const MEMORY_LEFT: u64 = 192 << 20;
/// Less than the first few hundred requests take.
const NO_MEMORY: u64 = 256 << 10;
/// Requests until a process without memory has ended, at most.
const TRIED_MAX: u32 = 200_000;
/// SIGKILL.
const KILLED: i32 = 9;
/// No session is held back by its own share.
///
/// Shares are what is looked at: a machine that stands still for 100 ms is no reason to refuse.
const WIDE: &str = "session_inflight_max = 65_536\nrequest_wait_max_ms = 60_000";
/// So often at most until one is without a refusal.
const MEASUREMENTS: u32 = 5;
/// Purchases of the calm acquirer in one measurement.
const CALM: u32 = 200;
/// Requests that are sent before the first answer is read.
const BURST: u32 = 200;

//! PostgreSQL away under load, and more load than the switch holds.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use loadgen::verify::{Inputs, audit};
use njia_tests::e2e::{
    Build, Issuers, Load, LoadReport, Node, alone, concatenated, eventually, folder, pause,
};
use njia_tests::postgres::{Cluster, Stop};

const SCHEMA: &str = "njia_outage";

fn load(rate: u32, duration: &str, seed: u64) -> Load {
    Load {
        rate,
        duration: duration.to_owned(),
        warmup: "1s".to_owned(),
        timeout: "5s".to_owned(),
        seed,
        connections: 16,
        more: Vec::new(),
    }
}

#[test]
fn postgres_away_for_half_a_minute_is_not_noticed_and_made_up_for() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "postgres-outage");
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let issuers = Issuers::start(&folder, Duration::from_millis(10)).unwrap();
    let environment = [
        ("NJIA__POSTGRES__URL", url.as_str()),
        ("NJIA__POSTGRES__SCHEMA", SCHEMA),
        ("NJIA__POSTGRES__MIGRATE", "true"),
        // A machine that stands still for 100 ms refuses requests, whatever PostgreSQL does.
        ("NJIA__LIMITS__REQUEST_WAIT_MAX_MS", "60000"),
    ];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
    let running = load(1_000, "38s", 21)
        .start(node.listener(), &folder.join("load"))
        .unwrap();
    let applied = || {
        node.metric("njia_applier_rows_total", &["inserted"])
            .unwrap()
    };
    assert!(
        eventually(Duration::from_secs(60), || applied() > 500.0),
        "{}",
        node.log()
    );

    cluster.stop(Stop::Immediate).unwrap();
    pause(Duration::from_secs(30));
    cluster.resume().unwrap();
    let report = running.finish().unwrap();
    println!("{}", report.printed);
    report.check_refusals(&node);

    node.settle(Duration::from_secs(60)).unwrap();
    node.check_metrics().unwrap();
    let lag = || node.metric("njia_applier_lag_records", &[]).unwrap();
    assert!(
        eventually(Duration::from_secs(180), || lag() == 0.0),
        "lag {}\n{}",
        lag(),
        node.log()
    );
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    let database = Some((url, SCHEMA.to_owned()));
    let found = audit(&Inputs {
        acks: report.acks,
        gateway: None,
        journal,
        ledgers,
        database,
    })
    .unwrap();
    println!("{found}");
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&folder).unwrap();
}

//= docs/rules.md#R-07
/// What the switch holds is made small by its own bound, so that the generator, which shares the
/// cores, can offer three times as much: 100 in flight on each of two shards at 50 ms is 4,000 a
/// second at the most.
#[test]
fn three_times_the_load_it_holds_costs_no_goodput_and_no_memory() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "overload");
    let issuers = Issuers::start(&folder, Duration::from_millis(50)).unwrap();
    let environment = [
        ("NJIA__LIMITS__INFLIGHT_MAX", "100"),
        ("NJIA__NODE__SHARDS", "2"),
    ];
    let state = folder.join("state");
    let node = Node::start(Build::Product, &state, issuers.addresses(), &environment).unwrap();
    let mut offers = Offers {
        node: &node,
        folder: &folder,
        made: Vec::new(),
        grown_kib: Vec::new(),
    };
    // What a switch has that was asked for something.
    offers.offer(1_000, "2s");
    offers.judged(Offers::overload);
    offers.judged(Offers::calm);
    // Each load by itself, however often the machine had one made again: what the switch remembers
    // of 24,000 transactions. A queue of all that was refused in 6 s would be some 100 MiB.
    let Offers {
        made, grown_kib, ..
    } = offers;
    let (_, loaded) = grown_kib.split_first().unwrap();
    println!("memory grew by {grown_kib:?} KiB");
    assert!(
        loaded.iter().all(|grown| *grown < 48 * 1024),
        "memory grew by {grown_kib:?} KiB"
    );
    node.settle(Duration::from_secs(60)).unwrap();
    node.check_metrics().unwrap();
    let rejected = |reason| node.metric("njia_rejected_total", &[reason]).unwrap();
    let told: f64 = made.iter().map(|report| report.told("96").unwrap()).sum();
    let reasons = [
        "inflight_full",
        "session_full",
        "queue_full",
        "shed",
        "waited_too_long",
        "journal_unavailable",
        "undecided",
        "mesh_full",
    ];
    let refused: f64 = reasons.into_iter().map(rejected).sum();
    // A repeat that caught up with its request shares a line with it; of 100 messages one repeats.
    let shared = refused - told;
    assert!(
        (0.0..=0.01 * told).contains(&shared),
        "each 96 came before any intent: {refused} refused, {told} told"
    );
    let journal = node.journal().to_owned();
    assert!(node.terminate().unwrap().success());
    let ledgers = issuers.ledgers();
    issuers.finish().unwrap();
    let acks: Vec<_> = made.into_iter().map(|report| report.acks).collect();
    let found = audit(&Inputs {
        acks: concatenated(&folder, &acks).unwrap(),
        gateway: None,
        journal,
        ledgers,
        database: None,
    });
    let found = found.unwrap();
    assert!(found.passed(), "{found}");
    fs::remove_dir_all(&folder).unwrap();
}

/// Loads one after the other against one switch, all of them kept for the audit.
struct Offers<'n> {
    node: &'n Node,
    folder: &'n Path,
    made: Vec<LoadReport>,
    /// By how much the most memory that the switch ever had grew in each.
    grown_kib: Vec<u64>,
}

impl Offers<'_> {
    /// A measurement. One that the generator calls invalid, because the machine kept it from
    /// offering in time, is made again; what it was told is audited all the same. `None` when all
    /// were invalid.
    fn offer(&mut self, rate: u32, duration: &str) -> Option<&LoadReport> {
        for _ in 0..MEASUREMENTS_MAX {
            let seed = 31 + self.made.len() as u64;
            let files = self.folder.join(format!("load-{seed}"));
            let before = self.node.peak_resident_kib().unwrap();
            let running = load(rate, duration, seed).start(self.node.listener(), &files);
            let report = running.unwrap().finish().unwrap();
            let after = self.node.peak_resident_kib().unwrap();
            self.grown_kib.push(after.saturating_sub(before));
            println!("{}", report.printed);
            let valid = report.exit != Some(INVALID);
            self.made.push(report);
            if valid {
                return self.made.last();
            }
        }
        None
    }

    /// Repeats a measurement that is not as it should be, since the machine may have stood still in
    /// it; what the switch does wrong, it does each time.
    fn judged(&mut self, measure: fn(&mut Self) -> Option<Result<(), String>>) {
        let mut last = String::new();
        for _ in 0..MEASUREMENTS_MAX {
            match measure(self) {
                Some(Ok(())) => return,
                Some(Err(why)) => last = why,
                None => {
                    let mut told = std::io::stderr().lock();
                    writeln!(told, "NOT JUDGED: the machine has no time for this load").unwrap();
                    return;
                }
            }
            println!("{last}");
        }
        panic!("each time: {last}");
    }

    /// What is beyond what it holds is refused at once; what it holds, it goes on holding.
    fn overload(&mut self) -> Option<Result<(), String>> {
        // A fifth more than the bound allows: what is answered is the most that it holds.
        let capacity = self.offer(5_000, "4s")?.number("/goodput_per_s");
        let overloaded = self.offer(thrice(capacity), "6s")?;
        let [goodput, refused, lost, p99] =
            ["/goodput_per_s", "/refused", "/timeout", "/service/p99_us"]
                .map(|name| overloaded.number(name));
        let good = goodput >= 0.8 * capacity && refused > 0.0 && lost == 0.0 && p99 < 400_000.0;
        let why = format!(
            "goodput {goodput} of {capacity}, {refused} refused, {lost} without an answer, \
             p99 {p99} us"
        );
        Some(good.then_some(()).ok_or(why))
    }

    /// Latency is normal again.
    fn calm(&mut self) -> Option<Result<(), String>> {
        // Judged from its second second on.
        let calm = self.offer(1_000, "4s")?;
        let normal = calm.number("/response/p99_us") < 400_000.0;
        let few = calm.number("/refused") < 0.05 * calm.number("/sent");
        Some(
            (normal && few)
                .then_some(())
                .ok_or_else(|| calm.printed.clone()),
        )
    }
}

/// So often at most.
const MEASUREMENTS_MAX: usize = 3;
/// The exit code of a run that the generator itself cannot vouch for.
const INVALID: i32 = 98;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of a test is small and positive"
)]
fn thrice(per_second: f64) -> u32 {
    (3.0 * per_second) as u32
}

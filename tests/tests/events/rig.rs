//! A cluster of librdkafka's mock brokers on real ports, a publisher on a thread of its own, and
//! the receiver that every test asks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::ids::NodeId;
use domain::time::Instant;
use njia_tests::e2e::eventually;
use persistence::applier::{Backoff, Names};
use persistence::events::{Access, EventSettings, Publisher, Reason, Status, event_type};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::log::Log;

pub const TOPIC: &str = "njia.events";
pub const PARTITIONS: i32 = 4;
/// No condition of these tests takes longer on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Three brokers and a topic.
pub struct Cluster(pub MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    pub fn start() -> Self {
        let mock = MockCluster::new(3).unwrap();
        mock.create_topic(TOPIC, PARTITIONS, 3).unwrap();
        Self(mock)
    }

    pub fn brokers(&self) -> String {
        self.0.bootstrap_servers()
    }

    /// Everything in the topic, partition after partition.
    pub fn read(&self) -> Vec<Seen> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .set("group.id", "inside")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut seen = Vec::new();
        for partition in 0..PARTITIONS {
            let (low, high) = consumer
                .fetch_watermarks(TOPIC, partition, PATIENCE)
                .unwrap();
            if low < high {
                read_partition(&consumer, partition, high, &mut seen);
            }
        }
        seen
    }
}

fn read_partition(consumer: &BaseConsumer, partition: i32, high: i64, seen: &mut Vec<Seen>) {
    let mut places = TopicPartitionList::new();
    places
        .add_partition_offset(TOPIC, partition, Offset::Beginning)
        .unwrap();
    consumer.assign(&places).unwrap();
    loop {
        let message = consumer.poll(PATIENCE).expect("it reads on").unwrap();
        let headers = message.headers().expect("an event has headers");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        seen.push(Seen {
            partition,
            key: text(message.key().unwrap()),
            timestamp: message.timestamp().to_millis().unwrap(),
            headers: headers
                .iter()
                .map(|header| (header.key.to_owned(), text(header.value.unwrap())))
                .collect(),
            value: text(message.payload().unwrap()),
        });
        if message.offset() + 1 >= high {
            return;
        }
    }
}

/// A message as a receiver gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub partition: i32,
    pub key: String,
    pub timestamp: i64,
    pub headers: BTreeMap<String, String>,
    pub value: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.value).unwrap()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }
}

/// The ids of what journals hold and a topic must have.
pub fn expected(logs: &[&Log]) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for log in logs {
        log.each(|lsn, record| {
            if event_type(record).is_some() {
                ids.insert(format!("{}-{}-{lsn}", log.journal, log.shard));
            }
        });
    }
    ids
}

/// Nothing is missing and nothing came from elsewhere; repeats say the same; and without repeats
/// the events of each partition, and so of each key, are in the order of their records: the highest
/// LSN tells a receiver of a partition what is new. Returns how many repeats there were.
#[track_caller]
pub fn check(seen: &[Seen], expected: &BTreeSet<String>) -> usize {
    let mut first: BTreeMap<String, &Seen> = BTreeMap::new();
    let mut highest: BTreeMap<(i32, String), u64> = BTreeMap::new();
    let mut partitions: BTreeMap<&str, i32> = BTreeMap::new();
    let mut repeats = 0;
    for message in seen {
        let json = message.json();
        let id = message.id();
        check_envelope(message, &json);
        let partition = *partitions.entry(&message.key).or_insert(message.partition);
        assert_eq!(partition, message.partition, "a key stays where it is");
        let lsn = json["lsn"].as_u64().unwrap();
        let writer = format!("{} {}", json["journal"], json["shard"]);
        let highest = highest.entry((partition, writer)).or_default();
        if let Some(known) = first.insert(id, message) {
            assert_eq!(known, message, "a repeat says the same");
            assert!(lsn <= *highest, "a repeat only goes back");
            repeats += 1;
            continue;
        }
        let key = &message.key;
        assert!(lsn > *highest, "key {key}: {lsn} came after {highest}");
        *highest = lsn;
    }
    let ids: BTreeSet<String> = first.into_keys().collect();
    let missing: Vec<_> = expected.difference(&ids).take(5).collect();
    assert!(
        missing.is_empty(),
        "of {} missing: {missing:?}",
        expected.len()
    );
    let invented: Vec<_> = ids.difference(expected).take(5).collect();
    assert!(invented.is_empty(), "invented: {invented:?}");
    repeats
}

/// Headers and key say what the value says.
#[track_caller]
pub fn check_envelope(message: &Seen, json: &Value) {
    let header = |name: &str| message.headers[name].as_str();
    assert_eq!(header("event-type"), json["type"]);
    assert_eq!(header("event-id"), json["id"]);
    assert_eq!(header("transaction-id"), json["transaction"]);
    assert_eq!(header("schema-version"), "1");
    assert_eq!(json["version"], 1);
    assert_eq!(message.key, json["shard_key"].to_string());
}

/// Of node 1, with short waits.
pub fn settings(brokers: String, root: &Path) -> EventSettings {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    EventSettings {
        node: NodeId(1),
        brokers,
        topic: TOPIC.to_owned(),
        access: Access::default(),
        names: Names {
            acquirers: names(&["terminals", "mobile"]),
            issuers: names(&["bank", "momo"]),
            routes: names(&["cards"]),
        },
        root: root.to_owned(),
        inflight_max: 500,
        backoff: Backoff {
            first: Duration::from_millis(1),
            max: Duration::from_millis(20),
            pause: Duration::from_millis(20),
        },
        seed: 7,
        save_every: Duration::ZERO,
        poll: Duration::from_millis(1),
        drain: PATIENCE,
        clock,
    }
}

pub fn clock() -> Instant {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    Instant::from_nanos(u64::try_from(start.elapsed().as_nanos()).unwrap())
}

/// A publisher at work.
pub struct Running {
    pub status: Arc<Status>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    pub fn start(settings: EventSettings, logs: &[&Log]) -> Self {
        let journals = logs.iter().map(|log| log.journal()).collect();
        let publisher = Publisher::new(settings, journals);
        let status = publisher.status();
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || publisher.run(&stopped));
        Self {
            status,
            stop,
            thread,
        }
    }

    /// Lets it catch up and ends it.
    pub fn finish(self) {
        drop(self.stop);
        self.thread.join().unwrap();
        for lane in self.status.lanes() {
            assert_eq!((lane.lag_records(), lane.oldest_unpublished()), (0, None));
            assert_eq!(lane.watermark(), lane.published(), "it is saved");
        }
        assert_eq!(self.status.inflight(), 0);
    }

    /// Ends it, whatever is left to do.
    pub fn abandon(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }

    #[track_caller]
    pub fn await_that(&self, what: &str, mut found: impl FnMut(&Status) -> bool) {
        let waited = eventually(PATIENCE, || found(&self.status));
        assert!(waited, "never: {what}; {:?}", self.status);
    }

    /// Waits until something has failed for this reason.
    #[track_caller]
    pub fn await_failure(&self, reason: Reason) {
        self.await_that(reason.as_str(), |status| status.failures(reason) > 0);
    }

    /// Waits until everything durable is published and saved.
    #[track_caller]
    pub fn await_all(&self, logs: &[&Log]) {
        self.await_that("all is published", |status| {
            let mut lanes = status.lanes().iter().zip(logs);
            lanes.all(|(lane, log)| lane.watermark() == log.durable())
        });
    }
}

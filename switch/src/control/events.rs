//! Starts the publisher of events: waits until every journal is open, then publishes.
//!
//! It has a thread of its own, since reading cold segments, saving the watermark and ending a
//! producer block: neither the applier nor the admin listener waits for that.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::ids::ShardId;
use persistence::applier::{Backoff, Identity, TlsFiles};
use persistence::events::{
    Access, EventSettings, LaneStatus, Mechanism, Publisher, Reason, Sasl, Status,
};

use super::applier::{Journals, monotonic, names, open_journals, source};
use super::shared::Shared;
use super::sources::{age, per_shard};
use crate::clock::Clock;
use crate::config::{Config, Kafka, KafkaMechanism, KafkaSasl, KafkaTls};
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::FamilyId;

/// The running publisher.
#[derive(Debug)]
pub(super) struct Events {
    /// Its end is the signal to stop.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What it has told, once it runs.
pub(super) type EventsStatus = Arc<OnceLock<Arc<Status>>>;

impl Events {
    /// Starts the thread; `None` where no events are asked for.
    pub(super) fn start(
        config: &Arc<Config>,
        shared: &Arc<Shared>,
        journals: Journals,
        status: EventsStatus,
    ) -> std::io::Result<Option<Self>> {
        let Some(kafka) = &config.kafka else {
            return Ok(None);
        };
        let settings = settings(config, kafka);
        let shared = Arc::clone(shared);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || publish(settings, &shared, &journals, &status, &stopped))?;
        Ok(Some(Self { stop, thread }))
    }

    /// Lets it catch up, but not for long, and waits for its end.
    pub(super) fn finish(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the events thread has panicked");
        }
    }
}

fn publish(
    settings: EventSettings,
    shared: &Shared,
    journals: &Journals,
    status: &OnceLock<Arc<Status>>,
    stop: &Receiver<()>,
) {
    while shared.positions().is_none() {
        if stop.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
    let publisher = Publisher::new(settings, open_journals(shared, journals));
    drop(status.set(publisher.status()));
    publisher.run(stop);
}

fn settings(config: &Config, kafka: &Kafka) -> EventSettings {
    // The low half of a random number is as good a seed as any.
    let (_, seed) = uuid::Uuid::new_v4().as_u64_pair();
    EventSettings {
        node: config.node.id,
        brokers: kafka.brokers.join(","),
        topic: kafka.topic.clone(),
        access: Access {
            tls: kafka.tls.as_ref().map(tls),
            sasl: kafka.sasl.as_ref().map(sasl),
        },
        names: names(config),
        root: config.journal.dir.clone(),
        inflight_max: kafka.inflight_max,
        backoff: Backoff::STANDARD,
        seed,
        save_every: SAVE_EVERY,
        poll: POLL,
        drain: DRAIN,
        clock: monotonic,
    }
}

fn tls(tls: &KafkaTls) -> TlsFiles {
    let identity = tls.identity.as_ref();
    TlsFiles {
        trust: tls.trust.clone(),
        identity: identity.map(|(certificates, key)| Identity {
            certificates: certificates.clone(),
            key: key.clone(),
        }),
    }
}

fn sasl(sasl: &KafkaSasl) -> Sasl {
    Sasl {
        mechanism: match sasl.mechanism {
            KafkaMechanism::Plain => Mechanism::Plain,
            KafkaMechanism::ScramSha256 => Mechanism::ScramSha256,
            KafkaMechanism::ScramSha512 => Mechanism::ScramSha512,
        },
        username: sasl.username.clone(),
        password: source(&sasl.password),
    }
}

/// The publisher, once it runs; before that its families tell nothing but zeros.
#[derive(Clone, Debug)]
pub(super) struct EventsSource {
    pub(super) status: EventsStatus,
    pub(super) clock: Clock,
}

impl Source for EventsSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let status = self.status.get()?;
        Some(match family {
            FamilyId::EventsPublished => vec![Sample::number(status.published())],
            FamilyId::EventsInflight => vec![Sample::number(status.inflight())],
            FamilyId::EventsFailures => {
                let reason = |reason: &Reason| {
                    let label = vec![("reason", reason.as_str().to_owned())];
                    Sample::labelled(label, status.failures(*reason))
                };
                Reason::ALL.iter().map(reason).collect()
            }
            FamilyId::EventsLagRecords => per_shard(
                of_lanes(status, LaneStatus::lag_records),
                u64::saturating_add,
            ),
            FamilyId::EventsLag => {
                let now = self.clock.wall();
                let oldest =
                    |lane: &LaneStatus| lane.oldest_unpublished().map_or(0, |at| age(now, at));
                per_shard(of_lanes(status, oldest), u64::max)
            }
            FamilyId::EventsWatermark => {
                per_shard(of_lanes(status, |lane| lane.watermark().0), |_, live| live)
            }
            _ => return None,
        })
    }
}

fn of_lanes(
    status: &Status,
    value: impl Fn(&LaneStatus) -> u64,
) -> impl Iterator<Item = (ShardId, u64)> {
    let lanes = status.lanes().iter();
    lanes.map(move |lane| (lane.shard, value(lane)))
}

/// How often the durable positions are read while nothing is due, and journals looked for while the
/// switch starts.
const POLL: Duration = Duration::from_millis(20);
/// How often the watermark is written while it moves.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How long the publisher may catch up after the last shard has ended.
const DRAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names::EVENT_FAILURES;

    #[test]
    fn every_reason_has_its_label() {
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(reasons, EVENT_FAILURES);
    }

    #[test]
    fn a_publisher_that_does_not_run_leaves_zeros() {
        let source = EventsSource {
            status: Arc::default(),
            clock: Clock::start(),
        };
        assert_eq!(source.samples(FamilyId::EventsPublished), None);
    }
}

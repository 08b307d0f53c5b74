//! What brokers may do to a publisher.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use persistence::applier::SecretSource;
use persistence::events::{Access, Mechanism, Reason, Sasl};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::log::Log;
use crate::rig::{Cluster, Running, check, expected, settings};
use crate::workload::Workload;

/// Two shards of one journal with `count` records each.
fn logs(count: usize) -> [Log; 2] {
    [0, 1].map(|shard| {
        let log = Log::new(5).of_shard(shard);
        log.append(Workload::new(u64::from(shard) + 3, 1).take(count));
        log
    })
}

#[test]
fn every_record_that_means_something_arrives_once_and_in_order() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let logs = logs(1_500);
    let logs = [&logs[0], &logs[1]];
    let running = Running::start(settings(cluster.brokers(), folder.path()), &logs);
    running.await_all(&logs);
    // Live traffic goes the same way as the backlog did.
    logs[0].append(Workload::new(9, 1).take(1_500 + 200).split_off(1_500));
    running.await_all(&logs);
    let published = running.status.published();
    running.finish();
    let (seen, expected) = (cluster.read(), expected(&logs));
    assert_eq!(
        check(&seen, &expected),
        0,
        "nothing is repeated without a cause"
    );
    assert_eq!(published, expected.len() as u64);
    let partitions: std::collections::BTreeSet<_> =
        seen.iter().map(|seen| seen.partition).collect();
    assert_eq!(partitions.len(), 4, "keys are spread");
}

#[test]
fn brokers_that_are_away_cost_time_and_a_bounded_memory() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    cluster.0.broker_down(-1).unwrap();
    let logs = logs(2_000);
    let logs = [&logs[0], &logs[1]];
    let running = Running::start(settings(cluster.brokers(), folder.path()), &logs);
    running.await_failure(Reason::Unreachable);
    running.await_that("as much is in flight as may be", |status| {
        assert!(status.inflight() <= 500, "{status:?}");
        status.inflight() == 500
    });
    for lane in running.status.lanes() {
        assert_eq!((lane.published().0, lane.watermark().0), (0, 0));
        assert_eq!(lane.lag_records(), 2_000);
        assert!(lane.oldest_unpublished().is_some());
    }
    assert_eq!(running.status.published(), 0);
    cluster.0.broker_up(-1).unwrap();
    running.await_all(&logs);
    running.finish();
    check(&cluster.read(), &expected(&logs));
}

#[test]
fn brokers_that_go_and_come_back_lose_nothing() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let logs = logs(4_000);
    let logs = [&logs[0], &logs[1]];
    let running = Running::start(settings(cluster.brokers(), folder.path()), &logs);
    for published in [100, 1_000, 2_000] {
        running.await_that("some are published", |status| {
            status.published() >= published
        });
        cluster.0.broker_down(-1).unwrap();
        let before = running.status.failures(Reason::Unreachable);
        running.await_that("it is noticed", |status| {
            status.failures(Reason::Unreachable) > before || status.published() > 6_000
        });
        cluster.0.broker_up(-1).unwrap();
    }
    running.await_all(&logs);
    running.finish();
    check(&cluster.read(), &expected(&logs));
}

#[test]
fn errors_that_pass_are_tried_again() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let passing = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    ];
    cluster
        .0
        .request_errors(RDKafkaApiKey::Produce, &passing.repeat(3));
    let logs = logs(1_000);
    let logs = [&logs[0], &logs[1]];
    let running = Running::start(settings(cluster.brokers(), folder.path()), &logs);
    running.await_all(&logs);
    running.finish();
    check(&cluster.read(), &expected(&logs));
}

/// Brokers refuse a batch for good while others behind it are under way: without an end of the
/// producer these would arrive first.
#[test]
fn an_event_that_is_given_up_leaves_no_gap() {
    for (code, reason) in [
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            Reason::Authorisation,
        ),
        (
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            Reason::TooLarge,
        ),
    ] {
        let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
        cluster.0.request_errors(RDKafkaApiKey::Produce, &[code]);
        // So slow and so much that several batches of a partition are under way.
        let slow = std::time::Duration::from_millis(100);
        cluster.0.broker_round_trip_time(-1, slow).unwrap();
        let logs = logs(3_000);
        let logs = [&logs[0], &logs[1]];
        let mut settings = settings(cluster.brokers(), folder.path());
        settings.inflight_max = 6_000;
        let running = Running::start(settings, &logs);
        // Which of the two the library says first is left to it.
        running.await_that("it ends", |status| {
            status.failures(reason) + status.failures(Reason::Fatal) > 0
        });
        running.await_all(&logs);
        running.finish();
        check(&cluster.read(), &expected(&logs));
    }
}

#[test]
fn a_password_is_read_again_when_brokers_do_not_take_it() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let mut settings = settings(cluster.brokers(), folder.path());
    settings.access = Access {
        tls: None,
        sasl: Some(Sasl {
            mechanism: Mechanism::Plain,
            username: "njia".to_owned(),
            password: SecretSource::asked(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok("hunter2".to_owned())
            }),
        }),
    };
    let logs = logs(10);
    // These brokers know no passwords at all.
    let running = Running::start(
        persistence::events::EventSettings {
            drain: std::time::Duration::ZERO,
            ..settings
        },
        &[&logs[0]],
    );
    running.await_failure(Reason::Authentication);
    running.await_that("it is read again", |_| asked.load(Ordering::Relaxed) > 2);
    assert_eq!(running.status.published(), 0);
    running.abandon();
}

#[test]
fn a_journal_that_cannot_be_read_for_a_while_holds_up_its_shard_alone() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let logs = logs(500);
    let logs = [&logs[0], &logs[1]];
    logs[0].fail_reads(5);
    let running = Running::start(settings(cluster.brokers(), folder.path()), &logs);
    running.await_failure(Reason::Journal);
    running.await_all(&logs);
    running.finish();
    assert_eq!(logs[0].unreadable(), 0);
    assert_eq!(check(&cluster.read(), &expected(&logs)), 0);
}

//! What becomes of the watermark between two lives of a publisher.

use std::fs;

use domain::ids::Lsn;
use persistence::events::{Reason, watermarks};

use crate::log::Log;
use crate::rig::{Cluster, Running, check, expected, settings};
use crate::workload::Workload;

const FILE: &str = "events.watermark";

#[test]
fn a_restart_goes_on_where_the_watermark_stands() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let (log, mut load) = (Log::new(1), Workload::new(1, 1));
    assert_eq!(watermarks(folder.path()).unwrap(), []);
    for _ in 0..3 {
        log.append(load.take(400));
        let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
        running.await_all(&[&log]);
        running.finish();
        let saved = watermarks(folder.path()).unwrap();
        assert_eq!(saved.len(), 1);
        assert_eq!(
            (saved[0].journal, saved[0].lsn),
            (log.journal, log.durable())
        );
    }
    let repeats = check(&cluster.read(), &expected(&[&log]));
    assert_eq!(repeats, 0, "what was saved is not published again");
}

/// A crash after events have left and before that is saved leaves an older file behind.
#[test]
fn a_crash_before_the_save_repeats_with_the_same_ids_and_loses_nothing() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join(FILE);
    let (log, mut load) = (Log::new(1), Workload::new(2, 1));
    log.append(load.take(300));
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_all(&[&log]);
    running.finish();
    let older = fs::read(&file).unwrap();
    log.append(load.take(700));
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_all(&[&log]);
    running.finish();
    fs::write(&file, older).unwrap();
    log.append(load.take(100));
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_all(&[&log]);
    running.finish();
    let all = expected(&[&log]);
    let repeats = check(&cluster.read(), &all);
    let again = all.iter().filter(|id| {
        let lsn = id.rsplit('-').next().unwrap().parse::<u64>().unwrap();
        (301..=1_000).contains(&lsn)
    });
    assert_eq!(repeats, again.count(), "all of that, and nothing else");
}

#[test]
fn an_end_in_mid_stream_loses_nothing_of_what_was_under_way() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let slow = std::time::Duration::from_millis(200);
    cluster.0.broker_round_trip_time(-1, slow).unwrap();
    let log = Log::new(1);
    log.append(Workload::new(8, 1).take(5_000));
    let mut hasty = settings(cluster.brokers(), folder.path());
    hasty.drain = std::time::Duration::ZERO;
    let running = Running::start(hasty, &[&log]);
    running.await_that("some are published", |status| status.published() > 300);
    cluster.0.broker_down(-1).unwrap();
    running.await_that("as much is under way as may be", |status| {
        status.inflight() == 500 || status.lanes()[0].published() == log.durable()
    });
    let status = std::sync::Arc::clone(&running.status);
    running.abandon();
    // Nothing is saved while the first one of all is still under way, whatever came back behind it.
    let saved = watermarks(folder.path()).unwrap();
    let saved = saved.first().map_or(Lsn::ZERO, |mark| mark.lsn);
    assert_eq!(saved, status.lanes()[0].published());
    cluster.0.broker_up(-1).unwrap();
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_all(&[&log]);
    running.finish();
    check(&cluster.read(), &expected(&[&log]));
}

#[test]
fn a_damaged_watermark_publishes_nothing_until_a_person_has_decided() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let log = Log::new(1);
    log.append(Workload::new(3, 1).take(50));
    fs::write(folder.path().join(FILE), "njia-events 1\n").unwrap();
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_that("it keeps on asking", |status| {
        status.failures(Reason::Watermark) > 2
    });
    assert_eq!(running.status.published(), 0);
    assert_eq!(running.status.lanes()[0].watermark(), Lsn::ZERO);
    fs::remove_file(folder.path().join(FILE)).unwrap();
    running.await_all(&[&log]);
    running.finish();
    assert_eq!(check(&cluster.read(), &expected(&[&log])), 0);
}

#[test]
fn a_journal_older_than_its_watermark_publishes_nothing_under_known_ids() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let log = Log::new(1);
    log.append(Workload::new(4, 1).take(50));
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_all(&[&log]);
    running.finish();
    let older = Log::new(1);
    older.append(Workload::new(5, 1).take(30));
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&older]);
    running.await_that("it is refused", |status| {
        status.failures(Reason::Watermark) > 2
    });
    assert_eq!(running.status.published(), 0);
    // That it grows beyond its watermark proves nothing.
    let refused = running.status.failures(Reason::Watermark);
    older.append(Workload::new(5, 1).take(30 + 40).split_off(30));
    running.await_that("it is refused again", |status| {
        status.failures(Reason::Watermark) > refused + 2
    });
    assert_eq!(running.status.published(), 0);
    fs::remove_file(folder.path().join(FILE)).unwrap();
    running.await_all(&[&older]);
    running.finish();
}

#[test]
fn a_watermark_that_cannot_be_saved_is_counted_and_events_leave_all_the_same() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let log = Log::new(1);
    log.append(Workload::new(6, 1).take(200));
    // Where the new file is written aside there is a folder.
    let aside = folder.path().join("events.watermark.new");
    fs::create_dir(&aside).unwrap();
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_failure(Reason::Watermark);
    running.await_that("all is published", |status| {
        status.lanes()[0].published() == log.durable()
    });
    assert_eq!(
        running.status.lanes()[0].watermark(),
        Lsn::ZERO,
        "not saved"
    );
    fs::remove_dir(&aside).unwrap();
    running.await_all(&[&log]);
    running.finish();
    assert_eq!(check(&cluster.read(), &expected(&[&log])), 0);
}

#[test]
fn what_was_retired_before_it_was_published_is_not_waited_for() {
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    let log = Log::new(1);
    log.append(Workload::new(7, 1).take(100));
    log.retire_before(Lsn(61));
    let running = Running::start(settings(cluster.brokers(), folder.path()), &[&log]);
    running.await_all(&[&log]);
    running.finish();
    let retained = |id: &String| id.rsplit('-').next().unwrap().parse::<u64>().unwrap() > 60;
    let expected = expected(&[&log]).into_iter().filter(retained).collect();
    assert_eq!(check(&cluster.read(), &expected), 0);
}

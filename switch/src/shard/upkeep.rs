//! What a turn does besides its events: timers, flushes, the door, gauges, and the drain.

use std::time::Duration;

use domain::ids::LinkId;
use domain::time::Instant;
use persistence::crash::{self, Step};
use persistence::journal::Pressure;
use thiserror::Error;
use transaction::Input;

use super::{JournalErrors, Shard};
use crate::conn::Conn;
use crate::limits::{JOURNAL_STALL_MAX, LINKS_MAX};
use crate::metrics::{Counter, Gauge, Histogram, JournalOp, LinkState, RejectReason, ShardGauges};

impl Shard {
    /// The earliest instant at which something is due without an event.
    pub(super) fn next_deadline(&self) -> Instant {
        let links = self
            .links
            .all
            .iter()
            .filter_map(|place| place.home.as_ref()?.poll_timeout());
        links
            .chain(self.engine.poll_timeout())
            .chain(self.work.questions.poll_timeout())
            .chain(self.work.awaiting.poll_timeout())
            .chain(self.work.administering.poll_timeout())
            .fold(self.work.upkeep_at, Instant::min)
    }

    pub(super) fn engine_timeouts(&mut self, now: Instant) {
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
            self.drain(now);
        }
    }

    pub(super) fn link_timeouts(&mut self, now: Instant) {
        let wall = self.work.wall;
        for id in (0..LINKS_MAX).map(LinkId) {
            let Some(place) = self.links.place_mut(id) else {
                return;
            };
            let Some(link) = place.home.as_deref_mut() else {
                continue;
            };
            if link.poll_timeout().is_some_and(|at| at <= now) {
                link.handle_timeout(now, wall);
                self.after_link(id, now);
            }
        }
    }

    /// Writes what the turn queued. What a socket does not take stays for the next turn, up to the
    /// bound of its queue and the deadline of a frame.
    pub(super) fn flush(&mut self, now: Instant) {
        let deadline = self.config.limits.frame_deadline;
        self.work.dirty.retain(|conn| {
            if crash::is_due(Step::HalfFrame) {
                conn.write_half();
                crash::die();
            }
            let stays = stays(conn, deadline, now);
            crash::point(Step::RequestSent);
            stays
        });
        self.work.dirty_sessions.retain(|session| {
            let stays = stays(&session.conn, deadline, now);
            if !stays {
                session.written();
            }
            crash::point(Step::ReplySent);
            stays
        });
    }

    /// Sets the door by what this turn left behind, and tells the watchdog that the shard lives.
    pub(super) fn note_turn(&mut self, started: Instant) {
        let reason = self.must_shed(started);
        self.gate.set_shedding(reason);
        self.shared
            .set_behind(reason == Some(RejectReason::PostgresBehind));
        let shedding = reason.is_some();
        if shedding != self.work.was_shedding {
            self.work.was_shedding = shedding;
            self.turn(Input::Shed(shedding), started);
        }
        self.note_yields(started);
        let busy = self.clock.now().since(started);
        self.metrics.count_turn(busy);
        self.shared.turned(started);
    }

    /// What is owed gives way where requests need the links: to an issuer that nearly all its calls
    /// are out to, and to all of them while requests wait for their turn.
    fn note_yields(&mut self, now: Instant) {
        let is_crowded = self.inbox.requests() >= CROWDED_REQUESTS;
        for place in 0..self.work.yields.len() {
            let Some(issuer) = self.config.issuers.get(place) else {
                return;
            };
            let (id, limit) = (
                issuer.id,
                issuer.inflight_max.div_ceil(u32::from(self.shards)),
            );
            let yields = is_crowded || is_near(self.router.inflight(id), limit);
            let before = self.work.yields.get_mut(place);
            let before = before.map(|before| std::mem::replace(before, yields));
            if before != Some(yields) {
                self.turn(Input::Yield { issuer: id, yields }, now);
            }
        }
    }

    fn must_shed(&self, now: Instant) -> Option<RejectReason> {
        if self.work.draining_since.is_some() {
            Some(RejectReason::Draining)
        } else if self.journal.pressure(now) != Pressure::Admit {
            Some(RejectReason::JournalUnavailable)
        } else if self.engine.counts().inflight >= self.config.limits.inflight_max {
            Some(RejectReason::InflightFull)
        } else if self.work.awaiting.must_shed(now) {
            Some(RejectReason::PostgresBehind)
        } else {
            None
        }
    }

    /// Rare work: once every [`UPKEEP_INTERVAL`].
    pub(super) fn upkeep(&mut self, now: Instant) {
        self.work.upkeep_at = now.after(UPKEEP_INTERVAL);
        self.turn(
            Input::Wall {
                wall: self.work.wall,
            },
            now,
        );
        self.serve_operators(now);
        self.take_called();
        self.send_inquiries(now);
        self.report_breakers(now);
        self.report_ejections(now);
        self.network_timeouts(now);
        self.renew_links(now);
        self.write_book(now);
        self.freeze_due(now);
        self.note_open_time(now);
        self.count_journal_errors();
        self.rotate_keys();
        self.give_up_stalled_journal(now);
        self.set_gauges();
        if self.shared.node().is_draining() && self.work.draining_since.is_none() {
            self.begin_drain(now);
        }
        if self.work.draining_since.is_some() && self.work.leaving_until.is_none() {
            self.note_rest();
        }
    }

    /// Takes up a new key of account numbers in two steps: the next segment names it, then it is
    /// sealed under.
    fn rotate_keys(&mut self) {
        self.shared.keys.take(|keys| {
            match self.keyring.begin_rotation(keys) {
                Ok(Some(wrapped)) => self.journal.rekey(wrapped),
                Ok(None) => {}
                Err(error) => tracing::error!(shard = %self.id, %error, "no new data key: the one \
                    before stays in use; send SIGHUP again"),
            }
            self.keyring.aim()
        });
        if self.keyring.is_rotating() && !self.journal.is_rekeying() {
            let pan_key_id = self.keyring.end_rotation();
            self.shared.keys.set_written(pan_key_id);
            tracing::info!(shard = %self.id, pan_key_id, "account numbers have a new key");
        }
        if !self.keyring.is_rotating() {
            self.shared.keys.settle();
        }
    }

    /// Who waits for what issuers over HTTP have told of hears it.
    fn take_called(&self) {
        while let Some((issuer, our_id)) = self.shared.called.take() {
            let known = self.http_issuers.get(usize::from(issuer.0));
            if let Some(Some(issuer)) = known {
                issuer.call(our_id.as_str());
            }
        }
    }

    fn give_up_stalled_journal(&mut self, now: Instant) {
        let seen = self.work.stall.look(self.journal.stalled(now), now);
        if let Some(stalled) = JournalStalled::found(seen) {
            self.shared.die(&stalled);
        }
    }

    /// Tells the peers whether this shard still needs them, or they it.
    fn note_rest(&mut self) {
        let at_rest = self.engine.counts().inflight == 0
            && self.work.reconciling.is_at_rest()
            && self.inbox.is_empty()
            && self.work.questions.is_empty()
            && self.work.administering.is_at_rest()
            && self.work.key_changes.is_at_rest()
            && self.mesh.depth() == 0
            && self.work.awaiting.len() == 0
            && self.work.dirty.is_empty()
            && self.work.dirty_sessions.is_empty();
        self.shared
            .set_at_rest(at_rest, self.mesh.sent(), self.work.mesh_taken);
        let seen = self.shared.node().all_at_rest();
        self.work.is_drained = seen.is_some() && seen == self.work.rest_seen;
        self.work.rest_seen = seen;
    }

    fn begin_drain(&mut self, now: Instant) {
        tracing::info!(shard = %self.id, inflight = self.engine.counts().inflight, "draining");
        self.work.draining_since = Some(now);
        self.gate.close();
        self.turn(Input::Drain, now);
        self.sign_off_sessions(now);
        crash::point(Step::DrainBegun);
    }

    /// Whether a drain has ended: nothing is in flight on any shard, for each may have the sessions
    /// and links of another's transactions; or its time is up. What is left is closed by the next
    /// start as timed out, with its reversal owed.
    pub(super) fn drained(&mut self, now: Instant) -> bool {
        let Some(since) = self.work.draining_since else {
            return false;
        };
        let node = self.shared.node();
        let is_over = now.since(since) >= self.config.node.drain || node.must_stop_now();
        if !(is_over || self.work.is_drained) {
            return false;
        }
        let must_stop = node.must_stop_now();
        let is_said = must_stop || self.sign_off_links(now);
        if is_said {
            self.leave(now);
        }
        is_said
    }

    fn leave(&mut self, now: Instant) {
        for link in self.links.homes_mut() {
            if let Some(conn) = link.conn()
                && conn.flush(now).is_err()
            {
                conn.close();
            }
        }
        self.sessions.close_all();
        crash::point(Step::DrainLeft);
    }

    fn report_breakers(&mut self, now: Instant) {
        self.router.handle_timeout(now);
        while let Some(issuer) = self.router.poll_echo(now) {
            self.probe(issuer);
        }
        while let Some(transition) = self.router.poll_transition() {
            self.metrics.count_transition(transition);
            self.shared.tell_breaker(transition);
        }
        for issuer in &self.config.issuers {
            if let Some(state) = self.router.state(issuer.id, now) {
                self.metrics.set_breaker(issuer.id, state.into());
            }
            self.metrics
                .set_issuer_inflight(issuer.id, self.router.inflight(issuer.id));
        }
    }

    fn report_ejections(&mut self, now: Instant) {
        for (issuer, pool) in self.config.issuers.iter().zip(&mut self.links.of_issuer) {
            pool.handle_timeout(now);
            while let Some(change) = pool.poll_change() {
                self.metrics.count_ejection(issuer.id, change);
                self.shared.tell_ejection(issuer.id, change);
            }
        }
    }

    /// Adds what has failed since the last look.
    pub(super) fn count_journal_errors(&mut self) {
        let counters = self.journal.counters();
        let seen = &mut self.work.journal_errors;
        let found = JournalErrors {
            write: counters.write_errors,
            sync: counters.sync_errors,
            prepare: counters.prepare_errors,
        };
        for (op, before, after) in [
            (JournalOp::Write, seen.write, found.write),
            (JournalOp::Sync, seen.sync, found.sync),
            (JournalOp::Prepare, seen.prepare, found.prepare),
        ] {
            self.metrics
                .add(Counter::JournalErrors(op), after.saturating_sub(before));
        }
        *seen = found;
    }

    /// The links whose connection is here, by state.
    fn set_link_gauges(&self) {
        let is_draining = self.work.draining_since.is_some();
        for issuer in &self.config.issuers {
            let mut counts = [0_u64; LinkState::VALUES.len()];
            let homes = issuer.link_ids().filter_map(|link| self.links.place(link));
            for link in homes.filter_map(|place| place.home.as_ref()) {
                let state = match link.label() {
                    LinkState::Up if is_draining => LinkState::Draining,
                    state => state,
                };
                if let Some(count) = counts.get_mut(state.index()) {
                    *count += 1;
                }
            }
            for (state, count) in LinkState::ALL.iter().zip(counts) {
                self.metrics.set(Gauge::Links(issuer.id, *state), count);
            }
        }
    }

    fn set_gauges(&self) {
        self.set_link_gauges();
        let counts = self.engine.counts();
        self.metrics.set_shard_gauges(&ShardGauges {
            inflight: counts.inflight,
            inflight_http: self.work.counting.inflight_http,
            duplicate_entries: counts.entries,
            saf_depth: counts.saf,
            saf_exceptions: counts.exceptions,
            held_back: counts.held_back,
            journal_unsynced: self.journal.next_lsn().0 - 1 - self.journal.durable().0,
            journal_segments: self.journal.segments() as u64,
            journal_used_bytes: self.journal.used_bytes(),
            mesh_depth: self.mesh.depth(),
            answers_waiting: self.work.awaiting.len(),
            administrative: self.work.administering.len(),
        });
        while let Some(flush) = self.journal.poll_flush() {
            self.metrics
                .observe_duration(Histogram::JournalSync, flush.took);
            self.metrics
                .observe(Histogram::JournalBatchRecords, u64::from(flush.records));
            self.metrics
                .add(Counter::JournalBytes, u64::from(flush.bytes));
        }
    }
}

/// For how long a batch has been due while its end could have been seen. The device answers for
/// that time alone: a shard whose process is stopped, or whose core is taken by another one, does
/// not look meanwhile, and finds ended what has ended once it looks again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stall {
    seen: Duration,
    looked: Instant,
    /// How often a batch was looked at, after a pause, that was due for longer than [`DUE_MAX`].
    looks: u32,
}

impl Stall {
    /// Of a batch that has been due since `due` before `now`; zero when none is.
    fn look(&mut self, due: Duration, now: Instant) -> Duration {
        let since_look = now.since(std::mem::replace(&mut self.looked, now));
        if due <= since_look {
            self.seen = Duration::ZERO;
            self.looks = 0;
        }
        // Another one than at the last look counts from where it was due.
        self.seen += due.min(since_look).min(UNSEEN_MAX);
        // Frequent ones count by their time, above.
        if due > DUE_MAX && since_look >= UNSEEN_MAX {
            self.looks = self.looks.saturating_add(1);
        }
        // Where looks are rare, as on a core that is shared with much else, a device is dead too
        // that has not answered within a minute and by ten looks behind it, each after a pause.
        if self.looks >= DUE_LOOKS_MIN {
            due
        } else {
            self.seen
        }
    }
}

/// A device that is silent for so long may never answer, and acquirers and issuers must not wait
/// for it: what is not durable was told to nobody, and the next start closes it.
#[derive(Debug, Error)]
#[error(
    "a batch has been due for {} ms and is not durable: look at the device and at its free space, \
     then start again",
    .0.as_millis()
)]
struct JournalStalled(Duration);

impl JournalStalled {
    fn found(stalled: Duration) -> Option<Self> {
        (stalled > JOURNAL_STALL_MAX).then_some(Self(stalled))
    }
}

/// Flushes one connection; whether it stays on the list because its socket took only a part.
fn stays(conn: &Conn, deadline: Duration, now: Instant) -> bool {
    let stays = match conn.flush(now) {
        Ok(clean) => !clean,
        Err(_) => false,
    };
    let too_long = conn
        .blocked_since()
        .is_some_and(|since| now.since(since) >= deadline);
    if too_long {
        conn.close();
    }
    let stays = stays && !too_long;
    if !stays {
        conn.unlist();
    }
    stays
}

/// Three quarters of the calls are out.
const fn is_near(inflight: u32, limit: u32) -> bool {
    inflight.saturating_mul(4) >= limit.saturating_mul(3)
}

/// As many as a turn takes: more than that wait for another one.
const CROWDED_REQUESTS: usize = 512;

/// What counts between two looks, however far they lie apart: a few of [`UPKEEP_INTERVAL`], so that
/// a device is given up only after it was looked at a hundred times, or was due for [`DUE_MAX`].
const UNSEEN_MAX: Duration = Duration::from_millis(100);
/// A batch that is due for longer is given up, however rarely it is looked at; but for the first
/// looks, which may be those behind a stop of the process.
const DUE_MAX: Duration = Duration::from_secs(60);
const DUE_LOOKS_MIN: u32 = 10;
const _: () = assert!(DUE_MAX.as_millis() > JOURNAL_STALL_MAX.as_millis());
const _: () = assert!(UNSEEN_MAX.as_millis() >= 2 * UPKEEP_INTERVAL.as_millis());
const _: () = assert!(UNSEEN_MAX.as_millis() * 100 <= JOURNAL_STALL_MAX.as_millis());

/// Often enough that a drain or a breaker is seen at once by people, rare enough to cost nothing.
const UPKEEP_INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_gives_way_when_three_quarters_of_the_calls_are_out() {
        for (inflight, limit, near) in [(0, 8, false), (5, 8, false), (6, 8, true), (8, 8, true)] {
            assert_eq!(is_near(inflight, limit), near, "{inflight} of {limit}");
        }
    }

    /// Looks every `apart` at a batch that is due since the first look; after how many it is given
    /// up.
    #[track_caller]
    fn given_up_after(apart: Duration, looks: u32) -> Option<u32> {
        let (start, mut stall) = (Instant::from_nanos(1_000_000_000), Stall::default());
        stall.look(Duration::ZERO, start);
        (1..=looks).find(|look| {
            let due = apart * *look;
            JournalStalled::found(stall.look(due, start.after(due))).is_some()
        })
    }

    #[test]
    fn a_device_has_ten_seconds_again_behind_a_stop_of_the_process() {
        let (start, mut stall) = (Instant::from_nanos(1_000_000_000), Stall::default());
        stall.look(Duration::ZERO, start);
        let given_up = (0..600_u32).find(|look| {
            let due = Duration::from_secs(3_600) + UPKEEP_INTERVAL * *look;
            JournalStalled::found(stall.look(due, start.after(due))).is_some()
        });
        assert_eq!(given_up, Some(496));
    }

    #[test]
    fn fault_094_a_device_answers_for_the_time_in_which_its_answer_could_be_seen() {
        let check = |apart, after| {
            let apart = Duration::from_millis(apart);
            assert_eq!(given_up_after(apart, 600), after, "{apart:?}");
        };
        check(20, Some(501));
        check(100, Some(101));
        // Its core is taken away, its process is stopped.
        check(500, Some(101));
        check(1_000, Some(70));
        check(7_000, Some(18));
        check(3_600_000, Some(10));
        check(10, None);
    }

    #[test]
    fn a_batch_that_ends_between_two_looks_leaves_nothing_to_the_next_one() {
        let (mut now, mut stall) = (Instant::from_nanos(1_000_000_000), Stall::default());
        for _ in 0..10_000 {
            now = now.after(Duration::from_millis(20));
            let seen = stall.look(Duration::from_millis(5), now);
            assert_eq!(seen, Duration::from_millis(5));
        }
        now = now.after(Duration::from_millis(20));
        let both = stall.look(Duration::from_millis(25), now);
        assert_eq!(
            both,
            Duration::from_millis(25),
            "it was due before the last look"
        );
    }

    #[test]
    fn a_journal_that_is_stalled_beyond_its_bound_is_given_up_in_plain_words() {
        assert!(JournalStalled::found(Duration::ZERO).is_none());
        assert!(JournalStalled::found(JOURNAL_STALL_MAX).is_none());
        let stalled = JournalStalled::found(JOURNAL_STALL_MAX + Duration::from_millis(1)).unwrap();
        let told = stalled.to_string();
        assert!(
            told.contains("due for 10001 ms") && told.contains("device"),
            "{told}"
        );
    }
}

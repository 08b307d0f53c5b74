//! The loop of a publisher: read, hand over, note what was acknowledged, save the watermark.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use domain::ids::Lsn;
use domain::time::{Instant, WallTime};

use super::event::Event;
use super::lane::Lane;
use super::producer::{NotTaken, Producer, Ticket, Told, Trouble};
use super::reason::Reason;
use super::settings::EventSettings;
use super::status::{LaneStatus, Status};
use super::watermark::{self, Watermark, watermarks};
use crate::applier::backoff::BackoffClock;
use crate::applier::event::{Place, record_time};
use crate::applier::failure::Remedy;
use crate::applier::{ShardJournal, SourceError};
use crate::error::chain;
use crate::reader::Entry;

/// Publishes the journals of one node.
#[derive(Debug)]
pub struct Publisher {
    settings: EventSettings,
    lanes: Vec<Lane>,
    status: Arc<Status>,
    backoff: BackoffClock,
    producer: Option<Producer>,
    /// Whether the lanes stand where the file says.
    is_attached: bool,
    /// What the file says of journals that are not ours to publish any more.
    others: Vec<Watermark>,
    saved_at: Option<Instant>,
    /// Troubles since something was acknowledged, for the log.
    troubles: u32,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// More is due at once.
    Busy,
    /// Nothing is due but what brokers have to acknowledge, or nothing at all.
    Idle,
    /// Wait before the next turn.
    Failed(Duration),
}

impl Publisher {
    /// For `journals`: one per shard, and behind them, or before, those of earlier generations.
    #[must_use]
    pub fn new(settings: EventSettings, journals: Vec<ShardJournal>) -> Self {
        let lanes: Vec<Lane> = journals.into_iter().map(Lane::new).collect();
        let status = lanes
            .iter()
            .map(|lane| LaneStatus::new(lane.journal, lane.shard));
        Self {
            status: Arc::new(Status::new(status)),
            backoff: BackoffClock::new(settings.backoff, settings.seed),
            settings,
            lanes,
            producer: None,
            is_attached: false,
            others: Vec::new(),
            saved_at: None,
            troubles: 0,
        }
    }

    /// State and counters, to be read from any thread while [`Publisher::run`] is under way.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Publishes until `stop` says so or its other end is gone, then catches up for at most the
    /// time that the settings give it. Whatever fails is tried again for ever. Blocks.
    pub fn run(mut self, stop: &Receiver<()>) {
        let mut ends_at = None;
        loop {
            let now = self.now();
            if ends_at.is_none() && stop.try_recv() != Err(TryRecvError::Empty) {
                ends_at = Some(now.after(self.settings.drain));
            }
            let turn = self.turn();
            if let Some(end) = ends_at
                && (now >= end || self.lanes.iter().all(|lane| lane.lag() == 0))
            {
                break;
            }
            if let Turn::Failed(wait) = turn {
                if let Some(end) = ends_at {
                    std::thread::park_timeout(wait.min(end.since(now)));
                } else if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    ends_at = Some(self.now().after(self.settings.drain));
                }
            }
        }
        self.save();
        self.tell();
    }

    fn turn(&mut self) -> Turn {
        let turn = match self.publish() {
            Ok(turn) => turn,
            Err(trouble) => Turn::Failed(self.failed(&trouble)),
        };
        self.save_if_due();
        self.tell();
        turn
    }

    /// One round: hear, hand over, and hear for a while when there is nothing else to do.
    fn publish(&mut self) -> Result<Turn, Trouble> {
        self.attach()?;
        if self.producer.is_none() {
            self.producer = Some(Producer::open(&self.settings)?);
        }
        let turn = self.hand_over()?;
        let wait = match turn {
            Turn::Idle => self.settings.poll,
            Turn::Busy | Turn::Failed(_) => Duration::ZERO,
        };
        self.listen(wait)?;
        Ok(turn)
    }

    /// Puts the lanes where the file says, once.
    fn attach(&mut self) -> Result<(), Trouble> {
        if self.is_attached {
            return Ok(());
        }
        let unusable = |text| Trouble {
            reason: Reason::Watermark,
            text,
        };
        let known = watermarks(&self.settings.root).map_err(|error| unusable(chain(&error)))?;
        for lane in &mut self.lanes {
            lane.attach(&known).map_err(unusable)?;
        }
        let is_ours = |mark: &Watermark| {
            let mut lanes = self.lanes.iter();
            lanes.any(|lane| (lane.journal, lane.shard) == (mark.journal, mark.shard))
        };
        self.others = known.into_iter().filter(|mark| !is_ours(mark)).collect();
        self.is_attached = true;
        Ok(())
    }

    /// Hands over what is due of each lane, as far as there is room.
    fn hand_over(&mut self) -> Result<Turn, Trouble> {
        let now = self.now();
        let share = self.settings.inflight_max / self.lanes.len().max(1);
        let mut turn = Turn::Idle;
        // Lanes are in the order of their generations.
        let draining = self.lanes.iter().find(|lane| lane.is_draining());
        let draining = draining.map(|lane| lane.journal);
        for (index, (lane, status)) in self.lanes.iter_mut().zip(self.status.lanes()).enumerate() {
            let room = share.max(1).saturating_sub(lane.inflight());
            if draining.is_some_and(|journal| journal != lane.journal) {
                look_ahead(lane);
                continue;
            }
            if lane.due() == 0 || room == 0 || lane.is_halted(now) {
                continue;
            }
            let Some(producer) = &self.producer else {
                break;
            };
            let mut batch = Batch::new(index, lane, &self.settings);
            let read = lane.read(room.min(READ_MAX), &mut |entry| batch.add(entry));
            match read {
                Ok(()) => lane.read_on(),
                Err(error) => {
                    self.status.failed(Reason::Journal);
                    unreadable(lane, now, &self.settings, &error);
                    continue;
                }
            }
            let taken = batch.send(producer, lane)?;
            lane.tell(status);
            if taken && lane.due() > 0 && lane.inflight() < share {
                turn = Turn::Busy;
            }
        }
        Ok(turn)
    }

    /// Hears what the brokers say, for at most `wait`.
    fn listen(&mut self, wait: Duration) -> Result<(), Trouble> {
        let Some(producer) = &self.producer else {
            return Ok(());
        };
        let Told {
            acknowledged,
            ended,
            troubles,
        } = producer.listen(wait);
        for Ticket { lane, lsn } in &acknowledged {
            if let Some(lane) = self.lanes.get_mut(*lane) {
                lane.acknowledged(*lsn);
            }
        }
        if !acknowledged.is_empty() {
            let events = u64::try_from(acknowledged.len()).unwrap_or(u64::MAX);
            self.status.add_published(events);
            self.backoff.reset();
            self.troubles = 0;
        }
        for trouble in &troubles {
            self.trouble(trouble);
        }
        ended.map_or(Ok(()), Err)
    }

    /// The producer goes on by itself: counted, and said now and then.
    fn trouble(&mut self, trouble: &Trouble) {
        self.status.failed(trouble.reason);
        self.troubles = self.troubles.saturating_add(1);
        if self.troubles < 4 || self.troubles.is_power_of_two() {
            tracing::warn!(reason = %trouble.reason, error = %trouble.text,
                failures = self.troubles, "events: trouble with Kafka");
        }
    }

    /// The producer has ended, or there is none: what it had in flight is due again. The wait.
    fn failed(&mut self, trouble: &Trouble) -> Duration {
        self.status.failed(trouble.reason);
        self.producer = None;
        for lane in &mut self.lanes {
            lane.rewind();
        }
        if self.is_attached {
            self.peek();
        }
        let pauses = trouble.reason.needs_a_person();
        let remedy = if pauses { Remedy::Pause } else { Remedy::Retry };
        let wait = self.backoff.next(remedy);
        let failures = self.backoff.failures();
        if failures < 4 || failures.is_power_of_two() {
            let (reason, error) = (trouble.reason, &trouble.text);
            if pauses {
                tracing::error!(%reason, %error, ?wait, failures, "events do not leave: pausing");
            } else {
                tracing::warn!(%reason, %error, ?wait, failures, "events do not leave: again");
            }
        }
        wait
    }

    /// How old the oldest record is that was not published, while none is.
    fn peek(&mut self) {
        self.lanes.iter_mut().for_each(look_ahead);
    }

    fn save_if_due(&mut self) {
        let now = self.now();
        let since = self.saved_at.map(|at| now.since(at));
        if since.is_none_or(|since| since >= self.settings.save_every) {
            self.saved_at = Some(now);
            self.save();
        }
    }

    /// Writes the watermark, where it has moved.
    fn save(&mut self) {
        if !self.is_attached || !self.lanes.iter().any(Lane::is_unsaved) {
            return;
        }
        let own = self.lanes.iter().map(Lane::watermark);
        let all: Vec<Watermark> = own.chain(self.others.iter().copied()).collect();
        match watermark::save(&self.settings.root, &all) {
            Ok(()) => {
                for (lane, mark) in self.lanes.iter_mut().zip(&all) {
                    lane.saved(mark.lsn);
                }
            }
            Err(error) => {
                self.status.failed(Reason::Watermark);
                let error = chain(&error);
                tracing::error!(%error, "events: the watermark is not saved");
            }
        }
    }

    fn tell(&self) {
        for (lane, status) in self.lanes.iter().zip(self.status.lanes()) {
            lane.tell(status);
        }
        let inflight: usize = self.lanes.iter().map(Lane::inflight).sum();
        self.status
            .set_inflight(u64::try_from(inflight).unwrap_or(u64::MAX));
    }

    fn now(&self) -> Instant {
        (self.settings.clock)()
    }
}

/// What was read of one lane and is to be handed over.
struct Batch<'s> {
    lane: usize,
    settings: &'s EventSettings,
    first: Place,
    records: Vec<(Lsn, WallTime, Option<Event>)>,
    fault: Option<String>,
}

impl<'s> Batch<'s> {
    fn new(index: usize, lane: &Lane, settings: &'s EventSettings) -> Self {
        Self {
            lane: index,
            settings,
            first: lane.place(lane.sent()),
            records: Vec::with_capacity(READ_MAX),
            fault: None,
        }
    }

    fn add(&mut self, entry: &Entry<'_>) {
        let place = Place {
            lsn: entry.lsn,
            ..self.first
        };
        if entry.carriage.is_carried() {
            // Its journal published it.
            let record = (entry.lsn, record_time(&entry.record), None);
            return self.records.push(record);
        }
        match Event::of(
            &entry.record,
            place,
            self.settings.node,
            &self.settings.names,
        ) {
            Ok(event) => self
                .records
                .push((entry.lsn, record_time(&entry.record), event)),
            Err(error) => {
                let text = format!("record {}: {error}", entry.lsn);
                self.fault.get_or_insert(text);
            }
        }
    }

    /// Whether all of it was taken.
    fn send(self, producer: &Producer, lane: &mut Lane) -> Result<bool, Trouble> {
        for (lsn, at, event) in self.records {
            if lsn != lane.sent().next() {
                break;
            }
            let Some(event) = event else {
                lane.hand_over(at, true);
                continue;
            };
            let ticket = Ticket {
                lane: self.lane,
                lsn,
            };
            match producer.send(&event, ticket) {
                Ok(()) => lane.hand_over(at, false),
                Err(NotTaken::Full) => return Ok(false),
                Err(NotTaken::Refused(trouble)) => return Err(trouble),
            }
        }
        match self.fault {
            Some(text) => Err(Trouble {
                reason: Reason::Other,
                text,
            }),
            None => Ok(true),
        }
    }
}

/// How old the oldest record is that waits.
fn look_ahead(lane: &mut Lane) {
    if let Err(error) = lane.peek() {
        // Publishing it will say so; until then nothing depends on it.
        tracing::debug!(%error, "the oldest record cannot be read");
    }
}

/// The lane is left alone for a while; the others go on.
fn unreadable(lane: &mut Lane, now: Instant, settings: &EventSettings, error: &SourceError) {
    let failures = lane.halt(now, &settings.backoff);
    if failures < 4 || failures.is_power_of_two() {
        tracing::error!(journal = %lane.journal, shard = %lane.shard, %error, failures,
            "events: the journal cannot be read");
    }
}

/// Records of one lane that are encoded before others get their turn.
const READ_MAX: usize = 500;

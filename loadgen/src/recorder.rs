//! What a run saw: counts by outcome, and three latencies per item.
//!
//! | latency | from → to |
//! |---|---|
//! | response | intended time → last byte of the answer read; the only one that a threshold may use |
//! | service | first attempt to write → answer |
//! | lag | intended time → first attempt to write: the generator's own delay |
//!
//! Nothing is omitted: what was not answered counts in `response` with at least the timeout.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::numeric::{count, index};

/// How one message ended, as the sender sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered with a code of the approval set.
    Approved,
    /// Declined for a reason that a cardholder can have.
    Declined,
    /// Declined with a code that a correct switch never gives to a correct message.
    Unexpected,
    /// Refused before any work was done for it (96).
    Refused,
    /// A reversal was sent before the answer came, so none was owed any more.
    Reversed,
    /// No answer within the timeout.
    Timeout,
    /// The connection was lost, or there was none.
    Disconnected,
    /// The answer could not be read.
    Protocol,
    /// The answer was not the request's own: an echoed field differs, or a repeat got another
    /// answer.
    Mismatched,
    /// A second answer.
    Duplicate,
}

impl Outcome {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 10] = [
        Self::Approved,
        Self::Declined,
        Self::Unexpected,
        Self::Refused,
        Self::Reversed,
        Self::Timeout,
        Self::Disconnected,
        Self::Protocol,
        Self::Mismatched,
        Self::Duplicate,
    ];

    /// The word for it in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Unexpected => "declined_unexpectedly",
            Self::Refused => "refused",
            Self::Reversed => "reversed",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Protocol => "protocol_error",
            Self::Mismatched => "mismatched",
            Self::Duplicate => "duplicate_answer",
        }
    }

    /// Counts in `error_rate`.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::Refused | Self::Disconnected | Self::Protocol
        )
    }

    /// Ends the run as FAIL whatever the thresholds say.
    #[must_use]
    pub const fn is_breach(self) -> bool {
        matches!(self, Self::Mismatched | Self::Duplicate)
    }

    /// An answer was read.
    #[must_use]
    pub const fn is_answer(self) -> bool {
        matches!(
            self,
            Self::Approved | Self::Declined | Self::Unexpected | Self::Refused
        )
    }

    const fn position(self) -> usize {
        self as usize
    }
}

/// Messages by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Due within the run.
    pub scheduled: u64,
    /// A write was attempted.
    pub sent: u64,
    /// Found their connection full, so that the bytes left later. Part of `sent`.
    pub blocked: u64,
    /// Answered within the promise, and not refused.
    pub good: u64,
    /// Answers to what had already been given up.
    pub late: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Tally {
    /// How many ended so.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes
            .get(outcome.position())
            .copied()
            .unwrap_or_default()
    }

    /// How many ended in one of the outcomes that `wanted` picks.
    #[must_use]
    pub fn sum(&self, wanted: impl Fn(Outcome) -> bool) -> u64 {
        Outcome::ALL
            .into_iter()
            .filter(|outcome| wanted(*outcome))
            .map(|outcome| self.of(outcome))
            .sum()
    }

    /// How many were answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.sum(Outcome::is_answer)
    }

    /// How many failed (see [`Outcome::is_error`]).
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.sum(Outcome::is_error)
    }

    fn add_outcome(&mut self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get_mut(outcome.position()) {
            *counter += 1;
        }
    }

    fn add(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.blocked += other.blocked;
        self.good += other.good;
        self.late += other.late;
        for (mine, theirs) in self.outcomes.iter_mut().zip(other.outcomes) {
            *mine += theirs;
        }
    }
}

/// The three latencies, in microseconds from 1 µs to 120 s with three digits.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Intended time → answer.
    pub response: Histogram<u64>,
    /// First attempt to write → answer.
    pub service: Histogram<u64>,
    /// Intended time → first attempt to write.
    pub lag: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            response: histogram(),
            service: histogram(),
            lag: histogram(),
        }
    }
}

impl Latencies {
    fn add(&mut self, other: &Self) {
        merge(&mut self.response, &other.response);
        merge(&mut self.service, &other.service);
        merge(&mut self.lag, &other.lag);
    }
}

/// Counts and latencies of one item.
#[derive(Clone, Debug, Default)]
pub struct ItemRecord {
    /// Its counts.
    pub tally: Tally,
    /// Its latencies.
    pub latencies: Latencies,
}

impl ItemRecord {
    /// Adds what another thread saw.
    pub fn add(&mut self, other: &Self) {
        self.tally.add(&other.tally);
        self.latencies.add(&other.latencies);
    }
}

/// What happened within one second of the run.
#[derive(Clone, Debug, Default)]
pub struct Second {
    /// Messages due in it.
    pub offered: u64,
    /// Its counts; `scheduled` stays zero.
    pub tally: Tally,
    /// Response times of the answers that came in it, in coarse steps.
    pub response: CoarseHistogram,
}

/// Eight steps per doubling, from 1 µs to 134 s: small enough to keep one per second.
#[derive(Clone, Debug)]
pub struct CoarseHistogram {
    steps: [u32; Self::STEPS],
}

impl Default for CoarseHistogram {
    fn default() -> Self {
        Self {
            steps: [0; Self::STEPS],
        }
    }
}

impl CoarseHistogram {
    const STEPS: usize = 27 * 8;

    /// Counts one value in microseconds.
    pub fn record(&mut self, micros: u64) {
        let micros = micros.max(1);
        let doubling = micros.ilog2();
        let within = if doubling >= 3 {
            (micros >> (doubling - 3)) & 7
        } else {
            (micros << (3 - doubling)) & 7
        };
        let step = index(u64::from(doubling) * 8 + within).min(Self::STEPS - 1);
        if let Some(counter) = self.steps.get_mut(step) {
            *counter = counter.saturating_add(1);
        }
    }

    /// The upper edge in microseconds of the step that holds the quantile; zero when empty.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        let total: u64 = self.steps.iter().map(|count| u64::from(*count)).sum();
        let wanted = crate::numeric::whole((quantile * crate::numeric::real(total)).ceil()).max(1);
        let mut seen = 0;
        for (step, counter) in self.steps.iter().enumerate() {
            seen += u64::from(*counter);
            if *counter > 0 && seen >= wanted {
                let step = count(step) + 1;
                return ((8 + step % 8) << (step / 8)) / 8;
            }
        }
        0
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.steps.iter_mut().zip(other.steps) {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// One message whose end is known.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Its item.
    pub item: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was due, in nanoseconds of the run's clock.
    pub intended: u64,
    /// When a write was first attempted; `None` when it never was.
    pub attempted: Option<u64>,
    /// When its end was known.
    pub ended: u64,
}

/// Counts what one generator thread sees.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// One per item of the scenario, then what follows them, then those of gateways.
    pub items: Vec<ItemRecord>,
    /// Everything that was due in the warm-up. In no verdict.
    pub warmup: ItemRecord,
    /// Per second after the warm-up.
    pub seconds: Vec<Second>,
    window: Window,
}

/// The stretch of the run that counts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// End of the warm-up, in nanoseconds of the run's clock.
    pub begin: u64,
    /// What an unanswered message counts as at least.
    pub timeout: Duration,
    /// An answer within this time is good.
    pub promise: Duration,
}

impl Recorder {
    /// A recorder for `items` items.
    #[must_use]
    pub fn new(items: usize, window: Window) -> Self {
        Self {
            items: vec![ItemRecord::default(); items],
            warmup: ItemRecord::default(),
            seconds: Vec::new(),
            window,
        }
    }

    /// Takes what was recorded, and leaves a recorder without items.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let empty = Self::new(0, self.window);
        std::mem::replace(self, empty)
    }

    /// A message fell due.
    pub fn offered(&mut self, item: usize, intended: u64) {
        self.record_mut(item, intended).tally.scheduled += 1;
        if let Some(second) = self.second_mut(intended) {
            second.offered += 1;
        }
    }

    /// A write was attempted for the first time.
    pub fn sent(&mut self, item: usize, intended: u64, attempted: u64) {
        debug_assert!(attempted >= intended, "sent before its time");
        let record = self.record_mut(item, intended);
        record.tally.sent += 1;
        record
            .latencies
            .lag
            .saturating_record(micros(attempted - intended));
        if let Some(second) = self.second_mut(attempted) {
            second.tally.sent += 1;
        }
    }

    /// The connection did not take the bytes of `messages` at once.
    pub fn blocked(&mut self, intended: u64, messages: u64) {
        self.record_mut(0, intended).tally.blocked += messages;
    }

    /// A message found no connection that was free for it.
    pub fn queued(&mut self, item: usize, intended: u64) {
        self.record_mut(item, intended).tally.blocked += 1;
    }

    /// An answer came after its message had been given up.
    pub fn late(&mut self, item: usize, intended: u64) {
        self.record_mut(item, intended).tally.late += 1;
    }

    /// Something came that belongs to no message in flight.
    pub fn stray(&mut self, outcome: Outcome, at: u64) {
        self.record_mut(0, at).tally.add_outcome(outcome);
        if let Some(second) = self.second_mut(at) {
            second.tally.add_outcome(outcome);
        }
    }

    /// A message ended.
    pub fn ended(&mut self, ending: &Ending) {
        let elapsed = ending.ended.saturating_sub(ending.intended);
        let response = if ending.outcome.is_answer() {
            elapsed
        } else {
            elapsed.max(nanos(self.window.timeout))
        };
        let good = ending.outcome.is_answer()
            && ending.outcome != Outcome::Refused
            && response <= nanos(self.window.promise);
        let record = self.record_mut(ending.item, ending.intended);
        record.tally.add_outcome(ending.outcome);
        record.tally.good += u64::from(good);
        // A second answer belongs to a message that has been timed already.
        if ending.outcome != Outcome::Duplicate && ending.outcome != Outcome::Reversed {
            let latencies = &mut record.latencies;
            latencies.response.saturating_record(micros(response));
            if let Some(attempted) = ending.attempted.filter(|_| ending.outcome.is_answer()) {
                let service = ending.ended.saturating_sub(attempted);
                latencies.service.saturating_record(micros(service));
            }
        }
        if ending.intended >= self.window.begin
            && let Some(second) = self.second_mut(ending.ended)
        {
            second.tally.add_outcome(ending.outcome);
            second.tally.good += u64::from(good);
            second.response.record(micros(response));
        }
    }

    /// The last second that is over at `now`.
    #[must_use]
    pub fn last_full_second(&self, now: u64) -> Option<&Second> {
        let present = index(now.checked_sub(self.window.begin)? / 1_000_000_000);
        self.seconds.get(present.checked_sub(1)?)
    }

    fn record_mut(&mut self, item: usize, intended: u64) -> &mut ItemRecord {
        if intended < self.window.begin {
            return &mut self.warmup;
        }
        let last = self.items.len().saturating_sub(1);
        match self.items.get_mut(item.min(last)) {
            Some(record) => record,
            None => &mut self.warmup,
        }
    }

    fn second_mut(&mut self, at: u64) -> Option<&mut Second> {
        let second = index(at.checked_sub(self.window.begin)? / 1_000_000_000);
        if second >= self.seconds.len() {
            self.seconds
                .resize_with(second.min(SECONDS_MAX) + 1, Second::default);
        }
        self.seconds.get_mut(second)
    }
}

/// What all threads of a run saw.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By item, with its name.
    pub items: Vec<(String, ItemRecord)>,
    /// Everything after the warm-up.
    pub all: ItemRecord,
    /// Everything within it.
    pub warmup: ItemRecord,
    /// By second after the warm-up.
    pub seconds: Vec<Second>,
}

impl Totals {
    /// Totals without any messages yet.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        Self {
            items: names
                .iter()
                .map(|name| (name.clone(), ItemRecord::default()))
                .collect(),
            ..Self::default()
        }
    }

    /// Adds what one thread saw.
    pub fn add(&mut self, recorder: &Recorder) {
        for ((_, mine), theirs) in self.items.iter_mut().zip(&recorder.items) {
            mine.add(theirs);
            self.all.add(theirs);
        }
        self.warmup.add(&recorder.warmup);
        if self.seconds.len() < recorder.seconds.len() {
            self.seconds
                .resize_with(recorder.seconds.len(), Second::default);
        }
        for (mine, theirs) in self.seconds.iter_mut().zip(&recorder.seconds) {
            mine.offered += theirs.offered;
            mine.tally.add(&theirs.tally);
            mine.response.add(&theirs.response);
        }
    }

    /// What a right switch never tells an acquirer, whenever it is killed, with how often it did:
    /// answers that are not their request's own, and second answers. A message that was given up
    /// may get its own beside that of its repeat.
    #[must_use]
    pub fn breaches(&self) -> Vec<(u64, &'static str)> {
        let sum = |wanted: fn(Outcome) -> bool| {
            self.all.tally.sum(wanted) + self.warmup.tally.sum(wanted)
        };
        let given_up = sum(|one| matches!(one, Outcome::Timeout | Outcome::Reversed));
        let seconds = sum(|one| one == Outcome::Duplicate);
        let breaches = [
            (
                sum(|one| one == Outcome::Mismatched),
                "answers were not their request's own",
            ),
            (
                seconds.saturating_sub(given_up),
                "answers came a second time",
            ),
        ];
        breaches
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .collect()
    }

    /// The record of an item by its name; all of them without a name.
    #[must_use]
    pub fn item(&self, name: Option<&str>) -> Option<&ItemRecord> {
        match name {
            None => Some(&self.all),
            Some(name) => self
                .items
                .iter()
                .find(|(item, _)| item == name)
                .map(|(_, record)| record),
        }
    }
}

/// A series longer than a day keeps its first day.
const SECONDS_MAX: usize = 86_400;
/// Longest latency that is told apart, in microseconds.
const MICROS_MAX: u64 = 120_000_000;

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that the library admits"
)]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("invariant: 1 to 120 s with three digits")
}

fn merge(mine: &mut Histogram<u64>, theirs: &Histogram<u64>) {
    let added = mine.add(theirs);
    debug_assert!(added.is_ok(), "all histograms have the same bounds");
}

fn micros(nanos: u64) -> u64 {
    (nanos / 1000).max(1)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn recorder() -> Recorder {
        Recorder::new(
            2,
            Window {
                begin: 10 * SECOND,
                timeout: Duration::from_secs(5),
                promise: Duration::from_millis(400),
            },
        )
    }

    fn ending(outcome: Outcome, intended: u64, ended: u64) -> Ending {
        Ending {
            item: 0,
            outcome,
            intended,
            attempted: Some(intended),
            ended,
        }
    }

    #[test]
    fn the_warmup_is_kept_apart() {
        let mut recorder = recorder();
        recorder.ended(&ending(Outcome::Approved, 9 * SECOND, 11 * SECOND));
        assert_eq!(recorder.warmup.tally.answered(), 1);
        assert_eq!(recorder.items[0].tally.answered(), 0);
        assert!(recorder.seconds.is_empty());
    }

    #[test]
    fn what_was_not_answered_counts_with_the_timeout() {
        let mut recorder = recorder();
        let begin = 10 * SECOND;
        recorder.ended(&ending(Outcome::Disconnected, begin, begin + 1));
        let response = &recorder.items[0].latencies.response;
        assert!(response.max() >= 4_990_000);
        assert_eq!(recorder.items[0].latencies.service.len(), 0);
        assert_eq!(recorder.items[0].tally.errors(), 1);
    }

    #[test]
    fn a_refusal_is_never_good() {
        let mut recorder = recorder();
        let begin = 10 * SECOND;
        recorder.ended(&ending(Outcome::Refused, begin, begin + 1_000));
        recorder.ended(&ending(Outcome::Declined, begin, begin + 1_000));
        recorder.ended(&ending(Outcome::Approved, begin, begin + SECOND));
        assert_eq!(recorder.items[0].tally.good, 1);
        assert_eq!(recorder.seconds[0].tally.good, 1);
        assert_eq!(recorder.seconds[1].tally.of(Outcome::Approved), 1);
    }

    #[test]
    fn coarse_quantiles_are_within_an_eighth() {
        let mut histogram = CoarseHistogram::default();
        for micros in 1..=100_000 {
            histogram.record(micros);
        }
        for (quantile, exact) in [(0.5, 50_000.0), (0.99, 99_000.0)] {
            let ratio = crate::numeric::real(histogram.quantile(quantile)) / exact;
            assert!((0.99..1.14).contains(&ratio), "{quantile}: {ratio}");
        }
        assert_eq!(CoarseHistogram::default().quantile(0.5), 0);
    }

    #[test]
    fn totals_add_the_threads() {
        let mut totals = Totals::new(&["one".to_owned(), "two".to_owned()]);
        let mut recorder = recorder();
        recorder.offered(1, 10 * SECOND);
        recorder.sent(1, 10 * SECOND, 10 * SECOND + 5_000);
        totals.add(&recorder);
        totals.add(&recorder);
        assert_eq!(totals.all.tally.sent, 2);
        assert_eq!(totals.item(Some("two")).unwrap().tally.scheduled, 2);
        assert_eq!(totals.seconds[0].offered, 2);
        assert!(totals.item(Some("three")).is_none());
    }

    #[test]
    fn an_answer_of_another_request_is_a_breach_and_so_is_one_too_many() {
        let told = |outcomes: &[Outcome]| {
            let mut recorder = recorder();
            for outcome in outcomes {
                recorder.stray(*outcome, 10 * SECOND);
            }
            let mut totals = Totals::new(&["one".to_owned(), "two".to_owned()]);
            totals.add(&recorder);
            let breaches = totals.breaches();
            breaches.iter().map(|(count, _)| *count).collect::<Vec<_>>()
        };
        use Outcome::{Disconnected, Duplicate, Mismatched, Protocol, Reversed, Timeout};
        assert_eq!(told(&[Mismatched, Duplicate, Duplicate]), [1, 2]);
        assert_eq!(told(&[Timeout, Duplicate, Reversed, Duplicate]), [0; 0]);
        assert_eq!(told(&[Timeout, Duplicate, Disconnected, Duplicate]), [1]);
        assert_eq!(told(&[Protocol, Timeout]), [0; 0]);
    }
}

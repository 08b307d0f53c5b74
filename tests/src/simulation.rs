//! A seeded world around the engine: virtual clock, hostile network, lying issuers with a ledger of
//! the money that they really moved, acquirers that repeat and reverse, and a disk that loses what
//! was not synced.
//!
//! # Contract
//! Same seed, same run. Faults first, then calm; at the end every promise of faults.md §1 that the
//! engine makes is held against what acquirers, issuers and the journal know.
//!
//! # Never contains
//! A clock, a thread, a map whose order depends on the process.
//!
//! # Entry points
//! [`run`], [`Driver`], [`Violation`].

mod acquirer;
mod administering;
mod asking;
mod bytes;
mod campaign;
mod content;
mod disk;
mod event;
mod focus;
mod issuer;
mod journal;
mod ledger;
mod link;
mod plan;
mod postgres;
mod random;
mod reconciling;
mod rot;
mod secrets;
mod seen;
mod switch;
mod switches;
mod totals;
mod wire;
mod words;
mod world;

use std::fmt;

pub use campaign::Campaign;
pub use focus::{CrashPoint, Focus};
pub use random::Random;
pub use seen::Seen;

/// How the shell around the engine behaves. All but the first are null controls: a simulation that
/// does not catch them proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// As the contract says.
    Faithful,
    /// Says "durable" as soon as a record is appended, before its flush.
    RepliesBeforeDurable,
    /// Flushes, but never syncs: a crash loses what the machine has not written back by chance.
    SkipsSync,
    /// After a restart, sends requests again whose outcome is not known.
    ResendsAfterRestart,
    /// Takes the STAN of an answer for enough.
    MatchesOnStanAlone,
    /// Syncs again after a sync has failed, and believes the second one.
    RetriesSync,
    /// Recovery believes what it reads without a sync.
    TrustsCache,
    /// Sends what a lost link had not answered again on another one.
    RetriesElsewhere,
    /// Does not keep reversals that came before their original over a restart.
    ForgetsTombstone,
    /// Takes some owed reversals for acknowledged without having sent them.
    DropsOwed,
    /// Composes the answer to a copy anew.
    AnswersAfresh,
    /// Lets an approval wait between its decision and its socket.
    HoldsApprovals,
    /// Takes an unknown COMMIT for a failed one.
    AppliesTwice,
    /// Moves the watermark outside of the transaction that adds the rows.
    MovesWatermarkAlone,
    /// Keeps the account number with the answer.
    LeaksPan,
    /// Does not give back the permit of a request that was not sent.
    LeaksPermit,
    /// Acknowledges an advice as soon as its record is appended.
    AcknowledgesEarly,
    /// Sends an advice again under another name.
    RenamesAdvices,
    /// Takes some owed advices for acknowledged without having sent them.
    DropsAdvices,
    /// Does not look for what an advice completes.
    CompletesUnseen,
    /// Lets a completion leave whatever is owed of its original.
    OvertakesOriginals,
    /// Lets a reversal leave whatever completions are owed of what it reverses or completes.
    OvertakesCompletions,
    /// A start does not tell a shard what places others have seen.
    ForgetsPlaces,
    /// Lets a request leave whatever its issuer is owed for the account.
    OvertakesOwed,
    /// Sends a completion request to another issuer than that of its original.
    CompletesElsewhere,
    /// Puts what a lost connection left of a frame before the first one of the next.
    KeepsHalfFrames,
    /// Counts what a start finds of an account's past where it finds it.
    CountsPastAtOwner,
    /// Counts what a start finds of an account's past as of the moment of the start.
    CountsPastAsPresent,
    /// Counts each intent that a start finds, also those of one request.
    CountsPastTwice,
    /// Recovery counts approvals twice.
    CountsTwice,
    /// Recovery counts reversals twice.
    CountsReversalsTwice,
    /// Recovery does not look at business days.
    ForgetsDays,
    /// Recovery does not look at which totals are closed.
    ReopensDays,
    /// Takes each copy of a reconciliation for another one.
    ReconcilesAfresh,
    /// Answers a reconciliation as soon as it is decided.
    ReconcilesEarly,
    /// Who leads a reconciliation adds its own totals twice.
    AddsTwice,
    /// Takes what issuers are owed of totals for acknowledged without having sent it.
    DropsReconciliations,
    /// Does not know after a restart that a day has ended.
    ForgetsCutOvers,
    /// A change of the number of shards leaves tombstones behind.
    LeavesTombstones,
    /// Takes what was carried over for what happened: it counts once more.
    CountsCarried,
    /// Copies to PostgreSQL what was carried over.
    CopiesCarried,
    /// Passes on approvals of less than was asked for, whatever the session takes.
    PassesPartials,
    /// Treats a duplicate as a repeat, whatever the session wants.
    AnswersDuplicates,
    /// Does not look at how much a session may complete.
    CompletesWithoutLimit,
    /// Takes what a lost link had not answered for unsent: the next issuer has it too.
    AsksAnother,
    /// Answers the copy of an administrative message whose place a newer one has taken.
    AnswersReplaced,
    /// Passes on what an issuer says to an administrative message after its end.
    TellsLate,
    /// Looks for the original of a reversal only where DE90 leads.
    ReversesWhereNamed,
    /// Looks for what a completion request means only where its own STAN leads.
    CompletesWhereNamed,
    /// Recovery does not look at intents without an outcome.
    LeavesOpen,
    /// Tells an acquirer what it told another one.
    SwapsAnswers,
    /// Holds more transactions than are declared.
    BuildsTooWide,
    /// Does not tell some answers.
    LosesAnswers,
    /// Does not hear that an issuer has what it was owed.
    DeafToAcknowledgements,
    /// Does not hear an approval behind the decline for which a reversal was dropped.
    DeafBehindDeclines,
    /// After a restart nothing is copied to PostgreSQL.
    StopsApplying,
    /// Leaves what is owed out of checkpoints.
    OmitsOwed,
    /// Sends again what a start has found and is to ask for.
    SubmitsAgain,
    /// A start takes for timed out what it could ask for.
    ReversesAsked,
    /// Removes segments that a checkpoint covers, whatever PostgreSQL lacks.
    RetiresUnread,
}

/// How much of the world takes part: each has what is above it too. Seeds that have shown a fault
/// stay in the world in which they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Requests and reversals.
    Requests,
    /// Advices, and approvals in place of issuers.
    Advices,
    /// Business days, totals and reconciliations.
    Days,
    /// Starts with another number of shards.
    Shards,
    /// What sessions and issuers ask for where practice differs.
    Switches,
    /// Administrative messages.
    Administrative,
    /// Originals that are found by DE37, DE41 and DE42.
    References,
    /// Checkpoints, and segments that go behind them.
    Checkpoints,
    /// Issuers that decide later, and are asked.
    Inquiries,
}

impl Extent {
    /// All that a seed draws.
    pub const WHOLE: Self = Self::Inquiries;
}

/// Whether every event is to be printed.
fn is_traced() -> bool {
    std::env::var_os("SIM_TRACE").is_some()
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed that shows it.
    pub seed: u64,
    /// The step at which it showed.
    pub step: u64,
    /// Virtual milliseconds.
    pub at_ms: u64,
    /// Which promise (faults.md §1).
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} broken: {} (seed {}, step {}, {} ms; replay with SIM_SEED={})",
            self.rule, self.what, self.seed, self.step, self.at_ms, self.seed
        )
    }
}

/// What a run went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Hash over every event in order.
    pub trace: u64,
    /// Events.
    pub steps: u64,
    /// Transactions that acquirers asked for.
    pub purchases: u64,
    /// Restarts out of the journal.
    pub restarts: u64,
    /// Approvals that acquirers received.
    pub approvals: u64,
    /// Stored answers that were given again.
    pub replays: u64,
    /// Reversals that issuers carried out.
    pub reversals: u64,
    /// Reversals that met no original.
    pub tombstones: u64,
    /// Virtual milliseconds.
    pub simulated_ms: u64,
    /// What was met.
    pub seen: Seen,
}

impl Report {
    /// Adds what another seed went through. The order in which seeds are added does not matter.
    pub fn add(&mut self, seed: u64, other: &Self) {
        let mixed = other
            .trace
            .wrapping_mul(seed.wrapping_mul(2).wrapping_add(1));
        self.trace = self.trace.wrapping_add(mixed);
        self.steps += other.steps;
        self.purchases += other.purchases;
        self.restarts += other.restarts;
        self.approvals += other.approvals;
        self.replays += other.replays;
        self.reversals += other.reversals;
        self.tombstones += other.tombstones;
        self.simulated_ms += other.simulated_ms;
        self.seen.add(&other.seen);
    }
}

/// One run.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64, driver: Driver) -> Result<Report, Violation> {
    world::World::new(seed, driver, None, Extent::WHOLE).run()
}

/// One run of a part of the world.
///
/// # Errors
/// The first promise that was broken.
pub fn run_extent(seed: u64, extent: Extent) -> Result<Report, Violation> {
    world::World::new(seed, Driver::Faithful, None, extent).run()
}

/// One run of a world that has one kind of fault.
///
/// # Errors
/// The first promise that was broken.
pub fn run_focused(seed: u64, focus: Focus) -> Result<Report, Violation> {
    run_focused_by(seed, Driver::Faithful, focus)
}

/// The same by another driver.
///
/// # Errors
/// The first promise that was broken.
pub fn run_focused_by(seed: u64, driver: Driver, focus: Focus) -> Result<Report, Violation> {
    world::World::new(seed, driver, Some(focus), Extent::Requests).run()
}

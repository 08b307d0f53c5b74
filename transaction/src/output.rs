//! What the engine asks for. Ids and small copies; the bytes are composed by the shell.

use core::time::Duration;

use domain::ids::{AcquirerId, AuthorisationId, IssuerId, Lsn};
use domain::message_reason::MessageReason;
use domain::reconciliation::Verdict;
use domain::record::{
    AdviceOrigin, Completed, Operation, OutcomeKind, OwedKind, RefusalReason, ReversalCause,
    SafResult,
};
use domain::request::{FrameId, IssuerLeg, MessageKind, Transmission};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};

use crate::advice::OriginalQuery;
use crate::engine::following::OlderQuery;
use crate::input::{Handle, OwedId};
use crate::operating::{OperateError, Operated, Retried};
use crate::reconciliation::{BucketKey, ReconciliationId};

/// One thing for the shell to do, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask risk; answer with [`crate::input::Input::Assessed`].
    Assess {
        /// The transaction.
        handle: Handle,
        /// Its frame.
        frame: FrameId,
    },
    /// Ask the router; answer with [`crate::input::Input::Selected`].
    SelectRoute {
        /// The transaction.
        handle: Handle,
        /// Its frame.
        frame: FrameId,
        /// Bit per candidate position that was tried and provably not sent to.
        tried: u8,
    },
    /// Ask the router for this issuer and no other, which a completion request goes to; answer with
    /// [`crate::input::Input::Selected`], by a leg that is [`IssuerLeg::OF_ORIGINAL`].
    SelectIssuer(WantedIssuer),
    /// Append this record, in this order. [`crate::Engine::record`] composes it, until the next
    /// input.
    Journal {
        /// Its position: dense, one more than the record before.
        lsn: Lsn,
        /// What to compose.
        entry: JournalEntry,
    },
    /// The intent is durable: send the request to the issuer.
    Send {
        /// The transaction.
        handle: Handle,
        /// The acquirer's frame that leg B is written from.
        frame: FrameId,
        /// How it travels.
        leg: IssuerLeg,
    },
    /// A start has found this request, whose intent says that its issuer can be asked: ask what
    /// became of it, by its deadline, and never send it. Its leg takes no permit; it ends by
    /// [`Output::LegEnded`] all the same.
    Inquire {
        /// The transaction.
        handle: Handle,
        /// How it has travelled, if it has.
        leg: IssuerLeg,
        /// Its deadline, as its record has it.
        until: WallTime,
    },
    /// The leg's call is over: return its permit, tell the breaker. Exactly one per leg that was
    /// given with [`crate::input::Selection::Leg`].
    LegEnded {
        /// The transaction.
        handle: Handle,
        /// The frame that waits for its answer, if one still does.
        frame: Option<FrameId>,
        /// The leg.
        leg: IssuerLeg,
        /// How it ended. After [`LegEnding::TimedOut`] the link moves its key to the late ones.
        ending: LegEnding,
        /// Since it was sent, or since it was selected when it never was.
        elapsed: Duration,
    },
    /// Nothing refers to the leg's STAN any more.
    ReleaseStan {
        /// The leg.
        leg: IssuerLeg,
        /// When the number may be given out again.
        reuse: StanReuse,
    },
    /// Answer this frame.
    Reply {
        /// The frame.
        frame: FrameId,
        /// What it is told.
        reply: Reply,
    },
    /// This frame gets no answer: a newer copy has taken its place, or its reversal has.
    Discard {
        /// The frame.
        frame: FrameId,
    },
    /// Send the reversal that [`crate::Engine::reversal`] describes.
    SendReversal {
        /// The reversal: the oldest that its transaction owes.
        owed: OwedId,
        /// Whether the origin digit is odd.
        transmission: Transmission,
    },
    /// Ask the shard where the original of an advice, or of a completion request, would live;
    /// answer with [`crate::input::Input::Original`].
    FindOriginal {
        /// The transaction.
        handle: Handle,
        /// What it names.
        query: OriginalQuery,
    },
    /// Ask all shards for the original of a completion request, by DE37, DE41 and DE42; answer with
    /// [`crate::input::Input::Original`].
    FindReferred {
        /// The transaction.
        handle: Handle,
    },
    /// Say how an advice is to travel; answer with [`crate::input::Input::Assigned`].
    AssignLeg {
        /// The transaction.
        handle: Handle,
        /// Its frame.
        frame: FrameId,
        /// The issuer of what it completes; else the first one of its route, whether it can be
        /// reached or not.
        issuer: Option<IssuerId>,
    },
    /// Send the advice that [`crate::Engine::advice`] describes.
    SendAdvice {
        /// The advice.
        owed: OwedId,
        /// Whether the origin digit is odd.
        transmission: Transmission,
    },
    /// Ask all shards, by [`crate::Engine::owes_older`], whether something older about the same
    /// original is owed; answer with [`crate::input::Input::Older`].
    AskOlder {
        /// What would leave.
        owed: OwedId,
        /// What it is about.
        query: OlderQuery,
    },
    /// The latest transmission of this reversal or advice is waited for no longer: its link moves
    /// the key to the late ones, unless that link has brought the answer. One for each
    /// [`Output::SendReversal`] that [`crate::input::Input::ReversalUnsent`] did not end.
    GiveUpReversal {
        /// The reversal.
        owed: OwedId,
    },
    /// Something that this transaction owed has ended, durably, or what a start has found in
    /// flight was decided, and no frame waits for that: where it stands may be told anew.
    OwedEnded {
        /// The transaction.
        handle: Handle,
    },
    /// What became of [`crate::input::Input::Operate`], once it is durable.
    Operated {
        /// The operator's question.
        ticket: u32,
        /// What was done.
        result: Result<Operated, OperateError>,
    },
    /// What became of [`crate::input::Input::RetryAll`], once it is durable.
    Retried {
        /// The operator's question.
        ticket: u32,
        /// What was done.
        retried: Retried,
    },
    /// What was asked of the book under this token is durable.
    Noted {
        /// As it was given.
        token: u32,
    },
    /// Send the reconciliation that [`crate::Engine::owed_reconciliation`] describes; answer with
    /// [`crate::reconciliation::BookInput::Answered`] or `Unsent`.
    SendReconciliation {
        /// Which.
        owed: ReconciliationId,
        /// Whether the origin digit is odd.
        transmission: Transmission,
    },
    /// A reconciliation of ours has ended.
    ReconciliationEnded {
        /// Which: its STAN is free.
        owed: ReconciliationId,
        /// Whose totals it told.
        bucket: BucketKey,
        /// How it ended.
        result: SafResult,
        /// What the issuer has found.
        verdict: Verdict,
    },
    /// Something to count.
    Event {
        /// What.
        event: Event,
        /// Whose message it is about; `None` where it is about no message of an acquirer.
        acquirer: Option<AcquirerId>,
    },
}

/// The one issuer that a completion request can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedIssuer {
    /// The transaction.
    pub handle: Handle,
    /// Its frame.
    pub frame: FrameId,
    /// Whose the original is.
    pub issuer: IssuerId,
    /// The original as that issuer knows it, for the request to name.
    pub completed: Completed,
}

/// What a frame is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The stored answer, [`crate::Engine::answer`].
    Answer(Handle),
    /// A code and nothing else, to a request that makes no transaction.
    Code(ResponseCode),
    /// The answer to a reversal.
    Acknowledge {
        /// DE39.
        code: ResponseCode,
    },
}

/// How a leg ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegEnding {
    /// The issuer answered with this code.
    Answered(ResponseCode),
    /// No answer by the deadline.
    TimedOut,
    /// An answer that cannot be used.
    Unusable,
    /// Nothing left for the issuer.
    Unsent,
}

/// When a released STAN may be given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StanReuse {
    /// Its answer has come, or it was never sent.
    AtOnce,
    /// An answer may still come: after the late window.
    AfterLateWindow,
}

/// Names a record that is to be journaled. Composed by [`crate::Engine::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    pub(crate) handle: Handle,
    pub(crate) decided: WallTime,
    pub(crate) kind: EntryKind,
}

impl JournalEntry {
    /// The table's entry that it is composed from.
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.handle
    }
}

/// Which record, with what the table does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Intent,
    Refused {
        reason: RefusalReason,
    },
    Outcome {
        kind: OutcomeKind,
        issuer_code: Option<ResponseCode>,
    },
    SafOwed {
        saf: u32,
    },
    SafDone {
        result: SafResult,
        code: Option<ResponseCode>,
        attempts: u32,
    },
    Tombstone,
    LateResponse {
        code: ResponseCode,
    },
    Advised {
        /// None where nobody is told.
        saf: u32,
    },
    AdviceDone {
        result: SafResult,
        code: Option<ResponseCode>,
        attempts: u32,
    },
    /// By the operator of the latest input, for the operator's reason.
    Operated {
        ordinal: u8,
        what: OwedKind,
        operation: Operation,
        code: Option<ResponseCode>,
        attempts: u32,
    },
    Book {
        /// Among those of the turn.
        place: u32,
    },
}

/// A reversal that is owed to an issuer, as [`Output::SendReversal`] sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwedReversal {
    /// How the original travelled.
    pub leg: IssuerLeg,
    /// What its issuer had of the original.
    pub original: MessageKind,
    /// When it was decided. Its DE7, the same in every transmission: no two reversals of one
    /// transaction share a second.
    pub decided: WallTime,
    /// The amount that stood before it: the whole, or what earlier reversals have left of it.
    pub before: Amount,
    /// The amount that stays; `None` reverses all.
    pub replacement: Option<Amount>,
    /// Why, where an acquirer has said so.
    pub reason: Option<MessageReason>,
    /// Why, as the switch sees it.
    pub cause: ReversalCause,
    /// Transmissions so far.
    pub attempts: u32,
}

/// Something to count. A closed set: each becomes a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A copy of a request was recognised.
    Copy(CopyResult),
    /// A request was not admitted.
    NotAdmitted(NotAdmitted),
    /// A reversal of an acquirer was decided.
    Reversal(ReversalResult),
    /// A request waits until its issuer has what it is owed for the account.
    HeldBack,
    /// Such a request waits no longer, or could not.
    GivenUp(GivenUp),
    /// An answer came after its transaction had ended.
    LateResponse,
    /// A second answer to an answered transaction.
    SecondAnswer {
        /// Its code differs from the first one's.
        conflict: bool,
    },
    /// An input named an entry that is gone, or came in a state that does not wait for it.
    Stray,
    /// An advice of an acquirer was decided.
    Advice(AdviceResult),
    /// The switch has approved in place of an issuer.
    StoodIn,
    /// A reversal is owed.
    SafOwed {
        /// Why.
        cause: ReversalCause,
    },
    /// An operator has made an exception owed again.
    SafPutBack {
        /// What is owed.
        what: Owed,
    },
    /// Something owed was not acknowledged and is tried again later.
    SafRetry,
    /// Something owed has ended.
    SafEnded {
        /// What was owed.
        what: Owed,
        /// How it ended.
        result: SafResult,
    },
    /// The answer's further fields did not fit the store; the answer goes without them.
    AnswerCut,
    /// A transaction could not be counted: there is no room for a further day or currency.
    Uncounted,
}

/// Something that is owed to an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// A reversal, and why.
    Reversal(ReversalCause),
    /// An advice, and who decided what it reports.
    Advice(AdviceOrigin),
}

impl Owed {
    /// Which of the two.
    #[must_use]
    pub const fn kind(self) -> OwedKind {
        match self {
            Self::Reversal(_) => OwedKind::Reversal,
            Self::Advice(_) => OwedKind::Advice,
        }
    }
}

/// Why something is an exception and owed no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The issuer refused it three times.
    Refused,
    /// Its time ran out.
    Expired,
    /// An operator took it out.
    Dropped,
    /// Nobody was ever told: what it completes had been reversed, or its issuer is gone.
    Unforwarded,
}

impl Ended {
    /// `None` of what an issuer has taken.
    pub(crate) const fn of(result: SafResult) -> Option<Self> {
        match result {
            SafResult::Acknowledged => None,
            SafResult::Refused => Some(Self::Refused),
            SafResult::Expired => Some(Self::Expired),
            SafResult::Dropped => Some(Self::Dropped),
        }
    }
}

/// An advice that is owed to an issuer, as [`Output::SendAdvice`] sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwedAdvice<'a> {
    /// Who decided what it reports.
    pub origin: AdviceOrigin,
    /// How it travels.
    pub leg: IssuerLeg,
    /// What it completes.
    pub completed: Option<Completed>,
    /// DE38 that the switch gave; empty when it gave none.
    pub authorisation: AuthorisationId,
    /// Further fields, encoded as `domain::request::Answer::fields`.
    pub fields: &'a [u8],
}

/// What became of an acquirer's advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdviceResult {
    /// It is owed to its issuer.
    Accepted,
    /// What it completes had been reversed: an exception for people.
    LeftToPeople,
    /// The issuer of what it completes is gone: an exception for people.
    NoIssuer,
    /// It completes more than its session lets it: an exception for people.
    OverOriginal,
    /// Its own reversal had come before it.
    Reversed,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyResult {
    /// The stored answer was given.
    Stored,
    /// It waits for the answer of the transaction in flight.
    Attached,
    /// Refused by `duplicate_same_content`: 94, or 09 in flight.
    Rejected,
    /// Same key, other content: 94 and an alarm.
    Conflict,
    /// Its transaction has been reversed (R9).
    Reversed,
}

/// Why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Shed mode.
    Shed,
    /// No free entry: all are in flight, owe a reversal or lie inside the window.
    TableFull,
    /// Too many in flight.
    InflightFull,
    /// Too many reversals are owed for another one to be promised.
    SafFull,
    /// DE7 lies outside the duplicate window.
    OutsideWindow,
    /// DE7 of what is sent for the first time is further from the clock than its session lets it.
    ClockSkew,
    /// Its reversal came first, or before it was decided.
    Tombstone,
    /// No route leads anywhere.
    NoRoute,
    /// Risk or route did not answer in time.
    Undecided,
    /// Its issuer is to have first what it is owed for the account, and too many wait for that.
    HeldBackFull,
    /// A completion: as many are owed about its original as may be at a time.
    CompletionsFull,
}

/// Why a request did not leave whose issuer was to have first what it was owed for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// Half of its route's deadline has passed.
    TooLong,
    /// Too many wait.
    Full,
    /// The switch drains.
    Draining,
    /// The issuer is not the first one that was chosen for it: it waits for one at most.
    OtherIssuer,
}

/// What became of an acquirer's reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalResult {
    /// A reversal is owed to the issuer.
    Accepted,
    /// The original was in flight.
    InFlight,
    /// The original was not sent, and is not going to be.
    NotSent,
    /// Nothing is owed: declined, not sent, or reversed already.
    NothingOwed,
    /// A copy of an accepted one.
    Copy,
    /// No original: a tombstone stands.
    Unknown,
    /// No original, but the table has had to forget transactions of its time: a tombstone stands,
    /// and a person should look.
    Forgotten,
    /// More than is left.
    TooMuch,
    /// No room to promise it: 96, the acquirer repeats it.
    Full,
}

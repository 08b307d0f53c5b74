//! One transaction: what it captured at admission, and what it has come to since.

use core::time::Duration;

use domain::ids::{AcquirerId, MerchantId, TransactionId};
use domain::pan::PanToken;
use domain::profile::Profile;
use domain::record::{
    AdviceOrigin, Advised, Completed, Extent, Intent, RefusalReason, Refused, Tombstone,
};
use domain::request::{
    Advice, Answer, Completion, DuplicateKey, Facts, FrameId, IssuerLeg, MessageKind,
    OriginalReference, Request, Reversal,
};
use domain::time::{Instant, WallTime};
use domain::{Amount, ResponseCode};

use crate::advice::Original;
use crate::arena::{Arena, Span};
use crate::state::{Ending, Requested, State};
use crate::stored_answer::StoredAnswer;
use crate::table::NONE;

/// What the table holds of one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) facts: Facts,
    pub(crate) admitted: WallTime,
    /// What its session asked for. The journal does not keep it: what a restart finds has ended,
    /// or ends as timed out.
    pub(crate) profile: Profile,
    /// Moved by value through [`State::on`].
    pub(crate) state: State,
    /// The newest copy's frame that still waits for the answer.
    pub(crate) frame: Option<FrameId>,
    /// The latest leg.
    pub(crate) leg: Option<IssuerLeg>,
    /// What is so of its legs.
    pub(crate) legs: LegMarks,
    /// The leg's STAN is still taken.
    pub(crate) stan_held: bool,
    /// The late or second answer that was journaled; one is enough.
    pub(crate) late: LateAnswer,
    /// It stands in the totals as an approval.
    pub(crate) is_counted: bool,
    /// An advice, or approved in place of an issuer.
    pub(crate) advised: Option<AdviceOrigin>,
    /// DE39 of an advice.
    pub(crate) reported: Option<ResponseCode>,
    /// Candidate positions that were tried and not sent to.
    pub(crate) tried: u8,
    /// Which deadline queue it stands in.
    pub(crate) queue: u8,
    /// When the decision or the route's deadline passes.
    pub(crate) deadline: Instant,
    /// When the leg was selected, then when it was sent.
    pub(crate) started: Instant,
    pub(crate) answer: StoredAnswer,
    /// What is approved and not reversed, in minor units; after a reversal in flight, what it
    /// leaves if the issuer approves.
    pub(crate) left: u64,
    /// The accepted partial reversals of the acquirer, to know their copies: no more are accepted
    /// than it holds. One in full may push one out, as every copy is then told the same.
    pub(crate) reversals: [u64; 3],
    /// The latest place in the order of what is owed about it, zero before the first
    /// (`engine/following.rs`).
    pub(crate) placed: WallTime,
    /// Owed reversals in order, by position in the SAF.
    pub(crate) saf_head: u32,
    pub(crate) saf_tail: u32,
    /// How much it has ever owed: the ordinal of the latest.
    pub(crate) owed_count: u8,
    /// The highest ordinal that an issuer has taken.
    pub(crate) taken: u8,
    /// Of what it owed, what people look at.
    pub(crate) exceptions: u8,
    /// Of what it owed, what has ended by a record that is not durable.
    pub(crate) unwritten: u8,
}

/// Marks in one byte: an entry of the table has none to spare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegMarks(u8);

impl LegMarks {
    pub(crate) const NONE: Self = Self(0);
    const OPEN: u8 = 1;
    const INTENT: u8 = 2;
    const FAILED: u8 = 4;
    const ASKED: u8 = 8;
    const RESUMED: u8 = 16;

    /// A permit is out.
    pub(crate) const fn open(&mut self) {
        self.0 |= Self::OPEN;
    }

    /// The permit comes back; whether it was out.
    pub(crate) const fn close(&mut self) -> bool {
        let was_open = self.is_open();
        self.0 &= !Self::OPEN;
        was_open
    }

    pub(crate) const fn is_open(self) -> bool {
        self.0 & Self::OPEN != 0
    }

    /// An intent is durable.
    pub(crate) const fn note_intent(&mut self) {
        self.0 |= Self::INTENT;
    }

    /// Something that was owed about it has failed, and gave way among the exceptions.
    pub(crate) const fn note_failed(&mut self) {
        self.0 |= Self::FAILED;
    }

    /// Whether that is so, though nothing of it is among the exceptions any more.
    pub(crate) const fn has_failed(self) -> bool {
        self.0 & Self::FAILED != 0
    }

    /// Whether the record of the latest intent says that its issuer can be asked.
    pub(crate) const fn set_asked(&mut self, is_asked: bool) {
        self.0 &= !Self::ASKED;
        if is_asked {
            self.0 |= Self::ASKED;
        }
    }

    /// Whether it does; of what a start has found.
    pub(crate) const fn is_asked(self) -> bool {
        self.0 & Self::ASKED != 0
    }

    /// A start has found it open, and its issuer is asked what became of it.
    pub(crate) const fn resume(&mut self) {
        self.0 |= Self::RESUMED | Self::OPEN;
    }

    /// Whether that is so. It was sent before, and never is again.
    pub(crate) const fn is_resumed(self) -> bool {
        self.0 & Self::RESUMED != 0
    }

    /// Whether a restart knows of it.
    pub(crate) const fn has_intent(self) -> bool {
        self.0 & Self::INTENT != 0
    }
}

/// What an issuer said after the end, of what is worth a record, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LateAnswer {
    Nothing,
    Declined,
    /// It declined, and the reversal that was owed ended before it left.
    Dropped,
    Approved,
    /// It approved behind the decline that the reversal was dropped for: it may hold money that
    /// nobody takes back.
    Unreversed,
}

impl LateAnswer {
    pub(crate) fn of(code: ResponseCode) -> Self {
        if code.is_approval() {
            Self::Approved
        } else {
            Self::Declined
        }
    }

    /// With what it says next.
    pub(crate) fn then(self, code: ResponseCode) -> Self {
        match (self, code.is_approval()) {
            (Self::Dropped | Self::Unreversed, true) => Self::Unreversed,
            (Self::Dropped | Self::Unreversed, false) => self,
            (Self::Nothing | Self::Declined | Self::Approved, _) => Self::of(code),
        }
    }

    /// When a reversal is owed; whether one had been dropped.
    pub(crate) fn owe(&mut self) -> bool {
        let was_dropped = matches!(self, Self::Dropped | Self::Unreversed);
        if was_dropped {
            *self = Self::Approved;
        }
        was_dropped
    }
}

impl Transaction {
    /// Admits a request.
    pub(crate) fn admit(request: &Request, id: TransactionId, admitted: WallTime) -> Self {
        let state = match request.completion {
            Completion::No => State::Assessing,
            Completion::Named(_) | Completion::Unnamed => State::Locating,
        };
        let mut transaction = Self::new(id, admitted, request.facts, state);
        transaction.frame = Some(request.frame);
        transaction.profile = request.profile;
        transaction
    }

    /// Takes an advice in.
    pub(crate) fn advise(advice: &Advice<'_>, id: TransactionId, admitted: WallTime) -> Self {
        let mut transaction = Self::new(id, admitted, advice.facts, State::Assigning);
        transaction.frame = Some(advice.frame);
        transaction.advised = Some(AdviceOrigin::Acquirer);
        transaction.reported = advice.reported;
        transaction.profile.completion = advice.limit;
        transaction
    }

    /// Found in the journal: an advice, or an approval in place of an issuer.
    pub(crate) fn recovered_advised(advised: &Advised<'_>) -> Self {
        let ending = match advised.leg {
            None => Ending::NotSent,
            Some(_) if advised.is_approval() => Ending::Approved,
            Some(_) => Ending::Declined,
        };
        let state = State::Settled(ending);
        let mut transaction =
            Self::new(advised.transaction, advised.admitted, advised.facts, state);
        transaction.take_advised(advised);
        transaction
    }

    /// What a record of it says; its state is the caller's.
    pub(crate) fn take_advised(&mut self, advised: &Advised<'_>) {
        self.leg = advised.leg;
        self.stan_held = advised.leg.is_some();
        self.advised = Some(advised.origin);
        self.reported = advised.reported;
        self.answer = StoredAnswer::of(advised.answer.code);
        self.answer.authorisation = advised.answer.authorisation;
        let completes = advised.completes.map(|named| named.transaction);
        self.answer.set_completes(completes);
        self.left = match self.state.ending() {
            Some(Ending::Approved) => self.facts.amount.minor(),
            _ => 0,
        };
    }

    /// What an issuer has of it.
    pub(crate) fn kind(&self) -> MessageKind {
        match self.advised {
            Some(_) => MessageKind::Advice,
            None if self.is_completion() => MessageKind::Completion,
            None => MessageKind::Request,
        }
    }

    /// Whether it has travelled as a completion request.
    pub(crate) fn is_completion(&self) -> bool {
        self.leg.is_some_and(|leg| leg.is_of_original())
    }

    /// How an advice ends whose issuer is told.
    pub(crate) fn reported_ending(&self) -> Ending {
        if self.reported.is_none_or(ResponseCode::is_approval) {
            Ending::Approved
        } else {
            Ending::Declined
        }
    }

    /// What another transaction that names this one has to know.
    pub(crate) fn as_original(&self) -> Original {
        let reversed = match self.state.ending() {
            Some(Ending::NotSent) => return Original::Unknown,
            Some(Ending::TimedOut | Ending::Invalid) => true,
            Some(
                Ending::Refused
                | Ending::Declined
                | Ending::Approved
                | Ending::PartlyReversed
                | Ending::Reversed
                | Ending::AcquirerReversed,
            )
            | None => self.state == State::Reversing || self.is_taken_back(),
        };
        match self.leg {
            _ if reversed => Original::Reversed,
            Some(_) if !self.state.is_settled() => Original::Undecided,
            None if self.state == State::HeldBack => Original::Undecided,
            Some(leg) => Original::Stands {
                issuer: leg.issuer,
                completed: Completed {
                    transaction: self.id,
                    class: self.facts.class,
                    kind: match self.kind() {
                        MessageKind::Advice => MessageKind::Advice,
                        MessageKind::Request | MessageKind::Completion => MessageKind::Request,
                    },
                    stan: leg.stan,
                    transmitted: leg.transmitted,
                    local: self.facts.trace.local().unwrap_or(leg.transmitted),
                    extent: Extent::Unknown,
                },
                place: None,
                is_told: self.advised.is_none() || self.taken > 0,
                approved: Amount::new(self.left, self.facts.amount.currency())
                    .ok()
                    .filter(|left| left.minor() > 0),
            },
            None => Original::Unknown,
        }
    }

    /// Nothing is left of it: a partial reversal leaves something that can be completed.
    const fn is_taken_back(&self) -> bool {
        self.state.is_reversed() && self.left == 0
    }

    fn new(id: TransactionId, admitted: WallTime, facts: Facts, state: State) -> Self {
        Self {
            id,
            facts,
            admitted,
            profile: Profile::PLAIN,
            state,
            frame: None,
            leg: None,
            legs: LegMarks::NONE,
            stan_held: false,
            late: LateAnswer::Nothing,
            is_counted: false,
            advised: None,
            reported: None,
            tried: 0,
            queue: u8::MAX,
            deadline: Instant::FAR_FUTURE,
            started: Instant::ZERO,
            answer: StoredAnswer::of(ResponseCode::MALFUNCTION),
            left: 0,
            reversals: [0; 3],
            placed: WallTime::from_unix_millis(0),
            saf_head: NONE,
            saf_tail: NONE,
            owed_count: 0,
            taken: 0,
            exceptions: 0,
            unwritten: 0,
        }
    }

    /// Found in the journal: an intent that nothing has closed so far.
    pub(crate) fn recovered_intent(intent: &Intent) -> Self {
        let mut transaction = Self::new(
            intent.transaction,
            intent.admitted,
            intent.facts,
            State::Sent,
        );
        transaction.leg = Some(intent.leg);
        transaction.legs.note_intent();
        transaction.stan_held = true;
        transaction
    }

    /// Found in the journal: declined in the switch.
    pub(crate) fn recovered_refusal(refused: &Refused) -> Self {
        let state = State::Settled(Ending::Refused);
        let mut transaction =
            Self::new(refused.transaction, refused.admitted, refused.facts, state);
        transaction.answer = StoredAnswer::of(refused.code);
        transaction
    }

    /// Stores what the acquirer is told; `place` is the position of this transaction. `false` when
    /// the further fields found no room.
    pub(crate) fn store_answer(
        &mut self,
        answer: &Answer<'_>,
        place: u32,
        arena: &mut Arena,
    ) -> bool {
        let currency = self.facts.amount.currency();
        let amount = answer.amount.filter(|amount| amount.currency() == currency);
        // A journal that says it twice leaves nothing behind in the arena.
        arena.free_span(self.answer.replace_fields(Span::EMPTY));
        let fields = arena.store(answer.fields, place);
        self.answer.tell(
            (answer.code, answer.authorisation),
            amount.map(Amount::minor),
            fields.unwrap_or(Span::EMPTY),
        );
        fields.is_some()
    }

    /// What the acquirer and every copy is told.
    pub(crate) fn answer<'a>(&self, arena: &'a Arena) -> Answer<'a> {
        Answer {
            code: self.answer.code,
            authorisation: self.answer.authorisation,
            amount: Amount::new(self.answer.amount(), self.facts.amount.currency()).ok(),
            fields: arena.get(self.answer.fields()),
        }
    }

    //= docs/rules.md#M-11
    /// Minor units of which its next reversal takes: what earlier ones left, and all of it where
    /// none has left anything or its issuer's answer is not known. A recovery finds the same, since
    /// it meets the reversals of a transaction in their order.
    pub(crate) const fn stands(&self) -> u64 {
        match self.left {
            0 => self.facts.amount.minor(),
            left => left,
        }
    }

    /// A reversal is accepted: what stays, and no stored answer any more (R9).
    pub(crate) fn take_back(&mut self, what: Requested, arena: &mut Arena) {
        self.left = what.replacement.unwrap_or(0);
        self.remember_reversal(what.key);
        let fields = self.answer.replace_fields(Span::EMPTY);
        arena.free_span(fields);
    }

    /// During recovery: the leg of an ended transaction needs its STAN only for a reversal.
    pub(crate) fn settle_replayed(&mut self, ending: Ending) {
        self.stan_held = match ending {
            Ending::TimedOut | Ending::Invalid | Ending::AcquirerReversed => true,
            Ending::Refused
            | Ending::NotSent
            | Ending::Declined
            | Ending::Approved
            | Ending::PartlyReversed
            | Ending::Reversed => false,
        };
        if ending == Ending::Approved {
            self.left = self.approved();
        }
    }

    //= docs/rules.md#B-06
    /// Of a stored approval, what it approves: less than was asked for when it is partial.
    pub(crate) fn approved(&self) -> u64 {
        let asked = self.facts.amount.minor();
        if self.answer.code == ResponseCode::PARTIAL_APPROVAL {
            self.answer.amount().min(asked)
        } else {
            asked
        }
    }

    /// Remembers an accepted reversal of the acquirer.
    const fn remember_reversal(&mut self, key: DuplicateKey) {
        let [first, second, _] = self.reversals;
        self.reversals = [short(key), first, second];
    }

    //= docs/rules.md#V-10
    /// Whether a further partial reversal can be remembered.
    pub(crate) const fn has_room_for_reversal(&self) -> bool {
        let [.., last] = self.reversals;
        last == 0
    }

    /// Whether the acquirer had reversed it before the latest time.
    pub(crate) const fn was_reversed_before(&self) -> bool {
        let [_, before, _] = self.reversals;
        before != 0
    }

    /// Whether something about it has a place.
    pub(crate) fn has_place(&self) -> bool {
        self.placed > WallTime::default()
    }

    /// A place at `wall`, or so long behind the latest.
    pub(crate) fn place_next(&mut self, wall: WallTime, apart: Duration) -> WallTime {
        let place = if self.has_place() {
            wall.max(self.placed.after(apart))
        } else {
            wall
        };
        self.placed = place;
        place
    }

    /// Whether `key` names a reversal that was accepted before.
    pub(crate) fn knows_reversal(&self, key: DuplicateKey) -> bool {
        self.reversals.contains(&short(key))
    }

    /// Whether a reversal has to be owed once more.
    pub(crate) fn is_owed_anew(&self) -> bool {
        self.late == LateAnswer::Unreversed
    }

    /// Whether the issuer's answer was passed on, or was about to be.
    pub(crate) fn was_answered(&self) -> bool {
        self.state.ending().is_some_and(Ending::is_answered)
    }

    /// Whether a reversal with this reference, DE42 and account can mean this transaction.
    pub(crate) fn is_meant_by(&self, reversal: &Reversal) -> bool {
        self.is_named(
            reversal.acquirer,
            &reversal.original,
            &reversal.merchant,
            reversal.token,
        )
    }

    /// Whether a message with this reference, DE42 and account can mean this transaction.
    pub(crate) fn is_named(
        &self,
        acquirer: AcquirerId,
        original: &OriginalReference,
        merchant: &MerchantId,
        account: Option<PanToken>,
    ) -> bool {
        let own = &self.facts.trace.merchant;
        self.facts.acquirer == acquirer
            && is_meant(&self.facts, original)
            && (merchant.is_empty() || own.is_empty() || merchant == own)
            && account.is_none_or(|token| token == self.facts.account.token)
    }

    /// The record of its latest intent.
    pub(crate) fn intent(&self, asked_until: Option<WallTime>) -> Option<Intent> {
        Some(Intent {
            transaction: self.id,
            admitted: self.admitted,
            facts: self.facts,
            leg: self.leg?,
            asked_until,
        })
    }

    /// The record of its refusal.
    pub(crate) const fn refused(&self, reason: RefusalReason) -> Refused {
        Refused {
            transaction: self.id,
            admitted: self.admitted,
            facts: self.facts,
            code: self.answer.code,
            reason,
        }
    }
}

/// Whether a tombstone stands in the way of this request. It does not know its DE42: what may have
/// been reversed is not forwarded.
pub(crate) fn is_buried(tombstone: &Tombstone, facts: &Facts) -> bool {
    tombstone.acquirer == facts.acquirer && is_meant(facts, &tombstone.original)
}

/// Compares what both sides carry; the trace key has compared DE41.
fn is_meant(facts: &Facts, original: &OriginalReference) -> bool {
    let trace = &facts.trace;
    trace.stan == original.stan
        && original.class.is_none_or(|class| class == facts.class)
        && original
            .transmitted
            .is_none_or(|time| time == trace.transmitted)
        && (original.rrn.is_empty() || trace.rrn.is_empty() || original.rrn == trace.rrn)
}

/// Half of a keyed hash, never zero: enough to tell the reversals of one transaction apart.
const fn short(key: DuplicateKey) -> u64 {
    let [_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h] = key.0.to_be_bytes();
    match u64::from_be_bytes([a, b, c, d, e, f, g, h]) {
        0 => 1,
        half => half,
    }
}

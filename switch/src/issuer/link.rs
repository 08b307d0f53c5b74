//! One link on its home shard: the machine of its life, its connection, and which owner waits for
//! which answer. What it decides stands in [`transaction::network::LinkMachine`] and in
//! [`transaction::matching`]; this writes and reads the messages.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{IssuerId, LinkId, ShardId, Stan};
use domain::network::SettlementDate;
use domain::time::{Instant, WallTime};
use iso8583::MessageRef;
use iso8583::error::MacError;
use iso8583::header::RejectCode;
use iso8583::mti::{Class, Function};
use iso8583::translate::{self, NetworkKind, NetworkRefusal};
use router::selection::CallOutcome;
use transaction::matching::{
    Cause, EchoFields, Expected, Match, PendingLimits, PendingTable, ResponseKind, Unmatched,
    UnmatchedLog, UnmatchedNote,
};
use transaction::network::{
    Alarm, LinkInput, LinkMachine, LinkOutput, LinkPhase, LinkPolicy, Verdict,
};

use super::Received;
use crate::config::LinkGroup;
use crate::conn::Conn;
use crate::crypto::key_change::NewKey;
use crate::echo::EchoReader;
use crate::frame::{Casing, Frame};
use crate::mesh::{Outbound, OutboundId};
use crate::metrics::LinkState as StateLabel;
use crate::tls::IssuerSide;
use crate::voice::{KeyMessage, NetworkStan, Said, Told, Voice};

/// What a link is made of.
#[derive(Debug)]
pub(crate) struct LinkSetup {
    pub(crate) id: LinkId,
    pub(crate) issuer: IssuerId,
    /// The issuer's name, for people.
    pub(crate) name: String,
    pub(crate) voice: Voice,
    /// Around what is sent first.
    pub(crate) casing: Casing,
    pub(crate) policy: LinkPolicy,
    /// What its answers give back.
    pub(crate) match_fields: EchoFields,
    pub(crate) group: LinkGroup,
    pub(crate) pending_max: usize,
    pub(crate) late_window: Duration,
    pub(crate) echo: EchoReader,
}

/// What a received message means for the shard.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Nothing that the shard must act on.
    Handled,
    /// A key that came is not taken; its side is told, where it asked.
    KeyRefused,
    /// The issuer answered an echo; whose breakers asked for one.
    Echoed { probed_by: ShardSet },
    /// An answer to what an owner waits for; `Some` for how long it has not been waited for.
    Answer {
        outbound: OutboundId,
        late: Option<Duration>,
    },
    /// An answer to what has been answered: counted, and told to the owner, who sees a conflict.
    Second { outbound: OutboundId, age: Duration },
    /// What was sent comes back and was not acted on. Whose it is, when it is still waited for, and
    /// what that says of the issuer.
    Rejected {
        outbound: Option<OutboundId>,
        call: CallOutcome,
    },
    /// Provably nothing of what was sent left, though it was taken for it. Whose it is.
    Unsent(OutboundId),
    /// What answers it cannot be acted on. Whose it is.
    Unusable(OutboundId),
    /// It is answered later. Whose it is.
    Pending(OutboundId, CallOutcome, Duration),
    /// An answer that belongs to nothing here.
    Unmatched(Cause),
    /// The same, for its MAC.
    Unauthentic(MacError),
    /// A key that was verified; whether its message waits for an answer.
    NewKey { key: NewKey, is_asked: bool },
    /// The issuer asks for totals.
    Reconciliation,
    /// The issuer asks for what only acquirers may.
    Unserved,
    /// The issuer's business day changes, or has changed.
    CutOver {
        step: CutOverStep,
        date: Option<SettlementDate>,
    },
}

/// Where a cut-over stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutOverStep {
    /// It begins.
    Start,
    /// It has ended.
    End,
}

/// One link.
#[derive(Debug)]
pub(crate) struct Link {
    setup: LinkSetup,
    machine: LinkMachine,
    conn: Option<Rc<Conn>>,
    pending: PendingTable<OutboundId>,
    unmatched: UnmatchedLog,
    network_stan: NetworkStan,
    /// The last change of whether it is open that the shard has not heard of.
    changed: Option<bool>,
    /// Shards whose breakers wait for an echo.
    probed_by: ShardSet,
    is_reject_told: bool,
    /// Since when it is drained to connect anew.
    renewing_since: Option<Instant>,
    scratch: Vec<u8>,
}

impl Link {
    pub(crate) fn new(setup: LinkSetup) -> Self {
        let limits = PendingLimits {
            inflight_max: setup.pending_max,
            late_max: setup.pending_max,
            answered_max: setup.pending_max,
            window: setup.late_window,
        };
        let seed = u64::from(setup.id.0);
        Self {
            machine: LinkMachine::new(setup.policy, seed),
            pending: PendingTable::matching_by(setup.match_fields, limits, seed),
            setup,
            conn: None,
            unmatched: UnmatchedLog::new(1, UNMATCHED_INTERVAL),
            network_stan: NetworkStan::default(),
            changed: None,
            probed_by: ShardSet::default(),
            is_reject_told: false,
            renewing_since: None,
            scratch: vec![0; 512],
        }
    }

    pub(crate) const fn issuer(&self) -> IssuerId {
        self.setup.issuer
    }

    /// The connection, when there is one.
    pub(crate) const fn conn(&self) -> Option<&Rc<Conn>> {
        self.conn.as_ref()
    }

    /// How long it has taken new work.
    pub(crate) fn open_for(&self, now: Instant) -> Option<Duration> {
        self.machine.open_for(now)
    }

    /// Whether it takes new work or no longer, when that has changed since the last question.
    pub(crate) const fn take_change(&mut self) -> Option<bool> {
        self.changed.take()
    }

    /// Nothing more has to be said before the connection is closed.
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.machine.is_at_rest()
    }

    /// A connection stands.
    pub(crate) fn connected(&mut self, conn: Rc<Conn>, now: Instant, wall: WallTime) {
        self.conn = Some(conn);
        self.is_reject_told = false;
        self.renewing_since = None;
        self.turn(LinkInput::Connected, now, wall);
    }

    /// The connection has ended. What was sent on it keeps its own deadline: it may have arrived.
    pub(crate) fn lost(&mut self, now: Instant, wall: WallTime) {
        self.turn(LinkInput::Lost, now, wall);
        if let Some(conn) = self.conn.take() {
            conn.close();
        }
    }

    /// What was sent and is waited for.
    pub(crate) fn outstanding(&self) -> Vec<OutboundId> {
        let sent = self.pending.outstanding();
        sent.map(|(_, outbound)| outbound).collect()
    }

    /// No new work: signs off.
    pub(crate) fn drain(&mut self, now: Instant, wall: WallTime) {
        self.turn(LinkInput::Drain, now, wall);
    }

    //= docs/rules.md#L-01
    /// Once the time of its certificates is over: no new work, and the connection is closed when
    /// nothing sent on it is waited for any more, so that the next one begins. `newest` is what
    /// links begin with now. Whether it is so far.
    pub(crate) fn renew(&mut self, newest: &Arc<IssuerSide>, now: Instant, wall: WallTime) -> bool {
        let (id, term) = (
            self.setup.id,
            self.conn.as_ref().and_then(|conn| conn.tls()?.term()),
        );
        if !term.is_some_and(|term| term.is_over(newest, id.0, wall)) {
            return false;
        }
        if self.renewing_since.is_none() {
            let issuer = &self.setup.name;
            tracing::info!(%issuer, link = %id, "its certificates end, it connects anew");
        }
        let since = *self.renewing_since.get_or_insert(now);
        self.drain(now, wall);
        let is_waited_for = self.pending.outstanding().next().is_some();
        let is_left = !is_waited_for || now.since(since) >= RENEWAL_WAIT;
        if let Some(conn) = self.conn.as_ref().filter(|_| self.is_at_rest() && is_left) {
            conn.close();
        }
        true
    }

    /// A new key of its issuer is in use.
    pub(crate) fn key_in_use(&mut self, now: Instant, wall: WallTime) {
        self.turn(LinkInput::KeyInUse, now, wall);
    }

    /// Sends what is due: a sign-on again, an echo, a sign-off.
    pub(crate) fn handle_timeout(&mut self, now: Instant, wall: WallTime) {
        self.machine.handle_timeout(now);
        self.act(wall);
    }

    /// When [`Link::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    /// Writes a message of an owner. Gives it back when provably no byte of it left.
    pub(crate) fn send(
        &mut self,
        outbound: Box<Outbound>,
        now: Instant,
    ) -> Result<(), Box<Outbound>> {
        let Some(conn) = self.conn.as_ref().filter(|_| self.machine.is_open()) else {
            return Err(outbound);
        };
        let Outbound {
            id,
            expected,
            echo,
            by,
            ..
        } = *outbound;
        // An earlier transmission of the same reversal, or the reversal before it, must not stand
        // in the way: all that a transaction owes carries one STAN.
        self.pending
            .supersede(expected, |earlier| earlier.is_reversal_beside(&id));
        if self.pending.insert(expected, echo, id, now).is_err() {
            return Err(outbound);
        }
        if conn.push_by(&outbound.bytes, by).is_err() {
            self.pending.withdraw(expected);
            return Err(outbound);
        }
        Ok(())
    }

    /// Sends an echo at once for the breaker of a shard, beside those that silence is due. Its
    /// answer is told by [`LinkEvent::Echoed`], that there is none by nobody: the breaker has its
    /// own timer.
    pub(crate) fn probe(&mut self, from: ShardId, wall: WallTime) {
        if self.machine.is_open() {
            self.probed_by.insert(from);
            self.ask(NetworkKind::Echo, wall);
        }
    }

    /// The owner has given up waiting: an answer from here on is late.
    pub(crate) fn give_up(&mut self, expected: Expected, now: Instant) {
        self.pending.give_up(expected, now);
    }

    /// Takes a frame of the issuer.
    pub(crate) fn received(
        &mut self,
        frame: &Frame,
        received: Received,
        now: Instant,
        wall: WallTime,
    ) -> LinkEvent {
        if let Err(error) = self.check_mac(frame, received, now) {
            // Not even a sign of life. The timer of what it says it answers decides (semantics.md
            // R8).
            return LinkEvent::Unauthentic(error);
        }
        self.turn(LinkInput::Heard, now, wall);
        let message = frame.message();
        match received {
            // The timer of whatever it answers decides; the link stays (issue: one malformed
            // answer costs one timeout).
            Received::Unreadable { field, offset } => {
                LinkEvent::Unmatched(Cause::Format { field, offset })
            }
            Received::Rejected { code, call } => self.rejected(message, (code, call), now),
            Received::Unsent => match self.take_back(message, now) {
                Some(outbound) => LinkEvent::Unsent(outbound),
                None => LinkEvent::Handled,
            },
            Received::Unusable => match self.take_back(message, now) {
                Some(outbound) => LinkEvent::Unusable(outbound),
                None => LinkEvent::Handled,
            },
            Received::Pending { call, took } => {
                let waiting = asked_by(message).and_then(|asked| self.pending.waits_for(asked));
                waiting.map_or(LinkEvent::Handled, |id| LinkEvent::Pending(id, call, took))
            }
            Received::Message if message.mti().class() == Class::Network => {
                self.take_network(frame, now, wall)
            }
            Received::Message if asks_for_totals(message) => LinkEvent::Reconciliation,
            Received::Message if is_administrative(message) => LinkEvent::Unserved,
            Received::Message => self.match_answer(message, now),
        }
    }

    //= docs/rules.md#M-07
    /// Takes an answer that came on another link of the issuer but has a STAN of this one.
    pub(crate) fn adopt(&mut self, message: MessageRef<'_>, now: Instant) -> LinkEvent {
        let is_out = translate::stan(message).is_ok_and(|stan| self.pending.is_stan_out(stan));
        match self.setup.group {
            LinkGroup::Issuer => self.match_answer(message, now),
            LinkGroup::Link if is_out => LinkEvent::Unmatched(Cause::WrongLink),
            // What is not in flight is found without being taken.
            LinkGroup::Link => match self.match_answer(message, now) {
                LinkEvent::Answer {
                    late: Some(age), ..
                } => LinkEvent::Unmatched(Cause::Late(age)),
                LinkEvent::Second { age, .. } => LinkEvent::Unmatched(Cause::AlreadyAnswered(age)),
                event => event,
            },
        }
    }

    /// An answer that was not matched came on this link, for the log and for what is thought of the
    /// link. What is to be told, unless the same was told a moment ago.
    pub(crate) fn note_unmatched(
        &mut self,
        cause: Cause,
        message: MessageRef<'_>,
        now: Instant,
        wall: WallTime,
    ) -> Option<UnmatchedNote> {
        if cause.is_mismatch() {
            self.turn(LinkInput::Mismatch, now, wall);
        }
        let is_readable = !matches!(cause, Cause::Format { .. });
        let answer = Unmatched {
            cause,
            mti: is_readable.then(|| *message.mti().as_bytes()),
            stan: translate::stan(message).ok(),
        };
        let (pending, echo) = (&self.pending, &self.setup.echo);
        self.unmatched.note(answer, now, || {
            let is_answer = is_readable && message.mti().class() != Class::Network;
            let expected = expected_of(message);
            let nearest = || pending.nearest(expected, &echo.of_answer(message));
            is_answer.then(nearest).flatten()
        })
    }

    /// Whose STAN an answer has.
    pub(crate) fn stan_of(message: MessageRef<'_>) -> Option<Stan> {
        expected_of(message).map(|expected| expected.stan)
    }

    /// Answers a network message of the issuer.
    pub(crate) fn answer_network(&mut self, request: &Frame, told: Told) {
        let len = self.setup.voice.answer(request, told, &mut self.scratch);
        self.push(len);
    }

    /// Writes an answer that is framed.
    pub(crate) fn answer(&self, framed: &[u8]) {
        if let Some(conn) = &self.conn
            && conn.push(framed).is_err()
        {
            conn.close();
        }
    }

    /// The metric's word for where it stands.
    pub(crate) const fn label(&self) -> StateLabel {
        match self.machine.phase() {
            LinkPhase::Down => StateLabel::Down,
            LinkPhase::Connected => StateLabel::Connected,
            LinkPhase::SignedOn => StateLabel::SignedOn,
            LinkPhase::Up => StateLabel::Up,
            LinkPhase::Draining => StateLabel::Draining,
            LinkPhase::SignedOff => StateLabel::SignedOff,
            LinkPhase::Quarantined => StateLabel::Quarantined,
        }
    }

    fn turn(&mut self, input: LinkInput, now: Instant, wall: WallTime) {
        self.machine.handle_input(input, now);
        self.act(wall);
    }

    fn act(&mut self, wall: WallTime) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                LinkOutput::Send(kind) => self.ask(kind, wall),
                LinkOutput::Open(is_open) => self.changed = Some(is_open),
                LinkOutput::Alarm(alarm) => self.tell(alarm),
                // The task that reads it ends, and connects again.
                LinkOutput::Close(alarm) => {
                    self.tell(alarm);
                    if let Some(conn) = self.conn.take() {
                        conn.close();
                    }
                }
            }
        }
    }

    fn tell(&self, alarm: Alarm) {
        let (issuer, link, reason) = (&self.setup.name, self.setup.id, alarm.text());
        match alarm {
            Alarm::SignOnRefused | Alarm::KeyMissing | Alarm::Quarantined => {
                tracing::error!(%issuer, %link, reason, "link takes no work");
            }
            Alarm::SignOnUnanswered | Alarm::EchoUnanswered => {
                tracing::warn!(%issuer, %link, reason, "issuer is silent, connection closed");
            }
        }
    }

    /// What comes back has the MAC that it left with. What cannot be read is never matched, so its
    /// MAC is not looked for.
    fn check_mac(&self, frame: &Frame, received: Received, now: Instant) -> Result<(), MacError> {
        let Some(keys) = &self.setup.voice.keys else {
            return Ok(());
        };
        match received {
            Received::Message => keys.check(frame.message(), now),
            Received::Rejected { .. } => keys.check_own(frame.message(), now),
            // Our own message, which was nowhere.
            Received::Unsent
            | Received::Unusable
            | Received::Pending { .. }
            | Received::Unreadable { .. } => Ok(()),
        }
    }

    fn match_answer(&mut self, message: MessageRef<'_>, now: Instant) -> LinkEvent {
        let Some(expected) = expected_of(message) else {
            return LinkEvent::Unmatched(self.cause_of_no_answer(message));
        };
        let echo = self.setup.echo.of_answer(message);
        match self.pending.resolve(expected, &echo, now) {
            Match::Matched(outbound) => LinkEvent::Answer {
                outbound,
                late: None,
            },
            Match::Late { owner, age } => LinkEvent::Answer {
                outbound: owner,
                late: Some(age),
            },
            Match::AlreadyAnswered { owner, age } => LinkEvent::Second {
                outbound: owner,
                age,
            },
            Match::Differs(EchoFields::CLASS) => LinkEvent::Unmatched(Cause::WrongMti),
            Match::Differs(fields) => LinkEvent::Unmatched(Cause::Differs(fields)),
            Match::Unknown => LinkEvent::Unmatched(Cause::Unknown),
        }
    }

    /// An echo of our own request, or a message that an issuer does not send: never matched.
    fn cause_of_no_answer(&self, message: MessageRef<'_>) -> Cause {
        match translate::stan(message) {
            Ok(stan) if self.pending.is_stan_out(stan) => Cause::WrongMti,
            Ok(_) => Cause::Unknown,
            Err(error) => Cause::Format {
                field: error.field,
                offset: 0,
            },
        }
    }

    /// A message of ours came back. What it was is read from itself; a network message has its
    /// timer.
    fn rejected(
        &mut self,
        message: MessageRef<'_>,
        (code, call): (RejectCode, CallOutcome),
        now: Instant,
    ) -> LinkEvent {
        let (issuer, link) = (&self.setup.name, self.setup.id);
        let mti = message.mti();
        if std::mem::replace(&mut self.is_reject_told, true) {
            tracing::debug!(%issuer, %link, %code, %mti, "another message was rejected");
        } else {
            tracing::warn!(%issuer, %link, %code, %mti, "the network rejects messages");
        }
        let outbound = self.take_back(message, now);
        LinkEvent::Rejected { outbound, call }
    }

    /// A message of ours is waited for no longer: whose it is, when it still was.
    fn take_back(&mut self, message: MessageRef<'_>, now: Instant) -> Option<OutboundId> {
        let matched = asked_by(message).map(|expected| {
            let echo = self.setup.echo.of_answer(message);
            self.pending.resolve(expected, &echo, now)
        });
        match matched {
            Some(Match::Matched(outbound)) => Some(outbound),
            // Timed out or answered meanwhile: this changes nothing of that.
            Some(
                Match::Late { .. }
                | Match::AlreadyAnswered { .. }
                | Match::Differs(_)
                | Match::Unknown,
            )
            | None => None,
        }
    }

    /// A network message: what the issuer asks is always answered, on the link and nowhere else.
    fn take_network(&mut self, frame: &Frame, now: Instant, wall: WallTime) -> LinkEvent {
        let message = frame.message();
        match self.setup.voice.said(message) {
            Said::Answers(kind, is_accepted) => {
                let verdict = if is_accepted {
                    Verdict::Accepted
                } else {
                    Verdict::Refused
                };
                self.turn(LinkInput::Answered(kind, verdict), now, wall);
                match kind {
                    NetworkKind::KeyChange if is_accepted => self.take_key(frame, false),
                    NetworkKind::Echo if is_accepted => LinkEvent::Echoed {
                        probed_by: std::mem::take(&mut self.probed_by),
                    },
                    NetworkKind::SignOn
                    | NetworkKind::SignOff
                    | NetworkKind::Echo
                    | NetworkKind::KeyChange
                    | NetworkKind::CutOver
                    | NetworkKind::CutOverEnd
                    | NetworkKind::Other => LinkEvent::Handled,
                }
            }
            Said::Asks(NetworkKind::KeyChange) => self.take_key(frame, true),
            Said::Asks(kind) => {
                self.answer_network(frame, Told::Accepted);
                self.turn(LinkInput::Asked(kind), now, wall);
                let date = translate::settlement_date(message, wall);
                match kind {
                    NetworkKind::CutOver => LinkEvent::CutOver {
                        step: CutOverStep::Start,
                        date,
                    },
                    // Who signs on serves: a hold that was never ended ends here.
                    NetworkKind::CutOverEnd | NetworkKind::SignOn => LinkEvent::CutOver {
                        step: CutOverStep::End,
                        date,
                    },
                    NetworkKind::SignOff
                    | NetworkKind::Echo
                    | NetworkKind::KeyChange
                    | NetworkKind::Other => LinkEvent::Handled,
                }
            }
        }
    }

    /// A message about keys. A key that is fine is answered when every shard has it.
    fn take_key(&mut self, frame: &Frame, is_asked: bool) -> LinkEvent {
        let (issuer, link) = (&self.setup.name, self.setup.id);
        let told = match self.setup.voice.key_in(frame.message()) {
            KeyMessage::New(key) => return LinkEvent::NewKey { key, is_asked },
            KeyMessage::Refused(why) => {
                tracing::error!(%issuer, %link, %why, "new key refused, the old one stays");
                Told::of_key(why)
            }
            // Keys are not made here.
            KeyMessage::None | KeyMessage::Unserved => Told::Refused(NetworkRefusal::NotServed),
        };
        if is_asked {
            self.answer_network(frame, told);
        }
        LinkEvent::KeyRefused
    }

    fn ask(&mut self, kind: NetworkKind, wall: WallTime) {
        let (stan, casing) = (self.network_stan.next(), self.setup.casing);
        let voice = &self.setup.voice;
        let len = voice.ask(kind, stan, wall, casing, &mut self.scratch);
        self.push(len);
    }

    /// Queues what stands in the scratch buffer. What could not be written leaves the other side
    /// without an answer, so the connection ends.
    fn push(&self, len: Option<usize>) {
        let Some(conn) = &self.conn else { return };
        let bytes = len.and_then(|len| self.scratch.get(..len));
        // A connection that refuses has been closed; its task reports the loss.
        if bytes.is_none_or(|bytes| conn.push(bytes).is_err()) {
            conn.close();
        }
    }
}

/// Shards of one node, of which there are 64 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    pub(crate) fn insert(&mut self, shard: ShardId) {
        self.0 |= 1_u64.checked_shl(u32::from(shard.0)).unwrap_or(0);
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ShardId> {
        (0..64)
            .filter(move |shard| self.0 >> shard & 1 == 1)
            .map(ShardId)
    }
}

/// Whether it is a reconciliation of the issuer's own.
fn asks_for_totals(message: MessageRef<'_>) -> bool {
    let (class, function) = (message.mti().class(), message.mti().function());
    class == Class::Reconciliation && matches!(function, Function::Request | Function::Advice)
}

/// Whether it is an administrative message of the issuer's own.
fn is_administrative(message: MessageRef<'_>) -> bool {
    let (class, function) = (message.mti().class(), message.mti().function());
    class == Class::Administrative && matches!(function, Function::Request | Function::Advice)
}

/// What an answer is the answer to, by its MTI and DE11.
fn expected_of(message: MessageRef<'_>) -> Option<Expected> {
    let kind = match (message.mti().class(), message.mti().function()) {
        (Class::Authorisation, Function::RequestResponse) => ResponseKind::Authorisation,
        (Class::Financial, Function::RequestResponse) => ResponseKind::Financial,
        (Class::Authorisation, Function::AdviceResponse) => ResponseKind::AuthorisationAdvice,
        (Class::Financial, Function::AdviceResponse) => ResponseKind::FinancialAdvice,
        (Class::Reversal, Function::RequestResponse | Function::AdviceResponse) => {
            ResponseKind::Reversal
        }
        (Class::Reconciliation, Function::RequestResponse | Function::AdviceResponse) => {
            ResponseKind::Reconciliation
        }
        (Class::Administrative, Function::RequestResponse) => ResponseKind::Administrative,
        (Class::Administrative, Function::AdviceResponse) => ResponseKind::AdministrativeAdvice,
        _ => return None,
    };
    let stan = translate::stan(message).ok()?;
    let is_of_edition = message.mti().version() == message.dialect().version();
    is_of_edition.then_some(Expected { kind, stan })
}

/// What a message of ours waits for, by its own MTI and DE11.
fn asked_by(message: MessageRef<'_>) -> Option<Expected> {
    let kind = match (message.mti().class(), message.mti().function()) {
        (Class::Authorisation, Function::Request) => ResponseKind::Authorisation,
        (Class::Financial, Function::Request) => ResponseKind::Financial,
        (Class::Authorisation, Function::Advice) => ResponseKind::AuthorisationAdvice,
        (Class::Financial, Function::Advice) => ResponseKind::FinancialAdvice,
        (Class::Reversal, Function::Request | Function::Advice) => ResponseKind::Reversal,
        (Class::Reconciliation, Function::Request | Function::Advice) => {
            ResponseKind::Reconciliation
        }
        (Class::Administrative, Function::Request) => ResponseKind::Administrative,
        (Class::Administrative, Function::Advice) => ResponseKind::AdministrativeAdvice,
        _ => return None,
    };
    let stan = translate::stan(message).ok()?;
    Some(Expected { kind, stan })
}

/// How long what was sent may keep a connection whose certificates are over.
const RENEWAL_WAIT: Duration = Duration::from_secs(30);
/// One line of each cause for so long; the rest is counted.
const UNMATCHED_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;

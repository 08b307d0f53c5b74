//! A rig for the tests: an engine, a clock, a journal, and a shell that does what it is told to.

use core::time::Duration;
use std::boxed::Box;
use std::vec::Vec;

use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, AuthorisationId, IssuerId, LinkId, Lsn, NodeId, RouteId, ShardId, Slot, Stan,
};
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::profile::{ClockCheck, CompletionLimit, Profile, ReversalAnswer};
use domain::record::{Advised, Outcome, Record, RefusalReason};
use domain::request::{
    Advice, Answer, Completion, ContentHash, DuplicateKey, Facts, FrameId, IssuerLeg, MessageClass,
    NamedOriginal, OriginalReference, Request, Reversal, Trace, TraceKey, Transmission,
};
use domain::time::{Instant, TransmissionTime, WallTime};
use domain::{Amount, Pan, ResponseCode};

use crate::input::{Assessment, Assignment, Handle, Input, OwedId, Selection};
use crate::output::{Event, LegEnding, Output, Reply};
use crate::settings::{BeforeLive, Chunks, OutsideWindow, SafPolicy, Settings, Windows};
use crate::{Engine, error::RecoverError};

/// 2026-01-01T12:00:00Z.
pub(crate) const NOON: WallTime = WallTime::from_unix_millis(1_767_268_800_000);

/// How long a test's route waits.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) fn settings() -> Settings {
    Settings {
        node: NodeId(1),
        shard: ShardId(0),
        start: 1,
        transactions_max: 64,
        inflight_max: 16,
        saf_max: 32,
        exceptions_max: 4,
        advice_window: Duration::from_secs(7 * 86_400),
        advice_bytes_max: 16_384,
        answer_bytes_max: 4096,
        deadlines_max: 8,
        issuers: 2,
        duplicate_window: Duration::from_secs(600),
        outside_window: OutsideWindow::Refuse,
        timeout_answer: ResponseCode::ISSUER_INOPERATIVE,
        decision_timeout: Duration::from_millis(500),
        saf: SafPolicy {
            response_timeout: Duration::from_secs(5),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            expiry: Duration::from_secs(7 * 86_400),
            inflight_max: 4,
            rate_after_up: None,
        },
        before_live: BeforeLive::NOBODY,
        asked_later: crate::settings::IssuerSet::NOBODY,
        parties: crate::reconciliation::Parties::default(),
        next_lsn: Lsn(1),
        wall_at_zero: NOON,
        seed: 7,
        chunks: Chunks::Lazy,
    }
}

pub(crate) fn code(digits: &[u8; 2]) -> ResponseCode {
    ResponseCode::new(digits).unwrap()
}

pub(crate) fn kes(minor: u64) -> Amount {
    Amount::new(minor, Currency::KES).unwrap()
}

fn account(number: u64) -> Account {
    let digits = domain::time::digits_of::<16>(4_111_110_000_000_000 + number);
    Account {
        token: PanToken(u128::from(number).to_be_bytes()),
        token_key: TokenKeyId::FIRST,
        masked: Pan::new(&digits).unwrap().masked(),
        sealed: SealedPan {
            key_id: 1,
            nonce: [0; 12],
            ciphertext: [0; 20],
            tag: [0; 16],
        },
    }
}

/// What request `number` says: 100.00 KES, sent at noon.
pub(crate) fn facts(number: u32) -> Facts {
    let stan = Stan::new(number).unwrap();
    Facts {
        acquirer: AcquirerId(1),
        class: MessageClass::Financial,
        slot: Slot(7),
        key: DuplicateKey(u128::from(number) << 8),
        content: ContentHash(u64::from(number)),
        trace_key: TraceKey(u64::from(number)),
        account: account(u64::from(number)),
        amount: kes(10_000),
        processing_code: Text::new("DE3", b"000000").unwrap(),
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        trace: Trace {
            stan,
            transmitted: TransmissionTime::at(NOON),
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: Text::new("DE37", &domain::time::digits_of::<12>(u64::from(number))).unwrap(),
            terminal: Text::new("DE41", b"TERM0001").unwrap(),
            merchant: Text::new("DE42", b"MERCHANT0000001").unwrap(),
            institution: Text::EMPTY,
        },
    }
}

/// Advice `number`, which names nothing.
pub(crate) fn advice(number: u32, frame: u32) -> Advice<'static> {
    let facts = facts(number);
    Advice {
        frame: FrameId(frame),
        transmission: Transmission::First,
        facts: Facts {
            key: DuplicateKey(facts.key.0 | 2),
            ..facts
        },
        original: None,
        limit: CompletionLimit::OfIssuer,
        clock: ClockCheck::Window,
        reported: Some(ResponseCode::APPROVED),
        fields: b"\x26\x00\x06A1B2C3",
    }
}

/// How a message names request `number`.
pub(crate) fn named(number: u32) -> NamedOriginal {
    let reversal = reversal(number, 0);
    NamedOriginal {
        slot: reversal.slot,
        trace_key: reversal.trace_key,
        reference: reversal.original,
    }
}

/// What reversal `frame` of request `number` says.
pub(crate) fn reversal(number: u32, frame: u32) -> Reversal {
    let facts = facts(number);
    Reversal {
        frame: FrameId(frame),
        transmission: Transmission::First,
        acquirer: facts.acquirer,
        slot: facts.slot,
        trace_key: facts.trace_key,
        key: DuplicateKey((u128::from(number) << 8) | 1),
        original: OriginalReference {
            stan: facts.trace.stan,
            class: Some(facts.class),
            transmitted: Some(facts.trace.transmitted),
            rrn: facts.trace.rrn,
        },
        merchant: facts.trace.merchant,
        token: Some(facts.account.token),
        amount: facts.amount,
        replacement: None,
        reason: None,
        profile: Profile::PLAIN,
        answered: ReversalAnswer::WhenOwed,
    }
}

pub(crate) fn approval() -> Answer<'static> {
    Answer {
        code: ResponseCode::APPROVED,
        authorisation: AuthorisationId::new("DE38", b"A1B2C3").unwrap(),
        amount: Some(kes(10_000)),
        fields: b"\x37\x00\x03abc",
    }
}

pub(crate) fn decline() -> Answer<'static> {
    Answer::of(ResponseCode::INSUFFICIENT_FUNDS)
}

/// What the rig's shell does on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auto {
    /// Nothing: the test answers.
    Nothing,
    /// Accepts and routes.
    Decide,
    /// Also flushes after every input.
    Flush,
}

#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    pub(crate) auto: Auto,
    /// Everything since the last look.
    pub(crate) seen: Vec<Output>,
    pub(crate) journal: Vec<Record<'static>>,
    /// The LSNs of the records that decide.
    pub(crate) decided: Vec<u64>,
    /// No reversal can be sent.
    pub(crate) links_down: bool,
    /// No route is configured.
    pub(crate) no_route: bool,
    /// The issuer of every original was removed.
    pub(crate) issuer_gone: bool,
    /// By acquirer.
    windows: Vec<Windows>,
    /// What requests from here on ask for.
    pub(crate) profile: Profile,
    pub(crate) clock: ClockCheck,
    next_stan: u32,
}

impl Rig {
    pub(crate) fn new(auto: Auto) -> Self {
        Self::with(settings(), auto)
    }

    pub(crate) fn with(settings: Settings, auto: Auto) -> Self {
        Self::with_windows(settings, Vec::new(), auto)
    }

    pub(crate) fn with_windows(settings: Settings, windows: Vec<Windows>, auto: Auto) -> Self {
        let mut rig = Self {
            engine: Engine::with_windows(settings, &windows),
            windows,
            now: Instant::ZERO,
            auto,
            seen: Vec::new(),
            journal: Vec::new(),
            decided: Vec::new(),
            links_down: false,
            no_route: false,
            issuer_gone: false,
            profile: Profile::PLAIN,
            clock: ClockCheck::Window,
            next_stan: 900_000,
        };
        for issuer in [IssuerId(0), IssuerId(1)] {
            rig.give(Input::IssuerUp { issuer });
        }
        rig.seen.clear();
        rig
    }

    /// A new engine out of the first `kept` records; all that it does is flushed.
    pub(crate) fn restart(&mut self, kept: usize) -> Result<(), RecoverError> {
        self.journal.truncate(kept);
        self.seen.clear();
        let mut settings = self.engine.settings;
        settings.next_lsn = Lsn(kept as u64 + 1);
        settings.start += 1;
        self.engine = Engine::with_windows(settings, &self.windows);
        for record in &self.journal {
            self.engine.recover(record, self.now)?;
        }
        self.engine.recovered(self.now)?;
        self.drain();
        self.flush();
        for issuer in [IssuerId(0), IssuerId(1)] {
            self.give(Input::IssuerUp { issuer });
        }
        Ok(())
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        self.engine.handle_input(input, self.now);
        self.drain();
        if self.auto == Auto::Flush {
            self.flush();
        }
    }

    /// Lets time pass, stopping at each deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(next) = self.engine.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            self.drain();
            if self.auto == Auto::Flush {
                self.flush();
            }
        }
        self.now = end;
        self.engine.handle_timeout(self.now);
        self.drain();
        if self.auto == Auto::Flush {
            self.flush();
        }
    }

    /// Everything journaled so far is on disk.
    pub(crate) fn flush(&mut self) {
        loop {
            let lsn = Lsn(self.journal.len() as u64);
            self.engine.handle_input(Input::Durable { lsn }, self.now);
            self.drain();
            if self.journal.len() as u64 == lsn.0 {
                return;
            }
        }
    }

    pub(crate) fn request(&mut self, number: u32, frame: u32) {
        self.request_as(facts(number), frame, Transmission::First);
    }

    pub(crate) fn repeat(&mut self, number: u32, frame: u32) {
        self.request_as(facts(number), frame, Transmission::Repeat);
    }

    pub(crate) fn request_as(&mut self, facts: Facts, frame: u32, transmission: Transmission) {
        self.give(Input::Request(Request {
            frame: FrameId(frame),
            transmission,
            facts,
            completion: Completion::No,
            profile: self.profile,
            clock: self.clock,
        }));
    }

    /// Request `number`, which asks to complete what it names.
    pub(crate) fn complete(&mut self, number: u32, frame: u32, completion: Completion) {
        self.complete_as(number, frame, completion, Transmission::First);
    }

    /// The same again.
    pub(crate) fn repeat_completion(&mut self, number: u32, frame: u32, named: NamedOriginal) {
        let completion = Completion::Named(named);
        self.complete_as(number, frame, completion, Transmission::Repeat);
    }

    fn complete_as(
        &mut self,
        number: u32,
        frame: u32,
        completion: Completion,
        transmission: Transmission,
    ) {
        let of = match completion {
            Completion::Named(named) => named.reference.stan.number(),
            Completion::No | Completion::Unnamed => number,
        };
        self.give(Input::Request(Request {
            frame: FrameId(frame),
            transmission,
            facts: Facts {
                account: facts(of).account,
                ..facts(number)
            },
            completion,
            profile: self.profile,
            clock: self.clock,
        }));
    }

    pub(crate) fn reverse(&mut self, number: u32, frame: u32) {
        let profile = self.profile;
        self.give(Input::Reversal(Reversal {
            profile,
            ..reversal(number, frame)
        }));
    }

    /// The issuer answers the latest leg that was sent.
    pub(crate) fn respond(&mut self, answer: Answer<'_>) {
        let (handle, leg) = self.sent();
        let stan = leg.stan;
        self.give(Input::Response {
            handle,
            stan,
            answer,
        });
    }

    /// The issuer answers the latest reversal that was sent.
    pub(crate) fn respond_to_reversal(&mut self, code: ResponseCode) {
        let owed = *self.owed_sent().last().expect("a reversal was sent");
        self.give(Input::ReversalResponse { owed, code });
    }

    /// The latest leg that was sent since the last look.
    #[track_caller]
    pub(crate) fn sent(&self) -> (Handle, IssuerLeg) {
        let sent = self.seen.iter().rev().find_map(|output| {
            if let Output::Send { handle, leg, .. } = output {
                Some((*handle, *leg))
            } else {
                None
            }
        });
        sent.expect("a request was sent")
    }

    /// The transaction of the latest stored answer that was told.
    #[track_caller]
    pub(crate) fn answered_last(&self) -> Handle {
        let told = self.seen.iter().rev().find_map(|output| {
            if let Output::Reply {
                reply: Reply::Answer(handle),
                ..
            } = output
            {
                Some(*handle)
            } else {
                None
            }
        });
        told.expect("a request was answered")
    }

    /// The latest reversal that was sent since the last look.
    #[track_caller]
    pub(crate) fn reversal_sent(&self) -> (Handle, Transmission) {
        self.reversals_sent().pop().expect("a reversal was sent")
    }

    /// Reversals sent since the last look.
    pub(crate) fn attempts(&self) -> u32 {
        u32::try_from(self.reversals_sent().len()).unwrap()
    }

    pub(crate) fn reversals_sent(&self) -> Vec<(Handle, Transmission)> {
        let sent = self.seen.iter().filter_map(|output| {
            if let Output::SendReversal { owed, transmission } = output {
                Some((owed.handle, *transmission))
            } else {
                None
            }
        });
        sent.collect()
    }

    /// Advices sent since the last look.
    pub(crate) fn advices_sent(&self) -> Vec<(OwedId, Transmission)> {
        let sent = self.seen.iter().filter_map(|output| {
            if let Output::SendAdvice { owed, transmission } = output {
                Some((*owed, *transmission))
            } else {
                None
            }
        });
        sent.collect()
    }

    /// What those reversals are, one by one.
    pub(crate) fn owed_sent(&self) -> Vec<OwedId> {
        let sent = self.seen.iter().filter_map(|output| {
            if let Output::SendReversal { owed, .. } = output {
                Some(*owed)
            } else {
                None
            }
        });
        sent.collect()
    }

    /// What frame was told, as (code, DE38 length); `None` without an answer so far.
    pub(crate) fn told(&self, frame: u32) -> Option<ResponseCode> {
        let mut told = self.seen.iter().filter_map(|output| {
            let Output::Reply { frame: to, reply } = output else {
                return None;
            };
            if to.0 != frame {
                return None;
            }
            let code = match reply {
                Reply::Answer(handle) => self.engine.answer(*handle).unwrap().code,
                Reply::Code(code) | Reply::Acknowledge { code } => *code,
            };
            Some(code)
        });
        let first = told.next();
        assert_eq!(told.next(), None, "a frame is answered once");
        first
    }

    pub(crate) fn discarded(&self, frame: u32) -> bool {
        let frame = FrameId(frame);
        self.seen.contains(&Output::Discard { frame })
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let events = self.seen.iter().filter_map(|output| {
            if let Output::Event { event, .. } = output {
                Some(*event)
            } else {
                None
            }
        });
        events.collect()
    }

    pub(crate) fn leg_endings(&self) -> Vec<LegEnding> {
        let endings = self.seen.iter().filter_map(|output| {
            if let Output::LegEnded { ending, .. } = output {
                Some(*ending)
            } else {
                None
            }
        });
        endings.collect()
    }

    /// The names of the records so far.
    pub(crate) fn records(&self) -> Vec<&'static str> {
        self.journal.iter().map(name).collect()
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            self.seen.push(output);
            self.act(output);
        }
    }

    fn act(&mut self, output: Output) {
        let decides = self.auto != Auto::Nothing;
        if let Output::Journal { lsn, entry } = output {
            assert_eq!(lsn.0, self.journal.len() as u64 + 1, "lsns are dense");
            self.journal.push(owned(self.engine.record(&entry)));
            self.decided
                .extend(self.engine.decides(&entry).then_some(lsn.0));
        } else if let (Output::Assess { handle, .. }, true) = (output, decides) {
            self.decide(Input::Assessed {
                handle,
                assessment: Assessment::Accept,
            });
        } else if let (Output::SelectRoute { handle, tried, .. }, true) = (output, decides) {
            let selection = self.select(tried);
            self.decide(Input::Selected { handle, selection });
        } else if let (Output::SelectIssuer(wanted), true) = (output, decides) {
            let selection = self.select_issuer(wanted.issuer);
            let handle = wanted.handle;
            self.decide(Input::Selected { handle, selection });
        } else if let (Output::FindOriginal { handle, query }, true) = (output, decides) {
            let original = self.engine.original(&query);
            self.decide(Input::Original { handle, original });
        } else if let (Output::AskOlder { owed, query }, true) = (output, decides) {
            let is_owed = self.engine.owes_older(&query);
            self.decide(Input::Older { owed, is_owed });
        } else if let (Output::AssignLeg { handle, issuer, .. }, true) = (output, decides) {
            let assignment = self.assign(issuer);
            self.decide(Input::Assigned { handle, assignment });
        } else if let (Output::SendReversal { owed, .. } | Output::SendAdvice { owed, .. }, true) =
            (output, self.links_down)
        {
            self.decide(Input::ReversalUnsent { owed });
        }
    }

    fn decide(&mut self, input: Input<'_>) {
        self.engine.handle_input(input, self.now);
    }

    fn select_issuer(&mut self, issuer: IssuerId) -> Selection {
        if self.issuer_gone {
            return Selection::None {
                code: ResponseCode::ISSUER_INOPERATIVE,
                reason: RefusalReason::NoneAdmits,
            };
        }
        Selection::Leg {
            leg: IssuerLeg {
                candidate: IssuerLeg::OF_ORIGINAL,
                ..self.leg_to(issuer)
            },
            deadline: DEADLINE,
        }
    }

    /// The issuer of the original, else the first one.
    fn assign(&mut self, issuer: Option<IssuerId>) -> Assignment {
        if self.issuer_gone && issuer.is_some() {
            return Assignment::NoIssuer;
        }
        if self.no_route {
            return Assignment::None {
                code: ResponseCode::CANNOT_ROUTE,
            };
        }
        Assignment::Leg(self.leg_to(issuer.unwrap_or(IssuerId(0))))
    }

    /// A leg with a STAN of its own.
    pub(crate) fn leg_to(&mut self, issuer: IssuerId) -> IssuerLeg {
        self.next_stan += 1;
        IssuerLeg {
            route: RouteId(0),
            candidate: 0,
            issuer,
            link: LinkId(0),
            stan: Stan::new(self.next_stan).unwrap(),
            transmitted: TransmissionTime::at(NOON),
        }
    }

    /// Two candidates, then none.
    pub(crate) fn select(&mut self, tried: u8) -> Selection {
        let candidate = u8::try_from(tried.trailing_ones()).unwrap();
        if candidate > 1 {
            return Selection::None {
                code: ResponseCode::ISSUER_INOPERATIVE,
                reason: RefusalReason::NoneAdmits,
            };
        }
        self.next_stan += 1;
        Selection::Leg {
            leg: IssuerLeg {
                route: RouteId(0),
                candidate,
                issuer: IssuerId(u16::from(candidate)),
                link: LinkId(0),
                stan: Stan::new(self.next_stan).unwrap(),
                transmitted: TransmissionTime::at(NOON),
            },
            deadline: DEADLINE,
        }
    }
}

pub(crate) fn name(record: &Record<'_>) -> &'static str {
    match record {
        Record::Intent(_) => "intent",
        Record::Refused(_) => "refused",
        Record::Outcome(_) => "outcome",
        Record::SafOwed(_) => "saf-owed",
        Record::SafDone(_) => "saf-done",
        Record::Tombstone(_) => "tombstone",
        Record::LateResponse(_) => "late",
        Record::Advised(_) => "advised",
        Record::AdviceDone(_) => "advice-done",
        Record::Operated(_) => "operated",
        Record::Day(_) => "day",
        Record::Totals(_) => "totals",
        Record::Reconciled(_) => "reconciled",
        Record::ReconciliationOwed(_) => "reconciliation-owed",
        Record::ReconciliationDone(_) => "reconciliation-done",
    }
}

/// A record that outlives the engine; its fields are leaked.
fn owned(record: Record<'_>) -> Record<'static> {
    match record {
        Record::Outcome(outcome) => Record::Outcome(Outcome {
            transaction: outcome.transaction,
            decided: outcome.decided,
            kind: outcome.kind,
            issuer_code: outcome.issuer_code,
            answer: Answer {
                code: outcome.answer.code,
                authorisation: outcome.answer.authorisation,
                amount: outcome.answer.amount,
                fields: Box::leak(outcome.answer.fields.to_vec().into_boxed_slice()),
            },
        }),
        Record::Intent(record) => Record::Intent(record),
        Record::Refused(record) => Record::Refused(record),
        Record::SafOwed(record) => Record::SafOwed(record),
        Record::SafDone(record) => Record::SafDone(record),
        Record::Tombstone(record) => Record::Tombstone(record),
        Record::LateResponse(record) => Record::LateResponse(record),
        Record::AdviceDone(record) => Record::AdviceDone(record),
        Record::Operated(record) => Record::Operated(record),
        Record::Day(record) => Record::Day(record),
        Record::Totals(record) => Record::Totals(record),
        Record::Reconciled(record) => Record::Reconciled(record),
        Record::ReconciliationOwed(record) => Record::ReconciliationOwed(record),
        Record::ReconciliationDone(record) => Record::ReconciliationDone(record),
        Record::Advised(record) => Record::Advised(Advised {
            transaction: record.transaction,
            admitted: record.admitted,
            facts: record.facts,
            reported: record.reported,
            origin: record.origin,
            leg: record.leg,
            completes: record.completes,
            is_over: record.is_over,
            answer: record.answer,
            fields: Box::leak(record.fields.to_vec().into_boxed_slice()),
        }),
    }
}

impl Rig {
    /// The wall time of the present.
    pub(crate) fn wall(&self) -> WallTime {
        NOON.after(self.now.since(Instant::ZERO))
    }
}

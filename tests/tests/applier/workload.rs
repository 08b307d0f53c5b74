//! Seeded traffic as journal records: every way a transaction can go, interleaved.

#[path = "workload/listed.rs"]
mod listed;

use std::collections::VecDeque;
use std::num::NonZeroU8;

use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, AuthorisationId, IssuerId, LinkId, Lsn, NodeId, Origin, RouteId, Slot, Stan,
    TransactionId,
};
use domain::network::SettlementDate;
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::reconciliation::{
    BusinessDay, DayTotals, Differences, Effect, Kind, Party, Reconciled, ReconciliationDone,
    ReconciliationOwed, Totals, Verdict,
};
use domain::record::{
    Acknowledged, AdviceOrigin, Advised, Intent, LateResponse, Operated, Operation, Operator,
    Outcome, OutcomeKind, OwedKind, Reason, Record, RefusalReason, Refused, ReversalCause, SafDone,
    SafOwed, SafResult, Tombstone,
};
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, IssuerLeg, MessageClass, OriginalReference, Trace,
    TraceKey,
};
use domain::time::{TransmissionTime, WallTime};
use domain::{Amount, Pan, ResponseCode};
use persistence::record::{self, RECORD_BYTES_MAX};

/// Makes records without end; the same seed makes the same ones.
pub struct Workload {
    random: u64,
    node: NodeId,
    serial: u32,
    open: Vec<VecDeque<Record<'static>>>,
    scratch: Vec<u8>,
    lsn: Lsn,
    /// Tokens are of so many keys.
    token_keys: u8,
}

const OPEN_MAX: usize = 200;
const START_MS: u64 = 1_767_225_600_000;
const CURRENCIES: [Currency; 4] = [Currency::KES, Currency::UGX, Currency::NGN, Currency::USD];

impl Workload {
    pub fn new(seed: u64, node: u16) -> Self {
        Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            node: NodeId(node),
            serial: 0,
            open: Vec::new(),
            scratch: vec![0; RECORD_BYTES_MAX],
            lsn: Lsn::ZERO,
            token_keys: 3,
        }
    }

    /// As from before token keys had ids.
    pub fn of_one_token_key(self) -> Self {
        let token_keys = 1;
        Self { token_keys, ..self }
    }

    /// The next `count` records, encoded.
    pub fn take(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.next()).collect()
    }

    /// The records that end every open transaction, encoded.
    pub fn finish(&mut self) -> Vec<Vec<u8>> {
        let rest: Vec<_> = self.open.drain(..).flatten().collect();
        rest.iter().map(|record| self.encode(record)).collect()
    }

    /// A transaction that is approved, with `key` as its business key, which decides its slot.
    pub fn approved(&mut self, key: u128) -> (TransactionId, Vec<Vec<u8>>) {
        let (_, mut facts) = self.facts();
        facts.key = DuplicateKey(key);
        facts.slot = Slot::from_hash(u64::try_from(key).unwrap());
        self.approve(facts)
    }

    /// An approved purchase of 100.00 that bears no fee.
    pub fn purchased(&mut self, key: u128) -> (TransactionId, Vec<Vec<u8>>) {
        let (_, mut facts) = self.facts();
        facts.key = DuplicateKey(key);
        facts.class = MessageClass::Financial;
        facts.acquirer = AcquirerId(0);
        facts.processing_code = Text::new("DE3", b"000000").unwrap();
        facts.amount = Amount::new(10_000, Currency::KES).unwrap();
        self.approve(facts)
    }

    /// An approved purchase with an account, a key and a slot of its own: two records.
    pub fn any_purchase(&mut self) -> Vec<Vec<u8>> {
        let (_, mut facts) = self.facts();
        facts.class = MessageClass::Financial;
        facts.processing_code = Text::new("DE3", b"000000").unwrap();
        self.approve(facts).1
    }

    /// The acquirer's reversal of a transaction.
    pub fn reversed(&mut self, transaction: TransactionId) -> Vec<Vec<u8>> {
        let owed = self.owed(transaction, ReversalCause::Requested, None);
        vec![self.encode(&owed)]
    }

    /// A transaction that is approved, with `stan` in its acquirer's leg.
    pub fn approved_with_stan(&mut self, stan: u32) -> (TransactionId, Vec<Vec<u8>>) {
        let (_, mut facts) = self.facts();
        facts.trace.stan = Stan::new(stan).unwrap();
        self.approve(facts)
    }

    /// An approved transaction with two reversals: the issuer refuses the first and takes the
    /// second.
    pub fn reversed_twice(&mut self) -> (TransactionId, Vec<Vec<u8>>) {
        let (_, facts) = self.facts();
        let (transaction, mut records) = self.approve(facts);
        for result in [SafResult::Refused, SafResult::Acknowledged] {
            let owed = self.owed(transaction, ReversalCause::Requested, None);
            let done = self.done(transaction, result);
            records.push(self.encode(&owed));
            records.push(self.encode(&done));
        }
        (transaction, records)
    }

    fn approve(&mut self, facts: Facts) -> (TransactionId, Vec<Vec<u8>>) {
        self.answer(facts, b"00")
    }

    fn answer(&mut self, facts: Facts, code: &[u8]) -> (TransactionId, Vec<Vec<u8>>) {
        let transaction = self.transaction(facts.slot);
        let admitted = self.now();
        let leg = self.leg();
        let intent = Intent {
            transaction,
            admitted,
            facts,
            leg,
            asked_until: None,
        };
        let records = [
            Record::Intent(intent),
            self.outcome(transaction, OutcomeKind::Answered, code),
        ];
        (
            transaction,
            records.iter().map(|r| self.encode(r)).collect(),
        )
    }

    fn next(&mut self) -> Vec<u8> {
        if self.open.len() < OPEN_MAX && self.below(3) == 0 || self.open.is_empty() {
            let story = self.story();
            self.open.push(story);
        }
        let at = usize::try_from(self.below(self.open.len() as u64)).unwrap();
        let record = self.open[at].pop_front().expect("a story holds a record");
        if self.open[at].is_empty() {
            self.open.swap_remove(at);
        }
        self.encode(&record)
    }

    fn encode(&mut self, record: &Record<'_>) -> Vec<u8> {
        self.lsn = self.lsn.next();
        let len = record::encode(record, self.lsn, &mut self.scratch).unwrap();
        self.scratch[..len].to_vec()
    }

    /// One transaction from its first record to its last.
    fn story(&mut self) -> VecDeque<Record<'static>> {
        let (transaction, facts) = self.facts();
        let admitted = self.now();
        let leg = self.leg();
        let intent = Record::Intent(Intent {
            transaction,
            admitted,
            facts,
            leg,
            asked_until: None,
        });
        let answered = OutcomeKind::Answered;
        match self.below(23) {
            0..6 => [intent, self.outcome(transaction, answered, b"00")].into(),
            6 => [intent, self.outcome(transaction, answered, b"51")].into(),
            7 => [intent, self.partial(transaction, facts.amount)].into(),
            8 => [self.refused(transaction, facts)].into(),
            9 => {
                let outcome = self.outcome(transaction, OutcomeKind::TimedOut, b"91");
                let owed = self.owed(transaction, ReversalCause::Timeout, None);
                let late = self.late(transaction);
                let done = self.done(transaction, SafResult::Acknowledged);
                [intent, outcome, owed, late, done].into()
            }
            10 => {
                let outcome = self.outcome(transaction, OutcomeKind::Invalid, b"96");
                let owed = self.owed(transaction, ReversalCause::InvalidAnswer, None);
                let done = self.done(transaction, SafResult::Refused);
                [intent, outcome, owed, done].into()
            }
            11 => {
                let not_sent = self.outcome(transaction, OutcomeKind::NotSent, b"91");
                let second = Record::Intent(Intent {
                    transaction,
                    admitted,
                    facts,
                    leg: IssuerLeg {
                        candidate: 1,
                        ..self.leg()
                    },
                    asked_until: None,
                });
                let outcome = self.outcome(transaction, answered, b"00");
                [intent, not_sent, second, outcome].into()
            }
            12 => {
                let outcome = self.outcome(transaction, answered, b"00");
                let owed = self.owed(transaction, ReversalCause::Requested, None);
                let done = self.done(transaction, SafResult::Acknowledged);
                [intent, outcome, owed, done].into()
            }
            13 => {
                let outcome = self.outcome(transaction, answered, b"00");
                let left = Amount::new(facts.amount.minor() / 3, facts.amount.currency()).unwrap();
                let owed = self.owed(transaction, ReversalCause::Requested, Some(left));
                [intent, outcome, owed].into()
            }
            14 => {
                let outcome = self.outcome(transaction, OutcomeKind::AcquirerReversed, b"94");
                let owed = self.owed(transaction, ReversalCause::Requested, None);
                let done = self.done(transaction, SafResult::Expired);
                [intent, outcome, owed, done].into()
            }
            15 => [self.tombstone(transaction, facts)].into(),
            21 => [self.day(transaction)].into(),
            22 => [self.totals(transaction)].into(),
            kind => self.told(kind, intent, (transaction, facts), leg),
        }
    }

    /// What an issuer is told of and not asked.
    fn told(
        &mut self,
        kind: u64,
        intent: Record<'static>,
        (transaction, facts): (TransactionId, Facts),
        leg: IssuerLeg,
    ) -> VecDeque<Record<'static>> {
        match kind {
            16 => {
                let advised = self.advised(transaction, facts, AdviceOrigin::Acquirer, Some(leg));
                let done = self.advice_done(transaction);
                [advised, done].into()
            }
            17 => [self.advised(transaction, facts, AdviceOrigin::Acquirer, None)].into(),
            18 => {
                let outcome = self.outcome(transaction, OutcomeKind::TimedOut, b"91");
                let owed = self.owed(transaction, ReversalCause::Timeout, None);
                let dropped = self.operated(transaction, OwedKind::Reversal, Operation::Drop);
                let retried = self.operated(transaction, OwedKind::Reversal, Operation::Retry);
                let all = [intent, outcome, owed, dropped, retried];
                let ended = if self.below(2) == 0 { 4 } else { 5 };
                all.into_iter().take(ended).collect()
            }
            19 => {
                let advised = self.advised(transaction, facts, AdviceOrigin::Acquirer, Some(leg));
                let dropped = self.operated(transaction, OwedKind::Advice, Operation::Drop);
                [advised, dropped].into()
            }
            _ => {
                let not_sent = self.outcome(transaction, OutcomeKind::NotSent, b"91");
                let leg = Some(self.leg());
                let advised = self.advised(transaction, facts, AdviceOrigin::StandIn, leg);
                [intent, not_sent, advised].into()
            }
        }
    }

    fn facts(&mut self) -> (TransactionId, Facts) {
        let slot = Slot::from_hash(self.draw());
        let transaction = self.transaction(slot);
        let currency = CURRENCIES[usize::try_from(self.below(4)).unwrap()];
        let facts = Facts {
            acquirer: AcquirerId(u16::try_from(self.below(2)).unwrap()),
            class: match self.below(2) {
                0 => MessageClass::Authorisation,
                _ => MessageClass::Financial,
            },
            slot,
            key: DuplicateKey(u128::from(self.draw()) << 64 | u128::from(self.draw())),
            content: ContentHash(self.draw()),
            trace_key: TraceKey(self.draw()),
            account: self.account(),
            amount: Amount::new(self.below(10_000_000), currency).unwrap(),
            processing_code: Text::new("DE3", self.processing_code()).unwrap(),
            merchant_category: Text::new("DE18", b"5411").unwrap(),
            entry_mode: Text::EMPTY,
            trace: self.trace(),
        };
        (transaction, facts)
    }

    /// Purchases, and now and then a refund.
    fn processing_code(&mut self) -> &'static [u8] {
        match self.below(8) {
            0 => b"200000",
            _ => b"000000",
        }
    }

    fn party(&mut self) -> Party {
        match self.below(4) {
            0 => Party::Acquirer(AcquirerId(0)),
            1 => Party::Acquirer(AcquirerId(1)),
            2 => Party::Issuer(IssuerId(0)),
            _ => Party::Issuer(IssuerId(1)),
        }
    }

    /// Today or one of the days after it.
    fn date(&mut self) -> SettlementDate {
        let offset = u32::try_from(self.below(4)).unwrap();
        SettlementDate::from_days(SettlementDate::at(self.now()).days() + offset)
    }

    /// A cut-over. Its party's days up to one before it may be closed.
    fn day(&mut self, transaction: TransactionId) -> Record<'static> {
        let date = self.date();
        let before = SettlementDate::from_days(date.days() - 1);
        Record::Day(BusinessDay {
            transaction,
            noted: self.now(),
            party: self.party(),
            date,
            before: Some(before),
            closed: (self.below(2) == 0).then_some(before),
            is_kept: true,
        })
    }

    fn totals(&mut self, transaction: TransactionId) -> Record<'static> {
        Record::Totals(DayTotals {
            transaction,
            noted: self.now(),
            party: self.party(),
            date: self.date(),
            currency: CURRENCIES[usize::try_from(self.below(4)).unwrap()],
            totals: Totals::default(),
            is_closed: self.below(3) == 0,
        })
    }

    fn transaction(&mut self, slot: Slot) -> TransactionId {
        self.serial += 1;
        let origin = Origin {
            node: self.node,
            start: 1,
            serial: self.serial,
        };
        TransactionId::new(self.now().unix_millis(), slot, origin)
    }

    fn account(&mut self) -> Account {
        let tail = self.below(1_000_000);
        let pan = Pan::new(format!("506100{tail:010}").as_bytes()).unwrap();
        let mut token = [0; 16];
        token[..8].copy_from_slice(&self.draw().to_be_bytes());
        Account {
            token: PanToken(token),
            token_key: TokenKeyId(NonZeroU8::MIN.saturating_add(token[0] % self.token_keys)),
            masked: pan.masked(),
            sealed: SealedPan {
                key_id: 1,
                nonce: [2; 12],
                ciphertext: [3; 20],
                tag: [4; 16],
            },
        }
    }

    fn trace(&mut self) -> Trace {
        Trace {
            stan: self.stan(),
            transmitted: TransmissionTime::at(self.now()),
            local_time: Text::new("DE12", b"101112").unwrap(),
            local_date: Text::new("DE13", b"0101").unwrap(),
            rrn: Text::new("DE37", format!("{:012}", self.serial).as_bytes()).unwrap(),
            terminal: Text::new("DE41", b"TERM 01 ").unwrap(),
            merchant: Text::new("DE42", b"MERCHANT 000001").unwrap(),
            institution: Text::EMPTY,
        }
    }

    fn leg(&mut self) -> IssuerLeg {
        let issuer = u16::try_from(self.below(3)).unwrap();
        IssuerLeg {
            route: RouteId(0),
            candidate: 0,
            issuer: IssuerId(issuer),
            link: LinkId(40_000),
            stan: self.stan(),
            transmitted: TransmissionTime::at(self.now()),
        }
    }

    fn stan(&mut self) -> Stan {
        Stan::new(u32::try_from(self.below(1_000_000)).unwrap()).unwrap()
    }

    fn outcome(
        &mut self,
        transaction: TransactionId,
        kind: OutcomeKind,
        code: &[u8],
    ) -> Record<'static> {
        let code = ResponseCode::new(code).unwrap();
        let mut answer = Answer::of(code);
        if code.is_approval() {
            answer.authorisation = AuthorisationId::new("DE38", b"A1B2C3").unwrap();
            answer.fields = self.named_day();
        }
        Record::Outcome(Outcome {
            transaction,
            decided: self.now(),
            kind,
            answer,
            issuer_code: (kind == OutcomeKind::Invalid).then_some(ResponseCode::APPROVED),
        })
    }

    /// Few answers name a settlement date, and not all of those are near.
    fn named_day(&mut self) -> &'static [u8] {
        match self.below(16) {
            0 => b"\x0f\0\x040101\x2c\0\x02ab",
            1 => b"\x2c\0\x02ab\x0f\0\x041231",
            2 => b"\x0f\0\x040115",
            _ => b"",
        }
    }

    fn partial(&mut self, transaction: TransactionId, asked: Amount) -> Record<'static> {
        let part = Amount::new(asked.minor() / 2, asked.currency()).unwrap();
        Record::Outcome(Outcome {
            transaction,
            decided: self.now(),
            kind: OutcomeKind::Answered,
            answer: Answer {
                amount: Some(part),
                fields: b"\x2c\0\x02ab",
                ..Answer::of(ResponseCode::PARTIAL_APPROVAL)
            },
            issuer_code: None,
        })
    }

    fn refused(&mut self, transaction: TransactionId, facts: Facts) -> Record<'static> {
        Record::Refused(Refused {
            transaction,
            admitted: self.now(),
            facts,
            code: ResponseCode::SUSPECTED_FRAUD,
            reason: RefusalReason::Fraud,
        })
    }

    fn owed(
        &mut self,
        transaction: TransactionId,
        cause: ReversalCause,
        replacement: Option<Amount>,
    ) -> Record<'static> {
        Record::SafOwed(SafOwed {
            transaction,
            decided: self.now(),
            cause,
            key: DuplicateKey::default(),
            replacement,
            reason: None,
        })
    }

    fn done(&mut self, transaction: TransactionId, result: SafResult) -> Record<'static> {
        Record::SafDone(SafDone {
            transaction,
            decided: self.now(),
            result,
            code: (result != SafResult::Expired).then_some(ResponseCode::APPROVED),
            attempts: 3,
        })
    }

    fn advised(
        &mut self,
        transaction: TransactionId,
        facts: Facts,
        origin: AdviceOrigin,
        leg: Option<IssuerLeg>,
    ) -> Record<'static> {
        let is_ours = origin == AdviceOrigin::StandIn;
        let reported = (!is_ours).then(|| ResponseCode::new(b"51").unwrap());
        let given = if is_ours { &b"S00001"[..] } else { b"" };
        Record::Advised(Advised {
            transaction,
            admitted: self.now(),
            facts,
            reported: reported.filter(|_| self.below(2) == 0),
            origin,
            leg,
            is_over: false,
            completes: None,
            answer: Acknowledged {
                code: ResponseCode::APPROVED,
                authorisation: AuthorisationId::new("DE38", given).unwrap(),
            },
            fields: b"\x2c\0\x02ab",
        })
    }

    fn advice_done(&mut self, transaction: TransactionId) -> Record<'static> {
        let result = match self.below(3) {
            0 => SafResult::Acknowledged,
            1 => SafResult::Refused,
            _ => SafResult::Expired,
        };
        Record::AdviceDone(SafDone {
            transaction,
            decided: self.now(),
            result,
            code: None,
            attempts: 3,
        })
    }

    fn operated(
        &mut self,
        transaction: TransactionId,
        what: OwedKind,
        operation: Operation,
    ) -> Record<'static> {
        Record::Operated(Operated {
            transaction,
            decided: self.now(),
            ordinal: 1,
            what,
            operation,
            operator: Operator {
                uid: 1000,
                name: Text::new("name", b"asha").unwrap(),
            },
            reason: Reason::new("booked by hand").unwrap(),
            code: None,
            attempts: 7,
        })
    }

    /// A reversal that an operator has taken out and put back.
    pub fn by_hand(&mut self) -> (TransactionId, Vec<Vec<u8>>) {
        let (_, facts) = self.facts();
        let (transaction, mut records) = self.approve(facts);
        let owed = self.owed(transaction, ReversalCause::Requested, None);
        records.push(self.encode(&owed));
        for operation in [Operation::Drop, Operation::Retry] {
            let operated = self.operated(transaction, OwedKind::Reversal, operation);
            records.push(self.encode(&operated));
        }
        (transaction, records)
    }

    /// A request, what its issuer answered, and what it answered then.
    pub fn answered_twice(&mut self, first: &[u8], then: &[u8]) -> (TransactionId, Vec<Vec<u8>>) {
        let (_, facts) = self.facts();
        let (transaction, mut records) = self.answer(facts, first);
        let late = Record::LateResponse(LateResponse {
            transaction,
            received: self.now(),
            issuer: IssuerId(1),
            code: ResponseCode::read(then).unwrap(),
        });
        records.push(self.encode(&late));
        (transaction, records)
    }

    fn late(&mut self, transaction: TransactionId) -> Record<'static> {
        Record::LateResponse(LateResponse {
            transaction,
            received: self.now(),
            issuer: IssuerId(1),
            code: ResponseCode::APPROVED,
        })
    }

    fn tombstone(&mut self, transaction: TransactionId, facts: Facts) -> Record<'static> {
        Record::Tombstone(Tombstone {
            transaction,
            decided: self.now(),
            acquirer: facts.acquirer,
            slot: facts.slot,
            trace_key: facts.trace_key,
            key: facts.key,
            original: OriginalReference {
                stan: facts.trace.stan,
                class: None,
                transmitted: None,
                rrn: facts.trace.rrn,
            },
        })
    }

    fn now(&self) -> WallTime {
        WallTime::from_unix_millis(START_MS + self.lsn.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}

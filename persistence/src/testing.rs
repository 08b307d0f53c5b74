//! What tests share: sample records, and journals built in memory by the same code that the writer
//! uses.

use std::fs;
use std::num::NonZeroU8;
use std::path::Path;

use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, IssuerId, LinkId, Lsn, NodeId, RouteId, ShardId, Slot, Stan, TransactionId,
};
use domain::message_reason::MessageReason;
use domain::network::SettlementDate;
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::reconciliation::{
    BusinessDay, DayTotals, Differences, Party, Reconciled, ReconciliationDone, ReconciliationOwed,
    Totals, Verdict,
};
use domain::record::{
    Acknowledged, AdviceOrigin, Advised, Carriage, Completed, Extent, Intent, LateResponse,
    Operated, Operation, Operator, Outcome, OutcomeKind, OwedKind, Reason, Record, RefusalReason,
    Refused, ReversalCause, SafDone, SafOwed, SafResult, Tombstone,
};
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, IssuerLeg, MessageClass, MessageKind,
    OriginalReference, Trace, TraceKey,
};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};

use crate::batch::BLOCK;
use crate::checkpoint::{Builder, Covered, Draft, Image, Shape};
use crate::identity::{Identity, JournalUuid};
use crate::layout;
use crate::manifest::{Content, PartyNames, SLOT_HASH_VERSION};
use crate::marks::Marks;
use crate::recovery::{Place, Recovery, Refusal, SegmentEnd, Tail};
use crate::segment_header::{SegmentHeader, WrappedKey};
use crate::sink::{Class, Sink};

/// A source of values that depend on the seed alone.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }

    fn number<T: TryFrom<u64>>(&mut self, bound: u64) -> T {
        T::try_from(self.below(bound)).ok().unwrap()
    }

    fn text<const N: usize>(&mut self) -> Text<N> {
        let len = usize::try_from(self.below(N as u64 + 1)).unwrap();
        let bytes: Vec<u8> = (0..len).map(|_| self.number::<u8>(95) + 0x20).collect();
        Text::new("sample", &bytes).unwrap()
    }

    fn code(&mut self) -> ResponseCode {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut letter = || LETTERS[usize::try_from(self.below(62)).unwrap()];
        ResponseCode::new(&[letter(), letter()]).unwrap()
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.below(2).eq(&0).then(|| value(self))
    }

    fn amount(&mut self) -> Amount {
        let currency = Currency::new(self.number::<u16>(999) + 1).unwrap();
        Amount::new(self.below(Amount::MINOR_MAX + 1), currency).unwrap()
    }

    fn reason(&mut self) -> MessageReason {
        MessageReason::new(self.number(10_000)).unwrap()
    }

    fn stan(&mut self) -> Stan {
        Stan::new(self.number(1_000_000)).unwrap()
    }

    fn transmitted(&mut self) -> TransmissionTime {
        TransmissionTime::from_number(self.number(1 << 32))
    }

    fn wall(&mut self) -> WallTime {
        WallTime::from_unix_millis(self.next())
    }

    fn key(&mut self) -> DuplicateKey {
        DuplicateKey(u128::from_le_bytes(self.array()))
    }

    fn slot(&mut self) -> Slot {
        Slot::from_hash(self.next())
    }

    fn class(&mut self) -> MessageClass {
        if self.below(2) == 0 {
            MessageClass::Authorisation
        } else {
            MessageClass::Financial
        }
    }

    fn account(&mut self) -> Account {
        Account {
            token: PanToken(self.array()),
            token_key: NonZeroU8::new(self.number(256)).map_or(TokenKeyId::FIRST, TokenKeyId),
            masked: MaskedPan {
                len: self.number(20),
                first: self.array(),
                last: self.array(),
            },
            sealed: SealedPan {
                key_id: self.number(1 << 32),
                nonce: self.array(),
                ciphertext: self.array(),
                tag: self.array(),
            },
        }
    }

    fn facts(&mut self) -> Facts {
        Facts {
            acquirer: AcquirerId(self.number(1 << 16)),
            class: self.class(),
            slot: self.slot(),
            key: self.key(),
            content: ContentHash(self.next()),
            trace_key: TraceKey(self.next()),
            account: self.account(),
            amount: self.amount(),
            processing_code: self.text(),
            merchant_category: self.text(),
            entry_mode: self.text(),
            trace: Trace {
                stan: self.stan(),
                transmitted: self.transmitted(),
                local_time: self.text(),
                local_date: self.text(),
                rrn: self.text(),
                terminal: self.text(),
                merchant: self.text(),
                institution: self.text(),
            },
        }
    }

    fn leg(&mut self) -> IssuerLeg {
        IssuerLeg {
            route: RouteId(self.number(1 << 16)),
            candidate: self.number(256),
            issuer: IssuerId(self.number(1 << 16)),
            link: LinkId(self.number(1 << 16)),
            stan: self.stan(),
            transmitted: self.transmitted(),
        }
    }

    fn answer(&mut self) -> Answer<'static> {
        static FIELDS: [u8; Answer::FIELDS_LEN_MAX] = {
            let mut fields = [0; Answer::FIELDS_LEN_MAX];
            let (mut at, mut value) = (0, 0_u8);
            while at < fields.len() {
                fields[at] = value;
                value = value.wrapping_add(7);
                at += 1;
            }
            fields
        };
        let len = usize::try_from(self.below(FIELDS.len() as u64 + 1)).unwrap();
        Answer {
            code: self.code(),
            authorisation: self.text(),
            amount: self.maybe(Self::amount),
            fields: &FIELDS[..len],
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

/// A record of any type whose every field depends on `seed`.
pub(crate) fn sample(seed: u64) -> Record<'static> {
    let mut dice = Dice::new(seed);
    let transaction = TransactionId(u128::from_le_bytes(dice.array()));
    match dice.below(15) {
        0 => Record::Intent(Intent {
            transaction,
            admitted: dice.wall(),
            facts: dice.facts(),
            leg: dice.leg(),
            asked_until: (dice.below(2) == 1).then(|| dice.wall()),
        }),
        1 => Record::Refused(refused(&mut dice, transaction)),
        2 => Record::Outcome(outcome(&mut dice, transaction)),
        3 => Record::SafOwed(saf_owed(&mut dice, transaction)),
        4 => Record::SafDone(saf_done(&mut dice, transaction)),
        7 => Record::AdviceDone(saf_done(&mut dice, transaction)),
        5 => Record::Tombstone(tombstone(&mut dice, transaction)),
        6 => Record::LateResponse(LateResponse {
            transaction,
            received: dice.wall(),
            issuer: IssuerId(dice.number(1 << 16)),
            code: dice.code(),
        }),
        8 => Record::Operated(operated(&mut dice, transaction)),
        9 => Record::Day(day(&mut dice, transaction)),
        10 => Record::Totals(totals(&mut dice, transaction)),
        11 => Record::Reconciled(reconciled(&mut dice, transaction)),
        12 => Record::ReconciliationOwed(reconciliation_owed(&mut dice, transaction)),
        13 => Record::ReconciliationDone(reconciliation_done(&mut dice, transaction)),
        _ => Record::Advised(advised(&mut dice, transaction)),
    }
}

fn operated(dice: &mut Dice, transaction: TransactionId) -> Operated {
    const REASON: &str = "booked by hand, as the bank has said on the telephone: ticket 4711";
    let len = usize::try_from(dice.below(REASON.len() as u64 + 1)).unwrap();
    Operated {
        transaction,
        decided: dice.wall(),
        ordinal: dice.number(256),
        what: dice.pick(&[OwedKind::Reversal, OwedKind::Advice]),
        operation: dice.pick(&[Operation::Retry, Operation::Drop]),
        operator: Operator {
            uid: dice.number(1 << 32),
            name: dice.text(),
        },
        reason: Reason::new(&REASON[..len]).unwrap(),
        code: dice.maybe(Dice::code),
        attempts: dice.number(1 << 32),
    }
}

fn party(dice: &mut Dice) -> Party {
    let number = dice.number(1 << 16);
    dice.pick(&[
        Party::Acquirer(AcquirerId(number)),
        Party::Issuer(IssuerId(number)),
    ])
}

fn date(dice: &mut Dice) -> SettlementDate {
    SettlementDate::from_days(dice.number::<u32>(20_000) + 1)
}

fn figures(dice: &mut Dice) -> Totals {
    Totals::new([0; 12].map(|_: u64| dice.next()))
}

fn day(dice: &mut Dice, transaction: TransactionId) -> BusinessDay {
    BusinessDay {
        transaction,
        noted: dice.wall(),
        party: party(dice),
        date: date(dice),
        before: dice.maybe(date),
        closed: dice.maybe(date),
        is_kept: dice.pick(&[false, true]),
    }
}

fn totals(dice: &mut Dice, transaction: TransactionId) -> DayTotals {
    DayTotals {
        transaction,
        noted: dice.wall(),
        party: party(dice),
        date: date(dice),
        currency: dice.amount().currency(),
        totals: figures(dice),
        is_closed: dice.pick(&[false, true]),
    }
}

fn reconciliation_owed(dice: &mut Dice, transaction: TransactionId) -> ReconciliationOwed {
    ReconciliationOwed {
        transaction,
        decided: dice.wall(),
        issuer: IssuerId(dice.number(1 << 16)),
        date: date(dice),
        currency: dice.amount().currency(),
        stan: dice.stan(),
        ours: figures(dice),
    }
}

fn reconciliation_done(dice: &mut Dice, transaction: TransactionId) -> ReconciliationDone {
    ReconciliationDone {
        transaction,
        decided: dice.wall(),
        result: dice.pick(&[
            SafResult::Acknowledged,
            SafResult::Refused,
            SafResult::Expired,
        ]),
        verdict: dice.pick(&[
            Verdict::Unknown,
            Verdict::InBalance,
            Verdict::OutOfBalance,
            Verdict::Error,
        ]),
        attempts: dice.number(1 << 32),
    }
}

fn reconciled(dice: &mut Dice, transaction: TransactionId) -> Reconciled {
    Reconciled {
        transaction,
        decided: dice.wall(),
        party: party(dice),
        date: date(dice),
        currency: dice.amount().currency(),
        stan: dice.stan(),
        transmitted: dice.transmitted(),
        verdict: dice.pick(&[
            Verdict::Unknown,
            Verdict::InBalance,
            Verdict::OutOfBalance,
            Verdict::Error,
        ]),
        differs: Differences(dice.number(1 << 32)),
        ours: figures(dice),
    }
}

fn advised(dice: &mut Dice, transaction: TransactionId) -> Advised<'static> {
    let answer = dice.answer();
    let leg = dice.maybe(Dice::leg);
    Advised {
        transaction,
        admitted: dice.wall(),
        facts: dice.facts(),
        reported: dice.maybe(Dice::code),
        origin: dice.pick(&[AdviceOrigin::Acquirer, AdviceOrigin::StandIn]),
        leg,
        is_over: leg.is_none() && dice.pick(&[false, true]),
        completes: dice.maybe(|dice| Completed {
            transaction: TransactionId(u128::from_le_bytes(dice.array())),
            class: dice.class(),
            kind: dice.pick(&[MessageKind::Request, MessageKind::Advice]),
            stan: dice.stan(),
            transmitted: dice.transmitted(),
            local: dice.transmitted(),
            extent: dice.pick(&[Extent::Unknown, Extent::Whole, Extent::Other]),
        }),
        answer: Acknowledged {
            code: answer.code,
            authorisation: answer.authorisation,
        },
        fields: answer.fields,
    }
}

fn refused(dice: &mut Dice, transaction: TransactionId) -> Refused {
    Refused {
        transaction,
        admitted: dice.wall(),
        facts: dice.facts(),
        code: dice.code(),
        reason: dice.pick(&[
            RefusalReason::BlockList,
            RefusalReason::AmountLimit,
            RefusalReason::VelocityAmount,
            RefusalReason::VelocityCount,
            RefusalReason::Fraud,
            RefusalReason::NoRoute,
            RefusalReason::NoneAdmits,
            RefusalReason::UnknownOriginal,
            RefusalReason::ReversedOriginal,
            RefusalReason::OverOriginal,
        ]),
    }
}

fn outcome(dice: &mut Dice, transaction: TransactionId) -> Outcome<'static> {
    Outcome {
        transaction,
        decided: dice.wall(),
        kind: dice.pick(&[
            OutcomeKind::Answered,
            OutcomeKind::TimedOut,
            OutcomeKind::Invalid,
            OutcomeKind::NotSent,
            OutcomeKind::AcquirerReversed,
        ]),
        answer: dice.answer(),
        issuer_code: dice.maybe(Dice::code),
    }
}

fn saf_owed(dice: &mut Dice, transaction: TransactionId) -> SafOwed {
    SafOwed {
        transaction,
        decided: dice.wall(),
        cause: dice.pick(&[
            ReversalCause::Timeout,
            ReversalCause::Requested,
            ReversalCause::InvalidAnswer,
            ReversalCause::Restart,
        ]),
        key: dice.key(),
        replacement: dice.maybe(Dice::amount),
        reason: dice.maybe(Dice::reason),
    }
}

fn saf_done(dice: &mut Dice, transaction: TransactionId) -> SafDone {
    SafDone {
        transaction,
        decided: dice.wall(),
        result: dice.pick(&[
            SafResult::Acknowledged,
            SafResult::Refused,
            SafResult::Expired,
        ]),
        code: dice.maybe(Dice::code),
        attempts: dice.number(1 << 32),
    }
}

fn tombstone(dice: &mut Dice, transaction: TransactionId) -> Tombstone {
    Tombstone {
        transaction,
        decided: dice.wall(),
        acquirer: AcquirerId(dice.number(1 << 16)),
        slot: dice.slot(),
        trace_key: TraceKey(dice.next()),
        key: dice.key(),
        original: OriginalReference {
            stan: dice.stan(),
            class: dice.maybe(Dice::class),
            transmitted: dice.maybe(Dice::transmitted),
            rrn: dice.text(),
        },
    }
}

/// A short record that carries `number`.
pub(crate) const fn small(number: u64) -> Record<'static> {
    Record::LateResponse(LateResponse {
        transaction: TransactionId(number as u128),
        received: WallTime::from_unix_millis(number),
        issuer: IssuerId(7),
        code: ResponseCode::APPROVED,
    })
}

/// A seed whose [`sample`] is of the type that takes the most space: an intent.
pub(crate) fn intent(number: u64) -> Record<'static> {
    (0..)
        .map(|step| sample(number.wrapping_mul(1_000_003).wrapping_add(step)))
        .find(|record| matches!(record, Record::Intent(_)))
        .unwrap()
}

pub(crate) const IDENTITY: Identity = Identity {
    journal: JournalUuid(*b"sixteen  bytes!!"),
    node: NodeId(9),
    generation: 1,
    shard: ShardId(3),
    shards: 4,
};

/// A journal in memory: segments as they would lie on disk.
pub(crate) struct Log {
    pub(crate) sink: Sink,
    pub(crate) segments: Vec<Vec<u8>>,
    pub(crate) at: usize,
    pub(crate) segment_bytes: usize,
}

/// Where a batch lies in the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place4k {
    pub(crate) at: usize,
    pub(crate) len: usize,
}

impl Log {
    pub(crate) const BATCH_MAX: usize = 4 * BLOCK;

    pub(crate) fn new() -> Self {
        Self::with_segments_of(16 * BLOCK)
    }

    pub(crate) fn with_segments_of(segment_bytes: usize) -> Self {
        let sink = Sink::new(IDENTITY.journal, Tail::new(), Self::BATCH_MAX);
        let mut log = Self {
            sink,
            segments: Vec::new(),
            at: 0,
            segment_bytes,
        };
        log.roll();
        log
    }

    pub(crate) fn header(&self, number: u64) -> SegmentHeader {
        let tail = self.sink.tail();
        SegmentHeader {
            identity: IDENTITY,
            segment_bytes: self.segment_bytes as u64,
            batch_bytes_max: u32::try_from(Self::BATCH_MAX).unwrap(),
            number,
            first_lsn: tail.next_lsn,
            first_sequence: tail.next_sequence,
            previous_chain: tail.chain,
            created: WallTime::from_unix_millis(1_700_000_000_000),
            keys: vec![WrappedKey {
                key_id: u32::try_from(number).unwrap(),
                wrapping_id: 1,
                wrapped: [7; 60],
            }],
        }
    }

    pub(crate) fn roll(&mut self) {
        let number = self.segments.len() as u64 + 1;
        let mut bytes = self.header(number).encode();
        bytes.resize(self.segment_bytes, 0);
        self.segments.push(bytes);
        self.at = BLOCK;
    }

    /// Appends `records` as one batch.
    pub(crate) fn batch(&mut self, records: &[Record<'_>]) -> Place4k {
        for record in records {
            self.sink.try_append(record, Class::New).unwrap();
        }
        let number = self.segments.len() as u64;
        let bytes = self.sink.take_batch(number).unwrap().bytes.to_vec();
        self.put(&bytes)
    }

    pub(crate) fn anchor(&mut self) -> Place4k {
        let number = self.segments.len() as u64;
        let bytes = self.sink.take_anchor(number).unwrap().bytes.to_vec();
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Place4k {
        self.sink.completed();
        let place = Place4k {
            at: self.at,
            len: bytes.len(),
        };
        let at = self.at;
        self.last()[at..at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        place
    }

    pub(crate) fn last(&mut self) -> &mut Vec<u8> {
        self.segments.last_mut().unwrap()
    }

    pub(crate) fn recover(&self) -> Recovering {
        recover(&self.segments, None)
    }

    /// Writes the files below `root` as a journal of [`IDENTITY`], with its manifest.
    pub(crate) fn store(&self, root: &Path) {
        let content = Content {
            node: IDENTITY.node,
            journal: IDENTITY.journal,
            generation: IDENTITY.generation,
            shards: IDENTITY.shards,
            slot_hash: SLOT_HASH_VERSION,
            start: 1,
            names: PartyNames::default(),
            segments: Vec::new(),
            earlier: Vec::new(),
            latest_stans: Vec::new(),
            has_checkpoints: false,
        };
        let dir = layout::shard_dir(root, IDENTITY.generation, IDENTITY.shard);
        fs::create_dir_all(&dir).unwrap();
        fs::write(root.join(layout::MANIFEST), content.encode()).unwrap();
        for (index, bytes) in self.segments.iter().enumerate() {
            fs::write(dir.join(layout::segment_name(index as u64 + 1)), bytes).unwrap();
        }
    }
}

/// What a checkpoint before `segment` says, and its files, as a maker that forgets nothing makes
/// them.
pub(crate) fn checkpoint_of(log: &Log, segment: u64) -> (Covered, Vec<Image>) {
    let shape = Shape {
        segment_bytes: 16 * BLOCK,
        batch_bytes_max: 2 * BLOCK,
    };
    let mut builder = Builder::new((&IDENTITY, segment), shape, Vec::new(), WallTime::default());
    let mut judge = Recovery::new(IDENTITY, None);
    let mut images = Vec::new();
    for (number, bytes) in (1..segment).zip(&log.segments) {
        let mut on_record = |_: Lsn, record: &Record<'_>, _: Carriage| {
            images.extend(builder.add(record, Carriage::Carried).unwrap());
        };
        judge
            .segment(number, bytes, Place::Earlier, &mut on_record)
            .unwrap();
    }
    let mut ended = builder.end();
    images.append(&mut ended.images);
    let tail = judge.tail();
    let covered = Covered {
        identity: IDENTITY,
        segment,
        next_lsn: tail.next_lsn,
        next_sequence: tail.next_sequence,
        chain: tail.chain,
        files: ended.files,
        records: ended.records,
        marks: Marks::default(),
    };
    (covered, images)
}

/// The same in the shard's directory `dir`.
pub(crate) fn write_checkpoint(dir: &Path, log: &Log, segment: u64) -> Covered {
    let (covered, images) = checkpoint_of(log, segment);
    let mut draft = Draft::begin(dir, segment).unwrap();
    for image in &images {
        draft.put(image).unwrap();
    }
    draft.prove(&covered, &mut |_, _, _| {}).unwrap();
    draft.keep().unwrap();
    covered
}

/// What recovery made of a journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recovering {
    /// What was handed out, as `Debug` shows it.
    pub(crate) records: Vec<(Lsn, String)>,
    /// How the last segment ends, or the refusal.
    pub(crate) end: Result<SegmentEnd, Refusal>,
    pub(crate) tail: Tail,
}

/// Judges `segments`, numbered from 1.
pub(crate) fn recover(segments: &[Vec<u8>], watermark: Option<Lsn>) -> Recovering {
    let numbered: Vec<(u64, &[u8])> = (1..).zip(segments.iter().map(Vec::as_slice)).collect();
    recover_numbered(&numbered, watermark)
}

pub(crate) fn recover_numbered(segments: &[(u64, &[u8])], watermark: Option<Lsn>) -> Recovering {
    let mut judge = Recovery::new(IDENTITY, watermark);
    let mut records = Vec::new();
    let mut end = Ok(SegmentEnd::Clean { offset: 0 });
    for (index, (number, bytes)) in segments.iter().enumerate() {
        let place = if index + 1 < segments.len() {
            Place::Earlier
        } else {
            Place::Last
        };
        let mut on_record = |lsn, record: &Record<'_>, _: Carriage| {
            records.push((lsn, format!("{record:?}")));
        };
        end = judge
            .segment(*number, bytes, place, &mut on_record)
            .map(|(_, end)| end);
        if end.is_err() {
            break;
        }
    }
    Recovering {
        records,
        end,
        tail: judge.tail(),
    }
}

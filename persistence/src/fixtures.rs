//! Files that format version 1 left on disk, good and damaged. They are never written anew: what
//! they hold must stay readable for as long as version 1 is read. `tests/fixtures/journal-v1/`
//! says how each came to be.

use std::fs;
use std::path::{Path, PathBuf};

use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, LinkId, Lsn, RouteId, ShardId, Slot, Stan, TransactionId};
use domain::message_reason::MessageReason;
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::record::{
    Intent, LateResponse, Outcome, OutcomeKind, Record, RefusalReason, Refused, ReversalCause,
    SafDone, SafOwed, SafResult, Tombstone,
};
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, IssuerLeg, MessageClass, OriginalReference, Trace,
    TraceKey,
};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use tempfile::TempDir;

use crate::error::JournalError;
use crate::layout;
use crate::reader::{ShardReader, UpTo};
use crate::recovery::{Label, SegmentEnd};
use crate::testing::recover;

/// All segments of the fixtures are this long; the repository leaves out the zeros at their ends.
const SEGMENT_BYTES: usize = 64 * 1024;
const SHARD: ShardId = ShardId(3);

#[test]
fn fault_102_a_good_journal_of_version_1_says_what_it_said() {
    let fixture = Fixture::unpack("good");
    assert_eq!(fixture.read().unwrap(), 9);
    let recovered = recover(&fixture.segments, None);
    assert_eq!(recovered.records.len(), 9);
    assert!(matches!(recovered.end, Ok(SegmentEnd::Clean { .. })));
    assert_eq!(recovered.tail.next_lsn, Lsn(10));
}

/// Reversals of which the acquirer has said why, and one without: records of payload version 2
/// beside those of version 1.
#[test]
fn fault_102_reasons_of_reversals_are_what_they_were() {
    let fixture = Fixture::unpack("reasons");
    assert_eq!(fixture.read_as(&with_reasons()).unwrap(), 5);
    let recovered = recover(&fixture.segments, None);
    assert!(matches!(recovered.end, Ok(SegmentEnd::Clean { .. })));
    assert_eq!(recovered.records.len(), 5);
}

fn with_reasons() -> Vec<Record<'static>> {
    let owed = |number, reason| {
        Record::SafOwed(SafOwed {
            transaction: TransactionId(number),
            decided: wall(6),
            cause: ReversalCause::Requested,
            key: DuplicateKey(0x0700 + number),
            replacement: None,
            reason,
        })
    };
    vec![
        intent(1, MessageClass::Financial),
        outcome(1, OutcomeKind::Answered),
        owed(1, MessageReason::new(4000).ok()),
        owed(1, None),
        owed(1, MessageReason::new(9999).ok()),
    ]
}

/// An intent that says until when its issuer is asked, payload version 2, and one that says
/// nothing.
#[test]
fn fault_102_intents_that_are_asked_for_are_what_they_were() {
    let fixture = Fixture::unpack("asked");
    assert_eq!(fixture.read_as(&with_asked()).unwrap(), 3);
    let recovered = recover(&fixture.segments, None);
    assert!(matches!(recovered.end, Ok(SegmentEnd::Clean { .. })));
    assert_eq!(recovered.records.len(), 3);
}

fn with_asked() -> Vec<Record<'static>> {
    let Record::Intent(plain) = intent(1, MessageClass::Financial) else {
        panic!("an intent");
    };
    let asked = Record::Intent(Intent {
        asked_until: Some(wall(77)),
        ..plain
    });
    let other = intent(2, MessageClass::Authorisation);
    vec![asked, other, outcome(1, OutcomeKind::Answered)]
}

#[test]
fn a_torn_tail_of_version_1_loses_only_what_was_never_acknowledged() {
    let fixture = Fixture::unpack("torn");
    assert_eq!(fixture.read().unwrap(), 8);
    let recovered = recover(&fixture.segments, None);
    assert_eq!(recovered.records.len(), 8);
    assert!(matches!(recovered.end, Ok(SegmentEnd::Torn { .. })));
}

#[test]
fn fault_102_damage_of_version_1_is_named_and_refused() {
    check_refused("corrupt", Label::J13, "offset 4096 of segment 1");
    check_refused("foreign", Label::J08, "segment 1 belongs elsewhere");
    check_refused("newer", Label::J06, "segment 1 has format 999");
}

#[track_caller]
fn check_refused(name: &str, label: Label, says: &str) {
    let fixture = Fixture::unpack(name);
    let refusal = recover(&fixture.segments, None).end.expect_err(name);
    assert_eq!(refusal.label(), label, "{name}");
    assert!(refusal.to_string().contains(says), "{name}: {refusal}");
    fixture.read().expect_err(name);
}

/// A fixture as a journal on disk.
struct Fixture {
    dir: TempDir,
    segments: Vec<Vec<u8>>,
}

impl Fixture {
    fn unpack(name: &str) -> Self {
        let from = home().join(name);
        let dir = tempfile::tempdir().unwrap();
        let to = layout::shard_dir(dir.path(), 1, SHARD);
        fs::create_dir_all(&to).unwrap();
        let manifest = home().join(layout::MANIFEST);
        fs::copy(manifest, dir.path().join(layout::MANIFEST)).unwrap();
        let mut segments = Vec::new();
        for number in 1.. {
            let file = layout::segment_name(number);
            let Ok(mut bytes) = fs::read(from.join(&file)) else {
                break;
            };
            bytes.resize(SEGMENT_BYTES, 0);
            fs::write(to.join(file), &bytes).unwrap();
            segments.push(bytes);
        }
        assert!(!segments.is_empty(), "{} has no segment", from.display());
        Self { dir, segments }
    }

    /// Compares all records with what was written; returns how many there are.
    fn read(&self) -> Result<usize, JournalError> {
        self.read_as(&expected())
    }

    fn read_as(&self, expected: &[Record<'_>]) -> Result<usize, JournalError> {
        let mut reader = ShardReader::open(self.dir.path(), SHARD, Lsn::ZERO)?;
        let mut count = 0;
        while let Some(entry) = reader.next(UpTo::End)? {
            assert_eq!(entry.record, expected[count]);
            count += 1;
            assert_eq!(entry.lsn, Lsn(count as u64));
        }
        Ok(count)
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/journal-v1")
}

/// One record of each type and one more intent.
fn expected() -> Vec<Record<'static>> {
    vec![
        intent(1, MessageClass::Financial),
        intent(2, MessageClass::Authorisation),
        refused(),
        outcome(1, OutcomeKind::Answered),
        outcome(2, OutcomeKind::TimedOut),
        Record::SafOwed(SafOwed {
            transaction: TransactionId(2),
            decided: wall(6),
            cause: ReversalCause::Timeout,
            key: DuplicateKey(0x0600),
            replacement: Some(amount(60)),
            reason: None,
        }),
        Record::SafDone(SafDone {
            transaction: TransactionId(2),
            decided: wall(7),
            result: SafResult::Acknowledged,
            code: Some(ResponseCode::APPROVED),
            attempts: 3,
        }),
        tombstone(),
        Record::LateResponse(LateResponse {
            transaction: TransactionId(2),
            received: wall(9),
            issuer: IssuerId(5),
            code: ResponseCode::DUPLICATE,
        }),
    ]
}

fn intent(number: u64, class: MessageClass) -> Record<'static> {
    Record::Intent(Intent {
        transaction: TransactionId(u128::from(number)),
        admitted: wall(number),
        facts: facts(number, class),
        leg: IssuerLeg {
            route: RouteId(11),
            candidate: 1,
            issuer: IssuerId(5),
            link: LinkId(6),
            stan: stan(123_456),
            transmitted: transmitted(),
        },
        asked_until: None,
    })
}

fn refused() -> Record<'static> {
    Record::Refused(Refused {
        transaction: TransactionId(3),
        admitted: wall(3),
        facts: facts(3, MessageClass::Financial),
        code: ResponseCode::DO_NOT_HONOUR,
        reason: RefusalReason::VelocityCount,
    })
}

fn outcome(number: u64, kind: OutcomeKind) -> Record<'static> {
    Record::Outcome(Outcome {
        transaction: TransactionId(u128::from(number)),
        decided: wall(number + 3),
        kind,
        answer: Answer {
            code: ResponseCode::APPROVED,
            authorisation: text("A1B2C3"),
            amount: Some(amount(40)),
            fields: &[38, 6, 1, 2, 3],
        },
        issuer_code: Some(ResponseCode::PARTIAL_APPROVAL),
    })
}

fn tombstone() -> Record<'static> {
    Record::Tombstone(Tombstone {
        transaction: TransactionId(8),
        decided: wall(8),
        acquirer: AcquirerId(4),
        slot: Slot::from_hash(88),
        trace_key: TraceKey(0x8800),
        key: DuplicateKey(0x0800),
        original: OriginalReference {
            stan: stan(888),
            class: Some(MessageClass::Financial),
            transmitted: Some(transmitted()),
            rrn: text("632600000888"),
        },
    })
}

fn facts(number: u64, class: MessageClass) -> Facts {
    Facts {
        acquirer: AcquirerId(4),
        class,
        slot: Slot::from_hash(number),
        key: DuplicateKey(u128::from(number) << 64),
        content: ContentHash(number << 8),
        trace_key: TraceKey(number << 16),
        account: Account {
            token: PanToken([7; 16]),
            token_key: TokenKeyId::FIRST,
            masked: MaskedPan {
                len: 16,
                first: *b"506100",
                last: *b"1234",
            },
            sealed: SealedPan {
                key_id: 2,
                nonce: [1; 12],
                ciphertext: [3; 20],
                tag: [4; 16],
            },
        },
        amount: amount(number * 1_000),
        processing_code: text("001000"),
        merchant_category: text("5411"),
        entry_mode: text("051"),
        trace: Trace {
            stan: stan(u32::try_from(number).unwrap()),
            transmitted: transmitted(),
            local_time: text("101112"),
            local_date: text("1121"),
            rrn: text("632600000001"),
            terminal: text("TERM0001"),
            merchant: text("MERCHANT0000001"),
            institution: text("506"),
        },
    }
}

fn amount(minor: u64) -> Amount {
    Amount::new(minor, Currency::new(404).unwrap()).unwrap()
}

fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

fn transmitted() -> TransmissionTime {
    TransmissionTime::from_digits(b"1121101112").unwrap()
}

fn wall(second: u64) -> WallTime {
    WallTime::from_unix_millis(1_795_000_000_000 + second * 1_000)
}

fn text<const N: usize>(value: &str) -> Text<N> {
    Text::new("fixture", value.as_bytes()).unwrap()
}

//! Journals: what a reader makes of any bytes. The first byte says what they are taken for.

use std::collections::VecDeque;
use std::io;

use domain::ids::{IssuerId, Lsn, NodeId, ShardId, TransactionId};
use domain::record::{LateResponse, Record, SafDone, SafResult};
use domain::response_code::ResponseCode;
use domain::time::WallTime;
use persistence::batch::{self, BLOCK, BatchHeader};
use persistence::identity::{Identity, JournalUuid};
use persistence::reader::{Behind, Source, Walk, WalkStep};
use persistence::record::{self, RECORD_HEADER_LEN};
use persistence::recovery::{Place, Recovery, SegmentEnd, Tail};
use persistence::segment_header::SegmentHeader;
use persistence::sink::{Class, Sink};

use super::input::Input;

/// No bytes panic. A payload that is read says the same when it is written and read again. Of a
/// segment with any bytes in it, what is handed out was written; it is all that recovery takes; and
/// something is found wrong when recovery refuses it, and only then.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => check_payload(&mut input),
        1 => check_bytes(input.rest()),
        _ => check_segment(input.rest()),
    }
}

/// The bytes as they are, and under checksums that fit.
fn check_bytes(bytes: &[u8]) {
    let record = record::decode(bytes).ok();
    assert!(record.is_none_or(|record| record.len <= bytes.len()));
    let batch = batch::open(JOURNAL, bytes);
    assert!(batch.is_none_or(|(_, batch)| batch.len() <= bytes.len()));
    let header = SegmentHeader::decode(bytes).ok();
    assert!(header.is_none_or(|header| header.encode().len() == BLOCK));
    let Some(mut header) = BatchHeader::peek(bytes) else {
        return;
    };
    header.len = header.len.min(u32::try_from(bytes.len()).unwrap_or(0));
    let mut sealed = bytes.to_vec();
    sealed.resize(usize::try_from(header.extent()).unwrap_or(0), 0);
    if sealed.len() < BLOCK {
        return;
    }
    batch::seal(header, JOURNAL, &mut sealed);
    if let Some((header, batch)) = batch::open(JOURNAL, &sealed) {
        // What was sealed is intact, whatever its records are.
        assert!(batch::records(&header, batch).count() <= batch.len());
    }
}

/// A payload of some type, under a header that fits it.
fn check_payload(input: &mut Input<'_>) {
    let kind = input.byte();
    let payload = input.rest();
    let mut bytes = vec![0; (RECORD_HEADER_LEN + payload.len()).next_multiple_of(8)];
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    bytes[..2].copy_from_slice(b"jR");
    bytes[2] = 1;
    bytes[4] = kind;
    bytes[8..12].copy_from_slice(&len.to_le_bytes());
    bytes[12..16].copy_from_slice(&crc32c(payload).to_le_bytes());
    bytes[16..24].copy_from_slice(&7_u64.to_le_bytes());
    bytes[RECORD_HEADER_LEN..][..payload.len()].copy_from_slice(payload);
    let Ok(decoded) = record::decode(&bytes) else {
        return;
    };
    assert_eq!((decoded.lsn, decoded.len), (Lsn(7), bytes.len()));
    let mut again = vec![0; record::encoded_len(&decoded.record)];
    let len = record::encode(&decoded.record, Lsn(7), &mut again).expect("it was read");
    assert_eq!(len, again.len());
    let read = record::decode(&again).expect("it was written");
    assert_eq!(read.record, decoded.record, "the same once more");
}

/// Bit by bit: this is no place for speed.
fn crc32c(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, byte)
}

/// A segment of four batches, in which each five bytes of the input put one byte, or a copy of a
/// block, somewhere.
fn check_segment(edits: &[u8]) {
    let (mut bytes, written) = segment();
    for edit in edits.chunks_exact(5) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        let from = usize::from(edit[2]) % (bytes.len() / BLOCK) * BLOCK;
        match edit[3] % 3 {
            0 => bytes[at] = edit[4],
            1 => bytes[at..(at + BLOCK).min(SEGMENT)].fill(edit[4] % 2),
            _ => bytes.copy_within(from..from + BLOCK, at / BLOCK * BLOCK),
        }
    }
    let Ok(header) = SegmentHeader::decode(&bytes) else {
        return;
    };
    let (mut taken, mut recovery) = (Vec::new(), Recovery::new(IDENTITY, None));
    let verdict = recovery.segment(1, &bytes, Place::Last, &mut |lsn, record, _| {
        taken.push((lsn, format!("{record:?}")));
    });
    let (mut walk, mut faults) = (Walk::new(), VecDeque::new());
    walk.enter(&header, SEGMENT as u64, &mut faults);
    let mut source = Memory(&bytes);
    let mut read = Vec::new();
    let end = loop {
        match walk.next(&mut source, Behind::Everything, &mut || false, &mut faults) {
            WalkStep::Batch { offset, header } => {
                let at = usize::try_from(offset).expect("it is short");
                let len = usize::try_from(header.extent()).expect("it is short");
                let records = batch::records(&header, &bytes[at..at + len]);
                read.extend(
                    records
                        .flatten()
                        .map(|(one, _)| (one.lsn, format!("{:?}", one.record))),
                );
            }
            WalkStep::End(end) => break end,
        }
    };
    let mut rest = written.iter();
    for record in &read {
        assert!(
            rest.any(|known| known == record),
            "{record:?} was never written there"
        );
    }
    assert!(read.starts_with(&taken), "what recovery takes is read");
    assert_eq!(
        verdict.is_err(),
        !faults.is_empty(),
        "{verdict:?} {faults:?}"
    );
    if let Ok((_, judged)) = verdict {
        assert_eq!((end, read), (judged, taken));
    } else {
        assert!(matches!(
            end,
            SegmentEnd::Clean { .. } | SegmentEnd::Torn { .. }
        ));
    }
}

/// A good segment and its records.
fn segment() -> (Vec<u8>, Vec<(Lsn, String)>) {
    let header = SegmentHeader {
        identity: IDENTITY,
        segment_bytes: SEGMENT as u64,
        batch_bytes_max: 2 * BLOCK as u32,
        number: 1,
        first_lsn: Lsn(1),
        first_sequence: 1,
        previous_chain: 0,
        created: WallTime::from_unix_millis(0),
        keys: Vec::new(),
    };
    let mut bytes = header.encode();
    let mut written = Vec::new();
    let mut sink = Sink::new(JOURNAL, Tail::new(), 2 * BLOCK);
    for count in [3_u64, 70, 1, 2] {
        for number in 0..count {
            let record = sample(number);
            let lsn = sink.try_append(&record, Class::New).expect("there is room");
            written.push((lsn, format!("{record:?}")));
        }
        let batch = sink.take_batch(1).expect("there are records");
        bytes.extend_from_slice(batch.bytes);
        sink.completed();
    }
    bytes.resize(SEGMENT, 0);
    (bytes, written)
}

fn sample(number: u64) -> Record<'static> {
    let transaction = TransactionId(u128::from(number));
    let at = WallTime::from_unix_millis(number);
    if number.is_multiple_of(2) {
        Record::SafDone(SafDone {
            transaction,
            decided: at,
            result: SafResult::Expired,
            code: None,
            attempts: 3,
        })
    } else {
        Record::LateResponse(LateResponse {
            transaction,
            received: at,
            issuer: IssuerId(5),
            code: ResponseCode::APPROVED,
        })
    }
}

struct Memory<'a>(&'a [u8]);

impl Source for Memory<'_> {
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let at = usize::try_from(at).expect("it is short");
        Ok(&self.0[at..at + len])
    }

    fn forget(&mut self) {}
}

const SEGMENT: usize = 16 * BLOCK;
const JOURNAL: JournalUuid = JournalUuid([7; 16]);
const IDENTITY: Identity = Identity {
    journal: JOURNAL,
    node: NodeId(1),
    generation: 1,
    shard: ShardId(0),
    shards: 1,
};

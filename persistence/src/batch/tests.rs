//! Tests of `batch`.

use proptest::prelude::*;

use super::*;
use crate::record::{encode, encoded_len};
use crate::testing::{intent, sample, small};

const JOURNAL: JournalUuid = JournalUuid(*b"0123456789abcdef");

fn header(records: u32, len: usize) -> BatchHeader {
    BatchHeader {
        kind: if records == 0 {
            BatchKind::Anchor
        } else {
            BatchKind::Records
        },
        segment: 3,
        sequence: 17,
        first_lsn: Lsn(100),
        records,
        len: u32::try_from(len).unwrap(),
        acked_up_to: Lsn(99),
        previous_chain: 0xDEAD_BEEF,
        chain: 0,
    }
}

fn batch_of(records: &[domain::record::Record<'_>]) -> (BatchHeader, Vec<u8>) {
    let mut bytes = vec![0; BATCH_HEADER_LEN];
    for (lsn, record) in (100..).zip(records) {
        let at = bytes.len();
        bytes.resize(at + encoded_len(record), 0);
        encode(record, Lsn(lsn), &mut bytes[at..]).unwrap();
    }
    let mut header = header(u32::try_from(records.len()).unwrap(), bytes.len());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    header.chain = seal(header, JOURNAL, &mut bytes);
    (header, bytes)
}

fn check_records(header: &BatchHeader, batch: &[u8], expected: &[domain::record::Record<'_>]) {
    let read: Vec<_> = records(header, batch).collect();
    assert_eq!(read.len(), expected.len());
    for ((step, record), lsn) in read.into_iter().zip(expected).zip(100..) {
        let (decoded, bytes) = step.unwrap();
        assert_eq!((decoded.lsn, decoded.record), (Lsn(lsn), *record));
        assert_eq!(decoded.len, bytes.len());
    }
}

proptest! {
    #[test]
    fn a_batch_comes_back_as_it_went(seeds in proptest::collection::vec(any::<u64>(), 0..40)) {
        let expected: Vec<_> = seeds.into_iter().map(sample).collect();
        let (header, mut bytes) = batch_of(&expected);
        let len = bytes.len();
        bytes.extend_from_slice(&[0xFF; 100]);
        let (read, batch) = open(JOURNAL, &bytes).unwrap();
        prop_assert_eq!(read, header);
        prop_assert_eq!(batch.len(), len);
        check_records(&read, batch, &expected);
    }

    /// Header, records and padding alike.
    #[test]
    fn a_flipped_bit_anywhere_closes_a_batch(at in 0_usize..BLOCK, bit in 0_u8..8) {
        let (_, mut bytes) = batch_of(&[small(1), small(2)]);
        prop_assert_eq!(bytes.len(), BLOCK);
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(open(JOURNAL, &bytes), None);
    }

    #[test]
    fn arbitrary_bytes_are_no_batch(mut bytes in proptest::collection::vec(any::<u8>(), 0..8192)) {
        prop_assert_eq!(open(JOURNAL, &bytes), None);
        if let Some(front) = bytes.get_mut(..8) {
            front.copy_from_slice(b"njB1\x01\x00\x00\x00");
            prop_assert_eq!(open(JOURNAL, &bytes), None);
        }
    }
}

#[test]
fn a_batch_of_another_journal_does_not_open() {
    let (_, bytes) = batch_of(&[small(1)]);
    assert!(open(JOURNAL, &bytes).is_some());
    assert_eq!(open(JournalUuid([0; 16]), &bytes), None);
}

#[test]
fn a_batch_that_is_cut_does_not_open() {
    let (_, bytes) = batch_of(&[intent(1); 30]);
    assert!(bytes.len() > BLOCK);
    for cut in (0..bytes.len()).step_by(512) {
        assert_eq!(open(JOURNAL, &bytes[..cut]), None, "cut at {cut}");
    }
}

#[test]
fn records_that_do_not_fill_their_batch_are_an_error() {
    let (header, bytes) = batch_of(&[small(1), small(2)]);
    let count = |records, len: usize| {
        let header = BatchHeader {
            records,
            len: u32::try_from(len).unwrap(),
            ..header
        };
        let read: Vec<_> = super::records(&header, &bytes).collect();
        (read.iter().filter(|step| step.is_ok()).count(), read.len())
    };
    let len = header.len as usize;
    assert_eq!(count(2, len), (2, 2));
    assert_eq!(count(1, len), (1, 2));
    assert_eq!(count(3, len), (2, 3));
    assert_eq!(count(2, len + 8), (2, 3));
    assert_eq!(count(2, len - 8), (1, 2));
}

#[test]
fn records_out_of_order_are_an_error() {
    let (header, bytes) = batch_of(&[small(1)]);
    let header = BatchHeader {
        first_lsn: Lsn(101),
        ..header
    };
    let read: Vec<_> = records(&header, &bytes).collect();
    assert_eq!(read, [Err(RecordError::Value("LSN"))]);
}

/// The bytes are the format: this test may only be added to.
#[test]
fn the_bytes_of_a_header_are_as_documented() {
    let (_, bytes) = batch_of(&[]);
    let expected = [
        "6e6a4231",
        "0100",
        "0100",
        "0300000000000000",
        "1100000000000000",
        "6400000000000000",
        "00000000",
        "40000000",
        "6300000000000000",
        "efbeadde",
    ];
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex[..104], expected.concat());
    assert_eq!(hex[112..], "0".repeat(2 * BLOCK - 112));
    // CRC32C of the UUID, then the block with a zero checksum.
    let mut covered = JOURNAL.0.to_vec();
    covered.extend_from_slice(&bytes);
    covered[16 + 52..16 + 56].fill(0);
    assert_eq!(bytes[52..56], crc32c::crc32c(&covered).to_le_bytes());
}

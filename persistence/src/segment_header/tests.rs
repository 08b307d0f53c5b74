//! Tests of `segment_header`.

use proptest::prelude::*;

use super::*;
use crate::testing::{Dice, IDENTITY};

fn header(keys: usize) -> SegmentHeader {
    SegmentHeader {
        identity: IDENTITY,
        segment_bytes: 64 << 20,
        batch_bytes_max: 1 << 20,
        number: 12,
        first_lsn: Lsn(3_456),
        first_sequence: 789,
        previous_chain: 0x1234_5678,
        created: WallTime::from_unix_millis(1_700_000_000_000),
        keys: (0..keys)
            .map(|index| WrappedKey {
                key_id: u32::try_from(index).unwrap() + 1_000_000,
                wrapping_id: u32::MAX - u32::try_from(index).unwrap(),
                wrapped: [u8::try_from(index).unwrap() + 1; WRAPPED_KEY_LEN],
            })
            .collect(),
    }
}

#[test]
fn a_header_comes_back_with_as_many_keys_as_it_has_room_for() {
    for keys in [0, 1, 2, KEYS_MAX] {
        let header = header(keys);
        let block = header.encode();
        assert_eq!(block.len(), BLOCK);
        assert_eq!(SegmentHeader::decode(&block), Ok(header));
    }
}

proptest! {
    #[test]
    fn a_flipped_bit_anywhere_is_damage(at in 0_usize..BLOCK, bit in 0_u8..8) {
        let mut block = header(3).encode();
        block[at] ^= 1 << bit;
        prop_assert_eq!(SegmentHeader::decode(&block), Err(HeaderError::Damaged));
    }

    #[test]
    fn arbitrary_blocks_are_damage(seed: u64, len in 0_usize..5000) {
        let mut dice = Dice::new(seed);
        let block: Vec<u8> = (0..len).map(|_| dice.next().to_le_bytes()[0]).collect();
        prop_assert_eq!(SegmentHeader::decode(&block), Err(HeaderError::Damaged));
    }
}

#[test]
fn a_block_of_zeros_and_a_short_one_are_damage() {
    assert_eq!(
        SegmentHeader::decode(&[0; BLOCK]),
        Err(HeaderError::Damaged)
    );
    let block = header(1).encode();
    assert_eq!(
        SegmentHeader::decode(&block[..BLOCK - 1]),
        Err(HeaderError::Damaged)
    );
}

#[test]
fn another_format_is_named_when_its_checksum_fits() {
    let mut block = header(1).encode();
    block[8..10].copy_from_slice(&7_u16.to_le_bytes());
    let checksum = crc32c::crc32c(&block[..BLOCK - 4]);
    block[BLOCK - 4..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(SegmentHeader::decode(&block), Err(HeaderError::Version(7)));
}

/// The bytes are the format: this test may only be added to.
#[test]
fn the_bytes_of_a_header_are_as_documented() {
    let block = header(1).encode();
    let hex: String = block.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "6e6a69615345470a",
        "0100",
        "0100",
        "00100000",
        "0000000400000000",
        "00001000",
        "01000000",
        "7369787465656e202062797465732121",
        "0900",
        "0300",
        "0400",
        "0000",
        "0c00000000000000",
        "800d000000000000",
        "1503000000000000",
        "78563412",
        "00000000",
        "0068e5cf8b010000",
    ];
    assert_eq!(hex[..192], expected.concat());
    assert_eq!(hex[192..256], format!("ffffffff{}", "0".repeat(56)));
    assert_eq!(hex[256..272], format!("40420f00{}", "01".repeat(4)));
}

//! Keys as they come: what is taken, what is refused, what is shown.

use des::cipher::BlockCipherEncrypt as _;
use iso8583::{Dialect, FieldIndex, Mti, Writer};

use super::*;
use crate::crypto::mac::MacPadding;
use iso8583::mac::MacEngine as _;

const ASCII: &Dialect = Dialect::ISO87_ASCII;
const RETAIL: (MacAlgorithm, MacLen) = (MacAlgorithm::Retail(MacPadding::Method2), MacLen::Eight);
const CMAC: (MacAlgorithm, MacLen) = (MacAlgorithm::AesCmac, MacLen::Eight);

const DES_KEK: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10";
const DES_KEY: [u8; 16] = *b"\x7c\xa1\x10\x45\x4a\x1a\x6e\x57\x01\x31\xd9\x61\x9d\xc1\x37\x6e";
const AES_KEK: [u8; 16] = [0x42; 16];
const AES_KEY: [u8; 16] = *b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c";

fn change(algorithm: MacAlgorithm, kek: &[u8]) -> KeyChange {
    KeyChange {
        kek: Kek::new(algorithm, kek).unwrap(),
        key_field: 48,
        check_field: 48,
        check_len: 3,
        scope: KeyScope::Both,
        overlap: Duration::from_secs(300),
        ask: None,
    }
}

fn des_wrapped() -> Vec<u8> {
    let kek = TdesEde2::new_from_slice(&DES_KEK).unwrap();
    let (parts, _) = DES_KEY.as_chunks::<8>();
    let wrap = |part: &[u8; 8]| {
        let mut block = Array::from(*part);
        kek.encrypt_block(&mut block);
        block
    };
    parts.iter().flat_map(wrap).collect()
}

fn aes_wrapped() -> Vec<u8> {
    let mut block = Array::from(AES_KEY);
    Aes128::new_from_slice(&AES_KEK)
        .unwrap()
        .encrypt_block(&mut block);
    block.to_vec()
}

/// The beginning of a block of zeros under [`DES_KEY`].
fn des_check() -> Vec<u8> {
    let mut block = Array::<u8, U8>::default();
    TdesEde2::new_from_slice(&DES_KEY)
        .unwrap()
        .encrypt_block(&mut block);
    block[..3].to_vec()
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.into_bytes()
}

/// What becomes of a message with these fields.
fn opened(
    change: &KeyChange,
    kind: (MacAlgorithm, MacLen),
    fields: &[(u8, &[u8])],
) -> Result<NewKey, KeyRefused> {
    let mut out = vec![0; 512];
    let mut writer = Writer::new(ASCII, Mti::NETWORK_REQUEST, &mut out);
    for (number, value) in fields {
        writer.put(*number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    let mut index = FieldIndex::new();
    ASCII.parse(&out[..len], &mut index).unwrap();
    change.open(MessageRef::new(&out[..len], &index), kind)
}

#[track_caller]
fn check_taken(
    change: &KeyChange,
    kind: (MacAlgorithm, MacLen),
    fields: &[(u8, &[u8])],
    key: &[u8],
) {
    let new = opened(change, kind, fields).unwrap();
    let expected = SoftwareMac::new(kind.0, kind.1, key).unwrap();
    assert_eq!(new.key.compute(b"covered"), expected.compute(b"covered"));
}

#[test]
fn a_key_of_des_is_taken_as_bytes_and_as_digits() {
    let change = change(RETAIL.0, &DES_KEK);
    let whole = [des_wrapped(), des_check()].concat();
    // By `openssl enc -des-ede`.
    assert_eq!(hex(&whole), b"f08d805d3435580116f6d4d7a1d8916129a9c3");
    check_taken(&change, RETAIL, &[(48, &whole)], &DES_KEY);
    check_taken(&change, RETAIL, &[(48, &hex(&whole))], &DES_KEY);
    let filled = [&whole[..], &[0; 29]].concat();
    check_taken(&change, RETAIL, &[(48, &filled)], &DES_KEY);
    let cbc = (MacAlgorithm::Cbc(MacPadding::Method1), MacLen::Four);
    check_taken(&change, cbc, &[(48, &filled)], &DES_KEY);
}

/// The key of NIST SP 800-38B; the CMAC of a block of zeros is by `openssl mac`.
#[test]
fn a_key_of_aes_is_taken_with_the_cmac_of_zeros() {
    let change = change(CMAC.0, &AES_KEK);
    let whole = [aes_wrapped(), vec![0x7A, 0xD3, 0x86]].concat();
    check_taken(&change, CMAC, &[(48, &whole)], &AES_KEY);
}

#[test]
fn the_check_value_may_stand_in_a_field_of_its_own() {
    let change = KeyChange {
        check_field: 62,
        ..change(RETAIL.0, &DES_KEK)
    };
    let (key, check) = (des_wrapped(), des_check());
    check_taken(&change, RETAIL, &[(48, &key), (62, &check)], &DES_KEY);
    let refused = opened(&change, RETAIL, &[(48, &key)]).unwrap_err();
    assert_eq!(refused, KeyRefused::Format(62));
}

#[test]
fn a_key_that_is_not_what_it_says_is_refused() {
    let change = change(RETAIL.0, &DES_KEK);
    let refused = |value: &[u8]| opened(&change, RETAIL, &[(48, value)]).unwrap_err();
    let (key, check) = (des_wrapped(), des_check());
    for wrong in 0..19 {
        let mut whole = [&key[..], &check].concat();
        whole[wrong] ^= 0x10;
        assert_eq!(refused(&whole), KeyRefused::Check, "byte {wrong}");
    }
    assert_eq!(
        refused(&key),
        KeyRefused::Format(48),
        "without a check value"
    );
    assert_eq!(
        refused(&[&key[..], &check, b"x"].concat()),
        KeyRefused::Format(48)
    );
    assert_eq!(refused(b"00"), KeyRefused::Format(48));

    // A key whose parts are the same is DES with one part.
    let kek = TdesEde2::new_from_slice(&DES_KEK).unwrap();
    let mut part = Array::from([0x13; 8]);
    kek.encrypt_block(&mut part);
    let mut zeros = Array::<u8, U8>::default();
    TdesEde2::new_from_slice(&[0x13; 16])
        .unwrap()
        .encrypt_block(&mut zeros);
    let weak = [&part[..], &part, &zeros[..3]].concat();
    assert_eq!(refused(&weak), KeyRefused::Weak);
}

#[test]
fn nothing_of_a_key_is_shown() {
    let change = change(RETAIL.0, &DES_KEK);
    let whole = [des_wrapped(), des_check()].concat();
    let new = opened(&change, RETAIL, &[(48, &whole)]).unwrap();
    let shown = format!("{change:?} {new:?} {}", KeyRefused::Check).to_lowercase();
    for secret in [&DES_KEK[..], &DES_KEY[..], &whole[..]] {
        let digits = String::from_utf8(hex(secret)).unwrap();
        assert!(!shown.contains(&digits[..6]), "{shown}");
        let list = format!("{secret:?}");
        assert!(!shown.contains(list.trim_matches(['[', ']'])), "{shown}");
    }
    for wrong in [0, 8, 15, 17, 32] {
        assert!(Kek::new(RETAIL.0, &vec![1; wrong]).is_none());
    }
    assert!(Kek::new(CMAC.0, &[1; 32]).is_some() && Kek::new(RETAIL.0, &[1; 24]).is_some());
}

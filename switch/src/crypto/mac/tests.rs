//! Published MACs, keys that are refused, and bytes that were changed.

use iso8583::Dialect;
use iso8583::mti::Mti;

use super::*;
use crate::crypto::endpoint_keys::{EndpointKeys, append};
use MacPadding::{Method1, Method2};

fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[track_caller]
fn engine(algorithm: MacAlgorithm, key: &str) -> SoftwareMac {
    SoftwareMac::new(algorithm, MacLen::Eight, &bytes_of(key)).unwrap()
}

#[track_caller]
fn check(algorithm: MacAlgorithm, key: &str, covered: &[u8], expected: &str) {
    let mac = engine(algorithm, key).compute(covered);
    assert_eq!(hex_of(&mac), expected);
}

const ALL: &[u8] = b"Now is the time for all ";
const IT: &[u8] = b"Now is the time for it";

/// ISO/IEC 9797-1:2011, B.2, those of padding 2 also by OpenSSL's `des-cbc`; FIPS PUB 113.
#[test]
fn algorithm_1_with_des() {
    let check = |padding, covered, expected| {
        check(
            MacAlgorithm::Cbc(padding),
            "0123456789ABCDEF",
            covered,
            expected,
        );
    };
    check(Method1, ALL, "70A30640CC76DD8B");
    check(Method1, IT, "E45B3AD2B7CC0856");
    check(Method2, ALL, "10E1F0F108341B6D");
    check(Method2, IT, "A924C72136149211");
    check(Method1, b"7654321 Now is the time for ", "F1D30F6849312CA4");
}

/// rkbalgi/iso8583_rs `src/crypto/mac.rs`.
#[test]
fn algorithm_1_with_tdes() {
    let key = "E0F4543F3E2A2C5FFC7E5E5A222E3E4D";
    // A third part that is the first one again makes no difference.
    let three = [key, &key[..16]].concat();
    let check = |covered: &str, expected| {
        check(
            MacAlgorithm::Cbc(Method1),
            key,
            &bytes_of(covered),
            expected,
        );
        check(
            MacAlgorithm::Cbc(Method1),
            &three,
            &bytes_of(covered),
            expected,
        );
    };
    check("0102030405060708", "7D34C3071DA931B9");
    check("01020304050607080102030405060708", "0FE28F4B5537EE79");
    check("01020304050607080102030405", "8FB12963D5661A22");
}

/// The example of ANSI X9.19, in ISO/IEC 9797-1:2011, B.4; the last one is bcgit/bc-java
/// `ISO9797Alg3MacTest`.
#[test]
fn algorithm_3() {
    let key = "0123456789ABCDEFFEDCBA9876543210";
    let retail = MacAlgorithm::Retail;
    check(retail(Method1), key, ALL, "A1C72E74EA3FA9B6");
    check(retail(Method1), key, IT, "2E2B1428CC78254F");
    check(retail(Method2), key, ALL, "E9086230CA3BE796");
    check(retail(Method2), key, IT, "5A692CE64F404145");
    let key = "7CA110454A1A6E570131D9619DC1376E";
    check(
        retail(Method1),
        key,
        b"Hello World !!!!",
        "F09B856213BAB83B",
    );
}

/// NIST SP 800-38B, appendix D: the first eight bytes.
#[test]
fn aes_cmac() {
    let message = bytes_of(
        "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51\
         30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710",
    );
    let check = |key: &str, expected: [&str; 4]| {
        for (len, expected) in [0, 16, 40, 64].into_iter().zip(expected) {
            check(MacAlgorithm::AesCmac, key, &message[..len], expected);
        }
    };
    check(
        "2B7E151628AED2A6ABF7158809CF4F3C",
        [
            "BB1D6929E9593728",
            "070A16B46B4D4144",
            "DFA66747DE9AE630",
            "51F0BEBF7E3B9D92",
        ],
    );
    check(
        "8E73B0F7DA0E6452C810F32B809079E562F8EAD2522C6B7B",
        [
            "D17DDF46ADAACDE5",
            "9E99A7BF31E71090",
            "8A1DE5BE2EB31AAD",
            "A1D5DF0EED790F79",
        ],
    );
    check(
        "603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4",
        [
            "028962F61B7BF89E",
            "28A7023F452E8F82",
            "AAF3D8F1DE5640C2",
            "E1992190549F6ED5",
        ],
    );
}

#[test]
fn a_last_block_is_padded() {
    let check = |padding: MacPadding, bytes: &str, expected: &str| {
        let blocks: Vec<u8> = padding.blocks(&bytes_of(bytes)).flatten().collect();
        assert_eq!(hex_of(&blocks), expected, "{padding:?} of {bytes:?}");
    };
    check(Method1, "0102030405", "0102030405000000");
    check(Method1, "0102030405060708", "0102030405060708");
    check(Method1, "", "0000000000000000");
    check(Method2, "0102030405", "0102030405800000");
    check(Method2, "01020304050607", "0102030405060780");
    check(
        Method2,
        "0102030405060708",
        "01020304050607088000000000000000",
    );
    check(Method2, "", "8000000000000000");
}

#[test]
fn a_short_mac_is_left_justified_before_zeros() {
    let key = bytes_of("0123456789ABCDEFFEDCBA9876543210");
    let retail = MacAlgorithm::Retail(Method1);
    let engine = SoftwareMac::new(retail, MacLen::Four, &key).unwrap();
    let mac = engine.compute(ALL);
    assert_eq!(hex_of(&mac), "A1C72E7400000000");
    assert!(engine.verify(ALL, &mac));
    let whole: [u8; MAC_LEN] = bytes_of("A1C72E74EA3FA9B6").try_into().unwrap();
    assert!(
        !engine.verify(ALL, &whole),
        "what fills the field is checked"
    );
}

#[test]
fn keys_that_cannot_be_used_are_refused() {
    let check = |algorithm, key: &str, expected: Option<&str>| {
        let result = SoftwareMac::new(algorithm, MacLen::Eight, &bytes_of(key));
        let told = result.err().map(|error| error.to_string());
        assert_eq!(told.as_deref(), expected, "{algorithm:?}");
    };
    let (cbc, retail) = (MacAlgorithm::Cbc(Method2), MacAlgorithm::Retail(Method2));
    let (one, two) = ("0123456789ABCDEF", "FEDCBA9876543210");
    let weak = Some("is a weak key of DES, or repeats one of its parts");
    check(cbc, "0101", Some("has 2 bytes; alg1 takes 8, 16 or 24"));
    check(retail, one, Some("has 8 bytes; retail takes 16"));
    check(
        retail,
        &[one, two, one].concat(),
        Some("has 24 bytes; retail takes 16"),
    );
    check(
        MacAlgorithm::AesCmac,
        one,
        Some("has 8 bytes; aes-cmac takes 16, 24 or 32"),
    );
    check(cbc, "0101010101010101", weak);
    check(cbc, "0000000000000000", weak);
    check(cbc, &[one, one].concat(), weak);
    check(retail, &[one, one].concat(), weak);
    // Parity apart, these are the same.
    check(retail, "0123456789ABCDEF0022446688AACCEE", weak);
    check(retail, "1032547698BADCFE1133557799BBDDFF", weak);
    check(cbc, &[one, two, two].concat(), weak);
    check(cbc, &[one, two, one].concat(), None);
    check(MacAlgorithm::AesCmac, &[one, one].concat(), None);
}

#[test]
fn any_changed_bit_is_refused() {
    let key = "0123456789ABCDEFFEDCBA9876543210";
    for algorithm in [
        MacAlgorithm::Cbc(Method1),
        MacAlgorithm::Retail(Method2),
        MacAlgorithm::AesCmac,
    ] {
        let engine = engine(algorithm, key);
        let mac = engine.compute(IT);
        assert!(engine.verify(IT, &mac));
        for bit in 0..IT.len() * 8 {
            let mut covered = IT.to_vec();
            covered[bit / 8] ^= 1 << (bit % 8);
            assert!(!engine.verify(&covered, &mac), "{algorithm:?}: bit {bit}");
        }
        for bit in 0..MAC_LEN * 8 {
            let mut changed = mac;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !engine.verify(IT, &changed),
                "{algorithm:?}: bit {bit} of the MAC"
            );
        }
        assert!(!engine.verify(&IT[..21], &mac));
    }
}

#[test]
fn a_key_is_never_shown() {
    let key = "7CA110454A1A6E570131D9619DC1376E";
    let shown = format!("{:?}", engine(MacAlgorithm::Retail(Method2), key));
    assert_eq!(
        shown,
        "SoftwareMac { algorithm: Retail(Method2), len: Eight, .. }"
    );
}

#[test]
fn a_message_that_can_have_no_mac_does_not_leave_without_one() {
    const KEY: &str = "000102030405060708090A0B0C0D0E0F";
    let both = EndpointMac {
        receive: Arc::new(engine(MacAlgorithm::AesCmac, KEY)),
        send: Arc::new(engine(MacAlgorithm::AesCmac, KEY)),
        change: None,
        network: true,
    };
    let len = |last: u8, value: &[u8]| {
        let mut out = [0; 256];
        let dialect = Dialect::VISA_LIKE;
        let mut writer = iso8583::Writer::new(dialect, Mti::NETWORK_REQUEST, &mut out);
        writer.put(11, b"000042").unwrap();
        writer.put(last, value).unwrap();
        let len = writer.finish().unwrap();
        let appended = append(Some(&EndpointKeys::new(&both)), dialect, &mut out, len);
        appended.map(|whole| whole - len)
    };
    assert_eq!(len(41, b"TERM0001"), Some(MAC_LEN));
    assert_eq!(len(137, &[0, 42]), None);
}

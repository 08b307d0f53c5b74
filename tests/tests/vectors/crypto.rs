//! MACs by the product's own code. PIN blocks, keys derived per transaction and card keys are made
//! here alone, because njia never sees a PIN in clear and holds no key that would show one; what
//! they rest on is the product's retail MAC, with both paddings, and the DES of its MACs.

use des::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use des::{Des, TdesEde2};
use iso8583::mac::MacEngine as _;
use serde_json::Value;
use switch::crypto::mac::{MacAlgorithm, MacLen, MacPadding, SoftwareMac};

use super::{bytes_of, hex_of, public};

#[test]
fn crypto_comes_out_as_published() {
    let Some(vectors) = public(&["crypto.json"]) else {
        return;
    };
    let mut compared = 0;
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        let (found, expected) = if name.starts_with("mac-alg1") {
            (mac(vector), text(&vector["fields"]["mac"]))
        } else if name.starts_with("mac-padding") {
            (padded(vector), text(&vector["fields"]["padded"]))
        } else if name.starts_with("pin-block-format-0") {
            (clear_pin_block(vector).to_vec(), text(&vector["hex"]))
        } else if name.starts_with("dukpt-tdes-pin") {
            (encrypted_pin_block(vector), text(&vector["hex"]))
        } else if name.starts_with("arqc-visa") {
            (cryptogram(vector), text(&vector["fields"]["arqc"]))
        } else {
            panic!("{name} is of no known kind");
        };
        assert_eq!(hex_of(&found), expected.to_uppercase(), "{name}");
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} vectors were compared");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    bytes_of(text(value))
}

fn padding(vector: &Value) -> MacPadding {
    match vector["input"]["padding_method"].as_u64() {
        Some(1) => MacPadding::Method1,
        Some(2) => MacPadding::Method2,
        other => panic!("padding method {other:?}"),
    }
}

fn mac(vector: &Value) -> Vec<u8> {
    let algorithm = MacAlgorithm::Cbc(padding(vector));
    let key = bytes(&vector["input"]["key"]);
    let engine = SoftwareMac::new(algorithm, MacLen::Eight, &key).unwrap();
    engine.compute(&bytes(&vector["hex"])).to_vec()
}

fn padded(vector: &Value) -> Vec<u8> {
    padding(vector)
        .blocks(&bytes(&vector["hex"]))
        .flatten()
        .collect()
}

/// ISO 9564 format 0: length and digits of the PIN, filled with F, over the account's last twelve
/// digits without its check digit.
fn clear_pin_block(vector: &Value) -> [u8; 8] {
    let (pin, pan) = (
        text(&vector["fields"]["pin"]),
        text(&vector["input"]["pan"]),
    );
    let pin = bytes_of(&format!("{:F<16}", format!("0{}{pin}", pin.len())));
    let account = &pan[pan.len() - 13..pan.len() - 1];
    xor(&pin, &bytes_of(&format!("0000{account}")))
}

/// ANSI X9.24-1: the PIN block under the PIN variant of the key of this transaction.
fn encrypted_pin_block(vector: &Value) -> Vec<u8> {
    let bdk = bytes(&vector["input"]["bdk"]);
    let ksn = bytes(&vector["input"]["ksn"]);
    let key = transaction_key(&initial_key(&bdk, &ksn), &ksn);
    let variant: [u8; 16] = xor(&key, &bytes_of("00000000000000FF00000000000000FF"));
    tdes(&variant, clear_pin_block(vector)).to_vec()
}

const VARIANT: &str = "C0C0C0C000000000C0C0C0C000000000";

/// The key that a terminal begins with: two encryptions of its serial number, the counter zero.
fn initial_key(bdk: &[u8], ksn: &[u8]) -> [u8; 16] {
    let mut serial: [u8; 8] = ksn[..8].try_into().unwrap();
    serial[7] &= 0xE0;
    let other: [u8; 16] = xor(bdk, &bytes_of(VARIANT));
    joined(tdes(bdk, serial), tdes(&other, serial))
}

/// One step for each bit of the counter, from the highest.
fn transaction_key(initial: &[u8; 16], ksn: &[u8]) -> [u8; 16] {
    let whole = u64::from_be_bytes(ksn[2..].try_into().unwrap());
    let counter = whole & 0x1F_FFFF;
    let mut register = whole & !0x1F_FFFF;
    let mut key = *initial;
    for bit in (0..21)
        .rev()
        .map(|bit| 1 << bit)
        .filter(|bit| counter & bit != 0)
    {
        register |= bit;
        let step = |key: &[u8; 16]| {
            let (left, right) = key.split_at(8);
            let mut block = Array::from(xor::<8>(&register.to_be_bytes(), right));
            Des::new_from_slice(left).unwrap().encrypt_block(&mut block);
            xor::<8>(&block, right)
        };
        let other: [u8; 16] = xor(&key, &bytes_of(VARIANT));
        key = joined(step(&other), step(&key));
    }
    key
}

/// The application cryptogram of a card (EMV book 2, annex A1.4.1, A1.3.1): version 10 under the
/// card's key with zeros as padding, version 18 under a key of the transaction.
fn cryptogram(vector: &Value) -> Vec<u8> {
    let tags = &vector["input"]["tags"];
    let issuer_data = bytes(&tags["9F10"]);
    let card = card_key(&vector["input"]);
    let (key, padding, own) = match issuer_data[2] {
        10 => (card, MacPadding::Method1, &issuer_data[3..]),
        18 => {
            let counter = bytes(&tags["9F36"]);
            let half = |mark| {
                let block = [counter[0], counter[1], mark, 0, 0, 0, 0, 0];
                tdes(&card, block)
            };
            (
                joined(half(0xF0), half(0x0F)),
                MacPadding::Method2,
                &issuer_data[..],
            )
        }
        other => panic!("cryptogram version {other}"),
    };
    let order = [
        "9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36",
    ];
    let mut covered: Vec<u8> = order.iter().flat_map(|tag| bytes(&tags[*tag])).collect();
    covered.extend_from_slice(own);
    let engine = SoftwareMac::new(MacAlgorithm::Retail(padding), MacLen::Eight, &key).unwrap();
    engine.compute(&covered).to_vec()
}

/// The last sixteen digits of account and sequence number, and their complement, under the issuer's
/// key.
fn card_key(input: &Value) -> [u8; 16] {
    let issuer = bytes(&input["imk_ac"]);
    let digits = format!("{}{}", text(&input["pan"]), text(&input["psn"]));
    let left: [u8; 8] = bytes_of(&digits[digits.len() - 16..]).try_into().unwrap();
    joined(tdes(&issuer, left), tdes(&issuer, left.map(|byte| !byte)))
}

fn tdes(key: &[u8], block: [u8; 8]) -> [u8; 8] {
    let mut block = Array::from(block);
    TdesEde2::new_from_slice(key)
        .unwrap()
        .encrypt_block(&mut block);
    block.into()
}

fn xor<const N: usize>(one: &[u8], other: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| one[at] ^ other[at])
}

fn joined(left: [u8; 8], right: [u8; 8]) -> [u8; 16] {
    std::array::from_fn(|at| if at < 8 { left[at] } else { right[at - 8] })
}

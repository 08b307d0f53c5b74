//! DE55 as a chip terminal fills it: EMV tags, about 140 bytes, without anything that is secret.

use crate::random::scramble;

/// Writes the tags of one transaction; says how long they are. `mixed` is 64 random bits.
pub fn write(amount: &[u8; 12], currency: &[u8; 3], mixed: u64, out: &mut [u8; LEN]) -> usize {
    *out = TEMPLATE;
    let cryptogram = scramble(mixed).to_be_bytes();
    put(out, CRYPTOGRAM, &cryptogram);
    put(out, ISSUER_DATA, &cryptogram);
    put(
        out,
        UNPREDICTABLE,
        &crate::numeric::narrow(mixed).to_be_bytes(),
    );
    put(out, COUNTER, &[cryptogram[6], cryptogram[7]]);
    put(out, AMOUNT, &packed(amount));
    put(out, CURRENCY, &packed_currency(currency));
    LEN
}

/// Bytes of all tags.
pub const LEN: usize = 136;

fn put(out: &mut [u8; LEN], at: usize, value: &[u8]) {
    if let Some(slot) = out.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

fn packed(digits: &[u8; 12]) -> [u8; 6] {
    let mut bytes = [0; 6];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = (pair[0] & 0x0F) << 4 | pair[1] & 0x0F;
    }
    bytes
}

fn packed_currency(digits: &[u8; 3]) -> [u8; 2] {
    let [a, b, c] = digits.map(|digit| digit & 0x0F);
    [a, b << 4 | c]
}

/// Where the values lie that differ from one transaction to the next.
const CRYPTOGRAM: usize = 3;
const ISSUER_DATA: usize = 28;
const UNPREDICTABLE: usize = 39;
const COUNTER: usize = 46;
const AMOUNT: usize = 66;
const CURRENCY: usize = 75;

#[rustfmt::skip]
const TEMPLATE: [u8; LEN] = [
    0x9F, 0x26, 8, 0, 0, 0, 0, 0, 0, 0, 0,                       // application cryptogram
    0x9F, 0x27, 1, 0x80,                                         // asks to go online
    0x9F, 0x10, 18, 0x06, 0x01, 0x0A, 0x03, 0xA0, 0x00, 0x00, 0x0A, 0x01, 0x00,
    0, 0, 0, 0, 0, 0, 0, 0,                                      // issuer application data
    0x9F, 0x37, 4, 0, 0, 0, 0,                                   // unpredictable number
    0x9F, 0x36, 2, 0, 0,                                         // transaction counter
    0x95, 5, 0x00, 0x00, 0x04, 0x80, 0x00,                       // terminal verification results
    0x9A, 3, 0x26, 0x01, 0x15,                                   // date
    0x9C, 1, 0x00,                                               // type
    0x9F, 0x02, 6, 0, 0, 0, 0, 0, 0,                             // amount
    0x5F, 0x2A, 2, 0, 0,                                         // currency
    0x82, 2, 0x39, 0x00,                                         // interchange profile
    0x9F, 0x1A, 2, 0x04, 0x04,                                   // country of the terminal
    0x9F, 0x03, 6, 0, 0, 0, 0, 0, 0,                             // other amount
    0x9F, 0x33, 3, 0xE0, 0xF8, 0xC8,                             // terminal capabilities
    0x9F, 0x34, 3, 0x1E, 0x03, 0x00,                             // cardholder verification
    0x9F, 0x35, 1, 0x22,                                         // terminal type
    0x9F, 0x1E, 8, b'N', b'J', b'I', b'A', b'0', b'0', b'0', b'1',
    0x84, 7, 0xA0, 0x00, 0x00, 0x00, 0x03, 0x10, 0x10,           // application
    0x9F, 0x09, 2, 0x00, 0x8C,                                   // application version
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_follow_one_another_to_the_end() {
        let mut out = [0; LEN];
        let len = write(b"000000012345", b"404", 7, &mut out);
        assert!((120..=LEN).contains(&len), "{len}");
        let mut rest = &out[..len];
        let (mut amount, mut money) = (None, None);
        while let [first, tail @ ..] = rest {
            let tag_len = if first & 0x1F == 0x1F { 2 } else { 1 };
            let value_len = usize::from(rest[tag_len]);
            let value = &rest[tag_len + 1..tag_len + 1 + value_len];
            if rest[..tag_len] == [0x9F, 0x02] {
                amount = Some(value.to_vec());
            }
            if rest[..tag_len] == [0x5F, 0x2A] {
                money = Some(value.to_vec());
            }
            assert!(!tail.is_empty());
            rest = &rest[tag_len + 1 + value_len..];
        }
        assert_eq!(amount.unwrap(), [0x00, 0x00, 0x00, 0x01, 0x23, 0x45]);
        assert_eq!(money.unwrap(), [0x04, 0x04]);
    }
}

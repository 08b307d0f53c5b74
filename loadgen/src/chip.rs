//! DE55 as a chip terminal fills it: EMV tags, about 140 bytes, without anything that is secret.

use crate::random::scramble;

/// Writes the tags of one transaction; says how long they are. `mixed` is 64 random bits.
pub fn write(amount: &[u8; 12], currency: &[u8; 3], mixed: u64, out: &mut [u8; LEN]) -> usize {
    let mut tags = Tags { out, len: 0 };
    let cryptogram = scramble(mixed).to_be_bytes();
    let [a, b, c, d, ..] = scramble(mixed ^ 1).to_be_bytes();
    let [_, _, _, _, _, _, counter @ ..] = mixed.to_be_bytes();
    let mut issuer_data = [0; 18];
    for (slot, byte) in issuer_data
        .iter_mut()
        .zip(ISSUER_DATA.iter().chain(&cryptogram))
    {
        *slot = *byte;
    }
    let amount = packed(amount);
    let [_, currency @ ..] = packed_currency(currency);
    tags.put(&[0x9F, 0x26], &cryptogram);
    tags.put(&[0x9F, 0x27], &[0x80]);
    tags.put(&[0x9F, 0x10], &issuer_data);
    tags.put(&[0x9F, 0x37], &[a, b, c, d]);
    tags.put(&[0x9F, 0x36], &counter);
    tags.put(&[0x95], &[0x00, 0x00, 0x04, 0x80, 0x00]);
    tags.put(&[0x9A], &[0x26, 0x01, 0x15]);
    tags.put(&[0x9C], &[0x00]);
    tags.put(&[0x9F, 0x02], &amount);
    tags.put(&[0x5F, 0x2A], &currency);
    tags.put(&[0x82], &[0x39, 0x00]);
    tags.put(&[0x9F, 0x1A], &[0x04, 0x04]);
    tags.put(&[0x9F, 0x03], &[0; 6]);
    tags.put(&[0x9F, 0x33], &[0xE0, 0xF8, 0xC8]);
    tags.put(&[0x9F, 0x34], &[0x1E, 0x03, 0x00]);
    tags.put(&[0x9F, 0x35], &[0x22]);
    tags.put(&[0x9F, 0x1E], b"NJIA0001");
    tags.put(&[0x84], &[0xA0, 0x00, 0x00, 0x00, 0x03, 0x10, 0x10]);
    tags.put(&[0x9F, 0x09], &[0x00, 0x8C]);
    tags.len
}

/// Bytes at most.
pub const LEN: usize = 160;

struct Tags<'a> {
    out: &'a mut [u8; LEN],
    len: usize,
}

impl Tags<'_> {
    fn put(&mut self, tag: &[u8], value: &[u8]) {
        let len = [u8::try_from(value.len()).unwrap_or(0)];
        let bytes = tag.iter().chain(&len).chain(value);
        for (slot, byte) in self.out.iter_mut().skip(self.len).zip(bytes) {
            *slot = *byte;
        }
        self.len = (self.len + tag.len() + 1 + value.len()).min(LEN);
    }
}

fn packed(digits: &[u8; 12]) -> [u8; 6] {
    let mut bytes = [0; 6];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = (pair[0] & 0x0F) << 4 | pair[1] & 0x0F;
    }
    bytes
}

fn packed_currency(digits: &[u8; 3]) -> [u8; 3] {
    let [a, b, c] = digits.map(|digit| digit & 0x0F);
    [0, a, b << 4 | c]
}

const ISSUER_DATA: [u8; 10] = [0x06, 0x01, 0x0A, 0x03, 0xA0, 0x00, 0x00, 0x0A, 0x01, 0x00];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_follow_one_another_to_the_end() {
        let mut out = [0; LEN];
        let len = write(b"000000012345", b"404", 7, &mut out);
        assert!((120..=LEN).contains(&len), "{len}");
        let mut rest = &out[..len];
        let mut amount = None;
        while let [first, tail @ ..] = rest {
            let tag_len = if first & 0x1F == 0x1F { 2 } else { 1 };
            let value_len = usize::from(rest[tag_len]);
            let value = &rest[tag_len + 1..tag_len + 1 + value_len];
            if rest[..tag_len] == [0x9F, 0x02] {
                amount = Some(value.to_vec());
            }
            assert!(!tail.is_empty());
            rest = &rest[tag_len + 1 + value_len..];
        }
        assert_eq!(amount.unwrap(), [0x00, 0x00, 0x00, 0x01, 0x23, 0x45]);
    }
}

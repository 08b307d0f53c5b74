//! Authentication data leaves the buffer when no issuer can be asked with it any more
//! (security.md §2).

use crate::message::FieldIndex;

/// Zeroes the fields that the dialect of the message marks as authentication data, in place. What
/// an answer echoes stays.
///
/// The message was read without a fault. A field with a fault is not in its index, nor need any
/// other one be where the index says: of a faulty message all bytes have to be zeroed instead.
pub fn scrub_sad(bytes: &mut [u8], index: &FieldIndex) {
    for number in index.dialect().sad().intersection(index.present()) {
        if let Some(value) = index.span(number).and_then(|span| span.of_mut(bytes)) {
            value.fill(0);
        }
    }
    // Keeps the stores above from being dropped as dead: there is no unsafe here to make them
    // volatile.
    core::hint::black_box(bytes);
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;
    use crate::dialect::Dialect;
    use crate::testing::{Message, purchase_with, written};

    #[test]
    fn nothing_of_the_card_but_the_echo_stays() {
        let secrets: &[(u8, &[u8])] = &[
            (36, b"015061001234567890=0011223344"),
            (45, b"B5061001234567890^NAME^2812201"),
            (52, b"PINBLOCK"),
            (120, b"cvv 737"),
        ];
        let plain = purchase_with("0200", secrets);
        let fields: std::vec::Vec<_> = plain.view().fields().collect();
        for dialect in [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX] {
            let mut message = Message::new(dialect, written(dialect, "0200", &fields));
            let before = message.bytes.clone();
            scrub_sad(&mut message.bytes, &message.index);
            for number in message.index.present() {
                let value = message.view().field(number).unwrap();
                if dialect.sad().contains(number) {
                    assert!(value.iter().all(|byte| *byte == 0), "{number}");
                } else {
                    let original = crate::MessageRef::new(&before, &message.index);
                    assert_eq!(Some(value), original.field(number), "{number}");
                }
            }
            let left = message.bytes.escape_ascii().to_string();
            for secret in ["=2812", "=0011", "NAME", "PINBLOCK", "737", "50494E"] {
                assert!(!left.contains(secret), "{secret} in {left}");
            }
        }
    }
}

//! Hexadecimal digits: read in either case, written in upper case.

/// The word that sixteen digits name; `None` when one of them is no digit.
pub(crate) fn word(digits: &[u8; 16]) -> Option<u64> {
    let mut value = 0_u64;
    let mut bad = 0_u8;
    for digit in digits {
        let nibble = nibble(*digit);
        bad |= nibble;
        value = (value << 4) | u64::from(nibble & 0x0F);
    }
    (bad & NOT_A_DIGIT == 0).then_some(value)
}

/// The sixteen digits of a word.
pub(crate) fn digits(word: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    encode(&word.to_be_bytes(), &mut digits);
    digits
}

/// The bytes that `digits` name, at the start of `out`; `None` when a digit is none, their number
/// is odd, or `out` too small.
pub(crate) fn decode<'o>(digits: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let out = out.get_mut(..pairs.len())?;
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let (high, low) = (nibble(*high), nibble(*low));
        if (high | low) & NOT_A_DIGIT != 0 {
            return None;
        }
        *byte = (high << 4) | low;
    }
    Some(out)
}

/// Two digits per byte into `out`, which is twice as long.
pub(crate) fn encode(bytes: &[u8], out: &mut [u8]) {
    debug_assert_eq!(bytes.len().saturating_mul(2), out.len());
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0x0F)];
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit.wrapping_sub(b'0'),
        b'A'..=b'F' => digit.wrapping_sub(b'A').wrapping_add(10),
        b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
        _ => NOT_A_DIGIT,
    }
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 {
        nibble.wrapping_add(b'0')
    } else {
        nibble.wrapping_sub(10).wrapping_add(b'A')
    }
}

const NOT_A_DIGIT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_either_case() {
        assert_eq!(word(b"7234054128c28805"), Some(0x7234_0541_28C2_8805));
        assert_eq!(word(b"7234054128C28805"), Some(0x7234_0541_28C2_8805));
        assert_eq!(&digits(0x7234_0541_28C2_8805), b"7234054128C28805");
        for bad in [
            b"723405412828880g",
            b" 234054128288805",
            b"+234054128288805",
        ] {
            assert_eq!(word(bad), None);
        }
    }

    #[test]
    fn bytes_there_and_back() {
        let mut text = [0; 6];
        encode(&[0x00, 0xAF, 0x9c], &mut text);
        assert_eq!(&text, b"00AF9C");
        let mut bytes = [0; 3];
        assert_eq!(decode(b"00aF9c", &mut bytes), Some(&[0x00, 0xAF, 0x9C][..]));
        assert_eq!(decode(b"00a", &mut bytes), None);
        assert_eq!(decode(b"00ax", &mut bytes), None);
        assert_eq!(decode(b"00aa00aa", &mut bytes), None);
    }
}

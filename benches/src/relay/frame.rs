//! Two-byte framing and the place of DE11 in ISO 8583:1987 ASCII with a binary bitmap.

use std::ops::Range;

/// Bytes of the length before each frame, big-endian.
pub const HEADER_LEN: usize = 2;
/// Digits of a STAN.
pub const STAN_LEN: usize = 6;

const MTI_LEN: usize = 4;
const BITMAP_LEN: usize = 8;
/// Digits of DE3 to DE10, all fixed.
const LENGTHS: [u8; 8] = [6, 12, 12, 12, 10, 8, 8, 8];
/// Digits of those among DE3 to DE10 that a byte of eight presence bits names, DE3 first.
const SUMS: [u8; 256] = sums();

const fn sums() -> [u8; 256] {
    let mut sums = [0_u8; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut field = 0;
        while field < 8 {
            if bits & (0x80 >> field) != 0 {
                sums[bits] += LENGTHS[field];
            }
            field += 1;
        }
        bits += 1;
    }
    sums
}

/// The first whole frame of `bytes` as the range of its body.
#[must_use]
pub fn next(bytes: &[u8]) -> Option<Range<usize>> {
    let header = bytes.first_chunk::<HEADER_LEN>()?;
    let end = HEADER_LEN + usize::from(u16::from_be_bytes(*header));
    (bytes.len() >= end).then_some(HEADER_LEN..end)
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    NetworkRequest,
    NetworkResponse,
}

/// Class and function of the MTI.
#[must_use]
pub fn kind(body: &[u8]) -> Option<Kind> {
    let is_response = body.get(2)?.wrapping_sub(b'0') & 1 == 1;
    Some(match (body.get(1)?, is_response) {
        (b'8', false) => Kind::NetworkRequest,
        (b'8', true) => Kind::NetworkResponse,
        (_, false) => Kind::Request,
        (_, true) => Kind::Response,
    })
}

/// Where DE11 stands in `body`; none where it is absent or the frame ends before it.
#[must_use]
pub fn stan_at(body: &[u8]) -> Option<Range<usize>> {
    let bitmap = body.get(MTI_LEN..MTI_LEN + BITMAP_LEN)?;
    let (first, second) = (bitmap[0], bitmap[1]);
    if second & 0x20 == 0 {
        return None;
    }
    let mut at = MTI_LEN + BITMAP_LEN;
    if first & 0x80 != 0 {
        at += BITMAP_LEN;
    }
    if first & 0x40 != 0 {
        let digits = body.get(at..at + 2)?;
        let len = digits[0].wrapping_sub(b'0') * 10 + digits[1].wrapping_sub(b'0');
        at += 2 + usize::from(len);
    }
    at += usize::from(SUMS[usize::from(first << 2 | second >> 6)]);
    (body.len() >= at + STAN_LEN).then_some(at..at + STAN_LEN)
}

/// The six digits of `number`.
#[must_use]
pub fn digits(number: u32) -> [u8; STAN_LEN] {
    let mut digits = [b'0'; STAN_LEN];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// The number that six digits mean.
#[must_use]
pub fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// A framed 0800 sign-on: DE7, DE11 and DE70 = 001.
#[must_use]
pub fn sign_on() -> Vec<u8> {
    let mut body = b"0800".to_vec();
    body.extend([0x82, 0x20, 0, 0, 0, 0, 0, 0]);
    body.extend([0x04, 0, 0, 0, 0, 0, 0, 0]);
    body.extend(b"0101000000000001001");
    framed(&body)
}

/// A framed 0810 that gives `request`, an 0800 with DE7, DE11 and DE70, back with DE39 = 00.
#[must_use]
pub fn network_answer(request: &[u8]) -> Option<Vec<u8>> {
    let stan = stan_at(request)?;
    let mut body = request[..stan.end].to_vec();
    body[2] = b'1';
    body[MTI_LEN + 4] |= 0x02;
    body.extend(b"00");
    body.extend(&request[stan.end..]);
    Some(framed(&body))
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u16).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bits: &[u8], fields: &str) -> Vec<u8> {
        let mut bitmap = [0_u8; 16];
        for bit in bits {
            let bit = usize::from(bit - 1);
            bitmap[bit / 8] |= 0x80 >> (bit % 8);
        }
        let end = if bits.contains(&1) { 16 } else { 8 };
        let mut body = b"0200".to_vec();
        body.extend(&bitmap[..end]);
        body.extend(fields.as_bytes());
        body
    }

    #[track_caller]
    fn check(bits: &[u8], fields: &str) {
        let body = message(bits, fields);
        let stan = stan_at(&body).expect("the sample holds DE11");
        assert_eq!(&body[stan], b"424242", "{bits:?}");
    }

    #[test]
    fn de11_is_found_behind_any_fields() {
        let ones = |count| "1".repeat(count);
        check(&[11], "424242");
        check(&[3, 4, 7, 11], &format!("{}424242", ones(6 + 12 + 10)));
        check(&[2, 3, 11, 12], "165061000000000007000000424242130501");
        check(
            &[1, 2, 5, 6, 8, 9, 10, 11],
            &format!("03123{}424242", ones(48)),
        );
        check(
            &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
            &format!("0212{}424242", ones(76)),
        );
    }

    #[test]
    fn a_frame_without_de11_or_cut_before_it_has_none() {
        assert_eq!(stan_at(&message(&[3], "000000")), None);
        assert_eq!(stan_at(&message(&[3, 11], "00000042424")), None);
        assert_eq!(stan_at(b"0200"), None);
        assert_eq!(stan_at(&message(&[2, 11], "9")), None);
    }

    #[test]
    fn a_frame_is_whole_or_awaited() {
        assert_eq!(next(&[0]), None);
        assert_eq!(next(&[0, 2, 7]), None);
        assert_eq!(next(&[0, 2, 7, 8, 9]), Some(2..4));
    }

    #[test]
    fn kinds_follow_the_mti() {
        assert_eq!(kind(b"0100"), Some(Kind::Request));
        assert_eq!(kind(b"0421"), Some(Kind::Request));
        assert_eq!(kind(b"0430"), Some(Kind::Response));
        assert_eq!(kind(b"0800"), Some(Kind::NetworkRequest));
        assert_eq!(kind(b"0810"), Some(Kind::NetworkResponse));
        assert_eq!(kind(b"0"), None);
    }

    #[test]
    fn numbers_and_digits_agree() {
        for value in [0, 7, 65_535, 999_999] {
            assert_eq!(number(&digits(value)), Some(value));
        }
        assert_eq!(number(b"12a456"), None);
    }

    #[test]
    fn an_echo_is_answered_with_its_own_fields() {
        let request = sign_on();
        let answer = network_answer(&request[HEADER_LEN..]).expect("an 0800 has DE11");
        let body = &answer[HEADER_LEN..];
        assert_eq!(
            usize::from(u16::from_be_bytes([answer[0], answer[1]])),
            body.len()
        );
        assert_eq!(&body[..4], b"0810");
        assert_eq!(&body[body.len() - 5..], b"00001");
        assert_eq!(kind(body), Some(Kind::NetworkResponse));
    }
}

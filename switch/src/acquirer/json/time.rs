//! RFC 3339, as far as a gateway may write it.

use domain::time::{Civil, WallTime};

use super::fields::Wrong;
use super::problem::ErrorCode;

/// Reads `2026-11-20T21:38:34.120Z`, or with an offset in place of the `Z`. What is finer than a
/// millisecond is cut. A leap second is none that a payment needs: refused.
pub(in crate::acquirer) fn read(text: &str) -> Result<WallTime, Wrong> {
    parse(text.as_bytes()).ok_or((ErrorCode::FormatError, "must be a time as of RFC 3339"))
}

fn parse(text: &[u8]) -> Option<WallTime> {
    let (stamp, rest) = text.split_first_chunk::<19>()?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, byte)| stamp[*at] == *byte) {
        return None;
    }
    let part = |from: usize| number(&stamp[from..from + 2]).and_then(|two| u8::try_from(two).ok());
    let seconds = WallTime::from_civil(Civil {
        year: number(&stamp[..4])?,
        month: part(5)?,
        day: part(8)?,
        hour: part(11)?,
        minute: part(14)?,
        second: part(17)?,
    })?;
    let (millis, zone) = fraction(rest)?;
    let local = seconds.unix_millis() + u64::from(millis);
    let utc = match zone {
        b"Z" => local,
        [sign @ (b'+' | b'-'), a, b, b':', c, d] => {
            let (hours, minutes) = (number(&[*a, *b])?, number(&[*c, *d])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = u64::from(hours * 60 + minutes) * 60_000;
            match sign {
                b'+' => local.checked_sub(offset)?,
                _ => local + offset,
            }
        }
        _ => return None,
    };
    Some(WallTime::from_unix_millis(utc))
}

/// The milliseconds of a fraction of 1 to 9 digits, and what follows it.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&len) {
        return None;
    }
    let (digits, zone) = rest.split_at(len);
    let digit = |at: usize| digits.get(at).map_or(0, |byte| u32::from(byte - b'0'));
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), zone))
}

fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_exactly_or_not_at_all() {
        for (text, shown) in [
            ("2026-11-20T21:38:34.120Z", "2026-11-20T21:38:34.120Z"),
            ("2026-11-20T21:38:34Z", "2026-11-20T21:38:34.000Z"),
            ("2026-11-21T00:38:34.1+03:00", "2026-11-20T21:38:34.100Z"),
            (
                "2026-11-20T16:08:34.123456789-05:30",
                "2026-11-20T21:38:34.123Z",
            ),
        ] {
            assert_eq!(read(text).unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "",
            "2026-11-20",
            "2026-11-20 21:38:34Z",
            "2026-11-20T21:38:34",
            "2026-02-29T21:38:34Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T21:38:60Z",
            "2026-11-20T21:38:34.Z",
            "2026-11-20T21:38:34.1234567890Z",
            "2026-11-20T21:38:34+24:00",
            "2026-11-20T21:38:34+0300",
            "2026-11-20T21:38:34Zx",
            "+026-11-20T21:38:34Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

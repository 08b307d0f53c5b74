//! How people write times, shares and counts: `400ms`, `0.1%`, `20s`.

use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Reads `250us`, `400ms`, `20s`, `1.5s`, `10m` or `2h`.
///
/// # Errors
/// No number, or another unit.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let text = text.trim();
    let split = text
        .find(|letter: char| letter.is_ascii_alphabetic())
        .with_context(|| format!("`{text}` lacks a unit: write us, ms, s, m or h behind it"))?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .trim()
        .parse()
        .with_context(|| format!("`{text}` does not begin with a number"))?;
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => bail!("`{unit}` is not a unit of time: us, ms, s, m or h"),
    };
    Duration::try_from_secs_f64(number * seconds)
        .with_context(|| format!("`{text}` is not a time that can be waited"))
}

/// Reads `0.1%` or `0.001` as a share between 0 and 1.
///
/// # Errors
/// Not a number, or outside 0 to 1.
pub fn parse_share(text: &str) -> Result<f64> {
    let text = text.trim();
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), 0.01),
        None => (text, 1.0),
    };
    let share = number
        .parse::<f64>()
        .with_context(|| format!("`{text}` is not a share: write 0.1% or 0.001"))?
        * scale;
    if !(0.0..=1.0).contains(&share) {
        bail!("`{text}` is not between 0% and 100%");
    }
    Ok(share)
}

/// A time as a person reads it: three digits and a fitting unit.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 60.0 {
        format!("{seconds:.0} s")
    } else if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.1 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} us", seconds * 1e6)
    }
}

/// A count with its thousands apart: `1,234,567`.
#[must_use]
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        let check = |text, millis| {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_micros(millis),
                "{text}"
            );
        };
        check("400ms", 400_000);
        check("1.5s", 1_500_000);
        check("250us", 250);
        check("10m", 600_000_000);
        for wrong in ["", "5", "ms", "5 days", "-1s", "1e400s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_read_with_and_without_a_percent_sign() {
        assert!((parse_share("0.1%").unwrap() - 0.001).abs() < 1e-12);
        assert!((parse_share("0.25").unwrap() - 0.25).abs() < 1e-12);
        for wrong in ["", "101%", "-1%", "half"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_count(999), "999");
        assert_eq!(show_duration(Duration::from_micros(1_540)), "1.5 ms");
        assert_eq!(show_duration(Duration::from_millis(2_500)), "2.50 s");
        assert_eq!(show_duration(Duration::from_micros(80)), "80 us");
    }
}

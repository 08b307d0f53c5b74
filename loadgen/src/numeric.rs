//! Conversions between whole and real numbers, named so that each says what it does at its edges.

/// A whole number as a real one; exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a run stay below 2^53"
)]
#[must_use]
pub const fn real(value: u64) -> f64 {
    value as f64
}

/// The whole part of a real number: zero for negative ones and for what is not a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate, and NaN becomes zero"
)]
#[must_use]
pub const fn whole(value: f64) -> u64 {
    value as u64
}

/// A number of items as an index; saturates where `usize` is narrower.
#[must_use]
pub fn index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length as a count.
#[must_use]
pub fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// The low 32 bits.
#[must_use]
pub fn narrow(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or(0)
}

/// `part` of `total` as a share; zero of nothing is zero.
#[must_use]
pub fn share(part: u64, total: u64) -> f64 {
    if total == 0 {
        0.0
    } else {
        real(part) / real(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_saturate_instead_of_wrapping() {
        assert_eq!(whole(-3.5), 0);
        assert_eq!(whole(f64::NAN), 0);
        assert_eq!(whole(7.9), 7);
        assert_eq!(narrow(u64::MAX), u32::MAX);
        assert!(share(0, 0).abs() < f64::EPSILON);
    }
}

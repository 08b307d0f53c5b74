//! Which business day something counts for (docs/rules.md, B-01 and B-02). Asked by the engine,
//! which counts, and by the applier, which posts: one rule, so that both have the same money on a
//! day.

use crate::network::SettlementDate;
use crate::time::WallTime;

/// Closed days stay so long for their copies, and no answer names a day further away.
pub const DAYS_KEPT: u32 = 8;

/// DE15 of the further fields of an answer, as `Answer::fields` lays them out. Its year is the one
/// that lies nearest to `at`.
#[must_use]
pub fn named_day(fields: &[u8], at: WallTime) -> Option<SettlementDate> {
    let mut rest = fields;
    while let Some(([number, high, low], after)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = after.split_at_checked(len)?;
        if *number == 15 {
            return SettlementDate::from_digits(value, at).ok();
        }
        rest = after;
    }
    None
}

/// Whether a day may be meant while another one is in force.
#[must_use]
pub const fn is_near(one: SettlementDate, other: SettlementDate) -> bool {
    one.days().abs_diff(other.days()) <= DAYS_KEPT
}

/// The day that an answer names, if that is near, else the one in force; the first open one behind
/// it when that is closed.
#[must_use]
pub fn counting_day(
    in_force: SettlementDate,
    named: Option<SettlementDate>,
    closed: Option<SettlementDate>,
    is_closed: impl Fn(SettlementDate) -> bool,
) -> SettlementDate {
    let named = named.filter(|named| is_near(*named, in_force));
    first_open(named.unwrap_or(in_force), closed, is_closed)
}

/// The first open day from `date` on: up to `closed` all are closed, of others `is_closed` knows.
#[must_use]
pub fn first_open(
    date: SettlementDate,
    closed: Option<SettlementDate>,
    is_closed: impl Fn(SettlementDate) -> bool,
) -> SettlementDate {
    let mut day = closed.map_or(date, |closed| date.max(closed.next()));
    for _ in 0..DAYS_KEPT {
        if !is_closed(day) {
            break;
        }
        day = day.next();
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: SettlementDate = SettlementDate::from_days(20_000);

    fn day(offset: i32) -> SettlementDate {
        SettlementDate::from_days(20_000_u32.checked_add_signed(offset).unwrap())
    }

    //= docs/rules.md#B-01
    #[test]
    fn the_named_day_counts_while_it_is_near_and_open() {
        let check = |named: Option<i32>, closed: Option<i32>, shut: &[i32], expected: i32| {
            let is_closed = |date| shut.iter().any(|offset| day(*offset) == date);
            let found = counting_day(TODAY, named.map(day), closed.map(day), is_closed);
            assert_eq!(found, day(expected), "{named:?} {closed:?} {shut:?}");
        };
        check(None, None, &[], 0);
        check(Some(1), None, &[], 1);
        check(Some(-8), None, &[], -8);
        check(Some(-9), None, &[], 0);
        check(Some(9), None, &[], 0);
        check(None, Some(0), &[], 1);
        check(Some(-2), Some(-1), &[], 0);
        check(None, Some(0), &[1, 2], 3);
        check(None, None, &[-1], 0);
    }

    #[test]
    fn de15_is_found_among_other_fields() {
        // Noon of 1 January 2026.
        let at = WallTime::from_unix_millis(1_767_268_800_000);
        let found = named_day(b"\x2c\0\x02ab\x0f\0\x041231", at).unwrap();
        assert_eq!(std::format!("{found}"), "2025-12-31");
        for wrong in [
            &b""[..],
            b"\x0f\0\x04123",
            b"\x0f\0\x041331",
            b"\x2c\0\x02ab",
        ] {
            assert_eq!(named_day(wrong, at), None);
        }
    }
}

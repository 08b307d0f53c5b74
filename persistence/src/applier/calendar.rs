//! Which business day is in force with whom, and which days are closed: what the records of one
//! shard say up to its watermark. Kept in `business_day` and `closed_day`, since the records that
//! said so may be retired.
//!
//! The rule by which a day is chosen is `domain`'s, the one by which the engine counts.

use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId};
use domain::network::SettlementDate;
use domain::reconciliation::{BusinessDay, DAYS_KEPT, DayTotals, Party, counting_day};
use domain::time::WallTime;

/// The days of one shard. A few rows: one per party, and one per day that was closed of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calendar {
    days: Vec<Day>,
    closed: Vec<Closed>,
}

/// The day in force with one party; this one and all before it may be closed, whatever the
/// currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) party: Party,
    pub(crate) date: SettlementDate,
    pub(crate) closed: Option<SettlementDate>,
}

/// A day that was closed in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) party: Party,
    pub(crate) date: SettlementDate,
    pub(crate) currency: Currency,
}

impl Calendar {
    pub(crate) const fn new(days: Vec<Day>, closed: Vec<Closed>) -> Self {
        Self { days, closed }
    }

    pub(crate) fn days(&self) -> &[Day] {
        &self.days
    }

    pub(crate) fn closed(&self) -> &[Closed] {
        &self.closed
    }

    /// A business day has begun, or is noted again.
    pub(crate) fn begin(&mut self, day: &BusinessDay) {
        let told = Day {
            party: day.party,
            date: day.date,
            closed: day.closed,
        };
        match self.days.iter_mut().find(|known| known.party == day.party) {
            Some(known) => *known = told,
            None => self.days.push(told),
        }
        let is_past =
            |date: SettlementDate| date.days().saturating_add(DAYS_KEPT) < day.date.days();
        self.closed
            .retain(|closed| closed.party != day.party || !is_past(closed.date));
    }

    /// What was counted of a day was noted: whether the day is closed is all that matters here.
    pub(crate) fn note(&mut self, totals: &DayTotals) {
        let key = Closed {
            party: totals.party,
            date: totals.date,
            currency: totals.currency,
        };
        let place = self.closed.iter().position(|known| *known == key);
        match (place, totals.is_closed) {
            (None, true) => self.closed.push(key),
            (Some(place), false) => drop(self.closed.swap_remove(place)),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// The day for which something counts with a party. Before the first one that is known, the
    /// calendar day is in force, as for the engine.
    //= docs/rules.md#B-01
    pub(crate) fn day_of(
        &self,
        party: Party,
        currency: Currency,
        named: Option<SettlementDate>,
        at: WallTime,
    ) -> SettlementDate {
        let known = self.days.iter().find(|day| day.party == party);
        let in_force = known.map_or_else(|| SettlementDate::at(at), |day| day.date);
        counting_day(in_force, named, known.and_then(|day| day.closed), |date| {
            self.closed.contains(&Closed {
                party,
                date,
                currency,
            })
        })
    }
}

/// A party as two columns.
pub(crate) const fn party_columns(party: Party) -> (&'static str, u16) {
    match party {
        Party::Acquirer(id) => ("acquirer", id.0),
        Party::Issuer(id) => ("issuer", id.0),
    }
}

/// A party from its two columns.
pub(crate) fn party_of(kind: &str, id: i32) -> Party {
    let id = u16::try_from(id).unwrap_or(u16::MAX);
    if kind == "issuer" {
        Party::Issuer(IssuerId(id))
    } else {
        Party::Acquirer(AcquirerId(id))
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::TransactionId;
    use domain::reconciliation::Totals;

    use super::*;

    const BANK: Party = Party::Issuer(IssuerId(0));
    const POS: Party = Party::Acquirer(AcquirerId(0));
    /// 1 January 2026, noon.
    const NOON: WallTime = WallTime::from_unix_millis(1_767_268_800_000);

    fn day(offset: u32) -> SettlementDate {
        SettlementDate::from_days(SettlementDate::at(NOON).days() + offset)
    }

    fn begin(calendar: &mut Calendar, party: Party, date: u32, closed: Option<u32>) {
        calendar.begin(&BusinessDay {
            transaction: TransactionId(1),
            noted: NOON,
            party,
            date: day(date),
            before: None,
            closed: closed.map(day),
            is_kept: true,
        });
    }

    fn note(calendar: &mut Calendar, date: u32, is_closed: bool) {
        calendar.note(&DayTotals {
            transaction: TransactionId(1),
            noted: NOON,
            party: POS,
            date: day(date),
            currency: Currency::KES,
            totals: Totals::default(),
            is_closed,
        });
    }

    //= docs/rules.md#B-01
    #[test]
    fn a_day_is_that_of_the_records_before_it() {
        let mut calendar = Calendar::default();
        let of = |calendar: &Calendar, party, named: Option<u32>| {
            calendar.day_of(party, Currency::KES, named.map(day), NOON)
        };
        assert_eq!(of(&calendar, POS, None), day(0), "the calendar day");
        begin(&mut calendar, POS, 1, None);
        assert_eq!(of(&calendar, POS, None), day(1));
        assert_eq!(of(&calendar, POS, Some(0)), day(0));
        assert_eq!(of(&calendar, BANK, None), day(0), "each party has its own");
        note(&mut calendar, 1, true);
        assert_eq!(of(&calendar, POS, None), day(2));
        let other = calendar.day_of(POS, Currency::UGX, None, NOON);
        assert_eq!(other, day(1), "closed in one currency");
        note(&mut calendar, 1, false);
        assert_eq!(of(&calendar, POS, None), day(1));
        begin(&mut calendar, POS, 1, Some(1));
        assert_eq!(of(&calendar, POS, Some(0)), day(2));
    }

    #[test]
    fn days_that_nothing_can_name_are_forgotten() {
        let mut calendar = Calendar::default();
        note(&mut calendar, 0, true);
        begin(&mut calendar, POS, DAYS_KEPT, None);
        assert_eq!(calendar.closed().len(), 1);
        begin(&mut calendar, BANK, DAYS_KEPT + 1, None);
        assert_eq!(calendar.closed().len(), 1, "those of another party stay");
        begin(&mut calendar, POS, DAYS_KEPT + 1, None);
        assert_eq!(calendar.closed().len(), 0);
    }

    #[test]
    fn a_party_comes_back_from_its_columns() {
        for party in [BANK, POS, Party::Issuer(IssuerId(63))] {
            let (kind, id) = party_columns(party);
            assert_eq!(party_of(kind, i32::from(id)), party);
        }
    }
}

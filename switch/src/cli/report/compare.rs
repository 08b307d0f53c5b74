//! An issuer's lines against the books. What two sides have under one key is summed on each: an
//! issuer may list a purchase and its reversal as two lines, or as one.

use std::collections::BTreeMap;

use domain::currency::Currency;
use domain::network::SettlementDate;
use persistence::applier::report::IssuerItem;

use super::issuer_file::Line;

/// What names a transaction on both sides. What the file has no column for is empty on both.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) rrn: String,
    pub(super) stan: Option<u32>,
}

/// What one side has under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    /// Minor units by currency.
    pub(super) sums: BTreeMap<Currency, i64>,
    /// Lines of the file that say so.
    pub(super) lines: Vec<u64>,
    /// Transactions of the books.
    pub(super) transactions: Vec<String>,
    /// Days of the file other than the one that is looked at.
    pub(super) other_days: Vec<SettlementDate>,
}

/// What became of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Matched,
    /// In the books, not in the file.
    MissingAtIssuer,
    /// In the file, not in the books.
    MissingHere,
    /// In both, and they differ in these.
    Different {
        amount: bool,
        currency: bool,
        date: bool,
    },
}

/// One key that is not matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) key: Key,
    pub(super) outcome: Outcome,
    pub(super) ours: Side,
    pub(super) theirs: Side,
}

/// Counts and sums of one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) matched: u64,
    pub(super) missing_at_issuer: u64,
    pub(super) missing_here: u64,
    pub(super) different: u64,
    pub(super) ours: i128,
    pub(super) theirs: i128,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) sums: BTreeMap<Currency, Sums>,
    /// By key.
    pub(super) findings: Vec<Finding>,
}

/// Compares what the file says with what the books have for `date`.
pub(super) fn compare(
    items: Vec<IssuerItem>,
    lines: Vec<Line>,
    date: SettlementDate,
) -> Comparison {
    let has_rrn = lines.first().is_none_or(|line| line.rrn.is_some());
    let has_stan = lines.first().is_none_or(|line| line.stan.is_some());
    let mut sides: BTreeMap<Key, (Side, Side)> = BTreeMap::new();
    for item in items {
        let key = Key {
            rrn: if has_rrn { item.rrn } else { String::new() },
            stan: has_stan.then_some(item.stan),
        };
        let (ours, _) = sides.entry(key).or_default();
        add(ours, item.currency, item.amount);
        ours.transactions.push(item.transaction);
    }
    for line in lines {
        let key = Key {
            rrn: line.rrn.unwrap_or_default(),
            stan: line.stan,
        };
        let (_, theirs) = sides.entry(key).or_default();
        add(theirs, line.currency, line.amount);
        theirs.lines.push(line.number);
        theirs
            .other_days
            .extend(line.date.filter(|day| *day != date));
    }
    let mut comparison = Comparison::default();
    for (key, (ours, theirs)) in sides {
        comparison.take(key, ours, theirs);
    }
    comparison
}

fn add(side: &mut Side, currency: Currency, amount: i64) {
    let sum = side.sums.entry(currency).or_default();
    *sum = sum.saturating_add(amount);
}

impl Comparison {
    fn take(&mut self, key: Key, ours: Side, theirs: Side) {
        let outcome = judge(&ours, &theirs);
        let currencies: Vec<Currency> = ours
            .sums
            .keys()
            .chain(theirs.sums.keys())
            .copied()
            .collect();
        for currency in &currencies {
            self.sums.entry(*currency).or_default();
        }
        for (currency, sum) in &ours.sums {
            let sums = self.sums.entry(*currency).or_default();
            sums.ours += i128::from(*sum);
        }
        for (currency, sum) in &theirs.sums {
            let sums = self.sums.entry(*currency).or_default();
            sums.theirs += i128::from(*sum);
        }
        // A key counts once, in the first currency that it has.
        if let Some(first) = currencies.first() {
            let sums = self.sums.entry(*first).or_default();
            *match outcome {
                Outcome::Matched => &mut sums.matched,
                Outcome::MissingAtIssuer => &mut sums.missing_at_issuer,
                Outcome::MissingHere => &mut sums.missing_here,
                Outcome::Different { .. } => &mut sums.different,
            } += 1;
        }
        if outcome != Outcome::Matched {
            self.findings.push(Finding {
                key,
                outcome,
                ours,
                theirs,
            });
        }
    }
}

/// What nets to nothing needs no partner: a purchase and its reversal on one day may be left out.
fn judge(ours: &Side, theirs: &Side) -> Outcome {
    let nets_to_nothing = |side: &Side| side.sums.values().all(|sum| *sum == 0);
    match (ours.sums.is_empty(), theirs.sums.is_empty()) {
        (false, true) if nets_to_nothing(ours) => Outcome::Matched,
        (true, false) if nets_to_nothing(theirs) => Outcome::Matched,
        (_, true) => Outcome::MissingAtIssuer,
        (true, false) => Outcome::MissingHere,
        (false, false) => {
            let currency = !ours.sums.keys().eq(theirs.sums.keys());
            let amount = !currency && ours.sums != theirs.sums;
            let date = !theirs.other_days.is_empty();
            if currency || amount || date {
                Outcome::Different {
                    amount,
                    currency,
                    date,
                }
            } else {
                Outcome::Matched
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const DAY: SettlementDate = SettlementDate::from_days(20_000);

    fn ours(rrn: &str, stan: u32, amount: i64) -> IssuerItem {
        IssuerItem {
            transaction: format!("t{stan}"),
            rrn: rrn.to_owned(),
            stan,
            currency: Currency::KES,
            amount,
        }
    }

    fn theirs(rrn: &str, stan: u32, amount: i64) -> Line {
        Line {
            number: 2,
            rrn: Some(rrn.to_owned()),
            stan: Some(stan),
            currency: Currency::KES,
            amount,
            date: Some(DAY),
        }
    }

    #[track_caller]
    fn check(items: &[IssuerItem], lines: &[Line], expected: &[Outcome]) -> Comparison {
        let comparison = compare(items.to_vec(), lines.to_vec(), DAY);
        let found: Vec<Outcome> = comparison.findings.iter().map(|one| one.outcome).collect();
        assert_eq!(found, expected);
        comparison
    }

    const fn differs(amount: bool, currency: bool, date: bool) -> Outcome {
        Outcome::Different {
            amount,
            currency,
            date,
        }
    }

    #[test]
    fn each_key_is_matched_missing_or_different() {
        let one = ours("a", 1, 100);
        check(slice::from_ref(&one), &[theirs("a", 1, 100)], &[]);
        check(
            slice::from_ref(&one),
            &[theirs("a", 1, 99)],
            &[differs(true, false, false)],
        );
        check(slice::from_ref(&one), &[], &[Outcome::MissingAtIssuer]);
        check(&[], &[theirs("a", 1, 100)], &[Outcome::MissingHere]);
        let both = [Outcome::MissingAtIssuer, Outcome::MissingHere];
        check(slice::from_ref(&one), &[theirs("a", 2, 100)], &both);
        let dollars = Line {
            currency: Currency::USD,
            ..theirs("a", 1, 100)
        };
        check(
            slice::from_ref(&one),
            &[dollars],
            &[differs(false, true, false)],
        );
        let late = Line {
            date: Some(DAY.next()),
            ..theirs("a", 1, 100)
        };
        check(&[one], &[late], &[differs(false, false, true)]);
    }

    #[test]
    fn a_purchase_and_its_reversal_may_be_two_lines_or_one_or_none() {
        let part = ours("a", 1, 70);
        check(
            slice::from_ref(&part),
            &[theirs("a", 1, 100), theirs("a", 1, -30)],
            &[],
        );
        check(&[part], &[theirs("a", 1, 70)], &[]);
        check(&[ours("a", 1, 0)], &[], &[]);
        check(&[], &[theirs("a", 1, 5), theirs("a", 1, -5)], &[]);
    }

    #[test]
    fn counts_and_sums_are_per_currency() {
        let items = [ours("a", 1, 100), ours("b", 2, 50), ours("c", 3, 7)];
        let lines = [theirs("a", 1, 100), theirs("b", 2, 40), theirs("d", 4, 9)];
        let expected = [
            differs(true, false, false),
            Outcome::MissingAtIssuer,
            Outcome::MissingHere,
        ];
        let comparison = check(&items, &lines, &expected);
        let sums = Sums {
            matched: 1,
            missing_at_issuer: 1,
            missing_here: 1,
            different: 1,
            ours: 157,
            theirs: 149,
        };
        assert_eq!(comparison.sums, BTreeMap::from([(Currency::KES, sums)]));
    }

    #[test]
    fn a_file_without_stan_is_matched_by_rrn_alone() {
        let line = Line {
            stan: None,
            ..theirs("a", 0, 100)
        };
        check(&[ours("a", 1, 100)], &[line], &[]);
    }
}

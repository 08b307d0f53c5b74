//! An audit for people.

use std::fmt;

use domain::amount::Amount;
use domain::currency::Currency;

use super::checks::{Audit, Sums};
use crate::units::show_count;

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} transactions in the journal, {} acknowledged, {} refused before any work, {} \
            reversed, \
             {} never acknowledged, {} with money that the acquirer was never told of",
            show_count(self.transactions),
            show_count(self.acknowledged),
            show_count(self.refused),
            show_count(self.reversed),
            show_count(self.unacknowledged),
            show_count(self.untold),
        )?;
        for (code, sums) in &self.sums {
            writeln!(f, "  {}", line(*code, sums))?;
        }
        for check in &self.checks {
            if check.count == 0 {
                writeln!(f, "  ok    {}: 0", check.name)?;
            } else {
                writeln!(f, "  FAIL  {}: {}", check.name, show_count(check.count))?;
                for offender in &check.offenders {
                    writeln!(f, "          {offender}")?;
                }
            }
        }
        Ok(())
    }
}

impl Audit {
    /// The currencies, for the line of the verdict.
    #[must_use]
    pub fn currencies(&self) -> String {
        let names: Vec<String> = self.sums.keys().map(|code| name(*code)).collect();
        names.join(" ")
    }

    /// How the sums stand, for the line of the verdict. What the acquirer was never told of is no
    /// fault, and is not passed over: its own sum is not equal to the others.
    #[must_use]
    pub fn sums_in_words(&self) -> String {
        if !self.sums_are_equal() {
            return "sums NOT equal".to_owned();
        }
        if self.untold == 0 {
            return "sums equal".to_owned();
        }
        let untold = self.sums.iter().filter(|(_, sums)| sums.untold != 0);
        let untold: Vec<String> = untold
            .map(|(code, sums)| shown(*code, sums.untold))
            .collect();
        format!(
            "sums equal but for {} that the acquirer was never told of ({})",
            show_count(self.untold),
            untold.join(", ")
        )
    }

    /// Whether all sums are equal.
    #[must_use]
    pub fn sums_are_equal(&self) -> bool {
        self.sums.values().all(Sums::are_equal)
    }
}

fn line(code: u16, sums: &Sums) -> String {
    let show = |sum: i128| shown(code, sum);
    let mut line = format!("acquirer {}", show(sums.acquirer));
    if sums.untold != 0 {
        line += &format!(" + never told {}", show(sums.untold));
    }
    line += &format!(", journal {}", show(sums.journal));
    if let Some(issuers) = sums.issuers {
        line += &format!(", issuers {}", show(issuers));
    }
    if let Some(database) = sums.database {
        line += &format!(", PostgreSQL {}", show(database));
    }
    let verdict = if sums.are_equal() {
        "equal"
    } else {
        "NOT EQUAL"
    };
    format!("{line}: {verdict}")
}

fn shown(code: u16, sum: i128) -> String {
    let sign = if sum < 0 { "-" } else { "" };
    let minor = u64::try_from(sum.unsigned_abs()).unwrap_or(u64::MAX);
    let Ok(currency) = Currency::new(code) else {
        return format!("{sign}{minor}");
    };
    match Amount::new(minor, currency) {
        Ok(amount) => format!("{sign}{amount}"),
        // A sum may have more digits than an amount.
        Err(_) => format!("{currency} {sign}{} minor units", show_count(minor)),
    }
}

fn name(code: u16) -> String {
    Currency::new(code).map_or_else(|_| format!("{code:03}"), |currency| currency.to_string())
}

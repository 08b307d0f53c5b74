//! The reports as text for people, and as CSV and JSON for programs. Text has decimals of the
//! currency; CSV and JSON have minor units, whole numbers.

use std::io::{self, Write};

use domain::currency::Currency;
use domain::network::SettlementDate;
use persistence::applier::report::{Position, Settlement};
use serde_json::{Value, json};

use super::compare::{Comparison, Finding, Outcome, Side, Sums};

/// A sum of money with the decimal places of its currency.
fn decimal(minor: i128, currency: Currency) -> String {
    let places = usize::from(currency.exponent());
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    if part.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{part}")
    }
}

pub(super) fn settlement_text(
    date: SettlementDate,
    settlement: &Settlement,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "settlement of {date}; due to the party, or owed by it when negative"
    )?;
    let mut currency = None;
    for one in &settlement.positions {
        if currency != Some(one.currency) {
            end_of_currency(currency, settlement, out)?;
            currency = Some(one.currency);
            writeln!(
                out,
                "\n{:<8} {:<20} {:>9} {:>9} {:>18} {:>18} {:>18}",
                one.currency.to_string(),
                "party",
                "approvals",
                "reversals",
                "approved",
                "reversed",
                "position"
            )?;
        }
        let shown = |minor: i64| decimal(minor.into(), one.currency);
        writeln!(
            out,
            "{:<8} {:<20} {:>9} {:>9} {:>18} {:>18} {:>18}",
            one.account,
            one.party.as_deref().unwrap_or("-"),
            one.approvals,
            one.reversals,
            shown(one.approved),
            shown(one.reversed),
            shown(one.position)
        )?;
    }
    end_of_currency(currency, settlement, out)?;
    if settlement.positions.is_empty() {
        writeln!(out, "nothing was posted")?;
    }
    Ok(())
}

fn end_of_currency(
    currency: Option<Currency>,
    settlement: &Settlement,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(currency) = currency else {
        return Ok(());
    };
    let of = settlement
        .positions
        .iter()
        .filter(|one| one.currency == currency);
    let sum: i128 = of.map(|one| i128::from(one.position)).sum();
    writeln!(out, "{:<8} {:>97}", "sum", decimal(sum, currency))
}

pub(super) fn settlement_csv(
    date: SettlementDate,
    settlement: &Settlement,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record([
        "date",
        "currency",
        "account",
        "party",
        "approvals",
        "reversals",
        "approved_minor",
        "reversed_minor",
        "position_minor",
    ])?;
    for one in &settlement.positions {
        out.write_record([
            &date.to_string(),
            &one.currency.to_string(),
            &one.account.to_string(),
            one.party.as_deref().unwrap_or(""),
            &one.approvals.to_string(),
            &one.reversals.to_string(),
            &one.approved.to_string(),
            &one.reversed.to_string(),
            &one.position.to_string(),
        ])?;
    }
    out.flush()
}

pub(super) fn settlement_json(
    date: SettlementDate,
    settlement: &Settlement,
    out: &mut dyn Write,
) -> io::Result<()> {
    let position = |one: &Position| {
        json!({
            "currency": one.currency.to_string(),
            "account": one.account,
            "party": one.party,
            "approvals": one.approvals,
            "reversals": one.reversals,
            "approved_minor": one.approved,
            "reversed_minor": one.reversed,
            "position_minor": one.position,
        })
    };
    let positions: Vec<Value> = settlement.positions.iter().map(position).collect();
    let report = json!({
        "date": date.to_string(),
        "positions": positions,
        "violations": settlement.violations,
    });
    writeln!(out, "{report}")
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Matched => "matched",
        Outcome::MissingAtIssuer => "missing_at_issuer",
        Outcome::MissingHere => "missing_here",
        Outcome::Different { .. } => "different",
    }
}

/// The fields in which the sides differ.
fn fields(outcome: Outcome) -> Vec<&'static str> {
    let Outcome::Different {
        amount,
        currency,
        date,
    } = outcome
    else {
        return Vec::new();
    };
    let all = [(amount, "amount"), (currency, "currency"), (date, "date")];
    let differing = all.into_iter().filter(|(differs, _)| *differs);
    differing.map(|(_, name)| name).collect()
}

/// What a side says: `KES 100.50`, several of them, or nothing.
fn said(side: &Side) -> String {
    let sums = side.sums.iter();
    let sums: Vec<String> = sums
        .map(|(currency, sum)| format!("{currency} {}", decimal((*sum).into(), *currency)))
        .collect();
    if sums.is_empty() {
        "-".to_owned()
    } else {
        sums.join(" + ")
    }
}

fn listed(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(" ")
}

fn days(side: &Side) -> String {
    let days: Vec<String> = side.other_days.iter().map(ToString::to_string).collect();
    days.join(" ")
}

pub(super) fn comparison_text(
    issuer: &str,
    date: SettlementDate,
    comparison: &Comparison,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{issuer} on {date}\n")?;
    writeln!(
        out,
        "{:<4} {:>9} {:>18} {:>12} {:>9} {:>18} {:>18} {:>18}",
        "",
        "matched",
        "missing at issuer",
        "missing here",
        "different",
        "books",
        "issuer",
        "difference"
    )?;
    for (currency, sums) in &comparison.sums {
        let shown = |minor: i128| decimal(minor, *currency);
        writeln!(
            out,
            "{:<4} {:>9} {:>18} {:>12} {:>9} {:>18} {:>18} {:>18}",
            currency.to_string(),
            sums.matched,
            sums.missing_at_issuer,
            sums.missing_here,
            sums.different,
            shown(sums.ours),
            shown(sums.theirs),
            shown(sums.ours - sums.theirs)
        )?;
    }
    for finding in &comparison.findings {
        let key = &finding.key;
        let stan = key
            .stan
            .map_or_else(|| "-".to_owned(), |stan| format!("{stan:06}"));
        let differing = fields(finding.outcome).join(", ");
        writeln!(
            out,
            "\n{}{}{differing}: RRN {} STAN {stan}",
            word(finding.outcome).replace('_', " "),
            if differing.is_empty() { "" } else { " in " },
            if key.rrn.is_empty() { "-" } else { &key.rrn },
        )?;
        let (ours, theirs) = (&finding.ours, &finding.theirs);
        writeln!(
            out,
            "  books:  {} {}",
            said(ours),
            ours.transactions.join(" ")
        )?;
        let lines = if theirs.lines.is_empty() { "" } else { "line " };
        let (numbers, days) = (listed(&theirs.lines), days(theirs));
        writeln!(out, "  issuer: {} {lines}{numbers} {days}", said(theirs))?;
    }
    Ok(())
}

pub(super) fn comparison_csv(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record([
        "result",
        "fields",
        "rrn",
        "stan",
        "currency",
        "books_minor",
        "issuer_minor",
        "transactions",
        "lines",
        "issuer_dates",
    ])?;
    for finding in &comparison.findings {
        let (ours, theirs) = (&finding.ours, &finding.theirs);
        let mut currencies: Vec<&Currency> = ours.sums.keys().chain(theirs.sums.keys()).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let stan = finding.key.stan.map(|stan| format!("{stan:06}"));
        for currency in currencies {
            let sum = |side: &Side| {
                side.sums
                    .get(currency)
                    .map_or_else(String::new, i64::to_string)
            };
            out.write_record([
                word(finding.outcome),
                &fields(finding.outcome).join(" "),
                &finding.key.rrn,
                stan.as_deref().unwrap_or(""),
                &currency.to_string(),
                &sum(ours),
                &sum(theirs),
                &ours.transactions.join(" "),
                &listed(&theirs.lines),
                &days(theirs),
            ])?;
        }
    }
    out.flush()
}

pub(super) fn comparison_json(
    issuer: &str,
    date: SettlementDate,
    comparison: &Comparison,
    out: &mut dyn Write,
) -> io::Result<()> {
    let sums = comparison.sums.iter();
    let sums: Vec<Value> = sums
        .map(|(currency, sums)| totals(*currency, sums))
        .collect();
    let findings: Vec<Value> = comparison.findings.iter().map(found).collect();
    let report = json!({
        "issuer": issuer,
        "date": date.to_string(),
        "currencies": sums,
        "findings": findings,
    });
    writeln!(out, "{report}")
}

fn totals(currency: Currency, sums: &Sums) -> Value {
    let whole = |minor: i128| i64::try_from(minor).unwrap_or(i64::MAX);
    json!({
        "currency": currency.to_string(),
        "matched": sums.matched,
        "missing_at_issuer": sums.missing_at_issuer,
        "missing_here": sums.missing_here,
        "different": sums.different,
        "books_minor": whole(sums.ours),
        "issuer_minor": whole(sums.theirs),
    })
}

fn found(finding: &Finding) -> Value {
    let side = |side: &Side| {
        let sums = side.sums.iter();
        let sums = sums.map(|(currency, sum)| (currency.to_string(), json!(sum)));
        Value::Object(sums.collect())
    };
    let days = finding.theirs.other_days.iter().map(ToString::to_string);
    json!({
        "result": word(finding.outcome),
        "fields": fields(finding.outcome),
        "rrn": finding.key.rrn,
        "stan": finding.key.stan.map(|stan| format!("{stan:06}")),
        "books_minor": side(&finding.ours),
        "issuer_minor": side(&finding.theirs),
        "transactions": finding.ours.transactions,
        "lines": finding.theirs.lines,
        "issuer_dates": days.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_the_places_of_their_currency() {
        let check = |minor, currency: &str, expected: &str| {
            let currency = Currency::from_alphabetic(currency).unwrap();
            assert_eq!(decimal(minor, currency), expected);
        };
        check(0, "KES", "0.00");
        check(-5, "KES", "-0.05");
        check(10_050, "KES", "100.50");
        check(-100, "UGX", "-100");
        check(1, "KWD", "0.001");
        check(i128::from(i64::MAX) + 1, "KES", "92233720368547758.08");
    }
}

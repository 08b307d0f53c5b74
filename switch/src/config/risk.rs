//! Inline risk: limits, windows, lists.

use std::ops::RangeInclusive;
use std::path::Path;

use domain::Amount;
use domain::pan::PanToken;
use risk_inline::list::Bin;
use risk_inline::policy::{Policy, VelocityLimit, VelocityWindow};

use super::endpoints::currency;
use super::section::Section;
use super::{AccountList, Risk, Window, WindowLimit};
use crate::limits::RISK_ACCOUNTS_LISTED_MAX;

pub(super) fn risk(section: Section<'_>) -> Risk {
    let windows = section.tables("window");
    if windows.len() > Policy::WINDOWS_MAX {
        section.fault(format!(
            "at most {} [[risk.window]] are possible",
            Policy::WINDOWS_MAX
        ));
    }
    let risk = Risk {
        accounts_max: section.number("accounts_max", 1_000..=100_000_000, 500_000),
        amount_limits: amounts(section.section("amount_limits")),
        windows: windows.into_iter().map(window).collect(),
        block: list(section.section("block")),
        allow: list(section.section("allow")),
    };
    section.finish();
    risk
}

pub(super) fn window(section: Section<'_>) -> Window {
    let window = Window {
        span: section.seconds("span_s", SPAN, *SPAN.start()),
        limits: window_limits(section.section("limits")),
    };
    if !section.has("span_s") {
        section.fault("`span_s` is missing in a window");
    }
    if window.limits.is_empty() {
        section.fault("a window without `limits` limits nothing");
    }
    section.finish();
    window
}

/// A table of limits by currency.
fn window_limits(section: Section<'_>) -> Vec<WindowLimit> {
    let mut limits: Vec<WindowLimit> = Vec::new();
    for (key, below) in section.tables_by_key() {
        let limit = |name, max| below.optional_number(name, 1..=max);
        let count_max = limit("count_max", u64::from(VelocityLimit::COUNT_MAX));
        let amount_max = limit("amount_max", VelocityLimit::AMOUNT_MAX);
        if count_max.is_none() && amount_max.is_none() {
            below.fault(format!("`{key}` has neither `count_max` nor `amount_max`"));
        }
        below.finish();
        let currency = currency(key).map_err(|fault| section.fault_at(key, fault));
        let Ok(currency) = currency else { continue };
        if limits.iter().any(|known| known.currency == currency) {
            section.fault_at(key, format!("the currency `{key}` stands here twice"));
        }
        limits.push(WindowLimit {
            currency,
            count_max: count_max.and_then(|count| u32::try_from(count).ok()),
            amount_max,
        });
    }
    limits
}

/// What a window can span, as `risk-inline` has it.
const SPAN: RangeInclusive<u64> =
    VelocityWindow::LENGTH_MIN.as_secs()..=VelocityWindow::LENGTH_MAX.as_secs();

/// A table of minor units by currency.
pub(super) fn amounts(section: Section<'_>) -> Vec<Amount> {
    let mut amounts: Vec<Amount> = Vec::new();
    for (key, node) in section.entries() {
        let minor = section.number_in(node, key, &(1..=Amount::MINOR_MAX));
        let currency = currency(key).map_err(|fault| section.fault_at(key, fault));
        let (Some(minor), Ok(currency)) = (minor, currency) else {
            continue;
        };
        if amounts.iter().any(|known| known.currency() == currency) {
            section.fault_at(key, format!("the currency `{key}` stands here twice"));
        }
        amounts.extend(Amount::new(minor, currency).ok());
    }
    amounts
}

fn list(section: Section<'_>) -> AccountList {
    let mut list = AccountList {
        bins: section.list("bins", bin),
        tokens: section.list("tokens", token),
    };
    let file = section.parsed("file", |path| read_list(Path::new(path)));
    if let Some(more) = file {
        list.bins.extend(more.bins);
        list.tokens.extend(more.tokens);
    }
    section.finish();
    list
}

/// One BIN or token per line; `#` begins a comment.
fn read_list(path: &Path) -> Result<AccountList, String> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut list = AccountList::default();
    for (number, line) in (1..).zip(text.lines()) {
        let entry = line.split('#').next().unwrap_or_default().trim();
        let told = |fault: String| format!("{shown}:{number} {fault}");
        match entry.len() {
            0 => {}
            TOKEN_DIGITS => list.tokens.push(token(entry).map_err(told)?),
            _ => list.bins.push(bin(entry).map_err(told)?),
        }
        if list.tokens.len() + list.bins.len() > RISK_ACCOUNTS_LISTED_MAX {
            return Err(format!(
                "{shown} has more than {RISK_ACCOUNTS_LISTED_MAX} entries"
            ));
        }
    }
    Ok(list)
}

const TOKEN_DIGITS: usize = 32;

fn token(text: &str) -> Result<PanToken, String> {
    let number = u128::from_str_radix(text, 16).ok();
    number
        .filter(|_| text.len() == TOKEN_DIGITS)
        .map(|number| PanToken(number.to_be_bytes()))
        .ok_or_else(|| "takes account tokens of 32 hexadecimal digits".to_owned())
}

fn bin(text: &str) -> Result<Bin, String> {
    Bin::from_digits(text.as_bytes()).map_err(|_| "takes BINs of six digits".to_owned())
}

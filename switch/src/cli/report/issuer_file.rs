//! An issuer's file: which column holds what, and its lines as values. A value that cannot be read
//! is named by file, line and column, never shown: it may be card data in the wrong column.

use std::io::Read;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use domain::currency::Currency;
use domain::ids::Stan;
use domain::network::SettlementDate;

/// The header of each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) rrn: Option<String>,
    pub(super) stan: Option<String>,
    pub(super) amount: String,
    pub(super) currency: String,
    pub(super) date: Option<String>,
    /// `D` or `C`: money from the account, or for it.
    pub(super) sign: Option<String>,
}

/// How amounts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Amounts {
    /// In minor units, whole numbers.
    Minor,
    /// With a point, and no more digits behind it than the currency has.
    Decimal,
}

/// How a file is written.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) columns: Columns,
    pub(super) amounts: Amounts,
    pub(super) delimiter: u8,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) rrn: Option<String>,
    pub(super) stan: Option<u32>,
    pub(super) currency: Currency,
    /// Minor units; negative for money to the account.
    pub(super) amount: i64,
    pub(super) date: Option<SettlementDate>,
}

impl Columns {
    /// Reads `rrn=RRN,stan=STAN,…`; what is left out is called by its own name.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut columns = Self {
            rrn: Some("rrn".to_owned()),
            stan: Some("stan".to_owned()),
            amount: "amount".to_owned(),
            currency: "currency".to_owned(),
            date: None,
            sign: None,
        };
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let Some((name, header)) = pair.split_once('=') else {
                return Err(format!("--columns: `{pair}` is not NAME=HEADER"));
            };
            let header = header.trim().to_owned();
            let optional = (!header.is_empty()).then(|| header.clone());
            match name.trim() {
                "rrn" => columns.rrn = optional,
                "stan" => columns.stan = optional,
                "amount" => columns.amount = header,
                "currency" => columns.currency = header,
                "date" => columns.date = optional,
                "sign" => columns.sign = optional,
                other => {
                    return Err(format!(
                        "--columns: `{other}` is none of rrn, stan, amount, currency, date, sign"
                    ));
                }
            }
        }
        if columns.rrn.is_none() && columns.stan.is_none() {
            return Err("--columns: one of rrn and stan must be there".to_owned());
        }
        Ok(columns)
    }
}

/// Where the columns stand.
struct Places {
    rrn: Option<usize>,
    stan: Option<usize>,
    amount: usize,
    currency: usize,
    date: Option<usize>,
    sign: Option<usize>,
}

/// Reads the whole file, called `name` in faults; all faults at once, up to a bound.
pub(super) fn read(
    name: &str,
    input: impl Read,
    layout: &Layout,
) -> Result<Vec<Line>, Vec<String>> {
    let mut reader = ReaderBuilder::new()
        .delimiter(layout.delimiter)
        .from_reader(input);
    let told = |error: csv::Error| vec![format!("{name}{}", told(&error))];
    let header = reader.headers().map_err(told)?;
    if header.is_empty() {
        return Err(vec![format!("{name}: is empty")]);
    }
    let places = Places::of(&layout.columns, header)
        .map_err(|missing| vec![format!("{name}:1: no column `{missing}`")])?;
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(told)? {
        let number = record.position().map_or(0, csv::Position::line);
        match line(number, &record, &places, layout.amounts) {
            Ok(line) => lines.push(line),
            Err(column) => faults.push(format!("{name}:{number}: {column}")),
        }
        if lines.len() > LINES_MAX {
            return Err(vec![format!("{name}: more than {LINES_MAX} lines")]);
        }
        if faults.len() >= FAULTS_MAX {
            faults.push(format!("{name}: further faults are not looked for"));
            break;
        }
    }
    if faults.is_empty() {
        Ok(lines)
    } else {
        Err(faults)
    }
}

/// Where reading ended, and why; nothing of what stands there.
fn told(error: &csv::Error) -> String {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        ErrorKind::Io(error) => format!(": {error}"),
        ErrorKind::Utf8 { .. } => format!(":{line}: it is not UTF-8"),
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!(":{line}: {len} fields where the header has {expected_len}"),
        _ => format!(":{line}: it cannot be read as CSV"),
    }
}

impl Places {
    fn of(columns: &Columns, header: &StringRecord) -> Result<Self, String> {
        let place = |name: &String| {
            let found = header.iter().position(|field| field.trim() == name);
            found.ok_or_else(|| name.clone())
        };
        let optional = |name: &Option<String>| name.as_ref().map(place).transpose();
        Ok(Self {
            rrn: optional(&columns.rrn)?,
            stan: optional(&columns.stan)?,
            amount: place(&columns.amount)?,
            currency: place(&columns.currency)?,
            date: optional(&columns.date)?,
            sign: optional(&columns.sign)?,
        })
    }
}

fn line(
    number: u64,
    fields: &StringRecord,
    places: &Places,
    amounts: Amounts,
) -> Result<Line, &'static str> {
    let field = |place: usize| fields.get(place).map_or("", str::trim);
    let currency = field(places.currency).as_bytes();
    let currency = Currency::read(currency).map_err(|_| "currency: not one of ISO 4217")?;
    let magnitude = amount(field(places.amount), currency, amounts)?;
    let is_credit = match places.sign.map(|place| field(place).to_ascii_uppercase()) {
        None => false,
        Some(sign) => match sign.as_str() {
            "D" | "DR" | "DEBIT" => false,
            "C" | "CR" | "CREDIT" => true,
            _ => return Err("sign: neither D nor C"),
        },
    };
    let rrn = places.rrn.map(|place| field(place).to_owned());
    if rrn.as_ref().is_some_and(|rrn| rrn.len() > 12) {
        return Err("rrn: longer than 12 characters");
    }
    let stan = places.stan.map(|place| stan(field(place))).transpose()?;
    let date = places.date.map(|place| date(field(place))).transpose()?;
    Ok(Line {
        number,
        rrn,
        stan,
        currency,
        amount: if is_credit { -magnitude } else { magnitude },
        date,
    })
}

/// Six digits; leading zeros may be missing, as spreadsheets drop them.
fn stan(text: &str) -> Result<u32, &'static str> {
    const WHAT: &str = "stan: not one to six digits";
    if text.is_empty() || text.len() > 6 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WHAT);
    }
    let number = text.parse().map_err(|_| WHAT)?;
    Stan::new(number).map(Stan::number).map_err(|_| WHAT)
}

/// `YYYY-MM-DD` or `YYYYMMDD`.
pub(super) fn date(text: &str) -> Result<SettlementDate, &'static str> {
    const WHAT: &str = "date: not a day as YYYY-MM-DD or YYYYMMDD";
    let shown = match (text.len(), text.get(0..4), text.get(4..6), text.get(6..8)) {
        (8, Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => text.to_owned(),
    };
    let number = |from, to| {
        shown
            .get(from..to)
            .and_then(|part| part.parse::<u32>().ok())
    };
    let parts = number(0, 4).zip(number(5, 7)).zip(number(8, 10));
    let ((year, month), day) = parts.ok_or(WHAT)?;
    let years = year.checked_sub(1970).ok_or(WHAT)?;
    // Off by three days at most; the one is taken that is shown so, and there may be none.
    let about = years * 1461 / 4 + month.saturating_sub(1) * 489 / 16 + day;
    let mut near = (about.saturating_sub(6)..about + 6).map(SettlementDate::from_days);
    near.find(|date| date.to_string() == shown).ok_or(WHAT)
}

/// Exact, in minor units. Twelve digits of DE4 and a sum of many of them fit.
fn amount(text: &str, currency: Currency, amounts: Amounts) -> Result<i64, &'static str> {
    const WHAT: &str = "amount: no number, or more decimal places than the currency has";
    let (digits, is_negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let (whole, part) = match (amounts, digits.split_once('.')) {
        (_, None) => (digits, ""),
        (Amounts::Decimal, Some(parts)) => parts,
        (Amounts::Minor, Some(_)) => return Err("amount: not in minor units"),
    };
    let places = match amounts {
        Amounts::Minor => 0,
        Amounts::Decimal => usize::from(currency.exponent()),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 15 || !is_digits(whole) || !is_digits(part) {
        return Err(WHAT);
    }
    if part.len() > places || (digits.contains('.') && part.is_empty()) {
        return Err(WHAT);
    }
    let minor: i64 = format!("{whole}{part:0<places$}")
        .parse()
        .map_err(|_| WHAT)?;
    Ok(if is_negative { -minor } else { minor })
}

/// Enough for a day of one issuer; about 2 GB.
pub(super) const LINES_MAX: usize = 10_000_000;
/// A file in another format has a fault in every line.
const FAULTS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(columns: &str, amounts: Amounts) -> Layout {
        Layout {
            columns: Columns::read(columns).unwrap(),
            amounts,
            delimiter: b',',
        }
    }

    #[test]
    fn amounts_are_exact_with_the_exponent_of_their_currency() {
        let check = |text: &str, currency: &str, amounts, expected: Result<i64, ()>| {
            let currency = Currency::from_alphabetic(currency).unwrap();
            let found = amount(text, currency, amounts).map_err(drop);
            assert_eq!(found, expected, "{text} {currency}");
        };
        check("10050", "KES", Amounts::Minor, Ok(10_050));
        check("100.50", "KES", Amounts::Minor, Err(()));
        check("100.50", "KES", Amounts::Decimal, Ok(10_050));
        check("100.5", "KES", Amounts::Decimal, Ok(10_050));
        check("100", "KES", Amounts::Decimal, Ok(10_000));
        check("-0.01", "KES", Amounts::Decimal, Ok(-1));
        check("100.505", "KES", Amounts::Decimal, Err(()));
        check("100", "UGX", Amounts::Decimal, Ok(100));
        check("100.0", "UGX", Amounts::Decimal, Err(()));
        check("0.001", "KWD", Amounts::Decimal, Ok(1));
        check("9007199254740993", "USD", Amounts::Minor, Err(()));
        check(
            "900719925474.99",
            "USD",
            Amounts::Decimal,
            Ok(90_071_992_547_499),
        );
        for wrong in ["", "-", "1,000", "1e3", ".5", "5.", "+5", " 5", "0x1"] {
            check(wrong, "KES", Amounts::Decimal, Err(()));
        }
    }

    #[test]
    fn dates_are_days_that_exist() {
        for (text, shown) in [("2026-02-28", "2026-02-28"), ("20280229", "2028-02-29")] {
            assert_eq!(date(text).unwrap().to_string(), shown);
        }
        for days in 0..50_000 {
            let day = SettlementDate::from_days(days);
            assert_eq!(date(&day.to_string()), Ok(day));
        }
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "2026-1-01",
            "01/02/2026",
            "202602",
            "2026-0228-",
            "1969-12-31",
        ] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_are_found_by_their_headers() {
        let layout = layout("rrn=Ref No,stan=,date=Day,sign=DC", Amounts::Decimal);
        let text = "Day,DC,amount,currency,Ref No\n2026-01-02,C,1.50,KES,000000000001\n";
        let lines = read("f.csv", text.as_bytes(), &layout).unwrap();
        let expected = Line {
            number: 2,
            rrn: Some("000000000001".to_owned()),
            stan: None,
            currency: Currency::KES,
            amount: -150,
            date: Some(date("20260102").unwrap()),
        };
        assert_eq!(lines, [expected]);
        assert!(Columns::read("rrn=,stan=").is_err());
        assert!(Columns::read("pan=x").is_err());
        assert!(Columns::read("rrn").is_err());
    }

    #[test]
    fn every_bad_line_is_named_and_none_is_shown() {
        let layout = layout("", Amounts::Minor);
        let text = "rrn,stan,amount,currency\n\
                    000000000001,1,100,KES\n\
                    000000000002,2,4761739001010119.00,KES\n\
                    000000000003,4761739001010119,100,KES\n\
                    4761739001010119,4,100,KES\n\
                    000000000005,5,100,XX\n";
        let faults = read("f.csv", text.as_bytes(), &layout).unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:?}");
        for (fault, line) in faults.iter().zip([3, 4, 5, 6]) {
            assert!(fault.starts_with(&format!("f.csv:{line}: ")), "{fault}");
            assert!(!fault.contains("4761739001010119"), "{fault}");
        }
        let faults = read("f.csv", &b"rrn,stan,amount\n"[..], &layout).unwrap_err();
        assert_eq!(faults, ["f.csv:1: no column `currency`"]);
        let check = |text: &[u8], expected: &str| {
            assert_eq!(read("f.csv", text, &layout).unwrap_err(), [expected]);
        };
        check(b"", "f.csv: is empty");
        check(
            b"rrn,stan,amount,currency\n\xff,1,1,KES\n",
            "f.csv:2: it is not UTF-8",
        );
        let short = "f.csv:3: 2 fields where the header has 4";
        check(b"rrn,stan,amount,currency\n1,1,1,KES\n1,\"2\n", short);
    }
}

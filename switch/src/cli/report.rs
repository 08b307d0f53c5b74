//! `njia report`: what the books say of a day, and whether an issuer's file says the same.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use domain::currency::Currency;
use domain::network::SettlementDate;

use super::{CONFIG_FILE, CliError};
use crate::config::{Config, Environment, Source};
use crate::control::reporting::{Books, ReportError};

mod compare;
mod issuer_file;
mod print;

use issuer_file::{Amounts, Columns, LINES_MAX, Layout};

#[derive(Debug, Args)]
pub(super) struct Report {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What each party is due for a settlement date, per currency.
    Settlement {
        #[command(flatten)]
        day: Day,
    },
    /// Compares an issuer's file with the books: matched, missing on either side, different.
    Reconcile {
        #[command(flatten)]
        day: Day,
        /// Whose file it is, as the configuration calls it.
        #[arg(long, value_name = "NAME")]
        issuer: String,
        /// The file: CSV with a header.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Headers of its columns, of rrn, stan, amount, currency, date and sign; an empty one: the
        /// file has no such column.
        #[arg(long, value_name = "NAME=HEADER,…", default_value = "")]
        columns: String,
        /// How its amounts are written.
        #[arg(long, value_enum, default_value = "minor")]
        amounts: Amounts,
        /// What stands between two fields, one character.
        #[arg(long, value_name = "CHAR", default_value = ",")]
        delimiter: String,
    },
}

#[derive(Debug, Args)]
struct Day {
    /// The settlement date, YYYY-MM-DD.
    #[arg(long, value_name = "DATE", value_parser = day)]
    date: SettlementDate,
    /// One currency alone, by letters or number.
    #[arg(long, value_parser = currency)]
    currency: Option<Currency>,
    /// How the report looks.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Csv,
    Json,
}

/// Where the books are.
#[derive(Debug, Args)]
struct Place {
    /// The configuration of a switch, of which [postgres] is used.
    #[arg(short, long, global = true, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// A connection string instead, for a role that may read; other users of this machine see
    /// arguments: keep its password in a file of libpq's, or use a socket.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "config")]
    db: Option<String>,
    /// The schema behind --db.
    #[arg(long, global = true, value_name = "NAME", default_value = "njia")]
    schema: String,
}

impl Report {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        match self.what {
            What::Settlement { day } => settlement(&self.place.books()?, &day, out),
            What::Reconcile {
                day,
                issuer,
                file,
                columns,
                amounts,
                delimiter,
            } => {
                let layout = Layout {
                    columns: Columns::read(&columns).map_err(CliError::Usage)?,
                    amounts,
                    delimiter: one_byte(&delimiter)?,
                };
                let lines = read(&file, &layout)?;
                let books = self.place.books()?;
                reconcile(&books, &day, &issuer, lines, out)
            }
        }
    }
}

impl Place {
    fn books(&self) -> Result<Books, CliError> {
        Ok(match &self.db {
            Some(url) => Books::at(url.clone(), &self.schema)?,
            None => {
                let source = Source::File(&self.config);
                Books::of(&Config::load(source, &Environment::of_process())?)?
            }
        })
    }
}

fn settlement(books: &Books, day: &Day, out: &mut dyn Write) -> Result<(), CliError> {
    let settlement = books.settlement(day.date, day.currency)?;
    match day.format {
        Format::Text => print::settlement_text(day.date, &settlement, out)?,
        Format::Csv => print::settlement_csv(day.date, &settlement, out)?,
        Format::Json => print::settlement_json(day.date, &settlement, out)?,
    }
    match settlement.violations {
        0 => Ok(()),
        many => Err(CliError::Differs(format!(
            "the books of {} do not sum to zero: {many} rows in settlement_violation",
            day.date
        ))),
    }
}

fn reconcile(
    books: &Books,
    day: &Day,
    issuer: &str,
    mut lines: Vec<issuer_file::Line>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut items = books.issuer(issuer, day.date, LINES_MAX + 1)?;
    if items.len() > LINES_MAX {
        let text = format!("more than {LINES_MAX} transactions: name a currency");
        return Err(CliError::Input(text));
    }
    if let Some(currency) = day.currency {
        items.retain(|item| item.currency == currency);
        lines.retain(|line| line.currency == currency);
    }
    let comparison = compare::compare(items, lines, day.date);
    match day.format {
        Format::Text => print::comparison_text(issuer, day.date, &comparison, out)?,
        Format::Csv => print::comparison_csv(&comparison, out)?,
        Format::Json => print::comparison_json(issuer, day.date, &comparison, out)?,
    }
    match comparison.findings.len() {
        0 => Ok(()),
        many => Err(CliError::Differs(format!(
            "{issuer} and the books differ in {many} of their transactions of {}",
            day.date
        ))),
    }
}

fn read(path: &Path, layout: &Layout) -> Result<Vec<issuer_file::Line>, CliError> {
    let name = path.display().to_string();
    let file = File::open(path)
        .map_err(|error| CliError::Input(format!("{name}: cannot be read: {error}")))?;
    let lines = issuer_file::read(&name, file, layout);
    lines.map_err(|faults| CliError::Input(faults.join("\nnjia: ")))
}

fn one_byte(text: &str) -> Result<u8, CliError> {
    match text.as_bytes() {
        [byte] if *byte != b'"' && *byte != b'\n' => Ok(*byte),
        _ if text == "\\t" => Ok(b'\t'),
        _ => {
            let text = "--delimiter: one character, or \\t".to_owned();
            Err(CliError::Usage(text))
        }
    }
}

fn day(text: &str) -> Result<SettlementDate, String> {
    issuer_file::date(text).map_err(|_| "not a day as YYYY-MM-DD".to_owned())
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::read(text.as_bytes()).map_err(|_| "not a currency of ISO 4217".to_owned())
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        Self::Report(error)
    }
}

pub(super) const EXAMPLES: &str = "Examples:
  njia report settlement --date 2026-11-21
  njia report settlement --date 2026-11-21 --currency KES --format csv -c /etc/njia/njia.toml
  njia report reconcile --issuer bank --date 2026-11-21 --file bank.csv \\
      --columns 'rrn=RRN,stan=Trace,amount=Amount,currency=Ccy,date=Settled' --amounts decimal

Exit codes: 0 all is equal, 3 it is not (the report says where), 1 there is no report, 2 usage.";

//! `njia inspect journal`: verifies a journal, sums it up, and prints its records masked, be it at
//! rest, written at this moment, or damaged. Never changes anything.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use persistence::layout::MANIFEST;
use persistence::reader::Folder;

use super::super::CliError;

mod findings;
mod records;
mod stat;
mod tally;
mod verify;

pub(super) use findings::tell;
pub(super) use tally::{counts, journal_of};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(crate) struct Journal {
    #[command(subcommand)]
    what: Option<What>,
    /// The folder that holds `manifest`: verified and summed up, as by `verify` and `stat`.
    dir: Option<PathBuf>,
    /// Prints every record, as `cat` does.
    #[arg(long)]
    records: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Checks every batch and record of all shards and generations; goes on behind damage.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Sums),
    /// Sums every shard up: segments, bytes, records by type, times, batches and their fill.
    #[command(after_help = "Example:\n  njia inspect journal stat /var/lib/njia/journal --json")]
    Stat(Sums),
    /// Prints records as text, one per line, account numbers masked.
    #[command(after_help = CAT_EXAMPLES)]
    Cat(records::Cat),
    /// Writes records as JSON Lines, account numbers masked: docs/journal-format.md has the fields.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(records::Export),
}

#[derive(Debug, Args)]
struct Sums {
    /// The folder that holds `manifest`.
    dir: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Journal {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let out = &mut BufWriter::with_capacity(1 << 16, out);
        let done = match (self.what, self.dir) {
            (Some(What::Verify(sums)), _) => verify::run(&folder(&sums.dir)?, sums.json, out),
            (Some(What::Stat(sums)), _) => stat::run(&folder(&sums.dir)?, sums.json, out),
            (Some(What::Cat(cat)), _) => cat.run(out),
            (Some(What::Export(export)), _) => export.run(out),
            (None, Some(dir)) if self.records => records::Cat::of(dir).run(out),
            (None, Some(dir)) => verify::with_stat(&folder(&dir)?, out),
            (None, None) => Err(CliError::Usage("name the folder of a journal".to_owned())),
        };
        match out.flush() {
            Ok(()) => done,
            Err(error) => done.and_then(|()| Err(error.into())),
        }
    }
}

/// What lies in `dir`; refused when that is no journal's folder.
pub(super) fn folder(dir: &Path) -> Result<Folder, CliError> {
    let none = || CliError::NoJournal(dir.to_owned());
    match Folder::read(dir) {
        Ok(folder) if folder.shards.is_empty() && !dir.join(MANIFEST).exists() => Err(none()),
        Ok(folder) => Ok(folder),
        Err(_) if !dir.exists() => Err(none()),
        Err(error) => Err(error.into()),
    }
}

/// Tells somebody who reads records what is wrong, beside them.
fn aside(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "njia: {text}")
}

const VERIFY_EXAMPLES: &str = "Example:
  njia inspect journal verify /var/lib/njia/journal

Works on a journal that a switch is writing. Exit codes: 0 good, also with a torn tail, which the
next start cuts off; 65 damaged: each finding names file, offset, the row of the recovery table and
what to do; 1 there is no journal.";

const CAT_EXAMPLES: &str = "Examples:
  njia inspect journal cat /var/lib/njia/journal --type intent --type outcome --shard 0
  njia inspect journal cat /var/lib/njia/journal --since 2026-11-21T10:00:00Z --follow

A line is: generation/shard, LSN, time, transaction, type, fields. Amounts are in minor units. What
is damaged is told on standard error and passed by; the exit code is 65 then.";

const EXPORT_EXAMPLES: &str = "Examples:
  njia inspect journal export /var/lib/njia/journal --output day.jsonl --since 2026-11-21 \\
      --until 2026-11-22
  njia inspect journal export /var/lib/njia/journal --shard 0 --type saf-owed --type saf-done

--output is written aside and renamed when it is whole. What is damaged is told on standard error
and passed by; the exit code is 65 then.";

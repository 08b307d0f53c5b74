//! `njia inspect transaction`: the whole life of a transaction, from PostgreSQL where there is one,
//! with what is newer in the journal; from the journal alone where there is none.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use domain::ids::{AcquirerId, Lsn, Stan};
use domain::record::Record;
use domain::time::WallTime;
use persistence::applier::{Held, Wanted};
use persistence::manifest::PartyNames;
use persistence::reader::{Event, Folder, Met, Scan, ShardFolder};

use super::super::{CONFIG_FILE, CliError};
use super::journal::{counts, folder, journal_of, tell};
use super::{fields, parse};
use crate::config::{Config, Environment, Postgres, Source};
use crate::control::lookup;
use lives::{Entry, Lives};

mod lives;
mod show;

#[derive(Debug, Args)]
pub(crate) struct Transaction {
    /// Its id.
    // Read later: clap would repeat what is no id, which may be card data.
    #[arg(
        value_name = "ID",
        required_unless_present_any = ["rrn", "stan"],
        conflicts_with_all = ["rrn", "stan", "acquirer", "date"],
    )]
    id: Option<String>,
    /// DE37 of the acquirer.
    #[arg(long, value_name = "N")]
    rrn: Option<String>,
    /// DE11 of the acquirer, up to six digits.
    #[arg(long, value_name = "N", value_parser = stan)]
    stan: Option<Stan>,
    /// Only of this acquirer, by its name.
    #[arg(long, value_name = "NAME")]
    acquirer: Option<String>,
    /// Only admitted on this day of UTC, as 2026-11-21.
    #[arg(long, value_name = "DATE", value_parser = parse::time)]
    date: Option<WallTime>,
    /// The configuration file, which says where the journal and PostgreSQL are.
    #[arg(short, long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// Reads this journal alone, without a configuration.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    journal: Option<PathBuf>,
    /// Prints one JSON object a line for each transaction.
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLES: &str = "Examples:
  njia inspect transaction 019b76da-a800-7abc-8050-00090000004d
  njia inspect transaction --rrn 632600000888 --date 2026-11-21 --json
  njia inspect transaction --stan 42 --acquirer terminals --journal /var/lib/njia/journal

Several that fit are listed, one line each. Exit codes: 0 found, 66 not found, 65 not found and the
journal is damaged.";

/// Where to look.
struct Places {
    config: Option<Config>,
    journal: PathBuf,
}

impl Transaction {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let wanted = self.wanted()?;
        let places = self.places()?;
        let mut lives = Lives::default();
        let held = places.ask(&wanted)?;
        if let Some(held) = &held {
            lives.take(held);
        }
        let read = read_journal(&places.journal, &wanted, held.as_ref(), &mut lives);
        let findings = match read {
            Ok(findings) => findings,
            // PostgreSQL has answered: what is newer is missing, and is said to be.
            Err(error) if held.is_some() => {
                note(&format!("the journal is not read: {error}"))?;
                0
            }
            Err(error) => return Err(error),
        };
        if lives.is_full() {
            let most = Wanted::HITS_MAX;
            note(&format!(
                "more than {most} fit: these are some; name a day or an acquirer"
            ))?;
        }
        let found = lives.finish();
        match (found.as_slice(), findings) {
            ([], 0) => Err(CliError::NoTransaction(self.named(&wanted))),
            ([], findings) => Err(CliError::Damaged(findings)),
            (found, _) if self.json => Ok(show::json(found, out)?),
            ([one], _) => Ok(show::life(one, out)?),
            (found, _) => Ok(show::list(found, out)?),
        }
    }

    fn wanted(&self) -> Result<Wanted, CliError> {
        const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);
        let id = self.id.as_deref().map(parse::transaction).transpose();
        if self
            .rrn
            .as_ref()
            .is_some_and(|rrn| rrn.is_empty() || rrn.len() > 12)
        {
            return Err(CliError::Usage("an RRN has up to 12 characters".to_owned()));
        }
        Ok(Wanted {
            id: id.map_err(CliError::Usage)?,
            rrn: self.rrn.clone(),
            stan: self.stan.map(Stan::number),
            acquirer: self.acquirer.clone(),
            admitted: self.date.map(|date| (date, date.after(DAY))),
        })
    }

    fn places(&self) -> Result<Places, CliError> {
        if let Some(journal) = &self.journal {
            return Ok(Places {
                config: None,
                journal: journal.clone(),
            });
        }
        let source = Source::File(&self.config);
        let config = Config::load(source, &Environment::of_process())?;
        Ok(Places {
            journal: config.journal.dir.clone(),
            config: Some(config),
        })
    }

    /// What was looked for, in words.
    fn named(&self, wanted: &Wanted) -> String {
        let id = wanted.id.map(|id| format!(" {id}"));
        let rrn = self
            .rrn
            .as_ref()
            .map(|rrn| format!(" with RRN {}", rrn.escape_debug()));
        let stan = self.stan.map(|stan| format!(" with STAN {stan}"));
        let acquirer = self
            .acquirer
            .as_ref()
            .map(|name| format!(" of acquirer {name}"));
        let date = self.date.map(|date| {
            let date = date.to_string();
            format!(" of {}", date.split('T').next().unwrap_or_default())
        });
        [id, rrn, stan, acquirer, date]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl Places {
    /// What PostgreSQL holds; `None` where there is none, or none that answers.
    fn ask(&self, wanted: &Wanted) -> Result<Option<Held>, CliError> {
        let Some(config) = &self.config else {
            return Ok(None);
        };
        let Some(postgres) = &config.postgres else {
            return Ok(None);
        };
        Ok(match ask(config, postgres, wanted) {
            Ok(held) => Some(held),
            Err(error) => {
                note(&format!("{error}; the journal alone is read"))?;
                None
            }
        })
    }
}

fn ask(config: &Config, postgres: &Postgres, wanted: &Wanted) -> Result<Held, String> {
    match lookup::look_up(config, postgres, wanted) {
        Ok(Some(held)) => Ok(held),
        Ok(None) => Err("PostgreSQL holds no schema of njia".to_owned()),
        Err(error) => Err(error),
    }
}

/// Reads what PostgreSQL does not hold yet; returns how much is wrong with the files.
fn read_journal(
    dir: &Path,
    wanted: &Wanted,
    held: Option<&Held>,
    lives: &mut Lives,
) -> Result<u64, CliError> {
    let folder = folder(dir)?;
    let mut findings = 0;
    match &folder.manifest {
        Ok(content) => lives.know(&content.names),
        Err(error) => {
            note(&error.to_string())?;
            findings += 1;
        }
    }
    let search = Search {
        wanted,
        acquirer: acquirer(wanted, lives.names()),
    };
    // What was retired is in PostgreSQL, where there is one.
    let is_read =
        |shard: &&ShardFolder| counts(shard) && (shard.checkpoint.is_none() || held.is_none());
    for shard in folder.shards.iter().filter(is_read) {
        findings += search.shard(shard, &folder, held, lives)?;
    }
    Ok(findings)
}

/// The acquirer that is wanted: one without a number has no transaction.
fn acquirer(wanted: &Wanted, names: &PartyNames) -> Option<Option<AcquirerId>> {
    let name = wanted.acquirer.as_ref()?;
    let at = names.acquirers.iter().position(|known| known == name);
    Some(at.and_then(|at| u16::try_from(at).ok()).map(AcquirerId))
}

struct Search<'a> {
    wanted: &'a Wanted,
    acquirer: Option<Option<AcquirerId>>,
}

impl Search<'_> {
    fn shard(
        &self,
        shard: &ShardFolder,
        folder: &Folder,
        held: Option<&Held>,
        lives: &mut Lives,
    ) -> Result<u64, CliError> {
        let copied = |journal| {
            let marks = held
                .map(|held| held.watermarks.as_slice())
                .unwrap_or_default();
            let mark = marks
                .iter()
                .find(|(of, at, _)| *of == journal && *at == shard.shard);
            mark.map_or(Lsn::ZERO, |(_, _, lsn)| *lsn)
        };
        let mut journal = journal_of(shard.belongs);
        let from = journal.map_or(Lsn::ZERO, copied).next();
        let node = folder.manifest.as_ref().ok().map(|content| content.node.0);
        let mut scan = Scan::open(&shard.dir, shard.belongs, from)?;
        let mut findings = 0;
        let mut after = journal.map_or(Lsn::ZERO, copied);
        loop {
            match scan.advance()? {
                Event::Segment(header) => {
                    journal = Some(header.identity.journal);
                    after = copied(header.identity.journal);
                }
                Event::Batch(_) => {}
                // What was carried over stands where it happened, unless that was retired.
                Event::Record(met)
                    if met.lsn > after
                        && (shard.checkpoint.is_some() || !met.carriage.is_carried())
                        && self.is_wanted(&met, lives) =>
                {
                    let journal = journal.unwrap_or_default();
                    lives.add(Entry::of(shard, node, journal, &met));
                }
                Event::Record(_) => {}
                Event::Finding(finding) => {
                    findings += 1;
                    note(&tell(&finding))?;
                }
                Event::End(_) => return Ok(findings),
            }
        }
    }

    fn is_wanted(&self, met: &Met<'_>, lives: &Lives) -> bool {
        let transaction = met.record.transaction();
        match self.wanted.id {
            Some(id) => id == transaction,
            None => lives.holds(transaction) || (!lives.is_full() && self.fits(&met.record)),
        }
    }

    /// Of the first record of a transaction.
    fn fits(&self, record: &Record<'_>) -> bool {
        let (acquirer, stan, rrn) = if let Some(facts) = fields::facts(record) {
            (facts.acquirer, facts.trace.stan, facts.trace.rrn)
        } else if let Record::Tombstone(tombstone) = record {
            let original = &tombstone.original;
            (tombstone.acquirer, original.stan, original.rrn)
        } else {
            return false;
        };
        let at = fields::at(record);
        let is_day = |(since, until)| at >= since && at < until;
        self.wanted
            .stan
            .is_none_or(|wanted| wanted == stan.number())
            && self
                .wanted
                .rrn
                .as_ref()
                .is_none_or(|wanted| wanted == rrn.as_str())
            && self.acquirer.is_none_or(|wanted| wanted == Some(acquirer))
            && self.wanted.admitted.is_none_or(is_day)
    }
}

fn stan(text: &str) -> Result<Stan, String> {
    let digits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    let stan = number.and_then(|number| Stan::new(number).ok());
    stan.ok_or_else(|| "a STAN has up to six digits".to_owned())
}

fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "njia: {text}")
}

//! `njia inspect journal cat` and `export`: the records that a filter lets through.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use domain::ids::{Lsn, TransactionId};
use domain::time::WallTime;
use persistence::Manifest;
use persistence::identity::JournalUuid;
use persistence::manifest::PartyNames;
use persistence::reader::{Event, Folder, Met, Scan, ShardFolder};
use persistence::record::RecordType;

use super::super::super::CliError;
use super::super::fields;
use super::super::lines::{Form, Place};
use super::super::parse;
use super::tally::{counts, journal_in, journal_of};
use super::verify::ended;
use super::{aside, folder, tell};

#[derive(Debug, Args)]
pub(super) struct Cat {
    /// The folder that holds `manifest`.
    dir: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// Goes on with what is written from here on, until it is interrupted.
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The folder that holds `manifest`.
    dir: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// Goes on with what is written from here on, until it is interrupted.
    #[arg(long, conflicts_with = "output")]
    follow: bool,
    /// Writes there instead of to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Which records.
#[derive(Debug, Default, Args)]
pub(super) struct Filter {
    /// Only of this shard; may be given again.
    #[arg(long, value_name = "N")]
    shard: Vec<u16>,
    /// From this LSN on, of each shard.
    #[arg(long, value_name = "LSN")]
    from_lsn: Option<u64>,
    /// Up to this LSN, of each shard.
    #[arg(long, value_name = "LSN")]
    to_lsn: Option<u64>,
    /// Only of this type, as `intent` or `outcome`; may be given again.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse::record_type)]
    kind: Vec<RecordType>,
    /// Only of this transaction.
    // Read later: clap would repeat what is no id, which may be card data.
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,
    /// From this time on: 2026-11-21, or 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    since: Option<WallTime>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    until: Option<WallTime>,
}

impl Cat {
    /// Everything in `dir`.
    pub(super) fn of(dir: PathBuf) -> Self {
        Self {
            dir,
            filter: Filter::default(),
            follow: false,
        }
    }

    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        print(&self.dir, &self.filter, Form::Text, self.follow, out)
    }
}

impl Export {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let Some(output) = &self.output else {
            return print(&self.dir, &self.filter, Form::Json, self.follow, out);
        };
        let folder = folder(&self.dir)?;
        let mut printer = Printer::new(&folder, &self.filter, Form::Json)?;
        let mut aside = Aside::create(output)?;
        let findings = printer.all(&mut aside.file)?;
        aside.keep()?;
        ended(findings)
    }
}

fn print(
    dir: &Path,
    filter: &Filter,
    form: Form,
    follow: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let folder = folder(dir)?;
    let mut printer = Printer::new(&folder, filter, form)?;
    if follow {
        return printer.follow(dir, out);
    }
    ended(printer.all(out)?)
}

impl Filter {
    fn is_beyond(&self, lsn: Lsn) -> bool {
        self.to_lsn.is_some_and(|to| lsn.0 > to)
    }
}

struct Printer<'a> {
    folder: &'a Folder,
    names: PartyNames,
    filter: &'a Filter,
    transaction: Option<TransactionId>,
    form: Form,
    line: Vec<u8>,
}

impl<'a> Printer<'a> {
    fn new(folder: &'a Folder, filter: &'a Filter, form: Form) -> Result<Self, CliError> {
        let transaction = filter.transaction.as_deref().map(parse::transaction);
        let names = folder
            .manifest
            .as_ref()
            .map(|content| content.names.clone());
        Ok(Self {
            folder,
            names: names.unwrap_or_default(),
            filter,
            transaction: transaction.transpose().map_err(CliError::Usage)?,
            form,
            line: Vec::new(),
        })
    }

    fn wants(&self, met: &Met<'_>) -> bool {
        let filter = self.filter;
        let at = || fields::at(&met.record);
        let kind = || RecordType::of(&met.record);
        filter.from_lsn.is_none_or(|from| met.lsn.0 >= from)
            && !filter.is_beyond(met.lsn)
            && self
                .transaction
                .is_none_or(|id| met.record.transaction() == id)
            && (filter.kind.is_empty() || filter.kind.contains(&kind()))
            && filter.since.is_none_or(|since| at() >= since)
            && filter.until.is_none_or(|until| at() < until)
    }

    fn scans(&self) -> Result<Vec<(&'a ShardFolder, Scan)>, CliError> {
        let wanted = &self.filter.shard;
        let is_wanted = |shard: &&ShardFolder| {
            counts(shard) && (wanted.is_empty() || wanted.contains(&shard.shard.0))
        };
        let from = Lsn(self.filter.from_lsn.unwrap_or(1));
        let folders = self.folder.shards.iter().filter(is_wanted);
        let scans = folders.map(|shard| {
            let scan = Scan::open(&shard.dir, shard.belongs, from)?;
            Ok((shard, scan))
        });
        scans.collect()
    }

    /// All shards, one after the other; returns how much is wrong.
    fn all(&mut self, out: &mut dyn Write) -> Result<u64, CliError> {
        let mut findings = 0;
        if let Err(error) = &self.folder.manifest {
            aside(&error.to_string())?;
            findings += 1;
        }
        for (shard, mut scan) in self.scans()? {
            findings += self.shard(shard, &mut scan, out)?;
        }
        Ok(findings)
    }

    /// One shard, to its end.
    fn shard(
        &mut self,
        shard: &ShardFolder,
        scan: &mut Scan,
        out: &mut dyn Write,
    ) -> Result<u64, CliError> {
        let mut findings = 0;
        let mut journal = journal_of(scan.belongs());
        loop {
            match scan.advance()? {
                Event::Segment(header) => journal = Some(header.identity.journal),
                Event::Batch(header) if self.filter.is_beyond(header.first_lsn) => {
                    return Ok(findings);
                }
                Event::Batch(_) => {}
                Event::Record(met) => {
                    let journal = journal.unwrap_or_default();
                    self.record(shard, journal, &met, out)?;
                }
                Event::Finding(finding) => {
                    findings += 1;
                    out.flush()?;
                    aside(&tell(&finding))?;
                }
                Event::End(_) => return Ok(findings),
            }
        }
    }

    fn record(
        &mut self,
        shard: &ShardFolder,
        journal: JournalUuid,
        met: &Met<'_>,
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        if !self.wants(met) {
            return Ok(());
        }
        let node = self.folder.manifest.as_ref().ok();
        let place = Place {
            node: node.map(|content| content.node.0),
            journal: journal_in(shard, journal),
            generation: Some(shard.generation),
            shard: shard.shard,
            checkpoint: shard.checkpoint,
            lsn: met.lsn,
            file: Some((met.segment, met.offset)),
            is_carried: met.carriage.is_carried(),
        };
        self.line.clear();
        self.form
            .write(&place, &met.record, &self.names, &mut self.line);
        out.write_all(&self.line)?;
        Ok(())
    }

    /// Goes round the shards for as long as the journal keeps its generation.
    fn follow(&mut self, dir: &Path, out: &mut dyn Write) -> Result<(), CliError> {
        let mut scans = self.scans()?;
        let mut findings = 0;
        loop {
            for (shard, scan) in &mut scans {
                findings += self.shard(shard, scan, out)?;
                scan.follow();
            }
            out.flush()?;
            if let (Ok(before), Ok(content)) = (&self.folder.manifest, Manifest::read(dir))
                && before.generation != content.generation
            {
                aside("the number of shards was changed: start again to follow the new ones")?;
                return ended(findings);
            }
            std::thread::park_timeout(POLL);
        }
    }
}

/// How often a journal that is followed is looked at.
const POLL: Duration = Duration::from_millis(100);

/// A file that gets its name when it is whole.
struct Aside {
    file: BufWriter<File>,
    part: PathBuf,
    path: PathBuf,
}

impl Aside {
    fn create(path: &Path) -> Result<Self, CliError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".part-{}", std::process::id()));
        let part = path.with_file_name(name);
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 16, file),
            part,
            path: path.to_owned(),
        })
    }

    fn keep(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.part, &self.path)?;
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Nothing is left of a file that was not written to its end; one that was has its name.
        drop(fs::remove_file(&self.part));
    }
}

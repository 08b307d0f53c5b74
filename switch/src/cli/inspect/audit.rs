//! `njia inspect audit`: prints the audit log, and says whether it is as it was written.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::{CONFIG_FILE, CliError};
use crate::config::{Audit as Settings, Config, Environment, Source};
use crate::control::audit::{Line, Verified, verify};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Audit {
    /// The files, in any order: `audit.jsonl` and those with a number behind it.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Says whether a line was changed, taken out or put in, and prints none.
    #[arg(long)]
    verify: bool,
    /// Prints lines as they are, or what was verified as one JSON object.
    #[arg(long)]
    json: bool,
    /// The first lines lie in files that are not named.
    #[arg(long, requires = "verify")]
    continued: bool,
    /// Names the key, in [audit].
    #[arg(short, long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
}

/// By its name, with what is in it.
type Read = (String, Vec<u8>);

impl Audit {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let mut files = Vec::new();
        for path in &self.files {
            files.push(read(path)?);
        }
        // By the first line of each: a shell sorts the newest one first.
        files.sort_by_key(|(_, bytes)| first_seq(bytes));
        let out = &mut BufWriter::with_capacity(1 << 16, out);
        let done = match self.verify {
            true => self.verified(&files, out),
            false => print(&files, self.json, out),
        };
        out.flush()?;
        done
    }

    fn verified(&self, files: &[Read], out: &mut dyn Write) -> Result<(), CliError> {
        let settings = self.settings()?;
        match verify(files, &settings.key, self.continued) {
            Ok(verified) if self.json => writeln!(
                out,
                "{}",
                json!({
                    "good": true,
                    "lines": verified.lines,
                    "first": verified.first,
                    "last": verified.last,
                    "torn_bytes": verified.torn,
                })
            )?,
            Ok(verified) => writeln!(out, "{}", good(verified))?,
            Err(finding) => {
                let (file, line, fault) = (finding.file, finding.line, finding.fault);
                if self.json {
                    let text = json!({"good": false, "file": file, "line": line, "fault": fault});
                    writeln!(out, "{text}")?;
                } else {
                    writeln!(out, "{file}:{line}: {fault}")?;
                }
                return Err(CliError::Damaged(1));
            }
        }
        Ok(())
    }

    fn settings(&self) -> Result<std::sync::Arc<Settings>, CliError> {
        let source = Source::File(&self.config);
        let settings = Config::audit_of(source, &Environment::of_process())?;
        let shown = self.config.display();
        settings.ok_or_else(|| CliError::Input(format!("{shown} has no [audit]: name another -c")))
    }
}

fn read(path: &Path) -> Result<Read, CliError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|error| CliError::Input(format!("cannot read {name}: {error}")))?;
    Ok((name, bytes))
}

/// What cannot be read comes last, so that it is found.
fn first_seq(bytes: &[u8]) -> u64 {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = lines.find_map(|line| Line::read(line).ok());
    first.map_or(u64::MAX, |line| line.seq)
}

fn good(verified: Verified) -> String {
    let Verified {
        lines,
        first,
        last,
        torn,
    } = verified;
    let mut text = format!("good: {lines} lines, {first} to {last}");
    if torn > 0 {
        text += &format!("; {torn} bytes behind them are no whole line, the next start cuts them");
    }
    text
}

fn print(files: &[Read], is_json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let mut bad = 0;
    for (file, bytes) in files {
        for (number, bytes) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            match Line::read(bytes) {
                Ok(_) if is_json => {
                    out.write_all(bytes)?;
                    out.write_all(b"\n")?;
                }
                Ok(line) => writeln!(out, "{}", text(&line))?,
                Err(fault) => {
                    bad += 1;
                    let number: u64 = number;
                    writeln!(std::io::stderr(), "njia: {file}:{number}: {fault}")?;
                }
            }
        }
    }
    match bad {
        0 => Ok(()),
        bad => Err(CliError::Damaged(bad)),
    }
}

fn text(line: &Line) -> String {
    let Line {
        seq,
        time,
        event,
        who,
        from,
        object,
        result,
        reason,
        count,
        ..
    } = line;
    format!(
        "{seq} {time} {event} {result} {reason} who={who} from={from} object=`{object}` x{count}"
    )
}

const EXAMPLES: &str = "Examples:
  njia inspect audit /var/lib/njia/audit.jsonl
  njia inspect audit --verify -c /etc/njia/njia.toml /var/lib/njia/audit.jsonl*

Exit codes: 0 good, also with bytes at the end that are no whole line; 65 a line is not as it was
written, or not where it was: the first one is named; 1 a file cannot be read.";

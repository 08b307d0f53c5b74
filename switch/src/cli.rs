//! The command line: arguments to commands, errors to sentences and exit codes.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode as ProcessCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use persistence::JournalError;
use persistence::horizon_file::HorizonFileError;
use thiserror::Error;

mod inspect;
mod report;
mod saf;

use crate::boot::{self, ServeError, ServeOptions};
use crate::config::{
    Config, ConfigErrors, EXAMPLE, Environment, KeyFileError, Source, create_missing_keys,
};
use crate::control::credentials::CredentialsReader;
use crate::control::keys::KeysReader;
use crate::control::logging::{self, LogFormat};
use crate::control::preflight::{self, Needs, Unfit};
use crate::control::reach;
use crate::control::reporting::ReportError;
use crate::exit::ExitCode;

/// A payment transaction switch: ISO 8583 in, risk, route, issuer, journal, PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "njia", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the switch until SIGTERM drains it.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Checks a configuration: syntax, keys, bounds, references, secrets; and whether PostgreSQL
    /// and the issuers can be reached.
    #[command(after_help = "Example:\n  njia check-config -c /etc/njia/njia.toml --offline")]
    CheckConfig(CheckConfig),
    /// Shows configurations.
    #[command(after_help = "Example:\n  njia config defaults > njia.toml")]
    Config {
        #[command(subcommand)]
        what: ShowConfig,
    },
    /// What issuers are owed by a running switch: shows it, sends it again, takes it out.
    #[command(after_help = saf::EXAMPLES)]
    Saf(saf::Saf),
    /// What the books in PostgreSQL say of a day, and whether an issuer's file says the same.
    #[command(after_help = report::EXAMPLES)]
    Report(report::Report),
    /// Looks at journals, messages and dialects. Never changes anything.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect {
        #[command(subcommand)]
        what: Inspect,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// Runs the embedded configuration (`njia config defaults`): journal alone, loopback, free
    /// ports.
    #[arg(long, conflicts_with = "config", requires = "state_dir")]
    default_config: bool,
    /// Where the embedded configuration keeps its keys and its journal.
    #[arg(
        long,
        value_name = "DIR",
        requires = "default_config",
        conflicts_with = "config"
    )]
    state_dir: Option<PathBuf>,
    /// Gets a JSON object with every real address once the switch is ready.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// How log lines look; text on a terminal, else JSON.
    #[arg(long, value_enum)]
    log_format: Option<Format>,
}

#[derive(Debug, Args)]
struct CheckConfig {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// Connects to nobody.
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Subcommand)]
enum ShowConfig {
    /// Prints the commented default, which `serve --default-config` runs.
    Defaults,
}

#[derive(Debug, Subcommand)]
enum Inspect {
    /// Verifies a journal, sums it up, prints or exports its records; account numbers stay masked.
    Journal(inspect::journal::Journal),
    /// Tells the whole life of a transaction, from PostgreSQL and the journal, masked.
    #[command(after_help = inspect::transaction::EXAMPLES)]
    Transaction(inspect::transaction::Transaction),
    /// Decodes a message, masked; of a bad one what can be read, and where it stops and why.
    #[command(after_help = inspect::message::EXAMPLES)]
    Message(inspect::message::Message),
    /// Prints the audit log, or verifies that nothing of it was changed or taken out.
    Audit(inspect::audit::Audit),
    /// Prints the table of a dialect; without a name, which ones are built in.
    #[command(after_help = inspect::table::EXAMPLES)]
    Dialect(inspect::table::Table),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Why a command failed.
#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    #[error("{}", told(.0))]
    Unfit(Vec<Unfit>),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{}", .0.join("\n"))]
    Unreachable(Vec<String>),
    #[error("the settings of PostgreSQL cannot be used: {0}")]
    Postgres(String),
    #[error("there is no journal in {}: name the folder that holds `manifest`", .0.display())]
    NoJournal(PathBuf),
    #[error("{0} findings: see above")]
    Damaged(u64),
    #[error("there is no transaction{0}")]
    NoTransaction(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Input(String),
    #[error(transparent)]
    Operator(#[from] saf::OperatorError),
    #[error("{}", unreadable(*bad, *all))]
    Unreadable { bad: u32, all: u32 },
    #[error(transparent)]
    Report(ReportError),
    #[error("{0}")]
    Differs(String),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command that the arguments name. Errors go to stderr, with the exit code that systemd
/// and scripts go by.
#[must_use]
pub fn run() -> ProcessCode {
    let cli = Cli::parse();
    let ended = cli.command.run();
    logging::flush();
    let code = match ended {
        Ok(()) => ExitCode::Done,
        // Whoever read the answer has seen enough, as `head` does.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::Done,
        Err(error) => {
            let code = error.exit_code();
            // There is nobody to tell when stderr is closed; the exit code says it too.
            drop(writeln!(
                io::stderr(),
                "njia: {} (exit {})",
                chain(&error),
                code.number()
            ));
            code
        }
    };
    ProcessCode::from(u8::try_from(code.number()).unwrap_or(1))
}

impl Command {
    fn run(self) -> Result<(), CliError> {
        match self {
            Self::Serve(serve) => serve.run(),
            Self::CheckConfig(check) => check.run(),
            Self::Config {
                what: ShowConfig::Defaults,
            } => Ok(io::stdout().write_all(EXAMPLE.as_bytes())?),
            Self::Saf(saf) => saf.run(&mut io::stdout().lock()),
            Self::Report(report) => report.run(&mut io::stdout().lock()),
            Self::Inspect { what } => what.run(&mut io::stdout().lock()),
        }
    }
}

impl Inspect {
    fn run(self, out: &mut dyn io::Write) -> Result<(), CliError> {
        match self {
            Self::Journal(journal) => journal.run(out),
            Self::Transaction(transaction) => transaction.run(out),
            Self::Message(message) => message.run(out),
            Self::Audit(audit) => audit.run(out),
            Self::Dialect(table) => table.run(out),
        }
    }
}

impl Serve {
    fn run(self) -> Result<(), CliError> {
        logging::start(match self.log_format {
            Some(Format::Text) => LogFormat::Text,
            Some(Format::Json) => LogFormat::Json,
            None if io::stderr().is_terminal() => LogFormat::Text,
            None => LogFormat::Json,
        });
        preflight::forbid_core_files();
        let config = self.load()?;
        check_postgres(&config)?;
        let needs = Needs::of(&config, boot::shard_count(&config));
        preflight::check(&needs).map_err(CliError::Unfit)?;
        let ready_file = self.ready_file.clone();
        let serve = Arc::new(self);
        let of_keys = Arc::clone(&serve);
        let keys = KeysReader::new(move || of_keys.part(Config::keys_of));
        let credentials = CredentialsReader::new(move || serve.part(Config::credentials_of));
        let options = ServeOptions {
            ready_file,
            keys,
            credentials,
        };
        Ok(boot::serve(config, options)?)
    }

    /// One part of the configuration, as it is at that time.
    fn part<T>(
        &self,
        read: impl FnOnce(Source<'_>, &Environment) -> Result<T, ConfigErrors>,
    ) -> Result<T, ConfigErrors> {
        let environment = Environment::of_process();
        let Some(state_dir) = &self.state_dir else {
            return read(Source::File(&self.config), &environment);
        };
        let absolute = std::path::absolute(state_dir);
        let state_dir = absolute.unwrap_or_else(|_| state_dir.clone());
        let source = Source::Default {
            state_dir: &state_dir,
        };
        read(source, &environment)
    }

    fn load(&self) -> Result<Config, CliError> {
        let environment = Environment::of_process();
        let Some(state_dir) = &self.state_dir else {
            return Ok(Config::load(Source::File(&self.config), &environment)?);
        };
        let state_dir = std::path::absolute(state_dir)?;
        create_missing_keys(&state_dir)?;
        Ok(Config::load(
            Source::Default {
                state_dir: &state_dir,
            },
            &environment,
        )?)
    }
}

impl CheckConfig {
    fn run(self) -> Result<(), CliError> {
        let config = Config::load(Source::File(&self.config), &Environment::of_process())?;
        check_postgres(&config)?;
        if !self.offline {
            let faults = reach::faults(&config);
            if !faults.is_empty() {
                return Err(CliError::Unreachable(faults));
            }
        }
        Ok(io::stdout().write_all(summary(&self.config, &config).as_bytes())?)
    }
}

fn check_postgres(config: &Config) -> Result<(), CliError> {
    reach::postgres_fault(config).map_or(Ok(()), |fault| Err(CliError::Postgres(fault)))
}

fn summary(path: &Path, config: &Config) -> String {
    let remembered = config.remembered();
    format!(
        "{}: good; node {}, {} acquirers, {} listeners, {} issuers with {} links, {} routes, {}\n\
         remembers {} transactions: {} a second over duplicates.window_s, in up to {} MiB\n",
        path.display(),
        config.node.id,
        config.acquirers.len(),
        config.listeners.len(),
        config.issuers.len(),
        config.links(),
        config.routes.len(),
        if config.postgres.is_some() {
            "PostgreSQL"
        } else {
            "no PostgreSQL"
        },
        remembered.entries,
        remembered.per_second,
        remembered.bytes >> 20,
    )
}

/// All faults of the host, one after the other.
fn told(faults: &[Unfit]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("\nnjia: ") + "\n  Nothing was started."
}

fn unreadable(bad: u32, all: u32) -> String {
    match all {
        1 => "the message cannot be read".to_owned(),
        _ => format!("{bad} of {all} messages cannot be read"),
    }
}

/// An error with those of its causes that it does not tell itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl CliError {
    const fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Postgres(_) => ExitCode::ConfigRefused,
            Self::Keys(KeyFileError::Lost { .. }) | Self::Damaged(_) => ExitCode::JournalRefused,
            Self::Unfit(_) => ExitCode::HostUnfit,
            Self::Journal(error) => ExitCode::of(error.exit_code()),
            Self::Serve(error) => of_serve(error),
            Self::Usage(_) => ExitCode::Usage,
            Self::Differs(_) => ExitCode::Differs,
            Self::Report(ReportError::NoPostgres) => ExitCode::ConfigRefused,
            Self::NoTransaction(_) => ExitCode::NotFound,
            Self::Keys(_)
            | Self::Unreachable(_)
            | Self::NoJournal(_)
            | Self::Input(_)
            | Self::Operator(_)
            | Self::Report(ReportError::Failed(_))
            | Self::Unreadable { .. }
            | Self::Output(_) => ExitCode::Other,
        }
    }
}

const fn of_serve(error: &ServeError) -> ExitCode {
    match error {
        ServeError::Journal(error) => ExitCode::of(error.exit_code()),
        ServeError::Routes(_) | ServeError::Risk(_) | ServeError::Tls(_) => ExitCode::ConfigRefused,
        ServeError::Recover(_)
        | ServeError::Crypto(_)
        | ServeError::MacKeys(_)
        | ServeError::Horizon(HorizonFileError::Damaged { .. }) => ExitCode::JournalRefused,
        ServeError::Horizon(HorizonFileError::Io { .. })
        | ServeError::Bind { .. }
        | ServeError::Start { .. }
        | ServeError::ReadyFile { .. } => ExitCode::Other,
    }
}

const CONFIG_FILE: &str = "/etc/njia/njia.toml";

const EXAMPLES: &str = "Examples:
  njia config defaults > njia.toml
  njia check-config -c njia.toml --offline
  njia serve -c njia.toml
  njia serve --default-config --state-dir ./state --ready-file ./ready.json
  njia saf list

Exit codes: 0 done, 1 other error, 2 usage, 3 a report found a difference, 65 journal refused,
66 not found, 69 host unfit, 74 journal failed, 75 journal locked, 78 configuration refused.";

const INSPECT_EXAMPLES: &str = "Examples:
  njia inspect journal verify /var/lib/njia/journal
  njia inspect journal export /var/lib/njia/journal --output day.jsonl --since 2026-11-21
  njia inspect transaction --rrn 632600000888 --date 2026-11-21
  njia inspect message 3038303080200000000000000400000000000000303030303432333031
  njia inspect audit --verify -c njia.toml /var/lib/njia/audit.jsonl
  njia inspect dialect iso87-ascii";

const SERVE_EXAMPLES: &str = "Examples:
  njia serve -c /etc/njia/njia.toml
  NJIA__ISSUER__BANK__ADDRESSES=10.0.0.5:9100 \\
      njia serve --default-config --state-dir ./state --ready-file ./ready.json

Any key can be set from the environment: NJIA__SECTION__KEY, NJIA__ISSUER__NAME__KEY. NJIA_LOG sets
what is logged, as info,switch=debug. SIGTERM drains; a second one, or SIGINT, ends at once.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_embedded_configuration_needs_a_state_directory() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        assert!(parse("njia serve").is_ok());
        assert!(parse("njia serve --default-config --state-dir d --ready-file f").is_ok());
        assert!(parse("njia serve --default-config").is_err());
        assert!(parse("njia serve --state-dir d").is_err());
        assert!(parse("njia serve -c f --default-config --state-dir d").is_err());
        assert!(parse("njia config defaults").is_ok());
        assert!(parse("njia inspect journal").is_err());
        assert!(parse("njia inspect journal d").is_ok());
        assert!(parse("njia inspect journal d --records").is_ok());
        assert!(parse("njia inspect journal --records d").is_ok());
        assert!(parse("njia inspect journal verify d --json").is_ok());
        assert!(parse("njia inspect journal verify").is_err());
        assert!(parse("njia inspect journal stat d").is_ok());
        assert!(parse("njia inspect journal cat d --shard 1 --type saf-owed --follow").is_ok());
        assert!(parse("njia inspect journal cat d --type nothing").is_err());
        assert!(parse("njia inspect journal cat d --since yesterday").is_err());
        assert!(parse("njia inspect journal export d --output f --from-lsn 7").is_ok());
        assert!(parse("njia inspect journal export d --output f --follow").is_err());
        let id = "019b76da-a800-7abc-8050-00090000004d";
        assert!(parse(&format!("njia inspect transaction {id} -c f --json")).is_ok());
        assert!(parse(&format!("njia inspect transaction {id} --stan 1")).is_err());
        assert!(parse("njia inspect transaction").is_err());
        assert!(parse("njia inspect transaction --acquirer a").is_err());
        assert!(parse("njia inspect transaction --stan 1 --acquirer a --journal d").is_ok());
        assert!(parse("njia inspect transaction --rrn 1 --date 2026-11-21").is_ok());
        assert!(parse("njia inspect transaction --stan 1 --journal d -c f").is_err());
        assert!(parse("njia inspect transaction --stan 1234567").is_err());
        assert!(parse("njia inspect message -").is_ok());
        assert!(parse("njia inspect message").is_err());
        assert!(parse("njia inspect message 30 31 --json").is_ok());
        assert!(parse("njia inspect message --jsn 30").is_err());
        assert!(parse("njia inspect message --dialect d --framing be16 --json f").is_ok());
        assert!(parse("njia saf list --issuer bank --exceptions --json").is_ok());
        assert!(parse("njia saf retry").is_err());
        assert!(parse("njia saf retry a.1 --issuer bank").is_err());
        assert!(parse("njia saf retry --issuer bank --socket s").is_ok());
        assert!(parse("njia saf drop a.1").is_err());
        assert!(parse("njia saf drop --reason r").is_err());
        assert!(parse("njia saf drop a.1 --reason r --state-dir d").is_ok());
        assert!(parse("njia saf drop a.1 --reason r --state-dir d --socket s").is_err());
        assert!(parse("njia inspect audit").is_err());
        assert!(parse("njia inspect audit f g --verify --continued --json -c n").is_ok());
        assert!(parse("njia inspect audit f --continued").is_err());
        assert!(parse("njia inspect dialect").is_ok());
        assert!(parse("njia report settlement").is_err());
        assert!(parse("njia report settlement --date 2026-02-30").is_err());
        assert!(parse("njia report settlement --date 2026-02-28 --currency KES -c f").is_ok());
        assert!(parse("njia report settlement --date 2026-02-28 --db u -c f").is_err());
        assert!(parse("njia report reconcile --date 2026-02-28 --issuer b").is_err());
        assert!(
            parse("njia report reconcile --date 2026-02-28 --issuer b --file f --db u").is_ok()
        );
        assert!(parse("njia inspect dialect iso87-ascii --json").is_ok());
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.contains("njia "), "{}", command.get_name());
        }
    }
}

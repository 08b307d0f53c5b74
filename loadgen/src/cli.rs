//! The command line.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use iso8583::Framing;
use iso8583::header::HeaderBytes;

use crate::distribution::Distribution;
use crate::ends::TlsArgs;
use crate::gateway::GatewayArgs;
use crate::issuer::Fault;
use crate::schedule::Arrival;
use crate::target::{Target, parse_framing, parse_header};
use crate::threshold::Threshold;
use crate::units::{parse_duration, parse_share};

/// Offers load to a payment switch and proves that nothing was lost.
///
/// Exit codes: 0 PASS, 99 FAIL, 98 INVALID, 2 usage, 1 other error, 130 ended by hand.
#[derive(Debug, Parser)]
#[command(name = "njia-loadgen", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plays an acquirer: offers a schedule of messages and checks every answer.
    #[command(
        after_help = "Example:\n  njia-loadgen run 'iso://127.0.0.1:8583?framing=be16' \
        --rate 10000 --duration 60s --warmup 10s --out run-1\n  njia-loadgen run \
        'iso://127.0.0.1:8584?dialect=iso93-ascii' --scenario mixed --insist\n  njia-loadgen run \
        iso://127.0.0.1:8583 --gateway http://127.0.0.1:8080 --gateway-key env:API_KEY"
    )]
    Run(Box<RunArgs>),
    /// Plays the other side.
    #[command(subcommand)]
    Sim(SimCommand),
    /// Compares what was acknowledged with the journal, the issuers and PostgreSQL.
    #[command(
        after_help = "Example:\n  njia-loadgen verify --acks run-1/acks.log --journal \
        state/journal --ledger bank.ledger --ledger momo.ledger"
    )]
    Verify(VerifyArgs),
    /// Shows all of njia in half a minute: issuers, switch, load, an outage, the proof.
    #[command(after_help = "Example:\n  njia-loadgen demo --rate 10000 --duration 20s")]
    Demo(DemoArgs),
    /// Sends one purchase by hand and prints request and answer, masked.
    #[command(
        after_help = "Example:\n  njia-loadgen send iso://127.0.0.1:8583 --amount-minor \
        15000"
    )]
    Send(SendArgs),
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// iso://host:port?framing=be16&header=tpdu:0001:8000&dialect=iso87-ascii
    #[arg(required_unless_present_any = ["print_scenario", "gateway"])]
    pub target: Option<Target>,
    /// Transactions per second.
    #[arg(long, default_value_t = 10_000.0)]
    pub rate: f64,
    /// The rate over time instead: ramp:1000..15000@60s,hold:12000@120s
    #[arg(long, conflicts_with_all = ["rate", "duration"])]
    pub profile: Option<String>,
    /// poisson, constant or burst:N
    #[arg(long, default_value = "poisson")]
    pub arrival: Arrival,
    /// How long the rate is held.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Offered before; in no verdict.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// How long answers are waited for at the end.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub grace: Duration,
    /// When an answer is given up.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Repeats what was not answered until it is, beside what the scenario repeats.
    #[arg(long)]
    pub insist: bool,
    /// Connections over all threads.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// Generator threads.
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
    /// Messages in flight that end the run.
    #[arg(long, default_value_t = 200_000)]
    pub inflight_max: usize,
    /// The mix of messages: a file (TOML), `purchases`, or `mixed`, which has advices, completions,
    /// reversals in part and enquiries too.
    #[arg(long, default_value = "purchases", value_name = "FILE|purchases|mixed")]
    pub scenario: ScenarioSource,
    /// Prints the scenario and ends.
    #[arg(long)]
    pub print_scenario: bool,
    /// Of times, messages and amounts.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// p99<400ms, error_rate<0.1%, achieved>=99%, each also with @item; replaces the defaults.
    #[arg(long)]
    pub threshold: Vec<Threshold>,
    /// Folder for acks.log, gateway-acks.log, summary.json and summary.txt.
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub gateway: GatewayArgs,
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What the certificate of the target must be made out to; left out: its address.
    #[arg(long, requires = "tls_ca")]
    pub server_name: Option<String>,
    /// What is printed at the end.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Allows targets that are neither loopback nor private.
    #[arg(long)]
    pub allow_remote: bool,
}

/// Where a scenario comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScenarioSource {
    /// Built in: purchases, authorisations and cash.
    Purchases,
    /// Built in: all classes of messages.
    Mixed,
    /// A file.
    File(PathBuf),
}

impl FromStr for ScenarioSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "purchases" => Self::Purchases,
            "mixed" => Self::Mixed,
            path => Self::File(PathBuf::from(path)),
        })
    }
}

/// What is printed at the end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// `summary.json`.
    Json,
}

/// What to play.
#[derive(Debug, Subcommand)]
pub enum SimCommand {
    /// An ISO 8583 issuer: sign-on, echo, approvals, declines, reversals, and faults.
    #[command(
        after_help = "Example:\n  njia-loadgen sim issuer --listen 127.0.0.1:9100 --decline \
        3% --silent 0.1% --fault mute@10s+3s --ledger bank.ledger"
    )]
    Issuer(SimIssuerArgs),
    /// An issuer of JSON over HTTP/1.1: payments, their reversals, how they stand, and faults.
    #[command(
        after_help = "Example:\n  njia-loadgen sim http --listen 127.0.0.1:9200 --decline 3% \
        --silent 0.1% --fault mute@10s+3s --ledger wallet.ledger\n\nPOST /v1/payments, POST \
        /v1/payments/{id}/reversals and GET /v1/payments/{id}: docs/loadgen.md has the bodies, \
        and the `[issuer.http]` of a switch that asks it."
    )]
    Http(SimHttpArgs),
    /// A mobile-money operator: 202, a payer who decides later, queries, callbacks, refunds.
    #[command(
        after_help = "Example:\n  njia-loadgen sim momo --listen 127.0.0.1:9300 --payer \
        'lognormal(3s,0.5)' --callback-lost 20% --ledger momo.ledger\n\nPOST /collection/token/ \
        and …/requesttopay: docs/loadgen.md has the answers."
    )]
    Momo(Box<SimMomoArgs>),
}

/// Options of all that is simulated.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// Address; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// From a request to its answer.
    #[arg(long, default_value = "lognormal(20ms,0.4)", value_parser = Distribution::parse_time)]
    pub latency: Distribution,
    /// Share that is declined.
    #[arg(long, default_value = "3%", value_parser = parse_share)]
    pub decline: f64,
    /// Share that is never answered; half of it is processed.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub silent: f64,
    /// Share that is answered late.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub late: f64,
    /// From a request to a late answer.
    #[arg(long, default_value = "uniform(3s,6s)", value_parser = Distribution::parse_time)]
    pub late_by: Distribution,
    /// Share that is answered with bytes that are no message.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub garble: f64,
    /// A scripted fault, counted from the first request: mute@10s+3s, freeze@…, disconnect@…
    #[arg(long)]
    pub fault: Vec<Fault>,
    /// A file of scripted faults, one a line.
    #[arg(long)]
    pub faults: Option<PathBuf>,
    /// Where every money effect is written.
    #[arg(long)]
    pub ledger: Option<PathBuf>,
    /// Gets the real address as JSON once it listens.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
    /// Of its dice.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}

/// Options of `sim issuer`.
#[derive(Debug, Args)]
pub struct SimIssuerArgs {
    #[command(flatten)]
    pub issuer: SimArgs,
    /// The dialect of its connections.
    #[arg(long, default_value = "iso87-ascii")]
    pub dialect: String,
    /// How messages are cut out of its connections, as be16, ascii4, le16-incl.
    #[arg(long, default_value = "be16", value_parser = parse_framing)]
    pub framing: Framing,
    /// What stands in front of each message: none, tpdu, base1, base24 or fixedN.
    #[arg(long, default_value = "none", value_parser = parse_header)]
    pub header: HeaderBytes,
    /// Share that is answered twice.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub duplicate: f64,
    /// Ignores requests on connections that have not signed on (0800 with DE70 001).
    #[arg(long)]
    pub sign_on: bool,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Options of `sim http`.
#[derive(Debug, Args)]
pub struct SimHttpArgs {
    #[command(flatten)]
    pub issuer: SimArgs,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Options of `sim momo`.
#[derive(Debug, Args)]
pub struct SimMomoArgs {
    #[command(flatten)]
    pub issuer: SimArgs,
    /// From a request to what its payer decides.
    #[arg(long, default_value = "lognormal(3s,0.5)", value_parser = Distribution::parse_time)]
    pub payer: Distribution,
    /// Share that no payer ever decides.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub unconfirmed: f64,
    /// How long a payer has; what is not decided then has failed.
    #[arg(long, default_value = "5m", value_parser = parse_duration)]
    pub expiry: Duration,
    /// Share that a query does not find for a while.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub hidden: f64,
    /// For how long a query does not find them.
    #[arg(long, default_value = "uniform(1s,5s)", value_parser = Distribution::parse_time)]
    pub hidden_for: Distribution,
    /// Share that is answered with 500; half of it is taken all the same.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub failed: f64,
    /// Share of callbacks that are never made.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub callback_lost: f64,
    /// Share of callbacks that are made twice.
    #[arg(long, default_value = "0%", value_parser = parse_share)]
    pub callback_twice: f64,
    /// For how many seconds a token is good.
    #[arg(long, default_value_t = 3_600)]
    pub token_s: u64,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// What the acquirer was told.
    #[arg(long)]
    pub acks: PathBuf,
    /// What gateways were told.
    #[arg(long)]
    pub gateway_acks: Option<PathBuf>,
    /// The folder with the journal's manifest.
    #[arg(long)]
    pub journal: PathBuf,
    /// The truth at an issuer; several are possible.
    #[arg(long)]
    pub ledger: Vec<PathBuf>,
    /// PostgreSQL that the journal was applied to.
    #[arg(long)]
    pub db: Option<String>,
    /// Its schema.
    #[arg(long, default_value = "njia")]
    pub schema: String,
    /// Reads again until no reversal is owed any more, for at most this long.
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub settle: Duration,
}

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Transactions per second.
    #[arg(long, default_value_t = 10_000.0)]
    pub rate: f64,
    /// How long they are offered.
    #[arg(long, default_value = "20s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Offered before; in no verdict.
    #[arg(long, default_value = "3s", value_parser = parse_duration)]
    pub warmup: Duration,
    /// Share of them that a gateway brings as JSON; the rest is ISO 8583.
    #[arg(long, default_value = "30%", value_parser = parse_json_share)]
    pub json: f64,
    /// Connections of the acquirer by ISO 8583.
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// PostgreSQL to apply to, in a schema of its own.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub db: Option<String>,
    /// Keeps the folder with journal, ledgers, log and report: a fresh one, or the one named here.
    /// KEEP=1 in the environment does the same.
    #[arg(long, num_args = 0..=1, value_name = "DIR")]
    pub keep: Option<Option<PathBuf>>,
    /// The switch; otherwise the one beside this program, or on the PATH.
    #[arg(long)]
    pub njia: Option<PathBuf>,
    /// Of times, messages and amounts.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}

fn parse_json_share(text: &str) -> anyhow::Result<f64> {
    let share = parse_share(text)?;
    anyhow::ensure!(share < 1.0, "a part of it is ISO 8583");
    Ok(share)
}

/// Options of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// iso://host:port?framing=be16&header=tpdu:0001:8000&dialect=iso87-ascii
    pub target: Target,
    /// Minor units of Kenyan shillings.
    #[arg(long, default_value_t = 15_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=99_999_999))]
    pub amount_minor: u64,
    /// How long the answer is waited for.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Prints the framed message in hexadecimal instead of sending it.
    #[arg(long)]
    pub hex: bool,
    /// Allows targets that are neither loopback nor private.
    #[arg(long)]
    pub allow_remote: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_read() {
        let read = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(read("njia-loadgen run iso://127.0.0.1:1 --rate 500 --threshold p99<1s").is_ok());
        assert!(read("njia-loadgen run --print-scenario --scenario mixed").is_ok());
        assert!(read("njia-loadgen run").is_err());
        let gateway = "njia-loadgen run --gateway http://127.0.0.1:1 --gateway-key env:KEY";
        assert!(read(gateway).is_ok());
        assert!(read("njia-loadgen run iso://127.0.0.1:1 --gateway-share 30%").is_err());
        assert!(read("njia-loadgen run --gateway https://127.0.0.1:1/v1").is_err());
        assert!(read("njia-loadgen sim issuer --latency lognormal(20ms,0.4)").is_ok());
        assert!(read("njia-loadgen verify --acks a --journal j --ledger l --ledger m").is_ok());
        assert!(read("njia-loadgen demo --rate 100").is_ok());
        assert!(read("njia-loadgen run iso://127.0.0.1:1 --threshold p98<1s").is_err());
    }
}

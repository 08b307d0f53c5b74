//! Each command of the command line, from its options to its exit code.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use iso8583::Dialect;

use crate::cli::{
    Command, Format, RunArgs, ScenarioSource, SendArgs, SimArgs, SimCommand, SimHttpArgs,
    SimIssuerArgs, SimMomoArgs, VerifyArgs,
};
use crate::clock::Clock;
use crate::console::{complain, say};
use crate::issuer::{Behaviour, Fault, IssuerConfig, IssuerHost, MomoBehaviour, Speaks};
use crate::message::Wire;
use crate::profile::Profile;
use crate::report::{Summary, progress_line, text};
use crate::runner::{RunConfig, Snapshot, run};
use crate::scenario::Scenario;
use crate::stop::Stop;
use crate::target::Target;
use crate::threshold::Threshold;
use crate::verdict::Verdict;
use crate::verify::{Inputs, audit_settled};
use crate::{demo, send};

/// Exit code of an error of our own.
pub const ERROR: u8 = 1;
/// Exit code of a run that was ended by hand.
pub const INTERRUPTED: u8 = 130;

/// Does what the command line says; gives the exit code.
///
/// # Errors
/// Whatever keeps the command from giving a verdict.
pub fn perform(command: Command) -> Result<u8> {
    match command {
        Command::Run(args) => perform_run(*args),
        Command::Sim(SimCommand::Issuer(args)) => perform_sim_issuer(args),
        Command::Sim(SimCommand::Http(args)) => perform_sim_http(args),
        Command::Sim(SimCommand::Momo(args)) => perform_sim_momo(&args),
        Command::Verify(args) => perform_verify(args),
        Command::Demo(args) => demo::perform(args),
        Command::Send(args) => perform_send(&args),
    }
}

fn perform_run(args: RunArgs) -> Result<u8> {
    if args.print_scenario {
        let text = scenario_text(&args.scenario)?;
        say(format_args!("{}", text.trim_end()));
        return Ok(0);
    }
    let (format, out) = (args.format, args.out.clone());
    let config = run_config(args)?;
    if let Some(folder) = &out {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let stop = Stop::default();
    stop.on_signals()?;
    let mut before = Snapshot::default();
    let mut watch = |snapshot: &Snapshot| {
        complain(format_args!("{}", progress_line(snapshot, &before)));
        before = *snapshot;
    };
    let report = run(&config, Clock::start(), &stop, &mut watch)?;
    let command = command_line();
    let summary = Summary::new(&report, &config, &command);
    let shown = text(&report, &config, &command)?;
    if let Some(folder) = &out {
        summary.write(folder, &shown)?;
    }
    match format {
        Format::Text => say(format_args!("{}", shown.trim_end())),
        Format::Json => say(format_args!("{}", summary.json()?)),
    }
    if stop.is_asked() {
        return Ok(INTERRUPTED);
    }
    Ok(report.judgement.verdict.exit_code())
}

fn run_config(args: RunArgs) -> Result<RunConfig> {
    let mut target = args.target;
    let gateway = args.gateway.config(target.is_none())?;
    if let Some(target) = &mut target {
        target.tls = args.tls.client(args.server_name.as_deref())?;
    }
    if !args.allow_remote {
        target.as_ref().map_or(Ok(()), Target::require_near)?;
        gateway
            .as_ref()
            .map_or(Ok(()), |one| one.target.require_near())?;
    }
    let scenario = Scenario::parse(&scenario_text(&args.scenario)?)?;
    let profile = match &args.profile {
        Some(text) => Profile::parse(text)?,
        None => Profile::parse(&format!(
            "hold:{}@{}s",
            args.rate,
            args.duration.as_secs_f64()
        ))?,
    };
    let thresholds = if args.threshold.is_empty() {
        Threshold::defaults()
    } else {
        args.threshold
    };
    Ok(RunConfig {
        arrival: args.arrival,
        warmup: args.warmup,
        grace: args.grace,
        timeout: args.timeout,
        connections: args.connections,
        threads: args.threads,
        inflight_max: args.inflight_max,
        seed: args.seed,
        insists: args.insist,
        acks: args.out.map(|folder| folder.join("acks.log")),
        scenario: Arc::new(scenario),
        gateway,
        profile,
        thresholds,
        ..RunConfig::new(target, 1.0, args.duration)?
    })
}

fn scenario_text(source: &ScenarioSource) -> Result<String> {
    match source {
        ScenarioSource::Purchases => Ok(Scenario::built_in_text().to_owned()),
        ScenarioSource::Mixed => Ok(Scenario::mixed_text().to_owned()),
        ScenarioSource::File(path) => read(path),
    }
}

fn perform_sim_issuer(args: SimIssuerArgs) -> Result<u8> {
    let dialect = Dialect::by_name(&args.dialect)
        .with_context(|| format!("the dialect `{}` is not known", args.dialect))?;
    let wire = Wire {
        dialect,
        framing: args.framing,
        header: args.header,
    };
    let sign_on = args.sign_on;
    let config = args.issuer.config(Speaks::Iso { wire, sign_on })?;
    let behaviour = Behaviour {
        duplicate: args.duplicate,
        ..config.behaviour
    };
    let config = IssuerConfig {
        behaviour,
        tls: args.tls.server()?,
        ..config
    };
    simulate(config, args.issuer.ready_file.as_deref())
}

fn perform_sim_http(args: SimHttpArgs) -> Result<u8> {
    let config = args.issuer.config(Speaks::Json)?;
    let config = IssuerConfig {
        tls: args.tls.server()?,
        ..config
    };
    simulate(config, args.issuer.ready_file.as_deref())
}

fn perform_sim_momo(args: &SimMomoArgs) -> Result<u8> {
    let config = args.issuer.config(Speaks::Momo(MomoBehaviour {
        payer: args.payer,
        unconfirmed: args.unconfirmed,
        expiry: args.expiry,
        hidden: args.hidden,
        hidden_for: args.hidden_for,
        failed: args.failed,
        callback_lost: args.callback_lost,
        callback_twice: args.callback_twice,
        token_s: args.token_s,
    }))?;
    let config = IssuerConfig {
        tls: args.tls.server()?,
        ..config
    };
    simulate(config, args.issuer.ready_file.as_deref())
}

impl SimArgs {
    /// What both kinds are told, of one that `speaks`.
    fn config(&self, speaks: Speaks) -> Result<IssuerConfig> {
        let mut faults = self.fault.clone();
        if let Some(path) = &self.faults {
            faults.extend(Fault::parse_script(&read(path)?)?);
        }
        Ok(IssuerConfig {
            name: "issuer".to_owned(),
            listen: self.listen,
            speaks,
            behaviour: Behaviour {
                latency: self.latency,
                decline: self.decline,
                silent: self.silent,
                late: self.late,
                late_by: self.late_by,
                duplicate: 0.0,
                garble: self.garble,
            },
            faults,
            ledger: self.ledger.clone(),
            tls: None,
            seed: self.seed,
        })
    }
}

/// Runs one until it is ended by hand.
fn simulate(config: IssuerConfig, ready_file: Option<&Path>) -> Result<u8> {
    let stop = Stop::default();
    stop.on_signals()?;
    let host = IssuerHost::start(vec![config], Clock::start())?;
    let address = host.address(0);
    say(format_args!("issuer listens on {address}; Ctrl-C ends it"));
    if let Some(path) = ready_file {
        write_ready(path, &serde_json::json!({ "address": address.to_string() }))?;
    }
    while !stop.wait(std::time::Duration::from_secs(3_600)) {}
    for (_, stats) in host.finish()? {
        say(format_args!("{stats:#?}"));
    }
    Ok(0)
}

/// Writes the file whole: whoever waits for it never sees a part.
fn write_ready(path: &Path, content: &serde_json::Value) -> Result<()> {
    let aside = path.with_extension("new");
    std::fs::write(&aside, content.to_string())
        .and_then(|()| std::fs::rename(&aside, path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn perform_verify(args: VerifyArgs) -> Result<u8> {
    let inputs = Inputs {
        acks: args.acks,
        gateway: args.gateway_acks,
        journal: args.journal,
        ledgers: args.ledger,
        database: args.db.map(|url| (url, args.schema)),
    };
    let stop = Stop::default();
    stop.on_signals()?;
    let audit = audit_settled(&inputs, args.settle, &stop)?;
    let verdict = if audit.passed() {
        Verdict::Pass
    } else {
        Verdict::Fail
    };
    say(format_args!("{verdict}  {}", audit.to_string().trim_end()));
    Ok(verdict.exit_code())
}

fn perform_send(args: &SendArgs) -> Result<u8> {
    if !args.allow_remote {
        args.target.require_near()?;
    }
    let clock = Clock::start();
    let shown = if args.hex {
        send::hex(&args.target, args.amount_minor, clock)?
    } else {
        send::send(&args.target, args.amount_minor, args.timeout, clock)?
    };
    say(format_args!("{}", shown.trim_end()));
    Ok(0)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// What repeats this run.
fn command_line() -> String {
    let words = std::env::args().skip(1);
    words.fold("njia-loadgen".to_owned(), |line, word| {
        if word.contains(['?', '&', ' ', '<', '>', '*']) {
            format!("{line} '{word}'")
        } else {
            format!("{line} {word}")
        }
    })
}

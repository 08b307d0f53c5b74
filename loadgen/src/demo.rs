//! The first five minutes: issuers, switch, load, an outage, and the proof.

mod config;
mod folder;
mod scrape;
mod show;
mod switch;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::DemoArgs;
use crate::clock::Clock;
use crate::command::INTERRUPTED;
use crate::console::say;
use crate::distribution::Distribution;
use crate::gateway::{Credential, GatewayConfig, GatewayTarget};
use crate::issuer::{Behaviour, IssuerConfig, IssuerHost, IssuerStats, Speaks};
use crate::profile::Profile;
use crate::report::{Summary, text};
use crate::runner::{RunConfig, RunReport, gateway_acks, run};
use crate::stop::Stop;
use crate::target::Target;
use crate::units::{show_count, show_duration};
use crate::verdict::{Judgement, Verdict};
use crate::verify::{Audit, Inputs, audit, drop_schema, is_applied, last_records};
use folder::DemoFolder;
use scrape::Metrics;
use show::Screen;
use switch::{Database, Switch};

/// Runs the demo; gives the exit code.
///
/// # Errors
/// Something could not be started, or did not end as it must.
pub fn perform(args: DemoArgs) -> Result<u8> {
    let stop = Stop::default();
    stop.on_signals()?;
    let mut folder = DemoFolder::create(&args)?;
    let database = args.db.clone().map(Database::own_schema);
    let result = Demo::new(args, &folder, database.as_ref(), stop.clone()).perform();
    if let Some(database) = &database {
        // The verdict stands whether or not the schema could be dropped.
        if let Err(error) = drop_schema(&database.url, &database.schema) {
            say(format_args!(
                "the schema {} is left: {error:#}",
                database.schema
            ));
        }
    }
    let passed = matches!(&result, Ok(Verdict::Pass));
    folder.close(passed);
    if stop.is_asked() {
        say(format_args!("INVALID  ended by hand"));
        return Ok(INTERRUPTED);
    }
    result.map(Verdict::exit_code)
}

struct Demo<'a> {
    args: DemoArgs,
    folder: &'a DemoFolder,
    database: Option<&'a Database>,
    stop: Stop,
    clock: Clock,
}

impl<'a> Demo<'a> {
    fn new(
        args: DemoArgs,
        folder: &'a DemoFolder,
        database: Option<&'a Database>,
        stop: Stop,
    ) -> Self {
        Self {
            args,
            folder,
            database,
            stop,
            clock: Clock::start(),
        }
    }

    fn perform(&self) -> Result<Verdict> {
        let program = switch::find(self.args.njia.as_deref())?;
        let issuers = IssuerHost::start(self.issuers(), self.clock)?;
        let addresses = [0, 1, 2].map(|place| issuers.address(place));
        let mut njia = Switch::start(&program, self.folder, addresses, self.database)?;
        let outcome = self.with_switch(&mut njia, &issuers);
        let stats = issuers.finish();
        let outcome = outcome.and_then(|load| self.prove(load, &stats?));
        match outcome {
            Ok(proven) => Ok(self.conclude(&proven)),
            Err(error) if self.stop.is_asked() => Err(error),
            Err(error) => {
                say(format_args!("{}", njia.log_tail(self.folder)));
                say(format_args!("FAIL  {error:#}"));
                Ok(Verdict::Fail)
            }
        }
    }

    /// Everything between the switch's start and its end.
    fn with_switch(&self, njia: &mut Switch, issuers: &IssuerHost) -> Result<Load> {
        let ready = njia.wait_until_ready(&self.stop)?;
        let target = Target::plain(ready.listener);
        self.introduce(&ready, issuers, &target, njia.id())?;
        let metrics = Metrics::new(ready.admin);
        let report = self.offer(self.load(&ready)?, issuers, &metrics)?;
        if self.stop.is_asked() {
            bail!("ended by hand");
        }
        let caught_up = self.catch_up()?;
        self.settle(&metrics)?;
        njia.end(&self.stop)?;
        Ok(Load { report, caught_up })
    }

    fn issuers(&self) -> Vec<IssuerConfig> {
        let wire = Target::plain(SocketAddr::from(([127, 0, 0, 1], 0))).wire;
        let iso = Speaks::Iso {
            wire,
            sign_on: true,
        };
        let issuer = |name: &str, speaks, median: f64, seed: u64| IssuerConfig {
            name: name.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            speaks,
            behaviour: Behaviour {
                latency: Distribution::Lognormal {
                    median: median * 1e6,
                    sigma: 0.4,
                },
                decline: 0.03,
                silent: 0.0002,
                late: 0.0001,
                late_by: Distribution::Uniform {
                    low: 2.5e9,
                    high: 4e9,
                },
                duplicate: 0.0001,
                garble: 0.0,
            },
            faults: Vec::new(),
            ledger: Some(self.folder.path().join(format!("{name}.ledger"))),
            tls: None,
            seed,
        };
        vec![
            issuer("bank", iso, 20.0, self.args.seed),
            issuer("momo", iso, 35.0, self.args.seed + 1),
            issuer(config::WALLET, Speaks::Json, 30.0, self.args.seed + 2),
        ]
    }

    fn introduce(
        &self,
        ready: &switch::Ready,
        issuers: &IssuerHost,
        target: &Target,
        id: u32,
    ) -> Result<()> {
        let folder = self.folder.path().display();
        let sample = crate::send::hex(target, 15_000, self.clock)?;
        let port = ready.listener.port();
        say(format_args!(
            "njia        process {id}, listener pos at iso://{}, gateway {} at http://{}",
            ready.listener,
            config::GATEWAY,
            ready.gateway
        ));
        say(format_args!(
            "status      curl http://{}/metrics",
            ready.admin
        ));
        say(format_args!(
            "issuers     bank at {}, momo at {}, {} at http://{}",
            issuers.address(0),
            issuers.address(1),
            config::WALLET,
            issuers.address(2)
        ));
        say(format_args!("journal     {}", ready.journal.display()));
        say(format_args!(
            "files       {folder} (acks.log, gateway-acks.log, ledgers, njia.log, njia.toml)"
        ));
        say(format_args!(
            "by hand     echo {sample} | xxd -r -p | timeout 2 nc 127.0.0.1 {port} | xxd"
        ));
        say(format_args!(
            "            {}",
            config::curl(self.folder, ready.gateway)
        ));
        Ok(())
    }

    /// What is offered: ISO 8583 and JSON beside it.
    fn load(&self, ready: &switch::Ready) -> Result<RunConfig> {
        let args = &self.args;
        let target = Target::plain(ready.listener);
        let mut config = RunConfig::new(target, args.rate, args.duration)?;
        if args.json > 0.0 {
            let gateway = GatewayTarget::at(ready.gateway);
            let key = Credential::new(&std::fs::read_to_string(config::key_path(self.folder))?)?;
            config.gateway = Some(GatewayConfig::new(gateway, key, args.json));
        }
        config.profile = Profile::hold(args.rate, args.duration);
        config.warmup = args.warmup;
        config.connections = args.connections;
        config.seed = args.seed;
        config.acks = Some(self.folder.path().join("acks.log"));
        config.thresholds = demo_thresholds()?;
        Ok(config)
    }

    /// Offers the load; in its middle one issuer stops answering.
    fn offer(
        &self,
        config: RunConfig,
        issuers: &IssuerHost,
        metrics: &Metrics,
    ) -> Result<RunReport> {
        let control = issuers.control(1);
        let mut screen = Screen::new(self.args.warmup, self.args.duration, metrics);
        let report = run(&config, self.clock, &self.stop, &mut |snapshot| {
            control.mute(screen.outage(snapshot.elapsed));
            screen.show(snapshot);
        });
        control.mute(false);
        let report = report?;
        screen.conclude()?;
        let shown = text(&report, &config, "njia-loadgen demo")?;
        Summary::new(&report, &config, "njia-loadgen demo").write(self.folder.path(), &shown)?;
        Ok(report)
    }

    /// Waits until PostgreSQL has what was in the journal at the end of the load; says how long
    /// that took.
    fn catch_up(&self) -> Result<Option<Duration>> {
        let Some(Database { url, schema }) = self.database else {
            return Ok(None);
        };
        let ended = self.clock.now();
        let last = last_records(&self.folder.journal())?;
        let applied = self
            .stop
            .until(SETTLE, INTERVAL, || is_applied(url, schema, &last))?;
        if !applied {
            bail!("PostgreSQL did not catch up within {} s", SETTLE.as_secs());
        }
        let took = self.clock.now().since(ended);
        say(format_args!(
            "PostgreSQL  has everything {} after the load",
            show_duration(took)
        ));
        Ok(Some(took))
    }

    /// Waits until no reversal is owed.
    fn settle(&self, metrics: &Metrics) -> Result<()> {
        let settled = self
            .stop
            .until(SETTLE, INTERVAL, || Ok(metrics.read()?.is_settled()))?;
        if !settled {
            bail!("reversals are still owed after {} s", SETTLE.as_secs());
        }
        Ok(())
    }

    /// Compares everything with everything.
    fn prove(&self, load: Load, issuers: &[(String, IssuerStats)]) -> Result<Proven> {
        let path = |name: &str| self.folder.path().join(name);
        let inputs = Inputs {
            acks: path("acks.log"),
            gateway: (self.args.json > 0.0).then(|| gateway_acks(&path("acks.log"))),
            journal: self.folder.journal(),
            ledgers: ["bank", "momo", config::WALLET]
                .map(|name| path(&format!("{name}.ledger")))
                .to_vec(),
            database: self
                .database
                .map(|database| (database.url.clone(), database.schema.clone())),
        };
        let audit = audit(&inputs).context("the proof could not be made")?;
        std::fs::write(path("verify.txt"), audit.to_string())?;
        let mut judgement = load.report.judgement.clone();
        if !audit.passed() {
            judgement.fail("the proof failed".to_owned());
        }
        for (name, stats) in issuers {
            for (count, what) in stats.breaches() {
                judgement.fail(format!("issuer {name}: {count} {what}"));
            }
        }
        if let Some(took) = load.caught_up.filter(|took| *took > CAUGHT_UP) {
            let (took, bound) = (show_duration(took), show_duration(CAUGHT_UP));
            judgement.fail(format!(
                "PostgreSQL caught up after {took}, not within {bound}"
            ));
        }
        Ok(Proven {
            judgement,
            report: load.report,
            audit,
        })
    }

    /// The line that everything was for.
    fn conclude(&self, proven: &Proven) -> Verdict {
        let Proven {
            judgement,
            report,
            audit,
        } = proven;
        if !audit.passed() {
            say(format_args!("{audit}"));
        }
        for reason in &judgement.reasons {
            say(format_args!("because     {reason}"));
        }
        let response = &report.totals.all.latencies.response;
        let at = |quantile| {
            let micros = response.value_at_quantile(quantile);
            show_duration(Duration::from_micros(micros))
        };
        let equal = audit.sums_in_words();
        let database = if self.database.is_some() && audit.passed() {
            ", PostgreSQL the same"
        } else {
            ""
        };
        say(format_args!(
            "{}  {} transactions, p50 {}, p99 {}, p99.9 {}, lost {}, doubled {}, {} reversed, \
            {equal}: \
             {}{database}",
            judgement.verdict,
            show_count(audit.transactions),
            at(0.5),
            at(0.99),
            at(0.999),
            audit.lost(),
            audit.doubled(),
            show_count(audit.reversed),
            audit.currencies(),
        ));
        judgement.verdict
    }
}

/// What was offered, and how long PostgreSQL took to have it.
struct Load {
    report: RunReport,
    caught_up: Option<Duration>,
}

/// What was offered and what is proven of it.
struct Proven {
    judgement: Judgement,
    report: RunReport,
    audit: Audit,
}

fn demo_thresholds() -> Result<Vec<crate::threshold::Threshold>> {
    ["p99<400ms", "error_rate<0.1%", "declines_unexpected<0.1%"]
        .into_iter()
        .map(str::parse)
        .collect()
}

/// Reversals to an issuer that was silent are sent again within this time.
const SETTLE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(250);
/// PostgreSQL has everything so long after the end of the load.
const CAUGHT_UP: Duration = Duration::from_secs(5);

//! `make flood`: what a well-behaved acquirer and gateway feel of another one that floods.
//!
//! CALM transactions a second, half of them JSON, are offered alone and beside FLOOD requests a
//! second of a gateway that may ask for 500, and of an acquirer that may have 8 in flight; in turn,
//! ROUNDS times, against one switch. The generators share the machine with what they ask, and a
//! busier machine is a slower one: so it is also measured beside the same floods of a second
//! switch, which have nothing in common with the calm ones but the machine. Reported, never
//! asserted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use njia_tests::e2e::gateway::{API_KEY, GATEWAY, KEY};
use njia_tests::e2e::{Build, Issuers, Load, LoadReport, Node, Running};

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::var("OUT").context("OUT names the folder of the report")?);
    let number = |name: &str, otherwise: u32| -> Result<u32> {
        match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name}={text}")),
            Err(_) => Ok(otherwise),
        }
    };
    let (calm, flood) = (number("CALM", 2_000)?, number("FLOOD", 5_000)?);
    let rounds = number("ROUNDS", 3)?;
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    let stage = Stage::start(&out.join("own"))?;
    let elsewhere = Stage::start(&out.join("other"))?;
    println!("{calm}/s, half of them JSON, beside {flood}/s; p50 and p99 of the former, in turn");
    let mut all: [Vec<f64>; 5] = Default::default();
    for round in 1..=rounds {
        for (found, floods) in all.iter_mut().zip(Floods::ALL) {
            let flooded = floods.of(&stage, &elsewhere);
            let measured = stage.measure((floods, flooded), calm, flood, &out)?;
            let (p50, p99) = (
                measured.calm.number("/response/p50_us") / 1e3,
                measured.calm.number("/response/p99_us") / 1e3,
            );
            found.push(p99);
            println!(
                "round {round}, {:<28} p50 {p50:6.1} ms, p99 {p99:6.1} ms{}",
                floods.name(),
                measured.flooded()
            );
        }
    }
    for (what, of) in [("median", median as fn(&[f64]) -> f64), ("lowest", lowest)] {
        tell(what, [0, 1, 2, 3, 4].map(|place| of(&all[place])));
    }
    elsewhere.close()?;
    stage.close()
}

fn tell(what: &str, p99: [f64; 5]) {
    let [alone, other_gateway, gateway, other_acquirer, acquirer] = p99;
    for (floods, p99) in Floods::ALL.into_iter().zip(p99) {
        println!(
            "{what} of {:<28} p99 {p99:6.1} ms, {:+.1} %",
            floods.name(),
            shift(p99, alone)
        );
    }
    println!(
        "{what} beside the same flood of another switch: a gateway {:+.1} %, an acquirer {:+.1} %",
        shift(gateway, other_gateway),
        shift(acquirer, other_acquirer)
    );
}

/// Who floods.
#[derive(Clone, Copy)]
enum Floods {
    Nobody,
    OtherGateway,
    Gateway,
    OtherAcquirer,
    Acquirer,
}

impl Floods {
    const ALL: [Self; 5] = [
        Self::Nobody,
        Self::OtherGateway,
        Self::Gateway,
        Self::OtherAcquirer,
        Self::Acquirer,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "alone",
            Self::OtherGateway => "a gateway floods elsewhere",
            Self::Gateway => "a gateway floods",
            Self::OtherAcquirer => "an acquirer floods elsewhere",
            Self::Acquirer => "an acquirer floods",
        }
    }

    /// The switch that is flooded.
    const fn of<'a>(self, own: &'a Stage, other: &'a Stage) -> &'a Stage {
        match self {
            Self::Nobody | Self::Gateway | Self::Acquirer => own,
            Self::OtherGateway | Self::OtherAcquirer => other,
        }
    }
}

/// In hundredths.
fn shift(p99: f64, of: f64) -> f64 {
    (p99 / of - 1.0) * 100.0
}

/// What both sides of one measurement have found.
struct Measured {
    calm: LoadReport,
    flood: Option<LoadReport>,
}

impl Measured {
    fn flooded(&self) -> String {
        let Some(flood) = &self.flood else {
            return String::new();
        };
        let (sent, refused) = (flood.number("/sent"), flood.number("/refused"));
        format!("; the other one sent {sent:.0}, of which {refused:.0} were refused")
    }
}

/// A switch with a calm and a loud one of each kind.
struct Stage {
    node: Node,
    issuers: Issuers,
}

impl Stage {
    fn start(out: &Path) -> Result<Self> {
        std::fs::create_dir_all(out)?;
        let issuers = Issuers::start(out, Duration::from_millis(5))?;
        let config = out.join("njia.toml");
        std::fs::write(&config, Self::configured(out, issuers.addresses()))?;
        let state = out.join("state");
        let key = [("NJIA_TEST_KEY", KEY)];
        let node = Node::configured(Build::Product, &config, &state, &key)?;
        Ok(Self { node, issuers })
    }

    fn configured(out: &Path, [bank, momo]: [SocketAddr; 2]) -> String {
        let loud = GATEWAY
            .replace("\"mobile\"", "\"loud\"")
            .replace("\"mobile-money\"", "\"loud-money\"");
        format!(
            r#"
[node]
state_dir = "{}"

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[[acquirer]]
name = "calm"

[[acquirer]]
name = "loud"
inflight_max = 8

[[acquirer]]
name = "mobile-money"

[[acquirer]]
name = "loud-money"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "calm"

[[listener]]
name = "loud"
address = "127.0.0.1:0"
acquirer = "loud"
{GATEWAY}{loud}rate_per_second = 500

[[issuer]]
name = "bank"
addresses = ["{bank}"]
institution = "100001"
sign_on = true

[[issuer]]
name = "momo"
addresses = ["{momo}"]
institution = "100002"
sign_on = true

[[route]]
name = "all"
prefixes = ["4", "5", "6", "2"]
candidates = ["bank", "momo"]
deadline_ms = 5_000
"#,
            out.join("state").display()
        )
    }

    fn measure(
        &self,
        (floods, flooded): (Floods, &Self),
        calm: u32,
        flood: u32,
        out: &Path,
    ) -> Result<Measured> {
        let key = out.join("api.key");
        std::fs::write(&key, API_KEY)?;
        let json = |of: &Self, name: &str, share: &str| {
            let gateway = format!("http://{}", of.node.gateway_named(name));
            let key = format!("file:{}", key.display());
            [
                "--gateway",
                &gateway,
                "--gateway-key",
                &key,
                "--gateway-share",
                share,
            ]
            .into_iter()
            .chain(["--gateway-repeat", "0%", "--gateway-reverse", "0%"])
            .map(str::to_owned)
            .collect::<Vec<_>>()
        };
        let load = |rate, seed, more| Load {
            rate,
            duration: "6s".to_owned(),
            warmup: "1s".to_owned(),
            timeout: "5s".to_owned(),
            seed,
            connections: 32,
            more,
        };
        let begin = |of: &Self, listener: &str, load: Load, name: &str| -> Result<Running> {
            load.start(of.node.listener_named(listener), &out.join(name))
        };
        let seed = u64::from(std::process::id());
        let other = match floods {
            Floods::Nobody => None,
            Floods::Gateway | Floods::OtherGateway => {
                let load = load(flood, seed + 1, json(flooded, "loud", "100%"));
                Some(begin(flooded, "pos", load, "flood")?)
            }
            Floods::Acquirer | Floods::OtherAcquirer => {
                let load = load(flood, seed + 1, Vec::new());
                Some(begin(flooded, "loud", load, "flood")?)
            }
        };
        let load = load(calm, seed, json(self, "mobile", "50%"));
        let calm = begin(self, "pos", load, "calm")?.finish()?;
        let flood = other.map(Running::finish).transpose()?;
        ensure!(calm.number("/timeout") < 1.0, "{}", calm.printed);
        Ok(Measured { calm, flood })
    }

    fn close(self) -> Result<()> {
        self.node.settle(Duration::from_secs(60))?;
        ensure!(self.node.terminate()?.success(), "the switch ends with 0");
        self.issuers.finish()
    }
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What others on the machine have disturbed least.
fn lowest(all: &[f64]) -> f64 {
    all.iter().copied().fold(f64::INFINITY, f64::min)
}

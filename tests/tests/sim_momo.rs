//! `njia-loadgen sim momo`, asked by the real switch as docs/loadgen.md has it: each payment ends,
//! whatever becomes of its answer, its callbacks and the first question for it, and the operator's
//! ledger says the same of the money as the switch.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use njia_tests::e2e::gateway::{API_KEY, GATEWAY, KEY};
use njia_tests::e2e::{Build, Node, alone, eventually, folder, variable_or};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);
const DOCUMENT: &str = include_str!("../../docs/loadgen.md");

fn loadgen() -> Command {
    let mut command = Command::new(variable_or("NJIA_BIN_DIR", "release").join("njia-loadgen"));
    command.env_remove("DATABASE_URL");
    command
}

/// The operator, in a process of its own.
struct Operator {
    child: Child,
    address: String,
    ledger: PathBuf,
}

impl Operator {
    fn start(folder: &Path) -> Self {
        let (ready, ledger) = (folder.join("momo.ready"), folder.join("momo.ledger"));
        let child = loadgen()
            .args([
                "sim",
                "momo",
                "--latency",
                "5ms",
                "--payer",
                "lognormal(300ms,0.5)",
            ])
            .args(["--decline", "10%", "--silent", "2%", "--failed", "4%"])
            .args(["--hidden", "10%", "--hidden-for", "uniform(100ms,1500ms)"])
            .args(["--callback-lost", "30%", "--callback-twice", "20%"])
            .arg("--ready-file")
            .arg(&ready)
            .arg("--ledger")
            .arg(&ledger)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        assert!(eventually(PATIENCE, || ready.exists()));
        let text = fs::read_to_string(&ready).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        let address = told["address"].as_str().unwrap().to_owned();
        Self {
            child,
            address,
            ledger,
        }
    }

    /// Its ledger is whole; what it says of itself.
    fn finish(self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        text(&self.child.wait_with_output().unwrap())
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// What the document says of an issuer, between these two of its sections.
fn documented() -> &'static str {
    let (_, rest) = DOCUMENT.split_once("## Mobile-money operators").unwrap();
    let (_, rest) = rest.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0
}

fn configuration(state: &Path, operator: &str, callbacks: u16) -> String {
    let asked = documented()
        .replace("127.0.0.1:9300", operator)
        .replace("MOMO_KEY", "NJIA_TEST_KEY");
    format!(
        r#"
[node]
state_dir = "{}"
shards = 2

[keys]
token_key = "env:NJIA_TEST_KEY"
pan_key = "env:NJIA_TEST_KEY"
hash_key = "env:NJIA_TEST_KEY"

[admin]
address = "127.0.0.1:0"

[limits]
request_wait_max_ms = 10_000

[saf]
backoff_first_ms = 200
backoff_max_s = 1

[issuer_callbacks]
address = "127.0.0.1:0"
url = "http://127.0.0.1:{callbacks}/told"
secrets = ["env:NJIA_TEST_KEY"]
plaintext = true

[[acquirer]]
name = "acquirer-1"

[[acquirer]]
name = "mobile-money"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"

[[issuer]]
name = "momo"
protocol = "http"
addresses = ["{operator}"]
institution = "100004"
links = 2
{asked}
{GATEWAY}
[[route]]
name = "wallets"
prefixes = ["254"]
candidates = ["momo"]
deadline_ms = 60_000
"#,
        state.display()
    )
}

/// Hands on what comes there: where callbacks go is said before it is known where they are taken.
fn hand_on(listener: TcpListener, to: String) {
    thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let to = to.clone();
            // Whoever is gone hears nothing more, and neither does the other.
            thread::spawn(move || -> io::Result<()> {
                let there = TcpStream::connect(to)?;
                let (mut answers, mut back) = (there.try_clone()?, from.try_clone()?);
                thread::spawn(move || io::copy(&mut answers, &mut back).ok());
                io::copy(&mut &from, &mut &there)?;
                Ok(())
            });
        }
    });
}

#[test]
fn each_payment_ends_and_both_sides_say_the_same_of_it() {
    let _machine = alone();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "sim-momo");
    let operator = Operator::start(&folder);
    let callbacks = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = callbacks.local_addr().unwrap().port();
    let (config, state) = (folder.join("njia.toml"), folder.join("state"));
    fs::write(&config, configuration(&state, &operator.address, port)).unwrap();
    let key = [("NJIA_TEST_KEY", KEY)];
    let node = Node::configured(Build::Product, &config, &state, &key).unwrap();
    hand_on(callbacks, node.issuer_callbacks().to_owned());
    let token = "njia_issuer_token_expiry_timestamp_seconds";
    assert!(eventually(PATIENCE, || {
        node.metric(token, &["momo"]).unwrap() > 0.0
    }));

    let load = folder.join("load");
    let output = loadgen()
        .args([
            "run",
            "--gateway-key",
            "env:NJIA_TEST_GATEWAY_KEY",
            "--gateway",
        ])
        .arg(format!("http://{}", node.gateway_named("mobile")))
        .args(["--gateway-repeat", "5%", "--gateway-reverse", "10%"])
        .args(["--rate", "40", "--duration", "6s", "--warmup", "0s"])
        .args(["--timeout", "30s", "--grace", "40s", "--out"])
        .arg(&load)
        .env("NJIA_TEST_GATEWAY_KEY", API_KEY)
        .output()
        .unwrap();
    let printed = text(&output);
    node.settle(Duration::from_secs(90)).unwrap();
    let decided = |outcome: &str| {
        let labels = ["ingress=\"http\"", &format!("outcome=\"{outcome}\"")];
        node.metric("njia_transactions_total", &labels).unwrap()
    };
    assert!(decided("approved") > 100.0, "{printed}");
    assert!(decided("declined") > 5.0, "{printed}");
    let taken = node
        .metric("njia_issuer_callbacks_total", &["taken"])
        .unwrap();
    assert!(taken > 50.0, "{taken} callbacks: {printed}");
    assert!(node.terminate().unwrap().success());
    let ledger = operator.ledger.clone();
    let told = operator.finish();
    for never in ["requests_doubled: 0", "unreadable: 0"] {
        assert!(told.contains(never), "{told}");
    }
    check_money(&load, &state, &ledger);
    fs::remove_dir_all(&folder).unwrap();
}

/// The proof, and that it finds a payment that the operator has executed and nobody was told of.
fn check_money(load: &Path, state: &Path, ledger: &Path) {
    let proven = || {
        let output = loadgen()
            .args(["verify", "--acks"])
            .arg(load.join("acks.log"))
            .arg("--gateway-acks")
            .arg(load.join("gateway-acks.log"))
            .arg("--journal")
            .arg(state.join("journal"))
            .arg("--ledger")
            .arg(ledger)
            .output()
            .unwrap();
        (output.status.code(), text(&output))
    };
    let (exit, proof) = proven();
    assert_eq!(exit, Some(0), "{proof}");
    let whole = fs::read_to_string(ledger).unwrap();
    let first = whole
        .lines()
        .find(|line| line.starts_with("approve "))
        .unwrap();
    fs::write(ledger, whole.replacen(&format!("{first}\n"), "", 1)).unwrap();
    let (exit, proof) = proven();
    assert_eq!(exit, Some(99), "{proof}");
}

//! The stage of tests about issuers over HTTP that answer later.
#![allow(dead_code, reason = "each of the tests takes its part")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use njia_tests::e2e::gateway::{GATEWAY, PAYMENT};
use njia_tests::e2e::json_bank::{JsonBank, Submit, issuer_text};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Build, Node, Session, eventually, folder};

/// A switch with a gateway and an issuer that may answer later.
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) bank: JsonBank,
    pub(crate) folder: PathBuf,
}

impl Stage {
    /// A switch whose cards are at `bank`; `more` is said of its query.
    pub(crate) fn open(name: &str, deadline_ms: u32, more: &str) -> Self {
        Self::with(name, deadline_ms, more, |text| text)
    }

    /// The same; `change` is made to what is said of the issuer.
    pub(crate) fn with(
        name: &str,
        deadline_ms: u32,
        more: &str,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let often = format!("poll_schedule_s = {:?}\n{more}", [1; 26]);
        Self::asking(name, deadline_ms, &often, change)
    }

    /// The same; `query` is all that is said of when it is asked.
    pub(crate) fn asking(
        name: &str,
        deadline_ms: u32,
        query: &str,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let bank = JsonBank::start().unwrap();
        Self::over(bank, name, (deadline_ms, query), change)
    }

    pub(crate) fn over(
        bank: JsonBank,
        name: &str,
        (deadline_ms, query): (u32, &str),
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let folder = folder(env!("CARGO_TARGET_TMPDIR"), name);
        let text = format!(
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

[[acquirer]]
name = "acquirer-1"

[[acquirer]]
name = "mobile-money"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"
{}
[issuer.http.query]
path = "/payments/{{ourId}}"
{query}
{GATEWAY}
[[route]]
name = "cards"
prefixes = ["5", "254"]
candidates = ["bank"]
deadline_ms = {deadline_ms}
"#,
            folder.join("state").display(),
            change(issuer_text("bank", bank.address())),
        );
        fs::write(folder.join("njia.toml"), text).unwrap();
        Self::on(folder, bank)
    }

    pub(crate) fn on(folder: PathBuf, bank: JsonBank) -> Self {
        let (config, state) = (folder.join("njia.toml"), folder.join("state"));
        let node = Node::configured(Build::Product, &config, &state, &[("NJIA_TEST_KEY", KEY)]);
        let stage = Self {
            node: node.unwrap(),
            bank,
            folder,
        };
        stage.await_that("the links are up", || {
            let links = |state| stage.node.metric("njia_links", &["issuer=\"bank\"", state]);
            let (up, all) = (links("state=\"up\""), links(""));
            up.is_ok_and(|up| up > 0.0 && all.is_ok_and(|all| up >= all))
        });
        stage
    }

    pub(crate) fn killed(self) -> Self {
        self.killed_and(|_| {})
    }

    /// The same; `meanwhile` something is done about its folder.
    pub(crate) fn killed_and(self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.node.kill().unwrap();
        meanwhile(&self.folder);
        Self::on(self.folder, self.bank)
    }

    #[track_caller]
    pub(crate) fn await_that(&self, what: &str, found: impl FnMut() -> bool) {
        let is_so = eventually(Duration::from_secs(60), found);
        assert!(
            is_so,
            "{what}: {:?}\n{}",
            self.bank.effects(),
            self.node.log()
        );
    }

    /// What the bank has executed, in its order.
    pub(crate) fn effects(&self) -> Vec<(String, u64)> {
        let effects = self.bank.effects().into_iter();
        effects.map(|(kind, _, minor)| (kind, minor)).collect()
    }

    /// How many submits were written.
    pub(crate) fn submits(&self) -> usize {
        let heads = self.bank.heads();
        let is_submit = |head: &&String| head.starts_with("POST /v1/payments ");
        heads.iter().filter(is_submit).count()
    }

    /// How many payments were asked for.
    pub(crate) fn asked_for(&self) -> usize {
        let heads = self.bank.heads();
        let queries = heads.iter().filter(|head| head.starts_with("GET "));
        let paths: HashSet<&str> = queries.filter_map(|head| head.split(' ').nth(1)).collect();
        paths.len()
    }

    /// How many transactions were decided so in this start.
    pub(crate) fn ended_as(&self, outcome: &str) -> f64 {
        let outcome = format!("outcome=\"{outcome}\"");
        let name = "njia_transactions_total";
        self.node.metric(name, &[&outcome]).unwrap_or_default()
    }

    /// Pays from a gateway, and does not wait for the end.
    pub(crate) fn pay(&self, key: &str) -> serde_json::Value {
        let key = format!("Idempotency-Key: {key}");
        let headers = ["-H", "Prefer: respond-async", "-H", &key];
        self.curl(
            "/v1/transactions",
            &[&headers[..], &["--data-binary", PAYMENT]].concat(),
        )
    }

    /// An 0200 of this script is sent; whose answer is read is its session.
    pub(crate) fn sent(&self, submit: Submit) -> Session {
        self.bank.script(&[submit]);
        let mut session = Session::connect(self.node.listener()).unwrap();
        session.send(&purchase("000001")).unwrap();
        session
    }

    pub(crate) fn curl(&self, path: &str, more: &[&str]) -> serde_json::Value {
        let url = format!("http://{}{path}", self.node.gateway_named("mobile"));
        let output = std::process::Command::new("curl")
            .args(["-sS", "--max-time", "60"])
            .args(["-H", "Authorization: Bearer mobile-test-key"])
            .args(["-H", "Content-Type: application/json"])
            .args(more)
            .arg(&url)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn close(self) {
        fs::remove_dir_all(self.ended()).unwrap();
    }

    /// Ends it in order, and leaves what it has written.
    #[track_caller]
    pub(crate) fn ended(self) -> PathBuf {
        self.node.settle(Duration::from_secs(60)).unwrap();
        let status = self.node.terminate().unwrap();
        assert!(status.success(), "{status}");
        self.folder
    }
}

pub(crate) fn effect(kind: &str) -> (String, u64) {
    (kind.to_owned(), 1_500)
}

/// An answer is waited for five seconds.
pub(crate) fn answering_soon(text: String) -> String {
    let soon = "[issuer.http]\nanswer_timeout_ms = 5_000\n";
    text.replacen("[issuer.http]\n", soon, 1)
}

/// What is said where issuers call back; `tls` is all of what is said of that.
pub(crate) fn called(text: String, tls: &str) -> String {
    let path = "path = \"/payments\"\n";
    let header = "headers = { \"X-Callback-Url\" = \"{callbackUrl}\" }\n";
    let text = text.replacen(path, &format!("{path}{header}"), 1);
    format!(
        r#"
[issuer_callbacks]
address = "127.0.0.1:0"
url = "http://switch.example/told"
secrets = ["env:NJIA_TEST_KEY"]
{tls}
{text}"#
    )
}

/// Paths on which the bank was told to call back, of each submit.
pub(crate) fn paths(bank: &JsonBank) -> Vec<String> {
    let heads = bank.heads().into_iter();
    let url = |head: String| {
        let (_, rest) = head.split_once("X-Callback-Url: http://switch.example")?;
        rest.lines().next().map(str::to_owned)
    };
    heads.filter_map(url).collect()
}

/// The status of one callback.
pub(crate) fn call(url: &str, more: &[&str]) -> String {
    let output = std::process::Command::new("curl")
        .args([
            "-sS",
            "--max-time",
            "20",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
        ])
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

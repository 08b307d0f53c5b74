//! A switch with a gateway, and what asks it: curl, where it serves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::contract::{Contract, Seen, method_of};
use super::{Build, Issuers, Node, folder};

/// A switch with a gateway, its issuers and its folder.
#[derive(Debug)]
pub struct GatewayStage {
    /// The switch.
    pub node: Node,
    /// Their accounts: 254… at `momo`, 5… at `bank`.
    pub issuers: Issuers,
    folder: PathBuf,
    more: String,
    contract: OnceLock<Contract>,
    /// What a start before has begun is in no sum of this one.
    was_killed: bool,
}

impl GatewayStage {
    /// Opens one; `more` are further lines of its `[[gateway]]`, and sections behind it.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn open(target_tmp: &str, name: &str, more: &str) -> Self {
        let folder = folder(target_tmp, name);
        let issuers = Issuers::start(&folder, Duration::from_millis(2)).expect("issuers start");
        Self::on(folder, issuers, more.to_owned())
    }

    fn on(folder: PathBuf, issuers: Issuers, more: String) -> Self {
        let node = start(&folder, &issuers, &more);
        Self {
            node,
            issuers,
            folder,
            more,
            contract: OnceLock::new(),
            was_killed: false,
        }
    }

    /// Kills the switch and starts it again on what it has written.
    ///
    /// # Panics
    /// It cannot be killed or started.
    #[must_use]
    pub fn killed(self) -> Self {
        self.killed_with(|_| {})
    }

    /// The same with a change to the folder of its journal in between.
    ///
    /// # Panics
    /// It cannot be killed or started.
    #[must_use]
    pub fn killed_with(self, change: impl FnOnce(&Path)) -> Self {
        let journal = self.node.journal().to_owned();
        self.node.kill().expect("the switch can be killed");
        change(&journal);
        Self {
            was_killed: true,
            ..Self::on(self.folder, self.issuers, self.more)
        }
    }

    /// Lets the switch end in order and starts it again.
    ///
    /// # Panics
    /// It does not end, or cannot be started.
    #[must_use]
    pub fn restarted(self) -> Self {
        let status = self.node.terminate().expect("the switch ends");
        assert!(status.success(), "{status}");
        Self {
            was_killed: true,
            ..Self::on(self.folder, self.issuers, self.more)
        }
    }

    /// Kills the switch, changes the folder of its journal, and gives back with which code and what
    /// words the next start ends.
    ///
    /// # Panics
    /// It cannot be killed, or what is left cannot be removed.
    #[must_use]
    pub fn killed_and_refused(self, change: impl FnOnce(&Path)) -> (Option<i32>, String) {
        let journal = self.node.journal().to_owned();
        self.node.kill().expect("the switch can be killed");
        change(&journal);
        let output = Command::new("timeout")
            .arg("60")
            .arg(Build::Product.njia())
            .args(["serve", "-c"])
            .arg(self.folder.join("njia.toml"))
            .env("NJIA_TEST_KEY", KEY)
            .output()
            .expect("timeout is there");
        self.issuers.finish().expect("the ledgers are complete");
        fs::remove_dir_all(&self.folder).expect("the folder can be removed");
        let told = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    }

    /// Ends all, and gives back what the operator of the accounts has been told to do: kind and
    /// minor units, in their order.
    ///
    /// # Panics
    /// A message was lost between the counters, or something could not be ended or read.
    #[must_use]
    pub fn close(self) -> Vec<(String, u64)> {
        if !self.was_killed {
            self.node.check_sums().expect("the accounts add up");
        }
        let status = self.node.terminate().expect("the switch ends");
        assert!(status.success(), "{status}");
        let ledgers = self.issuers.ledgers();
        self.issuers.finish().expect("the ledgers are complete");
        let ledger = ledgers.get(Issuers::MOMO).expect("momo has a ledger");
        let ledger = fs::read_to_string(ledger).expect("the ledger can be read");
        // Behind the first line: kind, DE11, DE7, DE37, DE41, minor units.
        let effect = |line: &str| {
            let mut words = line.split(' ');
            let kind = words.next()?.to_owned();
            Some((kind, words.nth(4)?.parse().ok()?))
        };
        let effects = ledger.lines().skip(1);
        let effects = effects.map(|line| effect(line).expect("a line of the ledger"));
        let effects = effects.collect();
        fs::remove_dir_all(&self.folder).expect("the folder can be removed");
        effects
    }

    /// What curl gets, with further arguments.
    ///
    /// # Panics
    /// curl is not there, or gets no answer.
    #[must_use]
    pub fn curl(&self, path: &str, more: &[&str]) -> Answer {
        let credential = format!("Authorization: Bearer {API_KEY}");
        let mut all = vec!["-H", &credential];
        all.extend(more);
        self.curl_unnamed(path, &all)
    }

    /// The same without a credential.
    ///
    /// # Panics
    /// curl is not there, or gets no answer.
    #[must_use]
    #[track_caller]
    pub fn curl_unnamed(&self, path: &str, more: &[&str]) -> Answer {
        let answer = self.curl_at("mobile", path, more);
        if !path.starts_with("/gsma/") {
            let contract = self.contract.get_or_init(|| {
                let document = self.curl_at("mobile", "/openapi.json", &[]);
                Contract::read(&document.text)
            });
            contract.check(Seen {
                method: method_of(more),
                target: path,
                status: answer.status,
                head: &answer.head,
                body: &answer.text,
            });
        }
        answer
    }

    /// The same at any gateway, without a look at what its document says.
    ///
    /// # Panics
    /// curl is not there, or gets no answer.
    #[must_use]
    pub fn curl_at(&self, gateway: &str, path: &str, more: &[&str]) -> Answer {
        let url = format!("http://{}{path}", self.node.gateway_named(gateway));
        let output = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "60"])
            .args(more)
            .arg(url)
            .output()
            .expect("curl is there");
        assert!(output.status.success(), "{output:?}");
        Answer::read(&String::from_utf8(output.stdout).expect("an answer is text"))
    }

    /// Writes `to` in place of `from` into the configuration, and has it read again.
    ///
    /// # Panics
    /// `from` is not in it, or it cannot be written.
    pub fn reload(&self, from: &str, to: &str) {
        let path = self.folder.join("njia.toml");
        let text = fs::read_to_string(&path).expect("the configuration can be read");
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).expect("it can be written");
        let pid = self.node.pid().to_string();
        let told = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(told.expect("kill is there").success());
    }

    /// Posts a body under a key.
    #[must_use]
    pub fn post(&self, path: &str, key: &str, body: &str, more: &[&str]) -> Answer {
        let key = format!("Idempotency-Key: {key}");
        let kind = "Content-Type: application/json";
        let mut all = vec!["-H", &key, "-H", kind, "--data-binary", body];
        all.extend(more);
        self.curl(path, &all)
    }

    /// Pays 1,000 minor units of KES under a key.
    #[must_use]
    pub fn pay(&self, key: &str, more: &[&str]) -> Answer {
        self.post("/v1/transactions", key, PAYMENT, more)
    }
}

/// A status, a head and a body.
#[derive(Debug)]
pub struct Answer {
    /// As a number.
    pub status: u16,
    head: String,
    fields: BTreeMap<String, String>,
    /// The body.
    pub text: String,
}

impl Answer {
    /// Reads what curl says with `-i`.
    ///
    /// # Panics
    /// It is no answer.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).expect("a head has a status");
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        Self {
            status: status.parse().expect("a status is a number"),
            head: head.to_owned(),
            fields: fields
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            text: body.to_owned(),
        }
    }

    /// A field of its head, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// Its body.
    ///
    /// # Panics
    /// It is no JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a body is JSON")
    }

    /// Its status, and `state` of its body.
    #[must_use]
    pub fn state(&self) -> (u16, String) {
        let json = self.json();
        let state = json["state"].as_str().unwrap_or_default();
        (self.status, state.to_owned())
    }

    /// Its status, and the last part of its problem's type.
    #[must_use]
    pub fn problem(&self) -> (u16, String) {
        let kind = self.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{self:?}");
        let json = self.json();
        let kind = json["type"].as_str().unwrap_or_default();
        (self.status, kind.replace("/problems/", ""))
    }

    /// The id of its transaction.
    #[must_use]
    pub fn id(&self) -> String {
        let json = self.json();
        json["id"].as_str().unwrap_or_default().to_owned()
    }
}

/// A switch with those issuers, the acquirer `mobile-money`, and the lines of its gateways.
#[must_use]
pub fn start(folder: &Path, issuers: &Issuers, more: &str) -> Node {
    let (config, state) = (folder.join("njia.toml"), folder.join("state"));
    let addresses = issuers.addresses().map(|address| address.to_string());
    let text = stage_text(&state, &addresses)
        + r#"
[[route]]
name = "silent"
prefixes = ["255"]
candidates = ["momo"]
deadline_ms = 1_000

[[acquirer]]
name = "mobile-money"
"# + more;
    fs::write(&config, text).expect("the configuration can be written");
    let key = [("NJIA_TEST_KEY", KEY)];
    Node::configured(Build::Product, &config, &state, &key).expect("the switch starts")
}

/// The start of a configuration: a session, the issuers `bank` for cards and `momo` for wallets.
#[must_use]
pub fn stage_text(state: &Path, [bank, momo]: &[String; 2]) -> String {
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

[[acquirer]]
name = "acquirer-1"

[[listener]]
name = "pos"
address = "127.0.0.1:0"
acquirer = "acquirer-1"

[[issuer]]
name = "bank"
addresses = ["{bank}"]
institution = "100001"

[[issuer]]
name = "momo"
addresses = ["{momo}"]
institution = "100002"

[[route]]
name = "wallets"
prefixes = ["254"]
candidates = ["momo"]
deadline_ms = 30_000

[[route]]
name = "cards"
prefixes = ["5"]
candidates = ["bank"]
deadline_ms = 30_000
"#,
        state.display()
    )
}

/// The lines of the gateway `mobile` with the key that a stage sends.
pub const GATEWAY: &str = r#"
[[gateway]]
name = "mobile"
address = "127.0.0.1:0"
plaintext = true
acquirer = "mobile-money"
terminal = "GATEWAY1"
merchant = "MOBILEMONEY0001"
api_keys_sha256 = ["a7cfbf471bcb91c4dfc94427bedb9a2ce013a69a0dd7a127b2e7a9e4387188da"]
"#;

/// A payment of 1,000 minor units.
pub const PAYMENT: &str = concat!(
    r#"{"type":"merchantpay","amount":{"minor":1000,"currency":"KES"},"#,
    r#""debitParty":[{"key":"msisdn","value":"+254712345678"}],"#,
    r#""creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],"#,
    r#""reference":"INV-2026-00042"}"#,
);

/// `env:NJIA_TEST_KEY` of a stage.
pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// The key that a stage sends.
pub const API_KEY: &str = "mobile-test-key";

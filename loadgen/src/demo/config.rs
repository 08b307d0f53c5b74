//! What the switch of a demo runs: the default configuration with a gateway and its wallets, and
//! keys that exist for this demo alone.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::folder::DemoFolder;

/// The gateway's name in the configuration.
pub(super) const GATEWAY: &str = "mobile";

/// The name of the issuer that is asked in JSON.
pub(super) const WALLET: &str = "wallet";

/// A configuration that was written.
#[derive(Debug)]
pub(super) struct Configuration {
    path: PathBuf,
}

impl Configuration {
    /// Writes it and its keys into the folder of a demo.
    pub(super) fn write(program: &Path, folder: &DemoFolder) -> Result<Self> {
        let defaults = Command::new(program)
            .args(["config", "defaults"])
            .output()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        ensure!(
            defaults.status.success(),
            "{} does not print its default configuration: {}",
            program.display(),
            defaults.status
        );
        let mut text = String::from_utf8(defaults.stdout)?;
        let api_key = random_digits()?;
        text += &gateway(&api_key);
        text += &wallet();
        let path = folder.path().join("njia.toml");
        fs::write(&path, text)?;
        private(&key_path(folder), &api_key)?;
        private(
            &header_path(folder),
            &format!("Authorization: Bearer {api_key}\n"),
        )?;
        let keys = folder.state().join("keys");
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&keys)?;
        for name in ["token.key", "pan.key", "hash.key"] {
            private(&keys.join(name), &random_digits()?)?;
        }
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where the gateway's API key is kept.
pub(super) fn key_path(folder: &DemoFolder) -> PathBuf {
    folder.path().join("gateway.key")
}

/// The same as curl takes it.
fn header_path(folder: &DemoFolder) -> PathBuf {
    folder.path().join("gateway.header")
}

/// A payment by hand.
pub(super) fn curl(folder: &DemoFolder, gateway: SocketAddr) -> String {
    format!(
        "curl -i http://{gateway}/v1/transactions -H @{} -H 'Content-Type: application/json' \
         -H \"Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)\" -d '{{\"type\":\
         \"merchantpay\",\"amount\":{{\"minor\":15000,\"currency\":\"KES\"}},\"debitParty\":\
         [{{\"key\":\"msisdn\",\"value\":\"+254712345678\"}}],\"creditParty\":[{{\"key\":\
         \"organisationid\",\"value\":\"MERCHANT0000001\"}}],\"reference\":\"by-hand\"}}'",
        header_path(folder).display()
    )
}

/// Wallets of one country are with the bank, those of the other one with an operator that speaks
/// ISO 8583 too, or with one that is asked in JSON ([`wallet`]).
fn gateway(api_key: &str) -> String {
    let digest = Sha256::digest(api_key.as_bytes());
    format!(
        r#"
[[acquirer]]
name = "mobile-money"

[[gateway]]
name = "{GATEWAY}"
address = "127.0.0.1:0"
plaintext = true
acquirer = "mobile-money"
terminal = "GATEWAY1"
merchant = "MOBILEMONEY0001"
api_keys_sha256 = ["{}"]

[[route]]
name = "wallets-ke"
prefixes = ["254"]
candidates = ["bank", "momo"]
deadline_ms = 1_000

[[route]]
name = "wallets-ug"
prefixes = ["256"]
candidates = ["momo", "bank"]
deadline_ms = 1_000
"#,
        hexadecimal(&digest)
    )
}

/// Cash at the machines of some networks, and the wallets of one operator: whoever has them is
/// asked in JSON over HTTP, as `njia-loadgen sim http` wants it.
fn wallet() -> String {
    format!(
        r#"
[[issuer]]
name = "{WALLET}"
protocol = "http"
addresses = ["127.0.0.1:1"]
institution = "100003"

[issuer.http]
base_url = "http://wallet.example/v1"
amount_form = "decimal"
processing = ["00", "01", "50"]
nothing_to_reverse = [404]
answer_timeout_ms = 1_000

[issuer.http.submit]
path = "/payments"

[issuer.http.submit.fields]
our_id = "/externalId"
amount = "/amount/value"
currency = "/amount/currency"
account = "/payer/id"
rrn = "/rrn"
terminal = "/terminal"

[issuer.http.reverse]
path = "/payments/{{ourId}}/reversals"

[issuer.http.reverse.fields]
reversal_id = "/externalId"
amount = "/amount/value"
currency = "/amount/currency"

[issuer.http.reverse.answer]
status = "/status"
statuses = {{ REVERSED = "reversed" }}
reversal_id = "/externalId"
amount = "/amount/value"
currency = "/amount/currency"

[issuer.http.answer]
status = "/status"
statuses = {{ SUCCESSFUL = "approved", FAILED = "declined" }}
our_id = "/externalId"
amount = "/amount/value"
currency = "/amount/currency"
authorisation = "/authorisation"
reason = "/reason"
reasons = {{ NOT_ENOUGH_FUNDS = "51", EXPIRED = "54", WRONG_PIN = "55", NOT_PERMITTED = "57" }}

[[route]]
name = "cash-by-http"
prefixes = ["6390000-6390008", "6390010-6390018"]
candidates = ["{WALLET}"]
deadline_ms = 2_000

[[route]]
name = "wallets-by-http"
prefixes = ["2567001"]
candidates = ["{WALLET}"]
deadline_ms = 2_000
"#
    )
}

/// 64 hexadecimal digits that nobody can guess.
fn random_digits() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hexadecimal(&bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    let digits = halves.filter_map(|half| char::from_digit(u32::from(half), 16));
    digits.collect()
}

/// A file that its owner alone can read.
fn private(path: &Path, content: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(content.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_knows_its_key_by_its_digest_alone() {
        let text = gateway("mobile-test-key");
        let digest = "a7cfbf471bcb91c4dfc94427bedb9a2ce013a69a0dd7a127b2e7a9e4387188da";
        assert!(text.contains(digest), "{text}");
        assert!(!text.contains("mobile-test-key"));
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["gateway"][0]["name"].as_str(), Some(GATEWAY));
    }

    #[test]
    fn keys_are_of_one_demo_and_of_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let (one, other) = (random_digits().unwrap(), random_digits().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        private(&path, &one).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
        assert!(private(&path, &other).is_err(), "it is never overwritten");
    }
}

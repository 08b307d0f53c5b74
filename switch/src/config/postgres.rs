//! `[postgres]`: where the journal is copied to, and how that is reached.

use std::path::PathBuf;
use std::time::Duration;

use persistence::applier::{Strategy, holds_password};

use super::report::Origin;
use super::secret::{SecretPlace, Vault, is_reference};
use super::section::Section;
use super::tls::public;

/// The database that the journal is copied to.
#[derive(Debug)]
pub struct Postgres {
    /// Connection string; may hold a password.
    pub url: SecretPlace,
    /// The password, where the connection string holds none.
    pub password: Option<SecretPlace>,
    /// Certificates; `None` connects in clear.
    pub tls: Option<PostgresTls>,
    /// Schema of the tables.
    pub schema: String,
    /// Create and upgrade the tables at start.
    pub migrate: bool,
    /// How rows reach the tables.
    pub strategy: Strategy,
    /// Rows of one transaction.
    pub batch_rows_max: usize,
    /// Events of transactions older than so many days are dropped; 0 keeps them for ever.
    pub retention_days: u16,
    /// Answers per shard that wait for PostgreSQL; with as many new requests are refused with 96.
    pub answers_waiting_max: usize,
    /// New requests are refused with 96 once PostgreSQL has been behind for so long.
    pub shed_after: Duration,
    /// An answer that has waited for so long is given up; a repeat gets it.
    pub answer_wait_max: Duration,
}

/// PEM files, read again at each connect.
#[derive(Debug)]
pub struct PostgresTls {
    /// Who may have signed the server's certificate.
    pub trust: PathBuf,
    /// What the switch shows the server.
    pub identity: Option<PostgresIdentity>,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct PostgresIdentity {
    /// The chain, the switch's own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Reads `[postgres]`, where there is one.
pub(super) fn of(root: &Section<'_>, vault: &Vault<'_>) -> Option<Postgres> {
    let section = root.optional_section("postgres")?;
    Some(postgres(section, vault))
}

fn postgres(section: Section<'_>, vault: &Vault<'_>) -> Postgres {
    let schema = section.parsed("schema", schema_name);
    let postgres = Postgres {
        url: url(&section, vault).unwrap_or_else(|| SecretPlace::known("")),
        password: section.parsed("password", |text| checked(vault, text)),
        tls: section
            .optional_section("tls")
            .and_then(|section| tls(section, vault)),
        schema: schema.unwrap_or_else(|| "njia".to_owned()),
        migrate: section.flag("migrate", false),
        strategy: section
            .parsed("strategy", strategy)
            .unwrap_or(Strategy::Copy),
        batch_rows_max: section.number("batch_rows_max", 1..=10_000, 2_000),
        retention_days: section.number("retention_days", 0..=36_500, 0),
        answers_waiting_max: section.number("answers_waiting_max", 1..=1_000_000, 10_000),
        shed_after: section.millis("shed_after_ms", 10..=60_000, 1_000),
        answer_wait_max: section.millis("answer_wait_max_ms", 10..=60_000, 10_000),
    };
    if postgres.answer_wait_max < postgres.shed_after {
        section.fault_at(
            "answer_wait_max_ms",
            "`answer_wait_max_ms` is below `shed_after_ms`",
        );
    }
    section.finish();
    postgres
}

/// A variable `NJIA__POSTGRES__URL` may hold the string itself, since the environment is where it
/// is kept then; and so may the file, unless a password is in it.
fn url(section: &Section<'_>, vault: &Vault<'_>) -> Option<SecretPlace> {
    let (text, origin) = section.required_text("url")?;
    let found = if is_reference(&text) {
        checked(vault, &text)
    } else if matches!(origin, Origin::Environment(_)) || holds_password(&text) == Some(false) {
        Ok(SecretPlace::known(&text))
    } else {
        // One that cannot be read may hold a password: it is not repeated.
        Err(
            "is a literal secret or no connection string; write file:PATH, env:NAME or \
             credential:NAME, or take the password out into `password`"
                .to_owned(),
        )
    };
    found
        .map_err(|fault| section.fault_at("url", format!("`url` {fault}")))
        .ok()
}

/// The place of a secret that can be read.
fn checked(vault: &Vault<'_>, reference: &str) -> Result<SecretPlace, String> {
    vault.text(reference)?;
    vault.place(reference)
}

fn tls(section: Section<'_>, vault: &Vault<'_>) -> Option<PostgresTls> {
    let (trust, identity) = certificates(section, vault)?;
    Some(PostgresTls {
        trust,
        identity: identity.map(|(certificate, key)| PostgresIdentity { certificate, key }),
    })
}

/// Files of a TLS client: whom it trusts, and its own certificate with its key.
type Certificates = (PathBuf, Option<(PathBuf, PathBuf)>);

/// The keys `trust`, `certificate` and `key` of a section that has no others.
pub(super) fn certificates(section: Section<'_>, vault: &Vault<'_>) -> Option<Certificates> {
    let public = |text: &str| public(vault, text);
    let secret = |text: &str| {
        let path = public(text)?;
        vault.text(text).map(|_| path)
    };
    let trust = section.required("trust", public);
    let certificate = section.parsed("certificate", public);
    let key = section.parsed("key", secret);
    if section.has("certificate") != section.has("key") {
        let text = "`certificate` and `key` go together";
        section.fault_at("certificate", text);
    }
    section.finish();
    Some((trust?, certificate.zip(key)))
}

fn strategy(text: &str) -> Result<Strategy, String> {
    match text {
        "copy" => Ok(Strategy::Copy),
        "unnest" => Ok(Strategy::Unnest),
        _ => Err("takes copy or unnest".to_owned()),
    }
}

fn schema_name(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let first = text
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    if first && text.len() <= 63 && text.bytes().all(legal) {
        return Ok(text.to_owned());
    }
    Err("takes a name of letters a-z, digits and `_`, at most 63".to_owned())
}

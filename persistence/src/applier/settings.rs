//! What the applier is told at construction.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::NodeId;
use domain::time::Instant;

use super::error::ApplierError;
use super::ledger::Fees;
use crate::identity::JournalUuid;

/// Everything that an applier needs to know besides the journals.
#[derive(Clone, Debug)]
pub struct ApplierSettings {
    /// How to reach PostgreSQL.
    pub server: Server,
    /// This machine: its watermarks are the ones to be compared with the journals on disk.
    pub node: NodeId,
    /// Names this start of the process, at random: who raised the fence. Also seeds the jitter.
    pub owner: u128,
    /// Names by id.
    pub names: Names,
    /// What acquirers pay for an approved purchase.
    pub fees: Fees,
    /// How rows reach the tables.
    pub strategy: Strategy,
    /// How much goes into one transaction, and how long a small one waits for more.
    pub batch: BatchPolicy,
    /// How long to wait after a failure.
    pub backoff: Backoff,
    /// After the signal to stop: how long catching up may still take.
    pub drain: Duration,
    /// Whether `event` keeps each record as it stands in the journal.
    pub payload: Payload,
    /// Events of transactions older than so many days are dropped, by whole days in UTC; 0 keeps
    /// them for ever. Needs a role that may.
    pub retention_days: u16,
    /// Journals of this node whose loss the operator has accepted by name: their watermarks are
    /// sealed instead of refusing the start (J04, J18).
    pub accept_lost: Vec<JournalUuid>,
    /// Monotonic time, for the duration of batches.
    pub clock: fn() -> Instant,
}

/// How to reach PostgreSQL.
#[derive(Clone, Debug)]
pub struct Server {
    /// The connection string; one of its hosts that takes writes is used.
    pub url: SecretSource,
    /// The password, where the connection string holds none.
    pub password: Option<SecretSource>,
    /// Certificates; without them the connection is in clear.
    pub tls: Option<TlsFiles>,
    /// The schema that holds the tables.
    pub schema: SchemaName,
    /// Bounds of every wait.
    pub timeouts: Timeouts,
}

/// Where a connection string or a password comes from. It is asked again at each connect, so that a
/// rotated password is taken up (fault 40). What it yields is a secret: it is never shown.
#[derive(Clone)]
pub struct SecretSource(Arc<dyn Fn() -> io::Result<String> + Send + Sync>);

impl SecretSource {
    /// Always the same.
    #[must_use]
    pub fn fixed(text: String) -> Self {
        Self(Arc::new(move || Ok(text.clone())))
    }

    /// Asked at each connect.
    #[must_use]
    pub fn asked(ask: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub(crate) fn read(&self) -> io::Result<String> {
        (self.0)()
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSource")
    }
}

/// PEM files, read again at each connect.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Who may have signed the server's certificate.
    pub trust: PathBuf,
    /// Certificate chain and key of our own, where the server asks for one.
    pub identity: Option<Identity>,
}

/// A certificate chain and its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// PEM, leaf first.
    pub certificates: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// A schema's name: `[a-z_][a-z0-9_]*`, at most 63 bytes, so that it needs no quoting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName(String);

impl SchemaName {
    /// Takes a name that PostgreSQL reads back as it is written.
    ///
    /// # Errors
    /// [`ApplierError::Misconfigured`]: empty, too long, or another character.
    pub fn new(name: &str) -> Result<Self, ApplierError> {
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let holds = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !begins || name.len() > 63 || !name.chars().all(holds) || name.starts_with("pg_") {
            return Err(ApplierError::Misconfigured(
                "schema: use a-z, 0-9 and _, at most 63, not beginning with a digit or pg_",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names by id, as they are written beside the ids.
#[derive(Clone, Debug)]
pub struct Names {
    /// By `AcquirerId`.
    pub acquirers: Vec<String>,
    /// By `IssuerId`.
    pub issuers: Vec<String>,
    /// By `RouteId`.
    pub routes: Vec<String>,
}

/// How rows reach the tables. What lands is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// COPY; a batch in which a key collides is done again without: PostgreSQL and Citus.
    Copy,
    /// `INSERT … SELECT … FROM unnest(…)` and no setting of PostgreSQL's planner: engines that
    /// speak its protocol and commit a COPY in pieces.
    Unnest,
}

/// How much goes into one transaction.
#[derive(Clone, Copy, Debug)]
pub struct BatchPolicy {
    /// Records at most. Raised: fewer commits, more memory (about 1 KiB each), longer retries.
    pub records_max: usize,
    /// With fewer than these the batch waits, but no longer than `linger`.
    pub records_min: usize,
    /// How long a small batch waits for more. Zero where answers wait for the watermark.
    pub linger: Duration,
    /// How often the durable positions are read while there is nothing to do.
    pub poll: Duration,
    /// So many records in a row refused by the tables point at the schema, not at the records: the
    /// applier pauses instead of moving all of them into quarantine.
    pub quarantine_run_max: u32,
}

impl BatchPolicy {
    /// For a switch whose answers do not wait for PostgreSQL.
    pub const STANDARD: Self = Self {
        records_max: 2000,
        records_min: 500,
        linger: Duration::from_millis(100),
        poll: Duration::from_millis(10),
        quarantine_run_max: 64,
    };
}

/// Bounds of every wait on PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// TCP, TLS and log-in.
    pub connect: Duration,
    /// `statement_timeout`
    pub statement: Duration,
    /// `lock_timeout`
    pub lock: Duration,
    /// `idle_in_transaction_session_timeout`: frees the watermark row when this process is gone.
    pub idle_in_transaction: Duration,
    /// Sent bytes may stay unacknowledged for so long (fault 41).
    pub tcp_user: Duration,
    /// One whole batch, measured here: after it the connection is given up.
    pub batch: Duration,
}

impl Timeouts {
    /// For a server in the same region.
    pub const STANDARD: Self = Self {
        connect: Duration::from_secs(10),
        statement: Duration::from_secs(30),
        lock: Duration::from_secs(10),
        idle_in_transaction: Duration::from_secs(30),
        tcp_user: Duration::from_secs(15),
        batch: Duration::from_secs(60),
    };
}

/// How long to wait after a failure. Every wait is drawn between a half and the whole of its
/// length.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// After the first; doubled for each further one.
    pub first: Duration,
    /// Never longer.
    pub max: Duration,
    /// When only a person can help.
    pub pause: Duration,
}

impl Backoff {
    /// 100 ms to 10 s; 30 s when only a person can help.
    pub const STANDARD: Self = Self {
        first: Duration::from_millis(100),
        max: Duration::from_secs(10),
        pause: Duration::from_secs(30),
    };
}

/// Whether `event` keeps each record as it stands in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Kept: what the journal knew can be read from PostgreSQL after the loss of a disk. Holds the
    /// sealed account number, so the table is not for reporting roles.
    Keep,
    /// Left out: a third of the volume.
    Omit,
}

//! From text to [`Config`]: every key with its bounds and what it means when it is left out.

use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::ids::NodeId;
use domain::pan::TokenKeyId;
use domain::profile::SameContent;
use domain::time::{Civil, WallTime};
use sha2::{Digest as _, Sha256};

use super::dialects::{self, DialectFile, Dialects, folder_of};
use super::document::{self, Environment, Node as RawNode, Value};
use super::issuer_callbacks::Calls;
use super::mac::Macs;
use super::report::{ConfigErrors, FileId, Origin, Report};
use super::secret::{SecretKey, Vault};
use super::section::Section;
use super::timers::Waits;
use super::{
    Admin, Audit, Config, CredentialSet, Duplicates, Durability, Issuer, Journal, Keys, Limits,
    Node, Saf, audit, endpoints, gateways, kafka, postgres, profile, risk, routes, stand_in,
    timers,
};
use crate::boot;
use crate::limits::FRAME_LEN_MIN;

/// The commented default, as it stands in the repository.
pub const EXAMPLE: &str = include_str!("../../../njia.example.toml");

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A file.
    File(&'a Path),
    /// [`EXAMPLE`], with its state kept in this folder.
    Default {
        /// Takes the place of `node.state_dir`.
        state_dir: &'a Path,
    },
}

impl Config {
    /// Reads and checks everything: syntax, keys, bounds, references, secrets.
    ///
    /// # Errors
    /// All faults at once.
    pub fn load(source: Source<'_>, environment: &Environment) -> Result<Self, ConfigErrors> {
        match source {
            Source::File(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path).map_err(|error| {
                    ConfigErrors::whole(&name, format!("cannot be read: {error}"))
                })?;
                let document = Document {
                    folder: folder_of(path),
                    ..Document::of(&name, &text)
                };
                document.read(environment)
            }
            Source::Default { state_dir } => {
                let argument = state_dir.to_str().ok_or_else(|| {
                    ConfigErrors::whole("argument --state-dir", "is not UTF-8".to_owned())
                })?;
                let state_dir = RawNode {
                    origin: Origin::Argument("--state-dir"),
                    value: Value::Text(argument.to_owned()),
                };
                let document = Document {
                    state_dir: Some(state_dir),
                    ..Document::of("default configuration", EXAMPLE)
                };
                document.read(environment)
            }
        }
    }

    /// The keys alone, with whatever is wrong there: for whoever takes up others while it runs.
    ///
    /// # Errors
    /// It cannot be read, or its keys cannot be used.
    pub fn keys_of(source: Source<'_>, environment: &Environment) -> Result<Keys, ConfigErrors> {
        part_of(source, environment, |root, vault| {
            keys(root.section("keys"), vault)
        })
    }

    /// How gateways show who they are, with whatever is wrong there, and nothing else of them.
    ///
    /// # Errors
    /// It cannot be read, or some of them cannot be used.
    pub fn credentials_of(
        source: Source<'_>,
        environment: &Environment,
    ) -> Result<CredentialSet, ConfigErrors> {
        part_of(source, environment, gateways::credential_set)
    }

    /// The audit log alone; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or its key cannot.
    pub fn audit_of(
        source: Source<'_>,
        environment: &Environment,
    ) -> Result<Option<Arc<Audit>>, ConfigErrors> {
        part_of(source, environment, audit::audit)
    }

    /// Where the switch of a configuration takes the words of operators. Nothing else of it is
    /// looked at: whoever asks need not be able to read its secrets.
    ///
    /// # Errors
    /// It cannot be read, or does not say.
    pub fn socket_of(path: &Path, environment: &Environment) -> Result<PathBuf, ConfigErrors> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigErrors::whole(&name, format!("cannot be read: {error}")))?;
        let report = Report::new(&name, &text);
        let mut root = document::parse(&text, FileId::FIRST, &report);
        document::overlay(&mut root, environment, &report);
        let root = Section::root(&root, &report);
        let admin = root.section("admin");
        let state_dir = match admin.has("socket") {
            true => PathBuf::new(),
            false => root
                .section("node")
                .required("state_dir", absolute)
                .unwrap_or_default(),
        };
        let socket = admin_socket(&admin, &state_dir);
        report.finish()?;
        Ok(socket)
    }

    /// Checks `text`, called `name` in faults.
    ///
    /// # Errors
    /// All faults at once.
    pub fn parse(name: &str, text: &str, environment: &Environment) -> Result<Self, ConfigErrors> {
        Document::of(name, text).read(environment)
    }
}

/// One part of a configuration: nothing else of it is looked at.
fn part_of<T>(
    source: Source<'_>,
    environment: &Environment,
    read: impl FnOnce(&Section<'_>, &Vault<'_>) -> T,
) -> Result<T, ConfigErrors> {
    let (name, text, state_dir) = match source {
        Source::File(path) => {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigErrors::whole(&name, format!("cannot be read: {error}")))?;
            (name, text, None)
        }
        Source::Default { state_dir } => {
            let name = "default configuration".to_owned();
            (name, EXAMPLE.to_owned(), Some(state_dir.to_owned()))
        }
    };
    let report = Report::new(&name, &text);
    let mut root = document::parse(&text, FileId::FIRST, &report);
    document::overlay(&mut root, environment, &report);
    let root = Section::root(&root, &report);
    let of_node = root.section("node");
    let state_dir = state_dir.or_else(|| of_node.required("state_dir", absolute));
    let state_dir = state_dir.unwrap_or_default();
    let vault = Vault {
        environment,
        state_dir: &state_dir,
    };
    let part = read(&root, &vault);
    report.finish()?;
    Ok(part)
}

/// A configuration before it is read.
struct Document<'a> {
    /// In faults.
    name: &'a str,
    text: &'a str,
    /// Where relative paths of dialect files begin.
    folder: &'a Path,
    /// Takes the place of `node.state_dir`.
    state_dir: Option<RawNode>,
}

impl<'a> Document<'a> {
    /// One whose dialect files lie beside the working directory's other files.
    fn of(name: &'a str, text: &'a str) -> Self {
        Self {
            name,
            text,
            folder: Path::new(""),
            state_dir: None,
        }
    }

    fn read(self, environment: &Environment) -> Result<Config, ConfigErrors> {
        let report = Report::new(self.name, self.text);
        let mut root = document::parse(self.text, FileId::FIRST, &report);
        document::overlay(&mut root, environment, &report);
        if let Some(node) = self.state_dir {
            let path = ["node".to_owned(), "state_dir".to_owned()];
            document::set(&mut root, &path, node, &report);
        }
        let root = Section::root(&root, &report);
        let files = dialects::files(&root, self.folder, &report);
        let dialects = Dialects::read(&root, &files, &report);
        let fingerprint = fingerprint(self.text, &files);
        let config = config(root, fingerprint, &dialects, environment);
        report.finish()?;
        config.ok_or_else(|| ConfigErrors::whole(self.name, "the routes cannot be used".to_owned()))
    }
}

/// Reads everything before it gives up, so that every fault is told. `None` only with a fault.
fn config(
    root: Section<'_>,
    fingerprint: String,
    dialects: &Dialects,
    environment: &Environment,
) -> Option<Config> {
    check_durability(&root);
    let node = node(root.section("node"));
    let vault = Vault {
        environment,
        state_dir: &node.state_dir,
    };
    let of_keys = root.section("keys");
    let places = ["token_key", "pan_key", "hash_key"].map(|name| of_keys.place_of(name));
    let keys = keys(of_keys, &vault);
    let (postgres, kafka) = (postgres::of(&root, &vault), kafka::of(&root, &vault));
    let limits = limits(root.section("limits"));
    let journal = journal(root.section("journal"), &node.state_dir);
    let admin = admin(root.section("admin"), &vault);
    let (audit, calls) = (audit::audit(&root, &vault), Calls::read(&root, &vault));
    let duplicates = duplicates(root.section("duplicates"));
    let risk = risk::risk(root.section("risk"));
    let acquirers = endpoints::acquirers(&root);
    let shared = endpoints::Shared {
        limits: &limits,
        macs: Macs::new(&vault, &keys, places),
        dialects,
        duplicates: &duplicates,
        shards: boot::shards_of(node.shards),
        issuer_callbacks: calls.here(),
    };
    let listeners = endpoints::listeners(&root, &acquirers, admin.address, &shared);
    let gateways = gateways::gateways(
        &root,
        &acquirers,
        (&listeners, &duplicates),
        (&node, &vault),
    );
    let issuers = endpoints::issuers(&root, &shared);
    let issuer_callbacks = calls.checked(admin.address, (&listeners, &gateways));
    let saf = saf(root.section("saf"), &issuers);
    let routing = routes::routing(root.section("routing"));
    let waits = Waits::of(&node, &limits, postgres.as_ref());
    let (routes, route_table) = routes::routes(&root, &acquirers, &issuers, (&listeners, waits));
    let stand_in = stand_in::stand_in(&root, &acquirers, &issuers);
    root.finish();
    Some(Config {
        fingerprint,
        node,
        limits,
        journal,
        keys: Arc::new(keys),
        admin,
        postgres,
        kafka,
        duplicates,
        saf,
        audit,
        risk,
        acquirers,
        listeners,
        gateways,
        issuer_callbacks,
        issuers,
        routing,
        routes,
        route_table: Arc::new(route_table?),
        stand_in: stand_in?,
    })
}

fn check_durability(root: &Section<'_>) {
    let of_node = root.section("node");
    let durability = of_node.text("durability");
    if durability.is_some_and(|(text, _)| text == "postgres") && !root.has("postgres") {
        of_node.fault_at(
            "durability",
            "`durability` is `postgres`, but there is no [postgres]",
        );
    }
}

fn fingerprint(text: &str, files: &[DialectFile]) -> String {
    let mut hash = Sha256::new_with_prefix(text.as_bytes());
    for file in files {
        // No text of TOML holds it.
        hash.update([0]);
        hash.update(file.text.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn node(section: Section<'_>) -> Node {
    let node = Node {
        id: NodeId(section.number("id", 0..=1023, 1)),
        shards: section.number("shards", 0..=64, 0),
        cpus: section.list("cpus", |text| {
            let number = text.parse::<u16>().ok().filter(|cpu| *cpu < 1024);
            number.ok_or_else(|| "takes numbers of cores, 0 to 1023".to_owned())
        }),
        state_dir: section.required("state_dir", absolute).unwrap_or_default(),
        drain: section.seconds("drain_s", 1..=3600, 30),
        durability: section
            .parsed("durability", durability)
            .unwrap_or(Durability::Journal),
        lock_memory: section.flag("lock_memory", false),
    };
    if !node.cpus.is_empty() && usize::from(node.shards) > node.cpus.len() {
        section.fault_at("cpus", "`cpus` names fewer cores than `shards` asks for");
    }
    section.finish();
    node
}

fn limits(section: Section<'_>) -> Limits {
    let limits = Limits {
        transactions_max: section.number("transactions_max", 1_000..=100_000_000, 6_500_000),
        inflight_max: section.number("inflight_max", 100..=1_000_000, 20_000),
        administrative_inflight_max: section.number(
            "administrative_inflight_max",
            0..=100_000,
            1_024,
        ),
        session_inflight_max: section.number("session_inflight_max", 1..=65_536, 256),
        sessions_max: section.number("sessions_max", 1..=100_000, 4_096),
        request_queue_max: section.number("request_queue_max", 16..=1_000_000, 4_096),
        request_wait_max: section.millis("request_wait_max_ms", 10..=60_000, 100),
        held_back_max: section.number("held_back_max", 1..=100_000, 1_000),
        mesh_messages_max: section.number("mesh_messages_max", 16..=1_000_000, 4_096),
        out_queue_bytes_max: section.number("out_queue_bytes_max", 16_384..=16_777_216, 262_144),
        frame_len_max: section.number("frame_len_max", FRAME_LEN_MIN..=65_535, 8_192),
        frame_deadline: section.millis("frame_deadline_ms", 100..=60_000, 5_000),
        tls_handshakes_max: section.number("tls_handshakes_max", 1..=10_000, 256),
        tls_handshakes_per_network_max: section.number(
            "tls_handshakes_per_network_max",
            1..=10_000,
            128,
        ),
        bad_frames_per_minute_max: section.number("bad_frames_per_minute_max", 1..=10_000, 20),
    };
    if limits.inflight_max > limits.transactions_max {
        section.fault_at(
            "inflight_max",
            "`inflight_max` is above `transactions_max`: what is in flight is remembered too",
        );
    }
    if limits.frame_len_max * 2 > limits.out_queue_bytes_max {
        section.fault_at(
            "out_queue_bytes_max",
            "`out_queue_bytes_max` must hold two frames of `frame_len_max`",
        );
    }
    section.finish();
    limits
}

fn journal(section: Section<'_>, state_dir: &Path) -> Journal {
    let dir = section.parsed("dir", absolute);
    let journal = Journal {
        dir: dir.unwrap_or_else(|| state_dir.join("journal")),
        segment_bytes: section.number("segment_bytes", 8 << 20..=1 << 30, 64 << 20),
        bytes_max: section.number("bytes_max", 32 << 20..=1 << 50, 16 << 30),
        retention: section.seconds("retention_s", 0..=31_536_000, 86_400),
        checkpoint_bytes: section.number("checkpoint_bytes", 8 << 20..=1 << 50, 1 << 30),
        batch_wait: section.micros("batch_wait_us", 0..=100_000, 0),
        allow_any_filesystem: section.flag("allow_any_filesystem", false),
    };
    if !journal.segment_bytes.is_multiple_of(4096) {
        section.fault_at(
            "segment_bytes",
            "`segment_bytes` must be a multiple of 4096",
        );
    }
    if journal.bytes_max / 4 < journal.segment_bytes {
        section.fault_at("bytes_max", "`bytes_max` must hold at least four segments");
    }
    section.finish();
    journal
}

fn keys(section: Section<'_>, vault: &Vault<'_>) -> Keys {
    let key = |name| {
        let key = section.required(name, |reference| vault.key(reference));
        // Never used: a missing key refuses the configuration.
        key.unwrap_or_else(|| SecretKey::new([0; SecretKey::LEN]))
    };
    let keys = Keys {
        token_key: key("token_key"),
        token_key_id: token_key_id(section.number("token_key_id", 1..=u8::MAX, 1)),
        token_keys_old: section.list("token_keys_old", |text| old_token_key(text, vault)),
        pan_key: key("pan_key"),
        pan_key_id: section.number("pan_key_id", 1..=u32::MAX, 1),
        pan_keys_old: section.list("pan_keys_old", |text| old_key(text, vault)),
        pan_key_until: section.parsed("pan_key_until", day),
        hash_key: key("hash_key"),
        software_mac: section.flag("software_mac", false),
    };
    let mut ids: Vec<u32> = keys.pan_keys_old.iter().map(|(id, _)| *id).collect();
    ids.push(keys.pan_key_id);
    ids.sort_unstable();
    if ids
        .windows(2)
        .any(|two| matches!(two, [one, other] if one == other))
    {
        section.fault_at(
            "pan_keys_old",
            "`pan_keys_old` and `pan_key_id` name a key twice: each has an id of its own",
        );
    }
    let mut ids: Vec<TokenKeyId> = keys.token_keys_old.iter().map(|(id, _)| *id).collect();
    ids.push(keys.token_key_id);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != count {
        section.fault_at(
            "token_keys_old",
            "`token_keys_old` and `token_key_id` name a key twice: each has an id of its own",
        );
    }
    section.finish();
    keys
}

/// `2027-06-30`
fn day(text: &str) -> Result<WallTime, String> {
    let number = |from, to| text.get(from..to).and_then(|part| part.parse::<u16>().ok());
    let part = |from, to| number(from, to).and_then(|part| u8::try_from(part).ok());
    let at = match (number(0, 4), part(5, 7), part(8, 10)) {
        (Some(year), Some(month), Some(day)) => WallTime::from_civil(Civil {
            year: u32::from(year),
            month,
            day,
            hour: 0,
            minute: 0,
            second: 0,
        }),
        _ => None,
    };
    // Whatever else stands there is seen by telling it back.
    at.filter(|at| at.to_string().split('T').next() == Some(text))
        .ok_or_else(|| "takes a day, as `2027-06-30`".to_owned())
}

/// `1=file:keys/pan-1.key`
fn old_key(text: &str, vault: &Vault<'_>) -> Result<(u32, SecretKey), String> {
    let form = || "takes an id and a reference, as `1=file:keys/pan-1.key`".to_owned();
    let (id, reference) = text.split_once('=').ok_or_else(form)?;
    let id = id.parse().ok().filter(|id| *id > 0).ok_or_else(form)?;
    Ok((id, vault.key(reference)?))
}

/// `1=file:keys/token-1.key`
fn old_token_key(text: &str, vault: &Vault<'_>) -> Result<(TokenKeyId, SecretKey), String> {
    let form = || "takes an id up to 255 and a reference, as `1=file:keys/token-1.key`".to_owned();
    let (id, reference) = text.split_once('=').ok_or_else(form)?;
    let id = id.parse().map(TokenKeyId).map_err(|_| form())?;
    Ok((id, vault.key(reference)?))
}

/// From a number within its bounds, from 1.
fn token_key_id(number: u8) -> TokenKeyId {
    NonZeroU8::new(number).map_or(TokenKeyId::FIRST, TokenKeyId)
}

fn admin(section: Section<'_>, vault: &Vault<'_>) -> Admin {
    let address = section.parsed("address", endpoints::address);
    let admin = Admin {
        address: address.unwrap_or_else(|| ([127, 0, 0, 1], 9600).into()),
        tls: super::tls::admin(&section, vault),
        socket: admin_socket(&section, vault.state_dir),
    };
    section.finish();
    admin
}

fn admin_socket(section: &Section<'_>, state_dir: &Path) -> PathBuf {
    let socket = section.parsed("socket", absolute);
    let socket = socket.unwrap_or_else(|| state_dir.join("admin.sock"));
    if socket.as_os_str().len() > SOCKET_LEN_MAX {
        let path = socket.display();
        section.fault_at(
            "socket",
            format!(
                "`socket`: {path} is longer than the {SOCKET_LEN_MAX} bytes of a socket's path"
            ),
        );
    }
    socket
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "journal" => Ok(Durability::Journal),
        "postgres" => Ok(Durability::Postgres),
        _ => Err(format!("takes journal or postgres, not `{text}`")),
    }
}

fn duplicates(section: Section<'_>) -> Duplicates {
    let same_content = section.parsed("same_content", profile::content);
    let duplicates = Duplicates {
        window: section.seconds("window_s", 10..=86_400, 600),
        advice_window: section.seconds("advice_window_s", 10..=2_592_000, 604_800),
        same_content: same_content.unwrap_or(SameContent::Replay),
    };
    if duplicates.advice_window < duplicates.window {
        section.fault_at("advice_window_s", "`advice_window_s` is below `window_s`");
    }
    section.finish();
    duplicates
}

fn saf(section: Section<'_>, issuers: &[Issuer]) -> Saf {
    let saf = Saf {
        entries_max: section.number("entries_max", 100..=10_000_000, 200_000),
        exceptions_max: section.number("exceptions_max", 1..=100_000, 1_000),
        advice_bytes_max: section.number("advice_bytes_max", 65_536..=17_179_869_184, 67_108_864),
        inflight_max: section.number("inflight_max", 1..=10_000, 64),
        rate_after_sign_on: section.number("rate_after_sign_on", 1..=1_000_000, 500),
        backoff_first: section.millis("backoff_first_ms", 10..=60_000, 1_000),
        backoff_max: section.seconds("backoff_max_s", 1..=3_600, 300),
        expiry: section.seconds("expiry_s", 60..=2_592_000, 604_800),
    };
    if saf.backoff_first > saf.backoff_max {
        section.fault_at(
            "backoff_first_ms",
            "`backoff_first_ms` is above `backoff_max_s`",
        );
    }
    timers::check_owed(&section, &saf, issuers);
    section.finish();
    saf
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("takes an absolute path".to_owned())
    }
}

/// `sun_path` has 108 bytes, the last of which ends it.
const SOCKET_LEN_MAX: usize = 107;

//! The configuration: TOML and environment in, one checked value out.
//!
//! What exists as a [`Config`] is valid: names are resolved to ids, numbers are within their
//! bounds, secrets are read. All faults of a file are told at once, each with its place. There is
//! no `Default`: what a key means when it is left out stands beside its bounds in `config/load.rs`,
//! and `njia.example.toml`, which a test compares with it, says it to people.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::code_map::CodeMap;
use domain::currency::{Currency, Exponents};
use domain::ids::{AcquirerId, InstitutionId, IssuerId, LinkId, NodeId, RouteId};
use domain::message_reason::MessageReason;
use domain::pan::{PanToken, TokenKeyId};
use domain::profile::{ClockCheck, Profile, ReversalAnswer, SameContent};
use domain::reconciliation::ReconSign;
use domain::time::WallTime;
use domain::{Amount, ResponseCode};
use iso8583::header::HeaderBytes;
use iso8583::keep_alive::Answers;
use iso8583::translate::{NetworkCodes, ReasonField, ReversalForm};
use iso8583::{Dialect, Framing, Header, Mti};
use risk_inline::list::Bin;
use router::links::EjectionPolicy;
use router::week::UtcOffset;
use router::{Candidate, Conditions, PrefixRange, RouteTable};
use transaction::Settings;
use transaction::matching::EchoFields;
use transaction::network::{LinkPolicy, SessionPolicy};
use transaction::settings::Windows;

use crate::crypto::mac::EndpointMac;
use crate::issuer::http::plan::Plan;
use crate::limits::ANSWER_BYTES_PER_TRANSACTION;

mod audit;
mod codes;
mod connections;
pub mod dialects;
mod document;
mod endpoints;
mod gateway_credentials;
mod gateway_permissions;
mod gateway_rates;
mod gateways;
mod http_auth;
mod http_issuer;
mod issuer_callbacks;
mod kafka;
mod keys;
mod load;
mod mac;
mod network;
mod numbering;
mod postgres;
mod profile;
mod reconcile;
mod report;
mod risk;
mod routes;
mod secret;
mod section;
mod stand_in;
#[cfg(test)]
mod tests;
mod timers;
mod tls;
pub(crate) mod wire;

pub use crate::issuer::http::called::IssuerCallbacks;
pub use audit::Audit;
pub use connections::ConnectionBounds;
pub use document::Environment;
pub use gateway_credentials::{ApiKey, CredentialSet, Credentials, SigningKey};
pub(crate) use gateway_permissions::NotPermitted;
pub use gateway_permissions::Permissions;
pub use gateway_rates::{GatewayRates, Rate};
pub use gateways::{Callbacks, Gateway, GsmaDuplicate};
pub use kafka::{Kafka, KafkaMechanism, KafkaSasl, KafkaTls};
pub use keys::{KeyFileError, create_missing_keys};
pub use load::{EXAMPLE, Source};
pub use postgres::{Postgres, PostgresIdentity, PostgresTls};
pub use report::{ConfigErrors, Problem};
#[cfg(test)]
pub(crate) use secret::SecretBytes;
pub use secret::{SecretKey, SecretPlace, SecretText};
pub use tls::{IssuerTls, ListenerTls, TlsFiles, TlsIdentity, TlsIdentityFiles, TlsVersion};

/// A checked configuration. Shared as one `Arc`; never changed in place.
#[derive(Debug)]
pub struct Config {
    /// SHA-256 of the file's text and of its dialect files, in hexadecimal digits. The environment
    /// is not in it: it may hold secrets.
    pub fingerprint: String,
    /// This machine.
    pub node: Node,
    /// Bounds of tables, queues and frames.
    pub limits: Limits,
    /// The journal on local disk.
    pub journal: Journal,
    /// Keys for tokens, envelopes and hashes.
    pub keys: Arc<Keys>,
    /// Metrics and health for operators.
    pub admin: Admin,
    /// Where the applier copies the journal to; `None` runs on the journal alone.
    pub postgres: Option<Postgres>,
    /// Where events are published; `None` publishes none.
    pub kafka: Option<Kafka>,
    /// Repeats and duplicates.
    pub duplicates: Duplicates,
    /// What is owed to issuers.
    pub saf: Saf,
    /// Who was refused and what operators did; `None` writes nothing down.
    pub audit: Option<Arc<Audit>>,
    /// Inline risk.
    pub risk: Risk,
    /// By [`AcquirerId`].
    pub acquirers: Vec<Acquirer>,
    /// By [`ListenerId`].
    pub listeners: Vec<Listener>,
    /// Who sends JSON over HTTP.
    pub gateways: Vec<Gateway>,
    /// Where issuers over HTTP tell that something was decided; `None` where none does.
    pub issuer_callbacks: Option<Arc<IssuerCallbacks>>,
    /// By [`IssuerId`].
    pub issuers: Vec<Issuer>,
    /// What concerns all routes.
    pub routing: Routing,
    /// By [`RouteId`].
    pub routes: Vec<Route>,
    /// The same, laid out for look-up.
    pub route_table: Arc<RouteTable>,
    /// When the switch approves in place of an issuer.
    pub stand_in: StandInRules,
}

/// The rules by which the switch approves in place of an issuer, laid out for look-up.
#[derive(Debug)]
pub struct StandInRules {
    /// By their number in the table.
    pub rules: Vec<StandIn>,
    /// From a request to the rule that fits it.
    pub table: RouteTable,
}

/// One such rule.
#[derive(Debug)]
pub struct StandIn {
    /// Its name.
    pub name: String,
    /// In whose place.
    pub issuer: IssuerId,
    /// Accounts.
    pub prefixes: Vec<PrefixRange>,
    /// What else a request must be.
    pub conditions: Conditions,
    /// Largest single amount; other currencies are not approved.
    pub floor_limits: Vec<Amount>,
    /// What is approved for one account within a time.
    pub windows: Vec<Window>,
    /// Accounts that are remembered per shard; the longest idle one gives way.
    pub accounts_max: usize,
    /// A request with a PIN block is approved although nobody has looked at it.
    pub pin_unchecked: bool,
    /// Why the advice of such an approval is sent: 1003 or 1006.
    pub reason: MessageReason,
}

/// This machine.
#[derive(Debug)]
pub struct Node {
    /// 0 to 1023; part of every transaction id.
    pub id: NodeId,
    /// Executors; zero means one per core that the process may use.
    pub shards: u16,
    /// Cores to pin to, in order; empty takes those of the process's affinity.
    pub cpus: Vec<u16>,
    /// Holds keys and, unless it has a place of its own, the journal.
    pub state_dir: PathBuf,
    /// How long a drain waits for transactions in flight.
    pub drain: Duration,
    /// What an answer waits for.
    pub durability: Durability,
    /// Whether no memory of the process may be swapped out.
    pub lock_memory: bool,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Its record is on local disk.
    Journal,
    /// And in PostgreSQL.
    Postgres,
}

/// Bounds of tables, queues and frames.
#[derive(Debug)]
pub struct Limits {
    /// Transactions remembered per node, in flight and finished, over all shards.
    pub transactions_max: usize,
    /// Transactions in flight per shard; beyond it new ones are refused with 96.
    pub inflight_max: usize,
    /// Administrative messages (06xx) per shard that wait for an issuer; beyond it new ones are
    /// refused with 96. Zero serves none: 12.
    pub administrative_inflight_max: usize,
    /// Requests of one session without an answer; beyond it the session is not read for as long as
    /// a request may wait, then they are refused with 96. Repeats and reversals have as many more.
    pub session_inflight_max: u32,
    /// Acquirer sessions per node.
    pub sessions_max: usize,
    /// Requests per shard that wait for their turn; beyond it new ones are refused with 96.
    pub request_queue_max: usize,
    /// How long a request may wait for its shard, before it is refused with 96.
    pub request_wait_max: Duration,
    /// Requests per shard that wait until their issuer has what it is owed; beyond it, or beyond
    /// half of `inflight_max`, further ones are refused with 96.
    pub held_back_max: usize,
    /// Messages from one shard to another that wait in their channel; while more wait before it,
    /// new requests for that shard are refused with 96.
    pub mesh_messages_max: usize,
    /// Bytes waiting to be written to one session or link; beyond it the connection is closed.
    pub out_queue_bytes_max: usize,
    /// Bytes of one frame without its length, where the endpoint has no `frame_cap` of its own.
    pub frame_len_max: usize,
    /// From the first byte of a frame to its last.
    pub frame_deadline: Duration,
    /// TLS handshakes of acquirers that one shard has at once; further connections are closed.
    pub tls_handshakes_max: usize,
    /// The same from one /24, or /56 of IPv6.
    pub tls_handshakes_per_network_max: usize,
    /// Framed messages per session and minute that are malformed or whose MAC fails; beyond it the
    /// session is closed.
    pub bad_frames_per_minute_max: u32,
}

/// The journal on local disk.
#[derive(Debug)]
pub struct Journal {
    /// Its folder.
    pub dir: PathBuf,
    /// Size of a segment file; a multiple of 4096.
    pub segment_bytes: u64,
    /// Bytes that one shard's segments may use.
    pub bytes_max: u64,
    /// How long segments and earlier generations are kept at least, when nobody needs them.
    pub retention: Duration,
    /// New journal of a shard after which it gets a checkpoint.
    pub checkpoint_bytes: u64,
    /// Longest wait for more records before a batch is written; zero writes at once.
    pub batch_wait: Duration,
    /// Accept file systems that were not tested for durability.
    pub allow_any_filesystem: bool,
}

/// Keys for tokens, envelopes and hashes. All masked when printed, zeroed when dropped.
#[derive(Debug)]
pub struct Keys {
    /// HMAC-SHA-256 of account numbers.
    pub token_key: SecretKey,
    /// Names `token_key` beside each token.
    pub token_key_id: TokenKeyId,
    /// Those before it by id, under which the journal or a list still has tokens.
    pub token_keys_old: Vec<(TokenKeyId, SecretKey)>,
    /// Wraps the data keys under which account numbers are sealed.
    pub pan_key: SecretKey,
    /// Names `pan_key` in the journal.
    pub pan_key_id: u32,
    /// Those before it by id, under which the journal still holds data keys.
    pub pan_keys_old: Vec<(u32, SecretKey)>,
    /// When `pan_key` is to have been replaced: the beginning of a day, UTC. Told, not enforced.
    pub pan_key_until: Option<WallTime>,
    /// Keyed hashes of slots, duplicate keys and contents.
    pub hash_key: SecretKey,
    /// Whether keys of MACs may lie in this process and not in an HSM.
    pub software_mac: bool,
}

impl Config {
    /// Tokens by which lists name accounts.
    pub(crate) fn listed_tokens(&self) -> impl Iterator<Item = PanToken> {
        let lists = [&self.risk.block, &self.risk.allow];
        lists
            .into_iter()
            .flat_map(|list| list.tokens.iter().copied())
    }
}

impl Keys {
    /// Those of account numbers by id, the one in force first.
    pub(crate) fn pan_keys(&self) -> impl Iterator<Item = (u32, &SecretKey)> {
        let old = self.pan_keys_old.iter().map(|(id, key)| (*id, key));
        std::iter::once((self.pan_key_id, &self.pan_key)).chain(old)
    }
}

/// Metrics and health for operators.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// `None` in clear.
    pub tls: Option<ListenerTls>,
    /// The Unix socket on which operators act: for the user that runs the switch, and for root.
    pub socket: PathBuf,
}

/// Repeats and duplicates.
#[derive(Debug)]
pub struct Duplicates {
    /// How long a finished transaction answers its copies.
    pub window: Duration,
    /// How long an advice is kept for its copies, and how old one may be.
    pub advice_window: Duration,
    /// What a copy gets that is not marked as a repeat but says the same, where its listener does
    /// not say.
    pub same_content: SameContent,
}

/// Reversals that are owed to issuers.
#[derive(Debug)]
pub struct Saf {
    /// Owed reversals and advices per shard.
    pub entries_max: usize,
    /// Exceptions per shard that an operator can put back; the oldest give way.
    pub exceptions_max: usize,
    /// Bytes of what owed advices say, per shard.
    pub advice_bytes_max: usize,
    /// Reversals and advices on their way per issuer and shard.
    pub inflight_max: u32,
    /// How many leave, per issuer and shard, in the first second after its first link is up; twice
    /// as many in each further one.
    pub rate_after_sign_on: u32,
    /// Wait after the first transmission without an answer; doubles from there.
    pub backoff_first: Duration,
    /// Where the doubling stops.
    pub backoff_max: Duration,
    /// When an entry becomes an exception for people.
    pub expiry: Duration,
}

/// Inline risk.
#[derive(Debug)]
pub struct Risk {
    /// Accounts with velocity state per shard; the longest idle one gives way.
    pub accounts_max: usize,
    /// Largest single amount, one per currency; other currencies have none.
    pub amount_limits: Vec<Amount>,
    /// Count and sum per account over sliding windows.
    pub windows: Vec<Window>,
    /// Declined with 62.
    pub block: AccountList,
    /// Accepted without a look at velocity.
    pub allow: AccountList,
}

/// One sliding window per account.
#[derive(Debug)]
pub struct Window {
    /// Its length.
    pub span: Duration,
    /// At most one per currency; other currencies have none.
    pub limits: Vec<WindowLimit>,
}

/// What one account may do in one window and one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimit {
    /// Applies to amounts in this currency.
    pub currency: Currency,
    /// Transactions; `None` for any number.
    pub count_max: Option<u32>,
    /// Minor units, all together; `None` for any sum.
    pub amount_max: Option<u64>,
}

/// Accounts by BIN, or one by one.
#[derive(Debug, Default)]
pub struct AccountList {
    /// By the first six digits.
    pub bins: Vec<Bin>,
    /// By token.
    pub tokens: Vec<PanToken>,
}

/// Who sends requests.
#[derive(Debug)]
pub struct Acquirer {
    /// Its position in the file; that of its name in the journal once it is numbered.
    pub id: AcquirerId,
    /// Unique among acquirers; a metric label.
    pub name: String,
    /// Requests in flight over all its sessions and shards, each shard its part; beyond it new ones
    /// are refused with 96.
    pub inflight_max: u32,
    /// Of each approved purchase this much is posted to the account `fee`, in basis points.
    pub fee_basis_points: u16,
}

/// A configured listener, by its position in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// Where an acquirer connects.
#[derive(Debug)]
pub struct Listener {
    /// Its position in the file.
    pub id: ListenerId,
    /// Unique among listeners; a metric label.
    pub name: String,
    /// Port 0 takes a free one, told in the ready file.
    pub address: SocketAddr,
    /// How messages stand on its connections.
    pub wire: Wire,
    /// Whose sessions these are.
    pub acquirer: AcquirerId,
    /// What authenticates its messages; `None` for nothing.
    pub mac: Option<Arc<EndpointMac>>,
    /// DE39 for a request whose MAC is missing or wrong; `None` drops it in silence.
    pub mac_failure_answer: Option<ResponseCode>,
    /// DE39 for a request whose issuer did not answer in time.
    pub timeout_answer: ResponseCode,
    /// What its sessions ask for where practice differs.
    pub profile: Profile,
    /// What its DE7 has to be.
    pub clock: ClockCheck,
    /// How long its acquirer waits for an answer, as far as that is known: longer than any route.
    pub answer_within: Option<Duration>,
    /// When an 0400 is answered.
    pub reversal_request: ReversalAnswer,
    /// How long the copies of its acquirer are known; the same for all of the acquirer's listeners.
    pub windows: Windows,
    /// What its network messages mean.
    pub network_codes: NetworkCodes,
    /// When its sessions take transactions, and when they are asked for a sign of life.
    pub session: SessionPolicy,
    /// How its acquirer reads totals, where they are kept for it.
    pub reconcile: Option<ReconSign>,
    /// TLS of its sessions; `None` for clear text.
    pub tls: Option<ListenerTls>,
    /// Connections of one address on each shard; `None` is no bound.
    pub connections_per_address: Option<u32>,
}

/// How messages stand on the connections of one endpoint.
#[derive(Clone, Debug)]
pub struct Wire {
    /// How they are cut out of the stream.
    pub framing: Framing,
    /// What stands in front of each, within its frame.
    pub header: Header,
    /// Bytes of one frame, its header included.
    pub frame_len_max: usize,
    /// Whether frames without a message are answered.
    pub answers: Answers,
    /// What its messages look like.
    pub dialect: &'static Dialect,
    /// What its response codes mean.
    pub codes: Arc<CodeMap>,
    /// Currencies that it counts in other units than ISO 4217.
    pub exponents: Arc<Exponents>,
    /// Where its messages say why they were sent; `None` where they do not.
    pub reason_field: Option<ReasonField>,
}

/// Who is asked.
#[derive(Debug)]
pub struct Issuer {
    /// Its position in the file; that of its name in the journal once it is numbered.
    pub id: IssuerId,
    /// Unique among issuers; a metric label.
    pub name: String,
    /// Where its links connect to, in turn.
    pub addresses: Vec<SocketAddr>,
    /// Connections over all shards; none when only the journal knows it.
    pub links: u16,
    /// Its links are numbered from here.
    pub first_link: LinkId,
    /// Requests in flight over all shards.
    pub inflight_max: u32,
    /// When it is left alone for a while.
    pub breaker: Breaker,
    /// When one of its links is.
    pub ejection: EjectionPolicy,
    /// Its first STAN; the links share `stan_base..stan_base + stan_size` evenly.
    pub stan_base: u32,
    /// How many STANs.
    pub stan_size: u32,
    /// What its network messages mean.
    pub network_codes: NetworkCodes,
    /// When its links sign on, and when they are asked for a sign of life.
    pub link: LinkPolicy,
    /// The fields that its answers give back.
    pub match_fields: EchoFields,
    /// On which links an answer may come.
    pub link_group: LinkGroup,
    /// Whether it takes nothing between the start and the end of its cut-over.
    pub hold_on_cutover: bool,
    /// How it reads totals, where they are kept for it, and what is sent to it.
    pub reconcile: Option<Reconcile>,
    /// DE33 of what is forwarded.
    pub institution: InstitutionId,
    /// How messages stand on its connections.
    pub wire: Wire,
    /// The header of the requests that are sent to it.
    pub request_header: HeaderBytes,
    /// For one connection attempt.
    pub connect_timeout: Duration,
    /// Longest wait between two attempts.
    pub reconnect_max: Duration,
    /// How long a reversal waits for its 0410/0430.
    pub reversal_timeout: Duration,
    /// How reversals go to it.
    pub reversal: ReversalSwitches,
    /// What is in flight on a link that is lost counts as unanswered at once, and is reversed.
    pub fail_in_flight_on_link_loss: bool,
    /// A request for it waits until it has what it is owed for the account on the same shard.
    pub saf_before_live: bool,
    /// An approval of its without DE38 cannot be acted on: it is reversed, and the request is 96.
    pub demands_authorisation: bool,
    /// What authenticates its messages; `None` for nothing.
    pub mac: Option<Arc<EndpointMac>>,
    /// TLS of its links; `None` for clear text.
    pub tls: Option<IssuerTls>,
    /// How it is asked over HTTP; `None` of one that speaks ISO 8583.
    pub(crate) http: Option<Arc<Plan>>,
}

/// Totals with an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconcile {
    /// How it reads reversals.
    pub sign: ReconSign,
    /// What it is sent after its cut-over, of 1987; `None` for nothing.
    pub mti: Option<Mti>,
    /// From its cut-over, and the longest deadline of a route, to the freeze of the day.
    pub grace: Duration,
}

impl Issuer {
    /// Its links, each with its position among them.
    pub fn link_ids(&self) -> impl Iterator<Item = LinkId> + '_ {
        (0..self.links).map(|position| LinkId(self.first_link.0.saturating_add(position)))
    }
}

/// How reversals go to an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReversalSwitches {
    /// 0420 or 0400.
    pub form: ReversalForm,
    /// DE11.
    pub stan: ReversalStan,
    /// One that has not left is dropped when a late answer says that the issuer declined.
    pub cancel_on_late_decline: bool,
}

/// DE11 of a reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalStan {
    /// That of its original.
    Same,
    /// One of its own: the second half of the issuer's numbers belongs to reversals, each beside
    /// that of its original in the first, so that it is the same in all transmissions and after a
    /// restart.
    New,
}

/// On which links of an issuer the answer to a request may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkGroup {
    /// On that of the request alone.
    Link,
    /// On any of the issuer's.
    Issuer,
}

/// When an issuer is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Opens at this share of failed calls in the window, per cent.
    pub failure_percent: u8,
    /// Opens at this share of slow calls in the window, per cent.
    pub slow_percent: u8,
    /// A call is slow from here.
    pub slow: Duration,
    /// The window.
    pub window: Duration,
    /// Calls in the window before it may open.
    pub calls_min: u32,
    /// How long it stays open the first time; doubles from there.
    pub open: Duration,
    /// Where the doubling stops.
    pub open_max: Duration,
    /// Calls that it admits half open.
    pub probes: u32,
    /// Half open, an echo must be answered within this time before any call is admitted; `None`
    /// probes with calls alone.
    pub echo: Option<Duration>,
}

/// What concerns all routes.
#[derive(Debug)]
pub struct Routing {
    /// How far the hours of routes are ahead of UTC.
    pub utc_offset: UtcOffset,
}

/// Which issuers are asked for which requests.
#[derive(Debug)]
pub struct Route {
    /// Its position in the file.
    pub id: RouteId,
    /// Unique among routes; a metric label.
    pub name: String,
    /// Leading digits of its accounts; the longest match over all routes wins.
    pub prefixes: Vec<PrefixRange>,
    /// In groups, the preferred one first; at most eight, all together.
    pub candidates: Vec<Vec<Candidate>>,
    /// From the request to its answer; then 91, and a reversal is owed.
    pub deadline: Duration,
    /// What else a request must be.
    pub conditions: Conditions,
    /// Which of two routes goes first that nothing else tells apart; the lower one.
    pub order: Option<u16>,
}

impl Config {
    /// How long the copies of each acquirer are known, by id. One without a listener sends nothing.
    #[must_use]
    pub fn windows(&self) -> Vec<Windows> {
        let of_node = Windows {
            requests: self.duplicates.window,
            advices: self.duplicates.advice_window,
        };
        let of = |acquirer: &Acquirer| {
            let listeners = self.listeners.iter();
            let listeners = listeners.map(|listener| (listener.acquirer, listener.windows));
            let gateways = self.gateways.iter();
            let gateways = gateways.map(|gateway| (gateway.acquirer, gateway.windows));
            let mut all = listeners.chain(gateways);
            let found = all.find(|(of, _)| *of == acquirer.id);
            found.map_or(of_node, |(_, windows)| windows)
        };
        self.acquirers.iter().map(of).collect()
    }

    /// Links over all issuers; their ids are dense below it.
    #[must_use]
    pub fn links(&self) -> usize {
        let each = self.issuers.iter().map(|issuer| usize::from(issuer.links));
        each.sum()
    }

    /// The largest cap of all endpoints.
    #[must_use]
    pub fn frame_len_max(&self) -> usize {
        let listeners = self.listeners.iter().map(|listener| &listener.wire);
        let issuers = self.issuers.iter().map(|issuer| &issuer.wire);
        let caps = listeners.chain(issuers).map(|wire| wire.frame_len_max);
        caps.fold(self.limits.frame_len_max, usize::max)
    }

    /// What the table of transactions carries.
    #[must_use]
    pub fn remembered(&self) -> Remembered {
        let entries = Settings::live_max(self.limits.transactions_max);
        let listeners = self.listeners.iter().map(|listener| listener.windows);
        let gateways = self.gateways.iter().map(|gateway| gateway.windows);
        let windows = listeners.chain(gateways);
        let longest = windows
            .map(|windows| windows.requests)
            .max()
            .unwrap_or(self.duplicates.window);
        let window = usize::try_from(longest.as_secs()).unwrap_or(usize::MAX);
        let each = Settings::ENTRY_BYTES_MAX + ANSWER_BYTES_PER_TRANSACTION + INDEX_BYTES_MAX;
        Remembered {
            entries,
            per_second: entries / window.max(1),
            bytes: self.limits.transactions_max.saturating_mul(each),
        }
    }
}

/// How much a node remembers of what it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Transactions at once.
    pub entries: usize,
    /// Transactions a second that can be kept for the whole of the longest window of all listeners.
    /// At a higher rate the table fills up, and further requests get 96.
    pub per_second: usize,
    /// Memory of a full table.
    pub bytes: usize,
}

/// Cells of both indices for one entry, at their emptiest.
const INDEX_BYTES_MAX: usize = 44;

//! Every metric: its name, what it counts, its labels. `docs/metrics.md` is compared with this
//! table.

use super::labels::{
    AcceptError, AdministrativeResult, AdviceOriginLabel, ApplierRow, BreakerLabel, CloseReason,
    CredentialReload, DeclineReason, EjectionLabel, ExceptionReason, GatewayRefusal, GivenUpReason,
    Ingress, IssuerResult, JournalOp, KeyReload, LinkState, LogDropCause, MacFailure, Origin,
    Outcome, OwedResultLabel, ParseReason, ReconciliationResult, RejectReason, RepeatResult,
    ReversalCauseLabel, RiskVerdict, Side, SkewDirection, Stage, TlsReload, TlsResult,
    TransactionType, UnmatchedReason, UnwritableReason,
};
use crate::limits::LABELS_MAX;

/// One metric.
#[derive(Debug)]
pub struct Family {
    /// As it stands in the text form: with its unit, and `_total` when it is a counter.
    pub name: &'static str,
    /// What its values are.
    pub unit: Unit,
    /// How it behaves.
    pub kind: Kind,
    /// In the order of their appearance.
    pub labels: &'static [Label],
    /// One sentence for operators.
    pub help: &'static str,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    None,
    /// Kept in nanoseconds, shown in seconds.
    Seconds,
    /// Kept and shown in seconds: what is so long that a sum of nanoseconds would overflow.
    WholeSeconds,
    /// Bytes.
    Bytes,
}

/// How a metric behaves, and how the shards' values become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the sum.
    Counter,
    /// Goes both ways; the sum.
    Gauge,
    /// A position in the set of its last label; the greatest. Shown as 1 for it and 0 for the
    /// others.
    State,
    /// Counts per bucket and a sum; the sums.
    Histogram(Buckets),
}

/// Upper bounds of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buckets {
    /// Latencies; 0.4 s is the promise.
    Latency,
    /// Short times.
    Short,
    /// Numbers of things.
    Count,
    /// Distances of clocks.
    Skew,
}

impl Buckets {
    /// The bounds, in nanoseconds, in whole seconds or in things.
    #[must_use]
    pub const fn bounds(self) -> &'static [u64] {
        match self {
            Self::Latency => &LATENCY,
            Self::Short => &SHORT,
            Self::Count => &COUNT,
            Self::Skew => &SKEW,
        }
    }
}

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

const LATENCY: [u64; 18] = [
    500 * MICRO,
    MILLI,
    2 * MILLI,
    5 * MILLI,
    10 * MILLI,
    20 * MILLI,
    50 * MILLI,
    100 * MILLI,
    200 * MILLI,
    300 * MILLI,
    400 * MILLI,
    500 * MILLI,
    750 * MILLI,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
];
const SHORT: [u64; 17] = [
    10 * MICRO,
    20 * MICRO,
    50 * MICRO,
    100 * MICRO,
    200 * MICRO,
    500 * MICRO,
    MILLI,
    2 * MILLI,
    5 * MILLI,
    10 * MILLI,
    20 * MILLI,
    50 * MILLI,
    100 * MILLI,
    400 * MILLI,
    SECOND,
    5 * SECOND,
    10 * SECOND,
];
const COUNT: [u64; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048];
const SKEW: [u64; 13] = [
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 86_400,
];

/// A label and where its values come from.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// As it stands in the exposition.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// Where a label's values come from.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// This set.
    Words(&'static [&'static str]),
    /// Names of issuers.
    Issuers,
    /// Names of listeners.
    Listeners,
    /// Names of gateways.
    Gateways,
    /// The number of the shard that counts; such a metric is not added up.
    Shard,
    /// One value, made at start.
    Free,
}

impl Values {
    /// Slots that a block keeps for it.
    #[must_use]
    pub const fn capacity(self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Issuers | Self::Listeners | Self::Gateways => LABELS_MAX,
            Self::Shard | Self::Free => 1,
        }
    }
}

impl Family {
    /// The name without `_total` and without its unit: the OpenMetrics encoder adds both.
    #[must_use]
    pub fn bare_name(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        name.strip_suffix(self.unit_suffix()).unwrap_or(name)
    }

    /// `_seconds`, `_bytes` or nothing.
    #[must_use]
    pub const fn unit_suffix(&self) -> &'static str {
        match self.unit {
            Unit::None => "",
            Unit::Seconds | Unit::WholeSeconds => "_seconds",
            Unit::Bytes => "_bytes",
        }
    }

    /// `counter`, `gauge` or `histogram`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge | Kind::State => "gauge",
            Kind::Histogram(_) => "histogram",
        }
    }

    /// Slots of one combination of labels: a histogram has its buckets, the infinite one and its
    /// sum.
    #[must_use]
    pub const fn width(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge | Kind::State => 1,
            Kind::Histogram(buckets) => buckets.bounds().len() + 2,
        }
    }

    /// Slots that a block keeps for it.
    #[must_use]
    pub const fn slots(&self) -> usize {
        let mut slots = self.width();
        let mut rest = self.labels;
        while let Some((label, others)) = rest.split_first() {
            // The set of a state is not counted out: the slot holds the position.
            if !(others.is_empty() && matches!(self.kind, Kind::State)) {
                slots *= label.values.capacity();
            }
            rest = others;
        }
        slots
    }
}

const fn words(name: &'static str, words: &'static [&'static str]) -> Label {
    Label {
        name,
        values: Values::Words(words),
    }
}

const INGRESS: Label = words("ingress", Ingress::VALUES);
const ISSUER: Label = Label {
    name: "issuer",
    values: Values::Issuers,
};
const LISTENER: Label = Label {
    name: "listener",
    values: Values::Listeners,
};
const GATEWAY: Label = Label {
    name: "gateway",
    values: Values::Gateways,
};
const SHARD: Label = Label {
    name: "shard",
    values: Values::Shard,
};

const fn free(name: &'static str) -> Label {
    Label {
        name,
        values: Values::Free,
    }
}

macro_rules! families {
    ($($id:ident: $kind:expr, $unit:ident, $name:literal, [$($label:expr),*], $help:literal;)+) => {
        /// A metric, by its position in [`FAMILIES`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum FamilyId {
            $($id),+
        }

        impl FamilyId {
            /// All of them, by position.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$id),+];

            /// What it is.
            pub(crate) const fn family(self) -> &'static Family {
                &FAMILIES[self as usize]
            }
        }

        /// All metrics, in the order of the exposition.
        pub const FAMILIES: &[Family] = &[
            $(Family {
                name: $name,
                unit: Unit::$unit,
                kind: $kind,
                labels: &[$($label),*],
                help: $help,
            }),+
        ];
    };
}

const COUNTER: Kind = Kind::Counter;
const GAUGE: Kind = Kind::Gauge;
const STATE: Kind = Kind::State;
const LATENCIES: Kind = Kind::Histogram(Buckets::Latency);
const SHORT_TIMES: Kind = Kind::Histogram(Buckets::Short);
const COUNTS: Kind = Kind::Histogram(Buckets::Count);
const SKEWS: Kind = Kind::Histogram(Buckets::Skew);

families! {
    BuildInfo: GAUGE, None, "njia_build_info", [free("version"), free("commit")],
        "Always 1; which njia this is.";
    ConfigInfo: GAUGE, None, "njia_config_info", [free("sha256")],
        "Always 1; the hash of the configuration in force, dialect files included.";
    Requests: COUNTER, None, "njia_requests_total", [INGRESS],
        "Requests and reversals read from acquirers.";
    Inflight: GAUGE, None, "njia_inflight_transactions", [INGRESS],
        "Transactions that are not decided yet.";
    Repeats: COUNTER, None, "njia_repeats_total", [INGRESS, words("result", RepeatResult::VALUES)],
        "Copies of requests and of reversals, by what became of them.";
    Rejected: COUNTER, None, "njia_rejected_total",
        [INGRESS, words("reason", RejectReason::VALUES)],
        "Requests refused before anything was remembered of them.";
    GatewayRefusals: COUNTER, None, "njia_gateway_refusals_total",
        [GATEWAY, words("reason", GatewayRefusal::VALUES)],
        "Connections and requests of gateways that were refused before their owner was asked.";
    Transactions: COUNTER, None, "njia_transactions_total",
        [INGRESS, words("type", TransactionType::VALUES), words("outcome", Outcome::VALUES)],
        "Transactions decided.";
    TransactionDuration: LATENCIES, Seconds, "njia_transaction_duration_seconds",
        [INGRESS, words("outcome", Outcome::VALUES)],
        "First byte of the request read to the first answer queued for writing; not finer than a \
        turn.";
    OwnDuration: SHORT_TIMES, Seconds, "njia_own_duration_seconds", [INGRESS],
        "The same without the wait for an issuer.";
    StageDuration: SHORT_TIMES, Seconds, "njia_stage_duration_seconds",
        [words("stage", Stage::VALUES)],
        "Time in one step: of the processor one call in 16, of the syncs each; syncs are not finer \
        than a turn.";
    Declines: COUNTER, None, "njia_declines_total",
        [words("origin", Origin::VALUES), words("reason", DeclineReason::VALUES)],
        "Declined transactions, by who declined and why.";
    Sessions: GAUGE, None, "njia_sessions", [LISTENER], "Open acquirer sessions.";
    SessionAccepts: COUNTER, None, "njia_session_accepts_total", [LISTENER],
        "Acquirer sessions accepted.";
    SessionCloses: COUNTER, None, "njia_session_closes_total",
        [LISTENER, words("reason", CloseReason::VALUES)],
        "Acquirer sessions ended, or refused for the limit.";
    AcceptErrors: COUNTER, None, "njia_accept_errors_total", [words("reason", AcceptError::VALUES)],
        "Connections that could not be accepted.";
    TlsHandshakes: COUNTER, None, "njia_tls_handshakes_total",
        [words("side", Side::VALUES), words("result", TlsResult::VALUES)],
        "TLS handshakes with acquirers and with issuers, by how they ended.";
    TlsHandshakeDuration: LATENCIES, Seconds, "njia_tls_handshake_duration_seconds",
        [words("side", Side::VALUES)],
        "From the connection to the end of a TLS handshake that succeeded.";
    TlsCertificateExpiry: GAUGE, Seconds, "njia_tls_certificate_expiry_timestamp_seconds",
        [free("name")],
        "When the first certificate of an endpoint's chain, or of those it trusts, expires, or a \
         list is overdue.";
    TlsReloads: COUNTER, None, "njia_tls_reloads_total", [words("result", TlsReload::VALUES)],
        "Times that the files of TLS were read again.";
    CredentialReloads: COUNTER, None, "njia_gateway_credential_reloads_total",
        [words("result", CredentialReload::VALUES)],
        "Times that the credentials of gateways were read again.";
    KeyReloads: COUNTER, None, "njia_key_reloads_total", [words("result", KeyReload::VALUES)],
        "Times that the keys of account numbers were read again.";
    PanKeyId: GAUGE, None, "njia_pan_key_id", [SHARD],
        "The key of account numbers that the segment which is written names.";
    PanKeyExpiry: GAUGE, Seconds, "njia_pan_key_expiry_timestamp_seconds", [],
        "When the key of account numbers is to have been replaced, where that is configured.";
    ParseErrors: COUNTER, None, "njia_parse_errors_total",
        [words("side", Side::VALUES), words("reason", ParseReason::VALUES)],
        "Frames that were no message of their dialect, or did not say what their type must say.";
    MacFailures: COUNTER, None, "njia_mac_failures_total",
        [words("side", Side::VALUES), words("reason", MacFailure::VALUES)],
        "Messages whose MAC was missing or wrong: nothing was done that they ask for.";
    SessionPadding: COUNTER, None, "njia_session_wrong_padding_total", [LISTENER],
        "Fields of acquirers whose packed digits were filled with a nibble that is not the \
        dialect's.";
    IssuerPadding: COUNTER, None, "njia_issuer_wrong_padding_total", [ISSUER],
        "Fields of an issuer whose packed digits were filled with a nibble that is not the \
        dialect's.";
    SessionSkew: SKEWS, WholeSeconds, "njia_session_clock_skew_seconds",
        [LISTENER, words("direction", SkewDirection::VALUES)],
        "How far DE7 of first requests was from the clock; below a second counts as behind.";
    IssuerSkew: SKEWS, WholeSeconds, "njia_issuer_clock_skew_seconds",
        [ISSUER, words("direction", SkewDirection::VALUES)],
        "The same of an issuer's own network messages.";
    IssuerRequests: COUNTER, None, "njia_issuer_requests_total",
        [ISSUER, words("result", IssuerResult::VALUES)],
        "Calls of an issuer, by how they ended.";
    IssuerDuration: LATENCIES, Seconds, "njia_issuer_duration_seconds", [ISSUER],
        "Request handed to a link to its answer or deadline; not finer than a turn.";
    IssuerInflight: GAUGE, None, "njia_issuer_inflight", [ISSUER],
        "Calls of an issuer that are not answered yet.";
    IssuerInflightLimit: GAUGE, None, "njia_issuer_inflight_limit", [ISSUER],
        "Calls of an issuer that may be in flight.";
    Links: GAUGE, None, "njia_links", [ISSUER, words("state", LinkState::VALUES)],
        "Connections to an issuer, by state.";
    LinkReconnects: COUNTER, None, "njia_link_reconnects_total", [ISSUER],
        "Connections to an issuer that were lost and are made again.";
    LinkEjections: COUNTER, None, "njia_link_ejections_total",
        [ISSUER, words("change", EjectionLabel::VALUES)],
        "Links that a shard left out because they kept failing, and took back.";
    IssuerRejects: COUNTER, None, "njia_issuer_rejects_total", [ISSUER],
        "Messages to an issuer that were provably not acted on: the network in between gave them \
         back, or an issuer over HTTP refused them.";
    IssuerUnwritable: COUNTER, None, "njia_issuer_unwritable_total",
        [ISSUER, words("reason", UnwritableReason::VALUES)],
        "Messages that could not be written for an issuer: they count as not sent.";
    UnmatchedAnswers: COUNTER, None, "njia_unmatched_answers_total",
        [ISSUER, words("reason", UnmatchedReason::VALUES)],
        "Answers of an issuer that belong to nothing that waits.";
    BreakerState: STATE, None, "njia_breaker_state",
        [ISSUER, words("state", BreakerLabel::VALUES)],
        "1 for the present state of an issuer's breaker; the gravest over the shards.";
    BreakerTransitions: COUNTER, None, "njia_breaker_transitions_total",
        [ISSUER, words("to", BreakerLabel::VALUES)],
        "Changes of a breaker's state, summed over the shards.";
    BreakerRejected: COUNTER, None, "njia_breaker_rejected_total", [ISSUER],
        "Times that an issuer was passed over because its breaker did not admit.";
    Failovers: COUNTER, None, "njia_failovers_total", [ISSUER],
        "Requests that this issuer took although another one stood before it.";
    Reversals: COUNTER, None, "njia_reversals_total",
        [
            words("cause", ReversalCauseLabel::VALUES),
            words("result", OwedResultLabel::VALUES)
        ],
        "Reversals owed to issuers, and how they ended.";
    Advices: COUNTER, None, "njia_advices_total",
        [
            words("origin", AdviceOriginLabel::VALUES),
            words("result", OwedResultLabel::VALUES)
        ],
        "Advices owed to issuers, and how they ended.";
    Administrative: COUNTER, None, "njia_administrative_total",
        [words("result", AdministrativeResult::VALUES)],
        "Administrative messages (06xx) of acquirers, by how they ended.";
    AdministrativeInflight: GAUGE, None, "njia_administrative_inflight", [],
        "Administrative messages that wait for their issuer.";
    SafDepth: GAUGE, None, "njia_saf_depth", [],
        "Reversals and advices that are owed and not ended.";
    SafExceptions: GAUGE, None, "njia_saf_exceptions", [],
        "Exceptions that `njia saf retry` can put back.";
    HeldBack: GAUGE, None, "njia_held_back_requests", [SHARD],
        "Requests that wait until their issuer has what it is owed for their account.";
    HeldBackTotal: COUNTER, None, "njia_held_back_total", [SHARD],
        "Requests that had to wait for that.";
    HeldBackGivenUp: COUNTER, None, "njia_held_back_given_up_total",
        [words("reason", GivenUpReason::VALUES)],
        "Requests that did not leave because their issuer was owed something, by why.";
    Exceptions: COUNTER, None, "njia_exceptions_total", [words("reason", ExceptionReason::VALUES)],
        "What people have to look at.";
    Reconciliations: COUNTER, None, "njia_reconciliations_total",
        [words("side", Side::VALUES), words("result", ReconciliationResult::VALUES)],
        "Reconciliations, by what they came to.";
    RiskDuration: SHORT_TIMES, Seconds, "njia_risk_duration_seconds", [],
        "Time of one assessment; one in 16 is timed.";
    RiskVerdicts: COUNTER, None, "njia_risk_verdicts_total",
        [words("verdict", RiskVerdict::VALUES)],
        "What risk said.";
    JournalSyncDuration: SHORT_TIMES, Seconds, "njia_journal_sync_duration_seconds", [],
        "Time of one flush of a batch to disk.";
    JournalBatchRecords: COUNTS, None, "njia_journal_batch_records", [],
        "Records that one flush made durable.";
    JournalBytes: COUNTER, Bytes, "njia_journal_bytes_total", [], "Bytes written to the journal.";
    JournalErrors: COUNTER, None, "njia_journal_errors_total", [words("op", JournalOp::VALUES)],
        "Failures of the journal; the first write or sync error ends the process.";
    JournalUnsynced: GAUGE, None, "njia_journal_unsynced_records", [SHARD],
        "Records that are not durable yet.";
    JournalSegments: GAUGE, None, "njia_journal_segments", [SHARD], "Segment files.";
    JournalUsed: GAUGE, Bytes, "njia_journal_used_bytes", [SHARD], "Bytes of all segment files.";
    JournalLimit: GAUGE, Bytes, "njia_journal_limit_bytes", [],
        "Bytes that one shard's segments may use.";
    JournalDiskFree: GAUGE, Bytes, "njia_journal_disk_free_bytes", [],
        "Bytes free on the file system of the journal.";
    JournalDiskSize: GAUGE, Bytes, "njia_journal_disk_size_bytes", [],
        "Size of the file system of the journal.";
    JournalEarlier: GAUGE, None, "njia_journal_earlier_generations", [],
        "Generations behind the one that is written whose files are kept.";
    Checkpoints: COUNTER, None, "njia_checkpoints_total", [SHARD], "Checkpoints that were made.";
    CheckpointFailures: COUNTER, None, "njia_checkpoint_failures_total", [SHARD],
        "Checkpoints that were begun and not made; each is tried again.";
    CheckpointTime: COUNTER, Seconds, "njia_checkpoint_seconds_total", [SHARD],
        "Time that making checkpoints took, beside the shard.";
    CheckpointBytes: GAUGE, Bytes, "njia_checkpoint_bytes", [SHARD],
        "Bytes of the newest checkpoint.";
    CheckpointLsn: GAUGE, None, "njia_checkpoint_lsn", [SHARD],
        "LSN up to which the newest checkpoint stands for the segments.";
    SegmentsRetired: COUNTER, None, "njia_journal_segments_retired_total", [SHARD],
        "Segment files that were removed.";
    DuplicateEntries: GAUGE, None, "njia_duplicate_entries", [SHARD],
        "Transactions that are remembered, in flight and finished.";
    ApplierLagRecords: GAUGE, None, "njia_applier_lag_records", [SHARD],
        "Durable records that are not in PostgreSQL.";
    ApplierLag: GAUGE, Seconds, "njia_applier_lag_seconds", [SHARD],
        "Age of the oldest record that is not in PostgreSQL.";
    ApplierBatchDuration: LATENCIES, Seconds, "njia_applier_batch_duration_seconds", [],
        "Time of one transaction in PostgreSQL.";
    ApplierBatchRows: COUNTS, None, "njia_applier_batch_rows", [],
        "Records of one transaction in PostgreSQL.";
    ApplierRows: COUNTER, None, "njia_applier_rows_total", [words("result", ApplierRow::VALUES)],
        "Records applied to PostgreSQL.";
    ApplierFailures: COUNTER, None, "njia_applier_failures_total",
        [words("class", APPLIER_FAILURES)],
        "Failures of the applier, by class.";
    ApplierConnected: GAUGE, None, "njia_applier_connected", [],
        "1 while the applier is connected to PostgreSQL and owns its watermarks.";
    EventsLagRecords: GAUGE, None, "njia_events_lag_records", [SHARD],
        "Durable records whose events are not published.";
    EventsLag: GAUGE, Seconds, "njia_events_lag_seconds", [SHARD],
        "Age of the oldest record whose event is not published.";
    EventsWatermark: GAUGE, None, "njia_events_watermark", [SHARD],
        "LSN up to which a restart knows events as published.";
    EventsInflight: GAUGE, None, "njia_events_inflight", [],
        "Records that were read and whose events are not published.";
    EventsPublished: COUNTER, None, "njia_events_published_total", [],
        "Events that brokers have acknowledged, repeats included.";
    EventsFailures: COUNTER, None, "njia_events_failures_total",
        [words("reason", EVENT_FAILURES)],
        "Failures on the way of events, by reason.";
    Callbacks: COUNTER, None, "njia_callbacks_total", [words("result", CALLBACK_RESULTS)],
        "Callbacks to gateways by what became of a try, or of what was to be told.";
    IssuerCallbacks: COUNTER, None, "njia_issuer_callbacks_total",
        [words("result", ISSUER_CALLBACK_RESULTS)],
        "Callbacks of issuers over HTTP by what became of them.";
    IssuerTokenExpiry: GAUGE, Seconds, "njia_issuer_token_expiry_timestamp_seconds", [ISSUER],
        "When the access token that an issuer over HTTP is shown ends; 0 while there is none.";
    IssuerTokens: COUNTER, None, "njia_issuer_tokens_total",
        [ISSUER, words("result", TOKEN_RESULTS)],
        "Access tokens that issuers over HTTP were asked for.";
    AuditEvents: COUNTER, None, "njia_audit_events_total", [words("result", AUDIT_RESULTS)],
        "What was to be written to the audit log, by what became of it.";
    AuditFailing: GAUGE, None, "njia_audit_failing", [],
        "1 while the audit log cannot be written.";
    AuditLast: GAUGE, None, "njia_audit_last_line", [],
        "Number of the last line of the audit log.";
    HorizonFailing: GAUGE, None, "njia_signature_horizon_failing", [],
        "1 while the horizon of signatures cannot be written.";
    SignaturesForgotten: GAUGE, Seconds, "njia_signatures_forgotten_timestamp_seconds", [],
        "What gateways have signed up to then is refused since the start; 0 when that is nothing.";
    CallbackBacklog: GAUGE, None, "njia_callback_backlog", [],
        "Callbacks that no receiver has taken.";
    CallbackOldest: GAUGE, Seconds, "njia_callback_oldest_seconds", [],
        "Age of the oldest callback that no receiver has taken.";
    ShardBusy: COUNTER, Seconds, "njia_shard_busy_seconds_total", [SHARD],
        "Time that a shard spent in its turns.";
    ShardTurns: COUNTER, None, "njia_shard_turns_total", [SHARD], "Turns of a shard's loop.";
    ShardStalls: COUNTER, None, "njia_shard_stalls_total", [SHARD], "Turns longer than 10 ms.";
    MeshDepth: GAUGE, None, "njia_mesh_depth", [SHARD],
        "Messages to other shards that wait for room.";
    MeshRefused: COUNTER, None, "njia_mesh_refused_total", [SHARD],
        "Requests refused because the owner shard was behind.";
    AnswersWaiting: GAUGE, None, "njia_answers_waiting", [SHARD],
        "Answers that wait until PostgreSQL has what they say.";
    AnswersGivenUp: COUNTER, None, "njia_answers_given_up_total", [SHARD],
        "Answers that waited for PostgreSQL for too long and were not told; a repeat gets them.";
    ReversalQuestions: COUNTER, None, "njia_reversal_questions_total", [SHARD],
        "Reversals whose original all shards were asked for, as DE90 did not lead to it.";
    LogLinesDropped: COUNTER, None, "njia_log_lines_dropped_total",
        [words("cause", LogDropCause::VALUES)],
        "Log lines that were not written.";
    ProcessCpu: COUNTER, Seconds, "process_cpu_seconds_total", [], "Processor time, user and \
        system.";
    ProcessOpenFds: GAUGE, None, "process_open_fds", [], "Open descriptors.";
    ProcessMaxFds: GAUGE, None, "process_max_fds", [], "Descriptors that may be open.";
    ProcessResident: GAUGE, Bytes, "process_resident_memory_bytes", [], "Resident memory.";
    ProcessStart: GAUGE, Seconds, "process_start_time_seconds", [],
        "Start of the process since the Unix epoch.";
}

/// What becomes of a request for an access token, by position.
pub(crate) const TOKEN_RESULTS: &[&str] = &["granted", "failed"];

/// What becomes of what is to be written to the audit log, by position.
pub(crate) const AUDIT_RESULTS: &[&str] = &["written", "folded", "queue_full", "unwritten"];

/// What becomes of callbacks of issuers, by position.
pub(crate) const ISSUER_CALLBACK_RESULTS: &[&str] = &["taken", "forged", "malformed", "full"];

/// What becomes of callbacks, by position.
pub(crate) const CALLBACK_RESULTS: &[&str] =
    &["delivered", "retried", "gone", "given_up", "forgotten"];

/// The reasons that `persistence` gives to failures of events, by position.
pub(crate) const EVENT_FAILURES: &[&str] = &[
    "unreachable",
    "authentication",
    "authorisation",
    "topic",
    "too_large",
    "fatal",
    "settings",
    "journal",
    "watermark",
    "other",
];

/// The classes that `persistence` gives to failures of the applier, by position.
pub(crate) const APPLIER_FAILURES: &[&str] = &[
    "08",
    "22",
    "23",
    "25",
    "28",
    "40",
    "42",
    "53",
    "57",
    "not_synchronous",
    "other",
];

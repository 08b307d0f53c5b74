//! Every statement, written out once per schema.
//!
//! Tables are named with their schema and every setting is `SET LOCAL`, so that no statement leans
//! on the state of a session: a pooler in transaction mode may stand in between.

use super::event;
use super::load::{Insert, Relation};
use super::posting::PostingSql;
use super::settings::{Server, Strategy, Timeouts};
use super::stage::{GROUPS, Use, columns};
use super::table::{Column, names};

/// The statements of one schema and strategy.
#[derive(Debug)]
pub(crate) struct Sql {
    /// BEGIN and its bounds.
    pub(crate) begin: String,
    /// The same, and what a batch needs besides.
    pub(crate) begin_batch: String,
    pub(crate) watermarks_known: String,
    pub(crate) watermarks: String,
    pub(crate) watermark_insert: String,
    pub(crate) watermark_lock: String,
    pub(crate) watermark_fence: String,
    pub(crate) watermark_seal_lost: String,
    pub(crate) watermark_advance: String,
    pub(crate) event: Insert,
    /// Events that PostgreSQL may have.
    pub(crate) event_stage: Relation,
    pub(crate) event_from_stage: String,
    pub(crate) event_forks: String,
    /// First sight of a transaction.
    pub(crate) transaction: Insert,
    /// The same where one of them may be there: what collides is left out.
    pub(crate) transaction_or_not: Insert,
    /// What a batch sets of transactions that are there.
    pub(crate) stage: Relation,
    pub(crate) transaction_merge: String,
    pub(crate) transaction_double: String,
    pub(crate) exception_double: String,
    pub(crate) exception_orphan: String,
    pub(crate) exception_owed: String,
    pub(crate) exception_answer: String,
    pub(crate) quarantine_insert: String,
    /// The books.
    pub(crate) posting: PostingSql,
}

impl Sql {
    pub(crate) fn new(server: &Server, strategy: Strategy) -> Self {
        let s = server.schema.as_str();
        let begin = begin(&server.timeouts);
        let stage = Relation::new(columns(Use::Lay));
        let event_stage = Relation::new(event::COLUMNS);
        let (staged, events) = (&stage.rows, &event_stage.rows);
        Self {
            begin_batch: format!("{begin} {}", planner(strategy)),
            begin,
            event: event_insert(s, strategy),
            event_from_stage: event_from_stage(s, events),
            event_forks: event_forks(s, events),
            transaction: transaction_insert(s, strategy),
            transaction_or_not: transaction_insert(s, Strategy::Unnest),
            transaction_merge: transaction_merge(s, staged),
            transaction_double: transaction_double(s, staged),
            exception_double: exception_double(s, staged),
            exception_orphan: exception_orphan(s, staged),
            exception_owed: exception_owed(s),
            exception_answer: exception_answer(s),
            quarantine_insert: quarantine_insert(s),
            posting: PostingSql::new(&server.schema, strategy),
            watermarks_known: format!("SELECT to_regclass('{s}.watermark') IS NOT NULL"),
            // Elsewhere an integer may have eight bytes unless it is told otherwise.
            watermarks: format!(
                "SELECT journal::text, CAST(shard AS int4), lsn, sealed FROM {s}.watermark \
                 WHERE node = $1"
            ),
            watermark_insert: watermark_insert(s),
            watermark_lock: format!(
                "SELECT lsn, fence, owner::text FROM {s}.watermark WHERE {WATERMARK_KEY} FOR UPDATE"
            ),
            watermark_fence: format!(
                "UPDATE {s}.watermark SET fence = $4, owner = CAST($5 AS uuid), sealed = $6 \
                 WHERE {WATERMARK_KEY}"
            ),
            watermark_seal_lost: format!(
                "UPDATE {s}.watermark SET sealed = true, updated_at = now() \
                 WHERE node = $1 AND journal = CAST($2 AS uuid) AND NOT sealed"
            ),
            watermark_advance: format!(
                "UPDATE {s}.watermark SET lsn = $4, sealed = $5, updated_at = now() \
                 WHERE {WATERMARK_KEY} AND lsn = $6 AND fence = $7 \
                 RETURNING current_setting('synchronous_commit')"
            ),
            stage,
            event_stage,
        }
    }
}

const WATERMARK_KEY: &str = "shard_key = $1 AND journal = CAST($2 AS uuid) AND shard = $3";

pub(crate) fn begin(timeouts: &Timeouts) -> String {
    let Timeouts {
        statement,
        lock,
        idle_in_transaction,
        ..
    } = timeouts;
    format!(
        "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE; \
         SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
         SET LOCAL idle_in_transaction_session_timeout = {}; \
         SET LOCAL client_min_messages = warning;",
        statement.as_millis(),
        lock.as_millis(),
        idle_in_transaction.as_millis(),
    )
}

/// A plan that reads all of `transaction` for a few hundred rows must not be possible, whatever the
/// statistics say: with scans, hash and merge joins off, what is left is one index look-up per row.
/// Other engines do not know these settings.
const fn planner(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Copy => {
            "SET LOCAL jit = off; SET LOCAL enable_seqscan = off; \
             SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
        }
        Strategy::Unnest => "",
    }
}

/// A record that PostgreSQL has already is an error of COPY, and one row less of `unnest`.
fn event_insert(s: &str, strategy: Strategy) -> Insert {
    let table = format!("{s}.event");
    Insert::new(strategy, &table, event::COLUMNS, " ON CONFLICT DO NOTHING")
}

/// The columns of `transaction` that a staged row fills.
fn merged(prefix: &str) -> String {
    let columns: Vec<Column> = columns(Use::Add).collect();
    names(&columns, prefix)
}

/// First sight of a transaction: nearly every row. What collides, with its own id or with a
/// business key, here or in a transaction that another node commits meanwhile, is an error of COPY;
/// else it is left to the statements after it, which see it.
fn transaction_insert(s: &str, strategy: Strategy) -> Insert {
    let table = format!("{s}.transaction");
    Insert::new(
        strategy,
        &table,
        columns(Use::Add),
        " ON CONFLICT DO NOTHING",
    )
}

/// Lays staged groups over the rows that are there. A row that already stands further in the same
/// journal has these records in it.
fn transaction_merge(s: &str, rows: &str) -> String {
    let groups = GROUPS.iter().flat_map(|group| {
        let bit = group.touched.bits();
        let set = move |Column { name, .. }: &Column| {
            format!("{name} = CASE WHEN s.touched & {bit} <> 0 THEN s.{name} ELSE t.{name} END")
        };
        group.columns.iter().map(set)
    });
    let groups: Vec<String> = groups.collect();
    format!(
        "UPDATE {s}.transaction AS t SET journal = s.journal, shard = s.shard, lsn = s.lsn, {} \
         FROM {rows} \
         WHERE t.shard_key = s.shard_key AND t.transaction_id = s.transaction_id \
         AND (t.journal <> s.journal OR t.lsn < s.lsn)",
        groups.join(", ")
    )
}

/// Requests that are still absent lost their business key to another transaction. They stay
/// visible, outside the unique key.
fn transaction_double(s: &str, rows: &str) -> String {
    let columns = merged("");
    let staged = merged("s.");
    format!(
        "INSERT INTO {s}.transaction ({columns}, duplicate_of) \
         SELECT {staged}, w.transaction_id FROM {rows} \
         JOIN {s}.transaction AS w ON w.shard_key = s.shard_key \
         AND w.duplicate_key = s.duplicate_key AND w.duplicate_of IS NULL \
         WHERE w.transaction_id <> s.transaction_id \
         ON CONFLICT (shard_key, transaction_id) DO NOTHING"
    )
}

fn exception_double(s: &str, rows: &str) -> String {
    format!(
        "INSERT INTO {s}.exception (shard_key, transaction_id, reason, journal, shard, lsn, other) \
         SELECT t.shard_key, t.transaction_id, 'double', s.journal, s.shard, s.lsn, t.duplicate_of \
         FROM {rows} JOIN {s}.transaction AS t \
         ON t.shard_key = s.shard_key AND t.transaction_id = s.transaction_id \
         WHERE t.duplicate_of IS NOT NULL ON CONFLICT DO NOTHING"
    )
}

fn exception_orphan(s: &str, rows: &str) -> String {
    format!(
        "INSERT INTO {s}.exception (shard_key, transaction_id, reason, journal, shard, lsn) \
         SELECT s.shard_key, s.transaction_id, 'orphan', s.journal, s.shard, s.lsn \
         FROM {rows} WHERE NOT EXISTS (SELECT 1 FROM {s}.transaction AS t \
         WHERE t.shard_key = s.shard_key AND t.transaction_id = s.transaction_id) \
         ON CONFLICT DO NOTHING"
    )
}

fn exception_owed(s: &str) -> String {
    format!(
        "INSERT INTO {s}.exception \
         (shard_key, transaction_id, reason, journal, shard, lsn, note) \
         SELECT f.shard_key, CAST(f.transaction_id AS uuid), f.reason, \
         CAST($1 AS uuid), $2, f.lsn, f.note \
         FROM unnest($3, $4, $5, $6, $7) \
         AS f (shard_key, transaction_id, reason, lsn, note) \
         ON CONFLICT DO NOTHING"
    )
}

/// Second answers, of which those are listed that say the opposite of what the transaction was
/// told, or that a reversal is owed for after all: it is by now, or the one before ended unsent, so
/// that it will be. Joined, as a subquery about a row of `unnest` is refused where tables are
/// distributed.
fn exception_answer(s: &str) -> String {
    format!(
        "INSERT INTO {s}.exception \
         (shard_key, transaction_id, reason, journal, shard, lsn, note) \
         SELECT t.shard_key, t.transaction_id, f.reason, CAST($1 AS uuid), $2, f.lsn, f.note \
         FROM (SELECT shard_key, CAST(transaction_id AS uuid) AS transaction_id, reason, lsn, \
         note, approves FROM unnest($3, $4, $5, $6, $7, $8) \
         AS u (shard_key, transaction_id, reason, lsn, note, approves)) AS f \
         JOIN {s}.transaction AS t \
         ON t.shard_key = f.shard_key AND t.transaction_id = f.transaction_id \
         WHERE (t.state = 'answered' AND t.approved <> f.approves) \
         OR (t.state IN ('timed_out', 'acquirer_reversed') AND f.approves \
         AND (t.reversal_cause = 'invalid_answer' \
         OR (t.reversal = 'acknowledged' AND t.reversal_attempts = 0))) \
         ON CONFLICT DO NOTHING"
    )
}

fn event_from_stage(s: &str, rows: &str) -> String {
    let columns = names(&event::COLUMNS, "");
    format!(
        "INSERT INTO {s}.event ({columns}) SELECT {columns} FROM {rows} \
         ON CONFLICT DO NOTHING RETURNING lsn"
    )
}

/// Records that PostgreSQL has under these LSNs and that say something else.
fn event_forks(s: &str, rows: &str) -> String {
    format!(
        "SELECT count(*) FROM {rows} JOIN {s}.event AS e \
         ON e.shard_key = s.shard_key AND e.journal = s.journal AND e.shard = s.shard \
         AND e.lsn = s.lsn \
         WHERE e.transaction_id <> s.transaction_id OR e.kind <> s.kind OR e.at <> s.at"
    )
}

fn quarantine_insert(s: &str) -> String {
    format!(
        "INSERT INTO {s}.quarantine (shard_key, journal, shard, lsn, transaction_id, kind, \
         sqlstate, table_name, constraint_name, sealed) \
         VALUES ($1, CAST($2 AS uuid), $3, $4, CAST($5 AS uuid), $6, $7, $8, $9, $10) \
         ON CONFLICT DO NOTHING"
    )
}

fn watermark_insert(s: &str) -> String {
    format!(
        "INSERT INTO {s}.watermark (shard_key, journal, shard, node, lsn, fence, owner) \
         VALUES ($1, CAST($2 AS uuid), $3, $4, 0, 0, CAST($5 AS uuid)) \
         ON CONFLICT (shard_key, journal, shard) DO NOTHING"
    )
}

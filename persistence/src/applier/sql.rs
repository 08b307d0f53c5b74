//! Every statement, written out once per schema.
//!
//! Tables are named with their schema and every setting is `SET LOCAL`, so that no statement leans
//! on the state of a session: a pooler in transaction mode may stand in between.

use super::event;
use super::posting::PostingSql;
use super::settings::{SchemaName, Timeouts};
use super::stage::{GROUPS, PLACE, columns};

/// The statements of one schema.
#[derive(Debug)]
pub(crate) struct Sql {
    /// BEGIN, its bounds, and the staging table.
    pub(crate) begin: String,
    /// BEGIN and its bounds.
    pub(crate) begin_plain: String,
    pub(crate) watermarks_known: String,
    pub(crate) watermarks: String,
    pub(crate) watermark_insert: String,
    pub(crate) watermark_lock: String,
    pub(crate) watermark_fence: String,
    pub(crate) watermark_seal_lost: String,
    pub(crate) watermark_advance: String,
    pub(crate) event_copy: String,
    pub(crate) event_stage: String,
    pub(crate) event_stage_copy: String,
    pub(crate) event_from_stage: String,
    pub(crate) event_forks: String,
    pub(crate) stage_copy: String,
    pub(crate) transaction_insert: String,
    pub(crate) transaction_merge: String,
    pub(crate) transaction_double: String,
    pub(crate) exception_double: String,
    pub(crate) exception_orphan: String,
    pub(crate) exception_owed: String,
    pub(crate) quarantine_insert: String,
    /// The books.
    pub(crate) posting: PostingSql,
}

impl Sql {
    pub(crate) fn new(schema: &SchemaName, timeouts: &Timeouts) -> Self {
        let s = schema.as_str();
        let begin_plain = begin(timeouts);
        Self {
            begin: format!("{begin_plain} {}", stage_table(s)),
            begin_plain,
            event_copy: copy(&format!("{s}.event"), event::COLUMNS.into_iter()),
            event_stage: format!(
                "CREATE TEMP TABLE IF NOT EXISTS njia_stage_event ON COMMIT DELETE ROWS \
                 AS SELECT * FROM {s}.event WITH NO DATA"
            ),
            event_stage_copy: copy("pg_temp.njia_stage_event", event::COLUMNS.into_iter()),
            event_from_stage: event_from_stage(s),
            event_forks: event_forks(s),
            stage_copy: copy("pg_temp.njia_stage", columns()),
            transaction_insert: transaction_insert(s),
            transaction_merge: transaction_merge(s),
            transaction_double: transaction_double(s),
            exception_double: exception_double(s),
            exception_orphan: exception_orphan(s),
            exception_owed: exception_owed(s),
            quarantine_insert: quarantine_insert(s),
            posting: PostingSql::new(schema),
            watermarks_known: format!("SELECT to_regclass('{s}.watermark') IS NOT NULL"),
            watermarks: format!(
                "SELECT journal::text, shard, lsn, sealed FROM {s}.watermark WHERE node = $1"
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
        }
    }
}

const WATERMARK_KEY: &str = "shard_key = $1 AND journal = CAST($2 AS uuid) AND shard = $3";

/// The staging table has no statistics, so the planner guesses, and a plan that reads all of
/// `transaction` for a few hundred staged rows must not be possible: with scans, hash and merge
/// joins off, what is left is one index look-up per staged row.
fn begin(timeouts: &Timeouts) -> String {
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
         SET LOCAL client_min_messages = warning; SET LOCAL jit = off; \
         SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
         SET LOCAL enable_mergejoin = off;",
        statement.as_millis(),
        lock.as_millis(),
        idle_in_transaction.as_millis(),
    )
}

/// Made once per session and emptied at each COMMIT: a table dropped at each COMMIT would leave
/// dead rows in the catalogue with every batch. Made by a SELECT so that it has no NOT NULL.
fn stage_table(s: &str) -> String {
    format!(
        "CREATE TEMP TABLE IF NOT EXISTS njia_stage ON COMMIT DELETE ROWS AS \
         SELECT 0::smallint AS touched, 0::bigint AS first_lsn, t.* FROM {s}.transaction AS t \
         WITH NO DATA;"
    )
}

fn copy(table: &str, columns: impl Iterator<Item = &'static str>) -> String {
    let columns = list(columns, "");
    format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")
}

fn list(columns: impl Iterator<Item = &'static str>, prefix: &str) -> String {
    let columns: Vec<String> = columns.map(|name| format!("{prefix}{name}")).collect();
    columns.join(", ")
}

/// The columns of `transaction` that a staged row fills.
fn merged() -> impl Iterator<Item = &'static str> {
    let groups = GROUPS.iter().flat_map(|group| group.columns.iter());
    PLACE.iter().chain(groups).copied()
}

/// First sight of a transaction: nearly every row. Whatever collides, with its own id or with a
/// business key, here or in a transaction that another node commits meanwhile, is left to the
/// statements after it, which see it.
fn transaction_insert(s: &str) -> String {
    let columns = list(merged(), "");
    format!(
        "INSERT INTO {s}.transaction ({columns}) SELECT {columns} FROM pg_temp.njia_stage \
         WHERE touched & 1 <> 0 ORDER BY first_lsn ON CONFLICT DO NOTHING"
    )
}

/// Lays staged groups over the rows that are there. A row that already stands further in the same
/// journal has these records in it.
fn transaction_merge(s: &str) -> String {
    let groups = GROUPS.iter().flat_map(|group| {
        let bit = group.touched.bits();
        let set = move |name: &&str| {
            format!("{name} = CASE WHEN s.touched & {bit} <> 0 THEN s.{name} ELSE t.{name} END")
        };
        group.columns.iter().map(set)
    });
    let groups: Vec<String> = groups.collect();
    format!(
        "UPDATE {s}.transaction AS t SET journal = s.journal, shard = s.shard, lsn = s.lsn, {} \
         FROM pg_temp.njia_stage AS s \
         WHERE t.shard_key = s.shard_key AND t.transaction_id = s.transaction_id \
         AND (t.journal <> s.journal OR t.lsn < s.lsn)",
        groups.join(", ")
    )
}

/// Requests that are still absent lost their business key to another transaction. They stay
/// visible, outside the unique key.
fn transaction_double(s: &str) -> String {
    let columns = list(merged(), "");
    let staged = list(merged(), "s.");
    format!(
        "INSERT INTO {s}.transaction ({columns}, duplicate_of) \
         SELECT {staged}, w.transaction_id FROM pg_temp.njia_stage AS s \
         JOIN {s}.transaction AS w ON w.shard_key = s.shard_key \
         AND w.duplicate_key = s.duplicate_key AND w.duplicate_of IS NULL \
         WHERE s.touched & 1 <> 0 AND w.transaction_id <> s.transaction_id \
         ON CONFLICT (shard_key, transaction_id) DO NOTHING"
    )
}

fn exception_double(s: &str) -> String {
    format!(
        "INSERT INTO {s}.exception (shard_key, transaction_id, reason, journal, shard, lsn, other) \
         SELECT t.shard_key, t.transaction_id, 'double', s.journal, s.shard, s.lsn, t.duplicate_of \
         FROM pg_temp.njia_stage AS s JOIN {s}.transaction AS t \
         ON t.shard_key = s.shard_key AND t.transaction_id = s.transaction_id \
         WHERE t.duplicate_of IS NOT NULL ON CONFLICT DO NOTHING"
    )
}

fn exception_orphan(s: &str) -> String {
    format!(
        "INSERT INTO {s}.exception (shard_key, transaction_id, reason, journal, shard, lsn) \
         SELECT s.shard_key, s.transaction_id, 'orphan', s.journal, s.shard, s.lsn \
         FROM pg_temp.njia_stage AS s WHERE NOT EXISTS (SELECT 1 FROM {s}.transaction AS t \
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
         FROM unnest($3, $4, $5, $6, $7) AS f (shard_key, transaction_id, reason, lsn, note) \
         ON CONFLICT DO NOTHING"
    )
}

fn event_from_stage(s: &str) -> String {
    let columns = list(event::COLUMNS.into_iter(), "");
    format!(
        "INSERT INTO {s}.event ({columns}) SELECT {columns} FROM pg_temp.njia_stage_event \
         ON CONFLICT (shard_key, journal, shard, lsn) DO NOTHING RETURNING lsn"
    )
}

/// Records that PostgreSQL has under these LSNs and that say something else.
fn event_forks(s: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_temp.njia_stage_event AS s JOIN {s}.event AS e \
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

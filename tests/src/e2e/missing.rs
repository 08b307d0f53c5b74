//! What is lost when only PostgreSQL is left.

use std::collections::HashMap;
use std::path::Path;

use domain::ResponseCode;
use loadgen::acks::Ack;

/// How much an acquirer was told that PostgreSQL does not have.
///
/// # Panics
/// Either cannot be read.
#[must_use]
pub fn missing(acks: &Path, url: &str, schema: &str) -> u64 {
    let known = rows(url, schema);
    let (mut missing, mut without_original) = (0, 0);
    let (rows, tombstones) = known;
    Ack::read_all(acks, |ack| {
        let Some(code) = ack.code.filter(|code| *code != ResponseCode::MALFUNCTION) else {
            return;
        };
        let named = ack.original.unwrap_or(ack.id);
        let key = (named.stan.number(), named.transmitted.digits());
        match rows.get(&key) {
            None if ack.original.is_some() => without_original += 1,
            None => missing += 1,
            Some(row) if ack.original.is_some() => missing += u64::from(!row.is_taken_back),
            Some(row) => missing += u64::from(code.is_approval() && !row.approved),
        }
    })
    .unwrap();
    missing + u64::saturating_sub(without_original, tombstones)
}

struct Row {
    approved: bool,
    /// Reversed, or nothing that could be.
    is_taken_back: bool,
}

fn rows(url: &str, schema: &str) -> (HashMap<(u32, [u8; 10]), Row>, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let all = format!(
            "SELECT stan, CAST(transmitted AS text), coalesce(approved, false), \
             reversal IS NOT NULL FROM {schema}.transaction"
        );
        let rows = client.query(&all, &[]).await.unwrap();
        let row = |row: &tokio_postgres::Row| {
            let stan = u32::try_from(row.get::<_, i32>(0)).unwrap();
            let sent: &str = row.get(1);
            let (approved, reversed): (bool, bool) = (row.get(2), row.get(3));
            let row = Row {
                approved,
                is_taken_back: reversed || !approved,
            };
            ((stan, sent.as_bytes().try_into().unwrap()), row)
        };
        let count = format!("SELECT count(*) FROM {schema}.event WHERE kind = 'tombstone'");
        let tombstones: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
        (
            rows.iter().map(row).collect(),
            u64::try_from(tombstones).unwrap(),
        )
    })
}

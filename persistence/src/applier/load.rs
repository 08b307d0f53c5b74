//! How the rows of a batch reach the server: the one place where the strategies differ.
//!
//! Rows are encoded once (`rows`), and columns are listed once (`table`). What is added to a table
//! goes as a COPY stream by `copy`, and by `unnest` as one array parameter for each column of an
//! INSERT. What has to be compared with rows that are there is arrays in both: it is little, and a
//! staging table for each batch would cost more than it saves, and outlive its transaction.

use std::fmt::Write as _;
use std::io::Cursor;
use std::pin::pin;

use futures_sink::Sink;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyInSink, Row};

use super::failure::Failure;
use super::rows::{Array, RowBuffer};
use super::settings::Strategy;
use super::table::{Column, names};
use crate::crash::{self, Step};

/// Adds rows to a table.
#[derive(Debug)]
pub(crate) struct Insert {
    strategy: Strategy,
    statement: String,
    columns: Vec<Column>,
}

impl Insert {
    /// Into `columns` of `table`. `on_conflict` is what `unnest` does with a row whose key is there
    /// already; COPY has only one answer to that, an error.
    pub(crate) fn new(
        strategy: Strategy,
        table: &str,
        columns: impl IntoIterator<Item = Column>,
        on_conflict: &str,
    ) -> Self {
        let columns: Vec<Column> = columns.into_iter().collect();
        let statement = match strategy {
            Strategy::Copy => copy_into(table, &columns),
            Strategy::Unnest => {
                let listed = names(&columns, "");
                let rows = unnest(&columns);
                format!("INSERT INTO {table} ({listed}) SELECT {listed} FROM {rows}{on_conflict}")
            }
        };
        Self {
            strategy,
            statement,
            columns,
        }
    }

    /// How many rows were added.
    pub(crate) async fn run(&self, client: &Client, rows: RowBuffer) -> Result<u64, Failure> {
        match self.strategy {
            Strategy::Copy => copy(client, &self.statement, rows.finish()).await,
            Strategy::Unnest => {
                let loaded = Loaded::arrays(&self.columns, &rows);
                crash::point(Step::InsideCopy);
                Ok(loaded.execute(client, &self.statement).await?)
            }
        }
    }
}

/// Rows that statements compare with those of a table.
#[derive(Debug)]
pub(crate) struct Relation {
    /// What a statement writes after FROM; its rows are `s`.
    pub(crate) rows: String,
    columns: Vec<Column>,
}

impl Relation {
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        let columns: Vec<Column> = columns.into_iter().collect();
        Self {
            rows: unnest(&columns),
            columns,
        }
    }

    /// Makes `rows` readable for the statements that follow.
    pub(crate) fn load(&self, rows: &RowBuffer) -> Loaded {
        Loaded::arrays(&self.columns, rows)
    }
}

/// What goes along with each statement that reads a [`Relation`].
#[derive(Debug)]
pub(crate) struct Loaded {
    arrays: Vec<(Array, Type)>,
}

impl Loaded {
    fn arrays(columns: &[Column], rows: &RowBuffer) -> Self {
        let arrays = rows.arrays(columns).into_iter();
        let types = columns.iter().map(Column::array);
        Self {
            arrays: arrays.zip(types).collect(),
        }
    }

    pub(crate) async fn execute(
        &self,
        client: &Client,
        statement: &str,
    ) -> Result<u64, tokio_postgres::Error> {
        client.execute_typed(statement, &self.parameters()).await
    }

    pub(crate) async fn query(
        &self,
        client: &Client,
        statement: &str,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        client.query_typed(statement, &self.parameters()).await
    }

    fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let arrays = self.arrays.iter();
        arrays
            .map(|(array, kind)| (array as &(dyn ToSql + Sync), kind.clone()))
            .collect()
    }
}

fn copy_into(table: &str, columns: &[Column]) -> String {
    let listed = names(columns, "");
    format!("COPY {table} ({listed}) FROM STDIN (FORMAT binary)")
}

/// The rows of array parameters, in the order of `columns`.
fn unnest(columns: &[Column]) -> String {
    let mut parameters = String::new();
    for (at, column) in columns.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        // A String takes everything.
        let written = write!(parameters, "{comma}${}::{}[]", at + 1, column.cell().name());
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    }
    let listed = names(columns, "");
    format!("unnest({parameters}) AS s ({listed})")
}

/// Sends `data`, a whole COPY stream.
async fn copy(client: &Client, statement: &str, data: Vec<u8>) -> Result<u64, Failure> {
    let sink: CopyInSink<Cursor<Vec<u8>>> = client.copy_in(statement).await?;
    let mut sink = pin!(sink);
    // A sink that is closed early says why in `finish`.
    let ready = std::future::poll_fn(|context| sink.as_mut().poll_ready(context)).await;
    if ready.is_ok() {
        sink.as_mut().start_send(Cursor::new(data))?;
        crash::point(Step::InsideCopy);
    }
    Ok(sink.as_mut().finish().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [Column::int2("a"), Column::text("b")];

    #[test]
    fn both_strategies_write_the_same_columns() {
        let insert = |strategy| Insert::new(strategy, "x.t", COLUMNS, " ON CONFLICT DO NOTHING");
        assert_eq!(
            insert(Strategy::Copy).statement,
            "COPY x.t (a, b) FROM STDIN (FORMAT binary)"
        );
        assert_eq!(
            insert(Strategy::Unnest).statement,
            "INSERT INTO x.t (a, b) SELECT a, b FROM unnest($1::int2[], $2::text[]) AS s (a, b) \
             ON CONFLICT DO NOTHING"
        );
    }
}

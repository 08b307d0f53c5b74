//! Rows in the binary format of COPY (PostgreSQL documentation, COPY, "Binary Format"), or as one
//! array for each column: an element of an array has the same bytes as a cell.
//!
//! Written straight into one buffer that goes out as a whole: `BinaryCopyInWriter` calls a trait
//! object per cell and was some fifteen times slower for one user (rust-postgres #1114).

use std::error::Error;

use bytes::BytesMut;
use domain::network::SettlementDate;
use domain::time::WallTime;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::table::Column;

/// Rows of one table.
#[derive(Debug)]
pub(crate) struct RowBuffer {
    bytes: Vec<u8>,
    rows: usize,
}

impl RowBuffer {
    /// No row yet; room for `bytes`.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(bytes.max(HEADER.len()));
        buffer.extend_from_slice(HEADER);
        Self {
            bytes: buffer,
            rows: 0,
        }
    }

    /// Begins a row of `columns`; the writer must be given exactly so many cells.
    pub(crate) fn row(&mut self, columns: usize) -> Row<'_> {
        let count = i16::try_from(columns).unwrap_or(i16::MAX);
        self.bytes.extend_from_slice(&count.to_be_bytes());
        self.rows += 1;
        Row {
            bytes: &mut self.bytes,
            missing: columns,
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.rows).unwrap_or(u64::MAX)
    }

    /// One array for each of `columns`, which are those of the rows.
    pub(crate) fn arrays(&self, columns: &[Column]) -> Vec<Array> {
        let room = self.bytes.len() / columns.len().max(1);
        let mut arrays: Vec<Array> = columns
            .iter()
            .map(|column| Array::new(&column.cell(), self.rows, room))
            .collect();
        let mut cells = Cells(self.bytes.get(HEADER.len()..).unwrap_or_default());
        for _ in 0..self.rows {
            cells.begin(columns.len());
            for array in &mut arrays {
                array.bytes.extend_from_slice(cells.next());
            }
        }
        assert!(cells.0.is_empty(), "rows must have these columns");
        arrays
    }

    /// The whole stream, with its trailer.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        self.bytes
    }
}

/// The cells of written rows, each with its length before it.
struct Cells<'b>(&'b [u8]);

impl<'b> Cells<'b> {
    /// Passes by the head of a row.
    fn begin(&mut self, columns: usize) {
        let head = self.take(size_of::<i16>());
        debug_assert_eq!(
            head,
            i16::try_from(columns).unwrap_or(i16::MAX).to_be_bytes(),
            "cells and columns go together"
        );
    }

    fn next(&mut self) -> &'b [u8] {
        let len = self
            .0
            .first_chunk()
            .map_or(-1, |len| i32::from_be_bytes(*len));
        // NULL is a length of -1 with nothing behind it.
        self.take(size_of::<i32>() + usize::try_from(len).unwrap_or(0))
    }

    fn take(&mut self, len: usize) -> &'b [u8] {
        let (cell, rest) = self.0.split_at_checked(len).unwrap_or_default();
        self.0 = rest;
        cell
    }
}

/// All cells of one column, as a parameter (`array_recv` of PostgreSQL: dimensions, whether there
/// are NULLs, type of the elements, their number, the lower bound, then each with its length).
#[derive(Debug)]
pub(crate) struct Array {
    bytes: Vec<u8>,
}

impl Array {
    fn new(cell: &Type, rows: usize, room: usize) -> Self {
        const DIMENSIONS: i32 = 1;
        const HAS_NULLS: i32 = 1;
        const FIRST: i32 = 1;
        let rows = i32::try_from(rows).unwrap_or(i32::MAX);
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(&DIMENSIONS.to_be_bytes());
        bytes.extend_from_slice(&HAS_NULLS.to_be_bytes());
        bytes.extend_from_slice(&cell.oid().to_be_bytes());
        bytes.extend_from_slice(&rows.to_be_bytes());
        bytes.extend_from_slice(&FIRST.to_be_bytes());
        Self { bytes }
    }
}

impl ToSql for Array {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// 2000-01-01T00:00:00Z in milliseconds of the Unix epoch: where PostgreSQL counts from.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;
/// The same in days.
const POSTGRES_EPOCH_DAYS: i64 = 10_957;

/// One row that is being written, cell by cell, in the order of the COPY's column list.
#[derive(Debug)]
pub(crate) struct Row<'b> {
    bytes: &'b mut Vec<u8>,
    missing: usize,
}

impl Row<'_> {
    pub(crate) fn null(&mut self) {
        self.missing = self.missing.saturating_sub(1);
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    pub(crate) fn nulls(&mut self, count: usize) {
        for _ in 0..count {
            self.null();
        }
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.cell(&[u8::from(value)]);
    }

    pub(crate) fn int2(&mut self, value: u16) {
        let value = i16::try_from(value).unwrap_or(i16::MAX);
        self.cell(&value.to_be_bytes());
    }

    pub(crate) fn int4(&mut self, value: u32) {
        let value = i32::try_from(value).unwrap_or(i32::MAX);
        self.cell(&value.to_be_bytes());
    }

    pub(crate) fn int8(&mut self, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.cell(&value.to_be_bytes());
    }

    /// `bigint` that may be below zero.
    pub(crate) fn signed(&mut self, value: i64) {
        self.cell(&value.to_be_bytes());
    }

    /// `date`: days since 2000-01-01.
    pub(crate) fn date(&mut self, value: SettlementDate) {
        let days = i64::from(value.days()).saturating_sub(POSTGRES_EPOCH_DAYS);
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        self.cell(&days.to_be_bytes());
    }

    pub(crate) fn uuid(&mut self, value: [u8; 16]) {
        self.cell(&value);
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.cell(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.cell(value.as_bytes());
    }

    /// An empty text stands for an absent field.
    pub(crate) fn text_or_null(&mut self, value: &str) {
        if value.is_empty() {
            self.null();
        } else {
            self.text(value);
        }
    }

    /// `timestamptz`: microseconds since 2000-01-01 UTC.
    pub(crate) fn time(&mut self, value: WallTime) {
        let millis = i64::try_from(value.unix_millis()).unwrap_or(i64::MAX);
        let micros = millis
            .saturating_sub(POSTGRES_EPOCH_MS)
            .saturating_mul(1000);
        self.cell(&micros.to_be_bytes());
    }

    /// Writes `value` with `put`, or NULL.
    pub(crate) fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => put(self, value),
            None => self.null(),
        }
    }

    /// The row is complete.
    pub(crate) fn end(self) {
        assert_eq!(self.missing, 0, "a row must have as many cells as columns");
    }

    fn cell(&mut self, value: &[u8]) {
        debug_assert!(self.missing > 0, "one cell too many");
        self.missing = self.missing.saturating_sub(1);
        // Bounded by RECORD_BYTES_MAX, far below i32::MAX.
        let len = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_header_rows_and_trailer() {
        let mut buffer = RowBuffer::new(64);
        let mut row = buffer.row(3);
        row.int2(7);
        row.null();
        row.text("ab");
        row.end();
        let bytes = buffer.finish();
        assert_eq!(bytes.get(..19), Some(HEADER));
        let expected = b"\0\x03\0\0\0\x02\0\x07\xff\xff\xff\xff\0\0\0\x02ab\xff\xff";
        assert_eq!(bytes.get(19..), Some(expected.as_slice()));
    }

    #[test]
    fn columns_are_arrays_of_the_same_cells() {
        let columns = [Column::int2("a"), Column::text("b")];
        let mut buffer = RowBuffer::new(64);
        for (number, text) in [(7, "ab"), (8, "")] {
            let mut row = buffer.row(2);
            row.int2(number);
            row.text_or_null(text);
            row.end();
        }
        let [numbers, texts] = <[Array; 2]>::try_from(buffer.arrays(&columns)).unwrap();
        let head = |oid: u8| [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, oid, 0, 0, 0, 2, 0, 0, 0, 1];
        let (int2, text) = (head(21), head(25));
        assert_eq!(
            numbers.bytes,
            [&int2[..], b"\0\0\0\x02\0\x07\0\0\0\x02\0\x08"].concat()
        );
        assert_eq!(
            texts.bytes,
            [&text[..], b"\0\0\0\x02ab\xff\xff\xff\xff"].concat()
        );
    }

    #[test]
    fn dates_count_from_the_year_2000() {
        let mut buffer = RowBuffer::new(64);
        let mut row = buffer.row(2);
        row.date(SettlementDate::at(WallTime::from_unix_millis(
            946_684_800_000,
        )));
        row.signed(-5);
        row.end();
        let bytes = buffer.finish();
        assert_eq!(bytes.get(25..29), Some(0_i32.to_be_bytes().as_slice()));
        assert_eq!(bytes.get(33..41), Some((-5_i64).to_be_bytes().as_slice()));
    }

    #[test]
    fn times_count_from_the_year_2000() {
        let mut buffer = RowBuffer::new(64);
        let mut row = buffer.row(2);
        row.time(WallTime::from_unix_millis(946_684_800_001));
        row.time(WallTime::from_unix_millis(0));
        row.end();
        let bytes = buffer.finish();
        assert_eq!(bytes.get(25..33), Some(1000_i64.to_be_bytes().as_slice()));
        let before = -946_684_800_000_000_i64;
        assert_eq!(bytes.get(37..45), Some(before.to_be_bytes().as_slice()));
    }
}

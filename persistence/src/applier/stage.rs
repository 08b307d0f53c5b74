//! A staged row, on its way into `transaction`: its columns by group, and its cells.
//!
//! A row whose request is in the batch is nearly always the first of its transaction and is added;
//! any other is laid over the row that is there.

use domain::Amount;
use domain::ids::{AcquirerId, IssuerId, RouteId};
use domain::pan::MaskedPan;
use domain::request::{IssuerLeg, Trace};

use super::event::{Place, code, shard_key};
use super::projection::{Asked, Ending, ReversalState, Staged, Touched};
use super::rows::{Row, RowBuffer};
use super::settings::Names;
use super::table::Column;
use super::words;

/// One group of columns of `transaction` that records set whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) touched: Touched,
    pub(crate) columns: &'static [Column],
}

/// The key of `transaction` and where its fold stands; never merged group by group.
pub(crate) const PLACE: [Column; 5] = [
    Column::int2("shard_key"),
    Column::uuid("transaction_id"),
    Column::uuid("journal"),
    Column::int4("shard"),
    Column::int8("lsn"),
];
/// Which groups a row sets, where it is laid over another; `transaction` has no such column.
const TOUCHED: Column = Column::int2("touched");

/// All other columns, in the order in which [`write`] fills them.
pub(crate) const GROUPS: [Group; 7] = [
    Group {
        touched: Touched::REQUEST,
        columns: &[
            Column::time("admitted"),
            Column::int4("acquirer_id"),
            Column::text("acquirer"),
            Column::text("class"),
            Column::uuid("duplicate_key"),
            Column::bytes("account_token"),
            Column::int2("account_token_key"),
            Column::text("account_masked"),
            Column::int8("amount"),
            Column::int2("currency"),
            Column::text("processing_code"),
            Column::text("merchant_category"),
            Column::text("entry_mode"),
            Column::int4("stan"),
            Column::text("transmitted"),
            Column::text("local_time"),
            Column::text("local_date"),
            Column::text("rrn"),
            Column::text("terminal"),
            Column::text("merchant"),
            Column::text("institution"),
        ],
    },
    Group {
        touched: Touched::LEG,
        columns: &[
            Column::int4("route_id"),
            Column::text("route"),
            Column::int2("candidate"),
            Column::int4("issuer_id"),
            Column::text("issuer"),
            Column::int4("link_id"),
            Column::int4("leg_stan"),
            Column::text("leg_transmitted"),
        ],
    },
    Group {
        touched: Touched::OUTCOME,
        columns: &[
            Column::text("state"),
            Column::bool("approved"),
            Column::text("code"),
            Column::text("issuer_code"),
            Column::text("refusal"),
            Column::text("authorisation"),
            Column::int8("answer_amount"),
            Column::time("decided"),
        ],
    },
    Group {
        touched: Touched::OWED,
        columns: &[
            Column::text("reversal_cause"),
            Column::int8("replacement"),
            Column::time("reversal_owed"),
        ],
    },
    Group {
        touched: Touched::ENDED,
        columns: &[
            Column::text("reversal"),
            Column::text("reversal_code"),
            Column::int8("reversal_attempts"),
            Column::time("reversal_ended"),
        ],
    },
    Group {
        touched: Touched::LATE,
        columns: &[Column::text("late_code"), Column::time("late_received")],
    },
    Group {
        touched: Touched::POSTED,
        columns: &[
            Column::int8("posted"),
            Column::int8("fee"),
            Column::int2("entries"),
        ],
    },
];

/// What a staged row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It becomes a row of `transaction`.
    Add,
    /// It is compared with the row that is there.
    Lay,
}

/// The columns of a staged row in the order of its cells.
pub(crate) fn columns(what: Use) -> impl Iterator<Item = Column> {
    let touched = match what {
        Use::Add => None,
        Use::Lay => Some(TOUCHED),
    };
    let groups = GROUPS.iter().flat_map(|group| group.columns.iter());
    PLACE.into_iter().chain(touched).chain(groups.copied())
}

/// `staged`, in the order of [`columns`].
pub(crate) fn write<'p>(
    staged: impl Iterator<Item = &'p Staged>,
    what: Use,
    place: Place,
    names: &Names,
) -> RowBuffer {
    const BUFFER_BYTES: usize = 64 * 1024;
    let width = columns(what).count();
    let mut buffer = RowBuffer::new(BUFFER_BYTES);
    for staged in staged {
        let mut row = buffer.row(width);
        write_place(&mut row, staged, place);
        if what == Use::Lay {
            row.int2(staged.touched.bits());
        }
        group(&mut row, 0, staged.request.as_ref(), |row, asked| {
            write_request(row, asked, names);
        });
        group(&mut row, 1, staged.leg.as_ref(), |row, leg| {
            write_leg(row, leg, names);
        });
        write_outcome(&mut row, &staged.outcome);
        group(&mut row, 3, staged.owed.as_ref(), |row, owed| {
            row.text(words::cause(owed.cause));
            row.option(owed.replacement.map(Amount::minor), Row::int8);
            row.time(owed.decided);
        });
        group(&mut row, 4, staged.ended.as_ref(), write_reversal);
        group(&mut row, 5, staged.late.as_ref(), |row, late| {
            code(row, late.code);
            row.time(late.received);
        });
        group(&mut row, 6, staged.posted.as_ref(), |row, posted| {
            row.int8(posted.amount);
            row.int8(posted.fee);
            row.int2(posted.entries);
        });
        row.end();
    }
    buffer
}

/// The cells of one group, or as many NULLs.
fn group<'b, T>(
    row: &mut Row<'b>,
    index: usize,
    value: Option<T>,
    put: impl FnOnce(&mut Row<'b>, T),
) {
    match value {
        Some(value) => put(row, value),
        None => row.nulls(GROUPS.get(index).map_or(0, |group| group.columns.len())),
    }
}

fn write_place(row: &mut Row<'_>, staged: &Staged, place: Place) {
    row.int2(shard_key(staged.transaction).0);
    row.uuid(staged.transaction.0.to_be_bytes());
    row.uuid(place.journal.0);
    row.int4(u32::from(place.shard.0));
    row.int8(staged.lsn.0);
}

fn write_request(row: &mut Row<'_>, asked: &Asked, names: &Names) {
    let facts = &asked.facts;
    row.time(asked.admitted);
    row.int4(u32::from(facts.acquirer.0));
    row.text(names.acquirer(facts.acquirer));
    row.text(words::class(facts.class));
    row.uuid(facts.key.0.to_be_bytes());
    row.bytes(&facts.account.token.0);
    row.int2(u16::from(facts.account.token_key.0.get()));
    row.bytes(masked(&mut [0; 255], facts.account.masked));
    row.int8(facts.amount.minor());
    row.int2(facts.amount.currency().code());
    row.text(facts.processing_code.as_str());
    row.text_or_null(facts.merchant_category.as_str());
    row.text_or_null(facts.entry_mode.as_str());
    write_trace(row, &facts.trace);
}

fn write_trace(row: &mut Row<'_>, trace: &Trace) {
    row.int4(trace.stan.number());
    row.bytes(&trace.transmitted.digits());
    row.text_or_null(trace.local_time.as_str());
    row.text_or_null(trace.local_date.as_str());
    row.text_or_null(trace.rrn.as_str());
    row.text_or_null(trace.terminal.as_str());
    row.text_or_null(trace.merchant.as_str());
    row.text_or_null(trace.institution.as_str());
}

fn write_leg(row: &mut Row<'_>, leg: &IssuerLeg, names: &Names) {
    row.int4(u32::from(leg.route.0));
    row.text(names.route(leg.route));
    row.int2(u16::from(leg.candidate));
    row.int4(u32::from(leg.issuer.0));
    row.text(names.issuer(leg.issuer));
    row.int4(u32::from(leg.link.0));
    row.int4(leg.stan.number());
    row.bytes(&leg.transmitted.digits());
}

fn write_outcome(row: &mut Row<'_>, ending: &Ending) {
    row.text(ending.state);
    row.bool(ending.approved);
    row.option(ending.code, code);
    row.option(ending.issuer_code, code);
    row.option(ending.refusal, Row::text);
    row.text_or_null(ending.authorisation.as_str());
    row.option(ending.amount.map(Amount::minor), Row::int8);
    row.option(ending.decided, Row::time);
}

fn write_reversal(row: &mut Row<'_>, reversal: &ReversalState) {
    row.text(reversal.state);
    row.option(reversal.code, code);
    row.option(reversal.attempts.map(u64::from), Row::int8);
    row.option(reversal.ended, Row::time);
}

/// The masked number without an allocation per row; `len` is a byte, so 255 always suffice.
fn masked(out: &mut [u8; 255], pan: MaskedPan) -> &[u8] {
    let len = usize::from(pan.len).max(10);
    out.fill(b'*');
    if let Some(front) = out.first_chunk_mut::<6>() {
        *front = pan.first;
    }
    let text = out.get_mut(..len).unwrap_or_default();
    if let Some(back) = text.last_chunk_mut::<4>() {
        *back = pan.last;
    }
    text
}

impl Names {
    pub(crate) fn acquirer(&self, id: AcquirerId) -> &str {
        Self::at(&self.acquirers, id.0)
    }

    pub(crate) fn issuer(&self, id: IssuerId) -> &str {
        Self::at(&self.issuers, id.0)
    }

    pub(crate) fn route(&self, id: RouteId) -> &str {
        Self::at(&self.routes, id.0)
    }

    /// A position that the present configuration does not know keeps its number, in its own column.
    fn at(names: &[String], position: u16) -> &str {
        names.get(usize::from(position)).map_or("?", String::as_str)
    }
}

//! What PostgreSQL must hold: the records folded one at a time, the slow and obvious way, and the
//! comparison with what it does hold.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::Lsn;
use domain::record::{
    AdviceOrigin, Advised, Operated, Operation, OutcomeKind, OwedKind, Record, RefusalReason,
    ReversalCause, SafDone, SafResult,
};
use domain::request::{Facts, IssuerLeg, MessageClass};
use domain::time::WallTime;
use domain::{Amount, ResponseCode};
use serde_json::{Map, Value, json};
use tokio_postgres::Client;

use crate::books::Books;
use crate::log::Log;

pub const ACQUIRERS: [&str; 2] = ["acquirer-1", "acquirer-2"];
pub const ISSUERS: [&str; 2] = ["bank", "momo"];
pub const ROUTES: [&str; 1] = ["bank-cards"];
/// In basis points, of each acquirer.
pub const FEES: [u16; 2] = [0, 35];

type Row = Map<String, Value>;
pub type Rows = BTreeMap<String, Row>;

/// The projection of `log` without the records in `refused`.
pub fn fold(log: &Log, refused: &BTreeSet<u64>) -> Rows {
    let mut rows = Rows::new();
    log.each(|lsn, record| {
        if !refused.contains(&lsn.0) {
            lay(&mut rows, log, lsn, record);
        }
    });
    for (id, standing) in Books::fold(log, refused).standing {
        let row = rows.get_mut(&id).expect("what is posted was asked for");
        set(row, "posted", json!(standing.amount));
        set(row, "fee", json!(standing.fee));
        set(row, "entries", json!(standing.entries));
    }
    rows
}

fn lay(rows: &mut Rows, log: &Log, lsn: Lsn, record: &Record<'_>) {
    let id = record.transaction().to_string();
    match record {
        Record::Intent(intent) => {
            let row = rows.entry(id.clone()).or_default();
            ask(row, &intent.facts, intent.admitted);
            send(row, &intent.leg);
            end(row, "sent", false, None);
        }
        Record::Refused(refused) => {
            let row = rows.entry(id.clone()).or_default();
            ask(row, &refused.facts, refused.admitted);
            end(row, "refused", false, Some(refused.code));
            set(row, "refusal", json!(reason(refused.reason)));
            set(row, "decided", millis(refused.admitted));
        }
        Record::Outcome(outcome) => {
            let Some(row) = rows.get_mut(&id) else { return };
            let code = outcome.answer.code;
            let approved = outcome.kind == OutcomeKind::Answered && code.is_approval();
            end(row, state(outcome.kind), approved, Some(code));
            set(row, "issuer_code", text(outcome.issuer_code));
            let authorisation = absent(outcome.answer.authorisation.as_str());
            set(row, "authorisation", authorisation);
            set(row, "answer_amount", minor(outcome.answer.amount));
            set(row, "decided", millis(outcome.decided));
        }
        Record::SafOwed(owed) => {
            let Some(row) = rows.get_mut(&id) else { return };
            set(row, "reversal_cause", json!(cause(owed.cause)));
            set(row, "replacement", minor(owed.replacement));
            set(row, "reversal_owed", millis(owed.decided));
            set(row, "reversal", json!("owed"));
            for column in ["reversal_code", "reversal_attempts", "reversal_ended"] {
                set(row, column, Value::Null);
            }
        }
        Record::SafDone(done) => {
            let Some(row) = rows.get_mut(&id) else { return };
            finish(row, done);
        }
        Record::LateResponse(late) => {
            let Some(row) = rows.get_mut(&id) else { return };
            set(row, "late_code", text(Some(late.code)));
            set(row, "late_received", millis(late.received));
        }
        Record::Advised(advised) => report(rows.entry(id.clone()).or_default(), advised),
        Record::Operated(operated) if operated.what == OwedKind::Reversal => {
            let Some(row) = rows.get_mut(&id) else { return };
            operate(row, operated);
        }
        Record::Tombstone(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => return,
    }
    let row = rows.get_mut(&id).expect("the row was there");
    set(row, "shard_key", json!(record.transaction().slot().0));
    set(row, "transaction_id", json!(id));
    set(row, "journal", json!(log.journal.to_string()));
    set(row, "shard", json!(log.shard.0));
    set(row, "lsn", json!(lsn.0));
}

fn finish(row: &mut Row, done: &SafDone) {
    set(row, "reversal", json!(result(done.result)));
    set(row, "reversal_code", text(done.code));
    set(row, "reversal_attempts", json!(done.attempts));
    set(row, "reversal_ended", millis(done.decided));
}

fn operate(row: &mut Row, operated: &Operated) {
    let dropped = operated.operation == Operation::Drop;
    let told = |value: Value| if dropped { value } else { Value::Null };
    set(
        row,
        "reversal",
        json!(if dropped { "dropped" } else { "owed" }),
    );
    set(row, "reversal_code", told(text(operated.code)));
    set(row, "reversal_attempts", told(json!(operated.attempts)));
    set(row, "reversal_ended", told(millis(operated.decided)));
}

fn report(row: &mut Row, advised: &Advised<'_>) {
    ask(row, &advised.facts, advised.admitted);
    if let Some(leg) = &advised.leg {
        send(row, leg);
    }
    let (state, told) = match (&advised.leg, advised.origin) {
        (None, _) => ("unforwarded", false),
        (Some(_), AdviceOrigin::Acquirer) => ("advised", true),
        (Some(_), AdviceOrigin::StandIn) => ("stood_in", true),
    };
    let approved = advised.reported.is_none_or(ResponseCode::is_approval);
    end(row, state, told && approved, Some(advised.answer.code));
    set(row, "issuer_code", text(advised.reported));
    let given = advised.answer.authorisation;
    set(row, "authorisation", absent(given.as_str()));
    set(row, "decided", millis(advised.admitted));
}

fn ask(row: &mut Row, facts: &Facts, admitted: WallTime) {
    let class = match facts.class {
        MessageClass::Authorisation => "authorisation",
        MessageClass::Financial => "financial",
    };
    let token: String = facts
        .account
        .token
        .0
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let trace = &facts.trace;
    set(row, "admitted", millis(admitted));
    set(row, "acquirer_id", json!(facts.acquirer.0));
    set(row, "acquirer", json!(name(&ACQUIRERS, facts.acquirer.0)));
    set(row, "class", json!(class));
    set(row, "duplicate_key", json!(uuid(facts.key.0)));
    set(row, "account_token", json!(format!("\\x{token}")));
    let token_key = facts.account.token_key.0.get();
    set(row, "account_token_key", json!(token_key));
    set(
        row,
        "account_masked",
        json!(facts.account.masked.to_string()),
    );
    set(row, "amount", minor(Some(facts.amount)));
    set(row, "currency", json!(facts.amount.currency().code()));
    set(
        row,
        "processing_code",
        json!(facts.processing_code.as_str()),
    );
    set(
        row,
        "merchant_category",
        absent(facts.merchant_category.as_str()),
    );
    set(row, "entry_mode", absent(facts.entry_mode.as_str()));
    set(row, "stan", json!(trace.stan.number()));
    set(
        row,
        "transmitted",
        json!(digits(&trace.transmitted.digits())),
    );
    set(row, "local_time", absent(trace.local_time.as_str()));
    set(row, "local_date", absent(trace.local_date.as_str()));
    set(row, "rrn", absent(trace.rrn.as_str()));
    set(row, "terminal", absent(trace.terminal.as_str()));
    set(row, "merchant", absent(trace.merchant.as_str()));
    set(row, "institution", absent(trace.institution.as_str()));
}

fn send(row: &mut Row, leg: &IssuerLeg) {
    set(row, "route_id", json!(leg.route.0));
    set(row, "route", json!(name(&ROUTES, leg.route.0)));
    set(row, "candidate", json!(leg.candidate));
    set(row, "issuer_id", json!(leg.issuer.0));
    set(row, "issuer", json!(name(&ISSUERS, leg.issuer.0)));
    set(row, "link_id", json!(leg.link.0));
    set(row, "leg_stan", json!(leg.stan.number()));
    set(
        row,
        "leg_transmitted",
        json!(digits(&leg.transmitted.digits())),
    );
}

/// Every column of the outcome, so that a second leg leaves nothing of the first one's.
fn end(row: &mut Row, state: &str, approved: bool, code: Option<ResponseCode>) {
    set(row, "state", json!(state));
    set(row, "approved", json!(approved));
    set(row, "code", text(code));
    for column in [
        "issuer_code",
        "refusal",
        "authorisation",
        "answer_amount",
        "decided",
    ] {
        set(row, column, Value::Null);
    }
}

/// NULL is the absence of a value, on both sides.
fn set(row: &mut Row, column: &str, value: Value) {
    if value.is_null() {
        row.remove(column);
    } else {
        row.insert(column.to_owned(), value);
    }
}

fn state(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Answered => "answered",
        OutcomeKind::TimedOut => "timed_out",
        OutcomeKind::Invalid => "invalid",
        OutcomeKind::NotSent => "not_sent",
        OutcomeKind::AcquirerReversed => "acquirer_reversed",
    }
}

fn reason(reason: RefusalReason) -> &'static str {
    assert_eq!(reason, RefusalReason::Fraud, "the workload makes no other");
    "fraud"
}

fn cause(cause: ReversalCause) -> &'static str {
    match cause {
        ReversalCause::Timeout => "timeout",
        ReversalCause::Requested => "requested",
        ReversalCause::InvalidAnswer => "invalid_answer",
        ReversalCause::Undelivered => "undelivered",
        ReversalCause::Restart => "restart",
    }
}

fn result(result: SafResult) -> &'static str {
    match result {
        SafResult::Acknowledged => "acknowledged",
        SafResult::Refused => "refused",
        SafResult::Expired => "expired",
        SafResult::Dropped => "dropped",
    }
}

fn name(names: &[&'static str], position: u16) -> &'static str {
    names.get(usize::from(position)).copied().unwrap_or("?")
}

fn absent(text: &str) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        json!(text)
    }
}

fn text(code: Option<ResponseCode>) -> Value {
    code.map_or(Value::Null, |code| json!(code.to_string()))
}

fn minor(amount: Option<Amount>) -> Value {
    amount.map_or(Value::Null, |amount| json!(amount.minor()))
}

fn millis(time: WallTime) -> Value {
    json!(time.unix_millis())
}

fn digits(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap()
}

fn uuid(number: u128) -> String {
    persistence::identity::JournalUuid(number.to_be_bytes()).to_string()
}

/// The projection as PostgreSQL holds it.
pub async fn projection(client: &Client, schema: &str) -> Rows {
    const TIMES: [&str; 5] = [
        "admitted",
        "decided",
        "reversal_owed",
        "reversal_ended",
        "late_received",
    ];
    let times = TIMES.map(|time| format!("'{time}', (extract(epoch FROM {time}) * 1000)::bigint"));
    let sql = format!(
        "SELECT jsonb_strip_nulls(to_jsonb(t) || jsonb_build_object({}))::text \
         FROM {schema}.transaction AS t",
        times.join(", ")
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    let rows = rows.iter().map(|row| {
        let row: Row = serde_json::from_str(row.get(0)).unwrap();
        (row["transaction_id"].as_str().unwrap().to_owned(), row)
    });
    rows.collect()
}

/// Fails with the first row that differs.
#[track_caller]
pub fn assert_equal(held: &Rows, expected: &Rows) {
    for (id, row) in expected {
        let found = held.get(id);
        let found = found.unwrap_or_else(|| panic!("{id} is missing, of {}", expected.len()));
        for (column, value) in row {
            assert_eq!(found.get(column), Some(value), "{id}.{column}");
        }
        assert_eq!(found, row, "{id}");
    }
    assert_eq!(held.len(), expected.len(), "rows that nobody wrote");
}

/// Approved and taken back, per currency.
pub type Sums = BTreeMap<i64, (i64, i64)>;

/// The sums that the journal proves, from its records alone.
pub fn sums(rows: &Rows) -> Sums {
    let mut sums = Sums::new();
    for row in rows.values() {
        let number = |column: &str| row.get(column).and_then(Value::as_i64);
        let (approved, reversed) = sums.entry(number("currency").unwrap()).or_default();
        if row["approved"] == json!(true) {
            let amount = number("answer_amount").or(number("amount")).unwrap();
            *approved += amount;
            if row.contains_key("reversal") {
                *reversed += amount - number("replacement").unwrap_or(0);
            }
        }
    }
    sums
}

/// The sums as PostgreSQL adds them.
pub async fn totals(client: &Client, schema: &str) -> Sums {
    let sql = format!("SELECT currency::bigint, approved, reversed FROM {schema}.total");
    let rows = client.query(&sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect()
}

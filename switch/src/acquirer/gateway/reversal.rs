//! Reversals: of a transaction by its id, or by its key, which may never have come.

use bytes::Bytes;
use domain::ids::TransactionId;
use futures_lite::future;
use hyper::header;
use hyper::http::request::Parts;
use sha2::{Digest as _, Sha256};

use super::GatewayContext;
use super::desk::{Ask, NewReversal, Original, Told};
use super::handler::{self, Answer, JSON, REPLAYED, TRANSACTIONS};
use super::prefer::Prefer;
use super::request::IdempotencyKey;
use crate::acquirer::json::problem::{Problem, Slug};
use crate::acquirer::json::{Reverse, Reversed, buried_json, reverse};

/// The original that a path names; `None` when it is no path of a reversal.
pub(super) fn original(path: &str, query: Option<&str>) -> Option<Result<Original, Problem>> {
    let rest = path.strip_prefix(TRANSACTIONS)?.strip_prefix('/')?;
    if rest == "reversals" {
        return Some(handler::key_of_query(query).map(Original::Key));
    }
    let id = rest.strip_suffix("/reversals")?;
    let id = TransactionId::from_shown(id).ok_or_else(|| Problem::of(Slug::NotFound));
    Some(id.map(Original::Id))
}

/// Answers one whose head and identity are checked.
pub(super) async fn create(
    original: Result<Original, Problem>,
    parts: &Parts,
    body: &Bytes,
    context: &GatewayContext,
) -> Result<Answer, Problem> {
    let prefer = Prefer::read(&parts.headers);
    let understood = || {
        let detail = "the callback of a payment tells its reversals too: leave X-Callback-URL out";
        handler::no_callback(parts, detail)?;
        Ok((
            original?,
            reverse(body)?,
            handler::idempotency_key(&parts.headers)?,
        ))
    };
    let (original, reverse, key) = context.understood(understood())?;
    let told = reversed(original, &reverse, key, prefer, context).await?;
    answer(told, reverse.reference.as_deref(), prefer)
}

/// Has a transaction reversed, or finds the reversal of this key.
pub(super) async fn reversed(
    original: Original,
    reverse: &Reverse,
    key: IdempotencyKey,
    prefer: Prefer,
    context: &GatewayContext,
) -> Result<Told, Problem> {
    let mut canonical = Vec::new();
    reverse.canonical(&mut canonical);
    let until = context.clock.now().after(prefer.wait);
    let mut new = NewReversal {
        acquirer: context.gateway.acquirer,
        gateway: context.number,
        original,
        key,
        digest: Sha256::digest(&canonical).into(),
        amount: reverse.amount,
        reason: reverse.reason,
        sent: reverse.sent,
        waits_until: (!prefer.is_async).then_some(until),
        is_again: false,
    };
    let told = handler::ask_within(Ask::Reverse(Box::new(new.clone())), prefer, context).await?;
    match told {
        Some(Told::Elsewhere) | None => {
            // Asked once more it is told where it stands as soon as that is durable; that it is a
            // copy then says nothing.
            new.waits_until = None;
            new.is_again = true;
            match once_more(new, context).await? {
                Told::Transaction { transaction, .. } => Ok(Told::Transaction {
                    transaction,
                    is_copy: false,
                }),
                told => Ok(told),
            }
        }
        Some(told) => Ok(told),
    }
}

async fn once_more(new: NewReversal, context: &GatewayContext) -> Result<Told, Problem> {
    let asked = context.ask(Ask::Reverse(Box::new(new)), Slug::InProgress)?;
    let told = async { Ok(asked.told().await) };
    let late = async {
        let until = context.clock.now().after(DURABLE_WITHIN);
        context.alarms.at(until).await;
        Err(Problem::of(Slug::InProgress))
    };
    future::or(told, late).await
}

fn answer(told: Told, reference: Option<&str>, prefer: Prefer) -> Result<Answer, Problem> {
    if let Told::Buried = told {
        let mut answer = handler::answer(201, JSON, buried_json(reference));
        prefer.put(&mut answer);
        return Ok(answer);
    }
    let (original, is_copy) = handler::transaction_of(told)?;
    let reversed = Reversed {
        original: &original,
        reference,
    };
    let is_final = reversed.state().is_final();
    let status = if is_final { 201 } else { 202 };
    let mut answer = handler::answer(status, JSON, reversed.to_json());
    handler::put_location(&mut answer, original.id);
    prefer.put(&mut answer);
    if is_copy {
        handler::put(&mut answer, REPLAYED, "true");
    }
    if !is_final {
        handler::put(&mut answer, header::RETRY_AFTER, "1");
    }
    Ok(answer)
}

/// A flush takes milliseconds: what is not durable after so long is not told as if it were.
const DURABLE_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_original_or_nothing() {
        let id = "01a1fae5-9c1c-7b1a-8f00-0a0000000421";
        let path = format!("/v1/transactions/{id}/reversals");
        let found = original(&path, None);
        assert!(matches!(found, Some(Ok(Original::Id(found))) if found.to_string() == id));
        let found = original("/v1/transactions/reversals", Some("idempotency_key=a%2Db"));
        assert!(matches!(found, Some(Ok(Original::Key(key))) if key.as_bytes() == b"a-b"));
        let found = original("/v1/transactions/reversals", None);
        assert!(matches!(found, Some(Err(problem)) if problem.slug == Slug::Malformed));
        let found = original("/v1/transactions/x/reversals", None);
        assert!(matches!(found, Some(Err(problem)) if problem.slug == Slug::NotFound));
        assert!(original("/v1/transactions", None).is_none());
        assert!(original("/v1/transactions/reversal", None).is_none());
    }
}

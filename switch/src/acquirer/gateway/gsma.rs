//! GSMA's Mobile Money API 1.2 on the same handlers (docs/gsma.md): which of its seven resources is
//! asked for, and its words for what is told. It keeps nothing.

use domain::ids::TransactionId;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Request, header};
use sha2::{Digest as _, Sha256};

use super::desk::{Ask, Original, Told};
use super::handler::{self, Answer, JSON};
use super::prefer::Prefer;
use super::request::IdempotencyKey;
use super::{Connection, GatewayContext, reversal};
use crate::acquirer::json::problem::{FieldError, Problem, Slug};
use crate::acquirer::json::{Kind, Reversed, Transaction, gsma};
use crate::callback::Form;
use crate::config::GsmaDuplicate;

/// What one request asks for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// A new transaction; its type where the path names it.
    Create(Option<String>),
    Read(String),
    Reverse(String),
    RequestState(String),
    Response(String),
    Heartbeat,
    /// None of the seven.
    Nothing,
}

const PREFIX: &str = "/gsma/v1.2/mm";

impl Asked {
    /// `None` when it is not asked in GSMA's words, or the gateway does not speak them.
    pub(super) fn read(request: &Request<Incoming>, context: &GatewayContext) -> Option<Self> {
        if !context.gateway.gsma {
            return None;
        }
        Self::of(request.method(), request.uri().path())
    }

    fn of(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        let mut parts = rest.strip_prefix('/')?.split('/');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
        let is_post = *method == Method::POST;
        let is_get = *method == Method::GET;
        Some(match parts {
            [Some("transactions"), None, ..] if is_post => Self::Create(None),
            [Some("transactions"), Some("type"), Some(kind), None] if is_post => {
                Self::Create(Some(kind.to_owned()))
            }
            [Some("transactions"), Some(id), Some("reversals"), None] if is_post => {
                Self::Reverse(id.to_owned())
            }
            [Some("transactions"), Some(id), None, _] if is_get => Self::Read(id.to_owned()),
            [Some("requeststates"), Some(id), None, _] if is_get => {
                Self::RequestState(id.to_owned())
            }
            [Some("responses"), Some(key), None, _] if is_get => Self::Response(key.to_owned()),
            [Some("heartbeat"), None, ..] if is_get => Self::Heartbeat,
            _ => Self::Nothing,
        })
    }
}

/// Answers one.
pub(super) async fn route(
    asked: &Asked,
    request: Request<Incoming>,
    context: &GatewayContext,
    connection: &Connection,
) -> Result<Answer, Problem> {
    match asked {
        Asked::Create(kind) => create(kind.as_deref(), request, context, connection).await,
        Asked::Reverse(id) => {
            let (parts, body) = handler::taken(request, context, connection).await?;
            let prefer = Prefer::read(&parts.headers);
            let read = || {
                handler::no_callback(&parts, NO_CALLBACK)?;
                check_content(&parts.headers, &body)?;
                Ok((id_of(id)?, key(&parts)?, gsma::reverse(&body)?))
            };
            let (id, key, reverse) = context.understood(read())?;
            let original = Original::Id(id);
            let told = reversal::reversed(original, &reverse, key, prefer, context).await?;
            told_of_reversal(told, context)
        }
        Asked::Read(id) => {
            let transaction = stands(id, &request, context).await?;
            Ok(handler::answer(200, JSON, transaction.to_gsma(None)))
        }
        Asked::RequestState(id) => {
            let transaction = stands(id, &request, context).await?;
            Ok(state_answer(200, &transaction, context))
        }
        Asked::Response(key) => {
            handler::known(&request, context).await?;
            let key = correlation(key).ok_or_else(|| Problem::of(Slug::NotFound))?;
            let ask = Ask::ByKey(context.gateway.acquirer, key);
            let (transaction, _) = handler::transaction_of(handler::look(ask, context).await?)?;
            let link = gsma::link_json(transaction.id);
            Ok(handler::answer(200, JSON, link))
        }
        Asked::Heartbeat => Ok(handler::heartbeat(context)),
        Asked::Nothing => Err(Problem::of(Slug::NotFound)),
    }
}

async fn create(
    kind: Option<&str>,
    request: Request<Incoming>,
    context: &GatewayContext,
    connection: &Connection,
) -> Result<Answer, Problem> {
    let begun = handler::Begun::new(context);
    let (parts, body) = handler::taken(request, context, connection).await?;
    let mut prefer = Prefer::read(&parts.headers);
    let read = || {
        begun.check()?;
        let key = key(&parts)?;
        let permitted = context.gateway.callbacks.as_ref();
        let correlation = key.as_str();
        let form = Form::Gsma { correlation };
        let callback = handler::callback_url(&parts.headers, permitted, form)?;
        check_content(&parts.headers, &body)?;
        let kind = kind.map(kind_of).transpose()?;
        let body = gsma::create(&body, kind, context.rules())?;
        handler::check_served(&body)?;
        handler::check_permitted(&body, context)?;
        Ok((body, (key, callback)))
    };
    let (body, key) = context.understood(read())?;
    let notification = handler::notification(key.1.as_deref());
    // Whoever is told of the end does not wait for it.
    prefer.is_async |= key.1.is_some();
    let told = handler::pay(&body, key, prefer, context).await?;
    let (mut transaction, is_copy) = handler::transaction_of(told)?;
    transaction.notification = notification;
    if is_copy && context.gateway.gsma_duplicate == GsmaDuplicate::Reject {
        return Err(Problem::of(Slug::IdempotencyKeyReused));
    }
    let mut answer = if let Some(refusal) = transaction.gsma_refusal() {
        handler::answer(400, JSON, refusal.to_json(context.clock.wall()))
    } else if transaction.state.is_final() {
        handler::answer(201, JSON, transaction.to_gsma(Some(&body.reference)))
    } else {
        state_answer(202, &transaction, context)
    };
    if is_copy {
        handler::put(&mut answer, handler::REPLAYED, "true");
    }
    Ok(answer)
}

fn kind_of(text: &str) -> Result<Kind, Problem> {
    Kind::read(text).map_err(|(error_code, detail)| {
        Problem::fields(vec![FieldError {
            pointer: "/type".to_owned(),
            detail,
            error_code,
        }])
    })
}

fn told_of_reversal(told: Told, context: &GatewayContext) -> Result<Answer, Problem> {
    let (original, is_copy) = handler::transaction_of(told)?;
    let reversed = Reversed {
        original: &original,
        reference: None,
    };
    let mut answer = if reversed.state().is_final() {
        handler::answer(201, JSON, reversed.to_gsma())
    } else {
        state_answer(202, &original, context)
    };
    if is_copy {
        handler::put(&mut answer, handler::REPLAYED, "true");
    }
    Ok(answer)
}

async fn stands(
    id: &str,
    request: &Request<Incoming>,
    context: &GatewayContext,
) -> Result<Box<Transaction>, Problem> {
    handler::known(request, context).await?;
    let told = handler::stands(id_of(id)?, Prefer::read(request.headers()), context).await?;
    handler::transaction_of(told).map(|(transaction, _)| transaction)
}

fn state_answer(status: u16, transaction: &Transaction, context: &GatewayContext) -> Answer {
    let text = transaction.to_request_state(context.clock.wall());
    handler::answer(status, JSON, text)
}

/// GSMA's error object.
pub(super) fn refused(problem: &Problem, context: &GatewayContext) -> Answer {
    let text = problem.to_gsma(context.clock.wall());
    let mut answer = handler::answer(problem.gsma_status(), JSON, text);
    handler::advise(&mut answer, problem, context);
    answer
}

fn id_of(text: &str) -> Result<TransactionId, Problem> {
    TransactionId::from_shown(text).ok_or_else(|| Problem::of(Slug::NotFound))
}

/// `X-CorrelationID` is the key.
fn key(parts: &Parts) -> Result<IdempotencyKey, Problem> {
    let value = only(&parts.headers, CORRELATION_ID)?;
    let text = value.and_then(|value| value.to_str().ok());
    let key = text.and_then(correlation).ok_or_else(|| {
        let detail = "X-CorrelationID takes a UUID";
        Problem::with(Slug::IdempotencyKeyMissing, detail)
    })?;
    if parts.headers.contains_key("idempotency-key") {
        let detail = "Idempotency-Key is not of this API: X-CorrelationID is the key";
        return Err(Problem::with(Slug::Malformed, detail));
    }
    Ok(key)
}

fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&header::HeaderValue>, Problem> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next();
    if values.next().is_some() {
        let detail = "X-CorrelationID stands there twice";
        return Err(Problem::with(Slug::Malformed, detail));
    }
    Ok(first)
}

/// The key of a UUID (RFC 9562): in small letters, as both cases are the same one.
fn correlation(text: &str) -> Option<IdempotencyKey> {
    let text = text.trim_ascii().to_ascii_lowercase();
    TransactionId::from_shown(&text)?;
    IdempotencyKey::read(text.as_bytes())
}

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlationid");

const NO_CALLBACK: &str = "a reversal is told where its original is: leave X-Callback-URL out";

/// The SHA-256 of the body, in hexadecimal digits, where it is named: against accidents on the way,
/// and no proof of who has sent it.
fn check_content(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if !headers.contains_key(CONTENT_HASH) {
        return Ok(());
    }
    let mut named = headers.get_all(CONTENT_HASH).into_iter();
    let digest = Sha256::digest(body);
    let is_it = |value: &header::HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.len() == digest.len() * 2
            && digest
                .iter()
                .zip(value.chunks_exact(2))
                .all(|(byte, pair)| {
                    let text = std::str::from_utf8(pair).unwrap_or_default();
                    u8::from_str_radix(text, 16).ok() == Some(*byte) && !text.starts_with('+')
                })
    };
    if named.all(is_it) {
        return Ok(());
    }
    let detail = "X-Content-Hash is not the SHA-256 of the body in hexadecimal digits";
    Err(Problem::with(Slug::Malformed, detail))
}

const CONTENT_HASH: HeaderName = HeaderName::from_static("x-content-hash");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, rest: &str, expected: &str) {
        let path = format!("{PREFIX}{rest}");
        let asked = format!("{:?}", Asked::of(method, &path).unwrap());
        assert_eq!(asked, expected, "{method} {rest}");
    }

    #[test]
    fn seven_resources_are_served_and_no_other() {
        let (get, post) = (&Method::GET, &Method::POST);
        check(post, "/transactions", "Create(None)");
        check(
            post,
            "/transactions/type/merchantpay",
            r#"Create(Some("merchantpay"))"#,
        );
        check(post, "/transactions/a/reversals", r#"Reverse("a")"#);
        check(get, "/transactions/a", r#"Read("a")"#);
        check(get, "/requeststates/a", r#"RequestState("a")"#);
        check(get, "/responses/a", r#"Response("a")"#);
        check(get, "/heartbeat", "Heartbeat");
        for (method, rest) in [
            (get, "/"),
            (get, "/transactions"),
            (get, "/transactions/a/reversals"),
            (get, "/transactions/a/b/c"),
            (post, "/transactions/a"),
            (post, "/transactions/type/merchantpay/more"),
            (post, "/heartbeat"),
            (get, "/heartbeat/more"),
            (get, "/accounts/msisdn/1/balance"),
            (&Method::PATCH, "/transactions/a"),
        ] {
            check(method, rest, "Nothing");
        }
        assert!(Asked::of(get, "/gsma/v1.2/mmx").is_none());
        assert!(Asked::of(get, "/v1/heartbeat").is_none());
    }

    #[test]
    fn a_body_is_held_against_its_hash() {
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_HASH, value.parse().unwrap());
            }
            check_content(&headers, b"abc").is_ok()
        };
        // FIPS 180-2, appendix B.1.
        let good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(check(&[]) && check(&[good]) && check(&[&good.to_uppercase()]));
        for bad in [
            "",
            "ba78",
            &good.replace("ba", "bb"),
            &good.replace("ba", "+a"),
        ] {
            assert!(!check(&[bad]), "{bad}");
        }
        assert!(!check(&[good, "ba78"]), "any of several");
    }

    #[test]
    fn a_key_is_a_uuid_in_either_case() {
        let small = correlation("6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a10").unwrap();
        let large = correlation("6F1B1F0E-3A77-4A39-9D1E-0D3F2C9B7A10").unwrap();
        assert_eq!(small, large);
        for bad in ["", "6f1b1f0e3a774a399d1e0d3f2c9b7a10", "key-1", "{}"] {
            assert!(correlation(bad).is_none(), "{bad}");
        }
    }
}

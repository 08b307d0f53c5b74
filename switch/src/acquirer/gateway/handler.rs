//! One request: checks in the order of the contract, then a question to the owner, then the answer.
//!
//! Once a message may have left for an issuer the answer is 201 or 202 and never an error
//! (http-api.md §1).

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use domain::ids::TransactionId;
use domain::pan::Pan;
use domain::time::WallTime;
use futures_lite::future;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::desk::{Ask, NewTransaction, Told};
use super::identity::{Shown, check_address, identify, note_failure, prove, signs};
use super::prefer::Prefer;
use super::request::IdempotencyKey;
use super::signature::{Head, SCHEME};
use super::wire::admit;
use super::{Connection, GatewayContext, REQUESTS_MAX, document, gsma, refused, reversal};
use crate::acquirer::json::problem::{ErrorCode, FieldError, Problem, Slug};
use crate::acquirer::json::{self, PartyKey};
use crate::acquirer::shown::Notification;
use crate::callback::{Form, NotTold};
use crate::config::Callbacks;
use crate::config::NotPermitted;
use crate::metrics::GatewayRefusal;

pub(super) type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn handle(
    request: Request<Incoming>,
    context: &GatewayContext,
    connection: &Connection,
) -> Answer {
    let busy = Busy::new(connection);
    let asked = gsma::Asked::read(&request, context);
    let place = refused::place_of(request.uri().path(), asked.is_some());
    let admitted = admit(context, connection);
    let admitted = admitted.and_then(|()| check_address(connection, context));
    let routed = match (admitted, &asked) {
        (Ok(()), Some(asked)) => gsma::route(asked, request, context, connection).await,
        (Ok(()), None) => route(request, context, connection).await,
        (Err(problem), _) => Err(problem),
    };
    if let Err(problem) = &routed {
        note_failure(problem, connection, context);
        refused::note(problem, place, connection, context);
    }
    let mut answer = routed.unwrap_or_else(|problem| match asked {
        Some(_) => gsma::refused(&problem, context),
        None => problem_answer(&problem, context),
    });
    let is_last = connection.served.get() >= REQUESTS_MAX || connection.fault.get().is_some();
    if is_last || connection.is_over() || context.gate.is_closed() {
        put(&mut answer, header::CONNECTION, "close");
    }
    drop(busy);
    answer
}

/// A request whose answer is not made yet.
struct Busy<'a>(&'a Connection);

impl<'a> Busy<'a> {
    fn new(connection: &'a Connection) -> Self {
        connection.busy.set(connection.busy.get() + 1);
        connection
            .served
            .set(connection.served.get().saturating_add(1));
        Self(connection)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
    }
}

async fn route(
    request: Request<Incoming>,
    context: &GatewayContext,
    connection: &Connection,
) -> Result<Answer, Problem> {
    let method = request.method().clone();
    if method == Method::POST && request.uri().path() == TRANSACTIONS {
        return create(request, context, connection).await;
    }
    let path = request.uri().path().to_owned();
    if let Some(original) = reversal::original(&path, request.uri().query()) {
        only(&method, "POST")?;
        let (parts, body) = taken(request, context, connection).await?;
        return reversal::create(original, &parts, &body, context).await;
    }
    if let Some(name) = path.strip_prefix("/problems/") {
        return only(&method, "GET").and_then(|()| about(name));
    }
    match path.as_str() {
        "/v1/heartbeat" => {
            only(&method, "GET")?;
            Ok(heartbeat(context))
        }
        "/openapi.json" => {
            only(&method, "GET")?;
            Ok(document::openapi(context))
        }
        TRANSACTIONS => {
            only(&method, "GET, POST")?;
            by_key(&request, context).await
        }
        _ => match path.strip_prefix("/v1/transactions/") {
            Some(id) => {
                only(&method, "GET")?;
                by_id(id, &request, context).await
            }
            None => Err(Problem::of(Slug::NotFound)),
        },
    }
}

pub(super) const TRANSACTIONS: &str = "/v1/transactions";

fn only(method: &Method, served: &'static str) -> Result<(), Problem> {
    if served.split(", ").any(|one| one == method.as_str()) {
        return Ok(());
    }
    Err(Problem {
        allow: Some(served),
        ..Problem::of(Slug::MethodNotAllowed)
    })
}

/// One short text per kind of error.
fn about(name: &str) -> Result<Answer, Problem> {
    let mut all = Slug::ALL.into_iter();
    let slug = all.find(|slug| slug.name() == name);
    let slug = slug.ok_or_else(|| Problem::of(Slug::NotFound))?;
    let text = format!("{} ({})\n", slug.title(), slug.status());
    Ok(answer(200, "text/plain; charset=utf-8", text.into_bytes()))
}

pub(super) fn heartbeat(context: &GatewayContext) -> Answer {
    let (status, word) = if context.gate.is_closed() || context.gate.shedding().is_some() {
        (503, "unavailable")
    } else {
        (200, "available")
    };
    let text = format!(r#"{{"serviceStatus":"{word}"}}"#);
    answer(status, JSON, text.into_bytes())
}

/// What holds of every POST: identity, date, room, and the whole of its body.
pub(super) async fn taken(
    request: Request<Incoming>,
    context: &GatewayContext,
    connection: &Connection,
) -> Result<(Parts, Bytes), Problem> {
    let (parts, mut body) = request.into_parts();
    let head = Head {
        method: &parts.method,
        uri: &parts.uri,
        headers: &parts.headers,
    };
    // What is signed is its body too: nothing of the rest is looked at before.
    let signed = match identify(head, context)? {
        Shown::Known => None,
        Shown::Signed(signature) => {
            let bytes = whole(&mut body, connection).await?;
            prove(&signature, head, &bytes, context).await?;
            Some(bytes)
        }
    };
    context.understood(check_head(&parts.headers, context))?;
    let bytes = match signed {
        Some(bytes) => bytes,
        None => whole(&mut body, connection).await?,
    };
    Ok((parts, bytes))
}

fn check_head(headers: &HeaderMap, context: &GatewayContext) -> Result<(), Problem> {
    if context.gate.is_closed() {
        return Err(Problem::of(Slug::Draining));
    }
    check_date(headers, context.clock.wall())?;
    check_media_type(headers)?;
    callback_url(headers, context.gateway.callbacks.as_ref(), Form::Native).map(drop)
}

async fn whole(body: &mut Incoming, connection: &Connection) -> Result<Bytes, Problem> {
    let read = body.collect().await;
    let ended = |_| Problem::of(connection.fault.get().unwrap_or(Slug::Malformed));
    Ok(read.map_err(ended)?.to_bytes())
}

/// What holds of every GET of a transaction.
pub(super) async fn known(
    request: &Request<Incoming>,
    context: &GatewayContext,
) -> Result<(), Problem> {
    let head = Head {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
    };
    if let Shown::Signed(signature) = identify(head, context)? {
        prove(&signature, head, b"", context).await?;
    }
    Ok(())
}

/// What was sent long ago is not taken for new: whoever sends it may have given it up.
fn check_date(headers: &HeaderMap, now: WallTime) -> Result<(), Problem> {
    let mut values = headers.get_all(DATE).into_iter();
    let Some(first) = values.next() else {
        return Ok(());
    };
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    let at = text.and_then(|text| json::time::read(text).ok());
    let detail = "X-Date takes one time as of RFC 3339";
    let at = at.ok_or_else(|| Problem::with(Slug::Malformed, detail))?;
    if at < now.before(DATE_APART_MAX) || at > now.after(DATE_APART_MAX) {
        return Err(Problem::of(Slug::StaleRequest));
    }
    Ok(())
}

async fn create(
    request: Request<Incoming>,
    context: &GatewayContext,
    connection: &Connection,
) -> Result<Answer, Problem> {
    let begun = Begun::new(context);
    let (parts, body) = taken(request, context, connection).await?;
    let prefer = Prefer::read(&parts.headers);
    let read = || {
        begun.check()?;
        let body = json::create(&body, context.rules())?;
        check_served(&body)?;
        check_permitted(&body, context)?;
        let key = idempotency_key(&parts.headers)?;
        let permitted = context.gateway.callbacks.as_ref();
        let callback = callback_url(&parts.headers, permitted, Form::Native)?;
        Ok((body, (key, callback)))
    };
    let (body, key) = context.understood(read())?;
    let notification = notification(key.1.as_deref());
    let told = pay(&body, key, prefer, context).await?;
    created(told, (&body.reference, notification), prefer)
}

/// How whoever asks so learns of the end.
pub(super) const fn notification(callback: Option<&str>) -> Notification {
    match callback {
        Some(_) => Notification::Callback,
        None => Notification::Polling,
    }
}

/// How it stood when a request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    is_shedding: bool,
}

impl Begun {
    pub(super) fn new(context: &GatewayContext) -> Self {
        Self {
            is_shedding: context.gate.shedding().is_some(),
        }
    }

    /// Whether a new transaction is taken.
    pub(super) fn check(self) -> Result<(), Problem> {
        if self.is_shedding {
            return Err(Problem::of(Slug::Overloaded));
        }
        Ok(())
    }
}

/// Has a transaction made, or finds the one of its key.
pub(super) async fn pay(
    body: &json::Create,
    (key, callback): (IdempotencyKey, Option<Box<str>>),
    prefer: Prefer,
    context: &GatewayContext,
) -> Result<Told, Problem> {
    // Only now it is whole: how long it took to come is no wait of ours.
    let queued = context.clock.now();
    let mut canonical = Vec::with_capacity(256);
    body.canonical(TRANSACTIONS, &mut canonical);
    let ask = Ask::Create(Box::new(NewTransaction {
        acquirer: context.gateway.acquirer,
        gateway: context.number,
        key,
        digest: Sha256::digest(&canonical).into(),
        kind: body.kind,
        amount: body.amount,
        account: context.understood(account(body))?,
        callback,
        is_async: prefer.is_async,
        queued,
        waits_until: queued.after(prefer.wait),
    }));
    let told = ask_within(ask, prefer, context).await?;
    match told {
        Some(Told::Buried) => {
            let detail = "was reversed before it came: it is not executed, start anew";
            Err(Problem::with(Slug::StateConflict, detail))
        }
        Some(told) if !matches!(told, Told::Elsewhere) => Ok(told),
        Some(_) | None => match look(Ask::ByKey(context.gateway.acquirer, key), context).await? {
            // It still waits for its turn, and may be taken after this.
            Told::Refused(Slug::NotFound) => Ok(Told::Reserved),
            told => Ok(told),
        },
    }
}

/// Of what has no callback: that it would never come is said at once.
pub(super) fn no_callback(parts: &Parts, detail: &'static str) -> Result<(), Problem> {
    if parts.headers.contains_key(CALLBACK_URL) {
        return Err(Problem::with(Slug::NotPermitted, detail));
    }
    Ok(())
}

/// Where its end is to be told, if anywhere.
pub(super) fn callback_url(
    headers: &HeaderMap,
    permitted: Option<&Callbacks>,
    form: Form<'_>,
) -> Result<Option<Box<str>>, Problem> {
    let mut values = headers.get_all(CALLBACK_URL).into_iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let Some(permitted) = permitted else {
        let detail = "no host for callbacks is permitted: leave X-Callback-URL out and ask by GET";
        return Err(Problem::with(Slug::NotPermitted, detail));
    };
    let malformed = || {
        let detail = "X-Callback-URL takes one absolute URL of at most 512 visible characters";
        Problem::with(Slug::Malformed, detail)
    };
    let url = first.to_str().ok().filter(|_| values.next().is_none());
    let url = url.ok_or_else(malformed)?;
    match permitted.hosts.target(url) {
        Ok(_) => form.keep(url).map(Some).ok_or_else(malformed),
        Err(NotTold::Malformed) => Err(malformed()),
        Err(NotTold::NotPermitted) => {
            let detail = "X-Callback-URL names a host that is not permitted, or not by https";
            Err(Problem::with(Slug::NotPermitted, detail))
        }
    }
}

/// What would be taken and not acted on is refused, so that nobody relies on it.
pub(super) fn check_served(body: &json::Create) -> Result<(), Problem> {
    if !body.kind.is_served() {
        return Err(Problem::fields(vec![FieldError {
            pointer: "/type".to_owned(),
            detail: "is not served: nobody would be told of the account that is credited",
            error_code: ErrorCode::FormatError,
        }]));
    }
    if body.expires_at.is_some() {
        return Err(Problem::fields(vec![FieldError {
            pointer: "/expiresAt".to_owned(),
            detail: "is not served: leave it out, the deadline of the route ends a transaction",
            error_code: ErrorCode::FormatError,
        }]));
    }
    Ok(())
}

/// What another gateway may ask for is none of this one's.
pub(super) fn check_permitted(
    body: &json::Create,
    context: &GatewayContext,
) -> Result<(), Problem> {
    let checked = context.gateway.permissions.check(body.kind, body.amount);
    checked.map_err(|what| {
        let (reason, detail) = match what {
            NotPermitted::Type => (GatewayRefusal::Type, "this type is not permitted"),
            NotPermitted::Currency => (GatewayRefusal::Currency, "this currency is not permitted"),
            NotPermitted::Amount => (GatewayRefusal::Amount, "an amount so high is not permitted"),
        };
        context.count(reason);
        Problem {
            refusal: Some(reason),
            ..Problem::with(Slug::NotPermitted, detail)
        }
    })
}

/// What the account is to the switch: for the present the digits of a telephone number or a PAN.
/// The same digits of another kind would be another account's, and no route could tell them apart.
fn account(body: &json::Create) -> Result<Pan, Problem> {
    let account = body
        .account()
        .filter(|party| matches!(party.key, PartyKey::Pan | PartyKey::Msisdn));
    let digits = account.and_then(|party| Pan::new(party.value.as_bytes()).ok());
    digits.ok_or_else(|| {
        Problem::fields(vec![FieldError {
            pointer: "/debitParty".to_owned(),
            detail: "must be an msisdn, or a pan where that is permitted, of 8 to 19 digits",
            error_code: ErrorCode::FormatError,
        }])
    })
}

/// Asks and waits for as long as the gateway does; `None` when that is over.
pub(super) async fn ask_within(
    ask: Ask,
    prefer: Prefer,
    context: &GatewayContext,
) -> Result<Option<Told>, Problem> {
    let asked = context.ask(ask, Slug::Overloaded)?;
    let told = async { Some(asked.told().await) };
    let over = async {
        let until = context.clock.now().after(prefer.wait);
        context.alarms.at(until).await;
        None
    };
    Ok(future::or(told, over).await)
}

/// Asks how it stands at this moment.
pub(super) async fn look(ask: Ask, context: &GatewayContext) -> Result<Told, Problem> {
    Ok(context.ask(ask, Slug::InProgress)?.told().await)
}

fn created(
    told: Told,
    (reference, notification): (&str, Notification),
    prefer: Prefer,
) -> Result<Answer, Problem> {
    let (mut transaction, is_copy) = transaction_of(told)?;
    transaction.notification = notification;
    let status = if transaction.state.is_final() {
        201
    } else {
        202
    };
    let mut answer = answer(status, JSON, transaction.to_json(Some(reference)));
    put_location(&mut answer, transaction.id);
    prefer.put(&mut answer);
    if is_copy {
        put(&mut answer, REPLAYED, "true");
    }
    if status == 202 {
        put(&mut answer, header::RETRY_AFTER, "1");
    }
    Ok(answer)
}

pub(super) fn transaction_of(told: Told) -> Result<(Box<json::Transaction>, bool), Problem> {
    match told {
        Told::Transaction {
            transaction,
            is_copy,
        } => Ok((transaction, is_copy)),
        Told::Reserved | Told::Buried | Told::Elsewhere | Told::Nonce(_) => {
            Err(Problem::of(Slug::InProgress))
        }
        Told::Conflict { id, detail } => Err(Problem {
            instance: Some(id),
            ..Problem::with(Slug::StateConflict, detail)
        }),
        Told::Reused(id) => Err(Problem {
            instance: Some(id),
            ..Problem::of(Slug::IdempotencyKeyReused)
        }),
        Told::Refused(slug) => Err(Problem::of(slug)),
    }
}

async fn by_id(
    id: &str,
    request: &Request<Incoming>,
    context: &GatewayContext,
) -> Result<Answer, Problem> {
    known(request, context).await?;
    let prefer = Prefer::read(request.headers());
    let id = TransactionId::from_shown(id).ok_or_else(|| Problem::of(Slug::NotFound))?;
    shown(stands(id, prefer, context).await?)
}

/// Where it stands, once it is decided where that is waited for.
pub(super) async fn stands(
    id: TransactionId,
    prefer: Prefer,
    context: &GatewayContext,
) -> Result<Told, Problem> {
    let ask = |waits_until| Ask::ById {
        acquirer: context.gateway.acquirer,
        gateway: context.number,
        id,
        waits_until,
    };
    let poll = prefer.is_asked.then(|| context.polls.room()).flatten();
    let told = if poll.is_some() {
        let until = context.clock.now().after(prefer.wait);
        ask_within(ask(Some(until)), prefer, context).await?
    } else {
        None
    };
    match told {
        Some(told) => Ok(told),
        None => look(ask(None), context).await,
    }
}

async fn by_key(request: &Request<Incoming>, context: &GatewayContext) -> Result<Answer, Problem> {
    known(request, context).await?;
    let key = key_of_query(request.uri().query())?;
    shown(look(Ask::ByKey(context.gateway.acquirer, key), context).await?)
}

pub(super) fn key_of_query(query: Option<&str>) -> Result<IdempotencyKey, Problem> {
    let key = query.and_then(|query| query.strip_prefix("idempotency_key="));
    let key = key.and_then(unescaped);
    let key = key.and_then(|key| IdempotencyKey::read(&key));
    key.ok_or_else(|| {
        let detail = "the query must be `idempotency_key=` and one key, escaped as in a URL";
        Problem::with(Slug::Malformed, detail)
    })
}

/// A value of a query, whose bytes may stand as `%XX` (RFC 3986 section 2.1).
fn unescaped(value: &str) -> Option<Vec<u8>> {
    let mut parts = value.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(bytes)
}

fn shown(told: Told) -> Result<Answer, Problem> {
    let (transaction, _) = transaction_of(told)?;
    Ok(answer(200, JSON, transaction.to_json(None)))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default();
    let (kind, parameter) = match kind.iter().position(|byte| *byte == b';') {
        Some(at) => (&kind[..at], Some(kind[at + 1..].trim_ascii())),
        None => (kind, None),
    };
    let is_json = kind.trim_ascii().eq_ignore_ascii_case(b"application/json");
    let is_utf8 = parameter.is_none_or(|text| text.eq_ignore_ascii_case(b"charset=utf-8"));
    if !is_json || !is_utf8 || headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Problem::of(Slug::UnsupportedMediaType));
    }
    Ok(())
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let of = |name: HeaderName| -> Result<Option<IdempotencyKey>, Problem> {
        let mut values = headers.get_all(name).into_iter();
        let Some(first) = values.next() else {
            return Ok(None);
        };
        let key = IdempotencyKey::read(first.as_bytes()).filter(|_| values.next().is_none());
        let detail = "takes 1 to 64 visible ASCII characters, once";
        let missing = || Problem::with(Slug::IdempotencyKeyMissing, detail);
        key.map(Some).ok_or_else(missing)
    };
    match (of(IDEMPOTENCY_KEY)?, of(CORRELATION_ID)?) {
        (Some(key), Some(other)) if key != other => {
            let detail = "Idempotency-Key and X-CorrelationID name two keys";
            Err(Problem::with(Slug::Malformed, detail))
        }
        (Some(key), _) | (None, Some(key)) => Ok(key),
        (None, None) => Err(Problem::of(Slug::IdempotencyKeyMissing)),
    }
}

fn problem_answer(problem: &Problem, context: &GatewayContext) -> Answer {
    let body = problem.to_json(context.clock.wall());
    let mut answer = answer(problem.slug.status(), "application/problem+json", body);
    advise(&mut answer, problem, context);
    answer
}

/// What to do about it, in the head of its answer.
pub(super) fn advise(answer: &mut Answer, problem: &Problem, context: &GatewayContext) {
    let usual = problem.slug.retry_after_s().map(u64::from);
    if let Some(seconds) = problem.retry_after_s.or(usual) {
        put(answer, header::RETRY_AFTER, &seconds.to_string());
    }
    if answer.status() == StatusCode::UNAUTHORIZED {
        let scheme = if signs(context) { SCHEME } else { "Bearer" };
        put(answer, header::WWW_AUTHENTICATE, scheme);
    }
    if let Some(allow) = problem.allow {
        put(answer, header::ALLOW, allow);
    }
}

pub(super) fn answer(status: u16, kind: &'static str, body: Vec<u8>) -> Answer {
    answer_of(status, kind, Bytes::from(body))
}

pub(super) fn answer_of(status: u16, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// What is put is made here and of visible characters.
pub(super) fn put(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Where it can be looked at.
pub(super) fn put_location(answer: &mut Answer, id: TransactionId) {
    let mut path = String::with_capacity(TRANSACTIONS.len() + 1 + TransactionId::TEXT_LEN);
    // A string takes all that is written.
    if write!(path, "{TRANSACTIONS}/{id}").is_ok()
        && let Ok(path) = HeaderValue::from_maybe_shared(Bytes::from(path))
    {
        answer.headers_mut().insert(header::LOCATION, path);
    }
}

pub(super) const JSON: &str = "application/json";
const DATE: HeaderName = HeaderName::from_static("x-date");
/// How far the clock of a gateway may be off.
pub(crate) const DATE_APART_MAX: Duration = Duration::from_secs(300);
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const CALLBACK_URL: HeaderName = HeaderName::from_static("x-callback-url");
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlationid");
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquirer::json::{AccountNumbers, Rules};
    use crate::callback::Hosts;

    #[test]
    fn what_was_sent_long_ago_is_refused() {
        let now = WallTime::from_unix_millis(1_795_297_141_000);
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, HeaderValue::from_static(value));
            check_date(&headers, now).map_err(|problem| problem.slug)
        };
        check_date(&HeaderMap::new(), now).unwrap();
        check("2026-11-21T21:39:01Z").unwrap();
        check("2026-11-21T21:34:01Z").unwrap();
        check("2026-11-21T21:44:01Z").unwrap();
        assert_eq!(check("2026-11-21T21:34:00.999Z"), Err(Slug::StaleRequest));
        assert_eq!(check("2026-11-21T21:44:01.001Z"), Err(Slug::StaleRequest));
        assert_eq!(check("Sat, 21 Nov 2026"), Err(Slug::Malformed));
    }

    #[test]
    fn a_key_is_found_as_a_url_has_it() {
        let visible: Vec<u8> = (b'!'..=b'~').collect();
        let escaped: String = visible.iter().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(unescaped(&escaped), Some(visible));
        assert_eq!(unescaped("ab%2Bc/d=%3D"), Some(b"ab+c/d==".to_vec()));
        for bad in ["%", "%2", "a%+1", "%zz", "%é1"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_nothing_acts_on_is_refused() {
        let rules = Rules {
            now: WallTime::from_unix_millis(1_795_297_141_000),
            account_numbers: AccountNumbers::Refused,
        };
        let text = r#"{"type":"billpay","amount":{"minor":1,"currency":"KES"},
            "debitParty":[{"key":"msisdn","value":"+254712345678"}],
            "creditParty":[{"key":"accountid","value":"1"}],"reference":"r"}"#;
        let body = json::create(text.as_bytes(), rules).unwrap();
        check_served(&body).unwrap();
        let expires = r#"{"expiresAt":"2026-11-21T21:40:00Z","#;
        let expiring = text.replacen('{', expires, 1);
        let expiring = json::create(expiring.as_bytes(), rules).unwrap();
        let problem = check_served(&expiring).unwrap_err();
        assert_eq!(problem.errors[0].pointer, "/expiresAt");
        let deposit = text.replacen("billpay", "deposit", 1);
        let deposit = json::create(deposit.as_bytes(), rules).unwrap();
        let problem = check_served(&deposit).unwrap_err();
        assert_eq!(problem.errors[0].pointer, "/type");
        account(&body).unwrap();
        let other = text.replacen(r#"msisdn","value":"+"#, r#"accountid","value":""#, 1);
        let other = json::create(other.as_bytes(), rules).unwrap();
        assert_eq!(
            account(&other).unwrap_err().errors[0].pointer,
            "/debitParty"
        );
        let mut headers = HeaderMap::new();
        assert_eq!(callback_url(&headers, None, Form::Native).unwrap(), None);
        headers.insert(CALLBACK_URL, HeaderValue::from_static("https://a.example/"));
        let problem = callback_url(&headers, None, Form::Native).unwrap_err();
        assert_eq!(problem.slug, Slug::NotPermitted);
        let mut permitted = Callbacks {
            hosts: Hosts::default(),
            secrets: Vec::new(),
            trust: std::path::PathBuf::new(),
        };
        let problem = callback_url(&headers, Some(&permitted), Form::Native).unwrap_err();
        assert_eq!(problem.slug, Slug::NotPermitted);
        permitted.hosts.public.push("a.example".to_owned());
        let url = callback_url(&headers, Some(&permitted), Form::Native).unwrap();
        assert_eq!(url.as_deref(), Some("https://a.example/"));
        headers.append(CALLBACK_URL, HeaderValue::from_static("https://a.example/"));
        let problem = callback_url(&headers, Some(&permitted), Form::Native).unwrap_err();
        assert_eq!(problem.slug, Slug::Malformed);
    }
}

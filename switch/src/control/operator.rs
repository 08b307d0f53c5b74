//! What operators do, over a Unix socket: HTTP on a file of mode 0600, for the user that runs the
//! switch and for root. Each step is a piece of work of one shard, asked over its [`Desk`]; nothing
//! here stands between a request and its answer.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Extension, Router, middleware};
use domain::bytes::Text;
use domain::ids::{IssuerId, ShardId};
use domain::record::{Operation, Operator, Reason};
use futures_lite::stream;
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::Mutex;
use transaction::OwedId;
use transaction::operating::{Operate, OperateError, Operated, Retried};

use super::audit::{Act, Fate, What, Why};
use super::listener::{AdminListener, Bounds, Caller};
use super::shared::Shared;
use crate::config::Config;
use crate::desk::{Command, Filter, Told};

mod owed;

use owed::OwedName;

/// Binds the socket, readable and writable for its owner alone from the first moment on. A file
/// that a killed process has left gives way; one that somebody listens on does not.
pub(super) fn bind(path: &Path) -> io::Result<StdUnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    // Before it is bound: the file is made with the mode of the socket.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = StdUnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves operators until the task is ended.
pub(super) async fn serve(listener: UnixListener, counter: Counter) {
    let counter = Arc::new(counter);
    let router = Router::new()
        .route("/saf", get(list))
        .route("/saf/retry", post(retry))
        .route("/saf/drop", post(drop_one))
        .layer(middleware::from_fn_with_state(Arc::clone(&counter), admit))
        .with_state(counter);
    let router = router.into_make_service_with_connect_info::<Caller>();
    let listener = AdminListener::new(listener, Bounds::OPERATOR);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "operators' socket ended");
    }
}

impl Connected<IncomingStream<'_, AdminListener<UnixListener>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, AdminListener<UnixListener>>) -> Self {
        *stream.remote_addr()
    }
}

/// Lets the user of the switch and root in; the mode of the file may have been changed.
async fn admit(
    State(counter): State<Arc<Counter>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    mut request: Request,
    next: middleware::Next,
) -> Response {
    let own = rustix::process::geteuid().as_raw();
    match caller.uid.filter(|uid| may_operate(*uid, own)) {
        Some(uid) => {
            let name = name_of(uid);
            request.extensions_mut().insert(Operator { uid, name });
            next.run(request).await
        }
        None => {
            let uid = caller.uid.unwrap_or(u32::MAX);
            let operator = Operator {
                uid,
                name: name_of(uid),
            };
            let refused = Refused::NotPermitted { own };
            counter.note(What::OperatorAdmission, operator, "socket", Some(&refused));
            refused.into_response()
        }
    }
}

const fn may_operate(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

/// The name of a user of this machine; empty when `/etc/passwd` has none.
fn name_of(uid: u32) -> Text<32> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = uid.to_string();
    let name = users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == uid).then_some(name)
    });
    let name = name.map(|name| Text::new("name", name.as_bytes()));
    name.and_then(Result::ok).unwrap_or_default()
}

/// Where operators are served: asks the shards, one question at a time each.
#[derive(Debug)]
pub(super) struct Counter {
    config: Arc<Config>,
    shared: Arc<Shared>,
    /// By shard.
    turns: Vec<Mutex<()>>,
    ticket: AtomicU32,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    NotPermitted { own: u32 },
    Malformed(String),
    UnknownIssuer(String),
    UnknownId,
    State(OperateError),
    NoRoom,
    Silent,
}

impl Counter {
    pub(super) fn new(config: Arc<Config>, shared: Arc<Shared>) -> Self {
        let turns = shared.shards.iter().map(|_| Mutex::default()).collect();
        Self {
            config,
            shared,
            turns,
            ticket: AtomicU32::new(0),
        }
    }

    /// Asks one shard and waits for its answer, which follows what it has made durable.
    async fn ask(&self, shard: usize, command: Command) -> Result<Told, Refused> {
        let (Some(shard), Some(turn)) = (self.shared.shards.get(shard), self.turns.get(shard))
        else {
            return Err(Refused::UnknownId);
        };
        let _turn = turn.lock().await;
        let ticket = self.ticket.fetch_add(1, Ordering::Relaxed);
        if !shard.desk.ask(ticket, command) {
            return Err(Refused::Silent);
        }
        let answered = async {
            loop {
                if let Some(told) = shard.desk.take_answer(ticket) {
                    return told;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let told = tokio::time::timeout(ANSWER_WAIT, answered).await;
        match told.map_err(|_| Refused::Silent)? {
            Told::NoRoom => Err(Refused::NoRoom),
            told => Ok(told),
        }
    }

    /// The number of an issuer that is configured.
    fn issuer(&self, name: &str) -> Result<IssuerId, Refused> {
        let mut issuers = self.config.issuers.iter();
        let found = issuers.find(|issuer| issuer.name == name && !issuer.is_removed());
        let unknown = || Refused::UnknownIssuer(name.to_owned());
        found.map(|issuer| issuer.id).ok_or_else(unknown)
    }

    fn name(&self, issuer: IssuerId) -> &str {
        let issuer = self.config.issuers.get(usize::from(issuer.0));
        issuer.map_or("?", |issuer| &issuer.name)
    }

    async fn locate(&self, name: OwedName) -> Result<(usize, OwedId), Refused> {
        let shards = u16::try_from(self.shared.shards.len()).unwrap_or(u16::MAX);
        let ShardId(shard) = name.transaction.slot().owner(shards);
        let shard = usize::from(shard);
        let mut from = 0;
        loop {
            let command = Command::Locate {
                transaction: name.transaction,
                ordinal: name.ordinal,
                from,
            };
            match self.ask(shard, command).await? {
                Told::Located {
                    found: Some(owed), ..
                } => return Ok((shard, owed)),
                Told::Located {
                    next: Some(next), ..
                } => from = next,
                Told::Located { .. }
                | Told::Listed { .. }
                | Told::Operated(_)
                | Told::Retried(_)
                | Told::NoRoom => return Err(Refused::UnknownId),
            }
        }
    }

    /// Does something to one entry, and hands over to the audit log what became of it.
    async fn operate(
        &self,
        id: &str,
        operation: Operation,
        (operator, reason): (Operator, Reason),
    ) -> Result<Operated, Refused> {
        let operated = self.operated(id, operation, (operator, reason)).await;
        let what = match operation {
            Operation::Retry => What::SafRetry,
            Operation::Drop => What::SafDrop,
        };
        // Text that is no id may be anything.
        let object = OwedName::parse(id).map_or("no id", |_| id);
        let refused = operated.as_ref().err();
        self.note(what, operator, object, refused);
        operated
    }

    /// What an operator has done, or what he was refused.
    fn note(&self, what: What, operator: Operator, object: &str, refused: Option<&Refused>) {
        let fate = if refused.is_some() {
            Fate::Refused
        } else {
            Fate::Done
        };
        let user = (operator.uid, operator.name.as_str());
        let act = Act::by_user(what, user, object, fate);
        let why = refused.map_or(Why::None, Refused::why);
        self.shared.node().audit().act(act.because(why));
    }

    async fn operated(
        &self,
        id: &str,
        operation: Operation,
        (operator, reason): (Operator, Reason),
    ) -> Result<Operated, Refused> {
        let name = OwedName::parse(id)
            .ok_or_else(|| Refused::Malformed(format!("`{id}` is no id of `njia saf list`")))?;
        let (shard, owed) = self.locate(name).await?;
        let operate = Operate {
            owed,
            operation,
            operator,
            reason,
        };
        let told = self.ask(shard, Command::Operate(Box::new(operate))).await?;
        let Told::Operated(result) = told else {
            return Err(Refused::Silent);
        };
        let done = result.map_err(|error| match error {
            OperateError::Unknown => Refused::UnknownId,
            error => Refused::State(error),
        })?;
        let (uid, user, reason) = (operator.uid, operator.name.as_str(), reason.as_str());
        tracing::info!(%id, ?operation, ?done, uid, user, reason, "done by hand");
        Ok(done)
    }

    /// Sends all that an issuer is owed, and has refused; for the audit log too.
    async fn retry_all(&self, name: &str, operator: Operator) -> Result<Retried, Refused> {
        let retried = self.retried(name, operator).await;
        let is_known = self.issuer(name).is_ok();
        let object = if is_known {
            format!("issuer:{name}")
        } else {
            "no issuer".to_owned()
        };
        self.note(What::SafRetry, operator, &object, retried.as_ref().err());
        retried
    }

    async fn retried(&self, name: &str, operator: Operator) -> Result<Retried, Refused> {
        let issuer = self.issuer(name)?;
        let mut sum = Retried::default();
        for shard in 0..self.shared.shards.len() {
            let mut next = Some(0);
            while let Some(from) = next {
                let command = Command::RetryAll {
                    issuer,
                    from,
                    operator,
                };
                let Told::Retried(part) = self.ask(shard, command).await? else {
                    return Err(Refused::Silent);
                };
                sum.due = sum.due.saturating_add(part.due);
                sum.put_back = sum.put_back.saturating_add(part.put_back);
                sum.refused = sum.refused.saturating_add(part.refused);
                next = part.next;
            }
        }
        let (uid, user) = (operator.uid, operator.name.as_str());
        tracing::info!(
            issuer = name,
            due = sum.due,
            put_back = sum.put_back,
            uid,
            user,
            "retried"
        );
        Ok(sum)
    }

    /// The next lines of a list, and where it goes on; nothing at its end.
    async fn lines(&self, at: (usize, u32), filter: Filter) -> Option<(Vec<u8>, (usize, u32))> {
        let (shard, from) = at;
        if shard >= self.shared.shards.len() {
            return None;
        }
        let told = self.ask(shard, Command::List { from, filter }).await;
        let Ok(Told::Listed { rows, next }) = told else {
            let fault = json!({ "error": Refused::Silent.to_string() });
            return Some((format!("{fault}\n").into_bytes(), (usize::MAX, 0)));
        };
        let mut text = Vec::new();
        for row in &rows {
            let issuer = row.view.issuer.map(|issuer| self.name(issuer));
            text.extend_from_slice(owed::line(row, issuer).to_string().as_bytes());
            text.push(b'\n');
        }
        let after = next.map_or((shard + 1, 0), |next| (shard, next));
        Some((text, after))
    }
}

async fn list(State(counter): State<Arc<Counter>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut filter = Filter {
        issuer: None,
        exceptions: false,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("issuer", name)) => match counter.issuer(name) {
                Ok(issuer) => filter.issuer = Some(issuer),
                Err(refused) => return refused.into_response(),
            },
            Some(("exceptions", "true")) => filter.exceptions = true,
            Some(_) | None => {
                return Refused::Malformed(format!("`{pair}` is not understood")).into_response();
            }
        }
    }
    let lines = stream::unfold((0, 0), move |at| {
        let counter = Arc::clone(&counter);
        async move {
            let (text, after) = counter.lines(at, filter).await?;
            Some((Ok::<_, Infallible>(text), after))
        }
    });
    let form = [(CONTENT_TYPE, "application/x-ndjson")];
    (form, Body::from_stream(lines)).into_response()
}

async fn retry(
    State(counter): State<Arc<Counter>>,
    Extension(operator): Extension<Operator>,
    body: String,
) -> Response {
    let done = async {
        let asked = object(&body)?;
        if let Some(name) = text(&asked, "issuer") {
            let retried = counter.retry_all(name, operator).await?;
            return Ok(json!({
                "due": retried.due,
                "put_back": retried.put_back,
                "refused": retried.refused,
            }));
        }
        let id = text(&asked, "id").ok_or_else(|| missing("id"))?;
        let operation = Operation::Retry;
        let done = counter
            .operate(id, operation, (operator, Reason::EMPTY))
            .await?;
        Ok(json!({ "done": owed::done(done) }))
    };
    answer(done.await)
}

async fn drop_one(
    State(counter): State<Arc<Counter>>,
    Extension(operator): Extension<Operator>,
    body: String,
) -> Response {
    let done = async {
        let asked = object(&body)?;
        let id = text(&asked, "id").ok_or_else(|| missing("id"))?;
        let reason = text(&asked, "reason").map(str::trim).unwrap_or_default();
        if reason.is_empty() {
            return Err(missing("reason"));
        }
        let reason = Reason::new(reason).map_err(|_| {
            let max = Reason::LEN_MAX;
            Refused::Malformed(format!(
                "the reason is one line of at most {max} bytes without an account number"
            ))
        })?;
        let done = counter
            .operate(id, Operation::Drop, (operator, reason))
            .await?;
        Ok(json!({ "done": owed::done(done) }))
    };
    answer(done.await)
}

fn object(body: &str) -> Result<Value, Refused> {
    let value = serde_json::from_str::<Value>(body).ok();
    let malformed = || Refused::Malformed("the body is no JSON object".to_owned());
    value.filter(Value::is_object).ok_or_else(malformed)
}

fn text<'a>(asked: &'a Value, key: &str) -> Option<&'a str> {
    asked.get(key).and_then(Value::as_str)
}

fn missing(key: &str) -> Refused {
    Refused::Malformed(format!("`{key}` is missing"))
}

fn answer(done: Result<Value, Refused>) -> Response {
    match done {
        Ok(done) => (StatusCode::OK, format!("{done}\n")).into_response(),
        Err(refused) => refused.into_response(),
    }
}

impl Refused {
    /// As the audit log has it.
    const fn why(&self) -> Why {
        match self {
            Self::NotPermitted { .. } => Why::User,
            Self::Malformed(_) | Self::UnknownIssuer(_) | Self::UnknownId => Why::Request,
            Self::State(_) => Why::State,
            Self::NoRoom => Why::Busy,
            Self::Silent => Why::NoAnswer,
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NotPermitted { .. } => StatusCode::FORBIDDEN,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::UnknownIssuer(_) | Self::UnknownId => StatusCode::NOT_FOUND,
            Self::State(_) => StatusCode::CONFLICT,
            Self::NoRoom | Self::Silent => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn into_response(self) -> Response {
        let body = format!("{}\n", json!({ "error": self.to_string() }));
        (self.status(), body).into_response()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotPermitted { own } => {
                write!(
                    f,
                    "only root and the user with id {own}, who runs the switch, may do this"
                )
            }
            Self::Malformed(what) => f.write_str(what),
            Self::UnknownIssuer(name) => write!(f, "no issuer `{name}` is configured"),
            Self::UnknownId => f.write_str(
                "nothing with this id is owed or among the exceptions: it has ended, or has given \
                 way to newer exceptions",
            ),
            Self::State(error) => f.write_str(owed::why(*error)),
            Self::NoRoom => f.write_str("the journal has no room for what operators do"),
            Self::Silent => f.write_str(
                "the switch has not answered in time; what was asked may have been done, look at \
                 `njia saf list`",
            ),
        }
    }
}

/// How often an answer is looked for.
const LOOK: Duration = Duration::from_millis(2);
/// Longer than a journal may be silent before the process ends.
const ANSWER_WAIT: Duration = Duration::from_secs(12);
/// Connections that wait in the kernel.
const BACKLOG: i32 = 16;

#[cfg(test)]
mod tests;

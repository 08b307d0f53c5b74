//! An issuer of JSON over HTTP on a real socket, which keeps what it has executed.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// What becomes of one submit. Whatever is executed stands among the effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submit {
    /// Executed and told.
    Approve,
    /// Not executed, and told so.
    Decline,
    /// Answered with 202: the payer has not decided until [`JsonBank::decide`].
    Wait,
    /// Not taken in, and the connection ends without an answer.
    Forget,
    /// Executed, and never answered.
    Silence,
    /// Executed, and the connection ends without an answer.
    HangUp,
    /// Executed, and the connection is reset without an answer.
    Reset,
    /// Executed, and answered with what is no JSON.
    Garbled,
    /// Executed, and answered with the id of something else.
    OtherId,
    /// Executed for one minor unit more than was asked.
    OtherAmount,
    /// Executed, and answered with this status; with 0, which is none, it is no answer of HTTP.
    Failed(u16),
    /// Not executed, and answered with this status.
    Refused(u16),
}

/// What becomes of one transmission of a reversal; the first of several of one id is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reverse {
    /// Told that it is done.
    Acknowledge,
    /// The connection ends without an answer.
    HangUp,
}

/// What an issuer has done: `submit` or `reverse`, the id it was given, minor units.
pub type Effect = (String, String, u64);

/// How a reversal was asked for: its id, minor units taken back, and those that stay.
pub type Asked = (String, u64, Option<u64>);

/// The issuer. It ends with the process.
#[derive(Debug)]
pub struct JsonBank {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<Submit>>,
    reversals: Mutex<VecDeque<Reverse>>,
    effects: Mutex<Vec<Effect>>,
    /// Of each transmission of a reversal its id.
    reversal_ids: Mutex<Vec<String>>,
    heads: Mutex<Vec<String>>,
    asked: Mutex<Vec<Asked>>,
    /// Minor units by the id of their reversal.
    takings: Mutex<HashMap<String, u64>>,
    lost: Mutex<VecDeque<()>>,
    /// Whom it lets in, where that is not everybody.
    tokens: Mutex<Option<Tokens>>,
    /// What a query is told, by id: a word and minor units.
    payments: Mutex<HashMap<String, (String, u64)>>,
}

/// Access tokens that it has granted.
#[derive(Debug)]
struct Tokens {
    granted: u32,
    /// As an answer says it.
    expires_in: String,
    /// What each request for one was.
    asked: Vec<(String, String)>,
    /// None is good until the next one is granted.
    is_withdrawn: bool,
}

impl JsonBank {
    /// Starts one that approves everything.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start() -> Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0")?)
    }

    /// The same over TLS.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start_secure(tls: Arc<ServerConfig>) -> Result<Self> {
        Self::serving(TcpListener::bind("127.0.0.1:0")?, Some(tls))
    }

    /// Starts one that takes what comes there.
    ///
    /// # Errors
    /// It listens nowhere.
    pub fn start_on(listener: TcpListener) -> Result<Self> {
        Self::serving(listener, None)
    }

    fn serving(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, tls) = (Arc::clone(&of_listener), tls.clone());
                // A connection that ends has nothing to tell: what it did stands in the effects.
                thread::spawn(move || take(stream, tls, &shared).ok());
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What becomes of the next submits, one after the other; then they are approved again.
    pub fn script(&self, submits: &[Submit]) {
        lock(&self.shared.script).extend(submits);
    }

    /// All payers that have not decided do so: `DONE` executes their payments.
    pub fn decide(&self, word: &str) {
        let mut payments = lock(&self.shared.payments);
        let waiting = payments.iter_mut().filter(|(_, (told, _))| told == "WAIT");
        for (id, (told, minor)) in waiting {
            word.clone_into(told);
            if word == "DONE" {
                let effect = ("submit".to_owned(), id.clone(), *minor);
                lock(&self.shared.effects).push(effect);
            }
        }
    }

    /// How many queries have come.
    #[must_use]
    pub fn queries(&self) -> usize {
        let heads = lock(&self.shared.heads);
        heads.iter().filter(|head| head.starts_with("GET ")).count()
    }

    /// From here on it lets in who shows one of the last two tokens that `POST /token` has granted,
    /// for as long as `expires_in` says, in JSON.
    pub fn demand_tokens(&self, expires_in: &str) {
        *lock(&self.shared.tokens) = Some(Tokens {
            granted: 0,
            expires_in: expires_in.to_owned(),
            asked: Vec::new(),
            is_withdrawn: false,
        });
    }

    /// No token is good until it grants the next one.
    pub fn withdraw_tokens(&self) {
        if let Some(tokens) = lock(&self.shared.tokens).as_mut() {
            tokens.is_withdrawn = true;
        }
    }

    /// Head and body of each request for a token.
    #[must_use]
    pub fn tokens_asked(&self) -> Vec<(String, String)> {
        let tokens = lock(&self.shared.tokens);
        let tokens = tokens.as_ref();
        tokens.map_or_else(Vec::new, |tokens| tokens.asked.clone())
    }

    /// The next reversal is executed, and its answer lost.
    pub fn lose_an_answer(&self) {
        lock(&self.shared.lost).push_back(());
    }

    /// Every transmission of a reversal.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// The same of transmissions of reversals; then they are acknowledged again.
    pub fn script_reversals(&self, reversals: &[Reverse]) {
        lock(&self.shared.reversals).extend(reversals);
    }

    /// The ids of all transmissions of reversals.
    #[must_use]
    pub fn reversal_ids(&self) -> Vec<String> {
        lock(&self.shared.reversal_ids).clone()
    }

    /// What it has done so far.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        lock(&self.shared.effects).clone()
    }

    /// The heads of all requests.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        lock(&self.shared.heads).clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(socket: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Shared) -> Result<()> {
    let kept = socket.try_clone()?;
    match tls {
        Some(tls) => serve(
            StreamOwned::new(ServerConnection::new(tls)?, socket),
            &kept,
            shared,
        ),
        None => serve(socket, &kept, shared),
    }
}

fn serve<S: Read + Write>(stream: S, socket: &TcpStream, shared: &Shared) -> Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = request(&mut reader)? {
        if let Some(answer) = let_in(shared, &head, &body) {
            answer_to(reader.get_mut(), &answer)?;
            continue;
        }
        if let Some(rest) = head.strip_prefix("GET /v1/payments/") {
            let id = rest.split(' ').next().unwrap_or_default();
            let answer = state(shared, id);
            lock(&shared.heads).push(head);
            answer_to(reader.get_mut(), &answer)?;
            continue;
        }
        let body: Value = serde_json::from_slice(&body)?;
        let is_reversal = head.starts_with("POST /v1/reversals ");
        lock(&shared.heads).push(head);
        let id = body["id"].as_str().context("it names an id")?;
        let minor = body["amount"].as_u64().context("it names an amount")?;
        let reversal = is_reversal.then(|| body["reversal"].as_str());
        let reversal = reversal
            .map(|id| id.context("a reversal has an id"))
            .transpose()?;
        if let Some(reversal) = reversal {
            let asked = (reversal.to_owned(), minor, body["rest"].as_u64());
            lock(&shared.asked).push(asked);
        }
        let is_reset = lock(&shared.script).front() == Some(&Submit::Reset);
        let Some(answer) = act(shared, reversal, id, minor) else {
            if is_reset {
                set_socket_linger(socket, Some(Duration::ZERO))?;
            }
            return Ok(());
        };
        answer_to(reader.get_mut(), &answer)?;
    }
    Ok(())
}

/// Head and body of what comes next; none at the end.
fn request(reader: &mut impl BufRead) -> Result<Option<(String, Vec<u8>)>> {
    let (mut head, mut len) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        let told = line
            .split_once(':')
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if let Some((_, told)) = told {
            len = told.trim().parse()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

fn answer_to(writer: &mut impl Write, (status, body): &(u16, String)) -> Result<()> {
    let place = match status {
        300..=399 => "Location: /v1/elsewhere\r\n",
        _ => "",
    };
    let len = body.len();
    write!(
        writer,
        "HTTP/1.1 {status} Told\r\n{place}Content-Length: {len}\r\n\r\n{body}"
    )?;
    Ok(())
}

/// What is answered to a request for a token, and to who shows none that is good.
fn let_in(shared: &Shared, head: &str, body: &[u8]) -> Option<(u16, String)> {
    let mut tokens = lock(&shared.tokens);
    let tokens = tokens.as_mut()?;
    if head.starts_with("POST /token ") {
        let body = String::from_utf8_lossy(body).into_owned();
        tokens.asked.push((head.to_owned(), body));
        tokens.granted += 1;
        tokens.is_withdrawn = false;
        let (number, expires_in) = (tokens.granted, &tokens.expires_in);
        let told = format!(r#"{{"access_token":"t-{number}","expires_in":{expires_in}}}"#);
        return Some((200, told));
    }
    // Whoever asks anew goes on with the one before until the new one has come.
    let mut good = [tokens.granted, tokens.granted.saturating_sub(1)].into_iter();
    let is_shown =
        good.any(|number| head.contains(&format!("Authorization: Bearer t-{number}\r\n")));
    let is_good = is_shown && !tokens.is_withdrawn;
    (!is_good).then(|| (401, String::new()))
}

fn state(shared: &Shared, id: &str) -> (u16, String) {
    match lock(&shared.payments).get(id) {
        Some((word, minor)) => (200, told_of(word, id, *minor)),
        None => (404, String::new()),
    }
}

fn told_of(word: &str, id: &str, minor: u64) -> String {
    format!(r#"{{"status":"{word}","id":"{id}","amount":{minor},"auth":"A1B2C3"}}"#)
}

/// `None` of what is not answered.
fn act(shared: &Shared, reversal: Option<&str>, id: &str, minor: u64) -> Option<(u16, String)> {
    let note = |kind: &str, minor: u64| {
        let effect = (kind.to_owned(), id.to_owned(), minor);
        lock(&shared.effects).push(effect);
    };
    let told = |status: &str, minor: u64| told_of(status, id, minor);
    let keep = |word: &str| {
        let payment = (word.to_owned(), minor);
        lock(&shared.payments).insert(id.to_owned(), payment);
    };
    if let Some(reversal) = reversal {
        // A repeat is known by its id.
        if lock(&shared.takings)
            .insert(reversal.to_owned(), minor)
            .is_none()
        {
            note("reverse", minor);
        }
        lock(&shared.reversal_ids).push(reversal.to_owned());
        if lock(&shared.lost).pop_front().is_some() {
            return None;
        }
        let told = format!(r#"{{"status":"BACK","reversal":"{reversal}","amount":{minor}}}"#);
        return match lock(&shared.reversals).pop_front() {
            Some(Reverse::HangUp) => None,
            Some(Reverse::Acknowledge) | None => Some((200, told)),
        };
    }
    let next = lock(&shared.script).pop_front().unwrap_or(Submit::Approve);
    match next {
        Submit::Decline => return Some((200, r#"{"status":"NO","why":"POOR"}"#.to_owned())),
        Submit::Wait => {
            keep("WAIT");
            return Some((202, String::new()));
        }
        Submit::Forget => return None,
        Submit::Refused(status) => return Some((status, String::new())),
        Submit::Approve
        | Submit::Silence
        | Submit::HangUp
        | Submit::Reset
        | Submit::Garbled
        | Submit::OtherId
        | Submit::OtherAmount
        | Submit::Failed(_) => {
            note("submit", minor);
            keep("DONE");
        }
    }
    match next {
        Submit::Approve | Submit::Decline | Submit::Wait | Submit::Forget | Submit::Refused(_) => {
            Some((201, told("DONE", minor)))
        }
        // The connection stands for as long as the switch wants it to.
        Submit::Silence => loop {
            thread::park();
        },
        Submit::HangUp | Submit::Reset => None,
        Submit::OtherId => Some((200, told_of("DONE", "another", minor))),
        Submit::Garbled => Some((200, told("DONE", minor) + "}")),
        Submit::OtherAmount => Some((200, told("DONE", minor + 1))),
        Submit::Failed(status) => Some((status, String::new())),
    }
}

/// The lines of an issuer `bank` that is asked so.
#[must_use]
pub fn issuer_text(name: &str, address: SocketAddr) -> String {
    format!(
        r#"
[[issuer]]
name = "{name}"
protocol = "http"
addresses = ["{address}"]
institution = "100001"
links = 2
reversal_timeout_ms = 1_000

[issuer.http]
base_url = "http://bank.example/v1"

[issuer.http.auth]
kind = "basic"
user = "njia"
secret = "env:NJIA_TEST_KEY"

[issuer.http.submit]
path = "/payments"
fields = {{ our_id = "/id", amount = "/amount", currency = "/currency", account = "/payer/id" }}

[issuer.http.reverse]
path = "/reversals"
fields = {{ our_id = "/id", reversal_id = "/reversal", amount = "/amount", remaining = "/rest" }}

[issuer.http.reverse.answer]
status = "/status"
statuses = {{ BACK = "reversed" }}
reversal_id = "/reversal"
amount = "/amount"
not_repeated = ["currency"]

[issuer.http.answer]
status = "/status"
statuses = {{ DONE = "approved", NO = "declined", WAIT = "pending" }}
our_id = "/id"
amount = "/amount"
not_repeated = ["currency"]
authorisation = "/auth"
reason = "/why"
reasons = {{ POOR = "51" }}
"#
    )
}

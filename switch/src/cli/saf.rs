//! `njia saf`: asks a running switch over its socket for operators.

use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{CONFIG_FILE, CliError};
use crate::config::{Config, Environment};

#[derive(Debug, Args)]
pub(super) struct Saf {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows what is owed, one entry per line.
    List {
        /// To this issuer alone.
        #[arg(long, value_name = "NAME")]
        issuer: Option<String>,
        /// What people have to look at, instead of what is owed.
        #[arg(long)]
        exceptions: bool,
        /// A JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Sends again: an exception is owed again, what waits is due at once.
    Retry {
        /// As `njia saf list` shows it.
        #[arg(required_unless_present = "issuer", conflicts_with = "issuer")]
        id: Option<String>,
        /// Everything of this issuer.
        #[arg(long, value_name = "NAME")]
        issuer: Option<String>,
    },
    /// Takes an entry out, as an exception. Who did it, when and why is in the journal for good.
    Drop {
        /// As `njia saf list` shows it.
        id: String,
        /// Why; no account number.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Where the switch is.
#[derive(Debug, Args)]
struct Place {
    /// Its configuration file, of which only the place of the socket is read.
    #[arg(short, long, global = true, value_name = "FILE", default_value = CONFIG_FILE)]
    config: PathBuf,
    /// The folder of a switch that runs the embedded configuration.
    #[arg(long, global = true, value_name = "DIR", conflicts_with_all = ["config", "socket"])]
    state_dir: Option<PathBuf>,
    /// The socket itself.
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

/// Why the switch did not do it.
#[derive(Debug, Error)]
pub(super) enum OperatorError {
    /// Nobody listens.
    #[error("no switch runs here: nobody listens on {}", .0.display())]
    NotRunning(PathBuf),
    /// The file is somebody else's.
    #[error(
        "no permission for {}: only root and the user who runs the switch may do this",
        .0.display()
    )]
    NotPermitted(PathBuf),
    /// The switch says why.
    #[error("{0}")]
    Refused(String),
    /// It was cut off, or is no switch.
    #[error("the switch at {} did not answer: {source}; see `njia saf list`", .path.display())]
    Broken { path: PathBuf, source: io::Error },
}

/// What is shown of one entry.
#[derive(Debug, Deserialize)]
struct Line {
    id: String,
    issuer: Option<String>,
    kind: String,
    why: String,
    state: String,
    ended: Option<String>,
    age_ms: u64,
    attempts: u32,
    next_ms: Option<u64>,
    code: Option<String>,
    amount: u64,
    currency: String,
    stays: Option<u64>,
    account: String,
    original: String,
}

impl Saf {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), CliError> {
        let socket = self.place.socket()?;
        match self.what {
            What::List {
                issuer,
                exceptions,
                json,
            } => list(&socket, issuer.as_deref(), exceptions, json, out),
            What::Retry {
                issuer: Some(issuer),
                ..
            } => {
                let done = post(&socket, "/saf/retry", &json!({ "issuer": issuer }))?;
                let count = |key: &str| done.get(key).and_then(Value::as_u64).unwrap_or(0);
                let (due, put_back, refused) = (count("due"), count("put_back"), count("refused"));
                writeln!(
                    out,
                    "{issuer}: {due} due at once, {put_back} exceptions owed again"
                )?;
                if refused > 0 {
                    writeln!(
                        out,
                        "{refused} exceptions stay: retry one by its id to see why"
                    )?;
                }
                Ok(())
            }
            What::Retry { id, .. } => {
                let id = id.unwrap_or_default();
                let done = post(&socket, "/saf/retry", &json!({ "id": id }))?;
                let told = match done.get("done").and_then(Value::as_str) {
                    Some("put_back") => "owed again",
                    Some(_) | None => "due at once",
                };
                Ok(writeln!(out, "{id}: {told}")?)
            }
            What::Drop { id, reason } => {
                if reason.trim().is_empty() {
                    return Err(CliError::Usage("--reason may not be empty".to_owned()));
                }
                post(&socket, "/saf/drop", &json!({ "id": id, "reason": reason }))?;
                Ok(writeln!(out, "{id}: taken out, an exception")?)
            }
        }
    }
}

impl Place {
    fn socket(&self) -> Result<PathBuf, CliError> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let environment = Environment::of_process();
        match &self.state_dir {
            Some(folder) => Ok(folder.join("admin.sock")),
            None => Ok(Config::socket_of(&self.config, &environment)?),
        }
    }
}

fn list(
    socket: &Path,
    issuer: Option<&str>,
    exceptions: bool,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let issuer = issuer.map(|name| format!("issuer={name}&"));
    let issuer = issuer.unwrap_or_default();
    let path = format!("/saf?{issuer}exceptions={exceptions}");
    let path = path.replace("exceptions=false", "");
    let answer = ask(socket, "GET", &path, "")?;
    let mut count = 0_u64;
    for text in answer.lines() {
        let text = text.map_err(|source| broken(socket, source))?;
        if let Some(fault) = fault_in(&text) {
            return Err(OperatorError::Refused(fault).into());
        }
        count += 1;
        if json {
            writeln!(out, "{text}")?;
            continue;
        }
        let line = serde_json::from_str::<Line>(&text);
        let line = line.map_err(|error| broken(socket, error.into()))?;
        if count == 1 {
            writeln!(out, "{HEAD}")?;
        }
        writeln!(out, "{}", line.shown())?;
    }
    if !json {
        let what = if exceptions { "exceptions" } else { "owed" };
        writeln!(out, "{count} {what}")?;
    }
    Ok(())
}

impl Line {
    fn shown(&self) -> String {
        let next = match (self.state.as_str(), self.next_ms) {
            ("paused", Some(ms)) => format!("in {}", span(ms)),
            ("exception", _) => self.ended.clone().unwrap_or_default(),
            (state, _) => state.replace('_', " "),
        };
        let stays = self
            .stays
            .map_or_else(String::new, |stays| format!(" stays={stays}"));
        format!(
            "{:<38}  {:<12}  {:<8}  {:>6}  {:>8}  {:<11}  {:<4}  {} {}  {}  {}{stays}  of {}",
            self.id,
            self.issuer.as_deref().unwrap_or("-"),
            self.kind,
            span(self.age_ms),
            self.attempts,
            next,
            self.code.as_deref().unwrap_or("-"),
            self.amount,
            self.currency,
            self.account,
            self.why,
            self.original,
        )
    }
}

/// Milliseconds in the largest unit that they fill.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}min", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn post(socket: &Path, path: &str, body: &Value) -> Result<Value, CliError> {
    let mut text = String::new();
    let answer = ask(socket, "POST", path, &body.to_string())?;
    let read = answer.take(ANSWER_LEN_MAX).read_to_string(&mut text);
    read.map_err(|source| broken(socket, source))?;
    let value = serde_json::from_str(&text);
    Ok(value.map_err(|error| broken(socket, error.into()))?)
}

/// Asks; returns the body of a good answer. HTTP 1.0: the connection's end is the body's.
fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: &str,
) -> Result<BufReader<UnixStream>, OperatorError> {
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => OperatorError::NotPermitted(socket.to_owned()),
        _ => OperatorError::NotRunning(socket.to_owned()),
    })?;
    let len = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: njia\r\nConnection: close\r\n\
         Content-Length: {len}\r\n\r\n"
    );
    let asked = stream
        .set_read_timeout(Some(ANSWER_WAIT))
        .and_then(|()| stream.write_all(head.as_bytes()))
        .and_then(|()| stream.write_all(body.as_bytes()));
    asked.map_err(|source| broken(socket, source))?;
    let mut answer = BufReader::new(stream);
    let status = status_of(&mut answer).map_err(|source| broken(socket, source))?;
    if status == 200 {
        return Ok(answer);
    }
    let mut text = String::new();
    let read = answer.take(ANSWER_LEN_MAX).read_to_string(&mut text);
    read.map_err(|source| broken(socket, source))?;
    let fault = fault_in(&text).unwrap_or_else(|| format!("the switch answers {status}"));
    Err(OperatorError::Refused(fault))
}

/// Reads the head of an answer.
fn status_of(answer: &mut BufReader<UnixStream>) -> io::Result<u16> {
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    loop {
        line.clear();
        let len = answer.read_line(&mut line)?;
        if len == 0 || line.trim_end().is_empty() {
            return status.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn fault_in(text: &str) -> Option<String> {
    let value = serde_json::from_str::<Value>(text).ok()?;
    value.get("error")?.as_str().map(str::to_owned)
}

fn broken(socket: &Path, source: io::Error) -> OperatorError {
    OperatorError::Broken {
        path: socket.to_owned(),
        source,
    }
}

/// Longer than the switch takes to say that a shard is silent, for each of some shards.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Of an answer that is no list.
const ANSWER_LEN_MAX: u64 = 65_536;

const HEAD: &str = "id                                      issuer        kind         age  \
                    attempts  next         code  amount, account, why";

pub(super) const EXAMPLES: &str = "Examples:
  njia saf list --issuer bank
  njia saf list --exceptions --json
  njia saf retry --issuer bank
  njia saf retry 0199ffe0-1234-7abc-8def-0123456789ab.1
  njia saf drop 0199ffe0-1234-7abc-8def-0123456789ab.1 --reason 'booked by hand'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_unit_that_it_fills() {
        for (ms, told) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (119_999, "119s"),
            (120_000, "2min"),
            (7_200_000, "2h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(span(ms), told);
        }
    }

    #[test]
    fn an_entry_is_one_line() {
        let text = r#"{"id":"0199ffe0-1234-7abc-8def-0123456789ab.1","issuer":null,"kind":"advice",
            "why":"acquirer","state":"exception","ended":"unforwarded","age_ms":5000,"attempts":0,
            "next_ms":null,"code":null,"amount":1500,"currency":"KES","stays":null,
            "account":"506100******7890","original":"0199ffe0-1234-7abc-8def-0123456789ab"}"#;
        let line = serde_json::from_str::<Line>(text).unwrap().shown();
        assert_eq!(
            line,
            "0199ffe0-1234-7abc-8def-0123456789ab.1  -             advice        5s         0  \
             unforwarded  -     1500 KES  506100******7890  acquirer  \
             of 0199ffe0-1234-7abc-8def-0123456789ab"
        );
    }
}

//! Log lines go to stderr through a bounded queue and one thread: whoever logs never waits for the
//! terminal, the pipe or the disk behind it. A line that does not fit is dropped and counted.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// glommio warns in the terms of its own code; what of it concerns an operator is checked before it
/// starts.
const FILTER: &str = "info,glommio=error";

/// Starts logging; further calls change nothing. `NJIA_LOG` filters, as `info,switch=debug`.
pub fn start(format: LogFormat) {
    let asked = std::env::var("NJIA_LOG").unwrap_or_default();
    let asked = if asked.is_empty() { FILTER } else { &asked };
    let (filter, fault) = match EnvFilter::try_new(asked) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(FILTER), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines);
    let started = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging runs already");
    }
    if let Some(error) = fault {
        tracing::warn!(%error, "NJIA_LOG cannot be read, {FILTER} is taken");
    }
}

/// Waits until what was logged so far is written, but not long: for the moment before the process
/// ends.
pub fn flush() {
    let Some(queue) = QUEUE.get() else {
        return;
    };
    let (done, written) = bounded(1);
    let asked = queue.send_timeout(Message::Flush(done), FLUSH_WAIT).is_ok();
    if asked && written.recv_timeout(FLUSH_WAIT).is_err() {
        // stderr does not take it, and the process must end.
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lines that were not written because the writer was behind.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

enum Message {
    Line(Vec<u8>),
    Flush(Sender<()>),
}

/// Hands lines to the queue.
#[derive(Clone, Copy, Debug)]
struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line
    }
}

/// Takes one formatted event per write.
#[derive(Debug)]
struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        offer(QUEUE.get_or_init(spawn), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn offer(queue: &Sender<Message>, bytes: &[u8]) {
    if queue.try_send(Message::Line(bytes.to_vec())).is_err() {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn spawn() -> Sender<Message> {
    let (sender, receiver) = bounded(LINES_MAX);
    let thread = std::thread::Builder::new().name("log".to_owned());
    if let Err(error) = thread.spawn(move || write_all(&receiver, &mut io::stderr())) {
        // Every line is counted as dropped from here on: the receiver is gone.
        drop(error);
    }
    sender
}

fn write_all(lines: &Receiver<Message>, out: &mut dyn Write) {
    for message in lines {
        match message {
            Message::Line(line) => {
                if out.write_all(&line).is_err() {
                    DROPPED.fetch_add(1, Ordering::Relaxed);
                }
            }
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

static QUEUE: OnceLock<Sender<Message>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Lines that wait to be written.
const LINES_MAX: usize = 8_192;
/// How long the end of the process waits for its last lines.
const FLUSH_WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_103_a_full_queue_drops_and_counts() {
        let (sender, receiver) = bounded(2);
        let before = dropped();
        for line in [b"a\n", b"b\n", b"c\n"] {
            offer(&sender, line);
        }
        assert!(dropped() > before);
        drop(sender);
        let mut out = Vec::new();
        write_all(&receiver, &mut out);
        assert_eq!(out, b"a\nb\n");
    }

    #[test]
    fn a_flush_comes_after_the_lines_before_it() {
        let (sender, receiver) = bounded(4);
        offer(&sender, b"a\n");
        let (done, written) = bounded(1);
        sender.send(Message::Flush(done)).unwrap();
        drop(sender);
        let mut out = Vec::new();
        write_all(&receiver, &mut out);
        assert_eq!(
            (out.as_slice(), written.recv()),
            (b"a\n".as_slice(), Ok(()))
        );
    }
}

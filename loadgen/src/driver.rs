//! One generator thread with its sockets: a current-thread runtime, one task per connection, one
//! timer.
//!
//! All that is due at a wake leaves in as few writes as possible: the messages of one wake are
//! dealt in groups to the connections in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use domain::time::Instant;
use iso8583::FieldIndex;
use iso8583::frame::FrameStep;
use parking_lot::Mutex;
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::ends::{self, Reading, Writing};
use crate::generator::Generator;
use crate::message::FRAME_LEN_MAX;
use crate::recorder::{Outcome, Recorder};
use crate::stop::Stop;
use crate::target::Target;

/// What a thread needs besides its generator.
#[derive(Clone, Debug)]
pub(crate) struct DriverConfig<T> {
    pub(crate) target: T,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
    pub(crate) progress: Arc<Progress>,
    pub(crate) inflight_max: usize,
    /// When the last message of the schedule is due.
    pub(crate) offered_until: Instant,
    /// How long answers and follow-ups are waited for after that.
    pub(crate) grace: Duration,
}

impl DriverConfig<()> {
    /// The same for a target.
    pub(crate) fn of<T>(self, target: T) -> DriverConfig<T> {
        DriverConfig {
            target,
            clock: self.clock,
            stop: self.stop,
            progress: self.progress,
            inflight_max: self.inflight_max,
            offered_until: self.offered_until,
            grace: self.grace,
        }
    }
}

/// What a thread shows of itself while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) sent: AtomicU64,
    pub(crate) answered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) inflight: AtomicU64,
    pub(crate) p50_us: AtomicU64,
    pub(crate) p99_us: AtomicU64,
}

/// What a thread brings home.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) recorder: Recorder,
    /// Share of the offered time that the thread was on a processor.
    pub(crate) busy: f64,
    pub(crate) inflight_exhausted: bool,
}

/// The state that the tasks of one thread share; they never wait for its lock.
struct Driver {
    config: DriverConfig<Target>,
    generator: Generator,
    lines: Vec<Line>,
    turn: usize,
    index: FieldIndex,
    scratch: Vec<u8>,
    inflight_exhausted: bool,
    shown: u64,
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) socket: Option<Writing>,
    pub(crate) out: Vec<u8>,
    written: usize,
    touched: u64,
}

/// A connection that stands.
pub(crate) type Ends = (Reading, Writing);

/// Makes the connections of a thread.
pub(crate) async fn connect(target: &Target, connections: usize) -> Result<Vec<Ends>> {
    let mut sockets = Vec::with_capacity(connections);
    for _ in 0..connections {
        sockets.push(dial(target.clone()).await?);
    }
    Ok(sockets)
}

async fn dial(target: Target) -> Result<Ends> {
    let socket = TcpStream::connect(target.address)
        .await
        .with_context(|| format!("{} cannot be reached", target.address))?;
    socket.set_nodelay(true)?;
    let tls = target.tls.as_ref();
    let tls = tls.map(|tls| tls.begin(target.address.ip())).transpose()?;
    let ends = ends::open(socket, tls).await;
    ends.with_context(|| format!("{} cannot be reached by TLS", target.address))
}

/// Runs a generator over its connections until it is done.
pub(crate) async fn drive(
    generator: Generator,
    sockets: Vec<Ends>,
    config: DriverConfig<Target>,
) -> Result<Driven> {
    let (readers, lines) = sockets.into_iter().map(split).unzip();
    let readers: Vec<Reading> = readers;
    let clock = config.clock;
    let offered_until = config.offered_until.as_nanos();
    let driver = Arc::new(Mutex::new(Driver {
        config,
        generator,
        lines,
        turn: 0,
        index: FieldIndex::new(),
        scratch: Vec::new(),
        inflight_exhausted: false,
        shown: 0,
    }));
    for (number, reader) in (0..).zip(readers) {
        tokio::spawn(serve_line(Arc::clone(&driver), number, reader));
    }
    let begin = (clock.now(), Clock::thread_busy());
    let mut busy = None;
    loop {
        let (now, next) = {
            let now = clock.now();
            let mut driver = driver.lock();
            driver.pump(now.as_nanos());
            if driver.is_over(now) {
                break;
            }
            (now, driver.next_wake(now.as_nanos()))
        };
        if busy.is_none() && now.as_nanos() >= offered_until {
            busy = Some(share_since(begin, now));
        }
        tokio::time::sleep_until(clock.timer(Instant::from_nanos(next))).await;
    }
    let now = clock.now();
    let mut driver = driver.lock();
    let inflight_exhausted = driver.inflight_exhausted;
    Ok(Driven {
        recorder: driver.generator.finish(now.as_nanos())?,
        busy: busy.unwrap_or_else(|| share_since(begin, now)),
        inflight_exhausted,
    })
}

pub(crate) fn share_since(begin: (Instant, Duration), now: Instant) -> f64 {
    let used = Clock::thread_busy().saturating_sub(begin.1).as_secs_f64();
    let passed = now.since(begin.0).as_secs_f64();
    if passed > 0.0 { used / passed } else { 0.0 }
}

/// Reads one connection, and makes it again when it is lost.
async fn serve_line(driver: Arc<Mutex<Driver>>, number: u16, mut reader: Reading) {
    let (target, clock) = {
        let driver = driver.lock();
        (driver.config.target.clone(), driver.config.clock)
    };
    loop {
        listen(&driver, number, reader, clock).await;
        driver.lock().line_down(number, clock.now().as_nanos());
        let (again, line) = split(redial(|| dial(target.clone())).await);
        driver.lock().line_up(number, line);
        reader = again;
    }
}

/// Tries until it is connected.
pub(crate) async fn redial<F: Future<Output = Result<Ends>>>(dial: impl Fn() -> F) -> Ends {
    let mut pause = RECONNECT_FIRST;
    loop {
        match dial().await {
            Ok(socket) => return socket,
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(RECONNECT_MAX);
    }
}

pub(crate) fn split((read, write): Ends) -> (Reading, Line) {
    let line = Line {
        socket: Some(write),
        ..Line::default()
    };
    (read, line)
}

async fn listen(driver: &Mutex<Driver>, number: u16, mut socket: Reading, clock: Clock) {
    let mut buffer = vec![0; READ_LEN];
    let mut filled = 0;
    while let Some(space) = buffer.get_mut(filled..) {
        match socket.read(space).await {
            Ok(0) | Err(_) => return,
            Ok(read) => filled += read,
        }
        let now = clock.now().as_nanos();
        let bytes = buffer.get(..filled).unwrap_or_default();
        let mut driver = driver.lock();
        let Some(consumed) = driver.receive(bytes, now) else {
            driver.generator.unframed(now);
            return;
        };
        driver.pump_lines(now);
        debug_assert!(usize::from(number) < driver.lines.len());
        drop(driver);
        buffer.copy_within(consumed..filled, 0);
        filled -= consumed;
    }
}

impl Driver {
    /// Sends all that is due, gives up what has waited too long, and shows how far it is.
    fn pump(&mut self, now: u64) {
        self.generator.expire(now);
        self.pump_lines(now);
        if now.saturating_sub(self.shown) >= SHOW_INTERVAL {
            self.shown = now;
            let inflight = self.generator.inflight();
            self.config
                .progress
                .show(self.generator.recorder(), inflight, now);
        }
    }

    /// Sends all that is due.
    fn pump_lines(&mut self, now: u64) {
        let mut sent = 0_usize;
        let mut line = None;
        loop {
            if sent.is_multiple_of(GROUP) {
                line = self.next_line();
            }
            let more = match line.and_then(|number| Some((number, self.lines.get_mut(number)?))) {
                Some((number, line)) => {
                    let more = self
                        .generator
                        .send_next(now, line_number(number), &mut line.out);
                    line.touched += u64::from(more);
                    more
                }
                None => self.generator.send_next(now, None, &mut self.scratch),
            };
            if !more {
                break;
            }
            sent += 1;
        }
        if self.generator.inflight() >= self.config.inflight_max {
            self.inflight_exhausted = true;
        }
        self.flush(now);
    }

    fn flush(&mut self, now: u64) {
        for line in &mut self.lines {
            let is_done = line.out.is_empty();
            let waits = |socket: &Writing| socket.has_unwritten();
            if is_done && !line.socket.as_ref().is_some_and(waits) {
                continue;
            }
            let taken = line.flush();
            if !taken {
                self.generator.blocked(line.touched, now);
            }
            line.touched = 0;
        }
    }

    /// The next connection in turn that is there.
    fn next_line(&mut self) -> Option<usize> {
        let count = self.lines.len();
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            if self
                .lines
                .get(self.turn)
                .is_some_and(|line| line.socket.is_some())
            {
                return Some(self.turn);
            }
        }
        None
    }

    /// Takes the answers in `bytes`; says how many bytes they were, or `None` when the stream
    /// cannot be followed any further.
    fn receive(&mut self, bytes: &[u8], now: u64) -> Option<usize> {
        let wire = self.config.target.wire;
        let mut consumed = 0;
        loop {
            let rest = bytes.get(consumed..)?;
            match wire.framing.split(rest, FRAME_LEN_MAX) {
                FrameStep::NeedMore { .. } => return Some(consumed),
                FrameStep::KeepAlive { consumed: empty } => consumed += empty,
                FrameStep::Refused(_) => return None,
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    let (_, message) = wire.open(rest.get(header..header + len)?)?;
                    self.generator.answer(message, now, &mut self.index);
                    consumed += header + len + trailer;
                }
            }
        }
    }

    fn line_up(&mut self, number: u16, line: Line) {
        if let Some(slot) = self.lines.get_mut(usize::from(number)) {
            *slot = line;
        }
    }

    fn line_down(&mut self, number: u16, now: u64) {
        if let Some(line) = self.lines.get_mut(usize::from(number)) {
            *line = Line::default();
        }
        self.generator.line_lost(number, now);
    }

    fn is_over(&self, now: Instant) -> bool {
        let deadline = self.config.offered_until.after(self.config.grace);
        self.generator.is_done()
            || now >= deadline
            || self.inflight_exhausted
            || self.generator.has_problem()
            || self.config.stop.is_asked()
    }

    /// When to look again if nothing comes in.
    fn next_wake(&self, now: u64) -> u64 {
        let blocked = self.lines.iter().any(|line| !line.out.is_empty());
        let latest = now + if blocked { RETRY } else { IDLE };
        self.generator
            .next_event()
            .map_or(latest, |next| next.clamp(now, latest))
    }
}

impl Line {
    /// Writes what the socket takes; `false` when bytes stay behind.
    pub(crate) fn flush(&mut self) -> bool {
        let Some(socket) = &self.socket else {
            return false;
        };
        while let Some(rest) = self.out.get(self.written..)
            && !rest.is_empty()
        {
            // An error shows on the reading side too, which ends the connection.
            match socket.try_write(rest) {
                Ok(written @ 1..) => self.written += written,
                Ok(0) | Err(_) => return false,
            }
        }
        self.out.clear();
        self.written = 0;
        if socket.has_unwritten() {
            return socket.try_write(&[]).is_ok() && !socket.has_unwritten();
        }
        true
    }
}

impl Progress {
    pub(crate) fn show(&self, recorder: &Recorder, inflight: usize, now: u64) {
        let sum = |count: fn(&crate::recorder::Tally) -> u64| {
            let items: u64 = recorder.items.iter().map(|item| count(&item.tally)).sum();
            items + count(&recorder.warmup.tally)
        };
        let set = |counter: &AtomicU64, value| counter.store(value, Ordering::Relaxed);
        set(&self.sent, sum(|tally| tally.sent));
        set(&self.answered, sum(crate::recorder::Tally::answered));
        set(&self.refused, sum(|tally| tally.of(Outcome::Refused)));
        set(
            &self.failed,
            sum(|tally| tally.errors() - tally.of(Outcome::Refused)),
        );
        set(&self.inflight, crate::numeric::count(inflight));
        if let Some(second) = recorder.last_full_second(now) {
            set(&self.p50_us, second.response.quantile(0.5));
            set(&self.p99_us, second.response.quantile(0.99));
        }
    }
}

fn line_number(number: usize) -> Option<u16> {
    u16::try_from(number).ok()
}

/// Messages of one wake that leave together on one connection.
const GROUP: usize = 16;
const READ_LEN: usize = 64 * 1024;
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_millis(250);
/// Nanoseconds between two looks while bytes stay behind.
pub(crate) const RETRY: u64 = 1_000_000;
/// Nanoseconds between two looks while nothing is due.
pub(crate) const IDLE: u64 = 20_000_000;
pub(crate) const SHOW_INTERVAL: u64 = 100_000_000;

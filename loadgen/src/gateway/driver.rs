//! One generator thread with its sockets: one task per connection, one timer.

use std::sync::Arc;

use anyhow::{Context, Result};
use domain::time::Instant;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::GatewayTarget;
use super::generator::Generator;
use super::http::{self, BUFFER_LEN, Step};
use crate::clock::Clock;
use crate::driver::{
    Driven, DriverConfig, Ends, IDLE, Line, RETRY, SHOW_INTERVAL, redial, share_since, split,
};
use crate::ends::{self, Reading};

/// The state that the tasks of one thread share; they never wait for its lock.
struct Driver {
    config: DriverConfig<GatewayTarget>,
    generator: Generator,
    lines: Vec<Line>,
    /// Ends the reading of a connection whose answer was given up.
    closing: Vec<Arc<Notify>>,
    inflight_exhausted: bool,
    shown: u64,
}

/// Makes the connections of a thread.
///
/// # Errors
/// The gateway cannot be reached.
pub(crate) async fn connect(target: &GatewayTarget, connections: usize) -> Result<Vec<Ends>> {
    let mut sockets = Vec::with_capacity(connections);
    for _ in 0..connections {
        sockets.push(dial(target.clone()).await?);
    }
    Ok(sockets)
}

async fn dial(target: GatewayTarget) -> Result<Ends> {
    let socket = TcpStream::connect(target.address)
        .await
        .with_context(|| format!("{target} cannot be reached"))?;
    socket.set_nodelay(true)?;
    ends::open(socket, None).await
}

/// Runs a generator over its connections until it is done.
///
/// # Errors
/// What was told could not be written down.
pub(crate) async fn drive(
    mut generator: Generator,
    sockets: Vec<Ends>,
    config: DriverConfig<GatewayTarget>,
) -> Result<Driven> {
    let (readers, lines): (Vec<Reading>, Vec<Line>) = sockets.into_iter().map(split).unzip();
    let clock = config.clock;
    let offered_until = config.offered_until.as_nanos();
    let closing: Vec<Arc<Notify>> = lines.iter().map(|_| Arc::default()).collect();
    for (line, _) in (0..).zip(&lines) {
        generator.line_up(line);
    }
    let driver = Arc::new(Mutex::new(Driver {
        config,
        generator,
        lines,
        closing: closing.clone(),
        inflight_exhausted: false,
        shown: 0,
    }));
    for ((number, reader), closing) in (0..).zip(readers).zip(closing) {
        tokio::spawn(serve_line(Arc::clone(&driver), number, reader, closing));
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

/// Reads one connection, and makes it again when it has ended.
async fn serve_line(
    driver: Arc<Mutex<Driver>>,
    number: u16,
    mut reader: Reading,
    closing: Arc<Notify>,
) {
    let (target, clock) = {
        let driver = driver.lock();
        (driver.config.target.clone(), driver.config.clock)
    };
    loop {
        tokio::select! {
            () = listen(&driver, number, &mut reader, clock) => {}
            () = closing.notified() => {}
        }
        driver.lock().line_down(number, clock.now().as_nanos());
        let (again, line) = split(redial(|| dial(target.clone())).await);
        driver.lock().line_up(number, line);
        reader = again;
    }
}

async fn listen(driver: &Mutex<Driver>, number: u16, socket: &mut Reading, clock: Clock) {
    // It grows to what a gateway says: most answers are shorter.
    let mut buffer = vec![0; READ_LEN];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            if filled >= BUFFER_LEN {
                return;
            }
            buffer.resize((filled * 2).min(BUFFER_LEN), 0);
        }
        let Some(space) = buffer.get_mut(filled..) else {
            return;
        };
        match socket.read(space).await {
            Ok(0) | Err(_) => return,
            Ok(read) => filled += read,
        }
        let now = clock.now().as_nanos();
        let bytes = buffer.get(..filled).unwrap_or_default();
        let mut driver = driver.lock();
        let Some(consumed) = driver.receive(number, bytes, now) else {
            return;
        };
        driver.pump_lines(now);
        drop(driver);
        buffer.copy_within(consumed..filled, 0);
        filled -= consumed;
    }
}

impl Driver {
    /// Sends all that is due, gives up what has waited too long, and shows how far it is.
    fn pump(&mut self, now: u64) {
        let (lines, closing) = (&mut self.lines, &self.closing);
        self.generator.expire(now, |line| {
            let line = usize::from(line);
            if let (Some(line), Some(closing)) = (lines.get_mut(line), closing.get(line)) {
                *line = Line::default();
                closing.notify_one();
            }
        });
        self.generator.take_due(now);
        self.pump_lines(now);
        if now.saturating_sub(self.shown) >= SHOW_INTERVAL {
            self.shown = now;
            let inflight = self.generator.inflight();
            let progress = &self.config.progress;
            progress.show(self.generator.recorder(), inflight, now);
        }
    }

    /// Gives each idle connection what has waited longest.
    fn pump_lines(&mut self, now: u64) {
        while let Some(number) = self.generator.next_line() {
            if let Some(line) = self.lines.get_mut(usize::from(number)) {
                self.generator.write_next(number, now, &mut line.out);
                // What stays behind leaves at the next wake.
                line.flush();
            }
        }
        for line in &mut self.lines {
            if !line.out.is_empty() {
                line.flush();
            }
        }
        if self.generator.inflight() >= self.config.inflight_max {
            self.inflight_exhausted = true;
        }
    }

    /// Takes the answers in `bytes`; says how many bytes they were, or `None` when the connection
    /// is of no further use.
    fn receive(&mut self, number: u16, bytes: &[u8], now: u64) -> Option<usize> {
        let mut consumed = 0;
        loop {
            // What was given up may be answered before its connection is closed.
            self.lines.get(usize::from(number))?.socket.as_ref()?;
            match http::split(bytes.get(consumed..)?) {
                Step::NeedMore => return Some(consumed),
                Step::Broken => {
                    self.generator.unframed(number, now);
                    return None;
                }
                Step::Answer {
                    answer,
                    consumed: len,
                } => {
                    self.generator.answer(number, &answer, now);
                    consumed += len;
                    if answer.closes {
                        return None;
                    }
                }
            }
        }
    }

    fn line_up(&mut self, number: u16, line: Line) {
        if let Some(slot) = self.lines.get_mut(usize::from(number)) {
            *slot = line;
            self.generator.line_up(number);
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
        let next = self.generator.next_event();
        next.map_or(latest, |next| next.clamp(now, latest))
    }
}

/// More than most answers have.
const READ_LEN: usize = 4 * 1024;

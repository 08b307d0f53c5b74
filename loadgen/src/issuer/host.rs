//! The thread that simulated issuers live in, and their connections.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hashbrown::HashMap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::behaviour::{Behaviour, Dice};
use super::control::{Control, Fault, FaultKind};
use super::desk::{Desk, IssuerStats};
use super::json::JsonStation;
use super::ledger::Ledger;
use super::momo::{Call, MomoBehaviour, MomoStation};
use super::station::Station;
use crate::clock::Clock;
use crate::ends::{self, Reading, Writing};
use crate::message::Wire;

/// One issuer to be simulated.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// Its name in reports.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What is spoken on its connections.
    pub speaks: Speaks,
    /// What it does how often.
    pub behaviour: Behaviour,
    /// Scripted faults.
    pub faults: Vec<Fault>,
    /// Where it keeps the truth.
    pub ledger: Option<PathBuf>,
    /// How its connections begin; `None` in clear.
    pub tls: Option<Arc<ServerConfig>>,
    /// Of its dice.
    pub seed: u64,
}

/// What is spoken to an issuer.
#[derive(Clone, Copy, Debug)]
pub enum Speaks {
    /// ISO 8583.
    Iso {
        /// How messages stand on its connections.
        wire: Wire,
        /// Ignores requests on connections that have not signed on.
        sign_on: bool,
    },
    /// JSON over HTTP/1.1 (`json.rs`).
    Json,
    /// JSON over HTTP/1.1, decided later (`momo.rs`).
    Momo(MomoBehaviour),
}

/// Simulated issuers in one thread.
#[derive(Debug)]
pub struct IssuerHost {
    issuers: Vec<IssuerHandle>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<Result<()>>,
    clock: Clock,
}

/// One running issuer.
#[derive(Debug)]
struct IssuerHandle {
    name: String,
    address: SocketAddr,
    control: Arc<Control>,
    room: Arc<Mutex<Room>>,
}

/// What the tasks of one issuer share. They run on one thread, so the lock is never waited for by
/// them.
#[derive(Debug)]
struct Room {
    seat: Seat,
    lines: HashMap<u32, Line>,
    next_line: u32,
    disconnects: u32,
}

/// Who sits there.
#[derive(Debug)]
enum Seat {
    Iso(Box<Station>),
    Json(Box<JsonStation>),
    Momo(Box<MomoStation>),
}

impl Seat {
    const fn desk(&self) -> &Desk {
        match self {
            Self::Iso(station) => station.desk(),
            Self::Json(station) => station.desk(),
            Self::Momo(station) => station.desk(),
        }
    }

    const fn desk_mut(&mut self) -> &mut Desk {
        match self {
            Self::Iso(station) => station.desk_mut(),
            Self::Json(station) => station.desk_mut(),
            Self::Momo(station) => station.desk_mut(),
        }
    }

    /// Takes the messages in `bytes`; says how many bytes they were, or `None` when the connection
    /// must be closed.
    fn receive(&mut self, line: u32, bytes: &[u8], now: u64) -> Option<usize> {
        match self {
            Self::Iso(station) => station.receive_all(line, bytes, now),
            Self::Json(station) => station.receive_all(line, bytes, now),
            Self::Momo(station) => station.receive_all(line, bytes, now),
        }
    }

    /// What is decided by itself; gives the callbacks that follow.
    fn decide(&mut self, now: u64) -> Vec<Call> {
        match self {
            Self::Iso(_) | Self::Json(_) => Vec::new(),
            Self::Momo(station) => station.decide(now),
        }
    }
}

/// One connection.
#[derive(Debug)]
struct Line {
    socket: Writing,
    out: Vec<u8>,
    written: usize,
}

impl IssuerHost {
    /// Binds the listeners and starts the thread.
    ///
    /// # Errors
    /// An address that cannot be bound, or a ledger that cannot be created.
    pub fn start(configs: Vec<IssuerConfig>, clock: Clock) -> Result<Self> {
        let mut issuers = Vec::with_capacity(configs.len());
        let mut rooms = Vec::with_capacity(configs.len());
        for config in configs {
            let listener = TcpListener::bind(config.listen)
                .with_context(|| format!("{} cannot be bound", config.listen))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let (name, tls) = (config.name.clone(), config.tls.clone());
            let (control, room) = furnish(config, clock)?;
            issuers.push(IssuerHandle {
                name,
                address,
                control,
                room: Arc::clone(&room),
            });
            rooms.push((listener, room, tls));
        }
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("issuers".to_owned())
            .spawn(move || live(rooms, stopped, clock))?;
        Ok(Self {
            issuers,
            stop,
            thread,
            clock,
        })
    }

    /// Where the issuer of that place in the configuration listens.
    ///
    /// # Panics
    /// There is no such issuer.
    #[must_use]
    pub fn address(&self, place: usize) -> SocketAddr {
        self.issuers[place].address
    }

    /// The switches of the issuer of that place.
    ///
    /// # Panics
    /// There is no such issuer.
    #[must_use]
    pub fn control(&self, place: usize) -> Arc<Control> {
        Arc::clone(&self.issuers[place].control)
    }

    /// What each issuer did so far, with its name.
    #[must_use]
    pub fn stats(&self) -> Vec<(String, IssuerStats)> {
        let stats = |issuer: &IssuerHandle| issuer.room.lock().seat.desk().stats();
        self.issuers
            .iter()
            .map(|issuer| (issuer.name.clone(), stats(issuer)))
            .collect()
    }

    /// Answers that wait at all issuers.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.issuers
            .iter()
            .map(|issuer| issuer.room.lock().seat.desk().waiting())
            .sum()
    }

    /// Closes everything and completes the ledgers. Says what each issuer did.
    ///
    /// # Errors
    /// The thread failed, or a ledger could not be written.
    pub fn finish(self) -> Result<Vec<(String, IssuerStats)>> {
        // Fails only when the thread has ended; joining says why.
        let told = self.stop.send(true);
        match self.thread.join() {
            Ok(result) => result?,
            Err(_) => bail!("the simulated issuers failed"),
        }
        told.context("the simulated issuers ended early")?;
        let now = self.clock.now().as_nanos();
        let mut stats = Vec::with_capacity(self.issuers.len());
        for issuer in self.issuers {
            let mut room = issuer.room.lock();
            room.seat.desk_mut().write_ledger(now, true)?;
            if let Some(ledger) = room.seat.desk_mut().take_ledger() {
                ledger.close()?;
            }
            stats.push((issuer.name, room.seat.desk().stats()));
        }
        Ok(stats)
    }
}

fn furnish(config: IssuerConfig, clock: Clock) -> Result<(Arc<Control>, Arc<Mutex<Room>>)> {
    let control = Arc::new(Control::default());
    let ledger = match &config.ledger {
        Some(path) => Some(Ledger::create(path)?),
        None => None,
    };
    let dice = Dice::new(config.behaviour, config.seed);
    let desk = Desk::new(clock, dice, Arc::clone(&control)).with(config.faults, ledger);
    let seat = match config.speaks {
        Speaks::Iso { wire, sign_on } => Seat::Iso(Box::new(Station::new(desk, wire, sign_on))),
        Speaks::Json => Seat::Json(Box::new(JsonStation::new(desk))),
        Speaks::Momo(momo) => Seat::Momo(Box::new(MomoStation::new(desk, momo, config.seed))),
    };
    let room = Room {
        seat,
        lines: HashMap::new(),
        next_line: 0,
        disconnects: 0,
    };
    Ok((control, Arc::new(Mutex::new(room))))
}

/// Where an issuer's connections come in, and how they begin.
type Door = (TcpListener, Arc<Mutex<Room>>, Option<Arc<ServerConfig>>);

fn live(rooms: Vec<Door>, mut stopped: watch::Receiver<bool>, clock: Clock) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        for (listener, room, tls) in rooms {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(accept(listener, Arc::clone(&room), tls, clock));
            tokio::spawn(tick(room, clock));
        }
        // Ends when told to, and also when nobody is left who could tell.
        match stopped.wait_for(|stop| *stop).await {
            Ok(_) | Err(_) => Ok(()),
        }
    })
}

async fn accept(
    listener: tokio::net::TcpListener,
    room: Arc<Mutex<Room>>,
    tls: Option<Arc<ServerConfig>>,
    clock: Clock,
) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors: the next try waits for the next tick.
            tokio::time::sleep(TICK).await;
            continue;
        };
        let now = clock.now().as_nanos();
        let shared = room.lock();
        if shared.seat.desk().is(FaultKind::Disconnect, now) || socket.set_nodelay(true).is_err() {
            continue;
        }
        drop(shared);
        tokio::spawn(greet(socket, Arc::clone(&room), tls.clone(), clock));
    }
}

/// Behind its handshake, where it has one, a connection is a line.
async fn greet(
    socket: TcpStream,
    room: Arc<Mutex<Room>>,
    tls: Option<Arc<ServerConfig>>,
    clock: Clock,
) {
    let begun = tls.as_ref().map(ends::accepted).transpose();
    let Ok(begun) = begun else { return };
    let handshake = tokio::time::timeout(HANDSHAKE_MAX, ends::open(socket, begun));
    let Ok(Ok((read, write))) = handshake.await else {
        return;
    };
    let number = {
        let mut shared = room.lock();
        let number = shared.next_line;
        shared.next_line = number.wrapping_add(1);
        shared.seat.desk_mut().connected();
        let line = Line {
            socket: write,
            out: Vec::new(),
            written: 0,
        };
        shared.lines.insert(number, line);
        number
    };
    listen(read, number, room, clock).await;
}

/// Reads one connection until it ends.
async fn listen(mut socket: Reading, number: u32, room: Arc<Mutex<Room>>, clock: Clock) {
    let mut buffer = vec![0; READ_LEN];
    let mut filled = 0;
    while let Some(space) = buffer.get_mut(filled..) {
        match socket.read(space).await {
            Ok(0) | Err(_) => break,
            Ok(read) => filled += read,
        }
        let now = clock.now().as_nanos();
        let bytes = buffer.get(..filled).unwrap_or_default();
        let Some(consumed) = room.lock().seat.receive(number, bytes, now) else {
            break;
        };
        buffer.copy_within(consumed..filled, 0);
        filled -= consumed;
    }
    room.lock().lines.remove(&number);
}

/// Gives answers out at their times.
async fn tick(room: Arc<Mutex<Room>>, clock: Clock) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut ticks = 0_u32;
    let calling = Arc::new(Semaphore::new(CALLS_MAX));
    loop {
        interval.tick().await;
        let now = clock.now().as_nanos();
        ticks = ticks.wrapping_add(1);
        let mut room = room.lock();
        for call in room.seat.decide(now) {
            // One that finds no place is lost, as callbacks may be.
            if let Ok(place) = Arc::clone(&calling).try_acquire_owned() {
                tokio::spawn(async move {
                    drop(tokio::time::timeout(CALL_TIME_MAX, make(call)).await);
                    drop(place);
                });
            }
        }
        room.give_out(now);
        let flushed = room
            .seat
            .desk_mut()
            .write_ledger(now, ticks.is_multiple_of(LEDGER_TICKS));
        if flushed.is_err() {
            // `IssuerHost::finish` finds the writer's own error.
            return;
        }
    }
}

/// Makes a callback in clear, and reads the beginning of its answer. Nobody hears of a failure: it
/// is a lost callback.
async fn make(call: Call) -> Option<()> {
    let rest = call.url.strip_prefix("http://")?;
    let (host, path) = rest.split_once('/')?;
    let text = format!(
        "PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{}",
        call.body.len(),
        call.body
    );
    let mut socket = match host.rsplit_once(':') {
        Some(_) => TcpStream::connect(host).await.ok()?,
        None => TcpStream::connect((host, 80)).await.ok()?,
    };
    socket.write_all(text.as_bytes()).await.ok()?;
    socket.read(&mut [0; 512]).await.ok().map(drop)
}

impl Room {
    fn give_out(&mut self, now: u64) {
        let disconnects = self.seat.desk().disconnects();
        if disconnects != self.disconnects || self.seat.desk().is(FaultKind::Disconnect, now) {
            self.disconnects = disconnects;
            // Dropping the sending half ends the connection; the peer closes its own half.
            self.lines.clear();
        }
        let lines = &mut self.lines;
        self.seat.desk_mut().give_out(now, |line, frame| {
            if let Some(line) = lines.get_mut(&line) {
                line.out.extend_from_slice(frame);
            }
        });
        self.lines.retain(|_, line| line.flush());
    }
}

impl Line {
    /// Writes what the socket takes. `false` when the connection is of no further use.
    fn flush(&mut self) -> bool {
        while let Some(rest) = self.out.get(self.written..)
            && !rest.is_empty()
        {
            match self.socket.try_write(rest) {
                Ok(0) => return false,
                Ok(written) => self.written += written,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return self.out.len() < OUT_MAX;
                }
                Err(_) => return false,
            }
        }
        self.out.clear();
        self.written = 0;
        if self.socket.has_unwritten() {
            return match self.socket.try_write(&[]) {
                Ok(_) => true,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            };
        }
        true
    }
}

const TICK: Duration = Duration::from_millis(1);
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Callbacks that are made at a time.
const CALLS_MAX: usize = 256;
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
const LEDGER_TICKS: u32 = 100;
const READ_LEN: usize = 64 * 1024;
/// A peer that does not read its answers loses its connection at this many bytes.
const OUT_MAX: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests;

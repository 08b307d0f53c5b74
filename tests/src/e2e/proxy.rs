//! A TCP proxy that spoils connections (faults.md R7): delay, jitter, throttle, split, corrupt,
//! RST, half-close, black hole. What it does to which bytes comes from a seed.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use rustix::net::Shutdown;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::campaign::Dice;

/// What befalls connections. Shares are per thousand chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Each chunk waits so long.
    pub delay: Duration,
    /// And up to so much longer.
    pub jitter: Duration,
    /// Bytes a second in each direction; none is as many as there are.
    pub throttle: Option<u64>,
    /// Chunks that arrive in pieces.
    pub split: u64,
    /// Chunks with one byte that becomes 0xFF: no digit and no letter, so that it cannot pass for
    /// another amount.
    pub corrupt: u64,
    /// Connections that end with RST on both sides.
    pub reset: u64,
    /// Connections of which one direction ends.
    pub half_close: u64,
    /// Connections that carry nothing for a while.
    pub black_hole: u64,
}

/// How often which fault was made.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections taken.
    pub connections: AtomicU64,
    /// Chunks in pieces.
    pub splits: AtomicU64,
    /// Bytes overwritten.
    pub corruptions: AtomicU64,
    /// Connections reset.
    pub resets: AtomicU64,
    /// Directions ended.
    pub half_closes: AtomicU64,
    /// Holes.
    pub black_holes: AtomicU64,
}

/// A running proxy in a thread of its own.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    weather: Mutex<Weather>,
    dice: Mutex<Dice>,
    counts: Counts,
}

/// How one direction ended.
enum End {
    /// Its source has no more: the destination is told.
    Finished,
    /// Both sides are to be reset.
    Reset,
}

impl Proxy {
    /// Stands before `target`, on a free port, in fine weather.
    ///
    /// # Errors
    /// No address could be bound.
    pub fn start(target: SocketAddr, seed: u64) -> Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            weather: Mutex::new(Weather::default()),
            dice: Mutex::new(Dice::new(seed)),
            counts: Counts::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, mut stopped) = watch::channel(false);
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => {}
                    () = serve(listener, serving) => {}
                }
            });
        });
        Ok(Self {
            address,
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What befalls connections from here on, those that stand included.
    pub fn set_weather(&self, weather: Weather) {
        *held(&self.shared.weather) = weather;
    }

    /// What it has done.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                add(&shared.counts.connections);
                tokio::spawn(carry(near, Arc::clone(&shared)));
            }
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, in both directions. Whoever is on this side learns of a target that is not there
/// by a connection that ends.
async fn carry(near: TcpStream, shared: Arc<Shared>) {
    let Ok(far) = TcpStream::connect(shared.target).await else {
        return;
    };
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let reset = tokio::select! {
        end = both(&near, &far, &shared) => end,
        end = both(&far, &near, &shared) => end,
    };
    if reset {
        for side in [&near, &far] {
            set_socket_linger(side, Some(Duration::ZERO)).ok();
        }
    }
}

/// One direction; it ends the connection when it is reset, or some time after its own end.
async fn both(from: &TcpStream, to: &TcpStream, shared: &Shared) -> bool {
    match pump(from, to, shared).await {
        Ok(End::Reset) => true,
        Ok(End::Finished) => {
            rustix::net::shutdown(to, Shutdown::Write).ok();
            sleep(HALF_OPEN).await;
            false
        }
        Err(_) => false,
    }
}

async fn pump(from: &TcpStream, to: &TcpStream, shared: &Shared) -> io::Result<End> {
    let mut buffer = vec![0; CHUNK];
    loop {
        from.readable().await?;
        let count = match from.try_read(&mut buffer) {
            Ok(0) => return Ok(End::Finished),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let chunk = &mut buffer[..count];
        let weather = *held(&shared.weather);
        if weather == Weather::default() {
            write_all(to, chunk).await?;
            continue;
        }
        if let Some(end) = spoil(chunk, to, weather, shared).await? {
            return Ok(end);
        }
    }
}

/// Carries one chunk through the weather; the end of the direction, when it has come.
async fn spoil(
    chunk: &mut [u8],
    to: &TcpStream,
    weather: Weather,
    shared: &Shared,
) -> io::Result<Option<End>> {
    let counts = &shared.counts;
    if shared.falls(weather.reset) {
        add(&counts.resets);
        // Some of it still arrives.
        let part = shared.below(chunk.len() as u64);
        write_all(to, &chunk[..part]).await?;
        return Ok(Some(End::Reset));
    }
    if shared.falls(weather.half_close) {
        add(&counts.half_closes);
        return Ok(Some(End::Finished));
    }
    if shared.falls(weather.black_hole) {
        add(&counts.black_holes);
        sleep(Duration::from_millis(500 + shared.below(5_000) as u64)).await;
        if shared.falls(500) {
            return Ok(Some(End::Reset));
        }
    }
    if shared.falls(weather.corrupt) {
        add(&counts.corruptions);
        let place = shared.below(chunk.len() as u64);
        chunk[place] = 0xFF;
    }
    let jitter = shared.below(weather.jitter.as_micros() as u64 + 1) as u64;
    sleep(weather.delay + Duration::from_micros(jitter)).await;
    if let Some(rate) = weather.throttle {
        sleep(Duration::from_micros(
            chunk.len() as u64 * 1_000_000 / rate.max(1),
        ))
        .await;
    }
    if shared.falls(weather.split) {
        add(&counts.splits);
        let middle = shared.below(chunk.len() as u64);
        write_all(to, &chunk[..middle]).await?;
        sleep(Duration::from_millis(1)).await;
        write_all(to, &chunk[middle..]).await?;
    } else {
        write_all(to, chunk).await?;
    }
    Ok(None)
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Shared {
    /// Whether something befalls so many of a thousand.
    fn falls(&self, share: u64) -> bool {
        share > 0 && held(&self.dice).below(1_000) < share
    }

    fn below(&self, bound: u64) -> usize {
        let drawn = held(&self.dice).below(bound.max(1));
        usize::try_from(drawn).unwrap_or(0)
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const CHUNK: usize = 16 * 1024;
/// How long the other direction goes on.
const HALF_OPEN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// What comes back of `sent` through a proxy before a peer that sends everything back.
    fn echoed(weather: Weather, sent: &[u8]) -> io::Result<Vec<u8>> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let proxy = Proxy::start(listener.local_addr()?, 5).map_err(io::Error::other)?;
        proxy.set_weather(weather);
        let peer = std::thread::spawn(move || -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut back = stream.try_clone()?;
            // The other side may have been reset.
            io::copy(&mut stream, &mut back).ok();
            Ok(())
        });
        let mut stream = std::net::TcpStream::connect(proxy.address())?;
        stream.write_all(sent)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        peer.join()
            .map_err(|_| io::Error::other("the peer failed"))??;
        Ok(received)
    }

    #[test]
    fn every_byte_comes_through_unless_the_weather_takes_it() {
        let sent: Vec<u8> = (0..=127).cycle().take(5_000).collect();
        assert_eq!(echoed(Weather::default(), &sent).unwrap(), sent);
        let slow = Weather {
            delay: Duration::from_millis(2),
            jitter: Duration::from_millis(2),
            throttle: Some(1_000_000),
            split: 1_000,
            ..Weather::default()
        };
        assert_eq!(echoed(slow, &sent).unwrap(), sent);
        let corrupt = Weather {
            corrupt: 1_000,
            ..Weather::default()
        };
        let received = echoed(corrupt, &sent).unwrap();
        let spoiled = received.iter().filter(|byte| **byte == 0xFF).count();
        assert!(spoiled > 0 && received.len() == sent.len());
        let reset = Weather {
            reset: 1_000,
            ..Weather::default()
        };
        let received = echoed(reset, &sent);
        assert!(received.is_err() || received.is_ok_and(|bytes| bytes.len() < sent.len()));
    }
}

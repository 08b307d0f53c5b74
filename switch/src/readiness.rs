//! Which connections have something to read, asked of the kernel for all of them at once.
//!
//! For each read the runtime submits an operation, is told of its end and, where the peer runs on
//! another core, is interrupted for it. Of an epoll set it watches the set alone, however many
//! connections are in it. Meant for many connections that say little at a time; one whose reads
//! bring many messages gains nothing.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventFlags};
use slab::Slab;

use crate::sys;

/// The connections of one shard. Bounded by those that may be open.
#[derive(Debug)]
pub(crate) struct Readiness {
    set: OwnedFd,
    entries: RefCell<Slab<Entry>>,
}

/// What is known of one connection.
#[derive(Debug, Default)]
struct Entry {
    /// Something may have come since the last read that found less than it had room for.
    is_ready: bool,
    /// Nothing more will be said of it: every read from here on finds something, if only the end.
    has_ended: bool,
    waker: Option<Waker>,
}

impl Readiness {
    /// With nothing in it.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            set: epoll::create(CreateFlags::CLOEXEC)?,
            entries: RefCell::default(),
        }))
    }

    /// Wakes whoever has something to read, for as long as the shard runs.
    ///
    /// To be told by the runtime takes a descriptor. Without one a look is taken every [`PAUSE`]:
    /// those who are there go on.
    pub(crate) async fn look(self: Rc<Self>) {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let mut blind = 0_u32;
        loop {
            let told = sys::until_ready(&self.set).await;
            let looked = self.look_once(&mut events);
            let Err(error) = told.and(looked) else {
                blind = 0;
                continue;
            };
            if blind.is_multiple_of(TELL_AGAIN) {
                tracing::error!(%error, "gateways are looked at by the clock");
            }
            blind = blind.wrapping_add(1);
            glommio::timer::sleep(PAUSE).await;
        }
    }

    /// More than fits is found by the next look: the others of the shard have their turn between.
    fn look_once(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        events.clear();
        match epoll::wait(&self.set, spare_capacity(events), Some(&AT_ONCE)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut entries = self.entries.borrow_mut();
        for event in events {
            // What has gone is nothing to whoever has its place: it finds nothing, and waits.
            let key = usize::try_from(event.data.u64()).ok();
            if let Some(entry) = key.and_then(|key| entries.get_mut(key)) {
                let flags = event.flags;
                entry.has_ended |= flags.intersects(ENDED);
                entry.wake();
            }
        }
        Ok(())
    }
}

impl Entry {
    fn wake(&mut self) {
        self.is_ready = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn wait(&mut self, cx: &Context<'_>) {
        self.is_ready = false;
        if !self
            .waker
            .as_ref()
            .is_some_and(|one| one.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
        }
    }
}

/// Between two looks while there is no descriptor to be told by.
const PAUSE: Duration = Duration::from_millis(5);
/// Such looks in a minute.
const TELL_AGAIN: u32 = 12_000;
/// Of one look: some turns' worth.
const EVENTS_MAX: usize = 256;
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
const ENDED: EventFlags = EventFlags::RDHUP
    .union(EventFlags::HUP)
    .union(EventFlags::ERR);

/// A connection that waits for its bytes with all others.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    readiness: Rc<Readiness>,
    key: usize,
}

impl Watched {
    /// Puts `stream` among the others.
    ///
    /// # Errors
    /// The kernel has no room for it.
    pub(crate) fn new(stream: TcpStream, readiness: &Rc<Readiness>) -> io::Result<Self> {
        let mut entries = readiness.entries.borrow_mut();
        let entry = entries.vacant_entry();
        let key = entry.key();
        let number = u64::try_from(key).unwrap_or(u64::MAX);
        sys::watch(&readiness.set, &stream, number)?;
        entry.insert(Entry::default());
        drop(entries);
        Ok(Self {
            stream,
            readiness: Rc::clone(readiness),
            key,
        })
    }

    /// For how long the socket may take nothing.
    ///
    /// # Errors
    /// The socket refuses it.
    pub(crate) fn set_write_timeout(&self, timeout: Duration) -> glommio::Result<(), ()> {
        self.stream.set_write_timeout(Some(timeout))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        sys::unwatch(&self.readiness.set, &self.stream);
        let gone = self.readiness.entries.borrow_mut().try_remove(self.key);
        drop(gone);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut entries = self.readiness.entries.borrow_mut();
        let Some(entry) = entries.get_mut(self.key) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if !entry.is_ready {
            entry.wait(cx);
            return Poll::Pending;
        }
        match sys::try_read(&self.stream, into)? {
            Some(count) => {
                // A read that had room left has taken all there was: what comes later is shown.
                entry.is_ready = entry.has_ended || count == into.len();
                Poll::Ready(Ok(count))
            }
            None => {
                entry.wait(cx);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests;

//! System calls that the runtime does not offer, and the crate's only unsafe code.
#![expect(
    unsafe_code,
    reason = "descriptors of the runtime's streams are borrowed and made here"
)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use futures_lite::AsyncReadExt as _;
use glommio::net::{TcpListener, TcpStream};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketType, sockopt};

/// Listens on `address`, as all shards do.
///
/// # Errors
/// It cannot be bound.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = listening_socket(address)?;
    // SAFETY: the descriptor is open and a listening TCP socket, and its ownership goes over. Safe
    // code does not do: glommio's own bind takes no options.
    Ok(unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) })
}

/// A listening socket whose port others may share. `SO_REUSEADDR` is handed on to what is accepted:
/// without it, the connections that a killed process leaves behind keep its address from the next
/// one for a minute.
fn listening_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family_of(address), SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// The family of a socket that is bound to `address`.
pub(crate) const fn family_of(address: SocketAddr) -> AddressFamily {
    if address.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    }
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Borrows the descriptor of a stream of the runtime's.
fn borrowed(stream: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: `stream` is borrowed for as long as what is returned, so its descriptor stays open.
    // glommio's TcpStream has no `AsFd`, so safe code cannot name the descriptor.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

/// Reads what there is; `None` when there is nothing.
///
/// # Errors
/// The socket's.
pub(crate) fn try_read(stream: &impl AsRawFd, into: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::net::recv(borrowed(stream), &mut *into, RecvFlags::DONTWAIT) {
            Ok((count, _)) => return Ok(Some(count)),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Puts a stream into an epoll set, as `key`: it is shown once for each time that something comes.
///
/// # Errors
/// The kernel has no room for it.
pub(crate) fn watch(set: &OwnedFd, stream: &impl AsRawFd, key: u64) -> io::Result<()> {
    let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(set, borrowed(stream), EventData::new_u64(key), flags).map_err(Into::into)
}

/// Takes a stream out of an epoll set. A second descriptor of it would keep it in.
pub(crate) fn unwatch(set: &OwnedFd, stream: &impl AsRawFd) {
    if let Err(error) = epoll::delete(set, borrowed(stream)) {
        tracing::warn!(%error, "a connection cannot be taken out of an epoll set");
    }
}

/// Waits until something in an epoll set is ready.
///
/// # Errors
/// The descriptor cannot be doubled.
pub(crate) async fn until_ready(set: &OwnedFd) -> io::Result<()> {
    let descriptor = set.try_clone()?;
    // SAFETY: the descriptor is open and its ownership goes over. It is no socket; of the runtime's
    // types this one waits for any descriptor to become readable, and says of this one what reading
    // from it says: that it is no socket. Nothing else of it is used.
    let mut waits = unsafe { TcpStream::from_raw_fd(descriptor.into_raw_fd()) };
    match waits.read(&mut [0]).await {
        Err(error) if error.raw_os_error() == Some(NOT_A_SOCKET) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

const NOT_A_SOCKET: i32 = rustix::io::Errno::NOTSOCK.raw_os_error();

/// A second descriptor of a stream's socket, so that the shard's loop can write while the stream's
/// own task waits to read.
#[derive(Debug)]
pub(crate) struct SocketWriter {
    socket: OwnedFd,
}

impl SocketWriter {
    /// Duplicates the descriptor of `stream` and arms `TCP_USER_TIMEOUT`, so that a peer whose
    /// cable was pulled is noticed while bytes wait for it.
    pub(crate) fn of(stream: &impl AsRawFd, user_timeout: Duration) -> io::Result<Self> {
        let socket = borrowed(stream).try_clone_to_owned()?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let millis = u32::try_from(user_timeout.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(&socket, millis)?;
        sockopt::set_socket_keepalive(&socket, true)?;
        Ok(Self { socket })
    }

    /// Writes what the socket takes without waiting; `Ok(0)` when it takes nothing.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::net::send(
                &self.socket,
                bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(count) => return Ok(count),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ends both directions; the reading task sees the end of the stream.
    pub(crate) fn shut_down(&self) {
        if let Err(error) = rustix::net::shutdown(&self.socket, Shutdown::Both) {
            // The peer has closed already.
            tracing::trace!(%error, "shutdown");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    /// The side that closes first keeps the connection for a while, as a killed process does.
    #[test]
    fn an_address_can_be_bound_again_while_old_connections_linger() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::from(listening_socket(any).unwrap());
        let address = listener.local_addr().unwrap();
        let theirs = TcpStream::connect(address).unwrap();
        let (ours, _) = listener.accept().unwrap();
        drop((ours, listener));
        let alone = rustix::net::socket(family_of(address), SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&alone, true).unwrap();
        rustix::net::bind(&alone, &address).unwrap();
        drop((alone, theirs));
    }

    #[test]
    fn a_writer_writes_what_the_socket_takes_and_then_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let writer = SocketWriter::of(&ours, Duration::from_secs(10)).unwrap();
        let block = [7_u8; 65_536];
        let mut written = 0;
        loop {
            let count = writer.try_write(&block).unwrap();
            if count == 0 {
                break;
            }
            written += count;
        }
        writer.shut_down();
        let mut received = Vec::new();
        theirs.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), written);
        assert!(writer.try_write(b"x").is_err());
    }
}

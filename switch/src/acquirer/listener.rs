//! Accepts acquirer connections on this shard. Every shard binds the same port; the kernel deals.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;
use persistence::journal::yield_to_rings;

use super::places::Place;
use super::session::{Caller, SessionContext, serve};
use crate::conn::Conn;
use crate::control::audit::{Incident, Object};
use crate::metrics::CloseReason;
use crate::sys::{self, SocketWriter};
use crate::tls::{Begins, Incoming, ListenerSide, Tls};

/// What a listener needs to open sessions.
#[derive(Debug)]
pub(crate) struct ListenerSetup {
    /// Where to listen.
    pub(crate) address: SocketAddr,
    /// What every session of it shares.
    pub(crate) context: SessionContext,
}

/// Starts listening and returns the real address.
///
/// # Errors
/// The address cannot be bound.
pub(crate) fn listen(setup: ListenerSetup) -> std::io::Result<SocketAddr> {
    let listener = sys::listen(setup.address)?;
    let address = listener
        .local_addr()
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let context = Rc::new(setup.context);
    if context.is_secured {
        let (tls, listener) = (Rc::clone(&context.tls), context.listener);
        let watching = Rc::clone(&context.guests).watch(
            move || tls.listener(listener),
            Rc::clone(&context.handshakes),
            (context.clock, Rc::clone(&context.gate)),
        );
        glommio::spawn_local(watching).detach();
    }
    glommio::spawn_local(accept_all(listener, context)).detach();
    Ok(address)
}

async fn accept_all(listener: TcpListener, context: Rc<SessionContext>) {
    while !context.gate.is_closed() {
        match listener.accept().await {
            // The process may have begun to drain while this waited.
            Ok(_) if context.gate.is_closed() => return,
            Ok(stream) => {
                let from = stream.peer_addr().ok().map(|address| address.ip());
                let Some(place) = context.places.take(from) else {
                    context.count_refused(CloseReason::AddressLimit);
                    // Nothing else waits here where somebody connects again and again.
                    yield_to_rings().await;
                    continue;
                };
                if let Some(writer) = writer_of(&stream, &context).await {
                    greet(stream, (writer, place), &context);
                }
            }
            Err(error) => {
                // Most often the process is out of descriptors: live sessions go on, and waiting
                // keeps the failure from becoming a busy loop (faults.md row 89).
                context.count_accept_error(error.raw_os_error());
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that was accepted with the last descriptor waits for its second one: to drop it
/// would reset who has only come at a bad time. `None` when it is gone, or the process drains.
async fn writer_of(stream: &TcpStream, context: &SessionContext) -> Option<SocketWriter> {
    while !context.gate.is_closed() {
        match SocketWriter::of(stream, USER_TIMEOUT) {
            Ok(writer) => return Some(writer),
            Err(error) if context.count_accept_error(error.raw_os_error()) => {
                sleep(ACCEPT_PAUSE).await;
            }
            Err(_) => return None,
        }
    }
    None
}

/// In clear it is a session at once; else behind its handshake, which nobody waits for.
fn greet(stream: TcpStream, (writer, place): (SocketWriter, Place), context: &Rc<SessionContext>) {
    match context.tls.listener(context.listener) {
        Begins::InClear => {
            let caller = Caller {
                address: address_of(&stream),
                incoming: Incoming::plain(stream),
                identity: None,
                guest: None,
                place,
            };
            admit(caller, writer, None, context);
        }
        Begins::Unknown => context.count_refused(CloseReason::Tls),
        Begins::Secured(side) => {
            let context = Rc::clone(context);
            glommio::spawn_local(secure(stream, (writer, place), side, context)).detach();
        }
    }
}

async fn secure(
    stream: TcpStream,
    (writer, place): (SocketWriter, Place),
    side: Arc<ListenerSide>,
    context: Rc<SessionContext>,
) {
    let peer = address_of(&stream);
    match context.handshakes.accept(stream, peer, &side).await {
        Ok(_) if context.gate.is_closed() => {}
        Ok(secured) => {
            let caller = Caller {
                incoming: secured.incoming,
                identity: secured.identity,
                guest: context.guests.join(secured.shown, &side),
                place,
                address: peer,
            };
            admit(caller, writer, Some(secured.tls), &context);
        }
        Err(error) => {
            tracing::debug!(listener = context.listener.0, %error, "no session");
            context.count_refused(CloseReason::Tls);
            let object = Object::Listener(context.listener);
            context.audit.note(Incident::tls(object, peer, error));
        }
    }
}

fn address_of(stream: &TcpStream) -> Option<IpAddr> {
    stream.peer_addr().ok().map(|address| address.ip())
}

fn admit(
    caller: Caller,
    writer: SocketWriter,
    tls: Option<Box<Tls>>,
    context: &Rc<SessionContext>,
) {
    let conn = Conn::new(writer, tls, context.out_len_max);
    match context.sessions.open(conn, context) {
        Some((session_ref, session)) => {
            context.count_open();
            let context = Rc::clone(context);
            glommio::spawn_local(serve(caller, session_ref, session, context)).detach();
        }
        None => context.count_refused(CloseReason::Limit),
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

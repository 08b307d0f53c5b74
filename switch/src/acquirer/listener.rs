//! Accepts acquirer connections on this shard. Every shard binds the same port; the kernel deals.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use glommio::net::{TcpListener, TcpStream};
use glommio::timer::sleep;

use super::session::{SessionContext, serve};
use crate::conn::Conn;
use crate::sys::{self, SocketWriter};

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
    glommio::spawn_local(accept_all(listener, Rc::new(setup.context))).detach();
    Ok(address)
}

async fn accept_all(listener: TcpListener, context: Rc<SessionContext>) {
    while !context.gate.is_closed() {
        match listener.accept().await {
            // The process may have begun to drain while this waited.
            Ok(_) if context.gate.is_closed() => return,
            Ok(stream) => {
                if let Some(writer) = writer_of(&stream, &context).await {
                    admit(stream, writer, &context);
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

fn admit(stream: TcpStream, writer: SocketWriter, context: &Rc<SessionContext>) {
    let conn = Conn::new(writer, context.out_len_max);
    match context.sessions.open(conn, context) {
        Some((session_ref, session)) => {
            context.count_open();
            let context = Rc::clone(context);
            glommio::spawn_local(serve(stream, session_ref, session, context)).detach();
        }
        None => context.count_refused(),
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

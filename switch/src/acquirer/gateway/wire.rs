//! What a gateway's connection is made of: a socket in clear, or one behind its handshake.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;

use super::{Connection, GatewayContext};
use crate::acquirer::json::problem::{Problem, Slug};
use crate::config::TlsIdentity;
use crate::control::audit::{Incident, Object, Place};
use crate::metrics::GatewayRefusal;
use crate::readiness::Watched;
use crate::tls::{Begins, Guest, TlsStream};

/// Bytes out and in, whatever they go through.
pub(super) enum Wire {
    Clear(Watched),
    Sealed(Box<TlsStream<Watched>>),
}

impl Wire {
    /// Who does not read for so long is not waited for.
    pub(super) fn set_write_timeout(&self, timeout: Duration) {
        let socket = match self {
            Self::Clear(socket) => socket,
            Self::Sealed(stream) => stream.socket(),
        };
        if let Err(error) = socket.set_write_timeout(timeout) {
            tracing::trace!(%error, "a gateway's connection was gone");
        }
    }
}

/// A connection that may be spoken on.
pub(super) struct Begun {
    pub(super) wire: Wire,
    /// As whom its certificate shows who speaks.
    pub(super) identity: Option<Arc<TlsIdentity>>,
    /// What its certificate has to be for it to stay.
    pub(super) guest: Option<Guest>,
}

/// Shakes hands, where the gateway has `tls`. `None` when nothing is to be said to it.
pub(super) async fn begin(
    stream: TcpStream,
    (peer, context): (Option<IpAddr>, &Rc<GatewayContext>),
) -> Option<Begun> {
    let watched = |stream| match Watched::new(stream, &context.readiness) {
        Ok(watched) => Some(watched),
        Err(error) => {
            // The kernel has room for no more, as /proc/sys/fs/epoll/max_user_watches says.
            tracing::debug!(%error, "a gateway's connection cannot be watched");
            context.count(GatewayRefusal::ConnectionsFull);
            None
        }
    };
    match context.tls.gateway(context.number) {
        Begins::InClear => Some(Begun {
            wire: Wire::Clear(watched(stream)?),
            identity: None,
            guest: None,
        }),
        Begins::Unknown => {
            context.count(GatewayRefusal::Tls);
            None
        }
        Begins::Secured(side) => match context.handshakes.accept(stream, peer, &side).await {
            Ok(mut secured) => {
                let identity = secured.identity.take();
                let shown = std::mem::take(&mut secured.shown);
                let stream = TlsStream::over(secured, watched)?;
                Some(Begun {
                    wire: Wire::Sealed(Box::new(stream)),
                    identity,
                    guest: context.guests.join(shown, &side),
                })
            }
            Err(error) => {
                let gateway = &context.gateway.name;
                tracing::debug!(%gateway, %error, "no connection");
                context.count(GatewayRefusal::Tls);
                let object = Object::Gateway(context.number, Place::Connection);
                context.audit.note(Incident::tls(object, peer, error));
                None
            }
        },
    }
}

//= docs/rules.md#L-03
/// Where the gateway names who may come, nobody else is answered, by whichever way he got here.
pub(super) fn admit(context: &GatewayContext, connection: &Connection) -> Result<(), Problem> {
    if context.gateway.names_identities() && connection.identity.is_none() {
        let refusal = GatewayRefusal::Certificate;
        context.count(refusal);
        return Err(Problem {
            refusal: Some(refusal),
            ..Problem::of(Slug::Unauthenticated)
        });
    }
    Ok(())
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Sealed(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Sealed(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Self::Sealed(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(stream) => Pin::new(stream).poll_close(cx),
            Self::Sealed(stream) => Pin::new(stream).poll_close(cx),
        }
    }
}

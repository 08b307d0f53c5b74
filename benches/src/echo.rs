//! A bare HTTP server: the upper bound that gateways are judged against.
//!
//! hyper on glommio, as the gateways of the switch have them, and what they are asked given back as
//! an approval at once. Absent on purpose: a scanner of heads, a key, deadlines, JSON, a journal,
//! an issuer. What the switch answers fewer of is the price of its promises.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use clap::Parser;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::{ExecutorJoinHandle, Placement};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use persistence::journal::executor;

/// What an echo is started with.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Where gateways connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Executors, pinned to the first cores.
    #[arg(long, default_value_t = 1)]
    pub executors: usize,
    /// Written once it listens: {"pid":N,"listener":"ADDR"}.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

/// A server whose listeners are open.
#[derive(Debug)]
pub struct Echo {
    /// Where gateways connect.
    pub address: SocketAddr,
    executors: Vec<ExecutorJoinHandle<Result<()>>>,
}

impl Echo {
    /// Starts all executors.
    ///
    /// # Errors
    /// An executor cannot start, or an address cannot be bound.
    pub fn start(options: &Options) -> Result<Self> {
        let mut executors: Vec<ExecutorJoinHandle<Result<()>>> = Vec::new();
        let mut address = options.listen;
        for index in 0..options.executors {
            let (ready, started) = mpsc::channel();
            let listen = address;
            let executor = executor(Placement::Fixed(index))
                .name(&format!("echo-{index}"))
                .spawn(move || serve(listen, ready))
                .map_err(|error| anyhow!("starting executor {index}: {error}"))?;
            let Ok(bound) = started.recv() else {
                let ended = executor.join();
                ended.map_err(|error| anyhow!("executor {index}: {error}"))??;
                return Err(anyhow!("executor {index} ended before it was ready"));
            };
            address = bound;
            executors.push(executor);
        }
        Ok(Self { address, executors })
    }

    /// Waits until an executor ends, which it does only with an error.
    ///
    /// # Errors
    /// A socket failed.
    pub fn join(self) -> Result<()> {
        for executor in self.executors {
            let ended = executor.join();
            ended.map_err(|error| anyhow!("joining an executor: {error}"))??;
        }
        Ok(())
    }
}

async fn serve(listen: SocketAddr, ready: mpsc::Sender<SocketAddr>) -> Result<()> {
    let listener = TcpListener::bind(listen).map_err(|error| anyhow!("{error}"))?;
    let bound = listener.local_addr().map_err(|error| anyhow!("{error}"))?;
    ready.send(bound).context("the starter has gone")?;
    loop {
        let stream = listener.accept().await;
        let stream = stream.map_err(|error| anyhow!("accepting: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| anyhow!("{error}"))?;
        let mut builder = http1::Builder::new();
        // Its timers would have to be `Send`.
        builder.header_read_timeout(None);
        let stream = Stream {
            stream,
            buffer: vec![0; BUFFER_LEN],
        };
        let connection = builder.serve_connection(stream, service_fn(approve));
        glommio::spawn_local(async {
            // Whoever has gone is no fault.
            let _ = connection.await;
        })
        .detach();
    }
}

/// Gives back what was asked, as an approval whose id is the key.
async fn approve(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let key = head.headers.get("idempotency-key").cloned();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let answer = approval(key.as_ref().map(|key| key.as_bytes()), &body);
    let mut response = Response::new(Full::new(Bytes::from(answer)));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The members of the body behind those that a gateway adds.
fn approval(key: Option<&[u8]>, body: &[u8]) -> Vec<u8> {
    let mut answer = Vec::with_capacity(body.len() + 160);
    answer.extend_from_slice(b"{\"id\":\"");
    answer.extend_from_slice(key.unwrap_or_default());
    answer.extend_from_slice(
        b"\",\"state\":\"approved\",\"final\":true,\"responseCode\":\"00\",\
          \"authorisationCode\":\"A1B2C3\",",
    );
    answer.extend_from_slice(body.get(1..).unwrap_or(b"}"));
    answer
}

/// A socket as hyper reads and writes it.
struct Stream {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let len = into.remaining().min(this.buffer.len());
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut this.buffer[..len]))?;
        into.put_slice(&this.buffer[..read]);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Stream {
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

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}

const BUFFER_LEN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_comes_back_as_an_approval() {
        let told = approval(Some(b"k"), br#"{"type":"billpay","reference":"1"}"#);
        let told: serde_json::Value = serde_json::from_slice(&told).expect("it is JSON");
        assert_eq!(told["id"], "k");
        assert_eq!(told["state"], "approved");
        assert_eq!(told["reference"], "1");
    }
}

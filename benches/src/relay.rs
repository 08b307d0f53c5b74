//! A bare two-hop relay: the upper bound that the switch is judged against.
//!
//! It frames, swaps the STAN of a request for one of its own, matches the answer by that STAN
//! and writes it back with the STAN that the acquirer sent. It does so on the runtime, the
//! sockets, the cores and the number of executors of the switch. Absent on purpose: a journal,
//! a codec beyond the place of DE11, routing, deadlines, reversals, back-pressure, reconnects.
//! What the switch costs beyond this relay is the price of its promises.
//!
//! Each executor has its own listener on the shared port and its own links, and shares nothing.

mod exchange;
mod frame;
mod options;
mod port;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;

use anyhow::{Context as _, Result, anyhow};
use glommio::net::{TcpListener, TcpStream};
use glommio::{ExecutorJoinHandle, Placement};
use persistence::journal::executor;

use exchange::Exchange;
use options::LinkPlan;
pub use options::Options;
use port::Port;

/// A relay whose links are signed on and whose listeners are open.
#[derive(Debug)]
pub struct Relay {
    /// Where acquirers connect.
    pub address: SocketAddr,
    executors: Vec<ExecutorJoinHandle<Result<()>>>,
}

impl Relay {
    /// Starts all executors, and returns when every link is signed on.
    ///
    /// # Errors
    /// When an executor cannot start, an address cannot be bound, or an issuer refuses.
    pub fn start(options: &Options) -> Result<Self> {
        let mut executors: Vec<ExecutorJoinHandle<Result<()>>> = Vec::new();
        let mut address = options.listen;
        for index in 0..options.executors {
            let (ready, started) = mpsc::channel();
            let plan = Plan {
                listen: address,
                links: options.links_of(index),
                ready,
            };
            let executor = executor(Placement::Fixed(index))
                .name(&format!("relay-{index}"))
                .spawn(move || serve(plan))
                .map_err(|error| anyhow!("starting executor {index}: {error}"))?;
            let Ok(bound) = started.recv() else {
                let ended = executor
                    .join()
                    .map_err(|error| anyhow!("executor {index}: {error}"));
                ended??;
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
    /// A link was lost, or a socket failed.
    pub fn join(self) -> Result<()> {
        for executor in self.executors {
            executor
                .join()
                .map_err(|error| anyhow!("joining an executor: {error}"))??;
        }
        Ok(())
    }
}

/// What one executor is told.
struct Plan {
    listen: SocketAddr,
    links: Vec<LinkPlan>,
    ready: mpsc::Sender<SocketAddr>,
}

/// One executor: signs its links on, then accepts acquirers for ever.
async fn serve(plan: Plan) -> Result<()> {
    let exchange = Rc::new(RefCell::new(Exchange::new()));
    for LinkPlan { issuer, stans } in plan.links {
        let mut stream = TcpStream::connect(issuer)
            .await
            .map_err(|error| anyhow!("connecting to issuer {issuer}: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| anyhow!("{error}"))?;
        port::sign_on(&mut stream)
            .await
            .with_context(|| format!("signing on to {issuer}"))?;
        let id = exchange.borrow_mut().open_link(stans);
        glommio::spawn_local(link(Port::new(id, stream, Rc::clone(&exchange)))).detach();
    }
    let listener = TcpListener::bind(plan.listen).map_err(|error| anyhow!("{error}"))?;
    let bound = listener.local_addr().map_err(|error| anyhow!("{error}"))?;
    plan.ready.send(bound).context("the starter has gone")?;
    loop {
        let stream = listener
            .accept()
            .await
            .map_err(|error| anyhow!("accepting: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| anyhow!("{error}"))?;
        let id = exchange.borrow_mut().open_acquirer();
        glommio::spawn_local(Port::new(id, stream, Rc::clone(&exchange)).run()).detach();
    }
}

/// A link lives as long as the relay: without it the measurement means nothing.
async fn link(port: Port) {
    let ended = port.run().await;
    eprintln!("relay: a link to an issuer ended: {ended:?}");
    std::process::exit(1);
}

//! What a relay is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// A bare two-hop relay: frames, swaps the STAN, matches, and does nothing else.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Where acquirers connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Address of an issuer; repeat it for several.
    #[arg(long = "issuer", required = true)]
    pub issuers: Vec<SocketAddr>,
    /// Links to each issuer, dealt to the executors in turn.
    #[arg(long, default_value_t = 4)]
    pub links: usize,
    /// Executors, pinned to the first cores.
    #[arg(long, default_value_t = 1)]
    pub executors: usize,
    /// Written once every link is signed on: {"pid":N,"listener":"ADDR"}.
    #[arg(long)]
    pub ready_file: Option<PathBuf>,
}

impl Options {
    /// The issuer's address of each link that executor `index` owns; never none, so that each
    /// acquirer is served where it was accepted.
    #[must_use]
    pub fn links_of(&self, index: usize) -> Vec<SocketAddr> {
        let all = (0..self.links.max(1)).flat_map(|_| self.issuers.iter().copied());
        let all: Vec<SocketAddr> = all.collect();
        let own: Vec<SocketAddr> = all
            .iter()
            .copied()
            .skip(index)
            .step_by(self.executors.max(1))
            .collect();
        if own.is_empty() {
            vec![all[index % all.len()]]
        } else {
            own
        }
    }
}

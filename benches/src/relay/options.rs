//! What a relay is started with.

use std::net::SocketAddr;
use std::ops::Range;
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

/// Where a link goes, and the STANs that no other link of the relay gives out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    pub issuer: SocketAddr,
    pub stans: Range<u32>,
}

impl Options {
    /// The links that executor `index` owns; never none, so that each acquirer is served where it
    /// was accepted.
    #[must_use]
    pub fn links_of(&self, index: usize) -> Vec<LinkPlan> {
        let executors = self.executors.max(1);
        let count = (self.links * self.issuers.len()).max(executors);
        let share = u32::try_from(count).map_or(1, |count| STANS / count);
        let issuers = self.issuers.iter().cycle().zip(0_u32..).take(count);
        let all = issuers.map(|(issuer, position)| {
            let base = 1 + position * share;
            LinkPlan {
                issuer: *issuer,
                stans: base..base + share,
            }
        });
        all.skip(index).step_by(executors).collect()
    }
}

/// STANs of six digits without zero.
const STANS: u32 = 999_999;

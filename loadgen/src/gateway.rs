//! Plays gateways: JSON over HTTP/1.1, open loop as the ISO 8583 side (docs/loadgen.md).
//!
//! ```text
//! schedule ─► queue ─► idle connection ─► answer ─► checked, written down
//!    ▲                                      │ 202: asked for by GET until it is decided
//!    └──── repeats, reversals, and again under the same key what was not answered
//! ```
//! HTTP/1.1 takes one request at a time on a connection: a request that finds none idle waits in
//! the queue, counts as blocked, and its waiting is part of its response time.

mod acks;
mod answer;
mod driver;
mod generator;
mod http;
mod payment;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

pub(crate) use acks::AckLog;
pub use acks::{About, Ack};
pub use answer::{Said, State};
pub(crate) use driver::{connect, drive};
pub(crate) use generator::{Generator, Parts};
pub use payment::Key;

use crate::target::require_near;
use crate::units::parse_share;

/// Options of what is offered to a gateway.
#[derive(Clone, Debug, Args)]
pub struct GatewayArgs {
    /// Offers a part of the rate as JSON: http://host:port; all of it without another target.
    #[arg(long)]
    pub gateway: Option<GatewayTarget>,
    /// Its API key by reference: file:PATH or env:NAME.
    #[arg(long, value_name = "REFERENCE", requires = "gateway")]
    pub gateway_key: Option<String>,
    /// Share of the rate that it gets.
    #[arg(long, default_value = "30%", value_parser = parse_share, requires = "gateway")]
    pub gateway_share: f64,
    /// Its connections over all its threads; each takes one request at a time.
    #[arg(long, default_value_t = CONNECTIONS, requires = "gateway")]
    pub gateway_connections: usize,
    /// Generator threads of it alone.
    #[arg(long, default_value_t = 1, requires = "gateway")]
    pub gateway_threads: u32,
    /// Share of payments that are sent a second time under the same key.
    #[arg(long, default_value = "1%", value_parser = parse_share, requires = "gateway")]
    pub gateway_repeat: f64,
    /// Share of payments that are reversed where they were approved.
    #[arg(long, default_value = "1%", value_parser = parse_share, requires = "gateway")]
    pub gateway_reverse: f64,
}

impl GatewayArgs {
    /// What they ask for; all of the rate where nothing else is offered (`is_alone`).
    ///
    /// # Errors
    /// The key is missing, or cannot be found.
    pub fn config(self, is_alone: bool) -> Result<Option<GatewayConfig>> {
        let Some(target) = self.gateway else {
            return Ok(None);
        };
        let key = self.gateway_key.context("--gateway needs --gateway-key")?;
        let share = if is_alone { 1.0 } else { self.gateway_share };
        ensure!(
            share > 0.0,
            "--gateway-share leaves nothing for the gateway"
        );
        Ok(Some(GatewayConfig {
            connections: self.gateway_connections,
            threads: self.gateway_threads,
            follow_ups: FollowUps {
                repeat: self.gateway_repeat,
                reverse: self.gateway_reverse,
            },
            ..GatewayConfig::new(target, Credential::referred(&key)?, share)
        }))
    }
}

/// What is offered to one gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where it listens.
    pub target: GatewayTarget,
    /// What it asks for.
    pub credential: Credential,
    /// Of the rate, what is offered here; the rest is ISO 8583.
    pub share: f64,
    /// Over all threads.
    pub connections: usize,
    /// Generator threads.
    pub threads: u32,
    /// What follows a payment.
    pub follow_ups: FollowUps,
}

/// Which payments are followed by a further request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowUps {
    /// Share that is sent again under the same key; the answer must be the same.
    pub repeat: f64,
    /// Share that is reversed by its id where it was approved, a quarter of it in part.
    pub reverse: f64,
}

impl GatewayConfig {
    /// With the defaults of the command line.
    #[must_use]
    pub const fn new(target: GatewayTarget, credential: Credential, share: f64) -> Self {
        Self {
            target,
            credential,
            share,
            connections: CONNECTIONS,
            threads: 1,
            follow_ups: FollowUps {
                repeat: 0.01,
                reverse: 0.01,
            },
        }
    }
}

/// What a few thousand payments a second need while some of them wait for an issuer.
const CONNECTIONS: usize = 512;

/// Items of reports and thresholds, behind those of the scenario.
pub(crate) const ITEMS: [&str; 5] = [
    "json-merchantpay",
    "json-billpay",
    "json-withdrawal",
    "json-repeat",
    "json-reversal",
];
const REPEAT: usize = 3;
const REVERSAL: usize = 4;

/// `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayTarget {
    /// Where it listens.
    pub address: SocketAddr,
    /// What stands in `Host`.
    authority: String,
}

impl GatewayTarget {
    /// An address that is known.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            authority: address.to_string(),
        }
    }

    /// Refuses an address that is neither loopback nor private.
    ///
    /// # Errors
    /// The address is public.
    pub fn require_near(&self) -> Result<()> {
        require_near(self.address)
    }
}

impl FromStr for GatewayTarget {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text
            .strip_prefix("http://")
            .with_context(|| format!("`{text}` is no gateway: write http://host:port"))?;
        let authority = rest.trim_end_matches('/');
        let visible = authority.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            visible && !authority.contains(['/', '?', '#', '@']),
            "`{text}` is no gateway: write http://host:port and no path"
        );
        let address = authority
            .to_socket_addrs()
            .with_context(|| format!("`{authority}` is no host and port"))?
            .next()
            .with_context(|| format!("`{authority}` has no address"))?;
        Ok(Self {
            address,
            authority: authority.to_owned(),
        })
    }
}

impl fmt::Display for GatewayTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// An API key, which is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(String);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

impl Credential {
    /// Takes a key.
    ///
    /// # Errors
    /// It is empty, or has what cannot stand in a head.
    pub fn new(key: &str) -> Result<Self> {
        ensure!(
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()),
            "an API key is made of visible ASCII characters"
        );
        Ok(Self(key.to_owned()))
    }

    /// Reads what `file:PATH` or `env:NAME` refers to: a key on a command line is seen by all.
    ///
    /// # Errors
    /// It is no reference, or leads to no key.
    pub fn referred(reference: &str) -> Result<Self> {
        let key = match reference.split_once(':') {
            Some(("file", path)) => std::fs::read_to_string(Path::new(path))
                .with_context(|| format!("the key file {path} cannot be read"))?,
            Some(("env", name)) => {
                std::env::var(name).with_context(|| format!("the variable {name} holds no key"))?
            }
            // Whatever else stands here may be the key itself, and is not repeated.
            Some(_) | None => bail!("an API key is given by reference: file:PATH or env:NAME"),
        };
        Self::new(key.trim())
    }
}

//! What load is offered to: `iso://host:port?framing=be16&dialect=iso87-ascii`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use iso8583::{Dialect, Framing};

use crate::message::Wire;

/// An ISO 8583 listener.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// How messages stand on its connections.
    pub wire: Wire,
    text: String,
}

impl Target {
    /// A listener with be16 framing and the dialect iso87-ascii.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            wire: Wire {
                dialect: Dialect::ISO87_ASCII,
                framing: Framing::Be16,
            },
            text: format!("iso://{address}"),
        }
    }

    /// Refuses an address that is neither loopback nor private: a load generator is a weapon.
    ///
    /// # Errors
    /// The address is public.
    pub fn require_near(&self) -> Result<()> {
        let near = match self.address.ip() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
        };
        if !near {
            bail!(
                "{} is neither loopback nor private; give --allow-remote if it is yours",
                self.address
            );
        }
        Ok(())
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix("iso://").with_context(|| {
            format!(
                "`{text}` is not a target: write iso://host:port?framing=be16&dialect=iso87-ascii"
            )
        })?;
        let (host, options) = rest.split_once('?').unwrap_or((rest, ""));
        let address = host
            .trim_end_matches('/')
            .to_socket_addrs()
            .with_context(|| format!("`{host}` is no host and port"))?
            .next()
            .with_context(|| format!("`{host}` has no address"))?;
        let mut target = Self {
            text: text.to_owned(),
            ..Self::plain(address)
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "framing" => {
                    target.wire.framing = Framing::by_name(value)
                        .with_context(|| format!("the framing `{value}` is not known"))?;
                }
                "dialect" => {
                    target.wire.dialect = Dialect::by_name(value)
                        .with_context(|| format!("the dialect `{value}` is not known"))?;
                }
                other => bail!("`{other}` is not an option of a target: framing or dialect"),
            }
        }
        Ok(target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let target: Target = "iso://127.0.0.1:8583?framing=be16&dialect=iso87-ascii-hex"
            .parse()
            .unwrap();
        assert_eq!(target.address.port(), 8583);
        assert_eq!(target.wire.dialect.name(), "iso87-ascii-hex");
        for wrong in [
            "127.0.0.1:8583",
            "http://127.0.0.1:80",
            "iso://nowhere",
            "iso://127.0.0.1:1?framing=be99",
            "iso://127.0.0.1:1?color=red",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn public_addresses_are_refused() {
        let near = |text: &str| text.parse::<Target>().unwrap().require_near().is_ok();
        assert!(near("iso://127.0.0.1:1") && near("iso://10.1.2.3:1") && near("iso://[::1]:1"));
        assert!(!near("iso://192.0.2.1:1") && !near("iso://8.8.8.8:1"));
    }
}

//! What load is offered to: `iso://host:port?framing=be16&header=none&dialect=iso87-ascii`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use iso8583::header::HeaderBytes;
use iso8583::{Dialect, Framing, Header};

use crate::ends::TlsClient;
use crate::message::Wire;

/// An ISO 8583 listener.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// How messages stand on its connections.
    pub wire: Wire,
    /// How its connections begin; `None` in clear.
    pub tls: Option<TlsClient>,
    text: String,
}

impl Target {
    /// A listener with be16 framing and the dialect iso87-ascii.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            wire: Wire::PLAIN,
            tls: None,
            text: format!("iso://{address}"),
        }
    }

    /// Refuses an address that is neither loopback nor private: a load generator is a weapon.
    ///
    /// # Errors
    /// The address is public.
    pub fn require_near(&self) -> Result<()> {
        require_near(self.address)
    }
}

/// Refuses an address that is neither loopback nor private.
///
/// # Errors
/// The address is public.
pub fn require_near(address: SocketAddr) -> Result<()> {
    let near = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    };
    if !near {
        bail!("{address} is neither loopback nor private; give --allow-remote if it is yours");
    }
    Ok(())
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
                    target.wire.framing = parse_framing(value)?;
                }
                "header" => target.wire.header = parse_header(value)?,
                "dialect" => {
                    target.wire.dialect = Dialect::by_name(value)
                        .with_context(|| format!("the dialect `{value}` is not known"))?;
                }
                other => {
                    bail!("`{other}` is not an option of a target: framing, header or dialect")
                }
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

/// The framing of that name.
///
/// # Errors
/// There is none.
pub fn parse_framing(name: &str) -> Result<Framing> {
    Framing::by_name(name).with_context(|| format!("the framing `{name}` is not known"))
}

/// A header: its form alone, which has zeros in it; `tpdu:DESTINATION:SOURCE`, `base1` likewise;
/// `base24:BYTES` and `fixedN:BYTES` in hexadecimal digits.
///
/// # Errors
/// There is no such header.
pub fn parse_header(text: &str) -> Result<HeaderBytes> {
    let (name, content) = text.split_once(':').unwrap_or((text, ""));
    let form =
        Header::by_name(name).with_context(|| format!("the header `{name}` is not known"))?;
    let zeros = |len: usize| "0".repeat(len);
    let header = match (form, content.split_once(':')) {
        (Header::None, None) if content.is_empty() => Some(HeaderBytes::NONE),
        (_, Some((destination, source))) => form.addressed(destination, source),
        (_, None) if !content.is_empty() => form.verbatim(content),
        (Header::Tpdu, None) => form.addressed(&zeros(4), &zeros(4)),
        (Header::Base1, None) => form.addressed(&zeros(6), &zeros(6)),
        (Header::Base24, None) => form.verbatim(&format!("49534f{}", "30".repeat(9))),
        (Header::None | Header::Fixed(_), None) => form.verbatim(&zeros(2 * form.len())),
    };
    header.with_context(|| format!("`{text}` is no header of the form {form}"))
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
            "iso://127.0.0.1:1?header=tdpu",
            "iso://127.0.0.1:1?header=tpdu:0001",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_read() {
        let bytes = |text: &str| parse_header(text).unwrap().as_bytes().to_vec();
        assert!(bytes("none").is_empty());
        assert_eq!(bytes("tpdu:0001:8000"), [0x60, 0, 1, 0x80, 0]);
        assert_eq!(bytes("tpdu"), [0x60, 0, 0, 0, 0]);
        assert_eq!(bytes("base1:000000:999999").len(), 22);
        assert_eq!(bytes("base24"), b"ISO000000000");
        assert_eq!(bytes("fixed2:0aff"), [0x0A, 0xFF]);
        assert_eq!(bytes("fixed3"), [0, 0, 0]);
        for wrong in [
            "none:00",
            "tpdu:01:02",
            "base1:1",
            "fixed2:0a",
            "fixed99",
            "",
        ] {
            assert!(parse_header(wrong).is_err(), "{wrong}");
        }
        let target: Target = "iso://127.0.0.1:1?framing=le16&header=tpdu:0001:8000"
            .parse()
            .unwrap();
        assert_eq!(target.wire.framing, Framing::Le16);
        assert_eq!(target.wire.message_at(), 7);
    }

    #[test]
    fn public_addresses_are_refused() {
        let near = |text: &str| text.parse::<Target>().unwrap().require_near().is_ok();
        assert!(near("iso://127.0.0.1:1") && near("iso://10.1.2.3:1") && near("iso://[::1]:1"));
        assert!(!near("iso://192.0.2.1:1") && !near("iso://8.8.8.8:1"));
    }
}

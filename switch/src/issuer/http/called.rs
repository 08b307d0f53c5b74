//! Where an issuer tells that something of a payment was decided: an address of its own for each
//! payment. Pure.
//!
//! The address ends in `{issuer}/{our_id}.{tag}`. The tag is keyed, so whoever has it was told it
//! by this switch; nothing is kept for it, and it is good over restarts. It names a payment and
//! proves nothing of it: it brings a query forward, and the answer to that decides.

use std::fmt;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::{ListenerTls, SecretKey};

/// Where the issuers of this switch tell.
#[derive(Debug)]
pub struct IssuerCallbacks {
    /// Where the switch listens.
    pub address: SocketAddr,
    /// `None` where something in front of it does that.
    pub tls: Option<ListenerTls>,
    /// As issuers reach it: without a slash at its end.
    pub(crate) url: String,
    /// Of that the path.
    pub(crate) path: String,
    /// The first one makes tags, each is good for them; never none.
    pub(crate) secrets: Vec<SecretKey>,
}

/// A payment as the issuer knows it: date, time and STAN of its request, twenty digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OurId([u8; Self::LEN]);

impl OurId {
    const LEN: usize = 20;

    /// Reads twenty digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits: [u8; Self::LEN] = text.as_bytes().try_into().ok()?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        is_number.then_some(Self(digits))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for OurId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OurId({})", self.as_str())
    }
}

impl IssuerCallbacks {
    //= docs/rules.md#M-16
    /// Where this issuer tells of this payment.
    pub(crate) fn url_of(&self, issuer: &str, our_id: &str) -> Option<String> {
        let tag = tag(self.secrets.first()?, issuer, our_id)?.finalize();
        let bytes = tag.into_bytes();
        let text = URL_SAFE_NO_PAD.encode(bytes.get(..TAG_LEN)?);
        Some(format!("{}/{issuer}/{our_id}.{text}", self.url))
    }

    //= docs/rules.md#M-16
    /// Which issuer, and which of its payments, a path names that this switch has told; `None` of
    /// any other.
    pub(crate) fn read<'a>(&self, path: &'a str) -> Option<(&'a str, OurId)> {
        let rest = path.strip_prefix(self.path.as_str())?.strip_prefix('/')?;
        let (issuer, token) = rest.split_once('/')?;
        let (our_id, text) = token.split_once('.')?;
        let named = OurId::read(our_id)?;
        let told = URL_SAFE_NO_PAD.decode(text).ok()?;
        if told.len() != TAG_LEN {
            return None;
        }
        // Each is computed and compared, in a time that says nothing of which.
        let good = self.secrets.iter().filter(|secret| {
            let tag = tag(secret, issuer, our_id);
            tag.is_some_and(|tag| tag.verify_truncated_left(&told).is_ok())
        });
        (good.count() > 0).then_some((issuer, named))
    }
}

fn tag(secret: &SecretKey, issuer: &str, our_id: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).ok()?;
    for part in [PURPOSE, issuer, "/", our_id] {
        mac.update(part.as_bytes());
    }
    Some(mac)
}

const PURPOSE: &str = "njia issuer callback 1/";
/// 128 bits.
const TAG_LEN: usize = 16;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn callbacks(secrets: &[u8]) -> IssuerCallbacks {
        IssuerCallbacks {
            address: ([127, 0, 0, 1], 0).into(),
            tls: None,
            url: "https://switch.example/told".to_owned(),
            path: "/told".to_owned(),
            secrets: secrets
                .iter()
                .map(|byte| SecretKey::new([*byte; 32]))
                .collect(),
        }
    }

    const ID: &str = "20261120213834000421";

    fn path(of: &IssuerCallbacks, issuer: &str) -> String {
        let url = of.url_of(issuer, ID).unwrap();
        url.strip_prefix("https://switch.example")
            .unwrap()
            .to_owned()
    }

    //= docs/rules.md#M-16
    #[test]
    fn an_address_names_its_payment_and_no_other() {
        let callbacks = callbacks(&[1]);
        let good = path(&callbacks, "wallet");
        let (issuer, id) = callbacks.read(&good).unwrap();
        assert_eq!((issuer, id.as_str()), ("wallet", ID));
        let forged = [
            good.replace("wallet", "bank"),
            good.replace("000421.", "000422."),
            good.replace("/told", "/other"),
            good.replace('.', "/"),
            format!("{good}A"),
            format!("{good}="),
            good[..good.len() - 1].to_owned(),
            good[..=good.find('.').unwrap()].to_owned(),
            format!("/told/wallet/{ID}"),
            format!("{good}/"),
            "/told".to_owned(),
            String::new(),
        ];
        for path in forged {
            assert_eq!(callbacks.read(&path), None, "{path}");
        }
        // Each bit of the tag.
        let (start, tag) = good.split_once('.').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(tag).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let path = format!("{start}.{}", URL_SAFE_NO_PAD.encode(bytes));
            assert_eq!(callbacks.read(&path), None, "bit {bit}");
        }
    }

    /// A secret is replaced in two steps, and no payment in between is forgotten.
    #[test]
    fn two_secrets_are_good_while_one_is_replaced() {
        let (old, both, new) = (callbacks(&[1]), callbacks(&[2, 1]), callbacks(&[2]));
        let of_old = path(&old, "wallet");
        assert!(both.read(&of_old).is_some());
        assert!(new.read(&of_old).is_none());
        let of_both = path(&both, "wallet");
        assert!(new.read(&of_both).is_some());
        assert!(old.read(&of_both).is_none());
    }
}

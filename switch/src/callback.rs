//! What holds of callbacks wherever they are handled: which addresses may be told, how a message is
//! signed (Standard Webhooks), and when it is sent again. Pure: it names no clock and no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Uri;
use persistence::record::CALLBACK_URL_LEN_MAX;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Which hosts of a gateway are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// By https, at addresses that anybody can reach.
    pub public: Vec<String>,
    /// Also by http, at addresses of this site too.
    pub private: Vec<String>,
}

/// In whose words a callback tells. It stands in front of the address that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form<'a> {
    /// Of the API of this switch: a POST.
    Native,
    /// Of GSMA's: a PUT, which names the key of what was asked for.
    Gsma { correlation: &'a str },
}

impl<'a> Form<'a> {
    /// As it is kept; `None` of what is too long for that.
    pub(crate) fn keep(self, url: &str) -> Option<Box<str>> {
        let kept = match self {
            Self::Native => url.to_owned(),
            Self::Gsma { correlation } => format!("{GSMA}{correlation} {url}"),
        };
        (kept.len() <= CALLBACK_URL_LEN_MAX).then(|| kept.into())
    }

    /// What was kept: an address has no space.
    pub(crate) fn of(kept: &'a str) -> (Self, &'a str) {
        let gsma = kept.strip_prefix(GSMA);
        match gsma.and_then(|rest| rest.split_once(' ')) {
            Some((correlation, url)) => (Self::Gsma { correlation }, url),
            None => (Self::Native, kept),
        }
    }
}

const GSMA: &str = "gsma ";

/// Where a callback goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) uri: Uri,
    /// In small letters, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_https: bool,
    /// Whether it may be at an address of this site.
    pub(crate) reach: Reach,
}

/// Which addresses a host may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those that anybody can reach.
    Public,
    /// Any.
    Any,
}

/// Why an address is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTold {
    /// It is no address of http or https, or longer than one may be.
    Malformed,
    /// Its host, or its scheme for that host, is not among those of the gateway.
    NotPermitted,
}

impl Hosts {
    /// Whether nobody may be told.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.public.is_empty() && self.private.is_empty()
    }

    /// Takes an absolute URL whose host equals one of these.
    pub(crate) fn target(&self, url: &str) -> Result<Target, NotTold> {
        let is_visible = url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || url.len() > CALLBACK_URL_LEN_MAX || url.contains(['#', '\\']) {
            return Err(NotTold::Malformed);
        }
        let uri: Uri = url.parse().map_err(|_| NotTold::Malformed)?;
        let authority = uri.authority().ok_or(NotTold::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(NotTold::Malformed);
        }
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(NotTold::Malformed),
        };
        let host = authority.host().trim_matches(['[', ']']);
        let host = host.to_ascii_lowercase();
        let has = |hosts: &[String]| hosts.iter().any(|known| known.eq_ignore_ascii_case(&host));
        let reach = if has(&self.private) {
            Reach::Any
        } else if is_https && has(&self.public) {
            Reach::Public
        } else {
            return Err(NotTold::NotPermitted);
        };
        let is_bare = authority.as_str() == authority.host();
        let port = match (is_bare, authority.port_u16()) {
            (true, _) if is_https => 443,
            (true, _) => 80,
            (false, Some(port)) if port > 0 => port,
            (false, _) => return Err(NotTold::Malformed),
        };
        Ok(Target {
            host,
            port,
            is_https,
            reach,
            uri,
        })
    }
}

impl Reach {
    /// Whether this address may be connected to.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Public => is_public(address),
        }
    }
}

/// Whether an address is one that anybody can reach. What holds another address (RFC 4291, 6052,
/// 3056) is what that is.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        (0, 0) if [c, d, e, f] == [0, 0, 0, 0xFFFF] => inner(g, h),
        (0x64, 0xFF9B) if [c, d, e, f] == [0; 4] => inner(g, h),
        (0x2002, _) => inner(b, c),
        (0x2001, 0x0DB8 | 0..=0x01FF) => false,
        // Global unicast alone: all else is of a link, of a site, or of nobody.
        _ => a & 0xE000 == 0x2000,
    }
}

/// The bytes of a secret as Standard Webhooks spells it: `whsec_` and base64 of 24 to 64 bytes.
///
/// # Errors
/// What is wrong; never the text itself.
pub(crate) fn secret(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let wrong = || "must hold whsec_ and the base64 of 24 to 64 bytes".to_owned();
    let digits = text.trim().strip_prefix("whsec_").ok_or_else(wrong)?;
    let bytes = Zeroizing::new(STANDARD.decode(digits).map_err(|_| wrong())?);
    if (24..=64).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        Err(wrong())
    }
}

/// One signature of `webhook-signature`: HMAC-SHA256 of id, Unix seconds and body.
pub(crate) fn signature(secret: &[u8], id: &str, seconds: u64, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        // HMAC takes a key of any length.
        return String::new();
    };
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// When a message that has failed so often is sent again; `None` when it is given up. `draw` is any
/// number: of many that fail together, not all come back together.
pub(crate) fn wait_after(failures: u32, draw: u64) -> Option<Duration> {
    let at = usize::try_from(failures.checked_sub(1)?).ok()?;
    let seconds = *WAITS_S.get(at)?;
    // From 80 % to 120 %, in thousandths.
    let thousandths = 800 + draw % 401;
    Some(Duration::from_millis(seconds * thousandths))
}

/// 5 s, 30 s, 2 min, 10 min, 1 h, 6 h, 24 h.
const WAITS_S: [u64; 7] = [5, 30, 120, 600, 3_600, 21_600, 86_400];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_stands_in_front_of_the_address() {
        let url = "https://gateway.example/hooks?a=gsma";
        let correlation = "6f1b1f0e-3a77-4a39-9d1e-0d3f2c9b7a10";
        for form in [Form::Native, Form::Gsma { correlation }] {
            assert_eq!(Form::of(&form.keep(url).unwrap()), (form, url));
        }
        let long = "x".repeat(CALLBACK_URL_LEN_MAX);
        assert!(Form::Native.keep(&long).is_some());
        assert!(Form::Gsma { correlation }.keep(&long).is_none());
    }

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn a_message_is_signed_as_standard_webhooks_says() {
        let secret = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(&secret, id, 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(signature(&secret, id, 1_614_265_331, body), signed);
        assert_ne!(signature(&secret, "msg_2", 1_614_265_330, body), signed);
    }

    #[test]
    fn a_secret_is_spelled_in_one_way_and_never_repeated() {
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        ] {
            let fault = secret(bad).unwrap_err();
            assert!(bad.len() < 8 || !fault.contains(bad), "{fault}");
        }
    }

    #[test]
    fn the_schedule_ends_and_is_spread() {
        for (failures, seconds) in (1..).zip(WAITS_S) {
            let wait = |draw| wait_after(failures, draw).unwrap().as_millis();
            let whole = u128::from(seconds) * 1_000;
            assert_eq!(wait(0), whole * 8 / 10);
            assert_eq!(wait(200), whole);
            assert_eq!(wait(400), whole * 12 / 10);
            assert_eq!(wait(401), wait(0));
        }
        assert_eq!(wait_after(0, 0), None);
        assert_eq!(wait_after(8, 0), None);
    }

    fn hosts() -> Hosts {
        Hosts {
            public: vec!["Gateway.example".to_owned()],
            private: vec![
                "127.0.0.1".to_owned(),
                "::1".to_owned(),
                "inside".to_owned(),
            ],
        }
    }

    #[test]
    fn an_address_is_one_of_the_list_and_https_outside_of_this_site() {
        let check = |url: &str| {
            let target = hosts().target(url)?;
            Ok((target.host, target.port, target.reach))
        };
        let outside = |port| Ok(("gateway.example".to_owned(), port, Reach::Public));
        assert_eq!(check("https://gateway.example/hooks?a=1"), outside(443));
        assert_eq!(check("HTTPS://GATEWAY.example:8443"), outside(8443));
        let inside = |host: &str, port| Ok((host.to_owned(), port, Reach::Any));
        assert_eq!(check("http://127.0.0.1:8080/x"), inside("127.0.0.1", 8080));
        assert_eq!(check("http://[::1]/x"), inside("::1", 80));
        assert_eq!(check("https://inside/x"), inside("inside", 443));
        for other in [
            "http://gateway.example/",
            "https://gateway.example.evil.example/",
            "https://a.gateway.example/",
            "https://gateway.example./",
            "https://127.1/",
            "https://localhost/",
        ] {
            assert_eq!(check(other), Err(NotTold::NotPermitted), "{other}");
        }
        let long = format!("https://gateway.example/{}", "x".repeat(512));
        for bad in [
            "",
            "/hooks",
            "gateway.example",
            "gateway.example:443",
            "ftp://gateway.example/",
            "https://me@gateway.example/",
            "https://gateway.example@evil.example/",
            "https://evil.example\\@gateway.example/",
            "https://gateway.example/#part",
            "https://gateway.example/a b",
            "https://gateway.example:0/",
            "https://gateway.example:99999/",
            &long,
        ] {
            assert_eq!(check(bad), Err(NotTold::Malformed), "{bad}");
        }
    }

    #[test]
    fn only_what_anybody_can_reach_is_public() {
        for public in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            let address = public.parse().unwrap();
            assert!(Reach::Public.admits(address), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address = private.parse().unwrap();
            assert!(!Reach::Public.admits(address), "{private}");
            assert!(Reach::Any.admits(address), "{private}");
        }
    }
}

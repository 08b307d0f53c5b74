//! Requests that are signed: HMAC-SHA-256 over all that they ask for (docs/http-api.md).
//!
//! Pure: it names no clock and no socket. A nonce that is well formed is not yet one that is new:
//! that is for its owner to say.

use domain::time::WallTime;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Uri, header};
use sha2::Sha256;

use super::handler::{CORRELATION_ID, IDEMPOTENCY_KEY};
use crate::config::SigningKey;
use crate::limits::{SIGNED_AHEAD_MAX_S, SIGNED_BEHIND_MAX_S};
use crate::metrics::GatewayRefusal;

/// What a signature says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// The gateway's name.
    id: String,
    /// Which of its keys.
    key: String,
    /// Seconds since 1970.
    pub(super) timestamp: u64,
    pub(super) nonce: Nonce,
    tag: [u8; 32],
}

/// What makes a signature good once: 16 to 64 letters, digits, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(String);

impl Nonce {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        ((16..=64).contains(&text.len()) && text.bytes().all(is_word))
            .then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What of a request is signed, but for its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
}

impl Signature {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// It has no signature, or none that can be read.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, GatewayRefusal> {
        let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
        let only = values.next().filter(|_| values.next().is_none());
        let text = only.and_then(|value| value.to_str().ok());
        let fields = text.and_then(|text| text.strip_prefix(SCHEME)?.strip_prefix(' '));
        let fields = fields.ok_or(GatewayRefusal::CredentialMissing)?;
        Self::fields(fields).ok_or(GatewayRefusal::SignatureMalformed)
    }

    /// Each field once, in any order, and none beside them.
    fn fields(text: &str) -> Option<Self> {
        let mut fields = [None; 5];
        for field in text.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let place = NAMES.iter().position(|known| *known == name)?;
            let place = fields.get_mut(place)?;
            if place.replace(value).is_some() {
                return None;
            }
        }
        let [id, key, timestamp, nonce, tag] = fields;
        Some(Self {
            id: id?.to_owned(),
            key: key?.to_owned(),
            timestamp: read_timestamp(timestamp?)?,
            nonce: Nonce::read(nonce?)?,
            tag: read_tag(tag?)?,
        })
    }

    /// What can be said before its body has come: by which key it should have been made.
    ///
    /// # Errors
    /// It is by no key of this gateway that is good, or was not made at this time.
    pub(super) fn key<'k>(
        &self,
        name: &str,
        known: &'k [SigningKey],
        now: WallTime,
    ) -> Result<&'k SigningKey, GatewayRefusal> {
        let mut named = known.iter().filter(|key| key.id == self.key);
        let key = named.next().filter(|_| self.id == name);
        let key = key.ok_or(GatewayRefusal::CredentialUnknown)?;
        if key.not_after.is_some_and(|end| now > end) {
            return Err(GatewayRefusal::CredentialExpired);
        }
        // To the millisecond: its nonce is known for so long, and how far it may be ahead is known
        // to whoever raises the horizon.
        let (made, now) = (self.timestamp.saturating_mul(1_000), now.unix_millis());
        let behind = now.saturating_sub(made);
        let ahead = made.saturating_sub(now);
        if behind > SIGNED_BEHIND_MAX_S * 1_000 || ahead > SIGNED_AHEAD_MAX_S * 1_000 {
            return Err(GatewayRefusal::SignatureStale);
        }
        Ok(key)
    }

    /// Compares in constant time.
    ///
    /// # Errors
    /// It was made by another key, or of another request.
    pub(super) fn check(
        &self,
        key: &SigningKey,
        head: Head<'_>,
        body: &[u8],
    ) -> Result<(), GatewayRefusal> {
        let wrong = GatewayRefusal::SignatureWrong;
        let mac = Hmac::<Sha256>::new_from_slice(key.secret.expose()).map_err(|_| wrong)?;
        let mac = self.signed(mac, head, body);
        mac.verify_slice(&self.tag).map_err(|_| wrong)
    }

    /// No field but the last can hold a line feed, so no two requests read alike.
    fn signed(&self, mut mac: Hmac<Sha256>, head: Head<'_>, body: &[u8]) -> Hmac<Sha256> {
        let target = head.uri.path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let key = [IDEMPOTENCY_KEY, CORRELATION_ID];
        let key = key.iter().find_map(|name| head.headers.get(name));
        let timestamp = self.timestamp.to_string();
        let lines: [&[u8]; 8] = [
            SCHEME.as_bytes(),
            head.method.as_str().as_bytes(),
            target.as_bytes(),
            self.id.as_bytes(),
            self.key.as_bytes(),
            timestamp.as_bytes(),
            self.nonce.as_bytes(),
            key.map(HeaderValue::as_bytes).unwrap_or_default(),
        ];
        for line in lines {
            mac.update(line);
            mac.update(b"\n");
        }
        mac.update(body);
        mac
    }
}

/// In one form alone, as it is signed: no sign, no zero before it.
fn read_timestamp(text: &str) -> Option<u64> {
    let read: u64 = text.parse().ok()?;
    (read.to_string() == text).then_some(read)
}

fn read_tag(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let mut tag = [0; 32];
    if pairs.len() != tag.len() {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(tag)
}

/// The scheme of `Authorization`, and the first line of what is signed.
pub(super) const SCHEME: &str = "NJIA-HMAC-SHA256";
const NAMES: [&str; 5] = ["id", "key", "timestamp", "nonce", "signature"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretBytes;

    const NOW: u64 = 1_795_297_141;
    const NONCE: &str = "6f1b1f0e3a774a39";
    const BODY: &[u8] = br#"{"type":"merchantpay"}"#;

    fn keys(not_after: Option<u64>) -> Vec<SigningKey> {
        let key = |id: &str, byte: &str, not_after: Option<u64>| SigningKey {
            id: id.to_owned(),
            secret: SecretBytes::from_hex(&byte.repeat(32)).unwrap(),
            not_after: not_after.map(WallTime::from_unix_millis),
        };
        vec![key("old", "0b", not_after), key("new", "0c", None)]
    }

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(authorization).unwrap();
        headers.insert(header::AUTHORIZATION, value);
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("key-1"));
        headers
    }

    /// As a gateway makes it.
    fn signed(key: &SigningKey, timestamp: u64) -> Signature {
        let mut signature = Signature {
            id: "mobile".to_owned(),
            key: key.id.clone(),
            timestamp,
            nonce: Nonce::read(NONCE).unwrap(),
            tag: [0; 32],
        };
        let headers = headers("");
        let uri = Uri::from_static("/v1/transactions");
        let head = Head {
            method: &Method::POST,
            uri: &uri,
            headers: &headers,
        };
        let mac = Hmac::<Sha256>::new_from_slice(key.secret.expose()).unwrap();
        let tag = signature.signed(mac, head, BODY).finalize().into_bytes();
        signature.tag.copy_from_slice(&tag);
        signature
    }

    fn checked(signature: &Signature, key: &SigningKey, changed: &str) -> bool {
        let (mut method, mut uri) = (Method::POST, Uri::from_static("/v1/transactions"));
        let (mut headers, mut body) = (headers(""), BODY);
        match changed {
            "method" => method = Method::PUT,
            "path" => uri = Uri::from_static("/v1/transactionS"),
            "query" => uri = Uri::from_static("/v1/transactions?idempotency_key=k"),
            "key" => {
                headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("key-2"));
            }
            "no key" => {
                headers.remove(IDEMPOTENCY_KEY);
            }
            "body" => body = br#"{"type":"merchantpay" }"#,
            "nothing" => {}
            other => panic!("{other}"),
        }
        let head = Head {
            method: &method,
            uri: &uri,
            headers: &headers,
        };
        signature.check(key, head, body).is_ok()
    }

    #[test]
    fn a_signature_is_of_all_that_is_asked_for() {
        for key in keys(None) {
            let signature = signed(&key, NOW);
            assert!(checked(&signature, &key, "nothing"));
            for changed in ["method", "path", "query", "key", "no key", "body"] {
                assert!(!checked(&signature, &key, changed), "{changed}");
            }
            let other = |change: fn(&mut Signature)| {
                let mut other = signed(&key, NOW);
                change(&mut other);
                !checked(&other, &key, "nothing")
            };
            assert!(other(|one| one.timestamp += 1));
            assert!(other(|one| one.nonce.0.push('a')));
            assert!(other(|one| one.id.push('a')));
            assert!(other(|one| one.key.push('a')));
            assert!(other(|one| one.tag[31] ^= 1));
        }
        let [old, new] = &keys(None)[..] else {
            panic!("two keys")
        };
        assert!(!checked(&signed(old, NOW), new, "nothing"));
    }

    #[test]
    fn a_signature_is_good_for_300_seconds_and_5_seconds_ahead() {
        let keys = keys(Some((NOW + 1_000) * 1_000));
        let judged_at = |at: u64, name: &str, millis: u64| {
            let now = WallTime::from_unix_millis(millis);
            signed(&keys[0], at)
                .key(name, &keys, now)
                .map(|key| &key.id)
        };
        let judged = |at: u64, name: &str, now: u64| judged_at(at, name, now * 1_000);
        for at in [NOW - 300, NOW, NOW + 5] {
            judged(at, "mobile", NOW).unwrap();
        }
        for at in [0, NOW - 301, NOW + 6, NOW + 300, u64::MAX] {
            let stale = judged(at, "mobile", NOW);
            assert_eq!(stale, Err(GatewayRefusal::SignatureStale));
        }
        for (at, millis) in [(NOW - 300, NOW * 1_000 + 1), (NOW + 5, NOW * 1_000 - 1)] {
            let last = judged_at(at, "mobile", millis);
            assert_eq!(last, Err(GatewayRefusal::SignatureStale));
        }
        let unknown = judged(NOW, "other", NOW);
        assert_eq!(unknown, Err(GatewayRefusal::CredentialUnknown));
        let late = NOW + 1_000;
        let expired = judged_at(late, "mobile", late * 1_000 + 1);
        assert_eq!(expired, Err(GatewayRefusal::CredentialExpired));
        let new = signed(&keys[1], late);
        let at = WallTime::from_unix_millis(late * 1_000);
        assert_eq!(new.key("mobile", &keys, at).unwrap().id, "new");
    }

    #[test]
    fn a_head_has_one_signature_or_none() {
        let tag = "ab".repeat(32);
        let good =
            format!("{SCHEME} id=mobile, key=old,timestamp={NOW}, nonce={NONCE}, signature={tag}");
        let read = Signature::read(&headers(&good)).unwrap();
        assert_eq!((read.timestamp, read.tag), (NOW, [0xab; 32]));
        let missing = GatewayRefusal::CredentialMissing;
        for bad in ["", "Bearer abc", "NJIA-HMAC-SHA512 id=mobile"] {
            assert_eq!(Signature::read(&headers(bad)), Err(missing), "{bad}");
        }
        let mut twice = headers(&good);
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        assert_eq!(Signature::read(&twice), Err(missing));
        let malformed = GatewayRefusal::SignatureMalformed;
        for (from, to) in [
            (tag.as_str(), &tag[1..]),
            (tag.as_str(), "+b"),
            ("id=mobile, ", ""),
            ("id=mobile", "id=mobile, id=mobile"),
            ("id=mobile", "id=mobile, alg=none"),
            (NONCE, "6f1b1f0e3a774a3"),
            (NONCE, "6f1b1f0e3a774a3 9"),
            ("timestamp=1", "timestamp=+1"),
            ("timestamp=1", "timestamp=01"),
            ("timestamp=1", "timestamp=-1"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_eq!(Signature::read(&headers(&bad)), Err(malformed), "{bad}");
        }
        Nonce::read(&"a".repeat(64)).unwrap();
        assert_eq!(Nonce::read(&"a".repeat(65)), None);
        assert_eq!(Nonce::read(&"a".repeat(15)), None);
    }
}

//! Keys that other sides have brought, over a restart: what is stored of them, and what a start
//! makes of it.
//!
//! They are stored as they came, under the KEK. A key is stored before it is acknowledged, so the
//! newest one that is stored is in force after a start: the other side has either heard that it is
//! taken, or will bring one again. The key before it still checks for what is left of the overlap.
//! A stored key gives way to the configured one when that is another one than it was, or when the
//! keys of the endpoint are changed no longer: then the two sides have agreed anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::time::WallTime;
use persistence::key_file::{self, KeyDirection, KeyFileError, KeySide, PushedKey, WrappedMacKey};
use thiserror::Error;

use super::endpoint_keys::Endpoint;
use super::key_change::{KeyChange, KeyScope, NewKey};
use super::mac::{EndpointMac, SoftwareMac};
use crate::config::Config;

/// What is stored; of one shard, which leads all changes.
#[derive(Debug)]
pub(crate) struct KeyStore {
    root: PathBuf,
    keys: Vec<PushedKey>,
}

/// A stored key that is in force from the start on.
#[derive(Clone, Debug)]
pub(crate) struct RestoredKey {
    pub(crate) endpoint: Endpoint,
    pub(crate) direction: KeyDirection,
    pub(crate) key: Arc<SoftwareMac>,
    /// The one before it, and for how long it still checks.
    pub(crate) before: Option<(Arc<SoftwareMac>, Duration)>,
}

/// Why stored keys are not taken up. Says nothing of them.
#[derive(Debug, Error)]
pub enum KeyStoreError {
    /// The file is damaged, or cannot be read or written.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// A stored key does not open.
    #[error(
        "the MAC key of {side} `{name}` in {path} does not open under its mac.key_change.kek: give \
         the KEK that it came under, or agree with the other side on other keys and configure \
         those; a stored key gives way to them"
    )]
    Kek {
        /// The file.
        path: PathBuf,
        /// Listener or issuer.
        side: &'static str,
        /// Which.
        name: String,
    },
}

impl KeyStore {
    /// Reads what is stored below `root`. What gave way stays in the file until the next key is
    /// stored: a start that is refused further on has taken nothing away. Blocks; once per
    /// process, before any executor.
    ///
    /// # Errors
    /// [`KeyStoreError`]; nothing was changed.
    pub(crate) fn open(
        root: &Path,
        config: &Config,
        wall: WallTime,
    ) -> Result<(Self, Vec<RestoredKey>), KeyStoreError> {
        let mut restored = Vec::new();
        let mut keys = key_file::read(root)?;
        let mut refused = None;
        keys.retain(|stored| match Standing::of(stored, config) {
            Standing::Unknown => true,
            Standing::GaveWay => {
                let (side, name) = (stored.side.word(), &stored.name);
                tracing::warn!(
                    side,
                    name,
                    "the stored MAC key gives way to the configured one"
                );
                false
            }
            Standing::InForce(endpoint, mac, change) => {
                match restore(stored, endpoint, (mac, change), wall) {
                    Some(key) => restored.push(key),
                    None => refused = Some((stored.side.word(), stored.name.clone())),
                }
                true
            }
        });
        if let Some((side, name)) = refused {
            let path = root.join(persistence::layout::MAC_KEYS);
            return Err(KeyStoreError::Kek { path, side, name });
        }
        for key in &restored {
            let (side, name) = named(config, key.endpoint).unwrap_or((KeySide::Listener, ""));
            let (side, direction) = (side.word(), key.direction.word());
            tracing::info!(side, name, direction, "stored MAC key in use");
        }
        let root = root.to_owned();
        Ok((Self { root, keys }, restored))
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is to be stored when `new` is taken. `None` for an endpoint whose keys are not changed.
    pub(crate) fn with(
        &self,
        config: &Config,
        endpoint: Endpoint,
        new: &NewKey,
        wall: WallTime,
    ) -> Option<Vec<PushedKey>> {
        let (side, name) = named(config, endpoint)?;
        let mac = mac_of(config, endpoint)?;
        let mut keys = self.keys.clone();
        for direction in directions(new.scope) {
            let is_it = |key: &PushedKey| {
                (key.side, key.direction, key.name.as_str()) == (side, *direction, name)
            };
            let before = keys.iter().position(is_it).map(|place| keys.remove(place));
            keys.push(PushedKey {
                side,
                name: name.to_owned(),
                direction: *direction,
                came: wall,
                configured: configured(mac, *direction).digest(),
                key: new.stored.clone(),
                before: before.map(|before| before.key),
            });
        }
        Some(keys)
    }

    /// They are stored now.
    pub(crate) fn stored(&mut self, keys: Vec<PushedKey>) {
        self.keys = keys;
    }
}

/// What a stored key is to a configuration.
enum Standing<'a> {
    /// Its endpoint is not configured: it waits for it.
    Unknown,
    GaveWay,
    InForce(Endpoint, &'a EndpointMac, &'a KeyChange),
}

impl<'a> Standing<'a> {
    fn of(stored: &PushedKey, config: &'a Config) -> Self {
        let Some(endpoint) = found(config, stored.side, &stored.name) else {
            return Self::Unknown;
        };
        let mac = mac_of(config, endpoint);
        match mac.and_then(|mac| Some((mac, mac.change.as_ref()?))) {
            Some((mac, change))
                if configured(mac, stored.direction).digest() == stored.configured =>
            {
                Self::InForce(endpoint, mac, change)
            }
            Some(_) | None => Self::GaveWay,
        }
    }
}

/// `None` when the KEK is another one.
fn restore(
    stored: &PushedKey,
    endpoint: Endpoint,
    (mac, change): (&EndpointMac, &KeyChange),
    wall: WallTime,
) -> Option<RestoredKey> {
    let configured = configured(mac, stored.direction);
    let open = |key: &WrappedMacKey| {
        let opened = change.reopen(key, configured.kind());
        opened.ok().map(Arc::new)
    };
    // A clock that was set back makes it no longer than it was.
    let age = wall.unix_millis().saturating_sub(stored.came.unix_millis());
    let left = change.overlap.saturating_sub(Duration::from_millis(age));
    let before = match &stored.before {
        _ if left.is_zero() => None,
        Some(before) => Some((open(before)?, left)),
        None => Some((Arc::clone(configured), left)),
    };
    Some(RestoredKey {
        endpoint,
        direction: stored.direction,
        key: open(&stored.key)?,
        before,
    })
}

const fn configured(mac: &EndpointMac, direction: KeyDirection) -> &Arc<SoftwareMac> {
    match direction {
        KeyDirection::Receive => &mac.receive,
        KeyDirection::Send => &mac.send,
    }
}

const fn directions(scope: KeyScope) -> &'static [KeyDirection] {
    match scope {
        KeyScope::Both => &[KeyDirection::Receive, KeyDirection::Send],
        KeyScope::Receive => &[KeyDirection::Receive],
        KeyScope::Send => &[KeyDirection::Send],
    }
}

fn mac_of(config: &Config, endpoint: Endpoint) -> Option<&EndpointMac> {
    match endpoint {
        Endpoint::Listener(id) => config.listeners.get(usize::from(id.0))?.mac.as_deref(),
        Endpoint::Issuer(id) => config.issuers.get(usize::from(id.0))?.mac.as_deref(),
    }
}

/// What an endpoint is called.
pub(crate) fn named(config: &Config, endpoint: Endpoint) -> Option<(KeySide, &str)> {
    match endpoint {
        Endpoint::Listener(id) => {
            let listener = config.listeners.get(usize::from(id.0))?;
            Some((KeySide::Listener, &listener.name))
        }
        Endpoint::Issuer(id) => {
            let issuer = config.issuers.get(usize::from(id.0))?;
            Some((KeySide::Issuer, &issuer.name))
        }
    }
}

fn found(config: &Config, side: KeySide, name: &str) -> Option<Endpoint> {
    match side {
        KeySide::Listener => {
            let mut listeners = config.listeners.iter();
            let listener = listeners.find(|listener| listener.name == name)?;
            Some(Endpoint::Listener(listener.id))
        }
        KeySide::Issuer => {
            let mut issuers = config.issuers.iter();
            let issuer = issuers.find(|issuer| issuer.name == name && !issuer.is_removed())?;
            Some(Endpoint::Issuer(issuer.id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key_change::Kek;
    use crate::crypto::mac::{MacAlgorithm, MacLen, MacPadding};

    const RETAIL: MacAlgorithm = MacAlgorithm::Retail(MacPadding::Method2);
    const CAME: u64 = 1_763_781_234_567;

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    fn mac(kek: &str) -> EndpointMac {
        let key = |byte| {
            let key = bytes_of(&format!("2b7e151628aed2a6abf7158809cf4f{byte}"));
            Arc::new(SoftwareMac::new(RETAIL, MacLen::Eight, &key).unwrap())
        };
        EndpointMac {
            receive: key("3c"),
            send: key("7c"),
            network: false,
            change: Some(KeyChange {
                kek: Kek::new(RETAIL, &bytes_of(kek)).unwrap(),
                key_field: 48,
                check_field: 48,
                check_len: 3,
                scope: KeyScope::Both,
                overlap: Duration::from_secs(300),
                ask: None,
            }),
        }
    }

    /// A key under `0123…3210`, by `openssl enc -des-ede`.
    fn stored(before: Option<WrappedMacKey>) -> PushedKey {
        PushedKey {
            side: KeySide::Issuer,
            name: "bank".to_owned(),
            direction: KeyDirection::Receive,
            came: WallTime::from_unix_millis(CAME),
            configured: [0; 8],
            key: WrappedMacKey {
                wrapped: bytes_of("f08d805d3435580116f6d4d7a1d89161").into(),
                check: bytes_of("29a9c3").into(),
            },
            before,
        }
    }

    fn restored(stored: &PushedKey, kek: &str, wall: u64) -> Option<RestoredKey> {
        let mac = mac(kek);
        let change = mac.change.as_ref().unwrap();
        let endpoint = Endpoint::Issuer(domain::ids::IssuerId(0));
        let wall = WallTime::from_unix_millis(wall);
        restore(stored, endpoint, (&mac, change), wall)
    }

    const KEK: &str = "0123456789abcdeffedcba9876543210";

    #[test]
    fn the_key_before_checks_for_what_is_left_of_the_overlap() {
        let left = |wall| {
            let restored = restored(&stored(None), KEK, wall).unwrap();
            restored.before.map(|(_, left)| left.as_millis())
        };
        assert_eq!(left(CAME), Some(300_000));
        assert_eq!(left(CAME + 299_999), Some(1));
        assert_eq!(left(CAME + 300_000), None);
        assert_eq!(
            left(CAME - 5_000),
            Some(300_000),
            "a clock that was set back"
        );
    }

    #[test]
    fn what_stands_for_the_key_before_is_the_configured_one_or_the_one_before_it() {
        let sent = restored(&stored(None), KEK, CAME).unwrap();
        let (before, _) = sent.before.unwrap();
        assert_eq!(before.digest(), mac(KEK).receive.digest());
        assert_ne!(sent.key.digest(), before.digest());
        let itself = Some(stored(None).key);
        let sent = restored(&stored(itself), KEK, CAME).unwrap();
        assert_eq!(sent.before.unwrap().0.digest(), sent.key.digest());
    }

    #[test]
    fn another_kek_opens_nothing() {
        let other = "1123456789abcdeffedcba9876543211";
        assert!(restored(&stored(None), other, CAME).is_none());
    }
}

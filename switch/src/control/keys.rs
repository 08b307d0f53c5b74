//! The keys of account numbers, taken up again at SIGHUP. What cannot be used is refused whole, and
//! what was in force stays.
//!
//! Whoever drops a key too early would find out at the next start, which refuses a journal that it
//! cannot open: so every data key that the journal holds is opened under the new keys first. What
//! is not on disk yet, because a segment or a checkpoint is about to name it, is waited for.

mod news;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ids::ShardId;
use domain::pan::TokenKeyId;
use parking_lot::Mutex;
use persistence::error::JournalError;
use persistence::identity::Identity;
use persistence::manifest::Manifest;
use persistence::reader::wrapped_keys;
use thiserror::Error;

use super::audit::{Act, Fate};
use super::shared::Shared;
use super::sources::per_shard;
use crate::config::{Config, ConfigErrors, Keys, SecretKey};
use crate::crypto::{CryptoError, Keyring};
use crate::metrics::KeyReload;
use crate::metrics::exposition::Source;
use crate::metrics::fold::Sample;
use crate::metrics::names::FamilyId;
pub(crate) use news::{Aim, KeysNews};

/// Reads the keys of the configuration again.
pub struct KeysReader(Box<dyn Fn() -> Result<Keys, ConfigErrors> + Send + Sync>);

impl KeysReader {
    /// With `read`.
    pub fn new(read: impl Fn() -> Result<Keys, ConfigErrors> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl std::fmt::Debug for KeysReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeysReader")
    }
}

/// Reads the keys and hands them to the shards.
#[derive(Debug)]
pub struct KeysKeeper {
    reread: KeysReader,
    shared: Arc<Shared>,
    config: Arc<Config>,
    root: PathBuf,
    journals: Vec<Identity>,
    taken: AtomicU64,
    refused: AtomicU64,
    /// Signals may come faster than files are read.
    one_at_a_time: Mutex<()>,
}

/// Why keys are not taken up.
#[derive(Debug, Error)]
enum KeysRefused {
    #[error("{0}")]
    Config(ConfigErrors),
    #[error("the switch is still starting: send SIGHUP again when it is ready")]
    Starting,
    #[error(
        "`token_key`, its id or `hash_key` is another one: those are read at start only, see \
         Secrets in docs/operations.md"
    )]
    Others,
    #[error(
        "`token_keys_old` misses token key {0}, or has another key by that id, or one that this \
         start did not read: only a start finds out what the journal needs of them. Put the list \
         back as it was, or restart the switch"
    )]
    TokenKeys(TokenKeyId),
    #[error("id {0} names another key than before: give a new pan_key the next pan_key_id")]
    Renamed(u32),
    #[error(
        "a shard is still taking a key up, and a segment may be about to name pan_key {0}: keep it \
         in pan_keys_old until the log says of each shard that it has the new key, then send \
         SIGHUP again"
    )]
    Pending(u32),
    #[error(
        "shard {0} has taken up as many keys since the start as a segment's header holds: restart \
         the switch to take up another"
    )]
    Full(ShardId),
    #[error("shard {shard}: {source}")]
    Crypto { shard: ShardId, source: CryptoError },
    #[error("shard {shard}: the journal's keys cannot be read: {source}")]
    Journal {
        shard: ShardId,
        source: JournalError,
    },
}

impl KeysKeeper {
    /// For the journals of `manifest`, which is of this start.
    #[must_use]
    pub fn new(
        reread: KeysReader,
        config: &Arc<Config>,
        shared: &Arc<Shared>,
        manifest: &Manifest,
    ) -> Arc<Self> {
        let journals = shared.shards.iter();
        let journals = journals.map(|shard| manifest.identity(shard.id)).collect();
        Arc::new(Self {
            reread,
            shared: Arc::clone(shared),
            config: Arc::clone(config),
            root: manifest.root().to_owned(),
            journals,
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            one_at_a_time: Mutex::new(()),
        })
    }

    /// Reads them again, and the headers of all segments: for a thread that may block.
    pub(super) fn reload(&self) {
        let _turn = self.one_at_a_time.lock();
        match self.taken_up() {
            Ok(id) => {
                self.taken.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .node()
                    .audit()
                    .act(Act::of_reload("keys", Fate::Done));
                tracing::info!(
                    pan_key_id = id,
                    "keys of account numbers read again; each shard tells when it writes under a \
                     new one"
                );
            }
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .node()
                    .audit()
                    .act(Act::of_reload("keys", Fate::Refused));
                tracing::error!(
                    %refused,
                    "keys of account numbers refused, those before stay in force"
                );
            }
        }
    }

    /// The id of the one in force.
    fn taken_up(&self) -> Result<u32, KeysRefused> {
        if !self.shared.node().is_listening() {
            return Err(KeysRefused::Starting);
        }
        let keys = Arc::new((self.reread.0)().map_err(KeysRefused::Config)?);
        let put = self.shared.put_keys(|| {
            self.judge(&keys)?;
            Ok(keys)
        })?;
        Ok(put.pan_key_id)
    }

    fn judge(&self, keys: &Keys) -> Result<(), KeysRefused> {
        let before = self.shared.keys(&self.config);
        check_continuity(&before, keys)?;
        self.check_settled(&before, keys)?;
        self.check_room(keys)?;
        for identity in &self.journals {
            check_opens(keys, &self.root, identity)?;
        }
        Ok(())
    }

    /// A key that a shard has yet to write under is on no disk, where [`check_opens`] would find
    /// it. That may be another than the last: one that was undone before a segment was ready. So
    /// none may be let go meanwhile.
    fn check_settled(&self, before: &Keys, keys: &Keys) -> Result<(), KeysRefused> {
        let mut shards = self.shared.shards.iter();
        if shards.all(|shard| shard.keys.is_settled()) {
            return Ok(());
        }
        let is_kept = |id: u32| keys.pan_keys().any(|(other, _)| other == id);
        let gone = before.pan_keys().find(|(id, _)| !is_kept(*id));
        gone.map_or(Ok(()), |(id, _)| Err(KeysRefused::Pending(id)))
    }

    /// A shard that could not take it up would write under the one before for ever.
    fn check_room(&self, keys: &Keys) -> Result<(), KeysRefused> {
        let mut shards = self.shared.shards.iter();
        let full = shards.find(|shard| !shard.keys.has_room(keys.pan_key_id));
        full.map_or(Ok(()), |shard| Err(KeysRefused::Full(shard.id)))
    }
}

/// Nothing but keys of account numbers may change, and each keeps its id.
fn check_continuity(before: &Keys, keys: &Keys) -> Result<(), KeysRefused> {
    if before.token_key.expose() != keys.token_key.expose()
        || before.token_key_id != keys.token_key_id
        || before.hash_key.expose() != keys.hash_key.expose()
    {
        return Err(KeysRefused::Others);
    }
    let pairs = [
        (&before.token_keys_old, &keys.token_keys_old),
        (&keys.token_keys_old, &before.token_keys_old),
    ];
    for (one, other) in pairs {
        if let Some(id) = missing_token_key(one, other) {
            return Err(KeysRefused::TokenKeys(id));
        }
    }
    for (id, key) in before.pan_keys() {
        let mut same = keys.pan_keys().filter(|(other, _)| *other == id);
        if same.any(|(_, other)| other.expose() != key.expose()) {
            return Err(KeysRefused::Renamed(id));
        }
    }
    Ok(())
}

/// The first of `keys` that `others` does not have, or not as the same key.
fn missing_token_key(
    keys: &[(TokenKeyId, SecretKey)],
    others: &[(TokenKeyId, SecretKey)],
) -> Option<TokenKeyId> {
    let has = |id: TokenKeyId, key: &SecretKey| {
        let mut same = others.iter().filter(|(other, _)| *other == id);
        same.any(|(_, other)| other.expose() == key.expose())
    };
    let mut missing = keys.iter().filter(|(id, key)| !has(*id, key));
    missing.next().map(|(id, _)| *id)
}

/// Under `keys` the next start could open what this journal holds. The segment that is written is
/// among them, so what a shard seals under before it takes the new key up is not forgotten.
fn check_opens(keys: &Keys, root: &Path, identity: &Identity) -> Result<(), KeysRefused> {
    let shard = identity.shard;
    let crypto = |source| KeysRefused::Crypto { shard, source };
    let wrapped =
        wrapped_keys(root, shard).map_err(|source| KeysRefused::Journal { shard, source })?;
    let (mut keyring, _) = Keyring::new(keys, identity, NO_START).map_err(crypto)?;
    keyring.add_wrapped(&wrapped).map_err(crypto)
}

/// A start that never was: nothing is sealed under its key.
const NO_START: u32 = u32::MAX;

/// What a scrape is told of them.
#[derive(Debug)]
pub(super) struct KeysSource(pub(super) Arc<KeysKeeper>);

impl Source for KeysSource {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let keeper = &self.0;
        match family {
            FamilyId::PanKeyId => {
                let shards = keeper.shared.shards.iter();
                let at_start = keeper.config.keys.pan_key_id;
                let ids = shards.map(|shard| (shard.id, shard.keys.written(at_start)));
                Some(per_shard(
                    ids.map(|(shard, id)| (shard, u64::from(id))),
                    |_, id| id,
                ))
            }
            FamilyId::PanKeyExpiry => {
                let until = keeper.shared.keys(&keeper.config).pan_key_until;
                let sample = until
                    .map(|at| Sample::number(at.unix_millis().saturating_mul(NANOS_PER_MILLI)));
                Some(sample.into_iter().collect())
            }
            FamilyId::KeyReloads => {
                let sample = |result: &KeyReload| {
                    let count = match result {
                        KeyReload::Ok => &keeper.taken,
                        KeyReload::Refused => &keeper.refused,
                    };
                    let name = KeyReload::VALUES.get(result.index()).copied();
                    let label = vec![("result", name.unwrap_or_default().to_owned())];
                    Sample::labelled(label, count.load(Ordering::Relaxed))
                };
                Some(KeyReload::ALL.iter().map(sample).collect())
            }
            _ => None,
        }
    }
}

const NANOS_PER_MILLI: u64 = 1_000_000;

#[cfg(test)]
mod tests;

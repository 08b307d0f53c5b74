//! Keyed tokens, envelopes and hashes: everything that is done with keys, in one place.
//!
//! An account number leaves this module in three forms only: a token (HMAC-SHA-256, for
//! comparison), its first six and last four digits (for people), and an AES-256-GCM envelope (for
//! the reversal that must carry DE2 after a crash).
//!
//! The envelope's nonce is the node's start counter followed by a count that begins at zero with
//! each start, under a data key that is made at each start of each shard. The counter is synced
//! before anything is sealed, so no nonce is used twice, whatever a torn journal tail takes back.
//! The position of the record would not do: it is not known yet when the account is sealed, and it
//! repeats after a torn tail.
//!
//! A new key of the operator's comes with a new data key, which is used only when the header of a
//! segment holds it. The data keys of this start from before are wrapped anew beside it: what was
//! sealed under them and is still on its way may be written into that segment.

pub(crate) mod endpoint_keys;
pub(crate) mod gateway;
pub mod key_change;
pub mod key_store;
pub mod mac;
mod siphash;
mod tokens;

use std::collections::BTreeMap;

use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use aes_gcm::{Aes256Gcm, Key};
use domain::ids::{AcquirerId, Slot, Stan};
use domain::pan::{Account, Pan, PanToken, SealedPan, TokenKeyId};
use domain::profile::{ClockCheck, CompletionLimit, Profile, ReversalAnswer};
use domain::request::{
    Advice, ContentHash, DuplicateKey, Facts, FrameId, MessageClass, MessageKind, NamedOriginal,
    OriginalReference, Reversal, Trace, TraceKey,
};
use hmac::{Hmac, Mac};
use iso8583::MessageRef;
use iso8583::mti::Version;
use iso8583::translate::{AdministrativeFields, AdviceFields, RequestFields, ReversalFields};
use persistence::identity::Identity;
use persistence::segment_header::{KEYS_MAX, WrappedKey};
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::config::{Keys, SecretKey};
use crate::control::keys::Aim;
use siphash::{SipKey, low};
use tokens::Tokens;

/// Why something could not be sealed or opened.
#[derive(Debug, Error)]
pub enum CryptoError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no random bytes for a data key: {0}")]
    Random(getrandom::Error),
    /// A data key of the journal cannot be unwrapped.
    #[error(
        "data key {key} of the journal was wrapped under the pan key with the id {wrapping}, which \
         is not configured, or is another one: it belongs into keys.pan_key with that \
         keys.pan_key_id, or into keys.pan_keys_old"
    )]
    Unwrap {
        /// The data key.
        key: u32,
        /// The key of the operator's; 0 when the segment does not say.
        wrapping: u32,
    },
    /// A record names a data key that no segment holds.
    #[error("data key {0} is in no segment of the journal")]
    UnknownKey(u32),
    /// A sealed account does not open.
    #[error("a sealed account does not open under data key {0}: it was changed, or moved")]
    Open(u32),
    /// More was sealed than a counter holds.
    #[error("this start has sealed as much as one data key may: restart the switch")]
    Exhausted,
    /// A start has a bounded number of data keys, since a segment's header has room for so many.
    #[error(
        "this start has taken up as many keys as a segment's header holds: restart the switch to \
         take up another"
    )]
    Rotations,
    /// A record names a key of tokens that is not there: its copies would not be recognised.
    #[error(
        "the journal holds tokens of accounts under the token key with the id {0}, which is not \
         configured: it belongs into keys.token_keys_old until nothing that the journal still \
         knows names it"
    )]
    UnknownToken(TokenKeyId),
    /// A key has the wrong length.
    #[error("a key has the wrong length")]
    Length,
}

/// The keys of one shard.
pub struct Keyring {
    tokens: Tokens,
    hash: SipKey,
    /// The keys of the operator's by id, the one in force first.
    wrapping: Vec<(u32, Aes256Gcm)>,
    data: Aes256Gcm,
    data_id: u32,
    sealed: u64,
    /// The data keys of this start, the newest last, to be wrapped anew.
    own: Vec<(u32, Zeroizing<[u8; 32]>)>,
    /// The next data key, until the header of a segment has it.
    next: Option<(u32, Aes256Gcm)>,
    old: BTreeMap<u32, Aes256Gcm>,
    associated: [u8; 19],
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("data_id", &self.data_id)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// Makes the data key of this start, and wraps it for the headers of the journal's segments.
    /// `start` is the node's start counter; it is the id of the data key and the head of its
    /// nonces.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn new(
        keys: &Keys,
        identity: &Identity,
        start: u32,
    ) -> Result<(Self, WrappedKey), CryptoError> {
        let secret = random_key()?;
        let associated = associated_data(identity);
        let key_id = start;
        let wrapping = wrapping_keys(keys);
        let wrapped = wrap(&wrapping, key_id, &secret, &associated)?;
        let keyring = Self {
            tokens: Tokens::new(keys)?,
            hash: hash_key(keys)?,
            wrapping,
            data: data_key(&secret),
            data_id: key_id,
            sealed: 0,
            own: vec![(key_id, secret)],
            next: None,
            old: BTreeMap::new(),
            associated,
        };
        Ok((keyring, wrapped))
    }

    /// Takes up the operator's new key: makes a data key and wraps it under that, and all others of
    /// this start. The result is for the headers of the journal's segments. Nothing is sealed under
    /// the new data key before [`Keyring::end_rotation`]. `None`: that key is in force already, or
    /// being taken up.
    ///
    /// # Errors
    /// [`CryptoError::Random`] or [`CryptoError::Rotations`]; all is as it was.
    pub fn begin_rotation(&mut self, keys: &Keys) -> Result<Option<Vec<WrappedKey>>, CryptoError> {
        let aim = self.aim();
        if aim.id == keys.pan_key_id {
            return Ok(None);
        }
        let &(start, _) = self.own.first().ok_or(CryptoError::Rotations)?;
        let count = u32::try_from(self.own.len()).unwrap_or(u32::MAX);
        if aim.left == 0 {
            return Err(CryptoError::Rotations);
        }
        let key_id = count << ROTATION_SHIFT | start;
        let secret = random_key()?;
        let wrapping = wrapping_keys(keys);
        let all = self.own.iter().map(|(id, secret)| (*id, secret));
        let all = all.chain(std::iter::once((key_id, &secret)));
        let wrapped = all.map(|(id, secret)| wrap(&wrapping, id, secret, &self.associated));
        let wrapped = wrapped.collect::<Result<Vec<WrappedKey>, CryptoError>>()?;
        self.next = Some((key_id, data_key(&secret)));
        self.own.push((key_id, secret));
        self.wrapping = wrapping;
        Ok(Some(wrapped))
    }

    /// The key of the operator's that this start writes under or takes up, and how many more it
    /// may.
    #[must_use]
    pub(crate) fn aim(&self) -> Aim {
        let start = self.own.first().map_or(u32::MAX, |(start, _)| *start);
        // The next start counts from `start`, so the count of rotations stands above it.
        let left = match start >> ROTATION_SHIFT {
            0 => KEYS_MAX.saturating_sub(self.own.len()),
            _ => 0,
        };
        Aim {
            id: self.wrapping.first().map_or(0, |(id, _)| *id),
            left: u32::try_from(left).unwrap_or(u32::MAX),
        }
    }

    /// Whether a data key waits for the header of a segment.
    #[must_use]
    pub const fn is_rotating(&self) -> bool {
        self.next.is_some()
    }

    /// The header of a segment has the new data key: it seals from here on. Returns the id of the
    /// operator's key.
    pub fn end_rotation(&mut self) -> u32 {
        if let Some((id, data)) = self.next.take() {
            let before = std::mem::replace(&mut self.data, data);
            self.old.insert(self.data_id, before);
            self.data_id = id;
            self.sealed = 0;
        }
        self.aim().id
    }

    /// Unwraps the data keys of earlier starts.
    ///
    /// # Errors
    /// [`CryptoError::Unwrap`] names the first that does not open: the shard must not start,
    /// because it could not send the reversals that it owes.
    pub fn add_wrapped(&mut self, keys: &[WrappedKey]) -> Result<(), CryptoError> {
        for key in keys.iter().filter(|key| key.key_id != self.data_id) {
            let data = self.unwrap(key)?;
            self.old.insert(key.key_id, data);
        }
        Ok(())
    }

    /// By the key that it names; by any, where its segment does not say.
    fn unwrap(&self, key: &WrappedKey) -> Result<Aes256Gcm, CryptoError> {
        let named = |id: u32| key.wrapping_id == 0 || id == key.wrapping_id;
        let candidates = self.wrapping.iter().filter(|(id, _)| named(*id));
        candidates
            .filter_map(|(_, wrapping)| unwrap(wrapping, key, &self.associated))
            .next()
            .ok_or(CryptoError::Unwrap {
                key: key.key_id,
                wrapping: key.wrapping_id,
            })
    }

    /// Where a transaction lives.
    #[must_use]
    pub fn slot(&self, acquirer: AcquirerId, stan: Stan) -> Slot {
        let mut input = Input::of(Purpose::Slot);
        input.put(&acquirer.0.to_be_bytes());
        input.put(&stan.digits());
        Slot::from_hash(low(self.hash.hash(input.bytes())))
    }

    /// Everything about a request that outlives its frame.
    ///
    /// # Errors
    /// [`CryptoError::Exhausted`].
    pub fn facts(
        &mut self,
        acquirer: AcquirerId,
        fields: &RequestFields,
    ) -> Result<Facts, CryptoError> {
        let class = match fields.class {
            MessageClass::Authorisation => b'1',
            MessageClass::Financial => b'2',
        };
        self.facts_of(acquirer, class, fields)
    }

    /// An advice as the engine knows it, waiting under `frame`. An advice is never a copy of a
    /// request.
    ///
    /// # Errors
    /// As [`Keyring::facts`].
    pub fn advice<'a>(
        &mut self,
        acquirer: AcquirerId,
        fields: &AdviceFields,
        content: &'a [u8],
    ) -> Result<Advice<'a>, CryptoError> {
        let request = &fields.request;
        let class = match request.class {
            MessageClass::Authorisation => b'a',
            MessageClass::Financial => b'f',
        };
        let facts = self.facts_of(acquirer, class, request)?;
        let original = fields.original;
        Ok(Advice {
            frame: FrameId::default(),
            transmission: request.transmission,
            facts,
            original: original.map(|reference| self.named(&facts, reference)),
            limit: CompletionLimit::OfIssuer,
            clock: ClockCheck::Window,
            reported: fields.reported,
            fields: content,
        })
    }

    /// Where the original lives that a message names.
    #[must_use]
    pub fn named(&self, facts: &Facts, reference: OriginalReference) -> NamedOriginal {
        let acquirer = facts.acquirer;
        NamedOriginal {
            slot: self.slot(acquirer, reference.stan),
            trace_key: self.trace_key(acquirer, reference.stan, &facts.trace),
            reference,
        }
    }

    fn facts_of(
        &mut self,
        acquirer: AcquirerId,
        class: u8,
        fields: &RequestFields,
    ) -> Result<Facts, CryptoError> {
        let pan = &fields.account;
        let (token, token_key) = self.tokens.of(pan);
        Ok(Facts {
            acquirer,
            class: fields.class,
            slot: self.slot(acquirer, fields.trace.stan),
            key: self.duplicate_key(acquirer, (fields.version, class), &fields.trace),
            content: self.content(token, fields),
            trace_key: self.trace_key(acquirer, fields.trace.stan, &fields.trace),
            account: Account {
                token,
                token_key,
                masked: pan.masked(),
                sealed: self.seal(pan)?,
            },
            amount: fields.amount,
            processing_code: fields.processing_code,
            merchant_category: fields.merchant_category,
            entry_mode: fields.entry_mode,
            trace: fields.trace,
        })
    }

    /// A reversal as the engine knows it, waiting under `frame`, of a session that asks for
    /// nothing.
    #[must_use]
    pub fn reversal(
        &self,
        acquirer: AcquirerId,
        fields: &ReversalFields,
        frame: FrameId,
    ) -> Reversal {
        let pan = fields.account.as_ref();
        Reversal {
            frame,
            transmission: fields.transmission,
            acquirer,
            slot: self.slot(acquirer, fields.original.stan),
            trace_key: self.trace_key(acquirer, fields.original.stan, &fields.trace),
            key: self.duplicate_key(acquirer, (fields.version, b'4'), &fields.trace),
            original: fields.original,
            merchant: fields.trace.merchant,
            token: pan.map(|pan| self.tokens.of(pan).0),
            amount: fields.amount,
            replacement: fields.replacement,
            reason: None,
            profile: Profile::PLAIN,
            answered: ReversalAnswer::WhenOwed,
        }
    }

    /// How copies of an administrative message are known: what names it, and what it says.
    #[must_use]
    pub fn administrative(
        &self,
        acquirer: AcquirerId,
        fields: &AdministrativeFields,
        message: MessageRef<'_>,
    ) -> (DuplicateKey, ContentHash) {
        let kind = match fields.kind {
            MessageKind::Advice => b'7',
            MessageKind::Request | MessageKind::Completion => b'6',
        };
        let key = self.duplicate_key(acquirer, (fields.version, kind), &fields.trace);
        let mut content = 0_u128;
        for (number, value) in message.fields() {
            if CHANGING.contains(&number) {
                continue;
            }
            let mut input = Input::of(Purpose::Content);
            input.put(&content.to_be_bytes());
            input.put(&[number]);
            input.put(&self.hash.hash(value).to_be_bytes());
            content = self.hash.hash(input.bytes());
        }
        (key, ContentHash(low(content)))
    }

    /// Opens an envelope.
    ///
    /// # Errors
    /// [`CryptoError::UnknownKey`] or [`CryptoError::Open`].
    pub fn unseal(&self, sealed: &SealedPan) -> Result<Pan, CryptoError> {
        let id = sealed.key_id;
        let key = if id == self.data_id {
            Some(&self.data)
        } else {
            self.old.get(&id)
        };
        let key = key.ok_or(CryptoError::UnknownKey(id))?;
        let mut plain = sealed.ciphertext;
        let nonce = Nonce::<Aes256Gcm>::from(sealed.nonce);
        let tag = Tag::<Aes256Gcm>::from(sealed.tag);
        let opened =
            key.decrypt_inout_detached(&nonce, &self.associated, plain.as_mut_slice().into(), &tag);
        let pan = opened.ok().and_then(|()| {
            let (len, digits) = plain.split_first()?;
            Pan::new(digits.get(..usize::from(*len))?).ok()
        });
        plain.zeroize();
        pan.ok_or(CryptoError::Open(id))
    }

    /// Accounts that lists of the configuration name by their tokens.
    pub(crate) fn keep_listed(&mut self, tokens: impl Iterator<Item = PanToken>) {
        self.tokens.keep_listed(tokens);
    }

    /// What a journal says of a request, with the token by which its account is known now; `None`
    /// where that is the one it has.
    ///
    /// # Errors
    /// [`CryptoError::UnknownToken`], or as [`Keyring::unseal`].
    pub(crate) fn renewed(&self, facts: &Facts) -> Result<Option<Facts>, CryptoError> {
        if !self.tokens.may_differ(facts.account.token_key)? {
            return Ok(None);
        }
        let pan = self.unseal(&facts.account.sealed)?;
        let mut facts = *facts;
        (facts.account.token, facts.account.token_key) = self.tokens.of(&pan);
        Ok(Some(facts))
    }

    /// Whether a request may have come under another token key before.
    pub(crate) const fn is_token_rotating(&self) -> bool {
        self.tokens.is_rotating()
    }

    /// Whether a request says what was hashed as `content` under one of the token keys.
    pub(crate) fn says(&self, fields: &RequestFields, content: ContentHash) -> bool {
        let mut tokens = self.tokens.all(&fields.account);
        tokens.any(|token| self.content(token, fields) == content)
    }

    /// An envelope of another journal as one of this.
    ///
    /// # Errors
    /// As [`Keyring::unseal`] of `from`, or [`CryptoError::Exhausted`].
    pub fn reseal(&mut self, from: &Self, sealed: &SealedPan) -> Result<SealedPan, CryptoError> {
        self.seal(&from.unseal(sealed)?)
    }

    fn seal(&mut self, pan: &Pan) -> Result<SealedPan, CryptoError> {
        // NIST SP 800-38D bounds the calls under one key to 2^32.
        if self.sealed >= u64::from(u32::MAX) {
            return Err(CryptoError::Exhausted);
        }
        let digits = pan.expose_digits();
        let mut ciphertext = [0_u8; 20];
        let Some((len, body)) = ciphertext.split_first_mut() else {
            return Err(CryptoError::Length);
        };
        *len = u8::try_from(digits.len()).map_err(|_| CryptoError::Length)?;
        body.get_mut(..digits.len())
            .ok_or(CryptoError::Length)?
            .copy_from_slice(digits);
        let mut nonce = [0_u8; 12];
        let (head, count) = nonce.split_at_mut(4);
        head.copy_from_slice(&self.data_id.to_be_bytes());
        count.copy_from_slice(&self.sealed.to_be_bytes());
        self.sealed += 1;
        let tag = self
            .data
            .encrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(nonce),
                &self.associated,
                ciphertext.as_mut_slice().into(),
            )
            .map_err(|_| CryptoError::Length)?;
        Ok(SealedPan {
            key_id: self.data_id,
            nonce,
            ciphertext,
            tag: tag.into(),
        })
    }

    /// What 1987 has no word for comes last, so that keys of 1987 are what they were.
    fn duplicate_key(
        &self,
        acquirer: AcquirerId,
        (version, class): (Version, u8),
        trace: &Trace,
    ) -> DuplicateKey {
        let mut input = Input::of(Purpose::Duplicate);
        input.put(&acquirer.0.to_be_bytes());
        input.put(&[class]);
        input.put(&trace.transmitted.digits());
        input.put(&trace.stan.digits());
        input.put(trace.institution.as_bytes());
        input.put(trace.terminal.as_bytes());
        input.put(trace.merchant.as_bytes());
        input.put(trace.rrn.as_bytes());
        if version != Version::Iso1987 {
            input.put(&[version as u8]);
        }
        if !trace.transmitted.is_known() {
            input.put(trace.local_date.as_bytes());
            input.put(trace.local_time.as_bytes());
        }
        DuplicateKey(self.hash.hash(input.bytes()))
    }

    /// Over what every message carries. DE42 may be absent from either, so it is compared where
    /// both carry it and is no part of the key.
    fn trace_key(&self, acquirer: AcquirerId, stan: Stan, trace: &Trace) -> TraceKey {
        let mut input = Input::of(Purpose::Trace);
        input.put(&acquirer.0.to_be_bytes());
        input.put(&stan.digits());
        input.put(trace.terminal.as_bytes());
        TraceKey(low(self.hash.hash(input.bytes())))
    }

    fn content(&self, token: PanToken, fields: &RequestFields) -> ContentHash {
        let mut input = Input::of(Purpose::Content);
        input.put(&token.0);
        input.put(fields.processing_code.as_bytes());
        input.put(&fields.amount.digits());
        input.put(&fields.amount.currency().digits());
        input.put(fields.trace.local_time.as_bytes());
        input.put(fields.trace.local_date.as_bytes());
        input.put(fields.entry_mode.as_bytes());
        if !fields.point_of_service.is_empty() {
            input.put(fields.point_of_service.as_bytes());
        }
        ContentHash(low(self.hash.hash(input.bytes())))
    }
}

/// What a copy may say anew: PIN block and what secures it, chip data, authentication codes.
const CHANGING: [u8; 5] = [52, 53, 55, 64, 128];

/// What a hash is for: two purposes never meet in one value.
#[derive(Clone, Copy)]
enum Purpose {
    Slot = 1,
    Duplicate = 2,
    Trace = 3,
    Content = 4,
    /// A key of a gateway.
    Idempotency = 5,
    /// The body of a gateway's request.
    Body = 6,
    /// A key of a gateway for a reversal.
    Reversal = 7,
    /// A nonce of a gateway.
    Nonce = 8,
}

/// Fields to hash, each behind its length, so that no two lists of fields read alike.
struct Input {
    len: usize,
    bytes: [u8; Self::CAPACITY],
}

impl Input {
    /// Above the sum of all fields of the longest list, with their lengths.
    const CAPACITY: usize = 128;

    fn of(purpose: Purpose) -> Self {
        let mut input = Self {
            len: 0,
            bytes: [0; Self::CAPACITY],
        };
        input.put(&[purpose as u8]);
        input
    }

    fn put(&mut self, field: &[u8]) {
        let end = self.len + 1 + field.len();
        assert!(
            end <= Self::CAPACITY,
            "invariant: the fields of a key have bounds"
        );
        if let Some((len, body)) = self.bytes[self.len..end].split_first_mut() {
            *len = u8::try_from(field.len()).unwrap_or(u8::MAX);
            body.copy_from_slice(field);
        }
        self.len = end;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Journal, shard and the field that is sealed: an envelope that is moved elsewhere does not open.
fn associated_data(identity: &Identity) -> [u8; 19] {
    let mut data = [0_u8; 19];
    data[..16].copy_from_slice(&identity.journal.0);
    data[16..18].copy_from_slice(&identity.shard.0.to_be_bytes());
    data[18] = 2;
    data
}

fn random_key() -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(CryptoError::Random)?;
    Ok(secret)
}

fn data_key(secret: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*secret))
}

/// The operator's keys by id, the one in force first.
fn wrapping_keys(keys: &Keys) -> Vec<(u32, Aes256Gcm)> {
    let keys = keys.pan_keys();
    keys.map(|(id, key)| (id, wrapping_key(key))).collect()
}

/// Under the first of `wrapping`.
fn wrap(
    wrapping: &[(u32, Aes256Gcm)],
    key_id: u32,
    secret: &[u8; 32],
    associated: &[u8],
) -> Result<WrappedKey, CryptoError> {
    let (wrapping_id, wrapping) = wrapping.first().ok_or(CryptoError::Length)?;
    let mut nonce = [0_u8; 12];
    getrandom::fill(&mut nonce).map_err(CryptoError::Random)?;
    let mut wrapped = [0_u8; 60];
    let (head, rest) = wrapped.split_at_mut(12);
    let (body, tail) = rest.split_at_mut(32);
    head.copy_from_slice(&nonce);
    body.copy_from_slice(secret);
    let tag = wrapping
        .encrypt_inout_detached(&Nonce::<Aes256Gcm>::from(nonce), associated, body.into())
        .map_err(|_| CryptoError::Length)?;
    tail.copy_from_slice(&tag);
    Ok(WrappedKey {
        key_id,
        wrapping_id: *wrapping_id,
        wrapped,
    })
}

/// The id of a data key: how often this start had taken up a key before, above the number of the
/// start. Checkpoints have the bit above these.
const ROTATION_SHIFT: u32 = 28;
const _: () = assert!(KEYS_MAX <= 8, "three bits count the keys of a start");

fn wrapping_key(key: &SecretKey) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.expose()))
}

/// `None`: it was wrapped under another key, for another journal, or was changed.
fn unwrap(wrapping: &Aes256Gcm, key: &WrappedKey, associated: &[u8]) -> Option<Aes256Gcm> {
    let (nonce, rest) = key.wrapped.split_first_chunk::<12>()?;
    let (body, tag) = rest.split_first_chunk::<32>()?;
    let tag: [u8; 16] = tag.try_into().ok()?;
    let mut secret = Zeroizing::new(*body);
    wrapping
        .decrypt_inout_detached(
            &Nonce::<Aes256Gcm>::from(*nonce),
            associated,
            secret.as_mut_slice().into(),
            &Tag::<Aes256Gcm>::from(tag),
        )
        .ok()?;
    Some(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*secret)))
}

fn hmac(key: &[u8]) -> Result<Hmac<Sha256>, CryptoError> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(|_| CryptoError::Length)
}

/// The hash key of the configuration is stretched once, so that it is never used as such.
fn hash_key(keys: &Keys) -> Result<SipKey, CryptoError> {
    let mut mac = hmac(keys.hash_key.expose())?;
    mac.update(b"njia siphash-2-4-128 v1");
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let half = full.first_chunk::<16>().ok_or(CryptoError::Length)?;
    Ok(SipKey::new(*half))
}

#[cfg(test)]
mod tests;

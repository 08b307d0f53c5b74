//! Envelopes, tokens and keys of duplicates.

use std::num::NonZeroU8;

use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, NodeId, ShardId, Stan};
use domain::pan::{Account, Pan, TokenKeyId};
use domain::request::{Facts, FrameId, MessageClass, OriginalReference, Trace, Transmission};
use domain::time::TransmissionTime;
use iso8583::mti::Version;
use iso8583::translate::{RequestFields, ReversalFields};
use persistence::identity::{Identity, JournalUuid};
use persistence::segment_header::WrappedKey;

use super::{CryptoError, Keyring};
use crate::config::{Keys, SecretKey};
use crate::control::keys::Aim;

const ACCOUNT: &[u8] = b"4111111111111111";

fn keys(pan_key: u8) -> Keys {
    Keys {
        token_key: SecretKey::new([1; 32]),
        token_key_id: TokenKeyId::FIRST,
        token_keys_old: Vec::new(),
        pan_key: SecretKey::new([pan_key; 32]),
        pan_key_id: 1,
        pan_keys_old: Vec::new(),
        pan_key_until: None,
        hash_key: SecretKey::new([3; 32]),
        software_mac: false,
    }
}

fn identity(shard: u16) -> Identity {
    Identity {
        journal: JournalUuid([7; 16]),
        node: NodeId(1),
        generation: 1,
        shard: ShardId(shard),
        shards: 2,
    }
}

fn fields(stan: u32) -> RequestFields {
    RequestFields {
        version: Version::Iso1987,
        class: MessageClass::Financial,
        transmission: Transmission::First,
        account: Pan::new(ACCOUNT).unwrap(),
        amount: Amount::new(1_500, Currency::KES).unwrap(),
        processing_code: Text::new("DE3", b"000000").unwrap(),
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        point_of_service: Text::EMPTY,
        trace: Trace {
            stan: Stan::new(stan).unwrap(),
            transmitted: TransmissionTime::from_digits(b"0101120000").unwrap(),
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: Text::new("DE37", b"000000000001").unwrap(),
            terminal: Text::new("DE41", b"TERM0001").unwrap(),
            merchant: Text::EMPTY,
            institution: Text::EMPTY,
        },
    }
}

/// A reversal that names no account.
fn reversal_fields(request: &RequestFields) -> ReversalFields {
    let trace = request.trace;
    ReversalFields {
        version: Version::Iso1987,
        transmission: Transmission::First,
        account: None,
        amount: request.amount,
        replacement: None,
        original: OriginalReference {
            stan: trace.stan,
            class: None,
            transmitted: None,
            rrn: trace.rrn,
        },
        original_local: Text::EMPTY,
        trace,
    }
}

/// A message of 1993 may have no DE7: then DE12 tells copies of one request from another request.
#[test]
fn keys_of_1993_are_their_own() {
    let (mut ring, _) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let mut key = |fields: &RequestFields| ring.facts(AcquirerId(0), fields).unwrap().key;
    let of_1987 = fields(1);
    let mut of_1993 = fields(1);
    of_1993.version = Version::Iso1993;
    assert_ne!(key(&of_1987), key(&of_1993));
    of_1993.trace.transmitted = TransmissionTime::UNKNOWN;
    of_1993.trace.local_date = Text::new("DE12", b"0601").unwrap();
    of_1993.trace.local_time = Text::new("DE12", b"150000").unwrap();
    let first = key(&of_1993);
    assert_eq!(key(&of_1993), first);
    of_1993.trace.local_time = Text::new("DE12", b"150001").unwrap();
    assert_ne!(key(&of_1993), first);
    let mut content = |fields: &RequestFields| ring.facts(AcquirerId(0), fields).unwrap().content;
    let before = content(&of_1993);
    of_1993.point_of_service = Text::new("DE22", b"511101513344").unwrap();
    assert_ne!(content(&of_1993), before);
}

#[test]
fn a_restart_opens_what_the_start_before_sealed() {
    let (mut before, wrapped) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let facts = before.facts(AcquirerId(0), &fields(1)).unwrap();
    assert_eq!(
        before
            .unseal(&facts.account.sealed)
            .unwrap()
            .expose_digits(),
        ACCOUNT
    );

    let (mut after, _) = Keyring::new(&keys(2), &identity(0), 2).unwrap();
    let sealed = &facts.account.sealed;
    assert!(matches!(
        after.unseal(sealed),
        Err(CryptoError::UnknownKey(1))
    ));
    after.add_wrapped(&[wrapped]).unwrap();
    assert_eq!(after.unseal(sealed).unwrap().expose_digits(), ACCOUNT);
}

/// A key that is taken up while the switch runs.
#[test]
fn a_rotation_seals_under_a_new_data_key_and_forgets_none() {
    let (mut ring, first) = Keyring::new(&keys(2), &identity(0), 5).unwrap();
    let seal = |ring: &mut Keyring| {
        ring.facts(AcquirerId(0), &fields(1))
            .unwrap()
            .account
            .sealed
    };
    let opened = |ring: &Keyring, sealed| ring.unseal(sealed).unwrap().expose_digits().to_vec();
    let before = seal(&mut ring);
    let mut rotated = keys(9);
    rotated.pan_key_id = 2;
    rotated.pan_keys_old = vec![(1, SecretKey::new([2; 32]))];
    let wrapped = ring.begin_rotation(&rotated).unwrap().unwrap();
    let meanwhile = seal(&mut ring);
    assert_eq!(meanwhile.key_id, 5, "no segment has the new one yet");
    assert!(ring.is_rotating());
    assert_eq!(ring.end_rotation(), 2);
    assert!(!ring.is_rotating());
    let after = seal(&mut ring);
    assert_ne!(after.key_id, 5);
    for sealed in [&before, &meanwhile, &after] {
        assert_eq!(opened(&ring, sealed), ACCOUNT);
    }
    // The next start has what the segments from then on say, and the new key alone.
    assert!(wrapped.iter().all(|key| key.wrapping_id == 2));
    rotated.pan_keys_old.clear();
    let (mut next, _) = Keyring::new(&rotated, &identity(0), 6).unwrap();
    next.add_wrapped(&wrapped).unwrap();
    for sealed in [&before, &meanwhile, &after] {
        assert_eq!(opened(&next, sealed), ACCOUNT);
    }
    assert!(
        next.add_wrapped(&[first]).is_err(),
        "those before name the old one"
    );
}

/// SIGHUP twice, and undone, before a segment was ready.
#[test]
fn a_rotation_that_is_asked_for_twice_or_undone_forgets_no_data_key() {
    let (mut ring, _) = Keyring::new(&keys(2), &identity(0), 5).unwrap();
    let seal = |ring: &mut Keyring| {
        let facts = ring.facts(AcquirerId(0), &fields(1)).unwrap();
        facts.account.sealed
    };
    let first = SecretKey::new([2; 32]);
    let second = Keys {
        pan_key_id: 2,
        pan_keys_old: vec![(1, first)],
        ..keys(9)
    };
    let undone = Keys {
        pan_keys_old: vec![(2, SecretKey::new([9; 32]))],
        ..keys(2)
    };
    let before = seal(&mut ring);
    assert!(ring.begin_rotation(&keys(2)).unwrap().is_none());
    let pending = ring.begin_rotation(&second).unwrap().unwrap();
    assert!(ring.begin_rotation(&second).unwrap().is_none());
    assert_eq!(ring.aim(), Aim { id: 2, left: 6 });
    let wrapped = ring.begin_rotation(&undone).unwrap().unwrap();
    assert_eq!((pending.len(), wrapped.len()), (2, 3));
    assert_eq!(seal(&mut ring).key_id, 5, "no segment has a new one yet");
    assert_eq!(ring.end_rotation(), 1);
    let after = seal(&mut ring);
    assert_eq!(after.key_id, wrapped[2].key_id);
    assert_ne!(after.key_id, pending[1].key_id);
    // The next start has the first key alone.
    let (mut next, _) = Keyring::new(&keys(2), &identity(0), 6).unwrap();
    next.add_wrapped(&wrapped).unwrap();
    for sealed in [before, after] {
        assert_eq!(next.unseal(&sealed).unwrap().expose_digits(), ACCOUNT);
    }
}

#[test]
fn a_start_takes_up_as_many_keys_as_a_header_holds() {
    let numbered = |id: u8| Keys {
        pan_key_id: u32::from(id),
        ..keys(id)
    };
    let (mut ring, _) = Keyring::new(&numbered(1), &identity(0), 5).unwrap();
    let mut ids = vec![];
    for id in 2..=8 {
        let wrapped = ring.begin_rotation(&numbered(id)).unwrap().unwrap();
        ids = wrapped.iter().map(|key| key.key_id).collect();
        ring.end_rotation();
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    assert_eq!(ring.aim(), Aim { id: 8, left: 0 });
    let refused = ring.begin_rotation(&numbered(99)).unwrap_err();
    assert!(matches!(refused, CryptoError::Rotations), "{refused}");
    let (mut ring, _) = Keyring::new(&numbered(1), &identity(0), 1 << 28).unwrap();
    assert!(
        ring.begin_rotation(&numbered(3)).is_err(),
        "its id would be another start's"
    );
}

/// What is sealed under data keys that two keys of the operator's have wrapped.
#[test]
fn a_new_pan_key_opens_what_the_one_before_has_wrapped() {
    let (mut before, wrapped) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let sealed = before
        .facts(AcquirerId(0), &fields(1))
        .unwrap()
        .account
        .sealed;
    let mut rotated = keys(9);
    rotated.pan_key_id = 2;
    let refused = |keys: &Keys, wrapped| {
        let (mut ring, _) = Keyring::new(keys, &identity(0), 2).unwrap();
        ring.add_wrapped(&[wrapped]).unwrap_err().to_string()
    };
    let told = refused(&rotated, wrapped);
    assert!(told.contains("the pan key with the id 1"), "{told}");
    rotated.pan_keys_old = vec![(3, SecretKey::new([4; 32])), (1, SecretKey::new([2; 32]))];
    let nameless = WrappedKey {
        wrapping_id: 0,
        ..wrapped
    };
    for wrapped in [wrapped, nameless] {
        let (mut after, own) = Keyring::new(&rotated, &identity(0), 2).unwrap();
        assert_eq!(own.wrapping_id, 2);
        after.add_wrapped(&[wrapped]).unwrap();
        assert_eq!(after.unseal(&sealed).unwrap().expose_digits(), ACCOUNT);
    }
    // Another key under the same id is told by its id too.
    rotated.pan_keys_old = vec![(1, SecretKey::new([5; 32]))];
    let told = refused(&rotated, wrapped);
    assert!(told.contains("the pan key with the id 1"), "{told}");
}

#[test]
fn a_wrong_key_or_a_moved_envelope_does_not_open() {
    let (mut ring, wrapped) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let sealed = ring
        .facts(AcquirerId(0), &fields(1))
        .unwrap()
        .account
        .sealed;

    let (mut other_key, _) = Keyring::new(&keys(9), &identity(0), 2).unwrap();
    assert!(matches!(
        other_key.add_wrapped(&[wrapped]),
        Err(CryptoError::Unwrap {
            key: 1,
            wrapping: 1
        })
    ));
    let (mut other_shard, _) = Keyring::new(&keys(2), &identity(1), 2).unwrap();
    assert!(matches!(
        other_shard.add_wrapped(&[wrapped]),
        Err(CryptoError::Unwrap {
            key: 1,
            wrapping: 1
        })
    ));

    let mut changed = sealed;
    changed.ciphertext[3] ^= 1;
    assert!(matches!(ring.unseal(&changed), Err(CryptoError::Open(1))));
}

#[test]
fn no_nonce_is_used_twice_and_no_digit_is_in_the_envelope() {
    let (mut ring, _) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let seal = |ring: &mut Keyring| {
        ring.facts(AcquirerId(0), &fields(1))
            .unwrap()
            .account
            .sealed
    };
    let (first, second) = (seal(&mut ring), seal(&mut ring));
    assert_ne!(first.nonce, second.nonce);
    assert_ne!(first.ciphertext, second.ciphertext);
    assert!(
        !first
            .ciphertext
            .windows(6)
            .any(|window| window == b"411111")
    );
    let (mut next_start, _) = Keyring::new(&keys(2), &identity(0), 2).unwrap();
    assert_ne!(seal(&mut next_start).nonce, first.nonce);
}

#[test]
fn keys_survive_a_restart_and_tell_requests_apart() {
    let (mut ring, _) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let (mut later, _) = Keyring::new(&keys(2), &identity(1), 5).unwrap();
    let first = ring.facts(AcquirerId(0), &fields(1)).unwrap();
    let again = later.facts(AcquirerId(0), &fields(1)).unwrap();
    assert_eq!(
        (first.key, first.content, first.trace_key),
        (again.key, again.content, again.trace_key)
    );
    assert_eq!(
        (first.slot, first.account.token),
        (again.slot, again.account.token)
    );
    let other = ring.facts(AcquirerId(0), &fields(2)).unwrap();
    assert_ne!((first.key, first.trace_key), (other.key, other.trace_key));
    let elsewhere = ring.facts(AcquirerId(1), &fields(1)).unwrap();
    assert_ne!(first.key, elsewhere.key);
}

#[test]
fn a_reversal_finds_its_original_with_and_without_de42() {
    let (mut ring, _) = Keyring::new(&keys(2), &identity(0), 1).unwrap();
    let merchant = |text: &[u8]| Text::new("DE42", text).unwrap();
    let mut request = fields(1);
    request.trace.merchant = merchant(b"MERCHANT0000001");
    let facts = ring.facts(AcquirerId(0), &request).unwrap();
    let reversal = |merchant| {
        let fields = reversal_fields(&request);
        let trace = Trace {
            merchant,
            ..fields.trace
        };
        let fields = ReversalFields { trace, ..fields };
        ring.reversal(AcquirerId(0), &fields, FrameId(1))
    };
    for text in [&b""[..], b"MERCHANT0000001", b"MERCHANT0000002"] {
        let reversal = reversal(merchant(text));
        assert_eq!(
            (reversal.trace_key, reversal.slot),
            (facts.trace_key, facts.slot)
        );
        assert_eq!(reversal.merchant, merchant(text), "the engine compares it");
    }
}

/// Under the key with this id, of which there were those before it.
fn tokens_under(id: u8, before: &[u8]) -> Keys {
    let key = |id: u8| SecretKey::new([100 + id; 32]);
    let named = |id: u8| TokenKeyId(NonZeroU8::new(id).unwrap());
    Keys {
        token_key: key(id),
        token_key_id: named(id),
        token_keys_old: before.iter().map(|id| (named(*id), key(*id))).collect(),
        ..keys(2)
    }
}

/// What a start finds of a request that the one before has taken.
fn found_under(before: &Keys, after: &Keys) -> (Keyring, Facts) {
    let (mut ring, wrapped) = Keyring::new(before, &identity(0), 1).unwrap();
    let facts = ring.facts(AcquirerId(0), &fields(1)).unwrap();
    assert_eq!(facts.account.token_key, before.token_key_id);
    assert!(ring.renewed(&facts).unwrap().is_none());
    let (mut next, _) = Keyring::new(after, &identity(0), 2).unwrap();
    next.add_wrapped(&[wrapped]).unwrap();
    (next, facts)
}

//= docs/rules.md#D-09
#[test]
fn an_account_from_before_a_new_token_key_has_one_token_with_those_after_it() {
    let (mut ring, held) = found_under(&tokens_under(1, &[]), &tokens_under(2, &[1]));
    let renewed = ring.renewed(&held).unwrap().unwrap();
    let copy = ring.facts(AcquirerId(0), &fields(1)).unwrap();
    assert_ne!(held.account.token, copy.account.token);
    assert_eq!(
        (renewed.account.token, renewed.account.token_key),
        (copy.account.token, copy.account.token_key)
    );
    let undone = ReversalFields {
        account: Some(Pan::new(ACCOUNT).unwrap()),
        ..reversal_fields(&fields(1))
    };
    let undone = ring.reversal(AcquirerId(0), &undone, FrameId(1));
    assert_eq!(undone.token, Some(renewed.account.token));
    // Nothing else of it changes: what it says is known by the hash that was made then.
    let back = Account {
        token: held.account.token,
        token_key: held.account.token_key,
        ..renewed.account
    };
    assert_eq!(
        Facts {
            account: back,
            ..renewed
        },
        held
    );
}

//= docs/rules.md#D-09
#[test]
fn a_copy_is_known_by_what_it_says_under_any_token_key() {
    let (mut ring, held) = found_under(&tokens_under(1, &[]), &tokens_under(3, &[2, 1]));
    assert!(ring.is_token_rotating());
    let copy = ring.facts(AcquirerId(0), &fields(1)).unwrap();
    assert_ne!(copy.content, held.content);
    assert_eq!(copy.key, held.key);
    assert!(ring.says(&fields(1), held.content) && ring.says(&fields(1), copy.content));
    let mut other = fields(1);
    other.amount = Amount::new(1_501, Currency::KES).unwrap();
    assert!(!ring.says(&other, held.content));
    let other = RequestFields {
        account: Pan::new(b"4111111111111129").unwrap(),
        ..fields(1)
    };
    assert!(!ring.says(&other, held.content));
}

//= docs/rules.md#D-09
#[test]
fn a_token_of_a_key_that_is_not_there_refuses_the_start() {
    for after in [tokens_under(2, &[]), tokens_under(3, &[2])] {
        let (ring, held) = found_under(&tokens_under(1, &[]), &after);
        let refused = ring.renewed(&held).unwrap_err().to_string();
        assert!(refused.contains("the token key with the id 1"), "{refused}");
        assert!(refused.contains("token_keys_old"), "{refused}");
    }
}

/// A list names accounts, and nobody can tell their tokens under another key.
#[test]
fn an_account_that_a_list_names_keeps_the_token_that_is_listed() {
    let (mut ring, held) = found_under(&tokens_under(1, &[]), &tokens_under(2, &[1]));
    let unlisted = ring.facts(AcquirerId(0), &fields(1)).unwrap();
    ring.keep_listed([held.account.token].into_iter());
    let listed = ring.facts(AcquirerId(0), &fields(1)).unwrap();
    let of = |facts: &Facts| (facts.account.token, facts.account.token_key);
    assert_eq!(of(&listed), of(&held));
    for found in [held, unlisted] {
        let renewed = ring.renewed(&found).unwrap().unwrap();
        assert_eq!(of(&renewed), of(&held));
    }
    let mut other = fields(2);
    other.account = Pan::new(b"4111111111111129").unwrap();
    let other = ring.facts(AcquirerId(0), &other).unwrap();
    assert_eq!(other.account.token_key, tokens_under(2, &[]).token_key_id);
}

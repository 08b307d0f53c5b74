//! All that any shard finds is counted at home, once, however the shards run.

use std::sync::mpsc::channel;

use domain::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, InstitutionId, MerchantId, Rrn, Slot, Stan, TerminalId};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::request::{ContentHash, DuplicateKey, MessageClass, Trace, TraceKey};
use domain::time::TransmissionTime;

use super::*;
use crate::config::{Environment, Source, create_missing_keys};
use crate::shard::build::risk_policy;

const NOW: Instant = Instant::from_millis(5);
/// Until a test counts as stuck.
const DEADLINE: Duration = Duration::from_secs(60);

/// The default configuration, whose second window is of an hour.
pub(in crate::shard) fn config() -> Config {
    let folder = tempfile::tempdir().unwrap();
    create_missing_keys(folder.path()).unwrap();
    let state_dir = folder.path();
    let source = Source::Default { state_dir };
    Config::load(source, &Environment::of(&[])).unwrap()
}

pub(in crate::shard) fn counters(config: &Config) -> Counters {
    Counters {
        risk: RiskEngine::new(risk_policy(config), 1_000, 1).unwrap(),
        stand_in: StandInState::new(config, 1).unwrap(),
        placed: WallTime::default(),
    }
}

/// A request of 7.00 KES of account number `account`, whose home is `account` modulo the shards.
pub(in crate::shard) fn facts(account: u16) -> Facts {
    let mut token = [9; 16];
    token[14..].copy_from_slice(&account.to_be_bytes());
    Facts {
        acquirer: AcquirerId(0),
        class: MessageClass::Financial,
        slot: Slot(0),
        key: DuplicateKey(0),
        content: ContentHash(0),
        trace_key: TraceKey(0),
        account: Account {
            token: PanToken(token),
            token_key: TokenKeyId::FIRST,
            masked: MaskedPan {
                len: 16,
                first: *b"506100",
                last: *b"1111",
            },
            sealed: SealedPan {
                key_id: 1,
                nonce: [0; 12],
                ciphertext: [0; 20],
                tag: [0; 16],
            },
        },
        amount: Amount::new(700, Currency::KES).unwrap(),
        processing_code: Text::EMPTY,
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        trace: Trace {
            stan: Stan::default(),
            transmitted: TransmissionTime::default(),
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: Rrn::EMPTY,
            terminal: TerminalId::EMPTY,
            merchant: MerchantId::EMPTY,
            institution: InstitutionId::EMPTY,
        },
    }
}

/// Runs a start of so many shards, each of which finds what `found` names: account and age. Returns
/// what they count then.
#[track_caller]
fn exchanged(shards: u16, found: fn(u16) -> Vec<(u16, u64)>) -> Vec<Counters> {
    let config = config();
    let (told, ended) = channel();
    for (shard, ends) in (0..).zip(build(shards)) {
        let mut exchange = Exchange::new(ends, counters(&config));
        let told = told.clone();
        thread::spawn(move || {
            for (account, age_s) in found(shard) {
                let age = Duration::from_secs(age_s);
                exchange.note_accepted(&facts(account), age, NOW);
            }
            exchange.close();
            while exchange.take() == Incoming::Open {
                thread::yield_now();
            }
            told.send((shard, exchange.counters)).unwrap();
        });
    }
    let mut all: Vec<_> = (0..shards)
        .map(|_| ended.recv_timeout(DEADLINE).expect("no shard is stuck"))
        .collect();
    all.sort_by_key(|(shard, _)| *shard);
    all.into_iter().map(|(_, counters)| counters).collect()
}

/// Requests in the second window.
fn in_the_hour(counters: &Counters, account: u16) -> u32 {
    let [_, (count, _), _] = counters.risk.counted(&facts(account), NOW);
    count
}

//= docs/rules.md#R-14
#[test]
fn an_account_is_counted_at_home_alone_and_whole() {
    // Every shard finds some of every account, and as much again that is too old.
    let found = |shard: u16| {
        let each = |account: u16| {
            (0..10 + shard).flat_map(move |n| [(account, u64::from(n)), (account, 9_000)])
        };
        (0..30).flat_map(each).collect()
    };
    for shards in [1, 2, 3] {
        let counted = exchanged(shards, found);
        let expected: u32 = (0..u32::from(shards)).map(|shard| 10 + shard).sum();
        for account in 0..30 {
            for (shard, counters) in (0_u16..).zip(&counted) {
                let is_home = account % shards == shard;
                let expected = if is_home { expected } else { 0 };
                assert_eq!(
                    in_the_hour(counters, account),
                    expected,
                    "{account} at {shard}"
                );
            }
        }
    }
}

#[test]
fn two_shards_that_fill_each_others_queues_both_go_on() {
    // Four times what a queue takes, all of it for the other one.
    const MANY: usize = BATCH_LEN * BATCHES_MAX * 4;
    let found = |shard: u16| (0..MANY).map(|_| (1 - shard, 1)).collect();
    let counted = exchanged(2, found);
    for (shard, counters) in (0_u16..).zip(&counted) {
        // A counter stops at its largest value.
        assert_eq!(in_the_hour(counters, shard), 65_535);
    }
}

#[test]
fn a_shard_that_does_not_start_holds_up_no_other() {
    let config = config();
    let mut ends = build(2).into_iter();
    let mut exchange = Exchange::new(ends.next().unwrap(), counters(&config));
    let failed = ends.next().unwrap();
    exchange.note_accepted(&facts(0), Duration::ZERO, NOW);
    exchange.note_accepted(&facts(1), Duration::ZERO, NOW);
    assert_eq!(exchange.take(), Incoming::Open);
    drop(failed);
    exchange.close();
    assert_eq!(exchange.take(), Incoming::Ended);
    assert_eq!(in_the_hour(&exchange.counters, 0), 1);
}

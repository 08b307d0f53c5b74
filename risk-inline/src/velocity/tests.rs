//! The table itself: chains, order of use, eviction, against a plain list.

use super::*;
use crate::policy::VelocityLimit;
use crate::ring::BucketWidth;
use domain::currency::Currency;
use domain::pan::PanToken;
use proptest::prelude::*;
use std::collections::VecDeque;

const LENGTH: Duration = Duration::from_secs(80);
const IDLE_MAX: Duration = Duration::from_secs(100);

/// One request each while the window holds it.
const ONCE: WindowLimits = [
    Some(VelocityLimit {
        currency: Currency::KES,
        count_max: Some(1),
        amount_max: None,
    }),
    None,
    None,
];

fn table(accounts_max: usize) -> VelocityTable {
    VelocityTable::new(accounts_max, [BucketWidth::of(LENGTH); 3], IDLE_MAX, 5)
}

fn movement(account: u8) -> Movement {
    Movement {
        key: AccountKey {
            token: PanToken([account; 16]),
            currency: Currency::KES,
        },
        minor: 1,
    }
}

fn observe(table: &mut VelocityTable, account: u8, at: Instant) {
    let movement = movement(account);
    table.observe(&[Past { movement, at }]);
}

const fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1_000)
}

/// All accounts in the order of last use, read both ways and found through their chains.
#[track_caller]
fn in_order(table: &VelocityTable) -> Vec<u8> {
    let mut order = vec![];
    let mut index = table.newest;
    let mut newer = Account::NONE;
    while let Some(account) = table.at(index) {
        assert_eq!(account.newer, newer);
        assert_eq!(table.find(account.key), Some(index));
        order.push(account.key.token.0[0]);
        newer = index;
        index = account.older;
    }
    assert_eq!(table.oldest, newer);
    assert_eq!(table.used(), order.len());
    let chained: usize = (0..table.heads.len())
        .map(|head| chain_len(table, head))
        .sum();
    assert_eq!(chained, order.len(), "no chain holds more");
    order
}

fn chain_len(table: &VelocityTable, head: usize) -> usize {
    let mut count = 0;
    let mut index = table.heads[head];
    while let Some(account) = table.at(index) {
        assert_eq!(table.head(account.key), head);
        count += 1;
        index = account.next;
    }
    count
}

#[test]
fn the_account_idle_for_longest_makes_room() {
    let mut table = table(3);
    for account in [1, 2, 3] {
        let verdict = table.assess(movement(account), &ONCE, at(0));
        assert_eq!(verdict, Verdict::Accept);
    }
    // A decline is a use.
    let verdict = table.assess(movement(1), &ONCE, at(1));
    assert_eq!(verdict, Verdict::VELOCITY_COUNT);
    assert_eq!(in_order(&table), [1, 3, 2]);
    assert_eq!(table.assess(movement(4), &ONCE, at(1)), Verdict::Accept);
    assert_eq!(in_order(&table), [4, 1, 3]);
    assert_eq!(table.evicted(), 1);
    // The evicted one is as good as new; this time one goes that no window holds any more.
    assert_eq!(table.assess(movement(2), &ONCE, at(100)), Verdict::Accept);
    assert_eq!(in_order(&table), [2, 4, 1]);
    assert_eq!(table.evicted(), 1);
}

#[test]
fn a_declined_stranger_takes_no_room() {
    let mut table = table(1);
    assert_eq!(table.assess(movement(1), &ONCE, at(0)), Verdict::Accept);
    let never = [ONCE[0].map(|limit| VelocityLimit {
        count_max: Some(0),
        ..limit
    }); 3];
    let verdict = table.assess(movement(2), &never, at(0));
    assert_eq!(verdict, Verdict::VELOCITY_COUNT);
    assert_eq!(in_order(&table), [1]);
}

#[test]
fn expiry_is_bounded_and_frees_room() {
    let mut table = table(4);
    for account in 1..=4 {
        let now = at(u64::from(account));
        assert_eq!(table.assess(movement(account), &ONCE, now), Verdict::Accept);
    }
    assert_eq!(table.expire(10, at(100)), 0);
    assert_eq!(table.expire(1, at(103)), 1);
    assert_eq!(table.expire(10, at(103)), 2);
    assert_eq!(in_order(&table), [4]);
    for account in 5..=7 {
        let verdict = table.assess(movement(account), &ONCE, at(103));
        assert_eq!(verdict, Verdict::Accept);
    }
    assert_eq!(in_order(&table), [7, 6, 5, 4]);
    assert_eq!(table.evicted(), 0);
    table.restart([BucketWidth::of(LENGTH); 3], IDLE_MAX);
    assert_eq!(in_order(&table), []);
}

#[test]
fn a_full_table_allocates_nothing_more() {
    let mut table = table(64);
    let (accounts, heads) = (table.accounts.capacity(), table.heads.capacity());
    for round in 0..10_u64 {
        for account in 0..=255 {
            observe(&mut table, account, at(round));
        }
    }
    assert_eq!(table.accounts.capacity(), accounts);
    assert_eq!(table.heads.capacity(), heads);
    assert_eq!(table.accounts.len(), 64);
}

/// What may happen to a table.
#[derive(Clone, Copy, Debug)]
enum Step {
    Use(u8),
    Pass(u64),
    Expire(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u8..12).prop_map(Step::Use),
        1 => (1_u64..120).prop_map(Step::Pass),
        1 => (0_usize..4).prop_map(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn table_and_list_agree(
        accounts_max in 1_usize..8,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut table = table(accounts_max);
        let mut list: VecDeque<(u8, u64)> = VecDeque::new();
        let (mut now, mut evicted) = (0_u64, 0);
        for step in steps {
            match step {
                Step::Pass(seconds) => now += seconds,
                Step::Use(account) => {
                    observe(&mut table, account, at(now));
                    match list.iter().position(|known| known.0 == account) {
                        Some(place) => drop(list.remove(place)),
                        None if list.len() == accounts_max => {
                            let oldest = list.pop_back().unwrap();
                            evicted += u64::from(now - oldest.1 < IDLE_MAX.as_secs());
                        }
                        None => {}
                    }
                    list.push_front((account, now));
                }
                Step::Expire(steps_max) => {
                    let idle = |known: &&(u8, u64)| now - known.1 >= IDLE_MAX.as_secs();
                    let count = list.iter().rev().take(steps_max).take_while(idle).count();
                    prop_assert_eq!(table.expire(steps_max, at(now)), count);
                    list.truncate(list.len() - count);
                }
            }
            let expected: Vec<u8> = list.iter().map(|known| known.0).collect();
            prop_assert_eq!(in_order(&table), expected);
            prop_assert_eq!(table.evicted(), evicted);
        }
    }
}

//! Tests of `stan`.

use super::*;
use std::collections::HashSet;
use std::vec::Vec;

const WINDOW: Duration = Duration::from_secs(600);

fn range(base: u32, size: u32) -> StanRange {
    StanRange {
        base,
        size,
        shards: 1,
        shard: 0,
    }
}

fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

#[test]
fn the_parts_of_the_shards_are_disjoint_and_name_their_shard() {
    let whole = StanRange {
        shards: 8,
        ..range(1, 999_999)
    };
    assert_eq!(whole.share(), 124_999);
    let third = StanRange { shard: 3, ..whole };
    assert_eq!(third.first(), 374_998, "the example of the specification");
    let mut seen = HashSet::new();
    for shard in 0..8 {
        let part = StanRange { shard, ..whole };
        let mut allocator = StanAllocator::new(&part, WINDOW, 100, u64::from(shard));
        for _ in 0..1000 {
            let stan = allocator.allocate(Instant::ZERO).unwrap();
            assert_eq!(whole.shard_of(stan), Some(shard));
            assert!(seen.insert(stan));
        }
    }
    assert_eq!(whole.shard_of(stan(0)), None);
    assert_eq!(
        whole.shard_of(stan(999_999)),
        None,
        "the rest of the division is nobody's"
    );
}

//= docs/rules.md#M-08
#[test]
fn a_shard_goes_on_furthest_from_what_others_have_given_out_lately() {
    let check = |range: StanRange, latest: &[u32], expected: Option<u32>| {
        let latest: Vec<Stan> = latest.iter().map(|number| stan(*number)).collect();
        let behind = range.go_on_behind(&latest).map(Stan::number);
        assert_eq!(behind, expected, "{latest:?}");
    };
    let range = range(1, 2_000);
    check(range, &[], None);
    check(range, &[700], Some(700));
    // Two shards have become one: 900 and 1,100 numbers lie before the next recent ones.
    check(range, &[500, 1_400], Some(1_400));
    check(range, &[500, 1_600], Some(500));
    check(range, &[500, 500, 1_600], Some(500));
    // One shard has become two, and the second begins with its first number.
    let half = |shard| StanRange {
        shards: 2,
        shard,
        ..range
    };
    check(half(0), &[500], Some(500));
    check(half(1), &[500], Some(2_000));
    let mut second = StanAllocator::new(&half(1), WINDOW, 10, 7);
    second.go_on_after(stan(2_000));
    assert_eq!(second.allocate(Instant::ZERO), Some(stan(1_001)));
}

//= docs/rules.md#M-08
#[test]
fn a_restart_goes_on_behind_the_run_before() {
    let range = range(500, 1_000);
    let mut before = StanAllocator::new(&range, WINDOW, 10, 7);
    let first = before.allocate(Instant::ZERO).unwrap();
    let mut after = StanAllocator::new(&range, WINDOW, 10, 7);
    after.go_on_after(first);
    let next = after.allocate(Instant::ZERO).unwrap();
    assert_eq!(next.number(), first.number() + 1);
    after.go_on_after(stan(1_499));
    assert_eq!(
        after.allocate(Instant::ZERO),
        Some(stan(500)),
        "round its end"
    );
    // A number of another part says nothing.
    after.go_on_after(stan(1_500));
    assert_eq!(after.allocate(Instant::ZERO), Some(stan(501)));
}

#[test]
fn what_waits_for_days_leaves_half_of_the_numbers_to_requests() {
    let mut allocator = StanAllocator::new(&range(1, 10), WINDOW, 4, 9);
    let spare: Vec<Stan> =
        core::iter::from_fn(|| allocator.allocate_spare(Instant::ZERO)).collect();
    assert_eq!((spare.len(), allocator.free()), (5, 5));
    assert!(allocator.allocate(Instant::ZERO).is_some());
    allocator.release(spare[0], StanReuse::AtOnce, Instant::ZERO);
    assert_eq!(
        allocator.allocate_spare(Instant::ZERO),
        None,
        "requests go first"
    );
    allocator.release(spare[1], StanReuse::AfterLateWindow, Instant::ZERO);
    let woken = Instant::ZERO.after(WINDOW);
    assert!(allocator.allocate_spare(woken).is_some(), "rested enough");
}

#[test]
fn fault_065_zero_is_never_given_out() {
    let mut allocator = StanAllocator::new(&range(0, 4), WINDOW, 4, 9);
    let mut given: Vec<u32> = Vec::new();
    while let Some(stan) = allocator.allocate(Instant::ZERO) {
        given.push(stan.number());
    }
    given.sort_unstable();
    assert_eq!(given, [1, 2, 3]);
}

#[test]
fn fault_065_it_goes_round_and_skips_what_is_in_use_or_late() {
    let mut allocator = StanAllocator::new(&range(1, 130), WINDOW, 130, 0);
    let first: Vec<_> = (0..130)
        .map(|_| allocator.allocate(Instant::ZERO).unwrap())
        .collect();
    assert_eq!(allocator.allocate(Instant::ZERO), None, "all are in use");
    allocator.release(first[7], StanReuse::AtOnce, Instant::ZERO);
    allocator.release(first[9], StanReuse::AfterLateWindow, Instant::ZERO);
    assert_eq!((allocator.free(), allocator.late()), (1, 1));
    assert_eq!(allocator.allocate(Instant::ZERO), Some(first[7]));
    assert_eq!(allocator.allocate(Instant::ZERO), None, "a late one rests");
    let after = Instant::ZERO.after(WINDOW);
    assert_eq!(allocator.allocate(after), Some(first[9]));
}

#[test]
fn a_number_is_given_out_again_only_after_all_others() {
    let mut allocator = StanAllocator::new(&range(1, 100), WINDOW, 100, 5);
    let first = allocator.allocate(Instant::ZERO).unwrap();
    allocator.release(first, StanReuse::AtOnce, Instant::ZERO);
    for _ in 0..99 {
        let next = allocator.allocate(Instant::ZERO).unwrap();
        assert_ne!(next, first);
        allocator.release(next, StanReuse::AtOnce, Instant::ZERO);
    }
    assert_eq!(allocator.allocate(Instant::ZERO), Some(first));
}

#[test]
fn too_many_late_ones_let_the_oldest_go() {
    let mut allocator = StanAllocator::new(&range(1, 10), WINDOW, 2, 0);
    let taken: Vec<_> = (0..10)
        .map(|_| allocator.allocate(Instant::ZERO).unwrap())
        .collect();
    for stan in &taken[..3] {
        allocator.release(*stan, StanReuse::AfterLateWindow, Instant::ZERO);
    }
    assert_eq!((allocator.free(), allocator.late()), (1, 2));
    assert_eq!(allocator.allocate(Instant::ZERO), Some(taken[0]));
}

#[test]
fn what_recovery_claims_is_skipped() {
    let mut allocator = StanAllocator::new(&range(1, 3), WINDOW, 3, 0);
    assert!(allocator.claim(stan(2)));
    assert!(!allocator.claim(stan(2)), "it is taken");
    assert!(!allocator.claim(stan(77)), "it is of another part");
    let given: Vec<_> = core::iter::from_fn(|| allocator.allocate(Instant::ZERO)).collect();
    assert_eq!(given.len(), 2);
    assert!(!given.contains(&stan(2)));
    allocator.release(stan(77), StanReuse::AtOnce, Instant::ZERO);
    assert_eq!(allocator.free(), 0);
}

#[test]
fn it_begins_where_the_seed_says() {
    let begin = |seed| {
        StanAllocator::new(&range(1, 999_999), WINDOW, 1, seed)
            .allocate(Instant::ZERO)
            .unwrap()
    };
    assert_eq!(begin(3), begin(3));
    assert_ne!(begin(3), begin(4));
}

#[test]
fn a_number_that_two_give_back_rests_once_and_is_free_once() {
    let mut allocator = StanAllocator::new(&range(1, 10), WINDOW, 5, 1);
    let number = allocator.allocate(Instant::ZERO).unwrap();
    for reuse in [
        StanReuse::AfterLateWindow,
        StanReuse::AfterLateWindow,
        StanReuse::AtOnce,
    ] {
        allocator.release(number, reuse, Instant::ZERO);
        assert_eq!((allocator.free(), allocator.late()), (9, 1), "{reuse:?}");
    }
    let later = Instant::ZERO.after(WINDOW);
    let given: HashSet<Stan> = (0..10).filter_map(|_| allocator.allocate(later)).collect();
    assert_eq!(
        (given.len(), allocator.free(), allocator.late()),
        (10, 0, 0)
    );
}

//! The rows of `live`, and its lists against a plain one.

use super::*;
use crate::testing::settings;
use proptest::prelude::*;
use std::collections::VecDeque as Queue;
use std::vec::Vec;

const OWED: Chosen = Chosen {
    is_asked: true,
    is_completion: false,
    is_owed: true,
    before: Before::Nothing,
    room: Room::Free,
};

#[track_caller]
fn check(chosen: Chosen, leave: Leave) {
    assert_eq!(may_leave(chosen), leave, "{chosen:?}");
}

//= docs/rules.md#A-09
#[test]
fn l01_nobody_waits_for_an_issuer_that_does_not_ask_for_it() {
    let is_asked = false;
    check(Chosen { is_asked, ..OWED }, Leave::Now);
}

#[test]
fn l02_a_completion_request_does_not_wait() {
    let is_completion = true;
    check(
        Chosen {
            is_completion,
            ..OWED
        },
        Leave::Now,
    );
}

#[test]
fn l03_an_account_that_nothing_is_owed_for_does_not_wait() {
    let is_owed = false;
    for room in [Room::Free, Room::Full, Room::Draining] {
        check(
            Chosen {
                is_owed,
                room,
                ..OWED
            },
            Leave::Now,
        );
    }
}

#[test]
fn l04_a_request_waits_for_what_is_owed() {
    check(OWED, Leave::Later);
}

#[test]
fn l05_l06_without_room_or_in_a_drain_it_is_turned_away() {
    for room in [Room::Full, Room::Draining] {
        check(Chosen { room, ..OWED }, Leave::NoRoom(room));
    }
}

#[test]
fn l07_l09_it_waits_for_one_issuer_and_before_its_intent() {
    for before in [Before::Intent, Before::HeldForOther] {
        check(Chosen { before, ..OWED }, Leave::NotThere);
    }
}

#[test]
fn l08_what_is_owed_since_does_not_hold_it_again() {
    for room in [Room::Free, Room::Full, Room::Draining] {
        let before = Before::HeldForIt;
        check(
            Chosen {
                before,
                room,
                ..OWED
            },
            Leave::Now,
        );
    }
}

/// Somebody who waits, and for what.
#[derive(Debug)]
struct Waiter {
    handle: Handle,
    account: u8,
    behind: Vec<u32>,
}

const POSITIONS: u32 = 12;
const HELD_MAX: usize = 4;

fn live() -> Live {
    let settings = Settings {
        before_live: BeforeLive::new(HELD_MAX).with(IssuerId(0)),
        saf_max: POSITIONS as usize,
        ..settings()
    };
    Live::new(&settings, POSITIONS as usize)
}

fn token(account: u8) -> PanToken {
    PanToken([account; 16])
}

proptest! {
    #[test]
    fn it_agrees_with_a_list_of_who_waits_for_what(
        steps in prop::collection::vec((0_u8..4, 0_u8..3, 0..POSITIONS), 1..200),
    ) {
        let mut live = live();
        let mut owed: Vec<(u32, u8)> = Vec::new();
        let mut waiting: Queue<Waiter> = Queue::new();
        for (number, (what, account, position)) in (0_u32..).zip(steps) {
            let handle = Handle { index: number, generation: 0 };
            let known = owed.iter().position(|(place, _)| *place == position);
            match (what, known) {
                (0, None) => {
                    live.owe(position, IssuerId(0), token(account));
                    owed.push((position, account));
                }
                (1, Some(known)) => {
                    live.ended(position);
                    owed.swap_remove(known);
                    for waiter in &mut waiting {
                        waiter.behind.retain(|place| *place != position);
                    }
                }
                (2, _) if owed.iter().any(|(_, of)| *of == account) => {
                    if live.room() != Room::Free {
                        continue;
                    }
                    let due = Instant::from_millis(u64::from(number));
                    let at = (IssuerId(0), token(account));
                    prop_assert!(live.hold(handle, at, due));
                    prop_assert_eq!(live.held_for(handle), Some(IssuerId(0)));
                    let behind = owed.iter().filter(|(_, of)| *of == account);
                    let behind = behind.map(|(place, _)| *place).collect();
                    waiting.push_back(Waiter { handle, account, behind });
                }
                (3, _) => {
                    // One that waits gives up.
                    if let Some(gone) = waiting.pop_front() {
                        live.let_go(gone.handle);
                        prop_assert_eq!(live.held_for(gone.handle), None);
                    }
                }
                _ => {}
            }
            let mut freed = Vec::new();
            while let Some(handle) = live.next_freed() {
                live.let_go(handle);
                freed.push(handle);
            }
            let expected = waiting.iter().filter(|waiter| waiter.behind.is_empty());
            let expected: Vec<Handle> = expected.map(|waiter| waiter.handle).collect();
            prop_assert_eq!(freed, expected);
            waiting.retain(|waiter| !waiter.behind.is_empty());
            prop_assert_eq!(live.count(), waiting.len());
            for account in 0..3 {
                let is_owed = owed.iter().any(|(_, of)| *of == account);
                prop_assert_eq!(live.is_owed(IssuerId(0), token(account)), is_owed);
                prop_assert!(!live.is_owed(IssuerId(1), token(account)));
                let waits = waiting.iter().any(|waiter| waiter.account == account);
                prop_assert!(is_owed || !waits);
            }
            prop_assert_eq!(live.expired(Instant::FAR_FUTURE).is_some(), !waiting.is_empty());
        }
    }
}

#[test]
fn an_issuer_that_does_not_ask_takes_no_room() {
    let mut live = Live::new(&settings(), 1_000);
    live.owe(7, IssuerId(0), token(1));
    assert!(!live.is_owed(IssuerId(0), token(1)));
    live.ended(7);
    assert_eq!((live.owed.capacity(), live.held.capacity()), (0, 0));
}

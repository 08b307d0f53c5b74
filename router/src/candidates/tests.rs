//! The order of asking against a plain draw from a list.

use super::*;
use proptest::prelude::*;
use std::vec;

/// By position: issuer, weight, number of its group.
fn laid_out(groups: &[Vec<Candidate>]) -> Candidates {
    let mut errors = vec![];
    let candidates = Candidates::new(RouteId(0), groups, &mut errors);
    assert_eq!(errors, []);
    candidates
}

/// Draws from a list and takes out what was drawn.
fn naive(groups: &[Vec<Candidate>], draw: u64) -> Vec<(u8, IssuerId)> {
    let mut state = draw;
    let mut order = vec![];
    let mut position = 0_u8;
    for group in groups {
        let mut waiting: Vec<(u8, Candidate)> = (position..).zip(group.iter().copied()).collect();
        position += u8::try_from(group.len()).unwrap();
        while !waiting.is_empty() {
            let place = if waiting.len() == 1 {
                0
            } else {
                let tickets: Vec<usize> = waiting
                    .iter()
                    .enumerate()
                    .flat_map(|(place, (_, one))| vec![place; usize::from(one.weight)])
                    .collect();
                let drawn = (u128::from(mixed(&mut state)) * tickets.len() as u128) >> 64;
                tickets[usize::try_from(drawn).unwrap()]
            };
            let (position, candidate) = waiting.remove(place);
            order.push((position, candidate.issuer));
        }
    }
    order
}

fn groups() -> impl Strategy<Value = Vec<Vec<Candidate>>> {
    let weight = prop_oneof![Just(1_u16), 1_u16..100, Just(Candidate::WEIGHT_MAX)];
    (prop::collection::vec(weight, 1..=8), any::<u8>()).prop_map(|(weights, cuts)| {
        let mut groups = vec![vec![]];
        for (number, weight) in (0_u16..).zip(weights) {
            if number > 0 && cuts >> number & 1 == 1 {
                groups.push(vec![]);
            }
            let issuer = IssuerId(100 - number);
            groups
                .last_mut()
                .unwrap()
                .push(Candidate { issuer, weight });
        }
        groups
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_order_is_that_of_a_plain_draw(groups in groups(), draw in any::<u64>()) {
        let candidates = laid_out(&groups);
        let order: Vec<_> = candidates.drawn(draw).collect();
        prop_assert_eq!(&order, &naive(&groups, draw));
        let again: Vec<_> = candidates.drawn(draw).collect();
        prop_assert_eq!(&order, &again);
        let mut from = 0;
        for size in groups.iter().map(Vec::len) {
            let mut positions: Vec<_> =
                order[from..from + size].iter().map(|one| usize::from(one.0)).collect();
            positions.sort_unstable();
            let expected: Vec<_> = (from..from + size).collect();
            prop_assert_eq!(positions, expected, "a group is asked to its end first");
            from += size;
        }
    }
}

/// Neighbouring draws, as the worst that a hash could give: shares come within two per cent of a
/// hundred, and what falls out of a group is shared by the weights of the others.
//= docs/rules.md#R-10
#[test]
fn shares_are_those_of_the_weights() {
    let group = [(0, 70_u16), (1, 20), (2, 10)]
        .map(|(issuer, weight)| Candidate {
            issuer: IssuerId(issuer),
            weight,
        })
        .to_vec();
    let candidates = laid_out(&[group]);
    let mut first = [0_u32; 3];
    let mut without_the_first = [0_u32; 3];
    for draw in 0..100_000 {
        let order: Vec<u8> = candidates.drawn(draw).map(|one| one.0).collect();
        first[usize::from(order[0])] += 1;
        let second = order.iter().find(|position| **position != 0).unwrap();
        without_the_first[usize::from(*second)] += 1;
    }
    let near = |found: u32, percent: f64| (f64::from(found) / 1_000.0 - percent).abs() < 2.0;
    let shares = near(first[0], 70.0) && near(first[1], 20.0) && near(first[2], 10.0);
    assert!(shares, "{first:?}");
    let rest = near(without_the_first[1], 66.7) && near(without_the_first[2], 33.3);
    assert!(rest, "{without_the_first:?}");
}

//! The same world in which some of the requests came by JSON.

use super::*;
use crate::gateway::{About, Key, Said, State};
use crate::recorder::Outcome as Ended;

/// Of the requests of [`World::whole`] these came by JSON: 1, 2 approved, 3 declined, 5 timed out
/// and reversed, 6 approved and reversed by its gateway.
const BY_JSON: [u32; 5] = [1, 2, 3, 5, 6];

fn line(stan: u32, outcome: Ended) -> crate::gateway::Ack {
    crate::gateway::Ack {
        about: About::Payment,
        key: Key::of(u128::from(stan)),
        outcome,
        id: None,
        state: None,
        code: None,
        authorisation: AuthorisationId::EMPTY,
        amount: amount(stan),
        stays: 0,
        at: NOW,
    }
}

fn told(stan: u32, state: State, code: Option<&[u8; 2]>) -> crate::gateway::Ack {
    let code = code.map(|code| ResponseCode::new(code).unwrap());
    let approved = state == State::Approved;
    let authorisation: &[u8] = if approved { b"A1B2C3" } else { b"" };
    let outcome = if approved {
        Ended::Approved
    } else {
        Ended::Declined
    };
    line(stan, outcome).told(&Said {
        id: transaction(stan),
        state,
        code,
        authorisation: AuthorisationId::new("DE38", authorisation).unwrap(),
    })
}

fn reversed(stan: u32, stays: u64) -> crate::gateway::Ack {
    crate::gateway::Ack {
        about: About::Reversal,
        id: Some(transaction(stan)),
        state: Some(State::ReversalPending),
        stays,
        ..line(stan, Ended::Approved)
    }
}

/// Of the gateway; everybody else's is number 0.
const GATEWAY: AcquirerId = AcquirerId(1);

fn facts_of<'a>(record: &'a mut Record<'static>) -> Option<&'a mut Facts> {
    match record {
        Record::Intent(intent) => Some(&mut intent.facts),
        Record::Refused(refused) => Some(&mut refused.facts),
        _ => None,
    }
}

/// What the payment `stan` is in the journal for a second time: under another id, DE37 and leg,
/// by `key`, and approved at its issuer.
fn again(stan: u32, key: u128) -> ([Record<'static>; 2], Effect) {
    let Record::Intent(mut intent) = intent(stan) else {
        panic!("an intent is one");
    };
    let rrn = Rrn::new("DE37", b"N00000000077").unwrap();
    intent.transaction = TransactionId(77);
    intent.facts.trace.rrn = rrn;
    intent.facts.acquirer = GATEWAY;
    intent.facts.key = DuplicateKey(key);
    let Record::Outcome(mut outcome) = outcome(stan, OutcomeKind::Answered, b"00") else {
        panic!("an outcome is one");
    };
    outcome.transaction = TransactionId(77);
    let mut approved = effect(stan, EffectKind::Approve);
    approved.id.rrn = rrn;
    ([Record::Intent(intent), Record::Outcome(outcome)], approved)
}

struct Mixed {
    world: World,
    acks: Vec<crate::gateway::Ack>,
}

impl Mixed {
    fn whole() -> Self {
        let mut world = World::whole();
        let is_json = |ack: &Ack| {
            let original = ack.original.unwrap_or(ack.id);
            BY_JSON.iter().any(|stan| id(*stan) == original)
        };
        world.acks.retain(|ack| !is_json(ack));
        let by_json = BY_JSON.map(id);
        for facts in world.records.iter_mut().filter_map(facts_of) {
            if by_json.iter().any(|id| id.stan == facts.trace.stan) {
                facts.acquirer = GATEWAY;
            }
        }
        let acks = vec![
            told(1, State::Approved, Some(b"00")),
            line(2, Ended::Timeout),
            told(2, State::Approved, Some(b"00")),
            told(3, State::Declined, Some(b"51")),
            told(5, State::ReversalPending, None),
            told(5, State::Reversed, Some(b"91")),
            told(6, State::Approved, Some(b"00")),
            reversed(6, 0),
            line(11, Ended::Refused),
        ];
        Self { world, acks }
    }

    /// The switch has not known a copy of `stan`, which is in the journal again by `key`.
    fn begun_again(mut self, stan: u32, key: u128) -> Self {
        let (records, effect) = again(stan, key);
        self.world.records.extend(records);
        self.world.effects.push(effect);
        self
    }

    fn audit(&self) -> Audit {
        let mut book = GatewayBook::default();
        self.acks.iter().for_each(|ack| book.fold(ack));
        self.world.audit_with(&book)
    }

    #[track_caller]
    fn fails(&self, check: &str) -> Audit {
        let audit = self.audit();
        let found = audit.checks.iter().find(|one| one.name.contains(check));
        let found = found.unwrap_or_else(|| panic!("there is no check `{check}`"));
        assert!(found.count > 0, "{audit}");
        audit
    }
}

#[test]
fn sums_of_both_sides_are_those_of_the_journal() {
    let audit = Mixed::whole().audit();
    assert!(audit.passed(), "{audit}");
    let alone = World::whole().audit();
    assert_eq!(audit.sums[&404], alone.sums[&404]);
    assert_eq!(audit.sums[&800].acquirer, 100);
    assert_eq!((audit.lost(), audit.doubled()), (0, 0));
    assert_eq!(
        (audit.untold, audit.unacknowledged),
        (0, alone.unacknowledged)
    );
    assert_eq!(audit.refused, 2);
}

#[test]
fn what_a_gateway_was_told_and_is_in_no_journal_is_lost() {
    for stan in [1, 3] {
        let mut mixed = Mixed::whole();
        let is_its = |record: &Record<'static>| record.transaction() == transaction(stan);
        mixed.world = mixed.world.without(is_its);
        let audit = mixed.fails("told to a gateway, but not in the journal");
        assert_eq!(audit.lost(), if stan == 1 { 2 } else { 1 }, "{audit}");
    }
}

#[test]
fn a_key_with_two_transactions_is_doubled() {
    let audit = Mixed::whole().begun_again(1, 1).fails("two transactions");
    assert!(audit.doubled() >= 1, "{audit}");
    // Also of a payment whose id was never told, to a gateway that was told nothing else.
    let mut mixed = Mixed::whole().begun_again(2, 2);
    mixed.acks = vec![line(2, Ended::Timeout), line(2, Ended::Disconnected)];
    let audit = mixed.fails("two transactions");
    assert!(audit.doubled() >= 1, "{audit}");
}

#[test]
fn a_payment_with_transactions_of_two_keys_is_doubled() {
    let surplus = "neither told to it nor unanswered";
    // Nothing was told of the first transaction, and its copy was told of the second one.
    let mixed = Mixed::whole().begun_again(2, 78);
    let audit = mixed.fails(surplus);
    assert_eq!(audit.doubled(), 1, "{audit}");
    assert!(audit.sums_are_equal(), "the sums alone would not show it");
    // Of two transactions one may stand for the payment that was never answered.
    let mut mixed = Mixed::whole().begun_again(2, 78);
    mixed.acks.remove(2);
    assert_eq!(mixed.fails(surplus).doubled(), 1);
    // Another payment of another amount, or that was refused, explains neither.
    mixed.acks.push(line(12, Ended::Timeout));
    mixed.acks.push(crate::gateway::Ack {
        amount: amount(2),
        ..line(11, Ended::Refused)
    });
    assert_eq!(mixed.fails(surplus).doubled(), 1);
    // One of the same amount does.
    mixed.acks.push(crate::gateway::Ack {
        amount: amount(2),
        ..line(13, Ended::Timeout)
    });
    let audit = mixed.audit();
    assert!(audit.passed(), "{audit}");
}

#[test]
fn what_iso_sent_and_was_not_told_is_no_surplus_of_a_gateway() {
    let mut mixed = Mixed::whole();
    mixed.world.acks.retain(|ack| ack.id != id(10));
    let audit = mixed.audit();
    assert!(audit.passed(), "{audit}");
}

#[test]
fn money_that_moved_twice_for_a_gateway_is_doubled() {
    let mut mixed = Mixed::whole();
    mixed.world.effects.push(effect(1, EffectKind::Approve));
    let audit = mixed.fails("moved more than once");
    assert_eq!(audit.doubled(), 1);
    assert!(!audit.sums_are_equal());
}

#[test]
fn what_is_told_otherwise_is_found() {
    let mut mixed = Mixed::whole();
    mixed.acks[0].amount = amount(2);
    mixed.fails("told to a gateway otherwise");
    let mut mixed = Mixed::whole();
    mixed.acks[3] = told(3, State::Declined, Some(b"61"));
    mixed.fails("told to a gateway otherwise");
    let mut mixed = Mixed::whole();
    mixed.acks[3] = told(3, State::Approved, None);
    mixed.fails("money of gateway and journal");
    // A reversal that was told and is owed to nobody.
    let mut mixed = Mixed::whole();
    mixed.acks.push(reversed(1, 0));
    mixed.fails("money of gateway and journal");
}

#[test]
fn an_approval_that_is_taken_back_is_a_contradiction() {
    for (first, second) in [
        (State::Approved, State::Declined),
        (State::Approved, State::Reversed),
        (State::Declined, State::Approved),
        (State::ReversalPending, State::Approved),
    ] {
        let mut mixed = Mixed::whole();
        mixed.acks.push(told(12, first, None));
        mixed.acks.push(told(12, second, None));
        mixed.fails("told two things");
    }
    let mut mixed = Mixed::whole();
    mixed.acks.push(told(1, State::Approved, Some(b"10")));
    mixed.fails("told two things");
    let mut mixed = Mixed::whole();
    mixed.acks[1].id = Some(transaction(9));
    mixed.fails("told two things");
    let mut mixed = Mixed::whole();
    let declined = crate::gateway::Ack {
        outcome: Ended::Unexpected,
        state: None,
        ..reversed(1, 0)
    };
    mixed.acks.push(declined);
    mixed.fails("reversal of a gateway was declined");
}

#[test]
fn what_a_gateway_was_never_told_is_counted_and_no_fault() {
    let mut mixed = Mixed::whole();
    mixed.acks.remove(2);
    let audit = mixed.audit();
    assert!(audit.passed(), "{audit}");
    let before = Mixed::whole().audit().unacknowledged;
    assert_eq!((audit.untold, audit.unacknowledged), (1, before + 1));
    assert_eq!(audit.sums[&404].untold, 200);
    // Its reversal was not answered, and took effect.
    let mut mixed = Mixed::whole();
    let lost = crate::gateway::Ack {
        outcome: Ended::Timeout,
        state: None,
        ..reversed(6, 0)
    };
    mixed.acks[7] = lost;
    let audit = mixed.audit();
    assert!(audit.passed(), "{audit}");
    assert_eq!(audit.untold, 1);
}

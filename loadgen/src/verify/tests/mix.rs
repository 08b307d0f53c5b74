//! Null controls of advices, completions and reversals in part.

use domain::record::{Acknowledged, AdviceOrigin, Advised, Completed, Extent, Tombstone};
use domain::request::{MessageKind, OriginalReference};

use super::*;

fn leg(stan: u32) -> IssuerLeg {
    let leg = leg_id(stan);
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: leg.stan,
        transmitted: leg.transmitted,
    }
}

fn advised(stan: u32, completes: Option<u32>) -> Record<'static> {
    Record::Advised(Advised {
        transaction: transaction(stan),
        admitted: NOW,
        facts: facts(stan),
        reported: None,
        origin: AdviceOrigin::Acquirer,
        leg: Some(leg(stan)),
        completes: completes.map(|original| Completed {
            transaction: transaction(original),
            class: MessageClass::Authorisation,
            kind: MessageKind::Request,
            stan: leg_id(original).stan,
            transmitted: leg_id(original).transmitted,
            local: leg_id(original).transmitted,
            extent: Extent::Other,
        }),
        is_over: false,
        answer: Acknowledged {
            code: ResponseCode::APPROVED,
            authorisation: AuthorisationId::EMPTY,
        },
        fields: &[],
    })
}

fn advice_done(stan: u32) -> Record<'static> {
    Record::AdviceDone(SafDone {
        transaction: transaction(stan),
        decided: NOW,
        result: SafResult::Acknowledged,
        code: None,
        attempts: 1,
    })
}

fn advice_ack(stan: u32, completes: Option<u32>) -> Ack {
    Ack {
        mti: Mti::FINANCIAL_ADVICE,
        authorisation: AuthorisationId::EMPTY,
        original: completes.map(id),
        ..ack(stan, Some(b"00"))
    }
}

/// 11 is completed by the advice 13, 12 by the request 16; 14 is an advice on its own, 20 one that
/// was reversed before it came; of 22 a part is reversed; 26 completed 24 and was reversed.
fn whole() -> World {
    let answered = OutcomeKind::Answered;
    let mut records = vec![advised(14, None), advice_done(14)];
    for stan in [11, 12, 22, 24] {
        records.extend([intent(stan), outcome(stan, answered, b"00")]);
    }
    records.extend([
        advised(13, Some(11)),
        advice_done(13),
        intent(16),
        outcome(16, answered, b"00"),
        Record::Tombstone(Tombstone {
            transaction: transaction(99),
            decided: NOW,
            acquirer: AcquirerId(0),
            slot: Slot(0),
            trace_key: TraceKey(0),
            key: DuplicateKey(99),
            original: OriginalReference {
                stan: id(20).stan,
                class: None,
                transmitted: None,
                rrn: id(20).rrn,
            },
        }),
        Record::SafOwed(SafOwed {
            transaction: transaction(22),
            decided: NOW,
            cause: ReversalCause::Requested,
            key: DuplicateKey(22),
            replacement: Some(Amount::new(700, Currency::KES).unwrap()),
            reason: None,
        }),
        done(22, SafResult::Acknowledged),
        advised(26, Some(24)),
        advice_done(26),
        owed(26),
        done(26, SafResult::Acknowledged),
    ]);
    World {
        acks: acks(),
        records,
        effects: effects(),
    }
}

fn acks() -> Vec<Ack> {
    vec![
        ack(11, Some(b"00")),
        advice_ack(13, Some(11)),
        ack(12, Some(b"00")),
        Ack {
            mti: Mti::FINANCIAL_COMPLETION,
            original: Some(id(12)),
            ..ack(16, Some(b"00"))
        },
        advice_ack(14, None),
        advice_ack(20, None),
        reversal_ack(20, Some(b"00")),
        ack(22, Some(b"00")),
        Ack {
            stays: 700,
            ..reversal_ack(22, Some(b"00"))
        },
        ack(24, Some(b"00")),
        advice_ack(26, Some(24)),
        reversal_ack(26, Some(b"00")),
    ]
}

fn effects() -> Vec<Effect> {
    let mut effects = Vec::new();
    for stan in [11, 12, 13, 14, 16, 22, 24, 26] {
        effects.push(effect(stan, EffectKind::Approve));
    }
    for stan in [11, 12, 24] {
        effects.push(effect(stan, EffectKind::Release));
    }
    effects.push(Effect {
        amount: Amount::new(2_200 - 700, Currency::KES).unwrap(),
        ..effect(22, EffectKind::Reverse)
    });
    effects.push(effect(26, EffectKind::Reverse));
    effects.push(effect(24, EffectKind::Hold));
    effects
}

fn is_of(record: &Record<'_>, stan: u32) -> bool {
    record.transaction() == transaction(stan)
}

#[test]
fn a_completion_stands_in_the_place_of_what_it_completes() {
    let audit = whole().audit();
    assert!(audit.passed(), "{audit}");
    // 13 for 11; 14, 16 for 12, what stays of 22, and 24 again.
    assert_eq!(audit.sums[&800].journal, 1_300);
    assert_eq!(audit.sums[&404].journal, 1_400 + 1_600 + 700 + 2_400);
    assert_eq!(audit.untold, 0);
}

#[test]
fn an_acknowledged_advice_that_is_nowhere_is_lost() {
    for stan in [13, 14] {
        let world = whole().without(|record| is_of(record, stan));
        assert!(fails(&world, "not in the journal").lost() >= 1);
    }
    // Only a reversal that came first explains it.
    let mut world = whole();
    world.acks.retain(|ack| ack.original != Some(id(20)));
    fails(&world, "not in the journal");
    let world = whole().without(|record| matches!(record, Record::Tombstone(_)));
    fails(&world, "not in the journal");
}

#[test]
fn an_advice_that_never_reached_its_issuer_is_found() {
    for stan in [13, 14] {
        let mut world = whole();
        world.effects.retain(|one| one.id != leg_id(stan));
        fails(&world, "money of issuers and journal");
        let world = whole()
            .without(|record| matches!(record, Record::AdviceDone(_) if is_of(record, stan)));
        fails(&world, "still owed");
    }
}

#[test]
fn an_advice_and_a_completion_that_took_effect_twice_are_doubled() {
    for stan in [13, 14, 16] {
        let mut world = whole();
        world.effects.push(effect(stan, EffectKind::Approve));
        assert!(fails(&world, "more than once at issuers").doubled() >= 1);
    }
}

#[test]
fn a_completion_beside_what_it_completes_is_found() {
    let mut world = whole();
    let release = |one: &Effect| one.kind == EffectKind::Release && one.id == leg_id(11);
    world.effects.retain(|one| !release(one));
    fails(&world, "money of issuers and journal");
    fails(&world, "sums");
}

#[test]
fn a_completion_of_another_transaction_is_found() {
    for other in [None, Some(22)] {
        let mut world = whole();
        for record in &mut world.records {
            if is_of(record, 13) && matches!(record, Record::Advised(_)) {
                *record = advised(13, other);
            }
        }
        fails(&world, "another one than it names");
    }
}

#[test]
fn a_completion_of_what_was_approved_is_not_declined_for_its_original() {
    for code in [b"25", b"94", b"12", b"13"] {
        let mut world = whole().without(|record| is_of(record, 16));
        for ack in &mut world.acks {
            if ack.id == id(16) {
                ack.code = Some(ResponseCode::new(code).unwrap());
                ack.authorisation = AuthorisationId::EMPTY;
            }
        }
        fails(&world, "completes what was approved");
        // Who has reversed it is told 94 whatever it names.
        world.acks.push(reversal_ack(16, Some(b"00")));
        let denied = world.audit();
        let mut denied = denied.checks.iter();
        let denied = denied.find(|check| check.name.contains("completes what was approved"));
        assert_eq!(denied.unwrap().count, u64::from(code != b"94"), "{code:?}");
    }
}

#[test]
fn a_reversal_is_acknowledged_and_never_declined() {
    for code in [b"13", b"25", b"12", b"94"] {
        let mut world = World::whole();
        world.acks.push(reversal_ack(2, Some(code)));
        fails(&world, "its reversal was declined");
        // That a further copy is acknowledged does not heal it.
        world.acks.push(reversal_ack(2, Some(b"00")));
        fails(&world, "its reversal was declined");
    }
    // A lost answer, or one that says that there was no room, is followed by another.
    for code in [None, Some(b"96"), Some(b"30")] {
        let mut world = World::whole();
        world.acks.push(reversal_ack(2, code));
        let audit = world.audit();
        assert!(audit.passed(), "{audit}");
        assert_eq!(audit.unread, u64::from(code == Some(b"30")));
    }
}

#[test]
fn what_a_campaign_must_have_offered_is_counted() {
    let audit = whole().audit();
    // 13 for 11, 16 for 12; 26 was taken back.
    assert_eq!(audit.completed, 2);
    assert_eq!(audit.advised, 3);
    assert_eq!((audit.reversed, audit.reversed_in_part), (2, 1));
    let audit = World::whole().audit();
    assert_eq!((audit.completed, audit.advised), (0, 0));
    assert_eq!(audit.reversed_in_part, 0);
}

/// The tombstone of 20, changed.
fn entombed(change: impl Fn(&mut Tombstone)) -> World {
    let mut world = whole();
    for record in &mut world.records {
        if let Record::Tombstone(tombstone) = record {
            change(tombstone);
        }
    }
    world
}

#[test]
fn a_tombstone_excuses_the_advice_that_it_names_and_no_other() {
    for transmitted in [None, Some(id(20).transmitted)] {
        let world = entombed(|tombstone| tombstone.original.transmitted = transmitted);
        assert!(world.audit().passed());
    }
    let other = TransmissionTime::from_digits(b"0115101501").unwrap();
    let world = entombed(|tombstone| tombstone.original.transmitted = Some(other));
    assert!(fails(&world, "not in the journal").lost() >= 1);
}

#[test]
fn a_tombstone_behind_the_acknowledgement_excuses_nothing() {
    let after = |millis| WallTime::from_unix_millis(NOW.unix_millis() + millis);
    let world = entombed(|tombstone| tombstone.decided = after(1_500));
    assert!(fails(&world, "not in the journal").lost() >= 1);
    // Two clocks differ a little.
    assert!(
        entombed(|tombstone| tombstone.decided = after(100))
            .audit()
            .passed()
    );
    // Nobody had read an acknowledgement before it; a refusal is none.
    let mut world = entombed(|tombstone| tombstone.decided = after(1_500));
    for ack in &mut world.acks {
        if ack.id == id(20) {
            ack.at = after(2_000);
        }
    }
    world.acks.insert(
        0,
        Ack {
            code: Some(ResponseCode::MALFUNCTION),
            ..advice_ack(20, None)
        },
    );
    assert!(world.audit().passed());
}

#[test]
fn a_completion_whose_answer_was_lost_is_explained() {
    let mut world = whole();
    for ack in &mut world.acks {
        if ack.id == id(13) {
            ack.code = None;
        }
    }
    let audit = world.audit();
    assert!(audit.passed(), "{audit}");
    // The one that it was told is 11; that 13 stands for it, it was not.
    assert_eq!(audit.untold, 2);
    assert_eq!(audit.sums[&800].untold, 1_300 - 1_100);
}

#[test]
fn what_a_reversal_leaves_must_be_the_same_everywhere() {
    let mut world = whole();
    for ack in &mut world.acks {
        if ack.stays > 0 {
            ack.stays = 600;
        }
    }
    fails(&world, "money of acquirer and journal");
}

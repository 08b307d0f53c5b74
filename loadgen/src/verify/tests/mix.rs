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
fn a_completion_of_what_was_approved_is_not_told_that_it_is_unknown() {
    let mut world = whole().without(|record| is_of(record, 16));
    for ack in &mut world.acks {
        if ack.id == id(16) {
            ack.code = Some(ResponseCode::ORIGINAL_NOT_FOUND);
            ack.authorisation = AuthorisationId::EMPTY;
        }
    }
    fails(&world, "was told 25");
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

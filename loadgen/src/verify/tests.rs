//! Null controls: the audit of books that agree finds nothing, and each damage to one is found.

use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, AuthorisationId, InstitutionId, IssuerId, LinkId, MerchantId, RouteId, Rrn, Slot,
    Stan, TerminalId, TransactionId,
};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::record::{
    Intent, Outcome, OutcomeKind, Record, RefusalReason, Refused, ReversalCause, SafDone, SafOwed,
    SafResult,
};
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, IssuerLeg, MessageClass, Trace, TraceKey,
};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use iso8583::Mti;

use super::*;
use crate::acks::Ack;
use crate::issuer::Effect;
use crate::issuer::book::EffectKind;
use crate::trace_id::TraceId;

mod gateway;
mod mix;

const NOW: WallTime = WallTime::from_unix_millis(1_768_472_100_000);

fn id(stan: u32) -> TraceId {
    TraceId {
        stan: Stan::new(stan).unwrap(),
        transmitted: TransmissionTime::from_digits(b"0115101500").unwrap(),
        rrn: Rrn::new("DE37", format!("{:012}", stan % 1_000).as_bytes()).unwrap(),
        terminal: TerminalId::new("DE41", b"KE000007").unwrap(),
    }
}

/// The same request on the issuer's leg.
fn leg_id(stan: u32) -> TraceId {
    TraceId {
        stan: Stan::new(stan + 500_000).unwrap(),
        ..id(stan)
    }
}

fn transaction(stan: u32) -> TransactionId {
    TransactionId(u128::from(stan) + 1_000_000)
}

fn amount(stan: u32) -> Amount {
    let currency = if stan.is_multiple_of(2) {
        Currency::KES
    } else {
        Currency::UGX
    };
    Amount::new(u64::from(stan) * 100, currency).unwrap()
}

fn facts(stan: u32) -> Facts {
    let id = id(stan);
    Facts {
        acquirer: AcquirerId(0),
        class: MessageClass::Financial,
        slot: Slot(0),
        key: DuplicateKey(u128::from(stan)),
        content: ContentHash(0),
        trace_key: TraceKey(0),
        account: Account {
            token: PanToken([0; 16]),
            token_key: TokenKeyId::FIRST,
            masked: MaskedPan {
                len: 16,
                first: *b"411111",
                last: *b"1111",
            },
            sealed: SealedPan {
                key_id: 0,
                nonce: [0; 12],
                ciphertext: [0; 20],
                tag: [0; 16],
            },
        },
        amount: amount(stan),
        processing_code: Text::EMPTY,
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        trace: Trace {
            stan: id.stan,
            transmitted: id.transmitted,
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: id.rrn,
            terminal: id.terminal,
            merchant: MerchantId::EMPTY,
            institution: InstitutionId::EMPTY,
        },
    }
}

fn intent(stan: u32) -> Record<'static> {
    let leg = leg_id(stan);
    Record::Intent(Intent {
        transaction: transaction(stan),
        admitted: NOW,
        facts: facts(stan),
        leg: IssuerLeg {
            route: RouteId(0),
            candidate: 0,
            issuer: IssuerId(0),
            link: LinkId(0),
            stan: leg.stan,
            transmitted: leg.transmitted,
        },
        asked_until: None,
    })
}

fn outcome(stan: u32, kind: OutcomeKind, code: &[u8; 2]) -> Record<'static> {
    let code = ResponseCode::new(code).unwrap();
    let mut answer = Answer::of(code);
    if code.is_approval() {
        answer.authorisation = AuthorisationId::new("DE38", b"A1B2C3").unwrap();
    }
    Record::Outcome(Outcome {
        transaction: transaction(stan),
        decided: NOW,
        kind,
        answer,
        issuer_code: None,
    })
}

fn owed(stan: u32) -> Record<'static> {
    Record::SafOwed(SafOwed {
        reason: None,
        transaction: transaction(stan),
        decided: NOW,
        cause: ReversalCause::Timeout,
        key: DuplicateKey(0),
        replacement: None,
    })
}

fn done(stan: u32, result: SafResult) -> Record<'static> {
    Record::SafDone(SafDone {
        transaction: transaction(stan),
        decided: NOW,
        result,
        code: None,
        attempts: 1,
    })
}

fn ack(stan: u32, code: Option<&[u8; 2]>) -> Ack {
    let code = code.map(|code| ResponseCode::new(code).unwrap());
    let authorisation = if code.is_some_and(ResponseCode::is_approval) {
        AuthorisationId::new("DE38", b"A1B2C3").unwrap()
    } else {
        AuthorisationId::EMPTY
    };
    Ack {
        mti: Mti::FINANCIAL_REQUEST,
        id: id(stan),
        code,
        authorisation,
        amount: amount(stan),
        at: NOW,
        original: None,
        stays: 0,
    }
}

fn reversal_ack(stan: u32, code: Option<&[u8; 2]>) -> Ack {
    Ack {
        mti: Mti::REVERSAL_ADVICE,
        id: TraceId {
            stan: Stan::new(stan + 100_000).unwrap(),
            ..id(stan)
        },
        authorisation: AuthorisationId::EMPTY,
        original: Some(id(stan)),
        ..ack(stan, code)
    }
}

fn effect(stan: u32, kind: EffectKind) -> Effect {
    Effect {
        kind,
        id: leg_id(stan),
        amount: amount(stan),
    }
}

/// Everything that was written, so that a test may damage it.
struct World {
    acks: Vec<Ack>,
    records: Vec<Record<'static>>,
    effects: Vec<Effect>,
}

impl World {
    /// One transaction of each fate:
    /// 1, 2 approved; 3 declined by the issuer; 4 declined by the switch; 5 timed out, approved too
    /// late and reversed; 6 approved and reversed by the acquirer; 7 refused (96); 8 not sent; 9
    /// reversed by the acquirer while it waited; 10 shed, then approved as a repeat.
    fn whole() -> Self {
        let answered = OutcomeKind::Answered;
        let records = vec![
            intent(1),
            outcome(1, answered, b"00"),
            intent(2),
            outcome(2, answered, b"00"),
            intent(3),
            outcome(3, answered, b"51"),
            Record::Refused(Refused {
                transaction: transaction(4),
                admitted: NOW,
                facts: facts(4),
                code: ResponseCode::EXCEEDS_AMOUNT_LIMIT,
                reason: RefusalReason::AmountLimit,
            }),
            intent(5),
            outcome(5, OutcomeKind::TimedOut, b"91"),
            owed(5),
            done(5, SafResult::Acknowledged),
            intent(6),
            outcome(6, answered, b"00"),
            owed(6),
            done(6, SafResult::Acknowledged),
            intent(8),
            outcome(8, OutcomeKind::NotSent, b"91"),
            intent(9),
            outcome(9, OutcomeKind::AcquirerReversed, b"94"),
            owed(9),
            done(9, SafResult::Acknowledged),
            intent(10),
            outcome(10, answered, b"00"),
        ];
        let acks = vec![
            ack(1, Some(b"00")),
            ack(2, Some(b"00")),
            ack(3, Some(b"51")),
            ack(4, Some(b"61")),
            ack(5, Some(b"91")),
            ack(6, Some(b"00")),
            reversal_ack(6, Some(b"00")),
            ack(7, Some(b"96")),
            ack(8, Some(b"91")),
            reversal_ack(9, Some(b"00")),
            ack(9, None),
            ack(10, Some(b"96")),
            ack(10, Some(b"00")),
        ];
        let effects = vec![
            effect(1, EffectKind::Approve),
            effect(2, EffectKind::Approve),
            effect(5, EffectKind::Approve),
            effect(5, EffectKind::Reverse),
            effect(6, EffectKind::Approve),
            effect(6, EffectKind::Reverse),
            effect(9, EffectKind::Approve),
            effect(9, EffectKind::Reverse),
            effect(10, EffectKind::Approve),
        ];
        Self {
            acks,
            records,
            effects,
        }
    }

    fn audit(&self) -> Audit {
        self.audit_with(&GatewayBook::default())
    }

    fn audit_with(&self, gateway: &GatewayBook) -> Audit {
        let (mut acquirer, mut journal) = (AcquirerBook::default(), JournalBook::default());
        let mut ledgers = LedgerBook::default();
        self.acks.iter().for_each(|ack| acquirer.fold(ack));
        self.records.iter().for_each(|record| journal.fold(record));
        self.effects.iter().for_each(|effect| ledgers.fold(effect));
        let acquirers = Acquirers {
            iso: &acquirer,
            gateway,
        };
        Audit::of(acquirers, &journal, Some(&ledgers), None)
    }

    fn without(mut self, unwanted: impl Fn(&Record<'static>) -> bool) -> Self {
        let before = self.records.len();
        self.records.retain(|record| !unwanted(record));
        assert!(self.records.len() < before, "the damage hits something");
        self
    }
}

#[track_caller]
fn fails(world: &World, check: &str) -> Audit {
    let audit = world.audit();
    assert!(!audit.passed(), "the damage was not found");
    let found = audit.checks.iter().find(|one| one.name.contains(check));
    let found = found.unwrap_or_else(|| panic!("there is no check `{check}`"));
    assert!(found.count > 0, "{audit}");
    audit
}

#[test]
fn books_that_agree_pass() {
    let audit = World::whole().audit();
    assert!(audit.passed(), "{audit}");
    assert!(audit.sums_are_equal());
    assert_eq!((audit.lost(), audit.doubled()), (0, 0));
    assert_eq!(audit.reversed, 3);
    assert_eq!(audit.refused, 1);
    assert_eq!(audit.currencies(), "KES UGX");
    // 2 and 10 in shillings of Kenya, 1 in those of Uganda.
    assert_eq!(audit.sums[&404].journal, 1_200);
    assert_eq!(audit.sums[&800].issuers, Some(100));
}

#[test]
fn an_acknowledged_transaction_that_is_not_in_the_journal_is_lost() {
    let world = World::whole().without(|record| record.transaction() == transaction(1));
    let audit = fails(&world, "not in the journal");
    assert!(audit.lost() >= 1);
    fails(&world, "without an intent");
    fails(&world, "sums");
}

#[test]
fn a_transaction_that_is_in_the_journal_twice_is_doubled() {
    let mut world = World::whole();
    for record in [intent(1), outcome(1, OutcomeKind::Answered, b"00")] {
        world.records.push(match record {
            Record::Intent(intent) => Record::Intent(Intent {
                transaction: TransactionId(77),
                ..intent
            }),
            Record::Outcome(outcome) => Record::Outcome(Outcome {
                transaction: TransactionId(77),
                ..outcome
            }),
            other => other,
        });
    }
    assert!(fails(&world, "more than one transaction").doubled() >= 1);
}

#[test]
fn a_second_effect_at_an_issuer_is_doubled() {
    let mut world = World::whole();
    world.effects.push(effect(2, EffectKind::Approve));
    assert!(fails(&world, "more than once at issuers").doubled() >= 1);
    fails(&world, "sums");
}

#[test]
fn a_second_effect_that_was_taken_back_is_doubled_all_the_same() {
    let mut world = World::whole();
    world.effects.push(effect(2, EffectKind::Approve));
    world.effects.push(effect(2, EffectKind::Reverse));
    let audit = fails(&world, "more than once at issuers");
    assert!(audit.sums_are_equal(), "the sums alone would not show it");
}

#[test]
fn a_reversal_that_did_not_arrive_is_found() {
    let mut world = World::whole();
    world
        .effects
        .retain(|one| one.id != leg_id(5) || one.kind == EffectKind::Approve);
    fails(&world, "money of issuers and journal");
    let world = World::whole().without(
        |record| matches!(record, Record::SafDone(done) if done.transaction == transaction(5)),
    );
    let audit = fails(&world, "still owed");
    assert_eq!(audit.reversals_owed, 1);
    let world = World::whole().without(
        |record| matches!(record, Record::SafDone(done) if done.transaction == transaction(5)),
    );
    let mut world = world;
    world.records.push(done(5, SafResult::Expired));
    fails(&world, "exceptions");
}

#[test]
fn an_intent_without_an_outcome_and_a_second_sending_are_found() {
    let world = World::whole().without(|record| {
        matches!(record, Record::Outcome(outcome) if outcome.transaction == transaction(3))
    });
    fails(&world, "without an outcome");
    let mut world = World::whole();
    world.records.push(intent(3));
    fails(&world, "contradict");
    let mut world = World::whole();
    // After an outcome that nothing was sent, the next candidate may be tried.
    world.records.push(intent(8));
    world.records.push(outcome(8, OutcomeKind::NotSent, b"91"));
    assert!(world.audit().passed());
}

#[test]
fn an_answer_that_differs_from_the_journal_is_found() {
    let damage = |change: fn(&mut Ack)| {
        let mut world = World::whole();
        change(&mut world.acks[0]);
        fails(&world, "told otherwise");
    };
    damage(|ack| ack.code = Some(ResponseCode::DO_NOT_HONOUR));
    damage(|ack| ack.amount = Amount::new(101, Currency::UGX).unwrap());
    damage(|ack| ack.authorisation = AuthorisationId::new("DE38", b"XXXXXX").unwrap());
}

#[test]
fn two_different_answers_are_found_and_a_refusal_before_the_answer_is_not_one() {
    let mut world = World::whole();
    world.acks.push(ack(1, Some(b"51")));
    fails(&world, "two different things");
}

#[test]
fn a_reversal_that_was_acknowledged_must_be_in_the_journal() {
    let world = World::whole().without(|record| {
        record.transaction() == transaction(6)
            && matches!(record, Record::SafOwed(_) | Record::SafDone(_))
    });
    fails(&world, "money of acquirer and journal");
}

#[test]
fn a_refusal_that_was_processed_all_the_same_is_found() {
    let mut world = World::whole();
    world
        .records
        .extend([intent(7), outcome(7, OutcomeKind::Answered, b"00")]);
    world.effects.push(effect(7, EffectKind::Approve));
    fails(&world, "told otherwise");
}

#[test]
fn an_answer_that_was_lost_on_the_way_is_explained() {
    let mut world = World::whole();
    world.acks[0] = ack(1, None);
    let audit = world.audit();
    assert!(audit.passed(), "{audit}");
    assert_eq!(audit.unacknowledged, 2);
    assert_eq!(audit.sums[&800].untold, 100);
    assert_eq!(audit.untold, 1, "the other one moved no money");
    let told = audit.sums_in_words();
    assert_eq!(
        told,
        "sums equal but for 1 that the acquirer was never told of (UGX 100)"
    );
    assert!(
        audit
            .to_string()
            .contains("1 with money that the acquirer was never told of")
    );
    world.acks.remove(0);
    assert!(world.audit().passed(), "by hand, or by another acquirer");
    assert_eq!(World::whole().audit().sums_in_words(), "sums equal");
}

/// The journal and the issuer agree on half of what was asked for.
fn halved(mut world: World) -> World {
    let half = Amount::new(50, Currency::UGX).unwrap();
    for record in &mut world.records {
        if let Record::Outcome(outcome) = record
            && outcome.transaction == transaction(1)
        {
            outcome.answer.amount = Some(half);
        }
    }
    world.effects[0].amount = half;
    world
}

#[test]
fn money_that_was_never_told_is_all_that_was_asked_for_or_nothing() {
    fails(&halved(World::whole()), "money of acquirer and journal");
    let mut world = halved(World::whole());
    world.acks[0] = ack(1, None);
    let audit = fails(&world, "neither all nor nothing");
    assert!(audit.sums_are_equal(), "the sums alone would not show it");
    world.acks.remove(0);
    fails(&world, "neither all nor nothing");
}

#[test]
fn money_that_was_never_told_is_what_the_issuer_has() {
    let mut world = World::whole();
    world.acks[0] = ack(1, None);
    world.effects.remove(0);
    fails(&world, "money of issuers and journal");
    fails(&world, "sums");
}

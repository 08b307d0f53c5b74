//! The entries of single transactions, written out.

use domain::network::SettlementDate;

use super::*;

const NOON: WallTime = WallTime::from_unix_millis(1_767_268_800_000);
const ONE: TransactionId = TransactionId(1);

fn between(kind: Kind) -> Between {
    Between {
        acquirer: AcquirerId(0),
        issuer: IssuerId(1),
        kind,
        asked: Amount::new(1000, Currency::KES).unwrap(),
    }
}

fn moved(lsn: u64, between: Option<Between>, what: What) -> Step {
    Step::Move(Move {
        lsn: Lsn(lsn),
        transaction: ONE,
        at: NOON,
        between,
        what,
    })
}

fn approved(amount: Option<u64>) -> What {
    What::Approved(amount, None)
}

fn day(offset: u32) -> SettlementDate {
    SettlementDate::from_days(SettlementDate::at(NOON).days() + offset)
}

fn begin(party: Party, date: SettlementDate) -> Step {
    Step::Day(BusinessDay {
        transaction: TransactionId(9),
        noted: NOON,
        party,
        date,
        before: None,
        closed: None,
        is_kept: true,
    })
}

fn fees(basis_points: u16) -> Fees {
    Fees {
        basis_points: vec![basis_points],
    }
}

/// Posts `steps` and compares account, day and amount of each entry.
#[track_caller]
fn check(steps: Vec<Step>, fees: &Fees, expected: &[(Book, u32, i64)]) -> Posted {
    let ledger = Ledger { steps };
    let posted = ledger.post(&mut Calendar::default(), HashMap::new(), fees);
    let found = posted.postings.iter().map(|posting| {
        let days = posting.date.days() - day(0).days();
        (posting.account, days, posting.amount)
    });
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let mut sums: HashMap<SettlementDate, i64> = HashMap::new();
    for (place, posting) in posted.postings.iter().enumerate() {
        assert_eq!(usize::from(posting.entry), place + 1, "entries are counted");
        *sums.entry(posting.date).or_default() += posting.amount;
    }
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
    posted
}

const POS: Book = Book::Acquirer(AcquirerId(0));
const BANK: Book = Book::Issuer(IssuerId(1));
const FEE: Book = Book::Fee(AcquirerId(0));

#[test]
fn a_purchase_is_due_to_the_acquirer_and_a_refund_to_the_issuer() {
    let one = |kind, what| vec![moved(1, Some(between(kind)), what)];
    let none = fees(0);
    check(
        one(Kind::Debit, approved(None)),
        &none,
        &[(POS, 0, 1000), (BANK, 0, -1000)],
    );
    check(
        one(Kind::Debit, approved(Some(700))),
        &none,
        &[(POS, 0, 700), (BANK, 0, -700)],
    );
    check(
        one(Kind::Credit, approved(None)),
        &fees(50),
        &[(POS, 0, -1000), (BANK, 0, 1000)],
    );
    for kind in [Kind::Transfer, Kind::Inquiry, Kind::Authorisation] {
        check(one(kind, approved(None)), &none, &[]);
    }
    check(one(Kind::Debit, approved(Some(0))), &none, &[]);
}

#[test]
fn a_reversal_takes_back_what_stands_and_no_more() {
    let debit = Some(between(Kind::Debit));
    let steps = vec![
        moved(1, debit, approved(None)),
        moved(2, debit, What::TakenBack(400)),
        moved(3, debit, What::TakenBack(400)),
        moved(4, debit, What::TakenBack(0)),
        moved(5, debit, What::TakenBack(0)),
    ];
    let entries = [
        (POS, 0, 1000),
        (BANK, 0, -1000),
        (POS, 0, -600),
        (BANK, 0, 600),
        (POS, 0, -400),
        (BANK, 0, 400),
    ];
    let posted = check(steps, &fees(0), &entries);
    let stands = posted.standing.get(&ONE).unwrap();
    assert_eq!((stands.amount, stands.entries), (0, 6));
    check(vec![moved(1, debit, What::TakenBack(0))], &fees(0), &[]);
}

//= docs/rules.md#B-06
/// 1,000 are asked for and 300 approved.
#[test]
fn a_partial_approval_stands_with_what_was_approved_and_goes_back_to_nothing() {
    let debit = Some(between(Kind::Debit));
    let steps = |stays: &[u64]| {
        let mut steps = vec![moved(1, debit, approved(Some(300)))];
        for (stays, lsn) in stays.iter().zip(2..) {
            steps.push(moved(lsn, debit, What::TakenBack(*stays)));
        }
        steps
    };
    let entries = [
        (POS, 0, 300),
        (BANK, 0, -300),
        (POS, 0, -300),
        (BANK, 0, 300),
    ];
    let posted = check(steps(&[0]), &fees(0), &entries);
    assert_eq!(posted.standing.get(&ONE).unwrap().amount, 0);
    // What would stay is more than what stands.
    let posted = check(steps(&[400]), &fees(0), &entries[..2]);
    assert_eq!(posted.standing.get(&ONE).unwrap().amount, 300);
    let entries = [
        (POS, 0, 300),
        (BANK, 0, -300),
        (POS, 0, -200),
        (BANK, 0, 200),
        (POS, 0, -100),
        (BANK, 0, 100),
    ];
    check(steps(&[100, 0]), &fees(0), &entries);
}

#[test]
fn a_fee_is_of_purchases_and_goes_back_in_proportion() {
    let debit = Some(between(Kind::Debit));
    let steps = vec![
        moved(1, debit, approved(Some(999))),
        moved(2, debit, What::TakenBack(333)),
        moved(3, debit, What::TakenBack(0)),
    ];
    let entries = [
        (POS, 0, 999),
        (BANK, 0, -999),
        // 1.5 per cent of 999 is 14.985.
        (POS, 0, -15),
        (FEE, 0, 15),
        (POS, 0, -666),
        (BANK, 0, 666),
        (POS, 0, 10),
        (FEE, 0, -10),
        (POS, 0, -333),
        (BANK, 0, 333),
        (POS, 0, 5),
        (FEE, 0, -5),
    ];
    check(steps, &fees(150), &entries);
}

#[test]
fn two_days_are_joined_by_transit() {
    let debit = Some(between(Kind::Debit));
    let (pos, bank) = (Party::Acquirer(AcquirerId(0)), Party::Issuer(IssuerId(1)));
    let steps = vec![
        begin(bank, day(1)),
        moved(2, debit, approved(None)),
        begin(pos, day(1)),
        moved(4, debit, What::TakenBack(0)),
    ];
    let entries = [
        (POS, 0, 1000),
        (BANK, 1, -1000),
        (Book::Transit, 0, -1000),
        (Book::Transit, 1, 1000),
        (POS, 1, -1000),
        (BANK, 1, 1000),
    ];
    check(steps, &fees(0), &entries);
    let named = What::Approved(None, Some(day(2)));
    let steps = vec![begin(bank, day(1)), moved(2, debit, named)];
    check(steps, &fees(0), &[(POS, 2, 1000), (BANK, 2, -1000)]);
}

#[test]
fn what_the_batch_does_not_say_is_asked_for() {
    let debit = Some(between(Kind::Debit));
    let mut ledger = Ledger {
        steps: vec![
            moved(1, debit, approved(None)),
            moved(2, debit, What::TakenBack(0)),
        ],
    };
    assert_eq!(ledger.unknown(), []);
    ledger.keep_moves(|lsn| lsn > Lsn(1));
    assert_eq!(
        ledger.unknown(),
        [ONE],
        "its approval is in the books already"
    );
    let found = Account {
        between: between(Kind::Debit),
        standing: Some(Standing {
            amount: 1000,
            fee: 0,
            entries: 2,
        }),
    };
    let accounts = HashMap::from([(ONE, found)]);
    let posted = ledger.post(&mut Calendar::default(), accounts, &fees(0));
    let entries: Vec<_> = posted
        .postings
        .iter()
        .map(|p| (p.entry, p.amount))
        .collect();
    assert_eq!(entries, [(3, -1000), (4, 1000)]);
    let orphan = Ledger {
        steps: vec![moved(1, None, approved(None))],
    };
    assert_eq!(orphan.unknown(), [ONE]);
    let posted = orphan.post(&mut Calendar::default(), HashMap::new(), &fees(0));
    assert_eq!(posted.postings, []);
}

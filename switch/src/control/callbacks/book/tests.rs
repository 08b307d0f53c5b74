//! Tests of `book`.

use domain::ids::{InstitutionId, LinkId, MerchantId, RouteId, Rrn, Slot, TerminalId};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::record::{Intent, ReversalCause};
use domain::request::{Answer, ContentHash, DuplicateKey, MessageClass, Trace, TraceKey};
use domain::time::TransmissionTime;

use super::*;

const URL: &str = "https://gateway.example/hooks";

fn issuer(_: IssuerId) -> String {
    "momo".to_owned()
}

fn intent() -> Intent {
    let trace = Trace {
        stan: Stan::default(),
        transmitted: TransmissionTime::default(),
        local_time: Text::EMPTY,
        local_date: Text::EMPTY,
        rrn: Rrn::EMPTY,
        terminal: TerminalId::EMPTY,
        merchant: MerchantId::EMPTY,
        institution: InstitutionId::EMPTY,
    };
    let account = Account {
        token_key: TokenKeyId::FIRST,
        token: PanToken([9; 16]),
        masked: MaskedPan {
            len: 12,
            first: *b"254712",
            last: *b"5678",
        },
        sealed: SealedPan {
            key_id: 1,
            nonce: [0; 12],
            ciphertext: [0; 20],
            tag: [0; 16],
        },
    };
    Intent {
        transaction: TransactionId::from_shown("01a1fae5-9c1c-7b1a-8f00-0a0000000421").unwrap(),
        admitted: WallTime::from_unix_millis(1_795_297_141_000),
        facts: Facts {
            acquirer: AcquirerId(3),
            class: MessageClass::Financial,
            slot: Slot(0),
            key: DuplicateKey(0),
            content: ContentHash(0),
            trace_key: TraceKey(0),
            account,
            amount: Amount::new(700, Currency::KES).unwrap(),
            processing_code: Text::new("DE3", b"000000").unwrap(),
            merchant_category: Text::EMPTY,
            entry_mode: Text::EMPTY,
            trace,
        },
        leg: IssuerLeg {
            route: RouteId(0),
            candidate: 0,
            issuer: IssuerId(0),
            link: LinkId(0),
            stan: Stan::new(421).unwrap(),
            transmitted: TransmissionTime::default(),
        },
        asked_until: None,
    }
}

/// A book that has had the intent of a payment.
fn begun() -> (Book, Intent) {
    let intent = intent();
    let mut book = Book::default();
    let said = (&Record::Intent(intent), Some(URL));
    assert_eq!(book.take(intent.facts.acquirer, said, issuer), 0);
    (book, intent)
}

fn take(book: &mut Book, intent: &Intent, record: &Record<'_>) {
    let forgotten = book.take(intent.facts.acquirer, (record, None), issuer);
    assert_eq!(forgotten, 0);
}

fn outcome(intent: &Intent, kind: OutcomeKind, code: &[u8; 2]) -> Record<'static> {
    Record::Outcome(Outcome {
        transaction: intent.transaction,
        decided: intent.admitted.after(std::time::Duration::from_secs(1)),
        kind,
        answer: Answer::of(ResponseCode::new(code).unwrap()),
        issuer_code: None,
    })
}

fn owed(intent: &Intent, left: Option<u64>) -> Record<'static> {
    let currency = intent.facts.amount.currency();
    Record::SafOwed(SafOwed {
        transaction: intent.transaction,
        decided: intent.admitted.after(std::time::Duration::from_secs(2)),
        cause: ReversalCause::Requested,
        key: DuplicateKey(1),
        replacement: left.map(|left| Amount::new(left, currency).unwrap()),
        reason: None,
    })
}

fn done(intent: &Intent, result: SafResult) -> Record<'static> {
    Record::SafDone(SafDone {
        transaction: intent.transaction,
        decided: intent.admitted.after(std::time::Duration::from_secs(3)),
        result,
        code: None,
        attempts: 1,
    })
}

/// Id and state of each message that is due.
fn due(book: &mut Book) -> Vec<(String, String)> {
    let messages = book.due(u64::MAX, 100);
    let of = |message: Message| {
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["final"], true);
        assert!(body["updatedAt"].is_string());
        assert_eq!(message.url, URL);
        (message.id, body["state"].as_str().unwrap().to_owned())
    };
    messages.into_iter().map(of).collect()
}

#[test]
fn an_approval_is_told_and_its_reversal_too() {
    let (mut book, intent) = begun();
    let id = intent.transaction;
    assert_eq!((book.owed(), due(&mut book)), (1, vec![]));
    take(
        &mut book,
        &intent,
        &outcome(&intent, OutcomeKind::Answered, b"00"),
    );
    assert_eq!(due(&mut book), [(format!("{id}-1"), "approved".to_owned())]);
    assert_eq!(due(&mut book), [], "it is being sent");
    let fate = book.ended(&format!("{id}-1"), Ended::Delivered, 0, 0);
    assert_eq!((fate, book.owed()), (Fate::Delivered, 0));
    take(&mut book, &intent, &owed(&intent, None));
    assert_eq!((book.owed(), due(&mut book)), (1, vec![]));
    take(&mut book, &intent, &done(&intent, SafResult::Acknowledged));
    assert_eq!(due(&mut book), [(format!("{id}-2"), "reversed".to_owned())]);
    assert!(book.watched.is_empty(), "nothing further can come");
}

#[test]
fn what_ends_otherwise_is_told_once() {
    for (kind, code, expected) in [
        (OutcomeKind::Answered, b"51", "declined"),
        (OutcomeKind::NotSent, b"91", "failed"),
    ] {
        let (mut book, intent) = begun();
        take(&mut book, &intent, &outcome(&intent, kind, code));
        let states: Vec<String> = due(&mut book).into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [expected]);
        assert!(book.watched.is_empty());
    }
    let (mut book, intent) = begun();
    take(
        &mut book,
        &intent,
        &outcome(&intent, OutcomeKind::TimedOut, b"91"),
    );
    take(&mut book, &intent, &owed(&intent, None));
    assert_eq!(due(&mut book), []);
    take(&mut book, &intent, &done(&intent, SafResult::Expired));
    assert_eq!(due(&mut book)[0].1, "reversal_failed");
}

#[test]
fn what_nobody_asked_to_be_told_is_not_watched() {
    let intent = intent();
    let mut book = Book::default();
    let own = intent.facts.acquirer;
    book.take(own, (&Record::Intent(intent), None), issuer);
    book.take(
        AcquirerId(own.0 + 1),
        (&Record::Intent(intent), Some(URL)),
        issuer,
    );
    assert_eq!(book.owed(), 0);
}

#[test]
fn a_message_is_tried_again_until_its_schedule_ends() {
    let (mut book, intent) = begun();
    take(
        &mut book,
        &intent,
        &outcome(&intent, OutcomeKind::Answered, b"51"),
    );
    let id = format!("{}-1", intent.transaction);
    for _ in 0..7 {
        assert_eq!(book.due(u64::MAX, 1).len(), 1);
        assert_eq!(book.ended(&id, Ended::Failed, 1_000, 200), Fate::Retried);
        assert_eq!(book.due(1_000, 1), [], "not before its time");
    }
    assert_eq!(book.due(u64::MAX, 1).len(), 1);
    assert_eq!(book.ended(&id, Ended::Failed, 1_000, 200), Fate::GivenUp);
    assert_eq!(book.backlog(), 0);
}

#[test]
fn what_is_gone_is_not_tried_again_and_a_restart_knows_what_is_owed() {
    let (mut book, intent) = begun();
    take(
        &mut book,
        &intent,
        &outcome(&intent, OutcomeKind::Answered, b"00"),
    );
    assert_eq!(book.due(0, 1).len(), 1);
    let mut again = Book::default();
    let (watched, messages) = book.parts();
    for one in watched {
        let text = serde_json::to_string(one).unwrap();
        assert!(again.restore_watched(serde_json::from_str(&text).unwrap()));
    }
    for one in messages {
        let text = serde_json::to_string(one).unwrap();
        again.restore_message(serde_json::from_str(&text).unwrap());
    }
    let id = format!("{}-1", intent.transaction);
    assert_eq!(due(&mut again), [(id.clone(), "approved".to_owned())]);
    assert_eq!(again.ended(&id, Ended::Gone, 0, 0), Fate::Gone);
    assert_eq!((again.backlog(), again.oldest()), (0, None));
}

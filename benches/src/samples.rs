//! What several benches begin with.

use std::time::Duration;

use domain::ResponseCode;
use domain::amount::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, IssuerId, LinkId, Lsn, NodeId, RouteId, ShardId, Slot, Stan, TransactionId,
};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::record::{Intent, Record};
use domain::request::{ContentHash, DuplicateKey, Facts, IssuerLeg, MessageClass, Trace, TraceKey};
use domain::time::{TransmissionTime, WallTime};
use transaction::Settings;
use transaction::reconciliation::Parties;
use transaction::settings::{BeforeLive, Chunks, IssuerSet, OutsideWindow, SafPolicy};

/// The wall time at which benches begin.
pub const WALL: WallTime = WallTime::from_unix_millis(1_767_268_800_000);

/// One engine for `entries` transactions, which are kept for `window`.
#[must_use]
pub fn settings(entries: usize, window: Duration) -> Settings {
    Settings {
        node: NodeId(1),
        shard: ShardId(0),
        start: 1,
        transactions_max: entries,
        inflight_max: 4096,
        saf_max: 1 << 16,
        exceptions_max: 16,
        advice_window: Duration::from_secs(604_800),
        advice_bytes_max: 16_384,
        answer_bytes_max: entries.saturating_mul(32),
        deadlines_max: 8,
        issuers: 4,
        duplicate_window: window,
        outside_window: OutsideWindow::Admit,
        timeout_answer: ResponseCode::ISSUER_INOPERATIVE,
        decision_timeout: Duration::from_secs(1),
        saf: SafPolicy {
            response_timeout: Duration::from_secs(5),
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            expiry: Duration::from_secs(604_800),
            inflight_max: 64,
            rate_after_up: None,
        },
        before_live: BeforeLive::NOBODY,
        asked_later: IssuerSet::NOBODY,
        parties: Parties::default(),
        next_lsn: Lsn(1),
        wall_at_zero: WALL,
        seed: 7,
        chunks: Chunks::Lazy,
    }
}

/// The intent of transaction `number`, with every field that a record has. Ids are counted up as an
/// engine counts them.
#[must_use]
pub fn intent(number: u64) -> Record<'static> {
    Record::Intent(Intent {
        transaction: TransactionId(u128::from(number) << 8),
        admitted: WALL,
        facts: Facts {
            acquirer: AcquirerId(1),
            class: MessageClass::Financial,
            slot: Slot(7),
            key: DuplicateKey(u128::from(number)),
            content: ContentHash(number),
            trace_key: TraceKey(number),
            account: Account {
                token: PanToken([1; 16]),
                token_key: TokenKeyId::FIRST,
                masked: MaskedPan {
                    len: 16,
                    first: *b"506100",
                    last: *b"1234",
                },
                sealed: SealedPan {
                    key_id: 1,
                    nonce: [2; 12],
                    ciphertext: [3; 20],
                    tag: [4; 16],
                },
            },
            amount: Amount::new(150_000, Currency::KES).expect("in range"),
            processing_code: text(b"000000"),
            merchant_category: text(b"5411"),
            entry_mode: text(b"051"),
            trace: Trace {
                stan: stan(number),
                transmitted: TransmissionTime::at(WALL),
                local_time: text(b"101010"),
                local_date: text(b"0101"),
                rrn: text(b"123456789012"),
                terminal: text(b"TERM0001"),
                merchant: text(b"MERCHANT0000001"),
                institution: text(b"506100"),
            },
        },
        leg: IssuerLeg {
            route: RouteId(1),
            candidate: 0,
            issuer: IssuerId(1),
            link: LinkId(1),
            stan: stan(number),
            transmitted: TransmissionTime::at(WALL),
        },
        asked_until: None,
    })
}

/// A STAN for transaction `number`.
#[must_use]
pub fn stan(number: u64) -> Stan {
    let stan = u32::try_from(number % 999_999).unwrap_or_default();
    Stan::new(stan.saturating_add(1)).expect("invariant: six digits")
}

fn text<const N: usize>(bytes: &[u8]) -> Text<N> {
    Text::new("sample", bytes).unwrap_or(Text::EMPTY)
}

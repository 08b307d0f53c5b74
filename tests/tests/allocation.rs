//! Steady state allocates nothing: the one assertion about performance.
//!
//! Whole transactions of every kind run through the engine with its STANs and its table of what is
//! out on the link, while an allocator counts. The table is full before the count begins, so that
//! every admission forgets an older transaction.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{
    AcquirerId, AuthorisationId, IssuerId, LinkId, Lsn, NodeId, RouteId, ShardId, Slot, Stan,
};
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::profile::{Profile, ReversalAnswer};
use domain::record::RefusalReason;
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, FrameId, IssuerLeg, MessageClass, OriginalReference,
    Request, Reversal, Trace, TraceKey, Transmission,
};
use domain::time::{Instant, TransmissionTime, WallTime};
use domain::{Amount, Pan, ResponseCode};
use transaction::input::{Assessment, Selection};
use transaction::matching::{
    Echo, Expected, Match, PendingLimits, PendingTable, ResponseKind, StanAllocator, StanRange,
};
use transaction::reconciliation::Parties;
use transaction::settings::{BeforeLive, Chunks, IssuerSet, OutsideWindow, SafPolicy};
use transaction::{Engine, Handle, Input, Output, OwedId, Settings};

/// Counts what this thread takes from the system.
struct Counting;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged. Safe code does not do: only a global
// allocator sees every allocation. `the_counter_counts` tests it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn taken() -> u64 {
    TAKEN.with(Cell::get)
}

const WALL: WallTime = WallTime::from_unix_millis(1_767_268_800_000);
const DEADLINE: Duration = Duration::from_secs(2);
const LATE_WINDOW: Duration = Duration::from_secs(30);
const ENTRIES: usize = 4_096;

fn settings() -> Settings {
    Settings {
        node: NodeId(1),
        shard: ShardId(0),
        start: 1,
        transactions_max: ENTRIES,
        inflight_max: 64,
        saf_max: 256,
        exceptions_max: 16,
        advice_window: Duration::from_secs(604_800),
        advice_bytes_max: 16_384,
        answer_bytes_max: ENTRIES * 16,
        deadlines_max: 8,
        issuers: 1,
        duplicate_window: Duration::from_secs(10),
        outside_window: OutsideWindow::Refuse,
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
        chunks: Chunks::Preallocated,
    }
}

/// What an issuer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Issuer {
    Approves,
    Declines,
    Differs,
    IsSilent,
    AnswersLate,
}

/// A shell that itself allocates nothing.
struct Shell {
    engine: Engine,
    stans: StanAllocator,
    pending: PendingTable<Handle>,
    account: Account,
    now: Instant,
    journaled: Lsn,
    serial: u32,
    sent: Option<(Handle, IssuerLeg)>,
    reversal: Option<OwedId>,
    replies: u64,
}

impl Shell {
    fn new() -> Self {
        let range = StanRange {
            base: 1,
            size: 50_000,
            shards: 1,
            shard: 0,
        };
        let limits = PendingLimits {
            inflight_max: 512,
            late_max: 1_024,
            answered_max: 1_024,
            window: LATE_WINDOW,
        };
        let mut shell = Self {
            engine: Engine::new(settings()),
            stans: StanAllocator::new(&range, LATE_WINDOW, 1_024, 7),
            pending: PendingTable::new(limits, 7),
            account: Account {
                token: PanToken([7; 16]),
                token_key: TokenKeyId::FIRST,
                masked: Pan::new(b"4111111111111111").expect("digits").masked(),
                sealed: SealedPan {
                    key_id: 1,
                    nonce: [0; 12],
                    ciphertext: [0; 20],
                    tag: [0; 16],
                },
            },
            now: Instant::ZERO,
            journaled: Lsn::ZERO,
            serial: 0,
            sent: None,
            reversal: None,
            replies: 0,
        };
        let issuer = IssuerId(0);
        shell.give(Input::IssuerUp { issuer });
        shell
    }

    fn facts(&self) -> Facts {
        Facts {
            acquirer: AcquirerId(1),
            class: MessageClass::Financial,
            slot: Slot(7),
            key: DuplicateKey(u128::from(self.serial) << 8),
            content: ContentHash(u64::from(self.serial)),
            trace_key: TraceKey(u64::from(self.serial % 3_000)),
            account: self.account,
            amount: Amount::new(10_000, Currency::KES).expect("in range"),
            processing_code: Text::EMPTY,
            merchant_category: Text::EMPTY,
            entry_mode: Text::EMPTY,
            trace: Trace {
                stan: Stan::new(self.serial % 3_000).expect("six digits"),
                transmitted: TransmissionTime::at(self.wall()),
                local_time: Text::EMPTY,
                local_date: Text::EMPTY,
                rrn: Text::new(
                    "DE37",
                    &domain::time::digits_of::<12>(u64::from(self.serial)),
                )
                .expect("digits"),
                terminal: Text::new("DE41", b"TERM0001").expect("printable"),
                merchant: Text::EMPTY,
                institution: Text::EMPTY,
            },
        }
    }

    fn wall(&self) -> WallTime {
        WALL.after(self.now.since(Instant::ZERO))
    }

    fn echo(&self) -> Echo {
        Echo {
            transmitted: Some(TransmissionTime::at(self.wall())),
            ..Echo::default()
        }
    }

    fn give(&mut self, input: Input<'_>) {
        self.engine.handle_input(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            self.act(output);
        }
        std::hint::black_box(self.engine.poll_timeout());
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Assess { handle, .. } => {
                let assessment = Assessment::Accept;
                let input = Input::Assessed { handle, assessment };
                self.engine.handle_input(input, self.now);
            }
            Output::SelectRoute { handle, .. } => {
                let selection = self.select();
                let input = Input::Selected { handle, selection };
                self.engine.handle_input(input, self.now);
            }
            Output::Journal { lsn, entry } => {
                std::hint::black_box(self.engine.record(&entry));
                self.journaled = lsn;
            }
            Output::Send { handle, leg, .. } => {
                let expected = expected(leg.stan);
                let noted = self.pending.insert(expected, self.echo(), handle, self.now);
                assert_eq!(noted, Ok(()));
                self.sent = Some((handle, leg));
            }
            Output::ReleaseStan { leg, reuse } => self.stans.release(leg.stan, reuse, self.now),
            Output::SendReversal { owed, .. } => self.reversal = Some(owed),
            Output::AskOlder { owed, query } => {
                let is_owed = self.engine.owes_older(&query);
                let input = Input::Older { owed, is_owed };
                self.engine.handle_input(input, self.now);
            }
            Output::Reply { .. } => self.replies += 1,
            Output::LegEnded { .. }
            | Output::Inquire { .. }
            | Output::GiveUpReversal { .. }
            | Output::OwedEnded { .. }
            | Output::Operated { .. }
            | Output::Retried { .. }
            | Output::FindOriginal { .. }
            | Output::FindReferred { .. }
            | Output::SelectIssuer(_)
            | Output::AssignLeg { .. }
            | Output::SendAdvice { .. }
            | Output::Discard { .. }
            | Output::Noted { .. }
            | Output::SendReconciliation { .. }
            | Output::ReconciliationEnded { .. }
            | Output::Event { .. } => {}
        }
    }

    fn select(&mut self) -> Selection {
        let Some(stan) = self.stans.allocate(self.now) else {
            return Selection::None {
                code: ResponseCode::ISSUER_INOPERATIVE,
                reason: RefusalReason::NoneAdmits,
            };
        };
        let leg = IssuerLeg {
            route: RouteId(0),
            candidate: 0,
            issuer: IssuerId(0),
            link: LinkId(0),
            stan,
            transmitted: TransmissionTime::at(self.wall()),
        };
        Selection::Leg {
            leg,
            deadline: DEADLINE,
        }
    }

    fn flush(&mut self) {
        let lsn = self.journaled;
        self.give(Input::Durable { lsn });
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.engine.handle_timeout(self.now);
        self.drain();
        self.flush();
    }

    fn request(&mut self, transmission: Transmission) {
        let frame = FrameId(self.serial);
        let facts = self.facts();
        self.give(Input::Request(Request {
            completion: domain::request::Completion::No,
            frame,
            transmission,
            facts,
            profile: Profile::PLAIN,
            clock: domain::profile::ClockCheck::Window,
        }));
        self.flush();
    }

    fn answer(&mut self, issuer: Issuer) {
        let (handle, leg) = self.sent.take().expect("a request was sent");
        let stan = leg.stan;
        let (code, amount) = match issuer {
            Issuer::Approves | Issuer::AnswersLate => (ResponseCode::APPROVED, 10_000),
            Issuer::Differs => (ResponseCode::APPROVED, 1),
            Issuer::Declines => (ResponseCode::INSUFFICIENT_FUNDS, 10_000),
            Issuer::IsSilent => {
                self.pass(DEADLINE);
                self.pending.give_up(expected(stan), self.now);
                return;
            }
        };
        if issuer == Issuer::AnswersLate {
            self.pass(DEADLINE);
            self.pending.give_up(expected(stan), self.now);
        } else {
            let echo = self.echo();
            let matched = self.pending.resolve(expected(stan), &echo, self.now);
            assert_eq!(matched, Match::Matched(handle));
        }
        let answer = Answer {
            code,
            authorisation: AuthorisationId::EMPTY,
            amount: Amount::new(amount, Currency::KES).ok(),
            fields: b"\x37\x00\x08abcdefgh",
        };
        self.give(Input::Response {
            handle,
            stan,
            answer,
        });
        self.flush();
    }

    fn reverse(&mut self, serial: u8, stays: Option<u64>) {
        let facts = self.facts();
        let minor = |minor| Amount::new(minor, Currency::KES).expect("in range");
        self.give(Input::Reversal(Reversal {
            frame: FrameId(self.serial),
            transmission: Transmission::First,
            acquirer: facts.acquirer,
            slot: facts.slot,
            trace_key: facts.trace_key,
            key: DuplicateKey(facts.key.0 | u128::from(serial)),
            original: OriginalReference {
                stan: facts.trace.stan,
                class: Some(facts.class),
                transmitted: Some(facts.trace.transmitted),
                rrn: facts.trace.rrn,
            },
            merchant: facts.trace.merchant,
            token: None,
            amount: facts.amount,
            replacement: stays.map(minor),
            reason: None,
            profile: Profile::PLAIN,
            answered: ReversalAnswer::WhenOwed,
        }));
        self.flush();
    }

    /// The issuer is busy first, then takes the reversal.
    fn settle(&mut self) {
        while let Some(owed) = self.reversal.take() {
            for code in [ResponseCode::ISSUER_INOPERATIVE, ResponseCode::APPROVED] {
                self.give(Input::ReversalResponse { owed, code });
                self.flush();
            }
        }
    }

    /// One transaction of each kind after the other.
    fn transact(&mut self, kind: u32) {
        self.serial += 1;
        self.now = self.now.after(Duration::from_millis(20));
        if kind == 0 {
            self.reverse(1, None);
            self.request(Transmission::First);
            return;
        }
        self.request(Transmission::First);
        match kind {
            1 => self.answer(Issuer::Declines),
            2 => self.answer(Issuer::Differs),
            3 => self.answer(Issuer::IsSilent),
            4 => self.answer(Issuer::AnswersLate),
            5 => {
                self.request(Transmission::Repeat);
                self.answer(Issuer::Approves);
                self.request(Transmission::Repeat);
            }
            6 => {
                self.reverse(1, None);
                self.answer(Issuer::Approves);
            }
            7 => {
                self.answer(Issuer::Approves);
                self.reverse(1, Some(4_000));
                self.reverse(2, None);
            }
            _ => self.answer(Issuer::Approves),
        }
        self.settle();
    }
}

fn expected(stan: Stan) -> Expected {
    let kind = ResponseKind::Financial;
    Expected { kind, stan }
}

#[test]
fn a_whole_transaction_allocates_nothing() {
    let mut shell = Shell::new();
    for serial in 0..2 * ENTRIES as u32 {
        shell.transact(serial % 12);
    }
    let counts = shell.engine.counts();
    assert!(
        counts.entries > ENTRIES / 2,
        "the table is well filled: {counts:?}"
    );
    let (before, replies) = (taken(), shell.replies);
    for serial in 0..24_000 {
        shell.transact(serial % 12);
    }
    assert_eq!(taken() - before, 0, "allocations in 24,000 transactions");
    assert!(shell.replies - replies > 24_000);
    assert_eq!(shell.engine.counts().saf, 0);
}

#[test]
fn the_counter_counts() {
    let before = taken();
    let boxed = std::hint::black_box(Box::new(7_u64));
    assert_eq!((*boxed, taken() - before), (7, 1));
}

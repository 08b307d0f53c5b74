//! One whole transaction through the engine, without a shell: request, verdict, leg, intent, flush,
//! answer, outcome, flush, reply; every record is composed.
//!
//! Beside it in the same run: `copy`, which only moves one request into a ring as large as the
//! table, the least that keeping a transaction can cost. The table is kept full, so that each
//! admission forgets the oldest. `batch` flushes every 64 transactions, as a busy journal does.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, AuthorisationId, IssuerId, LinkId, Lsn, RouteId, Slot, Stan};
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::profile::Profile;
use domain::request::{
    Answer, ContentHash, DuplicateKey, Facts, FrameId, IssuerLeg, MessageClass, Request, Trace,
    TraceKey, Transmission,
};
use domain::time::{Instant, TransmissionTime};
use domain::{Amount, Pan, ResponseCode};
use njia_benches::samples::{self, WALL, stan};
use transaction::input::{Assessment, Selection};
use transaction::settings::Chunks;
use transaction::{Engine, Handle, Input, Output, OwedId, Settings};

const ENTRIES: usize = 1 << 18;
const BATCH: u64 = 64;

/// One transaction each 100 µs: 10,000 a second.
const PACE: u64 = 100_000;

fn settings() -> Settings {
    Settings {
        chunks: Chunks::Preallocated,
        // Shorter than the table is long, so that there is always something to forget.
        ..samples::settings(ENTRIES, Duration::from_secs(10))
    }
}

fn facts(serial: u64) -> Facts {
    let account = Account {
        token: PanToken([7; 16]),
        token_key: TokenKeyId::FIRST,
        masked: Pan::new(b"4111111111111111").expect("digits").masked(),
        sealed: SealedPan {
            key_id: 1,
            nonce: [0; 12],
            ciphertext: [0; 20],
            tag: [0; 16],
        },
    };
    Facts {
        acquirer: AcquirerId(1),
        class: MessageClass::Financial,
        slot: Slot(7),
        key: DuplicateKey(u128::from(serial) + 1),
        content: ContentHash(serial),
        trace_key: TraceKey(serial),
        account,
        amount: Amount::new(10_000, Currency::KES).expect("in range"),
        processing_code: Text::EMPTY,
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        trace: Trace {
            stan: stan(serial),
            transmitted: TransmissionTime::at(WALL),
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: Text::EMPTY,
            terminal: Text::EMPTY,
            merchant: Text::EMPTY,
            institution: Text::EMPTY,
        },
    }
}

fn leg(serial: u64) -> IssuerLeg {
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: stan(serial),
        transmitted: TransmissionTime::at(WALL),
    }
}

/// An engine and the least of a shell.
struct Bench {
    engine: Engine,
    template: Facts,
    serial: u64,
    journaled: Lsn,
    sent: Vec<(Handle, Stan)>,
    owed: Option<OwedId>,
    replies: u64,
}

impl Bench {
    fn new() -> Self {
        let mut engine = Engine::new(settings());
        for issuer in 0..4 {
            let issuer = IssuerId(issuer);
            engine.handle_input(Input::IssuerUp { issuer }, Instant::ZERO);
        }
        let mut bench = Self {
            engine,
            template: facts(0),
            serial: 0,
            journaled: Lsn::ZERO,
            sent: Vec::with_capacity(BATCH as usize),
            owed: None,
            replies: 0,
        };
        for _ in 0..ENTRIES {
            bench.whole();
        }
        bench
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.serial * PACE)
    }

    fn give(&mut self, input: Input<'_>) {
        self.engine.handle_input(input, self.now());
        self.drain();
    }

    fn request(&mut self) {
        self.serial += 1;
        let serial = self.serial;
        let mut facts = self.template;
        facts.key = DuplicateKey(u128::from(serial) + 1);
        facts.content = ContentHash(serial);
        facts.trace_key = TraceKey(serial);
        facts.trace.stan = stan(serial);
        self.give(Input::Request(Request {
            completion: domain::request::Completion::No,
            frame: FrameId(serial as u32),
            transmission: Transmission::First,
            facts,
            profile: Profile::PLAIN,
            clock: domain::profile::ClockCheck::Window,
        }));
    }

    fn flush(&mut self) {
        let lsn = self.journaled;
        self.give(Input::Durable { lsn });
    }

    fn respond(&mut self) {
        while let Some((handle, stan)) = self.sent.pop() {
            let answer = Answer {
                code: ResponseCode::APPROVED,
                authorisation: AuthorisationId::EMPTY,
                amount: None,
                fields: b"\x37\x00\x08abcdefgh",
            };
            self.give(Input::Response {
                handle,
                stan,
                answer,
            });
        }
    }

    fn drain(&mut self) {
        let now = self.now();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Assess { handle, .. } => {
                    let assessment = Assessment::Accept;
                    let input = Input::Assessed { handle, assessment };
                    self.engine.handle_input(input, now);
                }
                Output::SelectRoute { handle, .. } => {
                    let selection = Selection::Leg {
                        leg: leg(self.serial),
                        deadline: Duration::from_secs(2),
                    };
                    let input = Input::Selected { handle, selection };
                    self.engine.handle_input(input, now);
                }
                Output::Journal { lsn, entry } => {
                    black_box(self.engine.record(&entry));
                    self.journaled = lsn;
                }
                Output::Send { handle, leg, .. } => self.sent.push((handle, leg.stan)),
                Output::SendReversal { owed, .. } => self.owed = Some(owed),
                Output::Reply { .. } => self.replies += 1,
                other => {
                    black_box(other);
                }
            }
        }
        black_box(self.engine.poll_timeout());
    }

    fn whole(&mut self) {
        self.request();
        self.flush();
        self.respond();
        self.flush();
    }

    fn batch(&mut self) {
        for _ in 0..BATCH {
            self.request();
        }
        self.flush();
        self.respond();
        self.flush();
    }

    /// The issuer stays silent, then acknowledges the reversal.
    fn silence(&mut self) {
        self.request();
        self.flush();
        self.sent.pop();
        self.serial += 25_000;
        self.engine.handle_timeout(self.now());
        self.drain();
        self.flush();
        let code = ResponseCode::APPROVED;
        if let Some(owed) = self.owed.take() {
            self.give(Input::ReversalResponse { owed, code });
        }
        self.flush();
    }

    fn repeat(&mut self) {
        let serial = self.serial - BATCH;
        let mut facts = self.template;
        facts.key = DuplicateKey(u128::from(serial) + 1);
        facts.content = ContentHash(serial);
        facts.trace_key = TraceKey(serial);
        facts.trace.stan = stan(serial);
        self.give(Input::Request(Request {
            completion: domain::request::Completion::No,
            frame: FrameId(serial as u32),
            transmission: Transmission::Repeat,
            facts,
            profile: Profile::PLAIN,
            clock: domain::profile::ClockCheck::Window,
        }));
    }
}

fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    let mut ring = vec![facts(0); ENTRIES];
    let mut at = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            at = (at + 1) % ENTRIES;
            ring[at] = black_box(facts(at as u64));
        });
    });
    let mut bench = Bench::new();
    group.bench_function("whole", |bencher| bencher.iter(|| bench.whole()));
    group.bench_function("repeat", |bencher| bencher.iter(|| bench.repeat()));
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("batch", |bencher| bencher.iter(|| bench.batch()));
    let mut bench = Bench::new();
    group.throughput(Throughput::Elements(1));
    group.bench_function("silence", |bencher| bencher.iter(|| bench.silence()));
    group.finish();
    let counts = bench.engine.counts();
    assert!(bench.replies > 0 && counts.inflight == 0, "{counts:?}");
}

criterion_group!(benches, turn);
criterion_main!(benches);

//! What travels in the simulated world, and how it looks to the engine.

use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, AuthorisationId, IssuerId, LinkId, Slot, Stan};
use domain::network::SettlementDate;
use domain::pan::{Account, PanToken, SealedPan, TokenKeyId};
use domain::profile::{ClockCheck, Profile, ReversalAnswer};
use domain::reconciliation::Verdict;
use domain::request::{
    Advice, Completion, ContentHash, DuplicateKey, Facts, FrameId, IssuerLeg, MessageClass,
    NamedOriginal, OriginalReference, Request, Reversal, Trace, TraceKey, Transmission,
};
use domain::time::{TransmissionTime, WallTime, digits_of};
use domain::{Amount, Pan, ResponseCode};
use transaction::administrative::ExchangeId;
use transaction::advice::OriginalQuery;
use transaction::input::Assessment;
use transaction::matching::{Echo, Expected};
use transaction::reconciliation::ReconciliationId;
use transaction::reference::{Found, ReferenceQuery};
use transaction::{Handle, OlderQuery, OwedId};

use super::administering::Administrative;
pub(super) use super::content::{Content, Loss, Way};
pub(super) use super::event::{Alarm, Event, Inside, Stage};
use super::reconciling::{BookMessage, Reckoned};
use super::switch::Located;

/// 2026-01-01T12:00:00Z.
pub(super) const WALL: WallTime = WallTime::from_unix_millis(1_767_268_800_000);

pub(super) const MS: u64 = 1_000_000;

/// What one purchase is, all its copies alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) number: u32,
    pub(super) amount: u64,
    pub(super) stan: u32,
    pub(super) terminal: u8,
    pub(super) sent: WallTime,
    pub(super) class: MessageClass,
    /// `None` of a request.
    pub(super) report: Option<Report>,
    /// What a completion request completes.
    pub(super) asks: Option<Original>,
    /// It was read from bytes.
    pub(super) on_wire: bool,
    /// It says when it was made where it was made.
    pub(super) has_local: bool,
    /// Money for the account.
    pub(super) is_credit: bool,
}

/// What an advice says besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    /// Its DE39 says that nothing has moved.
    pub(super) declined: bool,
    /// What it completes.
    pub(super) completes: Option<Original>,
}

/// The transaction that an advice or a request completes, as its DE90 names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original {
    pub(super) number: u32,
    pub(super) stan: u32,
    pub(super) terminal: u8,
    /// Unknown where DE56 names it.
    pub(super) sent: Option<WallTime>,
    pub(super) class: MessageClass,
    /// Somebody has sent it.
    pub(super) is_real: bool,
    /// DE37, DE41 and DE42 name it, and DE90 is absent.
    pub(super) is_unnamed: bool,
}

/// From an acquirer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) of: Identity,
    pub(super) what: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A request, or the advice that its identity says.
    Request {
        transmission: Transmission,
        /// Same key, another amount.
        other_content: bool,
    },
    Reversal {
        transmission: Transmission,
        serial: u8,
        /// Minor units that stay.
        stays: Option<u64>,
        amount: u64,
        /// DE90 carries the STAN alone.
        vague: bool,
        /// There is no DE90, and DE11 is another: DE37, DE41 and DE42 name the original.
        astray: bool,
    },
}

/// To an acquirer.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) ask: Ask,
    pub(super) code: ResponseCode,
    /// What the acquirer had sent, and what it is told, where messages are bytes.
    pub(super) bytes: (Vec<u8>, Vec<u8>),
}

/// To an issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegB {
    pub(super) expected: Expected,
    pub(super) echo: Echo,
    pub(super) purchase: u32,
    pub(super) amount: u64,
    /// For a reversal.
    pub(super) reversal: Option<Taking>,
    /// For an advice.
    pub(super) report: Option<Reported>,
    /// For a completion request.
    pub(super) asks: Option<Completing>,
    /// Where messages are bytes and of 1993: DE12, by which others name this one.
    pub(super) local: Option<TransmissionTime>,
    /// For a reconciliation of ours.
    pub(super) reckoned: Option<Reckoned>,
    /// It asks what became of the request of this name.
    pub(super) is_inquiry: bool,
}

impl LegB {
    /// A request of these facts, as a leg has it.
    pub(super) fn request(facts: &Facts, leg: &IssuerLeg) -> Self {
        Self {
            expected: Expected {
                kind: facts.class.into(),
                stan: leg.stan,
            },
            echo: Echo {
                transmitted: Some(leg.transmitted),
                terminal: facts.trace.terminal,
                rrn: facts.trace.rrn,
                ..Echo::default()
            },
            purchase: number_of(facts.key),
            amount: facts.amount.minor(),
            reversal: None,
            report: None,
            asks: None,
            local: None,
            reckoned: None,
            is_inquiry: false,
        }
    }

    /// It is a request that moves money, and completes nothing.
    pub(super) const fn is_submit(&self) -> bool {
        let is_request = self.reversal.is_none() && self.report.is_none();
        is_request && self.asks.is_none() && self.reckoned.is_none()
    }
}

/// What a completion request says to an issuer besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completing {
    /// DE90: DE11 and DE7 of the leg of what it completes.
    pub(super) named: (Stan, TransmissionTime),
    /// The purchase whose account it is.
    pub(super) account: u32,
}

/// What an advice says to an issuer besides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    /// DE90: DE11 and DE7 of the leg of what it completes.
    pub(super) completes: Option<(Stan, TransmissionTime)>,
    /// The purchase whose account it is.
    pub(super) account: u32,
    pub(super) content: Content,
}

/// What a reversal says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taking {
    /// DE7 of the original's leg B.
    pub(super) original: TransmissionTime,
    pub(super) stays: Option<u64>,
    pub(super) transmission: Transmission,
}

/// From an issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) expected: Expected,
    pub(super) echo: Echo,
    /// `None` when DE39 is illegible.
    pub(super) code: Option<ResponseCode>,
    pub(super) amount: Option<u64>,
    pub(super) purchase: u32,
    /// The day on which an approval settles.
    pub(super) settles: Option<SettlementDate>,
    /// Of a reconciliation that was taken.
    pub(super) verdict: Option<Verdict>,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    /// The shard of the session.
    pub(super) session: u16,
    /// Its number among those that wait for an answer.
    pub(super) serial: u32,
}

/// An answer on its way out.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) ask: Ask,
    pub(super) came: Came,
    pub(super) code: ResponseCode,
    pub(super) authorisation: AuthorisationId,
    pub(super) amount: Option<Amount>,
    pub(super) fields: Vec<u8>,
    /// It came out of the store.
    pub(super) stored: bool,
    /// The message that it answers.
    pub(super) bytes: Vec<u8>,
}

/// What one shard tells another.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// To the owner of its slot.
    Ask {
        session: Came,
        ask: Ask,
        bytes: Vec<u8>,
    },
    /// To the account's home.
    Assess {
        handle: Handle,
        from: u16,
        facts: Box<Facts>,
    },
    Assessed {
        handle: Handle,
        assessment: Assessment,
    },
    /// To the account's home: may the switch approve in place of this issuer?
    AskStandIn {
        handle: Handle,
        from: u16,
        facts: Box<Facts>,
        issuer: IssuerId,
    },
    StandIn {
        handle: Handle,
        issuer: IssuerId,
        approved: bool,
    },
    /// To the owner of what an advice completes.
    FindOriginal {
        handle: Handle,
        from: u16,
        query: Box<OriginalQuery>,
    },
    /// To each shard in turn, before what has a place leaves.
    AskOlder {
        owed: OwedId,
        from: u16,
        query: Box<OlderQuery>,
    },
    Older {
        owed: OwedId,
        asked: u16,
        query: Box<OlderQuery>,
        is_owed: bool,
    },
    Original {
        handle: Handle,
        original: transaction::advice::Original,
    },
    /// To the link's home.
    Send {
        id: OutboundId,
        link: LinkId,
        message: Box<LegB>,
        bytes: Vec<u8>,
    },
    Unsent {
        id: OutboundId,
    },
    Answer {
        id: OutboundId,
        said: Said,
    },
    GiveUp {
        link: LinkId,
        expected: Expected,
    },
    LinkState {
        link: LinkId,
        up: bool,
    },
    /// To the owner of what a lost link had not answered.
    LegLost {
        id: OutboundId,
    },
    /// Who knows what DE90 does not name?
    Locate {
        question: u32,
        from: u16,
        query: Box<ReferenceQuery>,
    },
    LocatedAt {
        question: u32,
        shard: u16,
        found: Option<Found>,
    },
    /// To who knows its original, or back to where DE90 leads.
    Reverse {
        session: Came,
        ask: Ask,
        bytes: Vec<u8>,
        located: Located,
    },
    /// Of days and totals.
    Book(Box<BookMessage>),
    /// To the owner of its slot.
    Administrative(Administrative),
}

/// Names a message to an issuer, and what in the owner waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutboundId {
    pub(super) owner: u16,
    pub(super) handle: Handle,
    pub(super) stan: Stan,
    pub(super) purpose: Purpose,
}

/// What waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Request,
    /// About a request that a start has found.
    Inquiry,
    Reversal(OwedId),
    Reconciliation(ReconciliationId),
    Administrative(ExchangeId),
}

impl Purpose {
    /// It takes the place of what was sent before for the same.
    pub(super) const fn is_repeated(self) -> bool {
        matches!(self, Self::Reversal(_) | Self::Reconciliation(_))
    }
}

impl OutboundId {
    /// Both are reversals of one transaction, or the same.
    pub(super) fn is_reversal_beside(&self, other: &Self) -> bool {
        let reverses = |id: &Self| matches!(id.purpose, Purpose::Reversal(_));
        (self.owner, self.handle) == (other.owner, other.handle)
            && (reverses(self) && reverses(other) || self.purpose == other.purpose)
    }
}

pub(super) fn kes(minor: u64) -> Amount {
    Amount::new(minor, Currency::KES).expect("in range")
}

pub(super) fn slot(stan: u32) -> Slot {
    Slot::from_hash(u64::from(stan).wrapping_mul(0x9E37_79B9))
}

fn trace_key(stan: u32, terminal: u8) -> TraceKey {
    TraceKey((u64::from(stan) << 8) | u64::from(terminal))
}

/// The purchase of a transaction.
pub(super) fn number_of(key: DuplicateKey) -> u32 {
    (key.0 >> 8) as u32
}

/// The purchase whose account a transaction has: its DE37, for tokens may be shared.
pub(super) fn account_of(facts: &Facts) -> u32 {
    let digits = facts.trace.rrn.as_bytes().iter();
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

fn terminal(number: u8) -> Text<8> {
    Text::new("DE41", &digits_of::<8>(u64::from(number))).expect("digits")
}

/// The account number of a purchase.
pub(super) fn pan_digits(purchase: u32) -> [u8; 16] {
    digits_of::<16>(4_111_119_876_540_000 + u64::from(purchase))
}

pub(super) fn rrn(purchase: u32) -> Text<12> {
    Text::new("DE37", &digits_of::<12>(u64::from(purchase))).expect("digits")
}

impl Original {
    /// One like it that nobody ever sent.
    pub(super) fn made_up(self) -> Self {
        Self {
            sent: self
                .sent
                .map(|sent| sent.after(std::time::Duration::from_secs(5))),
            is_real: false,
            ..self
        }
    }

    fn named(&self) -> NamedOriginal {
        NamedOriginal {
            slot: slot(self.stan),
            trace_key: trace_key(self.stan, self.terminal),
            reference: OriginalReference {
                stan: Stan::new(self.stan).expect("six digits"),
                class: Some(self.class),
                transmitted: self.sent.map(TransmissionTime::at),
                rrn: rrn(self.number),
            },
        }
    }
}

impl Identity {
    pub(super) fn key(&self) -> DuplicateKey {
        DuplicateKey(u128::from(self.number) << 8)
    }

    /// Decides the owner: a repeat and a reversal have the STAN of their original.
    pub(super) fn slot(&self) -> Slot {
        slot(self.stan)
    }

    fn trace_key(&self) -> TraceKey {
        trace_key(self.stan, self.terminal)
    }

    /// The purchase whose account and DE37 it has: a completion has those of its original.
    pub(super) fn account(&self) -> u32 {
        self.completes()
            .map_or(self.number, |original| original.number)
    }

    pub(super) fn completes(&self) -> Option<Original> {
        let reported = self.report.and_then(|report| report.completes);
        self.asks.or(reported)
    }

    pub(super) const fn is_advice(&self) -> bool {
        self.report.is_some()
    }

    /// How an advice names it that completes it.
    pub(super) const fn as_original(&self) -> Original {
        Original {
            number: self.number,
            stan: self.stan,
            terminal: self.terminal,
            sent: Some(self.sent),
            class: self.class,
            is_real: true,
            is_unnamed: false,
        }
    }

    /// DE13 or DE12, by where it begins in DE7: everybody lives in one place.
    fn local<const N: usize>(&self, from: usize) -> Text<N> {
        let digits = TransmissionTime::at(self.sent).digits();
        match self.has_local {
            true => Text::new("DE12", &digits[from..from + N]).expect("digits"),
            false => Text::EMPTY,
        }
    }

    /// A field that only a world of bytes has.
    fn told_by_bytes<const N: usize, E: std::fmt::Debug>(
        &self,
        text: Result<Text<N>, E>,
    ) -> Text<N> {
        match self.on_wire {
            true => text.expect("digits"),
            false => Text::EMPTY,
        }
    }

    /// What an advice says that its facts do not: the fields of the purchase, and DE39.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut content = super::ledger::fields_of(self.number);
        if self.report.is_some_and(|report| report.declined) {
            content.extend_from_slice(&[39, 0, 2, b'0', b'5']);
        }
        content
    }

    pub(super) fn facts(&self, other_content: bool) -> Facts {
        let amount = self.amount + u64::from(other_content);
        let digits = pan_digits(self.account());
        Facts {
            acquirer: AcquirerId(1),
            class: self.class,
            slot: self.slot(),
            key: self.key(),
            content: ContentHash(amount << 20 | u64::from(self.number)),
            trace_key: self.trace_key(),
            account: Account {
                token: PanToken(u128::from(self.account()).to_be_bytes()),
                token_key: TokenKeyId::FIRST,
                masked: Pan::new(&digits).expect("digits").masked(),
                sealed: SealedPan {
                    key_id: 1,
                    nonce: [0; 12],
                    ciphertext: [0; 20],
                    tag: [0; 16],
                },
            },
            amount: kes(amount),
            processing_code: match self.is_credit {
                true => Text::new("DE3", b"200000").expect("digits"),
                false => self.told_by_bytes(Text::new("DE3", b"000000")),
            },
            merchant_category: self
                .told_by_bytes(Text::new("DE18", &digits_of::<4>(u64::from(self.number)))),
            entry_mode: Text::EMPTY,
            trace: Trace {
                stan: Stan::new(self.stan).expect("six digits"),
                transmitted: TransmissionTime::at(self.sent),
                local_time: self.local(4),
                local_date: self.local(0),
                rrn: rrn(self.account()),
                terminal: terminal(self.terminal),
                merchant: Text::new("DE42", b"MERCHANT0000001").expect("in range"),
                institution: Text::EMPTY,
            },
        }
    }
}

impl Ask {
    /// Decides the owner: that of a reversal is where its DE90 leads.
    pub(super) fn slot(&self) -> Slot {
        slot(self.named_stan())
    }

    /// DE11 of a reversal without DE90, else that of what it is about.
    pub(super) const fn named_stan(&self) -> u32 {
        match self.what {
            Asked::Reversal { astray: true, .. } => (self.of.stan + 7) % 20,
            Asked::Reversal { .. } | Asked::Request { .. } => self.of.stan,
        }
    }

    pub(super) fn request(&self, frame: FrameId, profile: Profile) -> Option<Request> {
        let Asked::Request {
            transmission,
            other_content,
        } = self.what
        else {
            return None;
        };
        if self.of.is_advice() {
            return None;
        }
        Some(Request {
            frame,
            transmission,
            facts: self.of.facts(other_content),
            completion: match &self.of.asks {
                None => Completion::No,
                Some(original) if original.is_unnamed => Completion::Unnamed,
                Some(original) => Completion::Named(original.named()),
            },
            profile,
            clock: ClockCheck::Window,
        })
    }

    pub(super) fn advice<'a>(
        &self,
        (frame, profile): (FrameId, Profile),
        fields: &'a [u8],
    ) -> Option<Advice<'a>> {
        let Asked::Request {
            transmission,
            other_content,
        } = self.what
        else {
            return None;
        };
        let report = self.of.report?;
        Some(Advice {
            frame,
            transmission,
            facts: self.of.facts(other_content),
            limit: profile.completion,
            clock: ClockCheck::Window,
            original: report.completes.as_ref().map(Original::named),
            reported: report.declined.then_some(ResponseCode::DO_NOT_HONOUR),
            fields,
        })
    }

    pub(super) fn reversal(&self, frame: FrameId, profile: Profile) -> Option<Reversal> {
        let Asked::Reversal {
            transmission,
            serial,
            stays,
            amount,
            vague,
            astray,
        } = self.what
        else {
            return None;
        };
        let facts = self.of.facts(false);
        let (stan, is_exact) = (self.named_stan(), !vague && !astray);
        Some(Reversal {
            frame,
            transmission,
            acquirer: facts.acquirer,
            slot: slot(stan),
            trace_key: trace_key(stan, self.of.terminal),
            key: DuplicateKey(facts.key.0 | (u128::from(serial) + 1)),
            original: OriginalReference {
                stan: Stan::new(stan).expect("six digits"),
                class: is_exact.then_some(facts.class),
                transmitted: is_exact.then_some(facts.trace.transmitted),
                rrn: facts.trace.rrn,
            },
            merchant: if vague {
                Text::EMPTY
            } else {
                facts.trace.merchant
            },
            token: (!vague).then_some(facts.account.token),
            amount: kes(amount),
            replacement: stays.map(kes),
            reason: None,
            profile,
            answered: ReversalAnswer::WhenOwed,
        })
    }
}

impl Ask {
    /// What a request asked for, out of its facts.
    pub(super) fn again(facts: &Facts) -> Self {
        let of = Identity {
            number: (facts.key.0 >> 8) as u32,
            amount: facts.amount.minor(),
            stan: facts.trace.stan.number(),
            terminal: (facts.trace_key.0 & 0xFF) as u8,
            sent: facts.trace.transmitted.resolve(WALL).expect("a real time"),
            class: facts.class,
            report: None,
            asks: None,
            on_wire: !facts.merchant_category.is_empty(),
            has_local: !facts.trace.local_time.is_empty(),
            is_credit: facts.processing_code.as_bytes().starts_with(b"2"),
        };
        Self {
            of,
            what: Asked::Request {
                transmission: Transmission::Repeat,
                other_content: false,
            },
        }
    }
}

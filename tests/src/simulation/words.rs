//! What travels in the simulated world, and how it looks to the engine.

use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, Slot, Stan};
use domain::pan::{Account, PanToken, SealedPan};
use domain::request::{
    ContentHash, DuplicateKey, Facts, FrameId, MessageClass, OriginalReference, Request, Reversal,
    Trace, TraceKey, Transmission,
};
use domain::time::{TransmissionTime, WallTime, digits_of};
use domain::{Amount, Pan, ResponseCode};
use transaction::Handle;
use transaction::matching::{Echo, Expected};

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
}

/// From an acquirer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) of: Identity,
    pub(super) what: Asked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
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
    },
}

/// To an acquirer.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) ask: Ask,
    pub(super) code: ResponseCode,
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
}

/// What happens in the world.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Purchase,
    /// A purchase looks whether it has to do something.
    Acquirer {
        purchase: u32,
        alarm: Alarm,
    },
    ToSwitch(Ask),
    ToAcquirer(Told),
    ToIssuer {
        issuer: IssuerId,
        message: LegB,
    },
    FromIssuer {
        issuer: IssuerId,
        message: Said,
    },
    /// Of one life of the switch; void in the next.
    Inside {
        life: u64,
        event: Inside,
    },
    LinkDown {
        issuer: IssuerId,
        for_ms: u64,
    },
    LinkUp {
        issuer: IssuerId,
    },
    Shed(bool),
    WallJump {
        by_ms: i64,
    },
    Crash,
    Restart,
    /// Faults end here.
    Calm,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    /// No answer to the request yet?
    Answer,
    /// No acknowledgement of the reversal yet?
    Acknowledgement,
    /// Send this further copy.
    Copy {
        transmission: Transmission,
        other_content: bool,
    },
    /// Begin a reversal.
    Reverse { stays: Option<u64>, too_much: bool },
    /// Begin a reversal, whatever was answered so far.
    Race { stays: Option<u64> },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Inside {
    Flushed { upto: usize },
    Assessed { handle: Handle },
    Unsent { handle: Handle, stan: Stan },
}

pub(super) fn kes(minor: u64) -> Amount {
    Amount::new(minor, Currency::KES).expect("in range")
}

fn terminal(number: u8) -> Text<8> {
    Text::new("DE41", &digits_of::<8>(u64::from(number))).expect("digits")
}

pub(super) fn rrn(purchase: u32) -> Text<12> {
    Text::new("DE37", &digits_of::<12>(u64::from(purchase))).expect("digits")
}

impl Identity {
    pub(super) fn key(&self) -> DuplicateKey {
        DuplicateKey(u128::from(self.number) << 8)
    }

    fn trace_key(&self) -> TraceKey {
        TraceKey((u64::from(self.stan) << 8) | u64::from(self.terminal))
    }

    pub(super) fn facts(&self, other_content: bool) -> Facts {
        let amount = self.amount + u64::from(other_content);
        let digits = digits_of::<16>(4_111_110_000_000_000 + u64::from(self.number));
        Facts {
            acquirer: AcquirerId(1),
            class: self.class,
            slot: Slot(7),
            key: self.key(),
            content: ContentHash(amount << 20 | u64::from(self.number)),
            trace_key: self.trace_key(),
            account: Account {
                token: PanToken(u128::from(self.number).to_be_bytes()),
                masked: Pan::new(&digits).expect("digits").masked(),
                sealed: SealedPan {
                    key_id: 1,
                    nonce: [0; 12],
                    ciphertext: [0; 20],
                    tag: [0; 16],
                },
            },
            amount: kes(amount),
            processing_code: Text::EMPTY,
            merchant_category: Text::EMPTY,
            entry_mode: Text::EMPTY,
            trace: Trace {
                stan: Stan::new(self.stan).expect("six digits"),
                transmitted: TransmissionTime::at(self.sent),
                local_time: Text::EMPTY,
                local_date: Text::EMPTY,
                rrn: rrn(self.number),
                terminal: terminal(self.terminal),
                merchant: Text::new("DE42", b"MERCHANT0000001").expect("in range"),
                institution: Text::EMPTY,
            },
        }
    }
}

impl Ask {
    pub(super) fn request(&self, frame: FrameId) -> Option<Request> {
        let Asked::Request {
            transmission,
            other_content,
        } = self.what
        else {
            return None;
        };
        Some(Request {
            frame,
            transmission,
            facts: self.of.facts(other_content),
        })
    }

    pub(super) fn reversal(&self, frame: FrameId) -> Option<Reversal> {
        let Asked::Reversal {
            transmission,
            serial,
            stays,
            amount,
            vague,
        } = self.what
        else {
            return None;
        };
        let facts = self.of.facts(false);
        Some(Reversal {
            frame,
            transmission,
            acquirer: facts.acquirer,
            slot: facts.slot,
            trace_key: facts.trace_key,
            key: DuplicateKey(facts.key.0 | (u128::from(serial) + 1)),
            original: OriginalReference {
                stan: facts.trace.stan,
                class: (!vague).then_some(facts.class),
                transmitted: (!vague).then_some(facts.trace.transmitted),
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

//! What a gateway asks for, drawn from the seed, and how it stands on the wire.

use std::io::Write as _;

use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::TransactionId;

use super::{FollowUps, GatewayConfig};
use crate::distribution::Distribution;
use crate::numeric::whole;
use crate::random::{Random, scramble};
use crate::scenario::weighted;

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    MerchantPay,
    BillPay,
    Withdrawal,
}

impl Kind {
    /// All of them, in the order of their items.
    const ALL: [Self; 3] = [Self::MerchantPay, Self::BillPay, Self::Withdrawal];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::MerchantPay => "merchantpay",
            Self::BillPay => "billpay",
            Self::Withdrawal => "withdrawal",
        }
    }

    pub(super) const fn item(self) -> usize {
        self as usize
    }
}

/// An idempotency key: a UUID of version 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    fn drawn(random: &mut Random) -> Self {
        let bits = u128::from(random.bits()) << 64 | u128::from(random.bits());
        let version = bits & !(0xF << 76) | 0x4 << 76;
        Self(version & !(0b11 << 62) | 0b10 << 62)
    }

    /// Reads one as it is shown.
    #[must_use]
    pub fn from_shown(text: &str) -> Option<Self> {
        TransactionId::from_shown(text).map(|id| Self(id.0))
    }

    #[cfg(test)]
    pub(crate) const fn of(number: u128) -> Self {
        Self(number)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&TransactionId(self.0), f)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// One payment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payment {
    pub(super) key: Key,
    pub(super) kind: Kind,
    pub(super) amount: Amount,
    /// Digits of a telephone number with its country.
    account: u64,
    reference: u64,
}

/// What is to follow a payment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    Nothing,
    /// So many nanoseconds after it was due.
    Repeat {
        after: u64,
    },
    Reverse {
        after: u64,
        reversal: Reversal,
    },
}

/// A reversal that may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reversal {
    pub(super) key: Key,
    /// Minor units that stay; 0 takes all of it back.
    pub(super) stays: u64,
}

/// The payments of one generator thread.
#[derive(Debug)]
pub(super) struct Payments {
    random: Random,
    follow_ups: FollowUps,
    amounts: Distribution,
    drawn: u64,
}

impl Payments {
    /// `run` is the time of its begin: two runs of one seed have different keys, as a key of the
    /// first one would get the first one's answer.
    pub(super) fn new(config: &GatewayConfig, (seed, thread): (u64, u32), run: u64) -> Self {
        let purpose = scramble(run) ^ u64::from(thread);
        Self {
            random: Random::stream(seed ^ 0x6A50_4E5F, purpose),
            follow_ups: config.follow_ups,
            amounts: Distribution::Lognormal {
                median: 60_000.0,
                sigma: 0.8,
            },
            drawn: 0,
        }
    }

    pub(super) fn draw(&mut self) -> (Payment, Fate) {
        self.drawn += 1;
        let random = &mut self.random;
        let kind = weighted(KINDS.iter(), random);
        // Wallets of one country are with the bank, those of the other one with the operator.
        let (country, currency) = if random.chance(UGANDA) {
            (256, Currency::UGX)
        } else {
            (254, Currency::KES)
        };
        let minor = whole(self.amounts.sample(random)).clamp(AMOUNT_MIN, AMOUNT_MAX);
        let payment = Payment {
            key: Key::drawn(random),
            kind: Kind::ALL.get(kind).copied().unwrap_or(Kind::MerchantPay),
            amount: amount(minor, currency),
            account: country * 1_000_000_000 + 700_000_000 + u64::from(random.below(ACCOUNTS)),
            reference: self.drawn,
        };
        (payment, self.fate(payment.amount))
    }

    fn fate(&mut self, amount: Amount) -> Fate {
        let random = &mut self.random;
        let later = |random: &mut Random, low: u32, high: u32| {
            u64::from(low + random.below(high - low)) * 1_000_000
        };
        if random.chance(self.follow_ups.repeat) {
            let after = later(random, 0, 2_000);
            return Fate::Repeat { after };
        }
        if random.chance(self.follow_ups.reverse) {
            let after = later(random, 500, 3_000);
            let in_part = random.chance(0.25);
            let stays = if in_part { amount.minor() / 3 } else { 0 };
            let key = Key::drawn(random);
            return Fate::Reverse {
                after,
                reversal: Reversal { key, stays },
            };
        }
        Fate::Nothing
    }
}

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants that an amount admits"
)]
fn amount(minor: u64, currency: Currency) -> Amount {
    Amount::new(minor, currency).expect("invariant: AMOUNT_MAX has at most twelve digits")
}

/// Writes requests of one gateway.
#[derive(Debug)]
pub(super) struct Writer {
    /// What stands in every head.
    common: Vec<u8>,
    body: Vec<u8>,
}

impl Writer {
    /// Each request asks to be held for `wait` seconds.
    pub(super) fn new(config: &GatewayConfig, wait: u64) -> Self {
        let common = format!(
            "Host: {}\r\nAuthorization: Bearer {}\r\nPrefer: wait={wait}\r\n",
            config.target.authority, config.credential.0
        );
        Self {
            common: common.into_bytes(),
            body: Vec::with_capacity(512),
        }
    }

    pub(super) fn pay(&mut self, payment: &Payment, out: &mut Vec<u8>) {
        let Payment {
            kind,
            amount,
            account,
            reference,
            ..
        } = payment;
        self.body.clear();
        put(
            &mut self.body,
            format_args!(
                "{{\"type\":\"{}\",\"amount\":{{\"minor\":{},\"currency\":\"{}\"}},\
                 \"debitParty\":[{{\"key\":\"msisdn\",\"value\":\"+{account}\"}}],\
                 \"creditParty\":[{{\"key\":\"organisationid\",\"value\":\"MERCHANT{:07}\"}}],\
                 \"reference\":\"{reference}\"}}",
                kind.name(),
                amount.minor(),
                amount.currency(),
                reference % 800 + 1,
            ),
        );
        self.post(format_args!("/v1/transactions"), payment.key, out);
    }

    pub(super) fn reverse(
        &mut self,
        (id, payment): (TransactionId, &Payment),
        reversal: Reversal,
        out: &mut Vec<u8>,
    ) {
        self.body.clear();
        match reversal.stays {
            0 => self.body.extend_from_slice(b"{}"),
            stays => put(
                &mut self.body,
                format_args!(
                    "{{\"amount\":{{\"minor\":{},\"currency\":\"{}\"}},\
                     \"reason\":\"customerCancellation\"}}",
                    payment.amount.minor().saturating_sub(stays),
                    payment.amount.currency(),
                ),
            ),
        }
        let path = format_args!("/v1/transactions/{id}/reversals");
        self.post(path, reversal.key, out);
    }

    pub(super) fn look(&self, id: TransactionId, out: &mut Vec<u8>) {
        put(out, format_args!("GET /v1/transactions/{id} HTTP/1.1\r\n"));
        out.extend_from_slice(&self.common);
        out.extend_from_slice(b"\r\n");
    }

    fn post(&self, path: std::fmt::Arguments<'_>, key: Key, out: &mut Vec<u8>) {
        put(out, format_args!("POST {path} HTTP/1.1\r\n"));
        out.extend_from_slice(&self.common);
        put(
            out,
            format_args!(
                "Content-Type: application/json\r\nIdempotency-Key: {key}\r\n\
                 Content-Length: {}\r\n\r\n",
                self.body.len()
            ),
        );
        out.extend_from_slice(&self.body);
    }
}

impl Payment {
    pub(super) fn has_reference(&self, told: &str) -> bool {
        told.parse() == Ok(self.reference)
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Memory takes what is written to it.
    drop(out.write_fmt(text));
}

/// Weights of the kinds.
const KINDS: [f64; 3] = [70.0, 20.0, 10.0];
/// Share of payments from wallets of the second country.
const UGANDA: f64 = 0.06;
/// Wallets of one country.
const ACCOUNTS: u32 = 200_000;
const AMOUNT_MIN: u64 = 100;
const AMOUNT_MAX: u64 = 20_000_000;

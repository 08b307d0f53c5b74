//! The fields by which an answer is known to be that of a request (semantics §5).

use core::fmt;

use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{InstitutionId, MerchantId, Rrn, TerminalId};
use domain::time::TransmissionTime;

/// The fields that a response repeats of its request. An absent one is not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// DE7.
    pub transmitted: Option<TransmissionTime>,
    /// DE41; empty when absent.
    pub terminal: TerminalId,
    /// DE37; empty when absent.
    pub rrn: Rrn,
    /// DE42; empty when absent.
    pub merchant: MerchantId,
    /// DE3; empty when absent.
    pub processing_code: Text<6>,
    /// DE49.
    pub currency: Option<Currency>,
    /// A keyed hash of DE2.
    pub account: Option<u64>,
    /// DE12; empty when absent.
    pub local_time: Text<12>,
    /// DE13; empty when absent.
    pub local_date: Text<4>,
    /// DE32; empty when absent.
    pub institution: InstitutionId,
}

/// A set of echo fields; prints their numbers, never their values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoFields(u16);

impl EchoFields {
    /// The message type: the STAN is in flight under another class.
    pub const CLASS: Self = Self(1);
    /// DE2.
    pub const ACCOUNT: Self = Self(1 << 1);
    /// DE3.
    pub const PROCESSING_CODE: Self = Self(1 << 2);
    /// DE7.
    pub const TRANSMITTED: Self = Self(1 << 3);
    /// DE11.
    pub const STAN: Self = Self(1 << 4);
    /// DE12.
    pub const LOCAL_TIME: Self = Self(1 << 5);
    /// DE13.
    pub const LOCAL_DATE: Self = Self(1 << 6);
    /// DE32.
    pub const INSTITUTION: Self = Self(1 << 7);
    /// DE37.
    pub const RRN: Self = Self(1 << 8);
    /// DE41.
    pub const TERMINAL: Self = Self(1 << 9);
    /// DE42.
    pub const MERCHANT: Self = Self(1 << 10);
    /// DE49.
    pub const CURRENCY: Self = Self(1 << 11);

    /// What an issuer is believed to give back when its profile says nothing: DE7 and DE41.
    pub const DEFAULT_KEY: Self = Self::TRANSMITTED.with(Self::TERMINAL);

    /// Whether it names no field.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it names all fields of `other`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The fields of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many fields it names.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The field of that number, if a profile may say that an issuer gives it back.
    #[must_use]
    pub const fn of_key(number: u8) -> Option<Self> {
        match number {
            7 => Some(Self::TRANSMITTED),
            12 => Some(Self::LOCAL_TIME),
            13 => Some(Self::LOCAL_DATE),
            32 => Some(Self::INSTITUTION),
            37 => Some(Self::RRN),
            41 => Some(Self::TERMINAL),
            42 => Some(Self::MERCHANT),
            _ => None,
        }
    }
}

impl fmt::Display for EchoFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 12] = [
            "MTI", "DE2", "DE3", "DE7", "DE11", "DE12", "DE13", "DE32", "DE37", "DE41", "DE42",
            "DE49",
        ];
        let named = NAMES.iter().zip(0_u16..);
        let named = named.filter(|(_, bit)| self.contains(Self(1 << bit)));
        for (place, (name, _)) in named.enumerate() {
            f.write_str(if place == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl Echo {
    /// A STAN alone never matches (semantics §5 rule 2).
    pub(super) fn can_be_compared(&self, key: EchoFields) -> bool {
        let nothing = Self::default();
        let mut compared = self.compared(&nothing);
        compared.any(|(field, found)| key.contains(field) && found == Compared::Missing)
    }

    /// What keeps `response` from belonging to this request: fields of the key that the request has
    /// and the response has not, or has otherwise; and others that both have and that differ. What
    /// hosts rewrite (DE7, DE12, DE13, DE32) counts in the key alone.
    pub(super) fn differs(&self, response: &Self, key: EchoFields) -> EchoFields {
        let rewritten = EchoFields::TRANSMITTED
            .with(EchoFields::LOCAL_TIME)
            .with(EchoFields::LOCAL_DATE)
            .with(EchoFields::INSTITUTION);
        self.compared(response)
            .filter(|(field, found)| match found {
                Compared::Equal | Compared::Absent => false,
                Compared::Missing => key.contains(*field),
                Compared::Different => key.contains(*field) || !rewritten.contains(*field),
            })
            .fold(EchoFields::default(), |all, (field, _)| all.with(field))
    }

    //= docs/rules.md#M-06
    /// Whether something that tells requests apart is in both and equal.
    pub(super) fn agrees(&self, response: &Self) -> bool {
        let telling = EchoFields::TRANSMITTED
            .with(EchoFields::RRN)
            .with(EchoFields::TERMINAL);
        let mut compared = self.compared(response);
        compared.any(|(field, found)| telling.contains(field) && found == Compared::Equal)
    }

    fn compared(&self, response: &Self) -> impl Iterator<Item = (EchoFields, Compared)> + use<> {
        [
            (
                EchoFields::TRANSMITTED,
                both(self.transmitted, response.transmitted),
            ),
            (EchoFields::RRN, texts(&self.rrn, &response.rrn)),
            (
                EchoFields::TERMINAL,
                texts(&self.terminal, &response.terminal),
            ),
            (
                EchoFields::MERCHANT,
                texts(&self.merchant, &response.merchant),
            ),
            (
                EchoFields::PROCESSING_CODE,
                texts(&self.processing_code, &response.processing_code),
            ),
            (EchoFields::CURRENCY, both(self.currency, response.currency)),
            (EchoFields::ACCOUNT, both(self.account, response.account)),
            (
                EchoFields::LOCAL_TIME,
                texts(&self.local_time, &response.local_time),
            ),
            (
                EchoFields::LOCAL_DATE,
                texts(&self.local_date, &response.local_date),
            ),
            (
                EchoFields::INSTITUTION,
                texts(&self.institution, &response.institution),
            ),
        ]
        .into_iter()
    }
}

/// How a field of a request stands to that of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Equal,
    Different,
    /// The request has it, the response has not.
    Missing,
    /// The request has not.
    Absent,
}

fn both<V: PartialEq>(request: Option<V>, response: Option<V>) -> Compared {
    match (request, response) {
        (None, _) => Compared::Absent,
        (Some(_), None) => Compared::Missing,
        (Some(one), Some(other)) if one == other => Compared::Equal,
        (Some(_), Some(_)) => Compared::Different,
    }
}

fn texts<const N: usize>(request: &Text<N>, response: &Text<N>) -> Compared {
    let present = |text: &Text<N>| (!text.is_empty()).then_some(*text);
    both(present(request), present(response))
}

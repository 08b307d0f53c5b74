//! Identities: newtypes instead of bare numbers.

use core::fmt;

use crate::bytes::Text;
use crate::error::InvalidValue;
use crate::time::{decimal, digits_of};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A configured acquirer. In records, by the position of its name in the journal's manifest.
    AcquirerId(u16)
);
number!(
    /// A configured issuer. In records, by the position of its name in the journal's manifest.
    IssuerId(u16)
);
number!(
    /// A configured route, by its position in the configuration.
    RouteId(u16)
);
number!(
    /// One connection to an issuer; dense over all issuers, numbered anew at each start.
    LinkId(u16)
);
number!(
    /// One executor and its journal.
    ShardId(u16)
);
number!(
    /// This machine, 0 to 1023; part of every transaction id.
    NodeId(u16)
);
number!(
    /// Where a transaction lives: hash(acquirer id, STAN) mod [`Slot::COUNT`].
    Slot(u16)
);
number!(
    /// Position of a record in its shard's journal: dense, from 1. Zero means none.
    Lsn(u64)
);

impl Slot {
    /// Slots are dealt to shards; their number never changes.
    pub const COUNT: u16 = 4096;

    /// From a keyed hash of (acquirer id, STAN).
    #[must_use]
    pub const fn from_hash(hash: u64) -> Self {
        // COUNT is a power of two below 2^16, so the remainder fits; clippy sees it by itself.
        Self((hash % 4096) as u16)
    }

    /// The shard that owns this slot when there are `shards`.
    #[must_use]
    pub const fn owner(self, shards: u16) -> ShardId {
        match self.0.checked_rem(shards) {
            Some(shard) => ShardId(shard),
            None => ShardId(0),
        }
    }
}

impl Lsn {
    /// No record.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// DE11, system trace audit number: 000000 to 999999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stan(u32);

impl Stan {
    /// The largest.
    pub const MAX: u32 = 999_999;

    /// From a number of at most six digits.
    ///
    /// # Errors
    /// More than six digits.
    pub const fn new(number: u32) -> Result<Self, InvalidValue> {
        if number > Self::MAX {
            return Err(InvalidValue::Range("DE11"));
        }
        Ok(Self(number))
    }

    /// Reads the six digits of DE11.
    ///
    /// # Errors
    /// A non-digit or another length.
    pub fn from_digits(digits: &[u8]) -> Result<Self, InvalidValue> {
        if digits.len() != 6 {
            return Err(InvalidValue::Length("DE11"));
        }
        let number = decimal("DE11", digits)?;
        Self::new(u32::try_from(number).map_err(|_| InvalidValue::Range("DE11"))?)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The six digits of DE11.
    #[must_use]
    pub fn digits(self) -> [u8; 6] {
        digits_of(u64::from(self.0))
    }
}

impl fmt::Display for Stan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// DE37, retrieval reference number.
pub type Rrn = Text<12>;
/// DE41, card acceptor terminal identification.
pub type TerminalId = Text<8>;
/// DE42, card acceptor identification code.
pub type MerchantId = Text<15>;
/// DE32 or DE33, an institution's identification code.
pub type InstitutionId = Text<11>;
/// DE38, authorisation identification response.
pub type AuthorisationId = Text<6>;

/// Names one transaction for good, on all nodes: an RFC 9562 UUID version 7 whose twelve bits
/// `rand_a` carry the [`Slot`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub u128);

impl TransactionId {
    /// How many characters it is shown in.
    pub const TEXT_LEN: usize = 36;

    /// Builds an id; `serial` must not repeat within one millisecond of one `start` of one node.
    #[must_use]
    pub fn new(unix_millis: u64, slot: Slot, origin: Origin) -> Self {
        let time = u128::from(unix_millis & 0xFFFF_FFFF_FFFF) << 80;
        let version = 0x7_u128 << 76;
        let slot = u128::from(slot.0 & 0x0FFF) << 64;
        let variant = 0b10_u128 << 62;
        let node = u128::from(origin.node.0 & 0x03FF) << 52;
        let start = u128::from(origin.start & 0x000F_FFFF) << 32;
        Self(time | version | slot | variant | node | start | u128::from(origin.serial))
    }

    /// Reads an id as it is shown: 32 hexadecimal digits in lower case, in five groups. Any other
    /// spelling of the same number is none.
    #[must_use]
    pub fn from_shown(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return None;
        }
        let mut number = 0_u128;
        for (at, byte) in bytes.iter().enumerate() {
            let digit = match (at, byte) {
                (8 | 13 | 18 | 23, b'-') => continue,
                (8 | 13 | 18 | 23, _) => return None,
                (_, b'0'..=b'9') => byte.saturating_sub(b'0'),
                (_, b'a'..=b'f') => byte.saturating_sub(b'a').saturating_add(10),
                (_, _) => return None,
            };
            number = number.checked_shl(4).unwrap_or(0) | u128::from(digit);
        }
        Some(Self(number))
    }

    /// The slot that the id carries.
    #[must_use]
    pub fn slot(self) -> Slot {
        Slot(u16::try_from((self.0 >> 64) & 0x0FFF).unwrap_or(0))
    }

    /// The node's start counter that the id carries, low 20 bits.
    #[must_use]
    pub fn start(self) -> u32 {
        u32::try_from((self.0 >> 32) & 0x000F_FFFF).unwrap_or(0)
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'-'; Self::TEXT_LEN];
        let mut rest = self.0;
        for (place, byte) in text.iter_mut().enumerate() {
            if !matches!(place, 8 | 13 | 18 | 23) {
                rest = rest.rotate_left(4);
                let digit = u32::try_from(rest & 0xF).unwrap_or(0);
                let digit = char::from_digit(digit, 16).unwrap_or('0');
                *byte = u8::try_from(digit).unwrap_or(b'0');
            }
        }
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What makes a transaction id unique besides its millisecond.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The machine.
    pub node: NodeId,
    /// The node's start counter, low 20 bits.
    pub start: u32,
    /// Counts within one start; the shard's number is in its low bits.
    pub serial: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_transaction_id_is_a_uuid_v7_that_carries_its_slot() {
        let origin = Origin {
            node: NodeId(5),
            start: 9,
            serial: 77,
        };
        let id = TransactionId::new(1_767_225_600_000, Slot(0xABC), origin);
        assert_eq!(id.slot(), Slot(0xABC));
        assert_eq!(id.to_string(), "019b76da-a800-7abc-8050-00090000004d");
        assert_eq!(TransactionId::from_shown(&id.to_string()), Some(id));
    }

    #[test]
    fn an_id_is_spelled_in_one_way() {
        for text in [
            "",
            "019b76da-a800-7abc-8050-00090000004",
            "019b76da-a800-7abc-8050-00090000004D",
            "019b76daxa800-7abc-8050-00090000004d",
            "019b76da-a800-7abc-8050-00090000004g",
            "019b76daa8007abc805000090000004d",
            "-19b76da-a800-7abc-8050-00090000004d",
        ] {
            assert_eq!(TransactionId::from_shown(text), None, "{text}");
        }
    }

    #[test]
    fn slots_are_dealt_to_all_shards() {
        for shards in 1..=5_u16 {
            let mut owned = [0_u32; 5];
            for slot in 0..Slot::COUNT {
                owned[usize::from(Slot(slot).owner(shards).0)] += 1;
            }
            let dealt = owned.iter().filter(|count| **count > 0).count();
            assert_eq!(dealt, usize::from(shards));
        }
        assert!(Slot::from_hash(u64::MAX).0 < Slot::COUNT);
    }

    #[test]
    fn de11_is_six_digits() {
        assert_eq!(Stan::from_digits(b"000042").unwrap().to_string(), "000042");
        assert!(Stan::from_digits(b"00004").is_err());
        assert!(Stan::from_digits(b"00004a").is_err());
        assert!(Stan::new(1_000_000).is_err());
    }
}

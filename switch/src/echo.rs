//! The fields that an issuer's answer must repeat (semantics.md §5), read from messages and
//! records.

use ahash::RandomState;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::request::{Facts, IssuerLeg};
use domain::time::TransmissionTime;
use iso8583::MessageRef;
use transaction::matching::Echo;

/// Reads echo fields. The account is compared by a hash whose key lives as long as the process: the
/// pending tables hold no account number.
#[derive(Clone, Debug)]
pub(crate) struct EchoReader {
    hasher: RandomState,
}

impl EchoReader {
    /// With a random key; clones share it.
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
        }
    }

    /// Of an answer as it came.
    pub(crate) fn of_answer(&self, message: MessageRef<'_>) -> Echo {
        let digits = |number| message.field(number).unwrap_or_default();
        Echo {
            transmitted: TransmissionTime::from_digits(digits(7)).ok(),
            terminal: text(digits(41)),
            rrn: text(digits(37)),
            merchant: text(digits(42)),
            processing_code: text(digits(3)),
            currency: Currency::from_digits(digits(49)).ok(),
            account: message.field(2).map(|account| self.hash(account)),
        }
    }

    /// Of what goes out: the acquirer's fields under the leg's own DE7.
    pub(crate) fn of_facts(&self, facts: &Facts, leg: &IssuerLeg, account: &[u8]) -> Echo {
        Echo {
            transmitted: Some(leg.transmitted),
            terminal: facts.trace.terminal,
            rrn: facts.trace.rrn,
            merchant: facts.trace.merchant,
            processing_code: facts.processing_code,
            currency: Some(facts.amount.currency()),
            account: Some(self.hash(account)),
        }
    }

    fn hash(&self, account: &[u8]) -> u64 {
        self.hasher.hash_one(account)
    }
}

/// A field that is no text counts as absent: it is not compared, and never equal to another.
fn text<const N: usize>(bytes: &[u8]) -> Text<N> {
    Text::new("echo field", bytes).unwrap_or_default()
}

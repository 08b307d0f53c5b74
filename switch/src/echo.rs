//! The fields that an issuer's answer must repeat (semantics.md §5), read from messages and
//! records.

use ahash::RandomState;
use domain::bytes::Text;
use domain::request::{Facts, IssuerLeg};
use domain::time::TransmissionTime;
use iso8583::{Dialect, MessageRef, translate};
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
        Echo {
            transmitted: with(message, 7, |text| TransmissionTime::from_digits(text).ok()),
            terminal: text(message, 41),
            rrn: text(message, 37),
            merchant: text(message, 42),
            processing_code: text(message, 3),
            currency: translate::currency(message).ok(),
            account: with(message, 2, |account| Some(self.hash(account))),
            local_time: text(message, 12),
            local_date: text(message, 13),
            institution: text(message, 32),
        }
    }

    /// Of what goes out: the acquirer's fields under the leg's own DE7.
    pub(crate) fn of_facts(&self, facts: &Facts, leg: &IssuerLeg, account: &[u8]) -> Echo {
        let trace = &facts.trace;
        Echo {
            transmitted: Some(leg.transmitted),
            terminal: trace.terminal,
            rrn: trace.rrn,
            merchant: trace.merchant,
            processing_code: facts.processing_code,
            currency: Some(facts.amount.currency()),
            account: Some(self.hash(account)),
            local_time: Text::new("DE12", trace.local_time.as_bytes()).unwrap_or_default(),
            local_date: trace.local_date,
            institution: trace.institution,
        }
    }

    /// Of an administrative message that goes out: its own fields under the leg's own DE7. What has
    /// another form in another edition is not compared.
    pub(crate) fn of_administrative(
        &self,
        message: MessageRef<'_>,
        leg: &IssuerLeg,
        dialect: &Dialect,
    ) -> Echo {
        let own = self.of_answer(message);
        let is_across = dialect.version() != message.dialect().version();
        let account = translate::account(message).ok().flatten();
        Echo {
            transmitted: Some(leg.transmitted),
            account: account.map(|account| self.hash(account.expose_digits())),
            local_time: if is_across {
                Text::EMPTY
            } else {
                own.local_time
            },
            local_date: if is_across {
                Text::EMPTY
            } else {
                own.local_date
            },
            ..own
        }
    }

    fn hash(&self, account: &[u8]) -> u64 {
        self.hasher.hash_one(account)
    }
}

/// A field that is no text counts as absent: it is not compared, and never equal to another.
fn text<const N: usize>(message: MessageRef<'_>, number: u8) -> Text<N> {
    with(message, number, |text| Text::new("echo field", text).ok()).unwrap_or_default()
}

/// What a field's characters are read as, if it is there.
fn with<T>(
    message: MessageRef<'_>,
    number: u8,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Option<T> {
    read(message.decode(number, &mut [0; ECHOED_LEN_MAX])?)
}

/// The longest field that is echoed: an account of 19 digits.
const ECHOED_LEN_MAX: usize = 19;

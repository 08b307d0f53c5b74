//! Messages that cannot be written for an issuer: nothing of them leaves, and an operator is told
//! what to change.

use std::time::Duration;

use ahash::AHashMap;
use domain::ids::IssuerId;
use domain::time::Instant;
use iso8583::error::WriteError;

use super::Shard;
use crate::crypto::endpoint_keys::{self, EndpointKeys};
use crate::endpoint::IssuerWire;
use crate::metrics::{Counter, UnwritableReason};

/// Why one cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable {
    pub(crate) reason: UnwritableReason,
    /// The field that it fails at, if it is one.
    pub(crate) field: Option<u8>,
}

impl Unwritable {
    const fn of(reason: UnwritableReason) -> Self {
        let field = None;
        Self { reason, field }
    }
}

impl From<WriteError> for Unwritable {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Order(number)
            | WriteError::Undefined(number)
            | WriteError::Length(number)
            | WriteError::Content(number) => Self {
                reason: UnwritableReason::Field,
                field: Some(number),
            },
            WriteError::BehindMac(number) => Self {
                reason: UnwritableReason::Mac,
                field: Some(number),
            },
            WriteError::Full | WriteError::EndOfText => Self::of(UnwritableReason::Frame),
            WriteError::NotAnswerable => Self::of(UnwritableReason::Field),
        }
    }
}

/// Encodes one message to an issuer into `out`, with its MAC and its frame.
pub(super) fn write(
    wire: &IssuerWire,
    keys: Option<&EndpointKeys>,
    out: &mut [u8],
    encode: impl FnOnce(&mut [u8]) -> Result<usize, WriteError>,
) -> Result<usize, Unwritable> {
    // What the frame itself refuses has no other name.
    let mut why = Unwritable::of(UnwritableReason::Frame);
    let framed = wire.casing.write(out, |body| {
        let len = encode(body).map_err(|error| why = error.into()).ok()?;
        let whole = endpoint_keys::append(keys, wire.dialect, body, len);
        if whole.is_none() {
            why = Unwritable::of(UnwritableReason::Mac);
        }
        whole
    });
    framed.ok_or(why)
}

/// When each cause was told last.
#[derive(Debug, Default)]
pub(crate) struct Told(AHashMap<(IssuerId, UnwritableReason), Instant>);

impl Told {
    /// Whether it is time to tell a cause, which then counts as told.
    fn is_due(&mut self, issuer: IssuerId, reason: UnwritableReason, now: Instant) -> bool {
        let last = self.0.get(&(issuer, reason)).copied();
        let is_due = last.is_none_or(|last| now.since(last) >= TELL_AGAIN);
        if is_due {
            self.0.insert((issuer, reason), now);
        }
        is_due
    }
}

impl Shard {
    /// Counts one, and tells its cause once a minute.
    pub(super) fn note_unwritable(&mut self, issuer: IssuerId, why: Unwritable, now: Instant) {
        let Unwritable { reason, field } = why;
        self.metrics.count(Counter::Unwritable(issuer, reason));
        if !self.work.unwritable_told.is_due(issuer, reason, now) {
            return;
        }
        let name = self.config.issuers.get(usize::from(issuer.0));
        let issuer = name.map(|issuer| issuer.name.as_str()).unwrap_or_default();
        let reason = UnwritableReason::VALUES.get(reason.index());
        tracing::warn!(
            issuer,
            reason,
            field,
            "a message cannot be written for the issuer and is not sent: compare its dialect, \
             framing and mac with those of the listener"
        );
    }
}

const TELL_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use domain::ids::InstitutionId;
    use iso8583::header::HeaderBytes;
    use iso8583::{Dialect, Framing};

    use super::*;
    use crate::frame::Casing;

    #[track_caller]
    fn check(
        framing: Framing,
        encoded: Result<usize, WriteError>,
        expected: Result<usize, (UnwritableReason, Option<u8>)>,
    ) {
        let wire = IssuerWire {
            reason_field: None,
            dialect: Dialect::ISO87_ASCII,
            casing: Casing {
                framing,
                header: HeaderBytes::NONE,
            },
            institution: InstitutionId::EMPTY,
        };
        let written = write(&wire, None, &mut [3; 1_100], |_| encoded);
        let written = written.map_err(|why| (why.reason, why.field));
        assert_eq!(written, expected);
    }

    #[test]
    fn what_cannot_be_written_has_its_reason() {
        use UnwritableReason::{Field, Frame};
        check(Framing::Ascii3, Ok(999), Ok(1_002));
        check(Framing::Ascii3, Ok(1_000), Err((Frame, None)));
        check(Framing::Etx, Ok(10), Err((Frame, None)));
        check(Framing::Be16, Err(WriteError::Full), Err((Frame, None)));
        for error in [WriteError::Undefined(59), WriteError::Length(59)] {
            check(Framing::Be16, Err(error), Err((Field, Some(59))));
        }
    }

    #[test]
    fn each_cause_is_told_once_a_minute() {
        let mut told = Told::default();
        let (bank, momo) = (IssuerId(0), IssuerId(1));
        let at = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        let mut is_due = |issuer, reason, seconds| told.is_due(issuer, reason, at(seconds));
        assert!(is_due(bank, UnwritableReason::Frame, 0));
        assert!(!is_due(bank, UnwritableReason::Frame, 59));
        assert!(is_due(bank, UnwritableReason::Field, 59));
        assert!(is_due(momo, UnwritableReason::Frame, 59));
        assert!(is_due(bank, UnwritableReason::Frame, 60));
    }
}

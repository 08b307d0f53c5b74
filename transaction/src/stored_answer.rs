//! What a transaction keeps of its answer, in as little room as it takes.

use domain::ResponseCode;
use domain::ids::{AuthorisationId, TransactionId};

use crate::arena::Span;

/// An answer with its further fields in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredAnswer {
    pub(crate) code: ResponseCode,
    pub(crate) authorisation: AuthorisationId,
    more: More,
}

/// What only a request is told, or what only an advice has: of each transaction one of them, as an
/// entry of the table has no byte to spare.
#[derive(Clone, Copy, Debug)]
enum More {
    /// A request is told it.
    Told {
        /// In the currency of the request; `u64::MAX` when absent.
        amount: Narrow<u64>,
        fields: Span,
    },
    /// An advice completes this.
    Completes(Narrow<TransactionId>),
}

/// Begins at any fourth byte, so that what lies beside it needs no padding.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
struct Narrow<T: Copy>(T);

const _: () = assert!(
    size_of::<StoredAnswer>() == 32,
    "what an advice completes takes no room of its own"
);

impl StoredAnswer {
    /// A code and nothing else.
    pub(crate) const fn of(code: ResponseCode) -> Self {
        Self {
            code,
            authorisation: AuthorisationId::EMPTY,
            more: More::Told {
                amount: Narrow(u64::MAX),
                fields: Span::EMPTY,
            },
        }
    }

    /// What a request is told, with its further fields. An advice is told a code alone: what it
    /// completes would be lost.
    pub(crate) fn tell(
        &mut self,
        (code, authorisation): (ResponseCode, AuthorisationId),
        amount: Option<u64>,
        fields: Span,
    ) {
        debug_assert!(self.completes().is_none(), "what an advice completes stays");
        debug_assert!(
            self.fields().is_empty(),
            "the arena would keep them for ever"
        );
        *self = Self {
            code,
            authorisation,
            more: More::Told {
                amount: Narrow(amount.unwrap_or(u64::MAX)),
                fields,
            },
        };
    }

    /// A code and nothing else is told; what an advice completes stays.
    pub(crate) fn set_code(&mut self, code: ResponseCode) {
        debug_assert!(
            self.fields().is_empty(),
            "the arena would keep them for ever"
        );
        let completes = self.completes();
        *self = Self::of(code);
        self.set_completes(completes);
    }

    /// What an advice completes. An answer to a request has nothing of the kind.
    pub(crate) fn set_completes(&mut self, original: Option<TransactionId>) {
        if let Some(original) = original {
            debug_assert!(self.is_code_alone(), "an advice is told a code alone");
            self.more = More::Completes(Narrow(original));
        }
    }

    const fn is_code_alone(&self) -> bool {
        match self.more {
            More::Told { amount, fields } => amount.0 == u64::MAX && fields.is_empty(),
            More::Completes(_) => true,
        }
    }

    pub(crate) const fn completes(&self) -> Option<TransactionId> {
        match self.more {
            More::Completes(original) => Some(original.0),
            More::Told { .. } => None,
        }
    }

    pub(crate) const fn fields(&self) -> Span {
        match self.more {
            More::Told { fields, .. } => fields,
            More::Completes(_) => Span::EMPTY,
        }
    }

    /// Says where the further fields lie; returns where they lay.
    pub(crate) fn replace_fields(&mut self, by: Span) -> Span {
        match &mut self.more {
            More::Told { fields, .. } => core::mem::replace(fields, by),
            More::Completes(_) => {
                debug_assert!(by.is_empty(), "an advice is told a code alone");
                Span::EMPTY
            }
        }
    }

    /// In the currency of the request; `u64::MAX` when absent.
    pub(crate) const fn amount(&self) -> u64 {
        match self.more {
            More::Told { amount, .. } => amount.0,
            More::Completes(_) => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original() -> TransactionId {
        TransactionId(7)
    }

    #[test]
    fn a_code_leaves_what_an_advice_completes() {
        let mut answer = StoredAnswer::of(ResponseCode::MALFUNCTION);
        answer.set_completes(Some(original()));
        answer.set_code(ResponseCode::APPROVED);
        assert_eq!(answer.completes(), Some(original()));
        assert_eq!(
            (answer.code, answer.amount()),
            (ResponseCode::APPROVED, u64::MAX)
        );
    }

    #[test]
    fn what_a_request_is_told_is_kept() {
        let mut answer = StoredAnswer::of(ResponseCode::MALFUNCTION);
        let authorisation = AuthorisationId::EMPTY;
        answer.tell(
            (ResponseCode::APPROVED, authorisation),
            Some(900),
            Span::EMPTY,
        );
        assert_eq!(
            (answer.code, answer.amount()),
            (ResponseCode::APPROVED, 900)
        );
        assert_eq!(answer.completes(), None);
    }

    #[test]
    fn what_an_advice_completes_and_what_a_request_is_told_never_take_each_others_place() {
        if !cfg!(debug_assertions) {
            return;
        }
        let panics = |change: fn(&mut StoredAnswer)| {
            let answer = std::panic::catch_unwind(move || {
                let mut answer = StoredAnswer::of(ResponseCode::MALFUNCTION);
                change(&mut answer);
            });
            answer.is_err()
        };
        assert!(panics(|answer| {
            answer.set_completes(Some(original()));
            answer.tell(
                (ResponseCode::APPROVED, AuthorisationId::EMPTY),
                None,
                Span::EMPTY,
            );
        }));
        assert!(panics(|answer| {
            answer.tell(
                (ResponseCode::APPROVED, AuthorisationId::EMPTY),
                Some(1),
                Span::EMPTY,
            );
            answer.set_completes(Some(original()));
        }));
    }
}

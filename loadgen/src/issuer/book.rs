//! The truth at one issuer: what was approved, what was taken back.

use std::collections::BTreeMap;

use domain::amount::Amount;
use domain::currency::Currency;
use domain::ids::{AuthorisationId, Stan};
use domain::response_code::ResponseCode;
use hashbrown::{HashMap, HashSet};

use crate::trace_id::TraceId;

/// A change of an account's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What was done.
    pub kind: EffectKind,
    /// The request, as the issuer saw it.
    pub id: TraceId,
    /// How much.
    pub amount: Amount,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// Held or posted.
    Approve,
    /// Given back.
    Reverse,
    /// Held no longer: a completion stands in its place.
    Release,
    /// Held again: its completion was reversed.
    Hold,
}

/// What the issuer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// DE39.
    pub code: ResponseCode,
    /// DE38; empty for a decline.
    pub authorisation: AuthorisationId,
}

/// A request that the book is asked to take.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The request.
    pub id: TraceId,
    /// Its origin digit is odd.
    pub repeat: bool,
    /// DE4 in DE49.
    pub amount: Amount,
    /// What it gets if nothing speaks against it.
    pub told: Told,
    /// What it completes.
    pub completes: Option<TraceId>,
}

/// All requests that one issuer has decided on.
#[derive(Debug, Default)]
pub struct Book {
    entries: HashMap<TraceId, Entry>,
    /// STANs whose answers are out: they must not be used for something else.
    open: HashMap<u32, TraceId>,
    /// Of which only repeats have come: the first transmission may still be on its way, where a
    /// connection that has ended delivers last what was written to it.
    overtaken: HashSet<TraceId>,
    /// Made and not yet written to the ledger.
    effects: Vec<Effect>,
    totals: BTreeMap<u16, Money>,
    /// Oddities in the sender's conduct.
    pub oddities: Oddities,
}

/// Sums of one currency in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    /// Approved.
    pub approved: u64,
    /// Taken back, or replaced by a completion.
    pub reversed: u64,
}

/// What a right switch never does, and what it does only when something was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// A request came twice without being marked as a repeat: its money moved twice. What is marked
    /// does not count, whichever comes first.
    pub requests_doubled: u64,
    /// A first transmission came behind its repeat, and moved nothing.
    pub requests_overtaken: u64,
    /// A STAN was used while its earlier request was unanswered.
    pub stans_reused: u64,
    /// A reversal of a request that never came.
    pub reversals_unknown: u64,
    /// A reversal of what was reversed already.
    pub reversals_repeated: u64,
    /// A request that came after its reversal.
    pub requests_after_reversal: u64,
    /// A completion of what never came, or was not approved.
    pub completions_unknown: u64,
}

#[derive(Clone, Copy, Debug)]
enum Entry {
    Approved {
        amount: Amount,
        told: Told,
        /// Minor units taken back.
        taken_back: u64,
        reversed: bool,
        completes: Option<TraceId>,
        /// Completions that stand in its place.
        completions: u32,
    },
    Declined(Told),
    /// Reversed before it came.
    Voided,
}

impl Book {
    /// Takes a request, and says what it is told.
    pub fn request(&mut self, asked: &Asked) -> Told {
        let stan = asked.id.stan.number();
        if self.open.get(&stan).is_some_and(|open| *open != asked.id) {
            self.oddities.stans_reused += 1;
            return Told::decline(ResponseCode::DUPLICATE);
        }
        match self.entries.get(&asked.id) {
            Some(Entry::Voided) => {
                self.oddities.requests_after_reversal += 1;
                return Told::decline(ResponseCode::DUPLICATE);
            }
            Some(Entry::Approved { told, .. } | Entry::Declined(told)) => {
                let told = *told;
                if !asked.repeat {
                    self.take_again(asked);
                }
                return told;
            }
            None => {}
        }
        self.open.insert(stan, asked.id);
        if asked.repeat {
            self.overtaken.insert(asked.id);
        }
        let entry = if asked.told.code.is_approval() {
            Entry::Approved {
                amount: asked.amount,
                told: asked.told,
                taken_back: 0,
                reversed: false,
                completes: asked.completes,
                completions: 0,
            }
        } else {
            Entry::Declined(asked.told)
        };
        self.entries.insert(asked.id, entry);
        self.approve_if(asked);
        asked.told
    }

    /// Takes an advice, and says what it is told: that it is taken, unless its reversal came first.
    pub fn advice(&mut self, asked: &Asked) -> ResponseCode {
        let told = self.request(asked);
        self.close(asked.id.stan);
        match self.entries.get(&asked.id) {
            Some(Entry::Approved { .. } | Entry::Declined(_)) => ResponseCode::APPROVED,
            Some(Entry::Voided) | None => told.code,
        }
    }

    /// Takes a reversal of `id`; `stays` is the amount that was really completed. A further one
    /// that leaves less takes back the difference.
    pub fn reversal(&mut self, id: &TraceId, stays: Option<Amount>) -> ResponseCode {
        if self.open.get(&id.stan.number()) == Some(id) {
            self.open.remove(&id.stan.number());
        }
        let kept = stays.map_or(0, Amount::minor);
        match self.entries.get_mut(id) {
            None => {
                self.oddities.reversals_unknown += 1;
                self.entries.insert(*id, Entry::Voided);
                ResponseCode::ORIGINAL_NOT_FOUND
            }
            Some(Entry::Voided) => {
                self.oddities.reversals_repeated += 1;
                ResponseCode::ORIGINAL_NOT_FOUND
            }
            Some(Entry::Declined(_)) => ResponseCode::APPROVED,
            Some(Entry::Approved {
                reversed: true,
                amount,
                taken_back,
                ..
            }) if kept >= amount.minor() - *taken_back => {
                self.oddities.reversals_repeated += 1;
                ResponseCode::APPROVED
            }
            Some(Entry::Approved {
                amount,
                taken_back,
                reversed,
                completes,
                completions,
                ..
            }) => {
                let left = amount.minor() - *taken_back;
                let (minor, currency) = (left.saturating_sub(kept), amount.currency());
                *reversed = true;
                *taken_back += minor;
                let undone = completes.filter(|_| kept == 0);
                // What a completion stands for is not held, and cannot be given back.
                if *completions == 0 {
                    self.effect(EffectKind::Reverse, *id, minor, currency);
                }
                if let Some(original) = undone {
                    self.uncomplete(&original);
                }
                ResponseCode::APPROVED
            }
        }
    }

    /// What comes under this id was reversed before.
    pub fn bury(&mut self, id: TraceId) {
        self.entries.entry(id).or_insert(Entry::Voided);
    }

    /// The answer has left: the STAN may be used again.
    pub fn close(&mut self, stan: Stan) {
        self.open.remove(&stan.number());
    }

    /// Effects since the last call.
    pub fn take_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// Sums per currency.
    #[must_use]
    pub const fn totals(&self) -> &BTreeMap<u16, Money> {
        &self.totals
    }

    /// What is not marked as a repeat, of something that has come before.
    fn take_again(&mut self, asked: &Asked) {
        if self.overtaken.remove(&asked.id) {
            self.oddities.requests_overtaken += 1;
        } else {
            self.oddities.requests_doubled += 1;
            self.approve_if(asked);
        }
    }

    fn approve_if(&mut self, asked: &Asked) {
        if asked.told.code.is_approval() {
            let (minor, currency) = (asked.amount.minor(), asked.amount.currency());
            self.effect(EffectKind::Approve, asked.id, minor, currency);
            if let Some(original) = &asked.completes {
                self.complete(original);
            }
        }
    }

    /// A completion stands in the place of what its original held.
    fn complete(&mut self, original: &TraceId) {
        let Some(Entry::Approved {
            amount,
            taken_back,
            completions,
            ..
        }) = self.entries.get_mut(original)
        else {
            self.oddities.completions_unknown += 1;
            return;
        };
        *completions += 1;
        if *completions == 1 {
            let (minor, currency) = (amount.minor() - *taken_back, amount.currency());
            self.effect(EffectKind::Release, *original, minor, currency);
        }
    }

    /// Nothing of a completion is left: its original holds what it held before.
    fn uncomplete(&mut self, original: &TraceId) {
        let Some(Entry::Approved {
            amount,
            taken_back,
            completions,
            ..
        }) = self.entries.get_mut(original)
        else {
            return;
        };
        *completions = completions.saturating_sub(1);
        if *completions == 0 {
            let (minor, currency) = (amount.minor() - *taken_back, amount.currency());
            self.effect(EffectKind::Hold, *original, minor, currency);
        }
    }

    fn effect(&mut self, kind: EffectKind, id: TraceId, minor: u64, currency: Currency) {
        let Ok(amount) = Amount::new(minor, currency) else {
            return;
        };
        let total = self.totals.entry(currency.code()).or_default();
        match kind {
            EffectKind::Approve | EffectKind::Hold => total.approved += minor,
            EffectKind::Reverse | EffectKind::Release => total.reversed += minor,
        }
        self.effects.push(Effect { kind, id, amount });
    }
}

impl Told {
    /// A decline.
    #[must_use]
    pub const fn decline(code: ResponseCode) -> Self {
        Self {
            code,
            authorisation: AuthorisationId::EMPTY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::{Rrn, TerminalId};
    use domain::time::TransmissionTime;

    fn id(stan: u32) -> TraceId {
        TraceId {
            stan: Stan::new(stan).unwrap(),
            transmitted: TransmissionTime::from_digits(b"0115101500").unwrap(),
            rrn: Rrn::new("DE37", format!("{stan:012}").as_bytes()).unwrap(),
            terminal: TerminalId::new("DE41", b"KE000007").unwrap(),
        }
    }

    fn asked(stan: u32, minor: u64) -> Asked {
        Asked {
            id: id(stan),
            repeat: false,
            amount: Amount::new(minor, Currency::KES).unwrap(),
            told: Told {
                code: ResponseCode::APPROVED,
                authorisation: AuthorisationId::new("DE38", b"A1B2C3").unwrap(),
            },
            completes: None,
        }
    }

    fn completion(stan: u32, minor: u64, of: u32) -> Asked {
        Asked {
            completes: Some(id(of)),
            ..asked(stan, minor)
        }
    }

    fn kes(book: &Book) -> (u64, u64) {
        let money = book.totals()[&404];
        (money.approved, money.reversed)
    }

    #[test]
    fn a_reversal_takes_back_once() {
        let mut book = Book::default();
        assert!(book.request(&asked(1, 500)).code.is_approval());
        assert_eq!(book.reversal(&id(1), None), ResponseCode::APPROVED);
        assert_eq!(book.reversal(&id(1), None), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (500, 500));
        assert_eq!(book.oddities.reversals_repeated, 1);
        let kinds: Vec<EffectKind> = book.take_effects().map(|effect| effect.kind).collect();
        assert_eq!(kinds, [EffectKind::Approve, EffectKind::Reverse]);
        assert_eq!(book.take_effects().count(), 0);
    }

    #[test]
    fn a_further_reversal_takes_back_what_the_one_before_left() {
        let mut book = Book::default();
        assert_eq!(book.request(&asked(1, 1_000)).code, ResponseCode::APPROVED);
        let stays = |minor| Amount::new(minor, Currency::KES).ok();
        for left in [stays(700), stays(700), stays(500), stays(700), None, None] {
            assert_eq!(book.reversal(&id(1), left), ResponseCode::APPROVED);
        }
        let taken: Vec<u64> = book
            .take_effects()
            .skip(1)
            .map(|effect| effect.amount.minor())
            .collect();
        assert_eq!(taken, [300, 200, 500]);
        assert_eq!(book.oddities.reversals_repeated, 3);
    }

    #[test]
    fn a_partial_reversal_leaves_the_rest() {
        let mut book = Book::default();
        book.request(&asked(1, 500));
        let stays = Amount::new(200, Currency::KES).unwrap();
        assert_eq!(book.reversal(&id(1), Some(stays)), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (500, 300));
    }

    #[test]
    fn a_repeat_is_told_the_same_and_an_unmarked_copy_moves_money_twice() {
        let mut book = Book::default();
        let first = book.request(&asked(1, 500));
        let repeat = Asked {
            repeat: true,
            ..asked(1, 500)
        };
        assert_eq!(book.request(&repeat), first);
        assert_eq!(kes(&book), (500, 0));
        assert_eq!(book.request(&asked(1, 500)), first);
        assert_eq!(kes(&book), (1_000, 0));
        assert_eq!(book.oddities.requests_doubled, 1);
    }

    /// After a restart the switch marks what it may have sent before; the connection that ended may
    /// deliver that first transmission last.
    #[test]
    fn a_first_transmission_behind_its_repeat_moves_nothing_and_a_second_one_does() {
        let mut book = Book::default();
        let repeat = Asked {
            repeat: true,
            ..asked(1, 500)
        };
        let told = book.request(&repeat);
        assert_eq!(book.request(&asked(1, 500)), told);
        assert_eq!(kes(&book), (500, 0));
        assert_eq!(book.oddities.requests_overtaken, 1);
        assert_eq!(book.oddities.requests_doubled, 0);
        assert_eq!(book.request(&asked(1, 500)), told);
        assert_eq!(kes(&book), (1_000, 0));
        assert_eq!(book.oddities.requests_doubled, 1);
    }

    #[test]
    fn a_stan_in_flight_is_not_taken_for_something_else() {
        let mut book = Book::default();
        book.request(&asked(1, 500));
        let other = Asked {
            id: TraceId {
                rrn: Rrn::new("DE37", b"other").unwrap(),
                ..id(1)
            },
            ..asked(1, 900)
        };
        assert_eq!(book.request(&other).code, ResponseCode::DUPLICATE);
        assert_eq!(kes(&book), (500, 0));
        assert_eq!(book.oddities.stans_reused, 1);
        book.close(id(1).stan);
        assert!(book.request(&other).code.is_approval());
    }

    #[test]
    fn a_request_behind_its_reversal_is_not_taken() {
        let mut book = Book::default();
        assert_eq!(
            book.reversal(&id(1), None),
            ResponseCode::ORIGINAL_NOT_FOUND
        );
        assert_eq!(book.request(&asked(1, 500)).code, ResponseCode::DUPLICATE);
        assert!(book.totals().is_empty());
        assert_eq!(book.oddities.requests_after_reversal, 1);
    }

    #[test]
    fn an_advice_moves_money_once_and_is_always_acknowledged() {
        let mut book = Book::default();
        assert_eq!(book.advice(&asked(1, 500)), ResponseCode::APPROVED);
        let repeat = Asked {
            repeat: true,
            ..asked(1, 500)
        };
        assert_eq!(book.advice(&repeat), ResponseCode::APPROVED);
        let declined = Asked {
            told: Told::decline(ResponseCode::INSUFFICIENT_FUNDS),
            ..asked(2, 900)
        };
        assert_eq!(book.advice(&declined), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (500, 0));
        assert_eq!(book.reversal(&id(1), None), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (500, 500));
    }

    #[test]
    fn a_completion_replaces_what_was_held_once() {
        let mut book = Book::default();
        book.request(&asked(1, 500));
        assert_eq!(book.advice(&completion(2, 300, 1)), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (800, 500));
        let repeat = Asked {
            repeat: true,
            ..completion(2, 300, 1)
        };
        assert_eq!(book.advice(&repeat), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (800, 500));
        // What it stands for is not given back beside it.
        assert_eq!(book.reversal(&id(1), None), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (800, 500));
        assert_eq!(book.oddities, Oddities::default());
    }

    #[test]
    fn a_second_completion_moves_money_twice() {
        let mut book = Book::default();
        book.request(&asked(1, 500));
        book.advice(&completion(2, 300, 1));
        book.advice(&completion(2, 300, 1));
        assert_eq!(kes(&book), (1_100, 500));
        assert_eq!(book.oddities.requests_doubled, 1);
    }

    #[test]
    fn a_completion_that_is_reversed_leaves_what_was_held() {
        let mut book = Book::default();
        book.request(&asked(1, 500));
        book.request(&completion(2, 300, 1));
        let stays = Amount::new(100, Currency::KES).unwrap();
        assert_eq!(book.reversal(&id(2), Some(stays)), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (800, 700), "a part stands in its place");
        let mut book = Book::default();
        book.request(&asked(1, 500));
        book.request(&completion(2, 300, 1));
        assert_eq!(book.reversal(&id(2), None), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (1_300, 800));
        let kinds: Vec<EffectKind> = book.take_effects().map(|effect| effect.kind).collect();
        use EffectKind::{Approve, Hold, Release, Reverse};
        assert_eq!(kinds, [Approve, Approve, Release, Reverse, Hold]);
    }

    #[test]
    fn a_completion_of_what_never_came_is_odd() {
        let mut book = Book::default();
        assert_eq!(book.advice(&completion(2, 300, 1)), ResponseCode::APPROVED);
        assert_eq!(kes(&book), (300, 0));
        assert_eq!(book.oddities.completions_unknown, 1);
    }

    #[test]
    fn a_decline_moves_nothing_and_its_reversal_is_accepted() {
        let mut book = Book::default();
        let declined = Asked {
            told: Told::decline(ResponseCode::INSUFFICIENT_FUNDS),
            ..asked(1, 500)
        };
        book.request(&declined);
        assert_eq!(book.reversal(&id(1), None), ResponseCode::APPROVED);
        assert!(book.totals().is_empty());
    }
}

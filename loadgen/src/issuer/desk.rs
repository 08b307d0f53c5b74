//! What all simulated issuers have, however they are spoken to: dice, faults, a book, and a wheel
//! of answers that wait for their time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use domain::bytes::Text;
use domain::ids::AuthorisationId;
use domain::time::{Instant, digits_of};

use super::behaviour::{Delivery, Dice};
use super::book::{Book, Money, Oddities, Told};
use super::control::{Control, Fault, FaultKind};
use super::ledger::Ledger;
use super::wheel::Wheel;
use crate::clock::Clock;

/// What an issuer did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuerStats {
    /// 0100 and 0200, repeats included.
    pub requests: u64,
    /// Of them approved.
    pub approved: u64,
    /// 0120 and 0220, repeats included.
    pub advices: u64,
    /// 0400 and 0420, repeats included.
    pub reversals: u64,
    /// 0600 and 0620, repeats included.
    pub administrative: u64,
    /// Sign-ons, sign-offs and echoes.
    pub network: u64,
    /// Answers that were never given.
    pub silent: u64,
    /// Answers that were given late.
    pub late: u64,
    /// Answers that were given twice.
    pub twice: u64,
    /// Answers that were no messages.
    pub garbled: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// Requests on connections that had not signed on, ignored.
    pub before_sign_on: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Odd conduct of the sender.
    pub oddities: Oddities,
    /// Money per numeric currency code.
    pub totals: Vec<(u16, Money)>,
}

impl IssuerStats {
    /// What a right switch never does to an issuer, with how often it did it.
    #[must_use]
    pub fn breaches(&self) -> Vec<(u64, &'static str)> {
        let Oddities {
            requests_doubled,
            stans_reused,
            completions_unknown,
            ..
        } = self.oddities;
        let breaches = [
            (requests_doubled, "requests came twice"),
            (
                completions_unknown,
                "completions named what was not approved",
            ),
            (stans_reused, "STANs were used while in flight"),
            (self.unreadable, "messages could not be read"),
            (self.before_sign_on, "requests came before the sign-on"),
        ];
        breaches
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .collect()
    }
}

/// Decides, and gives out answers at their times.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) dice: Dice,
    pub(super) control: Arc<Control>,
    pub(super) book: Book,
    pub(super) wheel: Wheel,
    pub(super) stats: IssuerStats,
    /// When the first request came: scripted faults count from it.
    pub(super) first: Option<u64>,
    clock: Clock,
    faults: Vec<Fault>,
    ledger: Option<Ledger>,
}

impl Desk {
    pub(super) fn new(clock: Clock, dice: Dice, control: Arc<Control>) -> Self {
        Self {
            dice,
            control,
            book: Book::default(),
            wheel: Wheel::new(),
            stats: IssuerStats::default(),
            first: None,
            clock,
            faults: Vec::new(),
            ledger: None,
        }
    }

    /// With scripted faults, and where it keeps the truth.
    pub(super) fn with(self, faults: Vec<Fault>, ledger: Option<Ledger>) -> Self {
        Self {
            faults,
            ledger,
            ..self
        }
    }

    /// Gives out what is due: connection and frame.
    pub(super) fn give_out(&mut self, now: u64, mut give: impl FnMut(u32, &[u8])) {
        if self.is(FaultKind::Freeze, now) {
            return;
        }
        let mute = self.is(FaultKind::Mute, now);
        let (book, stats) = (&mut self.book, &mut self.stats);
        self.wheel.advance(now, |wheel, pending| {
            if mute {
                stats.silent += 1;
            } else {
                give(pending.line, &pending.frame);
                if let Some(stan) = pending.closes {
                    book.close(stan);
                }
            }
            wheel.recycle(pending.frame);
        });
    }

    /// Writes the effects since the last call to the ledger.
    pub(super) fn write_ledger(&mut self, now: u64, flush: bool) -> Result<()> {
        let at = self.clock.wall(Instant::from_nanos(now));
        let effects = self.book.take_effects();
        let Some(ledger) = &mut self.ledger else {
            return Ok(());
        };
        for effect in effects {
            ledger.append(&effect, at);
        }
        if flush { ledger.flush() } else { Ok(()) }
    }

    /// Takes the ledger to close it.
    pub(super) const fn take_ledger(&mut self) -> Option<Ledger> {
        self.ledger.take()
    }

    pub(super) fn stats(&self) -> IssuerStats {
        IssuerStats {
            oddities: self.book.oddities,
            totals: self
                .book
                .totals()
                .iter()
                .map(|(currency, money)| (*currency, *money))
                .collect(),
            ..self.stats.clone()
        }
    }

    pub(super) const fn connected(&mut self) {
        self.stats.connections += 1;
    }

    /// Whether a fault is in force: by hand or by the script.
    pub(super) fn is(&self, kind: FaultKind, now: u64) -> bool {
        let control = &self.control;
        let by_hand = match kind {
            FaultKind::Mute => control.is_mute(),
            FaultKind::Freeze => control.is_frozen(),
            FaultKind::Disconnect => control.refuses(),
        };
        let since_first = self.first.map(|first| now.saturating_sub(first));
        by_hand
            || since_first.is_some_and(|since| {
                let since = Duration::from_nanos(since);
                let mut faults = self.faults.iter();
                faults.any(|fault| fault.kind == kind && fault.covers(since))
            })
    }

    /// How often all connections were to be closed.
    pub(super) fn disconnects(&self) -> u32 {
        self.control.disconnects()
    }

    /// Answers that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.wheel.len()
    }

    pub(super) fn delivery(&mut self) -> Delivery {
        if self.control.take_garble() {
            Delivery::Garbled
        } else if self.control.take_silence() {
            Delivery::Silent { processed: true }
        } else {
            self.dice.delivery()
        }
    }

    /// What a request gets if nothing speaks against it.
    pub(super) fn wanted(&mut self) -> Told {
        let code = self.dice.code();
        if !code.is_approval() {
            return Told::decline(code);
        }
        let digits: [u8; 6] = digits_of(self.dice.bits() >> 32);
        let authorisation = Text::new("DE38", &digits).unwrap_or(AuthorisationId::EMPTY);
        Told {
            code,
            authorisation,
        }
    }
}

//! What gateways were told, by key, and how the journal compares.

use std::path::Path;

use anyhow::Result;
use domain::amount::Amount;
use domain::ids::{AcquirerId, AuthorisationId, TransactionId};
use domain::response_code::ResponseCode;
use hashbrown::{HashMap, HashSet};

use super::acquirer::AcquirerBook;
use super::checks::{Audit, Check, Fault};
use super::journal::{Entry, JournalBook};
use crate::gateway::{About, Ack, Key, State};
use crate::recorder::Outcome;

/// All payments of one `gateway-acks.log`.
#[derive(Debug, Default)]
pub struct GatewayBook {
    told: HashMap<Key, Told>,
    ids: HashSet<TransactionId>,
    /// Payments that were told two different things.
    contradicted: Vec<Key>,
    /// Payments whose reversal was declined, though they were approved.
    kept: Vec<Key>,
}

/// What became of one payment, as far as its gateway knows.
#[derive(Clone, Copy, Debug)]
struct Told {
    amount: Amount,
    id: Option<TransactionId>,
    /// The furthest that it was told; `None` when it was told nothing.
    state: Option<State>,
    code: Option<ResponseCode>,
    authorisation: AuthorisationId,
    /// It was refused, and nothing was done for it.
    refused: bool,
    /// Of one of its requests nothing is known: it may have begun.
    unanswered: bool,
    reversal: Reversal,
    stays: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reversal {
    None,
    Unanswered,
    Acknowledged,
}

impl GatewayBook {
    /// Reads a log.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let mut book = Self::default();
        Ack::read_all(path, |ack| book.fold(&ack))?;
        Ok(book)
    }

    /// Takes one line.
    pub fn fold(&mut self, ack: &Ack) {
        self.ids.extend(ack.id);
        let told = self.told.entry(ack.key).or_insert(Told {
            amount: ack.amount,
            id: ack.id,
            state: None,
            code: None,
            authorisation: AuthorisationId::EMPTY,
            refused: false,
            unanswered: false,
            reversal: Reversal::None,
            stays: 0,
        });
        let other = told.id.is_some() && ack.id.is_some() && told.id != ack.id;
        told.id = told.id.or(ack.id);
        let contradicts = match ack.about {
            About::Payment => other | told.payment(ack),
            About::Reversal => other,
        };
        if ack.about == About::Reversal {
            match told.reversed(ack) {
                Ok(()) => {}
                Err(Declined) => self.kept.push(ack.key),
            }
        }
        if contradicts {
            self.contradicted.push(ack.key);
        }
    }

    /// Whether nobody was asked.
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether a gateway was told of it.
    pub(super) fn knows(&self, transaction: TransactionId) -> bool {
        self.ids.contains(&transaction)
    }

    /// The acquirers that are gateways. An acquirer is of one gateway or of ISO 8583, so one
    /// transaction that a gateway was told of says it of all; where none was told of any, all are
    /// of whom the other side knows nothing.
    fn acquirers(&self, iso: &AcquirerBook, journal: &JournalBook) -> HashSet<AcquirerId> {
        let entries = || journal.transactions.iter();
        let told = entries().filter(|(id, _)| self.knows(**id));
        let told: HashSet<_> = told.map(|(_, entry)| entry.acquirer).collect();
        if !told.is_empty() {
            return told;
        }
        let known = entries().filter(|(_, entry)| iso.told.contains_key(&entry.request));
        let known: HashSet<_> = known.map(|(_, entry)| entry.acquirer).collect();
        let others = entries().map(|(_, entry)| entry.acquirer);
        others.filter(|one| !known.contains(one)).collect()
    }

    /// By amount, how many payments may have a transaction whose id nobody was told.
    fn untold(&self) -> HashMap<Amount, u64> {
        let mut untold: HashMap<Amount, u64> = HashMap::new();
        for told in self.told.values().filter(|told| told.may_be_untold()) {
            *untold.entry(told.amount).or_default() += 1;
        }
        untold
    }
}

struct Declined;

impl Told {
    /// Takes what was told of the payment; `true` when it contradicts what was told before.
    fn payment(&mut self, ack: &Ack) -> bool {
        self.refused |= ack.outcome == Outcome::Refused;
        let Some(state) = ack.state else {
            self.unanswered |= ack.outcome != Outcome::Refused;
            return false;
        };
        let contradicts = match self.state {
            Some(known) => !may_follow(known, state) && !may_follow(state, known),
            None => false,
        };
        let goes_on = self.state.is_none_or(|known| may_follow(known, state));
        if goes_on {
            let same = (self.code, self.authorisation) == (ack.code, ack.authorisation);
            let changed = self.state == Some(state) && state.is_final() && !same;
            (self.state, self.code) = (Some(state), ack.code);
            self.authorisation = ack.authorisation;
            return contradicts || changed;
        }
        contradicts
    }

    fn reversed(&mut self, ack: &Ack) -> Result<(), Declined> {
        self.stays = ack.stays.min(self.amount.minor());
        match ack.outcome {
            Outcome::Approved => self.reversal = Reversal::Acknowledged,
            // Nothing was done; it is as if it had not been asked for.
            Outcome::Refused => {}
            Outcome::Unexpected | Outcome::Declined => return Err(Declined),
            Outcome::Reversed
            | Outcome::Timeout
            | Outcome::Disconnected
            | Outcome::Protocol
            | Outcome::Mismatched
            | Outcome::Duplicate => {
                if self.reversal == Reversal::None {
                    self.reversal = Reversal::Unanswered;
                }
            }
        }
        Ok(())
    }

    fn is_approved(&self) -> bool {
        self.state == Some(State::Approved)
    }

    /// Money as the gateway knows it, in minor units.
    fn money(&self) -> u64 {
        match (self.is_approved(), self.reversal) {
            (false, _) => 0,
            (true, Reversal::Acknowledged) => self.stays,
            (true, Reversal::None | Reversal::Unanswered) => self.amount.minor(),
        }
    }

    /// Whether it may know less than the journal.
    fn is_uncertain(&self) -> bool {
        let undecided = !self.state.is_some_and(State::is_decided);
        undecided || self.reversal == Reversal::Unanswered
    }

    /// Whether it may have begun without its gateway knowing its id.
    const fn may_be_untold(&self) -> bool {
        self.unanswered && self.id.is_none()
    }

    /// What it was told that must not be lost.
    fn acked_writes(&self) -> u64 {
        u64::from(self.is_approved()) + u64::from(self.reversal == Reversal::Acknowledged)
    }

    fn agrees(&self, entry: &Entry) -> bool {
        let code = self.code.is_none_or(|code| entry.code == Some(code));
        let authorisation = !self.is_approved() || self.authorisation == entry.authorisation;
        self.amount == entry.amount && code && authorisation
    }
}

/// Whether one who was told `before` may be told `after`. What was approved is never taken back but
/// by its gateway, whose reversals are lines of their own.
fn may_follow(before: State, after: State) -> bool {
    let is_taken_back = matches!(
        after,
        State::ReversalPending | State::Reversed | State::ReversalFailed
    );
    match before {
        _ if before == after => true,
        State::Received | State::Pending => true,
        State::ReversalPending => is_taken_back,
        State::Approved
        | State::Declined
        | State::Failed
        | State::Expired
        | State::Reversed
        | State::ReversalFailed => false,
    }
}

impl Audit {
    pub(super) fn gateway_and_journal(&mut self, gateway: &GatewayBook, journal: &JournalBook) {
        let mut lost = Check::new("told to a gateway, but not in the journal", Fault::Lost);
        let mut differing = Check::new("told to a gateway otherwise", Fault::Other);
        let mut money = Check::new("money of gateway and journal differs", Fault::Other);
        let mut partial = Check::new("a gateway was not told, nor all or nothing", Fault::Other);
        for (key, told) in &gateway.told {
            self.acknowledged += u64::from(told.state.is_some());
            self.acked_writes += told.acked_writes();
            let known = told.money();
            self.sum(told.amount.currency().code()).acquirer += i128::from(known);
            let Some(id) = told.id else {
                self.refused += u64::from(told.refused);
                continue;
            };
            let Some(entry) = journal.transactions.get(&id) else {
                lost.found(id);
                continue;
            };
            differing.expect(told.agrees(entry), id);
            let has = entry.money();
            if told.is_uncertain() {
                self.unacknowledged += u64::from(told.state.is_none());
                partial.expect(entry.is_all_or_nothing(told.amount, told.stays), key);
                self.untell(entry, (known, has));
            } else {
                money.expect(known == has, id);
            }
        }
        let mut contradicted = Check::new("a gateway was told two things", Fault::Other);
        let keys = gateway.contradicted.iter();
        keys.for_each(|key| contradicted.found(key));
        let mut kept = Check::new("the reversal of a gateway was declined", Fault::Other);
        gateway.kept.iter().for_each(|key| kept.found(key));
        self.checks
            .extend([lost, differing, contradicted, kept, money, partial]);
    }

    /// Whatever key the switch has given a copy: each transaction of a gateway is one that it was
    /// told of, or stands for one payment of its amount that was never answered.
    pub(super) fn gateway_doubles(
        &mut self,
        iso: &AcquirerBook,
        gateway: &GatewayBook,
        journal: &JournalBook,
    ) {
        let mut twins = Check::new("keys of gateways with two transactions", Fault::Doubled);
        let mut surplus = Check::new(
            "of a gateway, and neither told to it nor unanswered",
            Fault::Doubled,
        );
        let acquirers = gateway.acquirers(iso, journal);
        let mut untold = gateway.untold();
        let mut keys = HashSet::new();
        for (id, entry) in &journal.transactions {
            if !acquirers.contains(&entry.acquirer) {
                continue;
            }
            twins.expect(keys.insert((entry.acquirer, entry.key)), id);
            if gateway.knows(*id) {
                continue;
            }
            match untold.get_mut(&entry.amount) {
                Some(left @ 1..) => *left -= 1,
                Some(_) | None => surplus.found(id),
            }
        }
        self.checks.extend([twins, surplus]);
    }
}

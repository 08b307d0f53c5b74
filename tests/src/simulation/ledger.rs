//! What was promised to whom, held against what the journal and the issuers know.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::TransactionId;
use domain::record::{OutcomeKind, Record, SafResult};
use domain::request::Answer;

use super::words::{Ask, Asked};

/// A rule and what was seen against it.
pub(super) type Broken = (&'static str, String);

/// What has left the switch, and what its journal has said.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The first stored answer that was told, by purchase.
    told: BTreeMap<u32, Content>,
    approved: BTreeSet<u32>,
    taken_back: BTreeSet<u32>,
    journal: Fold,
    pub(super) replays: u64,
}

/// The business content of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    code: [u8; 2],
    authorisation: Vec<u8>,
    amount: Option<u64>,
    fields: Vec<u8>,
}

/// The journal, folded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    purchase_of: BTreeMap<TransactionId, u32>,
    states: BTreeMap<u32, State>,
    pub(super) tombstones: u64,
}

/// What the journal says of one purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    intents: u32,
    closed: u32,
    asked: u64,
    is_approved: bool,
    refused: bool,
    may_have_moved: bool,
    buried: bool,
    owed: u32,
    done: u32,
    exceptions: u32,
    left: u64,
}

impl Fold {
    pub(super) fn add(&mut self, record: &Record<'_>) {
        if let Record::Tombstone(tombstone) = record {
            self.tombstones += 1;
            let purchase = number_of(tombstone.key.0);
            self.states.entry(purchase).or_default().buried = true;
            return;
        }
        if let Record::Intent(intent) = record {
            let purchase = number_of(intent.facts.key.0);
            self.purchase_of.insert(intent.transaction, purchase);
            let state = self.states.entry(purchase).or_default();
            state.asked = intent.facts.amount.minor();
        }
        if let Record::Refused(refused) = record {
            let purchase = number_of(refused.facts.key.0);
            self.purchase_of.insert(refused.transaction, purchase);
        }
        let Some(purchase) = self.purchase_of.get(&record.transaction()) else {
            return;
        };
        self.states.entry(*purchase).or_default().add(record);
    }

    fn state(&self, purchase: u32) -> State {
        self.states.get(&purchase).cloned().unwrap_or_default()
    }

    /// Whether an approval of this purchase is in the journal.
    fn is_approved(&self, purchase: u32) -> bool {
        self.state(purchase).is_approved
    }

    /// Whether nothing of this purchase can stay with an issuer, by the journal.
    fn is_taken_back(&self, purchase: u32) -> bool {
        let state = self.state(purchase);
        state.buried || state.owed > 0 || !state.is_approved && state.intents == state.closed
    }

    /// Whether people have to settle this one.
    pub(super) fn is_exception(&self, purchase: u32) -> bool {
        self.state(purchase).exceptions > 0
    }

    /// What is spent, by purchase.
    pub(super) fn spent(&self, purchase: u32) -> u64 {
        let state = self.state(purchase);
        if state.is_approved { state.left } else { 0 }
    }

    /// S3: every intent ends as a matched outcome, an acknowledged reversal or an exception.
    pub(super) fn open(&self) -> Option<String> {
        let open = self.states.iter().find(|(_, state)| {
            let reversed = state.done > 0;
            state.intents != state.closed
                || state.owed != state.done
                || state.may_have_moved && !reversed
        });
        open.map(|(purchase, state)| format!("purchase {purchase} is {state:?}"))
    }
}

impl State {
    fn add(&mut self, record: &Record<'_>) {
        match record {
            Record::Intent(_) => self.intents += 1,
            Record::Refused(_) => self.refused = true,
            Record::Outcome(outcome) => {
                self.closed += 1;
                match outcome.kind {
                    OutcomeKind::Answered if outcome.answer.code.is_approval() => {
                        self.is_approved = true;
                        self.left = self.asked;
                    }
                    OutcomeKind::Answered | OutcomeKind::NotSent => {}
                    OutcomeKind::TimedOut
                    | OutcomeKind::Invalid
                    | OutcomeKind::AcquirerReversed => self.may_have_moved = true,
                }
            }
            Record::SafOwed(owed) => {
                self.owed += 1;
                let stays = owed.replacement.map_or(0, |amount| amount.minor());
                self.left = self.left.min(stays);
            }
            Record::SafDone(done) => {
                self.done += 1;
                self.exceptions += u32::from(done.result != SafResult::Acknowledged);
            }
            Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Advised(_)
            | Record::AdviceDone(_) => {}
        }
    }
}

impl Ledger {
    pub(super) fn journaled(&mut self, record: &Record<'_>) {
        self.journal.add(record);
    }

    pub(super) fn journal(&self) -> &Fold {
        &self.journal
    }

    /// An answer leaves for the acquirer. `stored` when it came out of the store.
    pub(super) fn answered(
        &mut self,
        ask: &Ask,
        answer: &Answer<'_>,
        stored: bool,
    ) -> Result<(), Broken> {
        let purchase = ask.of.number;
        if let Asked::Reversal { .. } = ask.what {
            if answer.code.is_approval() {
                self.taken_back.insert(purchase);
            }
            return Ok(());
        }
        if answer.code.is_approval() {
            self.check_approval(ask, answer)?;
            self.approved.insert(purchase);
        }
        if !stored {
            return Ok(());
        }
        let content = Content {
            code: *answer.code.as_bytes(),
            authorisation: answer.authorisation.as_bytes().to_vec(),
            amount: answer.amount.map(|amount| amount.minor()),
            fields: answer.fields.to_vec(),
        };
        match self.told.get(&purchase) {
            Some(first) if *first != content => {
                let what = format!("purchase {purchase} was told {first:?}, then {content:?}");
                return Err(("L3", what));
            }
            Some(_) => self.replays += 1,
            None => {
                self.told.insert(purchase, content);
            }
        }
        Ok(())
    }

    fn check_approval(&self, ask: &Ask, answer: &Answer<'_>) -> Result<(), Broken> {
        let purchase = ask.of.number;
        if self.journal.state(purchase).owed > 0 {
            let what = format!("purchase {purchase} approved after its reversal was journaled");
            return Err(("S4", what));
        }
        let named = authorised(answer.authorisation.as_bytes());
        let amount = answer
            .amount
            .is_none_or(|amount| amount.minor() == ask.of.amount);
        let bytes = answer.fields == fields_of(purchase).as_slice();
        if named != Some(purchase) || !amount || !bytes {
            return Err(("S7", format!("purchase {purchase} was told {answer:?}")));
        }
        Ok(())
    }

    /// After a crash: what was told must have survived.
    pub(super) fn survived(&mut self, fold: Fold) -> Result<(), Broken> {
        self.journal = fold;
        let lost = self
            .approved
            .iter()
            .find(|purchase| !self.journal.is_approved(**purchase));
        if let Some(purchase) = lost {
            return Err((
                "S1",
                format!("the approval of purchase {purchase} was lost"),
            ));
        }
        let lost = self
            .taken_back
            .iter()
            .find(|purchase| !self.journal.is_taken_back(**purchase));
        if let Some(purchase) = lost {
            return Err((
                "S1",
                format!("the reversal of purchase {purchase} was lost"),
            ));
        }
        Ok(())
    }
}

/// DE38 of a purchase.
pub(super) fn authorisation(purchase: u32) -> [u8; 6] {
    domain::time::digits_of::<6>(u64::from(purchase))
}

/// The further fields of a purchase's approval: DE44 with its number, some with more.
pub(super) fn fields_of(purchase: u32) -> Vec<u8> {
    let text = "x".repeat(purchase as usize % 40) + &purchase.to_string();
    let mut fields = vec![44, 0, text.len() as u8];
    fields.extend_from_slice(text.as_bytes());
    fields
}

fn authorised(de38: &[u8]) -> Option<u32> {
    std::str::from_utf8(de38).ok()?.parse().ok()
}

fn number_of(key: u128) -> u32 {
    (key >> 8) as u32
}

//! What was promised to whom, held against what the journal and the issuers know.

use std::collections::{BTreeMap, BTreeSet};

use domain::ResponseCode;
use domain::ids::{Lsn, TransactionId};
use domain::profile::{CompletionLimit, PartialApproval, Profile, SameContent};
use domain::record::{
    AdviceOrigin, Advised, Carriage, OutcomeKind, Record, RefusalReason, SafResult,
};
use domain::request::{Answer, Facts, MessageClass, Transmission};
use domain::time::WallTime;

use super::reconciling::{settles_on, with_day};
use super::switches::Switches;
use super::totals::Shadow;
use super::words::{Ask, Asked, number_of};

mod answers;
mod asked;
mod exchanges;
mod lies;
mod on_disk;
mod order;
mod totals;

use asked::AskedBook;
use lies::Lies;
use on_disk::{OnDisk, facts_of};
use order::Order;
use totals::Found;

pub(super) use answers::AnswerBook;
pub(super) use exchanges::{DEADLINE_MS, ExchangeBook, Told, Waits};

/// A rule and what was seen against it.
pub(super) type Broken = (&'static str, String);

/// What has left the switch, and what its journal has said.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The first stored answer that was told, by purchase.
    told: BTreeMap<u32, Content>,
    approved: BTreeSet<u32>,
    /// Reversals that were acknowledged: the least that was to stay, by purchase.
    taken_back: BTreeMap<u32, u64>,
    /// Advices that were acknowledged.
    acknowledged: BTreeSet<u32>,
    /// By the advice: what it completes, and how that stood when it first came.
    completes: BTreeMap<u32, (u32, Standing)>,
    /// Reconciliations that were answered.
    reconciled: BTreeMap<u32, Found>,
    journal: Fold,
    /// Answers may say on which day they settle.
    pub(super) names_days: bool,
    session: Option<Profile>,
    on_disk: OnDisk,
    /// Purchases that some issuer has approved.
    pub(super) carried_out: BTreeSet<u32>,
    pub(super) lies: Lies,
    pub(super) answers: AnswerBook,
    pub(super) exchanges: ExchangeBook,
    asked: AskedBook,
    pub(super) replays: u64,
    /// Copies that were told that their original is in flight.
    pub(super) told_in_flight: u64,
}

/// How an original stands when an advice arrives that completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its approval was told, and nobody has taken it back.
    Stands,
    /// Its reversal was acknowledged.
    Reversed,
    /// Neither for certain.
    Open,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    purchase_of: BTreeMap<TransactionId, u32>,
    states: BTreeMap<u32, State>,
    order: Order,
    /// By shard.
    totals: BTreeMap<u16, Shadow>,
    pub(super) tombstones: u64,
}

/// What the journal says of one purchase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    intents: u32,
    closed: u32,
    /// Of the last intent: until when its issuer is asked.
    asked_until: Option<WallTime>,
    asked: u64,
    approved: u64,
    is_approved: bool,
    refused: bool,
    may_have_moved: bool,
    buried: bool,
    owed: u32,
    done: u32,
    exceptions: u32,
    left: u64,
    /// Advices owed to issuers.
    advised: u32,
    /// Advices that have ended.
    told_issuer: u32,
    /// Nobody but people is told of it.
    left_to_people: bool,
    stood_in: bool,
    /// Its money is in the totals.
    has_amount: bool,
}

impl Fold {
    pub(super) fn add(&mut self, shard: u16, record: &Record<'_>, carriage: Carriage) {
        let totals = self.totals.entry(shard).or_default();
        match carriage {
            Carriage::Fresh => totals.add(record),
            Carriage::Carried | Carriage::Counted => totals.carry(record, carriage),
        }
        self.add_apart(record);
    }

    /// Takes a record that no shard's totals are about.
    pub(super) fn add_apart(&mut self, record: &Record<'_>) {
        self.order.note(record);
        self.tombstones += u64::from(matches!(record, Record::Tombstone(_)));
        if let Some(facts) = facts_of(record) {
            let purchase = number_of(facts.key);
            self.purchase_of.insert(record.transaction(), purchase);
        }
        if let Some(purchase) = self.purchase(record) {
            self.states.entry(purchase).or_default().add(record);
        }
    }

    /// What a change of the number of shards has carried over is what there was.
    pub(super) fn compare_carried(&self, carried: &Self) -> Result<(), Broken> {
        let both = self.states.keys().chain(carried.states.keys());
        let mut both = both.map(|purchase| (*purchase, self.state(*purchase)));
        let lost = both.find(|(purchase, state)| *state != carried.state(*purchase));
        if let Some((purchase, state)) = lost {
            let told = carried.state(purchase);
            let what = format!("purchase {purchase} was {state:?} and became {told:?}");
            return Err(("carried", what));
        }
        if (&self.purchase_of, self.tombstones) != (&carried.purchase_of, carried.tombstones) {
            return Err(("carried", "ids or tombstones became others".to_string()));
        }
        Ok(())
    }

    /// An id names one transaction, whatever the wall clock does.
    fn check_id(&self, record: &Record<'_>) -> Result<(), Broken> {
        let Some(facts) = facts_of(record) else {
            return Ok(());
        };
        let known = self.purchase_of.get(&record.transaction());
        match known.filter(|purchase| **purchase != number_of(facts.key)) {
            Some(purchase) => Err(("ids", format!("{record:?} has the id of {purchase}"))),
            None => Ok(()),
        }
    }

    /// The purchase that a record is about.
    fn purchase(&self, record: &Record<'_>) -> Option<u32> {
        if let Record::Tombstone(tombstone) = record {
            return Some(number_of(tombstone.key));
        }
        match facts_of(record) {
            Some(facts) => Some(number_of(facts.key)),
            None => self.purchase_of.get(&record.transaction()).copied(),
        }
    }

    /// Owed reversals and advices that have not ended.
    pub(super) fn owed_now(&self) -> u64 {
        let states = self.states.values();
        let open = states.map(|state| {
            u64::from(state.owed.saturating_sub(state.done))
                + u64::from(state.advised.saturating_sub(state.told_issuer))
        });
        open.sum()
    }

    fn state(&self, purchase: u32) -> State {
        self.states.get(&purchase).cloned().unwrap_or_default()
    }

    /// Whether an approval of this purchase is in the journal.
    fn is_approved(&self, purchase: u32) -> bool {
        self.state(purchase).is_approved
    }

    /// Whether no more than `stays` of this purchase can be left with an issuer, by the journal.
    fn is_taken_back(&self, purchase: u32, stays: u64) -> bool {
        self.state(purchase).is_taken_back(stays)
    }

    /// Whether an acknowledged advice of this purchase is owed to its issuer, or was, or people
    /// have it, or its reversal came before it.
    fn is_advised(&self, purchase: u32) -> bool {
        self.state(purchase).is_advised()
    }

    /// Whether nothing that an issuer has to hear before a reversal is under way.
    pub(super) fn may_reverse(&self, purchase: u32) -> bool {
        let state = self.state(purchase);
        state.advised == state.told_issuer
    }

    /// Whether no issuer is owed the advice of a transaction: a completion of it may leave.
    pub(super) fn may_complete(&self, original: TransactionId) -> bool {
        let purchase = self.purchase_of.get(&original);
        purchase.is_none_or(|purchase| self.may_reverse(*purchase))
    }

    fn standing(&self, purchase: u32) -> Standing {
        let state = self.state(purchase);
        match (state.is_approved, state.owed) {
            (true, 0) => Standing::Stands,
            (true, _) if state.left == 0 => Standing::Reversed,
            _ => Standing::Open,
        }
    }

    /// Whether people have to settle this one.
    pub(super) fn is_exception(&self, purchase: u32) -> bool {
        self.state(purchase).exceptions > 0
    }

    /// Whether its issuer may never hear of it: people have it, or its request was taken back in
    /// part before anybody knew how far it had come.
    pub(super) fn may_be_unheard_of(&self, purchase: u32) -> bool {
        self.is_exception(purchase) || self.state(purchase).may_have_moved
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
                || state.advised != state.told_issuer
                || state.may_have_moved && !reversed
        });
        open.map(|(purchase, state)| format!("purchase {purchase} is {state:?}"))
    }
}

impl State {
    fn is_advised(&self) -> bool {
        self.advised > 0 || self.left_to_people || self.buried
    }

    fn add(&mut self, record: &Record<'_>) {
        match record {
            Record::Intent(intent) => {
                self.intents += 1;
                // Where the clock was set back in between, that is over at once.
                let later = |until: &WallTime| *until > intent.admitted;
                self.asked_until = intent.asked_until.filter(later);
                self.ask(&intent.facts);
            }
            Record::Refused(_) => self.refused = true,
            Record::Outcome(outcome) => {
                self.closed += 1;
                match outcome.kind {
                    OutcomeKind::Answered if outcome.answer.code.is_approval() => {
                        self.is_approved = true;
                        let told = outcome.answer.amount.map(|amount| amount.minor());
                        self.approved = told.unwrap_or(self.asked);
                        self.left = self.approved;
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
            Record::Advised(advised) => self.advise(advised),
            Record::AdviceDone(done) => {
                self.told_issuer += 1;
                self.exceptions += u32::from(done.result != SafResult::Acknowledged);
            }
            Record::Tombstone(_) => self.buried = true,
            Record::LateResponse(_)
            | Record::Operated(_)
            | Record::Day(_)
            | Record::Totals(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {}
        }
    }

    fn ask(&mut self, facts: &Facts) {
        self.asked = facts.amount.minor();
        self.has_amount = facts.class == MessageClass::Financial;
    }

    fn advise(&mut self, advised: &Advised<'_>) {
        self.ask(&advised.facts);
        // An approval in place of an issuer closes an intent that was not sent.
        self.closed = self.intents;
        self.stood_in |= advised.origin == AdviceOrigin::StandIn;
        if advised.leg.is_none() {
            self.left_to_people = true;
            self.exceptions += 1;
            return;
        }
        self.advised += 1;
        if advised.is_approval() {
            self.is_approved = true;
            self.approved = self.asked;
            self.left = self.asked;
        }
    }
}

impl Ledger {
    pub(super) fn of(switches: &Switches, deadline_ms: u64) -> Self {
        Self {
            session: Some(switches.session),
            answers: AnswerBook::of(deadline_ms),
            ..Self::default()
        }
    }

    pub(super) fn journaled(
        &mut self,
        (shard, lsn): (u16, Lsn),
        record: &Record<'_>,
    ) -> Result<(), Broken> {
        self.journal.check_id(record)?;
        let purchase = self.journal.purchase(record);
        let before = purchase.map(|purchase| self.journal.state(purchase));
        self.journal.add(shard, record, Carriage::Fresh);
        if let (Some(purchase), Some(before)) = (purchase, before) {
            self.on_disk
                .appended((shard, lsn), purchase, before, record);
            self.note_owed(purchase, record);
        }
        self.journal.totals[&shard].broken()?;
        match record {
            Record::Advised(advised) => self.check_completion(advised),
            Record::Intent(intent) => self.check_asked(&intent.facts, None),
            Record::Refused(refused) => self.check_asked(&refused.facts, Some(refused.reason)),
            _ => Ok(()),
        }
    }

    /// A message arrives at the shard that owns it; `remembers` when no table can have forgotten
    /// what it names.
    pub(super) fn arrived(&mut self, ask: &Ask, remembers: bool) {
        let Some(original) = ask.of.completes().filter(|_| remembers) else {
            return;
        };
        let number = original.number;
        let standing = match self.journal.standing(number) {
            Standing::Stands if self.approved.contains(&number) => Standing::Stands,
            Standing::Reversed if self.taken_back.contains_key(&number) => Standing::Reversed,
            _ => Standing::Open,
        };
        let standing = match original.is_real {
            true => standing,
            false => Standing::Open,
        };
        self.completes
            .entry(ask.of.number)
            .or_insert((number, standing));
    }

    /// the issuer of what is completed hears of it by its name there; of what was
    /// reversed, nobody but people.
    fn check_completion(&self, advised: &Advised<'_>) -> Result<(), Broken> {
        let purchase = number_of(advised.facts.key);
        let Some((original, standing)) = self.completes.get(&purchase) else {
            return Ok(());
        };
        let is_forwarded = advised.leg.is_some();
        let stands = self.journal.standing(*original) == Standing::Stands;
        if stands && *standing == Standing::Stands {
            let ends = (is_forwarded, advised.is_over);
            self.check_limit(*original, &advised.facts, ends)?;
        }
        match standing {
            Standing::Reversed if is_forwarded => Err((
                "A-03",
                format!("purchase {purchase} completes {original}, which was reversed"),
            )),
            Standing::Stands if stands && advised.completes.is_none() => Err((
                "A-02",
                format!("purchase {purchase} does not name {original}, which stands"),
            )),
            Standing::Stands | Standing::Reversed | Standing::Open => Ok(()),
        }
    }

    /// T-12: what was reversed goes to nobody, and what stands is known.
    fn check_asked(&self, facts: &Facts, refused: Option<RefusalReason>) -> Result<(), Broken> {
        let purchase = number_of(facts.key);
        let Some((original, standing)) = self.completes.get(&purchase) else {
            return Ok(());
        };
        let stands = self.journal.standing(*original) == Standing::Stands;
        if stands && *standing == Standing::Stands {
            let is_refused = refused == Some(RefusalReason::OverOriginal);
            self.check_limit(*original, facts, (refused.is_none(), is_refused))?;
        }
        match (standing, refused) {
            (Standing::Reversed, None) => Err((
                "T-12",
                format!("purchase {purchase} asks to complete {original}, which was reversed"),
            )),
            (
                Standing::Stands,
                Some(RefusalReason::UnknownOriginal | RefusalReason::ReversedOriginal),
            ) if stands => Err((
                "T-12",
                format!("purchase {purchase} may not complete {original}, which stands"),
            )),
            (Standing::Stands | Standing::Reversed | Standing::Open, _) => Ok(()),
        }
    }

    /// what is above the limit of its session goes to no issuer, and nothing else is held
    /// back for it.
    fn check_limit(
        &self,
        original: u32,
        facts: &Facts,
        (is_forwarded, is_over): (bool, bool),
    ) -> Result<(), Broken> {
        let limit = self.session.map(|session| session.completion);
        let Some(CompletionLimit::Above { percent }) = limit else {
            return Ok(());
        };
        let most = self.journal.state(original).left * (u64::from(percent) + 100);
        let passes = facts.amount.minor() * 100 > most;
        if passes && is_forwarded || is_over && !passes {
            let what = format!("{} completes {original}, {limit:?}", facts.amount.minor());
            return Err(("A-08", what));
        }
        Ok(())
    }

    fn rejects(&self) -> bool {
        let policy = self.session.map(|session| session.same_content);
        policy == Some(SameContent::Reject)
    }

    pub(super) fn journal(&self) -> &Fold {
        &self.journal
    }

    /// No shard knows the original of a reversal.
    //= docs/rules.md#V-11
    pub(super) fn found_nowhere(&self, ask: &Ask, remembers: bool) -> Result<(), Broken> {
        match remembers && self.approved.contains(&ask.of.number) {
            true => Err(("V-11", format!("{ask:?} is of nothing known"))),
            false => Ok(()),
        }
    }

    /// An answer leaves for the acquirer. `stored` when it came out of the store.
    pub(super) fn answered(
        &mut self,
        ask: &Ask,
        answer: &Answer<'_>,
        stored: bool,
    ) -> Result<(), Broken> {
        let purchase = ask.of.number;
        self.rests_on_disk(ask, answer, stored)?;
        if let Asked::Reversal { stays, .. } = ask.what {
            let not_found = answer.code == ResponseCode::ORIGINAL_NOT_FOUND;
            if answer.code.is_approval() || not_found {
                let least = self.taken_back.entry(purchase).or_insert(u64::MAX);
                *least = stays.unwrap_or(0).min(*least);
            }
            return Ok(());
        }
        if ask.of.is_advice() {
            return self.acknowledges(ask, answer.code);
        }
        //= docs/rules.md#D-07
        let in_flight = answer.code == ResponseCode::IN_PROGRESS;
        self.told_in_flight += u64::from(in_flight);
        if in_flight && (!self.rejects() || self.told.contains_key(&purchase)) {
            let what = format!("purchase {purchase} is told to be in flight");
            return Err(("D-07", what));
        }
        if answer.code.is_approval() {
            self.check_approval(ask, answer)?;
            self.approved.insert(purchase);
        }
        if !stored {
            return Ok(());
        }
        let is_first = matches!(
            ask.what,
            Asked::Request {
                transmission: Transmission::First,
                ..
            }
        );
        if is_first && self.rejects() && self.told.contains_key(&purchase) {
            return Err((
                "R5",
                format!("a duplicate of purchase {purchase} was answered"),
            ));
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

    /// once acknowledged, always acknowledged; unless it is too old to be known, or there is
    /// no room to look.
    fn acknowledges(&mut self, ask: &Ask, code: ResponseCode) -> Result<(), Broken> {
        let purchase = ask.of.number;
        if let Asked::Request {
            other_content: true,
            ..
        } = ask.what
        {
            // A06: what was reversed before it came is acknowledged, whatever it says.
            let buried = self.journal.state(purchase).buried;
            return match code.is_approval() && !buried {
                true => Err(("A-05", format!("{ask:?} was acknowledged"))),
                false => Ok(()),
            };
        }
        if code.is_approval() {
            self.acknowledged.insert(purchase);
            return Ok(());
        }
        let excused = [ResponseCode::DUPLICATE, ResponseCode::MALFUNCTION];
        if self.acknowledged.contains(&purchase) && !excused.contains(&code) {
            let what = format!("advice {purchase} was acknowledged, then told {code}");
            return Err(("A-04", what));
        }
        Ok(())
    }

    fn check_approval(&self, ask: &Ask, answer: &Answer<'_>) -> Result<(), Broken> {
        let purchase = ask.of.number;
        if self.journal.state(purchase).owed > 0 {
            let what = format!("purchase {purchase} approved after its reversal was journaled");
            return Err(("S4", what));
        }
        let stood_in = self.journal.state(purchase).stood_in;
        let own = if stood_in {
            own_authorisation(purchase)
        } else {
            authorisation(purchase)
        };
        let named = answer.authorisation.as_bytes() == own.as_slice();
        let is_part = answer.code == ResponseCode::PARTIAL_APPROVAL;
        let takes_part = self.session.map(|session| session.partial_approval);
        if is_part && takes_part != Some(PartialApproval::Pass) {
            let what = format!("purchase {purchase} was approved in part, which nobody can take");
            return Err(("partial", what));
        }
        let approved = ask.of.amount / if is_part { 2 } else { 1 };
        let told = answer.amount.map(|amount| amount.minor());
        let amount = told.map_or(!is_part, |told| told == approved);
        let bytes = match stood_in {
            true => answer.fields.is_empty(),
            false => {
                let date = settles_on(purchase).filter(|_| self.names_days);
                answer.fields == with_day(date, &fields_of(purchase))
            }
        };
        if !named || !amount || !bytes {
            return Err(("S7", format!("purchase {purchase} was told {answer:?}")));
        }
        Ok(())
    }

    /// After a crash: what was told must have survived.
    pub(super) fn survived(&mut self, fold: Fold, wall: WallTime) -> Result<(), Broken> {
        self.asked.found(&fold, wall);
        self.journal = fold;
        let journal = &self.journal;
        self.lies.crash(|purchase| journal.state(purchase).owed > 1);
        self.journal.found_order();
        // Nothing of those outlives a restart.
        self.exchanges = ExchangeBook::default();
        self.answers.close();
        self.on_disk = OnDisk::default();
        self.totals_survived()?;
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
            .acknowledged
            .iter()
            .find(|purchase| !self.journal.is_advised(**purchase));
        if let Some(purchase) = lost {
            let what = format!("the advice of purchase {purchase} was lost");
            return Err(("S1", what));
        }
        let lost = self
            .taken_back
            .iter()
            .find(|(purchase, stays)| !self.journal.is_taken_back(**purchase, **stays));
        if let Some((purchase, _)) = lost {
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

/// DE38 of an approval that the switch gives itself.
pub(super) fn own_authorisation(purchase: u32) -> [u8; 6] {
    let mut digits = authorisation(purchase);
    digits[0] = b'S';
    digits
}

/// The further fields of a purchase's approval: DE44 with its number, some with more.
pub(super) fn fields_of(purchase: u32) -> Vec<u8> {
    let text = "x".repeat(purchase as usize % 40) + &purchase.to_string();
    let mut fields = vec![44, 0, text.len() as u8];
    fields.extend_from_slice(text.as_bytes());
    fields
}

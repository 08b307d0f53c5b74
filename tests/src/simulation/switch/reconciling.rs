//! Business days and totals: one shard leads each question, asks all, and answers when that is
//! durable.

mod ours;

use domain::currency::Currency;
use domain::network::SettlementDate;
use domain::reconciliation::{Declared, Party, Reconciled, Totals, Verdict};
use domain::time::TransmissionTime;
use iso8583::translate::ReconciliationAnswer;
use transaction::reconciliation::{BookInput, BucketKey, DayEnd, Decision, ReconciliationId};

use super::*;
use crate::simulation::bytes::{read_reconciliation, write_reconciliation_told};
use crate::simulation::link::link_of;
use crate::simulation::reconciling::{BookMessage, Days, PARTIES, Reconciliation, TotalsTold};
use crate::simulation::totals::sum;

/// What a shard knows of reconciliations under way.
#[derive(Debug, Default)]
pub(super) struct Reconciling {
    /// Those that this shard leads.
    rounds: BTreeMap<u32, Round>,
    /// What waits for this shard's own journal.
    asked: BTreeMap<u32, Asked>,
    /// Days that this shard freezes on all.
    freezing: BTreeMap<u32, Freezing>,
    /// Days that end in a while.
    freezes: usize,
    next: u32,
    /// Over which link each reconciliation of ours has left, and what its answer is.
    sent: Vec<(ReconciliationId, LinkId, Expected)>,
    /// Of the journal when the book was last written down whole.
    segment: u64,
    /// What the journal says of totals is to be compared with what the engine does.
    pub(super) is_dirty: bool,
}

#[derive(Debug)]
struct Round {
    ask: Reconciliation,
    bytes: Vec<u8>,
    bucket: BucketKey,
    declared: Declared,
    missing: u16,
    sum: Totals,
}

#[derive(Debug)]
struct Freezing {
    missing: u16,
    sums: Vec<(BucketKey, Totals)>,
}

/// What is told when it is durable.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Close {
        leader: u16,
        round: u32,
        bucket: BucketKey,
    },
    Freeze {
        leader: u16,
        round: u32,
        party: Party,
        date: SettlementDate,
    },
    Decided {
        round: u32,
    },
}

impl Reconciling {
    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.rounds.is_empty() && self.freezing.is_empty() && self.freezes == 0
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }
}

fn days(around: &Around<'_>) -> Result<Days, Broken> {
    let nobody = || ("book", "nobody here asks for totals".to_string());
    around.plan.days.ok_or_else(nobody)
}

/// Of acquirers.
impl Shard {
    /// A reconciliation arrives over a session of this shard.
    pub(in crate::simulation) fn arrive_reconciliation(
        &mut self,
        ask: Reconciliation,
        bytes: Vec<u8>,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let sign = days(around)?.sign(PARTIES[0]);
        let read = match &around.plan.lines {
            Some(lines) => read_reconciliation(lines.acquirer, &bytes, (&ask, sign)),
            None => Some(ask),
        };
        let Some(ask) = read else {
            self.counts.garbled += 1;
            return Ok(());
        };
        let leader = ask.slot().owner(self.shards).0;
        self.tell_book(leader, BookMessage::Ask { ask, bytes }, around);
        self.drain(around)
    }

    fn tell_book(&mut self, to: u16, message: BookMessage, around: &mut Around<'_>) {
        self.tell(to, Message::Book(Box::new(message)), around);
    }

    pub(super) fn take_book(
        &mut self,
        message: BookMessage,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        match message {
            BookMessage::Day { party, date } => self.set_day(party, date, around),
            BookMessage::Known { party, date } => {
                let is_behind = self.engine.day(party).is_none_or(|own| own < date);
                match is_behind {
                    true => self.set_day(party, date, around),
                    false => Ok(()),
                }
            }
            BookMessage::Ask { ask, bytes } => self.lead(ask, bytes, around),
            BookMessage::Close {
                bucket,
                end,
                leader,
                round,
            } => {
                let token = self.await_noted(Asked::Close {
                    leader,
                    round,
                    bucket,
                });
                self.give_book(BookInput::Close { bucket, end, token }, around)
            }
            BookMessage::Closed { round, totals } => self.add_to_round(round, &totals, around),
            BookMessage::Freeze {
                party,
                date,
                leader,
                round,
            } => {
                let token = self.await_noted(Asked::Freeze {
                    leader,
                    round,
                    party,
                    date,
                });
                self.give_book(BookInput::Freeze { party, date, token }, around)
            }
            BookMessage::Frozen { round, totals } => {
                self.add_frozen(round, &totals);
                Ok(())
            }
        }
    }

    fn await_noted(&mut self, asked: Asked) -> u32 {
        let token = self.reconciling.number();
        self.reconciling.asked.insert(token, asked);
        token
    }

    fn give_book(&mut self, input: BookInput, around: &mut Around<'_>) -> Result<(), Broken> {
        self.give(Input::Book(input), around)
    }

    fn lead(
        &mut self,
        ask: Reconciliation,
        bytes: Vec<u8>,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let key = ask.key();
        let afresh = self.driver == Driver::ReconcilesAfresh;
        let known = self.engine.reconciled_before(key).copied();
        if let Some(known) = known.filter(|_| !afresh) {
            self.counts.reconciled_again += 1;
            return self.tell_totals(ask, bytes, &known, around);
        }
        let mut rounds = self.reconciling.rounds.values_mut();
        if let Some(round) = rounds.find(|round| round.ask.key() == key) {
            // The newest copy gets the answer.
            round.bytes = bytes;
            self.counts.reconciled_again += 1;
            return Ok(());
        }
        let currency = Currency::KES;
        let party = key.party;
        let due = || self.engine.due_day(party, currency);
        let date = ask.date.unwrap_or_else(due);
        let bucket = BucketKey {
            party,
            date,
            currency,
        };
        let sign = days(around)?.sign(party);
        let is_kept = self.engine.keeps_totals(party, date);
        let number = self.reconciling.number();
        let round = Round {
            ask,
            bytes,
            bucket,
            declared: if is_kept {
                ask.declares(sign)
            } else {
                Declared::default()
            },
            missing: self.shards,
            sum: Totals::default(),
        };
        self.reconciling.rounds.insert(number, round);
        if !is_kept {
            return self.decide(number, around);
        }
        let end = match ask.is_checkpoint {
            true => DayEnd::GoesOn,
            false => DayEnd::Closed,
        };
        for shard in 0..self.shards {
            let close = BookMessage::Close {
                bucket,
                end,
                leader: self.id,
                round: number,
            };
            self.tell_book(shard, close, around);
        }
        Ok(())
    }

    /// What was asked of the book is durable.
    pub(super) fn noted(&mut self, token: u32, around: &mut Around<'_>) -> Result<(), Broken> {
        let Some(asked) = self.reconciling.asked.remove(&token) else {
            return Err(("book", format!("{token} is noted twice")));
        };
        match asked {
            Asked::Close {
                leader,
                round,
                bucket,
            } => {
                let totals = self.engine.totals(bucket);
                self.tell_book(leader, BookMessage::Closed { round, totals }, around);
            }
            Asked::Freeze {
                leader,
                round,
                party,
                date,
            } => {
                let totals = self.engine.frozen(party, date);
                self.tell_book(leader, BookMessage::Frozen { round, totals }, around);
            }
            Asked::Decided { round } => return self.end_round(round, around),
        }
        Ok(())
    }

    fn add_to_round(
        &mut self,
        number: u32,
        totals: &Totals,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(round) = self.reconciling.rounds.get_mut(&number) else {
            return Err(("book", format!("round {number} has ended")));
        };
        let twice = self.driver == Driver::AddsTwice && round.missing == self.shards;
        round.sum = sum(&round.sum, totals);
        if twice {
            round.sum = sum(&round.sum, totals);
        }
        round.missing -= 1;
        match round.missing {
            0 => self.decide(number, around),
            _ => Ok(()),
        }
    }

    fn decide(&mut self, number: u32, around: &mut Around<'_>) -> Result<(), Broken> {
        let round = &self.reconciling.rounds[&number];
        let sign = days(around)?.sign(round.bucket.party);
        let differs = round.declared.compare(&round.sum.read_as(sign), sign);
        let verdict = match (round.declared.says_anything(), differs.is_empty()) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::InBalance,
            (true, false) => Verdict::OutOfBalance,
        };
        let decision = Decision {
            key: round.ask.key(),
            date: round.bucket.date,
            verdict,
            differs,
            ours: round.sum,
        };
        let token = self.await_noted(Asked::Decided { round: number });
        self.give_book(BookInput::Decided { decision, token }, around)?;
        match self.driver {
            Driver::ReconcilesEarly => self.end_early(number, &decision, around),
            _ => Ok(()),
        }
    }

    /// A null control: the answer leaves, whatever becomes of the record.
    fn end_early(
        &mut self,
        number: u32,
        decision: &Decision,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(round) = self.reconciling.rounds.remove(&number) else {
            return Ok(());
        };
        let known = Reconciled {
            transaction: TransactionId(0),
            decided: wall(around.now, around.wall_ahead),
            party: decision.key.party,
            date: decision.date,
            currency: decision.key.currency,
            stan: decision.key.stan,
            transmitted: decision.key.transmitted,
            verdict: decision.verdict,
            differs: decision.differs,
            ours: decision.ours,
        };
        self.tell_totals(round.ask, round.bytes, &known, around)
    }

    fn end_round(&mut self, number: u32, around: &mut Around<'_>) -> Result<(), Broken> {
        let Some(round) = self.reconciling.rounds.remove(&number) else {
            return match self.driver {
                Driver::ReconcilesEarly => Ok(()),
                _ => Err(("book", format!("round {number} ends twice"))),
            };
        };
        let known = self.engine.reconciled_before(round.ask.key()).copied();
        let Some(known) = known else {
            return Err(("B-03", format!("{:?} has no result", round.ask)));
        };
        self.counts.reconciled += 1;
        let is_out = known.verdict == Verdict::OutOfBalance;
        self.counts.out_of_balance += u64::from(is_out);
        self.tell_totals(round.ask, round.bytes, &known, around)
    }

    fn tell_totals(
        &mut self,
        ask: Reconciliation,
        sent: Vec<u8>,
        known: &Reconciled,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let sign = days(around)?.sign(known.party);
        let is_kept = self.engine.keeps_totals(known.party, known.date);
        let answer = ReconciliationAnswer {
            verdict: known.verdict,
            date: Some(known.date),
            ours: is_kept.then(|| known.ours.read_as(sign)),
            sign,
        };
        around.ledger.reconciled(&ask, &answer)?;
        let told = match &around.plan.lines {
            Some(lines) => write_reconciliation_told(lines.acquirer, &sent, &answer),
            None => Some(Vec::new()),
        };
        let Some(told) = told else {
            return Err(("wire", format!("no answer to {ask:?} can be written")));
        };
        let told = TotalsTold {
            ask,
            answer,
            bytes: (sent, told),
        };
        let told = Event::ReconciliationTold(Box::new(told));
        around.events.push((0, told));
        Ok(())
    }
}

/// Business days.
impl Shard {
    /// The day ends between the switch and a party: on all shards.
    pub(in crate::simulation) fn cut_over(
        &mut self,
        party: Party,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Some(in_force) = self.engine.day(party) else {
            return Ok(());
        };
        self.counts.cut_overs += 1;
        let date = in_force.next();
        for shard in 0..self.shards {
            if shard != self.id {
                self.tell_book(shard, BookMessage::Day { party, date }, around);
            }
        }
        self.set_day(party, date, around)?;
        self.drain(around)
    }

    //= docs/rules.md#B-04
    fn set_day(
        &mut self,
        party: Party,
        date: SettlementDate,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        self.give_book(BookInput::Day { party, date }, around)?;
        match party {
            Party::Issuer(issuer) => self.plan_freeze(issuer, around),
            Party::Acquirer(_) => Ok(()),
        }
    }

    /// After a start: the days that the journal knows are in force, and a peer that had not heard
    /// of a cut-over hears of it.
    pub(super) fn resume_days(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        let owed = self.engine.owed_reconciliations();
        let taken: Vec<Stan> = owed.map(|owed| owed.stan).collect();
        for stan in taken {
            self.places[usize::from(link_of(stan).0)].stans.claim(stan);
        }
        for party in PARTIES {
            let Some(date) = self.engine.day(party) else {
                continue;
            };
            for shard in 0..self.shards {
                if shard != self.id {
                    self.tell_book(shard, BookMessage::Known { party, date }, around);
                }
            }
            let forgets = self.driver == Driver::ForgetsCutOvers;
            if let (Party::Issuer(issuer), false) = (party, forgets) {
                self.plan_freeze(issuer, around)?;
            }
        }
        self.reconciling.segment = self.journal.segment();
        Ok(())
    }

    /// The book is written down whole in each segment.
    pub(super) fn write_book(&mut self, around: &mut Around<'_>) -> Result<(), Broken> {
        let segment = self.journal.segment();
        let is_other = std::mem::replace(&mut self.reconciling.segment, segment) != segment;
        match around.plan.days {
            Some(_) if is_other => self.give_book(BookInput::Snapshot, around),
            _ => Ok(()),
        }
    }

    /// What the engine has counted is what the journal says.
    pub(super) fn compare_totals(&mut self, around: &Around<'_>) -> Result<(), Broken> {
        if !std::mem::take(&mut self.reconciling.is_dirty) {
            return Ok(());
        }
        let currency = Currency::KES;
        let told = |party, date| {
            self.engine.totals(BucketKey {
                party,
                date,
                currency,
            })
        };
        let day = |party| self.engine.day(party);
        around.ledger.journal().compare_totals(self.id, told, day)
    }
}

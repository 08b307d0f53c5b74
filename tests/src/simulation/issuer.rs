//! Issuers: honest ledgers, dishonest answers.

use std::collections::BTreeMap;

use domain::ResponseCode;
use domain::ids::Stan;
use domain::network::SettlementDate;
use domain::reconciliation::{Totals, Verdict};
use domain::time::TransmissionTime;

use super::administering::{answered, is_administrative};
use super::asking::Asking;
use super::ledger::fields_of;
use super::plan::Plan;
use super::random::Random;
use super::reconciling::{Reckoned, settles_on};
use super::words::{Completing, LegB, MS, Reported, Said, Taking};

/// The money that one issuer has really moved.
#[derive(Debug, Default)]
pub(super) struct Issuer {
    /// By DE11 and DE7 of leg B.
    accounts: BTreeMap<(Stan, TransmissionTime), Effect>,
    /// Reversals by their own DE11 and DE7 and by the DE7 of their original, which DE90 repeats: a
    /// repeat changes nothing. Two originals may have had one STAN, and be reversed in one second.
    taken: BTreeMap<(Stan, TransmissionTime, TransmissionTime), Taking>,
    /// By DE11 and DE12 of leg B, as DE56 of 1993 names what is known by DE7 here.
    by_local: BTreeMap<(Stan, TransmissionTime), (Stan, TransmissionTime)>,
    /// Recent requests, to confuse their answers.
    recent: Vec<LegB>,
    pub(super) reversals: u64,
    pub(super) completions_ahead: u64,
    /// The purchase that a completion named and that is not known here.
    pub(super) ahead: Option<u32>,
    pub(super) completions_asked: u64,
    pub(super) complaint: Option<String>,
    /// The purchase that it has just approved for the first time.
    pub(super) began: Option<u32>,
    /// What it was told of totals, by day.
    reckoned: BTreeMap<SettlementDate, (Stan, TransmissionTime, Totals)>,
    /// What was wrong with that.
    pub(super) objection: Option<String>,
    pub(super) settled_on: u64,
}

/// What a request did.
#[derive(Clone, Copy, Debug)]
struct Effect {
    purchase: u32,
    /// Minor units held now.
    held: u64,
    approved: bool,
    answer: Said,
    /// Until then it may still come to anything; 0 of what was decided at once.
    decides_at: u64,
}

impl Effect {
    const fn is_open(&self, now: u64) -> bool {
        now < self.decides_at
    }
}

/// What goes back.
#[derive(Debug)]
pub(super) struct Replies {
    pub(super) first: Said,
    /// Says the opposite. It follows the first, which then is not lost: whoever is told a lie alone
    /// cannot know.
    pub(super) conflicting: Option<Said>,
    /// Under the STAN of another request.
    pub(super) stray: Option<Said>,
}

impl Replies {
    pub(super) const fn one(first: Said) -> Self {
        Self {
            first,
            conflicting: None,
            stray: None,
        }
    }
}

impl Issuer {
    /// `None` where it says nothing.
    pub(super) fn receive(
        &mut self,
        message: &LegB,
        (now, asking, plan): (u64, Option<&Asking>, &Plan),
        random: &mut Random,
    ) -> Option<Replies> {
        if message.is_inquiry {
            let asking = asking?;
            let is_silent = random.permille(asking.silent);
            return self.tell(message, now, asking).filter(|_| !is_silent);
        }
        let original = message.reversal.map(|taking| {
            let named = (message.expected.stan, taking.original);
            self.known_as(message, named)
        });
        let known = self.accounts.get(&original.unwrap_or(name_of(message)));
        match (known, original) {
            (Some(known), Some(_)) if known.is_open(now) => {
                // It is taken back when there is something to take back.
                let code = Some(ResponseCode::ISSUER_INOPERATIVE);
                let busy = acknowledgement(message, plan, random);
                return Some(Replies::one(Said { code, ..busy }));
            }
            (Some(known), None) if known.is_open(now) => return None,
            _ => {}
        }
        let is_new = known.is_none() && original.is_none();
        let replies = self.take(message, plan, random);
        let Some(asking) = asking.filter(|_| is_new && message.is_submit()) else {
            return Some(replies);
        };
        if !random.permille(asking.pending) {
            return Some(replies);
        }
        let later = random.below(asking.decides_ms * MS);
        if let Some(decided) = self.accounts.get_mut(&name_of(message)) {
            decided.decides_at = now + later;
        }
        None
    }

    /// What became of a request, as far as it is decided.
    fn tell(&mut self, message: &LegB, now: u64, asking: &Asking) -> Option<Replies> {
        let (expected, echo) = (message.expected, message.echo);
        let Some(known) = self.accounts.get(&name_of(message)) else {
            let not_executed = Said {
                expected,
                echo,
                code: Some(ResponseCode::MALFUNCTION),
                amount: None,
                purchase: message.purchase,
                settles: None,
                verdict: None,
            };
            if !asking.not_found_is_final {
                return None;
            }
            // And it knows from now on that it has not.
            let effect = Effect {
                purchase: message.purchase,
                held: 0,
                approved: false,
                answer: not_executed,
                decides_at: 0,
            };
            self.accounts.insert(name_of(message), effect);
            return Some(Replies::one(not_executed));
        };
        let is_taken_back = known.approved && known.held == 0;
        if known.is_open(now) || is_taken_back {
            return None;
        }
        // Whoever could not be read before says the same.
        let code = known.answer.code.or(Some(ResponseCode::APPROVED));
        Some(Replies::one(Said {
            expected,
            echo,
            code,
            ..known.answer
        }))
    }

    fn take(&mut self, message: &LegB, plan: &Plan, random: &mut Random) -> Replies {
        if is_administrative(message.expected.kind) {
            return answered(message, plan, random);
        }
        if let Some(reckoned) = message.reckoned {
            return self.reckon(message, &reckoned, plan, random);
        }
        if let (Some(local), None) = (message.local, message.reversal) {
            let stan = message.expected.stan;
            self.by_local.insert((stan, local), name_of(message));
        }
        match (message.reversal, message.report) {
            (Some(mut taking), _) => {
                let named = (message.expected.stan, taking.original);
                taking.original = self.known_as(message, named).1;
                self.reverse(message, taking, plan, random)
            }
            (None, Some(report)) => self.note(message, &report, plan, random),
            (None, None) => {
                if let Some(Completing { named, account }) = message.asks {
                    self.completions_asked += 1;
                    self.check_named(message, named, account);
                }
                self.approve(message, plan, random)
            }
        }
    }

    /// An advice is what has happened: it takes effect once, whatever is thought of it.
    fn note(
        &mut self,
        message: &LegB,
        report: &Reported,
        plan: &Plan,
        random: &mut Random,
    ) -> Replies {
        let answer = acknowledgement(message, plan, random);
        if answer.code != Some(ResponseCode::APPROVED) {
            return Replies::one(answer);
        }
        self.check_report(message, report);
        let name = name_of(message);
        if let Some(known) = self.accounts.get(&name) {
            if known.purchase != message.purchase {
                self.complaint = Some(format!("{message:?} has the name of {known:?}"));
            }
            return Replies::one(answer);
        }
        let declined = report.content.as_bytes().len() > fields_of(message.purchase).len();
        self.began = (!declined).then_some(message.purchase);
        let effect = Effect {
            purchase: message.purchase,
            held: if declined { 0 } else { message.amount },
            approved: !declined,
            answer,
            decides_at: 0,
        };
        self.accounts.insert(name, effect);
        Replies::one(answer)
    }

    /// Each day is told once, and every copy is the same.
    fn reckon(
        &mut self,
        message: &LegB,
        told: &Reckoned,
        plan: &Plan,
        random: &mut Random,
    ) -> Replies {
        let (stan, sent) = name_of(message);
        let entry = (stan, sent, told.ours);
        let known = self.reckoned.entry(told.date).or_insert(entry);
        if *known != entry {
            self.objection = Some(format!("{message:?} after {known:?}"));
        }
        let refused = plan.days.is_some_and(|days| random.happens(days.refused));
        let verdicts = [Verdict::InBalance, Verdict::OutOfBalance, Verdict::Unknown];
        let verdict = verdicts[random.below(3) as usize];
        Replies::one(Said {
            expected: message.expected,
            echo: message.echo,
            code: None,
            amount: None,
            purchase: 0,
            settles: None,
            verdict: (!refused).then_some(verdict),
        })
    }

    /// What it was told of a day.
    pub(super) fn reckoned(&self, date: SettlementDate) -> Option<Totals> {
        self.reckoned.get(&date).map(|(_, _, totals)| *totals)
    }

    /// The name by which what a message names is known here.
    fn known_as(
        &self,
        message: &LegB,
        named: (Stan, TransmissionTime),
    ) -> (Stan, TransmissionTime) {
        let by_local = message.local.and_then(|_| self.by_local.get(&named));
        by_local.copied().unwrap_or(named)
    }

    /// It says what its acquirer said, and names what it completes as it is known here.
    fn check_report(&mut self, message: &LegB, report: &Reported) {
        let fields = fields_of(message.purchase);
        if !report.content.as_bytes().starts_with(&fields) {
            self.complaint = Some(format!("{message:?} says other than was said"));
        }
        let Some(named) = report.completes else {
            return;
        };
        if named.0.number() < ACQUIRED_STANS {
            // Of what the switch does not know it passes on what the acquirer said.
            return;
        }
        self.check_named(message, named, report.account);
    }

    fn check_named(&mut self, message: &LegB, named: (Stan, TransmissionTime), account: u32) {
        let effect = self.accounts.get(&self.known_as(message, named));
        let mut known = self.accounts.values();
        match effect {
            Some(effect) if effect.purchase != account => {
                self.complaint = Some(format!("{message:?} completes {effect:?}"));
            }
            Some(_) => {}
            None if message.asks.is_some() => {
                self.complaint = Some(format!("{message:?} completes what is not known here"));
            }
            None => match known.find(|effect| effect.purchase == account) {
                Some(effect) => {
                    self.complaint = Some(format!("{message:?} does not name {effect:?}"));
                }
                // People have what was approved in this issuer's place, so that it never hears of
                // it.
                None => {
                    self.completions_ahead += 1;
                    self.ahead = Some(account);
                }
            },
        }
    }

    /// What this issuer holds for each purchase that it ever approved.
    pub(super) fn holdings(&self) -> impl Iterator<Item = (u32, u64)> {
        let approved = self.accounts.values().filter(|effect| effect.approved);
        approved.map(|effect| (effect.purchase, effect.held))
    }

    fn approve(&mut self, message: &LegB, plan: &Plan, random: &mut Random) -> Replies {
        let key = name_of(message);
        if let Some(known) = self.accounts.get(&key) {
            return Replies::one(known.answer);
        }
        let answer = self.decide(message, plan, random);
        let mut replies = Replies::one(answer);
        if random.permille(plan.wrong_echo) {
            replies.first.echo.rrn = super::words::rrn(999_999);
        } else if random.permille(plan.conflicting) {
            let code = if answer.code.is_some_and(ResponseCode::is_approval) {
                ResponseCode::DO_NOT_HONOUR
            } else {
                ResponseCode::APPROVED
            };
            let code = Some(code);
            replies.conflicting = Some(Said { code, ..answer });
        }
        if random.permille(plan.wrong_stan) && !self.recent.is_empty() {
            let other = self.recent[random.below(self.recent.len() as u64) as usize];
            // A STAN comes round again: under the one of this request it would be no stray, but a
            // second answer ahead of the first.
            replies.stray = (other.expected != message.expected).then_some(Said {
                expected: other.expected,
                code: Some(ResponseCode::APPROVED),
                amount: None,
                ..answer
            });
        }
        self.recent.push(*message);
        if self.recent.len() > 8 {
            self.recent.remove(0);
        }
        replies
    }

    fn decide(&mut self, message: &LegB, plan: &Plan, random: &mut Random) -> Said {
        let mut answer = Said {
            expected: message.expected,
            echo: message.echo,
            code: Some(ResponseCode::APPROVED),
            amount: random.permille(700).then_some(message.amount),
            purchase: message.purchase,
            settles: None,
            verdict: None,
        };
        if plan.days.is_some_and(|days| days.named) {
            answer.settles = settles_on(message.purchase);
            self.settled_on += u64::from(answer.settles.is_some());
        }
        let mut held = message.amount;
        if random.permille(plan.declined) {
            answer.code = Some(ResponseCode::INSUFFICIENT_FUNDS);
            held = 0;
        } else if random.permille(plan.partial) {
            answer.code = Some(ResponseCode::PARTIAL_APPROVAL);
            held = message.amount / 2;
            answer.amount = Some(held);
        } else if random.permille(plan.other_amount) {
            held = message.amount - 1;
            answer.amount = Some(held);
        } else if random.permille(plan.illegible) {
            answer.code = None;
        }
        let effect = Effect {
            purchase: message.purchase,
            held,
            approved: answer.code != Some(ResponseCode::INSUFFICIENT_FUNDS),
            answer,
            decides_at: 0,
        };
        self.began = effect.approved.then_some(message.purchase);
        self.accounts.insert(name_of(message), effect);
        answer
    }

    fn reverse(
        &mut self,
        message: &LegB,
        taking: Taking,
        plan: &Plan,
        random: &mut Random,
    ) -> Replies {
        let mut answer = acknowledgement(message, plan, random);
        if answer.code != Some(ResponseCode::APPROVED) {
            return Replies::one(answer);
        }
        let (stan, sent) = name_of(message);
        let name = (stan, sent, taking.original);
        if let Some(known) = self.taken.get(&name) {
            if known.stays != taking.stays {
                self.complaint = Some(format!("{message:?} repeats {known:?} with a difference"));
            }
        } else {
            self.taken.insert(name, taking);
            let original = (message.expected.stan, taking.original);
            match self.accounts.get_mut(&original) {
                Some(effect) if effect.purchase == message.purchase => {
                    effect.held = effect.held.min(taking.stays.unwrap_or(0));
                    self.reversals += 1;
                }
                Some(effect) => {
                    self.complaint = Some(format!("{message:?} names {effect:?}"));
                }
                None => answer.code = Some(ResponseCode::ORIGINAL_NOT_FOUND),
            }
        }
        Replies::one(answer)
    }
}

/// Acquirers count up to here.
const ACQUIRED_STANS: u32 = 20;

fn name_of(message: &LegB) -> (Stan, TransmissionTime) {
    let sent = message.echo.transmitted.expect("leg B carries DE7");
    (message.expected.stan, sent)
}

/// What an issuer says to something owed before it looks at it: mostly that it has it.
fn acknowledgement(message: &LegB, plan: &Plan, random: &mut Random) -> Said {
    let code = if random.permille(plan.reversal_busy) {
        ResponseCode::ISSUER_INOPERATIVE
    } else if random.permille(plan.reversal_refused) {
        ResponseCode::FORMAT_ERROR
    } else {
        ResponseCode::APPROVED
    };
    Said {
        expected: message.expected,
        echo: message.echo,
        code: Some(code),
        amount: None,
        purchase: message.purchase,
        settles: None,
        verdict: None,
    }
}

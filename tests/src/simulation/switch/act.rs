//! One `match` from each output of the engine to its effect in the world.

use std::time::Duration;

use domain::Record;
use domain::bytes::Text;
use domain::ids::{AuthorisationId, RouteId};
use domain::record::{AdviceOrigin, Completed};
use domain::request::{Answer, FrameId, IssuerLeg, MessageClass};
use domain::time::TransmissionTime;
use router::selection::{CallOutcome, Query};
use router::week::WeekMinute;
use router::{Selection as Choice, breaker::BreakerState};
use transaction::input::Selection;
use transaction::output::{
    AdviceResult, CopyResult, Event as Counted, JournalEntry, LegEnding, NotAdmitted, Reply,
    ReversalResult, WantedIssuer,
};

use super::advising::{check_advised, none_admits};
use super::*;
use crate::simulation::bytes::write_told;
use crate::simulation::ledger::authorisation;
use crate::simulation::words::{Asked, Told, account_of, pan_digits};

impl Shard {
    pub(super) fn act(
        &mut self,
        output: transaction::Output,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        use transaction::Output;
        match output {
            Output::Assess { handle, .. } => self.ask_risk(handle, around),
            Output::SelectRoute { handle, tried, .. } => self.select(handle, tried, around),
            Output::Journal { lsn, entry } => return self.append(lsn, &entry, around),
            Output::Send { handle, leg, frame } => return self.send(handle, &leg, frame, around),
            Output::LegEnded {
                handle,
                leg,
                ending,
                elapsed,
                ..
            } => {
                return self.leg_ended(handle, &leg, ending, elapsed, around);
            }
            Output::ReleaseStan { leg, reuse } => {
                if super::super::is_traced() {
                    println!("   {} R {leg:?} {reuse:?}", self.id);
                }
                let place = &mut self.places[usize::from(leg.link.0)];
                place.stans.release(leg.stan, reuse, around.instant());
            }
            Output::Reply { frame, reply } => return self.reply(frame, reply, around),
            Output::Discard { frame } => {
                let Some(waiting) = self.frames.remove(&frame.0) else {
                    return Err(("L1", format!("{frame:?} discarded after its end")));
                };
                return around.ledger.answers.ended(waiting.session.serial);
            }
            Output::SendReversal { owed, transmission } => {
                return self.send_reversal(owed, transmission, around);
            }
            Output::SendAdvice { owed, transmission } => {
                return self.send_advice(owed, transmission, around);
            }
            Output::Noted { token } => self.follow.push_back(Follow::Noted(token)),
            Output::SendReconciliation { owed, transmission } => {
                return self.send_reconciliation(owed, transmission, around);
            }
            Output::ReconciliationEnded { owed, result, .. } => {
                self.reconciliation_ended(owed, result, around);
            }
            Output::SelectIssuer(wanted) => self.select_issuer(&wanted, around),
            Output::FindReferred { handle } => self.find_referred(handle, around),
            Output::FindOriginal { handle, query } => self.find_original(handle, query, around),
            Output::AssignLeg { handle, issuer, .. } => self.assign_leg(handle, issuer, around),
            Output::AskOlder { owed, query } => {
                let ask = Message::AskOlder {
                    owed,
                    from: self.id,
                    query: Box::new(query),
                };
                self.tell(self.id, ask, around);
            }
            Output::Inquire { handle, leg, .. } => return self.note_found(handle, &leg, around),
            Output::Operated { .. } | Output::Retried { .. } => {
                return Err(("output", format!("{output:?}: nobody acts by hand here")));
            }
            Output::GiveUpReversal { owed } => self.give_up_reversal(owed, around),
            // Nobody asks by hand where something stands.
            Output::OwedEnded { .. } => {}
            Output::Event { event, .. } => return self.count(event, around),
        }
        Ok(())
    }

    fn append(
        &mut self,
        lsn: Lsn,
        entry: &JournalEntry,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let record = self.engine.record(entry);
        let id = record.transaction();
        if self.engine.decides(entry) && !self.decided.insert(id) {
            return Err(("decided", format!("{id} is decided a second time")));
        }
        if let Record::Advised(advised) = &record {
            check_advised(advised, around.plan)?;
        }
        let record = match record {
            Record::Refused(mut refused) if self.driver == Driver::LeaksPan => {
                let digits = pan_digits(account_of(&refused.facts));
                refused.facts.trace.merchant = Text::new("DE42", &digits[..15]).expect("digits");
                Record::Refused(refused)
            }
            record => record,
        };
        match self.journal.append(&record) {
            Ok(appended) if appended == lsn => {}
            Ok(appended) => return Err(("lsn", format!("{appended} for {lsn}"))),
            // The shell ends the process: going on would answer without a record.
            Err(_) => around.dies = Some(false),
        }
        self.owed_here.note(&record, around.now);
        around.ledger.journaled((self.id, lsn), &record)?;
        self.reconciling.is_dirty = around.plan.days.is_some();
        let is_advice = matches!(
            &record,
            Record::Advised(advised) if advised.origin == AdviceOrigin::Acquirer
        );
        let point = match record {
            Record::Intent(_) => Some(CrashPoint::IntentAppended),
            Record::Outcome(_) | Record::Advised(_) => Some(CrashPoint::OutcomeAppended),
            Record::SafDone(_) => Some(CrashPoint::Acknowledged),
            _ => None,
        };
        if super::super::is_traced() {
            println!("   {} J {lsn} {entry:?} {id:?}", self.id);
        }
        if let Some(point) = point
            && self.ends_at(point, around)
        {
            // What was appended may be on its way to the disk.
            self.begin_disk(around);
            return Ok(());
        }
        let early = self.driver == Driver::AcknowledgesEarly && is_advice;
        if early || self.driver == Driver::RepliesBeforeDurable {
            self.follow.push_back(Follow::Durable(lsn));
        }
        Ok(())
    }

    fn count(&mut self, event: Counted, around: &Around<'_>) -> Result<(), Broken> {
        let fits = around.plan.bounds.transactions_max >= 256;
        match event {
            Counted::Uncounted => return Err(("B-01", "a count found no room".to_string())),
            Counted::AnswerCut => return Err(("S8", "an answer found no room".to_string())),
            Counted::NotAdmitted(NotAdmitted::TableFull) if fits => {
                return Err(("S8", format!("{event:?} in a world that fits")));
            }
            Counted::NotAdmitted(NotAdmitted::TableFull) => self.counts.table_full += 1,
            Counted::NotAdmitted(NotAdmitted::OutsideWindow) => self.counts.outside_window += 1,
            Counted::NotAdmitted(NotAdmitted::Undecided) => self.counts.undecided += 1,
            Counted::LateResponse => self.counts.late += 1,
            Counted::SecondAnswer { conflict } => {
                self.counts.second_answers += 1;
                self.counts.conflicting_answers += u64::from(conflict);
            }
            Counted::Copy(CopyResult::Attached) => self.counts.attached += 1,
            Counted::Copy(CopyResult::Conflict) => self.counts.conflicts += 1,
            Counted::Copy(CopyResult::Rejected) => self.counts.rejected += 1,
            Counted::StoodIn => self.counts.stood_in += 1,
            Counted::HeldBack => self.counts.held_back += 1,
            Counted::GivenUp(_) => self.counts.given_up += 1,
            Counted::Advice(AdviceResult::Accepted) => self.counts.advised += 1,
            Counted::Advice(AdviceResult::OverOriginal) => self.counts.over_original += 1,
            Counted::Advice(AdviceResult::LeftToPeople | AdviceResult::NoIssuer) => {
                self.counts.left_to_people += 1
            }
            Counted::Advice(AdviceResult::Reversed) => self.counts.advices_buried += 1,
            Counted::Reversal(ReversalResult::InFlight) => self.counts.races += 1,
            Counted::Reversal(ReversalResult::Copy) => self.counts.reversal_copies += 1,
            Counted::Reversal(ReversalResult::TooMuch) => self.counts.too_much += 1,
            _ => {}
        }
        Ok(())
    }

    fn ask_risk(&mut self, handle: Handle, around: &mut Around<'_>) {
        if around.random.permille(around.plan.assess_slow) {
            let later = around.random.below(800 * MS);
            self.later(later, Inside::Assessed { handle }, around);
            return;
        }
        let Some(facts) = self.engine.facts(handle).copied() else {
            return;
        };
        let home = self.account_home(&facts);
        if home == self.id {
            let assessment = self.assess(&facts, around);
            self.follow.push_back(Follow::Assessed(handle, assessment));
            return;
        }
        let assess = Message::Assess {
            handle,
            from: self.id,
            facts: Box::new(facts),
        };
        self.tell(home, assess, around);
    }

    fn select(&mut self, handle: Handle, tried: u8, around: &mut Around<'_>) {
        let Some(facts) = self.engine.facts(handle).copied() else {
            return;
        };
        let selection = self.choose(handle, &facts, tried, around);
        while let Some(transition) = self.router.poll_transition() {
            let opened = transition.to == BreakerState::Open;
            self.counts.breaker_opened += u64::from(opened);
        }
        if let Some(selection) = selection {
            self.follow.push_back(Follow::Selected(handle, selection));
        }
    }

    fn choose(
        &mut self,
        handle: Handle,
        facts: &Facts,
        mut tried: u8,
        around: &mut Around<'_>,
    ) -> Option<Selection> {
        let now = around.instant();
        let account = pan_digits(account_of(facts));
        loop {
            let (route, candidate, issuer, permit, deadline) =
                match self.router.select(query(facts, &account), tried, now) {
                    Choice::Chosen {
                        route,
                        candidate,
                        issuer,
                        permit,
                        deadline,
                        ..
                    } => (route, candidate, issuer, permit, deadline),
                    Choice::NoneAdmits { skipped, .. } => {
                        let Some(issuer) = self.stand_in_issuer(facts, skipped, around.plan) else {
                            return Some(none_admits());
                        };
                        self.ask_stand_in(handle, facts, issuer, around);
                        return None;
                    }
                    Choice::NoRoute => return Some(none_admits()),
                };
            let chosen = (route, candidate, issuer, permit);
            let Some(leg) = self.begin_leg((handle, facts.class), chosen, None, around) else {
                tried |= 1 << candidate;
                continue;
            };
            return Some(Selection::Leg { leg, deadline });
        }
    }

    /// A completion request goes to the issuer of its original.
    fn select_issuer(&mut self, wanted: &WantedIssuer, around: &mut Around<'_>) {
        let WantedIssuer {
            handle,
            issuer,
            completed,
            ..
        } = *wanted;
        let Some(facts) = self.engine.facts(handle).copied() else {
            return;
        };
        let account = pan_digits(account_of(&facts));
        let issuer = match self.driver {
            Driver::CompletesElsewhere => IssuerId(issuer.0 ^ 1),
            _ => issuer,
        };
        let now = around.instant();
        let choice = self
            .router
            .select_issuer(query(&facts, &account), issuer, now);
        let selection = match choice {
            Choice::Chosen {
                route,
                candidate,
                issuer,
                permit,
                deadline,
                ..
            } => {
                let chosen = (route, candidate, issuer, permit);
                let leg = self.begin_leg((handle, facts.class), chosen, Some(completed), around);
                leg.map_or(none_admits(), |leg| Selection::Leg { leg, deadline })
            }
            Choice::NoneAdmits { .. } | Choice::NoRoute => none_admits(),
        };
        self.follow.push_back(Follow::Selected(handle, selection));
    }

    fn begin_leg(
        &mut self,
        (handle, class): (Handle, MessageClass),
        (route, candidate, issuer, permit): (RouteId, u8, IssuerId, Permit),
        completed: Option<Completed>,
        around: &mut Around<'_>,
    ) -> Option<IssuerLeg> {
        let Some((link, stan)) = self.take_link(issuer, around) else {
            let nothing = CallOutcome::NotCalled;
            self.router
                .finish(permit, nothing, Duration::ZERO, around.instant());
            return None;
        };
        let leg = Leg {
            permit: Some(permit),
            link,
            stan,
            expected: Expected {
                kind: class.into(),
                stan,
            },
            completed,
        };
        self.legs.insert(handle.index, leg);
        Some(IssuerLeg {
            route,
            candidate,
            issuer,
            link,
            stan,
            transmitted: TransmissionTime::at(wall(around.now, around.wall_ahead)),
        })
    }

    pub(super) fn take_link(
        &mut self,
        issuer: IssuerId,
        around: &mut Around<'_>,
    ) -> Option<(LinkId, Stan)> {
        let now = around.instant();
        let first = around.random.below(u64::from(LINKS)) as u16;
        for step in 0..LINKS {
            let link = LinkId((first + step) % LINKS);
            let place = &mut self.places[usize::from(link.0)];
            if place.issuer != issuer || !place.up {
                continue;
            }
            if let Some(stan) = place.stans.allocate(now) {
                return Some((link, stan));
            }
        }
        None
    }

    fn leg_ended(
        &mut self,
        handle: Handle,
        leg: &IssuerLeg,
        ending: LegEnding,
        elapsed: Duration,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let held = self.legs.remove(&handle.index);
        let Some(held) = held.filter(|held| held.stan == leg.stan) else {
            return Err(("permits", format!("{leg:?} returned twice")));
        };
        let outcome = match ending {
            LegEnding::Answered(code) if code.is_issuer_failure() => CallOutcome::Failure,
            LegEnding::Answered(_) => CallOutcome::Success,
            LegEnding::TimedOut | LegEnding::Unusable => CallOutcome::Failure,
            LegEnding::Unsent => CallOutcome::NotCalled,
        };
        if self.driver == Driver::LeaksPermit && outcome == CallOutcome::NotCalled {
            return Ok(());
        }
        if let Some(permit) = held.permit {
            self.router
                .finish(permit, outcome, elapsed, around.instant());
        }
        if ending == LegEnding::TimedOut {
            self.give_up(held.link, held.expected, around);
        }
        Ok(())
    }

    fn reply(
        &mut self,
        frame: FrameId,
        reply: Reply,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        if self.ends_at(CrashPoint::OutcomeDurable, around) {
            return Ok(());
        }
        let Some(waiting) = self.frames.remove(&frame.0) else {
            return Err(("L1", format!("{frame:?} is answered twice")));
        };
        let (ask, came) = (waiting.ask, waiting.session);
        let (answer, stored) = match reply {
            Reply::Answer(handle) => (self.engine.answer(handle), true),
            Reply::Code(code) | Reply::Acknowledge { code } => (Some(Answer::of(code)), false),
        };
        let Some(answer) = answer else {
            return Err(("L1", format!("{frame:?} has no answer to tell")));
        };
        let mut held = Held {
            ask,
            came,
            code: answer.code,
            authorisation: answer.authorisation,
            amount: answer.amount,
            fields: answer.fields.to_vec(),
            stored,
            bytes: waiting.bytes,
        };
        if self.driver == Driver::LosesAnswers && around.random.permille(20) {
            return Ok(());
        }
        if self.driver == Driver::SwapsAnswers && !held.authorisation.is_empty() {
            held.authorisation = de38(&authorisation(ask.of.number + 1));
        }
        if self.driver == Driver::AnswersAfresh && stored && !answer.code.is_approval() {
            held.fields.extend(around.now.to_be_bytes().iter().take(4));
        }
        if answer.code == domain::ResponseCode::PARTIAL_APPROVAL {
            self.counts.partly_approved += 1;
        }
        if answer.code == domain::ResponseCode::ORIGINAL_NOT_FOUND {
            let is_reversal = matches!(ask.what, Asked::Reversal { .. });
            self.counts.not_found += u64::from(is_reversal);
        }
        let is_request = matches!(ask.what, Asked::Request { .. }) && !ask.of.is_advice();
        if self.driver == Driver::HoldsApprovals && is_request && answer.code.is_approval() {
            let later = around.random.below(600 * MS);
            self.later(later, Inside::Reply(Box::new(held)), around);
            return Ok(());
        }
        if came.session != self.id {
            // Its bytes travel back over the mesh; what matters is decided here.
            self.counts.between_shards += 1;
        }
        self.release(held, around)
    }

    /// An answer leaves.
    pub(super) fn release(&mut self, held: Held, around: &mut Around<'_>) -> Result<(), Broken> {
        let answer = Answer {
            code: held.code,
            authorisation: held.authorisation,
            amount: held.amount,
            fields: &held.fields,
        };
        around.ledger.answers.ended(held.came.serial)?;
        around.ledger.answered(&held.ask, &answer, held.stored)?;
        tell_acquirer(held.ask, held.bytes, &answer, around)?;
        self.ends_at(CrashPoint::Replied, around);
        Ok(())
    }
}

/// The bytes of an answer leave.
pub(super) fn tell_acquirer(
    ask: Ask,
    sent: Vec<u8>,
    answer: &Answer<'_>,
    around: &mut Around<'_>,
) -> Result<(), Broken> {
    let told = match &around.plan.lines {
        Some(lines) => write_told(lines.acquirer, &sent, answer),
        None => Some(Vec::new()),
    };
    let Some(told) = told else {
        return Err(("wire", format!("no answer to {ask:?} can be written")));
    };
    let told = Told {
        ask,
        code: answer.code,
        bytes: (sent, told),
    };
    around.events.push((0, Event::ToAcquirer(told)));
    Ok(())
}

/// What the router is asked about a transaction.
pub(super) fn query<'a>(facts: &Facts, account: &'a [u8]) -> Query<'a> {
    Query {
        account,
        class: facts.class.into(),
        amount: Some(facts.amount),
        category: None,
        acquirer: facts.acquirer,
        at: WeekMinute::new(0),
        draw: facts.content.0,
    }
}

/// DE38 of an answer.
pub(super) fn de38(digits: &[u8; 6]) -> AuthorisationId {
    AuthorisationId::new("DE38", digits).expect("digits")
}

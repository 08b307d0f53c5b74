//! Advices, from the session to their issuers, and approvals in place of issuers.

use domain::record::{AdviceOrigin, Advised, OwedKind};
use domain::request::{IssuerLeg, Transmission};
use domain::time::TransmissionTime;
use risk_inline::Verdict;
use router::selection::Skipped;
use transaction::advice::{Original, OriginalQuery};
use transaction::input::Assignment;
use transaction::matching::{Echo, ResponseKind};
use transaction::output::OwedAdvice;

use super::act::{de38, query};
use super::*;
use crate::simulation::bytes::{content_of, write_advice};
use crate::simulation::ledger::{fields_of, own_authorisation};
use crate::simulation::words::{Content, LegB, Reported, account_of, number_of, pan_digits};

impl Shard {
    /// Asks the shard where the original of an advice would live.
    pub(super) fn find_original(
        &mut self,
        handle: Handle,
        query: OriginalQuery,
        around: &mut Around<'_>,
    ) {
        let to = query.named.slot.owner(self.shards).0;
        self.counts.completions_elsewhere += u64::from(to != self.id);
        let (from, query) = (self.id, Box::new(query));
        let find = Message::FindOriginal {
            handle,
            from,
            query,
        };
        self.tell(to, find, around);
    }

    /// What is asked before what has a place leaves, and what is told.
    pub(super) fn older(
        &mut self,
        message: Message,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        match message {
            Message::AskOlder { owed, from, query } => {
                let looks = match self.driver {
                    Driver::OvertakesOriginals => false,
                    Driver::OvertakesCompletions => query.kind == OwedKind::Advice,
                    _ => true,
                };
                let is_owed = looks && self.engine.owes_older(&query);
                let counts = &mut self.counts;
                let undoes =
                    query.kind == OwedKind::Reversal && query.original != query.transaction;
                counts.undone_behind += u64::from(is_owed && undoes);
                counts.completions_behind += u64::from(is_owed);
                let told = Message::Older {
                    owed,
                    asked: self.id,
                    query,
                    is_owed,
                };
                self.tell(from, told, around);
                Ok(())
            }
            Message::Older {
                owed,
                asked,
                query,
                is_owed,
            } => {
                let next = (asked + 1) % self.shards;
                if is_owed || next == self.id {
                    return self.give(Input::Older { owed, is_owed }, around);
                }
                let from = self.id;
                self.tell(next, Message::AskOlder { owed, from, query }, around);
                Ok(())
            }
            _ => Err(("advice", "no word of what is owed".to_owned())),
        }
    }

    pub(super) fn look_up_original(
        &mut self,
        (handle, from): (Handle, u16),
        query: &OriginalQuery,
        around: &mut Around<'_>,
    ) {
        let original = match self.driver {
            Driver::CompletesUnseen => Original::Unknown,
            _ => self.engine.original(query),
        };
        self.tell(from, Message::Original { handle, original }, around);
    }

    /// Whose an advice is, and a STAN of one of that issuer's links, up or not.
    pub(super) fn assign_leg(
        &mut self,
        handle: Handle,
        issuer: Option<IssuerId>,
        around: &mut Around<'_>,
    ) {
        let assignment = match self.leg_of_advice(handle, issuer, around) {
            Ok(leg) => Assignment::Leg(leg),
            Err(code) => Assignment::None { code },
        };
        self.follow.push_back(Follow::Assigned(handle, assignment));
    }

    fn leg_of_advice(
        &mut self,
        handle: Handle,
        issuer: Option<IssuerId>,
        around: &mut Around<'_>,
    ) -> Result<IssuerLeg, domain::ResponseCode> {
        let nowhere = domain::ResponseCode::CANNOT_ROUTE;
        let facts = self.engine.facts(handle).ok_or(nowhere)?;
        let account = pan_digits(account_of(facts));
        let home = self.router.home(query(facts, &account));
        let (route, of_route) = home.ok_or(nowhere)?;
        let issuer = issuer.unwrap_or(of_route);
        let (link, stan) = self
            .reserve_stan(issuer, around)
            .ok_or(domain::ResponseCode::MALFUNCTION)?;
        Ok(IssuerLeg {
            route,
            candidate: 0,
            issuer,
            link,
            stan,
            transmitted: TransmissionTime::at(wall(around.now, around.wall_ahead)),
        })
    }

    pub(super) fn reserve_stan(
        &mut self,
        issuer: IssuerId,
        around: &Around<'_>,
    ) -> Option<(LinkId, Stan)> {
        let now = around.instant();
        let all = || (0..LINKS).map(LinkId);
        let is_up = |shard: &Self, link: LinkId| shard.places[usize::from(link.0)].up;
        let used: Vec<LinkId> = all().filter(|link| is_up(self, *link)).collect();
        used.into_iter().chain(all()).find_map(|link| {
            let place = &mut self.places[usize::from(link.0)];
            let of_issuer = place.issuer == issuer;
            let stan = of_issuer
                .then(|| place.stans.allocate_spare(now))
                .flatten()?;
            Some((link, stan))
        })
    }

    pub(super) fn send_advice(
        &mut self,
        id: OwedId,
        transmission: Transmission,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let handle = id.handle;
        let (Some(owed), Some(facts)) = (self.engine.advice(id), self.engine.facts(handle)) else {
            return Err(("saf", format!("{handle:?} has no advice to send")));
        };
        let leg = owed.leg;
        let mut message = advice_message(facts, &owed);
        self.counts.completions += u64::from(owed.completed.is_some());
        let completed = owed.completed.map(|named| named.transaction);
        if completed.is_some_and(|original| !around.ledger.journal().may_complete(original)) {
            return Err(("A-05", format!("{message:?} overtakes what it completes")));
        }
        self.check_order(handle, around)?;
        if self.driver == Driver::DropsAdvices && around.random.permille(200) {
            self.follow.push_back(Follow::Acknowledged(id));
            return Ok(());
        }
        if self.driver == Driver::RenamesAdvices && transmission == Transmission::Repeat {
            let now = wall(around.now, around.wall_ahead);
            message.echo.transmitted = Some(TransmissionTime::at(now));
        }
        let named = IssuerLeg {
            transmitted: message.echo.transmitted.unwrap_or(leg.transmitted),
            ..leg
        };
        let bytes = match &around.plan.lines {
            Some(lines) => {
                let to = lines.of_issuer(leg.issuer.0);
                let when = (transmission, wall(around.now, around.wall_ahead));
                write_advice(to, (&owed, &named), facts, when)
            }
            None => Some(Vec::new()),
        };
        let Some(bytes) = bytes else {
            return Err(("wire", format!("{message:?} cannot be written")));
        };
        self.dispatch_owed(id, &leg, (message, bytes), around);
        Ok(())
    }

    /// What a transaction owes first leaves.
    pub(super) fn check_order(&self, handle: Handle, around: &Around<'_>) -> Result<(), Broken> {
        match self.engine.transaction_id(handle) {
            Some(id) => around.ledger.journal().check_order(id),
            None => Ok(()),
        }
    }

    /// What is known of an original has come back.
    pub(super) fn take_original(
        &mut self,
        handle: Handle,
        original: Original,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let completion = self.engine.transaction_id(handle);
        if let (
            Some(id),
            Original::Stands {
                place: Some(at), ..
            },
        ) = (completion, original)
        {
            around.ledger.placed(id, at);
        }
        self.give(Input::Original { handle, original }, around)
    }

    /// The issuer in whose place the switch may approve: the one that the account is at home with.
    pub(super) fn stand_in_issuer(
        &self,
        facts: &Facts,
        skipped: Skipped,
        plan: &Plan,
    ) -> Option<IssuerId> {
        if plan.reports.floor == 0 {
            return None;
        }
        let account = pan_digits(account_of(facts));
        let (_, issuer) = self.router.home(query(facts, &account))?;
        let mut passed_over = skipped.iter();
        passed_over
            .any(|(other, _)| other == issuer)
            .then_some(issuer)
    }

    pub(super) fn ask_stand_in(
        &mut self,
        handle: Handle,
        facts: &Facts,
        issuer: IssuerId,
        around: &mut Around<'_>,
    ) {
        let home = self.account_home(facts);
        let ask = Message::AskStandIn {
            handle,
            from: self.id,
            facts: Box::new(*facts),
            issuer,
        };
        self.tell(home, ask, around);
    }

    /// At the account's home.
    pub(super) fn may_stand_in(
        &mut self,
        (handle, from): (Handle, u16),
        facts: &Facts,
        issuer: IssuerId,
        around: &mut Around<'_>,
    ) {
        let rule = &mut self.stand_in[usize::from(issuer.0)];
        let approved = rule.assess(facts, around.instant()) == Verdict::Accept;
        let told = Message::StandIn {
            handle,
            issuer,
            approved,
        };
        self.tell(from, told, around);
    }

    pub(super) fn stand_in(
        &mut self,
        handle: Handle,
        issuer: IssuerId,
        approved: bool,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let facts = self.engine.facts(handle).copied();
        let waits = self.engine.frame(handle).is_some();
        let Some(facts) = facts.filter(|_| approved && waits) else {
            let selection = none_admits();
            return self.give(Input::Selected { handle, selection }, around);
        };
        let Ok(leg) = self.leg_of_advice(handle, Some(issuer), around) else {
            let selection = none_admits();
            return self.give(Input::Selected { handle, selection }, around);
        };
        let number = number_of(facts.key);
        let waiting = self.engine.frame(handle);
        let waiting = waiting.and_then(|frame| self.frames.get(&frame.0));
        let fields = match (&around.plan.lines, waiting) {
            (Some(lines), Some(waiting)) => content_of(lines.acquirer, &waiting.bytes),
            _ => fields_of(number),
        };
        let input = Input::StoodIn {
            handle,
            leg,
            authorisation: de38(&own_authorisation(number)),
            fields: &fields,
        };
        self.give(input, around)
    }
}

/// No rule lets the switch approve more than its floor.
pub(super) fn check_advised(advised: &Advised<'_>, plan: &Plan) -> Result<(), Broken> {
    let amount = advised.facts.amount.minor();
    if advised.origin == AdviceOrigin::StandIn && amount > plan.reports.floor {
        return Err((
            "floor",
            format!("{amount} approved, {} at most", plan.reports.floor),
        ));
    }
    Ok(())
}

fn advice_message(facts: &Facts, owed: &OwedAdvice<'_>) -> LegB {
    let leg = owed.leg;
    LegB {
        expected: Expected {
            kind: ResponseKind::of_advice(facts.class),
            stan: leg.stan,
        },
        echo: Echo {
            transmitted: Some(leg.transmitted),
            terminal: facts.trace.terminal,
            rrn: facts.trace.rrn,
            ..Echo::default()
        },
        purchase: number_of(facts.key),
        amount: facts.amount.minor(),
        reversal: None,
        report: Some(Reported {
            completes: owed.completed.map(|named| (named.stan, named.transmitted)),
            account: account_of(facts),
            content: Content::new(owed.fields.get(..64).unwrap_or(owed.fields)),
        }),
        local: None,
        asks: None,
        reckoned: None,
        is_inquiry: false,
    }
}

pub(super) const fn none_admits() -> Selection {
    Selection::None {
        code: domain::ResponseCode::ISSUER_INOPERATIVE,
        reason: domain::record::RefusalReason::NoneAdmits,
    }
}

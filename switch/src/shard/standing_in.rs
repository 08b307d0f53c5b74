//! Approvals in place of an issuer: asked for when no candidate admits, decided at the account's
//! home, which knows how much was approved so for the account.

use std::time::Duration;

use domain::ids::{AuthorisationId, RouteId};
use domain::message_reason::MessageReason;
use domain::request::{Answer, Facts, IssuerLeg};
use domain::time::{Instant, TransmissionTime};
use iso8583::translate::{self, Why};
use risk_inline::list::ListSpec;
use risk_inline::policy::{AmountLimit, Policy};
use risk_inline::{Past, PolicyError, RiskEngine, Verdict};
use router::selection::Skipped;
use transaction::{Handle, Input};

use super::asking::Question;
use super::routing::{account_home, none_admits};
use super::{Shard, build};
use crate::config::{Config, StandIn};

/// The number of a rule in the configuration.
pub(crate) type RuleId = RouteId;

/// What was approved in place of issuers, for the accounts at home here: one table per rule.
#[derive(Debug)]
pub(crate) struct StandInState {
    rules: Vec<RiskEngine>,
}

impl StandInState {
    /// # Errors
    /// A rule's limits contradict each other.
    pub(crate) fn new(config: &Config, seed: u64) -> Result<Self, Vec<PolicyError>> {
        let rules = config.stand_in.rules.iter();
        let engines = rules.map(|rule| RiskEngine::new(policy(rule), rule.accounts_max, seed));
        Ok(Self {
            rules: engines.collect::<Result<_, _>>()?,
        })
    }

    /// Whether one more may be approved. What is, is counted.
    pub(super) fn approves(&mut self, rule: RuleId, facts: &Facts, now: Instant) -> bool {
        let engine = self.rules.get_mut(usize::from(rule.0));
        engine.is_some_and(|engine| engine.assess(facts, now) == Verdict::Accept)
    }

    /// What is to be counted of an approval that a start finds in a journal, `age` before `now`. By
    /// which rule it was approved is not known any more, so that it counts for all rules of its
    /// issuer.
    pub(super) fn past(
        &self,
        config: &Config,
        (facts, leg): (&Facts, &IssuerLeg),
        age: Duration,
        now: Instant,
    ) -> impl Iterator<Item = (RuleId, Past)> {
        let rules = config.stand_in.rules.iter().zip(&self.rules);
        let rules = (0..).map(RouteId).zip(rules);
        let of_issuer = rules.filter(|(_, (rule, _))| rule.issuer == leg.issuer);
        of_issuer.filter_map(move |(id, (_, engine))| Some((id, engine.past(facts, age, now)?)))
    }

    /// Counts it, at the account's home.
    pub(super) fn observe(&mut self, rule: RuleId, past: &Past) {
        if let Some(engine) = self.rules.get_mut(usize::from(rule.0)) {
            engine.observe_all(std::slice::from_ref(past));
        }
    }
}

impl Shard {
    /// The rule by which the switch may approve in place of one of those that were passed over. Of
    /// DE3 only debits of goods and cash (0x): nobody keeps a ledger for the rest.
    pub(super) fn stand_in_rule(&self, handle: Handle, skipped: Skipped) -> Option<RuleId> {
        let frame = self.engine.frame(handle)?;
        let pan = self.account_in(frame)?;
        let query = self.query(handle, &pan)?;
        let found = self.config.stand_in.table.find(query)?.id();
        let rule = self.config.stand_in.rule(found)?;
        let facts = self.engine.facts(handle)?;
        let currency = facts.amount.currency();
        let has_floor = rule
            .floor_limits
            .iter()
            .any(|floor| floor.currency() == currency);
        let waiting = self.work.waiting.get(frame.0 as usize)?;
        let has_pin = waiting.frame.message().present().contains(PIN);
        let is_purchase = facts.processing_code.as_bytes().first() == Some(&b'0');
        let passed_over = skipped.iter().any(|(issuer, _)| issuer == rule.issuer);
        let is_covered = has_floor && passed_over && is_purchase;
        (is_covered && (rule.pin_unchecked || !has_pin)).then_some(found)
    }

    /// Asks the shard that knows the account.
    pub(super) fn ask_stand_in(&mut self, handle: Handle, rule: RuleId, now: Instant) {
        if let Some(facts) = self.engine.facts(handle).copied() {
            let home = account_home(&facts, self.shards);
            self.ask(home, handle, Question::StandIn(rule, facts), now);
        }
    }

    /// Tells the engine what was decided.
    pub(super) fn stand_in(&mut self, handle: Handle, rule: RuleId, approved: bool, now: Instant) {
        let leg = approved.then(|| self.leg_of_stand_in(handle, rule, now));
        let leg = leg.flatten();
        let frame = self.engine.frame(handle);
        let waiting = frame.and_then(|frame| self.work.waiting.get(frame.0 as usize));
        let (Some(leg), Some(waiting)) = (leg, waiting) else {
            let selection = none_admits();
            let input = Input::Selected { handle, selection };
            return self.engine.handle_input(input, now);
        };
        let mut scratch = [0_u8; Answer::FIELDS_LEN_MAX];
        let of_session = self.reason_field(&waiting.frame);
        let stands_in = self.config.stand_in.rule(rule);
        let why = stands_in.map_or(MessageReason::ISSUER_UNAVAILABLE, |rule| rule.reason);
        let why = Why::Instead(of_session, why);
        let fields = translate::advice_content(waiting.frame.message(), why, &mut scratch);
        let authorisation = authorisation(&leg);
        let input = Input::StoodIn {
            handle,
            leg,
            authorisation,
            fields,
        };
        self.engine.handle_input(input, now);
    }

    fn leg_of_stand_in(&mut self, handle: Handle, rule: RuleId, now: Instant) -> Option<IssuerLeg> {
        let issuer = self.config.stand_in.rule(rule)?.issuer;
        let pan = self.account_in(self.engine.frame(handle)?)?;
        let (route, _) = self.router.home(self.query(handle, &pan)?)?;
        let (link, stan) = self.reserve_stan(issuer, now)?;
        Some(IssuerLeg {
            route,
            candidate: 0,
            issuer,
            link,
            stan,
            transmitted: TransmissionTime::at(self.work.wall),
        })
    }
}

/// DE38 of the switch's own: `S` and the last five digits of the advice's STAN.
fn authorisation(leg: &IssuerLeg) -> AuthorisationId {
    let mut text = leg.stan.digits();
    if let Some(first) = text.first_mut() {
        *first = b'S';
    }
    AuthorisationId::new("DE38", &text).unwrap_or(AuthorisationId::EMPTY)
}

fn policy(rule: &StandIn) -> Policy {
    Policy {
        amounts: rule
            .floor_limits
            .iter()
            .map(|floor| AmountLimit {
                currency: floor.currency(),
                minor_min: 0,
                minor_max: floor.minor(),
            })
            .collect(),
        windows: rule.windows.iter().map(build::window).collect(),
        block: nobody(),
        allow: nobody(),
    }
}

const fn nobody() -> ListSpec {
    ListSpec {
        tokens: Vec::new(),
        bins: Vec::new(),
    }
}

/// DE52.
const PIN: u8 = 52;

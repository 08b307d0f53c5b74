//! Timers that must stand in an order: an acquirer waits for longer than the switch does for an
//! issuer, and what both have waited for is remembered for longer still. In the other order the
//! acquirer has declined by itself, and sends a reversal, when the answer comes.

use std::time::Duration;

use super::postgres::Postgres;
use super::section::Section;
use super::{Durability, Issuer, Limits, Listener, Node, Route, Saf};

/// What an answer takes beside the issuer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// A request for its shard.
    request: Duration,
    /// An answer for PostgreSQL; zero where it does not.
    postgres: Duration,
}

impl Waits {
    pub(super) fn of(node: &Node, limits: &Limits, postgres: Option<&Postgres>) -> Self {
        let postgres = match node.durability {
            Durability::Journal => None,
            Durability::Postgres => postgres,
        };
        Self {
            request: limits.request_wait_max,
            postgres: postgres.map_or(Duration::ZERO, |postgres| postgres.answer_wait_max),
        }
    }

    fn said(&self) -> String {
        let request = self.request.as_millis();
        let mut said = format!("`limits.request_wait_max_ms`, {request},");
        if !self.postgres.is_zero() {
            let postgres = self.postgres.as_millis();
            said.push_str(&format!(" `postgres.answer_wait_max_ms`, {postgres},"));
        }
        format!("{said} and {} for the journal", MARGIN.as_millis())
    }
}

/// Two records made durable, and the way between two shards. What only a shard that stands still
/// takes is not in it: [`DECISION_TIMEOUT`](crate::limits::DECISION_TIMEOUT) for risk and route,
/// and [`QUESTION_TIMEOUT`](crate::limits::QUESTION_TIMEOUT) where all shards are asked.
const MARGIN: Duration = Duration::from_millis(100);

//= docs/rules.md#T-14
/// Refuses a route whose deadline is not below what those wait for who can take it.
pub(super) fn check(
    sections: &[Section<'_>],
    routes: &[Route],
    listeners: &[Listener],
    waits: Waits,
) {
    for (section, route) in sections.iter().zip(routes) {
        let named = &route.conditions.acquirers;
        let takes = |listener: &&Listener| named.is_empty() || named.contains(&listener.acquirer);
        for listener in listeners.iter().filter(takes) {
            check_one(section, route, listener, waits);
        }
    }
}

fn check_one(section: &Section<'_>, route: &Route, listener: &Listener, waits: Waits) {
    let (deadline, name) = (route.deadline.as_millis(), &listener.name);
    let needed = route.deadline + waits.request + waits.postgres + MARGIN;
    if let Some(within) = listener.answer_within
        && within <= needed
    {
        let text = format!(
            "`deadline_ms`, {deadline}, with {} is not below `answer_within_ms` of listener \
             `{name}`, {}: its acquirer would give up first",
            waits.said(),
            within.as_millis()
        );
        section.fault_at("deadline_ms", text);
    }
    let window = listener.windows.requests;
    if window <= route.deadline {
        let text = format!(
            "`deadline_ms`, {deadline}, is not below `duplicate_window_s` of listener `{name}`, \
             {} s: a repeat would come too late for its answer",
            window.as_secs()
        );
        section.fault_at("deadline_ms", text);
    }
}

//= docs/rules.md#T-14
/// Refuses an acquirer that waits for longer than its answers are kept.
pub(super) fn check_listener(section: &Section<'_>, listener: &Listener) {
    let window = listener.windows.requests;
    if let Some(within) = listener.answer_within
        && window <= within
    {
        let text = format!(
            "`answer_within_ms`, {}, is not below `duplicate_window_s`, {} s: a repeat would come \
             too late for its answer",
            within.as_millis(),
            window.as_secs()
        );
        section.fault_at("answer_within_ms", text);
    }
}

//= docs/rules.md#T-14
/// Refuses what is owed an end that comes before its last attempt could have been answered.
pub(super) fn check_owed(section: &Section<'_>, saf: &Saf, issuers: &[Issuer]) {
    let longest = issuers.iter().max_by_key(|issuer| issuer.reversal_timeout);
    let Some(issuer) = longest else { return };
    // A pause is up to a fifth longer than it is said to be.
    if saf.expiry <= saf.backoff_max * 6 / 5 + issuer.reversal_timeout {
        let text = format!(
            "`expiry_s`, {}, is not above `backoff_max_s`, {}, and a fifth of it, with \
             `reversal_timeout_ms` of issuer `{}`, {}: the last attempt would outlast what waits",
            saf.expiry.as_secs(),
            saf.backoff_max.as_secs(),
            issuer.name,
            issuer.reversal_timeout.as_millis()
        );
        section.fault_at("expiry_s", text);
    }
}

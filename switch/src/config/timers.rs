//! Timers that must stand in an order: an acquirer waits for longer than the switch does for an
//! issuer, and what both have waited for is remembered for longer still. In the other order the
//! acquirer has declined by itself, and sends a reversal, when the answer comes.

use std::time::Duration;

use super::section::Section;
use super::{Limits, Listener, Route};

/// What an answer takes beside the issuer and the time for which its request waits for its shard:
/// two records made durable, and the way between two shards.
const MARGIN: Duration = Duration::from_millis(100);

//= docs/rules.md#T-14
/// Refuses a route whose deadline is not below what those wait for who can take it.
pub(super) fn check(
    sections: &[Section<'_>],
    routes: &[Route],
    listeners: &[Listener],
    limits: &Limits,
) {
    for (section, route) in sections.iter().zip(routes) {
        let named = &route.conditions.acquirers;
        let takes = |listener: &&Listener| named.is_empty() || named.contains(&listener.acquirer);
        for listener in listeners.iter().filter(takes) {
            check_one(section, route, listener, limits);
        }
    }
}

fn check_one(section: &Section<'_>, route: &Route, listener: &Listener, limits: &Limits) {
    let (deadline, name) = (route.deadline.as_millis(), &listener.name);
    let waits = limits.request_wait_max.as_millis();
    let needed = route.deadline + limits.request_wait_max + MARGIN;
    if let Some(within) = listener.answer_within
        && within <= needed
    {
        let text = format!(
            "`deadline_ms`, {deadline}, with `limits.request_wait_max_ms`, {waits}, and {} for the \
             journal is not below `answer_within_ms` of listener `{name}`, {}: its acquirer would \
             give up first",
            MARGIN.as_millis(),
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

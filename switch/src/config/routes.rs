//! Routes: which requests they take, and whom they ask.

use domain::Amount;
use domain::ids::{AcquirerId, IssuerId, RouteId};
use router::conditions::{AmountRange, ConditionError, RouteClass};
use router::error::{TableError, remedy};
use router::{Candidate, Conditions, PrefixRange, RouteSpec, RouteTable};

use super::document::{Node, Value};
use super::endpoints::{currency, name, position, unique_names};
use super::section::Section;
use super::timers::{self, Waits};
use super::{Acquirer, Issuer, Listener, Route, Routing};

/// Who can be named by a route.
struct Names<'a> {
    acquirers: Vec<&'a str>,
    issuers: Vec<&'a str>,
}

/// What concerns all routes.
pub(super) fn routing(section: Section<'_>) -> Routing {
    let offset = section.parsed("utc_offset", |text| {
        text.parse()
            .map_err(|error| format!("holds \"{text}\": {error}"))
    });
    let routing = Routing {
        utc_offset: offset.unwrap_or_default(),
    };
    section.finish();
    routing
}

/// The routes, and the table of them unless they contradict each other.
pub(super) fn routes(
    root: &Section<'_>,
    acquirers: &[Acquirer],
    issuers: &[Issuer],
    (listeners, waits): (&[Listener], Waits),
) -> (Vec<Route>, Option<RouteTable>) {
    let sections = root.tables("route");
    unique_names(root, "route", &sections);
    let names = Names {
        acquirers: acquirers.iter().map(|known| known.name.as_str()).collect(),
        issuers: issuers.iter().map(|known| known.name.as_str()).collect(),
    };
    let read = |(section, id): (&Section<'_>, u16)| route(section, RouteId(id), &names);
    let routes: Vec<Route> = sections.iter().zip(0..).map(read).collect();
    if routes.is_empty() {
        root.fault("there is no [[route]]: every request would be refused with 92");
    }
    let table = table(&sections, &routes);
    timers::check(&sections, &routes, listeners, waits);
    sections.into_iter().for_each(Section::finish);
    (routes, table)
}

/// Lays the routes out for look-up, which finds out whether they contradict each other.
fn table(sections: &[Section<'_>], routes: &[Route]) -> Option<RouteTable> {
    let errors = match RouteTable::build(routes.iter().map(spec).collect()) {
        Ok(table) => return Some(table),
        Err(errors) => errors,
    };
    for error in errors {
        // What is not told here has been told where it was read.
        if let Some((at, text)) = contradiction(routes, &error)
            && let Some(section) = sections.get(usize::from(at.0))
        {
            section.fault_at("prefixes", text);
        }
    }
    None
}

/// What a table is built from.
pub(super) fn spec(route: &Route) -> RouteSpec {
    RouteSpec {
        prefixes: route.prefixes.clone(),
        conditions: route.conditions.clone(),
        order: route.order,
        candidates: route.candidates.clone(),
        deadline: route.deadline,
    }
}

fn contradiction(routes: &[Route], error: &TableError) -> Option<(RouteId, String)> {
    match error {
        TableError::Ambiguous {
            route,
            prefix,
            other,
            other_prefix,
        } => {
            let name = &routes.get(usize::from(other.0))?.name;
            let remedy = remedy(prefix, other_prefix);
            let text = format!(
                "prefix {prefix} and prefix {other_prefix} of route `{name}` claim the same \
                 accounts; {remedy}"
            );
            Some((*route, text))
        }
        TableError::Alike { route, other } => {
            let name = &routes.get(usize::from(other.0))?.name;
            let text = format!(
                "it takes the same messages without an account as route `{name}`; give one of them \
                 more conditions, or a lower order"
            );
            Some((*route, text))
        }
        TableError::Overlaps { route, prefix } => {
            let text = format!("too many prefixes claim the accounts of {prefix}; remove some");
            Some((*route, text))
        }
        TableError::NoPrefix { .. }
        | TableError::NoCandidate { .. }
        | TableError::Candidates { .. }
        | TableError::CandidateTwice { .. }
        | TableError::Weight { .. }
        | TableError::Condition { .. }
        | TableError::NoDeadline { .. }
        | TableError::Routes { .. }
        | TableError::Prefixes { .. } => None,
    }
}

fn route(section: &Section<'_>, id: RouteId, names: &Names<'_>) -> Route {
    let candidates = candidates(section, &names.issuers);
    let conditions = checked_conditions(section, &names.acquirers);
    // Administrative messages may name no account: they take a route that claims none.
    let prefixes = match conditions.class {
        Some(RouteClass::Administrative) => section.list("prefixes", prefix),
        Some(RouteClass::Authorisation | RouteClass::Financial) | None => {
            section.required_list("prefixes", prefix)
        }
    };
    let order = section.optional_number("order", 1..=u64::from(u16::MAX));
    Route {
        id,
        name: name(section),
        prefixes,
        candidates,
        deadline: section.millis("deadline_ms", 50..=600_000, 1_000),
        conditions,
        order: order.and_then(|order| u16::try_from(order).ok()),
    }
}

/// What a request must be besides of its accounts.
pub(super) fn checked_conditions(section: &Section<'_>, acquirers: &[&str]) -> Conditions {
    let conditions = conditions(section, acquirers);
    if let Some(fault) = conditions.fault() {
        let key = match fault {
            ConditionError::AmountWithoutCurrency | ConditionError::AmountOrder => "amount_min",
            ConditionError::List | ConditionError::Category | ConditionError::CategoryOrder => {
                "categories"
            }
        };
        section.fault_at(key, fault.to_string());
    }
    conditions
}

fn conditions(section: &Section<'_>, acquirers: &[&str]) -> Conditions {
    let class = section.parsed("class", |text| match text {
        "any" => Ok(None),
        "authorisation" => Ok(Some(RouteClass::Authorisation)),
        "financial" => Ok(Some(RouteClass::Financial)),
        "administrative" => Ok(Some(RouteClass::Administrative)),
        _ => {
            Err("takes \"any\", \"authorisation\", \"financial\" or \"administrative\"".to_owned())
        }
    });
    let currency = section.parsed("currency", |text| match text {
        "any" => Ok(None),
        code => currency(code).map(Some),
    });
    let most = Amount::MINOR_MAX;
    let (min, max) = (
        section.number("amount_min", 0..=most, 0),
        section.number("amount_max", 0..=most, most),
    );
    let acquirers = section.list("acquirers", |text| position(text, acquirers));
    Conditions {
        class: class.flatten(),
        currency: currency.flatten(),
        amount: (min > 0 || max < most).then_some(AmountRange { min, max }),
        categories: section.list("categories", |text| {
            text.parse()
                .map_err(|error| format!("holds \"{text}\": {error}"))
        }),
        acquirers: acquirers.into_iter().map(AcquirerId).collect(),
        times: section.list("times", |text| {
            text.parse()
                .map_err(|error| format!("holds \"{text}\": {error}"))
        }),
    }
}

/// A name is a group by itself, tables beside each other are one, and so is a list within the list.
fn candidates(section: &Section<'_>, issuers: &[&str]) -> Vec<Vec<Candidate>> {
    let groups = match section.value(CANDIDATES).map(|node| &node.value) {
        Some(Value::List(items)) if !items.is_empty() => groups(section, items, issuers),
        _ => {
            let names = section.required_list(CANDIDATES, |text| position(text, issuers));
            let issuers: Vec<IssuerId> = names.into_iter().map(IssuerId).collect();
            Candidate::in_order(&issuers)
        }
    };
    let all = || groups.iter().flatten().map(|candidate| candidate.issuer);
    let mut distinct: Vec<IssuerId> = all().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < all().count() {
        section.fault_at(CANDIDATES, "`candidates` names an issuer twice");
    }
    let most = RouteTable::CANDIDATES_MAX;
    if all().count() > most {
        let text = format!("`candidates` takes at most {most} issuers");
        section.fault_at(CANDIDATES, text);
    }
    groups
}

fn groups(section: &Section<'_>, items: &[Node], issuers: &[&str]) -> Vec<Vec<Candidate>> {
    let mut groups: Vec<Vec<Candidate>> = Vec::with_capacity(items.len());
    let mut is_open = false;
    for item in items {
        let is_table = matches!(item.value, Value::Table(_));
        if let Value::List(members) = &item.value {
            let group = members
                .iter()
                .filter_map(|one| candidate(section, one, issuers));
            groups.push(group.collect());
            if members.is_empty() {
                section.fault_at(CANDIDATES, "a group of `candidates` may not be empty");
            }
        } else if let Some(found) = candidate(section, item, issuers) {
            match groups.last_mut() {
                Some(group) if is_open && is_table => group.push(found),
                Some(_) | None => groups.push(vec![found]),
            }
        }
        is_open = is_table;
    }
    groups
}

/// A name, or a table of a name and a weight.
fn candidate(section: &Section<'_>, node: &Node, issuers: &[&str]) -> Option<Candidate> {
    if !matches!(node.value, Value::Table(_)) {
        let issuer = section.text_in(node, CANDIDATES, |text| position(text, issuers))?;
        return Some(Candidate::of(IssuerId(issuer)));
    }
    let table = section.table_in(node, CANDIDATES)?;
    let issuer = table.required("issuer", |text| position(text, issuers));
    let weight = table.number("weight", 1..=Candidate::WEIGHT_MAX, 1);
    table.finish();
    Some(Candidate {
        issuer: IssuerId(issuer?),
        weight,
    })
}

pub(super) fn prefix(text: &str) -> Result<PrefixRange, String> {
    text.parse()
        .map_err(|error| format!("holds \"{text}\": {error}"))
}

const CANDIDATES: &str = "candidates";

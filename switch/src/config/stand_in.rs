//! Rules by which the switch approves in place of an issuer that cannot be asked.

use domain::ids::{AcquirerId, IssuerId, RouteId};
use domain::message_reason::MessageReason;
use router::conditions::RouteClass;
use router::error::TableError;
use router::{Candidate, RouteSpec, RouteTable};

use super::endpoints::{name, position, unique_names};
use super::section::Section;
use super::{Acquirer, Issuer, StandIn, StandInRules};
use super::{risk, routes};

/// The rules, and the table that finds them; `None` where they contradict each other.
pub(super) fn stand_in(
    root: &Section<'_>,
    acquirers: &[Acquirer],
    issuers: &[Issuer],
) -> Option<StandInRules> {
    let sections = root.tables("stand_in");
    unique_names(root, "stand_in", &sections);
    let acquirers: Vec<&str> = acquirers.iter().map(|known| known.name.as_str()).collect();
    let issuers: Vec<&str> = issuers.iter().map(|known| known.name.as_str()).collect();
    let rules: Vec<StandIn> = sections
        .iter()
        .map(|section| rule(section, &acquirers, &issuers))
        .collect();
    let table = RouteTable::build(rules.iter().map(spec).collect());
    let told = |errors: &Vec<_>| {
        for error in errors {
            root.fault(format!("[[stand_in]]: {error}"));
        }
    };
    let table = table.inspect_err(told).ok();
    sections.into_iter().for_each(Section::finish);
    Some(StandInRules {
        rules,
        table: table?,
    })
}

fn rule(section: &Section<'_>, acquirers: &[&str], issuers: &[&str]) -> StandIn {
    let issuer = section.required("issuer", |text| position(text, issuers));
    let reason = section.parsed("reason", |text| match text {
        "1003" => Ok(MessageReason::ISSUER_UNAVAILABLE),
        "1006" => Ok(MessageReason::UNDER_FLOOR_LIMIT),
        _ => Err("takes \"1003\" or \"1006\"".to_owned()),
    });
    let rule = StandIn {
        name: name(section),
        issuer: IssuerId(issuer.unwrap_or_default()),
        prefixes: section.required_list("prefixes", routes::prefix),
        conditions: routes::checked_conditions(section, acquirers),
        floor_limits: risk::amounts(section.section("floor_limits")),
        windows: section
            .tables("window")
            .into_iter()
            .map(risk::window)
            .collect(),
        accounts_max: section.number("accounts_max", 1_000..=100_000_000, 50_000),
        pin_unchecked: section.flag("pin_unchecked", false),
        reason: reason.unwrap_or(MessageReason::ISSUER_UNAVAILABLE),
    };
    if rule.conditions.class == Some(RouteClass::Administrative) {
        section.fault_at(
            "class",
            "nothing administrative is approved; take another `class`",
        );
    }
    if rule.floor_limits.is_empty() {
        section.fault("[[stand_in]] without `floor_limits` approves nothing");
    }
    rule
}

/// A rule is found as a route is; its one candidate is the issuer that it stands in for.
fn spec(rule: &StandIn) -> RouteSpec {
    RouteSpec {
        prefixes: rule.prefixes.clone(),
        conditions: rule.conditions.clone(),
        order: None,
        candidates: Candidate::in_order(&[rule.issuer]),
        deadline: UNUSED,
    }
}

/// A table wants a deadline; nobody is asked by this one.
const UNUSED: std::time::Duration = std::time::Duration::from_secs(1);

impl StandInRules {
    /// The same rules, for the same names, after acquirers and issuers got other ids.
    ///
    /// # Errors
    /// They do not make a table with other ids, which they do with any.
    pub(super) fn numbered(
        mut self,
        acquirer: impl Fn(AcquirerId) -> AcquirerId,
        issuer: impl Fn(IssuerId) -> IssuerId,
    ) -> Result<Self, Vec<TableError>> {
        for rule in &mut self.rules {
            rule.issuer = issuer(rule.issuer);
            for named in &mut rule.conditions.acquirers {
                *named = acquirer(*named);
            }
        }
        self.table = RouteTable::build(self.rules.iter().map(spec).collect())?;
        Ok(self)
    }

    /// The rule of that number in the table.
    #[must_use]
    pub fn rule(&self, id: RouteId) -> Option<&StandIn> {
        self.rules.get(usize::from(id.0))
    }
}

//! `[[dialects.NAME.messages]]`: what messages of a type must have.

use iso8583::bitmap::Bitmap;
use iso8583::requirement::{Condition, MtiPattern};

use super::spec::{MessageRule, Spec};
use super::words;
use crate::config::section::Section;

/// Reads the rules after the rows; each takes the place of the base's rule for the same pattern.
pub(super) fn read(section: &Section<'_>, spec: &mut Spec) {
    let mut own: Vec<(MtiPattern, String)> = Vec::new();
    for message in section.tables("messages") {
        let rule = rule(&message, spec);
        let place = message.place();
        if let Some(rule) = rule {
            match own.iter().find(|(mti, _)| *mti == rule.mti) {
                Some((mti, place)) => message.fault_at(
                    "mti",
                    format!("`mti` is {mti} a second time, after {place}"),
                ),
                None => own.push((rule.mti, place)),
            }
            spec.rules.retain(|known| known.mti != rule.mti);
            spec.rules.push(rule);
        }
        message.finish();
    }
    let fields = section.optional_section("fields");
    for rule in &spec.rules {
        let Some(number) = unanswerable(rule, spec) else {
            continue;
        };
        let mti = rule.mti;
        let fault = format!(
            "messages {mti} must have field {number}, which is not in the dialect; give {mti} \
             another rule in [[messages]]"
        );
        match &fields {
            Some(fields) => fields.fault_at(&number.to_string(), fault),
            None => section.fault(fault),
        }
    }
}

fn rule(section: &Section<'_>, spec: &Spec) -> Option<MessageRule> {
    let field = |text: &str| defined(text, spec);
    let mti = section.required("mti", words::pattern);
    let mandatory = section.list("mandatory", field);
    let one_of = section.lists("one_of", field);
    if one_of.iter().any(Vec::is_empty) && mti.is_some() {
        section.fault_at("one_of", "`one_of` takes sets of fields that are not empty");
    }
    let condition = |below: Section<'_>| {
        let when = below.scalar("when");
        if when.is_none() && !below.has("when") {
            below.fault("a condition needs `when` and `then`");
        }
        let when = when.and_then(|text| {
            let told = |fault| below.fault_at("when", format!("`when` {fault}"));
            field(&text).map_err(told).ok()
        });
        let then: Bitmap = below.required_list("then", field).into_iter().collect();
        below.finish();
        when.map(|when| Condition { when, then })
    };
    let conditions = section.tables("conditions").into_iter();
    let conditions = conditions.filter_map(condition).collect();
    Some(MessageRule {
        mti: mti?,
        mandatory: mandatory.into_iter().collect(),
        one_of: one_of
            .into_iter()
            .map(|set| set.into_iter().collect())
            .collect(),
        conditions,
    })
}

/// A field that the dialect has.
fn defined(text: &str, spec: &Spec) -> Result<u8, String> {
    let number = text.parse().ok();
    number
        .filter(|number| spec.rows.contains_key(number))
        .ok_or_else(|| format!("names field {text}, which is not in the dialect"))
}

/// A field that no message of the dialect can have although its type must.
fn unanswerable(rule: &MessageRule, spec: &Spec) -> Option<u8> {
    let rows: Bitmap = spec.rows.keys().copied().collect();
    let first = |set: Bitmap| set.iter().next();
    let met = |condition: &&Condition| rows.contains(condition.when);
    let conditional = rule.conditions.iter().filter(met);
    let needed = conditional.fold(rule.mandatory, |all, condition| all.union(condition.then));
    let lacking = |set: &&Bitmap| set.intersection(rows).is_empty();
    let one_of = rule.one_of.iter().filter(lacking);
    first(needed.minus(rows)).or_else(|| one_of.filter_map(|set| first(*set)).next())
}

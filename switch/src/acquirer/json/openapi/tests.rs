//! The document against what reads and what writes.

use domain::time::WallTime;
use serde_json::Value;

use super::super::{PartyKey, Rules, create, reverse};
use super::*;

fn read() -> Value {
    serde_json::from_slice(&document(AccountNumbers::Refused)).unwrap()
}

/// What of JSON Schema the document makes use of, but for patterns.
fn check(schema: &Value, value: &Value, all: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let found = all.pointer(name.trim_start_matches('#'));
        return check(found.ok_or_else(|| format!("no {name}"))?, value, all);
    }
    if let Some(known) = schema["enum"].as_array()
        && !known.contains(value)
    {
        return Err(format!("{value} is none of {known:?}"));
    }
    let is_kind = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some(other) => return Err(format!("{other} is not known here")),
        None => true,
    };
    if !is_kind {
        return Err(format!("{value} is no {}", schema["type"]));
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        let name = required.as_str().unwrap_or_default();
        if value.get(name).is_none() {
            return Err(format!("no {name}"));
        }
    }
    for (name, part) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(known) => check(known, part, all)?,
            None if schema["additionalProperties"].is_object() => {
                check(&schema["additionalProperties"], part, all)?;
            }
            None => return Err(name.clone()),
        }
    }
    for item in value.as_array().into_iter().flatten() {
        check(&schema["items"], item, all)?;
    }
    Ok(())
}

fn schema(all: &Value, name: &str) -> Value {
    all["components"]["schemas"][name].clone()
}

/// The body of the first example of docs/http-api.md.
fn example() -> Value {
    let docs = include_str!("../../../../../docs/http-api.md");
    let body = docs.split("-d '").nth(1).unwrap();
    serde_json::from_str(body.split("'\n").next().unwrap()).unwrap()
}

fn rules() -> Rules {
    Rules {
        now: WallTime::from_unix_millis(1_795_297_141_000),
        account_numbers: AccountNumbers::Refused,
    }
}

#[test]
fn the_example_of_the_docs_is_what_the_document_says() {
    let all = read();
    assert_eq!(all["openapi"], "3.1.0");
    let (asked, body) = (schema(&all, "Create"), example());
    check(&asked, &body, &all).unwrap();
    for (name, value) in [("pin", "1"), ("type", "reversal"), ("amount", "1")] {
        let mut wrong = body.clone();
        wrong[name] = value.into();
        assert!(check(&asked, &wrong, &all).is_err(), "{name}");
    }
    assert_eq!(asked["additionalProperties"], false);
}

#[track_caller]
fn same_fields(name: &str, full: &Value, is_taken: impl Fn(&Value) -> bool) {
    let all = read();
    let asked = schema(&all, name);
    check(&asked, full, &all).unwrap();
    assert!(is_taken(full));
    let known = asked["properties"].as_object().unwrap();
    let mut given: Vec<&String> = full.as_object().unwrap().keys().collect();
    let mut said: Vec<&String> = known.keys().collect();
    given.sort();
    said.sort();
    assert_eq!(said, given);
    let none = Vec::new();
    let required = asked["required"].as_array().unwrap_or(&none);
    for name in known.keys() {
        let mut less = full.clone();
        less.as_object_mut().unwrap().remove(name);
        let is_required = required.contains(&name.as_str().into());
        assert_eq!(!is_taken(&less), is_required, "{name}");
    }
    let mut more = full.clone();
    more["pin"] = "1".into();
    assert!(!is_taken(&more));
}

#[test]
fn the_document_and_the_readers_know_the_same_fields() {
    let mut full = example();
    full["description"] = "d".into();
    full["channel"] = "ussd".into();
    full["requestedAt"] = "2026-11-20T21:38:34.120Z".into();
    full["metadata"] = serde_json::json!({ "store": "1" });
    let is_taken = |body: &Value| create(body.to_string().as_bytes(), rules()).is_ok();
    same_fields("Create", &full, is_taken);
    let full = serde_json::json!({
        "amount": { "minor": 1, "currency": "KES" },
        "reference": "r",
        "reason": "timeout",
        "originalRequestedAt": "2026-11-20T21:38:34.120Z",
    });
    let is_taken = |body: &Value| reverse(body.to_string().as_bytes()).is_ok();
    same_fields("Reverse", &full, is_taken);
}

#[test]
fn what_is_written_is_what_the_document_says() {
    let all = read();
    let now = WallTime::from_unix_millis(1_795_297_141_000);
    let operations = || {
        let paths = all["paths"].as_object().unwrap().values();
        paths.flat_map(|path| path.as_object().unwrap().values())
    };
    for slug in Slug::ALL {
        let problem: Value = serde_json::from_slice(&Problem::of(slug).to_json(now)).unwrap();
        check(&schema(&all, "Problem"), &problem, &all).unwrap();
        let status = slug.status().to_string();
        let is_named = operations().any(|one| {
            let content = &one["responses"][&status]["content"]["application/problem+json"];
            content["examples"].get(slug.name()).is_some()
        });
        assert!(is_named, "{}", slug.name());
    }
    for operation in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (kind, content) in response["content"].as_object().unwrap() {
                let mut examples: Vec<&Value> = content.get("example").into_iter().collect();
                let several = content["examples"].as_object().into_iter().flatten();
                examples.extend(several.map(|(_, example)| &example["value"]));
                let has_schema = content["schema"].get("$ref").is_some();
                assert_eq!(has_schema, !examples.is_empty(), "{status} {kind}");
                for example in examples {
                    check(&content["schema"], example, &all).unwrap();
                }
            }
        }
    }
}

#[test]
fn every_name_leads_somewhere_and_no_null_is_told() {
    let text = String::from_utf8(document(AccountNumbers::Refused)).unwrap();
    let all = read();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(all.pointer(pointer).is_some(), "{pointer}");
    }
    assert!(!text.contains("\"null\""));
}

#[test]
fn a_pan_is_named_where_it_is_taken() {
    let keys = |account_numbers| {
        let all: Value = serde_json::from_slice(&document(account_numbers)).unwrap();
        let party = schema(&all, "Party");
        let named = party["oneOf"].as_array().unwrap().iter();
        let named = named.flat_map(|form| form["properties"]["key"]["enum"].as_array().unwrap());
        let mut named: Vec<String> = named.map(ToString::to_string).collect();
        let told = party["properties"]["key"]["enum"].as_array().unwrap();
        let mut told: Vec<String> = told.iter().map(ToString::to_string).collect();
        named.sort();
        told.sort();
        assert_eq!(named, told, "each kind has one form");
        told
    };
    let allowed = keys(AccountNumbers::Allowed);
    assert_eq!(allowed.len(), PartyKey::ALL.len());
    let refused = keys(AccountNumbers::Refused);
    assert!(allowed.contains(&"\"pan\"".to_owned()) && !refused.contains(&"\"pan\"".to_owned()));
    assert_eq!(refused.len() + 1, allowed.len());
}

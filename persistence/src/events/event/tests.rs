//! Events of records of every type.

use std::collections::BTreeSet;

use domain::ids::{Lsn, ShardId};
use domain::record::Record;
use serde_json::Value;

use super::*;
use crate::identity::JournalUuid;
use crate::record::RecordType;
use crate::testing::{intent, sample};

const PAGE: &str = include_str!("../../../../docs/events.md");

fn names() -> Names {
    Names {
        acquirers: vec!["terminals".to_owned()],
        issuers: vec!["bank".to_owned(), "say \"momo\"".to_owned()],
        routes: Vec::new(),
    }
}

fn event_of(record: &Record<'_>) -> Option<Event> {
    let place = Place {
        journal: JournalUuid([0xAB; 16]),
        shard: ShardId(3),
        lsn: Lsn(4711),
    };
    Event::of(record, place, NodeId(9), &names()).unwrap()
}

fn value_of(record: &Record<'_>) -> Option<Value> {
    event_of(record).map(|event| serde_json::from_slice(&event.value).unwrap())
}

/// Records of every type, and more than enough of each.
fn samples() -> impl Iterator<Item = Record<'static>> {
    (0..3_000).map(sample)
}

#[test]
fn an_event_carries_the_place_of_its_record() {
    for record in samples() {
        let (Some(event), Some(value)) = (event_of(&record), value_of(&record)) else {
            continue;
        };
        let id = "abababab-abab-abab-abab-abababababab-3-4711";
        assert_eq!((event.id.as_str(), &value["id"]), (id, &Value::from(id)));
        assert_eq!(value["version"], 1);
        assert_eq!(value["type"], event.kind);
        assert_eq!((&value["shard"], &value["lsn"]), (&3.into(), &4711.into()));
        assert_eq!(value["node"], 9);
        assert_eq!(value["transaction"], record.transaction().to_string());
        assert_eq!(value["shard_key"], record.transaction().slot().0);
        assert_eq!(event.key, record.transaction().slot().to_string());
        assert_eq!(value["at"], event.at.to_string());
        assert!(value["data"].is_object());
    }
}

#[test]
fn the_same_record_is_the_same_event_to_the_byte() {
    for (one, other) in samples().zip(samples()) {
        let bytes = |record| event_of(record).map(|event| event.value);
        assert_eq!(bytes(&one), bytes(&other));
    }
}

#[test]
fn every_type_of_record_is_told_but_running_sums() {
    let mut silent = 0;
    let mut types = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for record in samples() {
        seen.insert(RecordType::of(&record) as u16);
        match event_type(&record) {
            Some(kind) => {
                types.insert(kind);
            }
            None => {
                assert!(matches!(&record, Record::Totals(totals) if !totals.is_closed));
                silent += 1;
            }
        }
    }
    assert!(silent > 0);
    assert_eq!(seen.len(), RecordType::all().count());
    assert_eq!(
        types.len(),
        RecordType::all().count(),
        "each has its own word"
    );
}

#[test]
fn the_page_has_every_type_and_every_field() {
    let mut words = BTreeSet::new();
    for value in samples().filter_map(|record| value_of(&record)) {
        words.insert(value["type"].as_str().unwrap().to_owned());
        let top = value.as_object().unwrap().keys();
        let data = value["data"].as_object().unwrap().keys();
        words.extend(top.chain(data).cloned());
        if let Some(totals) = value["data"]["totals"].as_object() {
            words.extend(totals.keys().cloned());
        }
    }
    assert!(words.len() > 50, "{words:?}");
    for word in words {
        let is_named = [format!("`{word}`"), format!("\"{word}\":")];
        let is_there = is_named.iter().any(|form| PAGE.contains(form));
        assert!(is_there, "docs/events.md lacks {word}");
    }
}

#[test]
fn neither_token_nor_sealed_number_stands_in_an_event() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let mut searched = 0;
    for record in samples() {
        let facts = match &record {
            Record::Intent(intent) => &intent.facts,
            Record::Refused(refused) => &refused.facts,
            Record::Advised(advised) => &advised.facts,
            _ => continue,
        };
        let account = &facts.account;
        let text = String::from_utf8(event_of(&record).unwrap().value).unwrap();
        let value = value_of(&record).unwrap();
        assert_eq!(value["data"]["account"], account.masked.to_string());
        for secret in [
            hex(&account.token.0),
            hex(&account.token.0[..4]),
            hex(&account.sealed.ciphertext),
            hex(&account.sealed.nonce),
        ] {
            assert!(!text.contains(&secret), "{text}");
        }
        searched += 1;
    }
    assert!(searched > 100);
}

#[test]
fn an_intent_reads_as_the_page_shows_it() {
    let value = value_of(&intent(7)).unwrap();
    assert_eq!(value["type"], "transaction.sent");
    let data = &value["data"];
    for field in [
        "acquirer", "issuer", "class", "account", "amount", "currency", "stan",
    ] {
        assert!(!data[field].is_null(), "{field}: {value}");
    }
    assert_eq!(data["outcome"], Value::Null, "what is absent is left out");
    assert!(!data.as_object().unwrap().contains_key("outcome"));
}

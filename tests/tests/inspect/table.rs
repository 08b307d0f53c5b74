//! `njia inspect dialect`.

use iso8583::Dialect;
use iso8583::field::{FieldSpec, Length};
use serde_json::{Value, json};

use super::{inspect, lines, object};

fn names() -> Vec<&'static str> {
    Dialect::ALL.iter().map(|dialect| dialect.name()).collect()
}

#[test]
fn without_a_name_the_built_in_dialects_are_listed() {
    let out = inspect(&["dialect"], b"").good();
    assert_eq!(out.lines().collect::<Vec<_>>(), names());
    let out = inspect(&["dialect", "--json"], b"").good();
    assert_eq!(object(&out), json!(names()));
}

#[track_caller]
fn check_row(row: &FieldSpec, told: &Value) {
    assert_eq!(told["number"], row.number);
    assert_eq!(told["name"], row.name);
    assert_eq!(told["class"], row.class.name());
    assert_eq!(told["sensitivity"], row.sensitivity.name());
    assert_eq!(told["relay"], row.relay.name());
    let (length, coding) = match row.length {
        Length::Fixed(len) => (json!({ "fixed": len }), Value::Null),
        Length::Var { digits, max } => (
            json!({ "digits": digits, "max": max }),
            json!(row.prefix.coding.name()),
        ),
    };
    assert_eq!(told["length"], length);
    assert_eq!(told["prefix"]["coding"], coding);
}

#[test]
fn every_built_in_dialect_is_one_json_object_with_all_its_rows() {
    for dialect in Dialect::ALL {
        let out = inspect(&["dialect", dialect.name(), "--json"], b"").good();
        let table = object(&out);
        assert_eq!(table["name"], dialect.name());
        let told = table["fields"].as_array().unwrap();
        assert_eq!(told.len(), dialect.rows().count(), "{}", dialect.name());
        for (row, told) in dialect.rows().zip(told) {
            check_row(row, told);
        }
        let account = told.iter().find(|row| row["number"] == 2).unwrap();
        assert_eq!(account["sensitivity"], "pan", "{}", dialect.name());
        let rules = table["requirements"].as_array().map_or(0, Vec::len);
        assert_eq!(rules, dialect.requirements().len(), "{}", dialect.name());
    }
}

#[test]
fn every_built_in_dialect_is_a_table_with_all_its_rows() {
    for dialect in Dialect::ALL {
        let out = inspect(&["dialect", dialect.name()], b"").good();
        let lines = lines(&out);
        assert_eq!(lines[0], format!("dialect {}", dialect.name()));
        let begins = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        for row in dialect.rows() {
            let start = format!("{} {} {} ", row.number, row.name, row.class.name());
            assert_eq!(begins(&start), 1, "{start} in {out}");
        }
        assert!(out.lines().all(|line| !line.ends_with(' ')), "{out}");
    }
}

#[test]
fn what_a_field_holds_is_told_row_by_row() {
    let out = inspect(&["dialect", "postilion-like"], b"").good();
    let lines = lines(&out);
    let at = |line: &str| lines.iter().position(|told| told == line);
    let holder =
        "127 Postilion private data b LLLLLLVAR 999999 ascii, units ascii nested sad never";
    let first = "127.2 switch key ans LLVAR 32 ascii, units ascii public never";
    assert_eq!(at(holder).map(|at| at + 1), at(first), "{out}");
    let out = inspect(&["dialect", "postilion-like", "--json"], b"").good();
    let table = object(&out);
    let fields = table["fields"].as_array().unwrap();
    let holder = fields.iter().find(|row| row["number"] == 127).unwrap();
    assert_eq!(holder["holds"], "nested");
    assert_eq!(holder["dialect"]["fields"][0]["name"], "switch key");
}

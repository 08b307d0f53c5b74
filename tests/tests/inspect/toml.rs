//! Dialects of a user's own, by the file alone.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{folder, inspect, message, object};

/// The STAN packed, and a field that only this dialect has.
const ACME: &str = r#"
[dialects.acme]
extends = "iso87-ascii"

[dialects.acme.fields.11]
encoding = "bcd"

[dialects.acme.fields.113]
name = "loyalty number"
length = "LLVAR"
max = 20
class = "an"
sensitivity = "pan"
"#;

const OTHER: &str = "
[dialects.other]
extends = \"acme\"
[dialects.other.fields.11]
encoding = \"ascii\"
";

/// 0800 with a packed STAN of 000123.
const ECHO: &str = "30383030 0020000000000000 000123";

/// A file of a folder, by its path.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[track_caller]
fn check(dialect: &str, hex: &str, stan: &str) {
    let out = message(&["--dialect", dialect, "--json", hex], b"").good();
    assert_eq!(
        object(&out),
        json!({ "mti": "0800", "fields": { "11": stan } })
    );
}

#[track_caller]
fn check_refused(dialect: &str, expected: &str) {
    let expected = format!("njia: {expected} (exit 2)\n");
    let told = message(&["--dialect", dialect, ECHO], b"");
    assert_eq!(
        (told.code, told.out.as_str(), told.err),
        (Some(2), "", expected.clone())
    );
    let told = inspect(&["dialect", dialect], b"");
    assert_eq!(
        (told.code, told.out.as_str(), told.err),
        (Some(2), "", expected)
    );
}

#[test]
fn a_dialect_is_named_by_its_file() {
    let folder = folder("toml");
    let acme = file(&folder, "acme.toml", ACME);
    check(&acme, ECHO, "000123");
    check(&format!("{acme}:acme"), ECHO, "000123");
    let both = file(&folder, "both.toml", &format!("{ACME}{OTHER}"));
    check(&format!("{both}:acme"), ECHO, "000123");
    let plain = "30383030 0020000000000000 303030313233";
    check(&format!("{both}:other"), plain, "000123");
    check_refused(
        &both,
        &format!("{both}: holds more than one dialect; write {both}:NAME with one of acme, other"),
    );
    let told = message(&["--dialect", &format!("{both}:acne"), ECHO], b"");
    assert!(told.err.contains("did you mean `acme`?"), "{}", told.err);
    assert_eq!(told.code, Some(2));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn its_table_is_printed_too() {
    let folder = folder("toml-table");
    let acme = file(&folder, "acme.toml", ACME);
    let out = inspect(&["dialect", "--json", &acme], b"").good();
    let table = object(&out);
    assert_eq!(table["name"], "acme");
    let row = |number: u8| {
        let mut rows = table["fields"].as_array().unwrap().iter();
        rows.find(|row| row["number"] == number).unwrap()
    };
    assert_eq!(row(11)["encoding"], "bcd");
    assert_eq!(row(113)["name"], "loyalty number");
    assert_eq!(row(113)["length"], json!({ "digits": 2, "max": 20 }));
    assert_eq!(row(113)["sensitivity"], "pan");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_fault_of_a_file_is_told_with_its_line() {
    let folder = folder("toml-fault");
    let faulty = ACME.replace("LLVAR", "LLAVR").replace("extends", "extend");
    let path = file(&folder, "faulty.toml", &faulty);
    let told = message(&["--dialect", &path, ECHO], b"");
    let expected = [
        format!("{path}:3:1: "),
        format!("{path}:10:1: `length` takes 1 to 65535, "),
    ];
    for line in &expected {
        assert!(told.err.contains(line), "{line} is not in {}", told.err);
    }
    assert!(!told.err.contains("nothing was started"), "{}", told.err);
    assert_eq!((told.code, told.out.as_str()), (Some(2), ""));
    let empty = file(&folder, "empty.toml", "");
    let told = message(&["--dialect", &empty, ECHO], b"");
    assert!(
        told.err.starts_with(&format!("njia: {empty}: ")),
        "{}",
        told.err
    );
    assert_eq!(told.code, Some(2));
    let absent = folder.join("absent.toml").display().to_string();
    let told = message(&["--dialect", &absent, ECHO], b"");
    let expected = format!("njia: {absent}: is no dialect and no file; ");
    assert!(told.err.starts_with(&expected), "{}", told.err);
    fs::remove_dir_all(&folder).unwrap();
}

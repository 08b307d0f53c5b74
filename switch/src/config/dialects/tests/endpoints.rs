//! Dialects in a whole configuration.

use std::fs;

use iso8583::Dialect;
use iso8583::field::Length;

use super::loaded;
use crate::config::dialects::load_file;
use crate::config::{Config, EXAMPLE, Environment};

/// The example's configuration with `more` in front and behind.
fn configured(before: &str, behind: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let mut pairs = vec![
        ("KEY", KEY),
        ("NJIA__KEYS__TOKEN_KEY", "env:KEY"),
        ("NJIA__KEYS__PAN_KEY", "env:KEY"),
        ("NJIA__KEYS__HASH_KEY", "env:KEY"),
    ];
    pairs.extend(environment);
    let text = format!("{before}\n{EXAMPLE}\n{behind}");
    let config = Config::parse("njia.toml", &text, &Environment::of(&pairs));
    config.map_err(|errors| errors.to_string())
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const POS: (&str, &str) = ("NJIA__LISTENER__POS__DIALECT", "acme-1");
const ACME: &str = "[dialects.acme-1]\nextends = \"iso87-ascii\"\n";

#[test]
fn endpoints_speak_the_dialects_of_the_user() {
    let of_momo = ("NJIA__ISSUER__MOMO__DIALECT", "iso87-ascii-hex");
    let config = configured("", ACME, &[POS, of_momo]).unwrap();
    assert_eq!(config.listeners[0].wire.dialect.name(), "acme-1");
    assert_eq!(config.issuers[0].wire.dialect.name(), "iso87-ascii");
    assert_eq!(config.issuers[1].wire.dialect.name(), "iso87-ascii-hex");
    let told = |environment: (&str, &str)| configured("", ACME, &[environment]).unwrap_err();
    let near = told(("NJIA__LISTENER__POS__DIALECT", "acme"));
    assert!(
        near.starts_with(
            "environment variable NJIA__LISTENER__POS__DIALECT: `dialect` names the dialect \
             `acme`, which does not exist; did you mean `acme-1`?"
        ),
        "{near}"
    );
    let far = told(("NJIA__ISSUER__BANK__DIALECT", "zzz"));
    assert!(
        far.contains("`zzz`, which does not exist; known: iso87-ascii, iso87-ascii-hex, "),
        "{far}"
    );
    assert!(far.contains(", postilion-like, acme-1"), "{far}");
}

#[test]
fn a_fault_of_a_dialect_hides_no_other_and_makes_none() {
    let faulty = format!("{ACME}mti = \"x\"\n");
    let wrong = ("NJIA__NODE__ID", "1024");
    let told = configured("", &faulty, &[POS, wrong]).unwrap_err();
    assert!(told.contains("`mti` does not take `x`"), "{told}");
    assert!(told.contains("`id` is 1024"), "{told}");
    assert!(told.contains("2 errors"), "{told}");
}

#[test]
fn the_environment_may_set_a_key_of_a_row() {
    let environment = [POS, ("NJIA__DIALECTS__ACME_1__FIELDS__43__LENGTH", "25")];
    let config = configured("", ACME, &environment).unwrap();
    let place = config.listeners[0].wire.dialect.field(43).unwrap();
    assert_eq!(place.length, Length::Fixed(25));
}

#[test]
fn the_fingerprint_covers_the_files_of_dialects() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    let fingerprint = |text: &str| {
        fs::write(&path, text).unwrap();
        let files = format!("dialect_files = [\"{}\"]", path.display());
        configured(&files, "", &[POS]).unwrap().fingerprint
    };
    let first = fingerprint(ACME);
    assert_eq!(fingerprint(ACME), first);
    assert_ne!(fingerprint(&format!("{ACME}\n")), first);
    fs::remove_file(&path).unwrap();
    let files = format!("dialect_files = [\"{}\"]", path.display());
    let told = configured(&files, "", &[]).unwrap_err();
    let place = format!(
        "njia.toml:1:18: `dialect_files` names {}, which",
        path.display()
    );
    assert!(told.starts_with(&place), "{told}");
}

#[test]
fn a_file_of_dialects_holds_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    fs::write(&path, format!("{ACME}[node]\nid = 1\n")).unwrap();
    let files = format!("dialect_files = [\"{}\"]", path.display());
    let told = configured(&files, "", &[]).unwrap_err();
    let place = format!("{}:3:1: unknown section or key `node`", path.display());
    assert!(told.starts_with(&place), "{told}");
}

#[test]
fn what_no_configuration_has_is_refused_in_a_file_alone_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.toml");
    let told = |text: &str| {
        fs::write(&path, text).unwrap();
        load_file(&path).map_err(|errors| errors.to_string())
    };
    let typo = format!("{ACME}[dialect.other]\nextends = \"iso87-bcd\"\n");
    let place = format!("{}:3:2: ", path.display());
    let expected = "unknown section or key `dialect`; did you mean `dialects`?";
    for text in [&typo, &format!("{typo}[node]\nid = 1\n")] {
        let fault = told(text).unwrap_err();
        assert!(
            fault.starts_with(&place) && fault.contains(expected),
            "{fault}"
        );
    }
    assert_eq!(told(&format!("{EXAMPLE}\n{ACME}")).unwrap().len(), 1);
}

#[test]
fn no_file_is_read_of_a_list_that_is_too_long() {
    let files = format!("dialect_files = [{}]", "\"nowhere.toml\", ".repeat(65));
    let told = configured(&files, "", &[]).unwrap_err();
    let expected = "njia.toml:1:1: `dialect_files` takes at most 64 files";
    assert!(told.starts_with(expected), "{told}");
    assert!(!told.contains("nowhere"), "{told}");
}

#[test]
fn the_dialect_of_the_example_is_one() {
    let begin = EXAMPLE.find("# [dialects.").unwrap();
    let lines = EXAMPLE[begin..]
        .lines()
        .take_while(|line| line.starts_with("# "));
    let text: String = lines.map(|line| format!("{}\n", &line[2..])).collect();
    let [dialect] = *loaded(&text) else {
        panic!("one dialect in {text}");
    };
    let changed = |number: &u8| dialect.field(*number) != Dialect::ISO87_ASCII.field(*number);
    assert_eq!((2..=128).filter(changed).count(), 3);
}

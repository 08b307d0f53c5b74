//! What the documents and the help show is what the command prints.

use std::fs;

use super::{folder, message};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[track_caller]
fn page(name: &str) -> String {
    fs::read_to_string(format!("{ROOT}/{name}")).unwrap()
}

/// The quoted text of a page that begins so, up to the end of the quotation.
#[track_caller]
fn quoted<'p>(page: &'p str, start: &str) -> &'p str {
    let (_, rest) = page.split_once(start).unwrap();
    rest.split("```").next().unwrap()
}

/// A command line of `njia inspect message` and what it prints, as a page quotes them.
#[track_caller]
fn check(page: &str, command: &str, dialect: &str) {
    let example = quoted(page, &format!("```\n$ {command} ")).replace("\\\n", "");
    let (words, expected) = example.split_once('\n').unwrap();
    let words: Vec<&str> = words
        .split_whitespace()
        .map(|word| {
            if word.ends_with(".toml") {
                dialect
            } else {
                word
            }
        })
        .collect();
    assert_eq!(message(&words, b"").good(), expected);
}

#[test]
fn the_readme_shows_what_is_printed() {
    check(
        &page("README.md"),
        "target/release/njia inspect message",
        "none",
    );
}

#[test]
fn the_page_on_dialect_files_shows_what_is_printed() {
    let folder = folder("documents");
    let acme = folder.join("acme.toml");
    let page = page("docs/dialect-files.md");
    fs::write(&acme, quoted(&page, "```toml\n")).unwrap();
    let acme = acme.display().to_string();
    check(&page, "njia inspect message", &acme);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_example_of_the_help_is_a_message_that_can_be_read() {
    for help in [
        message(&["--help"], b"").good(),
        super::inspect(&["--help"], b"").good(),
    ] {
        let examples = help.lines().filter_map(|line| {
            let words = line.trim().strip_prefix("njia inspect message ")?;
            words.starts_with('3').then_some(words)
        });
        let examples: Vec<&str> = examples.collect();
        assert_eq!(examples.len(), 1, "{help}");
        message(&[examples[0]], b"").good();
    }
}

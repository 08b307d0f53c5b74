//! Dialects of the user: the text of a file.

use std::path::Path;

use switch::config::dialects;

use super::message;

/// No text panics. What is refused is told with a place in the file, and the same way each time.
/// What passes is made, and carries messages like any other dialect.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match dialects::check(FILE, text) {
        Ok(()) if is_one_of_many(data) => {
            let name = format!("njia-fuzz-{}.toml", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, data).expect("there is room for a file");
            check_made(&path);
            std::fs::remove_file(path).expect("it has been written");
        }
        Ok(()) => {}
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                check_place(&problem.to_string(), text);
            }
            // It costs as much as all before.
            if text.len().is_multiple_of(8) {
                assert_eq!(dialects::check(FILE, text), Err(errors));
            }
        }
    }
}

/// A dialect that is made stays for as long as the process, so not each of millions is.
fn is_one_of_many(data: &[u8]) -> bool {
    let sum = data
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
    sum == 0
}

/// Makes the dialects of a file that passes, and messages by their rows.
///
/// # Panics
/// When something does not hold.
pub fn check_made(path: &Path) {
    match dialects::load_file(path) {
        Ok(made) => {
            for dialect in made {
                message::check_in(dialect, RECIPE);
            }
        }
        Err(errors) => {
            let is_empty = errors.to_string().contains("holds no dialect");
            assert!(is_empty, "{}: {errors}", path.display());
        }
    }
}

/// `FILE:line:column: what`, within the text: no fault of a text is without a place.
fn check_place(problem: &str, text: &str) {
    let told = problem.strip_prefix(FILE).expect("it names the file");
    let mut parts = told.trim_start_matches(':').splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let (line, column) = (number(), number());
    let (Some(line @ 1..), Some(column @ 1..)) = (line, column) else {
        panic!("no place: {problem}");
    };
    let last = text.split('\n').count();
    assert!(line <= last, "{problem}, of {last} lines");
    let len = text.split('\n').nth(line - 1).map_or(0, str::len);
    assert!(column <= len + 1, "{problem}, of {len} columns");
}

const FILE: &str = "fuzz.toml";
/// Every field, one after the other, with zeros.
const RECIPE: &[u8] = &[b'0'; 8_000];

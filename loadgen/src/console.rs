//! Lines for the person at the terminal.

use std::fmt::Arguments;
use std::io::Write;

/// Prints a line to standard output. A reader that has gone away ends nothing: the files are what
/// counts.
pub fn say(line: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    let printed = writeln!(out, "{line}").and_then(|()| out.flush());
    drop(printed);
}

/// Prints a line to standard error.
pub fn complain(line: Arguments<'_>) {
    let printed = writeln!(std::io::stderr().lock(), "{line}");
    drop(printed);
}

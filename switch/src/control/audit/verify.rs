//! Whether the lines of files are those that were written, all of them and in their order.

use super::chain::{Fault, Line, Position};
use crate::config::SecretKey;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) fault: String,
}

/// What was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) lines: u64,
    /// The number of the first and of the last line.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// Bytes at the very end that are no whole line: of one that is being written, or of a crash.
    pub(crate) torn: usize,
}

/// Verifies files in their order. Unless `is_continued`, they begin with line 1.
///
/// # Errors
/// The first line that is not as it was written, or not where it was.
pub(crate) fn verify(
    files: &[(String, Vec<u8>)],
    key: &SecretKey,
    is_continued: bool,
) -> Result<Verified, Finding> {
    let mut verified = Verified::default();
    let mut before = (!is_continued).then_some(Position::NONE);
    for (place, (file, bytes)) in files.iter().enumerate() {
        let is_newest = place + 1 == files.len();
        let mut number = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let Some(whole) = line.strip_suffix(b"\n") else {
                if is_newest {
                    verified.torn = line.len();
                    continue;
                }
                return Err(finding(file, number, &Fault::Unreadable));
            };
            let found = |fault: Fault| finding(file, number, &fault);
            let (line, at) = Line::checked(whole, key).map_err(found)?;
            if let Some(before) = before {
                line.follows(before).map_err(found)?;
            }
            if verified.lines == 0 {
                verified.first = at.seq;
            }
            verified.lines += 1;
            verified.last = at.seq;
            before = Some(at);
        }
    }
    Ok(verified)
}

fn finding(file: &str, line: usize, fault: &Fault) -> Finding {
    Finding {
        file: file.to_owned(),
        line,
        fault: fault.to_string(),
    }
}

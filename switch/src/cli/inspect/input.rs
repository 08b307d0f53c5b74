//! What `njia inspect message` reads: hexadecimal digits or bytes, from the command line, a file or
//! standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::super::CliError;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    /// How many hexadecimal digits were read as bytes, for there is an odd number of them.
    pub(super) odd_digits: Option<usize>,
}

/// The bytes that an argument means: `-` is standard input, hexadecimal digits are themselves,
/// everything else is a file.
pub(super) fn read(argument: &str, is_raw: bool) -> Result<Stream, CliError> {
    if argument == "-" {
        return content(io::stdin().lock(), is_raw)
            .map_err(|error| CliError::Input(format!("cannot read standard input: {error}")));
    }
    let digits = digits(argument);
    if let (Some(digits), false) = (&digits, is_raw)
        && let Some(bytes) = bytes(digits)
    {
        return Ok(Stream::of(bytes));
    }
    let path = Path::new(argument);
    // A pipe that the shell has named is no regular file.
    if path.exists() && !path.is_dir() {
        let read = File::open(path).and_then(|file| content(file, is_raw));
        return read.map_err(|error| CliError::Input(format!("cannot read {argument}: {error}")));
    }
    // What it is may be card data, so it is not repeated.
    Err(CliError::Usage(match digits {
        Some(digits) if is_raw => format!(
            "the {} hexadecimal digits are no file, and --raw reads files and standard input",
            digits.len()
        ),
        Some(digits) => format!(
            "the argument has {} hexadecimal digits: two make a byte",
            digits.len()
        ),
        None => "the argument is neither hexadecimal digits nor one file".to_owned(),
    }))
}

impl Stream {
    const fn of(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            odd_digits: None,
        }
    }
}

/// All of `source`; the bytes that its text names where it is hexadecimal digits.
fn content(source: impl Read, is_raw: bool) -> io::Result<Stream> {
    let mut all = Vec::new();
    source.take(INPUT_LEN_MAX + 1).read_to_end(&mut all)?;
    if u64::try_from(all.len()).is_ok_and(|len| len > INPUT_LEN_MAX) {
        return Err(io::Error::other(format!(
            "it is longer than {INPUT_LEN_MAX} bytes"
        )));
    }
    let text = str::from_utf8(&all).ok().filter(|_| !is_raw);
    let Some(digits) = text.and_then(digits) else {
        return Ok(Stream::of(all));
    };
    Ok(match bytes(&digits) {
        Some(bytes) => Stream::of(bytes),
        None => Stream {
            bytes: all,
            odd_digits: Some(digits.len()),
        },
    })
}

/// The hexadecimal digits of a text, without white space, colons and `0x`. `None` when there is
/// anything else in it, or nothing.
fn digits(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == ':');
    let digits: String = words
        .map(|word| word.strip_prefix("0x").unwrap_or(word))
        .map(|word| word.strip_prefix("0X").unwrap_or(word))
        .collect();
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_hex && !digits.is_empty()).then_some(digits)
}

/// The bytes that digits name; `None` for an odd number of them.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}

/// Many messages, and a bound on what is held in memory.
const INPUT_LEN_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_of: &[u8], expected: &[u8]) {
        assert_eq!(content(content_of, false).unwrap().bytes, expected);
        let raw = Stream::of(content_of.to_vec());
        assert_eq!(content(content_of, true).unwrap(), raw);
    }

    #[test]
    fn hexadecimal_digits_are_read_in_every_dress() {
        check(b"0200", &[2, 0]);
        check(b"02 00\n", &[2, 0]);
        check(b"0x02 0x00 0XaF", &[2, 0, 0xAF]);
        check(b"02:00:aF", &[2, 0, 0xAF]);
    }

    #[test]
    fn what_is_not_all_digits_is_bytes() {
        check(b"02000", b"02000");
        check(b"0200x", b"0200x");
        check(&[2, 0, 0xFF], &[2, 0, 0xFF]);
        check(b"", b"");
    }

    #[test]
    fn an_odd_number_of_digits_is_told() {
        let odd_digits = |text: &[u8]| content(text, false).unwrap().odd_digits;
        assert_eq!(odd_digits(b"0x02 000\n"), Some(5));
        assert_eq!(odd_digits(b"0200"), None);
        assert_eq!(odd_digits(b"0200x"), None);
    }

    #[test]
    fn an_argument_that_is_nothing_is_not_repeated() {
        for argument in ["5061001234567890=", "506100123456789"] {
            let refused = read(argument, false).unwrap_err();
            assert!(matches!(refused, CliError::Usage(_)));
            assert!(!refused.to_string().contains("506100"), "{refused}");
        }
        assert_eq!(read("30 31", false).unwrap().bytes, b"01");
    }
}

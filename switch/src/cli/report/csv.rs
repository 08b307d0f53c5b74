//! Comma-separated values as RFC 4180 has them: quotes, doubled quotes, line ends within quotes.

use std::io::{self, BufRead};

/// Reads records, one at a time.
#[derive(Debug)]
pub(super) struct Reader<R> {
    input: R,
    delimiter: u8,
    /// Lines read so far.
    lines: u64,
}

/// Why a file cannot be read on.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    /// A quote that nothing closes, text behind a closed one, a record that is too long, or no
    /// UTF-8: what, in the line where the record begins.
    Malformed(u64, &'static str),
}

/// A record and the line on which it begins.
pub(super) type Record = (u64, Vec<String>);

impl<R: BufRead> Reader<R> {
    pub(super) const fn new(input: R, delimiter: u8) -> Self {
        Self {
            input,
            delimiter,
            lines: 0,
        }
    }

    /// The next record that is no empty line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Fault> {
        loop {
            let first = self.lines + 1;
            let mut text = Vec::new();
            if !self.line(first, &mut text)? {
                return Ok(None);
            }
            while is_open(&text) {
                if !self.line(first, &mut text)? {
                    return Err(Fault::Malformed(first, "a quote is not closed"));
                }
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let fields = self.split(first, &text)?;
            return Ok(Some((first, fields)));
        }
    }

    /// Appends one line with its end; `false` at the end of the file.
    fn line(&mut self, first: u64, text: &mut Vec<u8>) -> Result<bool, Fault> {
        let room = RECORD_LEN_MAX.saturating_sub(text.len());
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let mut limited = io::Read::take(&mut self.input, limit);
        let read = limited.read_until(b'\n', text).map_err(Fault::Io)?;
        if read == room && text.last() != Some(&b'\n') {
            return Err(Fault::Malformed(first, "the record is longer than 64 KiB"));
        }
        self.lines += 1;
        Ok(read > 0)
    }

    fn split(&self, first: u64, text: &[u8]) -> Result<Vec<String>, Fault> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut fields = Vec::new();
        let mut rest = text;
        loop {
            let (field, after) = match rest.strip_prefix(b"\"") {
                Some(quoted) => unquote(quoted),
                None => {
                    let end = rest.iter().position(|byte| *byte == self.delimiter);
                    let end = end.unwrap_or(rest.len());
                    let (field, after) = rest.split_at(end);
                    (field.to_vec(), after)
                }
            };
            let field = String::from_utf8(field);
            fields.push(field.map_err(|_| Fault::Malformed(first, "it is not UTF-8"))?);
            match after.split_first() {
                None => return Ok(fields),
                Some((byte, after)) if *byte == self.delimiter => rest = after,
                Some(_) => return Err(Fault::Malformed(first, "text follows a closed quote")),
            }
        }
    }
}

/// Whether a quote is still open: an odd number of them.
fn is_open(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'"').count() % 2 == 1
}

/// What stands before the closing quote, and what follows it.
fn unquote(text: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut field = Vec::new();
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'"' {
            field.push(*byte);
        } else if let Some(after) = rest.strip_prefix(b"\"") {
            field.push(b'"');
            rest = after;
        } else {
            break;
        }
    }
    (field, rest)
}

/// A field as it is written: quoted where it has to be.
pub(super) fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// A line of an issuer's file is some hundred bytes.
const RECORD_LEN_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, delimiter: u8) -> Vec<Record> {
        let mut reader = Reader::new(text.as_bytes(), delimiter);
        let mut records = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            records.push(record);
        }
        records
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &[&str])]) {
        let found = read(text, b',');
        let found: Vec<(u64, Vec<&str>)> = found
            .iter()
            .map(|(line, fields)| (*line, fields.iter().map(String::as_str).collect()))
            .collect();
        let expected: Vec<(u64, Vec<&str>)> = expected
            .iter()
            .map(|(line, fields)| (*line, fields.to_vec()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn records_are_read_as_rfc_4180_has_them() {
        check("a,b\r\n1,2\r\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,,\n", &[(1, &["a", "", ""])]);
        check("\n\n a,b", &[(3, &[" a", "b"])]);
        check("\"a,1\",\"b\"\"c\"\n", &[(1, &["a,1", "b\"c"])]);
        check(
            "\"a\nb\",c\nd,e\n",
            &[(1, &["a\nb", "c"]), (3, &["d", "e"])],
        );
        check("\u{feff}rrn,stan\n", &[(1, &["rrn", "stan"])]);
        check("", &[]);
        assert_eq!(
            read("a;b,c\n", b';'),
            [(1, vec!["a".to_owned(), "b,c".to_owned()])]
        );
    }

    #[test]
    fn what_is_malformed_is_named_by_its_line() {
        let check = |text: &[u8], line: u64, why: &str| {
            let mut reader = Reader::new(text, b',');
            let fault = loop {
                match reader.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{why}: no fault"),
                    Err(Fault::Malformed(line, what)) => break (line, what),
                    Err(Fault::Io(error)) => panic!("{error}"),
                }
            };
            assert_eq!(fault.0, line);
            assert!(fault.1.contains(why), "{}", fault.1);
        };
        check(b"a\n\"b\n", 2, "not closed");
        check(b"\"a\"b,c\n", 1, "closed quote");
        check(b"a\n\xff\n", 2, "UTF-8");
        check(&[b'a'; 70_000], 1, "64 KiB");
    }

    #[test]
    fn a_field_that_is_written_is_read_back() {
        for field in ["plain", "a,b", "say \"so\"", "two\nlines", ""] {
            let line = format!("{},x\n", quoted(field));
            assert_eq!(
                read(&line, b','),
                [(1, vec![field.to_owned(), "x".to_owned()])]
            );
        }
    }
}

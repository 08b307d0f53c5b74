//! The answer to a request over HTTP/1.1, read out of bytes. Strict: one whose end could be read in
//! two ways is none.

/// What the bytes so far are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    NeedMore,
    /// No answer, whatever follows.
    Bad,
    Whole(Reply),
}

/// One answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The connection takes a further request.
    pub(crate) keeps: bool,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
}

/// An answer as far as it has come. What was looked at is not looked at again, however small the
/// parts are that it comes in.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Bytes that the head does not end in.
    searched: usize,
    head: Option<Head>,
    chunks: Chunks,
}

/// What the head of an answer says, and where what follows it begins.
#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    length: Length,
    keeps: bool,
    end: usize,
}

impl Reading {
    /// Reads on in all bytes that came on a connection since its request was written: those of the
    /// call before, and what has come since. To be asked no more once it has told an end.
    pub(crate) fn on(&mut self, bytes: &[u8]) -> Step {
        let head = match self.head {
            Some(head) => head,
            None => match self.read_head(bytes) {
                Ok(head) => *self.head.insert(head),
                Err(step) => return step,
            },
        };
        let rest = bytes.get(head.end..).unwrap_or_default();
        let (body, taken) = match head.length {
            Length::Known(len) if len > BODY_LEN_MAX => return Step::Bad,
            Length::Known(len) if rest.len() < len => return Step::NeedMore,
            Length::Known(len) => (rest.get(..len).unwrap_or_default().to_vec(), len),
            Length::Chunked => match self.chunks.read_on(rest) {
                Unchunked::NeedMore if rest.len() > WIRE_LEN_MAX => return Step::Bad,
                Unchunked::NeedMore => return Step::NeedMore,
                Unchunked::Bad => return Step::Bad,
                Unchunked::Whole(taken) => (std::mem::take(&mut self.chunks.body), taken),
            },
        };
        Step::Whole(Reply {
            status: head.status,
            body,
            // What follows was asked for by nobody.
            keeps: head.keeps && taken == rest.len(),
        })
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Head, Step> {
        let Some(end) = find(bytes, HEAD_END, self.searched) else {
            // All but the last three bytes, which may begin its end.
            self.searched = bytes.len().saturating_sub(HEAD_END.len() - 1);
            let is_over = bytes.len() > HEAD_LEN_MAX;
            return Err(if is_over { Step::Bad } else { Step::NeedMore });
        };
        if end > HEAD_LEN_MAX {
            return Err(Step::Bad);
        }
        let head = head_of(bytes.get(..end).unwrap_or_default());
        let (status, length, keeps) = head.ok_or(Step::Bad)?;
        Ok(Head {
            status,
            length,
            keeps,
            end: end + HEAD_END.len(),
        })
    }
}

/// Status, length of the body, and whether the connection stays.
fn head_of(head: &[u8]) -> Option<(u16, Length, bool)> {
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.splitn(3, ' ');
    let is_newest = match words.next()? {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return None,
    };
    let digits = words.next()?;
    let is_status = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Interim answers are to what is never asked for.
    let status: u16 = digits.parse().ok().filter(|status| *status >= 200)?;
    let (mut len, mut is_chunked, mut keeps) = (None, false, is_newest && is_status);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        let is_line = is_token(name) && !value.bytes().any(|byte| byte.is_ascii_control());
        if !is_line {
            return None;
        }
        if name.eq_ignore_ascii_case("content-length") {
            let is_whole = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let told: usize = value.parse().ok().filter(|_| is_whole)?;
            if len.is_some_and(|len| len != told) {
                return None;
            }
            len = Some(told);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case("chunked") {
                return None;
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(',').map(str::trim);
            keeps &= !options.any(|option| option.eq_ignore_ascii_case("close"));
        }
    }
    let length = match (len, is_chunked, status) {
        _ if !is_status => return None,
        (Some(_), true, _) => return None,
        (_, _, 204 | 304) => Length::Known(0),
        (None, true, _) => Length::Chunked,
        (Some(len), false, _) => Length::Known(len),
        // Its end would be that of the connection, and so would half of it.
        (None, false, _) => return None,
    };
    Some((status, length, keeps))
}

fn is_token(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(letter)
}

/// A body in chunks, as far as they are whole.
#[derive(Debug, Default)]
struct Chunks {
    body: Vec<u8>,
    /// Where the next one begins, behind the head.
    at: usize,
}

enum Unchunked {
    NeedMore,
    Bad,
    /// With the length that it took.
    Whole(usize),
}

impl Chunks {
    /// Every turn takes a chunk, or ends. Of a chunk that is not whole the line is read again: its
    /// length is bounded.
    fn read_on(&mut self, bytes: &[u8]) -> Unchunked {
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let line = rest.get(..CHUNK_LINE_MAX).unwrap_or(rest);
            let Some(line) = find(line, b"\r\n", 0) else {
                let is_over = rest.len() > CHUNK_LINE_MAX;
                return if is_over {
                    Unchunked::Bad
                } else {
                    Unchunked::NeedMore
                };
            };
            let Some(len) = rest.get(..line).and_then(chunk_len) else {
                return Unchunked::Bad;
            };
            let begin = self.at + line + 2;
            if len == 0 {
                // Trailers are not taken.
                return match bytes.get(begin..begin + 2) {
                    Some(b"\r\n") => Unchunked::Whole(begin + 2),
                    Some(_) => Unchunked::Bad,
                    None => Unchunked::NeedMore,
                };
            }
            if self.body.len() + len > BODY_LEN_MAX {
                return Unchunked::Bad;
            }
            let Some(chunk) = bytes.get(begin..begin + len + 2) else {
                return Unchunked::NeedMore;
            };
            let Some(chunk) = chunk.strip_suffix(b"\r\n") else {
                return Unchunked::Bad;
            };
            self.body.extend_from_slice(chunk);
            self.at = begin + len + 2;
        }
    }
}

/// Hexadecimal digits; what may follow a semicolon says nothing here.
fn chunk_len(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
    let is_hex = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| usize::from_str_radix(digits, 16).ok())?
}

/// Where `wanted` stands first, from a place on.
fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let mut windows = bytes.get(from..)?.windows(wanted.len());
    let at = windows.position(|window| window == wanted)?;
    Some(from + at)
}

const HEAD_END: &[u8] = b"\r\n\r\n";
const HEAD_LEN_MAX: usize = 8 * 1024;
const BODY_LEN_MAX: usize = 64 * 1024;
const CHUNK_LINE_MAX: usize = 256;
/// With what stands around chunks: small ones are more frame than content.
const WIRE_LEN_MAX: usize = 4 * BODY_LEN_MAX;
/// What is kept of the bytes of one answer.
pub(crate) const REPLY_LEN_MAX: usize = HEAD_LEN_MAX + 4 + WIRE_LEN_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Step {
        Reading::default().on(bytes)
    }

    /// What is read of the same bytes, one more at a time.
    fn read_in_parts(bytes: &[u8]) -> Step {
        let mut reading = Reading::default();
        let mut steps = (1..=bytes.len()).map(|len| reading.on(&bytes[..len]));
        let end = steps.find(|step| *step != Step::NeedMore);
        end.unwrap_or(Step::NeedMore)
    }

    #[track_caller]
    fn check(bytes: &str, expected: Option<(u16, &str, bool)>) {
        let read_step = read(bytes.as_bytes());
        let expected = match expected {
            None => Step::Bad,
            Some((status, body, keeps)) => Step::Whole(Reply {
                status,
                body: body.as_bytes().to_vec(),
                keeps,
            }),
        };
        assert_eq!(read_step, expected, "{bytes:?}");
        match (read_in_parts(bytes.as_bytes()), &expected) {
            // It ends before what nobody asked for has come.
            (Step::Whole(parts), Step::Whole(whole)) => {
                assert_eq!((parts.status, &parts.body), (whole.status, &whole.body));
            }
            (parts, expected) => assert_eq!(parts, *expected, "{bytes:?}"),
        }
        // Whatever is cut is not taken for the whole.
        if let Step::Whole(whole) = &read_step {
            for len in 0..bytes.len() - usize::from(!whole.keeps) {
                let cut = read(&bytes.as_bytes()[..len]);
                let is_same = matches!(&cut, Step::Whole(part) if part.body == whole.body);
                assert!(cut == Step::NeedMore || is_same && !whole.keeps, "{len}");
            }
        }
    }

    #[test]
    fn an_answer_ends_where_it_says() {
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            Some((200, "{}", true)),
        );
        check("HTTP/1.1 204 \r\n\r\n", Some((204, "", true)));
        check(
            "HTTP/1.1 200 OK\r\ncontent-length:2\r\nConnection: x, close\r\n\r\n{}",
            Some((200, "{}", false)),
        );
        check(
            "HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0A\r\n\
             0123456789\r\n0\r\n\r\n",
            Some((201, "{}0123456789", true)),
        );
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            Some((200, "", false)),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12",
            Some((200, "1", false)),
        );
    }

    #[test]
    fn what_could_end_in_two_places_is_refused() {
        for bad in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1",
            "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n1",
            "HTTP/1.1 200 OK\r\n Content-Length: 1\r\n\r\n1",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n12\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
        ] {
            check(bad, None);
        }
    }

    /// One that comes byte by byte costs no more than its length.
    #[test]
    fn what_was_looked_at_is_not_looked_at_again() {
        let mut reading = Reading::default();
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(reading.on(&head[..40]), Step::NeedMore);
        assert_eq!(reading.searched, 37, "its end may have begun");
        let mut bytes = [&head[..], b"5\r\n01234\r\n5\r\n567"].concat();
        assert_eq!(reading.on(&bytes), Step::NeedMore);
        // Of what is behind it nothing is read any more.
        bytes[..head.len() + 10].fill(b'x');
        bytes.extend_from_slice(b"89\r\n0\r\n\r\n");
        let whole = Reply {
            status: 200,
            body: b"0123456789".to_vec(),
            keeps: true,
        };
        assert_eq!(reading.on(&bytes), Step::Whole(whole));
    }

    #[test]
    fn an_answer_is_bounded() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(HEAD_LEN_MAX));
        check(&long, None);
        let chunks = "1\r\nx\r\n".repeat(BODY_LEN_MAX + 1);
        check(
            &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            None,
        );
    }
}

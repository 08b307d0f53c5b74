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

/// Reads all bytes that came on a connection since its request was written.
pub(crate) fn read(bytes: &[u8]) -> Step {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        let is_over = bytes.len() > HEAD_LEN_MAX;
        return if is_over { Step::Bad } else { Step::NeedMore };
    };
    let head = bytes.get(..end).unwrap_or_default();
    let rest = bytes.get(end + 4..).unwrap_or_default();
    if end > HEAD_LEN_MAX {
        return Step::Bad;
    }
    let Some((status, length, keeps)) = head_of(head) else {
        return Step::Bad;
    };
    let body = match length {
        Length::Known(len) if len > BODY_LEN_MAX => return Step::Bad,
        Length::Known(len) if rest.len() < len => return Step::NeedMore,
        Length::Known(len) => Body::Whole(rest.get(..len).unwrap_or_default().to_vec(), len),
        Length::Chunked => unchunk(rest),
    };
    match body {
        Body::NeedMore if rest.len() > WIRE_LEN_MAX => Step::Bad,
        Body::NeedMore => Step::NeedMore,
        Body::Bad => Step::Bad,
        Body::Whole(body, taken) => Step::Whole(Reply {
            status,
            body,
            // What follows was asked for by nobody.
            keeps: keeps && taken == rest.len(),
        }),
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

enum Body {
    NeedMore,
    Bad,
    /// With the length that it took.
    Whole(Vec<u8>, usize),
}

/// Every turn takes a chunk, or ends.
fn unchunk(bytes: &[u8]) -> Body {
    let mut body = Vec::new();
    let mut at = 0_usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = find(rest, b"\r\n") else {
            let is_over = rest.len() > CHUNK_LINE_MAX;
            return if is_over { Body::Bad } else { Body::NeedMore };
        };
        let Some(len) = rest.get(..line).and_then(chunk_len) else {
            return Body::Bad;
        };
        let begin = at + line + 2;
        if len == 0 {
            // Trailers are not taken.
            let end = bytes.get(begin..begin + 2);
            return match end {
                Some(b"\r\n") => Body::Whole(body, begin + 2),
                Some(_) => Body::Bad,
                None => Body::NeedMore,
            };
        }
        if body.len() + len > BODY_LEN_MAX {
            return Body::Bad;
        }
        let Some(chunk) = bytes.get(begin..begin + len + 2) else {
            return Body::NeedMore;
        };
        let Some(chunk) = chunk.strip_suffix(b"\r\n") else {
            return Body::Bad;
        };
        body.extend_from_slice(chunk);
        at = begin + len + 2;
    }
}

/// Hexadecimal digits; what may follow a semicolon says nothing here.
fn chunk_len(line: &[u8]) -> Option<usize> {
    let line = std::str::from_utf8(line).ok()?;
    let digits = line.split(';').next()?.trim_end_matches([' ', '\t']);
    let is_hex = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| usize::from_str_radix(digits, 16).ok())?
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

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

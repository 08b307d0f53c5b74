//! Cuts requests of HTTP/1.1 out of a stream: method, path, head and body.

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::issuer) struct Request<'a> {
    pub(in crate::issuer) method: &'a str,
    /// Without a query.
    pub(in crate::issuer) path: &'a str,
    /// From its first line to its last header.
    pub(in crate::issuer) head: &'a str,
    pub(in crate::issuer) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The value of the first header of that name, which is in small letters or not.
    pub(in crate::issuer) fn header(&self, name: &str) -> Option<&'a str> {
        let mut lines = self.head.split("\r\n").skip(1);
        lines.find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step<'a> {
    NeedMore,
    Request {
        request: Request<'a>,
        /// Bytes of all of it.
        len: usize,
    },
    /// It cannot be followed any further.
    Broken,
}

/// Hands on each request that is whole; says how many bytes they were, or `None` when the stream
/// cannot be followed any further.
pub(in crate::issuer) fn each(bytes: &[u8], mut take: impl FnMut(Request<'_>)) -> Option<usize> {
    let mut consumed = 0;
    loop {
        match split(bytes.get(consumed..)?) {
            Step::NeedMore => return Some(consumed),
            Step::Broken => return None,
            Step::Request { request, len } => {
                take(request);
                consumed += len;
            }
        }
    }
}

/// Appends an answer, whose body is JSON or empty.
pub(in crate::issuer) fn write_answer(status: u16, body: &[u8], out: &mut Vec<u8>) {
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Takes the first request. A body in chunks is broken: a switch knows what it says.
fn split(bytes: &[u8]) -> Step<'_> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_LEN_MAX {
            Step::Broken
        } else {
            Step::NeedMore
        };
    };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).ok();
    let read = head.and_then(|head| Some((head, read(head)?)));
    let Some((head, (method, path, body_len))) = read else {
        return Step::Broken;
    };
    let begin = end + 4;
    match bytes.get(begin..begin + body_len) {
        None => Step::NeedMore,
        Some(body) => Step::Request {
            request: Request {
                method,
                path,
                head,
                body,
            },
            len: begin + body_len,
        },
    }
}

/// Method, path, and the length of the body.
fn read(head: &str) -> Option<(&str, &str, usize)> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    if version != "HTTP/1.1" || first.next().is_some() {
        return None;
    }
    let mut len = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
        if name.eq_ignore_ascii_case("content-length") {
            let read = value.trim().parse().ok();
            let read = read.filter(|len| *len <= BODY_LEN_MAX)?;
            if len.replace(read).is_some() {
                return None;
            }
        }
    }
    let path = target.split('?').next()?;
    Some((method, path, len.unwrap_or(0)))
}

const HEAD_LEN_MAX: usize = 16 * 1024;
const BODY_LEN_MAX: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_or_waited_for() {
        let text = b"POST /v1/payments?x=1 HTTP/1.1\r\nHost: a\r\ncontent-length: 2\r\n\r\n{}GET";
        for cut in 0..text.len() - 3 {
            assert_eq!(split(&text[..cut]), Step::NeedMore, "{cut}");
        }
        let request = Request {
            method: "POST",
            path: "/v1/payments",
            head: "POST /v1/payments?x=1 HTTP/1.1\r\nHost: a\r\ncontent-length: 2",
            body: b"{}",
        };
        assert_eq!(request.header("HOST"), Some("a"));
        let len = text.len() - 3;
        assert_eq!(split(text), Step::Request { request, len });
    }

    #[test]
    fn what_cannot_be_followed_is_broken() {
        for text in [
            "GET / HTTP/1.0\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1 x\r\n\r\n",
            "GET / HTTP/1.1\r\nnothing\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-length: 32769\r\n\r\n",
        ] {
            assert_eq!(split(text.as_bytes()), Step::Broken, "{text}");
        }
        assert_eq!(split(&[b'a'; 16 * 1024 + 1]), Step::Broken);
    }
}

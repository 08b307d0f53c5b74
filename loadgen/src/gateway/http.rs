//! Cuts answers of HTTP/1.1 out of a stream: status, length and body; nothing else of it is used.

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// The connection ends behind it.
    pub(super) closes: bool,
    /// `Idempotency-Replayed: true`.
    pub(super) is_replayed: bool,
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    NeedMore,
    Answer {
        answer: Answer<'a>,
        consumed: usize,
    },
    /// It cannot be followed any further.
    Broken,
}

/// Takes the first answer. One without a length is broken: a gateway knows what it says.
pub(super) fn split(bytes: &[u8]) -> Step<'_> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_LEN_MAX {
            Step::Broken
        } else {
            Step::NeedMore
        };
    };
    let head = bytes.get(..end).unwrap_or_default();
    let Some(head) = std::str::from_utf8(head).ok().and_then(Head::read) else {
        return Step::Broken;
    };
    let begin = end + 4;
    match bytes.get(begin..begin + head.len) {
        None => Step::NeedMore,
        Some(body) => Step::Answer {
            answer: Answer {
                status: head.status,
                body,
                closes: head.closes,
                is_replayed: head.is_replayed,
            },
            consumed: begin + head.len,
        },
    }
}

struct Head {
    status: u16,
    len: usize,
    closes: bool,
    is_replayed: bool,
}

impl Head {
    fn read(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        if first.next() != Some("HTTP/1.1") {
            return None;
        }
        let status = first.next()?;
        let status = Some(status).filter(|status| status.len() == 3)?;
        let status = status.parse().ok().filter(|status| *status >= 200)?;
        let mut len = None;
        let (mut closes, mut is_replayed) = (false, false);
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                let read = value.parse().ok().filter(|len| *len <= BODY_LEN_MAX)?;
                if len.replace(read).is_some() {
                    return None;
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                return None;
            } else if name.eq_ignore_ascii_case("connection") {
                closes |= value.eq_ignore_ascii_case("close");
            } else if name.eq_ignore_ascii_case("idempotency-replayed") {
                is_replayed |= value == "true";
            }
        }
        Some(Self {
            status,
            len: len?,
            closes,
            is_replayed,
        })
    }
}

const HEAD_LEN_MAX: usize = 16 * 1024;
/// What one connection buffers at most, beside the head.
const BODY_LEN_MAX: usize = 64 * 1024;
/// Room for one answer.
pub(super) const BUFFER_LEN: usize = HEAD_LEN_MAX + BODY_LEN_MAX + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_waited_for() {
        let text = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nidempotency-replayed: true\r\n\
            \r\n{}HTTP/1.1";
        for cut in 0..text.len() - 8 {
            assert_eq!(split(&text[..cut]), Step::NeedMore, "{cut}");
        }
        let answer = Answer {
            status: 201,
            body: b"{}",
            closes: false,
            is_replayed: true,
        };
        let consumed = text.len() - 8;
        assert_eq!(split(text), Step::Answer { answer, consumed });
    }

    #[test]
    fn a_connection_may_end_behind_an_answer() {
        let text = b"HTTP/1.1 503 Refused\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n";
        assert!(matches!(
            split(text),
            Step::Answer {
                answer: Answer {
                    status: 503,
                    closes: true,
                    ..
                },
                ..
            }
        ));
    }

    #[test]
    fn what_cannot_be_followed_is_broken() {
        for text in [
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(split(text.as_bytes()), Step::Broken, "{text}");
        }
        let endless = vec![b'x'; HEAD_LEN_MAX + 1];
        assert_eq!(split(&endless), Step::Broken);
    }
}

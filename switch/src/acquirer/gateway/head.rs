//! Looks at the bytes of a connection before hyper does, and lets through only what nobody on the
//! way can have understood in another way (RFC 9112 §11): whole heads of bounded size, one length
//! or chunks and never both, strict line ends. Pure: bytes in, how many may go on out.
//!
//! ```text
//! Head ──(no body)──► Head          Head ──(length n)──► Body ──(n bytes)──► Head
//! Head ──(chunked)──► Size ──(n)──► Chunk ──► ChunkEnd ──► Size ──(0)──► LastEnd ──► Head
//! ```
//! Any doubt ends the connection: what follows on it means nothing any more.

use memchr::{memchr_iter, memchr2_iter};

use crate::acquirer::json::problem::Slug;

/// What is to be done with the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More must come first.
    NeedMore,
    /// So many of them go on.
    Pass(usize),
    /// None of them goes on; the connection ends with this answer.
    Refuse(Slug),
}

/// Where in its stream a connection is.
#[derive(Debug)]
pub(super) struct Scanner {
    state: State,
    /// Bytes of this body in chunks so far.
    body_len: usize,
    body_len_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body(usize),
    Size,
    Chunk(usize),
    ChunkEnd,
    LastEnd,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    None,
    Length(usize),
    Chunks,
}

impl Scanner {
    pub(super) const fn new(body_len_max: usize) -> Self {
        Self {
            state: State::Head,
            body_len: 0,
            body_len_max,
        }
    }

    /// Whether a body has begun and is not whole.
    pub(super) fn is_in_body(&self) -> bool {
        self.state != State::Head
    }

    /// What to do with `bytes`, which begin where the last step ended.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        if bytes.is_empty() {
            return Step::NeedMore;
        }
        match self.state {
            State::Head => self.head(bytes),
            State::Body(left) => {
                let taken = left.min(bytes.len());
                self.state = match left - taken {
                    0 => State::Head,
                    left => State::Body(left),
                };
                Step::Pass(taken)
            }
            State::Size => self.size(bytes),
            State::Chunk(left) => {
                let taken = left.min(bytes.len());
                self.state = match left - taken {
                    0 => State::ChunkEnd,
                    left => State::Chunk(left),
                };
                Step::Pass(taken)
            }
            State::ChunkEnd => self.line_end(bytes, State::Size),
            State::LastEnd => self.line_end(bytes, State::Head),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Step {
        let window = &bytes[..bytes.len().min(HEAD_LEN_MAX)];
        let end = match end_of(window) {
            Ok(Some(end)) => end,
            Ok(None) => return Self::unfinished(bytes),
            Err(slug) => return Step::Refuse(slug),
        };
        self.body_len = 0;
        match check(&bytes[..end], self.body_len_max) {
            Ok(body) => {
                self.state = match body {
                    Body::None | Body::Length(0) => State::Head,
                    Body::Length(len) => State::Body(len),
                    Body::Chunks => State::Size,
                };
                Step::Pass(end)
            }
            Err(slug) => Step::Refuse(slug),
        }
    }

    fn unfinished(bytes: &[u8]) -> Step {
        let line = bytes.iter().position(|byte| *byte == b'\r');
        if line.unwrap_or(bytes.len()) > TARGET_LEN_MAX + METHOD_AND_VERSION {
            return Step::Refuse(Slug::TargetTooLong);
        }
        if bytes.len() >= HEAD_LEN_MAX {
            return Step::Refuse(Slug::HeadTooLarge);
        }
        Step::NeedMore
    }

    /// Hexadecimal digits and a line end, no extension: nobody needs one, and parsers differ.
    fn size(&mut self, bytes: &[u8]) -> Step {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let len = digits.count();
        if len > CHUNK_DIGITS_MAX {
            return Step::Refuse(Slug::Malformed);
        }
        match (len, bytes.get(len), bytes.get(len + 1)) {
            (0, Some(_), _) => return Step::Refuse(Slug::Malformed),
            (_, None, _) | (_, Some(b'\r'), None) => return Step::NeedMore,
            (_, Some(b'\r'), Some(b'\n')) => {}
            (_, Some(_), _) => return Step::Refuse(Slug::Malformed),
        }
        let text = std::str::from_utf8(&bytes[..len]).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(text, 16) else {
            return Step::Refuse(Slug::Malformed);
        };
        self.body_len = self.body_len.saturating_add(size);
        if self.body_len > self.body_len_max {
            return Step::Refuse(Slug::TooLarge);
        }
        self.state = match size {
            0 => State::LastEnd,
            size => State::Chunk(size),
        };
        Step::Pass(len + 2)
    }

    /// No trailers: after the last chunk there is an empty line.
    fn line_end(&mut self, bytes: &[u8], next: State) -> Step {
        match bytes {
            [b'\r', b'\n', ..] => {
                self.state = next;
                Step::Pass(2)
            }
            [b'\r'] => Step::NeedMore,
            _ => Step::Refuse(Slug::Malformed),
        }
    }
}

/// Where a head ends, behind its first empty line that is not its first line; `None` when that has
/// not come. A line end without its other half before it is refused.
fn end_of(bytes: &[u8]) -> Result<Option<usize>, Slug> {
    let mut line = 0;
    for at in memchr2_iter(b'\r', b'\n', bytes) {
        if bytes[at] == b'\r' {
            if bytes.get(at + 1).is_some_and(|next| *next != b'\n') {
                return Err(Slug::Malformed);
            }
            continue;
        }
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(Slug::Malformed);
        }
        if line > 0 && at == line + 1 {
            return Ok(Some(at + 1));
        }
        line = at + 1;
    }
    Ok(None)
}

/// Checks a head with its empty line.
fn check(head: &[u8], body_len_max: usize) -> Result<Body, Slug> {
    let text = head.strip_suffix(b"\r\n\r\n").ok_or(Slug::Malformed)?;
    let mut ends = memchr_iter(b'\n', text).chain([text.len() + 1]);
    let mut from = 0;
    let mut line = || {
        let end = ends.next()?;
        let line = text.get(from..end - 1)?;
        from = end + 1;
        Some(line)
    };
    let request = Request::read(line().unwrap_or_default())?;
    let mut fields = Fields::default();
    while let Some(line) = line() {
        fields.take(line)?;
    }
    fields.body(request, body_len_max)
}

/// The first line.
#[derive(Clone, Copy, Debug)]
struct Request {
    is_post: bool,
    /// No path serves it.
    is_other: bool,
    is_1_1: bool,
}

impl Request {
    fn read(line: &[u8]) -> Result<Self, Slug> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (method, target, version) = (parts.next(), parts.next(), parts.next());
        let (Some(method), Some(target)) = (method, target) else {
            return Err(Slug::Malformed);
        };
        // HTTP/0.9 has no version.
        let version = version.ok_or(Slug::VersionNotSupported)?;
        let is_1_1 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ if version.starts_with(b"HTTP/") => return Err(Slug::VersionNotSupported),
            _ => return Err(Slug::Malformed),
        };
        let is_target = target.first() == Some(&b'/') && target.iter().all(u8::is_ascii_graphic);
        let is_method = !method.is_empty() && method.iter().all(u8::is_ascii_uppercase);
        if target.len() > TARGET_LEN_MAX {
            return Err(Slug::TargetTooLong);
        }
        if parts.next().is_some() || !is_target || !is_method {
            return Err(Slug::Malformed);
        }
        Ok(Self {
            is_post: method == b"POST",
            is_other: !matches!(method, b"GET" | b"HEAD" | b"POST"),
            is_1_1,
        })
    }
}

/// What the fields of a head say of its body.
#[derive(Debug, Default)]
struct Fields {
    count: usize,
    length: Option<usize>,
    is_chunked: bool,
    hosts: usize,
    expects: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), Slug> {
        self.count += 1;
        if self.count > FIELDS_MAX {
            return Err(Slug::HeadTooLarge);
        }
        // A line that begins with a blank continues the one before: nobody may send that.
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, rest) = line.split_at(colon.ok_or(Slug::Malformed)?);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(Slug::Malformed);
        }
        let value = rest[1..].trim_ascii();
        // To the end, whatever is found: so it is looked at many bytes at a time.
        let is_control = |byte: &u8| byte.is_ascii_control() & (*byte != b'\t');
        if value.iter().fold(false, |any, byte| any | is_control(byte)) {
            return Err(Slug::Malformed);
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("content-length") {
            return self.take_length(value);
        }
        if is("transfer-encoding") {
            return self.take_coding(value);
        }
        self.hosts += usize::from(is("host"));
        self.expects |= is("expect");
        Ok(())
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), Slug> {
        let is_number =
            (1..=LENGTH_DIGITS_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(value).map_err(|_| Slug::Malformed)?;
        let length = text.parse().ok().filter(|_| is_number);
        let length: usize = length.ok_or(Slug::Malformed)?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Slug::Malformed),
        }
    }

    fn take_coding(&mut self, value: &[u8]) -> Result<(), Slug> {
        let is_known = value.eq_ignore_ascii_case(b"chunked");
        if is_known && !std::mem::replace(&mut self.is_chunked, true) {
            Ok(())
        } else {
            Err(Slug::Malformed)
        }
    }

    fn body(&self, request: Request, body_len_max: usize) -> Result<Body, Slug> {
        if self.is_chunked && (self.length.is_some() || !request.is_1_1) {
            return Err(Slug::Malformed);
        }
        if self.hosts > 1 || (request.is_1_1 && self.hosts == 0) {
            return Err(Slug::Malformed);
        }
        if self.expects {
            return Err(Slug::ExpectationFailed);
        }
        let body = match self.length {
            _ if self.is_chunked => Body::Chunks,
            Some(length) => Body::Length(length),
            None if request.is_post => return Err(Slug::LengthRequired),
            None => Body::None,
        };
        match body {
            Body::Length(length) if length > body_len_max => Err(Slug::TooLarge),
            Body::Length(1..) | Body::Chunks if request.is_other => Err(Slug::MethodNotAllowed),
            // What a body of a GET means is not defined: proxies differ.
            Body::Length(1..) | Body::Chunks if !request.is_post => Err(Slug::Malformed),
            Body::None | Body::Length(_) | Body::Chunks => Ok(body),
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes of a head with its empty line.
pub(super) const HEAD_LEN_MAX: usize = 8 * 1024;
/// Bytes of a target.
const TARGET_LEN_MAX: usize = 2 * 1024;
/// More than the longest method and version with the blanks around the target take.
const METHOD_AND_VERSION: usize = 32;
/// Fields of a head.
const FIELDS_MAX: usize = 64;
/// Digits of a length: more bytes than these say are no body of ours.
const LENGTH_DIGITS_MAX: usize = 10;
/// Digits of a chunk's size.
const CHUNK_DIGITS_MAX: usize = 8;

#[cfg(test)]
mod tests;

//! Frames and headers: framing, form of the header and its length, cap of the endpoint (two bytes),
//! how the stream comes in pieces, then the stream.

use iso8583::error::{FrameError, WriteError};
use iso8583::frame::FrameStep;
use iso8583::header::{HeaderBytes, Stripped};
use iso8583::{Framing, Header};

use super::input::Input;

/// No bytes of a stream or a frame panic; a stream in pieces has the same frames; what is enclosed
/// and what a header is put before comes back.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let Some(framing) = Framing::ALL.get(usize::from(input.byte())).copied() else {
        return;
    };
    let form = form_of(input.byte(), input.byte());
    let frame_len_max = usize::from(input.word());
    let mut pieces = Pieces(u32::from(input.byte()));
    let stream = input.rest();
    let endpoint = Endpoint {
        framing,
        frame_len_max,
    };
    let whole = endpoint.events(stream, || usize::MAX);
    let in_pieces = endpoint.events(stream, || pieces.next_len());
    assert_eq!(in_pieces, whole, "{framing:?} in pieces");
    for event in &whole {
        if let Event::Message(message) = event {
            check_enclosed(framing, message);
            check_header(form, message);
        }
    }
    check_prefix(framing, frame_len_max * 5 / 4);
    check_enclosed(framing, stream);
    check_header(form, stream);
}

fn form_of(kind: u8, len: u8) -> Header {
    match kind % 5 {
        0 => Header::None,
        1 => Header::Tpdu,
        2 => Header::Base1,
        3 => Header::Base24,
        _ => Header::Fixed(len),
    }
}

/// One end of a connection.
#[derive(Clone, Copy)]
struct Endpoint {
    framing: Framing,
    frame_len_max: usize,
}

/// What comes out of a stream.
#[derive(Debug, PartialEq, Eq)]
enum Event<'a> {
    Message(&'a [u8]),
    KeepAlive(usize),
    Refused(FrameError),
    /// The stream has ended with so many bytes of a frame that is not whole.
    Rest(usize),
}

impl Endpoint {
    /// Splits a stream that comes in pieces, and looks after each of them, also when it was told
    /// that more is needed: then nothing else may be found.
    fn events(self, stream: &[u8], mut piece: impl FnMut() -> usize) -> Vec<Event<'_>> {
        let mut events = Vec::new();
        let (mut at, mut received, mut wanted) = (0_usize, 0_usize, 0);
        loop {
            let window = &stream[at..received];
            let step = self.framing.split(window, self.frame_len_max);
            let is_early = window.len() < wanted;
            match step {
                FrameStep::NeedMore { at_least } => {
                    self.check_wish(at_least, window.len());
                    wanted = at_least;
                    if received == stream.len() {
                        events.push(Event::Rest(window.len()));
                        return events;
                    }
                    received = received.saturating_add(piece()).min(stream.len());
                }
                _ if is_early => panic!("{step:?} before {wanted} bytes"),
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    self.check_frame(header, len, trailer);
                    self.check_said(&window[..header], len);
                    events.push(Event::Message(&window[header..header + len]));
                    (at, wanted) = (at + header + len + trailer, 0);
                }
                FrameStep::KeepAlive { consumed } => {
                    assert!(0 < consumed && consumed <= window.len());
                    events.push(Event::KeepAlive(consumed));
                    (at, wanted) = (at + consumed, 0);
                }
                FrameStep::Refused(error) => {
                    assert!(!error.to_string().is_empty());
                    events.push(Event::Refused(error));
                    return events;
                }
            }
        }
    }

    fn len_max(self) -> usize {
        self.frame_len_max.min(self.framing.len_max())
    }

    /// A peer cannot make anybody wait for more than a frame within the cap.
    fn check_wish(self, at_least: usize, len: usize) {
        let header = self.framing.header_len();
        let most = header + self.len_max() + self.framing.trailer_len();
        assert!(len < at_least && at_least <= most.max(header).max(1));
    }

    fn check_frame(self, header: usize, len: usize, trailer: usize) {
        assert_eq!(header, self.framing.header_len());
        assert_eq!(trailer, self.framing.trailer_len());
        assert!(MESSAGE_LEN_MIN <= len && len <= self.len_max());
    }

    /// A length is read as it is written; only hexadecimal letters and what `vml` says beside the
    /// length are free.
    fn check_said(self, prefix: &[u8], len: usize) {
        let mut written = [0xEE; 8];
        let written = &mut written[..prefix.len()];
        let written_len = self.framing.put_header(written, len);
        assert_eq!(written_len, Ok(prefix.len()));
        let is_same = match self.framing {
            Framing::Hex4 => written.eq_ignore_ascii_case(prefix),
            Framing::Vml => written[..3] == prefix[..3] && prefix[3] >> 4 != 2,
            _ => written == prefix,
        };
        assert!(is_same, "{:?}: {prefix:?} for {len}", self.framing);
    }
}

/// Lengths of pieces, 1 to 32 bytes; from 0 each is one byte.
struct Pieces(u32);

impl Pieces {
    fn next_len(&mut self) -> usize {
        if self.0 == 0 {
            return 1;
        }
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) | 1;
        usize::from(self.0.to_be_bytes()[0] % 32) + 1
    }
}

/// A message of any length in a frame: there is room for it or not, and it comes back.
fn check_enclosed(framing: Framing, message: &[u8]) {
    let (header, len) = (framing.header_len(), message.len());
    let trailer = if len == 0 && framing.is_transparent() {
        0
    } else {
        framing.trailer_len()
    };
    let mut frame = vec![0xEE; header + len + trailer];
    frame[header..header + len].copy_from_slice(message);
    let expected = if len > framing.len_max() {
        Err(WriteError::Full)
    } else if !framing.is_transparent() && message.contains(&END_OF_TEXT) {
        Err(WriteError::EndOfText)
    } else {
        Ok(frame.len())
    };
    assert_eq!(framing.enclose(&mut frame, len), expected, "{framing:?}");
    if expected.is_err() {
        return;
    }
    assert_eq!(&frame[header..header + len], message);
    let step = framing.split(&frame, usize::MAX);
    let expected = match len {
        0 => FrameStep::KeepAlive {
            consumed: frame.len(),
        },
        1..MESSAGE_LEN_MIN => FrameStep::Refused(FrameError::TooShort { len }),
        _ => FrameStep::Frame {
            header,
            len,
            trailer,
        },
    };
    assert_eq!(step, expected, "{framing:?}");
    if let Some(shorter) = frame.len().checked_sub(1) {
        let no_room = framing.enclose(&mut frame[..shorter], len);
        assert_eq!(no_room, Err(WriteError::Full));
    }
}

/// A prefix alone, for a message of any length.
fn check_prefix(framing: Framing, len: usize) {
    let mut prefix = [0xEE; 8];
    let written = framing.put_header(&mut prefix, len);
    if len > framing.len_max() {
        assert_eq!(written, Err(WriteError::Full), "{framing:?} {len}");
        return;
    }
    let header = framing.header_len();
    assert_eq!(written, Ok(header), "{framing:?} {len}");
    let step = framing.split(&prefix[..header], usize::MAX);
    let expected = match len {
        _ if header == 0 => FrameStep::NeedMore { at_least: 1 },
        0 => FrameStep::KeepAlive { consumed: header },
        1..MESSAGE_LEN_MIN => FrameStep::Refused(FrameError::TooShort { len }),
        _ => FrameStep::NeedMore {
            at_least: header + len + framing.trailer_len(),
        },
    };
    assert_eq!(step, expected, "{framing:?} {len}");
}

/// What a frame holds, with and without a header of this form.
fn check_header(form: Header, frame: &[u8]) {
    let stripped = form.strip(frame);
    let expected = is_header_of(form, frame);
    assert_eq!(stripped.is_ok(), expected, "{form:?} {stripped:?}");
    match stripped {
        Ok(Stripped::Message { header, message }) => {
            assert_eq!([header.as_bytes(), message].concat(), frame, "{form:?}");
            assert_eq!(header.reply().reply(), header);
            check_put(header, message);
            check_put(header.reply(), message);
            check_named(header);
        }
        Ok(Stripped::Rejected {
            code,
            header,
            message,
        }) => {
            assert_eq!(form, Header::Base1);
            assert!(code.0 <= 9999 && code.to_string().len() == 4);
            let given_back = [header.as_bytes(), message].concat();
            assert_eq!(&frame[REJECT_LEN..], given_back);
            check_put(header, message);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The rule of a form in short.
fn is_header_of(form: Header, frame: &[u8]) -> bool {
    let header = frame.get(..form.len());
    match form {
        Header::None => true,
        Header::Tpdu => header.is_some_and(|header| header[0] == 0x60),
        Header::Base24 => header.is_some_and(|header| {
            header.starts_with(b"ISO") && header.iter().all(|byte| (0x20..0x7F).contains(byte))
        }),
        Header::Fixed(len) => header.is_some() && usize::from(len) <= Header::LEN_MAX,
        Header::Base1 => header.is_some_and(|header| {
            let total = u16::from_be_bytes([header[3], header[4]]);
            usize::from(total) == frame.len()
                && match header[0] {
                    22 => header[1] & 0x80 == 0,
                    26 => is_reject(frame),
                    _ => false,
                }
        }),
    }
}

/// The bit of a reject, four digits of a code, and the header of what is given back.
fn is_reject(frame: &[u8]) -> bool {
    let is_digits = |byte: u8| byte >> 4 < 10 && byte & 0xF < 10;
    frame.len() >= REJECT_LEN + Header::Base1.len()
        && frame[22] & 0x80 != 0
        && is_digits(frame[24])
        && is_digits(frame[25])
        && frame[REJECT_LEN] == 22
}

/// A header that is put before a message is taken off again. What a reject gives back may say
/// another length than it has; in its place the right one is put.
fn check_put(header: HeaderBytes, message: &[u8]) {
    let (form, len) = (header.form(), header.as_bytes().len());
    let mut frame = vec![0; len];
    frame.extend_from_slice(message);
    if form == Header::Base1 && frame.len() > usize::from(u16::MAX) {
        return;
    }
    assert_eq!(header.put(&mut frame, message.len()), Ok(len));
    let differs = |at: &usize| frame[*at] != header.as_bytes()[*at];
    let total = 3..5;
    assert!((0..len).filter(differs).all(|at| total.contains(&at)));
    if len > 0 {
        let room = &mut vec![0; len - 1];
        assert_eq!(header.put(room, message.len()), Err(WriteError::Full));
    }
    // A header that says that another one follows is one only within a reject.
    let says_another = form == Header::Base1 && frame[1] & 0x80 != 0;
    match form.strip(&frame) {
        Ok(Stripped::Message {
            header: found,
            message: behind,
        }) => {
            assert_eq!(found.as_bytes(), &frame[..len]);
            assert_eq!(behind, message);
        }
        other => assert!(says_another, "{form:?} {other:?}"),
    }
}

/// What a form is called, and a header in digits.
fn check_named(header: HeaderBytes) {
    let form = header.form();
    let is_empty = form == Header::Fixed(0);
    let expected = (!is_empty).then_some(form);
    assert_eq!(Header::by_name(&form.to_string()), expected);
    if let Header::Base24 | Header::Fixed(1..) = form {
        let pair = |byte: &u8| format!("{byte:02x}");
        let digits: String = header.as_bytes().iter().map(pair).collect();
        assert_eq!(form.verbatim(&digits), Some(header));
    }
}

/// Nothing shorter is a message in any dialect.
const MESSAGE_LEN_MIN: usize = 10;
const END_OF_TEXT: u8 = 3;
/// What stands in a reject before what it gives back.
const REJECT_LEN: usize = 26;

//! A stream cut into messages: frames, headers, and what is wrong with them.

use iso8583::frame::FrameStep;
use iso8583::header::{HeaderBytes, RejectCode, Stripped};
use iso8583::{Framing, Header};

/// How messages stand in a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    /// `None` when there is one message and nothing around it.
    pub(super) framing: Option<Framing>,
    pub(super) header: Header,
}

/// A piece of a stream.
#[derive(Debug)]
pub(super) struct Piece<'b> {
    /// Bytes from the start of the stream.
    pub(super) offset: usize,
    /// Bytes of it, prefix and trailer included.
    pub(super) len: usize,
    pub(super) content: Content<'b>,
}

/// What a piece holds.
#[derive(Debug)]
pub(super) enum Content<'b> {
    Message(Message<'b>),
    /// A frame without a message.
    KeepAlive,
    /// Neither frame nor header can be read: why, and at which byte of the stream.
    Refused {
        offset: usize,
        rule: String,
    },
}

/// A message behind its header.
#[derive(Debug)]
pub(super) struct Message<'b> {
    pub(super) header: Option<HeaderBytes>,
    /// The network gave the message back.
    pub(super) reject: Option<RejectCode>,
    pub(super) bytes: &'b [u8],
    /// What is wrong with the frame around it: its end is missing.
    pub(super) cut: Option<String>,
}

impl Wire {
    /// The pieces of a stream, up to the first frame of which nobody knows where it ends.
    pub(super) fn cut(self, stream: &[u8]) -> impl Iterator<Item = Piece<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let offset = at;
            let rest = stream.get(at..).unwrap_or_default();
            let (len, content) = match self.framing {
                Some(framing) if !rest.is_empty() => self.framed(framing, rest, at),
                // An empty message is one too.
                None if at <= stream.len() => (rest.len() + 1, self.opened(rest, at, None)),
                Some(_) | None => return None,
            };
            debug_assert!(len > 0, "a frame takes some of the stream");
            at += len.max(1);
            Some(Piece {
                offset,
                len,
                content,
            })
        })
    }

    /// The frame at the start of `rest`, which stands at `at`, and how long it is.
    fn framed(self, framing: Framing, rest: &[u8], at: usize) -> (usize, Content<'_>) {
        match framing.split(rest, framing.len_max()) {
            FrameStep::Frame {
                header,
                len,
                trailer,
            } => {
                let held = rest.get(header..header + len).unwrap_or_default();
                (header + len + trailer, self.opened(held, at + header, None))
            }
            FrameStep::KeepAlive { consumed } => (consumed, Content::KeepAlive),
            FrameStep::Refused(error) => (rest.len(), refused(at, error.to_string())),
            FrameStep::NeedMore { at_least } => {
                let rule = format!("the frame ends after {} bytes of {at_least}", rest.len());
                let held = rest.get(framing.header_len()..).unwrap_or_default();
                let content = if held.is_empty() {
                    refused(at, rule)
                } else {
                    self.opened(held, at + framing.header_len(), Some(rule))
                };
                (rest.len(), content)
            }
        }
    }

    /// What a frame holds, behind its header.
    fn opened(self, held: &[u8], at: usize, cut: Option<String>) -> Content<'_> {
        let message = |header: HeaderBytes, reject, bytes| {
            Content::Message(Message {
                header: (self.header != Header::None).then_some(header),
                reject,
                bytes,
                cut: cut.clone(),
            })
        };
        match self.header.strip(held) {
            Ok(Stripped::Message {
                header,
                message: bytes,
            }) => message(header, None, bytes),
            Ok(Stripped::Rejected {
                code,
                header,
                message: bytes,
            }) => message(header, Some(code), bytes),
            Err(error) => refused(at, error.to_string()),
        }
    }
}

fn refused(offset: usize, rule: String) -> Content<'static> {
    Content::Refused { offset, rule }
}

/// What a header says, by the names of its parts. Of a form that is not looked at only the length
/// is told: where the form is the wrong one, its bytes are those of a message.
pub(super) fn told(header: &HeaderBytes, reject: Option<RejectCode>) -> Vec<(String, String)> {
    let bytes = header.as_bytes();
    let hex = |from: usize, to: usize| hex(bytes.get(from..to).unwrap_or_default());
    let named = |pairs: &[(&str, String)]| -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        pairs.iter().map(owned).collect()
    };
    let mut told = match header.form() {
        Header::None => Vec::new(),
        Header::Tpdu => named(&[
            ("id", hex(0, 1)),
            ("destination", hex(1, 3)),
            ("source", hex(3, 5)),
        ]),
        Header::Base1 => named(&[
            ("header_length", number(bytes, 0..1)),
            ("header_format", hex(1, 2)),
            ("text_format", hex(2, 3)),
            ("total_length", number(bytes, 3..5)),
            ("destination", hex(5, 8)),
            ("source", hex(8, 11)),
            ("round_trip", hex(11, 12)),
            ("flags", hex(12, 14)),
            ("status", hex(14, 17)),
            ("batch", hex(17, 18)),
            ("reserved", hex(18, 21)),
            ("user_info", hex(21, 22)),
        ]),
        Header::Base24 => named(&[("text", bytes.escape_ascii().to_string())]),
        Header::Fixed(len) => named(&[("length", len.to_string())]),
    };
    told.extend(reject.map(|code| ("reject_code".to_owned(), code.to_string())));
    told
}

/// Upper-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A big-endian number in decimal digits.
fn number(bytes: &[u8], place: std::ops::Range<usize>) -> String {
    let digits = bytes.get(place).unwrap_or_default().iter();
    let number = digits.fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each piece is: bytes of a message, `-` for a keep-alive, or why not.
    #[track_caller]
    fn check(framing: &str, header: &str, stream: &[u8], expected: &[&str]) {
        let wire = Wire {
            framing: Framing::by_name(framing),
            header: Header::by_name(header).unwrap(),
        };
        let shown = |piece: &Piece<'_>| match &piece.content {
            Content::Message(message) => {
                let cut = message.cut.clone().unwrap_or_default();
                format!("{}{cut}", message.bytes.escape_ascii())
            }
            Content::KeepAlive => "-".to_owned(),
            Content::Refused { offset, rule } => format!("{offset}: {rule}"),
        };
        let pieces: Vec<String> = wire.cut(stream).map(|piece| shown(&piece)).collect();
        assert_eq!(pieces, expected);
    }

    #[test]
    fn frames_stand_one_behind_the_other() {
        let two = b"\x00\x0A0123456789\x00\x00\x00\x0Aabcdefghij";
        check("be16", "none", two, &["0123456789", "-", "abcdefghij"]);
        check("none", "none", b"\x00\x0A01", &["\\x00\\n01"]);
        check("etx", "none", b"0123456789\x03", &["0123456789"]);
    }

    #[test]
    fn a_frame_that_is_cut_is_shown_as_far_as_it_goes() {
        check(
            "be16",
            "none",
            b"\x00\x0B0123456789",
            &["0123456789the frame ends after 12 bytes of 13"],
        );
        check(
            "be16",
            "none",
            b"\x00",
            &["0: the frame ends after 1 bytes of 2"],
        );
    }

    #[test]
    fn behind_a_frame_that_cannot_be_read_nothing_is() {
        let bad = b"\x00\x0A0123456789\x00\x01x";
        check(
            "be16",
            "none",
            bad,
            &[
                "0123456789",
                "12: a frame of 1 bytes is shorter than any message",
            ],
        );
    }

    #[test]
    fn behind_a_header_that_cannot_be_read_is_the_next_frame() {
        check(
            "be16",
            "tpdu",
            b"\x00\x0A0123456789\x00\x0A\x60123456789",
            &["2: byte 0 of the header is not one of its form", "56789"],
        );
    }

    #[test]
    fn a_header_is_told_by_its_parts() {
        let wire = Wire {
            framing: None,
            header: Header::Tpdu,
        };
        let pieces: Vec<Piece<'_>> = wire.cut(&[0x60, 0, 1, 0xAB, 2, 9, 9]).collect();
        let [
            Piece {
                content: Content::Message(message),
                ..
            },
        ] = &pieces[..]
        else {
            panic!("{pieces:?}");
        };
        let told = told(message.header.as_ref().unwrap(), Some(RejectCode(17)));
        let told: Vec<String> = told
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        assert_eq!(
            told,
            [
                "id 60",
                "destination 0001",
                "source AB02",
                "reject_code 0017"
            ]
        );
    }
}

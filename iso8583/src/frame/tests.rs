//! Streams cut anywhere, and lengths that lie, in every framing.

use std::format;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const MAX: usize = 8192;

#[track_caller]
fn check(framing: Framing, buf: &[u8], expected: FrameStep) {
    assert_eq!(framing.split(buf, MAX), expected, "{}", framing.name());
}

#[track_caller]
fn check_refused(framing: Framing, buf: &[u8], expected: FrameError) {
    check(framing, buf, FrameStep::Refused(expected));
}

fn framed(framing: Framing, message: &[u8]) -> Vec<u8> {
    let header = framing.header_len();
    let mut out = std::vec![0xEE; header + message.len() + framing.trailer_len()];
    out[header..header + message.len()].copy_from_slice(message);
    let len = framing.enclose(&mut out, message.len()).unwrap();
    out.truncate(len);
    out
}

/// Feeds `stream` in pieces of the given sizes, as a connection does, and collects the messages.
fn reassemble(
    framing: Framing,
    stream: &[u8],
    pieces: impl IntoIterator<Item = usize>,
) -> Vec<Vec<u8>> {
    let (mut received, mut fed, mut messages) = (Vec::new(), 0, Vec::new());
    for piece in pieces {
        let end = stream.len().min(fed + piece);
        received.extend_from_slice(&stream[fed..end]);
        fed = end;
        loop {
            match framing.split(&received, MAX) {
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    messages.push(received[header..header + len].to_vec());
                    received.drain(..header + len + trailer);
                }
                FrameStep::KeepAlive { consumed } => {
                    assert!(consumed > 0, "a stream moves on");
                    messages.push(Vec::new());
                    received.drain(..consumed);
                }
                FrameStep::NeedMore { at_least } => {
                    assert!(at_least > received.len(), "more is asked for than is there");
                    break;
                }
                FrameStep::Refused(error) => panic!("{}: {error}", framing.name()),
            }
        }
    }
    assert!(received.is_empty(), "{}", framing.name());
    messages
}

/// The prefix of a message of 16 bytes, by hand, and what stands behind it.
fn wire_of_sixteen(framing: Framing) -> (&'static [u8], &'static [u8]) {
    match framing {
        Framing::Be16 => (&[0, 16], &[]),
        Framing::Be16Incl => (&[0, 18], &[]),
        Framing::Le16 => (&[16, 0], &[]),
        Framing::Le16Incl => (&[18, 0], &[]),
        Framing::Be16Zeros => (&[0, 16, 0, 0], &[]),
        Framing::ZerosBe16 => (&[0, 0, 0, 16], &[]),
        Framing::Be24 => (&[0, 0, 16], &[]),
        Framing::Be24Incl => (&[0, 0, 19], &[]),
        Framing::Le24 => (&[16, 0, 0], &[]),
        Framing::Le24Incl => (&[19, 0, 0], &[]),
        Framing::Be32 => (&[0, 0, 0, 16], &[]),
        Framing::Be32Incl => (&[0, 0, 0, 20], &[]),
        Framing::Le32 => (&[16, 0, 0, 0], &[]),
        Framing::Le32Incl => (&[20, 0, 0, 0], &[]),
        Framing::Ascii2 => (b"16", &[]),
        Framing::Ascii2Incl => (b"18", &[]),
        Framing::Ascii3 => (b"016", &[]),
        Framing::Ascii3Incl => (b"019", &[]),
        Framing::Ascii4 => (b"0016", &[]),
        Framing::Ascii4Incl => (b"0020", &[]),
        Framing::Ascii5 => (b"00016", &[]),
        Framing::Ascii5Incl => (b"00021", &[]),
        Framing::Ascii6 => (b"000016", &[]),
        Framing::Ascii6Incl => (b"000022", &[]),
        Framing::Hex4 => (b"0010", &[]),
        Framing::Bcd2 => (&[0x00, 0x16], &[]),
        Framing::Vml => (&[0, 16, 0, 0], &[]),
        Framing::Rbp => (&[0xD0, 0x4A, 0, 16, 0, 0], &[]),
        Framing::Etx => (&[], &[3]),
        Framing::Be16Etx => (&[0, 17], &[3]),
    }
}

#[test]
fn every_framing_has_its_bytes() {
    let message = b"0800message body";
    for framing in Framing::ALL {
        let (prefix, behind) = wire_of_sixteen(framing);
        let expected = [prefix, message, behind].concat();
        assert_eq!(framed(framing, message), expected, "{}", framing.name());
        let whole = FrameStep::Frame {
            header: prefix.len(),
            len: 16,
            trailer: behind.len(),
        };
        check(framing, &expected, whole);
        check(framing, &[&expected[..], b"next"].concat(), whole);
    }
}

#[test]
fn a_frame_is_asked_for_byte_by_byte() {
    for framing in Framing::ALL {
        let frame = framed(framing, b"0800message body");
        for received in 0..frame.len() {
            let at_least = match framing.header_len() {
                0 => received + 1,
                header if received < header => header,
                _ => frame.len(),
            };
            check(
                framing,
                &frame[..received],
                FrameStep::NeedMore { at_least },
            );
        }
    }
}

#[test]
fn sixty_four_frames_in_one_buffer_or_byte_by_byte() {
    for framing in Framing::ALL {
        let longest = framing.len_max().min(200);
        let messages: Vec<Vec<u8>> = (0..64_usize)
            .map(|n| std::vec![b'x'; (10 + n * 3).min(longest)])
            .collect();
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| framed(framing, message))
            .collect();
        assert_eq!(reassemble(framing, &stream, [stream.len()]), messages);
        let bytes = std::iter::repeat_n(1, stream.len());
        assert_eq!(reassemble(framing, &stream, bytes), messages);
    }
}

#[test]
fn fault_075_frames_are_cut_at_every_offset() {
    for framing in Framing::ALL {
        let messages = [&b"0800message body"[..], &[], b"0810another"].map(<[u8]>::to_vec);
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| framed(framing, message))
            .collect();
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [first, second - first, stream.len() - second];
                assert_eq!(
                    reassemble(framing, &stream, pieces),
                    messages,
                    "{first} {second}"
                );
            }
        }
    }
}

#[test]
fn fault_073_lengths_above_the_cap_are_refused_before_the_frame_is_there() {
    let too_long = |framing, prefix: &[u8], len| {
        check_refused(
            framing,
            prefix,
            FrameError::TooLong {
                len,
                frame_len_max: MAX,
            },
        );
    };
    too_long(Framing::Be16, &[0xFF, 0xFF], 0xFFFF);
    too_long(Framing::Be16, &[0x20, 0x01], 8193);
    too_long(Framing::Be16, b"00A4", 0x3030);
    too_long(Framing::Be16Incl, &[0x20, 0x03], 8193);
    too_long(Framing::Le16, &[0x01, 0x20], 8193);
    too_long(Framing::Be24, &[0xFF, 0xFF, 0xFF], 0xFF_FFFF);
    too_long(Framing::Be24Incl, &[0, 0x20, 0x04], 8193);
    too_long(Framing::Le24, &[0x01, 0x20, 0], 8193);
    too_long(Framing::Le24Incl, &[0x04, 0x20, 0], 8193);
    too_long(Framing::Be32, &[0x80, 0, 0, 0], 0x8000_0000);
    too_long(Framing::Be32, b"GET ", 0x4745_5420);
    too_long(Framing::Le32, &[0, 0, 0, 0x80], 0x8000_0000);
    too_long(Framing::Le32Incl, &[0x05, 0x20, 0, 0], 8193);
    too_long(Framing::Ascii4, b"8193", 8193);
    too_long(Framing::Ascii6Incl, b"999999", 999_993);
    too_long(Framing::Hex4, b"2001", 8193);
    too_long(Framing::Bcd2, &[0x81, 0x93], 8193);
    too_long(Framing::Be16Etx, &[0x20, 0x02], 8193);
    check(
        Framing::Be16,
        &[0x20, 0x00],
        FrameStep::NeedMore { at_least: 8194 },
    );
    check(
        Framing::Be16Incl,
        &[0x20, 0x02],
        FrameStep::NeedMore { at_least: 8194 },
    );
}

#[test]
fn a_framing_may_have_a_lower_cap_of_its_own() {
    let frame_len_max = 2048;
    let error = FrameError::TooLong {
        len: 2049,
        frame_len_max,
    };
    check_refused(Framing::Vml, &[0x08, 0x01, 0, 0], error);
    check(
        Framing::Vml,
        &[0x08, 0, 0, 0],
        FrameStep::NeedMore { at_least: 2052 },
    );
    assert_eq!(
        Framing::Vml.put_header(&mut [0; 4], 2049),
        Err(WriteError::Full)
    );
    let most = [b'x'; 4097];
    check(
        Framing::Etx,
        &most[..4096],
        FrameStep::NeedMore { at_least: 4097 },
    );
    check_refused(
        Framing::Etx,
        &most,
        FrameError::NoEnd {
            frame_len_max: 4096,
        },
    );
    let past = [&most[..], &[3]].concat();
    check_refused(
        Framing::Etx,
        &past,
        FrameError::NoEnd {
            frame_len_max: 4096,
        },
    );
    // No cap of an endpoint is above what an offset can say.
    let refused = Framing::Be32.split(&[0, 1, 0, 0], usize::MAX);
    assert!(matches!(
        refused,
        FrameStep::Refused(FrameError::TooLong { .. })
    ));
}

#[test]
fn fault_073_lengths_below_a_message_are_refused() {
    let too_short = |framing, prefix: &[u8], len| {
        check_refused(framing, prefix, FrameError::TooShort { len });
    };
    too_short(Framing::Be16, &[0, 1], 1);
    too_short(Framing::Be16, &[0, 9], 9);
    check(
        Framing::Be16,
        &[0, 10],
        FrameStep::NeedMore { at_least: 12 },
    );
    too_short(Framing::Be16Incl, &[0, 3], 1);
    too_short(Framing::Ascii4, b"0009", 9);
    too_short(Framing::Vml, &[0, 9, 0, 0], 9);
    too_short(Framing::Be16Etx, &[0, 1], 0);
    too_short(Framing::Etx, b"x\x03", 1);
    let below = |framing, prefix: &[u8], value| {
        check_refused(framing, prefix, FrameError::BelowItself { value });
    };
    below(Framing::Be16Incl, &[0, 1], 1);
    below(Framing::Le16Incl, &[1, 0], 1);
    below(Framing::Be32Incl, &[0, 0, 0, 3], 3);
    below(Framing::Ascii4Incl, b"0003", 3);
}

#[test]
fn fault_073_what_is_no_number_is_refused() {
    for (bytes, offset) in [(b"-001", 0), (b"00A4", 2), (b"12 4", 2), (b"+123", 0)] {
        check_refused(Framing::Ascii4, bytes, FrameError::NotADigit { offset });
    }
    check_refused(Framing::Hex4, b"00G0", FrameError::NotADigit { offset: 2 });
    check_refused(Framing::Bcd2, &[0x1A, 0], FrameError::NotBcd { offset: 0 });
    check_refused(Framing::Bcd2, &[0, 0xF0], FrameError::NotBcd { offset: 1 });
    let mut digits = [0; 4];
    assert_eq!(Framing::Hex4.put_header(&mut digits, 171), Ok(4));
    assert_eq!(&digits, b"00ab", "in lower case");
    for digits in [b"00ab", b"00AB", b"00aB"] {
        check(Framing::Hex4, digits, FrameStep::NeedMore { at_least: 175 });
    }
}

#[test]
fn fixed_bytes_are_looked_at() {
    let not_fixed = |framing, prefix: &[u8], offset| {
        check_refused(framing, prefix, FrameError::NotFixed { offset });
    };
    not_fixed(Framing::Be16Zeros, &[0, 16, 0, 1], 3);
    not_fixed(Framing::ZerosBe16, &[1, 0, 0, 16], 0);
    not_fixed(Framing::Vml, &[0, 16, 1, 0], 2);
    not_fixed(Framing::Rbp, &[0xD0, 0x4B, 0, 16, 0, 0], 1);
    not_fixed(Framing::Rbp, &[0xD0, 0x4A, 0, 16, 0, 1], 5);
    let more = [0xD0, 0x4A, 0, 16, 1, 0];
    check_refused(Framing::Rbp, &more, FrameError::MoreFollows);
    let mut frame = framed(Framing::Be16Etx, b"0800message body");
    frame[18] = b'.';
    check_refused(
        Framing::Be16Etx,
        &frame,
        FrameError::NoTrailer { offset: 18 },
    );
}

#[test]
fn an_empty_frame_is_a_keep_alive() {
    for framing in Framing::ALL {
        let empty = framed(framing, &[]);
        let consumed = empty.len();
        check(framing, &empty, FrameStep::KeepAlive { consumed });
        check(
            framing,
            &[&empty[..], &[0, 16]].concat(),
            FrameStep::KeepAlive { consumed },
        );
        let is_value_zero = framing.header_len() > 0 && framing != Framing::Rbp;
        if is_value_zero && !framing.name().starts_with(['a', 'h']) {
            let zeros = [0; 4];
            let consumed = framing.header_len();
            check(
                framing,
                &zeros[..consumed],
                FrameStep::KeepAlive { consumed },
            );
        }
    }
    assert_eq!(framed(Framing::Be16, &[]), [0, 0]);
    assert_eq!(framed(Framing::Be16Incl, &[]), [0, 2]);
    assert_eq!(framed(Framing::Ascii4, &[]), b"0000");
    assert_eq!(framed(Framing::Vml, &[]), [0, 0, 0, 0x20]);
    assert_eq!(framed(Framing::Etx, &[]), [3]);
    assert_eq!(framed(Framing::Be16Etx, &[]), [0, 0]);
    check(
        Framing::Ascii4Incl,
        b"0000",
        FrameStep::KeepAlive { consumed: 4 },
    );
}

#[test]
fn a_heartbeat_is_taken_with_its_content() {
    let heartbeat = [&[0, 15, 0, 0x20][..], &[7; 15]].concat();
    for received in 4..heartbeat.len() {
        let at_least = heartbeat.len();
        check(
            Framing::Vml,
            &heartbeat[..received],
            FrameStep::NeedMore { at_least },
        );
    }
    check(
        Framing::Vml,
        &heartbeat,
        FrameStep::KeepAlive { consumed: 19 },
    );
    let short = [0, 3, 0, 0x21, 7, 7, 7];
    check(Framing::Vml, &short, FrameStep::KeepAlive { consumed: 7 });
    let platform = [0, 16, 0, 0x01];
    check(
        Framing::Vml,
        &platform,
        FrameStep::NeedMore { at_least: 20 },
    );
}

#[test]
fn what_cannot_be_written_is_an_error() {
    for framing in Framing::ALL {
        let len_max = framing.len_max();
        let (header, trailer) = (framing.header_len(), framing.trailer_len());
        let mut out = std::vec![b'x'; header + len_max + trailer + 1];
        let written = framing.enclose(&mut out, len_max);
        assert_eq!(
            written,
            Ok(header + len_max + trailer),
            "{}",
            framing.name()
        );
        let whole = FrameStep::Frame {
            header,
            len: len_max,
            trailer,
        };
        assert_eq!(framing.split(&out, usize::MAX), whole, "{}", framing.name());
        assert_eq!(framing.put_header(&mut out, len_max), Ok(header));
        assert_eq!(
            framing.put_header(&mut out, len_max + 1),
            Err(WriteError::Full)
        );
        if header > 0 {
            let short = &mut out[..header - 1];
            assert_eq!(framing.put_header(short, 5), Err(WriteError::Full));
        }
        let no_room = &mut out[..header + 16 + trailer - 1];
        assert_eq!(framing.enclose(no_room, 16), Err(WriteError::Full));
    }
}

#[test]
fn a_message_never_holds_the_byte_that_ends_it() {
    let mut out = *b"0800\x03essage body.";
    assert_eq!(
        Framing::Etx.enclose(&mut out, 16),
        Err(WriteError::EndOfText)
    );
    let message = b"0800\x03essage body";
    assert_eq!(framed(Framing::Be16Etx, message).len(), 19);
}

#[test]
fn framings_are_found_by_name() {
    for framing in Framing::ALL {
        assert_eq!(Framing::by_name(framing.name()), Some(framing));
    }
    assert_eq!(Framing::by_name("ascii"), Some(Framing::Ascii4));
    assert_eq!(Framing::by_name("ascii-incl"), Some(Framing::Ascii4Incl));
    assert_eq!(Framing::by_name("be17"), None);
    assert_eq!(
        Framing::by_name("ascii1"),
        None,
        "no message has nine bytes"
    );
    assert_eq!(Framing::Be16.header_len(), 2);
    let opaque = Framing::ALL
        .into_iter()
        .filter(|framing| !framing.is_transparent());
    assert_eq!(opaque.collect::<Vec<_>>(), [Framing::Etx]);
}

#[test]
fn errors_name_what_and_where() {
    let told = format!("{}", FrameError::NotADigit { offset: 2 });
    assert_eq!(told, "byte 2 of the length is no digit");
}

fn any_framing() -> impl Strategy<Value = Framing> {
    prop::sample::select(Framing::ALL.to_vec())
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter(
        framing in any_framing(),
        messages in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 10..300),
                Just(Vec::new()),
            ],
            0..20,
        ),
        pieces in proptest::collection::vec(1..400_usize, 1..50),
    ) {
        let suited = |mut message: Vec<u8>| {
            message.truncate(framing.len_max());
            if !framing.is_transparent() {
                message.iter_mut().for_each(|byte| *byte |= 0x80);
            }
            message
        };
        let messages: Vec<Vec<u8>> = messages.into_iter().map(suited).collect();
        let stream: Vec<u8> = messages
            .iter()
            .flat_map(|message| framed(framing, message))
            .collect();
        let rest = std::iter::once(stream.len());
        let pieces = pieces.into_iter().chain(rest);
        prop_assert_eq!(reassemble(framing, &stream, pieces), messages);
    }

    #[test]
    fn the_short_way_of_be16_says_what_its_row_says(
        len in 0..64_usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        frame_len_max in 0..64_usize,
    ) {
        let mut stream = std::vec![0, u8::try_from(len).unwrap()];
        stream.extend(bytes);
        let by_row = Framing::Be16.split_by_row(&stream, frame_len_max);
        prop_assert_eq!(Framing::Be16.split(&stream, frame_len_max), by_row);
    }

    #[test]
    fn no_bytes_make_a_frame_beyond_the_cap(
        framing in any_framing(),
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        frame_len_max in 0..600_usize,
    ) {
        match framing.split(&bytes, frame_len_max) {
            FrameStep::NeedMore { at_least } => {
                prop_assert!(at_least > bytes.len());
                let most = framing.header_len() + frame_len_max + framing.trailer_len();
                prop_assert!(at_least <= most.max(framing.header_len()));
            }
            FrameStep::Frame { header, len, trailer } => {
                prop_assert!((MESSAGE_LEN_MIN..=frame_len_max).contains(&len));
                prop_assert!(header + len + trailer <= bytes.len());
                prop_assert_eq!(header, framing.header_len());
            }
            FrameStep::KeepAlive { consumed } => {
                prop_assert!(consumed > 0 && consumed <= bytes.len());
            }
            FrameStep::Refused(_) => {}
        }
    }
}

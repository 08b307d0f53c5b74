//! Streams cut anywhere, and lengths that lie.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const MAX: usize = 8192;

#[track_caller]
fn check(buf: &[u8], expected: FrameStep) {
    assert_eq!(Framing::Be16.split(buf, MAX), expected);
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = [0; 2];
    assert_eq!(Framing::Be16.put_header(&mut out, message.len()), Ok(2));
    [&out[..], message].concat()
}

/// Feeds `stream` in pieces of the given sizes, as a connection does, and collects the messages.
fn reassemble(stream: &[u8], pieces: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    let (mut received, mut fed, mut messages) = (Vec::new(), 0, Vec::new());
    for piece in pieces {
        let end = stream.len().min(fed + piece);
        received.extend_from_slice(&stream[fed..end]);
        fed = end;
        loop {
            match Framing::Be16.split(&received, MAX) {
                FrameStep::Frame { header, len } => {
                    messages.push(received[header..header + len].to_vec());
                    received.drain(..header + len);
                }
                FrameStep::KeepAlive { consumed } => {
                    messages.push(Vec::new());
                    received.drain(..consumed);
                }
                FrameStep::NeedMore { at_least } => {
                    assert!(at_least > received.len(), "more is asked for than is there");
                    break;
                }
                FrameStep::Refused(error) => panic!("{error}"),
            }
        }
    }
    assert!(received.is_empty());
    messages
}

#[test]
fn a_frame_is_asked_for_byte_by_byte() {
    let frame = framed(b"0800message body");
    for received in 0..frame.len() {
        let at_least = if received < 2 { 2 } else { frame.len() };
        check(&frame[..received], FrameStep::NeedMore { at_least });
    }
    check(&frame, FrameStep::Frame { header: 2, len: 16 });
    check(
        &[&frame[..], b"next"].concat(),
        FrameStep::Frame { header: 2, len: 16 },
    );
}

#[test]
fn sixty_four_frames_in_one_buffer() {
    let messages: Vec<Vec<u8>> = (0..64_usize).map(|n| std::vec![b'x'; 10 + n * 3]).collect();
    let stream: Vec<u8> = messages
        .iter()
        .flat_map(|message| framed(message))
        .collect();
    assert_eq!(reassemble(&stream, [stream.len()]), messages);
    assert_eq!(
        reassemble(&stream, std::iter::repeat_n(1, stream.len())),
        messages
    );
}

#[test]
fn lengths_that_cannot_be_are_refused_before_the_frame_is_there() {
    let too_long = |len| {
        FrameStep::Refused(FrameError::TooLong {
            len,
            frame_len_max: MAX,
        })
    };
    check(&[0xFF, 0xFF], too_long(0xFFFF));
    check(&[0x20, 0x01], too_long(8193));
    check(b"00A4", too_long(0x3030));
    check(&[0x20, 0x00], FrameStep::NeedMore { at_least: 8194 });
    check(&[0, 1], FrameStep::Refused(FrameError::TooShort { len: 1 }));
    check(&[0, 9], FrameStep::Refused(FrameError::TooShort { len: 9 }));
    check(&[0, 10], FrameStep::NeedMore { at_least: 12 });
}

#[test]
fn an_empty_frame_is_a_keep_alive() {
    check(&[0, 0], FrameStep::KeepAlive { consumed: 2 });
    check(&[0, 0, 0, 16], FrameStep::KeepAlive { consumed: 2 });
    let mut out = [0xFF; 2];
    assert_eq!(Framing::Be16.put_header(&mut out, 0), Ok(2));
    assert_eq!(out, [0, 0]);
}

#[test]
fn a_header_that_cannot_be_written_is_an_error() {
    let mut out = [0; 2];
    assert_eq!(
        Framing::Be16.put_header(&mut out, 65_536),
        Err(WriteError::Full)
    );
    assert_eq!(
        Framing::Be16.put_header(&mut out[..1], 5),
        Err(WriteError::Full)
    );
    assert_eq!(Framing::Be16.put_header(&mut out, 0xABCD), Ok(2));
    assert_eq!(out, [0xAB, 0xCD]);
}

#[test]
fn framings_are_found_by_name() {
    assert_eq!(Framing::by_name("be16"), Some(Framing::Be16));
    assert_eq!(Framing::by_name("be17"), None);
    assert_eq!(Framing::Be16.header_len(), 2);
}

proptest! {
    #[test]
    fn the_pieces_do_not_matter(
        messages in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 10..300),
                Just(Vec::new()),
            ],
            0..20,
        ),
        pieces in proptest::collection::vec(1..400_usize, 1..50),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message)).collect();
        let rest = std::iter::once(stream.len());
        prop_assert_eq!(reassemble(&stream, pieces.into_iter().chain(rest)), messages);
    }
}

//! One direction of a connection: frames go in whole, arrive in pieces, and come out whole.

use std::collections::BTreeMap;

use iso8583::Framing;
use iso8583::frame::FrameStep;

use crate::simulation::random::Random;

/// What has arrived and is no whole frame yet, by connection: what a connection leaves unfinished
/// never comes.
#[derive(Debug, Default)]
pub(in crate::simulation) struct Pipe(BTreeMap<u32, Vec<u8>>);

impl Pipe {
    pub(in crate::simulation) fn push(&mut self, connection: u32, piece: &[u8]) {
        let bytes = self.0.entry(connection).or_default();
        bytes.extend_from_slice(piece);
    }

    /// The next whole message; `Err` when the lengths make no sense.
    pub(in crate::simulation) fn next(&mut self, connection: u32) -> Result<Option<Vec<u8>>, ()> {
        let bytes = self.0.entry(connection).or_default();
        match FRAMING.split(bytes, FRAME_MAX) {
            FrameStep::NeedMore { .. } => Ok(None),
            FrameStep::Frame {
                header,
                len,
                trailer,
            } => {
                let message = bytes[header..header + len].to_vec();
                bytes.drain(..header + len + trailer);
                Ok(Some(message))
            }
            FrameStep::KeepAlive { .. } | FrameStep::Refused(_) => Err(()),
        }
    }
}

/// A message as a frame.
pub(in crate::simulation) fn frame_of(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAMING.header_len() + message.len()];
    let start = FRAMING
        .put_header(&mut frame, message.len())
        .expect("there is room");
    frame[start..].copy_from_slice(message);
    frame
}

/// The pieces in which a frame arrives.
pub(in crate::simulation) fn pieces(frame: &[u8], split: u64, random: &mut Random) -> Vec<Vec<u8>> {
    let mut rest = frame;
    let mut pieces = Vec::new();
    while rest.len() > 1 && pieces.len() < 3 && random.happens(split) {
        let (piece, further) = rest.split_at(1 + random.below(rest.len() as u64 - 1) as usize);
        pieces.push(piece.to_vec());
        rest = further;
    }
    pieces.push(rest.to_vec());
    pieces
}

const FRAMING: Framing = Framing::Be16;
const FRAME_MAX: usize = 2_048;

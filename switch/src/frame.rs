//! Received frames: owned bytes with their field table, pooled per shard.

use std::cell::RefCell;
use std::rc::Rc;

use domain::ids::AcquirerId;
use domain::time::Instant;
use iso8583::{Dialect, FieldIndex, Framing, MessageRef, translate};
use zeroize::Zeroize;

use crate::config::ListenerId;

/// One received message: its bytes, where its fields lie, and when it came.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The message without its length prefix.
    pub(crate) bytes: Vec<u8>,
    /// Where the fields lie in `bytes`.
    pub(crate) index: FieldIndex,
    /// How it was delimited, and how its answer will be.
    pub(crate) framing: Framing,
    /// Whose session it came on; meaningless for issuer messages.
    pub(crate) acquirer: AcquirerId,
    /// Which listener its session is of; meaningless for issuer messages.
    pub(crate) listener: ListenerId,
    /// When its last byte was read, on the clock of the whole process.
    pub(crate) received: Instant,
    /// Since when it has waited for a loop to take it: its session may have held it back before.
    pub(crate) queued: Instant,
}

/// What a message of an acquirer may claim when there is little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A first request: refused at once, for nothing of it has happened.
    New,
    /// It may have been answered before, and 96 could contradict that answer: only the engine
    /// knows.
    Repeat,
    /// It ends what has begun: always taken.
    Reversal,
}

impl Claim {
    /// That of a request or a reversal.
    pub(crate) fn of(message: MessageRef<'_>) -> Self {
        match *message.mti().as_bytes() {
            [_, b'4', ..] => Self::Reversal,
            _ if message.mti().is_repeat() => Self::Repeat,
            _ => Self::New,
        }
    }
}

impl Frame {
    /// The message.
    pub(crate) fn message(&self) -> MessageRef<'_> {
        MessageRef::new(&self.bytes, &self.index)
    }

    /// The dialect that it was read in.
    pub(crate) const fn dialect(&self) -> &'static Dialect {
        self.index.dialect()
    }

    /// Zeroes tracks, PIN block and the like: called when no issuer can be asked
    /// with them any more.
    pub(crate) fn scrub_sensitive(&mut self) {
        let dialect = self.dialect();
        translate::scrub_sad(&mut self.bytes, &self.index, dialect);
    }
}

/// A shard's store of frames that are not in use. Boxed, because a frame goes through queues and
/// from shard to shard: its field table alone is half a kilobyte.
#[derive(Clone, Debug)]
#[expect(clippy::vec_box, reason = "the box is what is reused")]
pub(crate) struct FramePool {
    free: Rc<RefCell<Vec<Box<Frame>>>>,
    capacity: usize,
}

impl FramePool {
    /// Keeps at most `capacity` frames; beyond that they are freed.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            free: Rc::new(RefCell::new(Vec::with_capacity(capacity))),
            capacity,
        }
    }

    /// A frame that holds a copy of `bytes`, with an empty field table.
    pub(crate) fn take(&self, bytes: &[u8], framing: Framing) -> Box<Frame> {
        let pooled = self.free.borrow_mut().pop();
        let mut frame = pooled.unwrap_or_else(|| {
            Box::new(Frame {
                bytes: Vec::with_capacity(1024),
                index: FieldIndex::new(),
                framing,
                acquirer: AcquirerId(0),
                listener: ListenerId(0),
                received: Instant::ZERO,
                queued: Instant::ZERO,
            })
        });
        frame.framing = framing;
        frame.bytes.clear();
        frame.bytes.extend_from_slice(bytes);
        frame
    }

    /// Takes a frame back. Its bytes are zeroed first: they may hold an account number.
    pub(crate) fn give(&self, mut frame: Box<Frame>) {
        // What lies behind its end was zeroed when it was given back before.
        frame.bytes.as_mut_slice().zeroize();
        let mut free = self.free.borrow_mut();
        if free.len() < self.capacity {
            free.push(frame);
        }
    }
}

/// Encodes one message behind its length prefix. Returns the length of both, `None` when the
/// encoder gave up or `out` is too small.
pub(crate) fn write_framed(
    framing: Framing,
    out: &mut [u8],
    encode: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> Option<usize> {
    let header = framing.header_len();
    let len = encode(out.get_mut(header..)?)?;
    framing.enclose(out, len).ok()
}

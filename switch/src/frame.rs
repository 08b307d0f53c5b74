//! Received frames: owned bytes with their field table, pooled per shard.

use std::cell::RefCell;
use std::rc::Rc;

use domain::ids::AcquirerId;
use domain::time::Instant;
use iso8583::header::HeaderBytes;
use iso8583::{Dialect, FieldIndex, Framing, MessageRef, translate};
use transaction::Handle;
use zeroize::Zeroize;

use crate::config::ListenerId;
use crate::shard::gateways::IsCopy;

/// One received message: its bytes, where its fields lie, and when it came.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The message without its length prefix and its header.
    pub(crate) bytes: Vec<u8>,
    /// Where the fields lie in `bytes`.
    pub(crate) index: FieldIndex,
    /// How it stood on its connection.
    pub(crate) casing: Casing,
    /// Whose session it came on; meaningless for issuer messages.
    pub(crate) acquirer: AcquirerId,
    /// Which listener its session is of; meaningless for issuer messages.
    pub(crate) listener: ListenerId,
    /// When its last byte was read, on the clock of the whole process.
    pub(crate) received: Instant,
    /// Since when it has waited for a loop to take it: its session may have held it back before.
    pub(crate) queued: Instant,
    /// Whom its answer goes to.
    pub(crate) source: Source,
}

/// Where a message of an acquirer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A session: answered by echo.
    Session,
    /// A gateway: answered with where its transaction stands.
    Gateway {
        /// Told as soon as its intent is durable, and not when it is decided.
        is_async: bool,
    },
    /// A reversal of a gateway, which is no message: answered with where its original stands.
    Reversal {
        /// `None` where there is none.
        original: Option<Handle>,
        /// Whether its key had come before.
        is_copy: IsCopy,
        /// Until when it waits for its issuer, where it does.
        until: Option<Instant>,
    },
}

/// What stands around a message on its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Casing {
    /// How it is delimited.
    pub(crate) framing: Framing,
    /// What stands in front of it, within its frame.
    pub(crate) header: HeaderBytes,
}

impl Casing {
    /// Bytes of the largest one.
    pub(crate) const LEN_MAX: usize = 64;

    /// That of the reply to a message that came in this one.
    pub(crate) fn reply(self) -> Self {
        Self {
            header: self.header.reply(),
            ..self
        }
    }

    /// Encodes one message in it. Returns the length of the whole frame, `None` when the encoder
    /// gave up, `out` is too small, or the framing cannot carry the message.
    pub(crate) fn write(
        self,
        out: &mut [u8],
        encode: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<usize> {
        let prefix = self.framing.header_len();
        let message = prefix.checked_add(self.header.form().len())?;
        let len = encode(out.get_mut(message..)?)?;
        let header = self.header.put(out.get_mut(prefix..)?, len).ok()?;
        self.framing.enclose(out, header.checked_add(len)?).ok()
    }
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
    /// It reports what has happened: always taken.
    Advice,
    /// It compares totals: always taken.
    Reconciliation,
    /// It is passed on to an issuer without money: refused at once, for its sender asks again.
    Administrative,
}

impl Claim {
    /// Whether it is refused where there is little room.
    pub(crate) const fn gives_way(self) -> bool {
        match self {
            Self::New | Self::Administrative => true,
            Self::Repeat | Self::Reversal | Self::Advice | Self::Reconciliation => false,
        }
    }

    /// That of a request, an advice or a reversal.
    pub(crate) fn of(message: MessageRef<'_>) -> Self {
        match *message.mti().as_bytes() {
            [_, b'4', ..] => Self::Reversal,
            [_, b'5', ..] => Self::Reconciliation,
            [_, b'6', ..] => Self::Administrative,
            [_, _, b'2', _] => Self::Advice,
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
    /// with them any more. Only a message without a fault gets that far; one with a fault goes back
    /// to its pool, which zeroes all of it.
    pub(crate) fn scrub_sensitive(&mut self) {
        translate::scrub_sad(&mut self.bytes, &self.index);
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
    pub(crate) fn take(&self, bytes: &[u8], casing: Casing) -> Box<Frame> {
        let pooled = self.free.borrow_mut().pop();
        let mut frame = pooled.unwrap_or_else(|| {
            Box::new(Frame {
                bytes: Vec::with_capacity(1024),
                index: FieldIndex::new(),
                casing,
                acquirer: AcquirerId(0),
                listener: ListenerId(0),
                received: Instant::ZERO,
                queued: Instant::ZERO,
                source: Source::Session,
            })
        });
        frame.casing = casing;
        frame.source = Source::Session;
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

#[cfg(test)]
mod tests {
    use iso8583::Header;

    use super::*;

    #[test]
    fn no_casing_is_larger_than_the_room_kept_for_it() {
        let bytes = "00".repeat(Header::LEN_MAX);
        let header = Header::Fixed(32).verbatim(&bytes).unwrap();
        for framing in Framing::ALL {
            let mut out = [b'x'; 10 + Casing::LEN_MAX];
            let casing = Casing { framing, header };
            let written = casing.write(&mut out, |_| Some(10)).unwrap();
            assert!(written <= out.len());
            assert!(casing.write(&mut out, |_| None).is_none());
        }
    }

    #[test]
    fn a_message_with_a_fault_is_zeroed_as_a_whole() {
        let pool = FramePool::new(1);
        let header = Header::Fixed(1).verbatim("00").unwrap();
        let framing = Framing::Le16;
        let message = b"0200\0\0\0\0\x20\0\0\x0021506100123456=2812201x";
        let mut frame = pool.take(message, Casing { framing, header });
        let parsed = Dialect::ISO87_ASCII.parse(&frame.bytes, &mut frame.index);
        assert_eq!(parsed.unwrap_err().field, 35);
        frame.scrub_sensitive();
        assert_eq!(frame.bytes, message, "a field with a fault is in no index");
        pool.give(frame);
        let free = pool.free.borrow();
        assert_eq!(*free[0].bytes, vec![0; message.len()]);
    }

    #[test]
    fn a_header_counts_in_the_length_and_goes_back() {
        let header = Header::Tpdu.addressed("0001", "8000").unwrap();
        let framing = Framing::Le16;
        let mut out = [0; 64];
        let write = |body: &mut [u8]| {
            body[..3].copy_from_slice(b"abc");
            Some(3)
        };
        let casing = Casing { framing, header };
        let len = casing.reply().write(&mut out, write).unwrap();
        assert_eq!(out[..len], *b"\x08\x00\x60\x80\x00\x00\x01abc");
    }
}

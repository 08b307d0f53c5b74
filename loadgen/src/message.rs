//! What an acquirer sends, and what of it the answer must repeat.

use std::fmt;

use anyhow::{Context, Result};
use domain::ids::InstitutionId;

use iso8583::header::{HeaderBytes, Stripped};
use iso8583::{Dialect, Framing, Header, MessageRef, Mti, Writer};

use crate::cards::Card;
use crate::chip;

/// How messages stand on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// The dialect.
    pub dialect: &'static Dialect,
    /// How messages are delimited.
    pub framing: Framing,
    /// What stands in front of a message that is sent first. Answers turn round what they answer.
    pub header: HeaderBytes,
}

impl Wire {
    /// The dialect iso87-ascii behind two bytes of length.
    pub const PLAIN: Self = Self {
        dialect: Dialect::ISO87_ASCII,
        framing: Framing::Be16,
        header: HeaderBytes::NONE,
    };

    /// The message in what a frame holds, and the wire of its answer. `None` when the header is not
    /// of this wire's form, or says that the message was rejected.
    #[must_use]
    pub fn open(self, frame: &[u8]) -> Option<(Self, &[u8])> {
        match self.header.form().strip(frame) {
            Ok(Stripped::Message { header, message }) => {
                let header = header.reply();
                Some((Self { header, ..self }, message))
            }
            Ok(Stripped::Rejected { .. }) | Err(_) => None,
        }
    }

    /// Where a message begins in its frame.
    #[must_use]
    pub fn message_at(self) -> usize {
        self.framing.header_len() + self.header.form().len()
    }

    /// Makes a frame of the `len` bytes of message that stand at [`Wire::message_at`]. Gives the
    /// length of it all.
    ///
    /// # Errors
    /// It is too long for header or framing.
    pub fn enclose(self, frame: &mut [u8], len: usize) -> Result<usize> {
        let prefix = self.framing.header_len();
        let header = self
            .header
            .put(frame.get_mut(prefix..).unwrap_or_default(), len)?;
        Ok(self.framing.enclose(frame, header + len)?)
    }
}

/// The fields of a request that its answer repeats byte for byte.
#[derive(Clone, Copy)]
pub struct Echo {
    /// DE2 and DE35 come from it.
    pub card: Card,
    /// DE3.
    pub processing_code: [u8; 6],
    /// DE4.
    pub amount: [u8; 12],
    /// DE7.
    pub transmitted: [u8; 10],
    /// DE11.
    pub stan: [u8; 6],
    /// DE12.
    pub local_time: [u8; 6],
    /// DE13.
    pub local_date: [u8; 4],
    /// DE32.
    pub institution: InstitutionId,
    /// DE37.
    pub rrn: [u8; 12],
    /// DE41.
    pub terminal: [u8; 8],
    /// DE42.
    pub merchant: [u8; 15],
    /// DE49.
    pub currency: [u8; 3],
}

impl Echo {
    /// The first echoed field that the answer lacks or has otherwise. A partial answer, as to a
    /// message that could not be read, may lack any but DE11 and DE41.
    #[must_use]
    pub fn differs(&self, answer: MessageRef<'_>, partial: bool) -> Option<u8> {
        self.fields().into_iter().find_map(|(number, sent)| {
            let mut scratch = [0; ECHOED_LEN_MAX];
            let same = match answer.decode(number, &mut scratch) {
                Some(received) => received == sent,
                None => partial && number != 11 && number != 41,
            };
            (!same).then_some(number)
        })
    }

    /// The same with the twelve digits of DE4 apart, for an approval of a part of the amount.
    #[must_use]
    pub fn differs_beside_amount(&self, answer: MessageRef<'_>) -> Option<u8> {
        let echo = Self {
            amount: answer.array(4).unwrap_or(self.amount),
            ..*self
        };
        echo.differs(answer, false)
    }

    fn fields(&self) -> [(u8, &[u8]); 12] {
        [
            (11, &self.stan),
            (41, &self.terminal),
            (37, &self.rrn),
            (2, self.card.digits()),
            (3, &self.processing_code),
            (4, &self.amount),
            (7, &self.transmitted),
            (12, &self.local_time),
            (13, &self.local_date),
            (32, self.institution.as_bytes()),
            (42, &self.merchant),
            (49, &self.currency),
        ]
    }
}

impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| str::from_utf8(bytes).unwrap_or_default().to_owned();
        f.debug_struct("Echo")
            .field("card", &self.card)
            .field("stan", &text(&self.stan))
            .field("rrn", &text(&self.rrn))
            .field("terminal", &text(&self.terminal))
            .finish_non_exhaustive()
    }
}

/// A request before it is bytes.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The message type.
    pub mti: Mti,
    /// What the answer repeats.
    pub echo: Echo,
    /// DE18.
    pub category: [u8; 4],
    /// DE43.
    pub place: [u8; 40],
    /// Random bits of the chip's cryptogram; `None` for a card that was not read by chip.
    pub chip: Option<u64>,
    /// DE35 is present.
    pub track2: bool,
}

impl Draft {
    /// Appends the framed message.
    ///
    /// # Errors
    /// A field does not suit the dialect.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) -> Result<()> {
        framed(wire, out, |room| {
            let mut writer = Writer::new(wire.dialect, self.mti, room);
            self.put(&mut writer)?;
            Ok(writer.finish()?)
        })
        .context("a request cannot be written")
    }

    fn put(&self, writer: &mut Writer<'_>) -> Result<()> {
        let echo = &self.echo;
        writer.put(2, echo.card.digits())?;
        writer.put(3, &echo.processing_code)?;
        writer.put(4, &echo.amount)?;
        writer.put(7, &echo.transmitted)?;
        writer.put(11, &echo.stan)?;
        writer.put(12, &echo.local_time)?;
        writer.put(13, &echo.local_date)?;
        writer.put(14, &echo.card.expiry)?;
        writer.put(18, &self.category)?;
        writer.put(22, self.entry_mode())?;
        writer.put(25, b"00")?;
        writer.put(32, echo.institution.as_bytes())?;
        if self.track2 {
            let mut track = [0; 37];
            let len = echo.card.track2(&mut track);
            writer.put(35, track.get(..len).unwrap_or_default())?;
        }
        writer.put(37, &echo.rrn)?;
        writer.put(41, &echo.terminal)?;
        writer.put(42, &echo.merchant)?;
        writer.put(43, &self.place)?;
        writer.put(49, &echo.currency)?;
        if let Some(mixed) = self.chip {
            let mut tags = [0; chip::LEN];
            let len = chip::write(&echo.amount, &echo.currency, mixed, &mut tags);
            writer.put(55, tags.get(..len).unwrap_or_default())?;
        }
        Ok(())
    }

    /// DE22: chip, magnetic stripe, or keyed in.
    const fn entry_mode(&self) -> &'static [u8; 3] {
        match (self.chip, self.track2) {
            (Some(_), _) => b"051",
            (None, true) => b"022",
            (None, false) => b"012",
        }
    }
}

/// An acquirer's reversal of a request.
#[derive(Clone, Debug)]
pub struct ReversalDraft {
    /// What the answer repeats: the original's fields with a STAN and a time of its own.
    pub echo: Echo,
    /// The message type of the original as first sent.
    pub original_mti: Mti,
    /// DE11 of the original.
    pub original_stan: [u8; 6],
    /// DE7 of the original.
    pub original_transmitted: [u8; 10],
    /// DE18.
    pub category: [u8; 4],
}

impl ReversalDraft {
    /// Appends the framed 0420.
    ///
    /// # Errors
    /// A field does not suit the dialect.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) -> Result<()> {
        framed(wire, out, |room| {
            let mut writer = Writer::new(wire.dialect, Mti::REVERSAL_ADVICE, room);
            self.put(&mut writer)?;
            Ok(writer.finish()?)
        })
        .context("a reversal cannot be written")
    }

    fn put(&self, writer: &mut Writer<'_>) -> Result<()> {
        let echo = &self.echo;
        writer.put(2, echo.card.digits())?;
        writer.put(3, &echo.processing_code)?;
        writer.put(4, &echo.amount)?;
        writer.put(7, &echo.transmitted)?;
        writer.put(11, &echo.stan)?;
        writer.put(12, &echo.local_time)?;
        writer.put(13, &echo.local_date)?;
        writer.put(18, &self.category)?;
        writer.put(22, b"012")?;
        writer.put(32, echo.institution.as_bytes())?;
        writer.put(37, &echo.rrn)?;
        writer.put(41, &echo.terminal)?;
        writer.put(42, &echo.merchant)?;
        writer.put(49, &echo.currency)?;
        writer.put(90, &self.original_data())?;
        Ok(())
    }

    /// DE90: MTI 4, STAN 6, DE7 10, DE32 11, DE33 11; institutions zero-filled on the left.
    fn original_data(&self) -> [u8; 42] {
        let institution = self.echo.institution.as_bytes();
        let gap = 11_usize.saturating_sub(institution.len());
        let zeros = [b'0'; 11];
        let parts = self
            .original_mti
            .as_bytes()
            .iter()
            .chain(&self.original_stan)
            .chain(&self.original_transmitted)
            .chain(zeros.iter().take(gap))
            .chain(institution);
        let mut data = [b'0'; 42];
        for (slot, digit) in data.iter_mut().zip(parts) {
            *slot = *digit;
        }
        data
    }
}

/// Appends one frame whose message `write` puts into the room it is given.
///
/// # Errors
/// What `write` says, or a message too long for the framing.
pub fn framed(
    wire: Wire,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut [u8]) -> Result<usize>,
) -> Result<()> {
    let start = out.len();
    let message = start + wire.message_at();
    out.resize(message + MESSAGE_LEN_MAX + wire.framing.trailer_len(), 0);
    let room = out.get_mut(message..).unwrap_or_default();
    let written = write(room).and_then(|len| {
        let frame = out.get_mut(start..).unwrap_or_default();
        wire.enclose(frame, len)
    });
    match written {
        Ok(len) => {
            out.truncate(start + len);
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Makes the frame at the start of `frame` a repeat: the origin digit odd, nothing else. In every
/// form of the type indicator that is the lowest bit of its last byte.
pub fn mark_repeat(wire: Wire, frame: &mut [u8]) {
    let mti_len = wire.dialect.form().mti.wire_len();
    if let Some(origin) = frame.get_mut((wire.message_at() + mti_len).saturating_sub(1)) {
        *origin |= 1;
    }
}

/// Longest message that is sent.
pub const MESSAGE_LEN_MAX: usize = 2048;
/// Longest frame that is taken: a message and its header.
pub const FRAME_LEN_MAX: usize = MESSAGE_LEN_MAX + Header::LEN_MAX;

/// The longest field that is echoed: an account of 19 digits.
const ECHOED_LEN_MAX: usize = 19;

#[cfg(test)]
mod tests;

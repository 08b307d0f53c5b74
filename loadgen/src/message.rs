//! What an acquirer sends, and what of it the answer must repeat.

use std::fmt;

use anyhow::{Context, Result};
use domain::ids::InstitutionId;
use domain::time::digits_of;
use iso8583::header::{HeaderBytes, Stripped};
use iso8583::mti::{Class, Function, Version};
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

    /// The edition of its messages.
    #[must_use]
    pub fn version(self) -> Version {
        self.dialect.version()
    }

    /// A type of 1987 as this wire has it.
    #[must_use]
    pub fn mti(self, mti: Mti) -> Mti {
        mti.in_version(self.version())
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
    /// `YYMMDDhhmmss`: DE12 of 1993; of 1987 DE12 has its time and DE13 its date.
    pub local: [u8; 12],
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
        let fields = self.fields(answer.dialect().version());
        fields.into_iter().flatten().find_map(|(number, sent)| {
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

    fn fields(&self, version: Version) -> [Option<(u8, &[u8])>; 12] {
        let (date, time) = self.local_parts();
        let later = is_1993(version);
        [
            Some((11, &self.stan[..])),
            Some((41, &self.terminal)),
            Some((37, &self.rrn)),
            Some((2, self.card.digits())),
            Some((3, &self.processing_code)),
            Some((4, &self.amount)),
            Some((7, &self.transmitted)),
            Some((12, if later { &self.local } else { time })),
            (!later).then_some((13, date)),
            Some((32, self.institution.as_bytes())),
            Some((42, &self.merchant)),
            Some((49, &self.currency)),
        ]
    }

    /// `MMDD` and `hhmmss`.
    fn local_parts(&self) -> (&[u8], &[u8]) {
        self.local[2..].split_at(4)
    }

    /// The fields that a message of any kind has: what names it, without DE2, 3 and 4.
    fn put_trace(&self, writer: &mut Writer<'_>, version: Version) -> Result<()> {
        let (date, time) = self.local_parts();
        writer.put(7, &self.transmitted)?;
        writer.put(11, &self.stan)?;
        if is_1993(version) {
            writer.put(12, &self.local)?;
        } else {
            writer.put(12, time)?;
            writer.put(13, date)?;
        }
        Ok(())
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
    /// DE38: what was approved before. An advice has it, and a completion that of its original.
    pub authorisation: Option<[u8; 6]>,
    /// What it completes.
    pub completes: Option<Original>,
}

/// An earlier message, as another one names it: DE90, in 1993 DE56.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// The message type as first sent.
    pub mti: Mti,
    /// DE4.
    pub amount: [u8; 12],
    /// DE11.
    pub stan: [u8; 6],
    /// DE7.
    pub transmitted: [u8; 10],
    /// `YYMMDDhhmmss` at the terminal.
    pub local: [u8; 12],
}

impl Original {
    /// A message of this type.
    #[must_use]
    pub const fn of(mti: Mti, echo: &Echo) -> Self {
        Self {
            mti,
            amount: echo.amount,
            stan: echo.stan,
            transmitted: echo.transmitted,
            local: echo.local,
        }
    }

    fn put(&self, writer: &mut Writer<'_>, of: (Version, &InstitutionId)) -> Result<()> {
        let (version, institution) = of;
        if is_1993(version) {
            let len: [u8; 2] = digits_of(crate::numeric::count(institution.as_bytes().len()));
            let mti = self.mti.in_version(version);
            let parts = [
                mti.as_bytes(),
                &self.stan[..],
                &self.local,
                &len,
                institution.as_bytes(),
            ];
            writer.put(56, &parts.concat())?;
        } else {
            writer.put(90, &self.original_data(institution))?;
        }
        Ok(())
    }

    /// DE90: MTI 4, STAN 6, DE7 10, DE32 11, DE33 11; institutions zero-filled on the left.
    fn original_data(&self, institution: &InstitutionId) -> [u8; 42] {
        let institution = institution.as_bytes();
        let gap = 11_usize.saturating_sub(institution.len());
        let zeros = [b'0'; 11];
        let parts = self
            .mti
            .as_bytes()
            .iter()
            .chain(&self.stan)
            .chain(&self.transmitted)
            .chain(zeros.iter().take(gap))
            .chain(institution);
        let mut data = [b'0'; 42];
        for (slot, digit) in data.iter_mut().zip(parts) {
            *slot = *digit;
        }
        data
    }
}

impl Draft {
    /// Appends the framed message.
    ///
    /// # Errors
    /// A field does not suit the dialect.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) -> Result<()> {
        let mti = wire.mti(self.mti);
        framed(wire, out, |room| {
            let mut writer = Writer::new(wire.dialect, mti, room);
            self.put(&mut writer, wire.version())?;
            Ok(writer.finish()?)
        })
        .context("a request cannot be written")
    }

    fn put(&self, writer: &mut Writer<'_>, version: Version) -> Result<()> {
        let echo = &self.echo;
        let later = is_1993(version);
        writer.put(2, echo.card.digits())?;
        writer.put(3, &echo.processing_code)?;
        writer.put(4, &echo.amount)?;
        echo.put_trace(writer, version)?;
        writer.put(14, &echo.card.expiry)?;
        if later {
            writer.put(22, self.point_of_service())?;
            writer.put(24, self.function_code())?;
            writer.put(26, &self.category)?;
        } else {
            writer.put(18, &self.category)?;
            writer.put(22, self.entry_mode())?;
            writer.put(25, b"00")?;
        }
        writer.put(32, echo.institution.as_bytes())?;
        if self.track2 {
            let mut track = [0; 37];
            let len = echo.card.track2(&mut track);
            writer.put(35, track.get(..len).unwrap_or_default())?;
        }
        writer.put(37, &echo.rrn)?;
        if let Some(authorisation) = &self.authorisation {
            writer.put(38, authorisation)?;
        }
        if self.mti.function() == Function::Advice {
            writer.put(39, if later { b"000" } else { b"00" })?;
        }
        writer.put(41, &echo.terminal)?;
        writer.put(42, &echo.merchant)?;
        let place = if later {
            self.place.trim_ascii_end()
        } else {
            &self.place
        };
        writer.put(43, place)?;
        writer.put(49, &echo.currency)?;
        if let Some(mixed) = self.chip {
            let mut tags = [0; chip::LEN];
            let len = chip::write(&echo.amount, &echo.currency, mixed, &mut tags);
            writer.put(55, tags.get(..len).unwrap_or_default())?;
        }
        if let Some(original) = &self.completes {
            original.put(writer, (version, &echo.institution))?;
        }
        Ok(())
    }

    /// DE24 of 1993: what the message does; 201 completes what was authorised, 202 another amount.
    fn function_code(&self) -> &'static [u8; 3] {
        match (self.mti.class(), &self.completes) {
            (Class::Authorisation, _) => b"100",
            (_, Some(original)) if original.amount == self.echo.amount => b"201",
            (_, Some(_)) => b"202",
            (_, None) => b"200",
        }
    }

    /// DE22 of 1993: how the card was read, its holder present and not asked to prove who he is.
    const fn point_of_service(&self) -> &'static [u8; 12] {
        match (self.chip, self.track2) {
            (Some(_), _) => b"510101500140",
            (None, true) => b"210101200140",
            (None, false) => b"110101100140",
        }
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

/// An acquirer's reversal of an earlier message.
#[derive(Clone, Debug)]
pub struct ReversalDraft {
    /// What the answer repeats: the original's fields with a STAN and a time of its own. DE4 is the
    /// original amount; of a reversal in part in 1993, where DE30 has that, what stays.
    pub echo: Echo,
    /// What it reverses.
    pub original: Original,
    /// What stays of the original amount; `None` reverses all of it.
    pub stays: Option<[u8; 12]>,
    /// DE18.
    pub category: [u8; 4],
}

impl ReversalDraft {
    /// Nothing stays.
    pub const fn reverse_all(&mut self) {
        self.stays = None;
        self.echo.amount = self.original.amount;
    }

    /// Appends the framed 0420.
    ///
    /// # Errors
    /// A field does not suit the dialect.
    pub fn write(&self, wire: Wire, out: &mut Vec<u8>) -> Result<()> {
        let mti = wire.mti(Mti::REVERSAL_ADVICE);
        framed(wire, out, |room| {
            let mut writer = Writer::new(wire.dialect, mti, room);
            self.put(&mut writer, wire.version())?;
            Ok(writer.finish()?)
        })
        .context("a reversal cannot be written")
    }

    fn put(&self, writer: &mut Writer<'_>, version: Version) -> Result<()> {
        let echo = &self.echo;
        let later = is_1993(version);
        writer.put(2, echo.card.digits())?;
        writer.put(3, &echo.processing_code)?;
        writer.put(4, &echo.amount)?;
        echo.put_trace(writer, version)?;
        if later {
            let function = if self.stays.is_some() { b"401" } else { b"400" };
            writer.put(24, function)?;
            writer.put(26, &self.category)?;
            if self.stays.is_some() {
                writer.put(30, &[self.original.amount, [b'0'; 12]].concat())?;
            }
        } else {
            writer.put(18, &self.category)?;
            writer.put(22, b"012")?;
        }
        writer.put(32, echo.institution.as_bytes())?;
        writer.put(37, &echo.rrn)?;
        writer.put(41, &echo.terminal)?;
        writer.put(42, &echo.merchant)?;
        writer.put(49, &echo.currency)?;
        self.original.put(writer, (version, &echo.institution))?;
        if let Some(stays) = self.stays.filter(|_| !later) {
            writer.put(95, &[&stays[..], &[b'0'; 30]].concat())?;
        }
        Ok(())
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

const fn is_1993(version: Version) -> bool {
    matches!(version, Version::Iso1993)
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

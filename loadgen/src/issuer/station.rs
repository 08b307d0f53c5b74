//! One simulated issuer of ISO 8583 without its sockets.

use domain::ids::{AuthorisationId, Stan};
use domain::request::{Answer, Trace};
use domain::response_code::ResponseCode;
use domain::time::TransmissionTime;
use hashbrown::{HashMap, HashSet};
use iso8583::frame::FrameStep;
use iso8583::mti::{Class, Function, Version};
use iso8583::translate::{NetworkCodes, NetworkKind, RequestFields, ReversalFields};
use iso8583::{FieldIndex, MessageRef, translate};

use super::behaviour::Delivery;
use super::book::{Asked, Told};
use super::desk::Desk;
use super::wheel::Pending;
use crate::message::{FRAME_LEN_MAX, Wire, framed};
use crate::trace_id::TraceId;

/// Takes messages, decides, and gives out answers at their times.
#[derive(Debug)]
pub(super) struct Station {
    desk: Desk,
    /// How messages stand on its connections.
    spoken: Wire,
    /// Whether a connection must sign on first.
    sign_on: bool,
    index: FieldIndex,
    signed_on: HashSet<u32>,
    /// DE7 of requests of 1993, by DE11 and DE12.
    made: HashMap<(Stan, String), TransmissionTime>,
    /// What was reversed before it came, by the same.
    early: HashSet<(Stan, String)>,
    /// Reversals that are never answered, by what they reverse.
    poisoned: HashSet<TraceId>,
    /// How the message at hand is answered.
    wire: Wire,
}

impl Station {
    pub(super) fn new(desk: Desk, spoken: Wire, sign_on: bool) -> Self {
        Self {
            desk,
            spoken,
            sign_on,
            wire: spoken,
            index: FieldIndex::new(),
            signed_on: HashSet::new(),
            made: HashMap::new(),
            early: HashSet::new(),
            poisoned: HashSet::new(),
        }
    }

    pub(super) const fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) const fn desk_mut(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// Takes the messages in `bytes`; says how many bytes they were, or `None` when the connection
    /// must be closed.
    pub(super) fn receive_all(&mut self, line: u32, bytes: &[u8], now: u64) -> Option<usize> {
        let framing = self.spoken.framing;
        let mut consumed = 0;
        loop {
            let rest = bytes.get(consumed..)?;
            match framing.split(rest, FRAME_LEN_MAX) {
                FrameStep::NeedMore { .. } => return Some(consumed),
                FrameStep::KeepAlive { consumed: empty } => consumed += empty,
                FrameStep::Refused(_) => return None,
                FrameStep::Frame {
                    header,
                    len,
                    trailer,
                } => {
                    let message = rest.get(header..header + len)?;
                    self.receive(line, message, now);
                    consumed += header + len + trailer;
                }
            }
        }
    }

    /// Takes what one frame of a connection holds.
    pub(super) fn receive(&mut self, line: u32, frame: &[u8], now: u64) {
        let Some((wire, bytes)) = self.spoken.open(frame) else {
            self.desk.stats.unreadable += 1;
            return;
        };
        self.wire = wire;
        let mut index = std::mem::take(&mut self.index);
        let parsed = self.spoken.dialect.parse(bytes, &mut index);
        let message = MessageRef::new(bytes, &index);
        let taken = match (parsed.is_ok(), message.mti().class()) {
            (true, Class::Network) => self.network(line, message, now),
            (
                true,
                Class::Authorisation | Class::Financial | Class::Reversal | Class::Administrative,
            ) if self.sign_on && !self.signed_on.contains(&line) => {
                self.desk.stats.before_sign_on += 1;
                Some(())
            }
            (true, Class::Authorisation | Class::Financial)
                if message.mti().function() == Function::Advice =>
            {
                self.advice(line, message, now)
            }
            (true, Class::Authorisation | Class::Financial) => self.request(line, message, now),
            (true, Class::Reversal) => self.reversal(line, message, now),
            (true, Class::Administrative) => self.administrative(line, message, now),
            _ => None,
        };
        if taken.is_none() {
            self.desk.stats.unreadable += 1;
        }
        self.index = index;
    }

    fn network(&mut self, line: u32, message: MessageRef<'_>, now: u64) -> Option<()> {
        self.desk.stats.network += 1;
        let codes = NetworkCodes::of(self.wire.dialect);
        match translate::network(message, &codes).ok()? {
            NetworkKind::SignOn => self.signed_on.insert(line),
            NetworkKind::SignOff => self.signed_on.remove(&line),
            NetworkKind::Echo
            | NetworkKind::KeyChange
            | NetworkKind::CutOver
            | NetworkKind::CutOverEnd
            | NetworkKind::Other => false,
        };
        let wire = self.wire;
        let mut frame = self.desk.wheel.buffer();
        framed(wire, &mut frame, |room| {
            Ok(translate::write_network_answer(
                wire.dialect,
                message,
                room,
            )?)
        })
        .ok()?;
        self.desk.wheel.insert(
            now,
            Pending {
                line,
                frame,
                closes: None,
            },
        );
        Some(())
    }

    fn request(&mut self, line: u32, message: MessageRef<'_>, now: u64) -> Option<()> {
        let fields = translate::request(message).ok()?;
        self.remember(&fields);
        self.desk.first.get_or_insert(now);
        self.desk.stats.requests += 1;
        let delivery = self.desk.delivery();
        if delivery == (Delivery::Silent { processed: false }) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        let asked = Asked {
            id: trace_id(&fields.trace),
            repeat: message.mti().is_repeat(),
            amount: fields.amount,
            told: self.desk.wanted(),
            completes: self.completed(message, &fields.trace),
        };
        let told = self.desk.book.request(&asked);
        self.desk.stats.approved += u64::from(told.code.is_approval());
        if matches!(delivery, Delivery::Silent { .. }) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        let mut further = [0; 64];
        let answer = Answer {
            code: told.code,
            authorisation: told.authorisation,
            amount: None,
            fields: further_fields(message, told, &mut further),
        };
        self.answer(line, message, &answer, delivery, now)
    }

    /// What has happened is acknowledged, whatever was decided.
    fn advice(&mut self, line: u32, message: MessageRef<'_>, now: u64) -> Option<()> {
        let fields = translate::advice(message).ok()?;
        self.remember(&fields.request);
        self.desk.stats.advices += 1;
        let delivery = self.desk.delivery();
        if delivery == (Delivery::Silent { processed: false }) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        let code = fields.reported.unwrap_or(ResponseCode::APPROVED);
        let asked = Asked {
            id: trace_id(&fields.request.trace),
            repeat: message.mti().is_repeat(),
            amount: fields.request.amount,
            told: Told {
                code,
                authorisation: AuthorisationId::EMPTY,
            },
            completes: self.completed(message, &fields.request.trace),
        };
        let told = self.desk.book.advice(&asked);
        if matches!(delivery, Delivery::Silent { .. }) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        self.answer(line, message, &Answer::of(told), delivery, now)
    }

    fn reversal(&mut self, line: u32, message: MessageRef<'_>, now: u64) -> Option<()> {
        let fields = translate::reversal(message).ok()?;
        self.desk.stats.reversals += 1;
        let id = TraceId {
            stan: fields.original.stan,
            transmitted: self.transmitted(&fields),
            ..trace_id(&fields.trace)
        };
        let key = (id.stan, fields.original_local.as_str().to_owned());
        if fields.original.transmitted.is_none() && !self.made.contains_key(&key) {
            self.early.insert(key);
        }
        let code = self.desk.book.reversal(&id, fields.replacement);
        let delivery = self.desk.delivery();
        if self.desk.control.take_poison() {
            self.poisoned.insert(id);
        }
        if self.poisoned.contains(&id) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        if matches!(delivery, Delivery::Silent { .. }) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        self.answer(line, message, &Answer::of(code), delivery, now)
    }

    /// It moves nothing: no book has it.
    fn administrative(&mut self, line: u32, message: MessageRef<'_>, now: u64) -> Option<()> {
        translate::administrative(message).ok()?;
        self.desk.stats.administrative += 1;
        let delivery = self.desk.delivery();
        if matches!(delivery, Delivery::Silent { .. }) {
            self.desk.stats.silent += 1;
            return Some(());
        }
        let accepted = Answer::of(ResponseCode::APPROVED);
        self.answer(line, message, &accepted, delivery, now)
    }

    /// What a request or an advice completes, if it names something: DE90, in 1993 DE56, which has
    /// the time of the original's place. What never came at that time is named with the message's
    /// own DE7, under which the book does not have it either.
    fn completed(&self, message: MessageRef<'_>, trace: &Trace) -> Option<TraceId> {
        let mut scratch = [0; 48];
        let is_1993 = message.dialect().version() == Version::Iso1993;
        let named = message.decode(if is_1993 { 56 } else { 90 }, &mut scratch)?;
        let stan = Stan::from_digits(named.get(4..10)?).ok()?;
        let transmitted = if is_1993 {
            let local = str::from_utf8(named.get(12..22)?).ok()?;
            let made = self.made.get(&(stan, local.to_owned()));
            made.copied().unwrap_or(trace.transmitted)
        } else {
            TransmissionTime::from_digits(named.get(10..20)?).ok()?
        };
        Some(TraceId {
            stan,
            transmitted,
            ..trace_id(trace)
        })
    }

    /// A reversal of 1993 names its original by the time of its place, and not by DE7.
    fn remember(&mut self, fields: &RequestFields) {
        if fields.version == Version::Iso1993 {
            let trace = &fields.trace;
            let local = [trace.local_date.as_str(), trace.local_time.as_str()].concat();
            let key = (trace.stan, local);
            if self.early.remove(&key) {
                self.desk.book.bury(trace_id(trace));
            }
            self.made.insert(key, trace.transmitted);
        }
    }

    /// DE7 of what is reversed.
    fn transmitted(&self, fields: &ReversalFields) -> TransmissionTime {
        let local = fields.original_local.as_str().to_owned();
        let made = self.made.get(&(fields.original.stan, local)).copied();
        let named = fields.original.transmitted.or(made);
        named.unwrap_or(fields.trace.transmitted)
    }

    /// Writes an answer and puts it on its way.
    fn answer(
        &mut self,
        line: u32,
        message: MessageRef<'_>,
        answer: &Answer<'_>,
        delivery: Delivery,
        now: u64,
    ) -> Option<()> {
        let wire = self.wire;
        let mut frame = self.desk.wheel.buffer();
        framed(wire, &mut frame, |room| {
            Ok(translate::write_answer(
                wire.dialect,
                message,
                answer,
                room,
            )?)
        })
        .ok()?;
        let due = now.saturating_add(self.desk.dice.delay(delivery));
        match delivery {
            Delivery::Twice => {
                self.desk.stats.twice += 1;
                let mut second = self.desk.wheel.buffer();
                second.extend_from_slice(&frame);
                let again = due.saturating_add(self.desk.dice.delay(delivery));
                let closes = None;
                let pending = Pending {
                    line,
                    frame: second,
                    closes,
                };
                self.desk.wheel.insert(again, pending);
            }
            Delivery::Garbled => {
                self.desk.stats.garbled += 1;
                garble(wire, &mut frame, self.desk.dice.bits());
            }
            Delivery::Late => self.desk.stats.late += 1,
            Delivery::Once | Delivery::Silent { .. } => {}
        }
        let closes = translate::stan(message).ok();
        self.desk.wheel.insert(
            due,
            Pending {
                line,
                frame,
                closes,
            },
        );
        Some(())
    }
}

fn trace_id(trace: &Trace) -> TraceId {
    TraceId {
        stan: trace.stan,
        transmitted: trace.transmitted,
        rrn: trace.rrn,
        terminal: trace.terminal,
    }
}

/// DE54, a balance, for cash; DE55, the issuer's cryptogram, for chips. Encoded as
/// [`Answer::fields`] says.
fn further_fields<'a>(message: MessageRef<'_>, told: Told, out: &'a mut [u8; 64]) -> &'a [u8] {
    if told.code != ResponseCode::APPROVED {
        return &[];
    }
    let mut len = 0;
    let mut put = |number: u8, parts: [&[u8]; 3]| {
        let size = parts.iter().map(|part| part.len()).sum::<usize>();
        let head = [number, 0, u8::try_from(size).unwrap_or(0)];
        let bytes = head.iter().chain(parts.into_iter().flatten());
        for (slot, byte) in out.iter_mut().skip(len).zip(bytes) {
            *slot = *byte;
        }
        len += head.len() + size;
    };
    let currency = message.array::<3>(49).unwrap_or(*b"404");
    let code = message.array::<6>(3);
    if code.is_some_and(|code| code.starts_with(b"01")) {
        put(54, [b"0002", &currency, b"C000001234500"]);
    }
    if message.field(55).is_some() {
        let cryptogram = [0x5A; 8];
        put(55, [&[0x91, 0x0A], &cryptogram, b"00"]);
    }
    out.get(..len).unwrap_or_default()
}

/// Breaks a message inside its frame in one of four ways.
fn garble(wire: Wire, frame: &mut Vec<u8>, bits: u64) {
    let message = wire.message_at();
    match bits % 4 {
        // The bitmap announces a field that is not there.
        0 => {
            if let Some(byte) = frame.get_mut(message + wire.dialect.form().mti.wire_len() + 7) {
                *byte |= 0x01;
            }
        }
        // A length prefix above its maximum: that of DE2.
        1 => {
            let form = wire.dialect.form();
            let prefix = message + form.mti.wire_len() + form.bitmap_len();
            if let Some(digits) = frame.get_mut(prefix..prefix + 2) {
                digits.copy_from_slice(b"99");
            }
        }
        // Characters where digits belong.
        2 => {
            for byte in frame.iter_mut().skip(message + 20).take(12) {
                *byte = b'?';
            }
        }
        // Half of it.
        _ => {
            let trailer = wire.framing.trailer_len();
            let len = (frame.len() - message - trailer) / 2;
            frame.truncate(message + len + trailer);
            let written = wire.enclose(frame, len);
            debug_assert!(written.is_ok(), "half a message fits its frame");
        }
    }
}

#[cfg(test)]
mod tests;

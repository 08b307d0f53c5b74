//! Bytes on their way: what is written on one side is read on the other, piece by piece.

use super::*;
use crate::simulation::bytes::{
    Pipe, frame_of, pieces, read_leg, read_said, read_told, write_ask, write_said,
};
use crate::simulation::words::{Ask, Said, Told, Way};

/// Both directions of a link.
#[derive(Debug, Default)]
pub(super) struct Streams {
    to_issuer: Pipe,
    to_switch: Pipe,
    /// When the last byte for the switch arrives.
    busy_until: u64,
}

impl World {
    /// What an acquirer puts on its session; nothing where messages are no bytes.
    pub(super) fn written(&mut self, ask: &Ask) -> Vec<u8> {
        let Some(lines) = self.plan.lines else {
            return Vec::new();
        };
        let bytes = write_ask(&lines, ask);
        self.spoilt(bytes)
    }

    /// An acquirer's message arrives. No listener is open before what recovery closed is durable.
    pub(super) fn at_session(
        &mut self,
        session: u16,
        ask: Ask,
        bytes: Vec<u8>,
    ) -> Result<(), Broken> {
        if !self.shards.iter().all(Shard::is_open) {
            return Ok(());
        }
        self.in_shard(session, |shard, around| shard.arrive(ask, bytes, around))
    }

    /// A byte may have become another.
    pub(super) fn spoilt(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let chance = self.plan.lines.map_or(0, |lines| lines.spoiled);
        // Behind type and bitmap, so that it is content and never which fields there are.
        let first = 36;
        if self.random.happens(chance) && bytes.len() > first {
            let place = first + self.random.below((bytes.len() - first) as u64) as usize;
            bytes[place] = 0xFF;
        }
        bytes
    }

    /// An acquirer reads what it is told.
    pub(super) fn at_acquirer(&mut self, mut told: Told) -> Result<(), Broken> {
        if let Some(lines) = self.plan.lines {
            let (sent, bytes) = std::mem::take(&mut told.bytes);
            let bytes = self.spoilt(bytes);
            let Some(code) = read_told(lines.acquirer, &bytes, (&told.ask, &sent))? else {
                self.counts.garbled += 1;
                return Ok(());
            };
            told.code = code;
        }
        let moves = self.acquirer.told(&told, &self.plan, &mut self.random);
        self.move_acquirer(moves);
        Ok(())
    }

    /// A frame leaves for an issuer; its bytes keep their order.
    pub(super) fn stream_out(&mut self, link: LinkId, connection: u32, message: &[u8]) {
        let message = self.spoilt(message.to_vec());
        let issuer = usize::from(link.0 % ISSUERS);
        for piece in self.cut(&message) {
            let soonest = self.now + self.random.below(30 * MS);
            let arrived = &mut self.arrived[issuer];
            *arrived = soonest.max(*arrived + 1);
            let delay = *arrived - self.now;
            let bytes = Event::Bytes {
                link,
                connection,
                way: Way::ToIssuer,
                piece,
            };
            self.later(delay, bytes);
        }
    }

    /// An issuer says something: at once where messages are no bytes, or when its last piece is
    /// there.
    pub(super) fn say(&mut self, over: (LinkId, u32), said: Said) -> Result<(), Broken> {
        let Some(lines) = self.plan.lines else {
            return self.at_switch(over.0, over.1, said);
        };
        let (link, connection) = over;
        let message = write_said(lines.of_issuer(link.0 % ISSUERS), &said);
        let message = self.spoilt(message);
        for piece in self.cut(&message) {
            let pause = self.random.below(5 * MS);
            let streams = &mut self.streams[usize::from(link.0)];
            if streams.busy_until < self.now {
                streams.busy_until = self.now;
                self.arrive(over, Way::ToSwitch, &piece)?;
                continue;
            }
            streams.busy_until += 1 + pause;
            let delay = streams.busy_until - self.now;
            let bytes = Event::Bytes {
                link,
                connection,
                way: Way::ToSwitch,
                piece,
            };
            self.later(delay, bytes);
        }
        Ok(())
    }

    fn cut(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        let split = self.plan.lines.map_or(0, |lines| lines.split);
        let pieces = pieces(&frame_of(message), split, &mut self.random);
        self.counts.split += u64::from(pieces.len() > 1);
        pieces
    }

    /// A piece arrives, if its connection still carries that far.
    pub(super) fn arrive(
        &mut self,
        (link, connection): (LinkId, u32),
        way: Way,
        piece: &[u8],
    ) -> Result<(), Broken> {
        let wire = &self.wires[usize::from(link.0)];
        let arrives = match way {
            Way::ToIssuer => wire.carries_out(connection),
            Way::ToSwitch => wire.brings_back(connection),
        };
        if !arrives {
            self.counts.halved += 1;
            return Ok(());
        }
        // A null control takes all connections of a link for one.
        let number = match self.driver {
            Driver::KeepsHalfFrames => 0,
            _ => connection,
        };
        self.pipe(link, way).push(number, piece);
        loop {
            let message = match self.pipe(link, way).next(number) {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(()),
                Err(()) => return Err(("wire", format!("{link:?} {way:?}: no frame"))),
            };
            self.read((link, connection), way, &message)?;
        }
    }

    fn pipe(&mut self, link: LinkId, way: Way) -> &mut Pipe {
        let streams = &mut self.streams[usize::from(link.0)];
        match way {
            Way::ToIssuer => &mut streams.to_issuer,
            Way::ToSwitch => &mut streams.to_switch,
        }
    }

    fn read(&mut self, over: (LinkId, u32), way: Way, message: &[u8]) -> Result<(), Broken> {
        let (link, connection) = over;
        let Some(lines) = self.plan.lines else {
            return Ok(());
        };
        let dialect = lines.of_issuer(link.0 % ISSUERS);
        match way {
            Way::ToIssuer => match read_leg(dialect, message) {
                Some(message) => return self.at_issuer(link, connection, &message),
                None => self.counts.garbled += 1,
            },
            Way::ToSwitch => match read_said(dialect, message) {
                Some(said) => return self.at_switch(link, connection, said),
                None => self.counts.garbled += 1,
            },
        }
        Ok(())
    }
}

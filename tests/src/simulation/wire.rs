//! Connections to issuers, and how each of them ended.

use super::words::Loss;

/// One link, with all the connections that it has had.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) up: bool,
    /// How the earlier connections ended.
    lost: Vec<Loss>,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            up: true,
            lost: Vec::new(),
        }
    }
}

impl Wire {
    /// Counts connections.
    pub(super) const fn connection(&self) -> u32 {
        self.lost.len() as u32
    }

    /// The connection ends; the next one has another number.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.lost.push(loss);
    }

    /// Whether what was written still reaches the issuer.
    pub(super) fn carries_out(&self, connection: u32) -> bool {
        let loss = self.lost.get(connection as usize);
        loss.is_none_or(|loss| *loss == Loss::IssuerEnds)
    }

    /// Whether what the issuer has said still reaches us.
    pub(super) fn brings_back(&self, connection: u32) -> bool {
        let loss = self.lost.get(connection as usize);
        loss.is_none_or(|loss| *loss == Loss::WeEnd)
    }
}

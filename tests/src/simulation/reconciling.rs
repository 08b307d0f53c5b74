//! Reconciliations of acquirers, and what shards tell each other of totals.

use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, Slot, Stan};
use domain::network::SettlementDate;
use domain::reconciliation::{Declared, Figure, Party, ReconSign, Totals};
use domain::time::{TransmissionTime, WallTime};
use iso8583::translate::ReconciliationAnswer;
use transaction::reconciliation::{BucketKey, DayEnd, Parties, ReconciliationKey};

use super::random::Random;
use super::words::{WALL, slot};

/// Business days and totals of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Days {
    /// Of acquirers.
    pub(super) reconciliations: u64,
    pub(super) cut_overs: u64,
    /// Answers of issuers may say which day they settle on.
    pub(super) named: bool,
    /// After a cut-over.
    pub(super) grace_ms: u64,
    /// How the acquirer reads reversals, and how the issuers do.
    pub(super) signs: [ReconSign; 2],
    /// Of cut-overs and reconciliations: the process dies soon after.
    pub(super) crash_soon: u64,
    /// Of reconciliations of ours: not taken.
    pub(super) refused: u64,
}

impl Days {
    pub(super) fn draw(random: &mut Random) -> Self {
        let sign = |random: &mut Random| match random.below(2) {
            0 => ReconSign::CreditReversal,
            _ => ReconSign::ReversedCredit,
        };
        Self {
            reconciliations: random.below(6),
            cut_overs: random.below(6),
            named: random.permille(600),
            grace_ms: random.below(20_000),
            signs: [sign(random), sign(random)],
            crash_soon: random.below(500).saturating_sub(100),
            refused: random.below(500).saturating_sub(250),
        }
    }

    pub(super) const fn calm(mut self) -> Self {
        self.crash_soon = 0;
        self.refused = 0;
        self
    }

    pub(super) fn sign(&self, party: Party) -> ReconSign {
        let [acquirer, issuers] = self.signs;
        match party {
            Party::Acquirer(_) => acquirer,
            Party::Issuer(_) => issuers,
        }
    }
}

/// Everybody that totals are kept with.
pub(super) const PARTIES: [Party; 3] = [
    Party::Acquirer(AcquirerId(1)),
    Party::Issuer(IssuerId(0)),
    Party::Issuer(IssuerId(1)),
];

pub(super) fn parties(days: Option<Days>) -> Parties {
    let kept = PARTIES.iter().filter(|_| days.is_some());
    kept.fold(Parties::default(), |parties, party| parties.with(*party))
}

/// A reconciliation of the acquirer, all its copies alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reconciliation {
    pub(super) serial: u32,
    pub(super) sent: WallTime,
    pub(super) date: Option<SettlementDate>,
    /// What it says its totals are.
    pub(super) declared: Option<Totals>,
    /// The day goes on.
    pub(super) is_checkpoint: bool,
}

impl Reconciliation {
    /// Above those of purchases; two may share one.
    pub(super) const fn stan(&self) -> u32 {
        40 + self.serial % 4
    }

    /// Its owner leads it.
    pub(super) fn slot(&self) -> Slot {
        slot(self.stan())
    }

    pub(super) fn key(&self) -> ReconciliationKey {
        ReconciliationKey {
            party: PARTIES[0],
            currency: Currency::KES,
            stan: Stan::new(self.stan()).expect("six digits"),
            transmitted: TransmissionTime::at(self.sent),
        }
    }

    pub(super) fn declares(&self, sign: ReconSign) -> Declared {
        let mut declared = Declared::default();
        if let Some(totals) = &self.declared {
            for figure in Figure::ALL {
                declared.set(figure, totals.of(figure));
            }
            declared.net = Some(totals.net(sign));
        }
        declared
    }
}

/// What the acquirer is told.
#[derive(Clone, Debug)]
pub(super) struct TotalsTold {
    pub(super) ask: Reconciliation,
    pub(super) answer: ReconciliationAnswer,
    /// What it had sent, and what it is told, where messages are bytes.
    pub(super) bytes: (Vec<u8>, Vec<u8>),
}

/// A reconciliation of ours, to an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reckoned {
    pub(super) date: SettlementDate,
    /// As the issuer reads them.
    pub(super) ours: Totals,
}

/// Between shards.
#[derive(Clone, Debug)]
pub(super) enum BookMessage {
    Day {
        party: Party,
        date: SettlementDate,
    },
    /// After a start.
    Known {
        party: Party,
        date: SettlementDate,
    },
    /// To its leader.
    Ask {
        ask: Reconciliation,
        bytes: Vec<u8>,
    },
    Close {
        bucket: BucketKey,
        end: DayEnd,
        leader: u16,
        round: u32,
    },
    Closed {
        round: u32,
        totals: Totals,
    },
    Freeze {
        party: Party,
        date: SettlementDate,
        leader: u16,
        round: u32,
    },
    Frozen {
        round: u32,
        totals: Vec<(BucketKey, Totals)>,
    },
}

/// What the acquirer has asked for.
#[derive(Debug, Default)]
pub(super) struct Reconciler {
    asked: Vec<(Reconciliation, bool)>,
}

impl Reconciler {
    /// The next one; `at` tells it from all others.
    pub(super) fn begin(&mut self, mut ask: Reconciliation) -> u32 {
        ask.serial = self.asked.len() as u32;
        while self.asked.iter().any(|(other, _)| other.key() == ask.key()) {
            // Of one STAN and one second it would be a copy.
            ask.sent = ask.sent.after(std::time::Duration::from_secs(1));
        }
        self.asked.push((ask, false));
        ask.serial
    }

    pub(super) fn get(&self, serial: u32) -> Option<(Reconciliation, bool)> {
        self.asked.get(serial as usize).copied()
    }

    pub(super) fn told(&mut self, serial: u32) {
        if let Some((_, told)) = self.asked.get_mut(serial as usize) {
            *told = true;
        }
    }

    pub(super) fn is_content(&self) -> bool {
        self.asked.iter().all(|(_, told)| *told)
    }
}

/// The day on which the answer to a purchase settles, where its issuer says so: that of the
/// calendar, one near it, or one that is too far away to be meant.
pub(super) fn settles_on(purchase: u32) -> Option<SettlementDate> {
    let days = SettlementDate::at(WALL).days();
    let offset = [None, Some(0), Some(1), None, Some(-1), Some(3), Some(40)];
    let offset = offset[purchase as usize % offset.len()];
    offset.map(|offset: i32| SettlementDate::from_days(days.saturating_add_signed(offset)))
}

/// The further fields of an answer with the day on which it settles.
pub(super) fn with_day(date: Option<SettlementDate>, fields: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(date) = date {
        all.extend([15, 0, 4]);
        all.extend(date.digits());
    }
    all.extend_from_slice(fields);
    all
}

/// The same without it.
pub(super) fn without_day(fields: &[u8]) -> &[u8] {
    match fields {
        [15, 0, len, rest @ ..] => rest.get(usize::from(*len)..).unwrap_or_default(),
        _ => fields,
    }
}

/// The day that the further fields of an answer name.
pub(super) fn day_in(fields: &[u8]) -> Option<SettlementDate> {
    let [15, 0, len, rest @ ..] = fields else {
        return None;
    };
    let digits = rest.get(..usize::from(*len))?.last_chunk::<4>()?;
    let first = SettlementDate::at(WALL).days() - 60;
    let mut all = (first..first + 120).map(SettlementDate::from_days);
    all.find(|date| date.digits() == *digits)
}

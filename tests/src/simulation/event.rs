//! What happens in the world, and inside of a shard.

use domain::ResponseCode;
use domain::ids::{IssuerId, LinkId, Stan};
use domain::network::SettlementDate;
use domain::reconciliation::Party;
use domain::request::Transmission;
use transaction::Handle;

use super::administering::Administrative;
use super::reconciling::{Reconciliation, TotalsTold};
use super::words::{Ask, Held, LegB, Loss, Message, OutboundId, Said, Told, Way};

/// What is next of a checkpoint. In one life of the switch; void in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is made.
    Draft,
    /// What was made before this segment gets its name.
    Name { life: u64, segment: u64 },
    /// The name is synced, what it takes the place of goes, and segments that it covers.
    Keep { life: u64, segment: u64 },
}

/// What happens in the world.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most events are messages: a box would be an allocation for each"
)]
pub(super) enum Event {
    Purchase,
    /// A purchase looks whether it has to do something.
    Acquirer {
        purchase: u32,
        alarm: Alarm,
    },
    /// Over a session of this shard.
    ToSwitch {
        session: u16,
        ask: Ask,
        bytes: Vec<u8>,
    },
    ToAcquirer(Told),
    /// The acquirer reconciles: anew, or once more.
    Reconcile {
        serial: Option<u32>,
    },
    /// Over a session of this shard.
    ReconciliationToSwitch {
        session: u16,
        ask: Box<Reconciliation>,
        bytes: Vec<u8>,
    },
    ReconciliationTold(Box<TotalsTold>),
    /// The acquirer asks what is no money: anew, or once more.
    Administer {
        serial: Option<u32>,
    },
    /// Over a session of this shard.
    AdministrativeToSwitch {
        session: u16,
        ask: Administrative,
    },
    AdministrativeTold {
        ask: Administrative,
        code: ResponseCode,
    },
    /// A business day ends.
    CutOver {
        party: Party,
    },
    ToIssuer {
        link: LinkId,
        /// Counts the connections of the link.
        connection: u32,
        message: LegB,
        bytes: Vec<u8>,
    },
    /// A piece of what is on its way over a link.
    Bytes {
        link: LinkId,
        connection: u32,
        way: Way,
        piece: Vec<u8>,
    },
    FromIssuer {
        link: LinkId,
        connection: u32,
        message: Said,
    },
    /// The journal of a shard gets a checkpoint, by and by.
    Checkpoint {
        shard: u16,
        stage: Stage,
    },
    /// Of one life of the switch; void in the next.
    Inside {
        life: u64,
        shard: u16,
        event: Inside,
    },
    LinkDown {
        link: LinkId,
        loss: Loss,
        for_ms: u64,
    },
    LinkUp {
        link: LinkId,
    },
    /// The process is stopped, and goes on later.
    Stop {
        for_ms: u64,
    },
    /// All links are lost at once.
    Outage {
        for_ms: u64,
    },
    Shed(bool),
    WallJump {
        by_ms: i64,
    },
    Crash {
        power: bool,
    },
    Restart,
    /// The applier looks for what is durable.
    Apply {
        life: u64,
    },
    /// PostgreSQL goes on as a standby that lacks the last commits.
    Failover,
    /// Faults end here.
    Calm,
}

impl Event {
    /// It needs the process to go on.
    pub(super) const fn is_within(&self) -> bool {
        match self {
            Self::ToSwitch { .. }
            | Self::ReconciliationToSwitch { .. }
            | Self::AdministrativeToSwitch { .. }
            | Self::CutOver { .. }
            | Self::FromIssuer { .. }
            | Self::Inside { .. }
            | Self::LinkDown { .. }
            | Self::LinkUp { .. }
            | Self::Outage { .. }
            | Self::Shed(_)
            | Self::WallJump { .. }
            | Self::Checkpoint { .. }
            | Self::Apply { .. } => true,
            Self::Bytes { way, .. } => matches!(way, Way::ToSwitch),
            Self::Purchase
            | Self::Acquirer { .. }
            | Self::ToAcquirer(_)
            | Self::Reconcile { .. }
            | Self::ReconciliationTold(_)
            | Self::Administer { .. }
            | Self::AdministrativeTold { .. }
            | Self::ToIssuer { .. }
            | Self::Stop { .. }
            | Self::Crash { .. }
            | Self::Restart
            | Self::Failover
            | Self::Calm => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Alarm {
    /// No answer to the request yet?
    Answer,
    /// No acknowledgement of the reversal yet?
    Acknowledgement,
    /// Send this further copy.
    Copy {
        transmission: Transmission,
        other_content: bool,
    },
    /// Begin a reversal.
    Reverse { stays: Option<u64>, too_much: bool },
    /// Begin a reversal, whatever was answered so far.
    Race { stays: Option<u64> },
    /// Report what the purchase came to.
    Complete,
}

#[derive(Clone, Debug)]
pub(super) enum Inside {
    /// An operation of the journal has ended.
    Disk,
    /// A flush began a while ago.
    Slow {
        flush: u64,
    },
    Assessed {
        handle: Handle,
    },
    /// At the link's home, after the frame could not be written.
    Unsent {
        id: OutboundId,
    },
    /// What a start has found is asked for.
    Inquire {
        handle: Handle,
        stan: Stan,
    },
    /// At the link's home: nothing was told so far.
    Question {
        id: OutboundId,
        link: LinkId,
        message: Box<LegB>,
    },
    /// A day of an issuer that has ended is over.
    Freeze {
        issuer: IssuerId,
        date: SettlementDate,
    },
    /// From another shard.
    Mesh(Message),
    /// What a null control has held back.
    Reply(Box<Held>),
}

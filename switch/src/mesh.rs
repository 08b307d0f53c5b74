//! Messages between shards. Sending never waits: new requests are refused when a peer is behind,
//! and what continues admitted work waits in a backlog that the number of admitted transactions
//! bounds.

use std::collections::VecDeque;
use std::time::Duration;

use domain::ids::{IssuerId, LinkId, ShardId, Stan};
use domain::network::SettlementDate;
use domain::reconciliation::{Party, Totals};
use domain::time::Instant;
use glommio::GlommioError;
use glommio::ResourceType;
use glommio::channels::shared_channel::{self, ConnectedSender, SharedReceiver, SharedSender};
use router::selection::CallOutcome;
use transaction::administrative::ExchangeId;
use transaction::matching::{Echo, Expected};
use transaction::reconciliation::{BucketKey, DayEnd, ReconciliationId};
use transaction::reference::{Found, ReferenceQuery};
use transaction::{Handle, OwedId};

use crate::acquirer::{SessionRef, desk};
use crate::crypto::endpoint_keys::Endpoint;
use crate::crypto::key_change::NewKey;
use crate::frame::{Claim, Frame};
use crate::inbox::Inbox;
use crate::issuer::CutOverStep;
use crate::shard::Event;
use crate::shard::asking::{Question, Told};
use crate::shard::locating::{Located, QuestionId};
use crate::shard::telling::Approval;

/// What one shard tells another.
#[derive(Debug)]
pub(crate) enum Message {
    /// Session shard → owner: a request or a reversal.
    Request {
        /// Where the answer goes.
        session: SessionRef,
        /// The message.
        frame: Box<Frame>,
    },
    /// Where DE90 leads → holder of the original: the reversal; and back, when that was forgotten
    /// on the way.
    Reversal {
        /// Where the answer goes.
        session: SessionRef,
        /// The message.
        frame: Box<Frame>,
        /// What is known of its original.
        located: Located,
    },
    /// Shard of a gateway's handler → owner.
    Asked {
        /// Where what is told goes.
        from: SessionRef,
        /// What is asked.
        ask: desk::Ask,
    },
    /// Owner → shard of a gateway's handler.
    ToldAsker {
        /// Who asked.
        to: SessionRef,
        /// What is told.
        told: desk::Told,
    },
    /// Any shard → all: who knows this original?
    Locate {
        /// The question, at the asker's.
        id: QuestionId,
        /// Who asks.
        from: ShardId,
        /// For what.
        query: Box<ReferenceQuery>,
    },
    /// Back to the asker.
    LocatedAt {
        /// The question.
        id: QuestionId,
        /// Who answers.
        shard: ShardId,
        /// What it knows.
        found: Option<Found>,
    },
    /// Owner → session shard: the answer, with its length prefix. Empty when there is none to give.
    Reply {
        /// Whose it is.
        session: SessionRef,
        /// The frame.
        bytes: Vec<u8>,
        /// An approval that the owner wants to hear of, should nobody be told of it.
        approval: Option<Approval>,
    },
    /// Session shard → owner: that approval was not written.
    Untold {
        /// The transaction, at the owner's.
        handle: Handle,
    },
    /// Owner → session shard: a message of that session was malformed; its refusal follows.
    Malformed {
        /// Whose it is.
        session: SessionRef,
    },
    /// Owner → whoever knows.
    Ask {
        /// The transaction, at the asker's.
        handle: Handle,
        /// Who asks.
        from: ShardId,
        /// What.
        question: Box<Question>,
    },
    /// Back to the owner.
    Told {
        /// The transaction.
        handle: Handle,
        /// What it asked for.
        told: Told,
    },
    /// Link home → owner: what was sent comes back and was not acted on.
    Rejected {
        /// What was sent.
        outbound: OutboundId,
        /// What that says of the issuer.
        call: CallOutcome,
    },
    /// Owner → link home: write this to the issuer.
    Send(Box<Outbound>),
    /// Link home → owner: provably nothing of it left.
    Unsent {
        /// Whose it was.
        outbound: OutboundId,
    },
    /// Link home → owner: what answers it cannot be acted on.
    Unusable {
        /// What was sent.
        outbound: OutboundId,
    },
    /// Link home → owner: it is answered later.
    Pending {
        /// What was sent.
        outbound: OutboundId,
        /// What that says of the issuer, and how long it has taken.
        call: (CallOutcome, Duration),
    },
    /// Link home → owner: its link is lost, and its issuer wants no wait for what was sent.
    LegLost {
        /// What was sent.
        outbound: OutboundId,
    },
    /// Link home → owner: the issuer answered.
    Answer {
        /// Which message it answers.
        outbound: OutboundId,
        /// The answer.
        frame: Box<Frame>,
        /// Whether its transaction had been given up.
        late: bool,
    },
    /// Owner → link home: an answer would be late now.
    GiveUp {
        /// The link.
        link: LinkId,
        /// The message.
        expected: Expected,
    },
    /// A shard whose breaker probes → link home: send an echo at once.
    Probe {
        /// Over which link.
        link: LinkId,
        /// Who asks.
        from: ShardId,
    },
    /// Link home → who asked: the issuer answers echoes.
    Echoed {
        /// Who answers.
        issuer: IssuerId,
    },
    /// Any link home → the home of the link that an answer's STAN is of.
    Misplaced {
        /// The link on which it came.
        came_on: LinkId,
        /// The link whose STAN it has.
        link: LinkId,
        /// The answer.
        frame: Box<Frame>,
    },
    /// Link home → all: an issuer's business day changes, or has changed.
    CutOver {
        /// Whose.
        issuer: IssuerId,
        /// Which of the two.
        step: CutOverStep,
        /// The day, when the issuer has named one.
        date: Option<SettlementDate>,
    },
    /// What a change of keys takes.
    Key(KeyMessage),
    /// What business days and their totals take.
    Book(BookMessage),
    /// Link home → all: links come and go.
    LinkState {
        /// The link.
        link: LinkId,
        /// Whether it takes financial traffic.
        up: bool,
    },
}

/// What a change of keys takes. One shard leads all changes of one endpoint, one after the other.
#[derive(Clone, Debug)]
pub(crate) enum KeyMessage {
    /// Where it came → leader.
    Propose {
        /// Whose keys.
        endpoint: Endpoint,
        /// The next one.
        key: NewKey,
        /// Where it came.
        from: ShardId,
        /// Its place there.
        id: u32,
    },
    /// Leader → all: check with it too.
    Offer {
        /// Whose keys.
        endpoint: Endpoint,
        /// The next one.
        key: NewKey,
        /// Who leads.
        leader: ShardId,
        /// Tells its rounds apart.
        round: u32,
    },
    /// Each → leader: it does.
    Held {
        /// Of which offer.
        round: u32,
    },
    /// Leader → where it came: acknowledge it, or refuse it.
    Decided {
        /// Its place there.
        id: u32,
        /// Which of them.
        verdict: KeyVerdict,
    },
    /// Where it came → all: it was acknowledged, use it; or it was not, forget it.
    Ended {
        /// Whose keys.
        endpoint: Endpoint,
        /// Whether it is used.
        is_used: bool,
    },
}

/// What business days and their totals take. One shard leads each reconciliation.
#[derive(Debug)]
pub(crate) enum BookMessage {
    /// Where it came → all: a business day begins.
    Day {
        /// With whom.
        party: Party,
        /// The day.
        date: SettlementDate,
    },
    /// Each → all, at a start: this day is known here.
    Known {
        /// With whom.
        party: Party,
        /// The day.
        date: SettlementDate,
    },
    /// Leader → all: what was counted?
    Close {
        /// With whom, when, in what.
        bucket: BucketKey,
        /// Whether the day ends with it.
        end: DayEnd,
        /// Who asks.
        leader: ShardId,
        /// Tells its rounds apart.
        round: u32,
    },
    /// Leader → all: a day of an issuer has ended.
    Freeze {
        /// With whom.
        party: Party,
        /// The last one that ends.
        date: SettlementDate,
        /// Who asks.
        leader: ShardId,
        /// Tells its rounds apart.
        round: u32,
    },
    /// Each → leader: so much for each currency, durable.
    Frozen {
        /// Of which round.
        round: u32,
        /// What this shard has counted.
        totals: Vec<(BucketKey, Totals)>,
    },
    /// Link home → leader: an issuer asks for totals.
    IssuerAsks {
        /// On which link.
        link: LinkId,
        /// Who.
        issuer: IssuerId,
        /// The message.
        frame: Box<Frame>,
    },
    /// Leader → link home: the answer to that.
    LinkAnswer {
        /// On which link.
        link: LinkId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Each → leader: so much, durable.
    Closed {
        /// Of which round.
        round: u32,
        /// What this shard has counted.
        totals: Totals,
    },
}

/// What a leader has decided about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyVerdict {
    /// All check with it, and it is stored.
    Held,
    /// Not all have said so in time: it is offered no longer.
    Overdue,
    /// It could not be stored: it is offered no longer.
    Unstored,
    /// Another one came first; nobody was offered this one.
    Busy,
}

/// Names a message to an issuer, and what in the owner waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutboundId {
    /// The shard that waits.
    pub(crate) owner: ShardId,
    /// Its transaction.
    pub(crate) handle: Handle,
    /// The STAN of the issuer's leg.
    pub(crate) stan: Stan,
    /// The request itself or its reversal.
    pub(crate) purpose: Purpose,
}

/// What a message to an issuer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// 0100 or 0200.
    Request,
    /// What became of one that a start has found.
    Inquiry,
    /// 0420, 0421, or an advice.
    Reversal(OwedId),
    /// 0520 or 0522.
    Reconciliation(ReconciliationId),
    /// 0600 or 0620, and to whom.
    Administrative(ExchangeId, IssuerId),
}

impl OutboundId {
    /// Both are reversals of one transaction: the same one again, or the next.
    pub(crate) fn is_reversal_beside(&self, other: &Self) -> bool {
        let reverses = |id: &Self| matches!(id.purpose, Purpose::Reversal(_));
        self.owner == other.owner
            && self.handle == other.handle
            && reverses(self)
            && reverses(other)
    }
}

/// A message on its way to a link.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// What waits for the answer.
    pub(crate) id: OutboundId,
    /// The connection.
    pub(crate) link: LinkId,
    /// What the answer must match.
    pub(crate) expected: Expected,
    /// What the answer must echo.
    pub(crate) echo: Echo,
    /// To an issuer over HTTP it leaves before that or never: from then on its reversal may.
    pub(crate) by: Instant,
    /// The frame with its length prefix.
    pub(crate) bytes: Vec<u8>,
}

/// The ends that one shard takes into its executor.
#[derive(Debug)]
pub(crate) struct MeshEnds {
    senders: Vec<Option<SharedSender<Message>>>,
    receivers: Vec<Option<SharedReceiver<Message>>>,
}

/// Bounded channels between all pairs of shards.
pub(crate) fn build(shards: u16, capacity: usize) -> Vec<MeshEnds> {
    let count = usize::from(shards);
    let mut ends: Vec<MeshEnds> = (0..count)
        .map(|_| MeshEnds {
            senders: (0..count).map(|_| None).collect(),
            receivers: (0..count).map(|_| None).collect(),
        })
        .collect();
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            let (sender, receiver) = shared_channel::new_bounded(capacity);
            if let Some(slot) = ends.get_mut(from).and_then(|end| end.senders.get_mut(to)) {
                *slot = Some(sender);
            }
            if let Some(slot) = ends.get_mut(to).and_then(|end| end.receivers.get_mut(from)) {
                *slot = Some(receiver);
            }
        }
    }
    ends
}

/// A shard's way to its peers.
#[derive(Debug)]
pub(crate) struct Mesh {
    peers: Vec<Option<Peer>>,
    sent: u64,
}

#[derive(Debug)]
struct Peer {
    sender: ConnectedSender<Message>,
    backlog: VecDeque<Message>,
}

impl Mesh {
    /// Connects to every peer, and starts a task per peer that puts its messages into `inbox`.
    /// Returns when all peers have done the same.
    pub(crate) async fn connect(ends: MeshEnds, inbox: &Inbox) -> Self {
        for receiver in ends.receivers.into_iter().flatten() {
            let inbox = inbox.clone();
            glommio::spawn_local(async move {
                let receiver = receiver.connect().await;
                while let Some(message) = receiver.recv().await {
                    inbox.push(event(message, &inbox));
                }
            })
            .detach();
        }
        let mut peers = Vec::with_capacity(ends.senders.len());
        for sender in ends.senders {
            let peer = match sender {
                Some(sender) => Some(Peer {
                    sender: sender.connect().await,
                    backlog: VecDeque::new(),
                }),
                None => None,
            };
            peers.push(peer);
        }
        Self { peers, sent: 0 }
    }

    /// Messages sent to peers, those in backlogs included.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether `to` takes new requests: nothing waits for it here.
    pub(crate) fn has_room(&self, to: ShardId) -> bool {
        self.peer(to).is_none_or(|peer| peer.backlog.is_empty())
    }

    /// Sends, or keeps for the next flush. A message to this shard itself is the caller's mistake
    /// and is given back.
    pub(crate) fn send(&mut self, to: ShardId, message: Message) {
        let Some(peer) = self
            .peers
            .get_mut(usize::from(to.0))
            .and_then(Option::as_mut)
        else {
            debug_assert!(
                false,
                "invariant: no shard sends to itself through the mesh"
            );
            return;
        };
        self.sent = self.sent.saturating_add(1);
        peer.backlog.push_back(message);
        if peer.backlog.len() == 1 {
            peer.flush();
        }
    }

    /// Tries again what did not fit. Returns how many messages still wait.
    pub(crate) fn flush(&mut self) -> usize {
        self.peers
            .iter_mut()
            .flatten()
            .map(|peer| {
                peer.flush();
                peer.backlog.len()
            })
            .sum()
    }

    /// Messages that wait in backlogs.
    pub(crate) fn depth(&self) -> usize {
        self.peers
            .iter()
            .flatten()
            .map(|peer| peer.backlog.len())
            .sum()
    }

    fn peer(&self, to: ShardId) -> Option<&Peer> {
        self.peers.get(usize::from(to.0)).and_then(Option::as_ref)
    }
}

/// A request has no more room than one of the shard's own sessions.
fn event(message: Message, inbox: &Inbox) -> Event {
    match message {
        Message::Request { session, frame } if !inbox.takes(Claim::of(frame.message())) => {
            Event::Excess { session, frame }
        }
        message => Event::Mesh(message),
    }
}

impl Peer {
    fn flush(&mut self) {
        while let Some(message) = self.backlog.pop_front() {
            match self.sender.try_send(message) {
                Ok(()) => {}
                Err(GlommioError::WouldBlock(ResourceType::Channel(message))) => {
                    self.backlog.push_front(message);
                    return;
                }
                // The peer has ended: the process is going down, and recovery has the rest.
                Err(_) => self.backlog.clear(),
            }
        }
    }
}

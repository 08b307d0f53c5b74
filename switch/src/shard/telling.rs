//! Answers on their way to their sessions, and what becomes of an approval that finds nobody.

use domain::ids::ShardId;
use domain::time::Instant;
use transaction::{Handle, Input};

use super::{FollowUp, Shard};
use crate::acquirer::SessionRef;
use crate::mesh::Message;

/// An approval that its profile reverses when nobody is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    /// The shard that has its transaction.
    pub(crate) owner: ShardId,
    /// The transaction, there.
    pub(crate) handle: Handle,
}

impl Shard {
    /// Sends an answer to its session, wherever that is.
    pub(super) fn reply(&mut self, session: SessionRef, bytes: &[u8], approval: Option<Approval>) {
        if session.shard == self.id {
            if let Some(untold) = self.deliver(session, bytes, approval) {
                // Its own: an answer leaves where its transaction is.
                let next = FollowUp::Undelivered(untold.handle);
                self.work.follow_ups.push_back(next);
            }
        } else {
            let message = Message::Reply {
                session,
                bytes: bytes.to_vec(),
                approval,
            };
            self.mesh.send(session.shard, message);
        }
    }

    /// An answer of a peer, for a session of this shard.
    pub(super) fn deliver_for_peer(
        &mut self,
        session: SessionRef,
        bytes: &[u8],
        approval: Option<Approval>,
    ) {
        if let Some(Approval { owner, handle }) = self.deliver(session, bytes, approval) {
            self.mesh.send(owner, Message::Untold { handle });
        }
    }

    /// Queues an answer on a session of this shard. A session that has gone misses its answer: the
    /// outcome is kept, and a repeat gets it. Gives back an approval that will not leave.
    fn deliver(
        &mut self,
        session_ref: SessionRef,
        bytes: &[u8],
        approval: Option<Approval>,
    ) -> Option<Approval> {
        let Some(session) = self.sessions.end(session_ref) else {
            return approval;
        };
        if bytes.is_empty() {
            return None;
        }
        // A connection that refuses has been closed; its reader ends the session.
        if session.conn.push(bytes).is_err() {
            return approval;
        }
        session.tell(approval);
        if session.conn.list() {
            self.work.dirty_sessions.push(session);
        }
        None
    }

    /// A connection has ended with this approval unwritten.
    pub(super) fn note_untold(&mut self, untold: Approval, now: Instant) {
        let Approval { owner, handle } = untold;
        if owner == self.id {
            self.turn(Input::Undelivered { handle }, now);
        } else {
            self.mesh.send(owner, Message::Untold { handle });
        }
    }
}

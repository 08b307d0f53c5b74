//! The state of one link, on its home shard: sign-on, echo, and which owner waits for which answer.
//!
//! ```text
//!            connected               0810 00
//!   Down ───────────────► SigningOn ─────────► Up ──┐ silence: echo; three missed: closed
//!    ▲                     │      ▲ 60 s       │    │
//!    │                     ▼ refused│          │◄───┘ 0810
//!    │                    Refused ──┘          │
//!    └───────────── lost ◄─────────────────────┘
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::ids::{IssuerId, LinkId, ShardId, Stan};
use domain::time::{Instant, TransmissionTime, WallTime};
use iso8583::error::MacError;
use iso8583::header::RejectCode;
use iso8583::mti::Class;
use iso8583::translate::{self, NetworkKind};
use iso8583::{Dialect, MessageRef};
use transaction::matching::{Expected, Match, PendingLimits, PendingTable, ResponseKind};

use super::Received;
use crate::conn::Conn;
use crate::crypto::mac::{self, EndpointMac};
use crate::echo::EchoReader;
use crate::frame::{Casing, Frame};
use crate::mesh::{Outbound, OutboundId};
use crate::metrics::{LinkState as StateLabel, UnmatchedReason};

/// What a link is made of.
#[derive(Debug)]
pub(crate) struct LinkSetup {
    pub(crate) id: LinkId,
    pub(crate) issuer: IssuerId,
    /// The issuer's name, for people.
    pub(crate) name: String,
    pub(crate) dialect: &'static Dialect,
    /// Around what is sent first.
    pub(crate) casing: Casing,
    pub(crate) mac: Option<Arc<EndpointMac>>,
    pub(crate) sign_on: bool,
    pub(crate) echo_idle: Duration,
    pub(crate) pending_max: usize,
    pub(crate) late_window: Duration,
    pub(crate) echo: EchoReader,
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// No connection.
    Down,
    /// Connected; 0800/001 sent `attempts` times, the next is due at `deadline`.
    SigningOn { attempts: u32, deadline: Instant },
    /// The issuer refused the sign-on; asked again at `deadline`.
    Refused { deadline: Instant },
    /// Takes financial traffic. An echo is due at `deadline`; `missed` have had no answer.
    Up { missed: u32, deadline: Instant },
}

/// What a received message means for the shard.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Nothing that the shard must act on.
    Handled,
    /// The link takes financial traffic, or no longer does.
    Changed { up: bool },
    /// The issuer answered an echo; whose breakers asked for one.
    Echoed { probed_by: ShardSet },
    /// An answer to what an owner waits for.
    Answer { outbound: OutboundId, late: bool },
    /// An answer to what has been answered: counted, and told to the owner, who sees a conflict.
    Second { outbound: OutboundId },
    /// The network between gives back what was sent: it never reached the issuer. Whose it is, when
    /// it is still waited for.
    Rejected { outbound: Option<OutboundId> },
    /// An answer that belongs to nothing; the reason is a closed set.
    Unmatched(Unmatched),
}

/// Why an answer was not matched (semantics.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmatched {
    /// The STAN is in flight, other fields differ; or the message cannot be read.
    Mismatch,
    /// Its MAC is missing or wrong, so it may be anybody's.
    Unauthentic(MacError),
    /// None of these.
    Unknown,
}

impl Unmatched {
    /// The metric's word for it.
    pub(crate) const fn label(self) -> UnmatchedReason {
        match self {
            Self::Mismatch | Self::Unauthentic(_) => UnmatchedReason::Mismatch,
            Self::Unknown => UnmatchedReason::Unknown,
        }
    }
}

/// One link.
#[derive(Debug)]
pub(crate) struct Link {
    setup: LinkSetup,
    state: LinkState,
    conn: Option<Rc<Conn>>,
    pending: PendingTable<OutboundId>,
    network_stan: u32,
    /// Shards whose breakers wait for an echo.
    probed_by: ShardSet,
    is_reject_told: bool,
    scratch: Vec<u8>,
}

impl Link {
    pub(crate) fn new(setup: LinkSetup) -> Self {
        let limits = PendingLimits {
            inflight_max: setup.pending_max,
            late_max: setup.pending_max,
            answered_max: setup.pending_max,
            window: setup.late_window,
        };
        let pending = PendingTable::new(limits, u64::from(setup.id.0));
        Self {
            setup,
            state: LinkState::Down,
            conn: None,
            pending,
            network_stan: 0,
            probed_by: ShardSet::default(),
            is_reject_told: false,
            scratch: vec![0; 512],
        }
    }

    pub(crate) const fn issuer(&self) -> IssuerId {
        self.setup.issuer
    }

    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, LinkState::Up { .. })
    }

    /// The connection, when there is one.
    pub(crate) const fn conn(&self) -> Option<&Rc<Conn>> {
        self.conn.as_ref()
    }

    /// A connection stands: sign on, or go straight up.
    pub(crate) fn connected(&mut self, conn: Rc<Conn>, now: Instant, wall: WallTime) -> LinkEvent {
        self.conn = Some(conn);
        self.is_reject_told = false;
        if self.setup.sign_on {
            self.sign_on(1, now, wall);
            LinkEvent::Handled
        } else {
            self.go_up(now)
        }
    }

    /// The connection has ended. What was sent on it keeps its own deadline: it may have arrived.
    pub(crate) fn lost(&mut self) -> LinkEvent {
        let was_up = self.is_up();
        self.state = LinkState::Down;
        if let Some(conn) = self.conn.take() {
            conn.close();
        }
        if was_up {
            LinkEvent::Changed { up: false }
        } else {
            LinkEvent::Handled
        }
    }

    /// Writes a message of an owner. Gives it back when provably no byte of it left.
    pub(crate) fn send(
        &mut self,
        outbound: Box<Outbound>,
        now: Instant,
    ) -> Result<(), Box<Outbound>> {
        let Some(conn) = self.conn.as_ref().filter(|_| self.is_up()) else {
            return Err(outbound);
        };
        let Outbound {
            id, expected, echo, ..
        } = *outbound;
        // An earlier transmission of the same reversal, or the reversal before it, must not stand
        // in the way: all that a transaction owes carries one STAN.
        self.pending
            .supersede(expected, |earlier| earlier.is_reversal_beside(&id));
        if self.pending.insert(expected, echo, id, now).is_err() {
            return Err(outbound);
        }
        if conn.push(&outbound.bytes).is_err() {
            self.pending.withdraw(expected);
            return Err(outbound);
        }
        Ok(())
    }

    /// Sends an echo at once for the breaker of a shard, beside those that silence is due. Its
    /// answer is told by [`LinkEvent::Echoed`], that there is none by nobody: the breaker has its
    /// own timer.
    pub(crate) fn probe(&mut self, from: ShardId, wall: WallTime) {
        if self.is_up() {
            self.probed_by.insert(from);
            self.send_network(NetworkKind::Echo, wall);
        }
    }

    /// The owner has given up waiting: an answer from here on is late.
    pub(crate) fn give_up(&mut self, expected: Expected, now: Instant) {
        self.pending.give_up(expected, now);
    }

    /// Takes a frame of the issuer.
    pub(crate) fn received(
        &mut self,
        frame: &Frame,
        received: Received,
        now: Instant,
        wall: WallTime,
    ) -> LinkEvent {
        if let Err(error) = self.check_mac(frame, received) {
            // Not even a sign of life. The timer of what it says it answers decides (semantics.md
            // R8).
            return LinkEvent::Unmatched(Unmatched::Unauthentic(error));
        }
        if let LinkState::Up { .. } = self.state {
            self.state = LinkState::Up {
                missed: 0,
                deadline: now.after(self.setup.echo_idle),
            };
        }
        let message = frame.message();
        match received {
            // The timer of whatever it answers decides; the link stays (issue: one malformed
            // answer costs one timeout).
            Received::Unreadable => return LinkEvent::Unmatched(Unmatched::Mismatch),
            Received::Rejected(code) => return self.rejected(message, code, now),
            Received::Message => {}
        }
        let mti = message.mti();
        match mti.as_bytes() {
            _ if mti.version() != message.dialect().version() => {
                LinkEvent::Unmatched(Unmatched::Unknown)
            }
            [_, b'8', b'0' | b'2', _] => self.answer_network(frame),
            [_, b'8', ..] => self.network_answered(message, now, wall),
            [_, b'1' | b'2' | b'4', b'1' | b'3', _] => self.match_answer(message, now),
            // An echo of our own request, or a message that an issuer does not send: never matched.
            _ => LinkEvent::Unmatched(Unmatched::Unknown),
        }
    }

    /// Sends what is due: a sign-on again, an echo. A link whose issuer stays silent is down from
    /// here on; the task that reads it ends, and connects again.
    pub(crate) fn handle_timeout(&mut self, now: Instant, wall: WallTime) -> LinkEvent {
        match self.state {
            LinkState::SigningOn { attempts, deadline } if deadline <= now => {
                if attempts >= SIGN_ON_ATTEMPTS {
                    return self.abandon("sign-on not answered");
                }
                self.sign_on(attempts.saturating_add(1), now, wall);
            }
            LinkState::Refused { deadline } if deadline <= now => self.sign_on(1, now, wall),
            LinkState::Up { missed, deadline } if deadline <= now => {
                if missed >= ECHO_MISSED_MAX {
                    return self.abandon("echo not answered");
                }
                self.send_network(NetworkKind::Echo, wall);
                self.state = LinkState::Up {
                    missed: missed.saturating_add(1),
                    deadline: now.after(ECHO_TIMEOUT),
                };
            }
            LinkState::Down
            | LinkState::SigningOn { .. }
            | LinkState::Refused { .. }
            | LinkState::Up { .. } => {}
        }
        LinkEvent::Handled
    }

    /// The metric's word for where it stands.
    pub(crate) const fn label(&self) -> StateLabel {
        match self.state {
            LinkState::Down => StateLabel::Down,
            LinkState::SigningOn { .. } | LinkState::Refused { .. } => StateLabel::Connected,
            LinkState::Up { .. } => StateLabel::Up,
        }
    }

    /// When [`Link::handle_timeout`] has something to do.
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            LinkState::Down => None,
            LinkState::SigningOn { deadline, .. }
            | LinkState::Refused { deadline }
            | LinkState::Up { deadline, .. } => Some(deadline),
        }
    }

    /// Signs off, for a drain.
    pub(crate) fn sign_off(&mut self, wall: WallTime) {
        if self.setup.sign_on && self.is_up() {
            self.send_network(NetworkKind::SignOff, wall);
        }
    }

    fn abandon(&mut self, reason: &str) -> LinkEvent {
        let (issuer, link) = (&self.setup.name, self.setup.id);
        tracing::warn!(%issuer, %link, reason, "issuer is silent, its connection is closed");
        self.lost()
    }

    /// What comes back has the MAC that it left with. What cannot be read is never matched, so its
    /// MAC is not looked for.
    fn check_mac(&self, frame: &Frame, received: Received) -> Result<(), MacError> {
        let Some(mac) = &self.setup.mac else {
            return Ok(());
        };
        match received {
            Received::Message => mac.check(frame.message()),
            Received::Rejected(_) => mac.check_own(frame.message()),
            Received::Unreadable => Ok(()),
        }
    }

    fn match_answer(&mut self, message: MessageRef<'_>, now: Instant) -> LinkEvent {
        let Some(expected) = expected_of(message) else {
            return LinkEvent::Unmatched(Unmatched::Mismatch);
        };
        let echo = self.setup.echo.of_answer(message);
        match self.pending.resolve(expected, &echo, now) {
            Match::Matched(outbound) => LinkEvent::Answer {
                outbound,
                late: false,
            },
            Match::Late { owner, .. } => LinkEvent::Answer {
                outbound: owner,
                late: true,
            },
            Match::AlreadyAnswered { owner, .. } => LinkEvent::Second { outbound: owner },
            Match::Differs(_) => LinkEvent::Unmatched(Unmatched::Mismatch),
            Match::Unknown => LinkEvent::Unmatched(Unmatched::Unknown),
        }
    }

    /// A message of ours came back. What it was is read from itself; a network message has its
    /// timer.
    fn rejected(&mut self, message: MessageRef<'_>, code: RejectCode, now: Instant) -> LinkEvent {
        let (issuer, link) = (&self.setup.name, self.setup.id);
        let mti = message.mti();
        if std::mem::replace(&mut self.is_reject_told, true) {
            tracing::debug!(%issuer, %link, %code, %mti, "another message was rejected");
        } else {
            tracing::warn!(%issuer, %link, %code, %mti, "the network rejects messages");
        }
        let matched = asked_by(message).map(|expected| {
            let echo = self.setup.echo.of_answer(message);
            self.pending.resolve(expected, &echo, now)
        });
        let outbound = match matched {
            Some(Match::Matched(outbound)) => Some(outbound),
            // Timed out or answered meanwhile: a reject changes nothing of that.
            Some(
                Match::Late { .. }
                | Match::AlreadyAnswered { .. }
                | Match::Differs(_)
                | Match::Unknown,
            )
            | None => None,
        };
        LinkEvent::Rejected { outbound }
    }

    fn answer_network(&mut self, frame: &Frame) -> LinkEvent {
        let dialect = self.setup.dialect;
        let message = frame.message();
        self.write(frame.casing.reply(), |out| {
            translate::write_network_answer(dialect, message, out).ok()
        });
        LinkEvent::Handled
    }

    fn network_answered(
        &mut self,
        message: MessageRef<'_>,
        now: Instant,
        wall: WallTime,
    ) -> LinkEvent {
        let approved = message.array(39) == Some(*b"00");
        match (self.state, translate::network(message)) {
            (LinkState::SigningOn { .. }, Ok(NetworkKind::SignOn)) if approved => self.go_up(now),
            (LinkState::SigningOn { .. }, Ok(NetworkKind::SignOn)) => {
                tracing::error!(link = %self.setup.id, at = wall.unix_millis(), "sign-on refused");
                self.state = LinkState::Refused {
                    deadline: now.after(SIGN_ON_RETRY),
                };
                LinkEvent::Handled
            }
            (LinkState::Up { .. }, Ok(NetworkKind::Echo)) if approved => LinkEvent::Echoed {
                probed_by: std::mem::take(&mut self.probed_by),
            },
            _ => LinkEvent::Handled,
        }
    }

    fn go_up(&mut self, now: Instant) -> LinkEvent {
        self.state = LinkState::Up {
            missed: 0,
            deadline: now.after(self.setup.echo_idle),
        };
        LinkEvent::Changed { up: true }
    }

    fn sign_on(&mut self, attempts: u32, now: Instant, wall: WallTime) {
        self.send_network(NetworkKind::SignOn, wall);
        self.state = LinkState::SigningOn {
            attempts,
            deadline: now.after(SIGN_ON_TIMEOUT),
        };
    }

    fn send_network(&mut self, kind: NetworkKind, wall: WallTime) {
        self.network_stan = self.network_stan % Stan::MAX + 1;
        let Ok(stan) = Stan::new(self.network_stan) else {
            return;
        };
        let dialect = self.setup.dialect;
        let at = TransmissionTime::at(wall);
        self.write(self.setup.casing, |out| {
            translate::write_network(dialect, kind, stan, at, out).ok()
        });
    }

    fn write(&mut self, casing: Casing, encode: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let Some(conn) = &self.conn else { return };
        let mac = self.setup.mac.as_ref();
        let mac = mac.and_then(|mac| mac.of(Class::Network));
        let framed = casing.write(&mut self.scratch, |out| {
            let len = encode(out)?;
            mac::append(mac, self.setup.dialect, out, len)
        });
        let bytes = framed
            .and_then(|len| self.scratch.get(..len))
            .unwrap_or_default();
        // A connection that refuses has been closed; its task reports the loss.
        if conn.push(bytes).is_err() {
            conn.close();
        }
    }
}

/// Shards of one node, of which there are 64 at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    pub(crate) fn insert(&mut self, shard: ShardId) {
        self.0 |= 1_u64.checked_shl(u32::from(shard.0)).unwrap_or(0);
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ShardId> {
        (0..64)
            .filter(move |shard| self.0 >> shard & 1 == 1)
            .map(ShardId)
    }
}

/// What an answer is the answer to, by its MTI and DE11.
fn expected_of(message: MessageRef<'_>) -> Option<Expected> {
    let stan = translate::stan(message).ok()?;
    let kind = match message.mti().as_bytes() {
        [_, b'1', b'1', _] => ResponseKind::Authorisation,
        [_, b'2', b'1', _] => ResponseKind::Financial,
        [_, b'1', b'3', _] => ResponseKind::AuthorisationAdvice,
        [_, b'2', b'3', _] => ResponseKind::FinancialAdvice,
        [_, b'4', b'1' | b'3', _] => ResponseKind::Reversal,
        _ => return None,
    };
    Some(Expected { kind, stan })
}

/// What a message of ours waits for, by its own MTI and DE11.
fn asked_by(message: MessageRef<'_>) -> Option<Expected> {
    let stan = translate::stan(message).ok()?;
    let kind = match message.mti().as_bytes() {
        [_, b'1', b'0', _] => ResponseKind::Authorisation,
        [_, b'2', b'0', _] => ResponseKind::Financial,
        [_, b'1', b'2', _] => ResponseKind::AuthorisationAdvice,
        [_, b'2', b'2', _] => ResponseKind::FinancialAdvice,
        [_, b'4', b'2', _] => ResponseKind::Reversal,
        _ => return None,
    };
    Some(Expected { kind, stan })
}

const SIGN_ON_TIMEOUT: Duration = Duration::from_secs(10);
const SIGN_ON_ATTEMPTS: u32 = 3;
const SIGN_ON_RETRY: Duration = Duration::from_secs(60);
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);
const ECHO_MISSED_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use iso8583::Framing;
    use iso8583::error::MacRule;
    use iso8583::header::HeaderBytes;

    use super::*;
    use crate::crypto::mac::{MacAlgorithm, MacLen, SoftwareMac};
    use crate::frame::FramePool;
    use crate::sys::SocketWriter;

    /// Runs the link's timers until none is left; what they said, and how long they took.
    #[track_caller]
    fn abandoned(link: &mut Link, mut now: Instant) -> (Vec<bool>, Duration) {
        let (start, wall) = (now, WallTime::from_unix_millis(0));
        let mut changes = Vec::new();
        for _ in 0..20 {
            let Some(deadline) = link.poll_timeout() else {
                return (changes, now.since(start));
            };
            now = deadline;
            if let LinkEvent::Changed { up } = link.handle_timeout(now, wall) {
                changes.push(up);
            }
        }
        panic!("it still waits for something: {:?}", link.state);
    }

    #[test]
    fn a_sign_on_without_an_answer_is_given_up() {
        let (mut link, conn, _sockets) = link_and_connection(true);
        link.connected(
            Rc::clone(&conn),
            Instant::ZERO,
            WallTime::from_unix_millis(0),
        );
        let (changes, took) = abandoned(&mut link, Instant::ZERO);
        assert_eq!(
            (changes, took),
            (vec![], SIGN_ON_TIMEOUT * SIGN_ON_ATTEMPTS)
        );
        assert!(conn.is_closed() && link.conn().is_none());
    }

    #[test]
    fn an_issuer_that_answers_no_echo_is_left() {
        let (mut link, conn, _sockets) = link_and_connection(false);
        let up = link.connected(
            Rc::clone(&conn),
            Instant::ZERO,
            WallTime::from_unix_millis(0),
        );
        assert!(matches!(up, LinkEvent::Changed { up: true }) && link.is_up());
        let (changes, took) = abandoned(&mut link, Instant::ZERO);
        let silence = ECHO_IDLE + ECHO_TIMEOUT * ECHO_MISSED_MAX;
        assert_eq!((changes, took), (vec![false], silence), "all are told");
        assert!(conn.is_closed() && !link.is_up());
        assert!(matches!(link.lost(), LinkEvent::Handled), "once");
    }

    #[test]
    fn what_is_not_authentic_is_not_even_a_sign_of_life() {
        let (mut link, conn, _sockets) = link_and_connection(true);
        link.setup.mac = Some(macs());
        let (then, wall) = (Instant::ZERO, WallTime::from_unix_millis(0));
        link.connected(conn, then, wall);
        let signed_on = network(b"0810", b"001");
        for (bytes, rule) in [
            (signed_on.clone(), MacRule::Missing),
            (authenticated(&signed_on, &macs().send), MacRule::Wrong),
        ] {
            let event = link.received(&frame(&bytes), Received::Message, then, wall);
            let unauthentic = Unmatched::Unauthentic(MacError { field: 128, rule });
            assert!(matches!(event, LinkEvent::Unmatched(found) if found == unauthentic));
        }
        let right = authenticated(&signed_on, &macs().receive);
        let event = link.received(&frame(&right), Received::Message, then, wall);
        assert!(matches!(event, LinkEvent::Changed { up: true }));

        let echo = network(b"0800", b"301");
        let (due, later) = (link.poll_timeout(), then.after(Duration::from_secs(1)));
        link.received(&frame(&echo), Received::Message, later, wall);
        assert_eq!(link.poll_timeout(), due, "an echo of its own is still due");
        let echo = authenticated(&echo, &macs().receive);
        link.received(&frame(&echo), Received::Message, later, wall);
        assert_eq!(link.poll_timeout(), Some(later.after(ECHO_IDLE)));
    }

    #[test]
    fn what_comes_back_has_the_mac_that_it_left_with() {
        let (mut link, conn, _sockets) = link_and_connection(false);
        link.setup.mac = Some(macs());
        let (then, wall) = (Instant::ZERO, WallTime::from_unix_millis(0));
        link.connected(conn, then, wall);
        let rejected = Received::Rejected(RejectCode(601));
        let echo = network(b"0800", b"301");
        for (bytes, rule) in [
            (echo.clone(), MacRule::Missing),
            (authenticated(&echo, &macs().receive), MacRule::Wrong),
        ] {
            let event = link.received(&frame(&bytes), rejected, then, wall);
            let unauthentic = Unmatched::Unauthentic(MacError { field: 128, rule });
            assert!(matches!(event, LinkEvent::Unmatched(found) if found == unauthentic));
        }
        let ours = authenticated(&echo, &macs().send);
        let event = link.received(&frame(&ours), rejected, then, wall);
        assert!(matches!(event, LinkEvent::Rejected { outbound: None }));
    }

    fn macs() -> Arc<EndpointMac> {
        let key = |byte| SoftwareMac::new(MacAlgorithm::AesCmac, MacLen::Eight, &[byte; 16]);
        Arc::new(EndpointMac {
            receive: key(1).unwrap(),
            send: key(2).unwrap(),
            network: true,
        })
    }

    fn network(mti: &[u8; 4], code: &[u8]) -> Vec<u8> {
        let mut out = [0; 128];
        let mti = iso8583::Mti::new(*mti).unwrap();
        let mut writer = iso8583::Writer::new(Dialect::ISO87_ASCII, mti, &mut out);
        writer.put(11, b"000001").unwrap();
        writer.put(39, b"00").unwrap();
        writer.put(70, code).unwrap();
        let len = writer.finish().unwrap();
        out[..len].to_vec()
    }

    fn authenticated(message: &[u8], key: &SoftwareMac) -> Vec<u8> {
        let mut out = [message, &[0; 8]].concat();
        iso8583::mac::append(Dialect::ISO87_ASCII, key, &mut out, message.len()).unwrap();
        out
    }

    fn frame(bytes: &[u8]) -> Box<Frame> {
        let mut frame = FramePool::new(1).take(bytes, CASING);
        Dialect::ISO87_ASCII
            .parse(&frame.bytes, &mut frame.index)
            .unwrap();
        frame
    }

    const ECHO_IDLE: Duration = Duration::from_secs(30);
    const CASING: Casing = Casing {
        framing: Framing::Be16,
        header: HeaderBytes::NONE,
    };

    fn link_and_connection(sign_on: bool) -> (Link, Rc<Conn>, [TcpStream; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        let writer = SocketWriter::of(&ours, Duration::from_secs(10)).unwrap();
        let link = Link::new(LinkSetup {
            id: LinkId(0),
            issuer: IssuerId(0),
            name: "bank".to_owned(),
            dialect: Dialect::ISO87_ASCII,
            casing: CASING,
            mac: None,
            sign_on,
            echo_idle: ECHO_IDLE,
            pending_max: 16,
            late_window: Duration::from_secs(600),
            echo: EchoReader::new(),
        });
        (link, Rc::new(Conn::new(writer, 4_096)), [ours, theirs])
    }
}

//! The life of one link to an issuer.
//!
//! ```text
//!              connected                  accepted             key in use
//!   Down ───────────────────► SigningOn ──────────► Syncing ──────────────► Up
//!    ▲   (no sign-on: on)       │    ▲ sign_on_retry   │ (no key asked for: on) │ drain
//!    │                          ▼    │                 │                        ▼
//!    │                        Refused                  │                     Draining
//!    │                                                 │                        │ accepted,
//!    │                                                 │                        ▼ or no answer
//!    └── lost; no answer to three sign-ons; echoes missed ──────────────── SignedOff
//! ```
//!
//! Each direction signs on by itself. What the other side says is a bar across `Up`: a sign-off
//! lowers it and new work stays away, a sign-on, or its yes to ours, lifts it. Echoes go on behind
//! it, and answers to what was sent before are taken in every state that has a connection. Too many
//! answers that cannot be what they say lower the same bar for a minute.

use alloc::collections::VecDeque;
use core::time::Duration;

use domain::network::NetworkKind;
use domain::time::Instant;

use super::Verdict;

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkPolicy {
    /// Whether to sign on before any request.
    pub sign_on: bool,
    /// Whether to ask for a key before any request, and again.
    pub key: Option<KeyPolicy>,
    /// Silence after which an echo is sent.
    pub echo_idle: Duration,
    /// Echoes without an answer, after which the link is lost; at least 1.
    pub echo_missed: u32,
    /// How long a network message waits for its answer.
    pub answer_timeout: Duration,
    /// Sign-ons without an answer, after which the link is lost; at least 1.
    pub sign_on_attempts: u32,
    /// After a refusal.
    pub sign_on_retry: Duration,
    /// Answers a minute that cannot be what they say, beyond which new work stays away for a
    /// minute; at least 1.
    pub mismatches_max: u32,
}

/// How a link asks for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// How long a key may take to come, before it is asked for again.
    pub retry: Duration,
    /// How long a key is used.
    pub renew: Duration,
}

/// What a link is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkInput {
    /// A connection stands.
    Connected,
    /// It has ended.
    Lost,
    /// A message came that is what it says to be, whatever it is.
    Heard,
    /// The other side has answered a network message of ours.
    Answered(NetworkKind, Verdict),
    /// The other side has sent a network message of its own.
    Asked(NetworkKind),
    /// A message came that casts doubt on the link: it answers what it cannot answer.
    Mismatch,
    /// A new key is in use.
    KeyInUse,
    /// No new work: sign off.
    Drain,
}

/// What a link asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOutput {
    /// Send a network message.
    Send(NetworkKind),
    /// From here on it takes new work, or no longer.
    Open(bool),
    /// Close the connection.
    Close(Alarm),
    /// People have to know.
    Alarm(Alarm),
}

/// What people have to know of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The sign-on has no answer.
    SignOnUnanswered,
    /// The sign-on was refused.
    SignOnRefused,
    /// Echoes have no answer.
    EchoUnanswered,
    /// No key has come.
    KeyMissing,
    /// Too many of its answers cannot be what they say.
    Quarantined,
}

impl Alarm {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::SignOnUnanswered => "sign-on not answered",
            Self::SignOnRefused => "sign-on refused",
            Self::EchoUnanswered => "echo not answered",
            Self::KeyMissing => "no key has come",
            Self::Quarantined => "too many answers that cannot be",
        }
    }
}

/// Where a link stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPhase {
    /// No connection.
    Down,
    /// Connected, not signed on.
    Connected,
    /// Signed on, waiting for a key.
    SignedOn,
    /// Takes new work.
    Up,
    /// Signs off.
    Draining,
    /// Signed off by either side.
    SignedOff,
    /// Up, but not to be believed for the moment.
    Quarantined,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection.
    Down,
    /// So many sign-ons were sent; the next is due.
    SigningOn { attempts: u32, deadline: Instant },
    /// Asked again later.
    Refused { deadline: Instant },
    /// Signed on; a key was asked for, and is asked for again.
    Syncing { deadline: Instant },
    /// An echo is due; so many have had no answer.
    Up { missed: u32, deadline: Instant },
    /// A sign-off was sent.
    Draining { deadline: Instant },
    /// It was answered, or never will be.
    SignedOff,
}

/// Answers that could not be what they said, within the running minute.
#[derive(Clone, Copy, Debug, Default)]
struct Mismatches {
    since: Instant,
    count: u32,
    /// Until when new work stays away.
    until: Option<Instant>,
}

impl Mismatches {
    /// One more; whether it is one too many.
    fn add(&mut self, max: u32, now: Instant) -> bool {
        if self.count == 0 || now.since(self.since) >= MINUTE {
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        let is_over = self.count > max && self.until.is_none();
        if is_over {
            self.until = Some(now.after(MINUTE));
        }
        is_over
    }
}

/// One link.
#[derive(Debug)]
pub struct LinkMachine {
    policy: LinkPolicy,
    state: State,
    /// The other side has signed off.
    is_barred: bool,
    mismatches: Mismatches,
    /// Since when it is open.
    open_since: Option<Instant>,
    /// When the key in use has to give way; `None` before the first.
    renew_at: Option<Instant>,
    /// Spreads the renewals of an issuer's links: the first one serves them all.
    renew_spread: Duration,
    outputs: VecDeque<LinkOutput>,
}

impl LinkMachine {
    /// A link that is down. `seed` decides which link of an issuer asks for keys first.
    #[must_use]
    pub fn new(policy: LinkPolicy, seed: u64) -> Self {
        debug_assert!(policy.echo_missed > 0 && policy.sign_on_attempts > 0);
        let renew = policy.key.map_or(Duration::ZERO, |key| key.renew);
        let share = u32::try_from(seed % 64).unwrap_or(0);
        Self {
            policy,
            state: State::Down,
            is_barred: false,
            mismatches: Mismatches::default(),
            open_since: None,
            renew_at: None,
            // Up to a sixteenth later.
            renew_spread: renew
                .saturating_mul(share)
                .checked_div(1_024)
                .unwrap_or_default(),
            outputs: VecDeque::with_capacity(OUTPUTS_MAX),
        }
    }

    /// Takes what has happened. What does not suit the state is ignored: the other side may say
    /// anything at any time.
    pub fn handle_input(&mut self, input: LinkInput, now: Instant) {
        match input {
            LinkInput::Connected => self.connected(now),
            LinkInput::Lost => self.state = State::Down,
            LinkInput::Heard => self.heard(now),
            LinkInput::Answered(kind, verdict) => self.answered(kind, verdict, now),
            LinkInput::Asked(NetworkKind::SignOn) => self.is_barred = false,
            LinkInput::Asked(NetworkKind::SignOff) => self.is_barred = true,
            LinkInput::Asked(
                NetworkKind::Echo
                | NetworkKind::KeyChange
                | NetworkKind::CutOver
                | NetworkKind::CutOverEnd
                | NetworkKind::Other,
            ) => {}
            LinkInput::Mismatch => self.mismatched(now),
            LinkInput::KeyInUse => self.key_in_use(now),
            LinkInput::Drain => self.drain(now),
        }
        self.tell_open(now);
        self.check_invariants();
    }

    /// Sends what is due. May come late, early or twice.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::SigningOn { attempts, deadline } if deadline <= now => {
                if attempts >= self.policy.sign_on_attempts {
                    self.abandon(Alarm::SignOnUnanswered);
                } else {
                    self.sign_on(attempts.saturating_add(1), now);
                }
            }
            State::Refused { deadline } if deadline <= now => self.sign_on(1, now),
            State::Syncing { deadline } if deadline <= now => {
                self.put(LinkOutput::Alarm(Alarm::KeyMissing));
                self.ask_for_key(now);
            }
            State::Up { missed, deadline } if deadline <= now => self.echo(missed, now),
            State::Draining { deadline } if deadline <= now => self.state = State::SignedOff,
            State::Down
            | State::SigningOn { .. }
            | State::Refused { .. }
            | State::Syncing { .. }
            | State::Up { .. }
            | State::Draining { .. }
            | State::SignedOff => {}
        }
        if self.mismatches.until.is_some_and(|until| until <= now) {
            self.mismatches = Mismatches::default();
        }
        self.renew_key(now);
        self.tell_open(now);
        self.check_invariants();
    }

    /// What to do next; drained after every call.
    pub fn poll_output(&mut self) -> Option<LinkOutput> {
        self.outputs.pop_front()
    }

    /// When [`LinkMachine::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Down | State::SignedOff => None,
            State::SigningOn { deadline, .. }
            | State::Refused { deadline }
            | State::Syncing { deadline }
            | State::Draining { deadline } => Some(deadline),
            State::Up { deadline, .. } => {
                let renew = self.renew_at.filter(|_| self.policy.key.is_some());
                let others = renew.into_iter().chain(self.mismatches.until);
                Some(others.fold(deadline, Instant::min))
            }
        }
    }

    //= docs/rules.md#N-02
    /// Whether it takes new work.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open_since.is_some()
    }

    /// How long it has taken new work.
    #[must_use]
    pub fn open_for(&self, now: Instant) -> Option<Duration> {
        Some(now.since(self.open_since?))
    }

    //= docs/rules.md#N-03
    /// Whether there is nothing more to say before the connection may be closed.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Down | State::SignedOff)
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> LinkPhase {
        match self.state {
            State::Down => LinkPhase::Down,
            State::SigningOn { .. } | State::Refused { .. } => LinkPhase::Connected,
            State::Syncing { .. } => LinkPhase::SignedOn,
            State::Up { .. } if self.is_barred => LinkPhase::SignedOff,
            State::Up { .. } if self.mismatches.until.is_some() => LinkPhase::Quarantined,
            State::Up { .. } => LinkPhase::Up,
            State::Draining { .. } => LinkPhase::Draining,
            State::SignedOff => LinkPhase::SignedOff,
        }
    }

    /// Sweeps what must hold between calls.
    pub fn check_invariants(&self) {
        let is_up = matches!(self.state, State::Up { .. });
        debug_assert!(is_up || !self.is_open(), "only what is up is open");
        debug_assert!(!(self.is_barred && self.is_open()), "no work behind a bar");
        debug_assert!(self.outputs.len() <= OUTPUTS_MAX, "outputs are drained");
    }

    fn connected(&mut self, now: Instant) {
        self.is_barred = false;
        self.mismatches = Mismatches::default();
        if self.policy.sign_on {
            self.sign_on(1, now);
        } else {
            self.signed_on(now);
        }
    }

    fn sign_on(&mut self, attempts: u32, now: Instant) {
        self.put(LinkOutput::Send(NetworkKind::SignOn));
        self.state = State::SigningOn {
            attempts,
            deadline: now.after(self.policy.answer_timeout),
        };
    }

    fn signed_on(&mut self, now: Instant) {
        let has_key = self.renew_at.is_some_and(|at| now < at);
        if self.policy.key.is_none() || has_key {
            self.go_up(now);
        } else {
            self.ask_for_key(now);
        }
    }

    fn ask_for_key(&mut self, now: Instant) {
        let Some(key) = self.policy.key else { return };
        self.put(LinkOutput::Send(NetworkKind::KeyChange));
        self.state = State::Syncing {
            deadline: now.after(key.retry),
        };
    }

    fn key_in_use(&mut self, now: Instant) {
        let Some(key) = self.policy.key else { return };
        self.renew_at = Some(now.after(key.renew).after(self.renew_spread));
        if let State::Syncing { .. } = self.state {
            self.go_up(now);
        }
    }

    fn renew_key(&mut self, now: Instant) {
        let (State::Up { .. }, Some(key)) = (self.state, self.policy.key) else {
            return;
        };
        if self.renew_at.is_some_and(|at| at <= now) {
            self.put(LinkOutput::Send(NetworkKind::KeyChange));
            self.renew_at = Some(now.after(key.retry));
        }
    }

    fn go_up(&mut self, now: Instant) {
        self.state = State::Up {
            missed: 0,
            deadline: now.after(self.policy.echo_idle),
        };
    }

    fn heard(&mut self, now: Instant) {
        if let State::Up { .. } = self.state {
            self.go_up(now);
        }
    }

    fn mismatched(&mut self, now: Instant) {
        let is_up = matches!(self.state, State::Up { .. });
        if is_up && self.mismatches.add(self.policy.mismatches_max, now) {
            self.put(LinkOutput::Alarm(Alarm::Quarantined));
        }
    }

    fn answered(&mut self, kind: NetworkKind, verdict: Verdict, now: Instant) {
        match (self.state, kind, verdict) {
            (State::SigningOn { .. }, NetworkKind::SignOn, Verdict::Accepted) => {
                // A yes to our sign-on takes back what it said before.
                self.is_barred = false;
                self.signed_on(now);
            }
            (State::SigningOn { .. }, NetworkKind::SignOn, Verdict::Refused) => {
                self.put(LinkOutput::Alarm(Alarm::SignOnRefused));
                self.state = State::Refused {
                    deadline: now.after(self.policy.sign_on_retry),
                };
            }
            (State::Draining { .. }, NetworkKind::SignOff, _) => self.state = State::SignedOff,
            // An answer that comes late, twice, or to nothing. An echo's counts as heard.
            _ => {}
        }
    }

    fn echo(&mut self, missed: u32, now: Instant) {
        if missed >= self.policy.echo_missed {
            return self.abandon(Alarm::EchoUnanswered);
        }
        self.put(LinkOutput::Send(NetworkKind::Echo));
        self.state = State::Up {
            missed: missed.saturating_add(1),
            deadline: now.after(self.policy.answer_timeout),
        };
    }

    fn drain(&mut self, now: Instant) {
        match self.state {
            State::Up { .. } | State::Syncing { .. } if self.policy.sign_on => {
                self.put(LinkOutput::Send(NetworkKind::SignOff));
                self.state = State::Draining {
                    deadline: now.after(self.policy.answer_timeout),
                };
            }
            State::Draining { .. } | State::Down => {}
            State::SigningOn { .. }
            | State::Refused { .. }
            | State::Syncing { .. }
            | State::Up { .. }
            | State::SignedOff => self.state = State::SignedOff,
        }
    }

    /// The other side is silent: the connection is of no use.
    fn abandon(&mut self, alarm: Alarm) {
        self.state = State::Down;
        self.put(LinkOutput::Close(alarm));
    }

    fn tell_open(&mut self, now: Instant) {
        let is_up = matches!(self.state, State::Up { .. });
        let is_open = is_up && !self.is_barred && self.mismatches.until.is_none();
        if is_open == self.is_open() {
            return;
        }
        self.open_since = is_open.then_some(now);
        self.put(LinkOutput::Open(is_open));
    }

    fn put(&mut self, output: LinkOutput) {
        self.outputs.push_back(output);
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// One call leaves at most an alarm, a message, a renewal and a change behind.
const OUTPUTS_MAX: usize = 4;

#[cfg(test)]
mod tests;

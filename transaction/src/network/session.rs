//! The life of one acquirer session, as far as network messages go.
//!
//! ```text
//!            sign-on                    sign-off
//!   Fresh ─────────────► SignedOn ◄──────────────────► SignedOff
//!     │                     │ drain: a sign-off of ours  ▲
//!     │                     └────────────────────────────┘
//!     └ requests are taken here too, unless `require_sign_on`
//! ```
//!
//! Echoes are asked for beside it when the session is silent; missed ones close it.

use alloc::collections::VecDeque;
use core::time::Duration;

use domain::network::NetworkKind;
use domain::time::Instant;

/// How a session behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Whether requests are taken only after a sign-on.
    pub require_sign_on: bool,
    /// Silence after which an echo is sent; `None` sends none.
    pub echo_idle: Option<Duration>,
    /// Echoes without an answer, after which the session is closed; at least 1.
    pub echo_missed: u32,
    /// How long an echo waits for its answer.
    pub answer_timeout: Duration,
}

/// What a session is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionInput {
    /// A message came that is what it says to be, whatever it is.
    Heard,
    /// The acquirer has sent a network message.
    Asked(NetworkKind),
    /// The process stops taking work.
    Drain,
}

/// What a session asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    /// Send a network message.
    Send(NetworkKind),
    /// Close the connection: nobody answers.
    Close,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionPhase {
    /// The acquirer has not signed on.
    Fresh,
    /// It has.
    SignedOn,
    /// It has signed off, or has been.
    SignedOff,
}

/// One session.
#[derive(Debug)]
pub struct SessionMachine {
    policy: SessionPolicy,
    phase: SessionPhase,
    missed: u32,
    /// When an echo is due.
    deadline: Option<Instant>,
    is_draining: bool,
    outputs: VecDeque<SessionOutput>,
}

impl SessionMachine {
    /// A session that has just been accepted.
    #[must_use]
    pub fn new(policy: SessionPolicy, now: Instant) -> Self {
        debug_assert!(policy.echo_missed > 0);
        Self {
            phase: SessionPhase::Fresh,
            missed: 0,
            deadline: policy.echo_idle.map(|idle| now.after(idle)),
            is_draining: false,
            policy,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what has happened.
    pub fn handle_input(&mut self, input: SessionInput, now: Instant) {
        match input {
            SessionInput::Heard => self.heard(now),
            SessionInput::Asked(NetworkKind::SignOn) => self.phase = SessionPhase::SignedOn,
            SessionInput::Asked(NetworkKind::SignOff) => self.phase = SessionPhase::SignedOff,
            SessionInput::Asked(
                NetworkKind::Echo
                | NetworkKind::KeyChange
                | NetworkKind::CutOver
                | NetworkKind::CutOverEnd
                | NetworkKind::Other,
            ) => {}
            SessionInput::Drain => self.drain(),
        }
        self.check_invariants();
    }

    /// Sends an echo that is due, or gives the session up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_none_or(|at| now < at) {
            return;
        }
        if self.missed >= self.policy.echo_missed {
            self.deadline = None;
            self.outputs.push_back(SessionOutput::Close);
        } else {
            self.missed = self.missed.saturating_add(1);
            self.deadline = Some(now.after(self.policy.answer_timeout));
            self.outputs
                .push_back(SessionOutput::Send(NetworkKind::Echo));
        }
        self.check_invariants();
    }

    /// What to do next; drained after every call.
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        self.outputs.pop_front()
    }

    /// When [`SessionMachine::handle_timeout`] has something to do.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether transactions may be looked at; network messages always may.
    #[must_use]
    pub const fn takes_requests(&self) -> bool {
        match self.phase {
            SessionPhase::SignedOn => true,
            SessionPhase::Fresh | SessionPhase::SignedOff => !self.policy.require_sign_on,
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> SessionPhase {
        self.phase
    }

    /// Sweeps what must hold between calls.
    pub fn check_invariants(&self) {
        debug_assert!(
            self.missed <= self.policy.echo_missed,
            "missed are counted once"
        );
        debug_assert!(self.deadline.is_none() || self.policy.echo_idle.is_some());
    }

    fn heard(&mut self, now: Instant) {
        self.missed = 0;
        self.deadline = self.policy.echo_idle.map(|idle| now.after(idle));
    }

    /// An acquirer that never signed on does not expect to be signed off.
    fn drain(&mut self) {
        if !core::mem::replace(&mut self.is_draining, true) && self.phase == SessionPhase::SignedOn
        {
            self.outputs
                .push_back(SessionOutput::Send(NetworkKind::SignOff));
            self.phase = SessionPhase::SignedOff;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NetworkKind::{Echo, SignOff, SignOn};
    use SessionInput::{Asked, Drain, Heard};
    use SessionOutput::{Close, Send};
    use std::vec::Vec;

    const POLICY: SessionPolicy = SessionPolicy {
        require_sign_on: true,
        echo_idle: Some(Duration::from_secs(30)),
        echo_missed: 2,
        answer_timeout: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(seconds))
    }

    /// Each step has exactly these outputs; at its end requests are taken or not.
    #[track_caller]
    fn check(
        policy: SessionPolicy,
        steps: &[(u64, Option<SessionInput>, &[SessionOutput], bool)],
    ) -> SessionMachine {
        let mut machine = SessionMachine::new(policy, at(0));
        for (number, (second, input, outputs, takes)) in steps.iter().enumerate() {
            match input {
                Some(input) => machine.handle_input(*input, at(*second)),
                None => machine.handle_timeout(at(*second)),
            }
            let told: Vec<_> = std::iter::from_fn(|| machine.poll_output()).collect();
            assert_eq!(told, *outputs, "step {number}");
            assert_eq!(machine.takes_requests(), *takes, "step {number}");
        }
        machine
    }

    //= docs/rules.md#N-05
    #[test]
    fn requests_wait_for_a_sign_on_where_it_is_required() {
        check(
            POLICY,
            &[
                (0, Some(Heard), &[], false),
                (0, Some(Asked(Echo)), &[], false),
                (0, Some(Asked(SignOn)), &[], true),
                (0, Some(Asked(SignOff)), &[], false),
                (0, Some(Asked(SignOn)), &[], true),
            ],
        );
        let free = SessionPolicy {
            require_sign_on: false,
            ..POLICY
        };
        check(
            free,
            &[
                (0, Some(Heard), &[], true),
                (0, Some(Asked(SignOff)), &[], true),
            ],
        );
    }

    #[test]
    fn a_silent_acquirer_is_asked_and_then_left() {
        let machine = check(
            POLICY,
            &[
                (29, None, &[], false),
                (30, None, &[Send(Echo)], false),
                (35, Some(Heard), &[], false),
                (64, None, &[], false),
                (65, None, &[Send(Echo)], false),
                (75, None, &[Send(Echo)], false),
                (85, None, &[Close], false),
                (99, None, &[], false),
            ],
        );
        assert_eq!(machine.poll_timeout(), None);
        let quiet = SessionPolicy {
            echo_idle: None,
            ..POLICY
        };
        check(quiet, &[(9_999, None, &[], false)]);
    }

    #[test]
    fn a_drain_signs_off_who_has_signed_on_and_once() {
        check(
            POLICY,
            &[
                (0, Some(Asked(SignOn)), &[], true),
                (1, Some(Drain), &[Send(SignOff)], false),
                (2, Some(Drain), &[], false),
            ],
        );
        check(POLICY, &[(1, Some(Drain), &[], false)]);
    }
}

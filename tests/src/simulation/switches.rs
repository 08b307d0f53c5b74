//! What listeners and issuers may ask for where practice differs (semantics §16).

use domain::ResponseCode;
use domain::profile::{
    CompletionLimit, PartialApproval, Profile, ReversedOriginal, SameContent, UnknownOriginal,
};

use super::Driver;
use super::asking::Asking;
use super::random::Random;

/// Of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switches {
    /// Of the acquirer's sessions.
    pub(super) session: Profile,
    pub(super) timeout_answer: ResponseCode,
    /// Of issuers: a lost link is an answer that does not come.
    pub(super) fails_in_flight: bool,
    /// Of issuers: what they have declined too late is not reversed, if that has not left.
    pub(super) cancels_reversals: bool,
    /// Of issuers: they decline behind the deadline what they have carried out, then approve it.
    pub(super) lies: bool,
    /// Of issuers: they decide later, and are asked.
    pub(super) asking: Option<Asking>,
}

impl Switches {
    /// Nobody asks for anything.
    pub(super) const PLAIN: Self = Self {
        session: Profile::PLAIN,
        timeout_answer: ResponseCode::ISSUER_INOPERATIVE,
        fails_in_flight: false,
        cancels_reversals: false,
        lies: false,
        asking: None,
    };

    pub(super) fn draw(random: &mut Random) -> Self {
        let mut is_set = || random.permille(350);
        let mut drawn = Self::PLAIN;
        if is_set() {
            drawn.session.same_content = SameContent::Reject;
        }
        if is_set() {
            drawn.session.unknown_original = UnknownOriginal::NotFound;
        }
        if is_set() {
            drawn.session.reversed_original = ReversedOriginal::Invalid;
        }
        if is_set() {
            drawn.session.partial_approval = PartialApproval::Pass;
        }
        if is_set() {
            drawn.timeout_answer = ResponseCode::ISSUER_TIMED_OUT;
        }
        drawn.fails_in_flight = is_set();
        drawn.cancels_reversals = is_set();
        if is_set() {
            let percent = [0, 20, 50][random.below(3) as usize];
            drawn.session.completion = CompletionLimit::Above { percent };
        }
        drawn
    }

    pub(super) fn calm(self) -> Self {
        Self {
            asking: self.asking.map(Asking::calm),
            ..self
        }
    }

    /// What the shell says of a session: a null control says otherwise.
    pub(super) const fn told(&self, driver: Driver) -> Profile {
        let mut profile = self.session;
        match driver {
            Driver::PassesPartials => profile.partial_approval = PartialApproval::Pass,
            Driver::AnswersDuplicates => profile.same_content = SameContent::Replay,
            Driver::CompletesWithoutLimit => profile.completion = CompletionLimit::OfIssuer,
            _ => {}
        }
        profile
    }

    pub(super) fn rejects(&self) -> bool {
        self.session.same_content == SameContent::Reject
    }

    pub(super) fn is_limited(&self) -> bool {
        self.session.completion != CompletionLimit::OfIssuer
    }
}

//! What is not decided is asked for: a submit until it is, a reversal before it takes back.

use std::rc::Rc;
use std::time::Duration;

use domain::request::Answer;
use domain::response_code::ResponseCode;
use domain::time::Instant;
use futures_lite::future;
use glommio::timer::sleep;
use router::selection::CallOutcome;

use super::{Failed, Lane, Limits, NOT_SERVED, casing};
use crate::frame::Frame;
use crate::issuer::Received;
use crate::issuer::http::connector::{self, Verdict};
use crate::issuer::http::operation::Asked;
use crate::issuer::http::plan::Query;
use crate::issuer::http::submits::Submit;

/// A submit whose answer does not decide.
pub(super) struct Doubt<'a> {
    submit: &'a Submit,
    /// Then the deadline of its route decides.
    by: Instant,
    /// What its own answer says of the issuer.
    call: CallOutcome,
    /// Of one that a start has found, how old it was then.
    found_at: Option<Duration>,
}

impl<'a> Doubt<'a> {
    pub(super) const fn new(submit: &'a Submit, by: Instant, call: CallOutcome) -> Self {
        Self {
            submit,
            by,
            call,
            found_at: None,
        }
    }

    /// One of before this start.
    const fn found(submit: &'a Submit, by: Instant, age: Duration) -> Self {
        Self {
            found_at: Some(age),
            ..Self::new(submit, by, CallOutcome::NotCalled)
        }
    }

    /// How old it is.
    fn age(&self, frame: &Frame, now: Instant) -> Duration {
        let found_at = self.found_at.unwrap_or_default();
        now.since(frame.received).saturating_add(found_at)
    }
}

/// When a submit is asked for next.
struct Turns {
    /// Questions that nobody has called for.
    asked: usize,
    /// A call is followed from then on.
    call_from: Instant,
}

impl Lane {
    //= docs/rules.md#M-14
    /// Asks what became of a submit, until that is told or its time is over.
    pub(super) async fn inquire(
        self: &Rc<Self>,
        frame: Box<Frame>,
        asked: &Asked,
        doubt: Doubt<'_>,
    ) {
        let plan = &self.issuer.plan;
        let Some(query) = &plan.query else {
            return self.tell(frame, Received::Unusable);
        };
        let Some(_pending) = self.issuer.pendings.begin(query.pending_max) else {
            return self.tell(frame, Received::Unusable);
        };
        self.tell_pending(&frame, doubt.call);
        let clock = self.setup.clock;
        let mut told = match doubt.found_at {
            Some(_) => self.ask_first(asked, doubt.by).await,
            None => None,
        };
        let now = clock.now();
        let mut turns = Turns {
            asked: match doubt.found_at {
                Some(_) => query.asked_by(doubt.age(&frame, now)),
                None => 0,
            },
            call_from: now,
        };
        loop {
            if let Some((verdict, status)) = told {
                match verdict {
                    Verdict::Approved(_) | Verdict::Declined(_) | Verdict::NotExecuted => {
                        return self.tell_verdict(frame, verdict, status);
                    }
                    Verdict::Pending
                    | Verdict::TakenBack
                    | Verdict::NotLetIn
                    | Verdict::NothingToReverse
                    | Verdict::Unknown => {}
                }
            }
            if !self.wait(query, &frame, &doubt, &mut turns).await {
                break;
            }
            let answer = clock.now().after(plan.answer_max).min(doubt.by);
            told = self.query(asked, answer).await.ok();
        }
        self.setup.pool.give(frame);
    }

    //= docs/rules.md#T-16
    /// The first question about a submit of before this start, which is due at once. A start may
    /// have found any number of them: they take turns. The schedule is that of what has been asked:
    /// until this one has left, as while there is no token or no connection, it is tried again.
    async fn ask_first(self: &Rc<Self>, asked: &Asked, by: Instant) -> Option<(Verdict, u16)> {
        let _turn = self.connections.turn_of_found().await;
        let clock = self.setup.clock;
        loop {
            let now = clock.now();
            if now >= by {
                return None;
            }
            let answer = now.after(self.issuer.plan.answer_max).min(by);
            match self.query(asked, answer).await {
                Ok(told) => return Some(told),
                Err(Failed::Unknown) => return None,
                Err(Failed::NotSent) => {}
            }
            sleep(UNSENT_APART.min(by.since(clock.now()))).await;
        }
    }

    //= docs/rules.md#M-16
    /// Waits for the next question: the pause of the schedule, or less where the issuer calls;
    /// `false` when there is none before the time is over.
    async fn wait(
        &self,
        query: &Query,
        frame: &Frame,
        doubt: &Doubt<'_>,
        turns: &mut Turns,
    ) -> bool {
        let clock = self.setup.clock;
        let now = clock.now();
        let pause = query.pause(turns.asked, doubt.age(frame, now));
        let until = now.after(pause).min(doubt.by);
        let elapsed = async {
            sleep(until.since(now)).await;
            false
        };
        let called = async {
            sleep(turns.call_from.since(now)).await;
            doubt.submit.called().await;
            true
        };
        let is_called = future::or(called, elapsed).await;
        let now = clock.now();
        turns.call_from = now.after(CALLS_APART);
        if !is_called {
            turns.asked = turns.asked.saturating_add(1);
        }
        now < doubt.by
    }

    //= docs/rules.md#T-16
    /// Asks what became of a submit of before this start, and never writes it: as [`Lane::inquire`]
    /// would have gone on.
    pub(super) async fn resume(self: &Rc<Self>, frame: Box<Frame>, asked: &Asked, by: Instant) {
        let Some(submit) = self.issuer.submits.begin(&asked.our_id) else {
            // It is asked for.
            return self.setup.pool.give(frame);
        };
        submit.note_left();
        let age = asked.age(self.setup.clock.wall());
        self.inquire(frame, asked, Doubt::found(&submit, by, age))
            .await;
    }

    //= docs/rules.md#M-15
    /// Takes back what the issuer has executed. With a query it is asked first whether it has.
    pub(super) async fn reverse(
        self: &Rc<Self>,
        frame: Box<Frame>,
        asked: &Asked,
        answer: Instant,
    ) {
        let plan = &self.issuer.plan;
        // Whatever is asked from here on, a submit that still waits leaves no more.
        self.issuer.submits.overtake(&asked.our_id);
        if plan.query.is_some() {
            match self.query(asked, answer).await {
                Ok((Verdict::Approved(_) | Verdict::TakenBack, _)) => {}
                Ok((Verdict::Declined(_) | Verdict::NotExecuted, _)) => {
                    let nothing = Answer::of(ResponseCode::ORIGINAL_NOT_FOUND);
                    return self.answer(frame, &nothing);
                }
                Ok((
                    Verdict::Pending
                    | Verdict::NotLetIn
                    | Verdict::NothingToReverse
                    | Verdict::Unknown,
                    _,
                ))
                | Err(Failed::Unknown) => return self.tell(frame, Received::Unusable),
                Err(Failed::NotSent) => return self.tell(frame, Received::Unsent),
            }
        }
        let now = self.setup.clock.now();
        let request = self
            .issuer
            .show(now, |shown| connector::request(plan, asked, shown));
        let Some(request) = request else {
            return self.tell(frame, Received::Unsent);
        };
        let Some(request) = request else {
            return self.tell_rejected(frame, NOT_SERVED, CallOutcome::NotCalled);
        };
        let write = answer;
        match self.ask(&request, None, Limits { write, answer }).await {
            Ok(reply) => {
                let verdict = connector::judge(plan, asked, &reply);
                self.tell_verdict(frame, verdict, reply.status);
            }
            Err(Failed::NotSent) => self.tell(frame, Received::Unsent),
            Err(Failed::Unknown) => self.tell(frame, Received::Unusable),
        }
    }

    /// What the issuer says of the payment, and by which status.
    async fn query(
        self: &Rc<Self>,
        asked: &Asked,
        answer: Instant,
    ) -> Result<(Verdict, u16), Failed> {
        let (plan, now) = (&self.issuer.plan, self.setup.clock.now());
        let request = self
            .issuer
            .show(now, |shown| connector::query(plan, asked, shown));
        let request = request.flatten().ok_or(Failed::NotSent)?;
        let write = answer;
        let reply = self.ask(&request, None, Limits { write, answer }).await?;
        let age = asked.age(self.setup.clock.wall());
        let verdict = connector::judge_query(&self.issuer.plan, asked, &reply, age);
        if verdict == Verdict::NotLetIn {
            self.note_not_let_in(reply.status);
        }
        Ok((verdict, reply.status))
    }

    fn tell_pending(&self, asked: &Frame, call: CallOutcome) {
        let setup = &self.setup;
        let now = setup.clock.now();
        let mut frame = setup.pool.take(&asked.bytes, casing(setup.wire.framing));
        frame.received = now;
        if setup.dialect.parse(&frame.bytes, &mut frame.index).is_err() {
            return setup.pool.give(frame);
        }
        let took = now.since(asked.received);
        self.tell(frame, Received::Pending { call, took });
    }
}

/// However often an issuer calls, it is asked once in so long.
const CALLS_APART: Duration = Duration::from_secs(1);
/// A first question that could not be sent is tried again.
const UNSENT_APART: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

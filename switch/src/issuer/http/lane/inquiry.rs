//! What is not decided is asked for: a submit until it is, a reversal before it takes back.

use std::rc::Rc;

use domain::request::Answer;
use domain::response_code::ResponseCode;
use domain::time::Instant;
use glommio::timer::sleep;
use router::selection::CallOutcome;

use super::{Failed, Lane, Limits, NOT_SERVED, casing};
use crate::frame::Frame;
use crate::issuer::Received;
use crate::issuer::http::connector::{self, Verdict};
use crate::issuer::http::operation::Asked;

impl Lane {
    //= docs/rules.md#M-14
    /// Asks what became of a submit, until that is told or `by` is over: then the deadline of its
    /// route decides. `call` is what its own answer says of the issuer.
    pub(super) async fn inquire(
        self: &Rc<Self>,
        frame: Box<Frame>,
        asked: &Asked,
        (by, call): (Instant, CallOutcome),
    ) {
        let plan = &self.issuer.plan;
        let (Some(query), Some(request)) = (&plan.query, connector::query(plan, asked)) else {
            return self.tell(frame, Received::Unusable);
        };
        let Some(_pending) = self.issuer.pendings.begin(query.pending_max) else {
            return self.tell(frame, Received::Unusable);
        };
        self.tell_pending(&frame, call);
        let clock = self.setup.clock;
        for number in 0.. {
            let now = clock.now();
            let pause = query.pause(number, now.since(frame.received));
            if now.after(pause) >= by {
                break;
            }
            sleep(pause).await;
            let answer = clock.now().after(plan.answer_max).min(by);
            let Ok((verdict, status)) = self.query(&request, asked, answer).await else {
                continue;
            };
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
        self.setup.pool.give(frame);
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
        if let Some(request) = connector::query(plan, asked) {
            match self.query(&request, asked, answer).await {
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
        let Some(request) = connector::request(plan, asked) else {
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
        request: &[u8],
        asked: &Asked,
        answer: Instant,
    ) -> Result<(Verdict, u16), Failed> {
        let write = answer;
        let reply = self.ask(request, None, Limits { write, answer }).await?;
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

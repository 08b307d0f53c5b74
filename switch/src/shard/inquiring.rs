//! What became of requests that a start has found in flight: their issuers are asked.
//!
//! | what | owner | bound | failure |
//! |---|---|---|---|
//! | those to ask | the transaction's shard | what was in flight | cannot be written: its deadline |
//! | one that is asked for | the link's home | `pending_max` | told unusable: reversed |
//!
//! They go to their links a few in each upkeep, and there they take turns: all of them at once
//! would take the connections that live requests need. One that does not get away is tried again
//! until its deadline. As a message an inquiry is the repeat of its request, and no request leaves
//! as a repeat: so what is read out of it is asked for and never submitted.

use domain::ids::LinkId;
use domain::request::IssuerLeg;
use domain::time::{Instant, WallTime};
use iso8583::translate::{self, IssuerInquiry};
use transaction::Handle;
use transaction::matching::Expected;

use super::issuing::link_keys;
use super::{Inquiry, Leg, Shard, unwritable};
use crate::mesh::{Outbound, OutboundId, Purpose};

impl Shard {
    //= docs/rules.md#T-16
    /// It is in flight as one whose issuer has said that it answers later: without a permit.
    pub(super) fn note_inquiry(&mut self, handle: Handle, leg: IssuerLeg, until: WallTime) {
        let Some(facts) = self.engine.facts(handle) else {
            return;
        };
        let (class, acquirer) = (facts.class, facts.acquirer);
        let open = Leg {
            permit: None,
            expected: Expected {
                kind: class.into(),
                stan: leg.stan,
            },
            completed: None,
            call: None,
            inquiry: Some(Inquiry {
                link: leg.link,
                until,
            }),
        };
        self.work.legs.insert(handle.index, open);
        self.work.inquiries.push_back((handle, leg));
        self.count_resumed(acquirer);
        if let Some(share) = self.sessions.share(acquirer) {
            share.begin();
        }
    }

    /// Asks for some of those that wait.
    pub(super) fn send_inquiries(&mut self, now: Instant) {
        for _ in 0..self.work.inquiries.len().min(AT_ONCE) {
            let Some((handle, leg)) = self.work.inquiries.pop_front() else {
                return;
            };
            if !self.is_asked_for(handle, &leg) {
                continue;
            }
            let Some(link) = self.reversal_link(&leg) else {
                self.work.inquiries.push_back((handle, leg));
                continue;
            };
            // Not later either: its deadline decides, or a start that can.
            let Some(outbound) = self.build_inquiry((handle, link), &leg, now) else {
                continue;
            };
            let held = self.work.legs.get_mut(&handle.index);
            if let Some(inquiry) = held.and_then(|held| held.inquiry.as_mut()) {
                inquiry.link = outbound.link;
            }
            self.dispatch(Box::new(outbound), now);
        }
    }

    /// Its link did not take it: another one may, or the same later.
    pub(super) fn inquire_again(&mut self, outbound: OutboundId) {
        let handle = outbound.handle;
        if let Some(leg) = self.engine.leg(handle).copied()
            && self.is_asked_for(handle, &leg)
        {
            self.work.inquiries.push_back((handle, leg));
        }
    }

    /// Whether its end is still open.
    fn is_asked_for(&self, handle: Handle, leg: &IssuerLeg) -> bool {
        let held = self.work.legs.get(&handle.index);
        let is_open = held.is_some_and(|held| held.expected.stan == leg.stan);
        is_open
            && self
                .engine
                .leg(handle)
                .is_some_and(|known| known.stan == leg.stan)
    }

    /// `None` of what cannot be written, or whose account cannot be opened.
    fn build_inquiry(
        &mut self,
        (handle, link): (Handle, LinkId),
        leg: &IssuerLeg,
        now: Instant,
    ) -> Option<Outbound> {
        let facts = self.engine.facts(handle)?;
        let issuer = *self.wires.get(usize::from(leg.issuer.0))?;
        let of_issuer = self.config.issuers.get(usize::from(leg.issuer.0))?;
        let amount = of_issuer.wire.exponents.to_network(facts.amount)?;
        let pan = self.keyring.unseal(&facts.account.sealed);
        let pan = pan.inspect_err(|error| {
            tracing::error!(issuer = %leg.issuer, %error, "inquiry cannot be built");
        });
        let pan = pan.ok()?;
        let account = pan.expose_digits();
        let echo = self.echo.of_facts(facts, leg, account);
        let expected = Expected {
            kind: facts.class.into(),
            stan: leg.stan,
        };
        let inquiry = IssuerInquiry {
            facts,
            account,
            leg,
            forwarding: &issuer.institution,
            amount,
        };
        let by = self.engine.deadline(handle)?;
        let keys = link_keys(&self.keys, leg.issuer);
        let framed = unwritable::write(&issuer, keys, &mut self.work.scratch, |body| {
            translate::write_inquiry(issuer.dialect, &inquiry, body)
        });
        let framed = framed.map_err(|why| self.note_unwritable(leg.issuer, why, now));
        let bytes = self.work.scratch.get(..framed.ok()?)?.to_vec();
        Some(Outbound {
            id: OutboundId {
                owner: self.id,
                handle,
                stan: leg.stan,
                purpose: Purpose::Inquiry,
            },
            link,
            expected,
            echo,
            by,
            bytes,
        })
    }
}

/// In each upkeep.
const AT_ONCE: usize = 64;

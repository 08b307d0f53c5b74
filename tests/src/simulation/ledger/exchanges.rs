//! Administrative messages in flight, counted a second time: how often each may be passed on, and
//! who is told what (P-01 to P-07).

use std::collections::{BTreeMap, BTreeSet};

use domain::ResponseCode;
use domain::ids::IssuerId;
use transaction::administrative::{ExchangeId, Untold};

use super::Broken;
use crate::simulation::administering::{Administering, Administrative, code_of};
use crate::simulation::words::MS;

/// All that is in flight, in one life of the node.
#[derive(Debug, Default)]
pub(in crate::simulation) struct ExchangeBook {
    /// By owner and message.
    open: BTreeMap<(u16, u32), Open>,
    /// By owner and frame: what is to become of it at once.
    due: BTreeMap<(u16, u32), Due>,
    /// What an issuer may have.
    left: BTreeSet<Name>,
}

/// Of an exchange: its owner, its position there, and how often that was given out.
type Name = (u16, u32, u32);

#[derive(Debug)]
struct Open {
    other_content: bool,
    /// The newest copy, which is answered.
    frame: u32,
    exchange: Option<ExchangeId>,
    /// When it was first sent, in ns.
    sent: Option<u64>,
}

/// What a message gets that begins no exchange, or whose copy takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Conflict,
    Full,
}

/// Who is told.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulation) struct Told<'a> {
    pub(in crate::simulation) owner: u16,
    pub(in crate::simulation) frame: u32,
    pub(in crate::simulation) ask: &'a Administrative,
    pub(in crate::simulation) code: ResponseCode,
}

/// What a world lets an exchange wait for.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulation) struct Waits {
    pub(in crate::simulation) now: u64,
    /// A lost link ends it.
    pub(in crate::simulation) ends_with_link: bool,
    pub(in crate::simulation) code: ResponseCode,
}

/// Of the routes for administrative messages.
pub(in crate::simulation) const DEADLINE_MS: u64 = 1_500;

impl ExchangeBook {
    /// A message comes to its owner.
    pub(in crate::simulation) fn asked(
        &mut self,
        (owner, frame): (u16, u32),
        ask: &Administrative,
        bounds: &Administering,
    ) {
        let inflight = self.open.keys().filter(|(shard, _)| *shard == owner);
        let is_full = inflight.count() as u64 >= bounds.inflight_max;
        let Some(open) = self.open.get_mut(&(owner, ask.serial)) else {
            if is_full {
                self.due.insert((owner, frame), Due::Full);
                return;
            }
            let open = Open {
                other_content: ask.other_content,
                frame,
                exchange: None,
                sent: None,
            };
            self.open.insert((owner, ask.serial), open);
            return;
        };
        if open.other_content == ask.other_content {
            let replaced = std::mem::replace(&mut open.frame, frame);
            self.due.insert((owner, replaced), Due::Nothing);
        } else {
            self.due.insert((owner, frame), Due::Conflict);
        }
    }

    /// It is about to be sent.
    pub(in crate::simulation) fn sends(
        &mut self,
        (owner, exchange): (u16, ExchangeId),
        (ask, issuer): (&Administrative, IssuerId),
        bounds: &Administering,
        now: u64,
    ) -> Result<(), Broken> {
        if !ask.has_route(bounds) {
            return Err((
                "P-01",
                format!("{ask:?} has no route and goes to {issuer:?}"),
            ));
        }
        let Some(open) = self.open.get_mut(&(owner, ask.serial)) else {
            return Err(("P-05", format!("{ask:?} is sent and nobody waits")));
        };
        let is_another = open.exchange.is_some_and(|known| known != exchange);
        if is_another {
            return Err(("P-05", format!("{ask:?} is passed on beside itself")));
        }
        if self.left.contains(&name(owner, exchange)) {
            return Err(("P-02", format!("{ask:?} goes to a second candidate")));
        }
        open.exchange = Some(exchange);
        open.sent.get_or_insert(now);
        Ok(())
    }

    /// It leaves on a link.
    pub(in crate::simulation) fn leaves(
        &mut self,
        owner: u16,
        exchange: ExchangeId,
    ) -> Result<(), Broken> {
        match self.left.insert(name(owner, exchange)) {
            true => Ok(()),
            false => Err(("P-02", format!("{exchange:?} of {owner} is sent twice"))),
        }
    }

    /// Nobody is told anything under this frame.
    pub(in crate::simulation) fn discarded(
        &mut self,
        (owner, frame): (u16, u32),
    ) -> Result<(), Broken> {
        match self.due.remove(&(owner, frame)) {
            Some(Due::Nothing) => Ok(()),
            due => Err(("P-06", format!("{frame} has no newer copy: {due:?}"))),
        }
    }

    /// The answer of an issuer is passed on.
    pub(in crate::simulation) fn relayed(
        &mut self,
        told: Told<'_>,
        answered: u32,
    ) -> Result<(), Broken> {
        let open = self.end(told)?;
        let is_sent = open.exchange.map(|exchange| name(told.owner, exchange));
        if is_sent.is_none_or(|sent| !self.left.contains(&sent)) {
            return Err(("P-03", format!("{told:?} has an answer to nothing")));
        }
        if answered != told.ask.serial || told.code != code_of(told.ask.serial) {
            return Err(("P-07", format!("{told:?} is the answer to {answered}")));
        }
        Ok(())
    }

    /// A message is answered without its issuer.
    pub(in crate::simulation) fn refused(
        &mut self,
        told: Told<'_>,
        why: Untold,
        (waits, bounds): (Waits, &Administering),
    ) -> Result<(), Broken> {
        let code = match why {
            Untold::Full | Untold::Unusable => ResponseCode::MALFUNCTION,
            Untold::Conflict => ResponseCode::DUPLICATE,
            Untold::NoRoute => ResponseCode::CANNOT_ROUTE,
            Untold::NoneAdmits => ResponseCode::ISSUER_INOPERATIVE,
            Untold::TimedOut => waits.code,
        };
        if told.code != code {
            return Err(("P-03", format!("{told:?} for {why:?}")));
        }
        if self.due.get(&(told.owner, told.frame)) == Some(&Due::Nothing) {
            return Err(("P-06", format!("{told:?}, whose copy waits in its place")));
        }
        let due = match why {
            Untold::Full => Some(("P-04", Due::Full)),
            Untold::Conflict => Some(("P-05", Due::Conflict)),
            _ => None,
        };
        if let Some((rule, due)) = due {
            return match self.due.remove(&(told.owner, told.frame)) {
                Some(found) if found == due => Ok(()),
                found => Err((rule, format!("{told:?} for {why:?}, {found:?}"))),
            };
        }
        let open = self.end(told)?;
        let exchange = open.exchange.map(|exchange| name(told.owner, exchange));
        let has_left = exchange.is_some_and(|exchange| self.left.contains(&exchange));
        let waited = open
            .sent
            .map(|sent| waits.now.saturating_sub(sent) >= DEADLINE_MS * MS);
        let (rule, holds) = match why {
            Untold::NoRoute => ("P-01", !told.ask.has_route(bounds)),
            Untold::NoneAdmits => ("P-02", !has_left && told.ask.has_route(bounds)),
            Untold::TimedOut => ("P-03", waited == Some(true) || waits.ends_with_link),
            Untold::Unusable => ("P-03", has_left),
            Untold::Full | Untold::Conflict => ("P-04", true),
        };
        match holds {
            true => Ok(()),
            false => Err((rule, format!("{told:?} for {why:?}, {open:?}"))),
        }
    }

    /// Who waits for nothing is told nothing.
    fn end(&mut self, told: Told<'_>) -> Result<Open, Broken> {
        let open = self.open.remove(&(told.owner, told.ask.serial));
        match open.filter(|open| open.frame == told.frame) {
            Some(open) => Ok(open),
            None => Err(("P-06", format!("{told:?}, and does not wait"))),
        }
    }

    /// When nothing is under way, nothing waits.
    pub(in crate::simulation) fn check_idle(&self) -> Result<(), Broken> {
        match self.open.is_empty() && self.due.is_empty() {
            true => Ok(()),
            false => Err(("P-06", format!("no end: {:?} {:?}", self.open, self.due))),
        }
    }
}

const fn name(owner: u16, exchange: ExchangeId) -> Name {
    (owner, exchange.index, exchange.generation)
}

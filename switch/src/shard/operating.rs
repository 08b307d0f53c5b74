//! What operators ask of this shard: a piece per turn of the rare work.

use domain::record::Operation;
use domain::time::Instant;
use transaction::Input;
use transaction::operating::{Operate, OperateError, Operated, OwedView, Retried, Stand};

use super::Shard;
use crate::config::Issuer;
use crate::desk::{Command, Filter, Row, Told};

impl Shard {
    /// Takes what operators have asked since the last look.
    pub(super) fn serve_operators(&mut self, now: Instant) {
        let Some((ticket, command)) = self.shared.desk.take_question() else {
            return;
        };
        match command {
            Command::List { from, filter } => {
                let told = self.list_owed(from, filter, now);
                self.shared.desk.tell(ticket, told);
            }
            Command::Locate {
                transaction,
                ordinal,
                from,
            } => {
                let (mut views, next) = self.engine.owed_views(from, LOCATE_SPAN);
                let is_it =
                    |view: &OwedView| view.transaction == transaction && view.ordinal == ordinal;
                let found = views.find(is_it).map(|view| view.owed);
                self.shared.desk.tell(ticket, Told::Located { found, next });
            }
            Command::Operate(_) | Command::RetryAll { .. } if !self.journal.takes_reversals() => {
                self.shared.desk.tell(ticket, Told::NoRoom);
            }
            Command::Operate(operate) if self.is_for_nobody(&operate) => {
                self.tell_operated(ticket, Err(OperateError::NoIssuer));
            }
            Command::Operate(operate) => {
                let operate = *operate;
                self.turn(Input::Operate { ticket, operate }, now);
            }
            Command::RetryAll {
                issuer,
                from,
                operator,
            } => {
                let input = Input::RetryAll {
                    ticket,
                    issuer,
                    from,
                    operator,
                };
                self.turn(input, now);
            }
        }
    }

    pub(super) fn tell_operated(&self, ticket: u32, result: Result<Operated, OperateError>) {
        self.shared.desk.tell(ticket, Told::Operated(result));
    }

    pub(super) fn tell_retried(&self, ticket: u32, retried: Retried) {
        self.shared.desk.tell(ticket, Told::Retried(retried));
    }

    fn list_owed(&self, from: u32, filter: Filter, now: Instant) -> Told {
        let (views, next) = self.engine.owed_views(from, LIST_SPAN);
        let wall = self.work.wall.unix_millis();
        let is_listed = |view: &OwedView| {
            let excepted = matches!(view.stand, Stand::Exception(_));
            let of_issuer = filter
                .issuer
                .is_none_or(|issuer| view.issuer == Some(issuer));
            of_issuer && excepted == filter.exceptions
        };
        let row = |view: OwedView| Row {
            view,
            age_ms: wall.saturating_sub(view.decided.unix_millis()),
            due_ms: view
                .due
                .map(|due| u64::try_from(due.since(now).as_millis()).unwrap_or(u64::MAX)),
        };
        let rows = views.filter(is_listed).map(row).collect();
        Told::Listed { rows, next }
    }

    /// What is to be sent has an issuer that is configured.
    fn is_for_nobody(&self, operate: &Operate) -> bool {
        let issuer = self.engine.issuer_of(operate.owed);
        let issuer = issuer.and_then(|issuer| self.config.issuers.get(usize::from(issuer.0)));
        operate.operation == Operation::Retry && issuer.is_some_and(Issuer::is_removed)
    }
}

/// Positions that one look at the list takes.
const LIST_SPAN: u32 = 512;
/// Positions that one search for a name takes.
const LOCATE_SPAN: u32 = 8_192;

//! Of ours: after a cut-over and its grace the day that has ended is frozen on all shards, and the
//! issuer is owed what they have counted.

use domain::reconciliation::{ReconSign, ReconciliationOwed, Totals, Verdict};
use domain::record::SafResult;
use domain::request::{IssuerLeg, Transmission};
use transaction::matching::{Echo, ResponseKind};
use transaction::output::StanReuse;

use super::*;
use crate::simulation::bytes::write_reconciliation;
use crate::simulation::link::link_of;
use crate::simulation::reconciling::Reckoned;
use crate::simulation::words::LegB;

impl Shard {
    fn leads(&self, issuer: IssuerId) -> bool {
        issuer.0 % self.shards == self.id
    }

    fn has_ended(&self, issuer: IssuerId, date: SettlementDate) -> bool {
        let in_force = self.engine.day(Party::Issuer(issuer));
        in_force.is_some_and(|in_force| date < in_force)
    }

    /// The day before the one in force has ended: it is frozen when what is under way is over.
    pub(super) fn plan_freeze(
        &mut self,
        issuer: IssuerId,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let ended = self.engine.ended_day(Party::Issuer(issuer));
        let ended = ended.filter(|_| self.leads(issuer));
        if let Some(date) = ended.filter(|date| self.has_ended(issuer, *date)) {
            let wait = days(around)?.grace_ms + LONGEST_MS;
            self.freeze_later(issuer, date, wait, around);
        }
        Ok(())
    }

    fn freeze_later(
        &mut self,
        issuer: IssuerId,
        date: SettlementDate,
        wait_ms: u64,
        around: &mut Around<'_>,
    ) {
        self.reconciling.freezes += 1;
        self.later(wait_ms * MS, Inside::Freeze { issuer, date }, around);
    }

    pub(in crate::simulation) fn freeze(
        &mut self,
        issuer: IssuerId,
        date: SettlementDate,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        self.reconciling.freezes -= 1;
        if !self.has_ended(issuer, date) {
            return Ok(());
        }
        let round = self.reconciling.number();
        let freezing = Freezing {
            missing: self.shards,
            sums: Vec::new(),
        };
        self.reconciling.freezing.insert(round, freezing);
        for shard in 0..self.shards {
            let freeze = BookMessage::Freeze {
                party: Party::Issuer(issuer),
                date,
                leader: self.id,
                round,
            };
            self.tell_book(shard, freeze, around);
        }
        self.drain(around)
    }

    pub(super) fn add_frozen(&mut self, number: u32, frozen: &[(BucketKey, Totals)]) {
        let twice = self.driver == Driver::AddsTwice;
        let freezing = self.reconciling.freezing.get_mut(&number);
        let freezing = freezing.expect("a freeze ends when all shards have told");
        for (bucket, totals) in frozen {
            let mut sums = freezing.sums.iter_mut();
            match sums.find(|(known, _)| known == bucket) {
                Some((_, known)) => *known = sum(known, totals),
                None if twice => freezing.sums.push((*bucket, sum(totals, totals))),
                None => freezing.sums.push((*bucket, *totals)),
            }
        }
        freezing.missing -= 1;
        if freezing.missing == 0
            && let Some(ended) = self.reconciling.freezing.remove(&number)
        {
            for (bucket, totals) in ended.sums {
                if totals != Totals::default() {
                    self.follow.push_back(Follow::OweTotals(bucket, totals));
                }
            }
        }
    }

    //= docs/rules.md#B-05
    pub(in crate::simulation) fn owe_totals(
        &mut self,
        bucket: BucketKey,
        ours: Totals,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        let Party::Issuer(issuer) = bucket.party else {
            return Err(("book", "acquirers ask by themselves".to_string()));
        };
        if self.engine.knows_reconciliation(bucket) {
            return Ok(());
        }
        let Some((_, stan)) = self.reserve_stan(issuer, around) else {
            // Every number is out: the same is found again.
            self.freeze_later(issuer, bucket.date, 60_000, around);
            return Ok(());
        };
        self.counts.totals_owed += 1;
        self.give_book(BookInput::Owe { bucket, stan, ours }, around)
    }

    pub(in crate::simulation) fn send_reconciliation(
        &mut self,
        id: ReconciliationId,
        transmission: Transmission,
        around: &mut Around<'_>,
    ) -> Result<(), Broken> {
        if self.driver == Driver::DropsReconciliations && around.random.permille(300) {
            let verdict = Some(Verdict::InBalance);
            let answered = BookInput::Answered { owed: id, verdict };
            self.follow.push_back(Follow::Book(answered));
            return Ok(());
        }
        let Some(owed) = self.engine.owed_reconciliation(id).copied() else {
            return Err(("B-05", format!("{id:?} is owed and unknown")));
        };
        let sign = days(around)?.sign(Party::Issuer(owed.issuer));
        let leg = IssuerLeg {
            route: domain::ids::RouteId(0),
            candidate: 0,
            issuer: owed.issuer,
            link: link_of(owed.stan),
            stan: owed.stan,
            transmitted: TransmissionTime::UNKNOWN,
        };
        let Some(link) = self.reversal_link(&leg) else {
            let unsent = BookInput::Unsent { owed: id };
            self.follow.push_back(Follow::Book(unsent));
            return Ok(());
        };
        let message = totals_message(&owed, sign);
        let bytes = match &around.plan.lines {
            Some(lines) => {
                let to = lines.of_issuer(owed.issuer.0);
                write_reconciliation(to, &owed, transmission, sign)
            }
            None => Some(Vec::new()),
        };
        let Some(bytes) = bytes else {
            return Err(("wire", format!("{message:?} cannot be written")));
        };
        self.note_sent(id, link, message.expected, around);
        let outbound = OutboundId {
            owner: self.id,
            handle: Handle {
                index: u32::MAX,
                generation: id.0,
            },
            stan: owed.stan,
            purpose: Purpose::Reconciliation(id),
        };
        self.tell_home(outbound, link, (message, bytes), around);
        Ok(())
    }

    fn note_sent(
        &mut self,
        id: ReconciliationId,
        link: LinkId,
        expected: Expected,
        around: &mut Around<'_>,
    ) {
        let mut sent = self.reconciling.sent.iter_mut();
        let before = match sent.find(|(known, ..)| *known == id) {
            Some((_, known, _)) => Some(std::mem::replace(known, link)),
            None => {
                self.reconciling.sent.push((id, link, expected));
                None
            }
        };
        if let Some(before) = before.filter(|before| *before != link) {
            self.give_up(before, expected, around);
        }
    }

    pub(in crate::simulation) fn reconciliation_ended(
        &mut self,
        id: ReconciliationId,
        result: SafResult,
        around: &mut Around<'_>,
    ) {
        let mut sent = self.reconciling.sent.iter();
        if let Some(place) = sent.position(|(known, ..)| *known == id) {
            let (_, link, expected) = self.reconciling.sent.swap_remove(place);
            self.give_up(link, expected, around);
        }
        if let Some(owed) = self.engine.owed_reconciliation(id) {
            let (stan, late) = (owed.stan, StanReuse::AfterLateWindow);
            let place = &mut self.places[usize::from(link_of(stan).0)];
            place.stans.release(stan, late, around.instant());
        }
        match result {
            SafResult::Acknowledged => self.counts.totals_taken += 1,
            SafResult::Refused | SafResult::Expired | SafResult::Dropped => {
                self.counts.totals_left_to_people += 1;
            }
        }
    }
}

fn totals_message(owed: &ReconciliationOwed, sign: ReconSign) -> LegB {
    LegB {
        expected: Expected {
            kind: ResponseKind::Reconciliation,
            stan: owed.stan,
        },
        echo: Echo {
            transmitted: Some(TransmissionTime::at(owed.decided)),
            ..Echo::default()
        },
        purchase: 0,
        amount: 0,
        reversal: None,
        report: None,
        asks: None,
        local: None,
        reckoned: Some(Reckoned {
            date: owed.date,
            ours: owed.ours.read_as(sign),
        }),
        is_inquiry: false,
    }
}

/// The longest deadline of a route.
const LONGEST_MS: u64 = 2_000;

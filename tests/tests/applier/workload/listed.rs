//! What people have to look at, record by record.

use super::*;

impl Workload {
    /// A request whose reversal was dropped for a late decline, and is owed after all for the
    /// approval behind it: at once, or when there is room.
    pub fn approved_behind_a_decline(&mut self, at_once: bool) -> (TransactionId, Vec<Vec<u8>>) {
        let (transaction, facts) = self.facts();
        let intent = Record::Intent(Intent {
            transaction,
            admitted: self.now(),
            facts,
            leg: self.leg(),
            asked_until: None,
        });
        let declined = Record::LateResponse(LateResponse {
            transaction,
            received: self.now(),
            issuer: IssuerId(1),
            code: ResponseCode::DO_NOT_HONOUR,
        });
        let dropped = Record::SafDone(SafDone {
            transaction,
            decided: self.now(),
            result: SafResult::Acknowledged,
            code: None,
            attempts: 0,
        });
        let mut records = [
            intent,
            self.outcome(transaction, OutcomeKind::TimedOut, b"91"),
            self.owed(transaction, ReversalCause::Timeout, None),
            declined,
            dropped,
            self.owed(transaction, ReversalCause::InvalidAnswer, None),
            self.late(transaction),
        ];
        records.swap(6, if at_once { 6 } else { 5 });
        let records = records.iter().map(|record| self.encode(record));
        (transaction, records.collect())
    }

    /// An acquirer's totals that are not ours, and two of ours of which an issuer says so, and
    /// which another one does not take.
    pub fn out_of_balance(&mut self) -> ([TransactionId; 3], Vec<Vec<u8>>) {
        let ids = [7, 8, 9].map(|slot| self.transaction(Slot(slot)));
        let (date, currency) = (SettlementDate::from_days(20_000), Currency::KES);
        let mut ours = Totals::default();
        ours.count(Kind::Debit, Effect::Approval, 1_500);
        let reconciled = Record::Reconciled(Reconciled {
            transaction: ids[0],
            decided: self.now(),
            party: Party::Acquirer(AcquirerId(0)),
            date,
            currency,
            stan: Stan::new(42).unwrap(),
            transmitted: TransmissionTime::from_number(601_120_000),
            verdict: Verdict::OutOfBalance,
            differs: Differences(1 << (88 - 66)),
            ours,
        });
        let mut records = vec![self.encode(&reconciled)];
        for (transaction, result, verdict) in [
            (ids[1], SafResult::Acknowledged, Verdict::OutOfBalance),
            (ids[2], SafResult::Refused, Verdict::Unknown),
        ] {
            let owed = Record::ReconciliationOwed(ReconciliationOwed {
                transaction,
                decided: self.now(),
                issuer: IssuerId(1),
                date,
                currency,
                stan: Stan::new(43).unwrap(),
                ours,
            });
            let done = Record::ReconciliationDone(ReconciliationDone {
                transaction,
                decided: self.now(),
                result,
                verdict,
                attempts: 3,
            });
            records.push(self.encode(&owed));
            records.push(self.encode(&done));
        }
        (ids, records)
    }
}

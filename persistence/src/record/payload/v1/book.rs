//! Business days, what was counted of them, and what reconciliations were answered.

use domain::currency::Currency;
use domain::ids::{AcquirerId, IssuerId, Stan, TransactionId};
use domain::network::SettlementDate;
use domain::reconciliation::{
    BusinessDay, DayTotals, Differences, Figure, Party, Reconciled, ReconciliationDone,
    ReconciliationOwed, Totals, Verdict,
};
use domain::time::{TransmissionTime, WallTime};
use rkyv::{Archive, Deserialize, Serialize};

use super::{result, value, zero};
use crate::record::RecordError;

pub(in super::super) const DAY_LEN: usize = size_of::<ArchivedDayV1>();
pub(in super::super) const TOTALS_LEN: usize = size_of::<ArchivedTotalsV1>();
pub(in super::super) const RECONCILED_LEN: usize = size_of::<ArchivedReconciledV1>();
pub(in super::super) const RECONCILIATION_OWED_LEN: usize =
    size_of::<ArchivedReconciliationOwedV1>();
pub(in super::super) const RECONCILIATION_DONE_LEN: usize =
    size_of::<ArchivedReconciliationDoneV1>();

const _: () = {
    assert!(DAY_LEN == 24);
    assert!(TOTALS_LEN == 120);
    assert!(RECONCILED_LEN == 136);
    assert!(RECONCILIATION_OWED_LEN == 120);
    assert!(RECONCILIATION_DONE_LEN == 16);
};

const FIGURES: usize = Figure::ALL.len();

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct DayV1 {
    noted: u64,
    /// Days since 1970.
    date: u32,
    /// 0: there was no cut-over.
    before: u32,
    /// 0: none is closed as a whole.
    closed: u32,
    party: u16,
    /// 1 acquirer, 2 issuer.
    side: u8,
    is_kept: u8,
}

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct TotalsV1 {
    noted: u64,
    /// In the order of the data elements.
    values: [u64; FIGURES],
    date: u32,
    party: u16,
    currency: u16,
    side: u8,
    is_closed: u8,
    reserved: [u8; 6],
}

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct ReconciledV1 {
    decided: u64,
    values: [u64; FIGURES],
    date: u32,
    stan: u32,
    transmitted: u32,
    differs: u32,
    party: u16,
    currency: u16,
    side: u8,
    verdict: u8,
    reserved: [u8; 10],
}

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct ReconciliationOwedV1 {
    decided: u64,
    values: [u64; FIGURES],
    date: u32,
    stan: u32,
    issuer: u16,
    currency: u16,
    reserved: [u8; 4],
}

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct ReconciliationDoneV1 {
    decided: u64,
    attempts: u32,
    result: u8,
    verdict: u8,
    reserved: [u8; 2],
}

impl From<&ReconciliationOwed> for ReconciliationOwedV1 {
    fn from(owed: &ReconciliationOwed) -> Self {
        Self {
            decided: owed.decided.unix_millis(),
            values: *owed.ours.values(),
            date: owed.date.days(),
            stan: owed.stan.number(),
            issuer: owed.issuer.0,
            currency: owed.currency.code(),
            reserved: [0; 4],
        }
    }
}

impl ReconciliationOwedV1 {
    pub(in super::super) fn owed(
        &self,
        transaction: TransactionId,
    ) -> Result<ReconciliationOwed, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(ReconciliationOwed {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            issuer: IssuerId(self.issuer),
            date: SettlementDate::from_days(self.date),
            currency: Currency::new(self.currency).map_err(value)?,
            stan: Stan::new(self.stan).map_err(value)?,
            ours: Totals::new(self.values),
        })
    }
}

impl From<&ReconciliationDone> for ReconciliationDoneV1 {
    fn from(done: &ReconciliationDone) -> Self {
        Self {
            decided: done.decided.unix_millis(),
            attempts: done.attempts,
            result: done.result as u8,
            verdict: done.verdict as u8,
            reserved: [0; 2],
        }
    }
}

impl ReconciliationDoneV1 {
    pub(in super::super) fn done(
        &self,
        transaction: TransactionId,
    ) -> Result<ReconciliationDone, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(ReconciliationDone {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            result: result(self.result)?,
            verdict: verdict(self.verdict)?,
            attempts: self.attempts,
        })
    }
}

impl From<&BusinessDay> for DayV1 {
    fn from(day: &BusinessDay) -> Self {
        let (side, party) = numbers(day.party);
        Self {
            noted: day.noted.unix_millis(),
            date: day.date.days(),
            before: day.before.map_or(0, SettlementDate::days),
            closed: day.closed.map_or(0, SettlementDate::days),
            party,
            side,
            is_kept: u8::from(day.is_kept),
        }
    }
}

impl DayV1 {
    pub(in super::super) fn day(
        &self,
        transaction: TransactionId,
    ) -> Result<BusinessDay, RecordError> {
        let date = |days: u32| (days != 0).then(|| SettlementDate::from_days(days));
        Ok(BusinessDay {
            transaction,
            noted: WallTime::from_unix_millis(self.noted),
            party: party(self.side, self.party)?,
            date: SettlementDate::from_days(self.date),
            before: date(self.before),
            closed: date(self.closed),
            is_kept: flag("kept", self.is_kept)?,
        })
    }
}

impl From<&DayTotals> for TotalsV1 {
    fn from(day: &DayTotals) -> Self {
        let (side, party) = numbers(day.party);
        Self {
            noted: day.noted.unix_millis(),
            values: *day.totals.values(),
            date: day.date.days(),
            party,
            currency: day.currency.code(),
            side,
            is_closed: u8::from(day.is_closed),
            reserved: [0; 6],
        }
    }
}

impl TotalsV1 {
    pub(in super::super) fn totals(
        &self,
        transaction: TransactionId,
    ) -> Result<DayTotals, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(DayTotals {
            transaction,
            noted: WallTime::from_unix_millis(self.noted),
            party: party(self.side, self.party)?,
            date: SettlementDate::from_days(self.date),
            currency: Currency::new(self.currency).map_err(value)?,
            totals: Totals::new(self.values),
            is_closed: flag("closed", self.is_closed)?,
        })
    }
}

impl From<&Reconciled> for ReconciledV1 {
    fn from(reconciled: &Reconciled) -> Self {
        let (side, party) = numbers(reconciled.party);
        Self {
            decided: reconciled.decided.unix_millis(),
            values: *reconciled.ours.values(),
            date: reconciled.date.days(),
            stan: reconciled.stan.number(),
            transmitted: reconciled.transmitted.as_number(),
            differs: reconciled.differs.0,
            party,
            currency: reconciled.currency.code(),
            side,
            verdict: reconciled.verdict as u8,
            reserved: [0; 10],
        }
    }
}

impl ReconciledV1 {
    pub(in super::super) fn reconciled(
        &self,
        transaction: TransactionId,
    ) -> Result<Reconciled, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(Reconciled {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            party: party(self.side, self.party)?,
            date: SettlementDate::from_days(self.date),
            currency: Currency::new(self.currency).map_err(value)?,
            stan: Stan::new(self.stan).map_err(value)?,
            transmitted: TransmissionTime::from_number(self.transmitted),
            verdict: verdict(self.verdict)?,
            differs: Differences(self.differs),
            ours: Totals::new(self.values),
        })
    }
}

const fn flag(what: &'static str, byte: u8) -> Result<bool, RecordError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(RecordError::Value(what)),
    }
}

const fn verdict(number: u8) -> Result<Verdict, RecordError> {
    match number {
        0 => Ok(Verdict::Unknown),
        1 => Ok(Verdict::InBalance),
        2 => Ok(Verdict::OutOfBalance),
        3 => Ok(Verdict::Error),
        _ => Err(RecordError::Value("verdict")),
    }
}

const fn numbers(party: Party) -> (u8, u16) {
    match party {
        Party::Acquirer(id) => (1, id.0),
        Party::Issuer(id) => (2, id.0),
    }
}

const fn party(side: u8, number: u16) -> Result<Party, RecordError> {
    match side {
        1 => Ok(Party::Acquirer(AcquirerId(number))),
        2 => Ok(Party::Issuer(IssuerId(number))),
        _ => Err(RecordError::Value("party")),
    }
}

//! What an operator has done by hand.

use domain::ids::TransactionId;
use domain::record::{Operated, Operation, Operator, OwedKind, Reason};
use domain::time::WallTime;
use rkyv::{Archive, Deserialize, Serialize};

use super::{code, code_bytes, text, text_bytes, value, zero};
use crate::record::RecordError;

pub(in super::super) const OPERATED_LEN: usize = size_of::<ArchivedOperatedV1>();

const _: () = assert!(OPERATED_LEN == 56);

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct OperatedV1 {
    decided: u64,
    attempts: u32,
    uid: u32,
    /// Padded with zeros.
    name: [u8; 32],
    /// Zeros: the issuer never answered.
    code: [u8; 2],
    ordinal: u8,
    /// 1 reversal, 2 advice.
    what: u8,
    /// 1 put back, 2 taken out.
    operation: u8,
    /// Bytes of the reason that follows this struct.
    reason_len: u8,
    reserved: [u8; 2],
}

impl From<&Operated> for OperatedV1 {
    fn from(operated: &Operated) -> Self {
        let reason = operated.reason.as_str();
        Self {
            decided: operated.decided.unix_millis(),
            attempts: operated.attempts,
            uid: operated.operator.uid,
            name: text_bytes(&operated.operator.name),
            code: code_bytes(operated.code),
            ordinal: operated.ordinal,
            what: operated.what as u8,
            operation: operated.operation as u8,
            reason_len: u8::try_from(reason.len()).unwrap_or(u8::MAX),
            reserved: [0; 2],
        }
    }
}

impl OperatedV1 {
    pub(in super::super) fn operated(
        &self,
        transaction: TransactionId,
        reason: &[u8],
    ) -> Result<Operated, RecordError> {
        zero("reserved", &self.reserved)?;
        if usize::from(self.reason_len) != reason.len() {
            return Err(RecordError::Length);
        }
        let reason = core::str::from_utf8(reason).map_err(|_| RecordError::Value("reason"))?;
        Ok(Operated {
            transaction,
            decided: WallTime::from_unix_millis(self.decided),
            ordinal: self.ordinal,
            what: match self.what {
                1 => OwedKind::Reversal,
                2 => OwedKind::Advice,
                _ => return Err(RecordError::Value("what is owed")),
            },
            operation: match self.operation {
                1 => Operation::Retry,
                2 => Operation::Drop,
                _ => return Err(RecordError::Value("operation")),
            },
            operator: Operator {
                uid: self.uid,
                name: text("operator", &self.name)?,
            },
            reason: Reason::new(reason).map_err(value)?,
            code: code(self.code)?,
            attempts: self.attempts,
        })
    }
}

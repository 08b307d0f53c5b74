//! Version 2 of the payloads that have one. What holds of the structs of version 1 holds of these.

use domain::message_reason::MessageReason;
use domain::record::{Intent, SafOwed};
use domain::time::WallTime;
use rkyv::{Archive, Deserialize, Serialize};

use super::super::RecordError;
use super::v1::{IntentV1, SafOwedV1, value, zero};

pub(super) const SAF_OWED_LEN: usize = size_of::<ArchivedSafOwedV2>();

pub(super) const INTENT_LEN: usize = size_of::<ArchivedIntentV2>();

const _: () = assert!(SAF_OWED_LEN == 48 && INTENT_LEN == 240);

/// A reversal of which its acquirer has said why. All others are of version 1.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct SafOwedV2 {
    first: SafOwedV1,
    reason: u16,
    reserved: [u8; 6],
}

impl SafOwedV2 {
    pub(super) fn new(owed: &SafOwed, reason: MessageReason) -> Self {
        Self {
            first: SafOwedV1::from(owed),
            reason: reason.number(),
            reserved: [0; 6],
        }
    }

    pub(super) fn saf_owed(
        &self,
        transaction: domain::ids::TransactionId,
    ) -> Result<SafOwed, RecordError> {
        zero("reserved", &self.reserved)?;
        Ok(SafOwed {
            reason: Some(MessageReason::new(self.reason).map_err(value)?),
            ..self.first.saf_owed(transaction)?
        })
    }
}

/// An intent whose issuer can be asked what became of it. All others are of version 1.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct IntentV2 {
    first: IntentV1,
    asked_until: u64,
}

impl IntentV2 {
    pub(super) fn new(intent: &Intent, asked_until: WallTime) -> Self {
        Self {
            first: IntentV1::from(intent),
            asked_until: asked_until.unix_millis(),
        }
    }

    pub(super) fn intent(
        &self,
        transaction: domain::ids::TransactionId,
    ) -> Result<Intent, RecordError> {
        Ok(Intent {
            asked_until: Some(WallTime::from_unix_millis(self.asked_until)),
            ..self.first.intent(transaction)?
        })
    }
}

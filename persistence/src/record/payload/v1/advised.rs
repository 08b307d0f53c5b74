//! What an issuer has to be told of.

use domain::ids::{Stan, TransactionId};
use domain::record::{Acknowledged, AdviceOrigin, Advised, Completed, Extent};
use domain::request::MessageKind;
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use rkyv::{Archive, Deserialize, Serialize};

use super::{FactsV1, LegV1, class, class_number, code, code_bytes, text, text_bytes, value, zero};
use crate::record::RecordError;

pub(in super::super) const ADVISED_LEN: usize = size_of::<ArchivedAdvisedV1>();

const _: () = assert!(ADVISED_LEN == 280);

#[derive(Archive, Serialize, Deserialize)]
pub(in super::super) struct AdvisedV1 {
    admitted: u64,
    facts: FactsV1,
    /// Zeros where `has_leg` is 0.
    leg: LegV1,
    /// Zeros where `completes_class` is 0.
    completes: [u8; 16],
    completes_stan: u32,
    completes_transmitted: u32,
    completes_local: u32,
    /// Bytes of the fields that follow this struct.
    fields_len: u16,
    code: [u8; 2],
    authorisation: [u8; 6],
    /// 0 nothing is completed, 1 an authorisation, 2 a financial request; 3 and 4 advices of them.
    completes_class: u8,
    /// 0 none, 1 one, 2 none because it completes too much.
    has_leg: u8,
    /// 1 acquirer, 2 stand-in.
    origin: u8,
    /// Zeros: the advice has no DE39.
    reported: [u8; 2],
    /// 0 not compared, 1 what stands of what is completed, 2 more or less than that.
    completes_extent: u8,
    reserved: [u8; 4],
}

impl From<&Advised<'_>> for AdvisedV1 {
    fn from(advised: &Advised<'_>) -> Self {
        let completes = advised.completes.as_ref();
        Self {
            admitted: advised.admitted.unix_millis(),
            facts: FactsV1::from(&advised.facts),
            leg: advised.leg.as_ref().map_or(LegV1::ZERO, LegV1::from),
            completes: completes.map_or([0; 16], |completes| completes.transaction.0.to_le_bytes()),
            completes_stan: completes.map_or(0, |completes| completes.stan.number()),
            completes_transmitted: completes.map_or(0, |one| one.transmitted.as_number()),
            completes_local: completes.map_or(0, |one| one.local.as_number()),
            fields_len: u16::try_from(advised.fields.len()).unwrap_or(u16::MAX),
            code: *advised.answer.code.as_bytes(),
            authorisation: text_bytes(&advised.answer.authorisation),
            completes_class: completes.map_or(0, kind_number),
            has_leg: match advised.leg {
                Some(_) => 1,
                None if advised.is_over => 2,
                None => 0,
            },
            origin: advised.origin as u8,
            reported: code_bytes(advised.reported),
            completes_extent: completes.map_or(0, |completes| completes.extent as u8),
            reserved: [0; 4],
        }
    }
}

impl AdvisedV1 {
    pub(in super::super) fn advised<'a>(
        &self,
        transaction: TransactionId,
        fields: &'a [u8],
    ) -> Result<Advised<'a>, RecordError> {
        zero("reserved", &self.reserved)?;
        if usize::from(self.fields_len) != fields.len() {
            return Err(RecordError::Length);
        }
        Ok(Advised {
            transaction,
            admitted: WallTime::from_unix_millis(self.admitted),
            facts: self.facts.facts()?,
            reported: code(self.reported)?,
            origin: match self.origin {
                1 => AdviceOrigin::Acquirer,
                2 => AdviceOrigin::StandIn,
                _ => return Err(RecordError::Value("origin")),
            },
            leg: match self.has_leg {
                0 | 2 => None,
                1 => Some(self.leg.leg()?),
                _ => return Err(RecordError::Value("leg")),
            },
            completes: self.completes()?,
            is_over: self.has_leg == 2,
            answer: Acknowledged {
                code: ResponseCode::new(&self.code).map_err(value)?,
                authorisation: text("DE38", &self.authorisation)?,
            },
            fields,
        })
    }

    fn completes(&self) -> Result<Option<Completed>, RecordError> {
        let (number, kind) = match self.completes_class {
            number @ 0..=2 => (number, MessageKind::Request),
            number => (number.saturating_sub(2), MessageKind::Advice),
        };
        let Some(class) = class(number)? else {
            return Ok(None);
        };
        Ok(Some(Completed {
            transaction: TransactionId(u128::from_le_bytes(self.completes)),
            class,
            kind,
            stan: Stan::new(self.completes_stan).map_err(value)?,
            transmitted: TransmissionTime::from_number(self.completes_transmitted),
            local: TransmissionTime::from_number(self.completes_local),
            extent: match self.completes_extent {
                0 => Extent::Unknown,
                1 => Extent::Whole,
                2 => Extent::Other,
                _ => return Err(RecordError::Value("extent")),
            },
        }))
    }
}

const fn kind_number(completed: &Completed) -> u8 {
    let class = class_number(completed.class);
    match completed.kind {
        MessageKind::Request | MessageKind::Completion => class,
        MessageKind::Advice => class.saturating_add(2),
    }
}

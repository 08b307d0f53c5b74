//! Requests for tests.

use domain::Amount;
use domain::bytes::Text;
use domain::currency::Currency;
use domain::ids::{AcquirerId, InstitutionId, MerchantId, Rrn, Slot, Stan, TerminalId};
use domain::pan::{Account, MaskedPan, PanToken, SealedPan, TokenKeyId};
use domain::request::{ContentHash, DuplicateKey, Facts, MessageClass, Trace, TraceKey};
use domain::time::TransmissionTime;

pub(crate) fn account(token: PanToken, bin: [u8; 6]) -> Account {
    Account {
        token,
        token_key: TokenKeyId::FIRST,
        masked: MaskedPan {
            len: 16,
            first: bin,
            last: *b"1111",
        },
        sealed: SealedPan {
            key_id: 1,
            nonce: [0; 12],
            ciphertext: [0; 20],
            tag: [0; 16],
        },
    }
}

pub(crate) fn facts(token: u8, bin: &[u8; 6], minor: u64, currency: Currency) -> Facts {
    Facts {
        acquirer: AcquirerId(0),
        class: MessageClass::Authorisation,
        slot: Slot(0),
        key: DuplicateKey(0),
        content: ContentHash(0),
        trace_key: TraceKey(0),
        account: account(PanToken([token; 16]), *bin),
        amount: Amount::new(minor, currency).unwrap(),
        processing_code: Text::EMPTY,
        merchant_category: Text::EMPTY,
        entry_mode: Text::EMPTY,
        trace: Trace {
            stan: Stan::default(),
            transmitted: TransmissionTime::default(),
            local_time: Text::EMPTY,
            local_date: Text::EMPTY,
            rrn: Rrn::EMPTY,
            terminal: TerminalId::EMPTY,
            merchant: MerchantId::EMPTY,
            institution: InstitutionId::EMPTY,
        },
    }
}

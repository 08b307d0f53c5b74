//! Elements of chip data: what they are called, and which of them may be shown and stored (EMV Book
//! 3, annex A; security.md §2).

use crate::field::Sensitivity::{self, Pan, Public, Sad};

/// What is known of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) sensitivity: Sensitivity,
}

/// Of an element that is not here nothing is known, not even that it may be shown.
pub(crate) fn known(tag: u32) -> Option<Known> {
    debug_assert!(TAGS.is_sorted_by_key(|(tag, ..)| *tag));
    let place = TAGS.binary_search_by_key(&tag, |(tag, ..)| *tag).ok()?;
    let (_, name, sensitivity) = *TAGS.get(place)?;
    Some(Known { name, sensitivity })
}

const TAGS: [(u32, &str, Sensitivity); 85] = [
    (0x42, "issuer identification number", Public),
    (0x4F, "application identifier, card", Public),
    (0x50, "application label", Public),
    (0x56, "track 1 equivalent data", Sad),
    (0x57, "track 2 equivalent data", Sad),
    (0x5A, "application primary account number", Pan),
    (0x61, "application template", Public),
    (0x6F, "file control information template", Public),
    (0x70, "record template", Public),
    (0x71, "issuer script template 1", Public),
    (0x72, "issuer script template 2", Public),
    (0x77, "response message template", Public),
    (0x80, "response message", Sad),
    (0x82, "application interchange profile", Public),
    (0x84, "dedicated file name", Public),
    // A script may set a PIN.
    (0x86, "issuer script command", Sad),
    (0x87, "application priority indicator", Public),
    (0x89, "authorisation code", Public),
    (0x8A, "authorisation response code", Public),
    (0x8C, "card risk management list 1", Public),
    (0x8D, "card risk management list 2", Public),
    (0x8E, "cardholder verification method list", Public),
    (0x8F, "certification authority key index", Public),
    (0x91, "issuer authentication data", Public),
    (0x94, "application file locator", Public),
    (0x95, "terminal verification results", Public),
    (0x98, "transaction certificate hash", Public),
    (0x99, "transaction PIN data", Sad),
    (0x9A, "transaction date", Public),
    (0x9B, "transaction status information", Public),
    (0x9C, "transaction type", Public),
    (0x9D, "directory definition file name", Public),
    (0x5F20, "cardholder name", Sad),
    (0x5F24, "application expiration date", Public),
    (0x5F25, "application effective date", Public),
    (0x5F28, "issuer country code", Public),
    (0x5F2A, "transaction currency code", Public),
    (0x5F2D, "language preference", Public),
    (0x5F30, "service code", Sad),
    (0x5F34, "account number sequence number", Public),
    (0x5F36, "transaction currency exponent", Public),
    (0x9F01, "acquirer identifier", Public),
    (0x9F02, "amount, authorised", Public),
    (0x9F03, "amount, other", Public),
    (0x9F06, "application identifier, terminal", Public),
    (0x9F07, "application usage control", Public),
    (0x9F08, "application version number, card", Public),
    (0x9F09, "application version number, terminal", Public),
    (0x9F0B, "cardholder name, extended", Sad),
    (0x9F0D, "issuer action code, default", Public),
    (0x9F0E, "issuer action code, denial", Public),
    (0x9F0F, "issuer action code, online", Public),
    (0x9F10, "issuer application data", Public),
    (0x9F11, "issuer code table index", Public),
    (0x9F12, "application preferred name", Public),
    (0x9F15, "merchant category code", Public),
    (0x9F16, "merchant identifier", Public),
    (0x9F1A, "terminal country code", Public),
    (0x9F1C, "terminal identification", Public),
    (0x9F1E, "interface device serial number", Public),
    (0x9F1F, "track 1 discretionary data", Sad),
    (0x9F20, "track 2 discretionary data", Sad),
    (0x9F21, "transaction time", Public),
    (0x9F26, "application cryptogram", Public),
    (0x9F27, "cryptogram information data", Public),
    (0x9F33, "terminal capabilities", Public),
    (0x9F34, "cardholder verification results", Public),
    (0x9F35, "terminal type", Public),
    (0x9F36, "application transaction counter", Public),
    (0x9F37, "unpredictable number", Public),
    (0x9F39, "point of service entry mode", Public),
    (0x9F40, "additional terminal capabilities", Public),
    (0x9F41, "transaction sequence counter", Public),
    (0x9F45, "data authentication code", Public),
    (0x9F4C, "dynamic number of the card", Public),
    (0x9F4E, "merchant name and location", Public),
    (0x9F53, "transaction category code", Public),
    (0x9F5B, "issuer script results", Public),
    (0x9F60, "card verification code 3, track 1", Sad),
    (0x9F61, "card verification code 3, track 2", Sad),
    (0x9F66, "terminal transaction qualifiers", Public),
    (0x9F6B, "track 2 data, contactless", Sad),
    (0x9F6C, "card transaction qualifiers", Public),
    (0x9F6E, "form factor indicator", Public),
    (0xBF0C, "issuer discretionary data", Public),
];

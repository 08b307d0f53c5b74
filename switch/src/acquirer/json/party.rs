//! Who pays and who is paid: 1 to 3 names of one party, each a kind and a value.

use std::fmt;

use super::fields::{At, Faults, Fields, Wrong};
use super::openapi::schemas;
use super::problem::ErrorCode;
use super::strict::Node;

/// One name of a party.
#[derive(Clone, PartialEq, Eq, utoipa::ToSchema)]
pub(crate) struct Party {
    /// What the value is.
    #[schema(schema_with = schemas::party_key)]
    pub(crate) key: PartyKey,
    /// Normalised: the same account has the same value.
    pub(crate) value: String,
}

/// The value may be an account: never shown.
impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What a value is, in the order in which one of several is taken for the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartyKey {
    Pan,
    AccountId,
    WalletId,
    Msisdn,
    Iban,
    BankAccountNo,
    OrganisationId,
    ConsumerNo,
    ServiceProvider,
    StoreId,
    IdentityAlias,
}

/// Whether a gateway may name a party by a PAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountNumbers {
    Allowed,
    Refused,
}

impl PartyKey {
    /// All of them.
    pub(super) const ALL: [Self; 11] = [
        Self::Pan,
        Self::AccountId,
        Self::WalletId,
        Self::Msisdn,
        Self::Iban,
        Self::BankAccountNo,
        Self::OrganisationId,
        Self::ConsumerNo,
        Self::ServiceProvider,
        Self::StoreId,
        Self::IdentityAlias,
    ];

    /// As JSON has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pan => "pan",
            Self::AccountId => "accountid",
            Self::WalletId => "walletid",
            Self::Msisdn => "msisdn",
            Self::Iban => "iban",
            Self::BankAccountNo => "bankaccountno",
            Self::OrganisationId => "organisationid",
            Self::ConsumerNo => "consumerno",
            Self::ServiceProvider => "serviceprovider",
            Self::StoreId => "storeid",
            Self::IdentityAlias => "identityalias",
        }
    }

    fn read(text: &str, account_numbers: AccountNumbers) -> Result<Self, Wrong> {
        let found = Self::ALL.into_iter().find(|key| key.name() == text);
        let key = found.ok_or((ErrorCode::FormatError, "is no kind of party"))?;
        if key == Self::Pan && account_numbers == AccountNumbers::Refused {
            return Err((ErrorCode::FormatError, "`pan` is not taken here"));
        }
        Ok(key)
    }

    fn value(self, text: &str) -> Result<String, Wrong> {
        match self {
            Self::Pan => digits(text, 8..=19, "takes 8 to 19 digits"),
            Self::Msisdn => {
                let wrong = "takes `+` and 7 to 15 digits (E.164)";
                let number = text.strip_prefix('+').filter(|rest| !rest.starts_with('0'));
                let number = number.ok_or((ErrorCode::FormatError, wrong))?;
                digits(number, 7..=15, wrong)
            }
            Self::Iban => iban(text),
            Self::AccountId
            | Self::WalletId
            | Self::BankAccountNo
            | Self::OrganisationId
            | Self::ConsumerNo
            | Self::ServiceProvider
            | Self::StoreId
            | Self::IdentityAlias => identifier(text),
        }
    }
}

/// Reads one side.
pub(super) fn parties(
    node: &Node<'_>,
    at: At<'_>,
    account_numbers: AccountNumbers,
    faults: &mut Faults,
) -> Option<Vec<Party>> {
    let Node::List(items) = node else {
        faults.add(at, (ErrorCode::FormatError, "must be a list"));
        return None;
    };
    if !(1..=PARTIES_MAX).contains(&items.len()) {
        faults.add(at, (ErrorCode::LengthError, "takes 1 to 3 names"));
        return None;
    }
    let mut read: Vec<Party> = Vec::with_capacity(items.len());
    let mut is_whole = true;
    for (place, item) in items.iter().enumerate() {
        let at = At::Place(&at, place);
        match party(item, at, account_numbers, faults) {
            Some(party) if read.iter().any(|other| other.key == party.key) => {
                let wrong = (
                    ErrorCode::FormatError,
                    "is a kind that stands there already",
                );
                faults.add(At::Field(&at, "key"), wrong);
                is_whole = false;
            }
            Some(party) => read.push(party),
            None => is_whole = false,
        }
    }
    is_whole.then_some(read)
}

const PARTIES_MAX: usize = 3;

fn party(
    node: &Node<'_>,
    at: At<'_>,
    account_numbers: AccountNumbers,
    faults: &mut Faults,
) -> Option<Party> {
    let mut fields = Fields::of(node, at, faults)?;
    let rule = |text| PartyKey::read(text, account_numbers);
    let key = fields.mandatory_text("key", rule, faults);
    let value = fields.mandatory_text("value", Ok, faults);
    fields.finish(faults);
    let (key, value) = (key?, value?);
    match key.value(value) {
        Ok(value) => Some(Party { key, value }),
        Err(wrong) => {
            faults.add(At::Field(&at, "value"), wrong);
            None
        }
    }
}

/// The name by which a side's account is known.
pub(super) fn account(side: &[Party]) -> Option<&Party> {
    side.iter().min_by_key(|party| party.key)
}

fn digits(
    text: &str,
    len: std::ops::RangeInclusive<usize>,
    wrong: &'static str,
) -> Result<String, Wrong> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && len.contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err((ErrorCode::FormatError, wrong))
}

fn identifier(text: &str) -> Result<String, Wrong> {
    if !(1..=IDENTIFIER_MAX).contains(&text.len()) {
        return Err((ErrorCode::LengthError, "takes 1 to 64 characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let wrong = "takes visible ASCII characters without a space";
        return Err((ErrorCode::FormatError, wrong));
    }
    Ok(text.to_owned())
}

const IDENTIFIER_MAX: usize = 64;

/// ISO 13616: its check digits make the whole number 1 modulo 97. Spaces and small letters are how
/// people write it.
fn iban(text: &str) -> Result<String, Wrong> {
    let wrong = (ErrorCode::FormatError, "is no IBAN (ISO 13616)");
    let plain: String = text.chars().filter(|letter| *letter != ' ').collect();
    let plain = plain.to_ascii_uppercase();
    let bytes = plain.as_bytes();
    let form = match bytes {
        [a, b, c, d, rest @ ..] if (11..=30).contains(&rest.len()) => {
            a.is_ascii_uppercase()
                && b.is_ascii_uppercase()
                && c.is_ascii_digit()
                && d.is_ascii_digit()
                && rest.iter().all(u8::is_ascii_alphanumeric)
        }
        _ => false,
    };
    if !form {
        return Err(wrong);
    }
    let (head, tail) = bytes.split_at(4);
    let remainder = tail.iter().chain(head).fold(0_u32, |sum, byte| {
        let value = char::from(*byte).to_digit(36).unwrap_or(0);
        let scale = if value > 9 { 100 } else { 10 };
        (sum * scale + value) % 97
    });
    (remainder == 1).then_some(plain).ok_or(wrong)
}

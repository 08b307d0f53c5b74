//! JSON to the words of `domain` and back. Pure: it names no clock, no socket and no runtime.
//!
//! [`create`] reads the body of a new transaction: all fields that cannot be used are told at once.
//! [`Create::canonical`] is what its fingerprint covers; [`Transaction::to_json`] is what everybody
//! is told of a transaction; [`problem`] are the errors.
//!
//! Never here: a float; a field for a PIN, a track or a CVV; a text of the request in an error.

mod fields;
pub(super) mod gsma;
pub(super) mod openapi;
mod party;
pub(super) mod problem;
mod reversal;
pub(super) mod strict;
#[cfg(test)]
mod tests;
pub(super) mod time;
mod transaction;

use std::fmt;

use domain::amount::Amount;
use domain::currency::Currency;
use domain::time::WallTime;

use fields::{At, Faults, Fields, Wrong, printable};
use openapi::schemas::{self, AskedAmount};
use party::parties;
pub(super) use party::{AccountNumbers, Party, PartyKey};
use problem::{ErrorCode, Problem, Slug};
pub(super) use reversal::{Reverse, Reversed, buried_json, reverse};
use strict::{Entry, Node};
pub(crate) use transaction::{Asked, Awaits, Notification, State, Transaction};

/// What a gateway asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BillPay,
    Deposit,
    Disbursement,
    Transfer,
    MerchantPay,
    InternationalTransfer,
    Adjustment,
    Withdrawal,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::BillPay,
        Self::Deposit,
        Self::Disbursement,
        Self::Transfer,
        Self::MerchantPay,
        Self::InternationalTransfer,
        Self::Adjustment,
        Self::Withdrawal,
    ];

    /// As JSON has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BillPay => "billpay",
            Self::Deposit => "deposit",
            Self::Disbursement => "disbursement",
            Self::Transfer => "transfer",
            Self::MerchantPay => "merchantpay",
            Self::InternationalTransfer => "inttransfer",
            Self::Adjustment => "adjustment",
            Self::Withdrawal => "withdrawal",
        }
    }

    /// DE3: its first two digits say what it is to the account that is debited, and no two kinds
    /// have the same, so that what the journal keeps says the kind (docs/http-api.md).
    pub(crate) const fn processing_code(self) -> &'static [u8; 6] {
        match self {
            Self::BillPay => b"500000",
            Self::Deposit => b"210000",
            Self::Disbursement => b"260000",
            Self::Transfer => b"400000",
            Self::MerchantPay => b"000000",
            Self::InternationalTransfer => b"490000",
            Self::Adjustment => b"020000",
            Self::Withdrawal => b"010000",
        }
    }

    /// Whether it is taken. Of the others the account that is credited would be told to nobody.
    pub(crate) const fn is_served(self) -> bool {
        match self {
            Self::BillPay | Self::MerchantPay | Self::Withdrawal => true,
            Self::Deposit
            | Self::Disbursement
            | Self::Transfer
            | Self::InternationalTransfer
            | Self::Adjustment => false,
        }
    }

    /// The kind of what the journal keeps.
    pub(crate) fn of_processing_code(code: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.processing_code() == code)
    }

    /// # Errors
    /// There is none of this name.
    pub(super) fn read(text: &str) -> Result<Self, Wrong> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|kind| kind.name() == text);
        found.ok_or((ErrorCode::FormatError, "is no type of transaction"))
    }
}

/// The body of a new transaction.
#[derive(Clone, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Create {
    #[schema(rename = "type", schema_with = schemas::served_kind)]
    pub(super) kind: Kind,
    #[schema(value_type = AskedAmount)]
    pub(super) amount: Amount,
    /// Who pays.
    #[schema(rename = "debitParty", schema_with = schemas::parties)]
    pub(super) debit: Vec<Party>,
    /// Who is paid.
    #[schema(rename = "creditParty", schema_with = schemas::parties)]
    pub(super) credit: Vec<Party>,
    /// The gateway's own number; not unique.
    #[schema(schema_with = schemas::reference)]
    pub(super) reference: String,
    #[schema(schema_with = schemas::description)]
    pub(super) description: Option<String>,
    #[schema(schema_with = schemas::channel)]
    pub(super) channel: Option<String>,
    /// Not part of what a copy must not change.
    #[schema(schema_with = schemas::time)]
    pub(super) requested_at: Option<WallTime>,
    /// Read, and refused for the present.
    #[schema(ignore)]
    pub(super) expires_at: Option<WallTime>,
    /// By key.
    #[schema(schema_with = schemas::metadata, required = false)]
    pub(super) metadata: Vec<(String, String)>,
}

/// The texts may be accounts, or say who pays whom for what: never shown.
impl fmt::Debug for Create {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Create")
            .field("kind", &self.kind)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// What holds of the bodies of one gateway at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) now: WallTime,
    /// Whether a party may be named by a PAN.
    pub(super) account_numbers: AccountNumbers,
}

/// Reads the body of a new transaction.
///
/// # Errors
/// What is wrong with it: all fields at once.
pub(super) fn create(body: &[u8], rules: Rules) -> Result<Create, Problem> {
    let tree = strict::read(body).map_err(|why| Problem::with(Slug::Malformed, why.text()))?;
    let mut faults = Faults::default();
    let mut currency = Ok(());
    let read = read_create(&tree, rules, &mut faults, &mut currency);
    let errors = faults.into_errors();
    match read {
        Some(create) if errors.is_empty() => currency.map(|()| create),
        None if errors.is_empty() => currency.and(Err(Problem::of(Slug::InvalidField))),
        Some(_) | None => Err(Problem::fields(errors)),
    }
}

fn read_create(
    tree: &Node<'_>,
    rules: Rules,
    faults: &mut Faults,
    currency: &mut Result<(), Problem>,
) -> Option<Create> {
    let mut root = Fields::of(tree, At::Root, faults)?;
    let kind = root.mandatory_text("type", Kind::read, faults);
    let amount = root.mandatory("amount", faults);
    let amount =
        amount.and_then(|node| read_amount(node, root.of_name("amount"), faults, currency));
    let sides = read_sides(&mut root, rules, faults);
    let reference = root.mandatory_text("reference", |text| printable(text, 64), faults);
    let description = root.text("description", |text| printable(text, 160), faults);
    let channel = root.text("channel", read_channel, faults);
    let requested_at = root.text("requestedAt", time::read, faults);
    let expires_at = root.text("expiresAt", |text| read_expiry(text, rules.now), faults);
    let metadata = root.node("metadata");
    let metadata = metadata.map(|node| read_metadata(node, root.of_name("metadata"), faults));
    root.finish(faults);
    let (debit, credit) = sides?;
    Some(Create {
        kind: kind?,
        amount: amount?,
        debit,
        credit,
        reference: reference?,
        description,
        channel,
        requested_at,
        expires_at,
        metadata: metadata.unwrap_or_default(),
    })
}

/// Who pays and who is paid.
fn read_sides(
    root: &mut Fields<'_>,
    rules: Rules,
    faults: &mut Faults,
) -> Option<(Vec<Party>, Vec<Party>)> {
    let debit = root.mandatory("debitParty", faults);
    let debit = debit.and_then(|node| {
        parties(
            node,
            root.of_name("debitParty"),
            rules.account_numbers,
            faults,
        )
    });
    let credit = root.mandatory("creditParty", faults);
    let credit = credit.and_then(|node| {
        parties(
            node,
            root.of_name("creditParty"),
            rules.account_numbers,
            faults,
        )
    });
    if let (Some(debit), Some(credit)) = (&debit, &credit)
        && party::account(debit) == party::account(credit)
    {
        let wrong = (
            ErrorCode::SamePartiesError,
            "is the account that is debited",
        );
        faults.add(root.of_name("creditParty"), wrong);
    }
    Some((debit?, credit?))
}

fn read_amount(
    node: &Node<'_>,
    at: At<'_>,
    faults: &mut Faults,
    currency: &mut Result<(), Problem>,
) -> Option<Amount> {
    let mut fields = Fields::of(node, at, faults)?;
    let minor = fields.mandatory("minor", faults);
    let minor = minor.and_then(|node| {
        let read = read_minor(node);
        let pointer = fields.of_name("minor");
        read.map_err(|wrong| faults.add(pointer, wrong)).ok()
    });
    let letters = fields.mandatory_text("currency", read_letters, faults);
    fields.finish(faults);
    let letters = letters?;
    let Some(known) = Currency::from_alphabetic(letters) else {
        *currency = Err(Problem::of(Slug::CurrencyNotSupported));
        return None;
    };
    Amount::new(minor?, known).ok()
}

fn read_minor(node: &Node<'_>) -> Result<u64, Wrong> {
    let text = "must be a whole number of minor units from 1 to 999999999999";
    match node {
        Node::Whole(minor) if (1..=Amount::MINOR_MAX).contains(minor) => Ok(*minor),
        Node::Whole(_)
        | Node::Fraction
        | Node::Null
        | Node::Boolean
        | Node::Text(_)
        | Node::List(_)
        | Node::Object(_) => Err((ErrorCode::FormatError, text)),
    }
}

fn read_letters(text: &str) -> Result<&str, Wrong> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let wrong = "must be three capital letters of ISO 4217";
    is_code
        .then_some(text)
        .ok_or((ErrorCode::FormatError, wrong))
}

fn read_channel(text: &str) -> Result<String, Wrong> {
    let is_word = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if !text.bytes().all(is_word) {
        let wrong = "takes lower-case letters, digits, `_` and `-`";
        return Err((ErrorCode::FormatError, wrong));
    }
    printable(text, 32)
}

fn read_expiry(text: &str, now: WallTime) -> Result<WallTime, Wrong> {
    let at = time::read(text)?;
    if at <= now || at > now.after(EXPIRY_MAX) {
        let wrong = "must lie in the future, at most 24 hours ahead";
        return Err((ErrorCode::FormatError, wrong));
    }
    Ok(at)
}

const EXPIRY_MAX: core::time::Duration = core::time::Duration::from_secs(86_400);

fn read_metadata(node: &Node<'_>, at: At<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let entry = |(key, value): &Entry<'_>| match value {
        Node::Text(value) => Ok((printable(key, 32)?, read_value(value)?)),
        Node::Null
        | Node::Boolean
        | Node::Whole(_)
        | Node::Fraction
        | Node::List(_)
        | Node::Object(_) => Err((ErrorCode::FormatError, "has a value that is no string")),
    };
    let read = match node {
        Node::Object(entries) if entries.len() <= METADATA_MAX => {
            entries.iter().map(entry).collect::<Result<Vec<_>, _>>()
        }
        Node::Object(_) => Err((ErrorCode::LengthError, "has more than 16 keys")),
        Node::Null
        | Node::Boolean
        | Node::Whole(_)
        | Node::Fraction
        | Node::Text(_)
        | Node::List(_) => Err((ErrorCode::FormatError, "must be an object")),
    };
    let mut entries = read.unwrap_or_else(|wrong| {
        faults.add(at, wrong);
        Vec::new()
    });
    entries.sort_unstable();
    entries
}

fn read_value(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Ok(String::new());
    }
    printable(text, 128)
}

const METADATA_MAX: usize = 16;

impl Create {
    /// The account: whose velocity is judged, and by which the route is chosen.
    pub(super) fn account(&self) -> Option<&Party> {
        party::account(&self.debit)
    }

    /// What a copy must not change, in one order whatever the order of the body: every field but
    /// `requestedAt`, which a gateway sets anew. Each is led by its length, so that no two bodies
    /// have the same.
    pub(super) fn canonical(&self, path: &str, out: &mut Vec<u8>) {
        put(out, path.as_bytes());
        put(out, self.kind.name().as_bytes());
        put(out, &self.amount.digits());
        put(out, &self.amount.currency().digits());
        for side in [&self.debit, &self.credit] {
            let mut sorted: Vec<&Party> = side.iter().collect();
            sorted.sort_unstable_by_key(|party| party.key);
            out.push(u8::try_from(sorted.len()).unwrap_or(u8::MAX));
            for party in sorted {
                put(out, party.key.name().as_bytes());
                put(out, party.value.as_bytes());
            }
        }
        put(out, self.reference.as_bytes());
        for optional in [&self.description, &self.channel] {
            put_optional(out, optional.as_ref().map(String::as_bytes));
        }
        let expires = self.expires_at.map(|at| at.unix_millis().to_be_bytes());
        put_optional(out, expires.as_ref().map(<[u8; 8]>::as_slice));
        out.push(u8::try_from(self.metadata.len()).unwrap_or(u8::MAX));
        for (key, value) in &self.metadata {
            put(out, key.as_bytes());
            put(out, value.as_bytes());
        }
    }
}

/// A body is no longer than 64 KiB, so its fields are shorter than their length says at most.
fn put(out: &mut Vec<u8>, field: &[u8]) {
    out.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(field);
}

fn put_optional(out: &mut Vec<u8>, field: Option<&[u8]>) {
    out.push(u8::from(field.is_some()));
    put(out, field.unwrap_or_default());
}

/// An amount as people write it, exactly: `152300` of KES is `1523.00`.
pub(super) fn decimal(amount: Amount) -> String {
    Decimal::of(amount).to_string()
}

/// The same, for what is written piece by piece.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    minor: u64,
    exponent: u8,
}

impl Decimal {
    const fn of(amount: Amount) -> Self {
        Self {
            minor: amount.minor(),
            exponent: amount.currency().exponent(),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u64.pow(u32::from(self.exponent));
        let (whole, part) = (self.minor / unit, self.minor % unit);
        if self.exponent == 0 {
            return write!(f, "{whole}");
        }
        write!(
            f,
            "{whole}.{part:0>width$}",
            width = usize::from(self.exponent)
        )
    }
}

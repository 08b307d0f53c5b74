//! What an issuer is asked over HTTP, read out of the message that an issuer of ISO 8583 would get.
//!
//! One message serves both kinds, so that a reversal after a restart names the same id: it is made
//! of DE7 and DE11 of the request, which the intent holds and DE90 of its reversal repeats.

use std::cell::OnceCell;
use std::time::Duration;

use domain::amount::Amount;
use domain::time::{TransmissionTime, WallTime};
use iso8583::MessageRef;
use iso8583::mti::{Class, Function, Origin};
use iso8583::translate;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::plan::{Field, Plan};

/// One operation.
pub(crate) struct Asked {
    pub(crate) is_reversal: bool,
    /// Unique at the issuer: date, time and STAN of the request, twenty digits.
    pub(crate) our_id: String,
    /// The same, for issuers that take no other ids; made when it is first named.
    our_uuid: OnceCell<String>,
    /// The same in every transmission of one reversal; empty of a request.
    pub(crate) reversal_id: String,
    /// What is to be moved, or what this reversal takes back.
    pub(crate) amount: Amount,
    /// Of a reversal: what stays behind it.
    pub(super) remaining: Option<Amount>,
    account: Zeroizing<String>,
    stan: String,
    rrn: String,
    terminal: String,
    merchant: String,
    merchant_category: String,
    processing_code: String,
    created_at: String,
    /// Of a request, where its issuer calls back.
    pub(super) callback_url: String,
    /// When the request was sent, by the clock of the switch.
    created: WallTime,
    /// Of a reversal what stood before it, else the amount.
    pub(super) stood: Amount,
}

impl Asked {
    //= docs/rules.md#M-10
    /// `None` of what is not asked over HTTP: advices, completions, what has no amount, and what
    /// the issuer does not serve. As a payment it would move money the wrong way.
    pub(crate) fn of(plan: &Plan, message: MessageRef<'_>, wall: WallTime) -> Option<Self> {
        let mti = message.mti();
        let is_reversal = match (mti.class(), mti.function()) {
            (Class::Authorisation | Class::Financial, Function::Request) => false,
            (Class::Reversal, Function::Request | Function::Advice) => true,
            _ => return None,
        };
        let class = mti.class();
        if !is_reversal && (mti.origin() == Origin::Issuer || !plan.serves(class, message)) {
            return None;
        }
        let (created, stan) = if is_reversal {
            original(message)?
        } else {
            (message.array(7)?, message.array(11)?)
        };
        let created = Moment::of(&created, wall)?;
        let stan = text(&stan);
        let our_id = format!("{}{stan}", created.digits);
        let reversal_id = if is_reversal {
            let decided: [u8; 10] = message.array(7)?;
            format!("{our_id}R{}", text(&decided))
        } else {
            String::new()
        };
        let account = translate::account(message).ok().flatten();
        let account = account.as_ref().map_or(&[][..], |pan| pan.expose_digits());
        let (amount, remaining) = amounts(message, is_reversal)?;
        let stood = match remaining {
            Some(remaining) => Amount::new(
                amount.minor().checked_add(remaining.minor())?,
                amount.currency(),
            )
            .ok()?,
            None => amount,
        };
        let callbacks = plan.callbacks.as_ref().filter(|_| !is_reversal);
        let callback_url = callbacks.and_then(|known| known.url_of(&plan.name, &our_id));
        Some(Self {
            is_reversal,
            our_uuid: OnceCell::new(),
            callback_url: callback_url.unwrap_or_default(),
            our_id,
            reversal_id,
            amount,
            remaining,
            account: Zeroizing::new(text(account)),
            stan,
            rrn: field(message, 37),
            terminal: field(message, 41),
            merchant: field(message, 42),
            merchant_category: field(message, 18),
            processing_code: field(message, 3),
            created_at: created.text,
            created: created.at,
            stood,
        })
    }

    /// [`Asked::our_id`] as a UUID; made of it, so that it is the same again.
    pub(super) fn our_uuid(&self) -> &str {
        self.our_uuid.get_or_init(|| uuid_of(&self.our_id))
    }

    /// How old the payment is.
    pub(super) fn age(&self, wall: WallTime) -> Duration {
        let millis = wall
            .unix_millis()
            .saturating_sub(self.created.unix_millis());
        Duration::from_millis(millis)
    }

    /// Whether it would leave something of the payment.
    pub(super) fn is_part(&self) -> bool {
        self.remaining
            .is_some_and(|remaining| remaining.minor() > 0)
    }

    /// What it says there; `None` of amounts, which are written in a form of their own, and of what
    /// it does not have.
    pub(super) fn text(&self, field: Field) -> Option<&str> {
        let text = match field {
            Field::OurId => &self.our_id,
            Field::OurUuid => self.our_uuid(),
            Field::ReversalId => &self.reversal_id,
            Field::Amount | Field::Remaining => return None,
            Field::Currency => self.amount.currency().alphabetic()?,
            Field::Account => &self.account,
            Field::Stan => &self.stan,
            Field::Rrn => &self.rrn,
            Field::Terminal => &self.terminal,
            Field::Merchant => &self.merchant,
            Field::MerchantCategory => &self.merchant_category,
            Field::ProcessingCode => &self.processing_code,
            Field::CreatedAt => &self.created_at,
            Field::CallbackUrl => &self.callback_url,
        };
        (!text.is_empty()).then_some(text)
    }
}

/// A UUID (RFC 9562) with the marks of version 4: whoever asks for one looks at those.
fn uuid_of(our_id: &str) -> String {
    let digest = Sha256::digest(format!("njia our_uuid 1/{our_id}"));
    let bytes: [u8; 32] = digest.into();
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .hyphenated()
        .to_string()
}

/// DE7 and DE11 of what a reversal takes back: within DE90.
fn original(message: MessageRef<'_>) -> Option<([u8; 10], [u8; 6])> {
    let named: [u8; 42] = message.array(90)?;
    let (stan, rest) = named.get(4..)?.split_first_chunk::<6>()?;
    Some((*rest.first_chunk::<10>()?, *stan))
}

/// What a reversal takes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taking {
    pub(crate) whole: Amount,
    /// What stood before it.
    pub(crate) before: Amount,
    /// What stays behind it; `None` for nothing.
    pub(crate) stays: Option<Amount>,
}

impl Taking {
    //= docs/rules.md#M-11
    /// DE4 and DE95 of the message by which an issuer over HTTP is asked: what stood, and what of
    /// it stays. One that takes back in full alone is told the whole, and what of that would stay.
    pub(crate) fn amounts(self, plan: &Plan) -> Option<(Amount, Option<Amount>)> {
        let reverse = plan.reverse.as_ref();
        if !reverse.is_some_and(|reverse| reverse.is_idempotent) {
            return Some((self.before, self.stays));
        }
        let taken = match self.stays {
            Some(stays) => self.before.checked_sub(stays)?,
            None => self.before,
        };
        let rest = self.whole.checked_sub(taken)?;
        Some((self.whole, (rest.minor() > 0).then_some(rest)))
    }
}

/// DE4; of a reversal what of it is taken back, and what stays: DE95 says that.
fn amounts(message: MessageRef<'_>, is_reversal: bool) -> Option<(Amount, Option<Amount>)> {
    let currency = translate::currency(message).ok()?;
    let digits: [u8; 12] = message.array(4)?;
    let amount = Amount::from_digits(&digits, currency).ok()?;
    if !is_reversal {
        return Some((amount, None));
    }
    let stays = match message.array::<42>(95) {
        Some(amounts) => Amount::from_digits(amounts.get(..12)?, currency).ok()?,
        None => Amount::new(0, currency).ok()?,
    };
    Some((amount.checked_sub(stays)?, Some(stays)))
}

/// A field of printable characters, without the spaces that pad it.
fn field(message: MessageRef<'_>, number: u8) -> String {
    let mut scratch = [0; 64];
    text(message.decode(number, &mut scratch).unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.trim_end().to_owned()
}

/// When a request was sent, with its year.
struct Moment {
    /// `YYYYMMDDhhmmss`.
    digits: String,
    /// RFC 3339.
    text: String,
    at: WallTime,
}

impl Moment {
    fn of(digits: &[u8; 10], wall: WallTime) -> Option<Self> {
        let time = TransmissionTime::from_digits(digits).ok()?;
        let at = time.resolve(wall)?;
        let civil = at.civil();
        let (year, month, day) = (civil.year, civil.month, civil.day);
        let (hour, minute, second) = (civil.hour, civil.minute, civil.second);
        Some(Self {
            at,
            digits: format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}"),
            text: format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"),
        })
    }
}

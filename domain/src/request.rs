//! What an acquirer asks for and what an issuer answers, free of any wire format.

use core::fmt;

use crate::amount::Amount;
use crate::bytes::Text;
use crate::ids::{
    AcquirerId, AuthorisationId, InstitutionId, IssuerId, LinkId, MerchantId, RouteId, Rrn, Slot,
    Stan, TerminalId,
};
use crate::message_reason::MessageReason;
use crate::pan::Account;
use crate::pan::PanToken;
use crate::profile::{ClockCheck, CompletionLimit, Profile, ReversalAnswer};
use crate::response_code::ResponseCode;
use crate::time::TransmissionTime;

/// What kind of money message it is (MTI, second digit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageClass {
    /// 1, authorisation: holds funds, posts nothing.
    Authorisation,
    /// 2, financial: posts.
    Financial,
}

/// Whether a money message asks or reports (MTI, third digit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// 0: it may be declined.
    Request,
    /// 0, of origin 2: it asks to complete what an earlier one has begun.
    Completion,
    /// 2: it has happened.
    Advice,
}

/// Whether the sender marks the message as sent before (MTI, fourth digit: odd).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transmission {
    /// Even origin digit.
    First,
    /// Odd origin digit.
    Repeat,
}

/// Keyed 128-bit hash of what makes a request itself: acquirer, MTI version, class and kind, DE7,
/// DE11, DE32, DE41, DE42, DE37 (semantics.md §4).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DuplicateKey(pub u128);

impl fmt::Debug for DuplicateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Keyed hash of what a copy must not change: account, DE3, DE4, DE49, DE12, DE13, DE22.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentHash(pub u64);

/// Keyed hash of (acquirer, DE11, DE41, DE42): where a request, its copies and its reversals meet
/// in the owner's table, whether or not the reversal knows the DE7 of its original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceKey(pub u64);

/// The shell's number of a received frame that waits for its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

/// What the acquirer's leg says of a request, as far as an answer, a match or a reversal needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// DE11.
    pub stan: Stan,
    /// DE7.
    pub transmitted: TransmissionTime,
    /// DE12 as `hhmmss`, six digits; empty when absent.
    pub local_time: Text<6>,
    /// DE13 as `MMDD`, four digits; empty when absent.
    pub local_date: Text<4>,
    /// DE37.
    pub rrn: Rrn,
    /// DE41.
    pub terminal: TerminalId,
    /// DE42.
    pub merchant: MerchantId,
    /// DE32.
    pub institution: InstitutionId,
}

impl Trace {
    /// When it was made where it was made, if DE12 and DE13 are both there and say so.
    #[must_use]
    pub fn local(&self) -> Option<TransmissionTime> {
        let (date, time) = (self.local_date.as_bytes(), self.local_time.as_bytes());
        let mut digits = [0; 10];
        let (date_part, time_part) = digits.split_at_mut_checked(4)?;
        if date.len() != date_part.len() || time.len() != time_part.len() {
            return None;
        }
        date_part.copy_from_slice(date);
        time_part.copy_from_slice(time);
        TransmissionTime::from_digits(&digits).ok()
    }
}

/// Everything about a request that outlives its frame. No sensitive authentication data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whose session it came on.
    pub acquirer: AcquirerId,
    /// Authorisation or financial.
    pub class: MessageClass,
    /// Where the transaction lives.
    pub slot: Slot,
    /// What a copy has in common with it.
    pub key: DuplicateKey,
    /// What a copy must not change.
    pub content: ContentHash,
    /// Where its copies and reversals look for it.
    pub trace_key: TraceKey,
    /// The account, masked and sealed.
    pub account: Account,
    /// DE4 in DE49.
    pub amount: Amount,
    /// DE3, six digits.
    pub processing_code: Text<6>,
    /// DE18, merchant category code, four digits; empty when absent.
    pub merchant_category: Text<4>,
    /// DE22, point of service entry mode, three digits; empty when absent.
    pub entry_mode: Text<3>,
    /// The acquirer's leg.
    pub trace: Trace,
}

/// Whether DE3 asks about an account and moves nothing: 3x, in either edition.
#[must_use]
pub const fn is_enquiry(processing_code: &[u8]) -> bool {
    matches!(processing_code, [b'3', ..])
}

/// An 0100, 0200 or 0202, or a copy of one.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The frame that the answer will echo.
    pub frame: FrameId,
    /// First sending or a repeat, as its MTI says.
    pub transmission: Transmission,
    /// What it says.
    pub facts: Facts,
    /// Whether it completes an earlier one.
    pub completion: Completion,
    /// What its session asks for.
    pub profile: Profile,
    /// What its DE7 has to be.
    pub clock: ClockCheck,
}

/// Whether a request completes an earlier one (MTI, origin digit 2), and how it names that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It stands for itself.
    No,
    /// It completes the one that its DE90 names.
    Named(NamedOriginal),
    /// It completes one, which its DE90 does not name: DE37, DE41 and DE42 do, if anything does.
    Unnamed,
}

/// An 0120 or 0220, or a copy of one: it reports what has happened.
#[derive(Clone, Copy, Debug)]
pub struct Advice<'a> {
    /// The frame that the acknowledgement will echo.
    pub frame: FrameId,
    /// First sending or a repeat, as its MTI says.
    pub transmission: Transmission,
    /// What it says.
    pub facts: Facts,
    /// The original that it completes.
    pub original: Option<NamedOriginal>,
    /// How much of its original its session lets it complete.
    pub limit: CompletionLimit,
    /// What its DE7 has to be.
    pub clock: ClockCheck,
    /// DE39: what was decided. `None` where it has none; then it was approved.
    pub reported: Option<ResponseCode>,
    /// Further fields to pass on, encoded as [`Answer::fields`].
    pub fields: &'a [u8],
}

/// An 0400 or 0420, or a copy of one.
#[derive(Clone, Copy, Debug)]
pub struct Reversal {
    /// The frame that the acknowledgement will echo.
    pub frame: FrameId,
    /// First sending or a repeat, as its MTI says.
    pub transmission: Transmission,
    /// Whose session it came on.
    pub acquirer: AcquirerId,
    /// Where the original lives: from the STAN in DE90, else from its own.
    pub slot: Slot,
    /// Where to look for the original: from the STAN in DE90, else from its own.
    pub trace_key: TraceKey,
    /// Names this reversal and its copies.
    pub key: DuplicateKey,
    /// What DE90 says of the original.
    pub original: OriginalReference,
    /// DE42, which is that of the original: a check. Empty when absent.
    pub merchant: MerchantId,
    /// The account, when DE2 or DE35 is present: a check.
    pub token: Option<PanToken>,
    /// DE4: the original amount.
    pub amount: Amount,
    /// DE95: the amount that was really completed. `None` reverses all of it.
    pub replacement: Option<Amount>,
    /// Why, where it says so.
    pub reason: Option<MessageReason>,
    /// What its session asks for.
    pub profile: Profile,
    /// When it is answered.
    pub answered: ReversalAnswer,
}

/// What a reversal says of its original (DE90, with DE37 beside it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalReference {
    /// The STAN of the original.
    pub stan: Stan,
    /// The class in the original MTI, when DE90 is as the layout says.
    pub class: Option<MessageClass>,
    /// The original's DE7, when DE90 carries it.
    pub transmitted: Option<TransmissionTime>,
    /// DE37 of the reversal, which is that of the original.
    pub rrn: Rrn,
}

/// An original that another message names, with where it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedOriginal {
    /// Where it lives.
    pub slot: Slot,
    /// Where it is looked for.
    pub trace_key: TraceKey,
    /// What DE90 says of it.
    pub reference: OriginalReference,
}

/// How the request travels to an issuer. Part of the intent, so that a reversal can name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuerLeg {
    /// The route that chose the issuer.
    pub route: RouteId,
    /// Which of the route's candidates it is, from 0; [`IssuerLeg::OF_ORIGINAL`] of a completion
    /// request, which goes to the issuer of what it completes and to no other.
    pub candidate: u8,
    /// Who is asked.
    pub issuer: IssuerId,
    /// Over which connection.
    pub link: LinkId,
    /// DE11 of this leg, out of the link's range.
    pub stan: Stan,
    /// DE7 of this leg.
    pub transmitted: TransmissionTime,
}

impl IssuerLeg {
    /// Instead of a candidate's position: a route has eight candidates at most.
    pub const OF_ORIGINAL: u8 = u8::MAX;

    /// Whether a completion request travels on it.
    #[must_use]
    pub const fn is_of_original(&self) -> bool {
        self.candidate == Self::OF_ORIGINAL
    }
}

/// What the issuer said, and what every copy of the request is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// DE39.
    pub code: ResponseCode,
    /// DE38; empty when absent.
    pub authorisation: AuthorisationId,
    /// DE4 of the answer, when it carries one.
    pub amount: Option<Amount>,
    /// Further fields to replay, encoded by the codec: for each, one byte field number, two bytes
    /// big-endian length, then the value. At most [`Answer::FIELDS_LEN_MAX`] bytes. Those of 1993
    /// begin with field 0, which says so; those of an advice then with field 1, its message reason.
    pub fields: &'a [u8],
}

impl Answer<'_> {
    /// Bound of [`Answer::fields`].
    pub const FIELDS_LEN_MAX: usize = 1024;
}

impl Answer<'static> {
    /// An answer made in the switch: a code and nothing else.
    #[must_use]
    pub const fn of(code: ResponseCode) -> Self {
        Self {
            code,
            authorisation: AuthorisationId::EMPTY,
            amount: None,
            fields: &[],
        }
    }
}

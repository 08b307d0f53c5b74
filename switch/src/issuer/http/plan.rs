//! What the configuration says of an issuer that speaks JSON over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::response_code::ResponseCode;
use iso8583::MessageRef;
use iso8583::mti::Class;
use zeroize::Zeroizing;

use super::access::AccessPlan;
use super::called::IssuerCallbacks;

/// How one issuer is asked, and how its answers are read.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The issuer's.
    pub(crate) name: String,
    /// Where it tells that something was decided; `None` where it does not.
    pub(crate) callbacks: Option<Arc<IssuerCallbacks>>,
    /// The `Host` header.
    pub(crate) host: String,
    /// In front of the path of each operation; empty or with a slash in front and none behind.
    pub(crate) base_path: String,
    /// What shows who asks, where it is always the same.
    pub(crate) auth: Option<SecretHeader>,
    /// The same, where it is a token that ends.
    pub(crate) access: Option<AccessPlan>,
    /// Of every operation, and of what asks for a token.
    pub(crate) secret_headers: Vec<SecretHeader>,
    /// Of every operation: name and value.
    pub(crate) headers: Vec<(String, String)>,
    /// First two digits of DE3 of what a submit does.
    pub(crate) processing: Vec<String>,
    /// Whether an 01xx is submitted as an 02xx is.
    pub(crate) authorisations: bool,
    pub(crate) submit: Operation,
    /// Of a submit.
    pub(crate) answer: AnswerMap,
    /// `None` where an answer that is not understood, or comes later, is never asked for.
    pub(crate) query: Option<Query>,
    /// `None` where the issuer takes nothing back.
    pub(crate) reverse: Option<Reverse>,
    pub(crate) amount_form: AmountForm,
    /// Statuses of a submit that prove that nothing was executed.
    pub(crate) not_executed: Vec<u16>,
    /// Whether 429 and 503 prove it too.
    pub(crate) busy_means_not_executed: bool,
    /// Statuses of a reversal by which there is nothing to take back.
    pub(crate) nothing_to_reverse: Vec<u16>,
    /// Of one link.
    pub(crate) connections_max: usize,
    /// The issuer closes a connection that is idle for longer.
    pub(crate) idle_max: Duration,
    /// From when a request is taken to the last byte of its answer, connecting included.
    pub(crate) answer_max: Duration,
}

impl Plan {
    /// Whether a request of this class is what a submit does.
    pub(super) fn serves(&self, class: Class, message: MessageRef<'_>) -> bool {
        let mut digits = [0; 6];
        let kind = message.decode(3, &mut digits).unwrap_or_default();
        let mut served = self.processing.iter();
        (class == Class::Financial || self.authorisations)
            && served.any(|served| kind.starts_with(served.as_bytes()))
    }
}

/// One operation of an issuer.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    /// With `{ourId}`, `{ourUuid}` and `{reversalId}`. Headers have `{callbackUrl}` too.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<(Pointer, Content)>,
}

/// How a reversal is sent, and how its answers are read.
#[derive(Debug)]
pub(crate) struct Reverse {
    pub(crate) operation: Operation,
    pub(crate) answer: AnswerMap,
    /// It takes a payment back in full, however often it is sent: it is never asked for a part.
    pub(crate) is_idempotent: bool,
}

/// How the state of a payment is asked for.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) operation: Operation,
    /// `None` where its answers are read as those of a submit.
    pub(crate) answer: Option<AnswerMap>,
    /// Pauses before the first questions.
    pub(crate) schedule: Vec<Duration>,
    /// A payment that is younger may be known to the issuer later.
    pub(crate) not_found_grace: Duration,
    /// Whether one that is older, and not known, was not executed.
    pub(crate) not_found_is_final: bool,
    /// Payments of one shard that are asked for at a time.
    pub(crate) pending_max: usize,
}

impl Query {
    /// How many of the first questions are over when a payment is of this age.
    pub(crate) fn asked_by(&self, age: Duration) -> usize {
        let mut at = Duration::ZERO;
        let over = self.schedule.iter().take_while(|pause| {
            at = at.saturating_add(**pause);
            at <= age
        });
        over.count()
    }

    /// How long to wait before question `number`, from 0, about a payment of this age.
    pub(crate) fn pause(&self, number: usize, age: Duration) -> Duration {
        let listed = self.schedule.get(number).copied();
        listed.unwrap_or(if age < POLL_OFTEN_FOR {
            POLL_OFTEN
        } else {
            POLL_SELDOM
        })
    }
}

const POLL_OFTEN: Duration = Duration::from_secs(10);
const POLL_OFTEN_FOR: Duration = Duration::from_secs(120);
const POLL_SELDOM: Duration = Duration::from_secs(60);

/// What stands at one place of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Field(Field),
    Constant(String),
}

/// What is known of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    OurId,
    ReversalId,
    Amount,
    /// Of a reversal: what stays of the payment behind it.
    Remaining,
    Currency,
    Account,
    Stan,
    Rrn,
    Terminal,
    Merchant,
    MerchantCategory,
    ProcessingCode,
    CreatedAt,
    /// The same payment as a UUID of version 4.
    OurUuid,
    /// Of a submit: where the issuer tells that something was decided.
    CallbackUrl,
}

impl Field {
    pub(crate) const ALL: [Self; 15] = [
        Self::OurId,
        Self::OurUuid,
        Self::ReversalId,
        Self::Amount,
        Self::Remaining,
        Self::Currency,
        Self::Account,
        Self::Stan,
        Self::Rrn,
        Self::Terminal,
        Self::Merchant,
        Self::MerchantCategory,
        Self::ProcessingCode,
        Self::CreatedAt,
        Self::CallbackUrl,
    ];

    /// As it is written in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OurId => "our_id",
            Self::OurUuid => "our_uuid",
            Self::ReversalId => "reversal_id",
            Self::Amount => "amount",
            Self::Remaining => "remaining",
            Self::Currency => "currency",
            Self::Account => "account",
            Self::Stan => "stan",
            Self::Rrn => "rrn",
            Self::Terminal => "terminal",
            Self::Merchant => "merchant",
            Self::MerchantCategory => "merchant_category",
            Self::ProcessingCode => "processing_code",
            Self::CreatedAt => "created_at",
            Self::CallbackUrl => "callback_url",
        }
    }
}

/// Where what stands in an answer.
#[derive(Debug)]
pub(crate) struct AnswerMap {
    pub(crate) status: Pointer,
    /// What the texts there mean.
    pub(crate) statuses: Vec<(String, Status)>,
    /// These must be as they were sent.
    pub(crate) our_id: Option<Pointer>,
    /// Of a reversal alone.
    pub(crate) reversal_id: Option<Pointer>,
    pub(crate) amount: Option<Pointer>,
    pub(crate) currency: Option<Pointer>,
    /// DE38.
    pub(crate) authorisation: Option<Pointer>,
    /// Why it was declined.
    pub(crate) reason: Option<Pointer>,
    /// DE39 of the texts there; of any other 05.
    pub(crate) reasons: Vec<(String, ResponseCode)>,
}

/// What a status in an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Approved; of a reversal, taken back.
    Done,
    Declined,
    /// Not decided yet.
    Pending,
    /// Of a query: it was executed, and something of it taken back.
    TakenBack,
}

/// How amounts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AmountForm {
    /// A whole number of minor units.
    Minor,
    /// A string with as many decimals as the currency has.
    Decimal,
}

/// A JSON pointer (RFC 6901) to something within a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads `/a/b`, with `~0` for a tilde and `~1` for a slash in a name.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let names: Option<Vec<String>> = rest.split('/').map(name_of).collect();
        let names = names?;
        let fits = names.len() <= Self::DEPTH_MAX && names.iter().all(|name| !name.is_empty());
        fits.then_some(Self(names))
    }

    /// From the outside to the inside; at least one.
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether one of both would stand within the other.
    pub(crate) fn clashes_with(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, two)| one == two)
    }

    const DEPTH_MAX: usize = 8;
}

fn name_of(part: &str) -> Option<String> {
    let mut name = String::with_capacity(part.len());
    let mut letters = part.chars();
    while let Some(letter) = letters.next() {
        name.push(match letter {
            '~' => match letters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(name)
}

/// A header whose value is secret. Shows nothing of it; zeroed when dropped; not `Clone`.
pub(crate) struct SecretHeader {
    pub(crate) name: String,
    value: Zeroizing<String>,
}

impl SecretHeader {
    /// `None` of a value that could end the header.
    pub(crate) fn new(name: &str, value: Zeroizing<String>) -> Option<Self> {
        let is_clean = value.bytes().all(|byte| matches!(byte, 0x20..=0x7E));
        is_clean.then(|| Self {
            name: name.to_owned(),
            value,
        })
    }

    /// For the request that carries it.
    pub(crate) fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHeader({}, set)", self.name)
    }
}

/// Base 64 with padding (RFC 4648), as basic authentication has it.
pub(crate) fn base64(bytes: &[u8]) -> Zeroizing<String> {
    // Of its whole length at once: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    for part in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| {
            bits << 8 | u32::from(part.get(at).copied().unwrap_or(0))
        });
        for at in 0..4_usize {
            let digit = (bits >> (18 - 6 * at) & 63) as usize;
            let is_pad = at > part.len();
            let letter = BASE64.get(digit).copied().unwrap_or(b'=');
            text.push(char::from(if is_pad { b'=' } else { letter }));
        }
    }
    text
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_what_stands_within() {
        let names = |text: &str| Pointer::read(text).map(|pointer| pointer.names().join(" "));
        assert_eq!(names("/a/b"), Some("a b".to_owned()));
        assert_eq!(names("/a~1b/~0"), Some("a/b ~".to_owned()));
        for bad in ["", "a", "/", "/a//b", "/a~2", "/~", "/a/b/c/d/e/f/g/h/i"] {
            assert_eq!(names(bad), None, "{bad}");
        }
        let pointer = |text| Pointer::read(text).unwrap();
        assert!(pointer("/a").clashes_with(&pointer("/a/b")));
        assert!(pointer("/a/b").clashes_with(&pointer("/a/b")));
        assert!(!pointer("/a/b").clashes_with(&pointer("/a/c")));
    }

    /// The vectors of RFC 4648, and the one of RFC 7617.
    #[test]
    fn base_64_is_padded() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            assert_eq!(*base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_secret_is_not_shown_and_ends_no_header() {
        let header = |value: &str| SecretHeader::new("X-Key", Zeroizing::new(value.to_owned()));
        let shown = format!("{:?}", header("hidden-1").unwrap());
        assert!(!shown.contains("hidden-1"), "{shown}");
        assert!(header("a\r\nX-Other: b").is_none());
    }
}

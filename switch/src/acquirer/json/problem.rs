//! Errors as RFC 9457 has them, with the members of GSMA's error object beside: one closed set.
//! No text of a request is ever in one: it may be an account.

use domain::ids::TransactionId;
use domain::time::WallTime;
use serde::Serialize;
use utoipa::PartialSchema;
use utoipa::openapi::{RefOr, Schema};

use super::openapi::schemas;
use crate::metrics::GatewayRefusal;

/// What is wrong. Each is the last part of the `type` of its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slug {
    Malformed,
    IdempotencyKeyMissing,
    InvalidField,
    Unauthenticated,
    NotPermitted,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    LengthRequired,
    TooLarge,
    TargetTooLong,
    UnsupportedMediaType,
    ExpectationFailed,
    IdempotencyKeyReused,
    CurrencyNotSupported,
    InProgress,
    StateConflict,
    StaleRequest,
    HeadTooLarge,
    RateLimited,
    VersionNotSupported,
    Overloaded,
    Draining,
}

/// How GSMA's error object names a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ErrorCode {
    FormatError,
    LengthError,
    MandatoryValueNotSupplied,
    SamePartiesError,
    ClientAuthorisationError,
    RequestingPartyAuthorisationError,
    IdentifierError,
    DuplicateRequest,
    IncorrectState,
    CurrencyNotSupported,
    RateLimitError,
    GenericError,
    GreaterThanTransactionMaxValue,
    LessThanTransactionMinValue,
}

/// What one slug always says.
pub(super) struct Facts {
    slug: &'static str,
    status: u16,
    pub(super) title: &'static str,
    pub(super) category: &'static str,
    pub(super) code: ErrorCode,
    retryable: bool,
}

impl Slug {
    /// All of them.
    pub(crate) const ALL: [Self; 23] = [
        Self::Malformed,
        Self::IdempotencyKeyMissing,
        Self::InvalidField,
        Self::Unauthenticated,
        Self::NotPermitted,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::LengthRequired,
        Self::TooLarge,
        Self::TargetTooLong,
        Self::UnsupportedMediaType,
        Self::ExpectationFailed,
        Self::IdempotencyKeyReused,
        Self::CurrencyNotSupported,
        Self::InProgress,
        Self::StateConflict,
        Self::StaleRequest,
        Self::HeadTooLarge,
        Self::RateLimited,
        Self::VersionNotSupported,
        Self::Overloaded,
        Self::Draining,
    ];

    /// The last part of its `type`.
    pub(crate) const fn name(self) -> &'static str {
        self.facts().slug
    }

    /// The status of its answer.
    pub(crate) const fn status(self) -> u16 {
        self.facts().status
    }

    /// The one text that stands for all of its kind.
    pub(crate) const fn title(self) -> &'static str {
        self.facts().title
    }

    /// Seconds until it is worth the while to ask again; `None` where asking again is of no use.
    pub(crate) const fn retry_after_s(self) -> Option<u8> {
        if self.facts().retryable {
            Some(1)
        } else {
            None
        }
    }

    pub(super) const fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }
}

/// In the order of [`Slug::ALL`].
#[rustfmt::skip]
const FACTS: [Facts; 23] = {
    use ErrorCode as Code;
    [
        fault("malformed", 400, "Malformed request",
            VALIDATION, Code::FormatError),
        fault("idempotency-key-missing", 400, "Idempotency key missing or not usable",
            VALIDATION, Code::MandatoryValueNotSupplied),
        fault("invalid-field", 400, "Fields that cannot be used",
            VALIDATION, Code::FormatError),
        fault("unauthenticated", 401, "Credential missing or not known",
            "authorisation", Code::ClientAuthorisationError),
        fault("not-permitted", 403, "Not permitted to this gateway",
            "authorisation", Code::RequestingPartyAuthorisationError),
        fault("not-found", 404, "Not found",
            "identification", Code::IdentifierError),
        fault("method-not-allowed", 405, "Method not served here",
            VALIDATION, Code::FormatError),
        fault("request-timeout", 408, "Request too slow",
            VALIDATION, Code::FormatError),
        fault("length-required", 411, "Length required",
            VALIDATION, Code::FormatError),
        fault("too-large", 413, "Body too large",
            VALIDATION, Code::LengthError),
        fault("target-too-long", 414, "Request target too long",
            VALIDATION, Code::LengthError),
        fault("unsupported-media-type", 415, "Only application/json without an encoding is taken",
            VALIDATION, Code::FormatError),
        fault("expectation-failed", 417, "No expectation is met",
            VALIDATION, Code::FormatError),
        fault("idempotency-key-reused", 422, "Idempotency key reused with a different body",
            BUSINESS, Code::DuplicateRequest),
        fault("currency-not-supported", 422, "Currency not supported",
            VALIDATION, Code::CurrencyNotSupported),
        retryable("in-progress", 409, "Not durable yet",
            BUSINESS, Code::DuplicateRequest),
        fault("state-conflict", 409, "Does not go with where the transaction stands",
            BUSINESS, Code::IncorrectState),
        fault("stale-request", 400, "Sent too long ago, or its clock is wrong",
            VALIDATION, Code::FormatError),
        fault("head-too-large", 431, "Header fields too large",
            VALIDATION, Code::LengthError),
        retryable("rate-limited", 429, "Too many requests",
            BUSINESS, Code::RateLimitError),
        fault("version-not-supported", 505, "Only HTTP/1.0 and HTTP/1.1 are spoken",
            VALIDATION, Code::FormatError),
        retryable("overloaded", 503, "No room at present",
            UNAVAILABLE, Code::GenericError),
        retryable("draining", 503, "Shutting down",
            UNAVAILABLE, Code::GenericError),
    ]
};

/// What is to be corrected.
const fn fault(
    slug: &'static str,
    status: u16,
    title: &'static str,
    category: &'static str,
    code: ErrorCode,
) -> Facts {
    Facts {
        slug,
        status,
        title,
        category,
        code,
        retryable: false,
    }
}

/// What may be sent again with the same key.
const fn retryable(
    slug: &'static str,
    status: u16,
    title: &'static str,
    category: &'static str,
    code: ErrorCode,
) -> Facts {
    Facts {
        retryable: true,
        ..fault(slug, status, title, category, code)
    }
}

const VALIDATION: &str = "validation";
const BUSINESS: &str = "businessRule";
const UNAVAILABLE: &str = "serviceUnavailable";

/// One field that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldError {
    /// RFC 6901, made of names of this API and positions alone.
    pub(crate) pointer: String,
    /// What it must be.
    pub(crate) detail: &'static str,
    /// How GSMA names that.
    pub(crate) error_code: ErrorCode,
}

/// One error document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) slug: Slug,
    /// What is special about this one.
    pub(crate) detail: Option<&'static str>,
    pub(crate) errors: Vec<FieldError>,
    /// The transaction that it is about.
    pub(crate) instance: Option<TransactionId>,
    /// Seconds until it is worth the while, where that is not what its slug says.
    pub(crate) retry_after_s: Option<u64>,
    /// The methods that are served, where another one was used: in the head of the answer.
    pub(crate) allow: Option<&'static str>,
    /// What was refused to whom: for the audit log, and never told.
    pub(crate) refusal: Option<GatewayRefusal>,
}

impl Problem {
    /// One that says no more than its slug.
    pub(crate) const fn of(slug: Slug) -> Self {
        Self {
            slug,
            detail: None,
            errors: Vec::new(),
            instance: None,
            retry_after_s: None,
            allow: None,
            refusal: None,
        }
    }

    /// One with a sentence of its own.
    pub(crate) fn with(slug: Slug, detail: &'static str) -> Self {
        Self {
            detail: Some(detail),
            ..Self::of(slug)
        }
    }

    /// All fields that cannot be used, in one document.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..Self::of(Slug::InvalidField)
        }
    }

    /// What [`Problem::to_json`] writes.
    pub(super) fn schema() -> RefOr<Schema> {
        <Document<'_> as PartialSchema>::schema()
    }

    /// The document.
    pub(crate) fn to_json(&self, now: WallTime) -> Vec<u8> {
        let facts = self.slug.facts();
        let first = self.errors.first();
        let document = Document {
            kind: format!("/problems/{}", facts.slug),
            title: facts.title,
            status: facts.status,
            detail: self.detail,
            instance: self.instance.map(|id| format!("/v1/transactions/{id}")),
            retryable: facts.retryable,
            error_category: facts.category,
            error_code: first.map_or(facts.code, |first| first.error_code),
            error_date_time: now.to_string(),
            errors: &self.errors,
        };
        // Strings and integers alone: there is nothing that could not be written.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "type")]
    #[schema(schema_with = schemas::problem_type)]
    kind: String,
    title: &'static str,
    #[schema(schema_with = schemas::error_status)]
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    retryable: bool,
    error_category: &'static str,
    error_code: ErrorCode,
    #[schema(schema_with = schemas::time)]
    error_date_time: String,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_members_of_both_standards() {
        let mut problem = Problem::with(Slug::IdempotencyKeyReused, "another body");
        problem.instance = Some(TransactionId(0x01a1_fae5_9c1c_7b1a_8f00_0a00_0000_0421));
        let text = problem.to_json(WallTime::from_unix_millis(1_795_297_141_000));
        let expected = concat!(
            r#"{"type":"/problems/idempotency-key-reused","#,
            r#""title":"Idempotency key reused with a different body","status":422,"#,
            r#""detail":"another body","#,
            r#""instance":"/v1/transactions/01a1fae5-9c1c-7b1a-8f00-0a0000000421","#,
            r#""retryable":false,"errorCategory":"businessRule","#,
            r#""errorCode":"duplicateRequest","errorDateTime":"2026-11-21T21:39:01.000Z"}"#,
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn each_slug_has_one_name_and_one_status_of_an_error() {
        for (place, slug) in Slug::ALL.into_iter().enumerate() {
            assert_eq!(slug as usize, place, "the table is in this order");
            assert!((400..600).contains(&slug.status()), "{}", slug.name());
            let before = &Slug::ALL[..place];
            assert!(before.iter().all(|other| other.name() != slug.name()));
            let unavailable = slug.status() == 503 || slug.status() == 429;
            assert!(!unavailable || slug.retry_after_s().is_some());
        }
    }
}

//! What is an endpoint's own: response codes that mean something else there, the codes that
//! approve, and exponents of currencies.

use std::sync::Arc;

use domain::ResponseCode;
use domain::code_map::{ApprovalRange, CodeMap, CodeMapError, CodePair};
use domain::currency::{Currency, Exponents};
use domain::result_code::CodeEdition;
use iso8583::Dialect;

use super::endpoints::currency;
use super::section::Section;

/// `code_map` and `approval_codes` of an endpoint of that dialect.
pub(super) fn codes(section: &Section<'_>, dialect: &Dialect) -> Arc<CodeMap> {
    let edition = dialect.version().code_edition();
    let pairs = section.list("code_map", |text| pair(text, edition));
    let approvals = section.list("approval_codes", |text| approvals(text, edition));
    let map = CodeMap::new(pairs, approvals).unwrap_or_else(|error| {
        section.fault_at("code_map", told(error));
        CodeMap::STANDARD
    });
    Arc::new(map)
}

fn told(error: CodeMapError) -> String {
    match error {
        CodeMapError::Approval(CodePair { endpoint, internal }) => format!(
            "`code_map` makes {internal} of {endpoint}: a decline never becomes an approval, nor \
             an approval a decline; `approval_codes` says which codes approve"
        ),
        CodeMapError::PickUp(CodePair { endpoint, internal }) => format!(
            "`code_map` makes {internal} of {endpoint}: only one of them says to keep the card"
        ),
        CodeMapError::Administrative(CodePair { endpoint, internal }) => format!(
            "`code_map` makes {internal} of {endpoint}: a code that acknowledges has no other \
             meaning"
        ),
        CodeMapError::Twice(code) => format!("`code_map` says twice what {code} means"),
    }
}

/// `N7=55`: a code of the endpoint, and what it means.
fn pair(text: &str, edition: CodeEdition) -> Result<CodePair, String> {
    let wanted = || {
        let example = match edition {
            CodeEdition::An2 => "N7=55",
            CodeEdition::N3 => "180=55",
            CodeEdition::N4 => "1880=55",
        };
        format!("takes a code of the endpoint and one of 1987 or 1993, as \"{example}\"")
    };
    let (endpoint, internal) = text.split_once('=').ok_or_else(wanted)?;
    let endpoint = code(endpoint, edition).ok_or_else(wanted)?;
    let internal = ResponseCode::read(internal.trim().as_bytes());
    let internal = internal.map_err(|_| wanted())?.internal();
    // What came in is the endpoint's, not what was written here.
    let internal = ResponseCode::from_stored(*internal.as_bytes()).map_err(|_| wanted())?;
    Ok(CodePair { endpoint, internal })
}

/// `00`, or `000-099`.
fn approvals(text: &str, edition: CodeEdition) -> Result<ApprovalRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (code(first, edition), code(last, edition)) {
        (Some(first), Some(last)) if first.as_bytes() <= last.as_bytes() => {
            Ok(ApprovalRange { first, last })
        }
        _ => Err("takes codes of the endpoint, as \"00\" or \"000-099\"".to_owned()),
    }
}

fn code(text: &str, edition: CodeEdition) -> Option<ResponseCode> {
    let code = ResponseCode::read(text.trim().as_bytes()).ok()?;
    (code.edition() == edition).then_some(code)
}

/// `exponent_override` of an endpoint.
pub(super) fn exponents(section: &Section<'_>) -> Arc<Exponents> {
    let overrides = section.list("exponent_override", exponent);
    for (place, (currency, _)) in overrides.iter().enumerate() {
        let mut before = overrides.iter().take(place);
        if before.any(|(other, _)| other == currency) {
            let text = format!("`exponent_override` names {currency} twice");
            section.fault_at("exponent_override", text);
        }
    }
    Arc::new(Exponents::new(overrides))
}

/// `UGX=2`.
fn exponent(text: &str) -> Result<(Currency, u8), String> {
    let wanted = || "takes a currency and its decimal places, 0 to 4, as \"UGX=2\"".to_owned();
    let (name, places) = text.split_once('=').ok_or_else(wanted)?;
    let places: u8 = places.trim().parse().map_err(|_| wanted())?;
    if places > Exponents::MAX {
        return Err(wanted());
    }
    Ok((currency(name.trim())?, places))
}

/// What a session is told when its issuer did not answer in time (semantics.md R1): the internal
/// code.
pub(super) fn timeout_answer(listener: &Section<'_>) -> ResponseCode {
    let answer = listener.parsed("timeout_answer", |text| match text {
        "91" => Ok(ResponseCode::ISSUER_TIMED_OUT),
        "68" => Ok(ResponseCode::RECEIVED_TOO_LATE),
        _ => Err("takes \"91\" or \"68\"".to_owned()),
    });
    answer.unwrap_or(ResponseCode::ISSUER_TIMED_OUT)
}

//! Bounds of single fields, as the readers hold them, and what holds of every schema.

use domain::amount::Amount;
use domain::currency::Currency;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaFormat};
use utoipa::openapi::schema::{KnownFormat, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use super::super::reversal::REASONS;
use super::super::{AccountNumbers, Kind, PartyKey};

/// What is to be moved.
#[derive(ToSchema)]
#[schema(as = AskedAmount)]
#[expect(dead_code, reason = "its fields are read for the schema alone")]
pub(in crate::acquirer::json) struct AskedAmount {
    /// Minor units: digits of DE4.
    #[schema(schema_with = minor)]
    minor: u64,
    /// ISO 4217.
    #[schema(schema_with = currency)]
    currency: String,
}

/// Whether the switch takes work.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "its fields are read for the schema alone")]
pub(super) struct Heartbeat {
    #[schema(schema_with = service_status)]
    service_status: String,
}

fn service_status() -> Schema {
    words(["available", "unavailable"])
}

fn minor() -> Schema {
    let whole = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    whole
        .minimum(Some(1_u64))
        .maximum(Some(Amount::MINOR_MAX))
        .into()
}

fn currency() -> Schema {
    let all = (1..=999).filter_map(|code| Currency::new(code).ok()?.alphabetic());
    words(all)
}

/// The types that are served.
pub(in crate::acquirer::json) fn served_kind() -> Schema {
    let served = Kind::ALL.into_iter().filter(|kind| kind.is_served());
    words(served.map(Kind::name))
}

/// All types, as they are told.
pub(in crate::acquirer::json) fn kind() -> Schema {
    words(Kind::ALL.map(Kind::name))
}

pub(in crate::acquirer::json) fn party_key() -> Schema {
    words(PartyKey::ALL.map(PartyKey::name))
}

pub(in crate::acquirer::json) fn parties() -> Schema {
    let names = ArrayBuilder::new().items(RefOr::<Schema>::Ref(Ref::from_schema_name("Party")));
    names.min_items(Some(1)).max_items(Some(3)).into()
}

pub(in crate::acquirer::json) fn reference() -> Schema {
    printable(64)
}

pub(in crate::acquirer::json) fn description() -> Schema {
    printable(160)
}

pub(in crate::acquirer::json) fn channel() -> Schema {
    let word = text().pattern(Some("^[a-z0-9_-]{1,32}$"));
    word.min_length(Some(1)).max_length(Some(32)).into()
}

pub(in crate::acquirer::json) fn time() -> Schema {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    text().format(Some(format)).into()
}

pub(in crate::acquirer::json) fn id() -> Schema {
    let format = SchemaFormat::Custom("uuid".to_owned());
    text().format(Some(format)).into()
}

pub(in crate::acquirer::json) fn metadata() -> Schema {
    let value = text().max_length(Some(128)).pattern(Some(NO_CONTROL));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(printable(32)))
        .additional_properties(Some(AdditionalProperties::<Schema>::RefOr(RefOr::T(
            value.into(),
        ))))
        .max_properties(Some(16))
        .into()
}

pub(in crate::acquirer::json) fn reason() -> Schema {
    words(REASONS.map(|(name, _)| name))
}

pub(in crate::acquirer::json) fn reversal_kind() -> Schema {
    words(["reversal"])
}

pub(in crate::acquirer::json) fn pending_reason() -> Schema {
    words(["awaitingIssuer", "awaitingPayer"])
}

pub(in crate::acquirer::json) fn notification_method() -> Schema {
    words(["polling", "callback"])
}

/// Digits of an amount with the point where its currency has it.
pub(in crate::acquirer::json) fn decimal() -> Schema {
    text()
        .pattern(Some("^(0|[1-9][0-9]*)([.][0-9]{1,4})?$"))
        .into()
}

/// A slug of [`super::Slug`], as its document's `type` has it.
pub(in crate::acquirer::json) fn problem_type() -> Schema {
    let all = super::Slug::ALL.map(|slug| format!("/problems/{}", slug.name()));
    words(all)
}

pub(in crate::acquirer::json) fn error_status() -> Schema {
    let whole = ObjectBuilder::new().schema_type(Type::Integer);
    whole.minimum(Some(400)).maximum(Some(599)).into()
}

pub(super) fn slug() -> Schema {
    words(super::Slug::ALL.map(super::Slug::name))
}

/// RFC 8941's string or the bare key; what lies between is the key.
pub(super) fn key() -> Schema {
    let pattern = r##"^(?:[!#-\[\]-~]{1,64}|"[!#-\[\]-~]{1,64}")$"##;
    text().pattern(Some(pattern)).into()
}

pub(super) fn bare_key() -> Schema {
    text().pattern(Some(r"^[!#-\[\]-~]{1,64}$")).into()
}

pub(super) fn whole(minimum: u64) -> Schema {
    let whole = ObjectBuilder::new().schema_type(Type::Integer);
    whole.minimum(Some(minimum)).into()
}

pub(super) fn words<W: Into<Value>>(all: impl IntoIterator<Item = W>) -> Schema {
    text().enum_values(Some(all)).into()
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn printable(max: usize) -> Schema {
    let text = text().min_length(Some(1)).max_length(Some(max));
    text.pattern(Some(NO_CONTROL)).into()
}

/// `char::is_control`.
const NO_CONTROL: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// What no derive says: bodies are closed, no null is ever taken or told, and a side is named by
/// kinds that each have a form of their own.
pub(super) fn finish(document: &mut Value, account_numbers: AccountNumbers) {
    without_null(document);
    let schemas = &mut document["components"]["schemas"];
    for name in ["Create", "AskedAmount", "Party", "Reverse"] {
        schemas[name]["additionalProperties"] = false.into();
    }
    let is_taken = |key: &str| key != "pan" || account_numbers == AccountNumbers::Allowed;
    let keys: Vec<&str> = PartyKey::ALL
        .map(PartyKey::name)
        .into_iter()
        .filter(|key| is_taken(key))
        .collect();
    let forms = PARTY_FORMS
        .iter()
        .filter(|(keys, _)| keys.iter().all(|key| is_taken(key)));
    let forms = forms.map(|(keys, pattern)| {
        let value = json!({ "pattern": pattern });
        json!({ "properties": { "key": { "enum": keys }, "value": value } })
    });
    schemas["Party"]["oneOf"] = forms.collect();
    schemas["Party"]["properties"]["key"]["enum"] = keys.clone().into();
    for side in ["debitParty", "creditParty"] {
        let once = keys
            .iter()
            .map(|key| json!({ "contains": is_of(&[key]), "minContains": 0, "maxContains": 1 }));
        schemas["Create"]["properties"][side]["allOf"] = once.collect();
    }
    // The account is the first of a side in the order of `PartyKey` and has 8 to 19 digits; see
    // `handler::account`.
    let debit = &mut schemas["Create"]["properties"]["debitParty"];
    debit["contains"] = is_of(&["pan", "msisdn"]);
    debit["contains"]["properties"]["value"] = json!({ "pattern": "^[+]?[0-9]{8,19}$" });
    debit["anyOf"] = json!([
        { "contains": is_of(&["pan"]) },
        { "not": { "contains": is_of(&["accountid", "walletid"]) } },
    ]);
}

fn is_of(keys: &[&str]) -> Value {
    json!({ "properties": { "key": { "enum": keys } } })
}

/// As `PartyKey::value` reads them.
const PARTY_FORMS: [(&[&str], &str); 4] = [
    (&["pan"], "^[0-9]{8,19}$"),
    (&["msisdn"], "^[+][1-9][0-9]{6,14}$"),
    (
        &["iban"],
        "^ *[A-Za-z] *[A-Za-z] *[0-9] *[0-9]( *[A-Za-z0-9]){11,30} *$",
    ),
    (
        &[
            "accountid",
            "walletid",
            "bankaccountno",
            "organisationid",
            "consumerno",
            "serviceprovider",
            "storeid",
            "identityalias",
        ],
        "^[!-~]{1,64}$",
    ),
];

fn without_null(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(parts)) = members.get_mut("oneOf") {
                parts.retain(|part| part["type"] != "null");
                if let [Value::Object(only)] = parts.as_slice() {
                    let only = only.clone();
                    members.remove("oneOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

//! What gateways are served, as OpenAPI 3.1: schemas from the types that are written, statuses from
//! [`Slug`], and a table of what is asked. Nothing of it is kept in a file.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    Content, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr, Required,
    ResponseBuilder, Schema,
};

use super::problem::{ErrorCode, FieldError, Problem, Slug};
use super::{Kind, PartyKey, State, Transaction};

/// The body of a new transaction, as [`super::create`] reads it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "its fields are read for the schema alone")]
struct Create {
    #[schema(rename = "type")]
    kind: Kind,
    amount: Asked,
    #[schema(min_items = 1, max_items = 3)]
    debit_party: Vec<Named>,
    #[schema(min_items = 1, max_items = 3)]
    credit_party: Vec<Named>,
    #[schema(min_length = 1, max_length = 64)]
    reference: String,
    #[schema(min_length = 1, max_length = 160, nullable = false)]
    description: Option<String>,
    #[schema(min_length = 1, max_length = 32, pattern = "^[a-z0-9_-]+$", nullable = false)]
    channel: Option<String>,
    #[schema(format = DateTime, nullable = false)]
    requested_at: Option<String>,
    #[schema(nullable = false)]
    metadata: Option<BTreeMap<String, String>>,
}

/// What is to be moved.
#[derive(ToSchema)]
#[schema(as = AskedAmount)]
#[expect(dead_code, reason = "its fields are read for the schema alone")]
struct Asked {
    #[schema(minimum = 1, maximum = 999_999_999_999_u64)]
    minor: u64,
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// One name of a party.
#[derive(ToSchema)]
#[schema(as = Party)]
#[expect(dead_code, reason = "its fields are read for the schema alone")]
struct Named {
    key: PartyKey,
    #[schema(min_length = 1, max_length = 64)]
    value: String,
}

/// Whether the switch takes work.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "its fields are read for the schema alone")]
struct Heartbeat {
    service_status: String,
}

/// What one path is asked, and what it answers.
struct Served {
    method: HttpMethod,
    path: &'static str,
    name: &'static str,
    says: &'static str,
    /// Statuses that are no problem, and the schema of their body; none for a text.
    answers: &'static [(u16, Option<&'static str>)],
    problems: &'static [Slug],
}

/// What a head may get, whatever it asks for.
const OF_A_HEAD: [Slug; 7] = [
    Slug::Malformed,
    Slug::MethodNotAllowed,
    Slug::RequestTimeout,
    Slug::TargetTooLong,
    Slug::ExpectationFailed,
    Slug::HeadTooLarge,
    Slug::VersionNotSupported,
];

const SERVED: [Served; 6] = [
    Served {
        method: HttpMethod::Post,
        path: "/v1/transactions",
        name: "createTransaction",
        says: "A new transaction, once per idempotency key. A key is known for the window of \
               duplicates of the switch after its transaction was admitted, 600 s where nothing \
               else is configured.",
        answers: &[(201, Some("Transaction")), (202, Some("Transaction"))],
        problems: &[
            Slug::IdempotencyKeyMissing,
            Slug::InvalidField,
            Slug::Unauthenticated,
            Slug::NotPermitted,
            Slug::InProgress,
            Slug::LengthRequired,
            Slug::TooLarge,
            Slug::UnsupportedMediaType,
            Slug::IdempotencyKeyReused,
            Slug::CurrencyNotSupported,
            Slug::RateLimited,
            Slug::Overloaded,
            Slug::Draining,
        ],
    },
    Served {
        method: HttpMethod::Get,
        path: "/v1/transactions",
        name: "findTransaction",
        says: "The transaction of a key.",
        answers: &[(200, Some("Transaction"))],
        problems: OF_A_READ,
    },
    Served {
        method: HttpMethod::Get,
        path: "/v1/transactions/{id}",
        name: "readTransaction",
        says: "A transaction; with `Prefer: wait=n` once it is decided.",
        answers: &[(200, Some("Transaction"))],
        problems: OF_A_READ,
    },
    Served {
        method: HttpMethod::Get,
        path: "/v1/heartbeat",
        name: "heartbeat",
        says: "Whether the switch takes work.",
        answers: &[(200, Some("Heartbeat")), (503, Some("Heartbeat"))],
        problems: &[Slug::Unauthenticated],
    },
    Served {
        method: HttpMethod::Get,
        path: "/problems/{slug}",
        name: "aboutProblem",
        says: "What an error means.",
        answers: &[(200, None)],
        problems: &[Slug::Unauthenticated, Slug::NotFound],
    },
    Served {
        method: HttpMethod::Get,
        path: "/openapi.json",
        name: "openapi",
        says: "This document.",
        answers: &[(200, Some("Document"))],
        problems: &[Slug::Unauthenticated],
    },
];

const OF_A_READ: &[Slug] = &[
    Slug::Unauthenticated,
    Slug::NotFound,
    Slug::InProgress,
    Slug::RateLimited,
    Slug::Overloaded,
];

/// The document.
pub(crate) fn document() -> Vec<u8> {
    let components = ComponentsBuilder::new()
        .schema_from::<Kind>()
        .schema_from::<PartyKey>()
        .schema_from::<State>()
        .schema_from::<ErrorCode>()
        .schema_from::<FieldError>()
        .schema_from::<Asked>()
        .schema_from::<Named>()
        .schema_from::<Create>()
        .schema_from::<Heartbeat>()
        .schema("Document", ObjectBuilder::new())
        .schema("Transaction", Transaction::schema())
        .schema("Problem", Problem::schema());
    let components = Transaction::parts().into_iter().fold(components, |all, (name, part)| all.schema(name, part));
    let paths = SERVED.iter().fold(PathsBuilder::new(), |paths, served| {
        let item = PathItem::new(served.method.clone(), operation(served));
        paths.path(served.path, item)
    });
    let info = InfoBuilder::new()
        .title("njia")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("JSON over HTTP for gateways. A decline is no error of HTTP."));
    let document = OpenApiBuilder::new()
        .info(info.build())
        .paths(paths.build())
        .components(Some(components.build()))
        .build();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    // An unknown field of a body is refused.
    for name in ["Create", "AskedAmount", "Party"] {
        if let Some(schema) = document.pointer_mut(&format!("/components/schemas/{name}")) {
            schema["additionalProperties"] = false.into();
        }
    }
    serde_json::to_vec(&document).unwrap_or_default()
}

fn operation(served: &Served) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(served.name))
        .description(Some(served.says));
    for parameter in parameters(served) {
        operation = operation.parameter(parameter);
    }
    if served.method == HttpMethod::Post {
        let body = RequestBodyBuilder::new()
            .content("application/json", content("Create"))
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let mut answers: BTreeMap<u16, ResponseBuilder> = BTreeMap::new();
    for slug in served.problems.iter().chain(&OF_A_HEAD) {
        let answer = ResponseBuilder::new()
            .description(slug.title())
            .content("application/problem+json", content("Problem"));
        answers.entry(slug.status()).or_insert(answer);
    }
    for (status, schema) in served.answers {
        let answer = ResponseBuilder::new().description(served.says);
        let answer = match schema {
            Some(name) => answer.content("application/json", content(name)),
            None => {
                let text: Schema = ObjectBuilder::new().schema_type(Type::String).into();
                answer.content("text/plain", Content::new(Some(text)))
            }
        };
        answers.insert(*status, answer);
    }
    answers.into_iter().fold(operation, |operation, (status, answer)| {
        operation.response(status.to_string(), answer.build())
    })
}

fn content(name: &str) -> Content {
    Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(name))))
}

fn parameters(served: &Served) -> Vec<Parameter> {
    let one = |name: &str, place: ParameterIn, required: Required| {
        let text: Schema = ObjectBuilder::new().schema_type(Type::String).into();
        ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .schema(Some(text))
            .build()
    };
    match (&served.method, served.path) {
        (HttpMethod::Post, _) => vec![
            one("Idempotency-Key", ParameterIn::Header, Required::True),
            one("Prefer", ParameterIn::Header, Required::False),
        ],
        (_, "/v1/transactions") => vec![one("idempotency_key", ParameterIn::Query, Required::True)],
        (_, "/v1/transactions/{id}") => vec![
            one("id", ParameterIn::Path, Required::True),
            one("Prefer", ParameterIn::Header, Required::False),
        ],
        (_, "/problems/{slug}") => vec![one("slug", ParameterIn::Path, Required::True)],
        (_, _) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use domain::time::WallTime;
    use serde_json::Value;

    use super::super::{AccountNumbers, Rules, create};
    use super::*;

    fn read() -> Value {
        serde_json::from_slice(&document()).unwrap()
    }

    /// What of JSON Schema the document makes use of.
    fn check(schema: &Value, value: &Value, all: &Value) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let found = all.pointer(name.trim_start_matches('#'));
            return check(found.ok_or_else(|| format!("no {name}"))?, value, all);
        }
        if let Some(known) = schema["enum"].as_array()
            && !known.contains(value)
        {
            return Err(format!("{value} is none of {known:?}"));
        }
        let one = schema["oneOf"].as_array();
        if let Some(one) = one {
            let fits = one.iter().filter(|part| check(part, value, all).is_ok());
            return if fits.count() == 1 { Ok(()) } else { Err(format!("{value}")) };
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().unwrap_or_default();
            if value.get(name).is_none() {
                return Err(format!("no {name}"));
            }
        }
        for (name, part) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(name) {
                Some(known) => check(known, part, all)?,
                None if schema["additionalProperties"] == false => return Err(name.clone()),
                None => {}
            }
        }
        for item in value.as_array().into_iter().flatten() {
            check(&schema["items"], item, all)?;
        }
        Ok(())
    }

    fn schema(all: &Value, name: &str) -> Value {
        all["components"]["schemas"][name].clone()
    }

    /// The body of the first example of docs/http-api.md.
    fn example() -> Value {
        let docs = include_str!("../../../../docs/http-api.md");
        let body = docs.split("-d '").nth(1).unwrap().split("'\n").next().unwrap();
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn the_example_of_the_docs_is_what_the_document_says() {
        let all = read();
        assert_eq!(all["openapi"], "3.1.0");
        let (asked, body) = (schema(&all, "Create"), example());
        check(&asked, &body, &all).unwrap();
        for (name, value) in [("pin", "1"), ("type", "reversal"), ("amount", "1")] {
            let mut wrong = body.clone();
            wrong[name] = value.into();
            if name == "amount" {
                wrong[name] = serde_json::json!({ "minor": 1 });
            }
            assert!(check(&asked, &wrong, &all).is_err(), "{name}");
        }
    }

    #[test]
    fn the_document_and_the_reader_know_the_same_fields() {
        let all = read();
        let asked = schema(&all, "Create");
        let rules = Rules {
            now: WallTime::from_unix_millis(1_795_297_141_000),
            account_numbers: AccountNumbers::Refused,
        };
        let taken = |body: &Value| create(body.to_string().as_bytes(), rules).is_ok();
        let mut full = example();
        full["description"] = "d".into();
        full["channel"] = "ussd".into();
        full["requestedAt"] = "2026-11-20T21:38:34.120Z".into();
        full["metadata"] = serde_json::json!({ "store": "1" });
        assert!(taken(&full));
        let known = asked["properties"].as_object().unwrap();
        let given = full.as_object().unwrap();
        assert!(known.keys().eq(given.keys()), "{:?}", known.keys());
        let required = asked["required"].as_array().unwrap();
        for name in known.keys() {
            let mut less = full.clone();
            less.as_object_mut().unwrap().remove(name);
            assert_eq!(!taken(&less), required.contains(&name.as_str().into()), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_what_the_document_says() {
        let all = read();
        let now = WallTime::from_unix_millis(1_795_297_141_000);
        for slug in Slug::ALL {
            let problem: Value = serde_json::from_slice(&Problem::of(slug).to_json(now)).unwrap();
            check(&schema(&all, "Problem"), &problem, &all).unwrap();
            let status = slug.status().to_string();
            let paths = all["paths"].as_object().unwrap().values();
            let mut operations = paths.flat_map(|path| path.as_object().unwrap().values());
            let has = operations.any(|one| one["responses"].get(&status).is_some());
            assert!(has, "{}", slug.name());
        }
    }
}

//! What gateways are served, as OpenAPI 3.1: schemas from the types that are read and written,
//! statuses from [`Slug`], examples by what writes the answers, and a table of what is asked. None
//! of it is kept in a file. GSMA's profile has a description of its own, which is GSMA's.

mod examples;
pub(super) mod schemas;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::info::{ContactBuilder, LicenseBuilder};
use utoipa::openapi::path::{
    Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::ComponentsBuilder;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Content, HttpMethod, Info, InfoBuilder, OpenApiBuilder, PathItem, Paths, Ref,
    RefOr, Required, Response, ResponseBuilder, Schema, Server,
};

use super::party::Party;
use super::problem::{ErrorCode, FieldError, Problem, Slug};
use super::reversal::{Reverse, Reversed};
use super::{AccountNumbers, Create, State, Transaction};
use schemas::{AskedAmount, Heartbeat};

/// The document for gateways that may, or may not, name a party by a PAN.
pub(crate) fn document(account_numbers: AccountNumbers) -> Vec<u8> {
    let mut paths: BTreeMap<&str, PathItem> = BTreeMap::new();
    for served in &SERVED {
        let item = PathItem::new(served.method.clone(), operation(served));
        match paths.entry(served.path) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(item);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                entry.get_mut().merge_operations(item);
            }
        }
    }
    let all = paths.into_iter();
    let paths = all.fold(Paths::builder(), |all, (path, item)| all.path(path, item));
    let tags = TAGS.map(|(name, says)| {
        let tag = TagBuilder::new().name(name);
        tag.description(Some(says)).build()
    });
    let document = OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .paths(paths.build())
        .components(Some(components()))
        .security(Some(identities()))
        .build();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    schemas::finish(&mut document, account_numbers);
    serde_json::to_vec(&document).unwrap_or_default()
}

fn info() -> Info {
    let contact = ContactBuilder::new()
        .name(Some("njia"))
        .url(Some(env!("CARGO_PKG_REPOSITORY")));
    let license = LicenseBuilder::new()
        .name("Apache-2.0")
        .identifier(Some("Apache-2.0"));
    InfoBuilder::new()
        .title("njia")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .contact(Some(contact.build()))
        .license(Some(license.build()))
        .build()
}

const ABOUT: &str = "JSON over HTTP for gateways. A decline is no error of HTTP. Once a message \
    may have left for an issuer the answer is 201 or 202 and never an error; a 503 or 429 means \
    that this request executed nothing, and says nothing of an earlier one with the same key, nor \
    does a 404 by key while a POST is on its way: send the same key again. Amounts are whole \
    numbers of minor units.";

const TAGS: [(&str, &str); 3] = [
    ("transactions", "Payments, and where they stand."),
    (
        "reversals",
        "What takes a payment back, in full or in part.",
    ),
    ("switch", "The switch itself."),
];

/// One of these, whichever the gateway has in the switch's configuration.
fn identities() -> [SecurityRequirement; 3] {
    let none: [&str; 0] = [];
    [
        SecurityRequirement::new("bearer", none),
        SecurityRequirement::new("apiKey", none).add("clientId", none),
        SecurityRequirement::new("certificate", none),
    ]
}

fn components() -> Components {
    let header = |name, says| {
        let value = ApiKeyValue::with_description(name, says);
        SecurityScheme::ApiKey(ApiKey::Header(value))
    };
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The API key."));
    let certificate = SecurityScheme::MutualTls {
        description: Some("A certificate that the gateway's `tls.identities` name.".to_owned()),
        deprecated: None,
        extensions: None,
    };
    let components = ComponentsBuilder::new()
        .security_scheme("bearer", SecurityScheme::Http(bearer.build()))
        .security_scheme("apiKey", header("X-API-Key", "The API key."))
        .security_scheme("clientId", header("X-Client-Id", "The gateway's name."))
        .security_scheme("certificate", certificate)
        .schema_from::<State>()
        .schema_from::<ErrorCode>()
        .schema_from::<FieldError>()
        .schema_from::<AskedAmount>()
        .schema_from::<Party>()
        .schema_from::<Create>()
        .schema_from::<Reverse>()
        .schema_from::<Heartbeat>()
        .schema("Transaction", Transaction::schema())
        .schema("Reversal", Reversed::schema())
        .schema("Problem", Problem::schema());
    let parts = Transaction::parts().into_iter();
    let components = parts.fold(components, |all, (name, part)| all.schema(name, part));
    components.build()
}

/// What one path is asked, and what it answers.
struct Served {
    method: HttpMethod,
    path: &'static str,
    name: &'static str,
    tag: &'static str,
    title: &'static str,
    says: &'static str,
    /// The schema of the body that is asked for.
    body: Option<&'static str>,
    /// Statuses that are no problem, and what they tell.
    answers: &'static [(u16, Told)],
    problems: &'static [Slug],
}

/// What is told where there is no problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// JSON of the schema of this name.
    Json(&'static str),
    /// JSON that has no schema here.
    Document,
    Text,
}

/// What a request may get, whatever it asks for.
const OF_A_HEAD: [Slug; 9] = [
    Slug::Malformed,
    Slug::Unauthenticated,
    Slug::MethodNotAllowed,
    Slug::RequestTimeout,
    Slug::TargetTooLong,
    Slug::ExpectationFailed,
    Slug::RateLimited,
    Slug::HeadTooLarge,
    Slug::VersionNotSupported,
];

const OF_A_READ: &[Slug] = &[Slug::NotFound, Slug::InProgress, Slug::Overloaded];

const OF_A_BODY: [Slug; 12] = [
    Slug::IdempotencyKeyMissing,
    Slug::InvalidField,
    Slug::StaleRequest,
    Slug::NotPermitted,
    Slug::InProgress,
    Slug::StateConflict,
    Slug::LengthRequired,
    Slug::TooLarge,
    Slug::UnsupportedMediaType,
    Slug::IdempotencyKeyReused,
    Slug::CurrencyNotSupported,
    Slug::Draining,
];

const TRANSACTION: Told = Told::Json("Transaction");
const REVERSAL: Told = Told::Json("Reversal");

const SERVED: [Served; 8] = [
    Served {
        method: HttpMethod::Post,
        path: "/v1/transactions",
        name: "createTransaction",
        tag: "transactions",
        title: "Pay",
        says: "A new transaction, once for each idempotency key. A key is known for the window of \
               duplicates of its gateway after the transaction was admitted, 600 s where nothing \
               else is configured; a copy gets the first answer.",
        body: Some("Create"),
        answers: &[(201, TRANSACTION), (202, TRANSACTION)],
        problems: &[Slug::Overloaded],
    },
    Served {
        method: HttpMethod::Get,
        path: "/v1/transactions",
        name: "findTransaction",
        tag: "transactions",
        title: "Find by key",
        says: "The transaction of a key, after a lost answer.",
        body: None,
        answers: &[(200, TRANSACTION)],
        problems: OF_A_READ,
    },
    Served {
        method: HttpMethod::Get,
        path: "/v1/transactions/{id}",
        name: "readTransaction",
        tag: "transactions",
        title: "Read",
        says: "A transaction; with `Prefer: wait=n` once it is decided, after n seconds at the \
               latest.",
        body: None,
        answers: &[(200, TRANSACTION)],
        problems: OF_A_READ,
    },
    Served {
        method: HttpMethod::Post,
        path: "/v1/transactions/{id}/reversals",
        name: "reverseTransaction",
        tag: "reversals",
        title: "Reverse by id",
        says: "Takes back all that is left, or a part. 202 once that is durable, 201 when the \
               issuer has it.",
        body: Some("Reverse"),
        answers: &[(201, REVERSAL), (202, REVERSAL)],
        problems: OF_A_READ,
    },
    Served {
        method: HttpMethod::Post,
        path: "/v1/transactions/reversals",
        name: "reverseTransactionOfKey",
        tag: "reversals",
        title: "Reverse by key",
        says: "The same of the transaction of a key, also before that has come: it is not executed \
               then.",
        body: Some("Reverse"),
        answers: &[(201, REVERSAL), (202, REVERSAL)],
        problems: OF_A_READ,
    },
    Served {
        method: HttpMethod::Get,
        path: "/v1/heartbeat",
        name: "heartbeat",
        tag: "switch",
        title: "Heartbeat",
        says: "Whether the switch takes work; 503 while it sheds load or ends.",
        body: None,
        answers: &[
            (200, Told::Json("Heartbeat")),
            (503, Told::Json("Heartbeat")),
        ],
        problems: &[],
    },
    Served {
        method: HttpMethod::Get,
        path: "/problems/{slug}",
        name: "aboutProblem",
        tag: "switch",
        title: "What an error means",
        says: "One short text for each type of problem.",
        body: None,
        answers: &[(200, Told::Text)],
        problems: &[Slug::NotFound],
    },
    Served {
        method: HttpMethod::Get,
        path: "/openapi.json",
        name: "openapi",
        tag: "switch",
        title: "This document",
        says: "OpenAPI 3.1 of what is served to this gateway.",
        body: None,
        answers: &[(200, Told::Document)],
        problems: &[],
    },
];

impl Served {
    fn slugs(&self) -> impl Iterator<Item = Slug> {
        let of_a_body: &[Slug] = if self.body.is_some() { &OF_A_BODY } else { &[] };
        let all = OF_A_HEAD.iter().chain(of_a_body).chain(self.problems);
        all.copied()
    }

    /// Whether somebody must show who he is.
    fn is_guarded(&self) -> bool {
        self.tag != "switch"
    }
}

fn operation(served: &Served) -> Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(served.name))
        .summary(Some(served.title))
        .description(Some(served.says))
        .tag(served.tag)
        .parameters(Some(parameters(served)));
    if !served.is_guarded() {
        operation = operation.securities(Some([]));
    }
    if let Some(name) = served.body {
        let body = RequestBodyBuilder::new()
            .content("application/json", content(name, 0))
            .required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let mut by_status: BTreeMap<u16, Vec<Slug>> = BTreeMap::new();
    for slug in served.slugs() {
        let slugs = by_status.entry(slug.status()).or_default();
        if !slugs.contains(&slug) {
            slugs.push(slug);
        }
    }
    for (status, slugs) in &by_status {
        operation = operation.response(status.to_string(), refused(slugs));
    }
    for (status, told) in served.answers {
        operation = operation.response(status.to_string(), answered(served, *status, *told));
    }
    operation.build()
}

/// All errors of one status.
fn refused(slugs: &[Slug]) -> Response {
    let titles: Vec<&str> = slugs.iter().map(|slug| slug.title()).collect();
    let examples = slugs.iter().map(|slug| {
        let value = examples::of_problem(*slug);
        (
            slug.name(),
            ExampleBuilder::new().value(Some(value)).build(),
        )
    });
    let schema = RefOr::<Schema>::Ref(Ref::from_schema_name("Problem"));
    let content = Content::builder().schema(Some(schema));
    let mut response = ResponseBuilder::new()
        .description(titles.join("; "))
        .content(
            "application/problem+json",
            content.examples_from_iter(examples).build(),
        );
    if slugs.iter().any(|slug| slug.retry_after_s().is_some()) {
        response = response.header("Retry-After", retry_after());
    }
    if slugs.contains(&Slug::Unauthenticated) {
        response = response.header("WWW-Authenticate", said("How to show who one is."));
    }
    if slugs.contains(&Slug::MethodNotAllowed) {
        response = response.header("Allow", said("The methods that are served here."));
    }
    response.build()
}

fn answered(served: &Served, status: u16, told: Told) -> Response {
    let response = ResponseBuilder::new().description(match status {
        201 => "Decided, approved and declined alike",
        202 => "Durable, and not decided yet",
        503 => "No work is taken",
        _ => served.title,
    });
    let response = match told {
        Told::Json(name) => response.content("application/json", content(name, status)),
        Told::Document => {
            let object = utoipa::openapi::ObjectBuilder::new();
            let object: Schema = object.build().into();
            response.content("application/json", Content::new(Some(object)))
        }
        Told::Text => {
            let text: Schema = schemas::text().build().into();
            response.content("text/plain", Content::new(Some(text)))
        }
    };
    if served.body.is_none() {
        return response.build();
    }
    let response = response
        .header("Location", said("Where the transaction is told."))
        .header(
            "Preference-Applied",
            said("How long was waited (RFC 7240)."),
        )
        .header(
            "Idempotency-Replayed",
            said("`true` of a copy of what had come."),
        );
    match status {
        202 => response.header("Retry-After", retry_after()).build(),
        _ => response.build(),
    }
}

fn said(what: &str) -> Header {
    HeaderBuilder::new().description(Some(what)).build()
}

fn retry_after() -> Header {
    let says = "Seconds until it is worth the while to ask again.";
    let header = HeaderBuilder::new().schema(Some(schemas::whole(1)));
    header.description(Some(says)).build()
}

fn content(name: &str, status: u16) -> Content {
    let schema = RefOr::<Schema>::Ref(Ref::from_schema_name(name));
    let content = Content::builder().schema(Some(schema));
    content.example(examples::of(name, status)).build()
}

fn parameters(served: &Served) -> Vec<Parameter> {
    let mut all = Vec::new();
    if served.path.contains("{id}") {
        let says = "As `id` of the transaction has it.";
        let id = parameter("id", ParameterIn::Path, schemas::id(), says);
        all.push(id.example(Some(examples::ID.to_string().into())).build());
    }
    if served.path.contains("{slug}") {
        let says = "The last part of the `type` of a problem.";
        all.push(parameter("slug", ParameterIn::Path, schemas::slug(), says).build());
    }
    if matches!(served.name, "findTransaction" | "reverseTransactionOfKey") {
        let says = "The key under which the transaction was sent.";
        let key = parameter(
            "idempotency_key",
            ParameterIn::Query,
            schemas::bare_key(),
            says,
        );
        all.push(key.build());
    }
    if served.body.is_some() {
        let says = "1 to 64 visible ASCII characters, quoted (RFC 8941) or bare. \
                    `X-CorrelationID` is another name for it.";
        let key = parameter("Idempotency-Key", ParameterIn::Header, schemas::key(), says);
        all.push(key.required(Required::True).build());
        let says = "When it was sent; 300 s off at most. `X-Callback-URL` is refused (403): ask \
                    by GET.";
        all.push(parameter("X-Date", ParameterIn::Header, schemas::time(), says).build());
    }
    if served.body.is_some() || served.name == "readTransaction" {
        let says = "`wait=n` waits n seconds, 1 to 30, for a decision; `respond-async` waits for \
                    the disk alone (RFC 7240). What is not understood is ignored.";
        let prefer = parameter("Prefer", ParameterIn::Header, schemas::text().into(), says);
        all.push(prefer.build());
    }
    all
}

fn parameter(name: &str, place: ParameterIn, schema: Schema, says: &str) -> ParameterBuilder {
    let is_optional = place == ParameterIn::Header;
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(if is_optional {
            Required::False
        } else {
            Required::True
        })
        .description(Some(says))
        .schema(Some(schema))
}

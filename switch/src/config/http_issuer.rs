//! `[issuer.http]`: how an issuer of JSON over HTTP is asked, and how its answers are read.

use std::time::Duration;

use domain::response_code::ResponseCode;

use super::document::Node;
use super::http_auth::{auth, secret_headers};
use super::issuer_callbacks::{CALLBACK_URL, Here, called, check_uncalled};
use super::secret::Vault;
use super::section::Section;
use crate::issuer::http::plan::{
    AmountForm, AnswerMap, Content, Field, Operation, Plan, Pointer, Query, Reverse, Status,
};

/// Whether the issuer speaks HTTP, and then how. What is said of ISO 8583 beside it is refused.
pub(super) fn plan(issuer: &Section<'_>, vault: &Vault<'_>, callbacks: Here<'_>) -> Option<Plan> {
    let is_http = issuer.parsed("protocol", |text| match text {
        "iso8583" => Ok(false),
        "http" => Ok(true),
        _ => Err("takes \"iso8583\" or \"http\"".to_owned()),
    });
    if is_http != Some(true) {
        issuer.pass_over("http");
        let is_said = is_http == Some(false) || !issuer.has("protocol");
        if is_said && issuer.has("http") {
            issuer.fault_at("http", "`http` is for `protocol = \"http\"`");
        }
        return None;
    }
    for key in OF_ISO {
        if issuer.has(key) {
            let text =
                format!("`{key}` is of ISO 8583: an issuer with `protocol = \"http\"` has none");
            issuer.fault_at(key, text);
        }
    }
    let Some(section) = issuer.optional_section("http") else {
        issuer.fault("`protocol = \"http\"` needs a table [issuer.http]");
        return None;
    };
    let plan = read(issuer, &section, vault);
    let plan = plan.map(|plan| Plan {
        callbacks: called(&section, &plan, callbacks),
        ..plan
    });
    section.finish();
    plan
}

fn read(issuer: &Section<'_>, section: &Section<'_>, vault: &Vault<'_>) -> Option<Plan> {
    let url = section.required("base_url", base_url);
    if let Some(url) = &url {
        check_scheme(issuer, section, url.is_https);
    }
    let (auth, access) = auth(section, vault, url.as_ref());
    let submit = submit(section);
    let answer = answer(section, Answers::Submit);
    let not_executed = section.list("not_executed", status_code);
    let plan = Plan {
        name: issuer
            .text("name")
            .map(|(name, _)| name)
            .unwrap_or_default(),
        callbacks: None,
        auth,
        access,
        secret_headers: secret_headers(section, vault),
        headers: headers(section),
        processing: section.list("processing", processing),
        authorisations: section.flag("authorisations", false),
        query: query(section),
        reverse: reverse(section, answer.as_ref()),
        amount_form: section
            .parsed("amount_form", amount_form)
            .unwrap_or(AmountForm::Minor),
        not_executed: if section.has("not_executed") {
            not_executed
        } else {
            NOT_EXECUTED.to_vec()
        },
        busy_means_not_executed: section.flag("busy_means_not_executed", false),
        nothing_to_reverse: section.list("nothing_to_reverse", status_code),
        connections_max: section.number("connections_max", 1..=4_096, 64),
        idle_max: section.seconds("idle_max_s", 1..=3_600, 30),
        answer_max: section.millis("answer_timeout_ms", 100..=600_000, 30_000),
        submit: submit?,
        answer: answer?,
        host: url.as_ref()?.host.clone(),
        base_path: url?.path,
    };
    Some(with_defaults(plan, section))
}

fn with_defaults(mut plan: Plan, section: &Section<'_>) -> Plan {
    if !section.has("processing") {
        plan.processing = vec!["00".to_owned()];
    }
    plan
}

pub(super) struct Url {
    pub(super) is_https: bool,
    pub(super) host: String,
    pub(super) path: String,
}

pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let wanted = || "takes https://HOST, with a port or a path where there is one".to_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(wanted)?;
    let is_https = match scheme {
        "https" => true,
        "http" => false,
        _ => return Err(wanted()),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(legal);
    let is_path = path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains(['?', '#']);
    if !is_host || !is_path {
        return Err(wanted());
    }
    Ok(Url {
        is_https,
        host: host.to_owned(),
        path: path.trim_end_matches('/').to_owned(),
    })
}

/// Credentials do not go in clear over a network that others share.
fn check_scheme(issuer: &Section<'_>, section: &Section<'_>, is_https: bool) {
    if is_https != issuer.has("tls") {
        let text = if is_https {
            "`base_url` says https, which needs a table [issuer.tls]"
        } else {
            "`base_url` says http, and there is a table [issuer.tls]"
        };
        section.fault_at("base_url", text);
    }
}

fn headers(section: &Section<'_>) -> Vec<(String, String)> {
    let Some(table) = section.optional_section("headers") else {
        return Vec::new();
    };
    let header = |(name, node): (&str, &Node)| {
        if !is_own_header(name) {
            table.fault_at(name, format!("`{name}` is no header that can be set here"));
            return None;
        }
        table.text_in(node, name, |value| {
            let is_clean = value.bytes().all(|byte| matches!(byte, 0x20..=0x7E));
            check_places(&value.replace(CALLBACK_URL, ""))?;
            if !is_clean {
                return Err("takes printable characters".to_owned());
            }
            Ok((name.to_owned(), value.to_owned()))
        })
    };
    table.entries().into_iter().filter_map(header).collect()
}

/// Whether it is a header, and none by which the request is read.
pub(super) fn is_own_header(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let fixed = FIXED_HEADERS.iter();
    let is_fixed = fixed
        .into_iter()
        .any(|fixed| fixed.eq_ignore_ascii_case(name));
    !name.is_empty() && name.bytes().all(letter) && !is_fixed
}

const FIXED_HEADERS: [&str; 7] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "connection",
    "expect",
    "upgrade",
];

fn submit(section: &Section<'_>) -> Option<Operation> {
    let Some(section) = section.optional_section("submit") else {
        section.fault("`submit` is required: how a request is sent");
        return None;
    };
    let (operation, is_read) = operation(&section);
    if is_read && !operation.has(Field::Amount) {
        section.fault("`fields` must have `amount`: what the payer is to pay");
    }
    section.finish();
    Some(operation)
}

//= docs/rules.md#M-11
/// A reversal is repeated until it is acknowledged: the issuer must know a repeat from another.
fn reverse(section: &Section<'_>, of_submit: Option<&AnswerMap>) -> Option<Reverse> {
    let section = section.optional_section("reverse")?;
    let (operation, is_read) = operation(&section);
    check_uncalled(&section, &operation);
    let is_idempotent = section.flag("idempotent", false);
    let names_parts = operation.has(Field::Amount) || operation.has(Field::Remaining);
    if is_read && !is_idempotent && !operation.names("{reversalId}", Field::ReversalId) {
        let text = "nothing here names the reversal, which is repeated until it is acknowledged: \
                    `path`, `headers` or `fields` must have `reversal_id`, or a repeat may be a \
                    second refund; where the issuer takes a payment back in full alone and once, \
                    say `idempotent = true`";
        section.fault(text);
    }
    if is_read && !is_idempotent && !names_parts {
        let text = "`fields` must have `amount` or `remaining`: a reversal in part would take back \
                    all; where the issuer takes back in full alone, say `idempotent = true`";
        section.fault(text);
    }
    let answer = answer(&section, Answers::Reverse { is_idempotent });
    if let (Some(own), Some(other)) = (&answer, of_submit) {
        check_words(&section, own, other);
    }
    section.finish();
    Some(Reverse {
        operation,
        answer: answer?,
        is_idempotent,
    })
}

//= docs/rules.md#M-12
/// By its status alone the payment, as it stands, would be an answer to its reversal.
fn check_words(section: &Section<'_>, own: &AnswerMap, of_submit: &AnswerMap) {
    let approves = |word: &str| of_submit.statuses.iter().any(|one| *one == done(word));
    let mut ends = own.statuses.iter();
    let clash = ends.find(|one| one.1 == Status::Done && approves(&one.0));
    if let Some((word, _)) = clash.filter(|_| own.reversal_id.is_none()) {
        let text = format!(
            "`{word}` is \"reversed\" here and \"approved\" in [issuer.http.answer]: an answer \
             with the payment, which stands, would end its reversal; name `reversal_id` here, or \
             take the word that is told of reversals alone"
        );
        section.fault_at("answer", text);
    }
}

fn done(word: &str) -> (String, Status) {
    (word.to_owned(), Status::Done)
}

//= docs/rules.md#M-14
/// How the state of a payment is asked for: it is named by its id and nothing else, for a reversal
/// in part asks in the same words.
fn query(section: &Section<'_>) -> Option<Query> {
    let section = section.optional_section("query")?;
    let (mut operation, is_read) = operation_by(&section, &["GET", "POST"]);
    check_uncalled(&section, &operation);
    if !section.has("method") {
        operation.method = "GET".to_owned();
    }
    let is_get = operation.method == "GET";
    if is_get && (section.has("fields") || section.has("constants")) {
        section.fault("a GET has no body: `fields` and `constants` are for `method = \"POST\"`");
    }
    let mut body = operation.body.iter();
    let is_named =
        |content: &Content| !matches!(content, Content::Field(Field::OurId | Field::OurUuid));
    let more = body.any(|(_, content)| matches!(content, Content::Field(_)) && is_named(content));
    if is_read && (more || operation.names("{reversalId}", Field::ReversalId)) {
        section.fault("a query names the payment by `our_id` and by nothing else");
    }
    let answer = if section.has("answer") {
        Some(answer(&section, Answers::Query)?)
    } else {
        None
    };
    let schedule = section.list("poll_schedule_s", pause);
    let query = Query {
        operation,
        answer,
        schedule: if section.has("poll_schedule_s") {
            schedule
        } else {
            POLL_SCHEDULE.map(Duration::from_secs).to_vec()
        },
        not_found_grace: section.seconds("not_found_grace_s", 1..=86_400, 120),
        not_found_is_final: section.flag("not_found_is_final", false),
        pending_max: section.number("pending_max", 1..=100_000, 10_000),
    };
    section.finish();
    Some(query)
}

fn pause(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (1..=3_600).contains(seconds));
    let seconds = seconds.map(Duration::from_secs);
    seconds.ok_or_else(|| "takes pauses of 1 to 3600 seconds".to_owned())
}

const POLL_SCHEDULE: [u64; 4] = [1, 2, 3, 5];

/// With whether all of its body could be read.
fn operation(section: &Section<'_>) -> (Operation, bool) {
    operation_by(section, &["POST", "PUT", "PATCH", "DELETE"])
}

fn operation_by(section: &Section<'_>, methods: &[&str]) -> (Operation, bool) {
    let method = section.parsed("method", |text| {
        let is_known = methods.contains(&text);
        let wanted = || format!("takes one of {}", quoted(methods));
        is_known.then(|| text.to_owned()).ok_or_else(wanted)
    });
    let path = section.required("path", path);
    let (mut body, mut written) = (Vec::new(), 0);
    for (key, is_field) in [("fields", true), ("constants", false)] {
        if let Some(table) = section.optional_section(key) {
            written += table.entries().len();
            contents(&table, is_field, &mut body);
        }
    }
    let is_read = body.len() == written;
    let operation = Operation {
        method: method.unwrap_or_else(|| "POST".to_owned()),
        headers: headers(section),
        body,
        path: path.unwrap_or_default(),
    };
    if is_read && !operation.names_payment() {
        let text = "nothing here names the transaction: `path`, `headers` or `fields` must have \
                    `our_id`, or an answer that is lost cannot be reversed";
        section.fault(text);
    }
    (operation, is_read)
}

impl Operation {
    /// Whether an id stands in its path, its headers or its body.
    pub(super) fn names(&self, in_braces: &str, field: Field) -> bool {
        let mut headers = self.headers.iter();
        self.path.contains(in_braces)
            || headers.any(|(_, value)| value.contains(in_braces))
            || self.has(field)
    }

    /// Whether the payment is named by one of its ids.
    fn names_payment(&self) -> bool {
        self.names("{ourId}", Field::OurId) || self.names("{ourUuid}", Field::OurUuid)
    }

    /// Whether its body has this.
    fn has(&self, field: Field) -> bool {
        let mut body = self.body.iter();
        body.any(|(_, content)| *content == Content::Field(field))
    }
}

/// `our_id = "/externalId"`: a field of ours and where it stands; or, of constants, where it stands
/// and what.
fn contents(table: &Section<'_>, is_field: bool, body: &mut Vec<(Pointer, Content)>) {
    for (key, node) in table.entries() {
        let read = if is_field {
            table.text_in(node, key, |text| {
                Ok((pointer(text)?, Content::Field(field(key)?)))
            })
        } else {
            table.text_in(node, key, |text| {
                Ok((pointer(key)?, Content::Constant(text.to_owned())))
            })
        };
        let Some((pointer, content)) = read else {
            continue;
        };
        if body.iter().any(|(other, _)| other.clashes_with(&pointer)) {
            table.fault_at(key, format!("`{key}` stands where something else does"));
            continue;
        }
        body.push((pointer, content));
    }
}

fn field(name: &str) -> Result<Field, String> {
    let known = Field::ALL.into_iter().find(|field| field.name() == name);
    known.ok_or_else(|| {
        let names = Field::ALL.map(Field::name).join(", ");
        format!("is no field; known: {names}")
    })
}

pub(super) fn pointer(text: &str) -> Result<Pointer, String> {
    let read = Pointer::read(text);
    read.ok_or_else(|| "takes JSON pointers of up to 8 names, as \"/payer/id\"".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    check_places(text)?;
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path || text.contains('#') {
        return Err("takes a path from its first slash on".to_owned());
    }
    Ok(text.to_owned())
}

/// What stands in braces is known before the issuer has answered, and after a restart.
fn check_places(text: &str) -> Result<(), String> {
    let known = ["{ourId}", "{ourUuid}", "{reversalId}"];
    let rest = known
        .iter()
        .fold(text.to_owned(), |rest, known| rest.replace(known, ""));
    if rest.contains("{issuerId}") {
        return Err("has {issuerId}, which is not kept: name the payment by {ourId}".to_owned());
    }
    if rest.contains(['{', '}']) {
        let text = "takes {ourId}, {ourUuid} and {reversalId} in braces, a header of `submit` \
                    {callbackUrl} too, and nothing else";
        return Err(text.to_owned());
    }
    Ok(())
}

/// Whose answers are read.
#[derive(Clone, Copy)]
enum Answers {
    Submit,
    Query,
    Reverse { is_idempotent: bool },
}

impl Answers {
    /// As what it is written that the operation was executed.
    const fn done(self) -> &'static str {
        match self {
            Self::Submit | Self::Query => "approved",
            Self::Reverse { .. } => "reversed",
        }
    }

    /// What an answer must repeat so that it is about what was asked: first the id.
    const fn wanted(self) -> [&'static str; 3] {
        match self {
            Self::Submit
            | Self::Query
            | Self::Reverse {
                is_idempotent: true,
            } => ["our_id", "amount", "currency"],
            Self::Reverse {
                is_idempotent: false,
            } => ["reversal_id", "amount", "currency"],
        }
    }

    const fn missing(self) -> &'static str {
        match self {
            Self::Submit | Self::Query => "`answer` is required: how an answer is read",
            Self::Reverse { .. } => {
                "`answer` is required here too: how the answer to a reversal is read, which is \
                 about the reversal and not about the payment"
            }
        }
    }
}

fn answer(section: &Section<'_>, of: Answers) -> Option<AnswerMap> {
    let Some(section) = section.optional_section("answer") else {
        section.fault(of.missing());
        return None;
    };
    let status = section.required("status", pointer);
    let word = of.done();
    let statuses = mapped(&section, "statuses", |text| match text {
        "declined" => Ok(Status::Declined),
        "pending" => Ok(Status::Pending),
        _ if text == word => Ok(Status::Done),
        "reversed" if matches!(of, Answers::Query) => Ok(Status::TakenBack),
        _ => Err(format!("takes \"{word}\", \"declined\" or \"pending\"")),
    });
    if !statuses.iter().any(|(_, told)| *told == Status::Done) {
        section.fault_at(
            "statuses",
            format!("`statuses` names nothing that is \"{word}\""),
        );
    }
    check_repeated(&section, of.wanted());
    let [our_id, amount, currency, reason] =
        ["our_id", "amount", "currency", "reason"].map(|key| section.parsed(key, pointer));
    let (authorisation, reversal_id) = match of {
        Answers::Submit | Answers::Query => (section.parsed("authorisation", pointer), None),
        Answers::Reverse { .. } => (None, section.parsed("reversal_id", pointer)),
    };
    let reasons = mapped(&section, "reasons", decline);
    section.finish();
    Some(AnswerMap {
        status: status?,
        statuses,
        our_id,
        reversal_id,
        amount,
        currency,
        authorisation,
        reason,
        reasons,
    })
}

//= docs/rules.md#M-09
/// An answer is held against all of `wanted`, but for what the issuer is said not to repeat; and
/// against the id or the amount in any case.
fn check_repeated(section: &Section<'_>, wanted: [&'static str; 3]) {
    let missing = section.list("not_repeated", |text| {
        let known = wanted.iter().find(|key| **key == text);
        known
            .copied()
            .ok_or_else(|| format!("takes {}", quoted(&wanted)))
    });
    for key in wanted {
        match (section.has(key), missing.contains(&key)) {
            (true, false) | (false, true) => {}
            (true, true) => {
                let text =
                    format!("`not_repeated` has `{key}`, which is named here: leave one out");
                section.fault_at("not_repeated", text);
            }
            (false, false) => {
                let text = format!(
                    "`{key}` is required: where the issuer repeats it, so that no answer about \
                     something else is taken; `not_repeated = [\"{key}\"]` says that it does \
                     not"
                );
                section.fault(text);
            }
        }
    }
    let [id, amount, _] = wanted;
    if missing.contains(&id) && missing.contains(&amount) {
        let text = format!(
            "`not_repeated` has `{id}` and `amount`: an answer that could be about anything is none"
        );
        section.fault_at("not_repeated", text);
    }
}

fn quoted(keys: &[&str]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    quoted.join(", ")
}

/// A table whose keys are the issuer's words.
fn mapped<T>(
    section: &Section<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<(String, T)> {
    let Some(table) = section.optional_section(key) else {
        return Vec::new();
    };
    let entry = |(word, node): (&str, &Node)| {
        let value = table.text_in(node, word, &parse)?;
        Some((word.to_owned(), value))
    };
    table.entries().into_iter().filter_map(entry).collect()
}

/// A code that declines: an approval is told by the status alone.
fn decline(text: &str) -> Result<ResponseCode, String> {
    let code = ResponseCode::new(text.as_bytes()).ok();
    let code = code.filter(|code| !code.is_approval() && !code.is_issuer_failure());
    code.ok_or_else(|| "takes a code of 1987 that declines, as \"51\"".to_owned())
}

fn amount_form(text: &str) -> Result<AmountForm, String> {
    match text {
        "minor" => Ok(AmountForm::Minor),
        "decimal" => Ok(AmountForm::Decimal),
        _ => Err("takes \"minor\" or \"decimal\"".to_owned()),
    }
}

fn processing(text: &str) -> Result<String, String> {
    let fits = (2..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !fits || text.starts_with('3') {
        return Err("takes 2 to 6 leading digits of DE3; enquiries (3x) are not served".to_owned());
    }
    Ok(text.to_owned())
}

fn status_code(text: &str) -> Result<u16, String> {
    let status = text
        .parse()
        .ok()
        .filter(|status| (400..=599).contains(status));
    status.ok_or_else(|| "takes HTTP statuses of 400 to 599".to_owned())
}

/// An issuer that answers so has not taken the request.
const NOT_EXECUTED: [u16; 6] = [400, 404, 405, 413, 415, 422];
/// What says something of a connection or of messages that an HTTP issuer does not have.
const OF_ISO: [&str; 24] = [
    "framing",
    "header",
    "header_destination",
    "header_source",
    "header_bytes",
    "frame_cap",
    "answer_keep_alive",
    "dialect",
    "sign_on",
    "sign_on_retry_s",
    "network_codes",
    "match_fields",
    "link_group",
    "hold_on_cutover",
    "reconcile",
    "recon_sign",
    "recon_mti",
    "recon_grace_s",
    "reversal_mti",
    "reversal_stan",
    "reason_field",
    "mac",
    "fail_in_flight_on_link_loss",
    "exponent_override",
];

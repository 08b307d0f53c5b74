//! What holds of `[issuer.http]`.

use super::*;
use crate::issuer::http::plan::{AmountForm, Field};

const WALLET: &str = r#"
[[issuer]]
name = "wallet"
protocol = "http"
addresses = ["192.0.2.10:80"]
institution = "100003"
[issuer.http]
base_url = "http://api.wallet.example:80/v1/"
amount_form = "decimal"
[issuer.http.auth]
kind = "bearer"
secret = "env:KEY"
[issuer.http.submit]
path = "/payments"
fields = { our_id = "/id", amount = "/amount" }
constants = { "/channel" = "switch" }
[issuer.http.answer]
status = "/status"
statuses = { DONE = "approved" }
our_id = "/id"
amount = "/amount"
not_repeated = ["currency"]
"#;

const REVERSE: &str = r#"
[issuer.http.reverse]
path = "/payments/{ourId}/reversals"
fields = { reversal_id = "/id", amount = "/amount" }
[issuer.http.reverse.answer]
status = "/status"
statuses = { BACK = "reversed" }
reversal_id = "/id"
amount = "/amount"
not_repeated = ["currency"]
"#;

fn text(from: &str, to: &str) -> String {
    assert!(WALLET.contains(from), "there is no {from}");
    let example = EXAMPLE.replacen("shards = 0 ", "shards = 4 ", 1);
    format!("{example}{}", WALLET.replacen(from, to, 1))
}

/// The same with a reversal.
fn text_of_reverse(from: &str, to: &str) -> String {
    assert!(REVERSE.contains(from), "there is no {from}");
    format!("{}{}", text("", ""), REVERSE.replacen(from, to, 1))
}

#[test]
fn an_issuer_may_be_asked_over_http() {
    let config = Config::parse("njia.toml", &text("", ""), &environment(&[])).unwrap();
    let issuer = config.issuers.last().unwrap();
    let plan = issuer.http.as_ref().unwrap();
    assert_eq!(
        (plan.host.as_str(), plan.base_path.as_str()),
        ("api.wallet.example:80", "/v1")
    );
    assert_eq!(plan.amount_form, AmountForm::Decimal);
    assert!(plan.reverse.is_none());
    assert_eq!(plan.not_executed, [400, 404, 405, 413, 415, 422]);
    assert_eq!(plan.processing, ["00"]);
    assert!(!issuer.link.sign_on, "nobody signs on over HTTP");
    let shown = format!("{config:?}");
    assert!(!shown.contains(KEY), "a secret is shown");
    assert_eq!(Field::ALL.map(Field::name).len(), 15);
}

#[test]
fn an_issuer_over_http_may_take_back() {
    let in_parts = r#"fields = { reversal_id = "/id", amount = "/amount" }"#;
    let rest = r#"fields = { reversal_id = "/id", remaining = "/amount" }"#;
    let header = "headers = { \"Idempotency-Key\" = \"{reversalId}\" }\n\
                  fields = { amount = \"/amount\" }";
    for (from, to, expected) in [
        ("", "", false),
        (in_parts, rest, false),
        (in_parts, header, false),
        (
            in_parts,
            "fields = { our_id = \"/id\" }\nidempotent = true",
            true,
        ),
    ] {
        let mut text = text_of_reverse(from, to);
        if expected {
            text = text.replace("reversal_id = \"/id\"\n", "our_id = \"/id\"\n");
        }
        let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
        let plan = config.issuers.last().unwrap().http.as_ref().unwrap();
        let reverse = plan.reverse.as_ref().unwrap();
        assert_eq!(reverse.is_idempotent, expected, "{to}");
        assert_ne!(reverse.answer.statuses, plan.answer.statuses);
    }
}

/// At the line of what is wrong, with its key.
#[track_caller]
fn check_refused(text: &str, to: &str, expected: &str) {
    let errors = Config::parse("njia.toml", text, &environment(&[])).unwrap_err();
    let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
    let [one] = told.as_slice() else {
        panic!("{to}: {told:?}");
    };
    assert!(one.contains(expected), "{to}: {one}");
    assert!(one.starts_with("njia.toml:"), "{to}: {one}");
}

#[test]
fn what_is_wrong_with_an_issuer_over_http_is_named() {
    check_all_refused(WRONG, text);
    let named = "our_id = \"/id\"\namount = \"/amount\"\nnot_repeated = [";
    let neither = text(named, "not_repeated = [\"our_id\", \"amount\", ");
    check_refused(&neither, "neither", "could be about anything");
}

#[track_caller]
fn check_all_refused(wrong: &str, text: impl Fn(&str, &str) -> String) {
    for line in wrong.lines().filter(|line| !line.is_empty()) {
        let [from, to, expected] = line.split(" => ").collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let lines = |text: &str| text.replace("/n", "\n");
        check_refused(&text(&lines(from), &lines(to)), to, expected);
    }
}

//= docs/rules.md#M-11
//= docs/rules.md#M-12
#[test]
fn a_reversal_that_could_be_taken_for_another_is_not_configured() {
    check_all_refused(WRONG_REVERSE, text_of_reverse);
    let whole = text_of_reverse("", "");
    let (text, _) = whole.split_at(whole.rfind("[issuer.http.reverse.answer]").unwrap());
    check_refused(text, "none", "`answer` is required here too");
}

const WRONG_REVERSE: &str = r#"
reversal_id = "/id", amount => amount => nothing here names the reversal
reversal_id = "/id", amount => our_id = "/id", amount => say `idempotent = true`
{ourId} => {reversalId} => must have `our_id`
, amount = "/amount" } =>  } => a reversal in part would take back all
BACK = => DONE = "approved", BACK = => takes "reversed", "declined" or "pending"
"reversed" => "declined" => names nothing that is "reversed"
/nreversal_id = "/id"/n => /nour_id = "/id"/n => `reversal_id` is required: where the issuer
/nreversal_id => /nauthorisation = "/code"/nreversal_id => unknown key `authorisation`
/namount = "/amount"/n => /n => `not_repeated = ["amount"]` says that it does not
["currency"] => [] => `currency` is required
["currency"] => ["amount", "currency"] => which is named here: leave one out
["currency"] => ["our_id", "currency"] => takes "reversal_id", "amount", "currency"
"#;

//= docs/rules.md#M-12
/// A payment that is told as it stands must not end its reversal.
#[test]
fn a_word_for_both_needs_the_id_of_the_reversal() {
    let same = text_of_reverse("BACK", "DONE");
    assert!(Config::parse("njia.toml", &same, &environment(&[])).is_ok());
    let not_repeated = r#"not_repeated = ["reversal_id", "currency"]"#;
    let (head, tail) = same.split_at(same.rfind("[issuer.http.reverse]").unwrap());
    let tail = tail.replace("\nreversal_id = \"/id\"\n", "\nour_id = \"/id\"\n");
    let tail = tail.replace(r#"not_repeated = ["currency"]"#, not_repeated);
    check_refused(
        &format!("{head}{tail}"),
        "DONE",
        "`DONE` is \"reversed\" here and \"approved\" in",
    );
    let other = format!("{head}{}", tail.replace("DONE", "BACK"));
    assert!(Config::parse("njia.toml", &other, &environment(&[])).is_ok());
}

/// What stands in the configuration, what in its place, and what is told. `/n` ends a line.
const WRONG: &str = r#"
"http"/n => "soap"/n => `protocol` takes "iso8583" or "http"
"env:KEY" => "hidden-token" => `secret` is a literal secret
http://api => https://api => says https, which needs a table [issuer.tls]
http://api => ftp://api => `base_url` takes https://HOST
"bearer" => "basic" => `user`
{ our_id = "/id", amount => { amount => must have `our_id`
our_id = "/id", amount => our_id = "/amount/x", amount => stands where something else
our_id = "/id", amount => our_id = "id", amount => takes JSON pointers
our_id = "/id", amount => our_id = "/id", sum => is no field; known: our_id
"/payments" => "/payments/{issuerId}" => name the payment by {ourId}
"/payments" => "payments" => takes a path from its first slash on
"approved" => "declined" => names nothing that is "approved"
/nour_id = "/id"/n => /n => `our_id` is required: where the issuer repeats it
/namount = "/amount"/n => /n => `not_repeated = ["amount"]` says that it does not
["currency"] => [] => `currency` is required
["currency"] => ["our_id", "currency"] => `not_repeated` has `our_id`, which is named here
our_id = "/id", amount = "/amount" => our_id = "/id" => `fields` must have `amount`
DONE = => BACK = "reversed", DONE = => takes "approved", "declined" or "pending"
institution => dialect = "iso87-ascii"/ninstitution => `dialect` is of ISO 8583
institution => sign_on = true/ninstitution => `sign_on` is of ISO 8583
amount_form => processing = ["31"]/namount_form => enquiries (3x) are not served
amount_form => not_executed = [200]/namount_form => takes HTTP statuses of 400 to 599
amount_form => headers = { Host = "x" }/namount_form => is no header that can be set
our_id = "/id"/n => our_id = "/id"/nreasons = { A = "00" }/n => that declines
"#;

//= docs/rules.md#M-10
/// Within a second no number comes again, as far as that can be told before the start.
#[test]
fn the_ids_of_an_issuer_over_http_need_room() {
    let with = |stans: &str| {
        let text = text("institution", &format!("{stans}\ninstitution"));
        Config::parse("njia.toml", &text, &environment(&[]))
    };
    let enough = with("stan_size = 80_000\nlinks = 2\ninflight_max = 100");
    assert!(enough.is_ok(), "{}", enough.unwrap_err());
    let few = with("stan_size = 79_999\nlinks = 2\ninflight_max = 100").unwrap_err();
    let told = few.to_string();
    assert!(
        told.contains("with 2 links and 4 shards `stan_size` leaves 9999 STANs"),
        "{told}"
    );
}

#[test]
fn a_literal_secret_is_not_repeated() {
    let text = text("\"env:KEY\"", "\"hidden-token\"");
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    assert!(!format!("{errors:?} {errors}").contains("hidden-token"));
}

const QUERY: &str = r#"
[issuer.http.query]
path = "/payments/{ourId}"
poll_schedule_s = [1, 2]
"#;

/// The same with a query.
fn text_of_query(from: &str, to: &str) -> String {
    assert!(QUERY.contains(from), "there is no {from}");
    format!("{}{}", text("", ""), QUERY.replacen(from, to, 1))
}

//= docs/rules.md#M-14
#[test]
fn an_issuer_over_http_may_be_asked_for_what_it_decides_later() {
    let parsed = |text: &str| Config::parse("njia.toml", text, &environment(&[])).unwrap();
    let config = parsed(&text_of_query("", ""));
    let plan = config.issuers.last().unwrap().http.as_ref().unwrap();
    let query = plan.query.as_ref().unwrap();
    assert_eq!(query.operation.method, "GET");
    assert_eq!(query.schedule, [1, 2].map(Duration::from_secs));
    assert_eq!(query.not_found_grace.as_secs(), 120);
    assert!(!query.not_found_is_final && query.answer.is_none());
    assert_eq!(query.pending_max, 10_000);
    let by_post = "method = \"POST\"\nfields = { our_id = \"/id\" }\npath = \"/payments/state\"";
    parsed(&text_of_query("path = \"/payments/{ourId}\"", by_post));
    check_all_refused(WRONG_QUERY, text_of_query);
}

const WRONG_QUERY: &str = r#"
{ourId} => {ourId}/{reversalId} => names the payment by `our_id` and by nothing else
poll => fields = { our_id = "/id" }/npoll => a GET has no body
poll => method = "DELETE"/npoll => takes one of "GET", "POST"
poll => method = "POST"/nfields = { amount = "/a" }/npoll => by `our_id` and by nothing else
[1, 2] => [0] => takes pauses of 1 to 3600 seconds
poll => pending_max = 0/npoll => `pending_max`
poll => not_found_grace_s = 0/npoll => `not_found_grace_s`
poll => headers = { X = "{callbackUrl}" }/npoll => is told with `submit`, and with nothing else
"#;

const CALLED: &str = r#"
[issuer_callbacks]
address = "127.0.0.1:0"
url = "https://switch.example/told/"
secrets = ["env:KEY"]
plaintext = true
"#;

/// One that calls back.
fn text_of_called(from: &str, to: &str) -> String {
    let all = format!("{}{CALLED}", text_of_query("", ""));
    let told = "/payments\"\nheaders = { \"X-Callback\" = \"{callbackUrl}\" }\n";
    let all = all.replacen("/payments\"\n", told, 1);
    // The example has some of these lines too.
    let at = all
        .rfind(from)
        .unwrap_or_else(|| panic!("there is no {from}"));
    let (head, tail) = all.split_at(at);
    format!("{head}{}", tail.replacen(from, to, 1))
}

//= docs/rules.md#M-16
#[test]
fn an_issuer_over_http_may_call_back() {
    let config = Config::parse("njia.toml", &text_of_called("", ""), &environment(&[])).unwrap();
    let plan = config.issuers.last().unwrap().http.as_ref().unwrap();
    let callbacks = plan.callbacks.as_ref().unwrap();
    let id = "20261120213834000421";
    let url = callbacks.url_of(&plan.name, id).unwrap();
    let path = url.strip_prefix("https://switch.example").unwrap();
    assert!(path.starts_with("/told/wallet/"), "{path}");
    assert!(callbacks.read(path).is_some());
    assert!(!format!("{config:?}").contains(KEY), "a secret is shown");
    check_all_refused(WRONG_CALLED, text_of_called);
    let none = text_of_called(CALLED, "");
    check_refused(&none, "none", "there is no [issuer_callbacks]");
    let unasked = text_of_called(QUERY, "");
    check_refused(&unasked, "no query", "it needs [issuer.http.query]");
}

const WRONG_CALLED: &str = r#"
"127.0.0.1:0"/nurl => "192.0.2.1:80"/nurl => plain text is for loopback and private addresses
plaintext = true => plaintext = false => takes [issuer_callbacks.tls], or `plaintext = true`
["env:KEY"]/nplain => []/nplain => takes one secret, or two
["env:KEY"]/nplain => ["hidden"]/nplain => is a literal secret
"https://switch.example/told/" => "switch.example" => `url` takes https://HOST
[issuer.http.sub => [issuer.http.headers]/nX = "{callbackUrl}"/n[issuer.http.sub => name it in [issu
"{callbackUrl}" => "{callback}" => takes {ourId}, {ourUuid} and {reversalId} in braces
"#;

const TOKEN: &str = r#"
kind = "oauth2"
token_url = "http://auth.wallet.example:8080/oauth/token?realm=pay"
client_id = "njia"
"#;

/// One that is shown tokens.
fn text_of_token(from: &str, to: &str) -> String {
    assert!(
        TOKEN.contains(from) || WALLET.contains(from),
        "there is no {from}"
    );
    let all = text("\nkind = \"bearer\"\n", TOKEN);
    let at = all.rfind(from).unwrap();
    let (head, tail) = all.split_at(at);
    format!("{head}{}", tail.replacen(from, to, 1))
}

#[test]
fn an_issuer_over_http_may_want_tokens() {
    use crate::issuer::http::access::AccessForm;

    let parsed = |text: &str| Config::parse("njia.toml", text, &environment(&[])).unwrap();
    let config = parsed(&text_of_token("", ""));
    let plan = config.issuers.last().unwrap().http.as_ref().unwrap();
    let access = plan.access.as_ref().unwrap();
    assert!(plan.auth.is_none());
    let at = (access.host.as_str(), access.port, access.path.as_str());
    assert_eq!(at, ("auth.wallet.example", 8_080, "/oauth/token?realm=pay"));
    assert_eq!(access.authority, "auth.wallet.example:8080");
    assert_eq!(
        (access.method.as_str(), access.form),
        ("POST", AccessForm::Basic)
    );
    assert!(!format!("{config:?}").contains(KEY), "a secret is shown");
    let get = "method = \"GET\"\nform = \"basic_alone\"\ntoken = \"/data/token\"\nclient_id";
    parsed(&text_of_token("client_id", get));
    let secret = "[issuer.http.secret_headers]\nX-Key = \"env:KEY\"\n[issuer.http.submit]";
    let config = parsed(&text_of_token("[issuer.http.submit]", secret));
    let plan = config.issuers.last().unwrap().http.as_ref().unwrap();
    assert_eq!(plan.secret_headers.len(), 1);
    assert!(!format!("{config:?}").contains(KEY), "a secret is shown");
    check_all_refused(WRONG_TOKEN, text_of_token);
}

const WRONG_TOKEN: &str = r#"
http://auth => https://auth => are both https, by [issuer.tls], or both http
http://auth.wallet => auth.wallet => `token_url` takes https://HOST
client_id => form = "xml"/nclient_id => `form` takes "basic"
client_id => method = "GET"/nclient_id => a GET has no body
client_id => lifetime_s = 1/nclient_id => `lifetime_s`
client_id => token = "access_token"/nclient_id => takes JSON pointers
client_id => user = "x"/nclient_id => unknown key `user`
"env:KEY" => "hidden" => is a literal secret
[issuer.http.sub => [issuer.http.secret_headers]/nHost = "env:KEY"/n[issuer.http.sub => is no header
[issuer.http.sub => [issuer.http.secret_headers]/nX = "x"/n[issuer.http.sub => is a literal secret
"#;

/// What the documents say of an operator of mobile money is a configuration, but for its files.
#[test]
fn the_documented_operator_is_a_configuration() {
    let page = include_str!("../../../../docs/http-issuers.md");
    let (_, rest) = page
        .split_once("```toml\n[[issuer]]\nname = \"mtn\"")
        .unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    let (head, tail) = block.split_once("[issuer.tls]").unwrap();
    let (_, tail) = tail.split_once("\n\n").unwrap();
    let block = format!("[[issuer]]\nname = \"mtn\"{head}{tail}").replace("https://", "http://");
    let secret = |line: &str| match line.split_once("= \"file:") {
        Some((key, _)) => format!("{key}= \"env:KEY\"\n"),
        None => format!("{line}\n"),
    };
    let block: String = block.lines().map(secret).collect();
    let example = EXAMPLE.replacen("shards = 0 ", "shards = 4 ", 1);
    let text = format!("{example}{CALLED}{block}");
    let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
    let plan = config.issuers.last().unwrap().http.as_ref().unwrap();
    assert!(plan.callbacks.is_some() && plan.query.is_some() && plan.access.is_some());
    let access = plan.access.as_ref().unwrap();
    assert_eq!(access.path, "/collection/token/");
}

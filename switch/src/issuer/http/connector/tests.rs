//! What is asked, and what each kind of answer means.

use std::time::Duration;

use domain::time::WallTime;
use iso8583::{Dialect, FieldIndex, MessageRef, Mti};

use super::super::operation::Taking;
use super::super::plan::{AnswerMap, Reverse, SecretHeader};
use super::*;

/// 2026-11-20T21:38:34Z.
const NOW: WallTime = WallTime::from_unix_millis(1_795_210_714_000);

fn pointer(text: &str) -> Pointer {
    Pointer::read(text).unwrap()
}

/// Of a payment, or of a reversal: they say their ids elsewhere.
fn answer_map(word: &str) -> AnswerMap {
    AnswerMap {
        status: pointer("/status"),
        statuses: vec![
            (word.to_owned(), Status::Done),
            ("NO".to_owned(), Status::Declined),
            ("WAIT".to_owned(), Status::Pending),
        ],
        our_id: Some(pointer("/id")),
        reversal_id: None,
        amount: Some(pointer("/amount/value")),
        currency: Some(pointer("/amount/currency")),
        authorisation: Some(pointer("/auth")),
        reason: Some(pointer("/why/0")),
        reasons: vec![("POOR".to_owned(), ResponseCode::INSUFFICIENT_FUNDS)],
    }
}

fn reverse() -> Reverse {
    Reverse {
        operation: operation(
            "/payments/{ourId}/void/{reversalId}",
            &[(Field::Amount, "/sum"), (Field::Remaining, "/rest")],
        ),
        answer: AnswerMap {
            reversal_id: Some(pointer("/void")),
            authorisation: None,
            ..answer_map("BACK")
        },
        is_idempotent: false,
    }
}

fn operation(path: &str, fields: &[(Field, &str)]) -> Operation {
    let content = |(field, text): &(Field, &str)| (pointer(text), Content::Field(*field));
    Operation {
        method: "POST".to_owned(),
        path: path.to_owned(),
        headers: vec![("Idempotency-Key".to_owned(), "{ourId}".to_owned())],
        body: fields.iter().map(content).collect(),
    }
}

pub(in super::super) fn plan() -> Plan {
    let mut submit = operation(
        "/payments",
        &[
            (Field::OurId, "/id"),
            (Field::Amount, "/amount/value"),
            (Field::Currency, "/amount/currency"),
            (Field::Account, "/payer"),
        ],
    );
    let constant = Content::Constant("njia".to_owned());
    submit.body.push((pointer("/amount/by"), constant));
    Plan {
        name: "wallet".to_owned(),
        callbacks: None,
        access: None,
        secret_headers: Vec::new(),
        host: "bank.example".to_owned(),
        base_path: "/v1".to_owned(),
        auth: SecretHeader::new("Authorization", Zeroizing::new("Bearer hidden".to_owned())),
        headers: Vec::new(),
        processing: vec!["00".to_owned()],
        authorisations: false,
        submit,
        query: None,
        reverse: Some(reverse()),
        answer: answer_map("OK"),
        amount_form: AmountForm::Minor,
        not_executed: vec![400, 422],
        busy_means_not_executed: false,
        nothing_to_reverse: Vec::new(),
        connections_max: 1,
        idle_max: Duration::ZERO,
        answer_max: Duration::ZERO,
    }
}

/// An 0200 or an 0420 with these fields more.
fn message<T>(mti: [u8; 4], more: &[(u8, &[u8])], then: impl FnOnce(MessageRef<'_>) -> T) -> T {
    let bytes = written(mti, more);
    let mut index = FieldIndex::new();
    Dialect::ISO87_ASCII.parse(&bytes, &mut index).unwrap();
    then(MessageRef::new(&bytes, &index))
}

/// Its bytes.
pub(in super::super) fn written(mti: [u8; 4], more: &[(u8, &[u8])]) -> Vec<u8> {
    let mut fields: Vec<(u8, &[u8])> = vec![
        (2, b"5061001234567890"),
        (3, b"000000"),
        (4, b"000000152300"),
        (7, b"1120213834"),
        (11, b"000421"),
        (37, b"632421000421"),
        (49, b"404"),
    ];
    fields.retain(|(number, _)| more.iter().all(|(other, _)| other != number));
    fields.extend_from_slice(more);
    fields.sort_unstable_by_key(|(number, _)| *number);
    let mut bytes = [0; 512];
    let mti = Mti::new(mti).unwrap();
    let mut writer = iso8583::Writer::new(Dialect::ISO87_ASCII, mti, &mut bytes);
    for (number, value) in fields {
        writer.put(number, value).unwrap();
    }
    let len = writer.finish().unwrap();
    bytes[..len].to_vec()
}

fn asked() -> Asked {
    message(*b"0200", &[], |message| Asked::of(&plan(), message, NOW)).unwrap()
}

fn original_of(kept: &[u8; 12]) -> [(u8, Vec<u8>); 3] {
    let original = [&b"0200000421112021383400000100001"[..], b"00000000000"].concat();
    let amounts = [&kept[..], &[b'0'; 30]].concat();
    [(7, b"1121000000".to_vec()), (90, original), (95, amounts)]
}

fn reversal(kept: &[u8; 12]) -> Asked {
    reversal_of(b"000000152300", kept)
}

fn reversal_of(stood: &[u8; 12], kept: &[u8; 12]) -> Asked {
    let more = original_of(kept);
    let mut more: Vec<(u8, &[u8])> = more
        .iter()
        .map(|(number, value)| (*number, &value[..]))
        .collect();
    more.push((4, stood));
    message(*b"0420", &more, |message| Asked::of(&plan(), message, NOW)).unwrap()
}

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: body.as_bytes().to_vec(),
        keeps: true,
    }
}

#[track_caller]
fn check(status: u16, body: &str, expected: Verdict) {
    let verdict = judge(&plan(), &asked(), &reply(status, body));
    assert_eq!(verdict, expected, "{status} {body}");
}

const ID: &str = "20261120213834000421";
const SAME: &str = r#""id":"20261120213834000421","amount":{"value":152300,"currency":"KES"}"#;

#[test]
fn a_request_is_written_by_the_map() {
    let bytes = request(&plan(), &asked(), plan().auth.as_ref()).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /v1/payments HTTP/1.1\r\nHost: bank.example\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("\r\nIdempotency-Key: {ID}\r\n")),
        "{head}"
    );
    assert!(head.ends_with("\r\nAuthorization: Bearer hidden"), "{head}");
    assert!(
        head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
        "{head}"
    );
    let expected = serde_json::json!({
        "id": ID,
        "payer": "5061001234567890",
        "amount": { "value": 152_300, "currency": "KES", "by": "njia" },
    });
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
}

//= docs/rules.md#M-10
/// So a reversal that is owed after a restart names what the request was named.
#[test]
fn a_reversal_names_its_original_and_itself() {
    let whole = reversal(b"000000000000");
    assert_eq!(whole.our_id, asked().our_id);
    assert_eq!(whole.amount.minor(), 152_300);
    let part = reversal(b"000000100000");
    assert_eq!(part.amount.minor(), 52_300);
    let bytes = request(&plan(), &whole, None).unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    let line = format!("POST /v1/payments/{ID}/void/{ID}R1121000000 HTTP/1.1\r\n");
    assert!(text.starts_with(&line), "{text}");
    let none = Plan {
        reverse: None,
        ..plan()
    };
    assert!(request(&none, &whole, None).is_none());
}

fn void_only() -> Plan {
    let reverse = Reverse {
        is_idempotent: true,
        ..reverse()
    };
    Plan {
        reverse: Some(reverse),
        ..plan()
    }
}

//= docs/rules.md#M-11
/// 1000 in parts of 300, 300 and the rest, as the engine says it, down to the body.
#[test]
fn a_reversal_asks_for_what_it_takes_back_itself() {
    let kes = |minor| Amount::new(minor, domain::currency::Currency::KES).unwrap();
    let asked = |plan: &Plan, before, stays: u64| {
        let taking = Taking {
            whole: kes(1_000),
            before: kes(before),
            stays: Some(kes(stays)).filter(|_| stays > 0),
        };
        let (stood, kept) = taking.amounts(plan).unwrap();
        let digits = |amount: Amount| format!("{:012}", amount.minor()).into_bytes();
        let digits = |amount| <[u8; 12]>::try_from(digits(amount)).unwrap();
        let asked = reversal_of(&digits(stood), &digits(kept.unwrap_or_else(|| kes(0))));
        let bytes = request(plan, &asked, None)?;
        let text = std::str::from_utf8(&bytes).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        Some([body["sum"].clone(), body["rest"].clone()])
    };
    let in_parts = [(1_000, 700), (700, 400), (400, 0)];
    let told = in_parts.map(|(before, stays)| asked(&plan(), before, stays).unwrap());
    assert_eq!(
        told,
        [[300, 700], [300, 400], [400, 0]].map(|two| two.map(Value::from))
    );
    // One that takes back in full alone: neither a part, nor what a part has left, even where that
    // part was never sent.
    let told = in_parts.map(|(before, stays)| asked(&void_only(), before, stays));
    assert_eq!(told, [None, None, None]);
    let whole = asked(&void_only(), 1_000, 0).unwrap();
    assert_eq!(whole, [1_000, 0].map(Value::from));
}

//= docs/rules.md#M-12
#[test]
fn an_answer_about_the_payment_is_none_to_its_reversal() {
    let part = reversal(b"000000100000");
    let about = |word: &str, minor: u64, void: &str| {
        let body = format!(
            r#""status":"{word}","id":"{ID}","amount":{{"value":{minor},"currency":"KES"}}{void}"#
        );
        judge(&plan(), &part, &reply(200, &format!("{{{body}}}")))
    };
    let own = format!(r#","void":"{}""#, part.reversal_id);
    let taken = Verdict::Approved(AuthorisationId::EMPTY);
    assert_eq!(about("BACK", 52_300, &own), taken);
    for (word, minor, void) in [
        ("OK", 52_300, own.as_str()),
        ("OK", 152_300, ""),
        ("BACK", 52_300, ""),
        ("BACK", 152_300, own.as_str()),
        ("BACK", 52_300, r#","void":null"#),
        ("BACK", 52_300, r#","void":"20261120213834000421""#),
        (
            "BACK",
            52_300,
            r#","void":"20261120213834000421R1121000001""#,
        ),
    ] {
        assert_eq!(
            about(word, minor, void),
            Verdict::Unknown,
            "{word} {minor} {void}"
        );
    }
    check(
        200,
        &format!(r#"{{"status":"BACK",{SAME}}}"#),
        Verdict::Unknown,
    );
}

/// DE7 has no year: it is the one nearest to now.
#[test]
fn an_id_has_the_year_of_its_request() {
    let newyear = WallTime::from_unix_millis(1_798_761_600_000);
    let seen = |digits: &[u8]| {
        let of = |message: MessageRef<'_>| Asked::of(&plan(), message, newyear);
        message(*b"0200", &[(7, digits)], of).unwrap().our_id
    };
    assert_eq!(seen(b"1231235959"), "20261231235959000421");
    assert_eq!(seen(b"0101000000"), "20270101000000000421");
}

#[test]
fn what_a_submit_would_do_wrongly_is_not_asked() {
    let of = |mti: [u8; 4], more: &[(u8, &[u8])]| {
        message(mti, more, |message| Asked::of(&plan(), message, NOW)).is_some()
    };
    assert!(of(*b"0200", &[]));
    assert!(!of(*b"0100", &[]), "it posts nothing");
    assert!(!of(*b"0200", &[(3, b"310000")]), "an enquiry");
    assert!(!of(*b"0200", &[(3, b"200000")]), "a refund");
    assert!(!of(*b"0202", &[]), "a completion");
    assert!(!of(*b"0220", &[]), "an advice");
}

//= docs/rules.md#M-09
#[test]
fn an_approval_repeats_what_was_asked() {
    let code = Text::new("DE38", b"A1B2C3").unwrap();
    let body = format!(r#"{{"status":"OK","auth":"A1B2C3",{SAME}}}"#);
    check(200, &body, Verdict::Approved(code));
    check(201, &body, Verdict::Approved(code));
    for bad in [
        r#"{"status":"OK"}"#.to_owned(),
        body.replace("000421", "000422"),
        body.replace("152300", "152301"),
        body.replace("152300", "152300.0"),
        body.replace("152300", "\"152300\""),
        body.replace("KES", "UGX"),
        body.replace(r#""id":"20261120213834000421","#, ""),
        body.replace(r#""id":"#, r#""id":null,"ID":"#),
        body.replace("OK", "ok"),
        format!("{body}x"),
        body.replace(r#""auth""#, r#""status""#),
        String::new(),
    ] {
        check(200, &bad, Verdict::Unknown);
    }
}

#[test]
fn a_decline_may_be_short_but_not_of_another() {
    let declined = |reason: &str| format!(r#"{{"status":"NO","why":["{reason}"]}}"#);
    check(
        200,
        &declined("POOR"),
        Verdict::Declined(ResponseCode::INSUFFICIENT_FUNDS),
    );
    check(
        200,
        &declined("x"),
        Verdict::Declined(ResponseCode::DO_NOT_HONOUR),
    );
    check(200, r#"{"status":"NO","id":"1"}"#, Verdict::Unknown);
    check(
        200,
        r#"{"status":"NO","amount":{"value":1}}"#,
        Verdict::Unknown,
    );
}

/// docs/http-issuers.md, the table of verdicts.
#[test]
fn doubt_is_never_a_no() {
    for status in [202, 301, 302, 307, 409, 418, 429, 500, 502, 503, 504, 599] {
        check(status, "", Verdict::Unknown);
        check(status, r#"{"status":"NO"}"#, Verdict::Unknown);
    }
    check(
        200,
        &format!(r#"{{"status":"WAIT",{SAME}}}"#),
        Verdict::Unknown,
    );
    check(
        200,
        &format!(r#"{{"status":"NEW",{SAME}}}"#),
        Verdict::Unknown,
    );
    for status in [400, 422] {
        check(status, "", Verdict::NotExecuted);
    }
    for status in [401, 403] {
        check(status, "", Verdict::NotLetIn);
    }
    let busy = Plan {
        busy_means_not_executed: true,
        ..plan()
    };
    for status in [429, 503] {
        assert_eq!(
            judge(&busy, &asked(), &reply(status, "")),
            Verdict::NotExecuted
        );
    }
    assert_eq!(judge(&busy, &asked(), &reply(500, "")), Verdict::Unknown);
}

#[test]
fn there_is_nothing_to_reverse_where_the_configuration_says_so() {
    let whole = reversal(b"000000000000");
    let found = |plan: &Plan, asked: &Asked| judge(plan, asked, &reply(404, ""));
    assert_eq!(found(&plan(), &whole), Verdict::Unknown);
    let said = Plan {
        nothing_to_reverse: vec![404],
        ..plan()
    };
    assert_eq!(found(&said, &whole), Verdict::NothingToReverse);
    assert_eq!(found(&said, &asked()), Verdict::Unknown);
}

#[test]
fn decimals_are_those_of_the_currency() {
    let amount = |minor, letters| {
        let currency = domain::currency::Currency::from_alphabetic(letters).unwrap();
        decimal(Amount::new(minor, currency).unwrap())
    };
    for (minor, letters, text) in [
        (152_300, "KES", "1523.00"),
        (5, "KES", "0.05"),
        (0, "KES", "0.00"),
        (1_523, "UGX", "1523"),
        (1, "BHD", "0.001"),
        (999_999_999_999, "CLF", "99999999.9999"),
    ] {
        assert_eq!(amount(minor, letters), text);
    }
}

pub(crate) fn with_query(is_final: bool) -> Plan {
    let mut statuses = answer_map("OK");
    let taken_back = ("GONE".to_owned(), Status::TakenBack);
    statuses.statuses.push(taken_back);
    let query = super::super::plan::Query {
        operation: Operation {
            method: "GET".to_owned(),
            ..operation("/payments/{ourId}", &[])
        },
        answer: Some(statuses),
        schedule: vec![Duration::from_secs(1), Duration::from_secs(2)],
        not_found_grace: Duration::from_secs(120),
        not_found_is_final: is_final,
        pending_max: 1,
    };
    Plan {
        query: Some(query),
        ..plan()
    }
}

//= docs/rules.md#M-14
#[test]
fn a_query_proves_nothing_by_its_status() {
    let old = Duration::from_secs(120);
    let young = Duration::from_secs(119);
    let told = |is_final, status, age| {
        judge_query(&with_query(is_final), &asked(), &reply(status, ""), age)
    };
    for status in [400, 405, 409, 410, 422, 429, 500, 503, 302] {
        assert_eq!(told(true, status, old), Verdict::Unknown, "{status}");
    }
    assert_eq!(told(true, 404, young), Verdict::Pending);
    assert_eq!(told(true, 404, old), Verdict::NotExecuted);
    assert_eq!(told(false, 404, old), Verdict::Unknown);
    assert_eq!(told(true, 202, old), Verdict::Pending);
    let submit = judge(&with_query(true), &asked(), &reply(202, ""));
    assert_eq!(submit, Verdict::Pending);
}

//= docs/rules.md#M-14
/// It may leave at the last moment of that time, and the issuer learns of it later.
#[test]
fn the_grace_of_404_begins_when_no_submit_leaves_any_more() {
    let plan = Plan {
        answer_max: Duration::from_secs(30),
        ..with_query(true)
    };
    let told = |age| judge_query(&plan, &asked(), &reply(404, ""), Duration::from_secs(age));
    let not = Verdict::NotExecuted;
    let ages = [119, 120, 149, 150].map(told);
    assert_eq!(
        ages,
        [Verdict::Pending, Verdict::Pending, Verdict::Pending, not]
    );
}

//= docs/rules.md#M-14
#[test]
fn a_query_decides_by_what_a_submit_would() {
    let old = Duration::from_secs(999);
    let told = |asked: &Asked, body: &str| {
        judge_query(
            &with_query(true),
            asked,
            &reply(200, &format!("{{{body}}}")),
            old,
        )
    };
    let said = |word: &str| format!(r#""status":"{word}",{SAME}"#);
    let approved = Verdict::Approved(AuthorisationId::EMPTY);
    assert_eq!(told(&asked(), &said("OK")), approved);
    assert_eq!(told(&asked(), &said("WAIT")), Verdict::Pending);
    assert_eq!(told(&asked(), &said("GONE")), Verdict::TakenBack);
    for other in [
        said("OK").replace("152300", "152301"),
        said("OK").replace("152300", "152299"),
        said("OK").replace("000421", "000422"),
        said("NO").replace("000421", "000422"),
        said("OK").replace("KES", "UGX"),
        r#""status":"OK""#.to_owned(),
    ] {
        assert_eq!(told(&asked(), &other), Verdict::Unknown, "{other}");
    }
    // Of a reversal in part it is about the payment, which may be more than what stood before.
    let part = reversal_of(b"000000100000", b"000000050000");
    assert_eq!(told(&part, &said("OK")), approved);
    let less = said("OK").replace("152300", "99999");
    assert_eq!(told(&part, &less), Verdict::Unknown);
}

//= docs/rules.md#M-14
#[test]
fn questions_come_ever_less_often() {
    let plan = with_query(false);
    let query = plan.query.as_ref().unwrap();
    let pause = |number, age| query.pause(number, Duration::from_secs(age)).as_secs();
    let pauses = [(0, 0), (1, 1), (2, 3), (3, 119), (4, 120), (5, 400)];
    assert_eq!(
        pauses.map(|(number, age)| pause(number, age)),
        [1, 2, 10, 10, 60, 60]
    );
}

//= docs/rules.md#T-16
/// Of the pauses of 1 s and 2 s those that are over are not waited for again.
#[test]
fn a_payment_of_before_is_asked_for_by_its_age() {
    let plan = with_query(false);
    let query = plan.query.as_ref().unwrap();
    let asked_by = |millis| query.asked_by(Duration::from_millis(millis));
    let ages = [0, 999, 1_000, 2_999, 3_000, 90_000];
    assert_eq!(ages.map(asked_by), [0, 0, 1, 1, 2, 2]);
}

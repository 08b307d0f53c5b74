//! What a body may say, and what everybody is told.

use proptest::prelude::*;

use super::strict::Node;
use super::*;

#[test]
fn a_whole_body_is_read() {
    let read = create(BODY.as_bytes(), RULES).unwrap();
    assert_eq!(read.kind, Kind::MerchantPay);
    assert_eq!(read.amount, Amount::new(152_300, Currency::KES).unwrap());
    assert_eq!(read.account().unwrap().value, "254712345678");
    assert_eq!(read.reference, "INV-2026-00042");
    assert_eq!(read.channel.as_deref(), Some("ussd"));
    assert!(read.requested_at.is_some() && read.expires_at.is_some());
    assert_eq!(read.metadata, [("store".to_owned(), "NBO-07".to_owned())]);
}

/// Faults of `body`, as `pointer detail`.
#[track_caller]
fn check(body: &str, expected: &[&str]) {
    let problem = create(body.as_bytes(), RULES).unwrap_err();
    let errors = problem.errors.iter();
    let errors: Vec<String> = errors
        .map(|error| format!("{} {}", error.pointer, error.detail))
        .collect();
    assert_eq!(problem.slug, Slug::InvalidField, "{body}");
    assert_eq!(errors, expected, "{body}");
}

/// The body with one piece replaced.
fn with(from: &str, to: &str) -> String {
    assert!(BODY.contains(from), "{from}");
    BODY.replacen(from, to, 1)
}

#[test]
fn all_fields_that_cannot_be_used_are_told_at_once() {
    check(
        r#"{"type":"gift","amount":{"minor":1.5,"currency":"kes"},"debitParty":[],
            "creditParty":[{"key":"msisdn","value":"0712"},{"key":"pin","value":"1234"}],
            "reference":"","channel":"USSD","expiresAt":"1999-01-01T00:00:00Z","cvv":"123"}"#,
        &[
            "/type is no type of transaction",
            "/amount/minor must be a whole number of minor units from 1 to 999999999999",
            "/amount/currency must be three capital letters of ISO 4217",
            "/debitParty takes 1 to 3 names",
            "/creditParty/0/value takes `+` and 7 to 15 digits (E.164)",
            "/creditParty/1/key is no kind of party",
            "/reference is too short or too long",
            "/channel takes lower-case letters, digits, `_` and `-`",
            "/expiresAt must lie in the future, at most 24 hours ahead",
            " has a field that is not known",
        ],
    );
    check("{}", &MISSING);
    check("[]", &[" must be an object"]);
}

const MISSING: [&str; 5] = [
    "/type must be there",
    "/amount must be there",
    "/debitParty must be there",
    "/creditParty must be there",
    "/reference must be there",
];

#[test]
fn money_is_a_whole_number_of_minor_units() {
    let wrong = ["/amount/minor must be a whole number of minor units from 1 to 999999999999"];
    for minor in [
        "0",
        "-1",
        "-0",
        "1.0",
        "1e3",
        "\"1\"",
        "1000000000000",
        "null",
        "[1]",
    ] {
        check(&with("152300", minor), &wrong);
    }
    for minor in ["1", "999999999999"] {
        assert!(create(with("152300", minor).as_bytes(), RULES).is_ok());
    }
}

#[test]
fn a_currency_that_is_none_is_not_supported() {
    let problem = create(with("KES", "ABC").as_bytes(), RULES).unwrap_err();
    assert_eq!(problem, Problem::of(Slug::CurrencyNotSupported));
    let wrong = ["/amount/currency must be three capital letters of ISO 4217"];
    for text in ["kes", "KE", "KESS", "404", ""] {
        check(&with("KES", text), &wrong);
    }
}

#[test]
fn parties_are_checked_by_their_kind() {
    let party = |key: &str, value: &str| {
        with(
            r#"{"key":"msisdn","value":"+254712345678"}"#,
            &format!(r#"{{"key":"{key}","value":"{value}"}}"#),
        )
    };
    for (key, value, normal) in [
        (
            "iban",
            "GB82 WEST 1234 5698 7654 32",
            "GB82WEST12345698765432",
        ),
        ("iban", "gb82west12345698765432", "GB82WEST12345698765432"),
        ("msisdn", "+1234567", "1234567"),
        ("accountid", "ACC-1", "ACC-1"),
    ] {
        let read = create(party(key, value).as_bytes(), RULES).unwrap();
        assert_eq!(read.account().unwrap().value, normal);
    }
    for (key, value, wrong) in [
        ("iban", "GB82WEST12345698765433", "is no IBAN (ISO 13616)"),
        (
            "msisdn",
            "+0712345678",
            "takes `+` and 7 to 15 digits (E.164)",
        ),
        (
            "accountid",
            "a b",
            "takes visible ASCII characters without a space",
        ),
        ("walletid", "", "takes 1 to 64 characters"),
    ] {
        check(
            &party(key, value),
            &[&format!("/debitParty/0/value {wrong}")],
        );
    }
    check(
        &party("pan", "4111111111111111"),
        &["/debitParty/0/key `pan` is not taken here"],
    );
    let rules = Rules {
        account_numbers: AccountNumbers::Allowed,
        ..RULES
    };
    assert!(create(party("pan", "4111111111111111").as_bytes(), rules).is_ok());
}

#[test]
fn an_account_does_not_pay_itself() {
    let body = with(
        r#"{"key":"organisationid","value":"MERCHANT0000001"}"#,
        r#"{"key":"storeid","value":"1"},{"key":"msisdn","value":"+254712345678"}"#,
    );
    check(&body, &["/creditParty is the account that is debited"]);
    let body = with(
        r#"{"key":"msisdn","value":"+254712345678"}"#,
        r#"{"key":"msisdn","value":"+254712345678"},{"key":"msisdn","value":"+254712345679"}"#,
    );
    check(
        &body,
        &["/debitParty/1/key is a kind that stands there already"],
    );
}

#[test]
fn metadata_is_bounded_at_its_value_and_one_above() {
    let many = |count: usize| {
        let keys: Vec<String> = (0..count).map(|at| format!(r#""k{at}":"""#)).collect();
        with(r#""store":"NBO-07""#, &keys.join(","))
    };
    assert!(create(many(16).as_bytes(), RULES).is_ok());
    check(&many(17), &["/metadata has more than 16 keys"]);
    let value = |len: usize| with("NBO-07", &"x".repeat(len));
    assert!(create(value(128).as_bytes(), RULES).is_ok());
    check(&value(129), &["/metadata is too short or too long"]);
    check(
        &with("\"NBO-07\"", "1"),
        &["/metadata has a value that is no string"],
    );
}

#[test]
fn texts_are_bounded_at_their_value_and_one_above() {
    let reference = |text: &str| with("INV-2026-00042", text);
    assert!(create(reference(&"é".repeat(64)).as_bytes(), RULES).is_ok());
    check(
        &reference(&"x".repeat(65)),
        &["/reference is too short or too long"],
    );
    check(
        &reference("a\\u0000b"),
        &["/reference has a control character"],
    );
    check(&reference("a\\nb"), &["/reference has a control character"]);
}

#[test]
fn no_text_of_a_request_is_in_an_error() {
    let planted = "4111111111111111";
    let body = BODY.replace("\"type\"", &format!("\"{planted}\":1,\"type\""));
    for body in [
        body,
        with("merchantpay", planted),
        with("msisdn", planted),
        with("KES", planted),
        format!("{{\"{planted}\":1,\"{planted}\":1}}"),
        planted.to_owned(),
        format!("{BODY}{planted}"),
        with("\"INV-2026-00042\"", &format!("[\"{planted}\"]")),
        with("2026-11-20T21:38:34.120Z", planted),
    ] {
        let problem = create(body.as_bytes(), RULES).unwrap_err();
        let text = String::from_utf8(problem.to_json(RULES.now)).unwrap();
        assert!(!text.contains("4111"), "{text}");
        assert!(!format!("{problem:?}").contains("4111"));
    }
}

#[test]
fn the_fingerprint_covers_all_but_the_time_of_asking_and_any_order() {
    let canonical = |body: &str| {
        let mut out = Vec::new();
        let read = create(body.as_bytes(), RULES).unwrap();
        read.canonical("/v1/transactions", &mut out);
        out
    };
    let first = canonical(BODY);
    assert_eq!(first, canonical(&BODY.replace("\":", "\" : ")));
    assert_eq!(first, canonical(&with("34.120Z", "59.999Z")), "requestedAt");
    for (from, to) in [
        ("merchantpay", "billpay"),
        ("152300", "152301"),
        ("KES", "UGX"),
        ("345678", "345679"),
        ("0000001", "0000002"),
        ("00042", "00043"),
        ("ussd", "app"),
        ("NBO-07", "NBO-08"),
        ("21:38:35Z", "21:38:36Z"),
    ] {
        assert_ne!(first, canonical(&with(from, to)), "{from}");
    }
    let two = |first: &str, second: &str| {
        with(
            r#"{"key":"msisdn","value":"+254712345678"}"#,
            &format!("{first},{second}"),
        )
    };
    let (one, other) = (
        r#"{"key":"accountid","value":"A"}"#,
        r#"{"key":"walletid","value":"B"}"#,
    );
    assert_eq!(canonical(&two(one, other)), canonical(&two(other, one)));
}

#[test]
fn each_kind_has_a_processing_code_of_its_own() {
    for kind in Kind::ALL {
        let code = kind.processing_code();
        assert_eq!(Kind::of_processing_code(code), Some(kind));
        assert_eq!(Kind::read(kind.name()), Ok(kind));
    }
}

#[test]
fn a_transaction_is_shown_as_the_contract_says() {
    let mut shown = Transaction {
        state: State::Declined,
        code: Some(domain::ResponseCode::new(b"51").unwrap()),
        ..approved()
    };
    let text = |shown: &Transaction| String::from_utf8(shown.to_json(Some("R1"))).unwrap();
    let expected = concat!(
        r#"{"id":"01a1fae5-9c1c-7b1a-8f00-0a0000000421","state":"declined","final":true,"#,
        r#""type":"merchantpay","#,
        r#""amount":{"minor":152300,"currency":"KES","decimal":"1523.00"},"reference":"R1","#,
        r#""responseCode":"51","decline":{"code":"insufficientFunds","#,
        r#""category":"businessRule","retryable":false},"#,
        r#""createdAt":"2026-11-20T21:38:34.000Z"}"#,
    );
    assert_eq!(text(&shown), expected);
    shown.state = State::Pending;
    let pending = text(&shown);
    assert!(!pending.contains("responseCode") && pending.contains(r#""final":false"#));
}

/// One part was refused for good, another one is on its way: the issuer may still take that.
#[test]
fn a_part_that_is_owed_has_not_failed_with_the_one_before() {
    let told = |is_owed, is_excepted| {
        let original = Transaction {
            is_owed,
            is_excepted,
            ..approved()
        };
        let reversed = Reversed {
            original: &original,
            reference: None,
        };
        reversed.state()
    };
    assert_eq!(told(true, true), State::ReversalPending);
    assert_eq!(told(true, false), State::ReversalPending);
    assert_eq!(told(false, true), State::ReversalFailed);
    assert_eq!(told(false, false), State::Reversed);
}

fn approved() -> Transaction {
    Transaction {
        id: domain::ids::TransactionId(0x01a1_fae5_9c1c_7b1a_8f00_0a00_0000_0421),
        state: State::Approved,
        kind: Some(Kind::MerchantPay),
        amount: Amount::new(152_300, Currency::KES).unwrap(),
        code: Some(domain::ResponseCode::APPROVED),
        authorisation: domain::ids::AuthorisationId::EMPTY,
        asked: None,
        created: RULES.now,
        expires: RULES.now,
        is_owed: false,
        is_excepted: false,
        notification: Notification::Polling,
        awaits: Awaits::Issuer,
        left: None,
    }
}

#[test]
fn amounts_are_written_exactly() {
    for (minor, currency, text) in [
        (152_300, "KES", "1523.00"),
        (1, "KES", "0.01"),
        (5, "UGX", "5"),
        (1, "KWD", "0.001"),
        (12_345, "CLF", "1.2345"),
        (999_999_999_999, "KES", "9999999999.99"),
    ] {
        let currency = Currency::from_alphabetic(currency).unwrap();
        assert_eq!(decimal(Amount::new(minor, currency).unwrap()), text);
    }
}

proptest! {
    #[test]
    fn no_bytes_do_harm(body in proptest::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(create(&body, RULES).is_err());
    }

    #[test]
    fn no_change_of_one_byte_does_harm(at in 0..BODY.len(), byte in any::<u8>()) {
        let mut body = BODY.as_bytes().to_vec();
        body[at] = byte;
        let read = create(&body, RULES);
        if let Err(problem) = read {
            prop_assert!(!problem.to_json(RULES.now).is_empty());
        }
    }

    #[test]
    fn each_beginning_is_refused(len in 0..BODY.len()) {
        prop_assert!(create(&BODY.as_bytes()[..len], RULES).is_err());
    }

    #[test]
    fn decimals_say_what_the_minor_units_say(
        minor in 0..=Amount::MINOR_MAX,
        name in prop::sample::select(vec!["UGX", "KES", "KWD", "CLF"]),
    ) {
        let currency = Currency::from_alphabetic(name).unwrap();
        let text = decimal(Amount::new(minor, currency).unwrap());
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        prop_assert_eq!(digits.parse::<u64>().unwrap(), minor);
        let part = text.split_once('.').map_or(0, |(_, part)| part.len());
        prop_assert_eq!(part, usize::from(currency.exponent()));
    }

    #[test]
    fn an_object_with_a_key_twice_is_refused_wherever_it_is(
        depth in 0_usize..15,
        key in "[a-z]{1,8}",
    ) {
        let twice = format!(r#"{{"{key}":1,"{key}":2}}"#);
        let body = format!("{}{twice}{}", "[".repeat(depth), "]".repeat(depth));
        prop_assert_eq!(strict::read(body.as_bytes()), Err(strict::Malformed::KeyTwice));
        let once = format!("{}{{\"{key}\":1}}{}", "[".repeat(depth), "]".repeat(depth));
        let is_read = matches!(strict::read(once.as_bytes()), Ok(Node::Object(_) | Node::List(_)));
        prop_assert!(is_read);
    }
}

const RULES: Rules = Rules {
    now: WallTime::from_unix_millis(1_795_210_714_000),
    account_numbers: AccountNumbers::Refused,
};

const BODY: &str = concat!(
    r#"{"type":"merchantpay","amount":{"minor":152300,"currency":"KES"},"#,
    r#""debitParty":[{"key":"msisdn","value":"+254712345678"}],"#,
    r#""creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],"#,
    r#""reference":"INV-2026-00042","channel":"ussd","#,
    r#""requestedAt":"2026-11-20T21:38:34.120Z","expiresAt":"2026-11-20T21:38:35Z","#,
    r#""metadata":{"store":"NBO-07"}}"#,
);

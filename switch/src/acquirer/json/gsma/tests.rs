//! Amounts exactly, bodies, and what each state and each error is called.

use proptest::prelude::*;
use serde_json::Value;

use super::super::AccountNumbers;
use super::*;

const NOW: WallTime = WallTime::from_unix_millis(1_795_297_141_000);
const RULES: Rules = Rules {
    now: NOW,
    account_numbers: AccountNumbers::Refused,
};

const EXPONENTS: std::ops::RangeInclusive<u8> = 0..=4;

proptest! {
    #[test]
    fn minor_units_are_the_same_after_a_way_through_a_string(given in 1..=Amount::MINOR_MAX) {
        for exponent in EXPONENTS {
            let text = super::super::Decimal { minor: given, exponent }.to_string();
            prop_assert_eq!(minor(&text, exponent), Ok(given));
        }
    }

    #[test]
    fn a_string_is_read_exactly_or_not_at_all(
        text in "(0|[1-9][0-9]{0,17})([.][0-9]{1,4})?",
        zeros in 0..4_usize,
    ) {
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        // Ends in noughts now and then, as few texts that are drawn do.
        let part = format!("{part:0<4}");
        let text = format!("{whole}.{}{}", &part[..4 - zeros], "0".repeat(zeros));
        let scaled: u128 = text.replace('.', "").parse().unwrap();
        for exponent in EXPONENTS {
            // Of ten-thousandths.
            let unit = 10_u128.pow(4 - u32::from(exponent));
            let units = scaled / unit;
            let expected = if !scaled.is_multiple_of(unit) {
                Err(ErrorCode::FormatError)
            } else if units == 0 {
                Err(ErrorCode::LessThanTransactionMinValue)
            } else if units > u128::from(Amount::MINOR_MAX) {
                Err(ErrorCode::GreaterThanTransactionMaxValue)
            } else {
                Ok(units)
            };
            let read = minor(&text, exponent).map(u128::from).map_err(|(code, _)| code);
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn no_text_does_harm(text in "[0-9.+eE, -]{0,24}") {
        let is_of_the_form = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let read = amount(&text, Currency::KES);
        prop_assert!(is_of_the_form || read.is_err());
    }
}

#[test]
fn an_amount_is_of_the_published_form() {
    let read = |text: &str, letters| amount(text, Currency::from_alphabetic(letters).unwrap());
    let minor_of = |text, letters| {
        read(text, letters)
            .map(Amount::minor)
            .map_err(|(code, _)| code)
    };
    assert_eq!(minor_of("15.23", "KES"), Ok(1_523));
    assert_eq!(minor_of("15.2300", "KES"), Ok(1_523));
    assert_eq!(minor_of("15.00", "RWF"), Ok(15));
    assert_eq!(minor_of("0.01", "KES"), Ok(1));
    assert_eq!(minor_of("9999999999.99", "KES"), Ok(999_999_999_999));
    let format = Err(ErrorCode::FormatError);
    // The specification's own sample has more places than its currency.
    assert_eq!(minor_of("15.23", "RWF"), format);
    for text in [
        "",
        ".",
        "1.",
        ".5",
        "01",
        "00",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "1.00000",
        " 1",
        "1 ",
        "٣",
        "1000000000000000000",
    ] {
        assert_eq!(minor_of(text, "KES"), format, "{text}");
    }
    let large = Err(ErrorCode::GreaterThanTransactionMaxValue);
    assert_eq!(minor_of("10000000000.00", "KES"), large);
    assert_eq!(minor_of("999999999999999999.9999", "CLF"), large);
    assert_eq!(
        minor_of("0.00", "KES"),
        Err(ErrorCode::LessThanTransactionMinValue)
    );
}

const BODY: &str = r#"{"amount":"1523.00","currency":"KES",
    "debitParty":[{"key":"msisdn","value":"+254712345678"}],
    "creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],
    "requestingOrganisationTransactionReference":"INV-2026-00042","descriptionText":"d",
    "requestDate":"2026-11-20T21:38:34.120Z","metadata":[{"key":"store","value":"NBO-07"}]}"#;

#[test]
fn a_body_says_what_one_of_the_other_api_says() {
    let native = br#"{"type":"merchantpay","amount":{"minor":152300,"currency":"KES"},
        "debitParty":[{"key":"msisdn","value":"+254712345678"}],
        "creditParty":[{"key":"organisationid","value":"MERCHANT0000001"}],
        "reference":"INV-2026-00042","description":"d",
        "requestedAt":"2026-11-20T21:38:34.120Z","metadata":{"store":"NBO-07"}}"#;
    let native = super::super::create(native, RULES).unwrap();
    let named = create(BODY.as_bytes(), Some(Kind::MerchantPay), RULES).unwrap();
    assert!(named == native);
    let typed = BODY.replacen('{', r#"{"type":"merchantpay","#, 1);
    assert!(create(typed.as_bytes(), None, RULES).unwrap() == native);
    assert!(create(typed.as_bytes(), Some(Kind::MerchantPay), RULES).unwrap() == native);
}

#[track_caller]
fn refused(body: &str, kind: Option<Kind>, expected: &[(&str, ErrorCode)]) {
    let problem = create(body.as_bytes(), kind, RULES).unwrap_err();
    let told: Vec<(&str, ErrorCode)> = problem
        .errors
        .iter()
        .map(|error| (error.pointer.as_str(), error.error_code))
        .collect();
    assert_eq!(told, expected, "{body}");
}

#[test]
fn what_cannot_be_used_is_told_at_once() {
    let missing = ErrorCode::MandatoryValueNotSupplied;
    refused(BODY, None, &[("/type", missing)]);
    let typed = BODY.replacen('{', r#"{"type":"billpay","#, 1);
    let format = ErrorCode::FormatError;
    refused(&typed, Some(Kind::MerchantPay), &[("/type", format)]);
    let number = BODY.replace("\"1523.00\"", "1523.00");
    refused(&number, Some(Kind::BillPay), &[("/amount", format)]);
    let precise = BODY.replace("1523.00", "1523.001");
    refused(&precise, Some(Kind::BillPay), &[("/amount", format)]);
    let more = BODY.replacen('{', r#"{"pin":"1","#, 1);
    refused(&more, Some(Kind::BillPay), &[("", format)]);
    let twice = BODY.replace("}]}", r#"},{"key":"store","value":"2"}]}"#);
    refused(&twice, Some(Kind::BillPay), &[("/metadata/1/key", format)]);
    let problem = create(
        BODY.replace("KES", "ABC").as_bytes(),
        Some(Kind::BillPay),
        RULES,
    );
    assert_eq!(problem.unwrap_err().slug, Slug::CurrencyNotSupported);
}

#[test]
fn a_reversal_takes_back_all_or_a_part() {
    assert_eq!(reverse(b"{}").unwrap().amount, None);
    let part = reverse(br#"{"type":"reversal","amount":"5.00","currency":"KES"}"#).unwrap();
    assert_eq!(part.amount, Amount::new(500, Currency::KES).ok());
    let errors = |body: &[u8]| reverse(body).unwrap_err().errors.len();
    assert_eq!(errors(br#"{"amount":"5.00"}"#), 1);
    assert_eq!(errors(br#"{"type":"billpay","currency":"KES"}"#), 2);
}

fn transaction(state: State, code: Option<ResponseCode>) -> Transaction {
    Transaction {
        id: TransactionId(0x01a1_fae5_9c1c_7b1a_8f00_0a00_0000_0421),
        state,
        kind: Some(Kind::MerchantPay),
        amount: Amount::new(152_300, Currency::KES).unwrap(),
        code,
        authorisation: domain::bytes::Text::EMPTY,
        asked: None,
        created: NOW,
        expires: NOW,
        is_owed: false,
        is_excepted: false,
        notification: crate::acquirer::shown::Notification::Polling,
        awaits: crate::acquirer::shown::Awaits::Issuer,
        left: None,
    }
}

/// A 400 would be read as the end of what may still be made.
#[test]
fn what_is_in_progress_is_asked_again() {
    assert_eq!(Problem::of(Slug::InProgress).gsma_status(), 503);
    assert_eq!(Problem::of(Slug::StateConflict).gsma_status(), 400);
}

#[test]
fn each_state_has_its_words() {
    let approved = Some(ResponseCode::APPROVED);
    let declined = ResponseCode::read(b"51").ok();
    for (state, code, transaction_status, status) in [
        (State::Pending, None, "pending", "pending"),
        (State::Approved, approved, "completed", "completed"),
        (State::Declined, declined, "failed", "failed"),
        (State::Failed, None, "failed", "failed"),
        (State::ReversalPending, None, "reversing", "pending"),
        (State::Reversed, approved, "reversed", "completed"),
        // It timed out and was never approved: nobody is told that it is done.
        (State::Reversed, None, "reversed", "failed"),
        (State::ReversalFailed, approved, "reversalFailed", "failed"),
    ] {
        let transaction = transaction(state, code);
        let told: Value = serde_json::from_slice(&transaction.to_gsma(Some(""))).unwrap();
        assert_eq!(told["transactionStatus"], transaction_status, "{state:?}");
        assert_eq!(told["amount"], "1523.00");
        assert!(
            told.get("requestingOrganisationTransactionReference")
                .is_none()
        );
        let told: Value = serde_json::from_slice(&transaction.to_request_state(NOW)).unwrap();
        assert_eq!(told["status"], status, "{state:?}");
        assert_eq!(told.get("error").is_some(), status == "failed");
        assert_eq!(told.get("expiryTime").is_some(), status == "pending");
        let is_refused = status == "failed" && state != State::ReversalFailed;
        assert_eq!(transaction.gsma_refusal().is_some(), is_refused);
    }
    let refusal = transaction(State::Declined, declined)
        .gsma_refusal()
        .unwrap();
    let told: Value = serde_json::from_slice(&refusal.to_json(NOW)).unwrap();
    let expected = ("businessRule".into(), "insufficientFunds".into());
    assert_eq!(
        (&told["errorCategory"], &told["errorCode"]),
        (&expected.0, &expected.1)
    );
}

#[test]
fn each_error_has_a_status_that_exists_there() {
    for slug in Slug::ALL {
        let problem = Problem::of(slug);
        let status = problem.gsma_status();
        let expected = match slug {
            Slug::Unauthenticated | Slug::NotPermitted => 401,
            Slug::NotFound | Slug::MethodNotAllowed => 404,
            Slug::Overloaded | Slug::Draining | Slug::InProgress => 503,
            _ => 400,
        };
        assert_eq!(status, expected, "{}", slug.name());
        let told: Value = serde_json::from_slice(&problem.to_gsma(NOW)).unwrap();
        for name in [
            "errorCategory",
            "errorCode",
            "errorDescription",
            "errorDateTime",
        ] {
            assert!(told[name].is_string(), "{name}");
        }
    }
    let problem = create(b"[]", None, RULES).unwrap_err();
    let told: Value = serde_json::from_slice(&problem.to_gsma(NOW)).unwrap();
    assert_eq!(told["errorParameters"][0]["value"], "must be an object");
}

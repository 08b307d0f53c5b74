//! Response codes and units of an endpoint.

use domain::ResponseCode;
use domain::currency::Currency;

use super::*;

fn code(digits: &str) -> ResponseCode {
    ResponseCode::read(digits.as_bytes()).unwrap()
}

#[test]
fn what_is_left_out_is_the_standards() {
    let config = example(&[]);
    let listener = &config.listeners[0];
    assert!(listener.wire.codes.is_standard() && listener.wire.exponents.is_iso());
    assert_eq!(listener.timeout_answer, ResponseCode::ISSUER_TIMED_OUT);
    assert_eq!(listener.mac_failure_answer, Some(code("63")));
    let without = EXAMPLE.replacen("mac_failure_answer = \"63\"", "", 1);
    let of_1993 = [("NJIA__LISTENER__POS__DIALECT", "iso93-bcd")];
    let config = Config::parse("njia.toml", &without, &environment(&of_1993)).unwrap();
    assert_eq!(config.listeners[0].mac_failure_answer, Some(code("916")));
}

#[test]
fn an_endpoint_has_codes_and_units_of_its_own() {
    let config = example(&[
        ("NJIA__LISTENER__POS__TIMEOUT_ANSWER", "68"),
        ("NJIA__LISTENER__POS__CODE_MAP", "N7=117"),
        ("NJIA__ISSUER__BANK__DIALECT", "iso93-ascii"),
        ("NJIA__ISSUER__BANK__CODE_MAP", "180=55, 181=126"),
        ("NJIA__ISSUER__BANK__APPROVAL_CODES", "000-003,085"),
        ("NJIA__ISSUER__BANK__EXPONENT_OVERRIDE", "UGX=2"),
    ]);
    let (listener, bank) = (&config.listeners[0], &config.issuers[0]);
    assert_eq!(listener.timeout_answer, ResponseCode::RECEIVED_TOO_LATE);
    assert_eq!(listener.wire.codes.named(code("55")), code("N7"));
    let read = |digits: &str| bank.wire.codes.read(code(digits));
    assert_eq!((read("180"), read("181")), (code("55"), code("126")));
    assert_eq!((read("085"), read("004")), (code("085"), code("05")));
    assert!(read("085").is_approval());
    let amount = Amount::new(150_000, Currency::UGX).unwrap();
    let iso = bank.wire.exponents.from_network(amount).unwrap();
    assert_eq!(iso.minor(), 1_500);
}

#[test]
fn what_cannot_be_is_refused() {
    let check = |key: &str, value: &str, told: &str| check_wire(&[(key, value)], &[told]);
    let map = "NJIA__ISSUER__BANK__CODE_MAP";
    let wanted = "`code_map` takes a code of the endpoint and one of 1987 or 1993, as \"N7=55\"";
    for bad in ["55", "180=55", "N7=", "N=55", "N7=5x5"] {
        check(map, bad, wanted);
    }
    check(
        map,
        "85=00",
        "`code_map` makes 00 of 85: a decline never becomes an approval, nor an approval a \
         decline; `approval_codes` says which codes approve",
    );
    check(
        map,
        "41=05",
        "`code_map` makes 05 of 41: only one of them says to keep the card",
    );
    check(map, "Z1=51,Z1=55", "`code_map` says twice what Z1 means");
    check(
        "NJIA__ISSUER__BANK__APPROVAL_CODES",
        "000",
        "`approval_codes` takes codes of the endpoint, as \"00\" or \"000-099\"",
    );
    check(
        "NJIA__LISTENER__POS__APPROVAL_CODES",
        "00",
        "`approval_codes` is for issuers: an acquirer sends no codes",
    );
    let exponents = "NJIA__LISTENER__POS__EXPONENT_OVERRIDE";
    let places =
        "`exponent_override` takes a currency and its decimal places, 0 to 4, as \"UGX=2\"";
    for bad in ["UGX", "UGX=5", "UGX=x"] {
        check(exponents, bad, places);
    }
    check(
        exponents,
        "UGX=1,UGX=2",
        "`exponent_override` names UGX twice",
    );
    check(
        "NJIA__LISTENER__POS__TIMEOUT_ANSWER",
        "96",
        "`timeout_answer` takes \"91\" or \"68\"",
    );
}

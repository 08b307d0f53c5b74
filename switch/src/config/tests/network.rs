//! Codes of network messages, sign-on and echo, what answers give back.

use domain::network::NetworkKind;

use super::*;

/// The example with more keys of the listener and of the first issuer.
fn with_keys(listener: &str, bank: &str) -> String {
    let text = EXAMPLE.replacen("network_codes = \"generic\"", listener, 1);
    text.replacen("network_codes = \"generic\"", bank, 1)
}

#[test]
fn codes_are_a_family_or_a_table() {
    let table = "network_codes = { sign_on = [\"063\", \"061\"], echo = [\"302\"] }";
    let text = with_keys("network_codes = \"visa\"", table);
    let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
    assert_eq!(config.listeners[0].network_codes, NetworkCodes::VISA);
    let bank = config.issuers[0].network_codes;
    let sent = NetworkKind::NAMED.map(|kind| bank.code(kind).unwrap());
    assert_eq!(sent, [*b"063", *b"002", *b"302", *b"101", *b"201", *b"202"]);
    assert_eq!(bank.kind(*b"061"), NetworkKind::SignOn);
    assert_eq!(config.issuers[1].network_codes, NetworkCodes::GENERIC);
    let by_variable = ("NJIA__ISSUER__BANK__NETWORK_CODES", "mastercard");
    let codes = example(&[by_variable]).issuers[0].network_codes;
    assert_eq!(codes, NetworkCodes::MASTERCARD);
}

#[test]
fn codes_that_cannot_be_are_refused_where_they_stand() {
    let check = |keys: &str, place_of: &str, expected: &str| {
        let text = with_keys(keys, "network_codes = \"generic\"");
        check_text(
            &text,
            &[],
            &[&format!("{}: {expected}", place(&text, place_of))],
        );
    };
    check(
        "network_codes = \"amex\"",
        "network_codes = \"amex\"",
        "`network_codes` takes \"generic\", \"visa\", \"mastercard\" or a table of codes",
    );
    check(
        "network_codes = { echo = [\"30\"] }",
        "\"30\"",
        "`echo` takes codes of three digits, as \"001\"",
    );
    check(
        "network_codes = { echo = [\"1\", \"2\", \"3\", \"4\", \"5\"] }"
            .replace("\"1\"", "\"311\"")
            .replace("\"2\"", "\"312\"")
            .replace("\"3\"", "\"313\"")
            .replace("\"4\"", "\"314\"")
            .replace("\"5\"", "\"315\"")
            .as_str(),
        "echo = [\"311\"",
        "`echo` takes at most 4 codes",
    );
    check(
        "network_codes = { sign_on = [\"001\"], echo = [\"301\", \"001\"] }",
        "echo = [\"301\"",
        "`echo` has a code of `sign_on` too: each means one thing",
    );
    check(
        "network_codes = { ecco = [\"301\"] }",
        "ecco",
        "unknown key `ecco` in [listener.network_codes]; did you mean `echo`?",
    );
}

#[test]
fn a_profile_says_what_answers_give_back() {
    let fields = |text: &str| {
        let text = EXAMPLE.replacen("match_fields = [7, 41]", text, 1);
        let config = Config::parse("njia.toml", &text, &environment(&[]));
        config.map(|config| config.issuers[0].match_fields.to_string())
    };
    assert_eq!(fields("match_fields = [37, 11]").unwrap(), "DE37");
    assert_eq!(
        fields("match_fields = [41, 7, 12, 13, 32, 42]").unwrap(),
        "DE7, DE12, DE13, DE32, DE41, DE42"
    );
    for (keys, expected) in [
        (
            "match_fields = [11]",
            "`match_fields` needs a field besides 11: a STAN alone is no key",
        ),
        (
            "match_fields = []",
            "`match_fields` needs a field besides 11: a STAN alone is no key",
        ),
    ] {
        let told = fields(keys).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
    let told = fields("match_fields = [7, 38]").unwrap_err().to_string();
    let expected = "`match_fields` takes fields out of 7, 11, 12, 13, 32, 37, 41 and 42";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn links_and_sessions_have_their_policies() {
    let config = example(&[
        ("NJIA__ISSUER__BANK__ECHO_MISSED", "5"),
        ("NJIA__ISSUER__BANK__NETWORK_TIMEOUT_MS", "500"),
        ("NJIA__ISSUER__BANK__LINK_GROUP", "issuer"),
        ("NJIA__ISSUER__BANK__HOLD_ON_CUTOVER", "true"),
        ("NJIA__LISTENER__POS__REQUIRE_SIGN_ON", "true"),
        ("NJIA__LISTENER__POS__ECHO_IDLE_S", "7"),
    ]);
    let bank = &config.issuers[0];
    assert_eq!((bank.link.echo_missed, bank.link.sign_on), (5, true));
    assert_eq!(bank.link.answer_timeout, Duration::from_millis(500));
    assert!(bank.hold_on_cutover && bank.link_group == LinkGroup::Issuer);
    let session = config.listeners[0].session;
    assert!(session.require_sign_on);
    assert_eq!(session.echo_idle, Some(Duration::from_secs(7)));
    assert_eq!(example(&[]).listeners[0].session.echo_idle, None);
}

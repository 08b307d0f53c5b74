//! What holds of `[[gateway]]`.

use std::time::Duration;

use super::*;

/// The example with a gateway of an acquirer of its own, and further lines of it.
fn with_gateway(more: &str) -> String {
    format!(
        "{EXAMPLE}\n[[acquirer]]\nname = \"mobile-money\"\n[[gateway]]\nname = \"mobile\"\n\
         address = \"127.0.0.1:8080\"\nplaintext = true\nacquirer = \"mobile-money\"\n\
         terminal = \"GATEWAY1\"\nmerchant = \"MOBILEMONEY0001\"\n\
         api_keys_sha256 = [\"{}\"]\n{more}",
        "ab".repeat(32)
    )
}

/// As [`place`], of the last one: the example has most keys in a comment.
fn last_place(text: &str, needle: &str) -> String {
    let (before, _) = text.rsplit_once(needle).unwrap();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().len() + 1;
    format!("njia.toml:{line}:{column}")
}

fn read(more: &str) -> Config {
    Config::parse("njia.toml", &with_gateway(more), &environment(&[])).unwrap()
}

#[test]
fn a_gateway_says_how_long_its_keys_are_known() {
    let of_node = read("").duplicates.window;
    let windows = |more: &str| read(more).windows().last().unwrap().requests;
    assert_eq!(windows(""), of_node);
    let day = Duration::from_secs(86_400);
    assert_eq!(windows("duplicate_window_s = 86_400"), day);
    let remembered = read("duplicate_window_s = 86_400").remembered();
    assert!(remembered.per_second < read("").remembered().per_second);
    let text = with_gateway("duplicate_window_s = 86_401");
    let at = place(&text, "duplicate_window_s = 86_401");
    let told = format!("{at}: `duplicate_window_s` is 86401, it must be 10 to 86400");
    check_text(&text, &[], &[&told]);
}

#[test]
fn a_rate_says_how_many_and_how_many_at_once() {
    let rates = |more: &str| read(more).gateways.last().unwrap().rates;
    let none = GatewayRates {
        gateway: None,
        address: None,
        failure_cost: 10,
    };
    assert_eq!(rates(""), none);
    let rate = |per_second, burst| Some(Rate { per_second, burst });
    assert_eq!(rates("rate_per_second = 50").gateway, rate(50, 50));
    let both = rates("address_rate_per_second = 5\naddress_rate_burst = 20");
    assert_eq!((both.gateway, both.address), (None, rate(5, 20)));
    for (key, most) in [
        ("rate_per_second", 1_000_000),
        ("address_rate_per_second", 1_000_000),
    ] {
        read(&format!("{key} = 1"));
        read(&format!("{key} = {most}"));
        for beyond in [0, most + 1] {
            let text = with_gateway(&format!("{key} = {beyond}"));
            let at = place(&text, &format!("{key} = {beyond}"));
            let told = format!("{at}: `{key}` is {beyond}, it must be 1 to {most}");
            check_text(&text, &[], &[&told]);
        }
    }
    let dear = rates("address_rate_per_second = 5\naddress_failure_cost = 1_000");
    assert_eq!(dear.failure_cost, 1_000);
    let text = with_gateway("address_failure_cost = 5");
    let at = last_place(&text, "address_failure_cost = 5");
    let told =
        format!("{at}: `address_failure_cost` is of no use without `address_rate_per_second`");
    check_text(&text, &[], &[&told]);
    let text = with_gateway("rate_burst = 20");
    let at = place(&text, "rate_burst = 20");
    let told = format!("{at}: `rate_burst` is of no use without `rate_per_second`");
    check_text(&text, &[], &[&told]);
}

#[test]
fn connections_are_bounded_unless_an_address_is_not() {
    let bounds = |more: &str| read(more).gateways.last().unwrap().connections;
    let usual = ConnectionBounds {
        all: 2_048,
        of_address: Some(1_024),
        idle_max: Duration::from_secs(60),
    };
    assert_eq!(bounds(""), usual);
    let more = "connections_max = 100_000\nconnections_per_address_max = 0\nidle_max_s = 3_600";
    let other = ConnectionBounds {
        all: 100_000,
        of_address: None,
        idle_max: Duration::from_secs(3_600),
    };
    assert_eq!(bounds(more), other);
    assert_eq!(read("").listeners[0].connections_per_address, Some(1_024));
    for (wrong, least) in [("connections_max = 0", 1), ("idle_max_s = 4", 5)] {
        let text = with_gateway(wrong);
        assert!(
            Config::parse("njia.toml", &text, &environment(&[])).is_err(),
            "{least}"
        );
    }
}

#[test]
fn connections_of_gateways_count_among_the_files_of_a_start() {
    use crate::control::preflight::Needs;
    let needed = |config: &Config| Needs::of(config, 2).descriptors;
    let without = needed(&example(&[]));
    assert_eq!(needed(&read("")), without + 2_048);
    assert_eq!(needed(&read("connections_max = 70")), without + 70);
}

#[test]
fn the_name_of_a_gateway_is_a_label() {
    let text = with_gateway("");
    let text = text.replace(
        "\n[[gateway]]\nname = \"mobile\"",
        "\n[[gateway]]\nname = \"Mobile\"",
    );
    let at = place(&text, "name = \"Mobile\"");
    let told = format!(
        "{at}: `name` takes 1 to 32 characters of a-z, 0-9 and `-`: it becomes a metric label"
    );
    check_text(&text, &[], &[&told]);
}

#[test]
fn what_a_gateway_may_ask_for_is_listed() {
    use crate::acquirer::shown::Kind;
    let of = |more: &str| read(more).gateways.last().unwrap().permissions.clone();
    let amount = |minor, currency| Amount::new(minor, currency).unwrap();
    let all = of("");
    let most = amount(Amount::MINOR_MAX, Currency::UGX);
    all.check(Kind::Withdrawal, most).unwrap();
    let some = of(
        "types = [\"merchantpay\", \"billpay\"]\ncurrencies = [\"KES\", \"UGX\"]\n\
                   [gateway.amount_max]\nKES = 5_000\n",
    );
    some.check(Kind::BillPay, amount(5_000, Currency::KES))
        .unwrap();
    some.check(Kind::BillPay, most).unwrap();
    for (kind, amount, expected) in [
        (
            Kind::Withdrawal,
            amount(1, Currency::KES),
            NotPermitted::Type,
        ),
        (
            Kind::BillPay,
            amount(1, Currency::USD),
            NotPermitted::Currency,
        ),
        (
            Kind::BillPay,
            amount(5_001, Currency::KES),
            NotPermitted::Amount,
        ),
    ] {
        assert_eq!(some.check(kind, amount), Err(expected));
    }
    for (more, key, told) in [
        (
            "types = []",
            "types",
            "`types` may not be empty: leave it out for all",
        ),
        (
            "types = [\"billPay\"]",
            "\"billPay\"",
            "`types` has no type `billPay`; `billpay`?",
        ),
        (
            "currencies = [\"kes\"]",
            "\"kes\"",
            "`currencies` takes three capital letters of ISO 4217",
        ),
        (
            "currencies = [\"UGX\"]\n[gateway.amount_max]\nKES = 1",
            "[gateway.amount_max]",
            "`KES` is not among `currencies`",
        ),
        (
            "[gateway.amount_max]\nKES = 0",
            "KES = 0",
            "`KES` is 0, it must be 1 to 999999999999",
        ),
    ] {
        let text = with_gateway(more);
        let at = last_place(&text, key);
        check_text(&text, &[], &[&format!("{at}: {told}")]);
    }
}

#[test]
fn a_gateway_shows_a_key_or_signs() {
    let keys = "[[gateway.api_key]]\nsha256 = \"@\"\nnot_after = \"2027-06-30T00:00:00Z\"\n";
    let keys = keys.replace('@', &"cd".repeat(32));
    let config = read(&keys);
    let held = &config.gateways.last().unwrap().credentials;
    let ends: Vec<bool> = held
        .api_keys
        .iter()
        .map(|key| key.not_after.is_some())
        .collect();
    assert_eq!(ends, [false, true]);
    let signing =
        |id: &str| format!("[[gateway.signing_key]]\nid = \"{id}\"\nsecret = \"env:KEY\"\n");
    let both = with_gateway(&signing("a"));
    let api_keys = format!("api_keys_sha256 = [\"{}\"]\n", "ab".repeat(32));
    let fault = |text: &str, told: &str| {
        let errors = Config::parse("njia.toml", text, &environment(&[])).unwrap_err();
        let all: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
        assert!(all.iter().any(|one| one.contains(told)), "{all:?}");
    };
    fault(&both, "`signing_key` and API keys are one or the other");
    let alone = |more: &str| with_gateway(more).replace(&format!("\n{api_keys}"), "\n");
    let good = alone(&[signing("a"), signing("b")].concat());
    let config = Config::parse("njia.toml", &good, &environment(&[])).unwrap();
    let held = &config.gateways.last().unwrap().credentials;
    assert_eq!((held.signing_keys.len(), held.api_keys.len()), (2, 0));
    fault(&alone(""), "`api_keys_sha256` is missing");
    fault(
        &alone(&signing("a").repeat(2)),
        "`id` is that of another signing key",
    );
    let five: String = ["a", "b", "c", "d", "e"].map(signing).concat();
    fault(
        &alone(&five),
        "there are 5 of `signing_key`, at most 4 are possible",
    );
    fault(
        &alone(&signing("a").replace("env:KEY", KEY)),
        "is a literal secret",
    );
    let short = alone(&signing("a").replace("env:KEY", "env:SHORT"));
    let errors = Config::parse("njia.toml", &short, &environment(&[("SHORT", &KEY[2..])]));
    let told = errors.unwrap_err().to_string();
    assert!(told.contains("must hold 32 to 64 bytes"), "{told}");
    assert!(!told.contains(&KEY[2..]));
    let brief = alone(&format!("duplicate_window_s = 599\n{}", signing("a")));
    fault(&brief, "`duplicate_window_s` is below 600 s");
    Config::parse("njia.toml", &brief.replace("599", "600"), &environment(&[])).unwrap();
    fault(
        &with_gateway("nonces_max = 1_000"),
        "`nonces_max` is of no use",
    );
}

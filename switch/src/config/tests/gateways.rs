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
    assert_eq!(rates(""), GatewayRates::default());
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
    let text = with_gateway("rate_burst = 20");
    let at = place(&text, "rate_burst = 20");
    let told = format!("{at}: `rate_burst` is of no use without `rate_per_second`");
    check_text(&text, &[], &[&told]);
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

//! Tables `mac`: what they become, and what of them is refused.

use iso8583::mac::MacEngine as _;

use super::*;

/// The example with MACs of the listener and of the bank, the keys in the environment.
fn with_macs(listener: &str, bank: &str) -> String {
    let text = EXAMPLE.replacen("software_mac = false", "software_mac = true ", 1);
    let text = text.replacen(
        "mac_failure_answer",
        &format!("{listener}\nmac_failure_answer"),
        1,
    );
    text.replacen(
        "reversal_timeout_ms",
        &format!("{bank}\nreversal_timeout_ms"),
        1,
    )
}

const MAC_KEYS: [(&str, &str); 4] = [
    ("POS_IN", "0123456789abcdeffedcba9876543210"),
    ("POS_OUT", "00112233445566778899AABBCCDDEEFF"),
    ("BANK_IN", "000102030405060708090a0b0c0d0e0f"),
    ("BANK_OUT", "101112131415161718191a1b1c1d1e1f"),
];
const POS_MAC: &str =
    "mac = { algorithm = \"retail\", receive_key = \"env:POS_IN\", send_key = \"env:POS_OUT\" }";

#[test]
fn each_endpoint_may_have_a_mac() {
    let bank = "mac.algorithm = \"aes-cmac\"\nmac.length = 4\nmac.network = false\n\
                mac.receive_key = \"env:BANK_IN\"\nmac.send_key = \"env:BANK_OUT\"";
    let text = with_macs(POS_MAC, bank);
    let config = Config::parse("njia.toml", &text, &environment(&MAC_KEYS)).unwrap();
    let retail = "SoftwareMac { algorithm: Retail(Method2), len: Eight, .. }";
    let cmac = "SoftwareMac { algorithm: AesCmac, len: Four, .. }";
    let shown = |receive: &str, network: bool| {
        let change = "change: None";
        format!(
            "EndpointMac {{ receive: {receive}, send: {receive}, network: {network}, {change} }}"
        )
    };
    let told = |mac: &Option<Arc<EndpointMac>>| format!("{:?}", mac.as_deref().unwrap());
    assert_eq!(told(&config.listeners[0].mac), shown(retail, true));
    assert_eq!(told(&config.issuers[0].mac), shown(cmac, false));
    assert!(config.issuers[1].mac.is_none());
    let receive = &config.listeners[0].mac.as_ref().unwrap().receive;
    // ISO/IEC 9797-1:2011, B.4.
    let mac = receive.compute(b"Now is the time for all ");
    assert_eq!(
        mac,
        0xE908_6230_CA3B_E796_u64.to_be_bytes(),
        "the key is the one to receive with"
    );
}

#[test]
fn the_environment_may_bring_a_mac() {
    let more = [
        ("NJIA__KEYS__SOFTWARE_MAC", "true"),
        ("NJIA__ISSUER__BANK__MAC__ALGORITHM", "aes-cmac"),
        ("NJIA__ISSUER__BANK__MAC__RECEIVE_KEY", "env:BANK_IN"),
        ("NJIA__ISSUER__BANK__MAC__SEND_KEY", "env:BANK_OUT"),
        ("NJIA__LISTENER__POS__MAC_FAILURE_ANSWER", "none"),
    ];
    let config = example(&[&more[..], &MAC_KEYS[..]].concat());
    assert!(config.issuers[0].mac.is_some() && config.listeners[0].mac.is_none());
    assert_eq!(config.listeners[0].mac_failure_answer, None);
    let answer = example(&[]).listeners[0].mac_failure_answer;
    assert_eq!(answer, Some(ResponseCode::SECURITY_VIOLATION));
}

#[track_caller]
fn check_mac(listener: &str, place_of: &str, expected: &str) {
    let text = with_macs(listener, "");
    let expected = format!("{}: {expected}", place(&text, place_of));
    check_text(&text, &MAC_KEYS, &[&expected]);
}

#[test]
fn a_mac_that_cannot_be_is_refused_where_it_stands() {
    let with = |from: &str, to: &str| {
        assert!(POS_MAC.contains(from));
        POS_MAC.replacen(from, to, 1)
    };
    let check = |from, to: &str, place_of, expected| {
        check_mac(&with(from, to), place_of, expected);
    };
    let takes = "`algorithm` takes \"retail\", \"alg1\" or \"aes-cmac\"";
    check("\"retail\"", "\"x9.9\"", "algorithm = \"x9", takes);
    check(
        "algorithm = \"retail\", ",
        "",
        "{ receive",
        "`algorithm` is missing in [listener.mac]",
    );
    check(
        ", send_key = \"env:POS_OUT\"",
        "",
        "{ algorithm",
        "`send_key` is missing in [listener.mac]",
    );
    check(
        " }",
        ", length = 6 }",
        "length = 6",
        "`length` takes 4 or 8",
    );
    check(
        " }",
        ", padding = 3 }",
        "padding = 3",
        "`padding` is 3, it must be 1 to 2",
    );
    check(
        "\"retail\"",
        "\"aes-cmac\", padding = 1",
        "padding = 1",
        "`padding` is not for aes-cmac, which pads by itself",
    );
    check(
        "env:POS_IN",
        "0123456789abcdef",
        "receive_key = \"0",
        "`receive_key` is a literal secret; write file:PATH, env:NAME or credential:NAME",
    );
    check(
        "env:POS_IN",
        "env:KEY",
        "receive_key = \"env:KEY",
        "`receive_key` has 32 bytes; retail takes 16",
    );
    check(
        " }",
        ", lenght = 8 }",
        "lenght",
        "unknown key `lenght` in [listener.mac]; did you mean `length`?",
    );
}

#[test]
fn no_key_of_a_mac_serves_twice() {
    let listener = POS_MAC.replacen("POS_OUT", "POS_IN", 1);
    let bank = POS_MAC.replacen("POS_OUT", "BANK_OUT", 1);
    let text = with_macs(&listener, &bank);
    let first = place(&text, "receive_key = \"env:POS_IN");
    let told = |at: &str, name: &str| {
        format!("{at}: `{name}` is the key at {first} too: each use has its own")
    };
    let from = text.find(&bank).unwrap();
    let second = place(&text, &text[from..][bank.find("receive_key").unwrap()..]);
    let expected = [
        told(&place(&text, "send_key = \"env:POS_IN"), "send_key"),
        told(&second, "receive_key"),
    ];
    check_text(&text, &MAC_KEYS, &[&expected[0], &expected[1]]);
}

#[test]
fn keys_of_des_that_differ_in_parity_alone_are_one() {
    let parity = [
        ("POS_IN", "0123456789abcdeffedcba9876543210"),
        ("POS_OUT", "0022446688aacceefedcba9876543210"),
    ];
    for algorithm in ["retail", "alg1"] {
        let text = with_macs(&POS_MAC.replacen("retail", algorithm, 1), "");
        let (at, first) = (place(&text, "send_key"), place(&text, "receive_key"));
        let told = format!("{at}: `send_key` is the key at {first} too: each use has its own");
        check_text(&text, &parity, &[&told]);
    }
    let text = with_macs(&POS_MAC.replacen("retail", "aes-cmac", 1), "");
    Config::parse("njia.toml", &text, &environment(&parity)).unwrap();
}

#[test]
fn no_key_of_a_mac_is_one_of_the_switch() {
    let listener = POS_MAC.replacen("retail", "aes-cmac", 1);
    let text = with_macs(&listener.replacen("env:POS_IN", "env:KEY", 1), "");
    let told = format!(
        "{}: `receive_key` is the key at environment variable NJIA__KEYS__TOKEN_KEY too: each use \
         has its own",
        place(&text, "receive_key")
    );
    check_text(&text, &MAC_KEYS, &[&told]);
    let keys: Vec<_> = MAC_KEYS
        .into_iter()
        .chain([
            (
                "OTHER",
                "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            ),
            ("NJIA__KEYS__TOKEN_KEY", "env:OTHER"),
        ])
        .collect();
    let told = told.replacen("TOKEN", "PAN", 1);
    check_text(&text, &keys, &[&told]);
}

#[test]
fn keys_of_macs_must_be_hexadecimal() {
    let text = with_macs(POS_MAC, "");
    for bad in [
        "0123456789abcdeffedcba987654321",
        "0123456789abcdeffedcba98765432+1",
        "hexadecimals",
    ] {
        let mut keys = MAC_KEYS;
        keys[0].1 = bad;
        let errors = Config::parse("njia.toml", &text, &environment(&keys)).unwrap_err();
        let told = errors.to_string();
        let expected = "`receive_key` (env:POS_IN) must hold pairs of hexadecimal digits";
        assert!(told.contains(expected) && !told.contains(bad), "{told}");
    }
}

#[test]
fn macs_in_software_have_to_be_admitted() {
    let text = with_macs(POS_MAC, "").replacen("software_mac = true ", "software_mac = false", 1);
    let expected = format!(
        "{}: `mac` needs `keys.software_mac = true`: its keys lie in this process, not in an HSM",
        place(&text, "{ algorithm")
    );
    check_text(&text, &MAC_KEYS, &[&expected]);
}

#[test]
fn a_failed_mac_is_never_answered_with_an_approval() {
    for bad in ["00", "630", "", "drop"] {
        let text = format!("mac_failure_answer = \"{bad}\"");
        let told = "`mac_failure_answer` takes \"none\" or a response code that does not approve";
        let whole = EXAMPLE.replacen("mac_failure_answer = \"63\"", &text, 1);
        let expected = format!("{}: {told}", place(&whole, "mac_failure_answer"));
        check_text(&whole, &[], &[&expected]);
    }
}

const KEK: (&str, &str) = ("KEK", "404142434445464748494a4b4c4d4e4f");

/// The faults of a table `key_change` of the listener, each at its `place_of`.
#[track_caller]
fn check_change(change: &str, place_of: &str, expected: &str) {
    let mac = POS_MAC.replacen(" }", &format!(", key_change = {{ {change} }} }}"), 1);
    let text = with_macs(&mac, "");
    let keys = [&MAC_KEYS[..], &[KEK]].concat();
    let expected = format!("{}: {expected}", place(&text, place_of));
    check_text(&text, &keys, &[&expected]);
}

#[test]
fn the_keys_of_an_endpoint_may_be_changed() {
    let mac = POS_MAC.replacen(" }", ", key_change = { kek = \"env:KEK\" } }", 1);
    let bank = "mac.algorithm = \"aes-cmac\"\nmac.receive_key = \"env:BANK_IN\"\n\
                mac.send_key = \"env:BANK_OUT\"\nmac.key_change.kek = \"env:OTHER\"\n\
                mac.key_change.key_field = 120\nmac.key_change.check_field = 62\n\
                mac.key_change.check_bytes = 5\nmac.key_change.keys = \"receive\"\n\
                mac.key_change.overlap_s = 60\nmac.key_change.ask = true";
    let other = ("OTHER", "505152535455565758595a5b5c5d5e5f");
    let keys = [&MAC_KEYS[..], &[KEK, other]].concat();
    let config = Config::parse("njia.toml", &with_macs(&mac, bank), &environment(&keys)).unwrap();
    let shown = |mac: &Option<Arc<EndpointMac>>| {
        let change = &mac.as_ref().unwrap().change;
        format!("{:?}", change.as_ref().unwrap())
    };
    assert_eq!(
        shown(&config.listeners[0].mac),
        "KeyChange { kek: Kek(set), key_field: 48, check_field: 48, check_len: 3, scope: Both, \
         overlap: 300s, ask: None }"
    );
    assert_eq!(
        shown(&config.issuers[0].mac),
        "KeyChange { kek: Kek(set), key_field: 120, check_field: 62, check_len: 5, scope: \
         Receive, overlap: 60s, ask: Some(KeyPolicy { retry: 60s, renew: 86400s }) }"
    );
    assert!(config.issuers[0].link.key.is_some() && config.issuers[1].link.key.is_none());
}

#[test]
fn a_key_change_that_cannot_be_is_refused_where_it_stands() {
    check_change(
        "key_field = 48",
        "{ key_field",
        "`kek` is missing in [listener.mac.key_change]",
    );
    check_change(
        "kek = \"env:KEK\", key_field = 49",
        "key_field = 49",
        "`key_field` takes 48, 53, 62, 96, 120 or 125",
    );
    check_change(
        "kek = \"env:KEK\", keys = \"all\"",
        "keys = \"all",
        "`keys` takes \"both\", \"receive\" or \"send\"",
    );
    check_change(
        "kek = \"env:KEK\", ask = true",
        "ask = true",
        "unknown key `ask` in [listener.mac.key_change]; known: kek, key_field, check_field, keys, \
         check_bytes, overlap_s",
    );
    let receive = format!(
        "`kek` is the key at {} too: each use has its own",
        place(&with_macs(POS_MAC, ""), "receive_key")
    );
    check_change("kek = \"env:POS_IN\"", "kek = \"env:POS_IN", &receive);
}

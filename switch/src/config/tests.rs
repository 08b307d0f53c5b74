//! What is refused, how it is told, and what the example says.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use domain::Amount;
use domain::currency::Currency;
use domain::ids::{IssuerId, LinkId};

use super::*;

mod audit;
mod codes;
mod gateways;
mod http_issuers;
mod kafka;
mod mac;
mod network;
mod postgres;
mod profiles;
mod routes;
mod timers;
mod wire;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The example with all its keys taken from the environment.
fn environment(more: &[(&str, &str)]) -> Environment {
    let mut pairs = vec![
        ("KEY", KEY),
        ("NJIA__KEYS__TOKEN_KEY", "env:KEY"),
        ("NJIA__KEYS__PAN_KEY", "env:KEY"),
        ("NJIA__KEYS__HASH_KEY", "env:KEY"),
    ];
    pairs.extend(more);
    Environment::of(&pairs)
}

fn example(more: &[(&str, &str)]) -> Config {
    Config::parse("njia.toml", EXAMPLE, &environment(more)).unwrap()
}

/// The faults of the example after `from` became `to`.
#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(EXAMPLE.contains(from), "the example does not hold {from}");
    check_text(&EXAMPLE.replacen(from, to, 1), &[], expected);
}

#[track_caller]
fn check_text(text: &str, more: &[(&str, &str)], expected: &[&str]) {
    let errors = Config::parse("njia.toml", text, &environment(more)).unwrap_err();
    let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told, expected);
}

/// `line:column` of the first `needle` in `text`.
fn place(text: &str, needle: &str) -> String {
    let at = text.find(needle).unwrap();
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    format!("njia.toml:{line}:{column}")
}

#[test]
fn the_example_is_a_configuration_that_carries_load() {
    let config = example(&[]);
    assert_eq!(config.issuers.len(), 2);
    assert_eq!(config.links(), 8);
    assert_eq!(config.issuers[1].first_link, LinkId(4));
    let [bank, momo] = [IssuerId(0), IssuerId(1)];
    assert_eq!(
        config.routes[0].candidates,
        Candidate::in_order(&[bank, momo])
    );
    assert_eq!(
        config.routes[1].candidates,
        Candidate::in_order(&[momo, bank])
    );
    assert_eq!(config.routes[0].prefixes.len(), 10);
    assert_eq!(config.routes[0].deadline, config.routes[1].deadline);
    assert_eq!(config.issuers[1].inflight_max, 20_000);
    assert_eq!(config.issuers[0].breaker, config.issuers[1].breaker);
    assert_eq!(config.listeners[0].address.port(), 0);
    assert_eq!(config.journal.dir, Path::new("/var/lib/njia/journal"));
    let limit = Amount::new(100_000_000, Currency::KES).unwrap();
    assert!(config.risk.amount_limits.contains(&limit));
    assert!(config.postgres.is_none());
}

#[test]
fn the_default_remembers_ten_thousand_a_second_for_its_window() {
    let remembered = example(&[]).remembered();
    assert!(remembered.per_second >= 10_000, "{remembered:?}");
    assert!(remembered.bytes < 4 << 30, "{remembered:?}");
    let window = ("NJIA__DUPLICATES__WINDOW_S", "6000");
    let longer = example(&[window]).remembered();
    assert_eq!(longer.per_second, remembered.per_second / 10);
}

#[test]
fn a_key_left_out_means_what_the_example_says() {
    let shown = |mut config: Config| {
        config.fingerprint.clear();
        format!("{config:?}")
    };
    let whole = shown(example(&[]));
    let exempt = ["address"];
    let mut compared = 0;
    for line in EXAMPLE.lines() {
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        let is_key = key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        // A key that spans lines, or one that must be there, has no default.
        if !is_key || exempt.contains(&key) || line.contains("required") || line.ends_with('[') {
            continue;
        }
        let text = EXAMPLE.replacen(&format!("{line}\n"), "", 1);
        match Config::parse("njia.toml", &text, &environment(&[])) {
            Ok(config) => assert!(shown(config) == whole, "another value without {key}"),
            Err(errors) => {
                let missing = errors
                    .problems()
                    .iter()
                    .any(|p| p.to_string().contains("is missing"));
                let required = [
                    "name",
                    "span_s",
                    "institution",
                    "candidates",
                    "addresses",
                    "prefixes",
                ];
                assert!(
                    missing && required.contains(&key),
                    "without {key}: {errors}"
                );
            }
        }
        compared += 1;
    }
    assert!(compared > 45, "only {compared} keys were compared");
}

#[test]
fn every_key_of_the_example_is_told_with_its_bounds() {
    for line in EXAMPLE.lines().filter(|line| line.contains(" = ")) {
        let value = line.split(" = ").nth(1).unwrap();
        let number = value.split_whitespace().next().unwrap().replace('_', "");
        let is_bound = number.parse::<u64>().is_ok() && line.chars().next().unwrap().is_lowercase();
        let repeated = ["deadline_ms = 1_000", "span_s = 3_600"].contains(&line);
        if is_bound && !repeated {
            assert!(line.contains('#'), "no comment: {line}");
        }
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let text = EXAMPLE
        .replacen("id = 1 ", "id = 1024 ", 1)
        .replacen("links = 4", "links = 0", 1)
        .replacen("segment_bytes = 67_108_864", "segment_bytes = \"big\"", 1);
    check_text(
        &text,
        &[],
        &[
            &format!(
                "{}: `id` is 1024, it must be 0 to 1023",
                place(&text, "id = 1024")
            ),
            &format!(
                "{}: `segment_bytes` takes an integer, not a string",
                place(&text, "segment_bytes")
            ),
            &format!(
                "{}: `links` is 0, it must be 1 to 256",
                place(&text, "links = 0")
            ),
        ],
    );
}

#[test]
fn a_contradiction_of_routes_hides_no_other_fault() {
    let text = EXAMPLE.replacen("\"639000\", ", "\"639000\", \"411111\", ", 1);
    let text = text.replacen("id = 1 ", "id = 1024 ", 1);
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    assert_eq!(errors.problems().len(), 2, "{errors}");
    let contradiction = "prefix 411111 and prefix 411111 of route `bank-cards` claim the same";
    assert!(errors.to_string().contains(contradiction), "{errors}");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let text = EXAMPLE.replacen("sessions_max", "session_max", 1);
    let told = format!(
        "{}: unknown key `session_max` in [limits]; did you mean `sessions_max`?",
        place(&text, "session_max")
    );
    check_text(&text, &[], &[&told]);
    let text = format!("{EXAMPLE}\n[limit]\nx = 1\n");
    let told = format!(
        "{}: unknown section or key `limit`; did you mean `limits`?",
        place(&text, "[limit]\n")
    );
    check_text(&text, &[], &[&told]);
    let text = format!("{EXAMPLE}\n[zzz]\n");
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("unknown section or key `zzz`; known: dialect_files, dialects, node, ")
    );
}

#[test]
fn a_literal_secret_is_refused_and_not_repeated() {
    let text = EXAMPLE.replacen("file:keys/token.key", "hunter2", 1);
    let errors = Config::parse("njia.toml", &text, &Environment::of(&[])).unwrap_err();
    let told = errors.to_string();
    assert!(
        told.contains("`token_key` is a literal secret; write file:PATH"),
        "{told}"
    );
    assert!(!told.contains("hunter2"));
    let text = format!("{EXAMPLE}\n[postgres]\nurl = \"postgres://u:hunter2@h/d\"\n");
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    let told = errors.to_string();
    assert!(told.contains("`url` is a literal secret"), "{told}");
    assert!(!told.contains("hunter2"));
}

#[test]
fn the_environment_may_set_any_key() {
    let config = example(&[
        ("NJIA__JOURNAL__BATCH_WAIT_US", "50"),
        (
            "NJIA__ISSUER__BANK__ADDRESSES",
            "127.0.0.1:4711, 127.0.0.1:4712",
        ),
        ("NJIA__ISSUER__MOMO__BREAKER__OPEN_MS", "700"),
        ("NJIA__ISSUER__MOMO__SIGN_ON", "false"),
        ("NJIA__ROUTE__BANK_CARDS__DEADLINE_MS", "400"),
        ("NJIA__POSTGRES__URL", "postgres://u:hunter2@h/d"),
        ("NJIA__RISK__AMOUNT_LIMITS__TZS", "7"),
    ]);
    assert_eq!(config.journal.batch_wait, Duration::from_micros(50));
    assert_eq!(config.issuers[0].addresses.len(), 2);
    assert_eq!(config.issuers[0].addresses[1].port(), 4712);
    assert_eq!(config.issuers[1].breaker.open, Duration::from_millis(700));
    assert!(!config.issuers[1].link.sign_on);
    assert_eq!(config.routes[0].deadline, Duration::from_millis(400));
    assert!(
        config
            .risk
            .amount_limits
            .iter()
            .any(|limit| limit.minor() == 7)
    );
    let url = &config.postgres.as_ref().unwrap().url;
    assert_eq!(url.read().unwrap().expose(), "postgres://u:hunter2@h/d");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn faults_in_the_environment_name_the_variable() {
    check_text(
        EXAMPLE,
        &[
            ("NJIA__ISSUER__BANQUE__LINKS", "4"),
            ("NJIA__ISSUER__BANK__LINK", "4"),
            ("NJIA__LIMITS__INFLIGHT_MAX", "many"),
        ],
        &[
            "environment variable NJIA__ISSUER__BANK__LINK: unknown key `link` in [issuer]; did \
             you mean `links`?",
            "environment variable NJIA__ISSUER__BANQUE__LINKS: nothing is named `banque`; known: \
             bank, momo",
            "environment variable NJIA__LIMITS__INFLIGHT_MAX: `inflight_max` takes an integer, \
             not this text",
        ],
    );
}

#[test]
fn listeners_do_not_share_an_address() {
    let second = "[[listener]]\nname = \"atm\"\nacquirer = \"acquirer-1\"\n";
    let faults = |address: &str, admin: &str| {
        let text = format!("{EXAMPLE}\n{second}address = \"{address}\"\n");
        let variables = [
            ("NJIA__LISTENER__POS__ADDRESS", "127.0.0.1:8583"),
            ("NJIA__ADMIN__ADDRESS", admin),
        ];
        match Config::parse("njia.toml", &text, &environment(&variables)) {
            Ok(_) => String::new(),
            Err(errors) => errors.to_string(),
        }
    };
    assert_eq!(faults("127.0.0.1:8584", "127.0.0.1:9600"), "");
    assert_eq!(faults("127.0.0.1:0", "127.0.0.1:0"), "", "a free one each");
    for taken in ["127.0.0.1:8583", "127.0.0.1:9600"] {
        let told = faults(taken, "127.0.0.1:9600");
        assert!(told.contains("is taken by another listener"), "{told}");
    }
}

#[test]
fn names_are_unique_and_become_labels() {
    let text = EXAMPLE.replacen("name = \"momo\"", "name = \"bank\"", 1);
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    let first = place(&text, "name = \"bank\"");
    let told = errors.to_string();
    assert!(
        told.contains(&format!("another issuer is named `bank` too, at {first}")),
        "{told}"
    );
    let text = EXAMPLE.replacen("name = \"pos\"", "name = \"POS 1\"", 1);
    let told = format!(
        "{}: `name` takes 1 to 32 characters of a-z, 0-9 and `-`: it becomes a metric label",
        place(&text, "name = \"POS 1\"")
    );
    check_text(&text, &[], &[&told]);
}

#[test]
fn references_are_resolved_or_refused() {
    let text = EXAMPLE.replacen("[\"bank\", \"momo\"]", "[\"bnak\", \"momo\"]", 1);
    let told = format!(
        "{}: `candidates` names `bnak`, which does not exist; did you mean `bank`?",
        place(&text, "\"bnak\"")
    );
    check_text(&text, &[], &[&told]);
    let text = EXAMPLE.replacen("\"639000\", ", "\"63-900\", ", 1);
    let told = format!(
        "{}: `prefixes` holds \"63-900\": both ends of a range need the same number of digits",
        place(&text, "\"63-900\"")
    );
    check_text(&text, &[], &[&told]);
}

#[test]
fn bounds_between_keys_are_kept() {
    check(
        "stan_base = 1 ",
        "stan_base = 2 ",
        &[&format!(
            "{}: `stan_base` + `stan_size` goes beyond STAN 999999",
            place(EXAMPLE, "stan_size = ")
        )],
    );
    check(
        "stan_size = 999_999",
        "stan_size = 39_999",
        &[&format!(
            "{}: `inflight_max` is above half of the 39999 STANs of this issuer",
            place(EXAMPLE, "inflight_max = 20_000               # 1 to 500")
        )],
    );
    check(
        "open_ms = 2_000",
        "open_ms = 20_000",
        &[&format!(
            "{}: `open_ms` is above `open_max_ms`",
            place(EXAMPLE, "open_ms = ")
        )],
    );
    check(
        "segment_bytes = 67_108_864",
        "segment_bytes = 67_108_865",
        &[&format!(
            "{}: `segment_bytes` must be a multiple of 4096",
            place(EXAMPLE, "segment_bytes")
        )],
    );
}

#[test]
fn an_endpoint_has_its_own_framing_and_header() {
    let config = example(&[
        ("NJIA__LISTENER__POS__FRAMING", "le16-incl"),
        ("NJIA__LISTENER__POS__HEADER", "tpdu"),
        ("NJIA__LISTENER__POS__ANSWER_KEEP_ALIVE", "true"),
        ("NJIA__ISSUER__BANK__FRAMING", "ascii4"),
        ("NJIA__ISSUER__BANK__HEADER", "base1"),
        ("NJIA__ISSUER__BANK__HEADER_DESTINATION", "000123"),
        ("NJIA__ISSUER__BANK__HEADER_SOURCE", "999999"),
        ("NJIA__ISSUER__BANK__FRAME_CAP", "9999"),
        ("NJIA__ISSUER__MOMO__FRAME_CAP", "65535"),
        ("NJIA__ISSUER__MOMO__HEADER", "fixed3"),
        ("NJIA__ISSUER__MOMO__HEADER_BYTES", "0a0B0c"),
    ]);
    let pos = &config.listeners[0].wire;
    assert_eq!((pos.framing, pos.header), (Framing::Le16Incl, Header::Tpdu));
    assert_eq!((pos.frame_len_max, pos.answers), (8_192, Answers::Once));
    let [bank, momo] = &config.issuers[..] else {
        panic!("the example has two issuers");
    };
    assert_eq!(
        (bank.wire.framing, bank.wire.answers),
        (Framing::Ascii4, Answers::Never)
    );
    let sent = Header::Base1.addressed("000123", "999999").unwrap();
    assert_eq!(bank.request_header, sent);
    assert_eq!(momo.request_header.as_bytes(), [0x0A, 0x0B, 0x0C]);
    assert_eq!(config.frame_len_max(), 65_535);
}

/// The faults of the example with these variables, without their places.
#[track_caller]
fn check_wire(more: &[(&str, &str)], expected: &[&str]) {
    let errors = Config::parse("njia.toml", EXAMPLE, &environment(more)).unwrap_err();
    let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
    let told: Vec<&str> = told
        .iter()
        .map(|text| text.split_once(": ").unwrap().1)
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn framings_and_headers_that_do_not_exist_are_refused() {
    check_wire(
        &[("NJIA__LISTENER__POS__FRAMING", "asci4")],
        &["`framing` names `asci4`, which does not exist; did you mean `ascii4`?"],
    );
    check_wire(
        &[("NJIA__LISTENER__POS__HEADER", "tdpu")],
        &["`header` names `tdpu`, which does not exist; did you mean `tpdu`?"],
    );
    check_wire(
        &[("NJIA__LISTENER__POS__HEADER", "fixed33")],
        &["`header` takes 1 to 32 bytes, as `fixed12`; there is no `fixed33`"],
    );
    check_wire(
        &[("NJIA__LISTENER__POS__FRAME_CAP", "65536")],
        &["`frame_cap` is 65536, it must be 512 to 65535"],
    );
    check_wire(
        &[
            ("NJIA__LISTENER__POS__FRAME_CAP", "65535"),
            ("NJIA__LIMITS__OUT_QUEUE_BYTES_MAX", "131069"),
        ],
        &["`limits.out_queue_bytes_max` must hold two frames of `frame_cap`"],
    );
    let etx_cap = ("NJIA__ISSUER__BANK__FRAME_CAP", "4096");
    check_wire(
        &[("NJIA__ISSUER__BANK__FRAMING", "etx"), etx_cap],
        &[
            "`framing` is `etx`, whose end would stand within a message of `iso87-ascii`; take a \
           dialect without binary fields, as \"iso87-ascii-hex\"",
        ],
    );
    let hex = ("NJIA__ISSUER__BANK__DIALECT", "iso87-ascii-hex");
    example(&[("NJIA__ISSUER__BANK__FRAMING", "etx"), etx_cap, hex]);
}

#[test]
fn the_header_of_requests_is_given_whole() {
    let tpdu = ("NJIA__ISSUER__BANK__HEADER", "tpdu");
    check_wire(
        &[tpdu, ("NJIA__ISSUER__BANK__HEADER_SOURCE", "00010")],
        &[
            "`header_destination` is missing in [issuer]",
            "`header_source` takes 4 hexadecimal digits",
        ],
    );
    check_wire(
        &[
            ("NJIA__ISSUER__BANK__HEADER", "base24"),
            ("NJIA__ISSUER__BANK__HEADER_BYTES", "6000010002"),
            ("NJIA__ISSUER__BANK__HEADER_SOURCE", "0001"),
        ],
        &[
            "`header_bytes` takes the 12 bytes of a `base24` header in hexadecimal digits",
            "`header_source` is not for the header `base24`",
        ],
    );
    check_wire(
        &[("NJIA__ISSUER__BANK__HEADER_BYTES", "00")],
        &["`header_bytes` is not for the header `none`"],
    );
    check_wire(
        &[("NJIA__LISTENER__POS__HEADER_SOURCE", "0001")],
        &["unknown key `header_source` in [listener]; did you mean `header`?"],
    );
}

#[test]
fn syntax_errors_are_told_with_their_place() {
    let text = EXAMPLE.replacen("id = 1 ", "id = = 1 ", 1);
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    let line = place(&text, "id = = 1");
    let line = line.rsplit_once(':').unwrap().0;
    assert!(
        errors.problems()[0].to_string().starts_with(line),
        "{errors}"
    );
}

#[test]
fn old_pan_keys_have_an_id_each() {
    let with = |old| {
        [
            ("NJIA__KEYS__PAN_KEYS_OLD", old),
            ("NJIA__KEYS__PAN_KEY_ID", "3"),
        ]
    };
    let form = "takes an id and a reference, as `1=file:keys/pan-1.key`";
    for old in ["file:keys/pan-1.key", "0=env:X", "one=env:X"] {
        let told = format!("environment variable NJIA__KEYS__PAN_KEYS_OLD: `pan_keys_old` {form}");
        check_text(EXAMPLE, &with(old), &[&told]);
    }
    let twice = "`pan_keys_old` and `pan_key_id` name a key twice: each has an id of its own";
    for old in [
        "3=env:NJIA_OLD_KEY",
        "1=env:NJIA_OLD_KEY,1=env:NJIA_OLD_KEY",
    ] {
        let told = format!("environment variable NJIA__KEYS__PAN_KEYS_OLD: {twice}");
        let key = ("NJIA_OLD_KEY", KEY);
        check_text(EXAMPLE, &[&with(old)[..], &[key]].concat(), &[&told]);
    }
}

#[test]
fn token_keys_have_an_id_each() {
    let with = |old| {
        [
            ("NJIA__KEYS__TOKEN_KEYS_OLD", old),
            ("NJIA__KEYS__TOKEN_KEY_ID", "3"),
        ]
    };
    let named = "environment variable NJIA__KEYS__TOKEN_KEYS_OLD: `token_keys_old`";
    let form = "takes an id up to 255 and a reference, as `1=file:keys/token-1.key`";
    for old in ["file:keys/token-1.key", "0=env:X", "256=env:X"] {
        check_text(EXAMPLE, &with(old), &[&format!("{named} {form}")]);
    }
    let twice = "environment variable NJIA__KEYS__TOKEN_KEYS_OLD: `token_keys_old` and \
        `token_key_id` name a key twice: each has an id of its own";
    let key = ("NJIA_OLD_KEY", KEY);
    check_text(
        EXAMPLE,
        &[&with("3=env:NJIA_OLD_KEY")[..], &[key]].concat(),
        &[twice],
    );
}

#[test]
fn the_embedded_default_makes_its_own_keys_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::Default {
        state_dir: folder.path(),
    };
    let nothing = Environment::of(&[]);
    let errors = Config::load(source, &nothing).unwrap_err();
    assert_eq!(errors.problems().len(), 3, "{errors}");
    create_missing_keys(folder.path()).unwrap();
    let config = Config::load(source, &nothing).unwrap();
    assert_eq!(config.node.state_dir, folder.path());
    assert_ne!(config.keys.token_key.expose(), config.keys.pan_key.expose());
    let path = folder.path().join("keys/token.key");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    let before = fs::read_to_string(&path).unwrap();
    create_missing_keys(folder.path()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert!(!format!("{config:?}").contains(before.trim()));
}

#[test]
fn keys_are_never_remade_beside_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    create_missing_keys(folder.path()).unwrap();
    fs::create_dir(folder.path().join("journal")).unwrap();
    fs::write(folder.path().join("journal/manifest"), "").unwrap();
    fs::remove_file(folder.path().join("keys/pan.key")).unwrap();
    let error = create_missing_keys(folder.path()).unwrap_err();
    assert!(error.to_string().contains("restore the file"), "{error}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    create_missing_keys(folder.path()).unwrap();
    let path = folder.path().join("keys/hash.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let source = Source::Default {
        state_dir: folder.path(),
    };
    let errors = Config::load(source, &Environment::of(&[])).unwrap_err();
    let told = errors.to_string();
    assert!(
        told.contains("can be read by others (mode 0444); run: chmod 0400"),
        "{told}"
    );
}

#[test]
fn lists_may_stand_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("block.txt");
    let token = "00112233445566778899aabbccddeeff";
    fs::write(
        &path,
        format!("# stolen\n411111 # a BIN\n400000\n\n{token}\n"),
    )
    .unwrap();
    let config = example(&[("NJIA__RISK__BLOCK__FILE", path.to_str().unwrap())]);
    assert_eq!(config.risk.block.bins.len(), 2);
    assert_eq!(config.risk.block.tokens[0].0[1], 0x11);
    fs::write(&path, "411111\n4x\n").unwrap();
    let variable = [("NJIA__RISK__BLOCK__FILE", path.to_str().unwrap())];
    let errors = Config::parse("njia.toml", EXAMPLE, &environment(&variable)).unwrap_err();
    assert!(
        errors.to_string().contains("block.txt:2 takes BINs"),
        "{errors}"
    );
}

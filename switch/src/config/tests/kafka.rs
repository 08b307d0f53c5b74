//! `[kafka]`: secrets by reference, no clear text by oversight, and a build that can do it.

use super::super::kafka::{IS_BUILT_IN, kafka};
use super::super::report::{FileId, Report};
use super::super::secret::Vault;
use super::super::section::Section;
use super::super::{Kafka, KafkaMechanism, document};
use super::*;

const PLAIN: &str = "brokers = [\"127.0.0.1:9092\"]\ntopic = \"njia\"\n";

/// `[kafka]` with `lines`, as a build with or without events reads it, and its faults.
fn read(lines: &str, more: &[(&str, &str)], is_built_in: bool) -> (Kafka, Vec<String>) {
    let text = format!("[kafka]\n{lines}\n");
    let report = Report::new("njia.toml", &text);
    let environment = environment(more);
    let mut root = document::parse(&text, FileId::FIRST, &report);
    document::overlay(&mut root, &environment, &report);
    let root = Section::root(&root, &report);
    let vault = Vault {
        environment: &environment,
        state_dir: Path::new("/nowhere"),
    };
    let kafka = kafka(root.optional_section("kafka").unwrap(), &vault, is_built_in);
    let faults = report.finish().err().map_or_else(Vec::new, |errors| {
        let problems = errors.problems().iter();
        problems.map(ToString::to_string).collect()
    });
    (kafka, faults)
}

/// The only fault of `[kafka]` with `lines` contains `told`.
#[track_caller]
fn check_refused(lines: &str, told: &str) {
    let (_, faults) = read(lines, &[], true);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(told), "{faults:?}");
    assert!(!faults[0].contains("hunter2"), "{faults:?}");
}

#[test]
fn a_build_without_events_says_how_to_get_one() {
    let (_, faults) = read(PLAIN, &[], false);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("--features kafka"), "{faults:?}");
    assert!(faults[0].contains("njia.toml:1"), "{faults:?}");
    assert_eq!(read(PLAIN, &[], true).1, [""; 0]);
    let text = format!("{EXAMPLE}\n[kafka]\n{PLAIN}");
    let whole = Config::parse("njia.toml", &text, &environment(&[]));
    assert_eq!(whole.is_ok(), IS_BUILT_IN);
}

#[test]
fn a_password_is_a_reference_and_never_shown() {
    let sasl = |password: &str| {
        format!(
            "{PLAIN}sasl = {{ mechanism = \"SCRAM-SHA-512\", username = \"njia\", \
             password = \"{password}\" }}"
        )
    };
    let (kafka, faults) = read(&sasl("env:PASSWORD"), &[("PASSWORD", "hunter2")], true);
    assert_eq!(faults, [""; 0]);
    assert!(!format!("{kafka:?}").contains("hunter2"));
    let sasl_read = kafka.sasl.unwrap();
    assert_eq!(sasl_read.mechanism, KafkaMechanism::ScramSha512);
    assert_eq!(sasl_read.password.read().unwrap().expose(), "hunter2");
    check_refused(&sasl("hunter2"), "`password` is a literal secret");
    let unknown = sasl("env:HOME").replace("SCRAM-SHA-512", "GSSAPI");
    let (_, faults) = read(&unknown, &[("HOME", "x")], true);
    assert!(
        faults[0].contains("`mechanism` takes SCRAM-SHA-512"),
        "{faults:?}"
    );
}

#[test]
fn clear_text_over_a_network_has_to_be_written_down() {
    let far = "brokers = [\"kafka-1.example:9092\"]\ntopic = \"njia\"\n";
    check_refused(far, "clear_text = true");
    assert_eq!(
        read(&format!("{far}clear_text = true"), &[], true).1,
        [""; 0]
    );
    let plain = "clear_text = true\nsasl = { mechanism = \"PLAIN\", username = \"njia\", \
                 password = \"env:PASSWORD\" }";
    let (_, faults) = read(&format!("{far}{plain}"), &[("PASSWORD", "hunter2")], true);
    assert!(faults[0].contains("PLAIN needs [kafka.tls]"), "{faults:?}");
    let tls = "tls = { trust = \"file:ca.pem\" }";
    let (kafka, faults) = read(&format!("{far}{tls}"), &[], true);
    assert_eq!(faults, [""; 0]);
    assert_eq!(kafka.tls.unwrap().trust, Path::new("/nowhere/ca.pem"));
    for here in ["localhost:1", "[::1]:9092", "127.0.0.9:9092"] {
        let lines = PLAIN.replace("127.0.0.1:9092", here);
        assert_eq!(read(&lines, &[], true).1, [""; 0], "{here}");
    }
}

#[test]
fn what_kafka_would_not_understand_is_refused() {
    check_refused(
        "brokers = [\"kafka\"]\ntopic = \"njia\"",
        "`brokers` takes host:port",
    );
    check_refused(
        "brokers = [\"a,b:1\"]\ntopic = \"njia\"",
        "`brokers` takes host:port",
    );
    check_refused(
        "brokers = []\ntopic = \"njia\"",
        "`brokers` may not be empty",
    );
    check_refused("topic = \"njia\"", "`brokers`");
    check_refused(
        "brokers = [\"[::1]:9092\"]\ntopic = \"a b\"",
        "`topic` takes a topic",
    );
    check_refused(
        &format!("{PLAIN}inflight = 1"),
        "did you mean `inflight_max`",
    );
    let tls = "tls = { trust = \"file:ca.pem\", certificate = \"file:me.pem\" }";
    check_refused(
        &format!("{PLAIN}{tls}"),
        "`certificate` and `key` go together",
    );
}

#[test]
fn brokers_come_from_the_environment_too() {
    let more = [("NJIA__KAFKA__BROKERS", "127.0.0.1:1, 127.0.0.1:2")];
    let (kafka, faults) = read("topic = \"njia\"", &more, true);
    assert_eq!(faults, [""; 0]);
    assert_eq!(kafka.brokers, ["127.0.0.1:1", "127.0.0.1:2"]);
}

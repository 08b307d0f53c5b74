//! What the library is told, and what is told of it.

use std::path::PathBuf;

use domain::ids::NodeId;

use super::*;
use crate::applier::{Backoff, Identity, Names, SecretSource, TlsFiles};
use crate::events::{Mechanism, Sasl};

fn settings(access: Access) -> EventSettings {
    EventSettings {
        node: NodeId(1),
        brokers: "127.0.0.1:1".to_owned(),
        topic: "njia".to_owned(),
        access,
        names: Names {
            acquirers: Vec::new(),
            issuers: Vec::new(),
            routes: Vec::new(),
        },
        root: PathBuf::new(),
        inflight_max: 10,
        backoff: Backoff::STANDARD,
        seed: 1,
        save_every: Duration::ZERO,
        poll: Duration::ZERO,
        drain: Duration::ZERO,
        clock: || domain::time::Instant::from_nanos(0),
    }
}

fn sasl(mechanism: Mechanism, password: SecretSource) -> Option<Sasl> {
    Some(Sasl {
        mechanism,
        username: "njia".to_owned(),
        password,
    })
}

/// What librdkafka is told.
fn told(access: &Access, key: &str) -> Option<String> {
    let mut config = ClientConfig::new();
    grant(&mut config, access).unwrap();
    config.get(key).map(str::to_owned)
}

#[test]
fn certificates_and_passwords_choose_the_protocol() {
    let tls = || {
        Some(TlsFiles {
            trust: PathBuf::from("/ca.pem"),
            identity: Some(Identity {
                certificates: PathBuf::from("/me.pem"),
                key: PathBuf::from("/me.key"),
            }),
        })
    };
    let scram = || {
        sasl(
            Mechanism::ScramSha512,
            SecretSource::fixed("hunter2".into()),
        )
    };
    let check = |tls, sasl, protocol: &str| {
        let access = Access { tls, sasl };
        assert_eq!(told(&access, "security.protocol").unwrap(), protocol);
        access
    };
    check(None, None, "plaintext");
    check(None, scram(), "sasl_plaintext");
    check(tls(), None, "ssl");
    let access = check(tls(), scram(), "sasl_ssl");
    for (key, value) in [
        ("ssl.ca.location", "/ca.pem"),
        ("ssl.certificate.location", "/me.pem"),
        ("ssl.key.location", "/me.key"),
        ("ssl.endpoint.identification.algorithm", "https"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "njia"),
        ("sasl.password", "hunter2"),
    ] {
        assert_eq!(told(&access, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn this_library_has_tls_and_every_mechanism() {
    for mechanism in [
        Mechanism::Plain,
        Mechanism::ScramSha256,
        Mechanism::ScramSha512,
    ] {
        let access = Access {
            tls: None,
            sasl: sasl(mechanism, SecretSource::fixed("hunter2".into())),
        };
        assert!(Producer::open(&settings(access)).is_ok(), "{mechanism:?}");
    }
    let absent = Access {
        tls: Some(TlsFiles {
            trust: PathBuf::from("/nowhere/ca.pem"),
            identity: None,
        }),
        sasl: None,
    };
    let trouble = Producer::open(&settings(absent)).unwrap_err();
    assert_eq!(trouble.reason, Reason::Settings);
    assert!(trouble.text.contains("ssl.ca.location"), "{trouble:?}");
}

#[test]
fn a_password_that_cannot_be_read_or_used_is_not_shown() {
    let absent =
        SecretSource::asked(|| Err(std::io::Error::other("names env:X, which is not set")));
    let access = Access {
        tls: None,
        sasl: sasl(Mechanism::Plain, absent),
    };
    let unread = Producer::open(&settings(access)).unwrap_err();
    assert_eq!(unread.text, "the password names env:X, which is not set");
    let bad = KafkaError::ClientConfig(
        rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
        "cannot be used".to_owned(),
        "sasl.password".to_owned(),
        "hunter2".to_owned(),
    );
    let shown = format!("{:?}", trouble(&bad));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn of_several_endings_the_one_that_says_most_is_told() {
    let ended = |reasons: &[Reason]| {
        let mut told = Told::default();
        for reason in reasons {
            told.end(Trouble {
                reason: *reason,
                text: String::new(),
            });
        }
        told.ended.unwrap().reason
    };
    use Reason::{Authorisation, Fatal, Other, TooLarge};
    assert_eq!(
        ended(&[Fatal, Other, Authorisation, TooLarge]),
        Authorisation
    );
    assert_eq!(ended(&[TooLarge, Fatal]), TooLarge);
    assert_eq!(ended(&[Other, Fatal]), Other);
}

#[test]
fn a_text_of_the_library_is_cut_and_stays_on_one_line() {
    let long = format!("a\r\nb\u{1b}{}", "x".repeat(1_000));
    let cut = cut(&long);
    assert_eq!(cut.len(), TEXT_MAX);
    assert!(cut.starts_with("abx"));
}

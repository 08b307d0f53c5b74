//! `[kafka]`: where events go, and how that is reached.

use std::net::IpAddr;
use std::path::PathBuf;

use super::postgres::certificates;
use super::secret::{SecretPlace, Vault};
use super::section::Section;

/// The topic that events are published to.
#[derive(Debug)]
pub struct Kafka {
    /// `host:port`, at least one: where the cluster is asked for its brokers.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// Certificates; `None` connects in clear.
    pub tls: Option<KafkaTls>,
    /// Name and password; `None` where the brokers ask for none.
    pub sasl: Option<KafkaSasl>,
    /// Records in flight, over all shards.
    pub inflight_max: usize,
}

/// PEM files, read for each producer.
#[derive(Debug)]
pub struct KafkaTls {
    /// Who may have signed the brokers' certificates.
    pub trust: PathBuf,
    /// Certificate chain and key of the switch, where the brokers ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How the switch names itself to brokers.
#[derive(Debug)]
pub struct KafkaSasl {
    /// How the password is shown.
    pub mechanism: KafkaMechanism,
    /// The name.
    pub username: String,
    /// Read again for each producer.
    pub password: SecretPlace,
}

/// How a password is shown to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaMechanism {
    /// As it is: within TLS alone.
    Plain,
    /// RFC 5802 with SHA-256.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// Whether this build can publish events.
pub(super) const IS_BUILT_IN: bool = cfg!(feature = "kafka");

/// Reads `[kafka]`, where there is one.
pub(super) fn of(root: &Section<'_>, vault: &Vault<'_>) -> Option<Kafka> {
    let section = root.optional_section("kafka")?;
    Some(kafka(section, vault, IS_BUILT_IN))
}

pub(super) fn kafka(section: Section<'_>, vault: &Vault<'_>, is_built_in: bool) -> Kafka {
    if !is_built_in {
        section.fault(
            "[kafka] asks for events, but this njia was built without them; build it with: cargo \
             build --release --locked -p switch --features kafka (docs/events.md), or take [kafka] \
             out",
        );
    }
    let brokers = section.required_list("brokers", broker);
    let topic = section.required("topic", topic);
    let tls = section.optional_section("tls");
    let sasl = section.optional_section("sasl");
    let kafka = Kafka {
        tls: tls.and_then(|section| self::tls(section, vault)),
        sasl: sasl.and_then(|section| self::sasl(section, vault)),
        inflight_max: section.number("inflight_max", 100..=1_000_000, 10_000),
        brokers: brokers.iter().map(|broker| broker.text.clone()).collect(),
        topic: topic.unwrap_or_default(),
    };
    let clear_text = section.flag("clear_text", false);
    let is_far = brokers.iter().any(|broker| !broker.is_here);
    if is_far && !section.has("tls") {
        if !clear_text {
            section.fault_at(
                "brokers",
                "`brokers` are on other machines and there is no [kafka.tls]; events would travel \
                 in clear, which has to be written down: clear_text = true",
            );
        }
        if let Some(KafkaSasl {
            mechanism: KafkaMechanism::Plain,
            ..
        }) = kafka.sasl
        {
            section.fault_at(
                "sasl",
                "`sasl` shows the password as it is; PLAIN needs [kafka.tls]",
            );
        }
    }
    section.finish();
    kafka
}

/// A broker and whether it is on this machine.
struct Broker {
    text: String,
    is_here: bool,
}

fn broker(text: &str) -> Result<Broker, String> {
    let refused = || "takes host:port".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(legal) || port.parse::<u16>().is_err() {
        return Err(refused());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare
        .parse::<IpAddr>()
        .map_or(bare == "localhost", |ip| ip.is_loopback());
    Ok(Broker {
        text: text.to_owned(),
        is_here,
    })
}

/// As Kafka has it.
fn topic(text: &str) -> Result<String, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if (1..=249).contains(&text.len()) && text.bytes().all(legal) && text != "." && text != ".." {
        return Ok(text.to_owned());
    }
    Err("takes a topic: letters, digits, `.`, `_` and `-`, at most 249".to_owned())
}

fn tls(section: Section<'_>, vault: &Vault<'_>) -> Option<KafkaTls> {
    let (trust, identity) = certificates(section, vault)?;
    Some(KafkaTls { trust, identity })
}

fn sasl(section: Section<'_>, vault: &Vault<'_>) -> Option<KafkaSasl> {
    let mechanism = section.required("mechanism", |text| match text {
        "PLAIN" => Ok(KafkaMechanism::Plain),
        "SCRAM-SHA-256" => Ok(KafkaMechanism::ScramSha256),
        "SCRAM-SHA-512" => Ok(KafkaMechanism::ScramSha512),
        _ => Err("takes SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN".to_owned()),
    });
    let username = section.required("username", |text| match text.is_empty() {
        true => Err("may not be empty".to_owned()),
        false => Ok(text.to_owned()),
    });
    let password = section.required("password", |text| {
        vault.text(text)?;
        vault.place(text)
    });
    section.finish();
    Some(KafkaSasl {
        mechanism: mechanism?,
        username: username?,
        password: password?,
    })
}

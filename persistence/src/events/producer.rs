//! The producer of librdkafka: what it is told, and what it tells back.
//!
//! It is idempotent and never gives an event up by itself, so within one producer events of a
//! partition arrive once and in order. Whatever it does give up ends it: the next one begins again
//! behind what was acknowledged without a gap.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::ids::Lsn;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};

use super::event::{Event, VERSION};
use super::reason::Reason;
use super::settings::{Access, EventSettings};

/// A producer of one topic.
pub(super) struct Producer {
    inner: BaseProducer<Ears>,
    topic: String,
}

/// Which record an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Its lane, by position.
    pub(super) lane: usize,
    pub(super) lsn: Lsn,
}

/// What a producer has told since it was asked last.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Acknowledged by all brokers that have to.
    pub(super) acknowledged: Vec<Ticket>,
    /// Why an event was given up, or the producer itself: it must be replaced.
    pub(super) ended: Option<Trouble>,
    /// What it goes on trying.
    pub(super) troubles: Vec<Trouble>,
}

impl Told {
    /// The first word counts, unless a later one says more.
    fn end(&mut self, trouble: Trouble) {
        let is_vague = |reason| matches!(reason, Reason::Fatal | Reason::Other);
        let known = self.ended.as_ref();
        if known.is_none_or(|known| is_vague(known.reason) && !is_vague(trouble.reason)) {
            self.ended = Some(trouble);
        }
    }
}

/// A failure, in words.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    pub(super) text: String,
}

/// Why an event was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// The producer's queue is full.
    Full,
    /// The producer takes none.
    Refused(Trouble),
}

impl Producer {
    /// Connects in the background. Secrets are read here.
    ///
    /// # Errors
    /// A setting or a secret cannot be used.
    pub(super) fn open(settings: &EventSettings) -> Result<Self, Trouble> {
        let mut config = ClientConfig::new();
        for (key, value) in FIXED {
            config.set(*key, *value);
        }
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("client.id", format!("njia-{}", settings.node))
            .set(
                "queue.buffering.max.messages",
                settings.inflight_max.max(1).to_string(),
            )
            .set_log_level(RDKafkaLogLevel::Warning);
        grant(&mut config, &settings.access).map_err(|text| Trouble {
            reason: Reason::Settings,
            text,
        })?;
        let inner = config
            .create_with_context(Ears::default())
            .map_err(|error| trouble(&error))?;
        Ok(Self {
            inner,
            topic: settings.topic.clone(),
        })
    }

    /// Hands an event over; never waits.
    pub(super) fn send(&self, event: &Event, ticket: Ticket) -> Result<(), NotTaken> {
        let (version, transaction) = (VERSION.to_string(), event.transaction.to_string());
        let headers = [
            ("event-type", event.kind),
            ("event-id", event.id.as_str()),
            ("transaction-id", transaction.as_str()),
            ("schema-version", version.as_str()),
        ];
        let headers = headers.into_iter().fold(
            OwnedHeaders::new_with_capacity(headers.len()),
            |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            },
        );
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(ticket))
            .key(&event.key)
            .payload(&event.value)
            .timestamp(i64::try_from(event.at.unix_millis()).unwrap_or(i64::MAX))
            .headers(headers);
        self.inner.send(record).map_err(|(error, _)| match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => NotTaken::Full,
            error => NotTaken::Refused(trouble(&error)),
        })
    }

    /// Waits for at most `wait` and says what came.
    pub(super) fn listen(&self, wait: Duration) -> Told {
        self.inner.poll(wait);
        let is_fatal = |told: &Told| {
            let ended = told.ended.as_ref();
            ended.is_some_and(|trouble| trouble.reason == Reason::Fatal)
        };
        if is_fatal(&self.inner.context().told()) {
            // Why, and for which event, is told behind it.
            self.inner.poll(FATAL_WAIT);
        }
        std::mem::take(&mut *self.inner.context().told())
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// What holds for every producer of ours.
const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // What is given up would leave a gap before what follows it: the producer ends instead.
    ("enable.gapless.guarantee", "true"),
    // Nothing is given up for its age: the journal holds it, and the order would be lost.
    ("message.timeout.ms", "0"),
    // The hash of Java's clients, so that others who write or join by key agree.
    ("partitioner", "murmur2_random"),
    ("compression.type", "lz4"),
    ("queue.buffering.max.kbytes", "65536"),
    ("linger.ms", "5"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
];

/// Certificates, name and password.
fn grant(config: &mut ClientConfig, access: &Access) -> Result<(), String> {
    let protocol = match (&access.tls, &access.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &access.tls {
        let path = |path: &std::path::Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| format!("{}: the path is not UTF-8", path.display()))
        };
        config.set("ssl.ca.location", path(&tls.trust)?);
        config.set("ssl.endpoint.identification.algorithm", "https");
        if let Some(identity) = &tls.identity {
            config.set("ssl.certificate.location", path(&identity.certificates)?);
            config.set("ssl.key.location", path(&identity.key)?);
        }
    }
    if let Some(sasl) = &access.sasl {
        let password = sasl.password.read();
        let password = password.map_err(|error| format!("the password {error}"))?;
        config.set("sasl.mechanism", sasl.mechanism.as_str());
        config.set("sasl.username", &sasl.username);
        config.set("sasl.password", password);
    }
    Ok(())
}

/// Hears what librdkafka says. Only [`Producer::listen`] lets it speak, on the publisher's thread;
/// the lock is there because the library asks for it.
#[derive(Debug, Default)]
struct Ears(Mutex<Told>);

impl Ears {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Ears {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // Its failures come as errors too, counted and limited there.
        tracing::debug!(?level, facility, text = %cut(text), "librdkafka");
    }

    fn error(&self, error: KafkaError, text: &str) {
        let mut told = self.told();
        let trouble = Trouble {
            reason: Reason::of(&error),
            text: cut(text),
        };
        match trouble.reason {
            // Only another producer reads a rotated password.
            Reason::Fatal | Reason::Authentication => told.end(trouble),
            _ if told.troubles.len() < TROUBLES_MAX => told.troubles.push(trouble),
            _ => {}
        }
    }
}

impl ProducerContext for Ears {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let mut told = self.told();
        match result {
            Ok(_) => told.acknowledged.push(*ticket),
            Err((error, _)) => told.end(trouble(error)),
        }
    }
}

/// What is kept of one turn: a bound, not a limit that is ever met.
const TROUBLES_MAX: usize = 64;
/// How long a producer that has ended is listened to.
const FATAL_WAIT: Duration = Duration::from_millis(100);
/// Bytes of a text of the library that are kept.
const TEXT_MAX: usize = 300;

fn trouble(error: &KafkaError) -> Trouble {
    let text = match error {
        // Its own text repeats the value, which may be a password.
        KafkaError::ClientConfig(_, why, key, _) => format!("{key}: {why}"),
        _ => error.to_string(),
    };
    Trouble {
        reason: Reason::of(error),
        text: cut(&text),
    }
}

/// The beginning, without control characters.
fn cut(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests;

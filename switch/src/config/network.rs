//! What an endpoint says of network messages and of answers: codes, sign-on, echo, matching.

use std::time::Duration;

use iso8583::Dialect;
use iso8583::translate::{NetworkCode, NetworkCodes, NetworkKind};
use transaction::matching::EchoFields;
use transaction::network::{KeyPolicy, LinkPolicy, SessionPolicy};

use super::LinkGroup;
use super::section::Section;

/// `network_codes`: the name of a family, or a table of what differs from what is usual.
pub(super) fn codes(endpoint: &Section<'_>, dialect: &'static Dialect) -> NetworkCodes {
    const KEY: &str = "network_codes";
    let usual = NetworkCodes::of(dialect);
    if !endpoint.is_table(KEY) {
        let named = endpoint.parsed(KEY, |name| {
            let family = NetworkCodes::by_name(name);
            family.ok_or_else(|| {
                "takes \"generic\", \"visa\", \"mastercard\" or a table of codes".to_owned()
            })
        });
        let is_other = named.is_some_and(|codes| codes != NetworkCodes::GENERIC);
        if is_other && usual == NetworkCodes::ISO93 {
            endpoint.fault_at(KEY, "messages of 1993 have function codes; write a table");
        }
        // Every family is read; `generic` is what a dialect has by itself.
        return named.filter(|_| is_other).unwrap_or(usual);
    }
    let section = endpoint.section(KEY);
    let kinds = [
        "sign_on",
        "sign_off",
        "echo",
        "key_change",
        "cut_over",
        "cut_over_end",
    ];
    let read = kinds.map(|key| of_kind(&section, key));
    refuse_double(&section, kinds, &read);
    section.finish();
    let named = NetworkKind::NAMED.into_iter().zip(&read);
    named.fold(usual, |codes, (kind, own)| codes.with(kind, own))
}

/// The codes of one kind, the one that is sent first.
fn of_kind(section: &Section<'_>, key: &'static str) -> Vec<NetworkCode> {
    let codes = section.list(key, |text| {
        let digits: Option<NetworkCode> = text.as_bytes().try_into().ok();
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
        digits.ok_or_else(|| "takes codes of three digits, as \"001\"".to_owned())
    });
    let most = NetworkCodes::EACH_MAX;
    if section.count(key) > most {
        section.fault_at(key, format!("`{key}` takes at most {most} codes"));
    }
    codes
}

fn refuse_double(
    section: &Section<'_>,
    kinds: [&'static str; NetworkKind::NAMED.len()],
    read: &[Vec<NetworkCode>],
) {
    let mut known: Vec<(NetworkCode, &str)> = Vec::new();
    for (kind, codes) in kinds.into_iter().zip(read) {
        for code in codes {
            match known.iter().find(|(other, _)| other == code) {
                Some((_, first)) => section.fault_at(
                    kind,
                    format!("`{kind}` has a code of `{first}` too: each means one thing"),
                ),
                None => known.push((*code, kind)),
            }
        }
    }
}

pub(super) fn session(listener: &Section<'_>) -> SessionPolicy {
    let echo_idle = listener.seconds("echo_idle_s", 0..=3_600, 0);
    SessionPolicy {
        require_sign_on: listener.flag("require_sign_on", false),
        echo_idle: (echo_idle > Duration::ZERO).then_some(echo_idle),
        echo_missed: echo_missed(listener),
        answer_timeout: answer_timeout(listener),
    }
}

pub(super) fn link(issuer: &Section<'_>, key: Option<KeyPolicy>) -> LinkPolicy {
    LinkPolicy {
        sign_on: issuer.flag("sign_on", true),
        key,
        echo_idle: issuer.seconds("echo_idle_s", 1..=3_600, 30),
        echo_missed: echo_missed(issuer),
        answer_timeout: answer_timeout(issuer),
        sign_on_attempts: SIGN_ON_ATTEMPTS,
        sign_on_retry: issuer.seconds("sign_on_retry_s", 1..=3_600, 60),
        mismatches_max: issuer.number("mismatches_per_minute_max", 1..=1_000_000, 100),
    }
}

fn echo_missed(endpoint: &Section<'_>) -> u32 {
    endpoint.number("echo_missed", 1..=100, 3)
}

fn answer_timeout(endpoint: &Section<'_>) -> Duration {
    endpoint.millis("network_timeout_ms", 100..=60_000, 10_000)
}

/// DE11 and the MTI are always part of the key; at least one other field is.
pub(super) fn match_fields(issuer: &Section<'_>) -> EchoFields {
    const KEY: &str = "match_fields";
    if !issuer.has(KEY) {
        return EchoFields::DEFAULT_KEY;
    }
    let fields = issuer.list(KEY, |text| {
        match text.parse() {
            Ok(11) => Ok(EchoFields::default()),
            Ok(number) => EchoFields::of_key(number).ok_or(()),
            Err(_) => Err(()),
        }
        .map_err(|()| "takes fields out of 7, 11, 12, 13, 32, 37, 41 and 42".to_owned())
    });
    let key = fields
        .into_iter()
        .fold(EchoFields::default(), EchoFields::with);
    if key.is_empty() {
        issuer.fault_at(
            KEY,
            "`match_fields` needs a field besides 11: a STAN alone is no key",
        );
        return EchoFields::DEFAULT_KEY;
    }
    key
}

pub(super) fn link_group(issuer: &Section<'_>) -> LinkGroup {
    let group = issuer.parsed("link_group", |text| match text {
        "link" => Ok(LinkGroup::Link),
        "issuer" => Ok(LinkGroup::Issuer),
        _ => Err("takes \"link\" or \"issuer\"".to_owned()),
    });
    group.unwrap_or(LinkGroup::Link)
}

/// Semantics §7: sign-ons without an answer, after which the link is made anew.
const SIGN_ON_ATTEMPTS: u32 = 3;

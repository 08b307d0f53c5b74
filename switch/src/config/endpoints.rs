//! Acquirers, listeners and issuers: names become ids.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::currency::Currency;
use domain::ids::{AcquirerId, InstitutionId, IssuerId, LinkId, Stan};
use router::links::EjectionPolicy;
use transaction::network::LinkPolicy;

use super::codes::timeout_answer;
use super::connections;
use super::dialects::Dialects;
use super::http_issuer;
use super::issuer_callbacks::Here;
use super::mac::{Asks, Macs, failure_answer};
use super::network;
use super::profile::{
    KnownWindows, check_clock, clock, profile, reversal, reversal_request, windows,
};
use super::reconcile;
use super::section::{Section, nearest};
use super::timers;
use super::tls;
use super::wire::{request_header, wire};
use super::{Acquirer, Breaker, Duplicates, Issuer, Limits, Listener, ListenerId};
use crate::limits::{LABEL_LEN_MAX, LABELS_MAX, LINKS_MAX};

/// What the endpoints of one configuration are read with.
pub(super) struct Shared<'a> {
    pub(super) limits: &'a Limits,
    pub(super) macs: Macs<'a>,
    pub(super) dialects: &'a Dialects,
    /// What holds of copies where a listener says nothing.
    pub(super) duplicates: &'a Duplicates,
    /// Of the node; where it leaves that to the host, as many as this one has cores.
    pub(super) shards: u16,
    /// Where issuers over HTTP call back.
    pub(super) issuer_callbacks: Here<'a>,
}

pub(super) fn acquirers(root: &Section<'_>) -> Vec<Acquirer> {
    let sections = root.tables("acquirer");
    unique_names(root, "acquirer", &sections);
    let acquirer = |(id, section): (u16, Section<'_>)| {
        let acquirer = Acquirer {
            id: AcquirerId(id),
            name: name(&section),
            inflight_max: section.number("inflight_max", 1..=1_000_000, INFLIGHT_MAX),
            fee_basis_points: section.number("fee_basis_points", 0..=10_000, 0),
        };
        section.finish();
        acquirer
    };
    (0..).zip(sections).map(acquirer).collect()
}

/// `admin` listens too.
pub(super) fn listeners(
    root: &Section<'_>,
    acquirers: &[Acquirer],
    admin: SocketAddr,
    shared: &Shared<'_>,
) -> Vec<Listener> {
    let sections = root.tables("listener");
    unique_names(root, "listener", &sections);
    let names: Vec<&str> = acquirers.iter().map(|known| known.name.as_str()).collect();
    let mut listening = vec![admin];
    let mut known_windows = KnownWindows::default();
    let listener = |(id, section): (u16, Section<'_>)| {
        let acquirer = section.required("acquirer", |text| position(text, &names));
        let wire = wire(&section, shared);
        let listener = Listener {
            id: ListenerId(id),
            name: name(&section),
            address: section
                .required("address", address)
                .unwrap_or_else(unused_address),
            mac: shared.macs.read(&section, wire.dialect, Asks::Never),
            network_codes: network::codes(&section, wire.dialect),
            session: network::session(&section),
            reconcile: reconcile::listener(&section),
            acquirer: AcquirerId(acquirer.unwrap_or(0)),
            mac_failure_answer: failure_answer(&section, wire.dialect),
            timeout_answer: timeout_answer(&section),
            profile: profile(&section, shared.duplicates.same_content),
            clock: clock(&section),
            windows: windows(&section, shared.duplicates),
            answer_within: section
                .optional_number("answer_within_ms", 50..=600_000)
                .map(Duration::from_millis),
            reversal_request: reversal_request(&section),
            tls: tls::listener(&section, shared.macs.vault()),
            connections_per_address: connections::of_address(&section),
            wire,
        };
        timers::check_listener(&section, &listener);
        check_clock(&section, &listener);
        if section.has("approval_codes") {
            let text = "`approval_codes` is for issuers: an acquirer sends no codes";
            section.fault_at("approval_codes", text);
        }
        if let Some(taken) = listening
            .iter()
            .find(|taken| clash(**taken, listener.address))
        {
            section.fault_at("address", format!("{taken} is taken by another listener"));
        }
        listening.push(listener.address);
        known_windows.check(&section, &listener);
        section.finish();
        listener
    };
    (0..).zip(sections).map(listener).collect()
}

/// An acquirer that says nothing has no bound of its own: the most that it could be.
const INFLIGHT_MAX: u32 = 1_000_000;

/// Port 0 takes a free one each time.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0 && one == other
}

pub(super) fn issuers(root: &Section<'_>, shared: &Shared<'_>) -> Vec<Issuer> {
    let sections = root.tables("issuer");
    unique_names(root, "issuer", &sections);
    let mut first_link = 0_u16;
    let mut issuers = Vec::with_capacity(sections.len());
    for (id, section) in (0..).zip(sections) {
        let issuer = issuer(section, IssuerId(id), LinkId(first_link), shared);
        first_link = first_link.saturating_add(issuer.links);
        issuers.push(issuer);
    }
    if first_link > LINKS_MAX {
        root.fault(format!(
            "all issuers together have {first_link} links, at most {LINKS_MAX} are possible"
        ));
    }
    issuers
}

fn issuer(section: Section<'_>, id: IssuerId, first_link: LinkId, shared: &Shared<'_>) -> Issuer {
    let wire = wire(&section, shared);
    let http =
        http_issuer::plan(&section, shared.macs.vault(), shared.issuer_callbacks).map(Arc::new);
    let institution = section.required("institution", institution);
    let mac = shared.macs.read(&section, wire.dialect, Asks::IfTold);
    let asks = mac.as_ref().and_then(|mac| mac.change.as_ref()?.ask);
    let issuer = Issuer {
        id,
        name: name(&section),
        addresses: section.required_list("addresses", address),
        links: section.number("links", 1..=256, 4),
        first_link,
        inflight_max: section.number("inflight_max", 1..=500_000, 20_000),
        breaker: breaker(section.section("breaker")),
        ejection: ejection(section.section("ejection")),
        stan_base: section.number("stan_base", 1..=Stan::MAX, 1),
        stan_size: section.number("stan_size", 1_000..=Stan::MAX, Stan::MAX),
        network_codes: network::codes(&section, wire.dialect),
        link: LinkPolicy {
            sign_on: section.flag("sign_on", true) && http.is_none(),
            ..network::link(&section, asks)
        },
        match_fields: network::match_fields(&section),
        link_group: network::link_group(&section),
        hold_on_cutover: section.flag("hold_on_cutover", false),
        reconcile: reconcile::issuer(&section),
        institution: institution.unwrap_or(InstitutionId::EMPTY),
        request_header: request_header(&section, wire.header),
        mac,
        tls: tls::issuer(&section, shared.macs.vault()),
        wire,
        http,
        connect_timeout: section.millis("connect_timeout_ms", 10..=60_000, 2_000),
        reconnect_max: section.millis("reconnect_max_ms", 10..=600_000, 5_000),
        reversal_timeout: section.millis("reversal_timeout_ms", 100..=120_000, 5_000),
        reversal: reversal(&section),
        fail_in_flight_on_link_loss: section.flag("fail_in_flight_on_link_loss", false),
        saf_before_live: section.flag("saf_before_live", false),
        demands_authorisation: section.flag("demand_authorisation", false),
    };
    check_stans(&section, &issuer);
    if issuer.http.is_some() {
        check_ids(&section, &issuer, shared.shards);
    }
    section.finish();
    issuer
}

/// DE32 or DE33.
pub(super) fn institution(text: &str) -> Result<InstitutionId, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    InstitutionId::new("DE33", text.as_bytes())
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| "takes 1 to 11 digits (DE33)".to_owned())
}

/// semantics: an in-flight cap above half the slice is refused, since numbers in the late table are
/// not free either.
fn check_stans(section: &Section<'_>, issuer: &Issuer) {
    if issuer.stan_base.saturating_add(issuer.stan_size) > Stan::MAX + 1 {
        section.fault_at(
            "stan_size",
            "`stan_base` + `stan_size` goes beyond STAN 999999",
        );
    }
    if issuer.inflight_max > issuer.request_stans() / 2 {
        section.fault_at(
            "inflight_max",
            format!(
                "`inflight_max` is above half of the {} STANs of this issuer",
                issuer.request_stans()
            ),
        );
    }
}

//= docs/rules.md#M-10
/// An issuer over HTTP knows a payment by the second and the STAN of its request: within one second
/// the numbers must not go round.
fn check_ids(section: &Section<'_>, issuer: &Issuer, shards: u16) {
    let part = issuer.stans_each() / u32::from(shards).max(1);
    if part < ID_STANS_MIN {
        let text = format!(
            "with {} links and {shards} shards `stan_size` leaves {part} STANs to each: an issuer \
             over HTTP needs {ID_STANS_MIN}, or two payments of one second get one id",
            issuer.links
        );
        section.fault_at("stan_size", text);
    }
}

/// More than one shard asks one issuer for in a second over one of its links.
const ID_STANS_MIN: u32 = 10_000;

fn breaker(section: Section<'_>) -> Breaker {
    let by_echo = section.parsed("probe", |text| match text {
        "echo" => Ok(true),
        "live" => Ok(false),
        _ => Err("takes \"echo\" or \"live\"".to_owned()),
    });
    let echo_timeout = section.millis("echo_timeout_ms", 50..=60_000, 1_000);
    let breaker = Breaker {
        failure_percent: section.number("failure_percent", 1..=100, 50),
        slow_percent: section.number("slow_percent", 1..=100, 80),
        slow: section.millis("slow_ms", 1..=120_000, 800),
        window: section.seconds("window_s", 1..=300, 2),
        calls_min: section.number("calls_min", 1..=1_000_000, 20),
        open: section.millis("open_ms", 10..=3_600_000, 2_000),
        open_max: section.millis("open_max_ms", 10..=3_600_000, 10_000),
        probes: section.number("probes", 1..=1_000, 3),
        echo: by_echo.unwrap_or(true).then_some(echo_timeout),
    };
    if breaker.open > breaker.open_max {
        section.fault_at("open_ms", "`open_ms` is above `open_max_ms`");
    }
    section.finish();
    breaker
}

fn ejection(section: Section<'_>) -> EjectionPolicy {
    let failures = section.number("failures", 0..=1_000, 8);
    let ejection = EjectionPolicy {
        failures: (failures > 0).then_some(failures),
        first: section.millis("eject_ms", 10..=3_600_000, 5_000),
        max: section.millis("eject_max_ms", 10..=3_600_000, 60_000),
    };
    if ejection.first > ejection.max {
        section.fault_at("eject_ms", "`eject_ms` is above `eject_max_ms`");
    }
    section.finish();
    ejection
}

/// Refuses two tables of one name, and more than become labels.
pub(super) fn unique_names(root: &Section<'_>, kind: &str, sections: &[Section<'_>]) {
    let mut known: Vec<(String, String)> = Vec::with_capacity(sections.len());
    for section in sections {
        let Some((name, _)) = section.text("name") else {
            continue;
        };
        match known.iter().find(|(other, _)| *other == name) {
            Some((_, place)) => section.fault_at(
                "name",
                format!("another {kind} is named `{name}` too, at {place}"),
            ),
            None => known.push((name, section.place_of("name"))),
        }
    }
    if sections.len() > LABELS_MAX {
        root.fault(format!(
            "there are {} [[{kind}]] tables, at most {LABELS_MAX} are possible",
            sections.len()
        ));
    }
}

pub(super) fn name(section: &Section<'_>) -> String {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = section.required("name", |text| {
        if (1..=LABEL_LEN_MAX).contains(&text.len()) && text.bytes().all(legal) {
            return Ok(text.to_owned());
        }
        Err("takes 1 to 32 characters of a-z, 0-9 and `-`: it becomes a metric label".to_owned())
    });
    name.unwrap_or_default()
}

/// The position of a name among those that exist.
pub(super) fn position(text: &str, names: &[&str]) -> Result<u16, String> {
    let position = names.iter().position(|name| *name == text);
    if let Some(position) = position.and_then(|position| u16::try_from(position).ok()) {
        return Ok(position);
    }
    Err(match nearest(text, names) {
        Some(near) => format!("names `{text}`, which does not exist; did you mean `{near}`?"),
        None => format!(
            "names `{text}`, which does not exist; known: {}",
            names.join(", ")
        ),
    })
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "takes addresses like 127.0.0.1:8583 or [::1]:8583".to_owned())
}

pub(super) fn unused_address() -> SocketAddr {
    // Stands in for a missing address, which refuses the configuration.
    ([127, 0, 0, 1], 0).into()
}

/// A currency by its three letters or its three digits.
pub(super) fn currency(text: &str) -> Result<Currency, String> {
    let letters = text.to_ascii_uppercase();
    Currency::from_alphabetic(&letters)
        .or_else(|| Currency::from_digits(text.as_bytes()).ok())
        .ok_or_else(|| format!("names the currency `{text}`; write KES or 404 (ISO 4217)"))
}

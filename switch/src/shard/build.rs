//! The parts of a shard, out of the configuration.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use domain::ids::{LinkId, Lsn, ShardId};
use domain::reconciliation::Party;
use domain::time::WallTime;
use persistence::manifest::NAMES_MAX;
use risk_inline::list::ListSpec;
use risk_inline::policy::{AmountLimit, VelocityLimit, VelocityWindow};
use router::links::LinkPool;
use router::policy::SlowPolicy;
use router::{BreakerPolicy, IssuerPolicy};
use transaction::matching::{StanAllocator, StanRange};
use transaction::reconciliation::Parties;
use transaction::settings::{BeforeLive, Chunks, IssuerSet, OutsideWindow, SafPolicy};

use super::{LinkPlace, LinkTable};
use crate::config::{self, Config, Issuer};
use crate::crypto::endpoint_keys::{Endpoint, KeyTable};
use crate::echo::EchoReader;
use crate::endpoint::IssuerWire;
use crate::issuer::{Link, LinkSetup};
use crate::limits::{ANSWER_BYTES_PER_TRANSACTION, DECISION_TIMEOUT, LATE_WINDOW};
use crate::voice::Voice;

/// What the engine of one shard is built with.
pub(super) fn engine_settings(
    config: &Config,
    shard: ShardId,
    shards: u16,
    start: u32,
    wall_at_zero: WallTime,
) -> transaction::Settings {
    let transactions_max = config.limits.transactions_max.div_ceil(usize::from(shards));
    let reversal_timeouts = config.issuers.iter().map(|issuer| issuer.reversal_timeout);
    transaction::Settings {
        node: config.node.id,
        shard,
        start,
        transactions_max,
        inflight_max: config.limits.inflight_max,
        saf_max: config.saf.entries_max,
        exceptions_max: config.saf.exceptions_max.min(transactions_max / 4),
        advice_window: config.duplicates.advice_window,
        advice_bytes_max: config.saf.advice_bytes_max,
        answer_bytes_max: transactions_max.saturating_mul(ANSWER_BYTES_PER_TRANSACTION),
        deadlines_max: config.routes.len(),
        issuers: config.issuers.len(),
        duplicate_window: config.duplicates.window,
        outside_window: OutsideWindow::Refuse,
        timeout_answer: domain::ResponseCode::ISSUER_INOPERATIVE,
        decision_timeout: DECISION_TIMEOUT,
        saf: SafPolicy {
            response_timeout: reversal_timeouts.max().unwrap_or_default(),
            backoff_first: config.saf.backoff_first,
            backoff_max: config.saf.backoff_max,
            expiry: config.saf.expiry,
            inflight_max: config.saf.inflight_max,
            rate_after_up: NonZeroU32::new(config.saf.rate_after_sign_on),
        },
        before_live: before_live(config),
        asked_later: asked_later(config),
        parties: parties(config),
        next_lsn: Lsn(1),
        wall_at_zero,
        seed: u64::from(start),
        chunks: Chunks::Lazy,
    }
}

const _: () = assert!(
    NAMES_MAX <= IssuerSet::ISSUERS_MAX,
    "an id is given to each name that the journal has ever known, and to so many alone"
);

/// Which issuers have what they are owed for an account before a request of it.
fn before_live(config: &Config) -> BeforeLive {
    let issuers = config.issuers.iter();
    let asking = issuers.filter(|issuer| issuer.saf_before_live);
    let nobody = BeforeLive::new(config.limits.held_back_max);
    asking.fold(nobody, |set, issuer| set.with(issuer.id))
}

//= docs/rules.md#T-16
/// Which issuers have a query.
fn asked_later(config: &Config) -> IssuerSet {
    let issuers = config.issuers.iter();
    let has_query = |issuer: &&Issuer| {
        let plan = issuer.http.as_ref();
        plan.is_some_and(|plan| plan.query.is_some())
    };
    let asked = issuers.filter(has_query);
    asked.fold(IssuerSet::NOBODY, |set, issuer| set.with(issuer.id))
}

/// With whom totals are kept.
fn parties(config: &Config) -> Parties {
    let listeners = config.listeners.iter();
    let kept = listeners.filter(|listener| listener.reconcile.is_some());
    let acquirers = kept.map(|listener| Party::Acquirer(listener.acquirer));
    let issuers = config.issuers.iter();
    let issuers = issuers.filter(|issuer| issuer.reconcile.is_some());
    let issuers = issuers.map(|issuer| Party::Issuer(issuer.id));
    acquirers
        .chain(issuers)
        .fold(Parties::default(), Parties::with)
}

/// What a shard's router may do to each issuer: its share of the bulkhead.
pub(super) fn issuer_policies(config: &Config, shards: u16) -> Vec<IssuerPolicy> {
    let deadline_max = config
        .routes
        .iter()
        .map(|route| route.deadline)
        .max()
        .unwrap_or_default();
    let policy = |issuer: &Issuer| IssuerPolicy {
        breaker: breaker_policy(&issuer.breaker, deadline_max.saturating_mul(2)),
        inflight_max: issuer.inflight_max.div_ceil(u32::from(shards)),
    };
    config.issuers.iter().map(policy).collect()
}

/// Links by issuer, each with its STAN slice and, at its home shard, its state.
pub(super) fn link_table(
    config: &Config,
    shard: ShardId,
    shards: u16,
    seed: u64,
    wires: &[IssuerWire],
    echo: &EchoReader,
    keys: &KeyTable,
) -> LinkTable {
    let mut table = LinkTable {
        all: Vec::new(),
        of_issuer: Vec::new(),
    };
    for (issuer, wire) in config.issuers.iter().zip(wires) {
        let pool = LinkPool::new(issuer.first_link, issuer.links, issuer.ejection);
        table.of_issuer.push(pool);
        for (position, link) in (0_u32..).zip(issuer.link_ids()) {
            let home_shard = ShardId(link.0.checked_rem(shards).unwrap_or(0));
            table.all.push(LinkPlace {
                issuer: issuer.id,
                home_shard,
                up: false,
                open_for: Rc::default(),
                stans: stan_part(&range_of(issuer, position, shard, shards), seed),
                home: (home_shard == shard)
                    .then(|| Box::new(link_of(issuer, link, wire, echo, keys))),
            });
        }
    }
    table
}

fn link_of(
    issuer: &Issuer,
    id: LinkId,
    wire: &IssuerWire,
    echo: &EchoReader,
    keys: &KeyTable,
) -> Link {
    Link::new(LinkSetup {
        id,
        issuer: issuer.id,
        name: issuer.name.clone(),
        voice: Voice {
            dialect: wire.dialect,
            codes: issuer.network_codes,
            mac: issuer.mac.clone(),
            keys: keys.of(Endpoint::Issuer(issuer.id)).cloned(),
        },
        casing: wire.casing,
        policy: issuer.link,
        match_fields: issuer.match_fields,
        group: issuer.link_group,
        // What is answered later holds no permit, and is waited for all the same.
        pending_max: issuer.inflight_max as usize + asked_for_max(issuer),
        late_window: LATE_WINDOW,
        echo: echo.clone(),
    })
}

/// How many payments of an issuer are asked for until they are decided, on one shard.
fn asked_for_max(issuer: &Issuer) -> usize {
    let query = issuer.http.as_ref().and_then(|plan| plan.query.as_ref());
    query.map_or(0, |query| query.pending_max)
}

/// The link's slice of the issuer's STAN space, and the shard's part of the slice.
pub(super) fn stan_range(
    config: &Config,
    link: LinkId,
    shard: ShardId,
    shards: u16,
) -> Option<StanRange> {
    config.issuers.iter().find_map(|issuer| {
        let (position, _) = (0_u32..).zip(issuer.link_ids()).find(|own| own.1 == link)?;
        Some(range_of(issuer, position, shard, shards))
    })
}

fn range_of(issuer: &Issuer, position: u32, shard: ShardId, shards: u16) -> StanRange {
    let size = issuer.stans_each();
    let base = issuer
        .stan_base
        .saturating_add(position.saturating_mul(size));
    StanRange {
        base,
        size,
        shards,
        shard: shard.0,
    }
}

fn stan_part(range: &StanRange, seed: u64) -> StanAllocator {
    let late_max = usize::try_from(range.share() / 2).unwrap_or(usize::MAX);
    StanAllocator::new(range, LATE_WINDOW, late_max, seed)
}

fn breaker_policy(breaker: &config::Breaker, probe_timeout: Duration) -> BreakerPolicy {
    BreakerPolicy {
        window: breaker.window,
        calls_min: breaker.calls_min,
        failure_percent: breaker.failure_percent,
        slow: Some(SlowPolicy {
            limit: breaker.slow,
            percent: breaker.slow_percent,
        }),
        probes: breaker.probes,
        probe_timeout,
        echo: breaker.echo,
        open_first: breaker.open,
        open_max: breaker.open_max,
        calm: breaker.open_max.saturating_mul(2),
    }
}

/// The risk rules.
pub(super) fn risk_policy(config: &Config) -> risk_inline::Policy {
    let risk = &config.risk;
    let amount_limit = |limit: &domain::Amount| AmountLimit {
        currency: limit.currency(),
        minor_min: 1,
        minor_max: limit.minor(),
    };
    risk_inline::Policy {
        block: list(&risk.block),
        allow: list(&risk.allow),
        amounts: risk.amount_limits.iter().map(amount_limit).collect(),
        windows: risk.windows.iter().map(window).collect(),
    }
}

pub(super) fn window(spec: &config::Window) -> VelocityWindow {
    let limit = |limit: &config::WindowLimit| VelocityLimit {
        currency: limit.currency,
        count_max: limit.count_max,
        amount_max: limit.amount_max,
    };
    VelocityWindow {
        length: spec.span,
        limits: spec.limits.iter().map(limit).collect(),
    }
}

fn list(spec: &config::AccountList) -> ListSpec {
    ListSpec {
        tokens: spec.tokens.clone(),
        bins: spec.bins.clone(),
    }
}

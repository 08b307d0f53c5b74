//! Who asks, and whether it may ask that often: before anything of its request is looked at.

use std::time::Duration;

use domain::time::WallTime;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::desk::{Ask, NewNonce, Told};
use super::signature::{Head, Signature};
use super::{Connection, GatewayContext};
use crate::acquirer::json::problem::{Problem, Slug};
use crate::config::{ApiKey, Credentials};
use crate::limits::SIGNED_AHEAD_MAX_S;
use crate::metrics::GatewayRefusal;
use crate::shard::nonces::Spent;

/// Before anybody has shown who it is: whoever guesses keys is slowed down too.
pub(super) fn check_address(
    connection: &Connection,
    context: &GatewayContext,
) -> Result<(), Problem> {
    let Some(address) = connection.address else {
        return Ok(());
    };
    let now = context.clock.now();
    let asked = context.rates.borrow_mut().ask_from(address, now);
    asked.map_err(|wait| too_often(wait, GatewayRefusal::AddressRate, context))
}

/// Who has shown nobody that is known pays with his address. A gateway that has signed before a
/// start is known, and all its requests are refused for a moment.
pub(super) fn note_failure(problem: &Problem, connection: &Connection, context: &GatewayContext) {
    if problem.slug == Slug::Unauthenticated
        && problem.refusal != Some(GatewayRefusal::SignatureForgotten)
        && let Some(address) = connection.address
    {
        let now = context.clock.now();
        context.rates.borrow_mut().charge(address, now);
    }
}

/// What a request has shown.
#[derive(Debug)]
pub(super) enum Shown {
    /// Who it is.
    Known,
    /// That it should be signed so, which [`prove`] is to say.
    Signed(Signature),
}

/// Who it is, as far as a head says it; and where that is all, whether it asks too often.
pub(super) fn identify(head: Head<'_>, context: &GatewayContext) -> Result<Shown, Problem> {
    let held = context.credentials.of(context.number);
    let held = held.ok_or_else(|| refused(GatewayRefusal::CredentialUnknown, context))?;
    if held.signing_keys.is_empty() {
        let checked = authenticate(head.headers, &held, context);
        checked.map_err(|reason| refused(reason, context))?;
        return check_rate(context).map(|()| Shown::Known);
    }
    let read = Signature::read(head.headers).and_then(|signature| {
        let now = context.clock.wall();
        signature.key(&context.gateway.name, &held.signing_keys, now)?;
        Ok(Shown::Signed(signature))
    });
    read.map_err(|reason| refused(reason, context))
}

/// That it is signed so, does not come too often and has not come before: in this order, so that
/// nobody else spends what a gateway has, and it no nonces on what is refused.
pub(super) async fn prove(
    signature: &Signature,
    head: Head<'_>,
    body: &[u8],
    context: &GatewayContext,
) -> Result<(), Problem> {
    let held = context.credentials.of(context.number);
    let held = held.ok_or_else(|| refused(GatewayRefusal::CredentialUnknown, context))?;
    let now = context.clock.wall();
    let key = signature.key(&context.gateway.name, &held.signing_keys, now);
    let checked = key.and_then(|key| signature.check(key, head, body));
    checked.map_err(|reason| refused(reason, context))?;
    check_rate(context)?;
    let ask = Ask::Spend(NewNonce {
        acquirer: context.gateway.acquirer,
        gateway: context.number,
        nonce: signature.nonce.clone(),
        timestamp: signature.timestamp,
    });
    match context.ask(ask, Slug::Overloaded)?.told().await {
        Told::Nonce(Spent::Once) => Ok(()),
        Told::Nonce(Spent::NoRoom) => {
            Err(too_often(NONCES_WAIT, GatewayRefusal::NoncesFull, context))
        }
        Told::Nonce(Spent::Forgotten { until }) => Err(forgotten(until, now, context)),
        Told::Nonce(Spent::BeyondHorizon) => Err(beyond_horizon(context)),
        Told::Nonce(Spent::Again)
        | Told::Transaction { .. }
        | Told::Reserved
        | Told::Reused(_)
        | Told::Conflict { .. }
        | Told::Buried
        | Told::Elsewhere
        | Told::Refused(_) => Err(refused(GatewayRefusal::NonceReplayed, context)),
    }
}

/// Whether requests of this gateway are signed.
pub(super) fn signs(context: &GatewayContext) -> bool {
    let held = context.credentials.of(context.number);
    held.is_some_and(|held| !held.signing_keys.is_empty())
}

/// Whether it asks too often, which is of whom it has shown itself to be.
fn check_rate(context: &GatewayContext) -> Result<(), Problem> {
    let asked = context.rates.borrow_mut().ask(context.clock.now());
    asked.map_err(|wait| too_often(wait, GatewayRefusal::Rate, context))
}

fn refused(reason: GatewayRefusal, context: &GatewayContext) -> Problem {
    context.count(reason);
    Problem {
        refusal: Some(reason),
        ..Problem::of(Slug::Unauthenticated)
    }
}

/// Who has signed is proven: it may be told what to do, and for how long that is of no use yet.
fn forgotten(until: u64, now: WallTime, context: &GatewayContext) -> Problem {
    // Further ahead than any clock that is taken: this one was there, and was set back.
    if until > now.unix_millis() / 1_000 + SIGNED_AHEAD_MAX_S
        && let Some(count) = context.set_back.note(context.clock.now())
    {
        let gateway = &context.gateway.name;
        tracing::error!(
            %gateway,
            until,
            count,
            "the clock is behind what was taken of this gateway: until it has passed `until`, \
             nothing that it signs is taken; set the clock, or see docs/operations.md"
        );
    }
    Problem {
        detail: Some("signed before this switch has started, or just then: sign anew"),
        retry_after_s: wait_s(until, now),
        ..refused(GatewayRefusal::SignatureForgotten, context)
    }
}

/// Seconds until a clock that is right says a time behind `until`; `None` when it does.
fn wait_s(until: u64, now: WallTime) -> Option<u64> {
    let good_at = until.saturating_add(1).saturating_mul(1_000);
    let wait = good_at.saturating_sub(now.unix_millis()).div_ceil(1_000);
    (wait > 0).then(|| wait.min(RETRY_MAX_S))
}

fn beyond_horizon(context: &GatewayContext) -> Problem {
    context.count(GatewayRefusal::BeyondHorizon);
    let detail = "what is signed at this time cannot be taken at present";
    Problem::with(Slug::Overloaded, detail)
}

fn too_often(wait: Duration, reason: GatewayRefusal, context: &GatewayContext) -> Problem {
    context.count(reason);
    Problem {
        // Whole seconds, and not too few.
        retry_after_s: Some(wait.as_secs() + 1),
        ..Problem::of(Slug::RateLimited)
    }
}

/// Compares with every key that is good, whichever comes first: the time says nothing.
fn authenticate(
    headers: &HeaderMap,
    held: &Credentials,
    context: &GatewayContext,
) -> Result<(), GatewayRefusal> {
    if context.gateway.names_identities() && held.api_keys.is_empty() {
        return Ok(());
    }
    let key = shown(headers, &context.gateway.name).ok_or(GatewayRefusal::CredentialMissing)?;
    check_key(key, &held.api_keys, context.clock.wall())
}

fn check_key(key: &[u8], known: &[ApiKey], now: WallTime) -> Result<(), GatewayRefusal> {
    let digest: [u8; 32] = Sha256::digest(key).into();
    let (mut is_good, mut was_good) = (Choice::from(0), Choice::from(0));
    for key in known {
        let is_same = key.sha256.ct_eq(&digest);
        if is_past(key.not_after, now) {
            was_good |= is_same;
        } else {
            is_good |= is_same;
        }
    }
    if bool::from(is_good) {
        Ok(())
    } else if bool::from(was_good) {
        Err(GatewayRefusal::CredentialExpired)
    } else {
        Err(GatewayRefusal::CredentialUnknown)
    }
}

fn is_past(not_after: Option<WallTime>, now: WallTime) -> bool {
    not_after.is_some_and(|end| now > end)
}

/// The one key that a head shows. Of two nobody can say which one was meant.
fn shown<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let is_twice = |name: HeaderName| headers.get_all(name).into_iter().nth(1).is_some();
    if [header::AUTHORIZATION, API_KEY, CLIENT_ID]
        .into_iter()
        .any(is_twice)
    {
        return None;
    }
    let bearer = headers.get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let own = headers.get(API_KEY).map(HeaderValue::as_bytes);
    let named = headers.get(CLIENT_ID).map(HeaderValue::as_bytes);
    match (bearer, own) {
        (Some(key), None) => Some(key),
        (None, Some(key)) if named == Some(name.as_bytes()) => Some(key),
        _ => None,
    }
}

/// Nonces are forgotten by and by.
const NONCES_WAIT: Duration = Duration::from_secs(59);
/// Where a clock was set back nobody knows how long it takes.
const RETRY_MAX_S: u64 = 60;
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_millis(1_795_297_141_000);

    fn key(text: &str, not_after: Option<u64>) -> ApiKey {
        ApiKey {
            sha256: Sha256::digest(text).into(),
            not_after: not_after.map(WallTime::from_unix_millis),
        }
    }

    #[test]
    fn two_keys_are_good_while_one_follows_the_other() {
        let both = [key("old", Some(1_795_297_141_000)), key("new", None)];
        let check = |text: &str, now| check_key(text.as_bytes(), &both, now);
        check("old", NOW).unwrap();
        check("new", NOW).unwrap();
        assert_eq!(check("other", NOW), Err(GatewayRefusal::CredentialUnknown));
        let later = WallTime::from_unix_millis(1_795_297_141_001);
        assert_eq!(check("old", later), Err(GatewayRefusal::CredentialExpired));
        check("new", later).unwrap();
        // One that stands there twice is good for as long as either.
        let twice = [key("old", Some(0)), key("old", None)];
        check_key(b"old", &twice, NOW).unwrap();
    }

    #[test]
    fn who_signs_anew_after_the_time_that_he_is_told_is_behind_what_is_forgotten() {
        let until = NOW.unix_millis() / 1_000;
        let told = |millis| wait_s(until, WallTime::from_unix_millis(millis));
        let start = until * 1_000;
        assert_eq!(told(start - 5_999), Some(7));
        assert_eq!(told(start), Some(1));
        assert_eq!(told(start + 999), Some(1));
        assert_eq!(told(start + 1_000), None);
        assert_eq!(told(start + 300_000), None);
        // A clock that was set back.
        assert_eq!(told(start - 3_600_000), Some(60));
    }

    #[test]
    fn one_credential_is_shown_or_none() {
        let shown = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                let value = HeaderValue::from_static(value);
                headers.append(HeaderName::from_static(name), value);
            }
            shown(&headers, "mobile").map(<[u8]>::to_vec)
        };
        let bearer = ("authorization", "Bearer k");
        let (own, name) = (("x-api-key", "k"), ("x-client-id", "mobile"));
        assert_eq!(shown(&[bearer]), Some(b"k".to_vec()));
        assert_eq!(shown(&[own, name]), Some(b"k".to_vec()));
        for bad in [
            &[][..],
            &[own],
            &[own, ("x-client-id", "other")],
            &[bearer, bearer],
            &[bearer, own, name],
            &[("authorization", "Basic k")],
        ] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
    }
}

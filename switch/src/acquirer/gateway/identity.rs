//! Who asks, and whether it may ask that often: before anything of its request is looked at.

use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Connection, GatewayContext};
use crate::acquirer::json::problem::{Problem, Slug};
use crate::metrics::GatewayRefusal;

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

/// Who it is, and whether it asks too often.
pub(super) fn identify(headers: &HeaderMap, context: &GatewayContext) -> Result<(), Problem> {
    authenticate(headers, context).map_err(|reason| {
        context.count(reason);
        Problem::of(Slug::Unauthenticated)
    })?;
    let asked = context.rates.borrow_mut().ask(context.clock.now());
    asked.map_err(|wait| too_often(wait, GatewayRefusal::Rate, context))
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
fn authenticate(headers: &HeaderMap, context: &GatewayContext) -> Result<(), GatewayRefusal> {
    if context.gateway.is_known_by_certificate() {
        return Ok(());
    }
    let key = shown(headers, &context.gateway.name).ok_or(GatewayRefusal::CredentialMissing)?;
    let digest: [u8; 32] = Sha256::digest(key).into();
    let known = context.gateway.api_keys.iter();
    let is_good = known.fold(0_u8, |good, hash| good | hash.ct_eq(&digest).unwrap_u8());
    if is_good == 1 {
        Ok(())
    } else {
        Err(GatewayRefusal::CredentialUnknown)
    }
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

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");

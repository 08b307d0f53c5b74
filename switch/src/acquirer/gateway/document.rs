//! `/openapi.json`: made once per shard, as whoever asks need not prove who he is.

use std::cell::OnceCell;

use bytes::Bytes;

use super::GatewayContext;
use super::handler::{Answer, JSON, answer_of};
use crate::acquirer::json::{AccountNumbers, openapi};

thread_local! {
    /// For gateways that may name a party by a PAN, and for those that may not.
    static MADE: [OnceCell<Bytes>; 2] = const { [OnceCell::new(), OnceCell::new()] };
}

/// Makes what the gateway is told, before there is anybody who would wait meanwhile.
pub(super) fn prepare(context: &GatewayContext) {
    drop(made(context));
}

pub(super) fn openapi(context: &GatewayContext) -> Answer {
    answer_of(200, JSON, made(context))
}

fn made(context: &GatewayContext) -> Bytes {
    let account_numbers = context.account_numbers();
    let place = usize::from(account_numbers == AccountNumbers::Allowed);
    MADE.with(|all| {
        let made = all[place].get_or_init(|| openapi::document(account_numbers).into());
        made.clone()
    })
}

//! The handshakes of one shard, by who wants them: each lane has bounds and a turn of its own, so
//! that a storm in one of them costs the others nothing but time of the processor. A link that
//! comes back would else wait behind everybody who knocks.

use std::rc::Rc;

use super::{Bounds, Handshakes};
use crate::clock::Clock;
use crate::config::Limits;
use crate::metrics::Metrics;

/// All handshakes of one shard.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    /// Of acquirers that speak ISO 8583.
    pub(crate) sessions: Rc<Handshakes>,
    /// Of gateways.
    pub(crate) gateways: Rc<Handshakes>,
    /// With issuers.
    pub(crate) links: Rc<Handshakes>,
}

impl Lanes {
    /// Each with as many at once as `limits` say.
    pub(crate) fn new(limits: &Limits, clock: Clock, metrics: &Metrics) -> Self {
        let bounds = Bounds {
            open_max: limits.tls_handshakes_max,
            of_network_max: limits.tls_handshakes_per_network_max,
        };
        Self::bounded(bounds, clock, metrics)
    }

    pub(super) fn bounded(bounds: Bounds, clock: Clock, metrics: &Metrics) -> Self {
        let lane = || Handshakes::new(bounds, clock, metrics.clone());
        Self {
            sessions: lane(),
            gateways: lane(),
            links: lane(),
        }
    }
}

//! How often a gateway and its addresses may ask.

use super::section::Section;

/// The rates of one gateway; what is `None` has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayRates {
    /// Of who has shown who it is, over all shards.
    pub gateway: Option<Rate>,
    /// Of each address, before anybody has shown anything, on each shard.
    pub address: Option<Rate>,
    /// How many requests one costs its address that has shown nobody; not zero.
    pub failure_cost: u32,
}

/// So often, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second; not zero.
    pub per_second: u32,
    /// Requests that may come at once after a silence; not zero.
    pub burst: u32,
}

/// Reads the keys of `[[gateway]]`.
pub(super) fn rates(section: &Section<'_>) -> GatewayRates {
    let rate = |per_second: &'static str, burst: &'static str| {
        let asked = section.optional_number(per_second, 1..=1_000_000);
        let Some(asked) = asked.and_then(|rate| u32::try_from(rate).ok()) else {
            if section.has(burst) {
                section.fault_at(
                    burst,
                    format!("`{burst}` is of no use without `{per_second}`"),
                );
                section.pass_over(burst);
            }
            return None;
        };
        Some(Rate {
            per_second: asked,
            burst: section.number(burst, 1..=1_000_000, asked),
        })
    };
    let rates = GatewayRates {
        gateway: rate("rate_per_second", "rate_burst"),
        address: rate("address_rate_per_second", "address_rate_burst"),
        failure_cost: section.number(FAILURE_COST, 1..=1_000, 10),
    };
    if rates.address.is_none() && section.has(FAILURE_COST) {
        let text = "`address_failure_cost` is of no use without `address_rate_per_second`";
        section.fault_at(FAILURE_COST, text);
    }
    rates
}

const FAILURE_COST: &str = "address_failure_cost";

//! How often a gateway and an address may ask: the generic cell rate algorithm. A bucket is the
//! time at which it is full again, so a rate costs no timer, and an address that is silent no
//! memory.
//!
//! Pure: it names no clock and no socket. Bounded by [`ADDRESSES_MAX`]; the addresses beyond it
//! share one bucket, so that many of them together get no more than one.

use std::net::IpAddr;
use std::time::Duration;

use ahash::AHashMap;
use domain::time::Instant;

use crate::acquirer::places::network;
use crate::config::{GatewayRates, Rate};

/// What one gateway and its addresses may ask for on one shard.
#[derive(Debug)]
pub(crate) struct Rates {
    gateway: Option<(Limit, Instant)>,
    of_addresses: Option<Limit>,
    /// In requests, of one that is of nobody.
    failure_cost: u32,
    addresses: AHashMap<IpAddr, Instant>,
    /// The bucket of all addresses beyond the bound.
    others: Instant,
}

impl Rates {
    /// A gateway's rate is that of all shards together; an address' is that of each.
    pub(crate) fn new(rates: GatewayRates, shards: u16) -> Self {
        Self {
            gateway: rates
                .gateway
                .map(|rate| (Limit::of(rate, shards), Instant::ZERO)),
            of_addresses: rates.address.map(|rate| Limit::of(rate, 1)),
            failure_cost: rates.failure_cost,
            addresses: AHashMap::new(),
            others: Instant::ZERO,
        }
    }

    /// One more request of the gateway, which has shown who it is.
    ///
    /// # Errors
    /// It comes too soon: how long to wait.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        match &mut self.gateway {
            Some((limit, full_at)) => limit.take(full_at, now),
            None => Ok(()),
        }
    }

    /// One more request from an address, whoever it is.
    ///
    /// # Errors
    /// It comes too soon: how long to wait.
    pub(super) fn ask_from(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        match self.bucket(address, now) {
            Some((limit, full_at)) => limit.take(full_at, now),
            None => Ok(()),
        }
    }

    /// A request from there was of nobody: it costs as much as several that are of somebody.
    pub(super) fn charge(&mut self, address: IpAddr, now: Instant) {
        let more = self.failure_cost.saturating_sub(1);
        if let Some((limit, full_at)) = self.bucket(address, now) {
            limit.charge(full_at, now, more);
        }
    }

    /// The bucket of an address.
    fn bucket(&mut self, address: IpAddr, now: Instant) -> Option<(Limit, &mut Instant)> {
        let limit = self.of_addresses?;
        let address = network(address);
        if !self.addresses.contains_key(&address) && self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain(|_, full_at| *full_at > now);
            if self.addresses.len() >= ADDRESSES_MAX {
                return Some((limit, &mut self.others));
            }
        }
        Some((limit, self.addresses.entry(address).or_insert(now)))
    }
}

/// Addresses of which one shard knows how often they have asked.
const ADDRESSES_MAX: usize = 4_096;

/// One rate.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// From one request to the next.
    interval: Duration,
    /// How much of the bucket a burst may use before it waits.
    tolerance: Duration,
}

impl Limit {
    fn of(rate: Rate, parts: u16) -> Self {
        let parts = u32::from(parts.max(1));
        let interval = Duration::from_secs(1).saturating_mul(parts) / rate.per_second.max(1);
        let burst = rate.burst.div_ceil(parts).max(1);
        Self {
            interval,
            tolerance: interval.saturating_mul(burst - 1),
        }
    }

    fn take(self, full_at: &mut Instant, now: Instant) -> Result<(), Duration> {
        let from = now.max(*full_at);
        let missing = from.since(now);
        if missing > self.tolerance {
            return Err(missing.saturating_sub(self.tolerance));
        }
        *full_at = from.after(self.interval);
        Ok(())
    }

    /// Takes so many more, whether or not they are there. Many that were under way at once cost no
    /// longer a wait than one: whoever shares the address waits too.
    fn charge(self, full_at: &mut Instant, now: Instant, count: u32) {
        let more = self.interval.saturating_mul(count);
        let longest = now.after(self.tolerance).after(more);
        *full_at = now.max(*full_at).after(more).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 4,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000 + millis)
    }

    fn rates(shards: u16) -> Rates {
        let all = GatewayRates {
            gateway: Some(RATE),
            address: Some(RATE),
            failure_cost: 10,
        };
        Rates::new(all, shards)
    }

    #[test]
    fn a_burst_is_taken_and_then_the_rate() {
        let mut rates = rates(1);
        for _ in 0..4 {
            rates.ask(at(0)).unwrap();
        }
        assert_eq!(rates.ask(at(0)), Err(Duration::from_millis(100)));
        assert_eq!(rates.ask(at(99)), Err(Duration::from_millis(1)));
        rates.ask(at(100)).unwrap();
        assert_eq!(rates.ask(at(100)), Err(Duration::from_millis(100)));
        // A second of silence fills it, and fills it no further.
        for _ in 0..4 {
            rates.ask(at(5_000)).unwrap();
        }
        rates.ask(at(5_000)).unwrap_err();
    }

    #[test]
    fn what_is_refused_costs_nothing() {
        let mut rates = rates(1);
        for _ in 0..4 {
            rates.ask(at(0)).unwrap();
        }
        for _ in 0..1_000 {
            rates.ask(at(50)).unwrap_err();
        }
        rates.ask(at(100)).unwrap();
    }

    #[test]
    fn each_shard_has_its_part_of_a_gateway() {
        let mut rates = rates(2);
        rates.ask(at(0)).unwrap();
        rates.ask(at(0)).unwrap();
        assert_eq!(rates.ask(at(0)), Err(Duration::from_millis(200)));
    }

    #[test]
    fn an_address_pays_for_itself_alone() {
        let mut rates = rates(2);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..4 {
            rates.ask_from(one, at(0)).unwrap();
        }
        rates.ask_from(one, at(0)).unwrap_err();
        rates.ask_from(other, at(0)).unwrap();
        let mapped = IpAddr::V6(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        rates.ask_from(mapped, at(0)).unwrap_err();
        let near = |low| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, low));
        for low in 0..4 {
            rates.ask_from(near(low), at(0)).unwrap();
        }
        rates.ask_from(near(9), at(0)).unwrap_err();
    }

    #[test]
    fn who_is_nobody_pays_more_and_no_other_address_does() {
        let mut rates = rates(1);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        rates.ask_from(one, at(0)).unwrap();
        rates.charge(one, at(0));
        // Of a burst of four one was asked for and nine were charged: six are missing for one more.
        let wait = rates.ask_from(one, at(0)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(700));
        rates.ask_from(one, at(699)).unwrap_err();
        rates.ask_from(one, at(700)).unwrap();
        rates.ask_from(other, at(0)).unwrap();
        rates.ask(at(0)).unwrap();
    }

    #[test]
    fn failures_that_were_under_way_at_once_are_no_longer_a_wait_than_one() {
        let mut rates = rates(1);
        let one = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..4 {
            rates.ask_from(one, at(0)).unwrap();
        }
        for _ in 0..4 {
            rates.charge(one, at(0));
        }
        let wait = rates.ask_from(one, at(0)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(900));
    }

    #[test]
    fn addresses_beyond_the_bound_share_one_bucket() {
        let mut rates = rates(1);
        let address = |number: u32| IpAddr::V4(Ipv4Addr::from(number));
        for number in 0..4_096 {
            rates.ask_from(address(number), at(0)).unwrap();
        }
        for number in 5_000..5_004 {
            rates.ask_from(address(number), at(0)).unwrap();
        }
        rates.ask_from(address(6_000), at(0)).unwrap_err();
        rates.ask_from(address(1), at(0)).unwrap();
        // Who is silent is forgotten.
        rates.ask_from(address(6_000), at(60_000)).unwrap();
        assert_eq!(rates.addresses.len(), 1);
    }
}

//! The rules in their fixed order.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use domain::request::Facts;
use domain::time::Instant;

use crate::account::{AccountKey, Widths};
use crate::error::PolicyError;
use crate::list::List;
use crate::policy::{Limits, Policy, VelocityWindow};
use crate::ring::BucketWidth;
use crate::velocity::{Movement, Past, VelocityTable};
use crate::verdict::Verdict;

/// The risk rules of one shard, with the counters of the accounts whose home it is.
#[derive(Debug)]
pub struct RiskEngine {
    rules: Rules,
    velocity: VelocityTable,
    seed: u64,
}

impl RiskEngine {
    /// Accounts at most.
    pub const ACCOUNTS_MAX: usize = 1 << 30;

    /// An engine that remembers up to `accounts_max` accounts, one per currency they move money in.
    /// Each takes 260 bytes: address space is reserved at once, memory is used as accounts appear.
    ///
    /// # Errors
    /// All that is wrong with the policy, or `accounts_max` zero or above
    /// [`RiskEngine::ACCOUNTS_MAX`].
    pub fn new(policy: Policy, accounts_max: usize, seed: u64) -> Result<Self, Vec<PolicyError>> {
        if !(1..=Self::ACCOUNTS_MAX).contains(&accounts_max) {
            let mut errors = vec![PolicyError::Accounts { accounts_max }];
            errors.extend(Rules::new(policy, seed).err().unwrap_or_default());
            return Err(errors);
        }
        let rules = Rules::new(policy, seed)?;
        let velocity = VelocityTable::new(accounts_max, rules.widths, rules.idle_max, seed);
        Ok(Self {
            rules,
            velocity,
            seed,
        })
    }

    //= docs/rules.md#R-06
    /// May this request go to an issuer? Counts it if it may.
    pub fn assess(&mut self, facts: &Facts, now: Instant) -> Verdict {
        let rules = &self.rules;
        if rules.block.contains(&facts.account) {
            return Verdict::BLOCKED;
        }
        if rules.allow.contains(&facts.account) {
            return Verdict::Accept;
        }
        let Some(limits) = rules.limits.of(facts) else {
            return Verdict::Accept;
        };
        if !limits.admits(facts.amount) {
            return Verdict::AMOUNT_LIMIT;
        }
        match limits.windows() {
            Some(windows) => self
                .velocity
                .assess(movement(facts), windows, counted_at(now)),
            None => Verdict::Accept,
        }
    }

    /// Counts a request that was accepted before a restart, `age` ago, without a verdict. Requests
    /// may come in any order, and after younger ones: each counts for as long as it would have
    /// without a restart. Those that have left all windows change nothing.
    pub fn observe(&mut self, facts: &Facts, age: Duration, now: Instant) {
        if let Some(past) = self.past(facts, age, now) {
            self.observe_all(&[past]);
        }
    }

    /// What [`RiskEngine::observe`] would count of a request; `None` when nothing. Another engine
    /// of the same policy may count it, if `now` is of the same clock.
    #[must_use]
    pub fn past(&self, facts: &Facts, age: Duration, now: Instant) -> Option<Past> {
        if age >= self.rules.idle_max || self.rules.allow.contains(&facts.account) {
            return None;
        }
        let limits = self.rules.limits.of(facts)?;
        limits.windows()?;
        let movement = movement(facts);
        let age_nanos = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let now_nanos = counted_at(now).as_nanos();
        debug_assert!(age_nanos <= LEAD_NANOS, "the clock reaches back far enough");
        let at = Instant::from_nanos(now_nanos.saturating_sub(age_nanos));
        Some(Past { movement, at })
    }

    /// [`RiskEngine::observe`] of many: some dozens at a time wait for memory together.
    pub fn observe_all(&mut self, past: &[Past]) {
        self.velocity.observe(past);
    }

    /// Goes by another policy from here on. Counters are kept if the windows have the same lengths,
    /// and begin anew otherwise. Allocates.
    ///
    /// # Errors
    /// All that is wrong with the policy; then nothing changes.
    pub fn replace_policy(&mut self, policy: Policy) -> Result<(), Vec<PolicyError>> {
        let rules = Rules::new(policy, self.seed)?;
        if rules.widths != self.rules.widths {
            self.velocity.restart(rules.widths, rules.idle_max);
        }
        self.rules = rules;
        Ok(())
    }

    /// Requests and minor units that each window holds of the account and the currency of `facts`:
    /// what limits are compared with. Changes nothing.
    #[must_use]
    pub fn counted(&self, facts: &Facts, now: Instant) -> [(u32, u64); Policy::WINDOWS_MAX] {
        self.velocity.counted(movement(facts).key, counted_at(now))
    }

    /// Forgets at most `steps_max` accounts that have been idle for longer than any window, and
    /// says how many. Nothing depends on it but [`RiskEngine::accounts`].
    pub fn expire(&mut self, steps_max: usize, now: Instant) -> usize {
        self.velocity.expire(steps_max, counted_at(now))
    }

    /// Accounts that have counters.
    #[must_use]
    pub const fn accounts(&self) -> usize {
        self.velocity.used()
    }

    /// Accounts forgotten for want of room while some window still held them. If this rises, limits
    /// are not kept: `accounts_max` is too small.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.velocity.evicted()
    }
}

/// A policy, laid out for look-up.
#[derive(Debug)]
struct Rules {
    block: List,
    allow: List,
    limits: Limits,
    widths: Widths,
    idle_max: Duration,
}

impl Rules {
    fn new(policy: Policy, seed: u64) -> Result<Self, Vec<PolicyError>> {
        let limits = Limits::new(&policy)?;
        let mut widths = [BucketWidth::of(VelocityWindow::LENGTH_MAX); Policy::WINDOWS_MAX];
        for (width, window) in widths.iter_mut().zip(&policy.windows) {
            *width = BucketWidth::of(window.length);
        }
        let longest = policy.windows.iter().map(|window| window.length).max();
        let longest = longest.unwrap_or_default();
        Ok(Self {
            block: List::new(policy.block, seed),
            allow: List::new(policy.allow, seed),
            limits,
            widths,
            // A request counts for an eighth more than the window at most, one bucket, rounded up.
            idle_max: longest.saturating_add(longest.checked_div(4).unwrap_or_default()),
        })
    }
}

/// `now` on the clock of the counters. The shell's may begin with the process, and a journal goes
/// back further: what happened before its zero needs a place too.
const fn counted_at(now: Instant) -> Instant {
    Instant::from_nanos(now.as_nanos().saturating_add(LEAD_NANOS))
}

const fn movement(facts: &Facts) -> Movement {
    Movement {
        key: AccountKey {
            token: facts.account.token,
            currency: facts.amount.currency(),
        },
        minor: facts.amount.minor(),
    }
}

/// How far the zero of the counters' clock lies before the shell's: no request counts for longer
/// than a quarter more than the longest window.
const LEAD_NANOS: u64 = VelocityWindow::LENGTH_MAX.as_secs() * 1_250_000_000;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

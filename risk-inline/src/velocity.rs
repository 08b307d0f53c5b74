//! The counters of all accounts: a table of fixed capacity that forgets the account idle for
//! longest.
//!
//! A chained hash table over one slab. Unlike open addressing it needs no tombstones and never
//! rehashes, so the work per request has no rare peaks. Everything is linked by numbers into the
//! slab: the chains of equal hash, the accounts by time of last use, the free ones.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use domain::time::Instant;

use crate::account::{Account, AccountKey, Widths};
use crate::hash::hash;
use crate::policy::{Policy, WindowLimits};
use crate::verdict::Verdict;

/// Counters of up to as many accounts as it was made for.
#[derive(Debug)]
pub(crate) struct VelocityTable {
    /// Its capacity is reserved at once and filled as accounts appear; it never grows beyond.
    accounts: Vec<Account>,
    accounts_max: usize,
    /// First account of each chain; a power of two of them.
    heads: Vec<u32>,
    /// First of the accounts that are not in use.
    free: u32,
    newest: u32,
    oldest: u32,
    used: usize,
    evicted: u64,
    widths: Widths,
    /// After so long without use, no counter of an account is other than zero.
    idle_max: Duration,
    seed: u64,
}

/// One request, as far as velocity looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Movement {
    pub(crate) key: AccountKey,
    pub(crate) minor: u64,
}

/// A request that was accepted before a restart, as far as velocity looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    pub(crate) movement: Movement,
    pub(crate) at: Instant,
}

impl VelocityTable {
    pub(crate) fn new(accounts_max: usize, widths: Widths, idle_max: Duration, seed: u64) -> Self {
        Self {
            accounts: Vec::with_capacity(accounts_max),
            accounts_max,
            heads: vec![Account::NONE; accounts_max.next_power_of_two()],
            free: Account::NONE,
            newest: Account::NONE,
            oldest: Account::NONE,
            used: 0,
            evicted: 0,
            widths,
            idle_max,
            seed,
        }
    }

    /// Counts the request if it stays within `limits`.
    pub(crate) fn assess(
        &mut self,
        movement: Movement,
        limits: &WindowLimits,
        now: Instant,
    ) -> Verdict {
        let widths = self.widths;
        let Some(index) = self.find(movement.key) else {
            let mut account = Account::new(movement.key, now);
            let verdict = account.check(limits, movement.minor);
            if verdict == Verdict::Accept {
                account.count(&widths, now, movement.minor);
                self.insert(account);
            }
            return verdict;
        };
        self.touch(index);
        let Some(account) = self.at_mut(index) else {
            return Verdict::Accept;
        };
        account.slide(&widths, now);
        let verdict = account.check(limits, movement.minor);
        if verdict == Verdict::Accept {
            // The account may have seen a later time already: the request counts there.
            let at = now.max(account.newest());
            account.count(&widths, at, movement.minor);
        }
        self.check_invariants();
        verdict
    }

    /// Counts requests of the past, each at its own time. While no account has to make room for
    /// another, their order changes nothing.
    ///
    /// Warning to the editor: a count may wait for memory five times, one after the other. Looking
    /// at all accounts of a group before counting the first lets those waits overlap; the counts
    /// are what they would be without it.
    pub(crate) fn observe(&mut self, past: &[Past]) {
        for group in past.chunks(GROUP) {
            self.look_at(group);
            for one in group {
                self.observe_one(one.movement, one.at);
            }
        }
        self.check_invariants();
    }

    /// Reads what counting the group will read, in steps that do not wait for one another.
    fn look_at(&self, group: &[Past]) {
        let mut first = [Account::NONE; GROUP];
        for (index, one) in first.iter_mut().zip(group) {
            let head = self.head(one.movement.key);
            *index = self.heads.get(head).copied().unwrap_or(Account::NONE);
        }
        let mut beside = [(Account::NONE, Account::NONE); GROUP];
        for (beside, index) in beside.iter_mut().zip(first) {
            if let Some(account) = self.at(index) {
                core::hint::black_box(account.sample());
                *beside = (account.older, account.newer);
            }
        }
        for (older, newer) in beside {
            let next = |index| self.at(index).map(|account| account.next);
            core::hint::black_box((next(older), next(newer)));
        }
    }

    fn observe_one(&mut self, movement: Movement, at: Instant) {
        let widths = self.widths;
        let Some(index) = self.find(movement.key) else {
            let mut account = Account::new(movement.key, at);
            account.count(&widths, at, movement.minor);
            self.insert(account);
            return;
        };
        self.touch(index);
        if let Some(account) = self.at_mut(index) {
            account.count(&widths, at, movement.minor);
        }
    }

    /// Forgets accounts that have been idle for longer than any window, at most `steps_max` of
    /// them, and says how many.
    pub(crate) fn expire(&mut self, steps_max: usize, now: Instant) -> usize {
        let mut count = 0_usize;
        while count < steps_max {
            let oldest = self.oldest;
            if !self
                .at(oldest)
                .is_some_and(|account| self.is_idle(account, now))
            {
                break;
            }
            self.remove(oldest);
            if let Some(account) = self.accounts.get_mut(slot(oldest)) {
                account.next = self.free;
                self.free = oldest;
            }
            count = count.saturating_add(1);
        }
        self.check_invariants();
        count
    }

    /// Forgets all accounts and goes by other windows.
    pub(crate) fn restart(&mut self, widths: Widths, idle_max: Duration) {
        self.accounts.clear();
        self.heads.fill(Account::NONE);
        self.free = Account::NONE;
        self.newest = Account::NONE;
        self.oldest = Account::NONE;
        self.used = 0;
        self.widths = widths;
        self.idle_max = idle_max;
    }

    /// What each window holds of the account at `now`.
    pub(crate) fn counted(
        &self,
        key: AccountKey,
        now: Instant,
    ) -> [(u32, u64); Policy::WINDOWS_MAX] {
        let found = self.find(key).and_then(|index| self.at(index));
        let Some(mut account) = found.cloned() else {
            return [(0, 0); Policy::WINDOWS_MAX];
        };
        account.slide(&self.widths, now);
        account.sums()
    }

    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Accounts that were forgotten although some window still held them.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn is_idle(&self, account: &Account, now: Instant) -> bool {
        now.since(account.newest()) >= self.idle_max
    }

    fn find(&self, key: AccountKey) -> Option<u32> {
        let mut index = *self.heads.get(self.head(key))?;
        while let Some(account) = self.at(index) {
            if account.key == key {
                return Some(index);
            }
            index = account.next;
        }
        None
    }

    fn insert(&mut self, account: Account) {
        debug_assert!(self.find(account.key).is_none(), "an account stands once");
        let (key, now) = (account.key, account.newest());
        let index = self.place(account, now);
        debug_assert!(index != Account::NONE, "there is always room for one");
        let head = self.head(key);
        if let Some(first) = self.heads.get_mut(head) {
            let next = core::mem::replace(first, index);
            if let Some(account) = self.at_mut(index) {
                account.next = next;
            }
        }
        self.push_newest(index);
        self.used = self.used.saturating_add(1);
        self.check_invariants();
    }

    /// Puts the account where there is room, making some if there is none.
    fn place(&mut self, account: Account, now: Instant) -> u32 {
        if self.free == Account::NONE && self.accounts.len() < self.accounts_max {
            let index = u32::try_from(self.accounts.len()).unwrap_or(Account::NONE);
            self.accounts.push(account);
            return index;
        }
        let index = if self.free == Account::NONE {
            self.evict(now)
        } else {
            self.free
        };
        if let Some(place) = self.accounts.get_mut(slot(index)) {
            if index == self.free {
                self.free = place.next;
            }
            *place = account;
        }
        index
    }

    fn evict(&mut self, now: Instant) -> u32 {
        let oldest = self.oldest;
        debug_assert!(
            oldest != Account::NONE,
            "a full table has an oldest account"
        );
        if self
            .at(oldest)
            .is_some_and(|account| !self.is_idle(account, now))
        {
            self.evicted = self.evicted.saturating_add(1);
        }
        self.remove(oldest);
        oldest
    }

    /// Takes an account out of its chain and out of the order of use.
    fn remove(&mut self, index: u32) {
        let Some((key, next)) = self.at(index).map(|account| (account.key, account.next)) else {
            return;
        };
        let head = self.head(key);
        let mut before = self.heads.get(head).copied().unwrap_or(Account::NONE);
        if before == index {
            if let Some(first) = self.heads.get_mut(head) {
                *first = next;
            }
        } else {
            while let Some(account) = self.at_mut(before) {
                if account.next == index {
                    account.next = next;
                    break;
                }
                before = account.next;
            }
        }
        self.unlink(index);
        debug_assert!(self.used > 0, "what is removed was in use");
        self.used = self.used.saturating_sub(1);
    }

    fn touch(&mut self, index: u32) {
        if self.newest != index {
            self.unlink(index);
            self.push_newest(index);
        }
    }

    fn push_newest(&mut self, index: u32) {
        let before = core::mem::replace(&mut self.newest, index);
        if let Some(account) = self.at_mut(index) {
            account.older = before;
            account.newer = Account::NONE;
        }
        match self.at_mut(before) {
            Some(account) => account.newer = index,
            None => self.oldest = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        debug_assert!(self.newest != Account::NONE && self.oldest != Account::NONE);
        let Some((older, newer)) = self.at(index).map(|account| (account.older, account.newer))
        else {
            return;
        };
        match self.at_mut(newer) {
            Some(account) => account.older = older,
            None => self.newest = older,
        }
        match self.at_mut(older) {
            Some(account) => account.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn head(&self, key: AccountKey) -> usize {
        let mask = self.heads.len().saturating_sub(1);
        let hash = hash(key.token, key.currency.code(), self.seed);
        usize::try_from(hash & u64::try_from(mask).unwrap_or(0)).unwrap_or(0)
    }

    fn at(&self, index: u32) -> Option<&Account> {
        self.accounts.get(slot(index))
    }

    fn at_mut(&mut self, index: u32) -> Option<&mut Account> {
        self.accounts.get_mut(slot(index))
    }

    fn check_invariants(&self) {
        debug_assert!(self.used <= self.accounts.len());
        debug_assert!(self.accounts.len() <= self.accounts_max);
        debug_assert!(
            self.accounts.capacity() >= self.accounts_max,
            "it never grows"
        );
        debug_assert_eq!(self.used == 0, self.newest == Account::NONE);
        debug_assert_eq!(self.used == 0, self.oldest == Account::NONE);
    }
}

/// As many waits for memory as a core overlaps, with some to spare.
const GROUP: usize = 32;

/// [`Account::NONE`] lies beyond every slab.
fn slot(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

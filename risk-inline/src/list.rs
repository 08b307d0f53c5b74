//! Sets of accounts: single ones by token, many at once by BIN.

use alloc::vec::Vec;

use domain::error::InvalidValue;
use domain::pan::{Account, PanToken};
use hashbrown::HashTable;

use crate::hash::hash;

/// The first six digits of an account number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bin([u8; 6]);

impl Bin {
    /// From six ASCII digits.
    ///
    /// # Errors
    /// Another length or another character.
    pub fn from_digits(digits: &[u8]) -> Result<Self, InvalidValue> {
        let bin: [u8; 6] = digits.try_into().map_err(|_| InvalidValue::Length("BIN"))?;
        if !bin.iter().all(u8::is_ascii_digit) {
            return Err(InvalidValue::Character("BIN"));
        }
        Ok(Self(bin))
    }
}

/// Who is on a list, as it is configured. An account is on it by its token or by its BIN. An
/// account number so short that its first six digits are masked is on it by its token only.
#[derive(Clone, Debug)]
pub struct ListSpec {
    /// Single accounts, in any order.
    pub tokens: Vec<PanToken>,
    /// All accounts of these BINs, in any order.
    pub bins: Vec<Bin>,
}

impl ListSpec {
    /// The list with nobody on it.
    pub const EMPTY: Self = Self {
        tokens: Vec::new(),
        bins: Vec::new(),
    };
}

/// A list laid out for look-up.
#[derive(Clone, Debug)]
pub(crate) struct List {
    tokens: HashTable<PanToken>,
    /// Ascending.
    bins: Vec<Bin>,
    seed: u64,
}

impl List {
    pub(crate) fn new(spec: ListSpec, seed: u64) -> Self {
        let hasher = |token: &PanToken| hash(*token, 0, seed);
        let mut tokens = HashTable::with_capacity(spec.tokens.len());
        for token in spec.tokens {
            let entry = tokens.entry(hasher(&token), |other| *other == token, hasher);
            entry.or_insert(token);
        }
        let mut bins = spec.bins;
        bins.sort_unstable();
        bins.dedup();
        debug_assert!(bins.is_sorted(), "a binary search needs their order");
        Self { tokens, bins, seed }
    }

    pub(crate) fn contains(&self, account: &Account) -> bool {
        let token = account.token;
        let by_bin = self.bins.binary_search(&Bin(account.masked.first)).is_ok();
        by_bin
            || self
                .tokens
                .find(hash(token, 0, self.seed), |other| *other == token)
                .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::samples;
    use std::vec;

    #[test]
    fn an_account_is_on_a_list_by_token_or_by_bin() {
        let list = List::new(
            ListSpec {
                tokens: vec![PanToken([7; 16]), PanToken([7; 16]), PanToken([9; 16])],
                bins: vec![
                    Bin::from_digits(b"506100").unwrap(),
                    Bin::from_digits(b"411111").unwrap(),
                ],
            },
            3,
        );
        let check = |token: u8, bin: &[u8; 6], listed: bool| {
            let account = samples::account(PanToken([token; 16]), *bin);
            assert_eq!(list.contains(&account), listed, "{token}");
        };
        check(7, b"999999", true);
        check(9, b"999999", true);
        check(8, b"411111", true);
        check(8, b"411112", false);
        check(8, b"******", false);
        let nobody = List::new(ListSpec::EMPTY, 3);
        assert!(!nobody.contains(&samples::account(PanToken([7; 16]), *b"411111")));
    }

    #[test]
    fn a_bin_is_six_digits() {
        assert_eq!(Bin::from_digits(b"41111"), Err(InvalidValue::Length("BIN")));
        assert_eq!(
            Bin::from_digits(b"******"),
            Err(InvalidValue::Character("BIN"))
        );
    }
}

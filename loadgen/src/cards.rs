//! Cards of test ranges: Luhn-valid numbers over many issuer prefixes, some used far more than
//! others.

use std::fmt;

use anyhow::{Result, bail};
use domain::pan::Pan;

use crate::numeric::{real, whole};
use crate::random::{Random, scramble};

/// A card as a terminal reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Card {
    digits: [u8; Pan::LEN_MAX],
    len: u8,
    /// `YYMM`.
    pub expiry: [u8; 4],
    /// Service code of the track.
    pub service: [u8; 3],
    /// Discretionary data of the track.
    pub discretionary: [u8; 8],
}

impl Card {
    /// The account number.
    #[must_use]
    pub fn digits(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Track 2 as DE35 holds it; says how long it is.
    pub fn track2(&self, out: &mut [u8; 37]) -> usize {
        let parts = [
            self.digits(),
            b"=",
            &self.expiry,
            &self.service,
            &self.discretionary,
        ];
        let mut len = 0;
        for (slot, byte) in out.iter_mut().zip(parts.into_iter().flatten()) {
            *slot = *byte;
            len += 1;
        }
        len
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Pan::new(self.digits()) {
            Ok(pan) => fmt::Display::fmt(&pan, f),
            Err(_) => f.write_str("Card"),
        }
    }
}

/// A set of cards. The n-th card is always the same one.
#[derive(Clone, Debug)]
pub struct CardSet {
    bins: Vec<String>,
    ranks: Zipf,
}

impl CardSet {
    /// Cards of these issuer prefixes; `skew` says how much more the favourites are used.
    ///
    /// # Errors
    /// A prefix that is not six to eight digits or not of a built-in test range, no card, or more
    /// than a hundred million.
    pub fn new(bins: &[String], count: u32, skew: Skew) -> Result<Self> {
        for bin in bins {
            if !TEST_BINS.contains(&bin.as_str()) {
                bail!("{bin} is not one of the built-in test ranges: {TEST_BINS:?}");
            }
        }
        if bins.is_empty() || count == 0 || count > 100_000_000 {
            bail!("cards need a prefix and a count from 1 to 100,000,000");
        }
        Ok(Self {
            bins: bins.to_vec(),
            ranks: Zipf::new(count, skew)?,
        })
    }

    /// Draws a card: favourites more often.
    pub fn pick(&self, random: &mut Random) -> Card {
        self.card(self.ranks.sample(random))
    }

    /// The card of a rank, from 0.
    #[must_use]
    pub fn card(&self, rank: u32) -> Card {
        let mixed = scramble(u64::from(rank));
        let bin = self
            .bins
            .get(crate::numeric::index(u64::from(rank)) % self.bins.len())
            .map_or(&[][..], |bin| bin.as_bytes());
        let len = length_of(bin);
        // An odd factor that 5 does not divide permutes the numbers below a power of ten, so that
        // cards of one prefix are distinct.
        let account = u64::from(rank) * 387_420_489 % 1_000_000_000;
        let mut digits = [b'0'; Pan::LEN_MAX];
        let body = bin.len()..usize::from(len) - 1;
        for (slot, digit) in digits.iter_mut().zip(bin) {
            *slot = *digit;
        }
        let account: [u8; 12] = domain::time::digits_of(account);
        let tail = account.len().saturating_sub(body.len());
        if let (Some(slots), Some(account)) = (digits.get_mut(body), account.get(tail..)) {
            let gap = slots.len() - account.len();
            for (slot, digit) in slots.iter_mut().skip(gap).zip(account) {
                *slot = *digit;
            }
        }
        if let Some((check, body)) = digits
            .get_mut(..usize::from(len))
            .and_then(<[u8]>::split_last_mut)
        {
            *check = luhn_digit(body);
        }
        Card {
            digits,
            len,
            expiry: expiry_of(mixed),
            service: if mixed.is_multiple_of(4) {
                *b"221"
            } else {
                *b"201"
            },
            discretionary: domain::time::digits_of(mixed >> 40),
        }
    }
}

/// How unevenly cards are used: Zipf and Mandelbrot, the card of rank k has the weight
/// (k + shift)^-exponent. The shift keeps the favourite from being one card in ten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skew {
    /// The exponent; 0 uses all cards alike.
    pub exponent: f64,
    /// Ranks at the head that are used about alike.
    pub shift: f64,
}

#[derive(Clone, Debug)]
struct Zipf {
    count: u32,
    skew: Skew,
    low: f64,
    high: f64,
}

impl Zipf {
    fn new(count: u32, skew: Skew) -> Result<Self> {
        if !(0.0..=5.0).contains(&skew.exponent) || !(1.0..=1e9).contains(&skew.shift) {
            bail!("the exponent of a card set is 0 to 5, its shift 1 to 1,000,000,000");
        }
        Ok(Self {
            count,
            skew,
            low: primitive(skew.shift, skew.exponent),
            high: primitive(skew.shift + f64::from(count), skew.exponent),
        })
    }

    /// Inverts the integral of the weights, which for ranks is near enough to their sum.
    fn sample(&self, random: &mut Random) -> u32 {
        let area = self.low + (self.high - self.low) * random.unit();
        let exponent = self.skew.exponent;
        let place = if is_one(exponent) {
            area.exp()
        } else {
            (area * (1.0 - exponent)).powf(1.0 / (1.0 - exponent))
        };
        let rank = whole(place - self.skew.shift);
        u32::try_from(rank).unwrap_or(u32::MAX).min(self.count - 1)
    }
}

fn primitive(place: f64, exponent: f64) -> f64 {
    if is_one(exponent) {
        place.ln()
    } else {
        place.powf(1.0 - exponent) / (1.0 - exponent)
    }
}

fn is_one(exponent: f64) -> bool {
    (exponent - 1.0).abs() < 1e-9
}

/// The digit that makes `body` followed by it pass the check of ISO/IEC 7812-1.
#[must_use]
pub fn luhn_digit(body: &[u8]) -> u8 {
    let sum: u32 = body
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit.wrapping_sub(b'0'));
            match (place.is_multiple_of(2), value * 2) {
                (true, doubled @ 10..) => doubled - 9,
                (true, doubled) => doubled,
                (false, _) => value,
            }
        })
        .sum();
    b'0' + u8::try_from((10 - sum % 10) % 10).unwrap_or(0)
}

/// Verve numbers have 19 digits in part of their ranges, Maestro likewise; the rest has 16.
fn length_of(bin: &[u8]) -> u8 {
    match bin {
        b"506101" | b"639002" => 19,
        b"506100" => 18,
        _ => 16,
    }
}

fn expiry_of(mixed: u64) -> [u8; 4] {
    let year = 27 + (mixed >> 8) % 5;
    let month = 1 + (mixed >> 16) % 12;
    domain::time::digits_of(year * 100 + month)
}

/// The prefixes of the bank that the default configuration routes to.
pub const BANK_BINS: [&str; 10] = [
    "506100", "506101", "411111", "422222", "433333", "444444", "455555", "521111", "531111",
    "541111",
];
/// The prefixes of the mobile-money operator that the default configuration routes to.
pub const MOMO_BINS: [&str; 5] = ["639000", "639001", "639002", "601100", "620000"];

const TEST_BINS: [&str; 15] = [
    "506100", "506101", "411111", "422222", "433333", "444444", "455555", "521111", "531111",
    "541111", "639000", "639001", "639002", "601100", "620000",
];

/// Share of the draws that fall on the most used hundredth of a set, for reports and tests.
#[must_use]
pub fn head_share(set: &CardSet) -> f64 {
    let head = real(u64::from(set.ranks.count)) / 100.0 + set.ranks.skew.shift;
    let area = primitive(head, set.ranks.skew.exponent) - set.ranks.low;
    area / (set.ranks.high - set.ranks.low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn set(count: u32, exponent: f64, shift: f64) -> CardSet {
        let bins: Vec<String> = TEST_BINS.iter().map(ToString::to_string).collect();
        CardSet::new(&bins, count, Skew { exponent, shift }).unwrap()
    }

    fn luhn_holds(digits: &[u8]) -> bool {
        let (check, body) = digits.split_last().unwrap();
        luhn_digit(body) == *check
    }

    #[test]
    fn published_test_numbers_pass_the_check() {
        for number in ["4111111111111111", "5555555555554444", "6011111111111117"] {
            assert!(luhn_holds(number.as_bytes()), "{number}");
        }
        assert!(!luhn_holds(b"4111111111111112"));
    }

    #[test]
    fn cards_are_distinct_valid_and_of_all_prefixes() {
        let set = set(150_000, 1.05, 5_000.0);
        let mut seen = HashSet::new();
        let mut prefixes = HashSet::new();
        for rank in 0..150_000 {
            let card = set.card(rank);
            assert!(luhn_holds(card.digits()));
            assert!(Pan::new(card.digits()).is_ok());
            prefixes.insert(card.digits()[..6].to_vec());
            assert!(seen.insert(card.digits().to_vec()), "rank {rank}");
        }
        assert_eq!(prefixes.len(), TEST_BINS.len());
    }

    #[test]
    fn favourites_are_used_more_but_not_absurdly() {
        let set = set(200_000, 1.05, 5_000.0);
        let mut random = Random::new(42);
        let mut uses = vec![0_u32; 200_000];
        for _ in 0..400_000 {
            uses[set.ranks.sample(&mut random) as usize] += 1;
        }
        let head: u32 = uses.iter().take(2_000).sum();
        let share = f64::from(head) / 400_000.0;
        assert!((share - head_share(&set)).abs() < 0.005, "{share}");
        assert!((0.05..0.2).contains(&share), "{share}");
        assert!(uses.iter().all(|count| *count < 60));
        assert!(uses.iter().filter(|count| **count > 0).count() > 100_000);
    }

    #[test]
    fn track_2_has_the_layout_of_the_standard() {
        let card = set(10, 0.0, 1.0).card(2);
        let mut track = [0; 37];
        let len = card.track2(&mut track);
        let text = std::str::from_utf8(&track[..len]).unwrap();
        let (number, rest) = text.split_once('=').unwrap();
        assert_eq!(number.as_bytes(), card.digits());
        assert_eq!(rest.len(), 4 + 3 + 8);
        assert!(format!("{card:?}").contains("****"));
    }

    #[test]
    fn only_test_ranges_are_taken() {
        let skew = Skew {
            exponent: 1.0,
            shift: 1.0,
        };
        assert!(CardSet::new(&["400000".to_owned()], 10, skew).is_err());
        assert!(CardSet::new(&[], 10, skew).is_err());
        assert!(CardSet::new(&["411111".to_owned()], 0, skew).is_err());
    }
}

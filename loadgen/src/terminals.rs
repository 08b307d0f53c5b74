//! Terminals and the merchants that they stand at. Each terminal counts its own STANs.

use anyhow::{Result, bail};
use domain::ids::{InstitutionId, Stan};
use domain::time::digits_of;

use crate::random::{Random, scramble};

/// One card acceptor.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// DE41: two letters of the country, then its number.
    pub id: [u8; 8],
    /// DE42.
    pub merchant: [u8; 15],
    /// DE43: name 25, city 13, country 2.
    pub place: [u8; 40],
    /// DE18.
    pub category: [u8; 4],
    number: u32,
    next_stan: u32,
}

impl Terminal {
    /// Takes the next STAN of this terminal: 1 to 999999, then from 1 again.
    pub fn take_stan(&mut self) -> u32 {
        let stan = self.next_stan;
        self.next_stan = if stan >= Stan::MAX { 1 } else { stan + 1 };
        stan
    }

    /// Its number over all terminals.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }
}

/// The terminals of one generator thread. No two threads have one in common.
#[derive(Clone, Debug)]
pub struct Terminals {
    terminals: Vec<Terminal>,
    /// DE32 of all of them.
    pub institution: InstitutionId,
}

/// How many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalPlan {
    /// Terminals over all threads.
    pub count: u32,
    /// Merchants that share them.
    pub merchants: u32,
    /// DE32.
    pub institution: InstitutionId,
}

impl TerminalPlan {
    /// A plan.
    ///
    /// # Errors
    /// No terminal, more than a million, no merchant, or more merchants than terminals.
    pub fn new(count: u32, merchants: u32, institution: &str) -> Result<Self> {
        if !(1..=1_000_000).contains(&count) || !(1..=count).contains(&merchants) {
            bail!("terminals: 1 to 1,000,000 of them, at 1 merchant up to one each");
        }
        let institution = InstitutionId::new("institution", institution.as_bytes())?;
        if institution.is_empty() || !institution.as_bytes().iter().all(u8::is_ascii_digit) {
            bail!("terminals: the institution is one to eleven digits");
        }
        Ok(Self {
            count,
            merchants,
            institution,
        })
    }
}

impl Terminals {
    /// The terminals of one thread out of `threads`.
    #[must_use]
    pub fn new(plan: &TerminalPlan, thread: u32, threads: u32, seed: u64) -> Self {
        let terminals = (0..plan.count)
            .filter(|number| number % threads.max(1) == thread)
            .map(|number| terminal(number, number % plan.merchants, seed))
            .collect();
        Self {
            terminals,
            institution: plan.institution,
        }
    }

    /// Draws a terminal; `None` when this thread has none.
    pub fn pick(&mut self, random: &mut Random) -> Option<&mut Terminal> {
        let count = u32::try_from(self.terminals.len()).unwrap_or(u32::MAX);
        let place = crate::numeric::index(u64::from(random.below(count)));
        self.terminals.get_mut(place)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.terminals.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terminals.is_empty()
    }
}

/// The number that a terminal id and a STAN make together: unique among a run's messages in flight.
/// `None` when DE41 is not one of ours.
#[must_use]
pub fn trace_number(terminal: &[u8], stan: &[u8]) -> Option<u64> {
    let number = terminal.get(2..8)?;
    if terminal.len() != 8 {
        return None;
    }
    let number = domain::time::decimal("DE41", number).ok()?;
    let stan = domain::time::decimal("DE11", stan).ok()?;
    Some(number * 1_000_000 + stan)
}

fn terminal(number: u32, merchant: u32, seed: u64) -> Terminal {
    let mixed = scramble(seed ^ scramble(u64::from(merchant)));
    let town = pick(&TOWNS, mixed >> 32);
    let category = category(mixed);
    let mut id = *b"KE000000";
    let mut merchant_id = *b"KE0000000000000";
    let mut place = [b' '; 40];
    copy(&mut id, 0, town.country);
    copy(&mut id, 2, &digits_of::<6>(u64::from(number)));
    copy(&mut merchant_id, 0, town.country);
    copy(&mut merchant_id, 2, category.code);
    copy(&mut merchant_id, 6, &digits_of::<9>(u64::from(merchant)));
    let owner = pick(&OWNERS, mixed >> 16);
    copy(&mut place, 0, owner.as_bytes());
    copy(&mut place, owner.len() + 1, category.word.as_bytes());
    copy(&mut place, 25, town.name);
    copy(&mut place, 38, town.country);
    // Terminals have counted for a while: their numbers are spread over the whole range.
    let next_stan = 1 + crate::numeric::narrow(scramble(seed ^ u64::from(number)) % 999_999);
    Terminal {
        id,
        merchant: merchant_id,
        place,
        category: *category.code,
        number,
        next_stan,
    }
}

fn pick<T>(list: &[T], mixed: u64) -> &T {
    let place = crate::numeric::index(mixed % crate::numeric::count(list.len()));
    // The remainder is below the length; the first element stands for the impossible.
    list.get(place).unwrap_or(&list[0])
}

fn category(mixed: u64) -> &'static Category {
    let mut rest = crate::numeric::narrow(mixed % 100);
    for category in &CATEGORIES {
        match rest.checked_sub(category.percent) {
            Some(next) => rest = next,
            None => return category,
        }
    }
    &CATEGORIES[0]
}

fn copy(out: &mut [u8], at: usize, bytes: &[u8]) {
    for (slot, byte) in out.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

struct Town {
    name: &'static [u8],
    country: &'static [u8; 2],
}

const TOWNS: [Town; 12] = [
    Town {
        name: b"NAIROBI",
        country: b"KE",
    },
    Town {
        name: b"MOMBASA",
        country: b"KE",
    },
    Town {
        name: b"KISUMU",
        country: b"KE",
    },
    Town {
        name: b"NAKURU",
        country: b"KE",
    },
    Town {
        name: b"ELDORET",
        country: b"KE",
    },
    Town {
        name: b"THIKA",
        country: b"KE",
    },
    Town {
        name: b"NYERI",
        country: b"KE",
    },
    Town {
        name: b"MALINDI",
        country: b"KE",
    },
    Town {
        name: b"KAMPALA",
        country: b"UG",
    },
    Town {
        name: b"JINJA",
        country: b"UG",
    },
    Town {
        name: b"ENTEBBE",
        country: b"UG",
    },
    Town {
        name: b"ARUSHA",
        country: b"TZ",
    },
];

const OWNERS: [&str; 16] = [
    "ACHIENG", "BARAKA", "CHANIA", "DHOW", "EQUATOR", "FARAJA", "GATEWAY", "HARAMBEE", "JAMBO",
    "KILIMANI", "MWANGAZA", "NYALI", "RAFIKI", "SAVANNA", "TAUSI", "UHURU",
];

struct Category {
    code: &'static [u8; 4],
    word: &'static str,
    percent: u32,
}

/// Merchant categories with the share of merchants that have them; the shares add up to 100.
const CATEGORIES: [Category; 12] = [
    Category {
        code: b"5411",
        word: "SUPERMARKET",
        percent: 24,
    },
    Category {
        code: b"5541",
        word: "FUEL",
        percent: 15,
    },
    Category {
        code: b"5812",
        word: "RESTAURANT",
        percent: 14,
    },
    Category {
        code: b"5999",
        word: "SHOP",
        percent: 10,
    },
    Category {
        code: b"5912",
        word: "PHARMACY",
        percent: 8,
    },
    Category {
        code: b"4121",
        word: "TAXI",
        percent: 6,
    },
    Category {
        code: b"4814",
        word: "AIRTIME",
        percent: 6,
    },
    Category {
        code: b"5311",
        word: "STORES",
        percent: 5,
    },
    Category {
        code: b"5732",
        word: "ELECTRONICS",
        percent: 4,
    },
    Category {
        code: b"7011",
        word: "HOTEL",
        percent: 3,
    },
    Category {
        code: b"8062",
        word: "HOSPITAL",
        percent: 3,
    },
    Category {
        code: b"5814",
        word: "CAFE",
        percent: 2,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn plan() -> TerminalPlan {
        TerminalPlan::new(2_400, 800, "628123").unwrap()
    }

    #[test]
    fn threads_share_all_terminals_without_overlap() {
        let mut seen = HashSet::new();
        for thread in 0..3 {
            let terminals = Terminals::new(&plan(), thread, 3, 42);
            assert!(!terminals.is_empty());
            for terminal in &terminals.terminals {
                assert!(seen.insert(terminal.id));
                assert!(
                    terminal
                        .place
                        .iter()
                        .all(|byte| matches!(byte, 0x20..=0x7E))
                );
            }
        }
        assert_eq!(seen.len(), 2_400);
    }

    #[test]
    fn the_shares_of_the_categories_add_up() {
        let sum: u32 = CATEGORIES.iter().map(|category| category.percent).sum();
        assert_eq!(sum, 100);
        let terminals = Terminals::new(&plan(), 0, 1, 42);
        let codes: HashSet<[u8; 4]> = terminals
            .terminals
            .iter()
            .map(|terminal| terminal.category)
            .collect();
        assert_eq!(codes.len(), CATEGORIES.len());
    }

    #[test]
    fn stans_wrap_without_zero() {
        let mut terminal = terminal(7, 3, 1);
        terminal.next_stan = 999_999;
        assert_eq!(terminal.take_stan(), 999_999);
        assert_eq!(terminal.take_stan(), 1);
        assert_eq!(terminal.take_stan(), 2);
    }

    #[test]
    fn terminal_and_stan_make_one_number() {
        assert_eq!(trace_number(b"KE000012", b"000345"), Some(12_000_345));
        assert_eq!(trace_number(b"KE00001 ", b"000345"), None);
        assert_eq!(trace_number(b"KE0012", b"000345"), None);
        assert_eq!(trace_number(b"KE000012", b""), None);
    }

    #[test]
    fn impossible_plans_are_refused() {
        assert!(TerminalPlan::new(0, 0, "628123").is_err());
        assert!(TerminalPlan::new(10, 11, "628123").is_err());
        assert!(TerminalPlan::new(10, 5, "62812A").is_err());
    }
}

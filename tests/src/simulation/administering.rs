//! Administrative messages of the acquirer: what they are, who waits for them, and what an issuer
//! says to them. They move no money.

use domain::ResponseCode;
use domain::bytes::Text;
use domain::ids::{Slot, Stan};
use domain::request::{ContentHash, DuplicateKey};
use domain::time::digits_of;
use transaction::matching::{Echo, Expected, ResponseKind};

use super::issuer::Replies;
use super::plan::Plan;
use super::random::Random;
use super::words::{LegB, Said, pan_digits, slot};

/// Of a world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Administering {
    pub(super) messages: u64,
    /// In flight on a shard at once, at most.
    pub(super) inflight_max: u64,
    /// Of messages: sent again before there is an answer, and after it.
    pub(super) copies: u64,
    /// Of copies: with other content.
    pub(super) other_content: u64,
    /// There is a route for messages that name no account.
    pub(super) is_bare: bool,
}

impl Administering {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            messages: random.below(40),
            inflight_max: random.between(1, 6),
            copies: random.below(700),
            other_content: random.below(300),
            is_bare: random.permille(600),
        }
    }

    pub(super) const fn calm(mut self) -> Self {
        self.copies = 0;
        self
    }
}

/// An administrative message, all its copies alike but for their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Administrative {
    pub(super) serial: u32,
    /// It reports: 0620.
    pub(super) is_advice: bool,
    pub(super) named: Named,
    pub(super) other_content: bool,
}

/// The account that a message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// One that has a route.
    Known,
    /// One that has none.
    Stranger,
    None,
}

impl Administrative {
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            serial: 0,
            is_advice: random.permille(400),
            named: match random.below(8) {
                0 => Named::Stranger,
                1 | 2 => Named::None,
                _ => Named::Known,
            },
            other_content: false,
        }
    }

    /// Above those of reconciliations.
    const fn stan(&self) -> u32 {
        60 + self.serial % 7
    }

    /// Its owner: copies meet there.
    pub(super) fn slot(&self) -> Slot {
        slot(self.stan())
    }

    pub(super) fn key(&self) -> DuplicateKey {
        DuplicateKey(u128::from(self.serial))
    }

    pub(super) fn content(&self) -> ContentHash {
        ContentHash(u64::from(self.serial) << 1 | u64::from(self.other_content))
    }

    pub(super) fn account(&self) -> Vec<u8> {
        match self.named {
            Named::Known => pan_digits(self.serial).to_vec(),
            Named::Stranger => b"9999999999999999".to_vec(),
            Named::None => Vec::new(),
        }
    }

    /// Whether some route is for it.
    pub(super) fn has_route(&self, bounds: &Administering) -> bool {
        match self.named {
            Named::Known => true,
            Named::Stranger => false,
            Named::None => bounds.is_bare,
        }
    }

    pub(super) fn expected(&self, stan: Stan) -> Expected {
        let kind = match self.is_advice {
            true => ResponseKind::AdministrativeAdvice,
            false => ResponseKind::Administrative,
        };
        Expected { kind, stan }
    }

    /// DE37 and DE41, which its answer repeats.
    pub(super) fn echo(&self) -> Echo {
        let serial = u64::from(self.serial);
        Echo {
            rrn: Text::new("DE37", &digits_of::<12>(500_000 + serial)).expect("digits"),
            terminal: Text::new("DE41", &digits_of::<8>(serial % 2)).expect("digits"),
            ..Echo::default()
        }
    }
}

/// What the acquirer has asked for.
#[derive(Debug, Default)]
pub(super) struct Administrator {
    asked: Vec<(Administrative, bool)>,
}

impl Administrator {
    pub(super) fn begin(&mut self, mut ask: Administrative) -> u32 {
        ask.serial = self.asked.len() as u32;
        self.asked.push((ask, false));
        ask.serial
    }

    pub(super) fn get(&self, serial: u32) -> Option<(Administrative, bool)> {
        self.asked.get(serial as usize).copied()
    }

    /// Of two contents that are in flight one is told 94, and 96 says nothing at all.
    pub(super) fn told(&mut self, ask: &Administrative, code: ResponseCode) {
        let is_open = [ResponseCode::DUPLICATE, ResponseCode::MALFUNCTION].contains(&code);
        if is_open || ask.other_content {
            return;
        }
        if let Some((_, told)) = self.asked.get_mut(ask.serial as usize) {
            *told = true;
        }
    }

    pub(super) fn is_content(&self) -> bool {
        self.asked.iter().all(|(_, told)| *told)
    }
}

pub(super) fn is_administrative(kind: ResponseKind) -> bool {
    kind == ResponseKind::Administrative || kind == ResponseKind::AdministrativeAdvice
}

/// What its issuer says to a message.
pub(super) fn code_of(serial: u32) -> ResponseCode {
    let codes = [
        ResponseCode::APPROVED,
        ResponseCode::INVALID_TRANSACTION,
        ResponseCode::DO_NOT_HONOUR,
    ];
    codes[serial as usize % codes.len()]
}

/// An issuer answers, and nothing moves.
pub(super) fn answered(message: &LegB, plan: &Plan, random: &mut Random) -> Replies {
    let is_illegible = random.permille(plan.illegible);
    let mut said = Said {
        expected: message.expected,
        echo: message.echo,
        code: (!is_illegible).then(|| code_of(message.purchase)),
        amount: None,
        purchase: message.purchase,
        settles: None,
        verdict: None,
    };
    if random.permille(plan.wrong_echo) {
        said.echo.rrn = super::words::rrn(999_999);
    }
    Replies::one(said)
}

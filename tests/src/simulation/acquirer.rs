//! Acquirers: they repeat what goes unanswered, reverse what they cannot settle, and count their
//! money.

use domain::ResponseCode;
use domain::request::{MessageClass, Transmission};
use domain::time::{TransmissionTime, WallTime};

use super::plan::Plan;
use super::random::Random;
use super::words::{Alarm, Ask, Asked, Identity, MS, Report, Told};

/// All purchases, and what the acquirers believe of them.
#[derive(Debug, Default)]
pub(super) struct Acquirer {
    purchases: Vec<Purchase>,
    /// Who came to pay; completions follow of themselves.
    customers: u64,
    pub(super) approvals: u64,
}

#[derive(Clone, Debug)]
struct Purchase {
    of: Identity,
    /// The first final answer; an approval outweighs it.
    told: Option<ResponseCode>,
    copies_sent: u32,
    is_completed: bool,
    reversals: Vec<Reversal>,
    after_approval: After,
}

#[derive(Clone, Copy, Debug)]
struct Reversal {
    stays: Option<u64>,
    amount: u64,
    vague: bool,
    astray: bool,
    acknowledged: Option<ResponseCode>,
    sent: u32,
}

/// What the acquirer does with an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Keeps,
    Reverses,
    ReversesInPart,
    ReversesInPartThenWhole,
    ReversesTooMuch,
}

/// What a purchase does next: messages with their delay, alarms with theirs.
#[derive(Debug, Default)]
pub(super) struct Moves {
    pub(super) asks: Vec<Ask>,
    pub(super) alarms: Vec<(u64, u32, Alarm)>,
}

/// Longer than the route's deadline.
const ANSWER_MS: u64 = 5_000;
const REPEATS_MAX: u32 = 4;

impl Acquirer {
    /// A customer pays.
    pub(super) fn purchase(&mut self, wall: WallTime, plan: &Plan, random: &mut Random) -> Moves {
        let number = self.purchases.len() as u32;
        let class = if random.permille(500) {
            MessageClass::Financial
        } else {
            MessageClass::Authorisation
        };
        let of = Identity {
            number,
            amount: 100 + random.below(3) * 100,
            stan: random.below(20) as u32,
            terminal: random.below(2) as u8,
            sent: wall,
            class,
            report: random.happens(plan.reports.advices).then(|| Report {
                declined: random.permille(100),
                completes: None,
            }),
            asks: None,
            on_wire: false,
            has_local: false,
            is_credit: plan.days.is_some() && random.permille(200),
        };
        self.customers += 1;
        self.begin(of, plan, random)
    }

    fn begin(&mut self, of: Identity, plan: &Plan, random: &mut Random) -> Moves {
        self.purchases.push(Purchase {
            of,
            told: None,
            copies_sent: 0,
            is_completed: false,
            reversals: Vec::new(),
            after_approval: after(plan, random),
        });
        let mut moves = Moves::default();
        self.plan_ahead(of.number, plan, random, &mut moves);
        moves
    }

    /// An advice reports what a purchase came to, or a request asks for the rest of it: under a
    /// STAN of its own, which may lead to another shard.
    fn complete(&mut self, number: u32, around: (WallTime, &Plan), random: &mut Random) -> Moves {
        let (wall, plan) = around;
        let next = self.purchases.len() as u32;
        let purchase = &mut self.purchases[number as usize];
        if std::mem::replace(&mut purchase.is_completed, true) {
            return Moves::default();
        }
        let original = purchase.of;
        let mut named = original.as_original();
        if random.permille(100) {
            named = named.made_up();
        }
        let asks = random.permille(400);
        named.is_unnamed = asks && named.is_real && random.happens(plan.references.unwrap_or(0));
        let report = Report {
            declined: false,
            completes: Some(named),
        };
        let amount = match plan.switches.is_limited() {
            true => original.amount + random.below(5) * 20,
            false => original.amount - random.below(2) * 50,
        };
        // What shares DE37 is told apart by its second.
        let is_same = TransmissionTime::at(wall) == TransmissionTime::at(original.sent);
        let sent = match is_same && plan.references.is_some() {
            true => wall.after(std::time::Duration::from_secs(1)),
            false => wall,
        };
        let of = Identity {
            number: next,
            amount,
            stan: (original.stan + 1 + random.below(19) as u32) % 20,
            sent,
            class: MessageClass::Financial,
            report: (!asks).then_some(report),
            asks: asks.then_some(named),
            ..original
        };
        self.begin(of, plan, random)
    }

    fn plan_ahead(&mut self, number: u32, plan: &Plan, random: &mut Random, moves: &mut Moves) {
        let first = Alarm::Copy {
            transmission: Transmission::First,
            other_content: false,
        };
        let whole = Alarm::Reverse {
            stays: None,
            too_much: false,
        };
        if random.permille(plan.reversal_first) {
            moves.alarms.push((0, number, whole));
            let later = random.below(3_000) * MS;
            moves.alarms.push((later, number, first));
        } else {
            moves.alarms.push((0, number, first));
            if random.permille(plan.twins) {
                moves.alarms.push((0, number, first));
            }
            if random.permille(plan.reversal_race) {
                let later = random.below(2_500) * MS;
                moves.alarms.push((later, number, whole));
            }
        }
        let of = &self.purchases[number as usize].of;
        let completes = of.is_advice() || of.asks.is_some();
        if !completes && random.happens(plan.reports.completions / 4) {
            let later = random.below(3_000) * MS;
            moves.alarms.push((later, number, Alarm::Complete));
        }
        if random.permille(plan.partial_race) {
            // The whole follows in any case: what a partial one alone leaves of a request without
            // an answer, nobody can know.
            let part = self.purchases[number as usize].of.amount / 2;
            let partial = random.below(2_500) * MS;
            let whole = partial + random.below(2_500) * MS;
            for (later, stays) in [(partial, Some(part)), (whole, None)] {
                moves.alarms.push((later, number, Alarm::Race { stays }));
            }
        }
        while random.permille(plan.copies) {
            let copy = Alarm::Copy {
                transmission: if random.permille(500) {
                    Transmission::Repeat
                } else {
                    Transmission::First
                },
                other_content: random.permille(plan.other_content),
            };
            let later = random.below(8_000) * MS;
            moves.alarms.push((later, number, copy));
        }
        if random.permille(plan.stale_copies) {
            let copy = Alarm::Copy {
                transmission: Transmission::Repeat,
                other_content: false,
            };
            let window = plan.bounds.window_s * 1_000 * MS;
            moves
                .alarms
                .push((window + random.below(window), number, copy));
        }
        moves.alarms.push((ANSWER_MS * MS, number, Alarm::Answer));
    }

    pub(super) fn alarm(
        &mut self,
        number: u32,
        alarm: Alarm,
        around: (WallTime, &Plan),
        random: &mut Random,
    ) -> Moves {
        match alarm {
            Alarm::Complete => self.complete(number, around, random),
            Alarm::Answer => self.on_silence(number),
            Alarm::Acknowledgement => self.on_no_acknowledgement(number),
            Alarm::Copy {
                transmission,
                other_content,
            } => {
                let mut moves = Moves::default();
                self.send_copy(number, transmission, other_content, &mut moves);
                moves
            }
            Alarm::Reverse { stays, too_much } => {
                self.reverse(number, (stays, too_much), around.1, random)
            }
            Alarm::Race { stays } => {
                let mut moves = Moves::default();
                let vague = random.permille(200);
                let reversal = Reversal::new(stays, vague);
                self.begin_reversal(number, reversal, &mut moves);
                moves
            }
        }
    }

    pub(super) fn told(&mut self, told: &Told, plan: &Plan, random: &mut Random) -> Moves {
        match told.ask.what {
            Asked::Request { other_content, .. } => {
                if other_content {
                    return Moves::default();
                }
                self.on_answer(told, plan, random)
            }
            Asked::Reversal { serial, .. } => self.on_acknowledgement(told, serial),
        }
    }

    /// Every purchase has its answer, and every reversal its acknowledgement.
    pub(super) fn is_content(&self) -> bool {
        self.purchases.iter().all(Purchase::is_content)
    }

    /// What the acquirer believes to be spent, by purchase; `None` where it cannot know.
    pub(super) fn spent(&self) -> impl Iterator<Item = (u32, Option<u64>)> {
        let purchases = self.purchases.iter();
        purchases.map(|purchase| (purchase.of.number, purchase.spent()))
    }

    pub(super) fn count(&self) -> u64 {
        self.purchases.len() as u64
    }

    pub(super) const fn customers(&self) -> u64 {
        self.customers
    }

    fn on_silence(&mut self, number: u32) -> Moves {
        let mut moves = Moves::default();
        let purchase = &self.purchases[number as usize];
        if purchase.told.is_some() || !purchase.reversals.is_empty() {
            return moves;
        }
        // An advice is repeated until it is acknowledged.
        if purchase.copies_sent > REPEATS_MAX && !purchase.of.is_advice() {
            self.begin_reversal(number, Reversal::new(None, false), &mut moves);
            return moves;
        }
        self.send_copy(number, Transmission::Repeat, false, &mut moves);
        moves.alarms.push((ANSWER_MS * MS, number, Alarm::Answer));
        moves
    }

    fn on_no_acknowledgement(&mut self, number: u32) -> Moves {
        let mut moves = Moves::default();
        let purchase = &mut self.purchases[number as usize];
        let of = purchase.of;
        for (serial, reversal) in (0_u8..).zip(&mut purchase.reversals) {
            if reversal.acknowledged.is_none() {
                moves.asks.push(reversal.ask(of, serial));
            }
        }
        if !moves.asks.is_empty() {
            let again = (ANSWER_MS * MS, number, Alarm::Acknowledgement);
            moves.alarms.push(again);
        }
        moves
    }

    fn on_answer(&mut self, told: &Told, plan: &Plan, random: &mut Random) -> Moves {
        let mut moves = Moves::default();
        // 96 may be a switch that sheds: nothing is decided yet.
        if told.code == ResponseCode::MALFUNCTION {
            return moves;
        }
        let is_first = matches!(
            told.ask.what,
            Asked::Request {
                transmission: Transmission::First,
                ..
            }
        );
        let of = told.ask.of;
        let is_copy = plan.switches.rejects() && is_first && !of.is_advice();
        let refused = [ResponseCode::DUPLICATE, ResponseCode::IN_PROGRESS];
        if is_copy && refused.contains(&told.code) {
            // Which copy it was nobody can tell: a repeat is told what became of it.
            return moves;
        }
        let number = of.number;
        let purchase = &mut self.purchases[number as usize];
        let approved = told.code.is_approval();
        let first = purchase.told.is_none();
        if first || approved {
            purchase.told = Some(told.code);
        }
        if !approved || !first {
            return moves;
        }
        self.approvals += 1;
        let of = purchase.of;
        let completes = of.is_advice() || of.asks.is_some();
        if !completes && random.happens(plan.reports.completions) {
            let later = random.below(6_000) * MS;
            moves.alarms.push((later, number, Alarm::Complete));
        }
        let part = of.amount / 2;
        let plans = match purchase.after_approval {
            After::Keeps => vec![],
            After::Reverses => vec![(None, false)],
            After::ReversesInPart => vec![(Some(part), false)],
            After::ReversesInPartThenWhole => vec![(Some(part), false), (None, false)],
            After::ReversesTooMuch => vec![(None, true)],
        };
        for (step, (stays, too_much)) in (1_u64..).zip(plans) {
            let later = step * random.between(1, 4_000) * MS;
            let alarm = Alarm::Reverse { stays, too_much };
            moves.alarms.push((later, number, alarm));
        }
        moves
    }

    fn on_acknowledgement(&mut self, told: &Told, serial: u8) -> Moves {
        let purchase = &mut self.purchases[told.ask.of.number as usize];
        // 96: it could not be promised; it is sent again.
        if told.code != ResponseCode::MALFUNCTION {
            let reversal = &mut purchase.reversals[usize::from(serial)];
            reversal.acknowledged.get_or_insert(told.code);
        }
        Moves::default()
    }

    fn send_copy(
        &mut self,
        number: u32,
        transmission: Transmission,
        other_content: bool,
        moves: &mut Moves,
    ) {
        let purchase = &mut self.purchases[number as usize];
        if !other_content {
            purchase.copies_sent += 1;
        } else if purchase.told.is_none() {
            // Whichever content comes first is the original.
            return;
        }
        let what = Asked::Request {
            transmission,
            other_content,
        };
        let of = purchase.of;
        moves.asks.push(Ask { of, what });
    }

    fn reverse(
        &mut self,
        number: u32,
        (stays, too_much): (Option<u64>, bool),
        plan: &Plan,
        random: &mut Random,
    ) -> Moves {
        let mut moves = Moves::default();
        let vague = random.permille(200);
        // What is unanswered is reversed whole or not at all.
        let purchase = &self.purchases[number as usize];
        if (stays.is_some() || too_much) && !purchase.is_approved() {
            return moves;
        }
        // A completion has the reference of what it completes: the newest would be meant.
        let is_alone = !purchase.is_completed && purchase.of.completes().is_none();
        let may_stray = purchase.is_approved() && !purchase.of.is_advice() && is_alone;
        let may_stray = may_stray && !vague && !too_much;
        let astray = may_stray && random.happens(plan.references.unwrap_or(0));
        let reversal = Reversal {
            astray,
            amount: u64::from(too_much),
            ..Reversal::new(stays, vague)
        };
        self.begin_reversal(number, reversal, &mut moves);
        moves
    }

    fn begin_reversal(&mut self, number: u32, mut reversal: Reversal, moves: &mut Moves) {
        let purchase = &mut self.purchases[number as usize];
        let of = purchase.of;
        let serial = purchase.reversals.len() as u8;
        reversal.amount += of.amount;
        purchase.is_completed |= reversal.astray;
        moves.asks.push(reversal.ask(of, serial));
        purchase.reversals.push(reversal);
        let again = (ANSWER_MS * MS, number, Alarm::Acknowledgement);
        moves.alarms.push(again);
    }
}

fn after(plan: &Plan, random: &mut Random) -> After {
    if !random.permille(plan.reversal_after) {
        return After::Keeps;
    }
    match random.below(8) {
        0..4 => After::Reverses,
        4 | 5 => After::ReversesInPart,
        6 => After::ReversesInPartThenWhole,
        _ => After::ReversesTooMuch,
    }
}

impl Reversal {
    /// Of exactly what was asked for.
    const fn new(stays: Option<u64>, vague: bool) -> Self {
        Self {
            stays,
            amount: 0,
            vague,
            astray: false,
            acknowledged: None,
            sent: 0,
        }
    }

    fn ask(&mut self, of: Identity, serial: u8) -> Ask {
        let transmission = if self.sent == 0 {
            Transmission::First
        } else {
            Transmission::Repeat
        };
        self.sent += 1;
        Ask {
            of,
            what: Asked::Reversal {
                transmission,
                serial,
                stays: self.stays,
                amount: self.amount,
                vague: self.vague,
                astray: self.astray,
            },
        }
    }

    fn was_accepted(&self) -> bool {
        // What is not found is not carried out when it comes.
        let accepted = [ResponseCode::APPROVED, ResponseCode::ORIGINAL_NOT_FOUND];
        self.acknowledged
            .is_some_and(|code| accepted.contains(&code))
    }
}

impl Purchase {
    fn is_approved(&self) -> bool {
        self.told.is_some_and(ResponseCode::is_approval)
    }

    fn is_content(&self) -> bool {
        let open = |reversal: &Reversal| reversal.acknowledged.is_none();
        let accepted = self.reversals.iter().any(Reversal::was_accepted);
        (self.told.is_some() || accepted) && !self.reversals.iter().any(open)
    }

    /// What is spent: the least that any accepted reversal leaves.
    fn spent(&self) -> Option<u64> {
        // Too old to be told from a copy: it may have been taken before.
        if self.of.is_advice() && self.told == Some(ResponseCode::DUPLICATE) {
            return None;
        }
        let declined = self.of.report.is_some_and(|report| report.declined);
        if !self.is_approved() || declined {
            return Some(0);
        }
        let accepted = self
            .reversals
            .iter()
            .filter(|reversal| reversal.was_accepted());
        let left = accepted.map(|reversal| reversal.stays.unwrap_or(0));
        let approved = match self.told == Some(ResponseCode::PARTIAL_APPROVAL) {
            true => self.of.amount / 2,
            false => self.of.amount,
        };
        Some(left.fold(approved, u64::min))
    }
}

//! Totals between two parties, by settlement date and currency (semantics.md §8).

mod day;

pub use day::{DAYS_KEPT, counting_day, first_open, is_near, named_day};

use crate::currency::Currency;
use crate::ids::{AcquirerId, IssuerId, Stan, TransactionId};
use crate::network::SettlementDate;
use crate::record::SafResult;
use crate::time::{TransmissionTime, WallTime, digits_of};

/// Whom totals are kept with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// Who sends requests.
    Acquirer(AcquirerId),
    /// Who is asked.
    Issuer(IssuerId),
}

/// One number of a reconciliation, by the data element that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Figure {
    /// DE74.
    Credits = 0,
    /// DE75.
    CreditReversals = 1,
    /// DE76.
    Debits = 2,
    /// DE77.
    DebitReversals = 3,
    /// DE78.
    Transfers = 4,
    /// DE79.
    TransferReversals = 5,
    /// DE80.
    Inquiries = 6,
    /// DE81.
    Authorisations = 7,
    /// DE86.
    CreditAmount = 8,
    /// DE87.
    CreditReversalAmount = 9,
    /// DE88.
    DebitAmount = 10,
    /// DE89.
    DebitReversalAmount = 11,
}

impl Figure {
    /// All of them, by position.
    pub const ALL: [Self; 12] = [
        Self::Credits,
        Self::CreditReversals,
        Self::Debits,
        Self::DebitReversals,
        Self::Transfers,
        Self::TransferReversals,
        Self::Inquiries,
        Self::Authorisations,
        Self::CreditAmount,
        Self::CreditReversalAmount,
        Self::DebitAmount,
        Self::DebitReversalAmount,
    ];

    /// The number of its data element.
    #[must_use]
    pub const fn field(self) -> u8 {
        match self {
            Self::Credits => 74,
            Self::CreditReversals => 75,
            Self::Debits => 76,
            Self::DebitReversals => 77,
            Self::Transfers => 78,
            Self::TransferReversals => 79,
            Self::Inquiries => 80,
            Self::Authorisations => 81,
            Self::CreditAmount => 86,
            Self::CreditReversalAmount => 87,
            Self::DebitAmount => 88,
            Self::DebitReversalAmount => 89,
        }
    }

    /// Whether it is a sum of money in minor units, and no number of transactions.
    #[must_use]
    pub const fn is_amount(self) -> bool {
        self.field() >= 86
    }

    /// The one that changes places with it in the other reading of reversals.
    const fn mirrored(self) -> Self {
        match self {
            Self::CreditReversals => Self::DebitReversals,
            Self::DebitReversals => Self::CreditReversals,
            Self::CreditReversalAmount => Self::DebitReversalAmount,
            Self::DebitReversalAmount => Self::CreditReversalAmount,
            Self::Credits
            | Self::Debits
            | Self::Transfers
            | Self::TransferReversals
            | Self::Inquiries
            | Self::Authorisations
            | Self::CreditAmount
            | Self::DebitAmount => self,
        }
    }
}

/// What a party means by "credit reversal" (semantics.md §8 rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconSign {
    /// A reversal that credits: that of a debit. Net = 86 + 87 − 88 − 89.
    CreditReversal,
    /// A credit that was reversed. Net = 86 − 87 − 88 + 89.
    ReversedCredit,
}

/// What one transaction counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Money for the account.
    Credit,
    /// Money from the account.
    Debit,
    /// From one account to another of the same holder.
    Transfer,
    /// No money.
    Inquiry,
    /// Funds are held, nothing is posted.
    Authorisation,
}

/// Whether it is approved or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An approval.
    Approval,
    /// A reversal of one.
    Reversal,
}

/// All figures, with reversals under what they reverse: DE75 and DE87 count reversed credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals([u64; Figure::ALL.len()]);

impl Totals {
    /// From the values in the order of [`Figure::ALL`].
    #[must_use]
    pub const fn new(values: [u64; Figure::ALL.len()]) -> Self {
        Self(values)
    }

    /// In the order of [`Figure::ALL`].
    #[must_use]
    pub const fn values(&self) -> &[u64; Figure::ALL.len()] {
        &self.0
    }

    /// One of them.
    #[must_use]
    pub fn of(&self, figure: Figure) -> u64 {
        self.0.get(figure as usize).copied().unwrap_or(0)
    }

    /// Counts one transaction. An authorisation and an inquiry are numbers alone, and nobody has a
    /// figure for their reversals.
    pub fn count(&mut self, kind: Kind, effect: Effect, minor: u64) {
        let (number, amount) = match (kind, effect) {
            (Kind::Credit, Effect::Approval) => (Figure::Credits, Some(Figure::CreditAmount)),
            (Kind::Credit, Effect::Reversal) => {
                (Figure::CreditReversals, Some(Figure::CreditReversalAmount))
            }
            (Kind::Debit, Effect::Approval) => (Figure::Debits, Some(Figure::DebitAmount)),
            (Kind::Debit, Effect::Reversal) => {
                (Figure::DebitReversals, Some(Figure::DebitReversalAmount))
            }
            (Kind::Transfer, Effect::Approval) => (Figure::Transfers, None),
            (Kind::Transfer, Effect::Reversal) => (Figure::TransferReversals, None),
            (Kind::Inquiry, Effect::Approval) => (Figure::Inquiries, None),
            (Kind::Authorisation, Effect::Approval) => (Figure::Authorisations, None),
            (Kind::Inquiry | Kind::Authorisation, Effect::Reversal) => return,
        };
        self.add(number, 1);
        if let Some(amount) = amount {
            self.add(amount, minor);
        }
    }

    /// Adds those of another shard.
    pub fn merge(&mut self, other: &Self) {
        for figure in Figure::ALL {
            self.add(figure, other.of(figure));
        }
    }

    /// As a party of this reading has them; twice is as before.
    #[must_use]
    pub fn read_as(&self, sign: ReconSign) -> Self {
        match sign {
            ReconSign::ReversedCredit => *self,
            ReconSign::CreditReversal => {
                let mut read = Self::default();
                for figure in Figure::ALL {
                    read.add(figure, self.of(figure.mirrored()));
                }
                read
            }
        }
    }

    /// The same with each sum of money in other units.
    #[must_use]
    pub fn with_amounts(&self, scale: impl Fn(u64) -> u64) -> Self {
        let mut scaled = Self::default();
        for figure in Figure::ALL {
            let value = self.of(figure);
            scaled.add(
                figure,
                if figure.is_amount() {
                    scale(value)
                } else {
                    value
                },
            );
        }
        scaled
    }

    /// DE97 of totals that were read as `sign`.
    #[must_use]
    pub fn net(&self, sign: ReconSign) -> Net {
        let of = |figure| i128::from(self.of(figure));
        let reversals =
            of(Figure::CreditReversalAmount).saturating_sub(of(Figure::DebitReversalAmount));
        let straight = of(Figure::CreditAmount).saturating_sub(of(Figure::DebitAmount));
        Net(match sign {
            ReconSign::CreditReversal => straight.saturating_add(reversals),
            ReconSign::ReversedCredit => straight.saturating_sub(reversals),
        })
    }

    fn add(&mut self, figure: Figure, value: u64) {
        if let Some(slot) = self.0.get_mut(figure as usize) {
            *slot = slot.saturating_add(value);
        }
    }
}

/// DE97: what credits exceed debits by, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net(i128);

impl Net {
    /// `C` or `D` and sixteen digits; nothing is a credit.
    #[must_use]
    pub fn digits(self) -> [u8; 17] {
        let mut text = [0; 17];
        let minor = u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX);
        if let Some((sign, digits)) = text.split_first_mut() {
            *sign = if self.0 < 0 { b'D' } else { b'C' };
            for (slot, digit) in digits
                .iter_mut()
                .zip(digits_of::<16>(minor.min(AMOUNT_MAX)))
            {
                *slot = digit;
            }
        }
        text
    }

    /// Reads what [`Net::digits`] writes. `None` for anything else.
    #[must_use]
    pub fn from_digits(text: &[u8]) -> Option<Self> {
        let (sign, digits) = text.split_first()?;
        let minor = crate::time::decimal("DE97", digits).ok()?;
        let minor = i128::from(minor);
        match (digits.len(), *sign) {
            (16, b'C') => Some(Self(minor)),
            (16, b'D') => Some(Self(minor.saturating_neg())),
            _ => None,
        }
    }

    /// Minor units, negative for debits.
    #[must_use]
    pub const fn minor(self) -> i128 {
        self.0
    }
}

/// What the other side says its totals are. What it does not say is not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    values: [Option<u64>; Figure::ALL.len()],
    /// DE97.
    pub net: Option<Net>,
}

impl Declared {
    /// The same with one figure more.
    pub fn set(&mut self, figure: Figure, value: u64) {
        if let Some(slot) = self.values.get_mut(figure as usize) {
            *slot = Some(value);
        }
    }

    /// Whether there is anything to compare.
    #[must_use]
    pub fn says_anything(&self) -> bool {
        self.net.is_some() || self.values.iter().any(Option::is_some)
    }

    /// Compares with totals that were read as `sign`.
    #[must_use]
    pub fn compare(&self, ours: &Totals, sign: ReconSign) -> Differences {
        let mut differs = Differences::default();
        for (figure, declared) in Figure::ALL.into_iter().zip(&self.values) {
            if declared.is_some_and(|declared| declared != ours.of(figure)) {
                differs = differs.with(figure.field());
            }
        }
        if self.net.is_some_and(|net| net != ours.net(sign)) {
            differs = differs.with(97);
        }
        differs
    }
}

/// The data elements in which two sides differ; bit 0 is DE66.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences(pub u32);

impl Differences {
    const FIRST: u8 = 66;

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn with(self, field: u8) -> Self {
        let bit = u32::from(field.saturating_sub(Self::FIRST));
        Self(self.0 | 1_u32.checked_shl(bit).unwrap_or(0))
    }

    /// Their numbers.
    pub fn fields(self) -> impl Iterator<Item = u8> {
        let bits =
            (0..32_u8).filter(move |bit| self.0.checked_shr((*bit).into()).unwrap_or(0) & 1 == 1);
        bits.map(|bit| bit.saturating_add(Self::FIRST))
    }
}

/// How a reconciliation ended: DE66 of 1987, DE39 of 1993. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Nothing was compared.
    Unknown = 0,
    /// Both sides say the same.
    InBalance = 1,
    /// They do not. The day is closed all the same.
    OutOfBalance = 2,
    /// The message cannot be used.
    Error = 3,
}

/// What day it is between njia and another party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusinessDay {
    /// An id of its own.
    pub transaction: TransactionId,
    /// When it began, or was noted again.
    pub noted: WallTime,
    /// With whom.
    pub party: Party,
    /// The day.
    pub date: SettlementDate,
    /// The one before it, when there was a cut-over.
    pub before: Option<SettlementDate>,
    /// The last one that is closed in every currency, and all before it.
    pub closed: Option<SettlementDate>,
    /// Whether what follows is counted.
    pub is_kept: bool,
}

/// What was counted of one day by one shard, in all: it replaces what earlier records add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayTotals {
    /// An id of its own.
    pub transaction: TransactionId,
    /// When it was noted.
    pub noted: WallTime,
    /// With whom.
    pub party: Party,
    /// The day.
    pub date: SettlementDate,
    /// The currency.
    pub currency: Currency,
    /// What was counted.
    pub totals: Totals,
    /// Nothing is counted for this day from here on; what still comes counts for the next.
    pub is_closed: bool,
}

/// What a reconciliation of the other side was answered; every copy of it is told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// An id of its own.
    pub transaction: TransactionId,
    /// When it was decided.
    pub decided: WallTime,
    /// Whose message it was.
    pub party: Party,
    /// The day.
    pub date: SettlementDate,
    /// The currency.
    pub currency: Currency,
    /// DE11 of the message.
    pub stan: Stan,
    /// DE7 of the message.
    pub transmitted: TransmissionTime,
    /// What was found.
    pub verdict: Verdict,
    /// In which figures the other side differs.
    pub differs: Differences,
    /// Those of all shards.
    pub ours: Totals,
}

/// An issuer is owed a reconciliation of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconciliationOwed {
    /// An id of its own.
    pub transaction: TransactionId,
    /// When it was decided: its DE7, the same in every transmission.
    pub decided: WallTime,
    /// To whom.
    pub issuer: IssuerId,
    /// The day.
    pub date: SettlementDate,
    /// The currency.
    pub currency: Currency,
    /// Its DE11, the same in every transmission.
    pub stan: Stan,
    /// Ours, of all shards.
    pub ours: Totals,
}

/// A reconciliation that was owed has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconciliationDone {
    /// The id of what was owed.
    pub transaction: TransactionId,
    /// When.
    pub decided: WallTime,
    /// How.
    pub result: SafResult,
    /// What the issuer has found, if it has taken it.
    pub verdict: Verdict,
    /// Transmissions in all.
    pub attempts: u32,
}

/// The largest sum that a field of sixteen digits holds.
pub const AMOUNT_MAX: u64 = 9_999_999_999_999_999;
/// The largest number that a field of ten digits holds.
pub const NUMBER_MAX: u64 = 9_999_999_999;

/// What the processing code and class of a transaction make of it. Of the first two digits of DE3,
/// 2x are credits, 3x inquiries, 4x transfers; all others take money from the account.
#[must_use]
pub fn kind_of(class: crate::request::MessageClass, processing_code: &[u8]) -> Kind {
    use crate::request::MessageClass;
    match (class, processing_code.first()) {
        (MessageClass::Authorisation, _) => Kind::Authorisation,
        (MessageClass::Financial, Some(b'2')) => Kind::Credit,
        (MessageClass::Financial, Some(b'3')) => Kind::Inquiry,
        (MessageClass::Financial, Some(b'4')) => Kind::Transfer,
        (MessageClass::Financial, Some(_) | None) => Kind::Debit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::MessageClass;
    use Effect::{Approval, Reversal};

    fn of(counted: &[(Kind, Effect, u64)]) -> Totals {
        let mut totals = Totals::default();
        for (kind, effect, minor) in counted {
            totals.count(*kind, *effect, *minor);
        }
        totals
    }

    #[test]
    fn each_transaction_counts_in_its_own_figures() {
        let check = |kind, effect, expected: &[(u8, u64)]| {
            let totals = of(&[(kind, effect, 150), (kind, effect, 50)]);
            for figure in Figure::ALL {
                let found = expected.iter().find(|(field, _)| *field == figure.field());
                assert_eq!(
                    totals.of(figure),
                    found.map_or(0, |(_, value)| *value),
                    "{figure:?}"
                );
            }
        };
        check(Kind::Credit, Approval, &[(74, 2), (86, 200)]);
        check(Kind::Credit, Reversal, &[(75, 2), (87, 200)]);
        check(Kind::Debit, Approval, &[(76, 2), (88, 200)]);
        check(Kind::Debit, Reversal, &[(77, 2), (89, 200)]);
        check(Kind::Transfer, Approval, &[(78, 2)]);
        check(Kind::Transfer, Reversal, &[(79, 2)]);
        check(Kind::Inquiry, Approval, &[(80, 2)]);
        check(Kind::Inquiry, Reversal, &[]);
        check(Kind::Authorisation, Approval, &[(81, 2)]);
        check(Kind::Authorisation, Reversal, &[]);
    }

    #[test]
    fn the_processing_code_says_what_a_transaction_is() {
        let check = |code: &[u8], kind| {
            assert_eq!(kind_of(MessageClass::Financial, code), kind);
            let held = kind_of(MessageClass::Authorisation, code);
            assert_eq!(held, Kind::Authorisation);
        };
        for debit in ["000000", "010000", "170000", "500000", "910000"] {
            check(debit.as_bytes(), Kind::Debit);
        }
        check(b"200000", Kind::Credit);
        check(b"310000", Kind::Inquiry);
        check(b"400000", Kind::Transfer);
    }

    /// A sale of 100 that is cancelled, a refund of 30 that stands, a refund of 5 that is reversed.
    fn a_day() -> Totals {
        of(&[
            (Kind::Debit, Approval, 100),
            (Kind::Debit, Reversal, 100),
            (Kind::Debit, Approval, 70),
            (Kind::Credit, Approval, 30),
            (Kind::Credit, Approval, 5),
            (Kind::Credit, Reversal, 5),
        ])
    }

    #[test]
    fn a_credit_reversal_is_a_reversal_that_credits() {
        let sign = ReconSign::CreditReversal;
        let totals = a_day().read_as(sign);
        let amounts = [86, 87, 88, 89].map(|field| {
            let figure = Figure::ALL.into_iter().find(|one| one.field() == field);
            totals.of(figure.unwrap())
        });
        assert_eq!(amounts, [35, 100, 170, 5]);
        assert_eq!(
            (
                totals.of(Figure::CreditReversals),
                totals.of(Figure::DebitReversals)
            ),
            (1, 1)
        );
        // 86 + 87 - 88 - 89.
        assert_eq!(totals.net(sign).minor(), 35 + 100 - 170 - 5);
        assert_eq!(totals.net(sign).digits(), *b"D0000000000000040");
        assert_eq!(totals.read_as(sign), a_day());
    }

    #[test]
    fn a_credit_reversal_is_a_credit_that_was_reversed() {
        let sign = ReconSign::ReversedCredit;
        let totals = a_day().read_as(sign);
        let amounts = [86, 87, 88, 89].map(|field| {
            let figure = Figure::ALL.into_iter().find(|one| one.field() == field);
            totals.of(figure.unwrap())
        });
        assert_eq!(amounts, [35, 5, 170, 100]);
        // 86 - 87 - 88 + 89.
        assert_eq!(totals.net(sign).minor(), 35 - 5 - 170 + 100);
        let nothing = Totals::default().net(sign);
        assert_eq!(nothing.digits(), *b"C0000000000000000");
    }

    #[test]
    fn what_is_declared_is_compared_and_nothing_else() {
        let (sign, ours) = (ReconSign::ReversedCredit, a_day());
        let differing = |declared: Declared| {
            let differs = declared.compare(&ours, sign);
            differs.fields().collect::<std::vec::Vec<_>>()
        };
        let mut declared = Declared::default();
        assert!(!declared.says_anything());
        assert_eq!(differing(declared), []);
        declared.set(Figure::Debits, 2);
        declared.set(Figure::DebitAmount, 170);
        declared.net = Net::from_digits(b"D0000000000000040");
        assert_eq!(differing(declared), []);
        declared.set(Figure::Debits, 3);
        declared.set(Figure::CreditAmount, 34);
        declared.net = Net::from_digits(b"C0000000000000040");
        assert_eq!(differing(declared), [76, 86, 97]);
        assert!(declared.says_anything());
    }

    #[test]
    fn a_net_amount_is_a_sign_and_sixteen_digits() {
        for wrong in [
            "",
            "C",
            "C000000000000004",
            "X0000000000000040",
            "00000000000000400",
        ] {
            assert_eq!(Net::from_digits(wrong.as_bytes()), None, "{wrong}");
        }
        let most = of(&[(Kind::Debit, Approval, u64::MAX)]).net(ReconSign::CreditReversal);
        assert_eq!(
            most.digits(),
            *b"D9999999999999999",
            "no digit is lost from the front"
        );
    }
}

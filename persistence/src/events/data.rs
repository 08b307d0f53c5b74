//! What an event says of its record: one flat object in which absent fields are left out.
//!
//! A closed list: nothing of a record stands in an event that has no field here. There is no place
//! for a token beside the masked account, for the sealed one, or for the fields that an answer
//! replays (PCI DSS, FAQ 1091).

use std::fmt::Display;

use domain::bytes::Text;
use domain::network::SettlementDate;
use domain::pan::MaskedPan;
use domain::reconciliation::{DayTotals, Party, Totals};
use domain::record::{Advised, Operated, OwedKind, SafDone, SafOwed};
use domain::request::{Facts, IssuerLeg};
use domain::time::TransmissionTime;
use domain::{Amount, ResponseCode};
use serde::{Serialize, Serializer};

use crate::applier::{Names, words};

/// The object `data` of an event.
#[derive(Default, Serialize)]
pub(super) struct Data<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acquirer: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Shown<MaskedPan>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) amount: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) currency: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) processing_code: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) merchant_category: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry_mode: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stan: Option<Shown<domain::ids::Stan>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) transmitted: Option<Digits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rrn: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) terminal: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) merchant: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) institution: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer_stan: Option<Shown<domain::ids::Stan>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) approved: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Shown<ResponseCode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer_code: Option<Shown<ResponseCode>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorisation: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) completes: Option<Shown<domain::ids::TransactionId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operator: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) operator_uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date: Option<Shown<SettlementDate>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) date_before: Option<Shown<SettlementDate>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) closed: Option<Shown<SettlementDate>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) totals: Option<Figures>,
}

impl<'r> Data<'r> {
    /// What was asked for.
    pub(super) fn asked(self, facts: &'r Facts, names: &'r Names) -> Self {
        let trace = &facts.trace;
        Self {
            acquirer: Some(names.acquirer(facts.acquirer)),
            class: Some(words::class(facts.class)),
            account: Some(Shown(facts.account.masked)),
            processing_code: text(&facts.processing_code),
            merchant_category: text(&facts.merchant_category),
            entry_mode: text(&facts.entry_mode),
            stan: Some(Shown(trace.stan)),
            transmitted: Some(Digits(trace.transmitted)),
            rrn: text(&trace.rrn),
            terminal: text(&trace.terminal),
            merchant: text(&trace.merchant),
            institution: text(&trace.institution),
            ..self
        }
        .of_amount(Some(facts.amount))
    }

    /// How it travels to an issuer.
    pub(super) fn sent(self, leg: &IssuerLeg, names: &'r Names) -> Self {
        Self {
            issuer: Some(names.issuer(leg.issuer)),
            route: Some(names.route(leg.route)),
            issuer_stan: Some(Shown(leg.stan)),
            ..self
        }
    }

    pub(super) fn of_amount(self, amount: Option<Amount>) -> Self {
        Self {
            amount: amount.map(Amount::minor),
            currency: amount.map(|amount| amount.currency().code()),
            ..self
        }
    }

    pub(super) fn with(self, party: Party, names: &'r Names) -> Self {
        match party {
            Party::Acquirer(id) => Self {
                acquirer: Some(names.acquirer(id)),
                ..self
            },
            Party::Issuer(id) => Self {
                issuer: Some(names.issuer(id)),
                ..self
            },
        }
    }

    pub(super) fn counted(self, currency: domain::currency::Currency, totals: Totals) -> Self {
        Self {
            currency: Some(currency.code()),
            totals: Some(Figures(totals)),
            ..self
        }
    }

    pub(super) fn advised(advised: &'r Advised<'_>, names: &'r Names) -> Self {
        let data = Self {
            outcome: Some(words::advised(advised)),
            approved: Some(advised.is_approval()),
            code: Some(Shown(advised.answer.code)),
            issuer_code: advised.reported.map(Shown),
            authorisation: text(&advised.answer.authorisation),
            completes: advised.completes.map(|of| Shown(of.transaction)),
            ..Self::default()
        };
        let data = data.asked(&advised.facts, names);
        match &advised.leg {
            Some(leg) => data.sent(leg, names),
            None => data,
        }
    }

    pub(super) fn owed(owed: &SafOwed) -> Self {
        Self {
            reason: Some(words::cause(owed.cause)),
            ..Self::default()
        }
        .of_amount(owed.replacement)
    }

    pub(super) fn done(done: &SafDone) -> Self {
        Self {
            outcome: Some(words::saf_result(done.result)),
            issuer_code: done.code.map(Shown),
            attempts: Some(done.attempts),
            ..Self::default()
        }
    }

    pub(super) fn operated(operated: &'r Operated) -> Self {
        Self {
            outcome: Some(words::operation(operated.operation)),
            what: Some(match operated.what {
                OwedKind::Reversal => "reversal",
                OwedKind::Advice => "advice",
            }),
            operator: text(&operated.operator.name),
            operator_uid: Some(operated.operator.uid),
            reason: Some(operated.reason.as_str()).filter(|reason| !reason.is_empty()),
            issuer_code: operated.code.map(Shown),
            attempts: Some(operated.attempts),
            ..Self::default()
        }
    }

    pub(super) fn closed(day: &DayTotals, names: &'r Names) -> Self {
        Self {
            date: Some(Shown(day.date)),
            ..Self::default()
        }
        .with(day.party, names)
        .counted(day.currency, day.totals)
    }
}

/// A text, unless it is absent.
pub(super) fn text<const N: usize>(text: &Text<N>) -> Option<&str> {
    (!text.is_empty()).then(|| text.as_str())
}

/// As it is shown to people.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// DE7, ten digits.
pub(super) struct Digits(TransmissionTime);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = self.0.digits();
        serializer.serialize_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

/// The figures of a business day, by name.
pub(super) struct Figures(Totals);

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FIGURES.iter().zip(self.0.values()))
    }
}

/// In the order of `domain::reconciliation::Figure`.
const FIGURES: [&str; 12] = [
    "credits",
    "credit_reversals",
    "debits",
    "debit_reversals",
    "transfers",
    "transfer_reversals",
    "inquiries",
    "authorisations",
    "credit_amount",
    "credit_reversal_amount",
    "debit_amount",
    "debit_reversal_amount",
];

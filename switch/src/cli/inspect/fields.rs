//! What is shown of a record, field by field: the one place that decides it, for text and for JSON.
//!
//! Never shown: the sealed account number, its token (beside the masked number it would help to
//! guess), and the further fields of answers and advices, which hold what networks put there.

use domain::amount::Amount;
use domain::bytes::Text;
use domain::ids::{AcquirerId, IssuerId};
use domain::reconciliation::{Figure, Party, Totals};
use domain::record::{
    AdviceOrigin, Advised, Intent, Operated, OwedKind, Record, SafDone, SafOwed, Tombstone,
};
use domain::request::{Facts, IssuerLeg, MessageKind};
use domain::time::{TransmissionTime, WallTime};
use persistence::applier::words;
use persistence::manifest::PartyNames;

/// One value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Flag(bool),
    Numbers(&'a [u64]),
}

/// Takes the fields of a record in their order.
pub(super) trait Sink {
    /// A field that everybody wants to see.
    fn put(&mut self, key: &'static str, value: Value<'_>);

    /// A field that only a program wants to see.
    fn put_more(&mut self, key: &'static str, value: Value<'_>) {
        self.put(key, value);
    }
}

/// When it was decided, or came.
pub(super) const fn at(record: &Record<'_>) -> WallTime {
    match record {
        Record::Intent(intent) => intent.admitted,
        Record::Refused(refused) => refused.admitted,
        Record::Outcome(outcome) => outcome.decided,
        Record::SafOwed(owed) => owed.decided,
        Record::SafDone(done) | Record::AdviceDone(done) => done.decided,
        Record::Tombstone(tombstone) => tombstone.decided,
        Record::LateResponse(late) => late.received,
        Record::Advised(advised) => advised.admitted,
        Record::Operated(operated) => operated.decided,
        Record::Day(day) => day.noted,
        Record::Totals(totals) => totals.noted,
        Record::Reconciled(reconciled) => reconciled.decided,
        Record::ReconciliationOwed(owed) => owed.decided,
        Record::ReconciliationDone(done) => done.decided,
    }
}

/// What was asked, of a record that says it: the first one of a transaction.
pub(super) const fn facts<'a>(record: &'a Record<'_>) -> Option<&'a Facts> {
    match record {
        Record::Intent(intent) => Some(&intent.facts),
        Record::Refused(refused) => Some(&refused.facts),
        Record::Advised(advised) => Some(&advised.facts),
        Record::Outcome(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => None,
    }
}

/// The fields of `record` behind its type, transaction and time.
pub(super) fn put(record: &Record<'_>, names: &PartyNames, out: &mut dyn Sink) {
    let mut fields = Fields { names, out };
    match record {
        Record::Intent(intent) => fields.intent(intent),
        Record::Refused(refused) => {
            fields.facts(&refused.facts);
            fields.text("code", refused.code.digits().as_str());
            fields.text("refusal", words::refusal(refused.reason));
        }
        Record::Outcome(outcome) => {
            fields.text("outcome", words::outcome(outcome.kind));
            fields.text("code", outcome.answer.code.digits().as_str());
            let issuer_code = outcome.issuer_code.map(|code| code.digits());
            fields.text("issuer_code", issuer_code.unwrap_or_default().as_str());
            fields.text("authorisation", outcome.answer.authorisation.as_str());
            fields.amount(["answer_amount", "answer_currency"], outcome.answer.amount);
            fields.more("answer_fields_bytes", outcome.answer.fields.len() as u64);
        }
        Record::SafOwed(owed) => fields.saf_owed(owed),
        Record::SafDone(done) | Record::AdviceDone(done) => fields.done(done),
        Record::Tombstone(tombstone) => fields.tombstone(tombstone),
        Record::LateResponse(late) => {
            fields.issuer(late.issuer);
            fields.text("code", late.code.digits().as_str());
        }
        Record::Advised(advised) => fields.advised(advised),
        Record::Operated(operated) => fields.operated(operated),
        Record::Day(day) => {
            fields.party(day.party);
            fields.shown("date", &day.date);
            fields.option("before", day.before);
            fields.option("closed", day.closed);
            fields.out.put("kept", Value::Flag(day.is_kept));
        }
        Record::Totals(day) => {
            fields.party(day.party);
            fields.shown("date", &day.date);
            fields.shown("currency", &day.currency);
            fields.out.put("day_closed", Value::Flag(day.is_closed));
            fields.figures(&day.totals);
        }
        Record::Reconciled(reconciled) => {
            fields.party(reconciled.party);
            fields.shown("date", &reconciled.date);
            fields.shown("currency", &reconciled.currency);
            fields.shown("stan", &reconciled.stan);
            fields.transmitted("transmitted", reconciled.transmitted);
            fields.text("verdict", words::verdict(reconciled.verdict));
            let differs: Vec<u64> = reconciled.differs.fields().map(u64::from).collect();
            fields.out.put("differs", Value::Numbers(&differs));
            fields.figures(&reconciled.ours);
        }
        Record::ReconciliationOwed(owed) => {
            fields.issuer(owed.issuer);
            fields.shown("date", &owed.date);
            fields.shown("currency", &owed.currency);
            fields.shown("leg_stan", &owed.stan);
            fields.figures(&owed.ours);
        }
        Record::ReconciliationDone(done) => {
            fields.text("result", words::saf_result(done.result));
            fields.text("verdict", words::verdict(done.verdict));
            fields.number("attempts", u64::from(done.attempts));
        }
    }
}

struct Fields<'a> {
    names: &'a PartyNames,
    out: &'a mut dyn Sink,
}

impl Fields<'_> {
    fn intent(&mut self, intent: &Intent) {
        self.facts(&intent.facts);
        self.leg(&intent.leg);
        if let Some(until) = intent.asked_until {
            self.shown("asked_until", &until);
        }
    }

    fn facts(&mut self, facts: &Facts) {
        let trace = &facts.trace;
        self.acquirer(facts.acquirer);
        self.text("class", words::class(facts.class));
        self.more("slot", u64::from(facts.slot.0));
        self.shown("stan", &trace.stan);
        self.transmitted("transmitted", trace.transmitted);
        self.text("rrn", trace.rrn.as_str());
        self.text("terminal", trace.terminal.as_str());
        self.text("merchant", trace.merchant.as_str());
        self.more_text("institution", &trace.institution);
        self.shown("account", &facts.account.masked);
        self.amount(["amount", "currency"], Some(facts.amount));
        self.text("processing_code", facts.processing_code.as_str());
        self.more_text("merchant_category", &facts.merchant_category);
        self.more_text("entry_mode", &facts.entry_mode);
        self.more_text("local_time", &trace.local_time);
        self.more_text("local_date", &trace.local_date);
        self.more_hash("duplicate_key", facts.key.0);
    }

    fn leg(&mut self, leg: &IssuerLeg) {
        self.issuer(leg.issuer);
        self.number("link_id", u64::from(leg.link.0));
        self.more("route_id", u64::from(leg.route.0));
        self.more("candidate", u64::from(leg.candidate));
        self.shown("leg_stan", &leg.stan);
        self.transmitted("leg_transmitted", leg.transmitted);
    }

    fn saf_owed(&mut self, owed: &SafOwed) {
        self.text("cause", words::cause(owed.cause));
        if let Some(reason) = owed.reason {
            self.shown("message_reason", &reason);
        }
        self.amount(["replacement", "replacement_currency"], owed.replacement);
        if owed.key.0 != 0 {
            self.more_hash("duplicate_key", owed.key.0);
        }
    }

    fn done(&mut self, done: &SafDone) {
        self.text("result", words::saf_result(done.result));
        self.text(
            "code",
            done.code
                .map(|code| code.digits())
                .unwrap_or_default()
                .as_str(),
        );
        self.number("attempts", u64::from(done.attempts));
    }

    fn tombstone(&mut self, tombstone: &Tombstone) {
        let original = &tombstone.original;
        self.acquirer(tombstone.acquirer);
        self.more("slot", u64::from(tombstone.slot.0));
        self.shown("original_stan", &original.stan);
        self.text("original_class", original.class.map_or("", words::class));
        self.transmitted(
            "original_transmitted",
            original.transmitted.unwrap_or(TransmissionTime::UNKNOWN),
        );
        self.text("original_rrn", original.rrn.as_str());
        self.more_hash("duplicate_key", tombstone.key.0);
    }

    fn advised(&mut self, advised: &Advised<'_>) {
        self.facts(&advised.facts);
        if let Some(leg) = &advised.leg {
            self.leg(leg);
        }
        let origin = match advised.origin {
            AdviceOrigin::Acquirer => "acquirer",
            AdviceOrigin::StandIn => "stand_in",
        };
        self.text("origin", origin);
        self.text("code", advised.answer.code.digits().as_str());
        let reported = advised.reported.map(|code| code.digits());
        self.text("reported_code", reported.unwrap_or_default().as_str());
        self.text("authorisation", advised.answer.authorisation.as_str());
        if let Some(completed) = &advised.completes {
            self.shown("completes", &completed.transaction);
            self.text("completes_class", words::class(completed.class));
            self.text(
                "completes_kind",
                match completed.kind {
                    MessageKind::Request => "request",
                    MessageKind::Advice => "advice",
                    MessageKind::Completion => "completion",
                },
            );
            self.shown("completes_leg_stan", &completed.stan);
            self.transmitted("completes_leg_transmitted", completed.transmitted);
        }
        self.more("advice_fields_bytes", advised.fields.len() as u64);
    }

    fn operated(&mut self, operated: &Operated) {
        let operator = &operated.operator;
        self.text("operation", words::operation(operated.operation));
        self.text(
            "owed",
            match operated.what {
                OwedKind::Reversal => "reversal",
                OwedKind::Advice => "advice",
            },
        );
        self.number("ordinal", u64::from(operated.ordinal));
        self.number("operator_uid", u64::from(operator.uid));
        self.text("operator", operator.name.as_str());
        self.text("reason", operated.reason.as_str());
        self.text(
            "code",
            operated
                .code
                .map(|code| code.digits())
                .unwrap_or_default()
                .as_str(),
        );
        self.number("attempts", u64::from(operated.attempts));
    }

    fn party(&mut self, party: Party) {
        match party {
            Party::Acquirer(id) => self.acquirer(id),
            Party::Issuer(id) => self.issuer(id),
        }
    }

    fn acquirer(&mut self, id: AcquirerId) {
        let name = self.names.acquirers.get(usize::from(id.0));
        self.text("acquirer", name.map_or("?", String::as_str));
        self.more("acquirer_id", u64::from(id.0));
    }

    fn issuer(&mut self, id: IssuerId) {
        let name = self.names.issuers.get(usize::from(id.0));
        self.text("issuer", name.map_or("?", String::as_str));
        self.more("issuer_id", u64::from(id.0));
    }

    /// What is not nothing, by data element; reversals stand under what they reverse.
    fn figures(&mut self, totals: &Totals) {
        const KEYS: [&str; Figure::ALL.len()] = [
            "de74", "de75", "de76", "de77", "de78", "de79", "de80", "de81", "de86", "de87", "de88",
            "de89",
        ];
        for (key, figure) in KEYS.into_iter().zip(Figure::ALL) {
            if totals.of(figure) > 0 {
                self.number(key, totals.of(figure));
            }
        }
    }

    /// Minor units and the currency beside them.
    fn amount(&mut self, [key, currency]: [&'static str; 2], amount: Option<Amount>) {
        if let Some(amount) = amount {
            self.number(key, amount.minor());
            self.shown(currency, &amount.currency());
        }
    }

    /// A time without a year, as the message has it.
    fn transmitted(&mut self, key: &'static str, time: TransmissionTime) {
        if time.is_known() {
            let digits = time.digits();
            self.more_str(key, std::str::from_utf8(&digits).unwrap_or_default());
        }
    }

    fn option(&mut self, key: &'static str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.shown(key, &value);
        }
    }

    fn shown(&mut self, key: &'static str, value: &dyn std::fmt::Display) {
        self.text(key, &value.to_string());
    }

    /// What is empty is left out.
    fn text(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.out.put(key, Value::Text(value));
        }
    }

    fn number(&mut self, key: &'static str, value: u64) {
        self.out.put(key, Value::Number(value));
    }

    fn more(&mut self, key: &'static str, value: u64) {
        self.out.put_more(key, Value::Number(value));
    }

    fn more_text<const N: usize>(&mut self, key: &'static str, value: &Text<N>) {
        self.more_str(key, value.as_str());
    }

    fn more_str(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.out.put_more(key, Value::Text(value));
        }
    }

    fn more_hash(&mut self, key: &'static str, hash: u128) {
        self.more_str(key, &format!("{hash:032x}"));
    }
}

//! What the books must hold: the records posted one at a time, the slow and obvious way, and the
//! comparison with the rows of `posting`.

use std::collections::{BTreeMap, BTreeSet};

use domain::Amount;
use domain::reconciliation::Party;
use domain::record::{AdviceOrigin, OutcomeKind, Record, ReversalCause};
use domain::request::{Facts, MessageClass};
use domain::time::WallTime;
use tokio_postgres::Client;

use crate::log::Log;
use crate::oracle::{ACQUIRERS, FEES, ISSUERS};

/// Columns of one row as text, by transaction and number of the entry.
pub type Entries = BTreeMap<(String, u16), String>;

/// The books after some records.
#[derive(Default)]
pub struct Books {
    pub entries: Entries,
    pub standing: BTreeMap<String, Standing>,
    asked: BTreeMap<String, (Facts, u16)>,
    days: BTreeMap<Party, (u32, Option<u32>)>,
    closed: BTreeSet<(Party, u32, u16)>,
}

#[derive(Clone, Copy, Default)]
pub struct Standing {
    pub amount: u64,
    pub fee: u64,
    pub entries: u16,
}

impl Books {
    /// The books of `log` without the records in `refused`.
    pub fn fold(log: &Log, refused: &BTreeSet<u64>) -> Self {
        let mut books = Self::default();
        log.each(|lsn, record| {
            if !refused.contains(&lsn.0) {
                books.lay(record);
            }
        });
        books
    }

    fn lay(&mut self, record: &Record<'_>) {
        let id = record.transaction().to_string();
        match record {
            Record::Day(day) => {
                let closed = day.closed.map(|closed| closed.days());
                self.days.insert(day.party, (day.date.days(), closed));
            }
            Record::Totals(totals) => {
                let key = (totals.party, totals.date.days(), totals.currency.code());
                if totals.is_closed {
                    self.closed.insert(key);
                } else {
                    self.closed.remove(&key);
                }
            }
            Record::Intent(intent) => {
                let asked = (intent.facts, intent.leg.issuer.0);
                self.asked.insert(id, asked);
            }
            Record::Advised(advised) => {
                let Some(leg) = advised.leg else { return };
                self.asked.insert(id.clone(), (advised.facts, leg.issuer.0));
                let ours = advised.origin == AdviceOrigin::StandIn;
                let reported = advised.reported.is_none_or(|code| code.is_approval());
                assert!(
                    !ours || reported,
                    "the switch reports its own approvals alone"
                );
                if reported {
                    self.approve(&id, advised.facts.amount, None, advised.admitted);
                }
            }
            Record::Outcome(outcome) => {
                let approved = outcome.answer.code.is_approval();
                let asked = self.asked.get(&id).map(|(facts, _)| facts.amount);
                if let (OutcomeKind::Answered, true, Some(asked)) = (outcome.kind, approved, asked)
                {
                    let amount = outcome.answer.amount.unwrap_or(asked);
                    let named = de15(outcome.answer.fields);
                    self.approve(&id, amount, named, outcome.decided);
                }
            }
            Record::SafOwed(owed) => {
                let counts = match owed.cause {
                    ReversalCause::Requested | ReversalCause::Undelivered => true,
                    ReversalCause::Timeout
                    | ReversalCause::InvalidAnswer
                    | ReversalCause::Restart => false,
                };
                if counts {
                    let stays = owed.replacement.map_or(0, Amount::minor);
                    self.take_back(&id, stays, owed.decided);
                }
            }
            Record::Refused(_)
            | Record::SafDone(_)
            | Record::AdviceDone(_)
            | Record::Tombstone(_)
            | Record::LateResponse(_)
            | Record::Operated(_)
            | Record::Reconciled(_)
            | Record::ReconciliationOwed(_)
            | Record::ReconciliationDone(_) => {}
        }
    }

    fn approve(&mut self, id: &str, amount: Amount, named: Option<[u8; 4]>, at: WallTime) {
        let (facts, issuer) = self.asked[id];
        let is_debit = !facts.processing_code.as_str().starts_with('2');
        if facts.class == MessageClass::Authorisation || amount.minor() == 0 {
            return;
        }
        let rate = if is_debit {
            FEES[usize::from(facts.acquirer.0)]
        } else {
            0
        };
        let fee = (amount.minor() * u64::from(rate) + 5_000) / 10_000;
        let change = [amount.minor(), fee].map(|minor| i64::try_from(minor).unwrap());
        let standing = Standing {
            amount: amount.minor(),
            fee,
            entries: 0,
        };
        self.standing.insert(id.to_owned(), standing);
        self.post(id, "approval", (&facts, issuer), change, named, at);
    }

    fn take_back(&mut self, id: &str, stays: u64, at: WallTime) {
        let Some(standing) = self.standing.get_mut(id) else {
            return;
        };
        if stays >= standing.amount {
            return;
        }
        let fee = standing.fee * stays / standing.amount;
        let change = [(stays, standing.amount), (fee, standing.fee)]
            .map(|(after, before)| i64::try_from(after).unwrap() - i64::try_from(before).unwrap());
        standing.amount = stays;
        standing.fee = fee;
        let (facts, issuer) = self.asked[id];
        self.post(id, "reversal", (&facts, issuer), change, None, at);
    }

    fn post(
        &mut self,
        id: &str,
        effect: &str,
        (facts, issuer): (&Facts, u16),
        [amount, fee]: [i64; 2],
        named: Option<[u8; 4]>,
        at: WallTime,
    ) {
        let is_credit = facts.processing_code.as_str().starts_with('2');
        let due = if is_credit { -amount } else { amount };
        let currency = facts.amount.currency().code();
        let acquirer = facts.acquirer.0;
        let paid = self.day(Party::Acquirer(facts.acquirer), currency, named, at);
        let owes = self.day(
            Party::Issuer(domain::ids::IssuerId(issuer)),
            currency,
            named,
            at,
        );
        let pos = format!("{acquirer} {}", name(&ACQUIRERS, acquirer));
        let bank = format!("{issuer} {}", name(&ISSUERS, issuer));
        let mut entries = vec![("acquirer", &pos, paid, due), ("issuer", &bank, owes, -due)];
        let nobody = "- -".to_owned();
        if paid != owes {
            entries.push(("transit", &nobody, paid, -due));
            entries.push(("transit", &nobody, owes, due));
        }
        if fee != 0 {
            entries.push(("acquirer", &pos, paid, -fee));
            entries.push(("fee", &pos, paid, fee));
        }
        let standing = self.standing.get_mut(id).unwrap();
        for (account, party, day, amount) in entries {
            standing.entries += 1;
            let row = format!(
                "{} {day} {currency} {account} {party} {effect} {amount} {}",
                facts.slot.0,
                at.unix_millis()
            );
            let taken = self.entries.insert((id.to_owned(), standing.entries), row);
            assert_eq!(taken, None);
        }
    }

    /// Days since 1970.
    fn day(&self, party: Party, currency: u16, named: Option<[u8; 4]>, at: WallTime) -> u32 {
        let calendar = u32::try_from(at.unix_millis() / 86_400_000).unwrap();
        let (in_force, closed) = self.days.get(&party).copied().unwrap_or((calendar, None));
        let near = in_force - 8..=in_force + 8;
        // Of the days around it the one whose month and day are named.
        let digits = |day: &u32| domain::network::SettlementDate::from_days(*day).digits();
        let named = named.and_then(|named| near.into_iter().find(|day| digits(day) == named));
        let mut day = named.unwrap_or(in_force);
        if let Some(closed) = closed.filter(|closed| *closed >= day) {
            day = closed + 1;
        }
        for _ in 0..8 {
            if !self.closed.contains(&(party, day, currency)) {
                break;
            }
            day += 1;
        }
        day
    }
}

fn de15(fields: &[u8]) -> Option<[u8; 4]> {
    let place = fields.windows(3).position(|head| head == b"\x0f\0\x04")?;
    fields[place + 3..].first_chunk().copied()
}

fn name(names: &[&'static str], position: u16) -> &'static str {
    names.get(usize::from(position)).copied().unwrap_or("?")
}

/// The rows as PostgreSQL has them.
pub async fn held(client: &Client, schema: &str) -> Entries {
    let sql = format!(
        "SELECT transaction_id::text, entry, shard_key || ' ' || (date - DATE '1970-01-01') \
         || ' ' || currency || ' ' || account || ' ' || coalesce(party_id::text, '-') || ' ' \
         || coalesce(party, '-') || ' ' || effect || ' ' || amount || ' ' \
         || (extract(epoch FROM at) * 1000)::bigint FROM {schema}.posting"
    );
    let rows = client.query(&sql, &[]).await.unwrap();
    let rows = rows.iter().map(|row| {
        let entry: i16 = row.get(1);
        ((row.get(0), u16::try_from(entry).unwrap()), row.get(2))
    });
    rows.collect()
}

/// Fails with the first entry that differs.
#[track_caller]
pub fn assert_equal(held: &Entries, expected: &Entries) {
    for (key, row) in expected {
        assert_eq!(held.get(key), Some(row), "{key:?}");
    }
    assert_eq!(held.len(), expected.len(), "entries that nobody made");
}

/// Every day and currency sums to zero, every transaction too, and its row says the same.
pub async fn assert_balanced(client: &Client, schema: &str) {
    let wrong = format!("SELECT count(*) FROM {schema}.settlement_violation");
    let wrong: i64 = client.query_one(&wrong, &[]).await.unwrap().get(0);
    assert_eq!(wrong, 0, "what does not sum to zero");
    let days = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {schema}.settlement GROUP BY date, currency \
         HAVING sum(position) <> 0) AS days"
    );
    let days: i64 = client.query_one(&days, &[]).await.unwrap().get(0);
    assert_eq!(days, 0, "days that do not sum to zero");
}

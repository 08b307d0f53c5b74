-- Double entries for the money that moved, and the business days they count for. Written by the
-- applier in the transaction of the batch; docs/postgresql.md says what counts, and when.

-- What the books hold of a transaction: nothing before its first entry.
ALTER TABLE transaction
    ADD COLUMN posted  bigint,
    ADD COLUMN fee     bigint,
    ADD COLUMN entries smallint;
COMMENT ON COLUMN transaction.posted IS 'approved and not taken back, as the books have it; minor units';
COMMENT ON COLUMN transaction.fee IS 'the fee for what is posted; minor units';
COMMENT ON COLUMN transaction.entries IS 'number of the last of its rows in posting';

-- By settlement date, so that old days leave as a whole. Rows of days without a table of their own
-- go to the default one: no batch waits for a table.
CREATE TABLE posting (
    shard_key      smallint    NOT NULL,
    transaction_id uuid        NOT NULL,
    entry          smallint    NOT NULL,
    date           date        NOT NULL,
    currency       smallint    NOT NULL,
    account        text        NOT NULL,
    party_id       integer,
    party          text,
    effect         text        NOT NULL,
    amount         bigint      NOT NULL CHECK (amount <> 0),
    at             timestamptz NOT NULL,
    PRIMARY KEY (shard_key, transaction_id, entry, date)
) PARTITION BY RANGE (date);
CREATE TABLE posting_default PARTITION OF posting DEFAULT;
COMMENT ON TABLE posting IS 'double entries: each approval that moves money, and each reversal of one';
COMMENT ON COLUMN posting.shard_key IS 'slot of the transaction, 0 to 4095';
COMMENT ON COLUMN posting.transaction_id IS 'the transaction';
COMMENT ON COLUMN posting.entry IS 'counts the entries of one transaction, from 1';
COMMENT ON COLUMN posting.date IS 'settlement date: the business day of the party';
COMMENT ON COLUMN posting.currency IS 'ISO 4217 number';
COMMENT ON COLUMN posting.account IS 'acquirer, issuer, fee, or transit: what one side has on another day than the other';
COMMENT ON COLUMN posting.party_id IS 'id of the acquirer (also of a fee) or issuer in the journal; none for transit';
COMMENT ON COLUMN posting.party IS 'its name when the row was written';
COMMENT ON COLUMN posting.effect IS 'approval or reversal';
COMMENT ON COLUMN posting.amount IS 'what the party is due in minor units; negative when it owes';
COMMENT ON COLUMN posting.at IS 'when it was decided';

-- The business days of each shard up to its watermark. shard_key is the shard's own number.
CREATE TABLE business_day (
    shard_key smallint NOT NULL,
    journal   uuid     NOT NULL,
    shard     integer  NOT NULL,
    party     text     NOT NULL,
    party_id  integer  NOT NULL,
    date      date     NOT NULL,
    closed    date,
    PRIMARY KEY (shard_key, journal, shard, party, party_id)
);
COMMENT ON TABLE business_day IS 'the day in force with each party, as of the watermark';
COMMENT ON COLUMN business_day.shard_key IS 'number of the shard';
COMMENT ON COLUMN business_day.journal IS 'the journal';
COMMENT ON COLUMN business_day.shard IS 'the shard';
COMMENT ON COLUMN business_day.party IS 'acquirer or issuer';
COMMENT ON COLUMN business_day.party_id IS 'its id in the journal';
COMMENT ON COLUMN business_day.date IS 'the day in force';
COMMENT ON COLUMN business_day.closed IS 'the last day that is closed in every currency, and all before it';

CREATE TABLE closed_day (
    shard_key smallint NOT NULL,
    journal   uuid     NOT NULL,
    shard     integer  NOT NULL,
    party     text     NOT NULL,
    party_id  integer  NOT NULL,
    date      date     NOT NULL,
    currency  smallint NOT NULL,
    PRIMARY KEY (shard_key, journal, shard, party, party_id, date, currency)
);
COMMENT ON TABLE closed_day IS 'days that were closed in one currency of late, as of the watermark';
COMMENT ON COLUMN closed_day.shard_key IS 'number of the shard';
COMMENT ON COLUMN closed_day.journal IS 'the journal';
COMMENT ON COLUMN closed_day.shard IS 'the shard';
COMMENT ON COLUMN closed_day.party IS 'acquirer or issuer';
COMMENT ON COLUMN closed_day.party_id IS 'its id in the journal';
COMMENT ON COLUMN closed_day.date IS 'the day';
COMMENT ON COLUMN closed_day.currency IS 'ISO 4217 number';

-- What each party is due per day and currency; the positions of one day and currency sum to zero.
CREATE VIEW settlement AS
SELECT date, currency, account, party_id, party,
       count(*) FILTER (WHERE effect = 'approval')                          AS approvals,
       count(*) FILTER (WHERE effect = 'reversal')                          AS reversals,
       coalesce(sum(amount) FILTER (WHERE effect = 'approval'), 0)::bigint  AS approved,
       coalesce(sum(amount) FILTER (WHERE effect = 'reversal'), 0)::bigint  AS reversed,
       sum(amount)::bigint                                                  AS position
FROM posting
GROUP BY date, currency, account, party_id, party;
COMMENT ON VIEW settlement IS 'what each party is due per settlement date and currency, in minor units';

-- Must be empty: entries of a day, or of a transaction on a day, that do not sum to zero, and
-- transactions whose row says something else than their entries.
CREATE VIEW settlement_violation AS
SELECT 'day' AS what, date, currency, NULL::uuid AS transaction_id, sum(amount)::bigint AS difference
FROM posting GROUP BY date, currency HAVING sum(amount) <> 0
UNION ALL
SELECT 'transaction', date, currency, transaction_id, sum(amount)::bigint
FROM posting GROUP BY shard_key, transaction_id, date, currency HAVING sum(amount) <> 0
UNION ALL
SELECT 'standing', NULL::date, t.currency, t.transaction_id,
       (t.posted - abs(coalesce(p.amount, 0)))::bigint
FROM transaction AS t LEFT JOIN
     (SELECT shard_key, transaction_id, sum(amount) AS amount
      FROM posting WHERE account = 'issuer' GROUP BY shard_key, transaction_id) AS p
     ON p.shard_key = t.shard_key AND p.transaction_id = t.transaction_id
WHERE coalesce(t.posted, 0) <> abs(coalesce(p.amount, 0));
COMMENT ON VIEW settlement_violation IS 'must be empty: what does not sum to zero';

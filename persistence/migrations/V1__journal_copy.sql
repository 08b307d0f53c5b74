-- The copy of the journal. shard_key (the slot, 0 to 4095) is the first column of every key, so that
-- the tables can be distributed by it without a change. No sequence, no foreign key, no LISTEN.

-- How far each shard of each journal has been copied. Its shard_key is the shard's own number.
CREATE TABLE watermark (
    shard_key  smallint    NOT NULL,
    journal    uuid        NOT NULL,
    shard      integer     NOT NULL,
    node       smallint    NOT NULL,
    lsn        bigint      NOT NULL CHECK (lsn >= 0),
    fence      bigint      NOT NULL,
    owner      uuid        NOT NULL,
    sealed     boolean     NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard_key, journal, shard)
) WITH (fillfactor = 10);

-- One row per record. amount is what the record itself names: asked for (intent, refused), answered
-- (outcome) or left standing (saf_owed). payload is the record as it stands in the journal.
CREATE TABLE event (
    shard_key      smallint    NOT NULL,
    journal        uuid        NOT NULL,
    shard          integer     NOT NULL,
    lsn            bigint      NOT NULL,
    kind           text        NOT NULL,
    transaction_id uuid        NOT NULL,
    at             timestamptz NOT NULL,
    detail         text,
    code           text,
    issuer_code    text,
    authorisation  text,
    acquirer_id    integer,
    amount         bigint,
    currency       smallint,
    stan           integer,
    duplicate_key  uuid,
    account_token  bytea,
    route_id       integer,
    issuer_id      integer,
    link_id        integer,
    leg_stan       integer,
    attempts       bigint,
    payload        bytea,
    PRIMARY KEY (shard_key, journal, shard, lsn)
);
CREATE INDEX event_by_transaction ON event (shard_key, transaction_id);

-- One row per transaction: the fold of its records up to lsn of its journal.
CREATE TABLE transaction (
    shard_key         smallint    NOT NULL,
    transaction_id    uuid        NOT NULL,
    journal           uuid        NOT NULL,
    shard             integer     NOT NULL,
    lsn               bigint      NOT NULL,
    duplicate_of      uuid,
    -- what was asked
    admitted          timestamptz NOT NULL,
    acquirer_id       integer     NOT NULL,
    acquirer          text        NOT NULL,
    class             text        NOT NULL,
    duplicate_key     uuid        NOT NULL,
    account_token     bytea       NOT NULL,
    account_masked    text        NOT NULL,
    amount            bigint      NOT NULL,
    currency          smallint    NOT NULL,
    processing_code   text        NOT NULL,
    merchant_category text,
    entry_mode        text,
    stan              integer     NOT NULL,
    transmitted       text        NOT NULL,
    local_time        text,
    local_date        text,
    rrn               text,
    terminal          text,
    merchant          text,
    institution       text,
    -- where it went
    route_id          integer,
    route             text,
    candidate         smallint,
    issuer_id         integer,
    issuer            text,
    link_id           integer,
    leg_stan          integer,
    leg_transmitted   text,
    -- how it ended
    state             text        NOT NULL,
    approved          boolean     NOT NULL,
    code              text,
    issuer_code       text,
    refusal           text,
    authorisation     text,
    answer_amount     bigint,
    decided           timestamptz,
    -- what is owed to the issuer
    reversal_cause    text,
    replacement       bigint,
    reversal_owed     timestamptz,
    reversal          text,
    reversal_code     text,
    reversal_attempts bigint,
    reversal_ended    timestamptz,
    -- an answer after the end
    late_code         text,
    late_received     timestamptz,
    PRIMARY KEY (shard_key, transaction_id)
) WITH (fillfactor = 85);
-- The business key. shard_key is a function of acquirer and STAN, which duplicate_key contains, so
-- the key is global. A copy that slipped through on another node stays visible as a double.
CREATE UNIQUE INDEX transaction_business_key ON transaction (shard_key, duplicate_key)
    WHERE duplicate_of IS NULL;

-- What a person has to look at.
CREATE TABLE exception (
    shard_key      smallint    NOT NULL,
    transaction_id uuid        NOT NULL,
    reason         text        NOT NULL,
    journal        uuid        NOT NULL,
    shard          integer     NOT NULL,
    lsn            bigint      NOT NULL,
    other          uuid,
    raised_at      timestamptz NOT NULL DEFAULT now(),
    resolved_at    timestamptz,
    note           text,
    PRIMARY KEY (shard_key, transaction_id, reason)
);

-- Records that the tables above refuse. sealed is the record as it stands in the journal.
CREATE TABLE quarantine (
    shard_key       smallint    NOT NULL,
    journal         uuid        NOT NULL,
    shard           integer     NOT NULL,
    lsn             bigint      NOT NULL,
    transaction_id  uuid        NOT NULL,
    kind            text        NOT NULL,
    sqlstate        text        NOT NULL,
    table_name      text,
    constraint_name text,
    sealed          bytea       NOT NULL,
    refused_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard_key, journal, shard, lsn)
);

-- Money per currency, in minor units: what issuers approved, and how much of it is taken back.
CREATE VIEW total AS
SELECT currency,
       count(*)                                                    AS transactions,
       count(*) FILTER (WHERE approved)                            AS approvals,
       coalesce(sum(approved_amount), 0)::bigint                   AS approved,
       coalesce(sum(approved_amount - replacement_amount)
                FILTER (WHERE reversal IS NOT NULL), 0)::bigint    AS reversed
FROM (SELECT currency, approved, reversal,
             CASE WHEN approved THEN coalesce(answer_amount, amount) END AS approved_amount,
             coalesce(replacement, 0)                                    AS replacement_amount
      FROM transaction) AS money
GROUP BY currency;

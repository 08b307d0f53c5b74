-- Tables by day. An event lies in the table of the UTC day on which its transaction was admitted,
-- which its id says (UUID, version 7): what is known of a transaction leaves together, and a look
-- for one opens one table. Rows of days without a table go to the default one: no batch waits for a
-- table. `transaction` stays whole: a business key is global, and a key of a table by day would
-- have to hold the day.

-- Ids of transactions of earlier days are below it.
CREATE FUNCTION day_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex((day - DATE '1970-01-01') * BIGINT '86400000'), 12, '0'), 32, '0')::uuid
$$;

-- Makes the table of one day; the parent is not locked against rows meanwhile.
CREATE FUNCTION make_day_table(parent text, day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    child text := parent || to_char(day, '_YYYYMMDD');
    bounds text[] := CASE parent
        WHEN 'event' THEN ARRAY[day_floor(day)::text, day_floor(day + 1)::text]
        WHEN 'posting' THEN ARRAY[day::text, (day + 1)::text] END;
BEGIN
    EXECUTE format('CREATE TABLE %I.%I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
        'INCLUDING INDEXES INCLUDING STORAGE)', current_schema(), child, parent);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %1$I.%3$I FOR VALUES FROM (%4$L) TO (%5$L)',
        current_schema(), parent, child, bounds[1], bounds[2]);
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', current_schema(), child,
        format('rows of %s of one day', parent));
END $$;

-- Today and so many days after it. Takes nothing away, so that the applier may call it. A day that
-- has rows in the default table already stays there: none is moved, and the next day has a table.
CREATE FUNCTION make_day_tables(ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    parent text;
    day date;
    made integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['event', 'posting'] LOOP
        FOR day IN SELECT today + n FROM generate_series(0, least(ahead, 366)) AS n LOOP
            CONTINUE WHEN EXISTS (
                SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                WHERE i.inhparent = to_regclass(parent)
                AND (c.relname = parent || to_char(day, '_YYYYMMDD')
                OR CASE WHEN c.relname ~ ('^' || parent || '_until_[0-9]{8}$')
                    THEN to_date(right(c.relname, 8), 'YYYYMMDD') > day END));
            -- Of two callers one waits, and finds the table.
            PERFORM pg_advisory_xact_lock(hashtextextended('njia days ' || current_schema(), 0));
            BEGIN
                PERFORM make_day_table(parent, day);
                made := made + 1;
            EXCEPTION WHEN check_violation OR duplicate_table OR invalid_object_definition THEN
                RAISE NOTICE 'no table for % of %: %', parent, day, SQLERRM;
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- Drops events of transactions older than so many days; none where that is 0. The books are not
-- touched.
CREATE FUNCTION drop_day_tables(retention_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    first date := (now() AT TIME ZONE 'UTC')::date - retention_days;
    child text;
    dropped integer := 0;
BEGIN
    IF retention_days < 1 THEN
        RETURN 0;
    END IF;
    -- Before tables are dropped, which nobody gets past until this ends. In pieces: what came
    -- without a table of its own may be much. What a clock that was never set has dated stays.
    DELETE FROM event_default WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM event_default WHERE transaction_id < day_floor(first)
        AND transaction_id >= day_floor(DATE '2026-01-01') LIMIT 100000));
    FOR child IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('event') AND CASE
            WHEN c.relname ~ '^event_[0-9]{8}$'
            THEN to_date(right(c.relname, 8), 'YYYYMMDD') < first
            WHEN c.relname ~ '^event_until_[0-9]{8}$'
            THEN to_date(right(c.relname, 8), 'YYYYMMDD') <= first END
        ORDER BY 1
    LOOP
        EXECUTE format('DROP TABLE %I.%I', current_schema(), child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- Deletes transactions older than so many days, at most so many of them; how many it were. What is
-- not settled stays: sent and without an end, its reversal owed, or listed for people. That an
-- advice is owed stands in the journal alone: ask for more days than `saf.expiry_s` has.
CREATE FUNCTION thin_transactions(retention_days integer, rows_max integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    before uuid := day_floor((now() AT TIME ZONE 'UTC')::date - retention_days);
    slot smallint := 0;
    piece bigint;
    gone bigint := 0;
BEGIN
    WHILE retention_days >= 1 AND slot < 4096 AND gone < rows_max LOOP
        DELETE FROM transaction AS t WHERE t.shard_key = slot AND t.transaction_id = ANY (ARRAY(
            SELECT o.transaction_id FROM transaction AS o
            WHERE o.shard_key = slot AND o.transaction_id < before
            AND o.state <> 'sent' AND coalesce(o.reversal, '') <> 'owed'
            AND NOT EXISTS (SELECT FROM exception AS e WHERE e.shard_key = slot
                AND e.transaction_id = o.transaction_id AND e.resolved_at IS NULL)
            LIMIT rows_max - gone));
        GET DIAGNOSTICS piece = ROW_COUNT;
        gone := gone + piece;
        slot := slot + 1;
    END LOOP;
    RETURN gone;
END $$;

-- Tables that are there become those of all days before tomorrow, or before the day after their
-- last row: no row is written again, but an index is built and each row is read.
DO $$
DECLARE
    tomorrow date := (now() AT TIME ZONE 'UTC')::date + 1;
    last uuid;
    until date;
    kept text;
BEGIN
    ALTER TABLE event DROP CONSTRAINT event_pkey;
    DROP INDEX event_by_transaction;
    SELECT transaction_id INTO last FROM event ORDER BY transaction_id DESC LIMIT 1;
    until := greatest(tomorrow, (to_timestamp(('x' || left(replace(last::text, '-', ''), 12))
        ::bit(48)::bigint / 1000) AT TIME ZONE 'UTC')::date + 1);
    kept := to_char(until, '"event_until_"YYYYMMDD');
    EXECUTE format('ALTER TABLE event RENAME TO %I', kept);
    EXECUTE format('CREATE TABLE event (LIKE %I INCLUDING COMMENTS, PRIMARY KEY '
        '(shard_key, journal, shard, lsn, transaction_id)) PARTITION BY RANGE (transaction_id)',
        kept);
    CREATE TABLE event_default PARTITION OF event DEFAULT;
    IF last IS NULL THEN
        EXECUTE format('DROP TABLE %I', kept);
    ELSE
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY '
            '(shard_key, journal, shard, lsn, transaction_id)', kept);
        EXECUTE format('ALTER TABLE event ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
            kept, day_floor(until));
        EXECUTE format('COMMENT ON TABLE %I IS %L', kept, 'rows of event before a day');
    END IF;
    SELECT greatest(tomorrow, max(date) + 1) INTO until FROM posting_default HAVING count(*) > 0;
    -- Where somebody has made tables by hand, they and the default one stay as they are.
    IF FOUND AND (SELECT count(*) = 1 FROM pg_inherits WHERE inhparent = 'posting'::regclass) THEN
        kept := to_char(until, '"posting_until_"YYYYMMDD');
        ALTER TABLE posting DETACH PARTITION posting_default;
        EXECUTE format('ALTER TABLE posting_default RENAME TO %I', kept);
        EXECUTE format('ALTER INDEX posting_default_pkey RENAME TO %I', kept || '_pkey');
        EXECUTE format('ALTER TABLE posting ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
            kept, until);
        EXECUTE format('COMMENT ON TABLE %I IS %L', kept, 'rows of posting before a day');
        CREATE TABLE posting_default PARTITION OF posting DEFAULT;
        COMMENT ON TABLE posting_default IS 'entries of days without a table of their own';
    END IF;
END $$;
COMMENT ON TABLE event IS 'one row per record of the journals, by the day of its transaction';
COMMENT ON TABLE event_default IS 'events of days without a table of their own';

-- Who may call them is said in tuning/roles.sql. They run with the rights of their owner: names are
-- looked up in this schema, and last where everybody may create some.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['day_floor(date)', 'make_day_table(text, date)',
        'make_day_tables(integer)', 'drop_day_tables(integer)',
        'thin_transactions(integer, integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature,
            current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END $$;
SELECT make_day_tables(7);

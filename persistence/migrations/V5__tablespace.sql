-- The table of a day lies where its parent says: `LIKE` and `ATTACH` alone leave that to
-- `default_tablespace`. Its indexes lie where those of the parent do.
CREATE OR REPLACE FUNCTION make_day_table(parent text, day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    child text := parent || to_char(day, '_YYYYMMDD');
    bounds text[] := CASE parent
        WHEN 'event' THEN ARRAY[day_floor(day)::text, day_floor(day + 1)::text]
        WHEN 'posting' THEN ARRAY[day::text, (day + 1)::text] END;
    -- 0 is the tablespace of the database.
    place text := (SELECT format(' TABLESPACE %I', t.spcname)
        FROM pg_class AS c JOIN pg_database AS d ON d.datname = current_database()
        JOIN pg_tablespace AS t ON t.oid = coalesce(nullif(c.reltablespace, 0), d.dattablespace)
        WHERE c.oid = to_regclass(parent));
BEGIN
    EXECUTE format('CREATE TABLE %I.%I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
        'INCLUDING INDEXES INCLUDING STORAGE)%4$s', current_schema(), child, parent, place);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %1$I.%3$I FOR VALUES FROM (%4$L) TO (%5$L)',
        current_schema(), parent, child, bounds[1], bounds[2]);
    EXECUTE format('COMMENT ON TABLE %I.%I IS %L', current_schema(), child,
        format('rows of %s of one day', parent));
END $$;

-- A function that is replaced keeps who may call it, but not where it looks names up.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION make_day_table(text, date) SET search_path = %I, pg_temp',
        current_schema());
END $$;

COMMENT ON COLUMN exception.note IS
    'what is needed to act on it, or who did something by hand, and why';

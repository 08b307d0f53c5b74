-- Roles with no more rights than their work needs. Run by whoever owns the schema and may create
-- roles, after each migration, as often as wanted:
--   psql -v schema=njia -f tuning/roles.sql
-- Then each login gets one of them: GRANT njia_reader TO somebody;
--
-- njia_writer   the applier: adds rows, moves the watermark, changes nothing else
-- njia_reader   reports and reconciliation: truncated account numbers, no token
-- njia_auditor  every record: tokens, no truncated account number, no sealed record
-- njia_keeper   retention: drops the events of old days, thins transactions, reads nothing
-- A token and the truncation of the same account number must not be seen together (PCI DSS, FAQ
-- 1091): do not grant both of the last two to one login.

DO $$
BEGIN
    IF to_regrole('njia_writer') IS NULL THEN CREATE ROLE njia_writer NOLOGIN; END IF;
    IF to_regrole('njia_reader') IS NULL THEN CREATE ROLE njia_reader NOLOGIN; END IF;
    IF to_regrole('njia_auditor') IS NULL THEN CREATE ROLE njia_auditor NOLOGIN; END IF;
    IF to_regrole('njia_keeper') IS NULL THEN CREATE ROLE njia_keeper NOLOGIN; END IF;
END $$;

GRANT USAGE ON SCHEMA :"schema" TO njia_writer, njia_reader, njia_auditor, njia_keeper;

GRANT SELECT, INSERT, UPDATE ON :"schema".watermark, :"schema".transaction TO njia_writer;
GRANT SELECT, INSERT ON :"schema".event, :"schema".exception, :"schema".quarantine TO njia_writer;
GRANT INSERT ON :"schema".posting TO njia_writer;
GRANT SELECT, INSERT, DELETE ON :"schema".business_day, :"schema".closed_day TO njia_writer;
GRANT SELECT ON :"schema".refinery_schema_history TO njia_writer;

GRANT EXECUTE ON FUNCTION :"schema".make_day_tables(integer) TO njia_writer, njia_keeper;
GRANT EXECUTE ON FUNCTION :"schema".drop_day_tables(integer),
    :"schema".thin_transactions(integer, integer) TO njia_keeper;

GRANT SELECT ON :"schema".watermark, :"schema".exception, :"schema".posting,
    :"schema".business_day, :"schema".closed_day, :"schema".total, :"schema".settlement,
    :"schema".settlement_violation TO njia_reader, njia_auditor;
GRANT SELECT (
    shard_key, transaction_id, journal, shard, lsn, duplicate_of, admitted, acquirer_id,
    acquirer, class, account_masked, amount, currency, processing_code, merchant_category,
    entry_mode, stan, transmitted, local_time, local_date, rrn, terminal, merchant, institution,
    route_id, route, candidate, issuer_id, issuer, link_id, leg_stan, leg_transmitted, state,
    approved, code, issuer_code, refusal, authorisation, answer_amount, decided, reversal_cause,
    replacement, reversal_owed, reversal, reversal_code, reversal_attempts, reversal_ended,
    late_code, late_received, posted, fee, entries
) ON :"schema".transaction TO njia_reader;
GRANT SELECT (
    shard_key, transaction_id, journal, shard, lsn, duplicate_of, admitted, acquirer_id,
    acquirer, class, duplicate_key, account_token, account_token_key, amount, currency,
    processing_code, merchant_category, entry_mode, stan, transmitted, local_time, local_date, rrn, terminal,
    merchant, institution, route_id, route, candidate, issuer_id, issuer, link_id, leg_stan,
    leg_transmitted, state, approved, code, issuer_code, refusal, authorisation, answer_amount,
    decided, reversal_cause, replacement, reversal_owed, reversal, reversal_code,
    reversal_attempts, reversal_ended, late_code, late_received, posted, fee, entries
) ON :"schema".transaction TO njia_auditor;
GRANT SELECT (
    shard_key, journal, shard, lsn, kind, transaction_id, at, detail, code, issuer_code,
    authorisation, acquirer_id, amount, currency, stan, duplicate_key, account_token,
    account_token_key, route_id, issuer_id, link_id, leg_stan, attempts
) ON :"schema".event TO njia_auditor;
GRANT SELECT (
    shard_key, journal, shard, lsn, transaction_id, kind, sqlstate, table_name, constraint_name,
    refused_at
) ON :"schema".quarantine TO njia_auditor;

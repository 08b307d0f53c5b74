-- Which of the operator's keys made a token: tokens of two keys are never to be compared. Those from
-- before keys had ids are of the first. A default that is a constant writes no row again; `event` has
-- none, since most of its rows have no token.
ALTER TABLE transaction ADD COLUMN account_token_key smallint NOT NULL DEFAULT 1;
ALTER TABLE event ADD COLUMN account_token_key smallint;

COMMENT ON COLUMN transaction.account_token_key IS
    'keys.token_key_id that account_token was made with';
COMMENT ON COLUMN event.account_token_key IS
    'keys.token_key_id that account_token was made with; NULL beside a token: the first, 1';

-- The same for PostgreSQL: psql -v user_id=1 -v balance=990 -v token=1 -f postgresql.sql
-- From Python write the values in your driver's way: psycopg's is %(token)s for :token.
--
-- BIGINT: a token is as large as the microseconds since 1970, and an INTEGER cannot hold it.
CREATE TABLE IF NOT EXISTS points (
    user_id BIGINT PRIMARY KEY,
    balance BIGINT NOT NULL,
    token   BIGINT NOT NULL DEFAULT 0
);

-- A holder that comes too late changes 0 rows. Where two write at once the second waits for the
-- first to commit and compares again, with the new token: READ COMMITTED, the default, does that.
-- (REPEATABLE READ ends the second with an error instead. It writes nothing either.)
UPDATE points SET balance = :balance, token = :token
WHERE user_id = :user_id AND token <= :token;

-- The same where the row may be missing: one statement again, and no row comes back if it is late.
INSERT INTO points (user_id, balance, token) VALUES (:user_id, :balance, :token)
ON CONFLICT (user_id) DO UPDATE SET balance = excluded.balance, token = excluded.token
WHERE points.token <= excluded.token
RETURNING balance;

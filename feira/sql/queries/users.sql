-- name: read_principal
-- Who an access token speaks for, and whether its session still lives: the one query of every request.
SELECT u.id AS user_id, u.display_name, u.roles, u.status::text AS status,
    u.email_verified_at IS NOT NULL AS verified, s.revoked_at IS NOT NULL AS revoked
FROM sessions AS s
INNER JOIN users AS u ON u.id = s.user_id
WHERE s.id = $1::uuid AND s.user_id = $2::uuid;

-- name: insert_user
-- Create an account; a known e-mail address gives no row.
INSERT INTO users (email, password_hash, display_name, roles, email_verified_at)
VALUES ($1::text, $2::text, $3::text, $4::text[], $5::timestamptz)
ON CONFLICT (email) DO NOTHING
RETURNING id;

-- name: lock_user_by_email
-- The account behind an e-mail address, held until the commit.
SELECT id, email::text AS email, email_verified_at IS NOT NULL AS verified, password_hash, display_name,
    status::text AS status
FROM users WHERE email = $1::text FOR UPDATE;

-- name: read_login
-- What a login compares with.
SELECT id, email::text AS email, email_verified_at IS NOT NULL AS verified, password_hash, display_name,
    status::text AS status
FROM users WHERE email = $1::text;

-- name: read_user
-- The account for its e-mails.
SELECT id, email::text AS email, email_verified_at IS NOT NULL AS verified, password_hash, display_name,
    status::text AS status
FROM users WHERE id = $1::uuid;

-- name: lock_password
-- Hold an account whose password is still the one that was checked, so that a reset cannot pass the login.
SELECT id FROM users WHERE id = $1::uuid AND password_hash = $2::text AND status = 'active'
FOR NO KEY UPDATE;

-- name: lock_user
-- Take turns on one account.
SELECT id FROM users WHERE id = $1::uuid FOR UPDATE;

-- name: replace_unverified_account
-- A second sign-up before the address was confirmed: the newest one counts.
UPDATE users SET password_hash = $2::text, display_name = $3::text, version = version + 1
WHERE id = $1::uuid AND email_verified_at IS NULL;

-- name: set_password
-- Change the password; a reset link proves the mailbox, so the address counts as confirmed.
UPDATE users
SET password_hash = $2::text, email_verified_at = coalesce(email_verified_at, $3::timestamptz), version = version + 1
WHERE id = $1::uuid;

-- name: rehash_password
-- Store the same password under today's cost parameters, unless it was changed meanwhile.
UPDATE users SET password_hash = $3::text WHERE id = $1::uuid AND password_hash = $2::text;

-- name: confirm_email
-- The link in the verification e-mail was opened.
UPDATE users SET email_verified_at = coalesce(email_verified_at, $2::timestamptz), version = version + 1
WHERE id = $1::uuid;

-- name: insert_one_time_token
-- Keep the hash of a token that only the mailbox knows.
INSERT INTO one_time_tokens (token_sha256, user_id, purpose, expires_at)
VALUES ($1::bytea, $2::uuid, $3::text, $4::timestamptz);

-- name: use_one_time_token
-- Spend a token; of two at once only one gets the row.
UPDATE one_time_tokens SET used_at = $3::timestamptz
WHERE token_sha256 = $1::bytea AND purpose = $2::text AND used_at IS NULL AND expires_at > $3::timestamptz
RETURNING user_id;

-- name: void_one_time_tokens
-- Older links of the same kind open nothing any more.
UPDATE one_time_tokens SET used_at = $3::timestamptz
WHERE user_id = $1::uuid AND purpose = $2::text AND used_at IS NULL;

-- name: charge_throttle
-- Count one try, unless the subject is blocked (no row). Concurrent tries queue on the row: none slips by uncounted.
INSERT INTO login_throttles AS t (subject, failures, window_started_at)
VALUES ($1::text, 1, $2::timestamptz)
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN t.window_started_at <= $3::timestamptz THEN 1 ELSE t.failures + 1 END,
    window_started_at = CASE WHEN t.window_started_at <= $3::timestamptz THEN $2::timestamptz ELSE t.window_started_at END,
    blocked_until = NULL
WHERE t.blocked_until IS NULL OR t.blocked_until <= $2::timestamptz
RETURNING failures;

-- name: block_throttle
-- The free tries are used up: refuse the next ones for a while.
UPDATE login_throttles SET blocked_until = $2::timestamptz WHERE subject = $1::text;

-- name: read_throttle
-- Until when a subject is blocked.
SELECT blocked_until FROM login_throttles WHERE subject = $1::text;

-- name: forget_throttle
-- The password was right: the tries before it are forgotten.
DELETE FROM login_throttles WHERE subject = $1::text;

-- name: uncharge_throttle
-- Take one counted try back, and the block where free tries are left again.
UPDATE login_throttles SET failures = greatest(failures - 1, 0),
    blocked_until = CASE WHEN failures - 1 >= $2::int THEN blocked_until END
WHERE subject = $1::text;

-- name: sweep_throttles
-- Forget a few subjects that nobody tried for long, so that made-up addresses don't pile up.
DELETE FROM login_throttles WHERE subject IN (
    SELECT subject FROM login_throttles
    WHERE window_started_at < $1::timestamptz AND (blocked_until IS NULL OR blocked_until < $1::timestamptz)
    ORDER BY window_started_at LIMIT 10 FOR UPDATE SKIP LOCKED
);

-- name: insert_session
-- A login opens a session.
INSERT INTO sessions (user_id, user_agent, address) VALUES ($1::uuid, $2::text, $3::text::inet) RETURNING id;

-- name: insert_refresh_token
-- Keep the hash of a session's live refresh token.
INSERT INTO refresh_tokens (token_sha256, session_id, expires_at) VALUES ($1::bytea, $2::uuid, $3::timestamptz);

-- name: find_session_of_token
-- Whose session a presented refresh token is of.
SELECT session_id FROM refresh_tokens WHERE token_sha256 = $1::bytea;

-- name: lock_session
-- Refreshes and revocations of one session take turns here.
SELECT user_id, revoked_at IS NOT NULL AS revoked FROM sessions WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: read_refresh_token
-- Read under the session's lock: the token, whether its successor was used already, and whether the user may go on.
SELECT t.expires_at, t.spent_at, n.spent_at IS NOT NULL AS successor_spent, u.status::text AS status
FROM refresh_tokens AS t
INNER JOIN sessions AS s ON s.id = t.session_id
INNER JOIN users AS u ON u.id = s.user_id
LEFT JOIN refresh_tokens AS n ON n.token_sha256 = t.successor_sha256
WHERE t.token_sha256 = $1::bytea;

-- name: spend_refresh_token
-- Trade a token for its successor.
UPDATE refresh_tokens SET spent_at = $3::timestamptz, successor_sha256 = $2::bytea
WHERE token_sha256 = $1::bytea AND spent_at IS NULL;

-- name: touch_session
-- The session was used.
UPDATE sessions SET last_used_at = $2::timestamptz WHERE id = $1::uuid;

-- name: revoke_session
-- End one session of a user.
UPDATE sessions SET revoked_at = $3::timestamptz, revoked_reason = $4::text
WHERE id = $1::uuid AND user_id = $2::uuid AND revoked_at IS NULL
RETURNING id;

-- name: revoke_sessions
-- End every session of a user.
UPDATE sessions SET revoked_at = $2::timestamptz, revoked_reason = $3::text
WHERE user_id = $1::uuid AND revoked_at IS NULL
RETURNING id;

-- name: list_sessions
-- A user's live sessions, newest first, after the cursor.
SELECT id, user_agent, host(address) AS address, created_at, last_used_at
FROM sessions
WHERE user_id = $1::uuid AND revoked_at IS NULL AND last_used_at > now() - $2::interval
    AND ($3::uuid IS NULL OR id < $3::uuid)
ORDER BY id DESC LIMIT $4::int;

-- name: read_profile
-- The signed-in user's own account.
SELECT id, email::text AS email, email_verified_at IS NOT NULL AS email_verified, display_name, locale, time_zone,
    last_seen_visible, roles, version, created_at
FROM users WHERE id = $1::uuid;

-- name: list_memberships
-- The shops whose team a user is on.
SELECT s.id, s.slug, s.name, s.status::text AS status, m.role
FROM shop_members AS m
INNER JOIN shops AS s ON s.id = m.shop_id
WHERE m.user_id = $1::uuid ORDER BY s.id;

-- name: update_profile
-- Change what the user gave, if nobody changed it since; NULL leaves a column as it is.
UPDATE users SET display_name = coalesce($3::text, display_name), locale = coalesce($4::text, locale),
    time_zone = coalesce($5::text, time_zone), last_seen_visible = coalesce($6::boolean, last_seen_visible), version = version + 1
WHERE id = $1::uuid AND version = $2::int
RETURNING id;

-- name: list_addresses
-- A user's address book, newest first, after the cursor.
SELECT id, name, line1, line2, city, region, postal_code, country, phone, is_default
FROM addresses WHERE user_id = $1::uuid AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC LIMIT $3::int;

-- name: read_address
-- One address of a user.
SELECT id, name, line1, line2, city, region, postal_code, country, phone, is_default
FROM addresses WHERE user_id = $1::uuid AND id = $2::uuid;

-- name: count_addresses
-- How full the address book is.
SELECT count(*) FROM addresses WHERE user_id = $1::uuid;

-- name: clear_default_address
-- Make room for another default.
UPDATE addresses SET is_default = false WHERE user_id = $1::uuid AND is_default;

-- name: insert_address
-- Add an address.
INSERT INTO addresses (user_id, name, line1, line2, city, region, postal_code, country, phone, is_default)
VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::boolean)
RETURNING id;

-- name: update_address
-- Replace an address.
UPDATE addresses SET name = $3::text, line1 = $4::text, line2 = $5::text, city = $6::text, region = $7::text,
    postal_code = $8::text, country = $9::text, phone = $10::text, is_default = $11::boolean
WHERE user_id = $1::uuid AND id = $2::uuid
RETURNING id;

-- name: delete_address
-- Take an address out of the book; orders keep their own copy.
DELETE FROM addresses WHERE user_id = $1::uuid AND id = $2::uuid RETURNING is_default;

-- name: promote_newest_address
-- The default was deleted: the newest of the rest takes its place.
UPDATE addresses SET is_default = true
WHERE id = (SELECT id FROM addresses WHERE user_id = $1::uuid ORDER BY id DESC LIMIT 1);

-- name: forget_refresh_tokens
-- Drop tokens long past their time, oldest first, so that a token goes before the successor it points to.
DELETE FROM refresh_tokens WHERE token_sha256 IN (
    SELECT token_sha256 FROM refresh_tokens WHERE expires_at < $1::timestamptz
    ORDER BY expires_at, created_at LIMIT $2::int FOR UPDATE SKIP LOCKED
);

-- name: forget_sessions
-- Drop sessions that no token can continue any more, once nobody has used them for long.
DELETE FROM sessions WHERE id IN (
    SELECT s.id FROM sessions AS s
    WHERE s.last_used_at < $1::timestamptz
        AND NOT EXISTS (SELECT FROM refresh_tokens AS t WHERE t.session_id = s.id)
    LIMIT $2::int FOR UPDATE OF s SKIP LOCKED
);

-- name: forget_one_time_tokens
-- Drop links long past their time.
DELETE FROM one_time_tokens WHERE token_sha256 IN (
    SELECT token_sha256 FROM one_time_tokens WHERE expires_at < $1::timestamptz
    LIMIT $2::int FOR UPDATE SKIP LOCKED
);

-- name: mark_seen
-- Some users were here until now. In the order of their ids, so that no two servers wait for each other in a ring.
WITH seen AS (
    SELECT id FROM users WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE users SET last_seen_at = clock_timestamp() FROM seen WHERE users.id = seen.id;

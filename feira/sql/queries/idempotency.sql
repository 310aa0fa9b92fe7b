-- name: claim_key
-- Claim a key for this request; a concurrent holder is waited for, a committed one gives no row.
INSERT INTO idempotency_keys (user_id, key, request_sha256, answer) VALUES ($1::uuid, $2::text, $3::bytea, '')
ON CONFLICT (user_id, key) DO NOTHING RETURNING true;

-- name: store_answer
-- Keep the answer of the request that holds the key, in its own transaction.
UPDATE idempotency_keys SET answer = $3::bytea WHERE user_id = $1::uuid AND key = $2::text;

-- name: read_answer
-- What the first request with this key said and was answered.
SELECT request_sha256, answer FROM idempotency_keys WHERE user_id = $1::uuid AND key = $2::text;

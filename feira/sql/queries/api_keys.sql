-- name: insert_key
-- A new key, of which only the hash is kept.
INSERT INTO api_keys (shop_id, made_by, name, scopes, key_sha256, expires_at)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text[], $5::bytea, $6::timestamptz) RETURNING id;

-- name: lock_shop
-- One at a time makes keys for a shop, so that they can be counted.
SELECT id FROM shops WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: count_keys
-- How many keys a shop has that are not revoked.
SELECT count(*) FROM api_keys WHERE shop_id = $1::uuid AND revoked_at IS NULL;

-- name: list_keys
-- A shop's keys that are not revoked, the latest first.
SELECT k.id, k.name, k.scopes, k.made_by, u.display_name AS made_by_name, k.created_at, k.expires_at, k.last_used_at
FROM api_keys k JOIN users u ON u.id = k.made_by
WHERE k.shop_id = $1::uuid AND k.revoked_at IS NULL
ORDER BY k.id DESC;

-- name: read_key
-- One of them.
SELECT k.id, k.name, k.scopes, k.made_by, u.display_name AS made_by_name, k.created_at, k.expires_at, k.last_used_at
FROM api_keys k JOIN users u ON u.id = k.made_by
WHERE k.id = $1::uuid;

-- name: revoke_key
-- End a key of a shop; one that is over or of another shop gives no row.
UPDATE api_keys SET revoked_at = $3::timestamptz
WHERE id = $1::uuid AND shop_id = $2::uuid AND revoked_at IS NULL
RETURNING made_by, name, scopes;

-- name: find_key
-- Who a key speaks for, and whether it is still good: the one query of a request with a key.
SELECT k.id, k.shop_id, k.scopes, k.made_by AS user_id, u.display_name,
    k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now()) AND u.status = 'active'
    AND s.status = 'approved'
    AND EXISTS (SELECT 1 FROM shop_members m WHERE m.shop_id = k.shop_id AND m.user_id = k.made_by AND m.role = 'owner')
    AS good,
    u.email_verified_at IS NOT NULL AS verified,
    k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS last_use_is_old
FROM api_keys k JOIN users u ON u.id = k.made_by JOIN shops s ON s.id = k.shop_id
WHERE k.key_sha256 = $1::bytea;

-- name: touch_key
-- It was used; told once a minute at most.
UPDATE api_keys SET last_used_at = now()
WHERE id = $1::uuid AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');

-- name: insert_shop
-- A new application; a taken slug gives no row.
INSERT INTO shops (owner_id, name, slug, description, country, currency)
VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text)
ON CONFLICT (slug) DO NOTHING
RETURNING id;

-- name: insert_member
-- Put somebody on a shop's team.
INSERT INTO shop_members (shop_id, user_id, role) VALUES ($1::uuid, $2::uuid, $3::text);

-- name: lock_owner
-- One person's applications take turns.
SELECT id FROM users WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: count_owned
-- How many shops somebody has or asks for.
SELECT count(*) FROM shops WHERE owner_id = $1::uuid AND status <> 'rejected';

-- name: read_shop
-- One shop.
SELECT id, owner_id, name, slug, description, ship_within_s / 86400 AS ship_within_days, country, currency,
    status::text AS status, status_reason,
    provider_account, provider_status, version, created_at
FROM shops WHERE id = $1::uuid;

-- name: read_shop_by_slug
-- One shop, by the name in its address.
SELECT id, owner_id, name, slug, description, ship_within_s / 86400 AS ship_within_days, country, currency,
    status::text AS status, status_reason,
    provider_account, provider_status, version, created_at
FROM shops WHERE slug = $1::text;

-- name: lock_shop
-- One shop, held until the commit.
SELECT id, owner_id, name, slug, description, ship_within_s / 86400 AS ship_within_days, country, currency,
    status::text AS status, status_reason,
    provider_account, provider_status, version, created_at
FROM shops WHERE id = $1::uuid FOR UPDATE;

-- name: lock_shop_by_account
-- The shop behind an account at the payment provider, held until the commit.
SELECT id, owner_id, name, slug, description, ship_within_s / 86400 AS ship_within_days, country, currency,
    status::text AS status, status_reason,
    provider_account, provider_status, version, created_at
FROM shops WHERE provider_account = $1::text FOR UPDATE;

-- name: list_by_status
-- Shops for admins, oldest first, after the cursor; NULL means any status.
SELECT id, owner_id, name, slug, description, ship_within_s / 86400 AS ship_within_days, country, currency,
    status::text AS status, status_reason,
    provider_account, provider_status, version, created_at
FROM shops
WHERE ($1::text IS NULL OR status = $1::text::shop_status) AND ($2::uuid IS NULL OR id > $2::uuid)
ORDER BY id LIMIT $3::int;

-- name: read_member_role
-- What somebody is to a shop.
SELECT role FROM shop_members WHERE shop_id = $1::uuid AND user_id = $2::uuid;

-- name: list_members
-- A shop's team, longest-serving first.
SELECT m.user_id, u.display_name, m.role
FROM shop_members AS m
INNER JOIN users AS u ON u.id = m.user_id
WHERE m.shop_id = $1::uuid ORDER BY m.created_at, m.user_id;

-- name: set_status
-- Move a locked shop to another status.
UPDATE shops SET status = $2::text::shop_status, status_reason = $3::text, version = version + 1 WHERE id = $1::uuid;

-- name: set_account
-- Remember the shop's account at the provider and what the provider says of it.
UPDATE shops SET provider_account = $2::text, provider_status = $3::text WHERE id = $1::uuid;

-- name: update_shop
-- Change the shop's profile; the row is locked and its version compared.
UPDATE shops SET name = $2::text, description = $3::text, ship_within_s = $4::int * 86400, version = version + 1
WHERE id = $1::uuid;

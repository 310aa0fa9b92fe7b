-- name: lock_shop
-- Make additions to a shop's methods take turns.
SELECT id FROM shops WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: read_methods
-- A shop's ways of sending, in the order in which buyers see them.
SELECT id, name, kind, zones, days_min, days_max, position, active, version, created_at
FROM shipping_methods
WHERE shop_id = $1::uuid
ORDER BY position, id;

-- name: insert_method
-- Another way of sending.
INSERT INTO shipping_methods (shop_id, name, kind, zones, days_min, days_max, position, active)
VALUES ($1::uuid, $2::text, $3::text, $4::jsonb, $5::int, $6::int, $7::int, $8::boolean)
RETURNING id;

-- name: update_method
-- Other tables of a method.
UPDATE shipping_methods
SET
    name = $3::text, kind = $4::text, zones = $5::jsonb, days_min = $6::int, days_max = $7::int, position = $8::int,
    active = $9::boolean, version = version + 1
WHERE shop_id = $1::uuid AND id = $2::uuid
RETURNING id;

-- name: delete_method
-- Orders keep what they had of it.
DELETE FROM shipping_methods WHERE shop_id = $1::uuid AND id = $2::uuid RETURNING id;

-- name: read_shop_currency
-- What a shop trades in; nothing where there is no such shop.
SELECT currency FROM shops WHERE id = $1::uuid;

-- name: insert_promotion
-- A new promotion.
INSERT INTO promotions (
    shop_id, code, name, kind, basis_points, amount_minor, cap_minor, currency, minimum_minor, products, categories,
    shops, stackable, starts_at, ends_at, uses_max, per_buyer_max
) VALUES (
    $1::uuid, $2::text, $3::text, $4::text, $5::int, $6::bigint, $7::bigint, $8::text, $9::bigint, $10::uuid[],
    $11::text[], $12::uuid[], $13::boolean, $14::timestamptz, $15::timestamptz, $16::int, $17::int
)
RETURNING id;

-- name: lock_promotion
-- A promotion to be changed; checkouts that count a use of it wait.
SELECT shop_id, name, active, starts_at, ends_at, uses, uses_max, per_buyer_max, version
FROM promotions
WHERE id = $1::uuid AND archived_at IS NULL
FOR UPDATE;

-- name: count_uses
-- Begin to count the uses of a promotion that had no limit.
UPDATE promotions AS p
SET uses = (SELECT count(*) FROM promotion_uses AS u WHERE u.promotion_id = p.id AND u.released_at IS NULL)
WHERE p.id = $1::uuid;

-- name: update_promotion
-- What may change of a promotion.
UPDATE promotions
SET
    name = $2::text, active = $3::boolean, ends_at = $4::timestamptz, uses_max = $5::int, per_buyer_max = $6::int,
    version = version + 1
WHERE id = $1::uuid;

-- name: archive_promotion
-- End a promotion for good.
UPDATE promotions SET active = false, archived_at = now(), version = version + 1 WHERE id = $1::uuid;

-- name: read_promotion
-- A promotion, how often it is used, and what it took off orders that were paid.
SELECT
    p.id, p.shop_id, p.code, p.name, p.kind, p.basis_points, p.amount_minor, p.cap_minor, p.minimum_minor, p.currency,
    p.products, p.categories, p.shops, p.stackable, p.active, p.starts_at, p.ends_at, p.uses_max, p.per_buyer_max,
    p.version, p.created_at,
    (SELECT count(*) FROM promotion_uses AS u WHERE u.promotion_id = p.id AND u.released_at IS NULL) AS used,
    (
        SELECT coalesce(sum(d.amount_minor), 0)::bigint FROM order_discounts AS d
        INNER JOIN orders AS o ON o.id = d.order_id
        WHERE d.promotion_id = p.id AND o.payment_status <> 'none' AND o.status NOT IN ('cancelled', 'expired')
    ) AS saved_minor
FROM promotions AS p
WHERE p.id = $1::uuid AND p.archived_at IS NULL;

-- name: list_promotions
-- A page of a shop's promotions, or of the market's, newest first, by keyset.
SELECT
    p.id, p.shop_id, p.code, p.name, p.kind, p.basis_points, p.amount_minor, p.cap_minor, p.minimum_minor, p.currency,
    p.products, p.categories, p.shops, p.stackable, p.active, p.starts_at, p.ends_at, p.uses_max, p.per_buyer_max,
    p.version, p.created_at,
    (SELECT count(*) FROM promotion_uses AS u WHERE u.promotion_id = p.id AND u.released_at IS NULL) AS used,
    (
        SELECT coalesce(sum(d.amount_minor), 0)::bigint FROM order_discounts AS d
        INNER JOIN orders AS o ON o.id = d.order_id
        WHERE d.promotion_id = p.id AND o.payment_status <> 'none' AND o.status NOT IN ('cancelled', 'expired')
    ) AS saved_minor
FROM promotions AS p
WHERE
    p.shop_id IS NOT DISTINCT FROM $1::uuid AND p.archived_at IS NULL
    AND ($2::uuid IS NULL OR p.id < $2::uuid)
ORDER BY p.id DESC
LIMIT $3::int;

-- name: count_products
-- How many of these products there are, of the shop where there is one.
SELECT count(*) FROM products WHERE id = ANY ($1::uuid[]) AND ($2::uuid IS NULL OR shop_id = $2::uuid);

-- name: count_categories
-- How many of these categories there are.
SELECT count(*) FROM categories WHERE slug = ANY ($1::text[]);

-- name: count_shops
-- How many of these shops there are.
SELECT count(*) FROM shops WHERE id = ANY ($1::uuid[]);

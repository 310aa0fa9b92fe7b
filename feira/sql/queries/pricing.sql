-- name: read_shop_terms
-- How shops charge tax and send things, one row each.
SELECT
    s.id AS shop_id, t.mode AS tax_mode,
    coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'id', m.id, 'name', m.name, 'kind', m.kind, 'zones', m.zones, 'days_min', m.days_min, 'days_max', m.days_max
        ) ORDER BY m.position, m.id)
        FROM shipping_methods AS m
        WHERE m.shop_id = s.id AND m.active
    ), '[]') AS methods
FROM shops AS s
LEFT JOIN shop_taxes AS t ON t.shop_id = s.id
WHERE s.id = ANY (ARRAY(SELECT unnest($1::uuid[])));

-- name: read_promotions
-- The automatic promotions of some shops ($1) and the market, and whatever has one of the codes ($2), for a buyer ($3).
SELECT
    p.id, p.shop_id, p.code, p.name, p.kind, p.basis_points, p.amount_minor, p.cap_minor, p.currency, p.minimum_minor,
    p.products, p.categories, p.shops, p.stackable, p.active, p.starts_at, p.ends_at, p.uses_max - p.uses AS uses_left,
    p.per_buyer_max - coalesce(b.uses, 0) AS uses_left_for_you
FROM promotions AS p
LEFT JOIN promotion_buyers AS b ON b.promotion_id = p.id AND b.buyer_id = $3::uuid
WHERE
    p.archived_at IS NULL
    AND (
        (p.code IS NULL AND p.active AND (p.shop_id IS NULL OR p.shop_id = ANY (ARRAY(SELECT unnest($1::uuid[])))))
        OR p.code = ANY (ARRAY(SELECT unnest($2::text[])))
    )
ORDER BY p.id;

-- name: read_tax_rates
-- The rates of a country, the standard ones first.
SELECT r.country, r.region, c.slug AS category, r.basis_points, r.name
FROM tax_rates AS r
LEFT JOIN categories AS c ON c.id = r.category_id
WHERE r.country = $1::text
ORDER BY r.region, c.slug NULLS FIRST;

-- name: read_category_paths
-- Categories with their slug and those above them, the nearest first.
WITH RECURSIVE path AS (
    SELECT c.id, c.parent_id, c.slug, 0 AS up FROM categories AS c WHERE c.id = ANY ($1::uuid[])
    UNION ALL
    SELECT path.id, c.parent_id, c.slug, path.up + 1
    FROM path
    INNER JOIN categories AS c ON c.id = path.parent_id
)

SELECT id, array_agg(slug ORDER BY up) AS slugs FROM path GROUP BY id;

-- name: read_now
-- The moment whose promotions a quote takes, by the database's clock.
SELECT now();

-- name: read_address_place
-- Where an address of the buyer is, as far as prices depend on it.
SELECT country, region, postal_code FROM addresses WHERE id = $1::uuid AND user_id = $2::uuid;

-- name: take_uses
-- Count a use of promotions that limit their uses, in the order of their ids. Who finds none left is not in the answer.
WITH wanted AS (
    SELECT p.id FROM promotions AS p
    WHERE p.id = ANY ($1::uuid[]) AND p.uses_max IS NOT NULL
    ORDER BY p.id
    FOR UPDATE
)

UPDATE promotions AS p SET uses = p.uses + 1
FROM wanted
WHERE p.id = wanted.id AND p.uses < p.uses_max
RETURNING p.id;

-- name: take_buyer_uses
-- Count a buyer's use ($2) of promotions that limit that. Who has none left is not in the answer.
INSERT INTO promotion_buyers AS b (promotion_id, buyer_id, uses)
SELECT p.id, $2::uuid, 1 FROM promotions AS p
WHERE p.id = ANY ($1::uuid[]) AND p.per_buyer_max IS NOT NULL
ORDER BY p.id
ON CONFLICT (promotion_id, buyer_id) DO UPDATE SET uses = b.uses + 1
WHERE b.uses < (SELECT p.per_buyer_max FROM promotions AS p WHERE p.id = b.promotion_id)
RETURNING promotion_id;

-- name: insert_uses
-- Remember which promotions a checkout used, and what each took off each order.
WITH used AS (
    INSERT INTO promotion_uses (promotion_id, group_id, buyer_id)
    SELECT DISTINCT d.promotion_id, $1::uuid, $2::uuid FROM unnest($4::uuid[]) AS d (promotion_id)
)

INSERT INTO order_discounts (order_id, promotion_id, name, code, funded_by, amount_minor, shipping_minor)
SELECT d.* FROM unnest(
    $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[]
) AS d;

-- name: read_discounts
-- What promotions took off some orders.
SELECT order_id, promotion_id, name, code, funded_by, amount_minor
FROM order_discounts
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id, amount_minor DESC, promotion_id;

-- name: lock_uses
-- The uses that some checkouts still have, locked, so that the closers of one checkout's orders take turns.
SELECT promotion_id, group_id FROM promotion_uses
WHERE group_id = ANY ($1::uuid[]) AND released_at IS NULL
ORDER BY group_id, promotion_id
FOR UPDATE;

-- name: release_uses
-- Give back the uses of checkouts in which no order with the promotion goes on. Their rows are locked.
UPDATE promotion_uses AS u SET released_at = now()
WHERE
    u.group_id = ANY ($1::uuid[]) AND u.released_at IS NULL
    AND NOT EXISTS (
        SELECT FROM order_discounts AS d
        INNER JOIN orders AS o ON o.id = d.order_id
        WHERE d.promotion_id = u.promotion_id AND o.group_id = u.group_id AND o.status NOT IN ('cancelled', 'expired')
    )
RETURNING u.promotion_id, u.buyer_id;

-- name: give_uses_back
-- Uncount uses, in the order of the promotions' ids.
WITH freed AS (
    SELECT f.promotion_id, count(*) AS uses FROM unnest($1::uuid[]) AS f (promotion_id) GROUP BY f.promotion_id
),

locked AS (
    SELECT p.id FROM promotions AS p
    INNER JOIN freed ON freed.promotion_id = p.id
    WHERE p.uses_max IS NOT NULL
    ORDER BY p.id
    FOR UPDATE OF p
)

UPDATE promotions AS p SET uses = greatest(p.uses - freed.uses, 0)
FROM locked
INNER JOIN freed ON freed.promotion_id = locked.id
WHERE p.id = locked.id;

-- name: give_buyer_uses_back
-- Uncount buyers' uses.
UPDATE promotion_buyers AS b SET uses = greatest(b.uses - freed.uses, 0)
FROM (
    SELECT f.promotion_id, f.buyer_id, count(*)::int AS uses
    FROM unnest($1::uuid[], $2::uuid[]) AS f (promotion_id, buyer_id)
    GROUP BY f.promotion_id, f.buyer_id
) AS freed
WHERE b.promotion_id = freed.promotion_id AND b.buyer_id = freed.buyer_id;

-- name: read_rules_for
-- The rules that may fit some products of some shops now, in one currency. Those of a product or a shop are looked up by it.
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules
WHERE product_id IS NULL AND shop_id IS NULL
    AND valid_from <= $4::timestamptz AND (valid_until IS NULL OR valid_until > $4::timestamptz)
    AND (currency IS NULL OR currency = $3::text)
UNION ALL
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules
WHERE product_id IS NULL AND shop_id = ANY (ARRAY(SELECT unnest($2::uuid[])))
    AND valid_from <= $4::timestamptz AND (valid_until IS NULL OR valid_until > $4::timestamptz)
    AND (currency IS NULL OR currency = $3::text)
UNION ALL
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules
WHERE product_id = ANY (ARRAY(SELECT unnest($1::uuid[])))
    AND valid_from <= $4::timestamptz AND (valid_until IS NULL OR valid_until > $4::timestamptz)
    AND (currency IS NULL OR currency = $3::text);

-- name: read_product_places
-- Where products are sold, and the categories that they are in, the nearest first.
WITH RECURSIVE wanted AS (
    SELECT id, shop_id, category_id FROM products WHERE id = ANY (ARRAY(SELECT unnest($1::uuid[])))
), way AS (
    SELECT w.id AS product_id, c.id, c.parent_id, 0 AS up FROM wanted w JOIN categories c ON c.id = w.category_id
    UNION ALL
    SELECT way.product_id, c.id, c.parent_id, way.up + 1 FROM way JOIN categories c ON c.id = way.parent_id
)
SELECT w.id AS product_id, w.shop_id, coalesce(array_agg(way.id ORDER BY way.up) FILTER (WHERE way.id IS NOT NULL), '{}') AS categories
FROM wanted w LEFT JOIN way ON way.product_id = w.id
GROUP BY w.id, w.shop_id;

-- name: read_category_ways
-- Every category with those above it, itself first.
WITH RECURSIVE way AS (
    SELECT id AS category_id, id, parent_id, 0 AS up FROM categories
    UNION ALL
    SELECT way.category_id, c.id, c.parent_id, way.up + 1 FROM way JOIN categories c ON c.id = way.parent_id
)
SELECT category_id, array_agg(id ORDER BY up) AS way FROM way GROUP BY category_id;

-- name: read_open_rules
-- Every rule that is not over, the oldest first.
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules WHERE valid_until IS NULL OR valid_until > now()
ORDER BY id LIMIT $1::int;

-- name: list_rules
-- A page of rules, the latest first; those that are over only where asked for.
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules
WHERE ($1::uuid IS NULL OR id < $1::uuid) AND ($2::boolean OR valid_until IS NULL OR valid_until > now())
ORDER BY id DESC LIMIT $3::int;

-- name: read_rule
-- One rule, over or not.
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules WHERE id = $1::uuid;

-- name: lock_rules
-- Whoever adds or ends rules takes a turn: the default that is left is looked for and kept in one.
SELECT pg_advisory_xact_lock(hashtextextended('commission_rules', 0));

-- name: insert_rule
-- A rule, from a moment on.
INSERT INTO commission_rules (
    label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until, created_by
) VALUES (
    $1::text, $2::uuid, $3::uuid, $4::uuid, $5::text, $6::bigint, $7::bigint,
    $8::int, $9::bigint, $10::bigint, $11::bigint, $12::timestamptz, $13::timestamptz, $14::uuid
) RETURNING id;

-- name: end_rule
-- A rule says nothing from a moment on; one that ends earlier stays as it is.
UPDATE commission_rules SET valid_until = $2::timestamptz
WHERE id = $1::uuid AND (valid_until IS NULL OR valid_until > $2::timestamptz) RETURNING id;

-- name: end_defaults
-- A new default takes the place of those before it.
UPDATE commission_rules SET valid_until = $2::timestamptz
WHERE id <> $1::uuid AND valid_from <= $2::timestamptz AND (valid_until IS NULL OR valid_until > $2::timestamptz)
    AND product_id IS NULL AND shop_id IS NULL AND category_id IS NULL AND currency IS NULL
    AND price_from_minor IS NULL AND price_below_minor IS NULL;

-- name: has_default_without
-- Whether there is a default at every moment from `$2` on, leaving one rule out.
SELECT EXISTS (
    SELECT FROM commission_rules
    WHERE id <> $1::uuid AND valid_from <= $2::timestamptz AND valid_until IS NULL
        AND product_id IS NULL AND shop_id IS NULL AND category_id IS NULL AND currency IS NULL
        AND price_from_minor IS NULL AND price_below_minor IS NULL
);

-- name: read_default
-- The default of this moment.
SELECT id, label, product_id, shop_id, category_id, currency, price_from_minor, price_below_minor,
    basis_points, fixed_minor, min_minor, max_minor, valid_from, valid_until
FROM commission_rules
WHERE valid_from <= now() AND (valid_until IS NULL OR valid_until > now())
    AND product_id IS NULL AND shop_id IS NULL AND category_id IS NULL AND currency IS NULL
    AND price_from_minor IS NULL AND price_below_minor IS NULL
ORDER BY valid_from DESC, id DESC LIMIT 1;

-- name: read_missing_subject
-- Which of the things that a rule names is not there.
SELECT CASE
    WHEN $1::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM products WHERE id = $1::uuid) THEN 'product_id'
    WHEN $2::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM shops WHERE id = $2::uuid) THEN 'shop_id'
    WHEN $3::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM categories WHERE id = $3::uuid) THEN 'category_id'
END AS field;

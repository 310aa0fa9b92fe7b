-- name: read_shop
-- What a shop's products depend on.
SELECT id, name, currency, status = 'approved' AS approved FROM shops WHERE id = $1::uuid;

-- name: lock_shop_open
-- Keep the shop from being closed until this transaction ends; waits for a closing that is under way.
SELECT status = 'approved' FROM shops WHERE id = $1::uuid FOR SHARE;

-- name: read_categories
-- The whole tree with depths, parents before their children.
WITH RECURSIVE tree AS (
    SELECT id, slug, name, NULL::text AS parent, 0 AS depth, ARRAY[lpad(position::text, 6, '0'), slug] AS place
    FROM categories WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, c.slug, c.name, t.slug, t.depth + 1, t.place || ARRAY[lpad(c.position::text, 6, '0'), c.slug]
    FROM categories c JOIN tree t ON c.parent_id = t.id
)
SELECT id, slug, name, parent, depth FROM tree ORDER BY place;

-- name: find_category
-- A category's id by its slug.
SELECT id FROM categories WHERE slug = $1::text;

-- name: read_product_owner
-- Whose product it is and whether the public sees it.
SELECT p.id, p.shop_id, p.status = 'published' AND s.status = 'approved' AS is_public
FROM products p JOIN shops s ON s.id = p.shop_id WHERE p.id = $1::uuid;

-- name: lock_product
-- A product about to change.
SELECT id, shop_id, category_id, title, currency, status, version FROM products WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: lock_product_of_variant
-- The product of a variant about to change.
SELECT id, shop_id, category_id, title, currency, status, version FROM products
WHERE id = (SELECT product_id FROM variants WHERE id = $1::uuid) FOR NO KEY UPDATE;

-- name: lock_products
-- Products of a shop about to change, in the order of their ids.
SELECT id, shop_id, category_id, title, currency, status, version FROM products
WHERE id = ANY ($1::uuid[]) AND shop_id = $2::uuid ORDER BY id FOR NO KEY UPDATE;

-- name: insert_product
-- A new draft. Its slug ends in digits of its id, so that equal titles need no second try.
WITH product AS (
    INSERT INTO products (id, shop_id, category_id, slug, title, description, currency)
    SELECT made.id, $1::uuid, $2::uuid, $3::text || '-' || right(made.id::text, 10), $4::text, $5::text, $6::text
    FROM (SELECT uuidv7() AS id) AS made
    RETURNING id
)
INSERT INTO product_search_versions (product_id) SELECT id FROM product RETURNING product_id;

-- name: update_product
-- Store the text of a locked product; NULL leaves a column as it is.
UPDATE products SET
    title = coalesce($2::text, title),
    description = coalesce($3::text, description),
    category_id = coalesce($4::uuid, category_id),
    version = version + 1, updated_at = now()
WHERE id = $1::uuid RETURNING version;

-- name: set_product_status
-- Publish or archive a locked product; the first publication's date stays.
UPDATE products SET
    status = $2::product_status,
    published_at = CASE WHEN $2::product_status = 'published' THEN coalesce(published_at, now()) ELSE published_at END,
    version = version + 1, updated_at = now()
WHERE id = $1::uuid RETURNING version;

-- name: touch_product
-- A locked product's variants or images changed.
UPDATE products SET version = version + 1, updated_at = now() WHERE id = $1::uuid RETURNING version;

-- name: read_variants
-- Variants of locked products, given up ones too.
SELECT id, product_id, sku, options, price_minor, position, active FROM variants
WHERE product_id = ANY ($1::uuid[]) ORDER BY product_id, position, id;

-- name: find_variants_by_sku
-- A shop's variants by SKU, to be updated by a list.
SELECT id, product_id, sku, options, price_minor, position, active FROM variants
WHERE shop_id = $1::uuid AND sku = ANY ($2::text[]);

-- name: has_active_variant
-- Whether there is anything to buy.
SELECT EXISTS (SELECT FROM variants WHERE product_id = $1::uuid AND active);

-- name: give_up_variants
-- Make room for a new set of variants; those that stay are made active again.
UPDATE variants SET active = false WHERE product_id = $1::uuid AND active;

-- name: update_variant
-- Store a variant of a locked product.
UPDATE variants SET sku = $2::text, options = $3::jsonb, price_minor = $4::bigint, position = $5::int, active = $6::boolean
WHERE id = $1::uuid;

-- name: set_weight
-- What a unit weighs, for shops that send by weight.
UPDATE variants SET weight_g = $2::int WHERE id = $1::uuid;

-- name: insert_variant
-- A new variant with its stock row, and with a movement where it comes with stock.
WITH variant AS (
    INSERT INTO variants (product_id, shop_id, sku, options, price_minor, position, active)
    VALUES ($1::uuid, $2::uuid, $3::text, $4::jsonb, $5::bigint, $6::int, $7::boolean)
    RETURNING id
), stocked AS (
    INSERT INTO stock (variant_id, on_hand) SELECT id, $8::int FROM variant
), moved AS (
    INSERT INTO stock_movements (variant_id, quantity, cause, actor_id)
    SELECT id, $8::int, 'adjusted', $9::uuid FROM variant WHERE $8::int > 0
)
SELECT id FROM variant;

-- name: insert_published_product
-- A product of one variant straight onto the market, whole or (the SKU being taken) not at all. One statement without
-- a savepoint: a thousand of those locking one shop's row would cost the square of it.
WITH made AS MATERIALIZED (
    SELECT uuidv7() AS product_id
), variant AS (
    INSERT INTO variants (product_id, shop_id, sku, options, price_minor)
    SELECT product_id, $1::uuid, $7::text, $8::jsonb, $9::bigint FROM made
    ON CONFLICT (shop_id, sku) DO NOTHING
    RETURNING id, product_id
), product AS (
    INSERT INTO products (id, shop_id, category_id, slug, title, description, currency, status, published_at)
    SELECT product_id, $1::uuid, $2::uuid, $3::text || '-' || right(product_id::text, 10), $4::text, $5::text, $6::text,
        'published', now()
    FROM variant
), listed AS (
    INSERT INTO product_search_versions (product_id) SELECT product_id FROM variant
), stocked AS (
    INSERT INTO stock (variant_id, on_hand) SELECT id, $10::int FROM variant
), moved AS (
    INSERT INTO stock_movements (variant_id, quantity, cause, actor_id)
    SELECT id, $10::int, 'imported', $11::uuid FROM variant WHERE $10::int > 0
)
SELECT id, product_id, $7::text AS sku, $8::jsonb AS options, $9::bigint AS price_minor, 0 AS position, true AS active
FROM variant;

-- name: read_products
-- Products with their shops, as views show them.
SELECT p.id, p.shop_id, s.name AS shop_name, s.status = 'approved' AS shop_approved, p.slug, p.title, p.description,
    c.slug AS category, p.currency, p.status, p.version, p.created_at, p.updated_at, p.published_at
FROM products p JOIN shops s ON s.id = p.shop_id LEFT JOIN categories c ON c.id = p.category_id
WHERE p.id = ANY ($1::uuid[]);

-- name: read_variants_with_stock
-- Variants of products, in the order in which buyers see them.
SELECT v.id, v.product_id, v.sku, v.options, v.price_minor, v.weight_g, v.active, s.on_hand, s.reserved
FROM variants v JOIN stock s ON s.variant_id = v.id
WHERE v.product_id = ANY ($1::uuid[]) ORDER BY v.product_id, v.position, v.id;

-- name: read_live_variants
-- What watchers of a product begin with: prices, and how many are left.
SELECT v.id AS variant, v.price_minor, s.on_hand - s.reserved AS available
FROM variants v JOIN stock s ON s.variant_id = v.id
WHERE v.product_id = $1::uuid AND v.active ORDER BY v.position, v.id;

-- name: read_media
-- Images of products, in their order.
SELECT id, product_id, key, content_type, state, reason FROM media
WHERE product_id = ANY ($1::uuid[]) ORDER BY product_id, position, id;

-- name: list_public_products
-- A page of an open shop's published products, newest first.
SELECT p.id FROM products p JOIN shops s ON s.id = p.shop_id
WHERE p.shop_id = $1::uuid AND p.status = 'published' AND s.status = 'approved' AND ($2::uuid IS NULL OR p.id < $2::uuid)
ORDER BY p.id DESC LIMIT $3::int;

-- name: list_team_products
-- A page of all of a shop's products, newest first.
SELECT id FROM products
WHERE shop_id = $1::uuid AND ($4::product_status IS NULL OR status = $4::product_status)
    AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC LIMIT $3::int;

-- name: read_sellable
-- What carts and checkouts know of variants. Behind a sub-select their number is no reason to plan this anew each time.
SELECT v.id AS variant_id, p.id AS product_id, p.shop_id, s.name AS shop_name, p.title, v.sku, v.options, v.price_minor,
    p.currency, p.category_id, v.weight_g, st.on_hand - st.reserved AS available,
    v.active AND p.status = 'published' AND s.status = 'approved' AS sellable
FROM variants v
JOIN products p ON p.id = v.product_id
JOIN shops s ON s.id = p.shop_id
JOIN stock st ON st.variant_id = v.id
WHERE v.id = ANY (ARRAY(SELECT unnest($1::uuid[])));

-- name: bump_search_versions
-- Take the next search version of products, locking in the order of their ids.
WITH locked AS (
    SELECT product_id FROM product_search_versions WHERE product_id = ANY ($1::uuid[]) ORDER BY product_id FOR UPDATE
)
UPDATE product_search_versions v SET version = v.version + 1 FROM locked WHERE v.product_id = locked.product_id
RETURNING v.product_id, v.version;

-- name: list_published_ids
-- The products that search may show of a shop whose row this transaction holds.
SELECT id FROM products WHERE shop_id = $1::uuid AND status = 'published' ORDER BY id;

-- name: read_listing
-- A product as search is to show it, with the version of exactly this state: one statement, one snapshot.
WITH RECURSIVE path AS (
    SELECT c.id, c.parent_id, c.slug, 0 AS up FROM categories c
    JOIN products p ON p.category_id = c.id WHERE p.id = $1::uuid
    UNION ALL
    SELECT c.id, c.parent_id, c.slug, path.up + 1 FROM categories c JOIN path ON c.id = path.parent_id
)
SELECT p.id AS product_id, w.version, p.status = 'published' AND s.status = 'approved' AS is_public,
    p.shop_id, s.name AS shop_name, p.slug, p.title, p.description, p.currency, p.published_at,
    coalesce((SELECT array_agg(path.slug ORDER BY path.up DESC) FROM path), '{}') AS category_slugs,
    (SELECT min(v.price_minor) FROM variants v WHERE v.product_id = p.id AND v.active) AS price_min_minor,
    EXISTS (
        SELECT FROM variants v JOIN stock t ON t.variant_id = v.id
        WHERE v.product_id = p.id AND v.active AND t.on_hand > t.reserved
    ) AS in_stock,
    (SELECT m.key FROM media m WHERE m.product_id = p.id AND m.state = 'ready' ORDER BY m.position, m.id LIMIT 1)
    AS image_key
FROM products p
JOIN shops s ON s.id = p.shop_id
JOIN product_search_versions w ON w.product_id = p.id
WHERE p.id = $1::uuid;

-- name: count_media
-- Images a product has or is about to have.
SELECT count(*) FROM media WHERE product_id = $1::uuid AND state <> 'rejected';

-- name: insert_media
-- An upload that is about to happen; the key ends in the type's extension.
INSERT INTO media (id, owner_id, product_id, key, content_type, size_bytes_max, position)
SELECT made.id, $1::uuid, $2::uuid, 'products/' || made.id || '.' || $4::text, $3::text, $5::bigint, $6::int
FROM (SELECT gen_random_uuid() AS id) AS made
RETURNING id, key;

-- name: lock_media
-- An image about to change state.
SELECT m.id, m.product_id, p.shop_id, m.key, m.content_type, m.size_bytes_max, m.state, m.reason
FROM media m JOIN products p ON p.id = m.product_id WHERE m.id = $1::uuid FOR NO KEY UPDATE OF m;

-- name: read_media_by_key
-- An image to be checked.
SELECT m.id, m.product_id, p.shop_id, m.key, m.content_type, m.size_bytes_max, m.state, m.reason
FROM media m JOIN products p ON p.id = m.product_id WHERE m.key = $1::text;

-- name: set_media_state
-- Move an image on, from the one state in which that may happen.
UPDATE media SET state = $3::media_state, reason = $4::text, size_bytes = coalesce($5::bigint, size_bytes)
WHERE id = $1::uuid AND state = $2::media_state RETURNING true;

-- name: delete_media
-- Take an image off a product.
DELETE FROM media WHERE id = $1::uuid;

-- name: read_variant_owner
-- Whose variant it is.
SELECT product_id, shop_id FROM variants WHERE id = $1::uuid;

-- name: issue_invoices
-- Give the orders of one group, each of another shop, the next number of its shop, without holes.
WITH due AS (
    SELECT o.id, o.shop_id FROM orders AS o WHERE o.id = ANY ($1::uuid[])
),

numbered AS (
    INSERT INTO invoice_counters AS c (shop_id, last_number)
    SELECT due.shop_id, 1 FROM due ORDER BY due.shop_id
    ON CONFLICT (shop_id) DO UPDATE SET last_number = c.last_number + 1
    RETURNING shop_id, last_number
)

INSERT INTO invoices (order_id, shop_id, number, seller_name, seller_country, seller_tax_number)
SELECT due.id, due.shop_id, numbered.last_number, s.name, s.country, coalesce(t.tax_number, '')
FROM due
INNER JOIN numbered ON numbered.shop_id = due.shop_id
INNER JOIN shops AS s ON s.id = due.shop_id
LEFT JOIN shop_taxes AS t ON t.shop_id = due.shop_id;

-- name: read_invoice
-- An order's invoice, where it has one: all of it as it was when the order was placed and paid.
SELECT
    i.number, i.issued_at, i.seller_name, i.seller_country, i.seller_tax_number, o.id AS order_id,
    o.number AS order_number, o.created_at AS ordered_at, o.currency, o.items_minor, o.shipping_minor, o.tax_minor,
    o.tax_included_minor, o.discount_minor, o.total_minor, o.shipping_tax_name, o.shipping_tax_basis_points,
    o.shipping_tax_minor, coalesce(o.shipping_method, 'null') AS shipping_method, g.shipping_address,
    coalesce((
        SELECT sum(d.shipping_minor) FROM order_discounts AS d WHERE d.order_id = o.id AND d.funded_by = 'shop'
    ), 0)::bigint AS shipping_discount_minor
FROM invoices AS i
INNER JOIN orders AS o ON o.id = i.order_id
INNER JOIN order_groups AS g ON g.id = o.group_id
WHERE i.order_id = $1::uuid;

-- name: read_invoice_lines
-- What an invoice is for.
SELECT
    l.title, l.sku, l.options, l.quantity, l.unit_price_minor, l.total_minor, l.discount_minor, l.subsidy_minor,
    l.tax_name, l.tax_basis_points, l.tax_minor
FROM order_lines AS l
WHERE l.order_id = $1::uuid
ORDER BY l.position;

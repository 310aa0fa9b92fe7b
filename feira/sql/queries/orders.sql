-- name: open_group
-- Open a checkout's group, one order for each shop, what each froze of its lines, and the end of its hold.
WITH opened AS (
    INSERT INTO order_groups (buyer_id, currency, total_minor, shipping_address, hold_ends_at)
    VALUES ($1::uuid, $2::text, $3::bigint, $4::jsonb, $5::timestamptz)
    RETURNING id
),

placed AS (
    INSERT INTO orders (
        group_id, buyer_id, shop_id, currency, items_minor, shipping_minor, tax_minor, discount_minor, total_minor,
        commission_minor, terms, subsidy_minor, tax_included_minor, shipping_tax_name, shipping_tax_basis_points,
        shipping_tax_minor, shipping_method, return_window_s
    )
    SELECT
        opened.id, $1::uuid, part.shop_id, $2::text, part.items_minor, part.shipping_minor, part.tax_minor,
        part.discount_minor, part.total_minor, part.commission_minor,
        $6::jsonb || jsonb_build_object('ship_within_s', coalesce(s.ship_within_s, ($6::jsonb ->> 'ship_within_s')::int)),
        part.subsidy_minor, part.tax_included_minor, part.shipping_tax_name, part.shipping_tax_basis_points,
        part.shipping_tax_minor, part.shipping_method, coalesce(s.return_window_s, 1209600)
    FROM opened
    CROSS JOIN unnest(
        $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::bigint[], $15::bigint[], $16::text[], $17::int[], $18::bigint[], $19::jsonb[]
    ) WITH ORDINALITY AS part (
        shop_id, items_minor, shipping_minor, tax_minor, discount_minor, total_minor, commission_minor, subsidy_minor,
        tax_included_minor, shipping_tax_name, shipping_tax_basis_points, shipping_tax_minor, shipping_method, place
    )
    INNER JOIN shops AS s ON s.id = part.shop_id
    ORDER BY part.place
    RETURNING id, shop_id
),

frozen AS (
    INSERT INTO order_lines (
        order_id, variant_id, product_id, title, sku, options, quantity, unit_price_minor, total_minor,
        commission_basis_points, commission_minor, commission_rule_id, discount_minor, subsidy_minor, tax_name,
        tax_basis_points, tax_minor, tax_on_top, position
    )
    SELECT
        placed.id, line.variant_id, line.product_id, line.title, line.sku, line.options, line.quantity,
        line.unit_price_minor, line.total_minor, line.commission_basis_points, line.commission_minor,
        line.commission_rule_id, line.discount_minor, line.subsidy_minor, line.tax_name, line.tax_basis_points,
        line.tax_minor, line.tax_on_top, line.position
    FROM unnest(
        $20::uuid[], $21::uuid[], $22::uuid[], $23::text[], $24::text[], $25::jsonb[], $26::int[], $27::bigint[],
        $28::bigint[], $29::int[], $30::bigint[], $31::uuid[], $32::bigint[], $33::bigint[], $34::text[], $35::int[],
        $36::bigint[], $37::boolean[], $38::int[]
    ) AS line (
        shop_id, variant_id, product_id, title, sku, options, quantity, unit_price_minor, total_minor,
        commission_basis_points, commission_minor, commission_rule_id, discount_minor, subsidy_minor, tax_name,
        tax_basis_points, tax_minor, tax_on_top, position
    )
    INNER JOIN placed ON placed.shop_id = line.shop_id
),

holds AS (
    INSERT INTO order_deadlines (order_id, kind, due_at)
    SELECT placed.id, 'hold', $5::timestamptz FROM placed
)

SELECT
    (SELECT opened.id FROM opened) AS group_id,
    array_agg(placed.id ORDER BY array_position($7::uuid[], placed.shop_id)) AS order_ids
FROM placed;

-- name: lock_orders
-- Lock orders by id, in that order, so that no two transactions wait in a ring.
SELECT
    o.id, o.number, o.group_id, o.buyer_id, o.shop_id, o.currency, o.total_minor, o.shipping_minor, o.commission_minor,
    o.status, o.payment_status, o.fulfilment_status, o.refunded_minor, o.terms, o.version
FROM orders AS o
WHERE o.id = ANY ($1::uuid[])
ORDER BY o.id
FOR UPDATE OF o;

-- name: lock_group_orders
-- Lock all orders of a group in the order of their ids, before the group's payment is locked.
SELECT
    o.id, o.number, o.group_id, o.buyer_id, o.shop_id, o.currency, o.total_minor, o.shipping_minor, o.commission_minor,
    o.status, o.payment_status, o.fulfilment_status, o.refunded_minor, o.terms, o.version
FROM orders AS o
WHERE o.group_id = $1::uuid
ORDER BY o.id
FOR UPDATE OF o;

-- name: read_line_states
-- How much of each line left already, and how much was given back by line.
SELECT
    l.order_id, l.id AS line, l.quantity, l.paid_minor, l.cancelled,
    coalesce((SELECT sum(s.quantity) FROM shipment_lines AS s WHERE s.order_line_id = l.id), 0)::int AS shipped,
    coalesce(b.units, 0)::int AS back, coalesce(b.amount_minor, 0)::bigint AS back_minor
FROM order_lines AS l
LEFT JOIN LATERAL (
    SELECT sum(p.quantity) AS units, sum(p.amount_minor) AS amount_minor
    FROM refund_lines AS p
    INNER JOIN refunds AS r ON r.id = p.refund_id AND r.state <> 'failed'
    WHERE p.order_line_id = l.id
) AS b ON true
WHERE l.order_id = ANY ($1::uuid[])
ORDER BY l.order_id, l.position;

-- name: read_deadlines
-- The timers of some orders.
SELECT order_id, kind, due_at, paused_at FROM order_deadlines WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id, kind;

-- name: read_circumstances
-- What else decisions about paid orders depend on: refunds that were promised, parcels, the open dispute. The orders are
-- locked by an earlier statement, so that this one sees what whoever held them before has left.
SELECT
    o.id AS order_id,
    coalesce((SELECT sum(r.amount_minor) FROM refunds AS r WHERE r.order_id = o.id AND r.state <> 'failed'), 0)::bigint
        AS promised_minor,
    ARRAY(SELECT s.id FROM shipments AS s WHERE s.order_id = o.id ORDER BY s.id) AS parcels,
    ARRAY(SELECT s.id FROM shipments AS s WHERE s.order_id = o.id AND s.delivered_at IS NOT NULL) AS delivered,
    d.opened_from, d.proposed_by, d.proposed_refund_minor
FROM orders AS o
LEFT JOIN order_disputes AS d ON d.order_id = o.id AND d.state = 'open'
WHERE o.id = ANY ($1::uuid[]);

-- name: store_order
-- Write a decision down; the version guards against a caller that did not lock.
UPDATE orders
SET
    status = $3::order_status, payment_status = $4::payment_status, fulfilment_status = $5::fulfilment_status,
    refunded_minor = $6::bigint, version = version + 1, updated_at = now()
WHERE id = $1::uuid AND version = $2::int
RETURNING true;

-- name: clear_deadlines
-- Stop the timers of an order.
DELETE FROM order_deadlines WHERE order_id = $1::uuid;

-- name: insert_deadline
-- Start a timer of an order.
INSERT INTO order_deadlines (order_id, kind, due_at, paused_at)
VALUES ($1::uuid, $2::text, $3::timestamptz, $4::timestamptz);

-- name: store_request
-- Remember what one side waits for; asking again takes the place of what was asked before.
INSERT INTO order_requests (order_id, kind, asked_by, reason, ship_by, asked_at)
VALUES ($1::uuid, $2::text, $3::uuid, $4::text, $5::timestamptz, $6::timestamptz)
ON CONFLICT (order_id, kind) DO UPDATE SET
    asked_by = excluded.asked_by, reason = excluded.reason, ship_by = excluded.ship_by, asked_at = excluded.asked_at;

-- name: end_requests
-- Nobody waits for these any more.
DELETE FROM order_requests WHERE order_id = $1::uuid AND kind = ANY ($2::text[]);

-- name: read_requests
-- What the sides of an order ask of each other.
SELECT order_id, kind, asked_by, reason, ship_by, asked_at FROM order_requests
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id, kind;

-- name: insert_shipment
-- Record a parcel that left.
INSERT INTO shipments (order_id, carrier, tracking_number, shipped_at)
VALUES ($1::uuid, $2::text, $3::text, $4::timestamptz)
RETURNING id;

-- name: insert_shipment_lines
-- What the parcel carries.
INSERT INTO shipment_lines (shipment_id, order_line_id, quantity)
SELECT $1::uuid, line.* FROM unnest($2::uuid[], $3::int[]) AS line;

-- name: deliver_shipments
-- Parcels arrived.
UPDATE shipments SET delivered_at = $2::timestamptz WHERE id = ANY ($1::uuid[]) AND delivered_at IS NULL;

-- name: cancel_units
-- Write down what will not be shipped any more.
UPDATE order_lines AS l SET cancelled = l.cancelled + rest.quantity
FROM unnest($1::uuid[], $2::int[]) AS rest (line, quantity)
WHERE l.id = rest.line
RETURNING l.variant_id, rest.quantity;

-- name: lock_group
-- Make the closers of one group's orders take turns, so that the last one knows that it is the last.
SELECT id FROM order_groups WHERE id = $1::uuid FOR UPDATE;

-- name: payment_of_closed_group
-- The payment of a group that waits for no money any more, because all its orders are closed unpaid.
SELECT p.id
FROM payments AS p
WHERE
    p.group_id = $1::uuid
    AND NOT EXISTS (
        SELECT FROM orders AS o
        WHERE o.group_id = p.group_id AND (o.status NOT IN ('cancelled', 'expired') OR o.payment_status <> 'none')
    );

-- name: payment_of_group
-- The one payment of a group.
SELECT id FROM payments WHERE group_id = $1::uuid;

-- name: read_command
-- What came before under this key.
SELECT request_sha256 FROM order_commands
WHERE order_id = $1::uuid AND actor_id = $2::uuid AND idempotency_key = $3::text;

-- name: insert_command
-- Remember an accepted command, in the transaction of its effect.
INSERT INTO order_commands (order_id, actor_id, idempotency_key, action, request_sha256, version)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::bytea, $6::int);

-- name: read_parties
-- Whose order it is.
SELECT buyer_id, shop_id FROM orders WHERE id = $1::uuid;

-- name: read_orders
-- Orders with the names of their parties, oldest first.
SELECT
    o.id, o.number, o.group_id, o.buyer_id, b.display_name AS buyer_name, o.shop_id, s.name AS shop_name,
    s.slug AS shop_slug, o.currency, o.items_minor, o.shipping_minor, o.tax_minor, o.tax_included_minor,
    o.discount_minor, o.total_minor, o.commission_minor, o.status, o.payment_status, o.fulfilment_status,
    o.refunded_minor, o.terms, o.version, o.created_at, o.updated_at, g.shipping_address,
    coalesce(o.shipping_method, 'null') AS shipping_method
FROM orders AS o
INNER JOIN order_groups AS g ON g.id = o.group_id
INNER JOIN users AS b ON b.id = o.buyer_id
INNER JOIN shops AS s ON s.id = o.shop_id
WHERE o.id = ANY ($1::uuid[])
ORDER BY o.id;

-- name: read_lines
-- What was bought, as it was then, and how much of it left already.
SELECT
    l.order_id, l.id, l.variant_id, l.product_id, l.title, l.sku, l.options, l.quantity, l.unit_price_minor,
    l.total_minor, l.commission_basis_points, l.commission_minor, l.cancelled, l.discount_minor, l.tax_name,
    l.tax_basis_points, l.tax_minor,
    coalesce((SELECT sum(s.quantity) FROM shipment_lines AS s WHERE s.order_line_id = l.id), 0)::int AS shipped
FROM order_lines AS l
WHERE l.order_id = ANY ($1::uuid[])
ORDER BY l.order_id, l.position;

-- name: read_shipments
-- The parcels of some orders, in the order in which they left.
SELECT order_id, id, carrier, tracking_number, shipped_at, delivered_at
FROM shipments
WHERE order_id = ANY ($1::uuid[])
ORDER BY id;

-- name: read_shipment_lines
-- What some orders' parcels carry.
SELECT s.id AS shipment_id, l.order_line_id AS line, l.quantity
FROM shipments AS s
INNER JOIN shipment_lines AS l ON l.shipment_id = s.id
INNER JOIN order_lines AS o ON o.id = l.order_line_id
WHERE s.order_id = ANY ($1::uuid[])
ORDER BY s.id, o.position;

-- name: read_group
-- A checkout as its buyer sees it.
SELECT id, buyer_id, currency, total_minor, shipping_address, hold_ends_at, created_at
FROM order_groups
WHERE id = $1::uuid;

-- name: read_group_order_ids
-- The orders of a group.
SELECT id FROM orders WHERE group_id = $1::uuid ORDER BY id;

-- name: list_orders_of_buyer
-- A page of somebody's purchases, newest first, by keyset.
SELECT
    o.id, o.number, o.group_id, o.buyer_id, b.display_name AS buyer_name, o.shop_id, s.name AS shop_name,
    s.slug AS shop_slug, o.currency, o.total_minor, o.status, o.payment_status, o.fulfilment_status,
    o.refunded_minor, o.version, o.created_at, o.updated_at, first.title, first.units, first.line_count
FROM orders AS o
INNER JOIN users AS b ON b.id = o.buyer_id
INNER JOIN shops AS s ON s.id = o.shop_id
CROSS JOIN LATERAL (
    SELECT (array_agg(l.title ORDER BY l.position))[1] AS title, sum(l.quantity) AS units, count(*) AS line_count
    FROM order_lines AS l
    WHERE l.order_id = o.id
) AS first
WHERE
    o.buyer_id = $1::uuid
    AND ($2::order_status IS NULL OR o.status = $2::order_status)
    AND ($3::uuid IS NULL OR o.id < $3::uuid)
    AND ($5::payment_status IS NULL OR o.payment_status = $5::payment_status)
    AND ($6::uuid IS NULL OR o.shop_id = $6::uuid)
    AND ($7::timestamptz IS NULL OR o.created_at >= $7::timestamptz)
    AND ($8::timestamptz IS NULL OR o.created_at < $8::timestamptz)
    AND (
        $9::text IS NULL OR o.number::text = $9::text
        OR strpos(lower(s.name), lower($9::text)) > 0 OR strpos(lower(b.display_name), lower($9::text)) > 0
        OR EXISTS (
            SELECT FROM order_lines AS l
            WHERE
                l.order_id = o.id
                AND (strpos(lower(l.title), lower($9::text)) > 0 OR strpos(lower(l.sku), lower($9::text)) > 0)
        )
    )
ORDER BY o.id DESC
LIMIT $4::int;

-- name: list_orders_of_shop
-- A page of a shop's sales, newest first, by keyset.
SELECT
    o.id, o.number, o.group_id, o.buyer_id, b.display_name AS buyer_name, o.shop_id, s.name AS shop_name,
    s.slug AS shop_slug, o.currency, o.total_minor, o.status, o.payment_status, o.fulfilment_status,
    o.refunded_minor, o.version, o.created_at, o.updated_at, first.title, first.units, first.line_count
FROM orders AS o
INNER JOIN users AS b ON b.id = o.buyer_id
INNER JOIN shops AS s ON s.id = o.shop_id
CROSS JOIN LATERAL (
    SELECT (array_agg(l.title ORDER BY l.position))[1] AS title, sum(l.quantity) AS units, count(*) AS line_count
    FROM order_lines AS l
    WHERE l.order_id = o.id
) AS first
WHERE
    o.shop_id = $1::uuid
    AND ($2::order_status IS NULL OR o.status = $2::order_status)
    AND ($3::uuid IS NULL OR o.id < $3::uuid)
    AND ($5::payment_status IS NULL OR o.payment_status = $5::payment_status)
    AND ($6::uuid IS NULL OR o.shop_id = $6::uuid)
    AND ($7::timestamptz IS NULL OR o.created_at >= $7::timestamptz)
    AND ($8::timestamptz IS NULL OR o.created_at < $8::timestamptz)
    AND (
        $9::text IS NULL OR o.number::text = $9::text
        OR strpos(lower(s.name), lower($9::text)) > 0 OR strpos(lower(b.display_name), lower($9::text)) > 0
        OR EXISTS (
            SELECT FROM order_lines AS l
            WHERE
                l.order_id = o.id
                AND (strpos(lower(l.title), lower($9::text)) > 0 OR strpos(lower(l.sku), lower($9::text)) > 0)
        )
    )
ORDER BY o.id DESC
LIMIT $4::int;

-- name: lock_unpaid_groups
-- Lock the orders of groups whose hold is over. Orders that somebody holds (a payment, a cancellation) are passed by.
WITH due AS (
    SELECT o.group_id
    FROM order_deadlines AS d
    INNER JOIN orders AS o ON o.id = d.order_id
    WHERE d.kind = 'hold' AND d.paused_at IS NULL AND d.due_at <= now()
    GROUP BY o.group_id
    ORDER BY min(d.due_at)
    LIMIT $1::int
)

SELECT
    o.id, o.number, o.group_id, o.buyer_id, o.shop_id, o.currency, o.total_minor, o.shipping_minor, o.commission_minor,
    o.status, o.payment_status, o.fulfilment_status, o.refunded_minor, o.terms, o.version
FROM orders AS o
WHERE o.group_id IN (SELECT due.group_id FROM due)
ORDER BY o.id
FOR UPDATE OF o SKIP LOCKED;

-- name: count_group_orders
-- How many orders each group has.
SELECT group_id, count(*)::int AS orders FROM orders WHERE group_id = ANY ($1::uuid[]) GROUP BY group_id;

-- name: lock_due
-- Lock orders whose deadline of one kind is over; those that somebody holds are passed by.
SELECT
    o.id, o.number, o.group_id, o.buyer_id, o.shop_id, o.currency, o.total_minor, o.shipping_minor, o.commission_minor,
    o.status, o.payment_status, o.fulfilment_status, o.refunded_minor, o.terms, o.version
FROM order_deadlines AS d
INNER JOIN orders AS o ON o.id = d.order_id
WHERE d.kind = $1::text AND d.paused_at IS NULL AND d.due_at <= now() AND (d.retry_at IS NULL OR d.retry_at <= now())
ORDER BY d.due_at
LIMIT $2::int
FOR UPDATE OF o SKIP LOCKED;

-- name: list_due
-- Orders whose deadline of one kind is over, unlocked.
SELECT d.order_id FROM order_deadlines AS d
WHERE d.kind = $1::text AND d.paused_at IS NULL AND d.due_at <= now() AND (d.retry_at IS NULL OR d.retry_at <= now())
ORDER BY d.due_at
LIMIT $2::int;

-- name: put_off
-- A passed deadline that could not be carried out waits for another try.
UPDATE order_deadlines SET retry_at = $3::timestamptz WHERE order_id = $1::uuid AND kind = $2::text;

-- name: read_running
-- When a deadline is over that runs.
SELECT due_at FROM order_deadlines WHERE order_id = $1::uuid AND kind = $2::text AND paused_at IS NULL;

-- name: read_address
-- An address of the buyer, to be frozen in the checkout.
SELECT name, line1, line2, city, region, postal_code, country, phone
FROM addresses
WHERE id = $1::uuid AND user_id = $2::uuid;

-- name: count_orders_under_way
-- What a shop's team begins with when it watches: its orders that are not over, by status.
SELECT status::text AS status, count(*) AS count FROM orders
WHERE shop_id = $1::uuid AND status IN ('pending_payment', 'paid', 'accepted', 'shipped', 'delivered', 'disputed')
GROUP BY orders.status ORDER BY orders.status;

-- name: insert_return
-- Open a return with its lines and the time by which it is answered.
WITH opened AS (
    INSERT INTO returns (order_id, kind, remedy, cause, text, conversation_id, requested_at, updated_at)
    VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::uuid, $7::timestamptz, $7::timestamptz)
    RETURNING id
), named AS (
    INSERT INTO return_lines (return_id, order_line_id, position, quantity, replacement_variant_id)
    SELECT opened.id, line.id, line.place, line.quantity, line.replacement
    FROM opened
    CROSS JOIN unnest($8::uuid[], $9::int[], $10::uuid[]) WITH ORDINALITY AS line (id, quantity, replacement, place)
), due AS (
    INSERT INTO return_deadlines (return_id, kind, due_at) SELECT opened.id, $11::text, $12::timestamptz FROM opened
)
SELECT id FROM opened;

-- name: order_of_return
-- Whose return it is. That never changes, so it may be read before the order is locked.
SELECT order_id FROM returns WHERE id = $1::uuid;

-- name: lock_return
-- A return, after its order.
SELECT id FROM returns WHERE id = $1::uuid FOR UPDATE;

-- name: read_returns
-- Returns of an order, and those it replaces goods of, or one of them, oldest first.
SELECT
    r.id, r.order_id, o.shop_id, o.buyer_id, o.currency, r.kind, r.remedy, r.cause, r.text, r.status, r.version, r.reason,
    r.carrier, r.tracking_number, r.replacement_order_id, r.conversation_id, r.requested_at, r.updated_at,
    d.kind AS deadline_kind, d.due_at,
    coalesce((SELECT sum(f.amount_minor) FROM refunds AS f WHERE f.return_id = r.id AND f.state <> 'failed'), 0)::bigint
        AS refund_minor
FROM returns AS r
INNER JOIN orders AS o ON o.id = r.order_id
LEFT JOIN return_deadlines AS d ON d.return_id = r.id
WHERE r.id = $2::uuid OR ($2::uuid IS NULL AND (r.order_id = $1::uuid OR r.replacement_order_id = $1::uuid))
ORDER BY r.id;

-- name: read_return_lines
-- What is to come back, and did.
SELECT
    l.return_id, l.order_line_id AS line, o.variant_id, o.title, o.unit_price_minor, l.quantity, l.received, l.condition, l.restocked,
    l.replacement_variant_id AS replacement
FROM return_lines AS l
INNER JOIN order_lines AS o ON o.id = l.order_line_id
WHERE l.return_id = ANY ($1::uuid[])
ORDER BY l.return_id, l.position;

-- name: store_return
-- Write a decision down; the version guards against a caller that did not lock.
UPDATE returns
SET
    status = $3::return_status, version = version + 1, reason = $4::text, carrier = $5::text, tracking_number = $6::text,
    remedy = $7::text, replacement_order_id = $8::uuid, updated_at = $9::timestamptz
WHERE id = $1::uuid AND version = $2::int
RETURNING true;

-- name: store_received
-- What came back of each line, and how.
UPDATE return_lines AS l SET received = came.quantity, condition = came.condition, restocked = came.restocked
FROM unnest($2::uuid[], $3::int[], $4::text[], $5::boolean[]) AS came (line, quantity, condition, restocked)
WHERE l.return_id = $1::uuid AND l.order_line_id = came.line;

-- name: put_deadline
-- Start the timer of the status that a return is in now.
INSERT INTO return_deadlines (return_id, kind, due_at) VALUES ($1::uuid, $2::text, $3::timestamptz)
ON CONFLICT (return_id) DO UPDATE SET kind = excluded.kind, due_at = excluded.due_at;

-- name: clear_deadline
-- Stop the timer of a return.
DELETE FROM return_deadlines WHERE return_id = $1::uuid;

-- name: lock_order_of_due_return
-- One return whose time is over, with its order locked; those whose order somebody holds are passed by.
SELECT d.return_id, o.id AS order_id
FROM return_deadlines AS d
INNER JOIN returns AS r ON r.id = d.return_id
INNER JOIN orders AS o ON o.id = r.order_id
WHERE d.due_at <= now()
ORDER BY d.due_at
LIMIT 1
FOR UPDATE OF o SKIP LOCKED;

-- name: read_returnable
-- When the last parcel of an order arrived, and how long after that its shop takes things back.
SELECT
    o.return_window_s,
    (
        SELECT CASE WHEN bool_and(s.delivered_at IS NOT NULL) THEN max(s.delivered_at) END
        FROM shipments AS s WHERE s.order_id = o.id
    ) AS delivered_at
FROM orders AS o WHERE o.id = $1::uuid;

-- name: read_returnable_lines
-- How much of each line left, and how much of it is in returns and claims, or was refunded by line without any.
SELECT
    l.id AS line,
    coalesce((SELECT sum(s.quantity) FROM shipment_lines AS s WHERE s.order_line_id = l.id), 0)::int AS shipped,
    (
        coalesce((
            SELECT sum(CASE WHEN r.status IN ('refunded', 'exchanged') AND r.kind = 'return' THEN n.received ELSE n.quantity END)
            FROM return_lines AS n INNER JOIN returns AS r ON r.id = n.return_id
            WHERE n.order_line_id = l.id AND r.status NOT IN ('declined', 'withdrawn', 'expired')
        ), 0)
        + coalesce((
            SELECT sum(p.quantity)
            FROM refund_lines AS p INNER JOIN refunds AS f ON f.id = p.refund_id
            -- Units of a cancelled rest were never shipped.
            WHERE p.order_line_id = l.id AND f.return_id IS NULL AND f.state <> 'failed' AND f.cause <> 'order'
        ), 0)
    )::int AS taken
FROM order_lines AS l
WHERE l.order_id = $1::uuid
ORDER BY l.position;

-- name: order_conversation
-- Where an order's buyer and shop talk about it.
SELECT id FROM conversations WHERE subject_kind = 'order' AND subject_id = $1::uuid ORDER BY id LIMIT 1;

-- name: read_notice
-- What a notice about a return says.
SELECT r.id, r.order_id, o.number, r.kind, o.buyer_id, b.display_name AS buyer_name, o.shop_id, s.name AS shop_name
FROM returns AS r
INNER JOIN orders AS o ON o.id = r.order_id
INNER JOIN users AS b ON b.id = o.buyer_id
INNER JOIN shops AS s ON s.id = o.shop_id
WHERE r.id = $1::uuid;

-- name: read_address_of_order
-- Where an order went.
SELECT
    g.shipping_address ->> 'name' AS name, g.shipping_address ->> 'line1' AS line1, g.shipping_address ->> 'line2' AS line2,
    g.shipping_address ->> 'city' AS city, g.shipping_address ->> 'region' AS region,
    g.shipping_address ->> 'postal_code' AS postal_code, g.shipping_address ->> 'country' AS country,
    g.shipping_address ->> 'phone' AS phone
FROM orders AS o INNER JOIN order_groups AS g ON g.id = o.group_id
WHERE o.id = $1::uuid;

-- name: group_of_order
-- The checkout that an order is part of.
SELECT group_id FROM orders WHERE id = $1::uuid;

-- name: read_replacement
-- What the goods of a replacement order would cost.
SELECT items_minor FROM orders WHERE id = $1::uuid;

-- name: is_replacement
-- Whether an order replaces goods of another.
SELECT true FROM returns WHERE replacement_order_id = $1::uuid;

-- name: read_shop_window
-- How long a shop takes things back: its own time, or the market's usual one.
SELECT coalesce(return_window_s, 1209600) FROM shops WHERE id = $1::uuid;

-- name: set_shop_window
-- Change how long a shop takes things back.
UPDATE shops SET return_window_s = $2::int WHERE id = $1::uuid;

-- name: insert_refund
-- Promise money back, and say what of it is for which units.
WITH promised AS (
    INSERT INTO refunds (
        payment_id, order_id, amount_minor, reason, cause, actor_id, actor_role, shipping_minor, return_id
    )
    VALUES (
        $1::uuid, $2::uuid, $3::bigint, $4::text, $5::text, $6::uuid, $7::text, $8::bigint, $9::uuid
    )
    RETURNING id
), parts AS (
    INSERT INTO refund_lines (refund_id, order_line_id, quantity, amount_minor)
    SELECT promised.id, part.line, part.quantity, part.amount_minor
    FROM promised CROSS JOIN unnest($10::uuid[], $11::int[], $12::bigint[]) AS part (line, quantity, amount_minor)
)
SELECT id FROM promised;

-- name: read_sold
-- What of an order and its shipping (with its tax and discounts) was paid, and what of the latter went back or is
-- promised. Its payment is locked.
SELECT
    o.total_minor,
    o.total_minor - (SELECT sum(l.paid_minor) FROM order_lines AS l WHERE l.order_id = o.id)::bigint AS shipping_minor,
    coalesce((SELECT sum(r.shipping_minor) FROM refunds AS r WHERE r.order_id = o.id AND r.state <> 'failed'), 0)::bigint
        AS shipping_back_minor
FROM orders AS o WHERE o.id = $1::uuid;

-- name: read_sold_lines
-- The lines of an order, with what of them went back or is promised.
SELECT
    l.id AS line, l.quantity, l.paid_minor AS total_minor, coalesce(sum(p.quantity) FILTER (WHERE r.state <> 'failed'), 0)::int AS back,
    coalesce(sum(p.amount_minor) FILTER (WHERE r.state <> 'failed'), 0)::bigint AS back_minor
FROM order_lines AS l
LEFT JOIN refund_lines AS p ON p.order_line_id = l.id
LEFT JOIN refunds AS r ON r.id = p.refund_id
WHERE l.order_id = $1::uuid
GROUP BY l.id
ORDER BY l.position;

-- name: read_refunds
-- Refunds of an order, or one of them, oldest first.
SELECT
    r.id, r.order_id, r.amount_minor, p.currency, r.state, r.cause, r.reason, r.shipping_minor, r.return_id,
    r.actor_id, r.actor_role, r.created_at, r.finished_at
FROM refunds AS r
INNER JOIN payments AS p ON p.id = r.payment_id
WHERE r.order_id = $1::uuid AND ($2::uuid IS NULL OR r.id = $2::uuid)
ORDER BY r.id;

-- name: read_refund_lines
-- What refunds are for.
SELECT p.refund_id, p.order_line_id AS line, p.quantity, p.amount_minor
FROM refund_lines AS p
INNER JOIN order_lines AS l ON l.id = p.order_line_id
WHERE p.refund_id = ANY ($1::uuid[])
ORDER BY p.refund_id, l.position;

-- name: read_left
-- What of a captured order is neither given back nor promised, nor taken back by a bank.
SELECT
    o.currency,
    CASE p.state WHEN 'captured' THEN o.total_minor - coalesce((
        SELECT sum(r.amount_minor) FROM refunds AS r WHERE r.order_id = o.id AND r.state <> 'failed'
    ), 0) - coalesce((
        SELECT sum(s.amount_minor) FROM chargeback_orders AS s INNER JOIN chargebacks AS c ON c.id = s.chargeback_id
        WHERE s.order_id = o.id AND c.state NOT IN ('won', 'reinstated')
    ), 0) ELSE 0 END::bigint AS left_minor
FROM orders AS o
INNER JOIN payments AS p ON p.group_id = o.group_id
WHERE o.id = $1::uuid;

-- name: is_talk_of_order
-- Whether a conversation is between an order's buyer and its shop, and somebody is in it.
SELECT true
FROM orders AS o
INNER JOIN conversations AS c ON c.shop_id = o.shop_id AND c.buyer_id = o.buyer_id
INNER JOIN conversation_members AS m ON m.conversation_id = c.id AND m.user_id = $3::uuid
WHERE o.id = $1::uuid AND c.id = $2::uuid;

-- name: count_refunds
-- How many refunds an order has.
SELECT count(*) FROM refunds WHERE order_id = $1::uuid;

-- name: read_notice
-- What a notice about a refund says.
SELECT r.id, r.order_id, o.number, o.buyer_id, s.name AS shop_name, r.amount_minor, o.currency
FROM refunds AS r
INNER JOIN orders AS o ON o.id = r.order_id
INNER JOIN shops AS s ON s.id = o.shop_id
WHERE r.id = $1::uuid;

-- name: begin_attempt
-- Before the call: say that the provider is asked, under a new key where one was used before. Only who saw the latest
-- attempt begins the next.
UPDATE refunds
SET
    attempt = CASE WHEN asked_at IS NULL THEN attempt ELSE attempt + 1 END, asked_at = clock_timestamp(),
    is_key_spent = false
WHERE id = $1::uuid AND attempt = $2::int AND asked_at IS NOT DISTINCT FROM $3::timestamptz;

-- name: spend_key
-- The provider will never say anything else to this attempt's key.
UPDATE refunds SET is_key_spent = true WHERE id = $1::uuid AND attempt = $2::int;

-- name: insert_payment
-- Open the payment of an order group; a second one for the same group is refused by its unique key.
INSERT INTO payments (group_id, amount_minor, currency) VALUES ($1::uuid, $2::bigint, $3::text) RETURNING id;

-- name: pin_gateway
-- Before the first call: say which provider this payment is made at, for good. No row once it was given up.
UPDATE payments SET gateway = coalesce(gateway, $2::text), capture = coalesce(capture, $3::text)
WHERE id = $1::uuid AND state = 'created' RETURNING gateway, capture;

-- name: list_forgotten_payments
-- Payments that no provider knows although their request had the time to tell it; not those that a job has or had.
SELECT p.id FROM payments AS p
WHERE p.state = 'created' AND p.created_at < now() - $1::interval
    AND NOT EXISTS (SELECT FROM jobs AS j WHERE j.dedup = 'create_intent:' || p.id)
ORDER BY p.created_at LIMIT $2::int;

-- name: read_payment
-- A payment with its buyer and what was given back of it.
SELECT
    p.id, p.group_id, g.buyer_id, p.gateway, p.gateway_reference, p.payment_page_url, p.currency, p.amount_minor,
    p.state, p.decline_code, p.created_at, p.captured_at,
    coalesce((SELECT sum(r.amount_minor) FROM refunds AS r WHERE r.payment_id = p.id AND r.state = 'succeeded'), 0)::bigint
        AS refunded_minor
FROM payments AS p
INNER JOIN order_groups AS g ON g.id = p.group_id
WHERE p.id = $1::uuid;

-- name: store_intent
-- Keep what the provider calls the payment; it can be paid from now on. Whoever comes second changes nothing.
UPDATE payments
SET gateway_reference = $2::text, payment_page_url = $3::text, state = 'pending'
WHERE id = $1::uuid AND gateway_reference IS NULL AND state = 'created';

-- name: find_payment
-- The payment that a provider's reference speaks of, unlocked.
SELECT id, group_id FROM payments WHERE gateway_reference = $1::text;

-- name: lock_group_orders
-- Orders are locked before their payment, in the order of their ids.
SELECT id AS order_id, total_minor FROM orders WHERE group_id = $1::uuid ORDER BY id FOR UPDATE;

-- name: lock_order
-- An order is locked before its payment.
SELECT
    o.id AS order_id, o.group_id, o.shop_id, o.currency, o.total_minor, o.commission_minor, o.subsidy_minor,
    o.status::text AS status, o.payment_status::text AS payment_status
FROM orders AS o WHERE o.id = $1::uuid FOR UPDATE;

-- name: lock_payment
-- The parent of refunds: whoever sums them locks it first.
SELECT id, group_id, gateway, gateway_reference, currency, amount_minor, fee_minor, state, decline_code
FROM payments WHERE id = $1::uuid FOR UPDATE;

-- name: lock_group_payment
-- The one payment of a group, locked.
SELECT id, group_id, gateway, gateway_reference, currency, amount_minor, fee_minor, state, decline_code
FROM payments WHERE group_id = $1::uuid FOR UPDATE;

-- name: store_captured
-- The provider took the money.
UPDATE payments SET state = 'captured', fee_minor = $2::bigint, decline_code = '', captured_at = now() WHERE id = $1::uuid;

-- name: store_authorized
-- The provider holds the money ready.
UPDATE payments SET state = 'authorized', decline_code = '', authorized_until = $2::timestamptz WHERE id = $1::uuid;

-- name: group_waits_for_money
-- Whether any order of a locked group is still to be paid.
SELECT EXISTS (SELECT FROM orders WHERE group_id = $1::uuid AND status = 'pending_payment');

-- name: store_refused
-- The provider will not take this payment, whatever the buyer does.
UPDATE payments SET state = 'canceled', decline_code = $2::text WHERE id = $1::uuid;

-- name: store_declined
-- The provider refused; the buyer may try again.
UPDATE payments SET state = 'failed', decline_code = $2::text WHERE id = $1::uuid;

-- name: store_canceled
-- No money will be taken.
UPDATE payments SET state = 'canceled' WHERE id = $1::uuid;

-- name: read_group_orders
-- What each order of a group has of its payment.
SELECT id AS order_id, total_minor FROM orders WHERE group_id = $1::uuid ORDER BY id;

-- name: sum_refunds
-- What was promised back and not refused, or a bank took and has not given back, of an order and of its whole payment, which is locked.
WITH gone AS (
    SELECT order_id, amount_minor, state = 'succeeded' AS is_refunded
    FROM refunds WHERE payment_id = $1::uuid AND state <> 'failed'
    UNION ALL
    SELECT s.order_id, s.amount_minor, false
    FROM chargebacks AS c INNER JOIN chargeback_orders AS s ON s.chargeback_id = c.id
    WHERE c.payment_id = $1::uuid AND c.state NOT IN ('won', 'reinstated')
)
SELECT
    coalesce(sum(amount_minor) FILTER (WHERE order_id = $2::uuid), 0)::bigint AS of_order_minor,
    coalesce(sum(amount_minor) FILTER (WHERE order_id = $2::uuid AND is_refunded), 0)::bigint AS succeeded_of_order_minor,
    coalesce(sum(amount_minor), 0)::bigint AS of_payment_minor
FROM gone;

-- name: read_refund
-- A refund with what the provider has to be told.
SELECT
    r.id, r.payment_id, r.order_id, r.amount_minor, p.currency, r.state, r.gateway_reference, p.gateway,
    p.gateway_reference AS intent_reference, r.attempt, r.asked_at, r.is_key_spent
FROM refunds AS r
INNER JOIN payments AS p ON p.id = r.payment_id
WHERE r.id = $1::uuid;

-- name: find_refund
-- The refund that a provider's reference speaks of, or, where its answer never came, ours at the provider. Unlocked.
SELECT id FROM refunds WHERE gateway_reference = $1::text
UNION ALL
SELECT id FROM refunds WHERE id::text = $2::text AND gateway_reference IS NULL
LIMIT 1;

-- name: store_refund_reference
-- Keep what the provider calls the refund.
UPDATE refunds SET gateway_reference = $2::text WHERE id = $1::uuid AND gateway_reference IS NULL;

-- name: finish_refund
-- The refund came to its end. Its payment is locked.
UPDATE refunds SET state = $2::text::refund_state, finished_at = now() WHERE id = $1::uuid;

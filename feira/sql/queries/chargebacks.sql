-- name: find_payment
-- The captured payment that was taken back, unlocked.
SELECT id, group_id FROM payments WHERE gateway = $1::text AND gateway_reference = $2::text;

-- name: read_orders
-- The orders of a payment, which are locked already, with what each gave back or promised.
SELECT
    o.id AS order_id, o.total_minor,
    (
        SELECT coalesce(sum(r.amount_minor), 0) FROM refunds AS r WHERE r.order_id = o.id AND r.state <> 'failed'
    )::bigint + (
        SELECT coalesce(sum(s.amount_minor), 0)
        FROM chargeback_orders AS s INNER JOIN chargebacks AS c ON c.id = s.chargeback_id
        WHERE s.order_id = o.id AND c.state NOT IN ('won', 'reinstated')
    )::bigint AS before_minor
FROM orders AS o WHERE o.group_id = $1::uuid
ORDER BY o.id;

-- name: lock_chargeback
-- By what its provider calls it; after its orders and payment.
SELECT
    id, payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason, state, evidence_due_at, evidence::text AS evidence,
    evidence_by, evidence_at, opened_at, closed_at
FROM chargebacks WHERE gateway = $1::text AND gateway_reference = $2::text FOR UPDATE;

-- name: lock_by_id
-- To be answered.
SELECT
    id, payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason, state, evidence_due_at, evidence::text AS evidence,
    evidence_by, evidence_at, opened_at, closed_at
FROM chargebacks WHERE id = $1::uuid FOR UPDATE;

-- name: read_chargeback
-- One chargeback.
SELECT
    id, payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason, state, evidence_due_at, evidence::text AS evidence,
    evidence_by, evidence_at, opened_at, closed_at
FROM chargebacks WHERE id = $1::uuid;

-- name: insert_chargeback
-- The bank took the money. Its payment is locked, so that nobody else just inserts it.
INSERT INTO chargebacks (payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason, evidence_due_at)
VALUES ($1::uuid, $2::text, $3::text, $4::bigint, $5::text, $6::bigint, $7::text, $8::timestamptz)
RETURNING
    id, payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason, state, evidence_due_at, evidence::text AS evidence,
    evidence_by, evidence_at, opened_at, closed_at;

-- name: store_state
-- It moved on.
UPDATE chargebacks SET
    state = $2::text::chargeback_state, evidence_due_at = $3::timestamptz,
    closed_at = CASE WHEN $2::text IN ('won', 'lost', 'reinstated') THEN coalesce(closed_at, now()) END
WHERE id = $1::uuid;

-- name: insert_share
-- An order's share, for good.
INSERT INTO chargeback_orders (chargeback_id, order_id, shop_id, amount_minor, commission_minor, subsidy_minor, excess_minor)
VALUES ($1::uuid, $2::uuid, $3::uuid, $4::bigint, $5::bigint, $6::bigint, $7::bigint);

-- name: read_shares
-- The orders' shares, in the order in which shops' balances are locked.
SELECT s.order_id, o.number, s.shop_id, s.amount_minor, s.commission_minor, s.subsidy_minor, s.excess_minor
FROM chargeback_orders AS s INNER JOIN orders AS o ON o.id = s.order_id
WHERE s.chargeback_id = $1::uuid ORDER BY s.shop_id, s.order_id;

-- name: store_evidence
-- The answer, to be given to the bank by a job.
UPDATE chargebacks SET evidence = $2::jsonb, evidence_by = $3::uuid, evidence_at = now() WHERE id = $1::uuid;

-- name: list_by_shop
-- A shop's, the latest first.
SELECT
    c.id, c.payment_id, c.gateway, c.gateway_reference, c.amount_minor, c.currency, c.fee_minor, c.reason, c.state,
    c.evidence_due_at, c.evidence::text AS evidence, c.evidence_by, c.evidence_at, c.opened_at, c.closed_at
FROM chargebacks AS c
WHERE EXISTS (SELECT FROM chargeback_orders AS s WHERE s.chargeback_id = c.id AND s.shop_id = $1::uuid)
    AND ($2::uuid IS NULL OR c.id < $2::uuid)
ORDER BY c.id DESC LIMIT $3::int;

-- name: list_by_state
-- All, the latest first.
SELECT
    id, payment_id, gateway, gateway_reference, amount_minor, currency, fee_minor, reason, state, evidence_due_at, evidence::text AS evidence,
    evidence_by, evidence_at, opened_at, closed_at
FROM chargebacks
WHERE ($1::text IS NULL OR state = $1::text::chargeback_state) AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC LIMIT $3::int;

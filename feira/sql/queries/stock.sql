-- name: lock_stock
-- Take the stock rows of SKUs, always in the order of their ids: no two buyers of the same basket wait in a ring.
-- (Arrays behind a sub-select: their length is no reason for PostgreSQL to plan this anew each time. Here and below.)
SELECT s.variant_id, v.product_id, v.active, s.on_hand, s.reserved FROM stock s JOIN variants v ON v.id = s.variant_id
WHERE s.variant_id = ANY (ARRAY(SELECT unnest($1::uuid[]))) ORDER BY s.variant_id FOR UPDATE OF s;

-- name: move_stock
-- Change locked stock. The condition holds even for a caller that forgot to look.
UPDATE stock s SET on_hand = s.on_hand + d.on_hand, reserved = s.reserved + d.reserved
FROM unnest($1::uuid[], $2::int[], $3::int[]) AS d (variant_id, on_hand, reserved)
WHERE s.variant_id = d.variant_id AND s.on_hand + d.on_hand >= s.reserved + d.reserved
RETURNING s.variant_id;

-- name: insert_movements
-- Write down why on_hand changed.
INSERT INTO stock_movements (variant_id, quantity, cause, order_id, actor_id)
SELECT variant_id, quantity, $3::text, order_id, $5::uuid
FROM unnest($1::uuid[], $2::int[], $4::uuid[]) AS m (variant_id, quantity, order_id);

-- name: hold_stock
-- Hold stock for new orders, all of it or nothing: take the rows as lock_stock does, and hold if there is enough of each.
-- Says what there was. (A row that changed while it was waited for is updated in its latest version, which is the locked one.)
WITH holds AS (
    SELECT order_id, variant_id, quantity
    FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS h (order_id, variant_id, quantity)
), wanted AS (
    SELECT variant_id, sum(quantity)::int AS quantity FROM holds GROUP BY variant_id
), locked AS (
    SELECT s.variant_id, s.on_hand, s.reserved FROM stock s
    WHERE s.variant_id = ANY (ARRAY(SELECT unnest($2::uuid[]))) ORDER BY s.variant_id FOR UPDATE OF s
), verdict AS (
    SELECT bool_and(coalesce(l.on_hand - l.reserved >= w.quantity, false)) AS enough
    FROM wanted w LEFT JOIN locked l ON l.variant_id = w.variant_id
), held AS (
    INSERT INTO reservations (order_id, variant_id, quantity, expires_at)
    SELECT h.order_id, h.variant_id, h.quantity, $4::timestamptz FROM holds h, verdict WHERE verdict.enough
), moved AS (
    UPDATE stock s SET reserved = s.reserved + w.quantity
    FROM wanted w, verdict WHERE s.variant_id = w.variant_id AND verdict.enough
)
SELECT l.variant_id, v.product_id, v.active, l.on_hand, l.reserved FROM locked l JOIN variants v ON v.id = l.variant_id;

-- name: list_reserved_variants
-- The SKUs whose stock has to be locked before reservations of these orders in these states may change.
SELECT DISTINCT variant_id FROM reservations
WHERE order_id = ANY ($1::uuid[]) AND state = ANY ($2::reservation_state[]);

-- name: read_reservations
-- Orders' reservations whose stock is locked.
SELECT order_id, variant_id, quantity, state FROM reservations
WHERE order_id = ANY ($1::uuid[]) AND variant_id = ANY ($2::uuid[]);

-- name: move_reservations
-- Move orders' reservations on whose stock is locked.
UPDATE reservations SET state = $4::reservation_state
WHERE order_id = ANY ($1::uuid[]) AND variant_id = ANY ($2::uuid[]) AND state = $3::reservation_state
RETURNING order_id, variant_id, quantity, state;

-- name: return_units
-- Some units of sold reservations come back whose stock is locked; with the last one the reservation is over.
UPDATE reservations AS r SET
    state = CASE WHEN r.quantity = u.quantity THEN 'restocked' ELSE r.state END,
    quantity = r.quantity - CASE WHEN r.quantity = u.quantity THEN 0 ELSE u.quantity END
FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS u (order_id, variant_id, quantity)
WHERE r.order_id = u.order_id AND r.variant_id = u.variant_id AND r.state = 'sold' AND r.quantity >= u.quantity
RETURNING r.order_id, r.variant_id, u.quantity, r.state;

-- name: skip_lock_expired
-- Take stock rows of holds that are over, passing by those that somebody has.
SELECT s.variant_id, v.product_id, v.active, s.on_hand, s.reserved FROM stock s JOIN variants v ON v.id = s.variant_id
WHERE s.variant_id IN (
    SELECT r.variant_id FROM reservations r WHERE r.state = 'held' AND r.expires_at < $1::timestamptz
)
ORDER BY s.variant_id LIMIT $2::int FOR UPDATE OF s SKIP LOCKED;

-- name: release_expired
-- Let go of holds that are over and whose stock is locked.
UPDATE reservations SET state = 'released'
WHERE variant_id = ANY ($1::uuid[]) AND state = 'held' AND expires_at < $2::timestamptz
RETURNING order_id, variant_id, quantity, state;

-- name: insert_release
-- A completed order's money is in clearance for as long as its shop's terms, or the market's, say.
INSERT INTO releases (order_id, shop_id, currency, due_at)
SELECT $1::uuid, $2::uuid, $3::text, $4::timestamptz + make_interval(secs => coalesce(s.clearance_s, p.clearance_s))
FROM payout_policy AS p
LEFT JOIN payout_settings AS s ON s.shop_id = $2::uuid
ON CONFLICT (order_id) DO NOTHING
RETURNING due_at;

-- name: lock_due_orders
-- Orders whose clearance is over, in the order in which shops' balances are locked; what somebody holds is passed by.
SELECT o.id
FROM orders AS o
INNER JOIN releases AS r ON r.order_id = o.id
WHERE r.order_id IN (
        SELECT order_id FROM releases
        WHERE released_at IS NULL AND paused_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT $1::int
    )
    AND r.released_at IS NULL AND r.paused_at IS NULL
ORDER BY o.shop_id, o.id
FOR UPDATE OF o SKIP LOCKED;

-- name: finish_release
-- The clearance is over. No row where that was done, or it was paused, before the order was locked.
UPDATE releases SET released_at = now()
WHERE order_id = $1::uuid AND released_at IS NULL AND paused_at IS NULL
RETURNING order_id;

-- name: pause_release
-- One more cause to keep it; the clock stands still from the first one on. No row where it is over or known.
UPDATE releases SET causes = array_append(causes, $2::text), paused_at = coalesce(paused_at, now())
WHERE order_id = $1::uuid AND released_at IS NULL AND NOT causes @> ARRAY[$2::text]
RETURNING shop_id, currency, due_at, paused_at;

-- name: resume_release
-- A cause is gone; with the last one the clock goes on, later by as much as it stood.
UPDATE releases SET
    causes = array_remove(causes, $2::text),
    due_at = CASE WHEN causes = ARRAY[$2::text] THEN due_at + (now() - paused_at) ELSE due_at END,
    paused_at = CASE WHEN causes = ARRAY[$2::text] THEN NULL ELSE paused_at END
WHERE order_id = $1::uuid AND released_at IS NULL AND causes @> ARRAY[$2::text]
RETURNING shop_id, currency, due_at, paused_at;

-- name: list_upcoming
-- The next of a shop's releases.
SELECT r.order_id AS "order", o.number, r.currency, r.due_at, r.paused_at
FROM releases AS r
INNER JOIN orders AS o ON o.id = r.order_id
WHERE r.shop_id = $1::uuid AND r.released_at IS NULL
ORDER BY r.due_at, r.order_id LIMIT $2::int;

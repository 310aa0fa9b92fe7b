-- name: insert_dispute
-- Open a dispute; a second open one about the same order is refused by its unique index.
INSERT INTO order_disputes (order_id, opened_by, problem, opened_from, conversation_id, opened_at)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::uuid, $6::timestamptz)
RETURNING id;

-- name: read_open
-- The open dispute about a locked order.
SELECT id, conversation_id FROM order_disputes WHERE order_id = $1::uuid AND state = 'open';

-- name: insert_evidence
-- Keep what somebody said.
INSERT INTO dispute_evidence (dispute_id, author_id, side, text, at)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::timestamptz)
RETURNING id;

-- name: store_proposal
-- What is on the table from now on.
UPDATE order_disputes SET proposed_by = $2::text, proposed_refund_minor = $3::bigint
WHERE id = $1::uuid AND state = 'open';

-- name: end_dispute
-- How it ended; the order is locked.
UPDATE order_disputes
SET
    state = $2::text::dispute_state, outcome = $3::text, refund_minor = $4::bigint, ended_by = $5::uuid,
    ended_at = $6::timestamptz, why = $7::text
WHERE id = $1::uuid AND state = 'open';

-- name: list_of_order
-- All disputes about an order, oldest first.
SELECT
    d.id, d.order_id, d.state::text AS state, d.problem, d.opened_by, d.opened_at, d.conversation_id, d.proposed_by,
    d.proposed_refund_minor, d.claimed_by, d.outcome, d.refund_minor, d.ended_by, d.ended_at, d.why
FROM order_disputes AS d
WHERE d.order_id = $1::uuid
ORDER BY d.id;

-- name: list_evidence
-- What was said in some disputes, oldest first.
SELECT e.id, e.dispute_id, e.side, e.author_id, e.text, e.at
FROM dispute_evidence AS e
WHERE e.dispute_id = ANY ($1::uuid[])
ORDER BY e.id;

-- name: list_evidence_files
-- The files that came with it, as they were named.
SELECT a.evidence_id, a.id, a.name, a.content_type, a.size_bytes
FROM attachments AS a
INNER JOIN dispute_evidence AS e ON e.id = a.evidence_id
WHERE e.dispute_id = ANY ($1::uuid[])
ORDER BY a.id;

-- name: list_queue
-- Support's queue in one state, the oldest first, by keyset.
SELECT
    d.id, d.order_id, o.number, d.state::text AS state, d.problem, d.opened_at, d.conversation_id, d.claimed_by,
    d.claimed_at, d.outcome, d.refund_minor, o.currency, o.total_minor, o.shop_id, s.name AS shop_name, o.buyer_id,
    b.display_name AS buyer_name, t.due_at
FROM order_disputes AS d
INNER JOIN orders AS o ON o.id = d.order_id
INNER JOIN shops AS s ON s.id = o.shop_id
INNER JOIN users AS b ON b.id = o.buyer_id
LEFT JOIN order_deadlines AS t ON t.order_id = d.order_id AND t.kind = 'dispute_decision' AND d.state = 'open'
WHERE d.state = $1::text::dispute_state AND ($2::uuid IS NULL OR d.id > $2::uuid)
ORDER BY d.id
LIMIT $3::int;

-- name: lock_dispute
-- A dispute that somebody takes on.
SELECT id, order_id, conversation_id, state::text AS state, claimed_by FROM order_disputes WHERE id = $1::uuid FOR UPDATE;

-- name: claim_dispute
-- Somebody of support looks after it from now on.
UPDATE order_disputes SET claimed_by = $2::uuid, claimed_at = $3::timestamptz WHERE id = $1::uuid AND state = 'open';

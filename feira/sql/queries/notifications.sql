-- name: lock_inbox
-- Take turns on a user's notifications, so that unread counts leave in the order in which they are true.
SELECT pg_advisory_xact_lock(hashtextextended('inbox:' || $1::uuid, 0));

-- name: insert_notification
-- Add a notification; one whose dedup key is known already gives no row.
INSERT INTO notifications (user_id, kind, data, dedup, created_at)
VALUES ($1::uuid, $2::text, $3::jsonb, $4::text, $5::timestamptz)
ON CONFLICT (dedup) DO NOTHING
RETURNING id, created_at;

-- name: count_unread
-- How many are unread, up to a number beyond which nobody counts.
SELECT count(*) FROM (
    SELECT FROM notifications WHERE user_id = $1::uuid AND read_at IS NULL LIMIT $2::int
) AS unread;

-- name: list_notifications
-- A user's notifications, the newest first, before an id.
SELECT id, kind, data, created_at, read_at FROM notifications
WHERE user_id = $1::uuid AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC
LIMIT $3::int;

-- name: list_unread
-- The same of the unread ones.
SELECT id, kind, data, created_at, read_at FROM notifications
WHERE user_id = $1::uuid AND read_at IS NULL AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC
LIMIT $3::int;

-- name: mark_read
-- Mark some of a user's notifications read; those that were already, or are others', give no row.
UPDATE notifications SET read_at = $3::timestamptz
WHERE user_id = $1::uuid AND id = ANY ($2::uuid[]) AND read_at IS NULL
RETURNING id;

-- name: mark_read_up_to
-- Mark everything up to and including one of the user's notifications read.
UPDATE notifications SET read_at = $3::timestamptz
WHERE user_id = $1::uuid AND id <= $2::uuid AND read_at IS NULL
RETURNING id;

-- name: read_order_notice
-- What a notice about an order says, and to which buyer.
SELECT o.id, o.number, o.total_minor, o.currency, o.shop_id, s.name AS shop_name,
    o.buyer_id, u.display_name AS buyer_name
FROM orders o JOIN shops s ON s.id = o.shop_id JOIN users u ON u.id = o.buyer_id
WHERE o.id = $1::uuid;

-- name: read_parcel
-- What the buyer is told about a shipment.
SELECT carrier, tracking_number FROM shipments WHERE id = $1::uuid AND order_id = $2::uuid;

-- name: list_people
-- Whom mail may reach of these users: active, with a confirmed address.
SELECT id, email::text AS email, display_name FROM users
WHERE id = ANY ($1::uuid[]) AND status = 'active' AND email_verified_at IS NOT NULL
ORDER BY id;

-- name: list_team
-- A shop's team.
SELECT user_id FROM shop_members WHERE shop_id = $1::uuid ORDER BY user_id;

-- name: read_unread
-- How far a member is behind in a conversation, and who spoke last; the shop speaks under its own name.
SELECT m.read_seq, (c.seq - c.changes) - (m.read_seq - m.read_changes) AS count, c.shop_id, last.sender_id,
    CASE WHEN last.sender_id = c.buyer_id THEN u.display_name ELSE s.name END AS sender_name
FROM conversation_members m
JOIN conversations c ON c.id = m.conversation_id
JOIN shops s ON s.id = c.shop_id
CROSS JOIN LATERAL (
    SELECT l.sender_id FROM messages l WHERE l.conversation_id = c.id ORDER BY l.seq DESC LIMIT 1
) last
JOIN users u ON u.id = last.sender_id
WHERE m.conversation_id = $1::uuid AND m.user_id = $2::uuid;

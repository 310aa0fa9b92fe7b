-- name: lock_conversation
-- Take a conversation while its members change, and say what inboxes hear of it.
SELECT shop_id, buyer_id FROM conversations WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: read_member
-- A member as the others see them.
SELECT m.user_id, u.display_name, m.role, m.read_seq, m.delivered_seq,
       CASE WHEN u.last_seen_visible THEN u.last_seen_at END AS last_seen_at, u.last_seen_visible
FROM conversation_members m JOIN users u ON u.id = m.user_id
WHERE m.conversation_id = $1::uuid AND m.user_id = $2::uuid;

-- name: has_support
-- Whether somebody of the market has joined.
SELECT EXISTS (SELECT FROM conversation_members WHERE conversation_id = $1::uuid AND role = 'support');

-- name: read_helper
-- The name of somebody who works for the market's support.
SELECT display_name FROM users WHERE id = $1::uuid AND status = 'active' AND roles && ARRAY['support', 'admin'];

-- name: add_helper
-- Add a member who has nothing to catch up with: what was said before can be read, but is not unread.
INSERT INTO conversation_members (conversation_id, user_id, role, read_seq, read_changes, delivered_seq)
SELECT id, $2::uuid, 'support', seq, changes, seq FROM conversations WHERE id = $1::uuid;

-- name: remove_member
-- Take a member out.
DELETE FROM conversation_members WHERE conversation_id = $1::uuid AND user_id = $2::uuid;

-- name: insert_support_request
-- Ask for support, unless somebody has already.
INSERT INTO support_requests (conversation_id, requested_by, reason, requested_at)
VALUES ($1::uuid, $2::uuid, $3::text, $4::timestamptz)
ON CONFLICT (conversation_id) DO NOTHING
RETURNING true;

-- name: delete_support_request
-- Somebody came.
DELETE FROM support_requests WHERE conversation_id = $1::uuid;

-- name: read_support_request
-- What a conversation waits for.
SELECT r.conversation_id, r.requested_by, r.reason, r.requested_at, c.shop_id, s.name AS shop_name, c.buyer_id,
    b.display_name AS buyer_name, c.subject_kind, c.subject_id
FROM support_requests r
JOIN conversations c ON c.id = r.conversation_id
JOIN shops s ON s.id = c.shop_id
JOIN users b ON b.id = c.buyer_id
WHERE r.conversation_id = $1::uuid;

-- name: list_support_requests
-- The conversations that wait longest.
SELECT r.conversation_id, r.requested_by, r.reason, r.requested_at, c.shop_id, s.name AS shop_name, c.buyer_id,
    b.display_name AS buyer_name, c.subject_kind, c.subject_id
FROM support_requests r
JOIN conversations c ON c.id = r.conversation_id
JOIN shops s ON s.id = c.shop_id
JOIN users b ON b.id = c.buyer_id
ORDER BY r.requested_at, r.conversation_id LIMIT $1::int;

-- name: may_block
-- Whether one user has met another in a conversation, and what the other is on the platform.
SELECT u.roles <> '{}' AS is_staff
FROM users u
WHERE u.id = $2::uuid AND EXISTS (
    SELECT FROM conversation_members a JOIN conversation_members b ON b.conversation_id = a.conversation_id
    WHERE a.user_id = $1::uuid AND b.user_id = $2
);

-- name: insert_block
-- Hear no more from somebody; doing it again changes nothing.
INSERT INTO user_blocks (blocker_id, blocked_id) VALUES ($1::uuid, $2::uuid) ON CONFLICT DO NOTHING RETURNING true;

-- name: delete_block
-- Hear from somebody again.
DELETE FROM user_blocks WHERE blocker_id = $1::uuid AND blocked_id = $2::uuid RETURNING true;

-- name: list_blocks
-- Whom a user does not want to hear from, in the order of their ids.
SELECT b.blocked_id AS user_id, u.display_name, b.created_at AS since
FROM user_blocks b JOIN users u ON u.id = b.blocked_id
WHERE b.blocker_id = $1::uuid AND ($2::uuid IS NULL OR b.blocked_id > $2)
ORDER BY b.blocked_id LIMIT $3::int;

-- name: list_hearings
-- Of some senders, those who are members of their conversation: whether another member has blocked them, and until when the market lets them say nothing.
SELECT s.conversation_id, s.sender_id, l.until AS limited_until,
       EXISTS (
           SELECT FROM user_blocks b JOIN conversation_members o ON o.user_id = b.blocker_id AND o.conversation_id = s.conversation_id
           WHERE b.blocked_id = s.sender_id
       ) AS is_blocked
FROM unnest($1::uuid[], $2::uuid[]) AS s (conversation_id, sender_id)
JOIN conversation_members m ON m.conversation_id = s.conversation_id AND m.user_id = s.sender_id
LEFT JOIN posting_limits l ON l.user_id = s.sender_id AND l.until > now();

-- name: read_posting_limit
-- Until when a user may say nothing, while that lasts.
SELECT until FROM posting_limits WHERE user_id = $1::uuid AND until > now();

-- name: limit_posting
-- Keep a user from posting until then; a longer limit that stands already stays.
INSERT INTO posting_limits AS l (user_id, until, report_id) VALUES ($1::uuid, $2::timestamptz, $3::uuid)
ON CONFLICT (user_id) DO UPDATE SET until = EXCLUDED.until, report_id = EXCLUDED.report_id WHERE l.until < EXCLUDED.until
RETURNING true;

-- name: is_blocked_by_team
-- Whether somebody of a shop's team has blocked a user.
SELECT EXISTS (
    SELECT FROM user_blocks b JOIN shop_members t ON t.user_id = b.blocker_id
    WHERE b.blocked_id = $2::uuid AND t.shop_id = $1::uuid
);

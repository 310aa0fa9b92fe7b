-- name: insert_report
-- Report something, once per person and thing.
INSERT INTO reports (reporter_id, conversation_id, message_seq, sender_id, message, reason, text, created_at)
VALUES ($1::uuid, $2::uuid, $3::bigint, $4::uuid, $5::json, $6::text, $7::text, $8::timestamptz)
ON CONFLICT ON CONSTRAINT reports_once DO NOTHING
RETURNING id;

-- name: find_report
-- What a user has said already about a message, or about a conversation as a whole.
SELECT id, conversation_id, message_seq, reason, text, state, created_at, decided_at
FROM reports
WHERE reporter_id = $1::uuid AND conversation_id = $2::uuid AND message_seq IS NOT DISTINCT FROM $3::bigint;

-- name: count_open_reports
-- How many of a user's reports wait to be decided, up to a number beyond which nobody counts.
SELECT count(*) FROM (SELECT FROM reports WHERE reporter_id = $1::uuid AND state = 'open' LIMIT $2::int) open;

-- name: list_own_reports
-- A user's reports, the latest first, before an id.
SELECT id, conversation_id, message_seq, reason, text, state, created_at, decided_at
FROM reports
WHERE reporter_id = $1::uuid AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3::int;

-- name: list_reports
-- The moderators' queue: the open ones first, the oldest of them first, after a place in that order.
SELECT r.id, r.reporter_id, p.display_name AS reporter_name, r.conversation_id, r.message_seq, r.sender_id, s.display_name AS sender_name,
       coalesce(r.message, 'null') AS message, r.reason, r.text, r.state, r.created_at, r.claimed_by, r.claimed_at, r.decided_by, r.decided_at, r.why
FROM reports r JOIN users p ON p.id = r.reporter_id LEFT JOIN users s ON s.id = r.sender_id
WHERE ($1::report_state IS NULL OR r.state = $1)
  AND ($2::report_state IS NULL OR (r.state, r.id) > ($2, $3::uuid))
ORDER BY r.state, r.id LIMIT $4::int;

-- name: read_report
-- One of the queue.
SELECT r.id, r.reporter_id, p.display_name AS reporter_name, r.conversation_id, r.message_seq, r.sender_id, s.display_name AS sender_name,
       coalesce(r.message, 'null') AS message, r.reason, r.text, r.state, r.created_at, r.claimed_by, r.claimed_at, r.decided_by, r.decided_at, r.why
FROM reports r JOIN users p ON p.id = r.reporter_id LEFT JOIN users s ON s.id = r.sender_id
WHERE r.id = $1::uuid;

-- name: lock_report
-- Take a report, so that one moderator at a time moves it on.
SELECT id, conversation_id, message_seq, sender_id, state, claimed_by, claimed_at
FROM reports WHERE id = $1::uuid FOR NO KEY UPDATE;

-- name: claim_report
-- A moderator looks into it from now on.
UPDATE reports SET claimed_by = $2::uuid, claimed_at = $3::timestamptz WHERE id = $1::uuid;

-- name: decide_report
-- How a report ends: by whom, when and why.
UPDATE reports SET state = $2::report_state, decided_by = $3::uuid, decided_at = $4::timestamptz, why = $5::text WHERE id = $1::uuid;

-- name: read_sender
-- Whether a user has a say in a conversation, as a buyer or for the shop, and what they are on the platform.
SELECT u.roles <> '{}' AS is_staff
FROM users u
WHERE u.id = $2::uuid AND (
    EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = $1::uuid AND m.user_id = $2 AND m.role <> 'support')
    OR EXISTS (SELECT FROM messages s WHERE s.conversation_id = $1 AND s.seq = $3::bigint AND s.sender_id = $2)
);

-- name: read_outcome
-- What the reporter, and whoever was limited by it, are told.
SELECT r.reporter_id, r.conversation_id, r.state, l.user_id AS limited, l.until
FROM reports r LEFT JOIN posting_limits l ON l.report_id = r.id
WHERE r.id = $1::uuid;

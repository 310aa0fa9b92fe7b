-- name: count_waiting
-- How many files of one person wait to be sent.
SELECT count(*) FROM attachments
WHERE sender_id = $1::uuid AND client_id IS NULL AND state IN ('awaiting_upload', 'ready');

-- name: insert_attachment
-- Announce a file.
INSERT INTO attachments (conversation_id, sender_id, name, content_type, size_bytes, upload_until)
VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::int, $6::timestamptz)
RETURNING id, conversation_id, sender_id, name, content_type, size_bytes, state::text AS state, reason, width, height,
    client_id IS NOT NULL AS claimed;

-- name: read_own
-- A file by whoever uploads it.
SELECT id, conversation_id, sender_id, name, content_type, size_bytes, state::text AS state, reason, width, height,
    client_id IS NOT NULL AS claimed
FROM attachments WHERE id = $1::uuid AND sender_id = $2::uuid AND state NOT IN ('forgotten', 'gone');

-- name: read_attachment
-- A file, for the job that draws it.
SELECT id, conversation_id, sender_id, name, content_type, size_bytes, state::text AS state, reason, width, height,
    client_id IS NOT NULL AS claimed
FROM attachments WHERE id = $1::uuid AND state NOT IN ('forgotten', 'gone');

-- name: read_visible
-- A file as one person may see it: an own one, or one of a message in a conversation of theirs.
SELECT a.id, a.conversation_id, a.sender_id, a.name, a.content_type, a.size_bytes, a.state::text AS state, a.reason,
    a.width, a.height, a.client_id IS NOT NULL AS claimed
FROM attachments a
JOIN conversation_members m ON m.conversation_id = a.conversation_id AND m.user_id = $2::uuid
LEFT JOIN messages s ON s.conversation_id = a.conversation_id AND s.sender_id = a.sender_id AND s.client_id = a.client_id
WHERE a.id = $1::uuid AND a.state NOT IN ('forgotten', 'gone')
  AND (s.seq IS NOT NULL OR a.evidence_id IS NOT NULL OR (a.sender_id = $2 AND a.client_id IS NULL));

-- name: list_sent
-- The files of a conversation's messages, the newest first.
SELECT a.id, a.conversation_id, a.sender_id, a.name, a.content_type, a.size_bytes, a.state::text AS state, a.reason,
    a.width, a.height, true AS claimed
FROM attachments a
JOIN messages s ON s.conversation_id = a.conversation_id AND s.sender_id = a.sender_id AND s.client_id = a.client_id
WHERE a.conversation_id = $1::uuid AND a.client_id IS NOT NULL AND a.state NOT IN ('forgotten', 'gone')
  AND ($2::uuid IS NULL OR a.id < $2)
ORDER BY a.id DESC LIMIT $3::int;

-- name: decide_upload
-- What the look at the bytes found; only the first look counts.
UPDATE attachments SET state = $2::text::attachment_state, reason = $3::text
WHERE id = $1::uuid AND state = 'awaiting_upload'
RETURNING true;

-- name: set_drawn
-- An image was drawn anew at that size.
UPDATE attachments SET width = $2::int, height = $3::int WHERE id = $1::uuid AND state = 'ready' AND width IS NULL
RETURNING true;

-- name: refuse_drawn
-- An image that cannot be drawn.
UPDATE attachments SET state = 'refused', reason = $2::text WHERE id = $1::uuid AND state = 'ready' AND width IS NULL
RETURNING true;

-- name: forget_own
-- Take back a file that was not sent.
UPDATE attachments SET state = 'forgotten'
WHERE id = $1::uuid AND sender_id = $2::uuid AND client_id IS NULL AND state NOT IN ('forgotten', 'gone')
RETURNING true;

-- name: claim
-- Give files to the messages (numbered) that name them, a message's all or none. What a message has already stays its own.
WITH wanted AS (
    SELECT * FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[])
        AS w (message, id, conversation_id, sender_id, client_id)
), free AS (
    SELECT w.message
    FROM attachments a JOIN wanted w USING (id, conversation_id, sender_id)
    WHERE a.client_id = w.client_id OR (a.client_id IS NULL AND a.state = 'ready')
    ORDER BY a.id
    FOR UPDATE OF a
), whole AS (
    SELECT message FROM wanted GROUP BY message
    HAVING count(*) = (SELECT count(*) FROM free WHERE free.message = wanted.message)
)
UPDATE attachments a SET client_id = w.client_id, claimed_at = coalesce(a.claimed_at, now())
FROM wanted w JOIN whole USING (message)
WHERE a.id = w.id
RETURNING w.message, a.id, a.name, a.content_type, a.size_bytes;

-- name: read_claimable
-- Why files could not be given to a message: what they are, seen by one person in one conversation.
SELECT a.id, a.state::text AS state, a.reason, a.client_id IS NOT NULL AND a.client_id <> $4::uuid AS taken
FROM attachments a
WHERE a.id = ANY ($1::uuid[]) AND a.conversation_id = $2::uuid AND a.sender_id = $3::uuid AND a.state NOT IN ('forgotten', 'gone');

-- name: claim_for_evidence
-- Give files to a piece of evidence in place of a message.
UPDATE attachments AS a SET client_id = $1::uuid, evidence_id = $1::uuid, claimed_at = now()
WHERE
    a.id = ANY ($2::uuid[]) AND a.conversation_id = $3::uuid AND a.sender_id = $4::uuid AND a.state = 'ready'
    AND a.client_id IS NULL
RETURNING a.id, a.name, a.content_type, a.size_bytes;

-- name: settle_sent
-- Sweep: write down for older files in which message they went out.
UPDATE attachments a SET message_seq = s.seq
FROM messages s
WHERE a.message_seq IS NULL AND a.client_id IS NOT NULL AND a.created_at < now() - make_interval(secs => $1::float8)
  AND s.conversation_id = a.conversation_id AND s.sender_id = a.sender_id AND s.client_id = a.client_id;

-- name: forget_unsent
-- Sweep: files that nobody sent in time can be sent no more.
UPDATE attachments SET state = 'forgotten'
WHERE id IN (
    SELECT id FROM attachments
    WHERE message_seq IS NULL AND evidence_id IS NULL AND state NOT IN ('forgotten', 'gone') AND created_at < now() - make_interval(secs => $1::float8)
      AND coalesce(claimed_at, created_at) < now() - make_interval(secs => $1)
    ORDER BY created_at LIMIT $2::int FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: forget_sent
-- The files of a message that was deleted.
UPDATE attachments SET state = 'forgotten'
WHERE id = ANY ($1::uuid[]) AND conversation_id = $2::uuid AND state IN ('ready', 'refused');

-- name: list_forgotten
-- Sweep: files whose objects are to be deleted.
SELECT id FROM attachments WHERE state = 'forgotten' ORDER BY created_at LIMIT $1::int;

-- name: end_forgotten
-- Sweep: their objects are gone. A row stays for the message that named it, so that a resend of that finds its file.
WITH ended AS (
    UPDATE attachments SET state = 'gone' WHERE id = ANY ($1::uuid[]) AND state = 'forgotten' AND client_id IS NOT NULL
)
DELETE FROM attachments WHERE id = ANY ($1) AND state = 'forgotten' AND client_id IS NULL;

-- name: list_ended_uploads
-- Sweep: forms that write no more.
SELECT id FROM attachments WHERE upload_until < now() - make_interval(secs => $1::float8) ORDER BY upload_until LIMIT $2::int;

-- name: end_uploads
-- Sweep: what they may have written since was deleted.
UPDATE attachments SET upload_until = NULL WHERE id = ANY ($1::uuid[]);

-- name: lock_message
-- Take a message, so that what changes it happens one after the other. Before the conversation, which posting locks.
SELECT sender_id AS sender, at AS said_at, coalesce(revised, body) AS body, deleted_seq
FROM messages WHERE conversation_id = $1::uuid AND seq = $2::bigint FOR NO KEY UPDATE;

-- name: find_change
-- Where a change stands that an actor's device asked for before.
SELECT seq, at FROM conversation_changes WHERE conversation_id = $1::uuid AND actor_id = $2::uuid AND client_id = $3::uuid;

-- name: count_recent_changes
-- How many of a conversation's last changes are an actor's, and recent.
SELECT count(*) FROM (
    SELECT actor_id, at FROM conversation_changes WHERE conversation_id = $1::uuid ORDER BY seq DESC LIMIT $4::int
) last
WHERE last.actor_id = $2::uuid AND last.at > clock_timestamp() - make_interval(secs => $3::float8);

-- name: append_change
-- Take the conversation's next number for an entry that is no message. A client id that came before leaves no row.
WITH head AS (
    UPDATE conversations SET seq = seq + 1, changes = changes + 1 WHERE id = $1::uuid RETURNING seq, changes
), added AS (
    INSERT INTO conversation_changes (conversation_id, seq, nth, actor_id, client_id, edited_seq, shown, body, at)
    SELECT $1, head.seq, head.changes, $2::uuid, $3::uuid, $4::bigint, $5::boolean, $6::json, $7::timestamptz FROM head
    ON CONFLICT ON CONSTRAINT conversation_changes_once_per_client_id DO NOTHING
    RETURNING seq, at
)
SELECT added.seq, added.at, e.epoch FROM added, log_epoch e;

-- name: revise_message
-- How a message reads from now on.
UPDATE messages SET revised = $3::json WHERE conversation_id = $1::uuid AND seq = $2::bigint;

-- name: delete_message
-- Leave a tombstone: what was said is gone from the message, from its edits and with its reactions.
WITH edits AS (
    UPDATE conversation_changes
    SET edited_seq = NULL, body = (body::jsonb - 'text' - 'warnings')::json
    WHERE conversation_id = $1::uuid AND edited_seq = $2::bigint
), reactions AS (
    DELETE FROM message_reactions WHERE conversation_id = $1 AND message_seq = $2
)
UPDATE messages SET body = $3::json, revised = NULL, deleted_seq = $4::bigint
WHERE conversation_id = $1 AND seq = $2;

-- name: count_reactions
-- How many emoji a user has on a message, other than one.
SELECT count(*) FROM message_reactions
WHERE conversation_id = $1::uuid AND message_seq = $2::bigint AND user_id = $3::uuid AND emoji <> $4::text;

-- name: add_reaction
-- Let a reaction stand; one that stands already keeps its place.
INSERT INTO message_reactions (conversation_id, message_seq, user_id, emoji, added_seq)
VALUES ($1::uuid, $2::bigint, $3::uuid, $4::text, $5::bigint)
ON CONFLICT DO NOTHING;

-- name: remove_reaction
-- Take a reaction away.
DELETE FROM message_reactions
WHERE conversation_id = $1::uuid AND message_seq = $2::bigint AND user_id = $3::uuid AND emoji = $4::text;

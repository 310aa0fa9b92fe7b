-- name: read_history
-- Entries before a sequence number that people see, newest first: messages as they read now, and who came and went.
WITH page AS (
    SELECT seq, at, body FROM (
        (
            SELECT seq, at, coalesce(revised, body) AS body FROM messages
            WHERE conversation_id = $1::uuid AND seq < $2::bigint ORDER BY seq DESC LIMIT $3::int
        )
        UNION ALL
        (
            SELECT seq, at, body FROM conversation_changes
            WHERE conversation_id = $1 AND seq < $2 AND shown ORDER BY seq DESC LIMIT $3
        )
    ) entries
    ORDER BY seq DESC LIMIT $3
)
SELECT page.seq, page.at, page.body, reactions_to($1, page.seq) AS reactions,
    quote_of($1, (page.body ->> 'reply_to')::bigint) AS reply
FROM page ORDER BY page.seq DESC;

-- name: read_message
-- One message as it reads now.
SELECT m.seq, m.at, coalesce(m.revised, m.body) AS body, reactions_to($1, m.seq) AS reactions,
    quote_of($1, (coalesce(m.revised, m.body) ->> 'reply_to')::bigint) AS reply
FROM messages m WHERE m.conversation_id = $1::uuid AND m.seq = $2::bigint;

-- name: has_message
-- Whether there is such a message to reply to, in a conversation of the user's; other entries have nothing to quote.
SELECT true FROM messages m
JOIN conversation_members u ON u.conversation_id = m.conversation_id AND u.user_id = $3::uuid
WHERE m.conversation_id = $1::uuid AND m.seq = $2::bigint AND m.body ->> 'kind' = 'message';

-- name: read_member_head
-- The conversation's last number, for a member.
SELECT c.seq FROM conversations c
JOIN conversation_members m ON m.conversation_id = c.id AND m.user_id = $2::uuid
WHERE c.id = $1::uuid;

-- name: fold_query
-- The words to look for, each with any ending; null when there are none.
SELECT replace(nullif(search_fold($1::text), ''), ' ', ':* & ') || ':*';

-- name: find_search_floor
-- Where a search that starts before a sequence number ends, having looked at so many messages; null: at the beginning.
SELECT seq FROM messages WHERE conversation_id = $1::uuid AND seq < $2::bigint ORDER BY seq DESC OFFSET $3::int - 1 LIMIT 1;

-- name: search_messages
-- Messages between two sequence numbers that hold all words, as they read now, newest first.
SELECT m.seq, m.at, coalesce(m.revised, m.body) AS body, reactions_to($1, m.seq) AS reactions,
    quote_of($1, (coalesce(m.revised, m.body) ->> 'reply_to')::bigint) AS reply
FROM messages m
WHERE m.conversation_id = $1::uuid AND m.seq < $2::bigint AND m.seq >= $3::bigint AND m.deleted_seq IS NULL
    AND to_tsvector('simple', search_fold(coalesce(m.revised, m.body) ->> 'text')) @@ $4::text::tsquery
ORDER BY m.seq DESC LIMIT $5::int;

-- name: post_message
-- Append one message that is new, by a member; otherwise nothing happens, and post_messages finds out why.
WITH head AS (
    UPDATE conversations c SET seq = c.seq + 1, last_message_at = clock_timestamp()
    FROM conversation_members m
    WHERE c.id = $1::uuid AND m.conversation_id = $1 AND m.user_id = $2::uuid
      AND NOT EXISTS (SELECT FROM messages k WHERE k.conversation_id = $1 AND k.sender_id = $2 AND k.client_id = $3::uuid)
      AND (SELECT true FROM user_blocks b JOIN conversation_members o ON o.conversation_id = $1 AND o.user_id = b.blocker_id
           WHERE b.blocked_id = $2 LIMIT 1) IS NULL
      AND (SELECT true FROM posting_limits l WHERE l.user_id = $2 AND l.until > now()) IS NULL
    RETURNING c.seq, c.changes, c.last_message_at AS at
), added AS (
    INSERT INTO messages (conversation_id, seq, sender_id, client_id, body, at)
    SELECT $1, head.seq, $2, $3, $4::json, head.at FROM head
), sender_has_read AS (
    UPDATE conversation_members m SET read_seq = head.seq, read_changes = head.changes, delivered_seq = head.seq
    FROM head WHERE m.conversation_id = $1 AND m.user_id = $2
), reminders AS (
    INSERT INTO jobs (kind, args, run_at, attempts_max, dedup)
    SELECT $5::text,
           jsonb_build_object('kind', $5::text, 'conversation', $1, 'user', m.user_id, 'seq', head.seq),
           head.at + make_interval(secs => $6::float8), $7::int,
           'unread:' || $1 || ':' || m.user_id || ':' || m.read_seq
    FROM head JOIN conversation_members m ON m.conversation_id = $1 AND m.user_id <> $2
        AND m.read_seq - m.read_changes = head.seq - head.changes - 1
    ON CONFLICT (dedup) DO NOTHING
)
SELECT head.seq, head.at, (SELECT epoch FROM log_epoch) AS epoch FROM head;

-- name: post_messages
-- Append to any number of conversations, once per client id; a resend answers with the first seq. One statement, one commit.
WITH incoming AS (
    SELECT DISTINCT ON (i.conversation_id, i.sender_id, i.client_id) i.conversation_id, i.sender_id, i.client_id, i.body, i.place
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::json[]) WITH ORDINALITY AS i (conversation_id, sender_id, client_id, body, place)
    JOIN conversation_members m ON m.conversation_id = i.conversation_id AND m.user_id = i.sender_id
    ORDER BY i.conversation_id, i.sender_id, i.client_id, i.place
), known AS (
    -- One probe of the unique index for each: as a join it may be planned as a scan of the whole conversation.
    SELECT m.conversation_id, m.seq, m.sender_id, m.client_id, m.at
    FROM incoming i
    CROSS JOIN LATERAL (
        SELECT * FROM messages m
        WHERE m.conversation_id = i.conversation_id AND m.sender_id = i.sender_id AND m.client_id = i.client_id
        LIMIT 1
    ) m
), fresh AS (
    SELECT i.*, row_number() OVER (PARTITION BY i.conversation_id ORDER BY i.place) AS nth
    FROM incoming i
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.conversation_id = i.conversation_id AND k.sender_id = i.sender_id AND k.client_id = i.client_id)
      -- Whoever is blocked by another member says nothing new. A scalar, so that it stays one probe for each.
      AND (SELECT true FROM user_blocks b
           JOIN conversation_members o ON o.conversation_id = i.conversation_id AND o.user_id = b.blocker_id
           WHERE b.blocked_id = i.sender_id LIMIT 1) IS NULL
      -- Nor does whoever the moderators keep from posting for a while.
      AND (SELECT true FROM posting_limits l WHERE l.user_id = i.sender_id AND l.until > now()) IS NULL
), totals AS (
    SELECT conversation_id, count(*) AS total FROM fresh GROUP BY conversation_id
), locked AS (
    -- In the order of their ids, so that no two nodes wait for each other in a ring.
    SELECT c.id FROM conversations c WHERE c.id = ANY (ARRAY(SELECT conversation_id FROM totals)) ORDER BY c.id FOR UPDATE
), head AS (
    UPDATE conversations c SET seq = c.seq + t.total, last_message_at = clock_timestamp()
    FROM totals t JOIN locked l ON l.id = t.conversation_id
    WHERE c.id = t.conversation_id
    RETURNING c.id, c.seq - t.total AS seq_before, c.changes, c.last_message_at AS at
), added AS (
    INSERT INTO messages (conversation_id, seq, sender_id, client_id, body, at)
    SELECT f.conversation_id, head.seq_before + f.nth, f.sender_id, f.client_id, f.body, head.at
    FROM fresh f JOIN head ON head.id = f.conversation_id
    RETURNING conversation_id, seq, sender_id, client_id, at
), senders_have_read AS (
    -- Whoever speaks has read up to there.
    UPDATE conversation_members m SET read_seq = a.seq, read_changes = head.changes, delivered_seq = a.seq
    FROM (SELECT conversation_id, sender_id, max(seq) AS seq FROM added GROUP BY 1, 2) a JOIN head ON head.id = a.conversation_id
    WHERE m.conversation_id = a.conversation_id AND m.user_id = a.sender_id
), reminders AS (
    -- One job per member and unread streak: only the message that starts the streak makes it.
    INSERT INTO jobs (kind, args, run_at, attempts_max, dedup)
    SELECT $5::text,
           jsonb_build_object('kind', $5::text, 'conversation', m.conversation_id, 'user', m.user_id, 'seq', head.seq_before + 1),
           head.at + make_interval(secs => $6::float8), $7::int,
           'unread:' || m.conversation_id || ':' || m.user_id || ':' || m.read_seq
    FROM conversation_members m JOIN head ON m.conversation_id = head.id
        AND m.read_seq - m.read_changes = head.seq_before - head.changes
    WHERE NOT EXISTS (SELECT FROM added a WHERE a.conversation_id = m.conversation_id AND a.sender_id = m.user_id)
    ON CONFLICT (dedup) DO NOTHING
)
SELECT added.conversation_id, added.seq, added.sender_id, added.client_id, added.at, true AS fresh, e.epoch
FROM added, log_epoch e
UNION ALL
SELECT known.conversation_id, known.seq, known.sender_id, known.client_id, known.at, false, e.epoch
FROM known, log_epoch e
ORDER BY conversation_id, seq;

-- name: append_event
-- Append one event that is no message, and that people have to read like one. Whoever caused it has read up to there.
WITH head AS (
    UPDATE conversations SET seq = seq + 1, last_message_at = clock_timestamp() WHERE id = $1::uuid
    RETURNING seq, changes, last_message_at AS at
), added AS (
    INSERT INTO messages (conversation_id, seq, sender_id, client_id, body, at)
    SELECT $1, head.seq, $2::uuid, uuidv7(), $3::json, head.at FROM head
), has_read AS (
    UPDATE conversation_members m SET read_seq = head.seq, read_changes = head.changes, delivered_seq = head.seq
    FROM head
    WHERE m.conversation_id = $1 AND m.user_id = $2
), reminders AS (
    INSERT INTO jobs (kind, args, run_at, attempts_max, dedup)
    SELECT $4::text, jsonb_build_object('kind', $4::text, 'conversation', $1, 'user', m.user_id, 'seq', head.seq),
           head.at + make_interval(secs => $5::float8), $6::int,
           'unread:' || $1 || ':' || m.user_id || ':' || m.read_seq
    FROM conversation_members m, head
    WHERE m.conversation_id = $1 AND m.user_id <> $2
      AND m.read_seq - m.read_changes = head.seq - head.changes - 1
    ON CONFLICT (dedup) DO NOTHING
)
SELECT head.seq, head.at, e.epoch FROM head, log_epoch e;

-- name: lock_openings
-- Let a buyer open one conversation at a time, so that they are counted right on all servers together.
SELECT pg_advisory_xact_lock(hashtextextended('opens:' || $1::uuid, 0));

-- name: list_openings
-- When a buyer opened their last conversations within so many seconds, the latest first. Talk about an order is not counted.
SELECT created_at FROM conversations
WHERE buyer_id = $1::uuid AND created_at > now() - make_interval(secs => $2::float8) AND subject_kind IS DISTINCT FROM 'order'
ORDER BY created_at DESC LIMIT $3::int;

-- name: insert_conversation
-- Open a conversation, or find the one that is open already about the same thing between the same two.
INSERT INTO conversations (shop_id, buyer_id, subject_kind, subject_id, dedup)
VALUES ($1::uuid, $2::uuid, $3::text, $4::uuid, $5::text)
ON CONFLICT (dedup) DO NOTHING
RETURNING id;

-- name: find_conversation
-- The conversation that insert_conversation ran into.
SELECT id FROM conversations WHERE dedup = $1::text;

-- name: insert_members
-- The buyer and the shop's team, as it is now.
INSERT INTO conversation_members (conversation_id, user_id, role)
SELECT $1::uuid, $2::uuid, 'buyer'
UNION ALL
SELECT $1::uuid, user_id, 'shop' FROM shop_members WHERE shop_id = $3::uuid AND user_id <> $2
ON CONFLICT DO NOTHING
RETURNING user_id;

-- name: is_member
-- Whether a user belongs to a conversation.
SELECT true FROM conversation_members WHERE conversation_id = $1::uuid AND user_id = $2::uuid;

-- name: read_members
-- A conversation's members with their cursors.
SELECT m.user_id, u.display_name, m.role, m.read_seq, m.delivered_seq,
       CASE WHEN u.last_seen_visible THEN u.last_seen_at END AS last_seen_at, u.last_seen_visible
FROM conversation_members m JOIN users u ON u.id = m.user_id
WHERE m.conversation_id = $1::uuid ORDER BY m.joined_at, m.user_id;

-- name: list_conversations
-- A user's conversations, the most recently active first, after one of them; or a single one.
SELECT c.id, c.shop_id, s.name AS shop_name, c.buyer_id, b.display_name AS buyer_name,
       c.subject_kind, c.subject_id, c.seq, m.read_seq, (c.seq - c.changes) - (m.read_seq - m.read_changes) AS unread,
       coalesce(c.last_message_at, c.created_at) AS active_at,
       coalesce(
           -- As it reads now.
           (SELECT coalesce(last.revised, last.body) FROM messages last WHERE last.conversation_id = c.id ORDER BY last.seq DESC LIMIT 1),
           'null'::json
       ) AS last_message,
       p.title AS subject_title
FROM conversation_members m
JOIN conversations c ON c.id = m.conversation_id
JOIN shops s ON s.id = c.shop_id
JOIN users b ON b.id = c.buyer_id
LEFT JOIN products p ON c.subject_kind = 'product' AND p.id = c.subject_id
WHERE m.user_id = $1::uuid
  AND ($2::uuid IS NULL OR (coalesce(c.last_message_at, c.created_at), c.id) <
       (SELECT coalesce(b.last_message_at, b.created_at), b.id FROM conversations b WHERE b.id = $2))
  AND ($3::uuid IS NULL OR c.id = $3)
ORDER BY active_at DESC, c.id DESC
LIMIT $4::int;

-- name: move_cursors
-- Move members' cursors forward, never back and never past the log's head; returns those that moved.
UPDATE conversation_members m
SET read_seq = greatest(m.read_seq, w.read_to),
    read_changes = CASE WHEN w.read_to > m.read_seq THEN w.changes ELSE m.read_changes END,
    delivered_seq = greatest(m.delivered_seq, w.delivered_to)
FROM (
    SELECT cut.*,
        -- A change up to there carries how many there were.
        coalesce((
            SELECT n.nth FROM conversation_changes n
            WHERE n.conversation_id = $1 AND n.seq <= cut.read_to ORDER BY n.seq DESC LIMIT 1
        ), 0) AS changes
    FROM (
        SELECT i.user_id, least(i.read_seq, c.seq) AS read_to, least(greatest(i.read_seq, i.delivered_seq), c.seq) AS delivered_to,
            c.seq AS head_seq, c.seq - c.changes AS messages
        FROM unnest($2::uuid[], $3::bigint[], $4::bigint[]) AS i (user_id, read_seq, delivered_seq), conversations c
        WHERE c.id = $1::uuid
    ) cut
) w
WHERE m.conversation_id = $1 AND m.user_id = w.user_id AND (w.read_to > m.read_seq OR w.delivered_to > m.delivered_seq)
RETURNING m.user_id, m.read_seq, m.delivered_seq, w.head_seq, w.messages - (m.read_seq - m.read_changes) AS unread;

-- name: is_open_shop
-- Whether a shop trades, so that one may write to it.
SELECT true FROM shops WHERE id = $1::uuid AND status = 'approved';

-- name: is_product_of_shop
-- Whether a published product belongs to a shop.
SELECT true FROM products WHERE id = $1::uuid AND shop_id = $2::uuid AND status = 'published';

-- name: order_parties
-- Who an order is between.
SELECT buyer_id, shop_id FROM orders WHERE id = $1::uuid;

-- name: read_unread
-- How much of some conversations each member has not read. Behind a sub-select their number is no reason to plan this
-- anew each time.
SELECT m.conversation_id, m.user_id, c.seq AS head_seq, (c.seq - c.changes) - (m.read_seq - m.read_changes) AS unread
FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
WHERE m.conversation_id = ANY (ARRAY(SELECT unnest($1::uuid[])));

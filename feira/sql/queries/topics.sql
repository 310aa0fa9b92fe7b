-- name: advance_topics
-- Take the next sequence numbers of several topics at once, locking their counters in the given (sorted) order.
INSERT INTO topics (topic, seq)
SELECT topic, count FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS wanted (topic, count, place)
ORDER BY place
ON CONFLICT (topic) DO UPDATE SET seq = topics.seq + excluded.seq
RETURNING topic, seq, (SELECT epoch FROM log_epoch) AS epoch, clock_timestamp() AS at;

-- name: insert_events
-- Append events whose sequence numbers were taken by advance_topics in the same transaction.
INSERT INTO topic_events (topic, seq, at, body)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::json[]);

-- name: read_heads
-- The shared top check: the last committed sequence number of many topics in one query.
SELECT w.topic, coalesce(t.seq, 0) AS seq, e.epoch
FROM log_epoch e, unnest($1::text[]) AS w (topic) LEFT JOIN topics t ON t.topic = w.topic
UNION ALL
SELECT 'conversation:' || c.id, c.seq, e.epoch FROM log_epoch e, conversations c WHERE c.id = ANY ($2::uuid[]);

-- name: read_events
-- What a watcher missed: events after a sequence number, in order.
SELECT seq, at, body FROM topic_events WHERE topic = $1::text AND seq > $2::bigint ORDER BY seq LIMIT $3::int;

-- name: read_messages
-- The same for a conversation, whose log is its messages.
SELECT seq, at, body FROM messages WHERE conversation_id = $1::uuid AND seq > $2::bigint ORDER BY seq LIMIT $3::int;

-- name: append_events_and_jobs
-- What a transaction tells the world, all in one. Take the next sequence numbers of several topics at once, locking their
-- counters in the given (sorted) order, and append the events: each is so many before its topic's last. Add the jobs; a
-- known dedup key makes one a no-op.
WITH advanced AS (
    INSERT INTO topics (topic, seq)
    SELECT topic, count FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS wanted (topic, count, place)
    ORDER BY place
    ON CONFLICT (topic) DO UPDATE SET seq = topics.seq + excluded.seq
    RETURNING topic, seq, clock_timestamp() AS at
), added AS (
    INSERT INTO topic_events (topic, seq, at, body)
    SELECT advanced.topic, advanced.seq - event.before_last, advanced.at, event.body
    FROM unnest($3::text[], $4::bigint[], $5::json[]) AS event (topic, before_last, body)
    JOIN advanced ON advanced.topic = event.topic
), enqueued AS (
    INSERT INTO jobs (kind, args, run_at, attempts_max, dedup)
    SELECT * FROM unnest($6::text[], $7::jsonb[], $8::timestamptz[], $9::int[], $10::text[])
    ON CONFLICT (dedup) DO NOTHING
)
SELECT advanced.topic, advanced.seq, advanced.at, e.epoch FROM advanced, log_epoch e;

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
-- The same for a conversation, whose log is its messages and its changes.
SELECT seq, at, body FROM (
    (SELECT seq, at, body FROM messages WHERE conversation_id = $1::uuid AND seq > $2::bigint ORDER BY seq LIMIT $3::int)
    UNION ALL
    (SELECT seq, at, body FROM conversation_changes WHERE conversation_id = $1 AND seq > $2 ORDER BY seq LIMIT $3)
) log
ORDER BY seq LIMIT $3;

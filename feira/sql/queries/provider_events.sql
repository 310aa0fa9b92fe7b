-- name: insert_provider_event
-- Keep what a provider told us; one that we know already gives no row.
INSERT INTO webhook_events (provider, account, event_id, type, kind, subject, body, source)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text, $7::jsonb, $8::text)
ON CONFLICT (provider, account, event_id) DO NOTHING
RETURNING true;

-- name: read_provider_event
-- A stored event, to be handled.
SELECT provider, account, event_id, type, kind, subject, handled_at
FROM webhook_events WHERE provider = $1::text AND account = $2::text AND event_id = $3::text;

-- name: mark_provider_event_handled
-- The event's effect is committed with this.
UPDATE webhook_events SET handled_at = now()
WHERE provider = $1::text AND account = $2::text AND event_id = $3::text AND handled_at IS NULL;

-- name: read_sweep
-- How far the sweep of a provider's events has come, with the clock that sweeps go by.
SELECT now() AS now, (SELECT swept_until FROM event_sweeps WHERE provider = $1::text) AS swept_until;

-- name: move_sweep
-- Everything before this is kept. Sweeps may race: the cursor never goes back.
INSERT INTO event_sweeps AS s (provider, swept_until) VALUES ($1::text, $2::timestamptz)
ON CONFLICT (provider) DO UPDATE SET swept_until = greatest(s.swept_until, excluded.swept_until);

-- name: list_provider_events
-- Operators: events of a state, or all, the latest first, after a (received_at, id) mark.
SELECT
    e.id, e.provider, e.account, e.event_id, e.type, e.kind, e.subject, e.source, e.received_at, e.handled_at,
    CASE WHEN e.kind IS NULL THEN 'ignored' WHEN e.handled_at IS NULL THEN 'waiting' ELSE 'handled' END AS state,
    j.last_error
FROM webhook_events AS e
LEFT JOIN jobs AS j ON e.handled_at IS NULL AND j.dedup = 'webhook:' || e.provider || ':' || e.account || ':' || e.event_id
WHERE ($1::text IS NULL OR $1::text = CASE
        WHEN e.kind IS NULL THEN 'ignored' WHEN e.handled_at IS NULL THEN 'waiting' ELSE 'handled' END)
    AND ($2::timestamptz IS NULL OR (e.received_at, e.id) < ($2::timestamptz, $3::uuid))
ORDER BY e.received_at DESC, e.id DESC
LIMIT $4::int;

-- name: show_provider_event
-- Operators: one event.
SELECT
    e.id, e.provider, e.account, e.event_id, e.type, e.kind, e.subject, e.source, e.received_at, e.handled_at,
    CASE WHEN e.kind IS NULL THEN 'ignored' WHEN e.handled_at IS NULL THEN 'waiting' ELSE 'handled' END AS state,
    NULL::text AS last_error
FROM webhook_events AS e WHERE e.id = $1::uuid;

-- name: reopen_provider_event
-- Operators: an event waits again, unless there is nothing to do about it.
UPDATE webhook_events SET handled_at = CASE WHEN kind IS NULL THEN handled_at END WHERE id = $1::uuid
RETURNING provider, account, event_id, kind;

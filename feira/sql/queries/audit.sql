-- name: insert_entry
-- One privileged act, in its own transaction.
INSERT INTO audit_entries (
    actor_kind, actor_id, actor_name, actor_roles, session_id, api_key_id, act, object_kind, object_id, account_id,
    reason, before, after, address, user_agent, request_id
) VALUES (
    $1::text, $2::uuid, $3::text, $4::text[], $5::uuid, $6::uuid, $7::text, $8::text, $9::text, $10::uuid,
    $11::text, $12::jsonb, $13::jsonb, $14::text::inet, $15::text, $16::text
);

-- name: list_entries
-- A page of the audit log, the latest first.
SELECT e.id, e.at, e.actor_kind, e.actor_id, coalesce(u.display_name, e.actor_name) AS actor_name, e.actor_roles,
    e.session_id, e.api_key_id, e.act, e.object_kind, e.object_id, e.account_id, e.reason,
    coalesce(e.before, 'null'::jsonb) AS before, coalesce(e.after, 'null'::jsonb) AS after,
    host(e.address) AS address, e.user_agent, e.request_id
FROM audit_entries e LEFT JOIN users u ON u.id = e.actor_id
WHERE ($1::uuid IS NULL OR e.actor_id = $1)
    AND ($2::text IS NULL OR e.act = $2)
    AND ($3::text IS NULL OR e.object_kind = $3)
    AND ($4::text IS NULL OR e.object_id = $4)
    AND ($5::timestamptz IS NULL OR e.at >= $5)
    AND ($6::timestamptz IS NULL OR e.at < $6)
    AND ($7::bigint IS NULL OR e.id < $7)
ORDER BY e.id DESC
LIMIT $8::int;

-- name: list_security_events
-- What happened to the safety of one account, the latest first.
SELECT id, at, act, object_kind, object_id, actor_id IS NOT DISTINCT FROM $1::uuid AS by_you, reason,
    coalesce(before, 'null'::jsonb) AS before, coalesce(after, 'null'::jsonb) AS after,
    CASE WHEN actor_id = $1::uuid THEN host(address) END AS address,
    CASE WHEN actor_id = $1::uuid THEN user_agent ELSE '' END AS user_agent
FROM audit_entries
WHERE account_id = $1::uuid AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC
LIMIT $3::int;

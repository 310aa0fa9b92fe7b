-- name: insert_check
-- A check that somebody asked for, or that is over already.
INSERT INTO ledger_checks (cause, requested_by) VALUES ($1::text, $2::uuid) RETURNING id;

-- name: finish_check
-- What a check found; one that is over stays as it is.
UPDATE ledger_checks SET finished_at = now(), checked = $2::text[], findings = $3::jsonb, findings_count = $4::int
WHERE id = $1::uuid AND finished_at IS NULL RETURNING id;

-- name: list_checks
-- Checks, the latest first, without what they found.
SELECT id, cause, requested_by, requested_at, finished_at, findings_count
FROM ledger_checks WHERE $1::uuid IS NULL OR id < $1::uuid
ORDER BY id DESC LIMIT $2::int;

-- name: read_check
-- One check with its findings.
SELECT id, cause, requested_by, requested_at, finished_at, findings_count, checked, findings
FROM ledger_checks WHERE id = $1::uuid;

-- name: read_job_kinds
-- Operators: each kind that is declared, steered or has jobs: how many are in which state, since when, and what steers it.
WITH RECURSIVE waiting AS (
    (SELECT kind FROM jobs WHERE state = 'ready' ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT (SELECT jobs.kind FROM jobs WHERE state = 'ready' AND jobs.kind > waiting.kind ORDER BY jobs.kind LIMIT 1)
    FROM waiting WHERE waiting.kind IS NOT NULL
), counted AS (
    SELECT waiting.kind, 'ready' AS state, ready.count, ready.since
    FROM waiting, LATERAL (
        SELECT count(*) AS count, min(run_at) AS since FROM jobs WHERE state = 'ready' AND jobs.kind = waiting.kind
    ) AS ready
    WHERE waiting.kind IS NOT NULL
    UNION ALL
    SELECT kind, state::text, count(*), min(run_at) FROM jobs WHERE state IN ('queued', 'running') GROUP BY kind, state
    UNION ALL
    SELECT kind, state::text, count(*), min(finished_at) FROM jobs
    WHERE state IN ('dead', 'cancelled') GROUP BY kind, state
    UNION ALL
    SELECT kind, 'done', count(*), min(finished_at) FROM jobs
    WHERE state = 'done' AND finished_at > now() - interval '1 minute' GROUP BY kind
), summed AS (
    SELECT kind,
        coalesce(sum(count) FILTER (WHERE state = 'ready'), 0)::int AS ready,
        coalesce(sum(count) FILTER (WHERE state = 'queued'), 0)::int AS queued,
        coalesce(sum(count) FILTER (WHERE state = 'running'), 0)::int AS running,
        coalesce(sum(count) FILTER (WHERE state = 'done'), 0)::int AS done_last_minute,
        coalesce(sum(count) FILTER (WHERE state = 'dead'), 0)::int AS dead,
        coalesce(sum(count) FILTER (WHERE state = 'cancelled'), 0)::int AS cancelled,
        greatest(extract(epoch FROM now() - min(since) FILTER (WHERE state IN ('ready', 'queued', 'running'))), 0)::float8
            AS oldest_due_s,
        greatest(extract(epoch FROM now() - min(since) FILTER (WHERE state = 'dead')), 0)::float8 AS oldest_dead_s
    FROM counted GROUP BY kind
)
SELECT kind, coalesce(ready, 0) AS ready, coalesce(queued, 0) AS queued, coalesce(running, 0) AS running,
    coalesce(done_last_minute, 0) AS done_last_minute, coalesce(dead, 0) AS dead, coalesce(cancelled, 0) AS cancelled,
    oldest_due_s, oldest_dead_s, concurrency_max, paused_at, paused_by, pause_reason
FROM summed FULL JOIN job_kinds USING (kind) FULL JOIN unnest($1::text[]) AS declared (kind) USING (kind)
ORDER BY kind;

-- name: list_ready
-- Operators: jobs that wait, the longest due first, after a (run_at, id) mark.
SELECT id, kind, state::text AS state, args, attempt, attempts_max, run_at AS since, last_error, created_at
FROM jobs
WHERE state = 'ready' AND ($1::text IS NULL OR kind = $1::text)
    AND run_at <= coalesce(now() - make_interval(secs => $2::float8), 'infinity')
    AND ($3::timestamptz IS NULL OR (run_at, id) > ($3::timestamptz, $4::uuid))
ORDER BY run_at, id LIMIT $5::int;

-- name: list_held
-- Operators: jobs under way, the longest first, after a (started_at, id) mark. What is only queued began when it was due.
SELECT id, kind, state::text AS state, args, attempt, attempts_max, since, last_error, created_at
FROM jobs, LATERAL (SELECT CASE state WHEN 'running' THEN coalesce(started_at, run_at) ELSE run_at END AS since) AS began
WHERE state IN ('queued', 'running') AND state = $6::job_state AND ($1::text IS NULL OR kind = $1::text)
    AND since <= coalesce(now() - make_interval(secs => $2::float8), 'infinity')
    AND ($3::timestamptz IS NULL OR (since, id) > ($3::timestamptz, $4::uuid))
ORDER BY since, id LIMIT $5::int;

-- name: list_finished
-- Operators: jobs that ended one way, the latest first, after a (finished_at, id) mark.
SELECT id, kind, state::text AS state, args, attempt, attempts_max, finished_at AS since, last_error, created_at
FROM jobs
WHERE state = $6::job_state AND state IN ('done', 'dead', 'cancelled') AND ($1::text IS NULL OR kind = $1::text)
    AND finished_at <= coalesce(now() - make_interval(secs => $2::float8), 'infinity')
    AND ($3::timestamptz IS NULL OR (finished_at, id) < ($3::timestamptz, $4::uuid))
ORDER BY finished_at DESC, id DESC LIMIT $5::int;

-- name: read_job
-- Operators: one job, whole.
SELECT id, kind, state::text AS state, args, dedup, attempt, attempts_max, run_at, lease_until, started_at, worker,
    cancel_asked_at, finished_at, last_error, created_at
FROM jobs WHERE id = $1::uuid;

-- name: read_failures
-- Operators: what a job's failed attempts said, the latest of them, in order.
SELECT attempt, outcome, error, worker, started_at, ended_at FROM (
    SELECT attempt, outcome, error, worker, started_at, ended_at FROM job_failures
    WHERE job_id = $1::uuid ORDER BY attempt DESC LIMIT $2::int
) AS latest ORDER BY attempt;

-- name: requeue_job
-- Operators: give a dead or cancelled job its attempts again. Its number goes on, so that no old attempt fits the fence.
UPDATE jobs SET state = 'ready', finished_at = NULL, run_at = now(), cancel_asked_at = NULL, cancel_asked_by = NULL,
    attempts_max = attempt + greatest(attempts_max - attempt, $2::int)
WHERE id = $1::uuid AND state IN ('dead', 'cancelled')
RETURNING kind;

-- name: requeue_dead_of_kind
-- Operators: the same for dead jobs of one kind, the oldest first, some at a time.
WITH dead AS (
    SELECT id FROM jobs WHERE state = 'dead' AND kind = $1::text
    ORDER BY finished_at LIMIT $3::int
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET state = 'ready', finished_at = NULL, run_at = now(), cancel_asked_at = NULL, cancel_asked_by = NULL,
    attempts_max = attempt + greatest(attempts_max - attempt, $2::int)
FROM dead WHERE jobs.id = dead.id
RETURNING jobs.id;

-- name: lock_job
-- Operators: a job to be cancelled, its row held.
SELECT kind, state::text AS state FROM jobs WHERE id = $1::uuid FOR UPDATE;

-- name: cancel_job
-- Operators: what waits is cancelled; what runs is asked to, which its commit will find.
UPDATE jobs
SET state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END,
    finished_at = CASE WHEN state = 'running' THEN NULL ELSE now() END,
    lease_until = CASE WHEN state = 'running' THEN lease_until END,
    cancel_asked_at = coalesce(cancel_asked_at, now()), cancel_asked_by = coalesce(cancel_asked_by, $2::uuid)
WHERE id = $1::uuid AND state IN ('ready', 'queued', 'running')
RETURNING state::text;

-- name: pause_kind
-- Operators: hand over no more jobs of a kind; no row, and it was paused already.
INSERT INTO job_kinds (kind, paused_at, paused_by, pause_reason) VALUES ($1::text, now(), $2::uuid, $3::text)
ON CONFLICT (kind) DO UPDATE SET paused_at = now(), paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
WHERE job_kinds.paused_at IS NULL
RETURNING true;

-- name: resume_kind
-- Operators: go on with a kind; no row, and it was not paused.
UPDATE job_kinds SET paused_at = NULL, paused_by = NULL, pause_reason = NULL
WHERE kind = $1::text AND paused_at IS NOT NULL
RETURNING true;

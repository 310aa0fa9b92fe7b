-- name: declare_limits
-- Relay, at its start: how many of a kind may be under way at once, as this version declares it.
INSERT INTO job_kinds (kind, concurrency_max)
SELECT * FROM unnest($1::text[], $2::int[]) AS declared (kind, concurrency_max) ORDER BY kind
ON CONFLICT (kind) DO UPDATE SET concurrency_max = excluded.concurrency_max
WHERE job_kinds.concurrency_max IS DISTINCT FROM excluded.concurrency_max;

-- name: lock_limited_kinds
-- Relay: take the right to count and take the jobs of limited kinds, where no other relay has it right now.
SELECT kind FROM job_kinds
WHERE concurrency_max IS NOT NULL AND paused_at IS NULL
    AND EXISTS (SELECT FROM jobs WHERE jobs.kind = job_kinds.kind AND state = 'ready' AND run_at <= now())
ORDER BY kind FOR UPDATE SKIP LOCKED;

-- name: queue_due
-- Relay: take due jobs, each as a new attempt that must be claimed before its lease ends. First whoever has waited longest
-- beyond its kind's patience: the impatient go first, and the patient are overtaken for no longer than their patience.
-- Of a limited kind only if it is locked, and only as many as its limit leaves; of all only until so many are queued.
WITH RECURSIVE waiting AS (
    (SELECT kind FROM jobs WHERE state = 'ready' ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT (SELECT jobs.kind FROM jobs WHERE state = 'ready' AND jobs.kind > waiting.kind ORDER BY jobs.kind LIMIT 1)
    FROM waiting WHERE waiting.kind IS NOT NULL
), open AS (
    SELECT waiting.kind,
        coalesce(($4::float8[])[array_position($3::text[], waiting.kind)], $5::float8) AS patience_s,
        CASE
            WHEN limited.concurrency_max IS NULL THEN $1::int
            WHEN waiting.kind <> ALL ($6::text[]) THEN 0
            ELSE greatest(limited.concurrency_max - (
                SELECT count(*) FROM jobs AS held
                WHERE held.state IN ('queued', 'running') AND held.kind = waiting.kind
            ), 0)::int
        END AS room
    FROM waiting LEFT JOIN job_kinds AS limited USING (kind)
    WHERE waiting.kind IS NOT NULL AND limited.paused_at IS NULL
), candidates AS (
    SELECT candidate.id, candidate.run_at + make_interval(secs => open.patience_s) AS rank_at
    FROM open, LATERAL (
        SELECT id, run_at FROM jobs
        WHERE state = 'ready' AND kind = open.kind AND run_at <= now()
        ORDER BY run_at LIMIT least(open.room, $1::int)
    ) AS candidate
    ORDER BY rank_at
    LIMIT greatest(least($1::int, $7::int - (SELECT count(*)::int FROM jobs WHERE state = 'queued')), 0)
), due AS (
    SELECT jobs.id, candidates.rank_at FROM jobs JOIN candidates USING (id)
    WHERE state = 'ready'
    FOR UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET state = 'queued', attempt = attempt + 1, lease_until = now() + make_interval(secs => $2::float8)
FROM due WHERE jobs.id = due.id
RETURNING jobs.id, jobs.attempt, due.rank_at;

-- name: unqueue
-- Relay: give back attempts that could not be handed over. Nobody claimed them, so they do not count.
UPDATE jobs SET state = 'ready', attempt = jobs.attempt - 1, lease_until = NULL
FROM unnest($1::uuid[], $2::int[]) AS given (id, attempt)
WHERE jobs.id = given.id AND jobs.attempt = given.attempt AND jobs.state = 'queued';

-- name: next_run_in_s
-- Relay: seconds until the next ready job that nothing holds up is due; negative when overdue, null without any.
WITH RECURSIVE waiting AS (
    (SELECT kind, run_at FROM jobs WHERE state = 'ready' ORDER BY kind, run_at LIMIT 1)
    UNION ALL
    SELECT following.kind, following.run_at FROM waiting, LATERAL (
        SELECT jobs.kind, jobs.run_at FROM jobs
        WHERE state = 'ready' AND jobs.kind > waiting.kind ORDER BY jobs.kind, jobs.run_at LIMIT 1
    ) AS following
)
SELECT extract(epoch FROM min(waiting.run_at) - now())::float8
FROM waiting LEFT JOIN job_kinds AS steered USING (kind)
WHERE steered.paused_at IS NULL;

-- name: claim_attempt
-- Worker: claim a queued attempt for as long as its kind may take; no row, nothing to do. It does not wait for the disk:
-- a claim that a crash of PostgreSQL forgets cannot commit either, and its lease ends.
UPDATE jobs
SET state = 'running', started_at = now(), worker = $6::text,
    lease_until = now() + make_interval(
        secs => coalesce(($4::float8[])[array_position($3::text[], kind)], $5::float8)
    )
WHERE id = $1::uuid AND attempt = $2::int AND state = 'queued'
    AND set_config('synchronous_commit', 'off', true) = 'off'
RETURNING id, attempt, kind, args, attempts_max, run_at,
    extract(epoch FROM now() - run_at)::float8 AS waited_s;

-- name: finish_attempt
-- The fence: mark the job done if it still is this attempt's, and nobody asked to cancel it.
UPDATE jobs SET state = 'done', lease_until = NULL, finished_at = now()
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running' AND cancel_asked_at IS NULL
RETURNING true;

-- name: fail_attempt
-- Worker: a failed attempt. Ready again after a delay; dead where there is none ($3 null); cancelled if that was asked.
WITH failed AS (
    UPDATE jobs
    SET state = CASE WHEN cancel_asked_at IS NOT NULL THEN 'cancelled' WHEN $3::float8 IS NULL THEN 'dead' ELSE 'ready' END::job_state,
        finished_at = CASE WHEN cancel_asked_at IS NOT NULL OR $3::float8 IS NULL THEN now() END,
        run_at = CASE
            WHEN cancel_asked_at IS NOT NULL OR $3::float8 IS NULL THEN run_at
            ELSE now() + make_interval(secs => $3::float8)
        END,
        lease_until = NULL, last_error = $4::text
    WHERE id = $1::uuid AND attempt = $2::int AND state = 'running'
    RETURNING id, attempt, kind, state, worker, started_at, cancel_asked_by
), noted AS (
    INSERT INTO job_failures (job_id, attempt, outcome, error, worker, started_at)
    SELECT id, attempt, CASE state WHEN 'ready' THEN 'retry' ELSE state::text END, $4::text, worker, started_at FROM failed
)
SELECT state::text AS state, cancel_asked_by FROM failed;

-- name: end_cancelled
-- Worker: an attempt that may not commit because its cancelling was asked; no row, and it was overtaken.
UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = now()
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running' AND cancel_asked_at IS NOT NULL
RETURNING state::text AS state, cancel_asked_by;

-- name: release_attempt
-- Worker: a stopping process gives back what it could not finish, for another to take at once. Not counted.
UPDATE jobs
SET state = CASE WHEN cancel_asked_at IS NULL THEN 'ready' ELSE 'cancelled' END::job_state,
    finished_at = CASE WHEN cancel_asked_at IS NOT NULL THEN now() END,
    lease_until = NULL, attempts_max = attempts_max + 1
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running'
RETURNING state::text AS state, cancel_asked_by;

-- name: sweep_expired
-- Sweeper: attempts whose lease ran out. One that never ran is ready again and not counted; one that ran was an attempt.
WITH expired AS (
    SELECT id, state AS was, cancel_asked_at IS NOT NULL AS is_cancelled,
        state = 'running' AND cancel_asked_at IS NULL AND attempt >= attempts_max AS is_dead
    FROM jobs
    WHERE state IN ('queued', 'running') AND lease_until < now()
    ORDER BY lease_until
    LIMIT $1::int
    FOR UPDATE SKIP LOCKED
), swept AS (
    UPDATE jobs
    SET state = CASE WHEN is_cancelled THEN 'cancelled' WHEN is_dead THEN 'dead' ELSE 'ready' END::job_state,
        finished_at = CASE WHEN is_cancelled OR is_dead THEN now() END,
        last_error = CASE
            WHEN was = 'running' THEN 'LeaseExpired: attempt ' || attempt || ' ended without a word (process killed?)'
            ELSE last_error
        END,
        attempts_max = attempts_max + CASE WHEN was = 'queued' THEN 1 ELSE 0 END,
        lease_until = NULL
    FROM expired WHERE jobs.id = expired.id
    RETURNING jobs.id, jobs.kind, jobs.attempt, was, is_dead, is_cancelled,
        coalesce(jobs.last_error, '') AS last_error, worker, started_at, cancel_asked_by
), noted AS (
    INSERT INTO job_failures (job_id, attempt, outcome, error, worker, started_at)
    SELECT id, attempt, CASE WHEN is_cancelled THEN 'cancelled' WHEN is_dead THEN 'dead' ELSE 'silent' END,
        last_error, worker, started_at
    FROM swept WHERE was = 'running'
)
SELECT id, kind, attempt, is_dead, is_cancelled, last_error, cancel_asked_by FROM swept;

-- name: read_schedules
-- Schedule: the last slot each schedule fired, and the database's time, which all workers share.
SELECT name, (SELECT max(slot) FROM schedule_fires WHERE schedule = name) AS last_slot, clock_timestamp() AS now
FROM unnest($1::text[]) AS name;

-- name: fire_slot
-- Schedule: take a slot; whoever inserts it adds the slot's job in the same transaction.
INSERT INTO schedule_fires (schedule, slot) VALUES ($1::text, $2::timestamptz)
ON CONFLICT (schedule, slot) DO NOTHING RETURNING true;

-- name: is_unfinished
-- Schedule: whether the job with this dedup key still waits or runs.
SELECT EXISTS (SELECT FROM jobs WHERE dedup = $1::text AND state IN ('ready', 'queued', 'running'));

-- name: purge_jobs
-- Purge: forget done jobs, and dead ones nobody asked about for much longer, some at a time.
WITH old AS (
    SELECT id FROM jobs
    WHERE (state = 'done' AND finished_at < now() - make_interval(days => $1::int))
       OR (state IN ('dead', 'cancelled') AND finished_at < now() - make_interval(days => $2::int))
    LIMIT $3::int
    FOR UPDATE SKIP LOCKED
)
DELETE FROM jobs USING old WHERE jobs.id = old.id;

-- name: purge_fires
-- Purge: forget old slots, but never a schedule's newest, from which missed ones are counted.
WITH old AS (
    SELECT schedule, slot FROM schedule_fires AS fire
    WHERE slot < now() - make_interval(days => $1::int)
      AND EXISTS (SELECT FROM schedule_fires AS newer WHERE newer.schedule = fire.schedule AND newer.slot > fire.slot)
    LIMIT $2::int
)
DELETE FROM schedule_fires AS fire USING old WHERE fire.schedule = old.schedule AND fire.slot = old.slot;

-- name: purge_idempotency_keys
-- Purge: answers are kept for as long as a client may sensibly repeat its request.
WITH old AS (
    SELECT user_id, key FROM idempotency_keys WHERE created_at < now() - make_interval(days => $1::int) LIMIT $2::int
)
DELETE FROM idempotency_keys AS held USING old WHERE held.user_id = old.user_id AND held.key = old.key;

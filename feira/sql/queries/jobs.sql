-- name: queue_due
-- Relay: take due jobs, oldest first, each as a new attempt that must be claimed before its lease ends.
WITH due AS (
    SELECT id FROM jobs
    WHERE state = 'ready' AND run_at <= now()
    ORDER BY run_at
    LIMIT $1::int
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET state = 'queued', attempt = attempt + 1, lease_until = now() + make_interval(secs => $2::float8)
FROM due WHERE jobs.id = due.id
RETURNING jobs.id, jobs.attempt;

-- name: unqueue
-- Relay: give back attempts that could not be handed over. Nobody claimed them, so they do not count.
UPDATE jobs SET state = 'ready', attempt = jobs.attempt - 1, lease_until = NULL
FROM unnest($1::uuid[], $2::int[]) AS given (id, attempt)
WHERE jobs.id = given.id AND jobs.attempt = given.attempt AND jobs.state = 'queued';

-- name: next_run_in_s
-- Relay: seconds until the next ready job is due; negative when one is overdue, null without any.
SELECT extract(epoch FROM min(run_at) - now())::float8 FROM jobs WHERE state = 'ready';

-- name: claim_attempt
-- Worker: claim a queued attempt for as long as its kind may take; no row, nothing to do.
UPDATE jobs
SET state = 'running',
    lease_until = now() + make_interval(
        secs => coalesce(($4::float8[])[array_position($3::text[], kind)], $5::float8)
    )
WHERE id = $1::uuid AND attempt = $2::int AND state = 'queued'
RETURNING id, attempt, kind, args, attempts_max, run_at,
    extract(epoch FROM now() - run_at)::float8 AS waited_s;

-- name: finish_attempt
-- The fence: mark the job done if it still is this attempt's.
UPDATE jobs SET state = 'done', lease_until = NULL, finished_at = now()
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running'
RETURNING true;

-- name: retry_attempt
-- Worker: a failed attempt; ready again after a delay.
UPDATE jobs
SET state = 'ready', lease_until = NULL, run_at = now() + make_interval(secs => $3::float8), last_error = $4::text
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running'
RETURNING true;

-- name: bury_attempt
-- Worker: a failed attempt that nothing would mend, or the last one; an operator decides.
UPDATE jobs SET state = 'dead', lease_until = NULL, finished_at = now(), last_error = $3::text
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running'
RETURNING true;

-- name: release_attempt
-- Worker: a stopping process gives back what it could not finish, for another to take at once. Not counted.
UPDATE jobs SET state = 'ready', lease_until = NULL, attempts_max = attempts_max + 1
WHERE id = $1::uuid AND attempt = $2::int AND state = 'running'
RETURNING true;

-- name: sweep_expired
-- Sweeper: attempts whose lease ran out. One that never ran is ready again and not counted; one that ran was an attempt.
WITH expired AS (
    SELECT id FROM jobs
    WHERE state IN ('queued', 'running') AND lease_until < now()
    ORDER BY lease_until
    LIMIT $1::int
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs
SET state = CASE WHEN state = 'running' AND attempt >= attempts_max THEN 'dead' ELSE 'ready' END::job_state,
    finished_at = CASE WHEN state = 'running' AND attempt >= attempts_max THEN now() END,
    last_error = CASE
        WHEN state = 'running' THEN 'LeaseExpired: attempt ' || attempt || ' ended without a word (process killed?)'
        ELSE last_error
    END,
    attempts_max = attempts_max + CASE WHEN state = 'queued' THEN 1 ELSE 0 END,
    lease_until = NULL
FROM expired WHERE jobs.id = expired.id
RETURNING jobs.id, jobs.kind, jobs.attempt, jobs.state = 'dead' AS is_dead, coalesce(jobs.last_error, '') AS last_error;

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
       OR (state = 'dead' AND finished_at < now() - make_interval(days => $2::int))
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

-- name: count_jobs
-- Operators: how many jobs of each kind are in each state, and for how long the oldest has been due there.
SELECT kind, state::text AS state, count(*) AS count,
    greatest(extract(epoch FROM now() - min(run_at)), 0)::float8 AS oldest_age_s
FROM jobs WHERE state IN ('ready', 'queued', 'running')
GROUP BY kind, state
UNION ALL
SELECT kind, state::text, count(*), greatest(extract(epoch FROM now() - min(finished_at)), 0)::float8
FROM jobs WHERE state = 'dead' OR (state = 'done' AND finished_at > now() - interval '1 hour')
GROUP BY kind, state
ORDER BY kind, state;

-- name: list_dead
-- Operators: dead jobs, the latest first, after a (finished_at, id) mark.
SELECT id, kind, args, attempt, last_error, created_at, finished_at FROM jobs
WHERE state = 'dead' AND ($1::timestamptz IS NULL OR (finished_at, id) < ($1::timestamptz, $2::uuid))
ORDER BY finished_at DESC, id DESC
LIMIT $3::int;

-- name: requeue_dead
-- Operators: give a dead job its attempts again. Its number goes on, so that no old attempt fits the fence.
UPDATE jobs SET state = 'ready', finished_at = NULL, run_at = now(),
    attempts_max = attempt + greatest(attempts_max - attempt, $2::int)
WHERE id = $1::uuid AND state = 'dead'
RETURNING kind;

-- name: read_job_state
-- Operators: where a job stands.
SELECT state::text FROM jobs WHERE id = $1::uuid;

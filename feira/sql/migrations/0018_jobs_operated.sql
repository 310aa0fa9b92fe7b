-- Jobs as operators see and steer them: cancelled ones, paused and limited kinds, and what failed attempts said.

ALTER TYPE job_state RENAME TO job_state_without_cancelled;
CREATE TYPE job_state AS ENUM (
    'ready',     -- -> queued (relay), -> cancelled (an operator)
    'queued',    -- -> running (claimed), -> ready (not handed over, lease ran out), -> cancelled (an operator)
    'running',   -- -> done, -> ready (failed, released, lease ran out), -> dead, -> cancelled (asked, and no commit since)
    'done',
    'dead',      -- -> ready (an operator requeues it)
    'cancelled'  -- -> ready (an operator requeues it)
);
DROP INDEX jobs_due, jobs_leased, jobs_finished;
ALTER TABLE jobs
    DROP CONSTRAINT jobs_lease_while_held,
    DROP CONSTRAINT jobs_finished_at_end,
    ALTER COLUMN state DROP DEFAULT,
    ALTER COLUMN state TYPE job_state USING state::text::job_state,
    ALTER COLUMN state SET DEFAULT 'ready',
    -- Of the latest attempt: when it was claimed, and by which process.
    ADD COLUMN started_at timestamptz,
    ADD COLUMN worker text,
    -- Set by an operator while it runs: from then on its attempt cannot commit.
    ADD COLUMN cancel_asked_at timestamptz,
    ADD COLUMN cancel_asked_by uuid,
    ADD CONSTRAINT jobs_lease_while_held CHECK ((state IN ('queued', 'running')) = (lease_until IS NOT NULL)),
    ADD CONSTRAINT jobs_finished_at_end CHECK ((state IN ('done', 'dead', 'cancelled')) = (finished_at IS NOT NULL)),
    ADD CONSTRAINT jobs_done_is_not_cancelled CHECK (state <> 'done' OR cancel_asked_at IS NULL);
DROP TYPE job_state_without_cancelled;

-- By kind, so that one kind's crowd, limit or pause is in no other's way.
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'ready';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_finished ON jobs (state, finished_at, id) WHERE state IN ('done', 'dead', 'cancelled');

-- Kinds that are more than their code: paused by an operator, or limited over the whole installation. The row
-- of a limited kind is locked by whichever relay counts and takes its jobs.
CREATE TABLE job_kinds (
    kind text PRIMARY KEY,
    -- At most so many queued and running at once; null: no limit.
    concurrency_max int CONSTRAINT job_kinds_concurrency_max_positive CHECK (concurrency_max > 0),
    paused_at timestamptz,
    paused_by uuid,
    pause_reason text,
    CONSTRAINT job_kinds_pause_whole CHECK ((paused_at IS NULL) = (pause_reason IS NULL))
);

-- What attempts said that did not end well. One that did is the job's own row.
CREATE TABLE job_failures (
    job_id uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt int NOT NULL,
    outcome text NOT NULL CONSTRAINT job_failures_outcome_known
        CHECK (outcome IN ('retry', 'dead', 'silent', 'cancelled')),
    error text NOT NULL,
    worker text,
    started_at timestamptz,
    ended_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, attempt)
);

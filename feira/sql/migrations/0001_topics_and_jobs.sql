-- The two mechanisms every service stands on: topic logs and job rows.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS citext;

-- Names this history of all logs. A restore from a backup sets a new one, so that clients that have seen
-- events the restore lost start over instead of waiting for sequence numbers that now mean something else.
CREATE TABLE log_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT log_epoch_one_row CHECK (only_row),
    epoch text NOT NULL DEFAULT substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
);
INSERT INTO log_epoch DEFAULT VALUES;

-- One counter a topic; its row lock orders the topic's writers.
CREATE TABLE topics (
    topic text PRIMARY KEY,
    seq bigint NOT NULL CONSTRAINT topics_seq_positive CHECK (seq > 0)
) WITH (fillfactor = 70);

CREATE TABLE topic_events (
    topic text NOT NULL,
    seq bigint NOT NULL,
    at timestamptz NOT NULL,
    -- json, not jsonb: a replay sends the very bytes that were pushed.
    body json NOT NULL,
    PRIMARY KEY (topic, seq)
);

CREATE TYPE job_state AS ENUM (
    'ready',    -- -> queued (relay, when due)
    'queued',   -- -> running (worker claims this attempt), -> ready (lease ran out)
    'running',  -- -> done, -> ready (failed, tried again later), -> dead (attempts used up)
    'done',
    'dead'      -- -> ready (an operator requeues it)
);

CREATE TABLE jobs (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    kind text NOT NULL,
    args jsonb NOT NULL,
    dedup text CONSTRAINT jobs_dedup_unique UNIQUE,
    state job_state NOT NULL DEFAULT 'ready',
    run_at timestamptz NOT NULL DEFAULT now(),
    attempt int NOT NULL DEFAULT 0 CONSTRAINT jobs_attempt_not_negative CHECK (attempt >= 0),
    attempts_max int NOT NULL DEFAULT 12 CONSTRAINT jobs_attempts_max_positive CHECK (attempts_max > 0),
    -- Set while queued or running: past it the attempt is taken for lost.
    lease_until timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT jobs_lease_while_held CHECK ((state IN ('queued', 'running')) = (lease_until IS NOT NULL)),
    CONSTRAINT jobs_finished_at_end CHECK ((state IN ('done', 'dead')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'ready';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state IN ('queued', 'running');
-- Dead letters by age, and what is old enough to be forgotten.
CREATE INDEX jobs_finished ON jobs (state, finished_at, id) WHERE state IN ('done', 'dead');

-- A schedule fires once per slot, however many workers tick.
CREATE TABLE schedule_fires (
    schedule text NOT NULL,
    slot timestamptz NOT NULL,
    PRIMARY KEY (schedule, slot)
);

-- A repeated request with the same key gets the first answer. Key, effect and answer commit together.
CREATE TABLE idempotency_keys (
    user_id uuid NOT NULL,
    key text NOT NULL CONSTRAINT idempotency_keys_key_short CHECK (length(key) BETWEEN 1 AND 200),
    request_sha256 bytea NOT NULL,
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

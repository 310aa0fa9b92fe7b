-- The sandbox company learns what real providers do: authorisations, transfers, payouts, disputes, balances, and to
-- misbehave. Still another company's database, as far as the rest of Feira is concerned.

-- Who made a row, by idempotency key: tests count outside effects by it. The key is set for the transaction.
CREATE FUNCTION sandbox.current_key() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT coalesce(current_setting('sandbox.key', true), '') $$;

ALTER TABLE sandbox.accounts
    ADD COLUMN country text NOT NULL DEFAULT '',
    ADD COLUMN requirements text[] NOT NULL DEFAULT '{}',
    ADD COLUMN disabled_reason text NOT NULL DEFAULT '',
    ADD COLUMN payouts_do text NOT NULL DEFAULT 'pay'
        CONSTRAINT accounts_payouts_do_known CHECK (payouts_do IN ('pay', 'fail', 'pay_then_fail')),
    ADD COLUMN made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    -- Nothing is decided while the owner has not told everything.
    ALTER COLUMN decide_at DROP NOT NULL;

UPDATE sandbox.accounts SET decide_at = NULL WHERE status <> 'pending';
DROP INDEX sandbox.accounts_undecided;
CREATE INDEX accounts_undecided ON sandbox.accounts (decide_at) WHERE decide_at IS NOT NULL;

-- A link to the page where an owner completes an account, for one visit.
CREATE TABLE sandbox.onboarding_links (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES sandbox.accounts,
    return_url text NOT NULL,
    refresh_url text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

ALTER TABLE sandbox.payment_intents
    DROP CONSTRAINT payment_intents_state_known,
    DROP CONSTRAINT payment_intents_refunds_do_known,
    DROP CONSTRAINT payment_intents_refunds_in_range,
    DROP CONSTRAINT payment_intents_capture_only_unpaid,
    ADD COLUMN capture text NOT NULL DEFAULT 'automatic'
        CONSTRAINT payment_intents_capture_known CHECK (capture IN ('automatic', 'manual')),
    ADD COLUMN captured_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN transferred_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN authorized_until timestamptz,
    ADD COLUMN transfer_group text NOT NULL DEFAULT '',
    -- Why the card's bank will take the money back once it was captured; '' if it will not.
    ADD COLUMN disputed_as text NOT NULL DEFAULT '',
    ADD COLUMN made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    ADD CONSTRAINT payment_intents_state_known
        CHECK (state IN ('requires_payment', 'requires_action', 'authorized', 'succeeded', 'canceled')),
    ADD CONSTRAINT payment_intents_refunds_do_known
        CHECK (refunds_do IN ('succeed', 'succeed_later', 'fail_later', 'succeed_then_fail')),
    ADD CONSTRAINT payment_intents_captured_in_range
        CHECK (CASE state WHEN 'succeeded' THEN captured_minor BETWEEN 1 AND amount_minor ELSE captured_minor = 0 END) NOT VALID,
    ADD CONSTRAINT payment_intents_refunds_in_range CHECK (refunded_minor BETWEEN 0 AND captured_minor) NOT VALID,
    ADD CONSTRAINT payment_intents_transfers_in_range CHECK (transferred_minor BETWEEN 0 AND captured_minor) NOT VALID,
    ADD CONSTRAINT payment_intents_capture_only_unpaid CHECK (capture_at IS NULL OR state = 'requires_payment'),
    ADD CONSTRAINT payment_intents_authorized_until CHECK ((state = 'authorized') = (authorized_until IS NOT NULL));
UPDATE sandbox.payment_intents SET captured_minor = amount_minor WHERE state = 'succeeded';
CREATE INDEX payment_intents_authorized ON sandbox.payment_intents (authorized_until) WHERE authorized_until IS NOT NULL;

ALTER TABLE sandbox.refunds
    DROP CONSTRAINT refunds_pending_ends,
    ADD COLUMN client_reference text NOT NULL DEFAULT '',
    ADD COLUMN failure_code text NOT NULL DEFAULT '',
    ADD COLUMN made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    ADD CONSTRAINT refunds_pending_ends CHECK (state <> 'pending' OR ends_at IS NOT NULL);
DROP INDEX sandbox.refunds_pending;
-- A succeeded refund may have an end to come as well: its failure.
CREATE INDEX refunds_unended ON sandbox.refunds (ends_at) WHERE ends_at IS NOT NULL;
CREATE INDEX refunds_by_intent ON sandbox.refunds (payment_intent_id);
UPDATE sandbox.refunds SET ends_at = NULL WHERE state <> 'pending';

CREATE TABLE sandbox.transfers (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES sandbox.accounts,
    payment_intent_id text REFERENCES sandbox.payment_intents,
    amount_minor bigint NOT NULL CONSTRAINT transfers_amount_positive CHECK (amount_minor > 0),
    reversed_minor bigint NOT NULL DEFAULT 0,
    currency text NOT NULL,
    transfer_group text NOT NULL,
    client_reference text NOT NULL,
    made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT transfers_reversed_in_range CHECK (reversed_minor BETWEEN 0 AND amount_minor)
);
CREATE INDEX transfers_by_group ON sandbox.transfers (transfer_group);

CREATE TABLE sandbox.transfer_reversals (
    id text PRIMARY KEY,
    transfer_id text NOT NULL REFERENCES sandbox.transfers,
    amount_minor bigint NOT NULL CONSTRAINT transfer_reversals_amount_positive CHECK (amount_minor > 0),
    client_reference text NOT NULL,
    made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transfer_reversals_by_transfer ON sandbox.transfer_reversals (transfer_id);

CREATE TABLE sandbox.payouts (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES sandbox.accounts,
    amount_minor bigint NOT NULL CONSTRAINT payouts_amount_positive CHECK (amount_minor > 0),
    currency text NOT NULL,
    state text NOT NULL CONSTRAINT payouts_state_known CHECK (state IN ('pending', 'paid', 'failed')),
    failure_code text NOT NULL DEFAULT '',
    client_reference text NOT NULL,
    -- How it goes on: chosen by its account when it was made.
    does text NOT NULL CONSTRAINT payouts_does_known CHECK (does IN ('pay', 'fail', 'pay_then_fail')),
    moves_at timestamptz,
    made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payouts_moving ON sandbox.payouts (moves_at) WHERE moves_at IS NOT NULL;
CREATE INDEX payouts_by_account ON sandbox.payouts (account_id, created_at);

CREATE TABLE sandbox.disputes (
    id text PRIMARY KEY,
    payment_intent_id text NOT NULL REFERENCES sandbox.payment_intents,
    amount_minor bigint NOT NULL CONSTRAINT disputes_amount_positive CHECK (amount_minor > 0),
    currency text NOT NULL,
    fee_minor bigint NOT NULL,
    reason text NOT NULL,
    state text NOT NULL CONSTRAINT disputes_state_known CHECK (state IN ('needs_response', 'under_review', 'won', 'lost')),
    evidence jsonb,
    evidence_due_at timestamptz NOT NULL,
    -- When and how the bank decides, as far as that is settled.
    closes_at timestamptz,
    closes_as text CONSTRAINT disputes_closes_as_known CHECK (closes_as IN ('won', 'lost')),
    made_by_key text NOT NULL DEFAULT sandbox.current_key(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX disputes_closing ON sandbox.disputes (closes_at) WHERE closes_at IS NOT NULL;
CREATE INDEX disputes_by_intent ON sandbox.disputes (payment_intent_id);

-- Account '' is the customer of the company: the market.
CREATE TABLE sandbox.balances (
    account text NOT NULL,
    currency text NOT NULL,
    balance_minor bigint NOT NULL,
    PRIMARY KEY (account, currency)
) WITH (fillfactor = 70);

CREATE TABLE sandbox.balance_transactions (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL CONSTRAINT balance_transactions_id_unique UNIQUE,
    account text NOT NULL,
    type text NOT NULL,
    amount_minor bigint NOT NULL,
    fee_minor bigint NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX balance_transactions_by_account ON sandbox.balance_transactions (account, seq);

ALTER TABLE sandbox.events
    ADD COLUMN seq bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT events_seq_unique UNIQUE,
    ADD COLUMN account text NOT NULL DEFAULT '';
CREATE INDEX events_by_age ON sandbox.events (created_at);
CREATE INDEX deliveries_by_event ON sandbox.deliveries (event_id);

ALTER TABLE sandbox.idempotency_keys ADD COLUMN status int NOT NULL DEFAULT 200;
CREATE INDEX idempotency_keys_by_age ON sandbox.idempotency_keys (created_at);

ALTER TABLE sandbox.faults
    DROP CONSTRAINT faults_kind_known,
    ADD CONSTRAINT faults_kind_known
        CHECK (kind IN ('refuse', 'fail_500', 'reject', 'rate_limit', 'slow', 'apply_then_hang_up', 'saved_500'));

-- Failures by chance, drawn from a seed: one row or none.
CREATE TABLE sandbox.chaos (
    one boolean PRIMARY KEY DEFAULT true CONSTRAINT chaos_one CHECK (one),
    seed text NOT NULL,
    calls jsonb NOT NULL,
    webhooks jsonb NOT NULL
);
-- A key draws once: what went wrong the first time goes right the second.
CREATE TABLE sandbox.chaos_draws (key text PRIMARY KEY, fault text NOT NULL);

CREATE TYPE payment_state AS ENUM (
    'created',     -- -> pending (gateway knows it), -> canceled
    'pending',     -- -> captured, -> failed, -> canceled
    'failed',      -- declined; the buyer may try again: -> captured, -> canceled
    'captured',
    'canceled'
);

CREATE TABLE payments (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    group_id uuid NOT NULL CONSTRAINT payments_one_per_group UNIQUE REFERENCES order_groups,
    -- Set for good before the first call to a provider.
    gateway text,
    -- What the provider calls it, once it has answered.
    gateway_reference text CONSTRAINT payments_gateway_reference_unique UNIQUE,
    -- Where the buyer pays; NULL when the gateway needs no page.
    payment_page_url text,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT payments_amount_positive CHECK (amount_minor > 0),
    fee_minor bigint NOT NULL DEFAULT 0,
    state payment_state NOT NULL DEFAULT 'created',
    decline_code text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    captured_at timestamptz,
    CONSTRAINT payments_captured_at_with_state CHECK ((state = 'captured') = (captured_at IS NOT NULL))
);

CREATE TYPE refund_state AS ENUM (
    'requested',  -- -> succeeded, -> failed (gateway)
    'succeeded',
    'failed'
);

CREATE TABLE refunds (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    payment_id uuid NOT NULL REFERENCES payments,
    order_id uuid NOT NULL REFERENCES orders,
    amount_minor bigint NOT NULL CONSTRAINT refunds_amount_positive CHECK (amount_minor > 0),
    reason text NOT NULL,
    state refund_state NOT NULL DEFAULT 'requested',
    gateway_reference text CONSTRAINT refunds_gateway_reference_unique UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT refunds_finished_at_end CHECK ((state = 'requested') = (finished_at IS NULL))
);
CREATE INDEX refunds_by_order ON refunds (order_id);
CREATE INDEX refunds_by_payment ON refunds (payment_id);

-- What providers told us, exactly once each.
CREATE TABLE webhook_events (
    provider text NOT NULL,
    account text NOT NULL DEFAULT '',
    event_id text NOT NULL,
    type text NOT NULL,
    -- What to ask the provider about: its reference of an account, intent or refund.
    subject text NOT NULL,
    body jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    handled_at timestamptz,
    PRIMARY KEY (provider, account, event_id)
);

CREATE TABLE commission_rules (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    scope text NOT NULL CONSTRAINT commission_rules_scope_known CHECK (scope IN ('platform')),
    basis_points int NOT NULL CONSTRAINT commission_rules_percent_in_range CHECK (basis_points BETWEEN 0 AND 10000),
    valid_from timestamptz NOT NULL DEFAULT now()
);
INSERT INTO commission_rules (scope, basis_points) VALUES ('platform', 1000);

CREATE TYPE ledger_side AS ENUM ('debit', 'credit');

CREATE TABLE ledger_accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Debit-normal: psp, fees. Credit-normal: hold, pending, available, refund_payable, commission.
    kind text NOT NULL,
    -- Shop, order or provider the account belongs to; '' for the platform's own.
    owner text NOT NULL DEFAULT '',
    currency text NOT NULL,
    normal ledger_side NOT NULL,
    -- Tracked accounts keep a balance row and may never be overdrawn.
    tracked boolean NOT NULL,
    CONSTRAINT ledger_accounts_unique UNIQUE (kind, owner, currency),
    CONSTRAINT ledger_accounts_with_currency UNIQUE (id, currency)
);

CREATE TABLE ledger_balances (
    account_id bigint PRIMARY KEY REFERENCES ledger_accounts,
    -- In the account's normal direction.
    balance_minor bigint NOT NULL DEFAULT 0 CONSTRAINT ledger_balances_never_overdrawn CHECK (balance_minor >= 0)
) WITH (fillfactor = 70);

CREATE TABLE ledger_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Names the effect ("capture:{payment}"), never the event that told us of it.
    idem_key text NOT NULL CONSTRAINT ledger_transactions_idem_key_unique UNIQUE,
    body_sha256 bytea NOT NULL,
    kind text NOT NULL,
    order_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ledger_transactions_by_order ON ledger_transactions (order_id);

CREATE TABLE ledger_postings (
    transaction_id bigint NOT NULL REFERENCES ledger_transactions,
    position int NOT NULL,
    account_id bigint NOT NULL,
    currency text NOT NULL,
    -- Debit positive, credit negative.
    amount_minor bigint NOT NULL CONSTRAINT ledger_postings_not_zero CHECK (amount_minor <> 0),
    PRIMARY KEY (transaction_id, position),
    CONSTRAINT ledger_postings_in_account_currency FOREIGN KEY (account_id, currency) REFERENCES ledger_accounts (id, currency)
);
CREATE INDEX ledger_postings_by_account ON ledger_postings (account_id, transaction_id);

CREATE FUNCTION ledger_transaction_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_postings WHERE transaction_id = NEW.transaction_id
        GROUP BY currency HAVING sum(amount_minor) <> 0
    ) THEN
        RAISE EXCEPTION 'ledger transaction % does not balance', NEW.transaction_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_transactions_balance';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transactions_balance AFTER INSERT ON ledger_postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_transaction_balances();

CREATE FUNCTION ledger_is_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is insert-only: correct with a new transaction'
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_insert_only';
END $$;
CREATE TRIGGER ledger_postings_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_postings
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_insert_only();
CREATE TRIGGER ledger_transactions_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_insert_only();

-- The sandbox gateway's own books: another company's database, as far as the rest of Feira is concerned.
CREATE SCHEMA sandbox;
CREATE TABLE sandbox.accounts (
    id text PRIMARY KEY,
    name text NOT NULL,
    status text NOT NULL CONSTRAINT accounts_status_known CHECK (status IN ('pending', 'verified', 'restricted')),
    -- When the know-your-customer check comes to its decision.
    decide_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX accounts_undecided ON sandbox.accounts (decide_at) WHERE status = 'pending';

CREATE TABLE sandbox.payment_intents (
    id text PRIMARY KEY,
    amount_minor bigint NOT NULL CONSTRAINT payment_intents_amount_positive CHECK (amount_minor > 0),
    currency text NOT NULL,
    state text NOT NULL CONSTRAINT payment_intents_state_known CHECK (state IN ('requires_payment', 'succeeded', 'canceled')),
    fee_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    last_decline_code text NOT NULL DEFAULT '',
    -- How refunds of the card behave that paid it.
    refunds_do text NOT NULL DEFAULT 'succeed' CONSTRAINT payment_intents_refunds_do_known CHECK (refunds_do IN ('succeed', 'succeed_later', 'fail_later')),
    -- A payment under way: captured at this time unless it is canceled before.
    capture_at timestamptz,
    webhook_delay_s int NOT NULL DEFAULT 0,
    webhook_duplicates int NOT NULL DEFAULT 0,
    return_url text NOT NULL,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_intents_refunds_in_range CHECK (refunded_minor BETWEEN 0 AND CASE state WHEN 'succeeded' THEN amount_minor ELSE 0 END),
    CONSTRAINT payment_intents_capture_only_unpaid CHECK (capture_at IS NULL OR state = 'requires_payment')
);
CREATE INDEX payment_intents_under_way ON sandbox.payment_intents (capture_at) WHERE capture_at IS NOT NULL;

CREATE TABLE sandbox.refunds (
    id text PRIMARY KEY,
    payment_intent_id text NOT NULL REFERENCES sandbox.payment_intents,
    amount_minor bigint NOT NULL CONSTRAINT refunds_amount_positive CHECK (amount_minor > 0),
    state text NOT NULL CONSTRAINT refunds_state_known CHECK (state IN ('pending', 'succeeded', 'failed')),
    -- When and how a pending one ends.
    ends_at timestamptz,
    ends_as text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refunds_pending_ends CHECK (state <> 'pending' OR (ends_at IS NOT NULL AND ends_as IN ('succeeded', 'failed')))
);
CREATE INDEX refunds_pending ON sandbox.refunds (ends_at) WHERE state = 'pending';

CREATE TABLE sandbox.idempotency_keys (
    key text PRIMARY KEY,
    request_sha256 bytea NOT NULL,
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sandbox.events (
    id text PRIMARY KEY,
    type text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE sandbox.deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL REFERENCES sandbox.events,
    due_at timestamptz NOT NULL DEFAULT now(),
    attempt int NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    last_error text NOT NULL DEFAULT ''
);
CREATE INDEX deliveries_due ON sandbox.deliveries (due_at) WHERE delivered_at IS NULL;

-- Failures that were asked for: the next calls of an operation go wrong in a chosen way.
CREATE TABLE sandbox.faults (
    operation text PRIMARY KEY,
    kind text NOT NULL CONSTRAINT faults_kind_known CHECK (kind IN ('refuse', 'apply_then_hang_up')),
    calls_left int NOT NULL CONSTRAINT faults_calls_not_negative CHECK (calls_left >= 0)
);

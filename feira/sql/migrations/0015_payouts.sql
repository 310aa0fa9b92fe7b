-- What holds for all shops; one row.
CREATE TABLE payout_policy (
    is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT payout_policy_one_row CHECK (is_only),
    -- From an order's completion until its money may be paid out.
    clearance_s int NOT NULL DEFAULT 7 * 86400
    CONSTRAINT payout_policy_clearance_in_range CHECK (clearance_s BETWEEN 0 AND 366 * 86400),
    -- While an operator has paused all payouts, none is made and none leaves.
    paused_reason text NOT NULL DEFAULT ''
);
INSERT INTO payout_policy DEFAULT VALUES;

-- When a shop is paid, and what keeps it from being paid. A shop without a row has the defaults.
CREATE TABLE payout_settings (
    shop_id uuid PRIMARY KEY REFERENCES shops,
    frequency text NOT NULL DEFAULT 'weekly'
    CONSTRAINT payout_settings_frequency_known CHECK (frequency IN ('manual', 'daily', 'weekly', 'biweekly', 'monthly')),
    weekday int NOT NULL DEFAULT 1 CONSTRAINT payout_settings_weekday_iso CHECK (weekday BETWEEN 1 AND 7),
    month_day int NOT NULL DEFAULT 1 CONSTRAINT payout_settings_month_day_exists CHECK (month_day BETWEEN 1 AND 31),
    zone text NOT NULL DEFAULT 'UTC',
    -- The slot that is awaited; NULL where the shop asks itself.
    next_slot_at timestamptz,
    -- From completion until the money may be paid out, by operators; NULL is the market's.
    clearance_s int CONSTRAINT payout_settings_clearance_in_range CHECK (clearance_s BETWEEN 0 AND 366 * 86400),
    -- An operator's word.
    paused_reason text NOT NULL DEFAULT '',
    -- A payout was given up: nothing leaves by itself until the seller looked at the bank details.
    needs_bank_details boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payout_settings_due ON payout_settings (next_slot_at) WHERE next_slot_at IS NOT NULL;

-- Less than this is not paid out by the schedule.
CREATE TABLE payout_minimums (
    shop_id uuid NOT NULL REFERENCES shops,
    currency text NOT NULL,
    minimum_minor bigint NOT NULL CONSTRAINT payout_minimums_positive CHECK (minimum_minor > 0),
    PRIMARY KEY (shop_id, currency)
);

-- A completed order's money in clearance.
CREATE TABLE releases (
    order_id uuid PRIMARY KEY REFERENCES orders,
    shop_id uuid NOT NULL REFERENCES shops,
    currency text NOT NULL,
    due_at timestamptz NOT NULL,
    -- What keeps it where it is, each by its own name; while there is any, the clock stands still.
    causes text[] NOT NULL DEFAULT '{}',
    paused_at timestamptz,
    released_at timestamptz,
    CONSTRAINT releases_paused_by_something CHECK ((paused_at IS NULL) = (causes = '{}'))
);
CREATE INDEX releases_due ON releases (due_at) WHERE released_at IS NULL AND paused_at IS NULL;
CREATE INDEX releases_under_way ON releases (shop_id, due_at) WHERE released_at IS NULL;

CREATE TYPE payout_state AS ENUM (
    'created',       -- -> transferring, canceled
    'transferring',  -- the provider is asked: -> transferred, created (refused for now), failed
    'transferred',   -- -> sending, paid (the provider sends by itself)
    'sending',       -- the provider is asked: -> sent, transferred (refused for now), reversing
    'sent',          -- -> paid, transferred (failed), reversing
    'paid',          -- -> transferred, reversing (the bank sent it back)
    'reversing',     -- given up: -> failed
    'failed',        -- the money is available again
    'canceled'
);

CREATE TABLE payouts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    shop_id uuid NOT NULL REFERENCES shops,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT payouts_amount_positive CHECK (amount_minor > 0),
    -- Banks take some currencies in steps: what the payout before left over, and what this one leaves.
    carried_in_minor bigint NOT NULL DEFAULT 0 CONSTRAINT payouts_carried_in_positive CHECK (carried_in_minor >= 0),
    carried_out_minor bigint NOT NULL DEFAULT 0 CONSTRAINT payouts_carried_out_positive CHECK (carried_out_minor >= 0),
    -- The slot it is for; NULL for one that somebody asked for.
    slot_at timestamptz,
    requested_by uuid REFERENCES users,
    gateway text NOT NULL,
    account text NOT NULL,
    state payout_state NOT NULL DEFAULT 'created',
    -- How often each was asked for; part of the keys of outside calls.
    transfer_attempt int NOT NULL DEFAULT 0,
    send_attempt int NOT NULL DEFAULT 0,
    reverse_attempt int NOT NULL DEFAULT 0,
    asked_at timestamptz,
    unknown_since timestamptz,
    -- Not before then.
    retry_at timestamptz,
    transfer_reference text CONSTRAINT payouts_transfer_reference_unique UNIQUE,
    payout_reference text CONSTRAINT payouts_payout_reference_unique UNIQUE,
    failure_code text NOT NULL DEFAULT '',
    arrives_on date,
    held_reason text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payouts_one_per_slot UNIQUE (shop_id, currency, slot_at),
    CONSTRAINT payouts_asked_when_asking CHECK (state NOT IN ('transferring', 'sending', 'reversing') OR asked_at IS NOT NULL)
);
CREATE INDEX payouts_by_shop ON payouts (shop_id, id);
CREATE INDEX payouts_under_way ON payouts (state, id) WHERE state NOT IN ('paid', 'failed', 'canceled');

-- What a payout is made of: each movement of what was available is in one payout, and with what is carried they add up to its amount.
CREATE TABLE payout_lines (
    transaction_id bigint PRIMARY KEY REFERENCES ledger_transactions,
    payout_id uuid NOT NULL REFERENCES payouts,
    amount_minor bigint NOT NULL
);
CREATE INDEX payout_lines_by_payout ON payout_lines (payout_id, transaction_id);

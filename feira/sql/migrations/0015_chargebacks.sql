CREATE TYPE chargeback_state AS ENUM (
    'needs_response',  -- -> under_review, won, lost
    'under_review',    -- -> won, lost
    'won',
    'lost',            -- -> reinstated
    'reinstated'
);

-- A payment that a buyer's bank took back.
CREATE TABLE chargebacks (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    payment_id uuid NOT NULL REFERENCES payments,
    gateway text NOT NULL,
    gateway_reference text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT chargebacks_amount_positive CHECK (amount_minor > 0),
    currency text NOT NULL,
    fee_minor bigint NOT NULL,
    reason text NOT NULL,
    state chargeback_state NOT NULL DEFAULT 'needs_response',
    evidence_due_at timestamptz,
    -- What was answered, once, and by whom.
    evidence jsonb,
    evidence_by uuid REFERENCES users,
    evidence_at timestamptz,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    CONSTRAINT chargebacks_reference_unique UNIQUE (gateway, gateway_reference),
    CONSTRAINT chargebacks_closed_when_decided CHECK ((closed_at IS NULL) = (state IN ('needs_response', 'under_review'))),
    CONSTRAINT chargebacks_evidence_whole CHECK ((evidence IS NULL) = (evidence_at IS NULL))
);
CREATE INDEX chargebacks_by_payment ON chargebacks (payment_id);
CREATE INDEX chargebacks_by_state ON chargebacks (state, id);

-- Each order's share, as it was when the money went.
CREATE TABLE chargeback_orders (
    chargeback_id uuid NOT NULL REFERENCES chargebacks,
    order_id uuid NOT NULL REFERENCES orders,
    shop_id uuid NOT NULL REFERENCES shops,
    amount_minor bigint NOT NULL,
    commission_minor bigint NOT NULL,
    subsidy_minor bigint NOT NULL,
    excess_minor bigint NOT NULL,
    PRIMARY KEY (chargeback_id, order_id),
    CONSTRAINT chargeback_orders_take_something CHECK (amount_minor >= 0 AND excess_minor >= 0 AND amount_minor + excess_minor > 0)
);
CREATE INDEX chargeback_orders_by_order ON chargeback_orders (order_id);
CREATE INDEX chargeback_orders_by_shop ON chargeback_orders (shop_id, chargeback_id);

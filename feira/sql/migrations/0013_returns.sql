-- Who gave the money back and what for.
ALTER TABLE refunds
    ADD COLUMN cause text NOT NULL DEFAULT 'order' CONSTRAINT refunds_cause_known CHECK (cause IN (
        'order', 'return', 'claim', 'exchange', 'goodwill', 'damaged', 'not_as_described', 'not_arrived', 'incomplete', 'other'
    )),
    -- NULL: the market's own rules.
    ADD COLUMN actor_id uuid REFERENCES users,
    ADD COLUMN actor_role text NOT NULL DEFAULT 'market'
        CONSTRAINT refunds_actor_role_known CHECK (actor_role IN ('buyer', 'seller', 'support', 'market')),
    -- Of the amount, what is for the shipping; `refund_lines` say what is for units of lines.
    ADD COLUMN shipping_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN return_id uuid,
    -- Each attempt has a key of its own at the provider; a new one only where the one before is known to have done nothing.
    ADD COLUMN attempt int NOT NULL DEFAULT 1 CONSTRAINT refunds_attempt_counts CHECK (attempt >= 1),
    ADD COLUMN asked_at timestamptz,
    ADD COLUMN is_key_spent boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT refunds_shipping_in_range CHECK (shipping_minor BETWEEN 0 AND amount_minor),
    ADD CONSTRAINT refunds_actor_whole CHECK ((actor_role = 'market') = (actor_id IS NULL));

CREATE TABLE refund_lines (
    refund_id uuid NOT NULL REFERENCES refunds,
    order_line_id uuid NOT NULL REFERENCES order_lines,
    quantity int NOT NULL CONSTRAINT refund_lines_quantity_positive CHECK (quantity > 0),
    amount_minor bigint NOT NULL CONSTRAINT refund_lines_amount_not_negative CHECK (amount_minor >= 0),
    PRIMARY KEY (refund_id, order_line_id)
);
CREATE INDEX refund_lines_by_order_line ON refund_lines (order_line_id);

-- How long after delivery a shop takes things back; NULL is the market's usual time.
ALTER TABLE shops ADD COLUMN return_window_s int
    CONSTRAINT shops_return_window_sane CHECK (return_window_s BETWEEN 0 AND 31536000);
-- Frozen at checkout: the shop's later terms close no window of an old order.
ALTER TABLE orders ADD COLUMN return_window_s int NOT NULL DEFAULT 1209600;

-- An exchange's order costs nothing.
ALTER TABLE order_groups DROP CONSTRAINT order_groups_total_positive;
ALTER TABLE order_groups ADD CONSTRAINT order_groups_total_not_negative CHECK (total_minor >= 0);

CREATE TYPE return_status AS ENUM (
    'requested',   -- -> approved, -> declined, -> withdrawn; a claim -> refunded
    'approved',    -- -> in_transit, -> received, -> withdrawn, -> expired
    'in_transit',  -- -> received; -> refunded (timer)
    'received',    -- -> refunded, -> exchanged
    'refunded',
    'exchanged',
    'declined',
    'withdrawn',
    'expired'
);

CREATE TABLE returns (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id uuid NOT NULL REFERENCES orders,
    kind text NOT NULL CONSTRAINT returns_kind_known CHECK (kind IN ('return', 'claim')),
    remedy text NOT NULL CONSTRAINT returns_remedy_known CHECK (remedy IN ('refund', 'exchange')),
    cause text NOT NULL CONSTRAINT returns_cause_known CHECK (cause IN (
        'changed_mind', 'damaged', 'not_as_described', 'wrong_item', 'incomplete', 'not_arrived', 'other'
    )),
    text text NOT NULL DEFAULT '',
    -- Where both sides follow it; NULL where they cannot talk.
    conversation_id uuid REFERENCES conversations,
    status return_status NOT NULL DEFAULT 'requested',
    version int NOT NULL DEFAULT 1,
    -- What was said with the last step.
    reason text NOT NULL DEFAULT '',
    carrier text NOT NULL DEFAULT '',
    tracking_number text NOT NULL DEFAULT '',
    -- An exchange's other order: made when it is agreed on, paid for by what comes back.
    replacement_order_id uuid CONSTRAINT returns_replacement_unique UNIQUE REFERENCES orders,
    requested_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT returns_replacement_is_for_exchange CHECK (replacement_order_id IS NULL OR remedy = 'exchange'),
    CONSTRAINT returns_claim_is_refund CHECK (kind = 'return' OR remedy = 'refund')
);
CREATE INDEX returns_by_order ON returns (order_id, id);

CREATE TABLE return_lines (
    return_id uuid NOT NULL REFERENCES returns,
    order_line_id uuid NOT NULL REFERENCES order_lines,
    position int NOT NULL,
    quantity int NOT NULL CONSTRAINT return_lines_quantity_positive CHECK (quantity > 0),
    received int NOT NULL DEFAULT 0 CONSTRAINT return_lines_received_in_range CHECK (received BETWEEN 0 AND quantity),
    condition text CONSTRAINT return_lines_condition_known CHECK (condition IN ('as_new', 'used', 'damaged', 'unsellable')),
    restocked boolean NOT NULL DEFAULT false,
    replacement_variant_id uuid REFERENCES variants,
    PRIMARY KEY (return_id, order_line_id)
);
CREATE INDEX return_lines_by_order_line ON return_lines (order_line_id);

-- Timers are rows, as those of orders are. A status has one.
CREATE TABLE return_deadlines (
    return_id uuid PRIMARY KEY REFERENCES returns,
    kind text NOT NULL CONSTRAINT return_deadlines_kind_known CHECK (kind IN ('answer', 'send', 'settle')),
    due_at timestamptz NOT NULL
);
CREATE INDEX return_deadlines_due ON return_deadlines (due_at);

ALTER TABLE refunds ADD CONSTRAINT refunds_of_return FOREIGN KEY (return_id) REFERENCES returns;
CREATE INDEX refunds_by_return ON refunds (return_id) WHERE return_id IS NOT NULL;

ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_cause_known;
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_cause_known
    CHECK (cause IN ('adjusted', 'imported', 'sold', 'restocked', 'returned'));

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

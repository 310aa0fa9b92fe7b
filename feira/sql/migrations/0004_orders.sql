-- A cart belongs to a user, or to a guest who holds its token.
CREATE TABLE carts (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid CONSTRAINT carts_one_per_user UNIQUE REFERENCES users,
    guest_token_sha256 bytea CONSTRAINT carts_guest_token_unique UNIQUE,
    version int NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT carts_user_or_guest CHECK ((user_id IS NULL) <> (guest_token_sha256 IS NULL))
);

CREATE TABLE cart_lines (
    cart_id uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
    variant_id uuid NOT NULL REFERENCES variants,
    quantity int NOT NULL CONSTRAINT cart_lines_quantity_in_range CHECK (quantity BETWEEN 1 AND 999),
    -- What the buyer saw when adding it; a changed price is shown and must be accepted at checkout.
    seen_price_minor bigint NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
);

CREATE TABLE order_groups (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    buyer_id uuid NOT NULL REFERENCES users,
    currency text NOT NULL,
    total_minor bigint NOT NULL CONSTRAINT order_groups_total_positive CHECK (total_minor > 0),
    -- Snapshot: later edits of the address book change no order.
    shipping_address jsonb NOT NULL,
    hold_ends_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_groups_by_buyer ON order_groups (buyer_id, created_at);

CREATE TYPE order_status AS ENUM (
    'pending_payment',  -- -> paid, -> expired, -> cancelled
    'paid',             -- -> accepted, -> cancelled
    'accepted',         -- -> shipped, -> cancelled
    'shipped',          -- -> delivered
    'delivered',        -- -> completed (the buyer, support, or the auto-accept deadline)
    'completed',
    'cancelled',
    'expired'
);
CREATE TYPE payment_status AS ENUM ('none', 'authorized', 'captured', 'partially_refunded', 'refunded', 'charged_back');
CREATE TYPE fulfilment_status AS ENUM ('none', 'partial', 'full', 'delivered');

CREATE TABLE orders (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    number bigint GENERATED ALWAYS AS IDENTITY (START WITH 1001) CONSTRAINT orders_number_unique UNIQUE,
    group_id uuid NOT NULL REFERENCES order_groups,
    buyer_id uuid NOT NULL REFERENCES users,
    shop_id uuid NOT NULL REFERENCES shops,
    currency text NOT NULL,
    items_minor bigint NOT NULL CONSTRAINT orders_items_not_negative CHECK (items_minor >= 0),
    shipping_minor bigint NOT NULL DEFAULT 0 CONSTRAINT orders_shipping_not_negative CHECK (shipping_minor >= 0),
    tax_minor bigint NOT NULL DEFAULT 0 CONSTRAINT orders_tax_not_negative CHECK (tax_minor >= 0),
    discount_minor bigint NOT NULL DEFAULT 0 CONSTRAINT orders_discount_not_negative CHECK (discount_minor >= 0),
    total_minor bigint NOT NULL,
    commission_minor bigint NOT NULL CONSTRAINT orders_commission_in_range CHECK (commission_minor BETWEEN 0 AND total_minor),
    status order_status NOT NULL DEFAULT 'pending_payment',
    payment_status payment_status NOT NULL DEFAULT 'none',
    fulfilment_status fulfilment_status NOT NULL DEFAULT 'none',
    -- What the gateway gave back, up to now.
    refunded_minor bigint NOT NULL DEFAULT 0 CONSTRAINT orders_refunded_in_range CHECK (refunded_minor BETWEEN 0 AND total_minor),
    -- Frozen at checkout: the market's later terms move no deadline of an old order.
    auto_accept_s int NOT NULL DEFAULT 1209600 CONSTRAINT orders_auto_accept_positive CHECK (auto_accept_s > 0),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT orders_total_adds_up CHECK (total_minor = items_minor + shipping_minor + tax_minor - discount_minor),
    CONSTRAINT orders_one_per_shop UNIQUE (group_id, shop_id)
) WITH (fillfactor = 80);
CREATE INDEX orders_by_buyer ON orders (buyer_id, id);
CREATE INDEX orders_by_shop ON orders (shop_id, id);
CREATE INDEX orders_by_shop_status ON orders (shop_id, status, id);

CREATE TABLE order_lines (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id uuid NOT NULL REFERENCES orders,
    variant_id uuid NOT NULL REFERENCES variants,
    product_id uuid NOT NULL REFERENCES products,
    -- Snapshots of what was bought.
    title text NOT NULL,
    sku text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    quantity int NOT NULL CONSTRAINT order_lines_quantity_positive CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    commission_basis_points int NOT NULL CONSTRAINT order_lines_commission_in_range CHECK (commission_basis_points BETWEEN 0 AND 10000),
    commission_minor bigint NOT NULL,
    position int NOT NULL DEFAULT 0,
    CONSTRAINT order_lines_total_adds_up CHECK (total_minor = unit_price_minor * quantity)
);
CREATE INDEX order_lines_by_order ON order_lines (order_id, position);

-- Timers are rows: memory may forget, these do not. Moved or deleted in the transaction that changes their cause.
CREATE TABLE order_deadlines (
    order_id uuid NOT NULL REFERENCES orders,
    kind text NOT NULL CONSTRAINT order_deadlines_kind_known CHECK (kind IN ('hold', 'auto_accept')),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, kind)
);
CREATE INDEX order_deadlines_due ON order_deadlines (kind, due_at);

CREATE TABLE shipments (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id uuid NOT NULL REFERENCES orders,
    carrier text NOT NULL,
    tracking_number text NOT NULL,
    shipped_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz
);
CREATE INDEX shipments_by_order ON shipments (order_id);

CREATE TABLE shipment_lines (
    shipment_id uuid NOT NULL REFERENCES shipments,
    order_line_id uuid NOT NULL REFERENCES order_lines,
    quantity int NOT NULL CONSTRAINT shipment_lines_quantity_positive CHECK (quantity > 0),
    PRIMARY KEY (shipment_id, order_line_id)
);

-- A command on an order repeated with the same key changes nothing again.
CREATE TABLE order_commands (
    order_id uuid NOT NULL REFERENCES orders,
    idempotency_key text NOT NULL CONSTRAINT order_commands_key_short CHECK (length(idempotency_key) BETWEEN 1 AND 200),
    actor_id uuid NOT NULL,
    action text NOT NULL,
    request_sha256 bytea NOT NULL,
    -- The order's version after it.
    version int NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, actor_id, idempotency_key)
);

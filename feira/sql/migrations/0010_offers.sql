CREATE TYPE offer_status AS ENUM (
    'open',       -- -> any of the others, once
    'countered',
    'accepted',
    'declined',
    'withdrawn',
    'expired'
);

-- Haggling inside a conversation. Locked before orders, in the order of ids. Only the status ever changes, once.
CREATE TABLE offers (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    conversation_id uuid NOT NULL REFERENCES conversations,
    side text NOT NULL CONSTRAINT offers_side_known CHECK (side IN ('buyer', 'seller')),
    maker_id uuid NOT NULL REFERENCES users,
    -- The offer that this one counters.
    answers_id uuid CONSTRAINT offers_countered_once UNIQUE REFERENCES offers,
    product_id uuid NOT NULL REFERENCES products,
    variant_id uuid NOT NULL REFERENCES variants,
    -- Snapshots of what was offered.
    title text NOT NULL,
    options jsonb NOT NULL,
    quantity int NOT NULL CONSTRAINT offers_quantity_in_range CHECK (quantity BETWEEN 1 AND 999),
    unit_price_minor bigint NOT NULL CONSTRAINT offers_price_in_range CHECK (unit_price_minor BETWEEN 1 AND 1000000000000),
    currency text NOT NULL,
    -- Where the buyer wants it, from the moment they said so; later edits of the address book change no offer.
    shipping_address jsonb CONSTRAINT offers_buyer_says_where CHECK (side = 'seller' OR shipping_address IS NOT NULL),
    status offer_status NOT NULL DEFAULT 'open',
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz CONSTRAINT offers_ended_unless_open CHECK ((status = 'open') = (ended_at IS NULL)),
    group_id uuid CONSTRAINT offers_one_group UNIQUE REFERENCES order_groups,
    order_id uuid CONSTRAINT offers_one_order UNIQUE REFERENCES orders,
    CONSTRAINT offers_accepted_is_ordered
    CHECK ((status = 'accepted') = (order_id IS NOT NULL) AND (order_id IS NULL) = (group_id IS NULL))
);
-- Two open offers for the same thing would let both sides say yes to different prices.
CREATE UNIQUE INDEX offers_one_open ON offers (conversation_id, variant_id) WHERE status = 'open';
CREATE INDEX offers_expiring ON offers (expires_at) WHERE status = 'open';

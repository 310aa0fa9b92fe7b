CREATE TABLE categories (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    parent_id uuid REFERENCES categories,
    slug text NOT NULL CONSTRAINT categories_slug_unique UNIQUE,
    name text NOT NULL,
    position int NOT NULL DEFAULT 0
);

CREATE TYPE product_status AS ENUM (
    'draft',      -- -> published (the shop, once complete)
    'published',  -- -> archived
    'archived'    -- -> published
);

CREATE TABLE products (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    shop_id uuid NOT NULL REFERENCES shops,
    category_id uuid REFERENCES categories,
    slug text NOT NULL,
    title text NOT NULL CONSTRAINT products_title_short CHECK (length(title) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '',
    currency text NOT NULL,
    status product_status NOT NULL DEFAULT 'draft',
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CONSTRAINT products_slug_unique UNIQUE (shop_id, slug)
);
CREATE INDEX products_by_shop ON products (shop_id, created_at);

CREATE TABLE variants (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    product_id uuid NOT NULL REFERENCES products,
    shop_id uuid NOT NULL REFERENCES shops,
    sku text NOT NULL CONSTRAINT variants_sku_short CHECK (length(sku) BETWEEN 1 AND 64),
    -- Option values by option name, e.g. {"Size": "M"}; empty for a product without options.
    options jsonb NOT NULL DEFAULT '{}',
    price_minor bigint NOT NULL CONSTRAINT variants_price_in_range CHECK (price_minor BETWEEN 0 AND 1000000000000),
    position int NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT variants_sku_unique UNIQUE (shop_id, sku),
    CONSTRAINT variants_options_unique UNIQUE (product_id, options)
);
CREATE INDEX variants_by_product ON variants (product_id, position);

-- available = on_hand - reserved. One conditional update moves both; nothing reads and then writes.
CREATE TABLE stock (
    variant_id uuid PRIMARY KEY REFERENCES variants,
    on_hand int NOT NULL DEFAULT 0 CONSTRAINT stock_on_hand_not_negative CHECK (on_hand >= 0),
    reserved int NOT NULL DEFAULT 0 CONSTRAINT stock_reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT stock_never_oversold CHECK (reserved <= on_hand)
) WITH (fillfactor = 70);

CREATE TYPE reservation_state AS ENUM (
    'held',       -- -> sold (paid), -> released (expired or cancelled)
    'sold',       -- -> restocked (cancelled after payment)
    'released',
    'restocked'
);

CREATE TABLE reservations (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    order_id uuid NOT NULL,
    variant_id uuid NOT NULL REFERENCES variants,
    quantity int NOT NULL CONSTRAINT reservations_quantity_positive CHECK (quantity > 0),
    state reservation_state NOT NULL DEFAULT 'held',
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reservations_once_per_line UNIQUE (order_id, variant_id)
);
CREATE INDEX reservations_expiring ON reservations (expires_at) WHERE state = 'held';
CREATE INDEX reservations_by_variant ON reservations (variant_id) WHERE state = 'held';

-- Every change of on_hand, with its cause; on_hand is the sum of a variant's movements.
CREATE TABLE stock_movements (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    variant_id uuid NOT NULL REFERENCES variants,
    quantity int NOT NULL CONSTRAINT stock_movements_not_zero CHECK (quantity <> 0),
    cause text NOT NULL CONSTRAINT stock_movements_cause_known CHECK (cause IN ('adjusted', 'imported', 'sold', 'restocked')),
    order_id uuid,
    actor_id uuid,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stock_movements_by_variant ON stock_movements (variant_id, at);

CREATE TYPE media_state AS ENUM (
    'awaiting_upload',  -- -> checking (uploader says done)
    'checking',         -- -> ready, -> rejected (job)
    'ready',
    'rejected'
);

CREATE TABLE media (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    owner_id uuid NOT NULL REFERENCES users,
    product_id uuid NOT NULL REFERENCES products,
    key text NOT NULL CONSTRAINT media_key_unique UNIQUE,
    content_type text NOT NULL,
    size_bytes_max bigint NOT NULL,
    size_bytes bigint,
    state media_state NOT NULL DEFAULT 'awaiting_upload',
    reason text NOT NULL DEFAULT '',
    position int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX media_by_product ON media (product_id, position);

-- The Postgres search engine's index: written by jobs only, versioned so that a late job never overwrites a newer state.
CREATE TABLE search_documents (
    product_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    shop_id uuid NOT NULL,
    category_slugs text[] NOT NULL DEFAULT '{}',
    title text NOT NULL,
    body text NOT NULL,
    document jsonb NOT NULL,
    currency text NOT NULL,
    price_min_minor bigint NOT NULL,
    in_stock boolean NOT NULL,
    published_at timestamptz NOT NULL,
    tsv tsvector NOT NULL
);
CREATE INDEX search_documents_tsv ON search_documents USING gin (tsv);
CREATE INDEX search_documents_title_trigrams ON search_documents USING gin (title gin_trgm_ops);
CREATE INDEX search_documents_newest ON search_documents (published_at DESC, product_id);
CREATE INDEX search_documents_by_price ON search_documents (price_min_minor, product_id);

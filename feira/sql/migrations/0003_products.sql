CREATE TABLE categories (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    parent_id uuid REFERENCES categories,
    slug text NOT NULL CONSTRAINT categories_slug_unique UNIQUE,
    name text NOT NULL,
    position int NOT NULL DEFAULT 0
);
CREATE INDEX categories_by_parent ON categories (parent_id);

-- A tree to begin with; a market adds its own below or beside.
INSERT INTO categories (slug, name, position) VALUES
('home-living', 'Home & Living', 1),
('fashion', 'Fashion', 2),
('electronics', 'Electronics', 3),
('books-media', 'Books & Media', 4),
('food-drink', 'Food & Drink', 5);
INSERT INTO categories (parent_id, slug, name, position)
SELECT parent.id, child.slug, child.name, child.position
FROM (VALUES
    ('home-living', 'ceramics', 'Ceramics', 1),
    ('home-living', 'furniture', 'Furniture', 2),
    ('home-living', 'lighting', 'Lighting', 3),
    ('fashion', 'clothing', 'Clothing', 1),
    ('fashion', 'shoes', 'Shoes', 2),
    ('fashion', 'jewellery', 'Jewellery', 3),
    ('electronics', 'audio', 'Audio', 1),
    ('electronics', 'phones', 'Phones & Accessories', 2),
    ('books-media', 'books', 'Books', 1),
    ('books-media', 'music', 'Music', 2)
) AS child (parent_slug, slug, name, position)
JOIN categories parent ON parent.slug = child.parent_slug;

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
    CONSTRAINT products_slug_unique UNIQUE (shop_id, slug),
    CONSTRAINT products_published_whole
    CHECK (status = 'draft' OR (category_id IS NOT NULL AND published_at IS NOT NULL))
);
CREATE INDEX products_by_shop ON products (shop_id, id);

-- Grows with every change that search shows, in the transaction that makes it. Apart from `products.version`, so that
-- a sale never turns a seller's edit into a conflict. Locked after stock and before topics, in the order of ids.
CREATE TABLE product_search_versions (
    product_id uuid PRIMARY KEY REFERENCES products,
    version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

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
    CONSTRAINT variants_sku_unique UNIQUE (shop_id, sku)
);
-- A variant that was given up leaves its options to another.
CREATE UNIQUE INDEX variants_options_unique ON variants (product_id, options) WHERE active;
CREATE INDEX variants_by_product ON variants (product_id, position);

-- available = on_hand - reserved. Whoever changes a row of it, or the state of a reservation of it, holds this row's
-- lock; several are locked in the order of their ids. One conditional update moves both; nothing reads and then writes.
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

CREATE EXTENSION IF NOT EXISTS fuzzystrmatch;

-- How search compares text: lower case, no accents, words of letters and digits with one space between.
CREATE FUNCTION search_fold(raw text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN btrim(regexp_replace(
    lower(unaccent(normalize(raw, NFKC)) COLLATE pg_c_utf8) COLLATE pg_c_utf8, '[^[:alnum:]]+', ' ', 'g'
));

-- The Postgres search engine's index: written by jobs only, versioned so that a late job never overwrites a newer state.
-- A product that was taken out stays as an unlisted row, for its version.
CREATE TABLE search_documents (
    product_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    listed boolean NOT NULL,
    shop_id uuid,
    category_slugs text[] NOT NULL DEFAULT '{}',
    title_folded text NOT NULL DEFAULT '',
    document json,
    price_min_minor bigint NOT NULL DEFAULT 0,
    in_stock boolean NOT NULL DEFAULT false,
    published_at timestamptz NOT NULL DEFAULT '-infinity',
    tsv tsvector NOT NULL DEFAULT '',
    CONSTRAINT search_documents_listed_whole CHECK (NOT listed OR (shop_id IS NOT NULL AND document IS NOT NULL))
);
CREATE INDEX search_documents_tsv ON search_documents USING gin (tsv) WHERE listed;
CREATE INDEX search_documents_title_trigrams ON search_documents USING gin (title_folded gin_trgm_ops) WHERE listed;
CREATE INDEX search_documents_by_category ON search_documents USING gin (category_slugs) WHERE listed;
CREATE INDEX search_documents_by_shop ON search_documents (shop_id) WHERE listed;
CREATE INDEX search_documents_newest ON search_documents (published_at, product_id) WHERE listed;
CREATE INDEX search_documents_by_price ON search_documents (price_min_minor, product_id) WHERE listed;

-- What all sorts of search have in common; NULL leaves a condition out. Simple enough to be inlined, so that indexes serve.
CREATE FUNCTION search_matches(
    wanted tsquery, similar_to_words text, category text, shop uuid, price_min bigint, price_max bigint, stocked boolean
) RETURNS SETOF search_documents LANGUAGE sql STABLE
BEGIN ATOMIC
SELECT d.* FROM search_documents d
WHERE d.listed
    AND (wanted IS NULL OR d.tsv @@ wanted)
    -- The whole looks alike (the index knows), and each word is a letter or two away, or there as written.
    AND (similar_to_words IS NULL OR (d.title_folded %> similar_to_words AND NOT EXISTS (
        SELECT FROM string_to_table(similar_to_words, ' ') AS asked (word)
        WHERE NOT d.tsv @@ to_tsquery('simple', asked.word || ':*') AND NOT EXISTS (
            SELECT FROM string_to_table(d.title_folded, ' ') AS written (word)
            WHERE levenshtein_less_equal(left(asked.word, 100), left(written.word, 100), 2)
                <= CASE WHEN length(asked.word) < 4 THEN 0 WHEN length(asked.word) = 4 THEN 1 ELSE 2 END
        )
    )))
    AND (category IS NULL OR d.category_slugs @> ARRAY[category])
    AND (shop IS NULL OR d.shop_id = shop)
    AND (price_min IS NULL OR d.price_min_minor >= price_min)
    AND (price_max IS NULL OR d.price_min_minor <= price_max)
    AND (stocked IS NULL OR d.in_stock = stocked);
END;

-- What a parcel weighs is the sum of its units; 0 where the shop does not say.
ALTER TABLE variants ADD COLUMN weight_g int NOT NULL DEFAULT 0
CONSTRAINT variants_weight_in_range CHECK (weight_g BETWEEN 0 AND 1000000);

-- A shop's own ways to send things. One without any asks nothing for delivery.
CREATE TABLE shipping_methods (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    shop_id uuid NOT NULL REFERENCES shops,
    name text NOT NULL CONSTRAINT shipping_methods_name_short CHECK (length(name) BETWEEN 1 AND 80),
    -- What the brackets of its zones count: nothing, grams, or the value of the goods.
    kind text NOT NULL CONSTRAINT shipping_methods_kind_known CHECK (kind IN ('flat', 'weight', 'value')),
    zones jsonb NOT NULL,
    days_min int NOT NULL,
    days_max int NOT NULL,
    position int NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT true,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT shipping_methods_days_in_order CHECK (days_min BETWEEN 0 AND days_max)
);
CREATE INDEX shipping_methods_by_shop ON shipping_methods (shop_id, position, id);

-- Shops that are to charge tax. Who is not here charges none.
CREATE TABLE shop_taxes (
    shop_id uuid PRIMARY KEY REFERENCES shops,
    mode text NOT NULL CONSTRAINT shop_taxes_mode_known CHECK (mode IN ('inclusive', 'exclusive')),
    tax_number text NOT NULL DEFAULT ''
);

-- The built-in table. No category: the standard rate; no region: the whole country.
CREATE TABLE tax_rates (
    country text NOT NULL CONSTRAINT tax_rates_country_iso CHECK (country ~ '^[A-Z]{2}$'),
    region text NOT NULL DEFAULT '',
    category_id uuid REFERENCES categories,
    basis_points int NOT NULL CONSTRAINT tax_rates_percent_in_range CHECK (basis_points BETWEEN 0 AND 10000),
    name text NOT NULL,
    CONSTRAINT tax_rates_one_each UNIQUE NULLS NOT DISTINCT (country, region, category_id)
);

CREATE TABLE promotions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    -- Who pays: the shop, or, where there is none, the market.
    shop_id uuid REFERENCES shops,
    -- Without a code it applies by itself.
    code text CONSTRAINT promotions_code_shape CHECK (code ~ '^[A-Z0-9][A-Z0-9_-]{2,39}$'),
    name text NOT NULL CONSTRAINT promotions_name_short CHECK (length(name) BETWEEN 1 AND 80),
    kind text NOT NULL CONSTRAINT promotions_kind_known CHECK (kind IN ('percent', 'fixed', 'free_shipping')),
    basis_points int NOT NULL DEFAULT 0,
    amount_minor bigint NOT NULL DEFAULT 0,
    cap_minor bigint CONSTRAINT promotions_cap_positive CHECK (cap_minor > 0),
    -- Of its amounts; NULL where it has none and holds in every currency.
    currency text,
    minimum_minor bigint NOT NULL DEFAULT 0 CONSTRAINT promotions_minimum_not_negative CHECK (minimum_minor >= 0),
    products uuid[] NOT NULL DEFAULT '{}',
    categories text[] NOT NULL DEFAULT '{}',
    shops uuid[] NOT NULL DEFAULT '{}',
    stackable boolean NOT NULL,
    active boolean NOT NULL DEFAULT true,
    starts_at timestamptz,
    ends_at timestamptz,
    uses_max int CONSTRAINT promotions_uses_max_positive CHECK (uses_max > 0),
    per_buyer_max int CONSTRAINT promotions_per_buyer_max_positive CHECK (per_buyer_max > 0),
    -- Counted only where `uses_max` limits it, so that others have no row that everybody waits for.
    uses int NOT NULL DEFAULT 0,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz,
    CONSTRAINT promotions_uses_in_range CHECK (uses >= 0),
    CONSTRAINT promotions_kind_whole CHECK (
        CASE kind
            WHEN 'percent' THEN basis_points BETWEEN 1 AND 10000 AND amount_minor = 0
            WHEN 'fixed' THEN amount_minor > 0 AND basis_points = 0
            ELSE amount_minor = 0 AND basis_points = 0
        END
    ),
    CONSTRAINT promotions_amounts_have_currency
    CHECK (currency IS NOT NULL OR (amount_minor = 0 AND cap_minor IS NULL AND minimum_minor = 0)),
    CONSTRAINT promotions_period_in_order CHECK (starts_at < ends_at)
);
CREATE UNIQUE INDEX promotions_code_unique ON promotions (code, shop_id) NULLS NOT DISTINCT
WHERE code IS NOT NULL AND archived_at IS NULL;
CREATE INDEX promotions_automatic ON promotions (shop_id) WHERE code IS NULL AND active AND archived_at IS NULL;
CREATE INDEX promotions_by_shop ON promotions (shop_id, id);

-- One use is one checkout's, given back when none of the orders that it is in goes on.
CREATE TABLE promotion_uses (
    promotion_id uuid NOT NULL REFERENCES promotions,
    group_id uuid NOT NULL REFERENCES order_groups,
    buyer_id uuid NOT NULL REFERENCES users,
    released_at timestamptz,
    PRIMARY KEY (group_id, promotion_id)
);
CREATE INDEX promotion_uses_by_promotion ON promotion_uses (promotion_id);

-- How often each buyer has a use of a promotion that limits that.
CREATE TABLE promotion_buyers (
    promotion_id uuid NOT NULL REFERENCES promotions,
    buyer_id uuid NOT NULL REFERENCES users,
    uses int NOT NULL CONSTRAINT promotion_buyers_uses_in_range CHECK (uses >= 0),
    PRIMARY KEY (promotion_id, buyer_id)
) WITH (fillfactor = 70);

-- Frozen at checkout. The shop receives total + subsidy - commission.
ALTER TABLE orders
ADD COLUMN subsidy_minor bigint NOT NULL DEFAULT 0,
ADD COLUMN tax_included_minor bigint NOT NULL DEFAULT 0
CONSTRAINT orders_tax_included_not_negative CHECK (tax_included_minor >= 0),
-- Of the delivery, one way or the other part of the above.
ADD COLUMN shipping_tax_name text NOT NULL DEFAULT '',
ADD COLUMN shipping_tax_basis_points int NOT NULL DEFAULT 0,
ADD COLUMN shipping_tax_minor bigint NOT NULL DEFAULT 0,
-- The method that the buyer chose, as it was; NULL where the shop has none.
ADD COLUMN shipping_method jsonb,
ADD CONSTRAINT orders_subsidy_in_range CHECK (subsidy_minor BETWEEN 0 AND discount_minor),
ADD CONSTRAINT orders_total_not_negative CHECK (total_minor >= 0),
DROP CONSTRAINT orders_commission_in_range,
ADD CONSTRAINT orders_commission_in_range CHECK (commission_minor BETWEEN 0 AND total_minor + subsidy_minor);

ALTER TABLE order_lines
ADD COLUMN discount_minor bigint NOT NULL DEFAULT 0,
ADD COLUMN subsidy_minor bigint NOT NULL DEFAULT 0,
ADD COLUMN tax_name text NOT NULL DEFAULT '',
ADD COLUMN tax_basis_points int NOT NULL DEFAULT 0,
-- Inside what is paid for the line, or on top of it.
ADD COLUMN tax_minor bigint NOT NULL DEFAULT 0 CONSTRAINT order_lines_tax_not_negative CHECK (tax_minor >= 0),
ADD COLUMN tax_on_top boolean NOT NULL DEFAULT false,
-- What the buyer pays for the line: what giving it back gives back. An order's lines and its delivery add up to its total.
ADD COLUMN paid_minor bigint NOT NULL
GENERATED ALWAYS AS (total_minor - discount_minor + CASE WHEN tax_on_top THEN tax_minor ELSE 0 END) STORED,
ADD CONSTRAINT order_lines_discount_in_range CHECK (discount_minor BETWEEN 0 AND total_minor),
ADD CONSTRAINT order_lines_subsidy_in_range CHECK (subsidy_minor BETWEEN 0 AND discount_minor);

-- What each promotion took off each order, as it was called then.
CREATE TABLE order_discounts (
    order_id uuid NOT NULL REFERENCES orders,
    promotion_id uuid NOT NULL REFERENCES promotions,
    name text NOT NULL,
    code text,
    funded_by text NOT NULL CONSTRAINT order_discounts_payer_known CHECK (funded_by IN ('shop', 'market')),
    amount_minor bigint NOT NULL CONSTRAINT order_discounts_positive CHECK (amount_minor > 0),
    -- Of it, off the delivery.
    shipping_minor bigint NOT NULL CONSTRAINT order_discounts_shipping_in_range CHECK (shipping_minor BETWEEN 0 AND amount_minor),
    PRIMARY KEY (order_id, promotion_id)
);

-- Numbers without holes: the counter's row is locked until the invoice that took its number is committed.
CREATE TABLE invoice_counters (
    shop_id uuid PRIMARY KEY REFERENCES shops,
    last_number bigint NOT NULL CONSTRAINT invoice_counters_positive CHECK (last_number > 0)
) WITH (fillfactor = 70);

CREATE TABLE invoices (
    order_id uuid PRIMARY KEY REFERENCES orders,
    shop_id uuid NOT NULL REFERENCES shops,
    number bigint NOT NULL,
    -- Who sold, as it was when the order was paid.
    seller_name text NOT NULL,
    seller_country text NOT NULL,
    seller_tax_number text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invoices_number_unique UNIQUE (shop_id, number)
);

-- Why a person moved money by hand.
ALTER TABLE ledger_transactions ADD COLUMN reason text NOT NULL DEFAULT '';

-- An account is of a known kind, and of that kind's nature.
ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_nature_of_kind CHECK (
    (kind, normal, tracked) IN (
        ('psp', 'debit', false), ('connected', 'debit', false),
        ('fees', 'debit', false), ('promotion', 'debit', false), ('loss', 'debit', false), ('adjustment', 'debit', false),
        ('commission', 'credit', false),
        ('hold', 'credit', true), ('refund_payable', 'credit', true),
        ('pending', 'credit', true), ('available', 'credit', true), ('in_flight', 'credit', true),
        ('receivable', 'debit', true), ('dispute_receivable', 'debit', true), ('dispute_hold', 'credit', true)
    )
);

-- The database transaction that wrote it. Everything below the oldest one that still runs is final, although ids are
-- taken before commits. Rows of one time lie together, so a BRIN index of a few pages finds the latest.
ALTER TABLE ledger_transactions ADD COLUMN xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint);
CREATE INDEX ledger_transactions_by_xid ON ledger_transactions USING brin (xid) WITH (pages_per_range = 16, autosummarize = on);

-- Sums of the postings of untracked accounts (debit positive) of all transactions with `xid` below the mark.
CREATE TABLE ledger_rollup_mark (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT ledger_rollup_mark_one_row CHECK (only_row),
    below_xid bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO ledger_rollup_mark (below_xid) VALUES (0);
CREATE TABLE ledger_rollups (
    account_id bigint PRIMARY KEY REFERENCES ledger_accounts,
    sum_minor bigint NOT NULL
) WITH (fillfactor = 70);

-- When every invariant was asked for, by whom, and what was found.
CREATE TABLE ledger_checks (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    cause text NOT NULL CONSTRAINT ledger_checks_cause_known CHECK (cause IN ('schedule', 'operator', 'command')),
    requested_by uuid REFERENCES users,
    requested_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    checked text[] NOT NULL DEFAULT '{}',
    findings jsonb NOT NULL DEFAULT '[]',
    findings_count int NOT NULL DEFAULT 0 CONSTRAINT ledger_checks_count_not_negative CHECK (findings_count >= 0)
);

-- Commission rules with conditions. A rule's terms never change: it ends, and another begins.
ALTER TABLE commission_rules
    DROP COLUMN scope,
    ADD COLUMN label text NOT NULL DEFAULT '' CONSTRAINT commission_rules_label_short CHECK (length(label) <= 120),
    ADD COLUMN product_id uuid REFERENCES products,
    ADD COLUMN shop_id uuid REFERENCES shops,
    ADD COLUMN category_id uuid REFERENCES categories,
    ADD COLUMN currency text,
    -- Of one unit.
    ADD COLUMN price_from_minor bigint CONSTRAINT commission_rules_band_from_not_negative CHECK (price_from_minor >= 0),
    ADD COLUMN price_below_minor bigint CONSTRAINT commission_rules_band_below_positive CHECK (price_below_minor > 0),
    ADD COLUMN fixed_minor bigint NOT NULL DEFAULT 0 CONSTRAINT commission_rules_fixed_not_negative CHECK (fixed_minor >= 0),
    ADD COLUMN min_minor bigint CONSTRAINT commission_rules_min_not_negative CHECK (min_minor >= 0),
    ADD COLUMN max_minor bigint CONSTRAINT commission_rules_max_not_negative CHECK (max_minor >= 0),
    ADD COLUMN valid_until timestamptz,
    -- NULL: it came with the market.
    ADD COLUMN created_by uuid REFERENCES users,
    ADD CONSTRAINT commission_rules_band_not_empty CHECK (price_from_minor < price_below_minor),
    ADD CONSTRAINT commission_rules_min_within_max CHECK (min_minor <= max_minor),
    ADD CONSTRAINT commission_rules_validity_not_negative CHECK (valid_from <= valid_until),
    ADD CONSTRAINT commission_rules_amounts_with_currency CHECK (
        currency IS NOT NULL
        OR (fixed_minor = 0 AND num_nonnulls(min_minor, max_minor, price_from_minor, price_below_minor) = 0)
    );
CREATE INDEX commission_rules_of_market ON commission_rules (valid_from) WHERE product_id IS NULL AND shop_id IS NULL;
CREATE INDEX commission_rules_of_shops ON commission_rules (shop_id) WHERE product_id IS NULL AND shop_id IS NOT NULL;
CREATE INDEX commission_rules_of_products ON commission_rules (product_id) WHERE product_id IS NOT NULL;

-- Which rule a line's commission was frozen by.
ALTER TABLE order_lines ADD COLUMN commission_rule_id uuid REFERENCES commission_rules;

-- What the provider calls the cause of what this moved there: how its list of movements and the ledger meet.
ALTER TABLE ledger_transactions ADD COLUMN provider_reference text NOT NULL DEFAULT '';
CREATE INDEX ledger_transactions_by_provider_reference ON ledger_transactions (provider_reference) WHERE provider_reference <> '';
CREATE INDEX ledger_transactions_by_time ON ledger_transactions USING brin (at) WITH (pages_per_range = 16, autosummarize = on);

-- A provider's own list of what moved a balance that it keeps for us ('' is the market's), exactly once each.
CREATE TABLE provider_movements (
    provider text NOT NULL,
    account text NOT NULL DEFAULT '',
    reference text NOT NULL,
    kind text NOT NULL,
    provider_kind text NOT NULL,
    amount_minor bigint NOT NULL,
    fee_minor bigint NOT NULL,
    net_minor bigint NOT NULL,
    currency text NOT NULL,
    -- What moved it: the same as `ledger_transactions.provider_reference`.
    source text NOT NULL,
    made_at timestamptz NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, account, reference),
    CONSTRAINT provider_movements_add_up CHECK (net_minor = amount_minor - fee_minor)
);
CREATE INDEX provider_movements_by_source ON provider_movements (provider, account, source);
CREATE INDEX provider_movements_by_time ON provider_movements (provider, account, made_at);
CREATE TRIGGER provider_movements_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON provider_movements
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_insert_only();

-- Each comparison of the two.
CREATE TABLE reconciliations (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    provider text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    imported_count int NOT NULL,
    new_count int NOT NULL,
    settled_count int NOT NULL,
    open_count int NOT NULL
);

-- Where they say different things of one cause. open -> acknowledged (an operator knows why) -> settled (they agree).
CREATE TABLE reconciliation_differences (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    provider text NOT NULL,
    currency text NOT NULL,
    -- "ledger:{idem_key}" where the ledger names no cause at the provider.
    source text NOT NULL,
    provider_minor bigint NOT NULL,
    ledger_minor bigint NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    acknowledged_by uuid REFERENCES users,
    acknowledged_at timestamptz,
    reason text NOT NULL DEFAULT '',
    settled_at timestamptz,
    CONSTRAINT reconciliation_differences_differ CHECK (provider_minor <> ledger_minor),
    CONSTRAINT reconciliation_differences_acknowledged_by_somebody CHECK (num_nonnulls(acknowledged_by, acknowledged_at) <> 1),
    CONSTRAINT reconciliation_differences_acknowledged_with_reason CHECK (acknowledged_at IS NULL OR reason <> '')
);
CREATE UNIQUE INDEX reconciliation_differences_open ON reconciliation_differences (provider, currency, source) WHERE settled_at IS NULL;

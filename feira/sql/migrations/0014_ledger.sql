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

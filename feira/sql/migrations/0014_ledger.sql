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

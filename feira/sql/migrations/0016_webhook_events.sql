-- What to fetch for an event: account, intent, refund, transfer, payout or dispute; NULL for news that we do not know,
-- which is kept and not acted on.
ALTER TABLE webhook_events ADD COLUMN kind text
    CONSTRAINT webhook_events_kind_known CHECK (kind IN ('account', 'intent', 'refund', 'transfer', 'payout', 'dispute'));

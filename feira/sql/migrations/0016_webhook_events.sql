-- What to fetch for an event: account, intent, refund, transfer, payout or dispute; NULL for news that we do not know,
-- which is kept and not acted on.
ALTER TABLE webhook_events ADD COLUMN kind text
    CONSTRAINT webhook_events_kind_known CHECK (kind IN ('account', 'intent', 'refund', 'transfer', 'payout', 'dispute'));
-- How it came to us, and its body, where there was one.
ALTER TABLE webhook_events
    ADD COLUMN id uuid NOT NULL DEFAULT uuidv7() CONSTRAINT webhook_events_id_unique UNIQUE,
    ADD COLUMN source text NOT NULL DEFAULT 'webhook'
        CONSTRAINT webhook_events_source_known CHECK (source IN ('webhook', 'sweep')),
    ALTER COLUMN body DROP NOT NULL;
CREATE INDEX webhook_events_by_time ON webhook_events (received_at, id);
CREATE INDEX webhook_events_waiting ON webhook_events (received_at, id) WHERE handled_at IS NULL AND kind IS NOT NULL;

-- All events of a provider up to here are kept, as far as its list had them.
CREATE TABLE event_sweeps (
    provider text PRIMARY KEY,
    swept_until timestamptz NOT NULL
);

-- name: read_imported_until
-- The latest movement that we know of a provider's balance.
SELECT max(made_at) FROM provider_movements WHERE provider = $1::text AND account = $2::text;

-- name: insert_movements
-- Keep what a provider lists; what we know already is left as it is. The number of new ones.
WITH kept AS (
    INSERT INTO provider_movements (
        provider, account, reference, kind, provider_kind, amount_minor, fee_minor, net_minor, currency, source, made_at
    )
    SELECT $1::text, m.account, m.reference, m.kind, m.provider_kind, m.amount_minor, m.fee_minor, m.net_minor, m.currency, m.source, m.made_at
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::timestamptz[]
    ) AS m (account, reference, kind, provider_kind, amount_minor, fee_minor, net_minor, currency, source, made_at)
    ON CONFLICT (provider, account, reference) DO NOTHING
    RETURNING true
)
SELECT count(*) FROM kept;

-- name: lock_reconciliation
-- One comparison of a provider at a time.
SELECT pg_advisory_xact_lock(hashtextextended('reconciliation:' || $1::text, 0));

-- name: compare
-- Of every cause that moved money at the provider or in the ledger since `$2`, and of those that differed before: what each
-- of the two says it moved, where nothing moved after `$3` and no refund is on its way. Differences are kept or changed, the
-- others settled. `new_count` are those that were not known.
WITH ledger_side AS (
    SELECT CASE t.provider_reference WHEN '' THEN 'ledger:' || t.idem_key ELSE t.provider_reference END AS source,
        p.currency, p.amount_minor, t.at
    FROM ledger_transactions t
    JOIN ledger_postings p ON p.transaction_id = t.id
    JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'psp' AND a.owner = $1::text
    WHERE t.at >= $2::timestamptz
), causes AS (
    SELECT source, currency FROM ledger_side
    UNION
    SELECT source, currency FROM provider_movements WHERE provider = $1::text AND account = '' AND made_at >= $2::timestamptz
    UNION
    SELECT source, currency FROM reconciliation_differences WHERE provider = $1::text AND settled_at IS NULL
), said AS (
    SELECT c.source, c.currency, coalesce(theirs.minor, 0) AS provider_minor, coalesce(ours.minor, 0) AS ledger_minor
    FROM causes c
    CROSS JOIN LATERAL (
        SELECT sum(m.net_minor)::bigint AS minor, max(m.made_at) AS at FROM provider_movements m
        WHERE m.provider = $1::text AND m.account = '' AND m.source = c.source AND m.currency = c.currency
    ) theirs
    CROSS JOIN LATERAL (
        SELECT sum(p.amount_minor)::bigint AS minor, max(t.at) AS at
        FROM (
            SELECT named.id, named.at FROM ledger_transactions named WHERE named.provider_reference = c.source AND c.source <> ''
            UNION ALL
            SELECT keyed.id, keyed.at FROM ledger_transactions keyed
            WHERE keyed.idem_key = substr(c.source, 8) AND c.source LIKE 'ledger:%' AND keyed.provider_reference = ''
        ) t
        JOIN ledger_postings p ON p.transaction_id = t.id AND p.currency = c.currency
        JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'psp' AND a.owner = $1::text
    ) ours
    WHERE greatest(theirs.at, ours.at) <= $3::timestamptz
        AND NOT EXISTS (SELECT FROM refunds r WHERE r.gateway_reference = c.source AND r.state = 'requested')
), kept AS (
    INSERT INTO reconciliation_differences AS d (provider, currency, source, provider_minor, ledger_minor)
    SELECT $1::text, currency, source, provider_minor, ledger_minor FROM said WHERE provider_minor <> ledger_minor
    ON CONFLICT (provider, currency, source) WHERE settled_at IS NULL DO UPDATE SET
        provider_minor = excluded.provider_minor, ledger_minor = excluded.ledger_minor, changed_at = now(),
        -- It was another difference that somebody knew of.
        acknowledged_by = NULL, acknowledged_at = NULL, reason = ''
        WHERE (d.provider_minor, d.ledger_minor) <> (excluded.provider_minor, excluded.ledger_minor)
    RETURNING (xmax = 0) AS is_new
), settled AS (
    UPDATE reconciliation_differences d SET settled_at = now()
    FROM said
    WHERE d.provider = $1::text AND d.settled_at IS NULL AND d.source = said.source AND d.currency = said.currency
        AND said.provider_minor = said.ledger_minor
    RETURNING d.id
)
SELECT
    (SELECT count(*) FROM kept WHERE is_new)::int AS new_count,
    (SELECT count(*) FROM settled)::int AS settled_count;

-- name: count_open
-- Differences that are neither settled nor known to anybody.
SELECT count(*)::int FROM reconciliation_differences
WHERE provider = $1::text AND settled_at IS NULL AND acknowledged_at IS NULL;

-- name: insert_reconciliation
-- A comparison and what came of it.
INSERT INTO reconciliations (provider, imported_count, new_count, settled_count, open_count)
VALUES ($1::text, $2::int, $3::int, $4::int, $5::int)
RETURNING id, provider, at, imported_count, new_count, settled_count, open_count;

-- name: list_reconciliations
-- The latest comparisons.
SELECT id, provider, at, imported_count, new_count, settled_count, open_count
FROM reconciliations WHERE $1::uuid IS NULL OR id < $1::uuid
ORDER BY id DESC LIMIT $2::int;

-- name: list_differences
-- A page of differences in a state, the latest first.
SELECT id, provider, currency, source, provider_minor, ledger_minor, found_at, changed_at, acknowledged_by, acknowledged_at, reason,
    settled_at, extract(epoch FROM coalesce(settled_at, now()) - found_at)::float8 AS age_s
FROM reconciliation_differences
WHERE ($1::uuid IS NULL OR id < $1::uuid) AND CASE $2::text
    WHEN 'open' THEN settled_at IS NULL AND acknowledged_at IS NULL
    WHEN 'acknowledged' THEN settled_at IS NULL AND acknowledged_at IS NOT NULL
    ELSE settled_at IS NOT NULL
END
ORDER BY id DESC LIMIT $3::int;

-- name: lock_difference
-- One difference, locked.
SELECT id, provider, currency, source, provider_minor, ledger_minor, found_at, changed_at, acknowledged_by, acknowledged_at, reason,
    settled_at, extract(epoch FROM coalesce(settled_at, now()) - found_at)::float8 AS age_s
FROM reconciliation_differences WHERE id = $1::uuid FOR UPDATE;

-- name: acknowledge
-- Somebody knows why it is so.
UPDATE reconciliation_differences SET acknowledged_by = $2::uuid, acknowledged_at = now(), reason = $3::text
WHERE id = $1::uuid AND settled_at IS NULL;

-- name: read_sums
-- What the market owed a shop at the beginning and the end of a period, and before the line that follows a cursor.
-- The line's place is its moment and its id.
WITH moves AS (
    SELECT t.id, t.at, -p.amount_minor AS net_minor
    FROM ledger_accounts a
    JOIN ledger_postings p ON p.account_id = a.id
    JOIN ledger_transactions t ON t.id = p.transaction_id
    WHERE a.owner = $1::uuid::text AND a.currency = $2::text AND a.kind IN ('pending', 'available', 'receivable')
        AND t.at < $4::timestamptz
)
SELECT
    coalesce(sum(net_minor) FILTER (WHERE at < $3::timestamptz), 0)::bigint AS opening_minor,
    coalesce(sum(net_minor), 0)::bigint AS closing_minor,
    coalesce(sum(net_minor) FILTER (
        WHERE at < $3::timestamptz OR (at, id) <= ((SELECT c.at FROM ledger_transactions c WHERE c.id = $5::bigint), $5::bigint)
    ), 0)::bigint AS before_page_minor,
    now() AS now
FROM moves;

-- name: read_lines
-- What changed that balance in a period, in order, after the line of a cursor; with the market's own part of each.
WITH mine AS (
    SELECT t.id, t.at, t.kind, t.idem_key, t.order_id, t.reason, -sum(p.amount_minor) AS net_minor
    FROM ledger_accounts a
    JOIN ledger_postings p ON p.account_id = a.id
    JOIN ledger_transactions t ON t.id = p.transaction_id
    WHERE a.owner = $1::uuid::text AND a.currency = $2::text AND a.kind IN ('pending', 'available', 'receivable')
        AND t.at >= $3::timestamptz AND t.at < $4::timestamptz
        AND ($5::bigint IS NULL OR (t.at, t.id) > ((SELECT c.at FROM ledger_transactions c WHERE c.id = $5::bigint), $5::bigint))
    GROUP BY t.id
    HAVING sum(p.amount_minor) <> 0
    ORDER BY t.at, t.id
    LIMIT $6::int
)
SELECT mine.id, mine.at, mine.kind, mine.idem_key, mine.order_id, o.number AS order_number, mine.reason,
    mine.net_minor::bigint AS net_minor,
    coalesce(market.commission_minor, 0)::bigint AS commission_minor,
    coalesce(market.subsidy_minor, 0)::bigint AS subsidy_minor
FROM mine
LEFT JOIN orders o ON o.id = mine.order_id
LEFT JOIN LATERAL (
    SELECT
        sum(p.amount_minor) FILTER (WHERE a.kind = 'commission') AS commission_minor,
        sum(p.amount_minor) FILTER (WHERE a.kind = 'promotion') AS subsidy_minor
    FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
    WHERE p.transaction_id = mine.id
) market ON true
ORDER BY mine.at, mine.id;

-- name: resolve_accounts
-- Ids of accounts, creating those that are missing; one that another transaction is just creating is waited for and left out.
WITH wanted AS (
    SELECT kind, owner, currency, normal::ledger_side AS normal, tracked
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[]) AS w (kind, owner, currency, normal, tracked)
), known AS (
    SELECT account.id, account.kind, account.owner, account.currency
    FROM wanted JOIN ledger_accounts account USING (kind, owner, currency)
), created AS (
    INSERT INTO ledger_accounts (kind, owner, currency, normal, tracked)
    SELECT kind, owner, currency, normal, tracked FROM wanted
    WHERE NOT EXISTS (
        SELECT FROM known WHERE (known.kind, known.owner, known.currency) = (wanted.kind, wanted.owner, wanted.currency)
    )
    ORDER BY kind, owner, currency
    ON CONFLICT (kind, owner, currency) DO NOTHING
    RETURNING id, kind, owner, currency, tracked
), balances AS (
    INSERT INTO ledger_balances (account_id) SELECT id FROM created WHERE tracked
)
SELECT id, kind, owner, currency FROM known
UNION ALL
SELECT id, kind, owner, currency FROM created;

-- name: post_transaction
-- Claim the effect's key, move tracked balances in id order where they stay at or above zero, and write the postings.
WITH claimed AS (
    INSERT INTO ledger_transactions (idem_key, body_sha256, kind, order_id, reason, provider_reference)
    VALUES ($1::text, $2::bytea, $3::text, $4::uuid, $5::text, $6::text)
    ON CONFLICT (idem_key) DO NOTHING
    RETURNING id
), moves AS (
    SELECT account_id, delta FROM unnest($10::bigint[], $11::bigint[]) AS m (account_id, delta)
), locked AS MATERIALIZED (
    -- UPDATE alone locks in no particular order.
    SELECT balance.account_id, moves.delta
    FROM ledger_balances balance JOIN moves ON moves.account_id = balance.account_id
    WHERE EXISTS (SELECT FROM claimed)
    ORDER BY balance.account_id
    FOR UPDATE OF balance
), moved AS (
    UPDATE ledger_balances balance SET balance_minor = balance.balance_minor + locked.delta
    FROM locked
    WHERE balance.account_id = locked.account_id AND balance.balance_minor + locked.delta >= 0
    RETURNING balance.account_id
), posted AS (
    INSERT INTO ledger_postings (transaction_id, position, account_id, currency, amount_minor)
    SELECT claimed.id, p.position, p.account_id, p.currency, p.amount_minor
    FROM claimed
    CROSS JOIN unnest($7::bigint[], $8::text[], $9::bigint[]) WITH ORDINALITY AS p (account_id, currency, amount_minor, position)
)
SELECT (SELECT id FROM claimed) AS transaction_id, (SELECT count(*) FROM moved) AS moved;

-- name: read_body
-- What stands in the books under a key.
SELECT body_sha256 FROM ledger_transactions WHERE idem_key = $1::text;

-- name: lock_shop_balances
-- A shop's accounts in one currency, locked in the order of their ids.
SELECT balance.account_id
FROM ledger_balances AS balance
JOIN ledger_accounts AS account ON account.id = balance.account_id
WHERE account.kind IN ('pending', 'available', 'receivable') AND account.owner = $1::uuid::text AND account.currency = $2::text
ORDER BY balance.account_id
FOR UPDATE OF balance;

-- name: read_shop_funds
-- What a shop has and owes, seen from one order, whose own money in clearance is what its transactions left there.
SELECT
    coalesce((
        SELECT -sum(posting.amount_minor)
        FROM ledger_transactions AS t
        JOIN ledger_postings AS posting ON posting.transaction_id = t.id
        JOIN ledger_accounts AS account ON account.id = posting.account_id
        WHERE t.order_id = $3::uuid AND account.kind = 'pending' AND account.owner = $1::uuid::text
    ), 0)::bigint AS pending_minor,
    coalesce(sum(balance.balance_minor) FILTER (WHERE account.kind = 'available'), 0)::bigint AS available_minor,
    coalesce(sum(balance.balance_minor) FILTER (WHERE account.kind = 'receivable'), 0)::bigint AS owed_minor,
    -- A clearance that ended with nothing left to release posted nothing.
    EXISTS (SELECT FROM releases WHERE order_id = $3::uuid AND released_at IS NOT NULL) AS is_cleared
FROM ledger_accounts AS account
JOIN ledger_balances AS balance ON balance.account_id = account.id
WHERE account.kind IN ('available', 'receivable') AND account.owner = $1::uuid::text AND account.currency = $2::text;

-- name: read_shop_balances
-- A shop's money by currency: holds of its open orders, and its own pending and available accounts.
SELECT currency,
    coalesce(sum(balance_minor) FILTER (WHERE kind = 'hold'), 0)::bigint AS held_minor,
    coalesce(sum(balance_minor) FILTER (WHERE kind = 'pending'), 0)::bigint AS pending_minor,
    coalesce(sum(balance_minor) FILTER (WHERE kind = 'available'), 0)::bigint AS available_minor
FROM (
    SELECT account.kind, account.currency, balance.balance_minor
    FROM orders
    JOIN ledger_accounts account ON account.kind = 'hold' AND account.owner = orders.id::text AND account.currency = orders.currency
    JOIN ledger_balances balance ON balance.account_id = account.id
    WHERE orders.shop_id = $1::uuid AND orders.status IN ('paid', 'accepted', 'shipped', 'delivered', 'disputed')
    UNION ALL
    SELECT account.kind, account.currency, balance.balance_minor
    FROM ledger_accounts account
    JOIN ledger_balances balance ON balance.account_id = account.id
    WHERE account.kind IN ('pending', 'available') AND account.owner = $1::uuid::text
) AS money
GROUP BY currency
ORDER BY currency;

-- name: roll_up
-- Add what became final since the last time to the sums of untracked accounts, and move the mark. The loser of two at once adds nothing twice.
WITH mark AS (
    SELECT below_xid FROM ledger_rollup_mark FOR UPDATE
), upto AS (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xid
), news AS (
    SELECT p.account_id, sum(p.amount_minor) AS sum_minor
    FROM ledger_transactions t
    JOIN ledger_postings p ON p.transaction_id = t.id
    JOIN ledger_accounts a ON a.id = p.account_id AND NOT a.tracked
    WHERE t.xid >= (SELECT below_xid FROM mark) AND t.xid < (SELECT xid FROM upto)
    GROUP BY p.account_id
), added AS (
    INSERT INTO ledger_rollups AS r (account_id, sum_minor) SELECT account_id, sum_minor FROM news
    ON CONFLICT (account_id) DO UPDATE SET sum_minor = r.sum_minor + excluded.sum_minor
)
UPDATE ledger_rollup_mark SET below_xid = upto.xid, at = now()
FROM upto WHERE upto.xid > (SELECT below_xid FROM mark)
RETURNING upto.xid;

-- name: read_market_balances
-- Every account of the market and its providers, and all shops', orders' and chargebacks' accounts of a kind together, in their normal direction.
SELECT a.kind, CASE a.kind WHEN 'psp' THEN a.owner ELSE '' END AS owner, a.currency,
    sum(coalesce(b.balance_minor, (coalesce(r.sum_minor, 0) + coalesce(n.sum_minor, 0)) * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END))::bigint AS balance_minor
FROM ledger_accounts a
LEFT JOIN ledger_balances b ON b.account_id = a.id
LEFT JOIN ledger_rollups r ON r.account_id = a.id
LEFT JOIN (
    SELECT p.account_id, sum(p.amount_minor) AS sum_minor
    FROM ledger_transactions t JOIN ledger_postings p ON p.transaction_id = t.id
    WHERE t.xid >= (SELECT below_xid FROM ledger_rollup_mark)
    GROUP BY p.account_id
) n ON n.account_id = a.id
GROUP BY a.kind, 2, a.currency
ORDER BY a.currency, a.kind, 2;

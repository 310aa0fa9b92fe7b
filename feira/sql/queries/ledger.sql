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
    INSERT INTO ledger_transactions (idem_key, body_sha256, kind, order_id, reason)
    VALUES ($1::text, $2::bytea, $3::text, $4::uuid, $5::text)
    ON CONFLICT (idem_key) DO NOTHING
    RETURNING id
), moves AS (
    SELECT account_id, delta FROM unnest($9::bigint[], $10::bigint[]) AS m (account_id, delta)
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
    CROSS JOIN unnest($6::bigint[], $7::text[], $8::bigint[]) WITH ORDINALITY AS p (account_id, currency, amount_minor, position)
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
    EXISTS (SELECT FROM ledger_transactions WHERE idem_key = 'clearance:' || $3::uuid) AS is_cleared
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
    WHERE orders.shop_id = $1::uuid AND orders.status IN ('paid', 'accepted', 'shipped', 'delivered')
    UNION ALL
    SELECT account.kind, account.currency, balance.balance_minor
    FROM ledger_accounts account
    JOIN ledger_balances balance ON balance.account_id = account.id
    WHERE account.kind IN ('pending', 'available') AND account.owner = $1::uuid::text
) AS money
GROUP BY currency
ORDER BY currency;

-- name: invariant_postings_sum_to_zero
-- Over all time, every currency's debits equal its credits.
SELECT currency AS subject, format('postings sum to %s', sum(amount_minor)) AS detail
FROM ledger_postings GROUP BY currency HAVING sum(amount_minor) <> 0;

-- name: invariant_each_transaction_balances
-- Every transaction has postings, and they sum to zero in each currency.
SELECT t.idem_key AS subject, format('postings in %s sum to %s', coalesce(p.currency, 'no currency'), coalesce(sum(p.amount_minor), 0)) AS detail
FROM ledger_transactions t LEFT JOIN ledger_postings p ON p.transaction_id = t.id
GROUP BY t.idem_key, p.currency HAVING count(p.amount_minor) = 0 OR sum(p.amount_minor) <> 0;

-- name: invariant_balances_equal_postings
-- Every tracked account has a balance, and it is the sum of its postings in its normal direction.
SELECT concat_ws(':', a.kind, a.owner, a.currency) AS subject,
    format('balance %s, postings %s', coalesce(b.balance_minor::text, 'missing'), coalesce(p.sum_minor, 0)) AS detail
FROM ledger_accounts a
LEFT JOIN ledger_balances b ON b.account_id = a.id
LEFT JOIN (SELECT account_id, sum(amount_minor) AS sum_minor FROM ledger_postings GROUP BY account_id) p ON p.account_id = a.id
WHERE a.tracked
    AND b.balance_minor IS DISTINCT FROM coalesce(p.sum_minor, 0) * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END;

-- name: invariant_closed_orders_hold_nothing
-- A completed, cancelled or expired order keeps nobody's money.
SELECT o.id::text AS subject, format('%s order holds %s %s', o.status, b.balance_minor, a.currency) AS detail
FROM orders o
JOIN ledger_accounts a ON a.kind = 'hold' AND a.owner = o.id::text
JOIN ledger_balances b ON b.account_id = a.id
WHERE o.status IN ('completed', 'cancelled', 'expired') AND b.balance_minor <> 0
    -- Once the provider refused a refund, its hold waits for an operator.
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.state = 'failed');

-- name: invariant_refunds_within_captured
-- No payment gives back more than it took, nor an order more than it cost.
SELECT p.id::text AS subject, format('refunds %s of payment %s', sum(r.amount_minor), p.amount_minor) AS detail
FROM payments p JOIN refunds r ON r.payment_id = p.id AND r.state <> 'failed'
GROUP BY p.id HAVING p.state <> 'captured' OR sum(r.amount_minor) > p.amount_minor
UNION ALL
SELECT o.id::text, format('refunds %s of order %s', sum(r.amount_minor), o.total_minor)
FROM orders o JOIN refunds r ON r.order_id = o.id AND r.state <> 'failed'
GROUP BY o.id HAVING sum(r.amount_minor) > o.total_minor;

-- name: invariant_payments_have_postings
-- A payment is captured if and only if the books say so, with its amount and its fee.
SELECT p.id::text AS subject, format('payment is %s, the books hold %s', p.state, coalesce(t.idem_key, 'nothing')) AS detail
FROM payments p LEFT JOIN ledger_transactions t ON t.idem_key = 'capture:' || p.id
WHERE (p.state = 'captured') <> (t.id IS NOT NULL)
UNION ALL
SELECT p.id::text, format('payment less fee is %s, the books hold %s', p.amount_minor - p.fee_minor, sum(l.amount_minor))
FROM payments p
JOIN ledger_transactions t ON t.idem_key = 'capture:' || p.id
JOIN ledger_postings l ON l.transaction_id = t.id
JOIN ledger_accounts a ON a.id = l.account_id AND a.kind = 'psp'
GROUP BY p.id HAVING sum(l.amount_minor) <> p.amount_minor - p.fee_minor;

-- name: invariant_refunds_have_postings
-- Each refund's state is in the books: requested always, and exactly the end it came to.
SELECT r.id::text AS subject, format('refund is %s, the books hold %s', r.state, coalesce(string_agg(t.kind, ', '), 'nothing')) AS detail
FROM refunds r
LEFT JOIN ledger_transactions t
    ON t.idem_key IN ('refund_requested:' || r.id, 'refund_succeeded:' || r.id, 'refund_failed:' || r.id)
GROUP BY r.id
HAVING coalesce(array_agg(t.kind ORDER BY t.kind) FILTER (WHERE t.kind IS NOT NULL), '{}') <> CASE r.state
    WHEN 'requested' THEN ARRAY['refund_requested']
    WHEN 'succeeded' THEN ARRAY['refund_requested', 'refund_succeeded']
    ELSE ARRAY['refund_failed', 'refund_requested']
END;

-- name: invariant_refund_payable_is_open_refunds
-- What we owe buyers is exactly the refunds that the provider has not finished.
SELECT a.owner AS subject, format('payable %s, open refunds %s', b.balance_minor, coalesce(r.open_minor, 0)) AS detail
FROM ledger_accounts a
JOIN ledger_balances b ON b.account_id = a.id
LEFT JOIN (
    SELECT order_id, sum(amount_minor) AS open_minor FROM refunds WHERE state = 'requested' GROUP BY order_id
) r ON r.order_id::text = a.owner
WHERE a.kind = 'refund_payable' AND b.balance_minor <> coalesce(r.open_minor, 0);

-- name: invariant_completed_orders_are_released
-- A completed order that cost something and was not refunded whole has paid its shop and the market.
SELECT o.id::text AS subject, 'completed without a release in the books' AS detail
FROM orders o
LEFT JOIN ledger_transactions t ON t.idem_key = 'complete:' || o.id
WHERE o.status = 'completed' AND t.id IS NULL
    AND o.total_minor > (
        SELECT coalesce(sum(r.amount_minor), 0) FROM refunds r WHERE r.order_id = o.id AND r.state <> 'failed'
    );

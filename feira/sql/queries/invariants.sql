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
-- An order that is over keeps nobody's money.
SELECT o.id::text AS subject, format('%s order holds %s %s', o.status, b.balance_minor, a.currency) AS detail
FROM orders o
JOIN ledger_accounts a ON a.kind = 'hold' AND a.owner = o.id::text
JOIN ledger_balances b ON b.account_id = a.id
WHERE o.status IN ('completed', 'refunded', 'split', 'cancelled', 'expired') AND b.balance_minor <> 0
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

-- name: invariant_payouts_have_postings
-- Each payout's state is in the books: started always, transferred while its money is at the shop's account or gone, given up when it came back.
SELECT p.id::text AS subject, format('payout is %s, the books hold %s', p.state, coalesce(string_agg(t.kind, ', '), 'nothing')) AS detail
FROM payouts p
LEFT JOIN ledger_transactions t
    ON t.idem_key IN ('payout_started:' || p.id, 'transfer_made:' || p.id, 'payout_given_up:' || p.id)
GROUP BY p.id
HAVING NOT coalesce(bool_or(t.kind = 'payout_started'), false)
    OR coalesce(bool_or(t.kind = 'payout_given_up'), false) <> (p.state IN ('failed', 'canceled'))
    OR coalesce(bool_or(t.kind = 'transfer_made'), false) < (p.state IN ('transferred', 'sending', 'sent', 'paid', 'reversing'))
    OR coalesce(bool_or(t.kind = 'transfer_made'), false) > (p.state NOT IN ('created', 'transferring', 'canceled'));

-- name: invariant_payout_lines_add_up
-- A payout is the sum of its lines and of what is carried from one to the next.
SELECT p.id::text AS subject, format('payout %s, lines %s', p.amount_minor, coalesce(sum(l.amount_minor), 0)) AS detail
FROM payouts p LEFT JOIN payout_lines l ON l.payout_id = p.id
GROUP BY p.id HAVING coalesce(sum(l.amount_minor), 0) + p.carried_in_minor - p.carried_out_minor <> p.amount_minor;

-- name: invariant_in_flight_is_open_payouts
-- What is on its way to a shop's bank is exactly the payouts that have not arrived, nor come back.
SELECT a.owner AS subject, format('in flight %s %s, open payouts %s', b.balance_minor, a.currency, coalesce(o.open_minor, 0)) AS detail
FROM ledger_accounts a
JOIN ledger_balances b ON b.account_id = a.id
LEFT JOIN (
    SELECT shop_id, currency, sum(amount_minor) AS open_minor
    FROM payouts WHERE state NOT IN ('paid', 'failed', 'canceled') GROUP BY shop_id, currency
) o ON o.shop_id::text = a.owner AND o.currency = a.currency
WHERE a.kind = 'in_flight' AND b.balance_minor <> coalesce(o.open_minor, 0);

-- name: invariant_chargebacks_have_postings
-- Each order's share of a chargeback is in the books as far as the bank has come, and the shares are all that the bank took.
SELECT c.id::text AS subject, format('chargeback is %s, the books hold %s', c.state, coalesce(string_agg(t.kind, ', '), 'nothing')) AS detail
FROM chargebacks c
JOIN chargeback_orders s ON s.chargeback_id = c.id
LEFT JOIN ledger_transactions t ON t.idem_key IN (
    'chargeback_opened:' || c.id || ':' || s.order_id, 'chargeback_won:' || c.id || ':' || s.order_id,
    'chargeback_lost:' || c.id || ':' || s.order_id, 'chargeback_reinstated:' || c.id || ':' || s.order_id
)
GROUP BY c.id, s.order_id
HAVING coalesce(array_agg(t.kind ORDER BY t.kind) FILTER (WHERE t.kind IS NOT NULL), '{}') <> CASE c.state
    WHEN 'won' THEN ARRAY['chargeback_opened', 'chargeback_won']
    WHEN 'lost' THEN ARRAY['chargeback_lost', 'chargeback_opened']
    WHEN 'reinstated' THEN ARRAY['chargeback_lost', 'chargeback_opened', 'chargeback_reinstated']
    ELSE ARRAY['chargeback_opened']
END
UNION ALL
SELECT c.id::text, format('the bank took %s, of orders %s', c.amount_minor, coalesce(sum(s.amount_minor + s.excess_minor), 0))
FROM chargebacks c LEFT JOIN chargeback_orders s ON s.chargeback_id = c.id
GROUP BY c.id HAVING coalesce(sum(s.amount_minor + s.excess_minor), 0) <> c.amount_minor;

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
WHERE o.status IN ('completed', 'split') AND t.id IS NULL
    AND o.total_minor > (
        SELECT coalesce(sum(r.amount_minor), 0) FROM refunds r WHERE r.order_id = o.id AND r.state <> 'failed'
    );

-- name: invariant_tracked_accounts_are_not_overdrawn
-- No order, shop or chargeback ever gave more than it had, by the postings themselves.
SELECT concat_ws(':', a.kind, a.owner, a.currency) AS subject, format('postings sum to %s', sum(p.amount_minor)) AS detail
FROM ledger_accounts a JOIN ledger_postings p ON p.account_id = a.id
WHERE a.tracked
GROUP BY a.id HAVING sum(p.amount_minor) * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END < 0;

-- name: invariant_ledger_rows_belong_together
-- A posting moves something, in its account's currency, for a transaction; a balance is a tracked account's; a name is one account's.
SELECT p.transaction_id::text AS subject,
    format('position %s: %s %s of account %s', p.position, p.amount_minor, p.currency, coalesce(concat_ws(':', a.kind, a.owner, a.currency), 'none')) AS detail
FROM ledger_postings p
LEFT JOIN ledger_accounts a ON a.id = p.account_id
LEFT JOIN ledger_transactions t ON t.id = p.transaction_id
WHERE t.id IS NULL OR p.amount_minor = 0 OR a.currency IS DISTINCT FROM p.currency
UNION ALL
SELECT b.account_id::text, format('balance %s of no tracked account', b.balance_minor)
FROM ledger_balances b LEFT JOIN ledger_accounts a ON a.id = b.account_id AND a.tracked
WHERE a.id IS NULL
UNION ALL
SELECT concat_ws(':', kind, owner, currency), format('%s accounts of this name', count(*))
FROM ledger_accounts GROUP BY kind, owner, currency HAVING count(*) > 1;

-- name: invariant_rollups_equal_postings
-- What is rolled up of an account is the sum of its postings below the mark; tracked accounts have a balance instead.
SELECT concat_ws(':', a.kind, a.owner, a.currency) AS subject,
    format('rolled up %s, postings %s', coalesce(r.sum_minor, 0), coalesce(p.sum_minor, 0)) AS detail
FROM ledger_accounts a
LEFT JOIN ledger_rollups r ON r.account_id = a.id
LEFT JOIN (
    SELECT p.account_id, sum(p.amount_minor) AS sum_minor
    FROM ledger_transactions t JOIN ledger_postings p ON p.transaction_id = t.id
    WHERE t.xid < (SELECT below_xid FROM ledger_rollup_mark)
    GROUP BY p.account_id
) p ON p.account_id = a.id
WHERE coalesce(r.sum_minor, 0) <> CASE WHEN a.tracked THEN 0 ELSE coalesce(p.sum_minor, 0) END;

-- name: invariant_accounts_are_of_their_kinds_nature
-- An account's side and tracking are its kind's: the check constraint holds for rows of before it, too.
SELECT concat_ws(':', kind, owner, currency) AS subject, format('%s, tracked %s', normal, tracked) AS detail
FROM ledger_accounts
WHERE tracked <> (kind IN ('hold', 'refund_payable', 'pending', 'available', 'in_flight', 'receivable', 'dispute_receivable', 'dispute_hold'))
    OR (normal = 'debit') <> (kind IN ('psp', 'connected', 'fees', 'promotion', 'loss', 'adjustment', 'receivable', 'dispute_receivable'));

-- name: invariant_orders_in_clearance_are_not_negative
-- No order's refunds and chargebacks took more out of clearance than the order brought: it would be another order's.
SELECT coalesce(t.order_id::text, 'no order') AS subject, format('%s %s in clearance', -sum(p.amount_minor), a.currency) AS detail
FROM ledger_accounts a
JOIN ledger_postings p ON p.account_id = a.id
JOIN ledger_transactions t ON t.id = p.transaction_id
WHERE a.kind = 'pending'
GROUP BY t.order_id, a.id, a.currency HAVING sum(p.amount_minor) > 0;

-- name: invariant_cleared_orders_left_clearance
-- Once an order's clearance is over, nothing of it waits there.
SELECT t.order_id::text AS subject, format('%s %s still in clearance', -sum(p.amount_minor), a.currency) AS detail
FROM ledger_accounts a
JOIN ledger_postings p ON p.account_id = a.id
JOIN ledger_transactions t ON t.id = p.transaction_id
WHERE a.kind = 'pending' AND EXISTS (SELECT FROM ledger_transactions c WHERE c.idem_key = 'clearance:' || t.order_id)
GROUP BY t.order_id, a.currency HAVING sum(p.amount_minor) <> 0;

-- name: invariant_commission_is_of_what_was_kept
-- A completed order pays the commission of the part that was not given back, to the minor unit.
SELECT o.id::text AS subject, format('commission %s of a frozen %s, given back %s of %s', kept.minor, o.commission_minor, back.minor, o.total_minor) AS detail
FROM orders o
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.amount_minor), 0) AS minor FROM refunds r WHERE r.order_id = o.id AND r.state <> 'failed'
) back
CROSS JOIN LATERAL (
    SELECT coalesce(-sum(p.amount_minor), 0) AS minor
    FROM ledger_transactions t
    JOIN ledger_postings p ON p.transaction_id = t.id
    JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'commission'
    WHERE t.order_id = o.id
) kept
WHERE o.status IN ('completed', 'split') AND o.total_minor > 0
    AND kept.minor <> o.commission_minor - div(2 * o.commission_minor::numeric * back.minor + o.total_minor, 2 * o.total_minor::numeric)
    -- What a chargeback or the market itself gave back has no refund row, or none that touches the commission.
    AND NOT EXISTS (
        SELECT FROM ledger_transactions t
        JOIN ledger_postings p ON p.transaction_id = t.id
        JOIN ledger_accounts a ON a.id = p.account_id AND a.kind IN ('loss', 'dispute_hold')
        WHERE t.order_id = o.id
    );

-- name: invariant_chargebacks_keep_nothing_once_decided
-- Nobody's share is kept aside for a chargeback from which nothing is expected back any more.
SELECT held.owner AS subject, format('%s %s kept aside', b.balance_minor, held.currency) AS detail
FROM ledger_accounts held
JOIN ledger_balances b ON b.account_id = held.id AND b.balance_minor > 0
WHERE held.kind = 'dispute_hold' AND NOT EXISTS (
    SELECT FROM ledger_accounts expected
    JOIN ledger_balances e ON e.account_id = expected.id AND e.balance_minor > 0
    WHERE expected.kind = 'dispute_receivable' AND expected.owner = held.owner AND expected.currency = held.currency
);

-- name: invariant_clearing_accounts_empty_in_time
-- Money on its way somewhere arrives: an account that it passes through moved lately, or is empty.
SELECT concat_ws(':', a.kind, a.owner, a.currency) AS subject, format('%s unmoved since %s', b.balance_minor, last.at) AS detail
FROM (VALUES
    ('refund_payable', interval '30 days'), ('in_flight', interval '30 days'), ('pending', interval '180 days'),
    ('dispute_hold', interval '180 days'), ('dispute_receivable', interval '180 days')
) AS allowed (kind, within)
JOIN ledger_accounts a ON a.kind = allowed.kind
JOIN ledger_balances b ON b.account_id = a.id AND b.balance_minor > 0
CROSS JOIN LATERAL (
    SELECT max(t.at) AS at FROM ledger_postings p JOIN ledger_transactions t ON t.id = p.transaction_id WHERE p.account_id = a.id
) last
WHERE last.at < now() - allowed.within;

-- name: invariant_differences_with_providers_are_explained
-- Where a provider's list of movements and the ledger disagree, they agree again within three days, or somebody knows why.
SELECT provider || ':' || source AS subject,
    format('the provider moved %s %s, the ledger %s, since %s', provider_minor, currency, ledger_minor, found_at) AS detail
FROM reconciliation_differences
WHERE settled_at IS NULL AND acknowledged_at IS NULL AND found_at < now() - interval '3 days';

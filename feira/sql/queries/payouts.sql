-- name: ensure_settings
-- A shop that earns money awaits its first slot.
INSERT INTO payout_settings (shop_id, next_slot_at) VALUES ($1::uuid, $2::timestamptz) ON CONFLICT (shop_id) DO NOTHING;

-- name: read_settings
-- How a shop is paid.
SELECT shop_id, frequency, weekday, month_day, zone, next_slot_at, clearance_s, paused_reason, needs_bank_details
FROM payout_settings WHERE shop_id = $1::uuid;

-- name: lock_settings
-- Whoever pays a shop, or changes how it is paid, holds this.
SELECT shop_id, frequency, weekday, month_day, zone, next_slot_at, clearance_s, paused_reason, needs_bank_details
FROM payout_settings WHERE shop_id = $1::uuid FOR UPDATE;

-- name: store_schedule
-- A seller chose. To look at the settings is to have looked at the bank details.
UPDATE payout_settings SET
    frequency = $2::text, weekday = $3::int, month_day = $4::int, zone = $5::text, next_slot_at = $6::timestamptz,
    needs_bank_details = false, updated_at = now()
WHERE shop_id = $1::uuid;

-- name: store_terms
-- An operator chose.
UPDATE payout_settings SET clearance_s = $2::int, paused_reason = $3::text, updated_at = now() WHERE shop_id = $1::uuid;

-- name: store_next_slot
-- The slot was paid for; this one comes next.
UPDATE payout_settings SET next_slot_at = $2::timestamptz WHERE shop_id = $1::uuid;

-- name: require_bank_details
-- A payout was given up.
UPDATE payout_settings SET needs_bank_details = true, updated_at = now() WHERE shop_id = $1::uuid;

-- name: read_policy
-- What holds for all shops.
SELECT clearance_s, paused_reason FROM payout_policy;

-- name: lock_policy
-- What holds for all shops until now, for whoever changes it.
SELECT clearance_s, paused_reason FROM payout_policy FOR UPDATE;

-- name: store_policy
-- Operators changed it.
UPDATE payout_policy SET clearance_s = $1::int, paused_reason = $2::text;

-- name: read_minimums
-- The least that a shop wants to be paid, by currency.
SELECT currency, minimum_minor FROM payout_minimums WHERE shop_id = $1::uuid ORDER BY currency;

-- name: clear_minimums
-- Before they are written anew.
DELETE FROM payout_minimums WHERE shop_id = $1::uuid;

-- name: insert_minimums
-- All of a shop's.
INSERT INTO payout_minimums (shop_id, currency, minimum_minor)
SELECT $1::uuid, currency, minimum_minor FROM unnest($2::text[], $3::bigint[]) AS m (currency, minimum_minor);

-- name: read_payee
-- Whether a shop may be paid, and where.
SELECT
    s.provider_account AS account, s.status = 'approved' AND s.provider_status = 'verified' AS is_in_order,
    p.paused_reason <> '' OR coalesce(c.paused_reason, '') <> '' AS is_paused
FROM shops AS s
CROSS JOIN payout_policy AS p
LEFT JOIN payout_settings AS c ON c.shop_id = s.id
WHERE s.id = $1::uuid;

-- name: lock_due_shops
-- Some shops whose slot has come and that may be paid; what somebody holds is passed by.
SELECT
    c.shop_id, c.frequency, c.weekday, c.month_day, c.zone, c.next_slot_at, c.clearance_s, c.paused_reason,
    c.needs_bank_details, s.provider_account AS account
FROM payout_settings AS c
INNER JOIN shops AS s ON s.id = c.shop_id
CROSS JOIN payout_policy AS p
WHERE c.next_slot_at <= now() AND c.paused_reason = '' AND NOT c.needs_bank_details AND p.paused_reason = ''
    AND s.status = 'approved' AND s.provider_status = 'verified' AND s.provider_account IS NOT NULL
ORDER BY c.next_slot_at, c.shop_id LIMIT $1::int
FOR UPDATE OF c SKIP LOCKED;

-- name: lock_funds
-- A shop's balances, locked in the order of their ids.
SELECT a.kind, a.currency, b.balance_minor
FROM ledger_balances AS b
INNER JOIN ledger_accounts AS a ON a.id = b.account_id
WHERE a.owner = $1::uuid::text AND a.kind IN ('pending', 'available', 'receivable')
ORDER BY b.account_id
FOR UPDATE OF b;

-- name: insert_payout
-- For a slot (none where somebody asked); a second one for the same slot is refused by its unique key.
INSERT INTO payouts (
    shop_id, currency, amount_minor, slot_at, requested_by, gateway, account, carried_in_minor, carried_out_minor
)
VALUES (
    $1::uuid, $2::text, $3::bigint, $4::timestamptz, $5::uuid, $6::text, $7::text,
    coalesce((
        SELECT carried_out_minor FROM payouts
        WHERE shop_id = $1::uuid AND currency = $2::text ORDER BY created_at DESC, id DESC LIMIT 1
    ), 0),
    $8::bigint
)
RETURNING id;

-- name: insert_lines
-- What moved the shop's available money since its last payout.
WITH news AS (
    SELECT p.transaction_id, -sum(p.amount_minor)::bigint AS amount_minor
    FROM ledger_accounts AS a
    INNER JOIN ledger_postings AS p ON p.account_id = a.id
    INNER JOIN ledger_transactions AS t ON t.id = p.transaction_id
    WHERE a.kind = 'available' AND a.owner = $2::uuid::text AND a.currency = $3::text
        AND t.kind <> 'payout_started'
        AND NOT EXISTS (SELECT FROM payout_lines AS l WHERE l.transaction_id = p.transaction_id)
    GROUP BY p.transaction_id
), kept AS (
    INSERT INTO payout_lines (payout_id, transaction_id, amount_minor)
    SELECT $1::uuid, transaction_id, amount_minor FROM news
    RETURNING amount_minor
)
SELECT coalesce((SELECT sum(amount_minor) FROM kept), 0)::bigint + carried_in_minor - carried_out_minor
FROM payouts WHERE id = $1::uuid;

-- name: read_payout
-- One payout.
SELECT
    id, shop_id, currency, amount_minor, slot_at, gateway, account, state, transfer_attempt, send_attempt,
    reverse_attempt, asked_at, unknown_since, retry_at, transfer_reference, payout_reference, failure_code, arrives_on,
    held_reason, created_at, updated_at
FROM payouts WHERE id = $1::uuid;

-- name: lock_payout
-- One payout, held until the commit; before its shop's balances.
SELECT
    id, shop_id, currency, amount_minor, slot_at, gateway, account, state, transfer_attempt, send_attempt,
    reverse_attempt, asked_at, unknown_since, retry_at, transfer_reference, payout_reference, failure_code, arrives_on,
    held_reason, created_at, updated_at
FROM payouts WHERE id = $1::uuid FOR UPDATE;

-- name: store_payout
-- Its progress.
UPDATE payouts SET
    state = $2::text::payout_state, transfer_attempt = $3::int, send_attempt = $4::int, reverse_attempt = $5::int,
    asked_at = $6::timestamptz, unknown_since = $7::timestamptz, retry_at = $8::timestamptz,
    transfer_reference = $9::text, payout_reference = $10::text, failure_code = $11::text, arrives_on = $12::date,
    held_reason = $13::text, updated_at = now()
WHERE id = $1::uuid;

-- name: list_stale
-- Payouts that should have moved and did not: a job is dead, or news was lost.
SELECT id FROM payouts
WHERE state NOT IN ('paid', 'failed', 'canceled') AND held_reason = ''
    AND updated_at < now() - make_interval(secs => $1::int) AND coalesce(retry_at, now()) <= now()
    AND ($2::uuid IS NULL OR id > $2::uuid)
ORDER BY id LIMIT $3::int;

-- name: list_by_shop
-- A shop's payouts, the latest first.
SELECT
    id, shop_id, currency, amount_minor, carried_in_minor, carried_out_minor, slot_at, state, send_attempt AS attempt, failure_code, arrives_on, retry_at,
    held_reason, unknown_since, created_at, updated_at
FROM payouts WHERE shop_id = $1::uuid AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC LIMIT $3::int;

-- name: list_by_state
-- All shops' payouts for operators, the latest first.
SELECT
    id, shop_id, currency, amount_minor, carried_in_minor, carried_out_minor, slot_at, state, send_attempt AS attempt, failure_code, arrives_on, retry_at,
    held_reason, unknown_since, created_at, updated_at
FROM payouts WHERE ($1::text IS NULL OR state = $1::text::payout_state) AND ($2::uuid IS NULL OR id < $2::uuid)
ORDER BY id DESC LIMIT $3::int;

-- name: read_view
-- One payout as people see it.
SELECT
    id, shop_id, currency, amount_minor, carried_in_minor, carried_out_minor, slot_at, state, send_attempt AS attempt, failure_code, arrives_on, retry_at,
    held_reason, unknown_since, created_at, updated_at
FROM payouts WHERE id = $1::uuid;

-- name: list_lines
-- What a payout is made of, in the order of the books.
SELECT t.id AS position, t.kind AS cause, o.id AS "order", o.number AS order_number, l.amount_minor, t.at, t.reason
FROM payout_lines AS l
INNER JOIN ledger_transactions AS t ON t.id = l.transaction_id
LEFT JOIN orders AS o ON o.id = t.order_id
WHERE l.payout_id = $1::uuid AND t.id > $2::bigint
ORDER BY t.id LIMIT $3::int;

-- name: read_money
-- What a shop has by currency: in clearance, ready, on its way to the bank, and what it owes.
SELECT
    a.currency,
    coalesce(sum(b.balance_minor) FILTER (WHERE a.kind = 'pending'), 0)::bigint AS pending_minor,
    coalesce(sum(b.balance_minor) FILTER (WHERE a.kind = 'available'), 0)::bigint AS available_minor,
    coalesce(sum(b.balance_minor) FILTER (WHERE a.kind = 'in_flight'), 0)::bigint AS in_flight_minor,
    coalesce(sum(b.balance_minor) FILTER (WHERE a.kind = 'receivable'), 0)::bigint AS owed_minor
FROM ledger_accounts AS a
INNER JOIN ledger_balances AS b ON b.account_id = a.id
WHERE a.owner = $1::uuid::text AND a.kind IN ('pending', 'available', 'in_flight', 'receivable')
GROUP BY a.currency ORDER BY a.currency;

-- name: shop_exists
-- Whether there is such a shop.
SELECT EXISTS (SELECT FROM shops WHERE id = $1::uuid);

-- name: read_shop_name
-- For statements.
SELECT name FROM shops WHERE id = $1::uuid;

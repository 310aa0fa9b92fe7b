-- name: read_party
-- The two sides of a conversation that a user belongs to.
SELECT c.id, c.shop_id, c.buyer_id
FROM conversations c JOIN conversation_members m ON m.conversation_id = c.id AND m.user_id = $2::uuid
WHERE c.id = $1::uuid;

-- name: conversation_of_offer
-- Where an offer was made. That never changes, so it may be read before the offer is locked.
SELECT conversation_id FROM offers WHERE id = $1::uuid;

-- name: lock_offer
-- Take an offer: whoever answers it waits here, and finds it as the first one left it.
SELECT id, conversation_id, side, maker_id, answers_id, product_id, variant_id, title, options, quantity, unit_price_minor,
    currency, coalesce(shipping_address, 'null'::jsonb) AS shipping_address, status, expires_at, group_id, order_id
FROM offers WHERE id = $1::uuid FOR UPDATE;

-- name: lock_open_offer
-- The offer that is open for a variant in a conversation.
SELECT id, conversation_id, side, maker_id, answers_id, product_id, variant_id, title, options, quantity, unit_price_minor,
    currency, coalesce(shipping_address, 'null'::jsonb) AS shipping_address, status, expires_at, group_id, order_id
FROM offers WHERE conversation_id = $1::uuid AND variant_id = $2::uuid AND status = 'open' FOR UPDATE;

-- name: lock_expired_offers
-- Offers whose time is over, passing by those that somebody is answering right now.
SELECT id, conversation_id, side, maker_id, answers_id, product_id, variant_id, title, options, quantity, unit_price_minor,
    currency, coalesce(shipping_address, 'null'::jsonb) AS shipping_address, status, expires_at, group_id, order_id
FROM offers WHERE status = 'open' AND expires_at <= now() ORDER BY expires_at LIMIT $1::int FOR UPDATE SKIP LOCKED;

-- name: read_offer
-- An offer as it is.
SELECT id, conversation_id, side, maker_id, answers_id, product_id, variant_id, title, options, quantity, unit_price_minor,
    currency, coalesce(shipping_address, 'null'::jsonb) AS shipping_address, status, expires_at, group_id, order_id
FROM offers WHERE id = $1::uuid;

-- name: insert_offer
-- Put an offer on the table; one that is open for the same thing in the same conversation leaves no room.
INSERT INTO offers (
    conversation_id, side, maker_id, answers_id, product_id, variant_id, title, options, quantity, unit_price_minor,
    currency, shipping_address, expires_at, created_at
)
VALUES (
    $1::uuid, $2::text, $3::uuid, $4::uuid, $5::uuid, $6::uuid, $7::text, $8::jsonb, $9::int, $10::bigint, $11::text,
    $12::jsonb, $13::timestamptz, $14::timestamptz
)
ON CONFLICT (conversation_id, variant_id) WHERE status = 'open' DO NOTHING
RETURNING id;

-- name: end_offer
-- Write down how an offer ended, and the order that came of it. The status guards against a caller that did not lock.
UPDATE offers SET status = $2::offer_status, ended_at = $3::timestamptz, group_id = $4::uuid, order_id = $5::uuid
WHERE id = $1::uuid AND status = 'open'
RETURNING true;

-- name: may_buy
-- Whether somebody who made an offer may still buy.
SELECT true FROM users WHERE id = $1::uuid AND status = 'active' AND email_verified_at IS NOT NULL;

-- name: is_open_shop
-- Whether a shop trades.
SELECT true FROM shops WHERE id = $1::uuid AND status = 'approved';

-- name: read_notice
-- What a notice about an offer says.
SELECT o.id, o.conversation_id, o.side, o.title, o.quantity, o.unit_price_minor, o.currency, o.group_id, c.buyer_id,
    b.display_name AS buyer_name, s.name AS shop_name
FROM offers o
JOIN conversations c ON c.id = o.conversation_id
JOIN users b ON b.id = c.buyer_id
JOIN shops s ON s.id = c.shop_id
WHERE o.id = $1::uuid;

-- name: list_sellers
-- Those of a conversation's members who speak for the shop, as it is now.
SELECT m.user_id
FROM conversations c
JOIN conversation_members m ON m.conversation_id = c.id AND m.user_id <> c.buyer_id
JOIN shop_members t ON t.shop_id = c.shop_id AND t.user_id = m.user_id
WHERE c.id = $1::uuid ORDER BY m.user_id;

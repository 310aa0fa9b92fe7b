-- name: user_cart
-- The cart of a user, if there is one.
SELECT id, version, updated_at FROM carts WHERE user_id = $1::uuid;

-- name: guest_cart
-- The cart that a guest's token opens, if there is one.
SELECT id, version, updated_at FROM carts WHERE guest_token_sha256 = $1::bytea;

-- name: lock_user_cart
-- The same, making changes of one cart take turns.
SELECT id, version, updated_at FROM carts WHERE user_id = $1::uuid FOR UPDATE;

-- name: lock_user_lines
-- The lines of a user's cart, both locked: who waited here for another checkout finds the lines it took gone.
SELECT l.cart_id, l.variant_id, l.quantity, l.seen_price_minor, l.added_at
FROM carts AS c
INNER JOIN cart_lines AS l ON l.cart_id = c.id
WHERE c.user_id = $1::uuid
ORDER BY l.added_at, l.variant_id
FOR UPDATE OF c, l;

-- name: lock_guest_cart
-- The same for a guest's; of two that merge it at once, the later finds nothing.
SELECT id, version, updated_at FROM carts WHERE guest_token_sha256 = $1::bytea FOR UPDATE;

-- name: ensure_user_cart
-- Make the user's cart unless it is there.
INSERT INTO carts (user_id) VALUES ($1::uuid) ON CONFLICT (user_id) DO NOTHING;

-- name: insert_guest_cart
-- Make a cart for whoever holds the token.
INSERT INTO carts (guest_token_sha256) VALUES ($1::bytea) RETURNING id, version, updated_at;

-- name: touch_cart
-- Count a change of the cart.
UPDATE carts SET version = version + 1, updated_at = now() WHERE id = $1::uuid;

-- name: put_line
-- Set a line's quantity, and what its price was when the buyer did so.
INSERT INTO cart_lines (cart_id, variant_id, quantity, seen_price_minor)
VALUES ($1::uuid, $2::uuid, $3::int, $4::bigint)
ON CONFLICT (cart_id, variant_id) DO UPDATE
SET quantity = excluded.quantity, seen_price_minor = excluded.seen_price_minor;

-- name: delete_lines
-- Take lines out of a cart.
DELETE FROM cart_lines WHERE cart_id = $1::uuid AND variant_id = ANY ($2::uuid[]);

-- name: take_out
-- Take what was bought out of a cart. Behind a sub-select its number is no reason to plan this anew each time.
WITH bought AS (
    DELETE FROM cart_lines
    WHERE cart_id = $1::uuid AND variant_id = ANY (ARRAY(SELECT unnest($2::uuid[])))
)
UPDATE carts SET version = version + 1, updated_at = now() WHERE id = $1::uuid;

-- name: read_lines
-- A cart's lines in the order in which they were added.
SELECT variant_id, quantity, seen_price_minor, added_at
FROM cart_lines
WHERE cart_id = $1::uuid
ORDER BY added_at, variant_id;

-- name: merge_lines
-- Add a guest's lines ($2) to a user's cart ($1): quantities add up to the cap ($3), and no cart gets too long ($4).
INSERT INTO cart_lines (cart_id, variant_id, quantity, seen_price_minor, added_at)
SELECT $1::uuid, moved.variant_id, moved.quantity, moved.seen_price_minor, moved.added_at
FROM (
    SELECT
        guest.variant_id, guest.quantity, guest.seen_price_minor, guest.added_at, own.variant_id IS NOT NULL AS known,
        row_number() OVER (PARTITION BY own.variant_id IS NOT NULL ORDER BY guest.added_at, guest.variant_id) AS place
    FROM cart_lines AS guest
    LEFT JOIN cart_lines AS own ON own.cart_id = $1::uuid AND own.variant_id = guest.variant_id
    WHERE guest.cart_id = $2::uuid
) AS moved
WHERE
    moved.known
    OR moved.place <= $4::int - (SELECT count(*) FROM cart_lines AS present WHERE present.cart_id = $1::uuid)
ON CONFLICT (cart_id, variant_id) DO UPDATE
SET quantity = least(cart_lines.quantity + excluded.quantity, $3::int);

-- name: delete_cart
-- The guest's cart is gone, and its token with it.
DELETE FROM carts WHERE id = $1::uuid;

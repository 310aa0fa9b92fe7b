"""A market for the checkout figure: shops, stock, and very many buyers with a full cart.

Ids are numbers written as UUIDs, so that pgbench, which only computes with integers, names the same rows as the
service does. Cart `n` is of buyer `n` with address `n`, and holds three variants of two neighbouring shops; which,
follows from `n` by the arithmetic below. `bench/pgbench_script.py` states it again in pgbench's language.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg
import msgspec

# Apart from each other, so that one number is one row.
BUYERS_FROM: Final = 1_000_000_000
SHOPS_FROM: Final = 2_000_000_000
SHOPS: Final = 100
PRODUCTS_PER_SHOP: Final = 100
PRICE_MINOR: Final = 1_250
QUANTITY: Final = 1
LINES: Final = 3
ON_HAND: Final = 100_000_000

_MAKE: Final = """
CREATE OR REPLACE FUNCTION bench_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN lpad(n::text, 32, '0')::uuid;

INSERT INTO users (id, email, email_verified_at, password_hash, display_name)
SELECT bench_id({shops_from} + s), 'seller-' || s || '@bench.localhost', now(), '-', 'Bench'
FROM generate_series(0, {shops} - 1) AS s;
INSERT INTO shops (id, owner_id, name, slug, country, currency, status)
SELECT
    bench_id({shops_from} + s), bench_id({shops_from} + s), 'Bench shop ' || s, 'bench-shop-' || s, 'PT', 'EUR',
    'approved'
FROM generate_series(0, {shops} - 1) AS s;

INSERT INTO products (id, shop_id, category_id, slug, title, currency, status, published_at)
SELECT
    bench_id(p), bench_id({shops_from} + p % {shops}), (SELECT id FROM categories WHERE slug = 'ceramics'),
    'thing-' || p, 'Stoneware bowl, glazed blue', 'EUR', 'published', now()
FROM generate_series(0, {products} - 1) AS p;
INSERT INTO product_search_versions (product_id) SELECT bench_id(p) FROM generate_series(0, {products} - 1) AS p;
INSERT INTO variants (id, product_id, shop_id, sku, options, price_minor)
SELECT bench_id(p), bench_id(p), bench_id({shops_from} + p % {shops}), 'BOWL-' || p, '{{"Size": "M"}}', {price_minor}
FROM generate_series(0, {products} - 1) AS p;
INSERT INTO stock (variant_id, on_hand) SELECT bench_id(p), {on_hand} FROM generate_series(0, {products} - 1) AS p;

INSERT INTO users (id, email, email_verified_at, password_hash, display_name)
SELECT bench_id({buyers_from} + n), 'buyer-' || n || '@bench.localhost', now(), '-', 'Bench'
FROM generate_series(0, {buyers} - 1) AS n;
INSERT INTO addresses (id, user_id, name, line1, city, postal_code, country)
SELECT
    bench_id({buyers_from} + n), bench_id({buyers_from} + n), 'Ana Buyer', 'Rua das Flores 12', 'Porto', '4050-262',
    'PT'
FROM generate_series(0, {buyers} - 1) AS n;
INSERT INTO carts (id, user_id)
SELECT bench_id({buyers_from} + n), bench_id({buyers_from} + n) FROM generate_series(0, {buyers} - 1) AS n;
"""

# As many milliseconds apart as three clicks would be at least: that gives the lines their order.
_FILL: Final = """
INSERT INTO cart_lines (cart_id, variant_id, quantity, seen_price_minor, added_at)
SELECT
    bench_id({buyers_from} + n), bench_id(line.variant), {quantity}, {price_minor},
    '2026-01-01'::timestamptz + line.place * interval '1 ms'
FROM
    generate_series(0::bigint, {buyers} - 1) AS n,
    LATERAL (VALUES
        (1, n % ({shops} - 1) + {shops} * (n * 7919 % {per_shop})),
        (2, n % ({shops} - 1) + {shops} * ((n * 7919 + 1 + n % 7) % {per_shop})),
        (3, n % ({shops} - 1) + 1 + {shops} * (n * 104729 % {per_shop}))
    ) AS line (place, variant)
ON CONFLICT DO NOTHING;
"""


class Cart(msgspec.Struct, frozen=True, kw_only=True):
    """What the cart of one number holds, and whose it is."""

    buyer: UUID
    variants: tuple[UUID, UUID, UUID]
    shops: tuple[UUID, UUID]


def bench_id(number: int) -> UUID:
    """Write a number as a UUID: its decimal digits, as PostgreSQL's `lpad(n, 32, '0')::uuid` does."""
    return UUID(str(number).zfill(32))


def cart_of(number: int) -> Cart:
    """Return what `_FILL` puts into cart `number`."""
    shop = number % (SHOPS - 1)
    first = shop + SHOPS * (number * 7919 % PRODUCTS_PER_SHOP)
    second = shop + SHOPS * ((number * 7919 + 1 + number % 7) % PRODUCTS_PER_SHOP)
    third = shop + 1 + SHOPS * (number * 104729 % PRODUCTS_PER_SHOP)
    return Cart(
        buyer=bench_id(BUYERS_FROM + number),
        variants=(bench_id(first), bench_id(second), bench_id(third)),
        shops=(bench_id(SHOPS_FROM + shop), bench_id(SHOPS_FROM + shop + 1)),
    )


async def make_goods(con: asyncpg.Connection[asyncpg.Record], buyers: int) -> None:
    """Create everything but the carts' lines."""
    await con.execute(_MAKE.format(**_numbers(buyers)), timeout=600)


async def fill_carts(con: asyncpg.Connection[asyncpg.Record], buyers: int) -> None:
    """Fill the carts again and let PostgreSQL tidy up, so that every run starts from the same."""
    await con.execute(_FILL.format(**_numbers(buyers)), timeout=600)
    for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
        await con.execute(statement, timeout=600)


def _numbers(buyers: int) -> dict[str, int]:
    return {
        "shops_from": SHOPS_FROM,
        "shops": SHOPS,
        "per_shop": PRODUCTS_PER_SHOP,
        "products": SHOPS * PRODUCTS_PER_SHOP,
        "price_minor": PRICE_MINOR,
        "quantity": QUANTITY,
        "on_hand": ON_HAND,
        "buyers_from": BUYERS_FROM,
        "buyers": buyers,
    }

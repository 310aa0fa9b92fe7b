"""Shops with goods, made through the services' own verbs, and what tests ask of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

from feira.jobs.products import handle_sync_product_to_search
from feira.jobs.run import JobRun
from feira.platform.domain.ids import JobId, OrderId, ProductId, ShopId, UserId, VariantId
from feira.platform.domain.jobs import SyncProductToSearch
from feira.platform.domain.permissions import Principal, Role
from feira.platform.domain.topics import product_topic
from feira.services.market import Market
from feira.services.products.catalogue import read_product
from feira.services.products.editing import NewProduct, create_product, publish
from feira.services.products.stock import Hold
from feira.services.products.variants import NewVariant
from feira.services.products.views import ProductView
from feira.services.users.accounts import create_user
from feira.services.users.sessions import open_session
from feira.services.users.shops import Decision, decide
from feira.sql.database import Tx
from feira.sql.topics import read_events

T = TypeVar("T")
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Shop:
    id: ShopId
    owner: Principal
    currency: str


@dataclass(kw_only=True)
class Goods:
    """What tests do with the catalogue, in one line each."""

    market: Market

    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        return await self.market.database.transact(work)

    async def person(self, *, is_admin: bool = False) -> Principal:
        async def create(tx: Tx) -> Principal:
            user: UserId = await create_user(
                tx,
                email=f"{uuid4().hex}@people.example",
                password_hash="none",
                display_name="Somebody",
                roles=frozenset({"admin"} if is_admin else ()),
            )
            session = await open_session(tx, user, user_agent="tests", address=None)
            roles: set[Role] = {"anyone", "user", "verified"}
            if is_admin:
                roles.add("admin")
            return Principal(
                user_id=user,
                session_id=session.session_id,
                display_name="Somebody",
                roles=frozenset(roles),
            )

        return await self.transact(create)

    async def shop(self, *, currency: str = "EUR", status: str = "approved") -> Shop:
        """A shop in any state. How shops get there is tested where it happens."""
        owner = await self.person()
        async with self.market.database.connection() as con, con.transaction():
            shop: ShopId = await con.fetchval(
                "INSERT INTO shops (owner_id, name, slug, country, currency, status, provider_status)"
                " VALUES ($1, 'Oficina', $2, 'PT', $3, $4::shop_status, 'verified') RETURNING id",
                owner.user_id,
                f"oficina-{uuid4()}",
                currency,
                status,
            )
            await con.execute(
                "INSERT INTO shop_members (shop_id, user_id, role) VALUES ($1, $2, 'owner')",
                shop,
                owner.user_id,
            )
        return Shop(id=shop, owner=owner, currency=currency)

    async def decide(self, shop: Shop, decision: Decision) -> None:
        admin = await self.person(is_admin=True)
        await self.transact(lambda tx: decide(tx, admin, shop.id, decision, "test"))

    async def draft(
        self,
        shop: Shop,
        title: str = "Ceramic vase",
        *,
        description: str = "",
        category: str | None = "ceramics",
        variants: Sequence[NewVariant] | None = None,
        price_minor: int = 1_999,
        on_hand: int = 5,
    ) -> ProductView:
        one = NewVariant(sku=f"SKU-{next(_numbers)}", price_minor=price_minor, on_hand=on_hand)
        new = NewProduct(
            title=title,
            description=description,
            category=category,
            variants=[one] if variants is None else list(variants),
        )
        product = await self.transact(lambda tx: create_product(tx, shop.owner, shop.id, new))
        return await self.read(product, shop.owner)

    async def product(
        self,
        shop: Shop,
        title: str = "Ceramic vase",
        *,
        description: str = "",
        category: str = "ceramics",
        variants: Sequence[NewVariant] | None = None,
        price_minor: int = 1_999,
        on_hand: int = 5,
    ) -> ProductView:
        """A published product."""
        drafted = await self.draft(
            shop,
            title,
            description=description,
            category=category,
            variants=variants,
            price_minor=price_minor,
            on_hand=on_hand,
        )
        await self.transact(lambda tx: publish(tx, shop.owner, drafted.id, drafted.version))
        return await self.read(drafted.id, shop.owner)

    async def read(self, product: ProductId, principal: Principal | None = None) -> ProductView:
        async with self.market.database.connection() as con:
            return await read_product(con, product, principal, self.market.storage.public_url)

    async def sync(self, *products: ProductId) -> None:
        """Do what the search jobs of products do."""
        for product in products:
            await handle_sync_product_to_search(
                JobRun(self.market, JobId(uuid4()), 1), SyncProductToSearch(product=product)
            )

    async def sync_jobs(self, product: ProductId) -> list[str]:
        """The keys of all search jobs that were ever asked for."""
        async with self.market.database.connection() as con:
            records = await con.fetch(
                "SELECT dedup FROM jobs WHERE kind = 'products.sync_to_search'"
                " AND args ->> 'product' = $1 ORDER BY id",
                str(product),
            )
        return [record["dedup"] for record in records]

    async def events(self, product: ProductId) -> list[str]:
        """What the product's topic said, as JSON."""
        async with self.market.database.connection() as con:
            logged = await read_events(con, product_topic(product), after=0, limit=300)
        return [bytes(event.body).decode() for event in logged]

    async def stock(self, variant: VariantId) -> tuple[int, int]:
        """On hand and reserved; on hand is what the movements add up to."""
        async with self.market.database.connection() as con:
            row = await con.fetchrow(
                "SELECT s.on_hand, s.reserved, coalesce(sum(m.quantity), 0) AS moved,"
                " (SELECT coalesce(sum(quantity), 0) FROM reservations r"
                " WHERE r.variant_id = s.variant_id AND r.state = 'held') AS held"
                " FROM stock s LEFT JOIN stock_movements m USING (variant_id)"
                " WHERE s.variant_id = $1 GROUP BY s.variant_id",
                variant,
            )
        assert row is not None
        assert row["on_hand"] == row["moved"]
        assert row["reserved"] == row["held"]
        return row["on_hand"], row["reserved"]


def hold(variant: VariantId, quantity: int = 1, *, order: OrderId | None = None) -> Hold:
    return Hold(order_id=order or OrderId(uuid4()), variant_id=variant, quantity=quantity)


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float = 20) -> None:
    """Poll until it is so."""
    async with asyncio.timeout(within_s):
        while not await check():
            await asyncio.sleep(0.05)

"""A stage for orders: people, shops and goods made through the services' own verbs, and a gateway in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import uuid4

import msgspec

from feira.platform.domain.errors import FeiraError
from feira.platform.domain.events import LoggedEvent
from feira.platform.domain.ids import (
    AddressId,
    OrderId,
    ProductId,
    SessionId,
    ShopId,
    UserId,
    VariantId,
)
from feira.platform.domain.order_commands import OrderCommand
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import Topic
from feira.services.market import Market
from feira.services.orders.carts import CartView, SetCartLine, Shopper, read_cart, set_line
from feira.services.orders.checkout import CheckedOut, CheckOut, check_out
from feira.services.orders.groups import CheckoutView, read_group
from feira.services.orders.history import get_order
from feira.services.orders.orders import execute
from feira.services.orders.views import OrderView
from feira.services.payments.introduction import ensure_intent
from feira.services.payments.outcomes import apply_intent, apply_refund
from feira.services.payments.refund_asking import ask_provider
from feira.services.products.catalogue import read_product
from feira.services.products.editing import (
    NewProduct,
    create_product,
    publish,
    update_variant,
)
from feira.services.products.variants import NewVariant, VariantChange
from feira.services.users.accounts import PlatformRole, create_user
from feira.services.users.addresses import AddressInput, add_address
from feira.sql.database import Database, Tx
from feira.sql.topics import read_events
from tests.integration.orders.memory_gateway import MemoryGateway

T = TypeVar("T")
_names = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Buyer:
    principal: Principal
    address: AddressId

    @property
    def shopper(self) -> Shopper:
        return Shopper(user_id=self.principal.user_id, guest_token=None)


@dataclass(frozen=True, kw_only=True)
class Shop:
    id: ShopId
    owner: Principal
    currency: str


@dataclass(kw_only=True)
class Stage:
    """What tests do with the market, in one line each."""

    market: Market
    gateway: MemoryGateway
    _variants: dict[VariantId, ProductId] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        return self.market.database

    def with_config(self, **settings: int) -> Stage:
        """The same market under other terms."""
        config = msgspec.structs.replace(self.market.config, **settings)
        return replace(self, market=replace(self.market, config=config))

    async def transact(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        return await self.database.transact(work)

    async def person(self, *roles: PlatformRole) -> Principal:
        name = f"person {next(_names)}"
        platform = frozenset(roles)

        async def create(tx: Tx) -> UserId:
            return await create_user(
                tx,
                email=f"{uuid4().hex}@people.example",
                password_hash="none",
                display_name=name,
                roles=platform,
            )

        return Principal(
            user_id=await self.transact(create),
            session_id=SessionId(uuid4()),
            display_name=name,
            roles=frozenset({"anyone", "user", "verified", *roles}),
        )

    async def buyer(self) -> Buyer:
        principal = await self.person()
        home = AddressInput(
            name="Ana Buyer", line1="Rua 1", city="Lisboa", postal_code="1000-001", country="PT"
        )
        address = await self.transact(lambda tx: add_address(tx, principal.user_id, home))
        return Buyer(principal=principal, address=address.id)

    async def shop(self, *, currency: str = "EUR") -> Shop:
        owner = await self.person()
        return Shop(id=await _open_shop(self, owner, currency), owner=owner, currency=currency)

    async def variant(
        self, shop: Shop, *, price_minor: int = 1_000, on_hand: int = 10
    ) -> VariantId:
        """A published product with one variant."""
        number = next(_names)
        new = NewProduct(
            title=f"Thing {number}",
            category="books",
            variants=[NewVariant(sku=f"SKU-{number}", price_minor=price_minor, on_hand=on_hand)],
        )

        async def make(tx: Tx) -> VariantId:
            product = await create_product(tx, shop.owner, shop.id, new)
            await publish(tx, shop.owner, product, 1)
            view = await read_product(tx.con, product, shop.owner, str)
            self._variants[view.variants[0].id] = product
            return view.variants[0].id

        return await self.transact(make)

    async def set_price(self, shop: Shop, variant: VariantId, price_minor: int) -> None:
        async def work(tx: Tx) -> None:
            product = await read_product(tx.con, self.product_of(variant), shop.owner, str)
            change = VariantChange(version=product.version, price_minor=price_minor)
            await update_variant(tx, shop.owner, variant, change)

        await self.transact(work)

    def product_of(self, variant: VariantId) -> ProductId:
        return self._variants[variant]

    async def put(self, buyer: Buyer, variant: VariantId, quantity: int = 1) -> CartView:
        wanted = SetCartLine(quantity=quantity)
        return await self.transact(lambda tx: set_line(tx, buyer.shopper, variant, wanted))

    async def cart(self, shopper: Shopper) -> CartView:
        async with self.database.connection() as con:
            return await read_cart(con, shopper)

    async def check_out(self, buyer: Buyer, *, currency: str | None = None) -> CheckedOut:
        """Check out at the cart's present total."""
        cart = await self.cart(buyer.shopper)
        total = next(t for t in cart.totals if currency in {None, t.currency})
        wanted = CheckOut(
            address_id=buyer.address, expected_total_minor=total.amount_minor, currency=currency
        )
        return await self.transact(
            lambda tx: check_out(tx, self.market.config, buyer.principal, wanted)
        )

    async def buy(
        self, buyer: Buyer, *variants: VariantId, quantity: int = 1
    ) -> tuple[CheckedOut, list[OrderId]]:
        """Fill the cart and check out."""
        for variant in variants:
            await self.put(buyer, variant, quantity)
        made = await self.check_out(buyer)
        group = await self.group(made, buyer.principal)
        return made, [order.id for order in group.orders]

    async def placed(self, *, quantity: int = 2) -> tuple[Shop, Buyer, OrderId]:
        """A paid order of two lines."""
        shop = await self.shop()
        variants = [await self.variant(shop, price_minor=price) for price in (1_000, 250)]
        buyer = await self.buyer()
        made, (order,) = await self.buy(buyer, *variants, quantity=quantity)
        await self.pay(made)
        return shop, buyer, order

    async def intent(self, made: CheckedOut) -> str:
        """Tell the provider of the payment and return its reference there."""
        page = (await ensure_intent(self.market, made.payment_id)).payment_page_url
        assert page is not None
        return page.rpartition("/")[2]

    async def pay(self, made: CheckedOut) -> str:
        """The buyer pays at the provider, and its news arrives."""
        reference = await self.intent(made)
        self.gateway.pay(reference)
        await self.news(reference)
        return reference

    async def news(self, reference: str) -> None:
        intent = await self.gateway.fetch_intent(reference)
        await self.transact(lambda tx: apply_intent(tx, intent))

    async def do(
        self,
        who: Principal,
        order: OrderId,
        command: OrderCommand,
        *,
        key: str | None = None,
    ) -> OrderView:
        key = key or uuid4().hex
        return await self.transact(lambda tx: execute(tx, who, order, command, idempotency_key=key))

    async def order(self, order: OrderId, who: Principal) -> OrderView:
        async with self.database.connection() as con:
            return await get_order(con, order, who)

    async def group(self, made: CheckedOut, who: Principal) -> CheckoutView:
        async with self.database.connection() as con:
            return await read_group(con, made.group_id, who)

    async def reference(self, order: OrderView) -> str:
        """What the provider calls the payment of an order's group."""
        async with self.database.connection() as con:
            return await con.fetchval(
                "SELECT gateway_reference FROM payments WHERE group_id = $1", order.group_id
            )

    async def stock(self, variant: VariantId) -> tuple[int, int]:
        """On hand and reserved."""
        async with self.database.connection() as con:
            row = await con.fetchrow(
                "SELECT on_hand, reserved FROM stock WHERE variant_id = $1", variant
            )
        assert row is not None
        return row["on_hand"], row["reserved"]

    async def events(self, topic: Topic, *, after: int = 0) -> list[LoggedEvent]:
        async with self.database.connection() as con:
            return await read_events(con, topic, after=after, limit=300)

    async def jobs(self, kind: str, **args: str) -> int:
        """How many jobs of this kind and with these arguments were ever asked for."""
        async with self.database.connection() as con:
            return await con.fetchval(
                "SELECT count(*) FROM jobs WHERE kind = $1 AND args @> $2::jsonb", kind, args
            )

    async def run_refunds(self, order: OrderId) -> None:
        """Do what the refund jobs of an order do."""
        async with self.database.connection() as con:
            ids = [
                record["id"]
                for record in await con.fetch("SELECT id FROM refunds WHERE order_id = $1", order)
            ]
        for refund in ids:
            answer = await ask_provider(self.market, refund)
            await self.transact(lambda tx, r=refund, a=answer: apply_refund(tx, r, a))

    async def ledger(self, kind: str, owner: str) -> int:
        """An account's sum in its normal direction."""
        async with self.database.connection() as con:
            return await con.fetchval(
                "SELECT coalesce(sum(CASE a.normal WHEN 'debit' THEN p.amount_minor ELSE -p.amount_minor END), 0)::bigint"
                " FROM ledger_accounts AS a JOIN ledger_postings AS p ON p.account_id = a.id"
                " WHERE a.kind = $1 AND a.owner = $2",
                kind,
                owner,
            )


async def _open_shop(stage: Stage, owner: Principal, currency: str) -> ShopId:
    """An approved shop. How shops come to be approved is tested where it happens."""
    async with stage.database.connection() as con, con.transaction():
        shop: ShopId = await con.fetchval(
            "INSERT INTO shops (owner_id, name, slug, country, currency, status)"
            " VALUES ($1, $2, $3, 'PT', $4, 'approved') RETURNING id",
            owner.user_id,
            f"Shop of {owner.display_name}",
            f"shop-{uuid4()}",
            currency,
        )
        await con.execute(
            "INSERT INTO shop_members (shop_id, user_id, role) VALUES ($1, $2, 'owner')",
            shop,
            owner.user_id,
        )
    return shop


def kind(entry: LoggedEvent) -> str:
    """What an entry of a log tells of."""
    return msgspec.json.decode(entry.body)["kind"]


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float = 10) -> None:
    """Poll until it is so."""
    async with asyncio.timeout(within_s):
        while not await check():
            await asyncio.sleep(0.02)


async def patiently(work: Callable[[], Awaitable[T]]) -> T | FeiraError:
    """As a client would: try again while the answer says so, and return what came of it."""
    while True:
        try:
            return await work()
        except FeiraError as error:
            if not error.retryable and error.code != "database.busy":
                return error
            await asyncio.sleep(error.retry_after_s or 0.05)

"""A completed order with its payment, in rows and in the books, as raw as tests that break things need it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from feira.platform.domain import postings_orders as postings
from feira.platform.domain.ids import OrderId, PaymentId, ShopId
from feira.platform.domain.postings_orders import OrderShare
from feira.platform.domain.shop_funds import Sale
from feira.sql.database import Database
from feira.sql.loader import Connection
from tests.integration.ledger.books import write


@dataclass(frozen=True, kw_only=True)
class Scene:
    order: UUID
    payment: UUID
    shop: UUID

    @property
    def sale(self) -> Sale:
        return Sale(
            order_id=OrderId(self.order),
            shop_id=ShopId(self.shop),
            currency="EUR",
            total_minor=10_000,
            commission_minor=1_000,
        )


async def completed_order(owner: Connection, database: Database) -> Scene:
    """Rows without the people, goods and shops that they speak of; the ledger through the front door."""
    scene = Scene(order=uuid4(), payment=uuid4(), shop=uuid4())
    group = uuid4()
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(
            "INSERT INTO orders (id, group_id, buyer_id, shop_id, currency, items_minor, total_minor,"
            " commission_minor, status, payment_status)"
            " VALUES ($1, $2, $3, $4, 'EUR', 10000, 10000, 1000, 'completed', 'captured')",
            scene.order,
            group,
            uuid4(),
            scene.shop,
        )
        await owner.execute(
            "INSERT INTO payments (id, group_id, gateway, gateway_reference, currency, amount_minor, fee_minor, state, captured_at)"
            " VALUES ($1, $2, 'sandbox', $3, 'EUR', 10000, 320, 'captured', now())",
            scene.payment,
            group,
            f"pi_{scene.payment.hex}",
        )
    await write(
        database,
        postings.captured(
            payment_id=PaymentId(scene.payment),
            gateway="sandbox",
            currency="EUR",
            orders=[OrderShare(order_id=OrderId(scene.order), total_minor=10_000)],
            fee_minor=320,
        ),
        postings.completed(scene.sale, refunded_minor=0),
    )
    return scene

"""One checkout as its buyer sees it: the orders and the one payment for all of them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import OrderGroupId, OrderId, PaymentId, UserId
from feira.platform.domain.permissions import Principal, Role, is_allowed
from feira.services.orders.states import SQL
from feira.services.orders.views import OrderView, ShippingAddress, view_orders
from feira.services.payments.payments import PaymentView, load_payment
from feira.sql.loader import Connection, fetch_one


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """Unpaid, it holds its stock until `hold_ends_at`."""

    id: OrderGroupId
    currency: str
    total_minor: int
    shipping_address: ShippingAddress
    hold_ends_at: datetime
    created_at: datetime


class CheckoutView(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer pays at `payment.payment_page_url`; null means that it is on its way: look again in a moment."""

    group: GroupView
    orders: list[OrderView]
    payment: PaymentView


class _GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    id: OrderGroupId
    buyer_id: UserId
    currency: str
    total_minor: int
    shipping_address: msgspec.Raw
    hold_ends_at: datetime
    created_at: datetime


async def read_group(con: Connection, group_id: OrderGroupId, principal: Principal) -> CheckoutView:
    """Return a checkout to its buyer or the market's people; a shop sees its own order alone.

    Raises:
        NotFound: `order_group.not_found`, for other people's too.
    """
    row = await fetch_one(con, SQL["read_group"], _GroupRow, group_id)
    relations: frozenset[Role] = (
        frozenset({"buyer"})
        if row is not None and row.buyer_id == principal.user_id
        else frozenset()
    )
    if row is None or not is_allowed("order.read", principal, relations):
        raise NotFound("order_group.not_found", "There is no such checkout among yours.")
    ids: list[OrderId] = [
        record["id"] for record in await con.fetch(SQL["read_group_order_ids"], group_id)
    ]
    payment_id: PaymentId = await con.fetchval(SQL["payment_of_group"], group_id)
    return CheckoutView(
        group=GroupView(
            id=row.id,
            currency=row.currency,
            total_minor=row.total_minor,
            shipping_address=msgspec.json.decode(row.shipping_address, type=ShippingAddress),
            hold_ends_at=row.hold_ends_at,
            created_at=row.created_at,
        ),
        orders=await view_orders(con, ids, principal),
        payment=(await load_payment(con, payment_id)).view,
    )

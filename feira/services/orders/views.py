"""Orders as their parties see them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from feira.platform.domain.ids import (
    OrderGroupId,
    OrderId,
    OrderLineId,
    ProductId,
    ShipmentId,
    ShopId,
    UserId,
    VariantId,
)
from feira.platform.domain.order_commands import Action, LineQuantity
from feira.platform.domain.order_event_head import Shipment
from feira.platform.domain.order_state import (
    ActorRole,
    Deadline,
    FulfilmentStatus,
    OrderState,
    OrderStatus,
    PaymentStatus,
)
from feira.platform.domain.orders import allowed_actions
from feira.platform.domain.permissions import Principal
from feira.platform.domain.shipping import ShippingRate
from feira.services.orders.access import actor_roles, order_roles
from feira.services.orders.discounts import DiscountView, read_discounts
from feira.services.orders.rows import no_such_order
from feira.services.orders.states import SQL, OrderHead, read_states
from feira.sql.loader import Connection, fetch_all


class ShippingAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where it goes, as it was at checkout."""

    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    phone: str


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """What was bought, as it was then. `shipped` of `quantity` are on their way or there, `cancelled` will not be."""

    id: OrderLineId
    variant_id: VariantId
    product_id: ProductId
    title: str
    sku: str
    options: dict[str, str]
    quantity: int
    shipped: int
    cancelled: int
    unit_price_minor: int
    total_minor: int
    discount_minor: int
    tax_name: str
    tax_basis_points: int
    tax_minor: int


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """What one side asks of the other: the buyer to `cancel`, the shop for `more_time`, until `ship_by`."""

    kind: Literal["cancel", "more_time"]
    asked_by: UserId
    reason: str
    ship_by: datetime | None
    asked_at: datetime


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order, and what the caller may do with it now (`actions`).

    `commission_minor` is the market's share; only the shop's team and the market's people see it.
    """

    id: OrderId
    number: int
    group_id: OrderGroupId
    buyer_id: UserId
    buyer_name: str
    shop_id: ShopId
    shop_name: str
    shop_slug: str
    currency: str
    items_minor: int
    shipping_minor: int
    tax_minor: int
    tax_included_minor: int
    discount_minor: int
    discounts: list[DiscountView]
    total_minor: int
    refunded_minor: int
    commission_minor: int | None
    status: OrderStatus
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    version: int
    created_at: datetime
    updated_at: datetime
    shipping_address: ShippingAddress
    shipping_method: ShippingRate | None
    lines: list[LineView]
    shipments: list[Shipment]
    deadlines: tuple[Deadline, ...]
    requests: list[RequestView]
    actions: tuple[Action, ...]


class _RequestRow(RequestView, frozen=True, kw_only=True):
    order_id: OrderId


class _OrderRow(OrderHead, frozen=True, kw_only=True):
    number: int
    group_id: OrderGroupId
    buyer_id: UserId
    buyer_name: str
    shop_id: ShopId
    shop_name: str
    shop_slug: str
    currency: str
    items_minor: int
    tax_minor: int
    tax_included_minor: int
    discount_minor: int
    commission_minor: int
    created_at: datetime
    updated_at: datetime
    shipping_address: msgspec.Raw
    shipping_method: msgspec.Raw


class _LineRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    id: OrderLineId
    variant_id: VariantId
    product_id: ProductId
    title: str
    sku: str
    options: msgspec.Raw
    quantity: int
    unit_price_minor: int
    total_minor: int
    discount_minor: int
    tax_name: str
    tax_basis_points: int
    tax_minor: int
    shipped: int
    cancelled: int


class _ShipmentRow(msgspec.Struct, frozen=True, kw_only=True):
    order_id: OrderId
    id: ShipmentId
    carrier: str
    tracking_number: str
    shipped_at: datetime
    delivered_at: datetime | None


class _ShipmentLineRow(msgspec.Struct, frozen=True, kw_only=True):
    shipment_id: ShipmentId
    line: OrderLineId
    quantity: int


async def view_order(con: Connection, order_id: OrderId, principal: Principal) -> OrderView:
    """Return an order as the caller sees it. Who may see it is checked before.

    Raises:
        NotFound: `order.not_found`.
    """
    views = await view_orders(con, [order_id], principal)
    if not views:
        raise no_such_order()
    return views[0]


async def view_orders(
    con: Connection, ids: Sequence[OrderId], principal: Principal
) -> list[OrderView]:
    """Return orders as the caller sees them, in the order of their ids."""
    rows = await fetch_all(con, SQL["read_orders"], _OrderRow, ids)
    lines: dict[OrderId, list[_LineRow]] = defaultdict(list)
    for line in await fetch_all(con, SQL["read_lines"], _LineRow, ids):
        lines[line.order_id].append(line)
    shipments = await _shipments(con, ids)
    discounts = await read_discounts(con, ids)
    states = await read_states(con, rows)
    requests: dict[OrderId, list[RequestView]] = defaultdict(list)
    for request in await fetch_all(con, SQL["read_requests"], _RequestRow, ids):
        requests[request.order_id].append(
            msgspec.convert(request, RequestView, from_attributes=True)
        )
    views: list[OrderView] = []
    for row in rows:
        relations = await order_roles(con, row.id, principal)
        views.append(
            _view(
                row,
                lines[row.id],
                discounts[row.id],
                shipments[row.id],
                requests[row.id],
                states[row.id],
                roles=actor_roles(principal, relations),
                sees_commission=bool(
                    {"owner", "staff", "support", "finance", "admin"}
                    & (principal.roles | relations)
                ),
            )
        )
    return views


async def _shipments(
    con: Connection, ids: Sequence[OrderId]
) -> defaultdict[OrderId, list[Shipment]]:
    carried: dict[ShipmentId, list[LineQuantity]] = defaultdict(list)
    for item in await fetch_all(con, SQL["read_shipment_lines"], _ShipmentLineRow, ids):
        carried[item.shipment_id].append(LineQuantity(line=item.line, quantity=item.quantity))
    found: defaultdict[OrderId, list[Shipment]] = defaultdict(list)
    for row in await fetch_all(con, SQL["read_shipments"], _ShipmentRow, ids):
        found[row.order_id].append(
            Shipment(
                id=row.id,
                carrier=row.carrier,
                tracking_number=row.tracking_number,
                shipped_at=row.shipped_at,
                delivered_at=row.delivered_at,
                lines=carried[row.id],
            )
        )
    return found


def _view(
    row: _OrderRow,
    lines: Sequence[_LineRow],
    discounts: list[DiscountView],
    shipments: list[Shipment],
    requests: list[RequestView],
    state: OrderState,
    *,
    roles: frozenset[ActorRole],
    sees_commission: bool,
) -> OrderView:
    return OrderView(
        id=row.id,
        number=row.number,
        group_id=row.group_id,
        buyer_id=row.buyer_id,
        buyer_name=row.buyer_name,
        shop_id=row.shop_id,
        shop_name=row.shop_name,
        shop_slug=row.shop_slug,
        currency=row.currency,
        items_minor=row.items_minor,
        shipping_minor=row.shipping_minor,
        tax_minor=row.tax_minor,
        tax_included_minor=row.tax_included_minor,
        discount_minor=row.discount_minor,
        discounts=discounts,
        total_minor=row.total_minor,
        refunded_minor=row.refunded_minor,
        commission_minor=row.commission_minor if sees_commission else None,
        status=row.status,
        payment_status=row.payment_status,
        fulfilment_status=row.fulfilment_status,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        shipping_address=msgspec.json.decode(row.shipping_address, type=ShippingAddress),
        shipping_method=msgspec.json.decode(row.shipping_method, type=ShippingRate | None),
        lines=[_line_view(line) for line in lines],
        shipments=shipments,
        deadlines=state.deadlines,
        requests=requests,
        actions=allowed_actions(state, roles),
    )


def _line_view(line: _LineRow) -> LineView:
    return LineView(
        id=line.id,
        variant_id=line.variant_id,
        product_id=line.product_id,
        title=line.title,
        sku=line.sku,
        options=msgspec.json.decode(line.options, type=dict[str, str]),
        quantity=line.quantity,
        shipped=line.shipped,
        cancelled=line.cancelled,
        unit_price_minor=line.unit_price_minor,
        total_minor=line.total_minor,
        discount_minor=line.discount_minor,
        tax_name=line.tax_name,
        tax_basis_points=line.tax_basis_points,
        tax_minor=line.tax_minor,
    )

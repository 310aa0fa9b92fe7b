"""Placing orders at prices that are agreed: a group, one order for each shop, one payment for all, and held stock.

The one way to an order, whoever agreed on the prices and how: a checkout of a cart, or a deal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from feira.platform.domain.checkout import GroupPrice, LinePrice, OrderPrice
from feira.platform.domain.ids import OrderGroupId, OrderId, PaymentId, UserId, VariantId
from feira.platform.domain.order_events import OrderCreated
from feira.platform.domain.order_state import ActorRole, Deadline, OrderTerms
from feira.platform.domain.taxes import UNTAXED
from feira.platform.domain.topics import order_topic
from feira.platform.runtime.config import Config
from feira.services.orders.pricing import PricedItem
from feira.services.orders.promotion_uses import use_promotions
from feira.services.orders.states import SQL
from feira.services.orders.views import ShippingAddress
from feira.services.payments.payments import open_payment
from feira.services.products.catalogue import SellableVariant
from feira.services.products.stock import Hold, reserve
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Who buys, where it goes, by whose act, and how long things may take."""

    buyer_id: UserId
    address: ShippingAddress
    hold_s: int
    order: OrderTerms
    actor: UserId
    actor_role: ActorRole = "buyer"
    intent_by_job: bool = False


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The orders stand as their shops first appeared among the items."""

    group_id: OrderGroupId
    payment_id: PaymentId
    order_ids: tuple[OrderId, ...]
    total_minor: int


class _OpenedGroup(msgspec.Struct, frozen=True, kw_only=True):
    group_id: OrderGroupId
    order_ids: list[OrderId]


def order_terms(config: Config) -> OrderTerms:
    """The market's terms of today. Shops may promise to ship sooner or later than it."""
    return OrderTerms(
        ship_within_s=config.order_ship_within_s,
        late_cancel_s=config.order_late_cancel_s,
        cancel_answer_s=config.order_cancel_answer_s,
        arrive_within_s=config.order_arrive_within_s,
        auto_accept_s=config.order_auto_accept_s,
        dispute_decision_s=config.order_dispute_decision_s,
    )


async def place(tx: Tx, terms: Terms, items: Sequence[PricedItem], price: GroupPrice) -> Placed:
    """Open the group at the price that was made of the items, all or nothing.

    Raises:
        Conflict: `checkout.promotion_used_up`.
        Rejected: `stock.insufficient`.
    """
    assert price.total_minor > 0, "a group costs something"
    hold_ends_at = tx.now + timedelta(seconds=terms.hold_s)
    opened, placed = await _open(tx, terms, items, price, hold_ends_at)
    currency = items[0].variant.currency
    payment_id = await open_payment(
        tx, opened.group_id, price.total_minor, currency, by_job=terms.intent_by_job
    )
    await use_promotions(tx, opened.group_id, terms.buyer_id, placed)
    await _hold(tx, placed, hold_ends_at)
    return Placed(
        group_id=opened.group_id,
        payment_id=payment_id,
        order_ids=tuple(opened.order_ids),
        total_minor=price.total_minor,
    )


async def place_replacement(tx: Tx, terms: Terms, items: Sequence[PricedItem]) -> OrderId:
    """Open an order of one shop that costs nothing, because goods come back for it. It waits for them to be sold.

    Raises:
        Rejected: `stock.insufficient`.
    """
    hold_ends_at = tx.now + timedelta(seconds=terms.hold_s)
    price = GroupPrice(orders=(_given(items),), total_minor=0, refused={})
    _, placed = await _open(tx, terms, items, price, hold_ends_at)
    await _hold(tx, placed, hold_ends_at)
    return placed[0][0]


async def _open(
    tx: Tx, terms: Terms, items: Sequence[PricedItem], price: GroupPrice, hold_ends_at: datetime
) -> tuple[_OpenedGroup, list[tuple[OrderId, OrderPrice]]]:
    currency = items[0].variant.currency
    assert all(item.variant.currency == currency for item in items), "a group has one currency"
    opened = await fetch_one(
        tx.con,
        SQL["open_group"],
        _OpenedGroup,
        terms.buyer_id,
        currency,
        price.total_minor,
        terms.address,
        hold_ends_at,
        terms.order,
        *_order_columns(price.orders),
        *_line_columns(price.orders, {item.variant.variant_id: item.variant for item in items}),
    )
    assert opened is not None, "an aggregate gives one row"
    placed = list(zip(opened.order_ids, price.orders, strict=True))
    for order_id, order in placed:
        tx.emit(order_topic(order_id), _created(tx, order_id, order, terms, currency, hold_ends_at))
    return opened, placed


async def _hold(
    tx: Tx, placed: Sequence[tuple[OrderId, OrderPrice]], hold_ends_at: datetime
) -> None:
    holds = [
        Hold(order_id=order_id, variant_id=line.variant_id, quantity=line.quantity)
        for order_id, order in placed
        for line in order.lines
    ]
    # Last, because stock is what others wait for.
    await reserve(tx, holds, hold_ends_at)


def _given(items: Sequence[PricedItem]) -> OrderPrice:
    """Everything at its price, and all of it off again."""
    lines = tuple(
        LinePrice(
            variant_id=item.variant.variant_id,
            quantity=item.quantity,
            unit_price_minor=item.unit_price_minor,
            total_minor=item.unit_price_minor * item.quantity,
            discount_minor=item.unit_price_minor * item.quantity,
            subsidy_minor=0,
            tax=UNTAXED,
            # Nothing is sold, so that no rule was asked.
            commission_rule_id=None,
            tax_on_top=False,
            commission_basis_points=0,
            commission_minor=0,
        )
        for item in items
    )
    worth_minor = sum(line.total_minor for line in lines)
    return OrderPrice(
        shop_id=items[0].variant.shop_id,
        lines=lines,
        discounts=(),
        methods=None,
        method=None,
        shipping_problem=None,
        shipping_tax=UNTAXED,
        items_minor=worth_minor,
        shipping_minor=0,
        tax_minor=0,
        tax_included_minor=0,
        discount_minor=worth_minor,
        subsidy_minor=0,
        total_minor=0,
        commission_minor=0,
    )


def _order_columns(orders: Sequence[OrderPrice]) -> tuple[list[object], ...]:
    return (
        [order.shop_id for order in orders],
        [order.items_minor for order in orders],
        [order.shipping_minor for order in orders],
        [order.tax_minor for order in orders],
        [order.discount_minor for order in orders],
        [order.total_minor for order in orders],
        [order.commission_minor for order in orders],
        [order.subsidy_minor for order in orders],
        [order.tax_included_minor for order in orders],
        [order.shipping_tax.name for order in orders],
        [order.shipping_tax.basis_points for order in orders],
        [order.shipping_tax.tax_minor for order in orders],
        [order.method for order in orders],
    )


def _line_columns(
    orders: Sequence[OrderPrice], variants: Mapping[VariantId, SellableVariant]
) -> tuple[list[object], ...]:
    """All lines, each with its shop, which tells whose order it belongs to, and its place there."""
    lines = [
        (order.shop_id, line, variants[line.variant_id], position)
        for order in orders
        for position, line in enumerate(order.lines)
    ]
    return (
        [shop_id for shop_id, _, _, _ in lines],
        [line.variant_id for _, line, _, _ in lines],
        [variant.product_id for _, _, variant, _ in lines],
        [variant.title for _, _, variant, _ in lines],
        [variant.sku for _, _, variant, _ in lines],
        [variant.options for _, _, variant, _ in lines],
        [line.quantity for _, line, _, _ in lines],
        [line.unit_price_minor for _, line, _, _ in lines],
        [line.total_minor for _, line, _, _ in lines],
        [line.commission_basis_points for _, line, _, _ in lines],
        [line.commission_minor for _, line, _, _ in lines],
        [line.commission_rule_id for _, line, _, _ in lines],
        [line.discount_minor for _, line, _, _ in lines],
        [line.subsidy_minor for _, line, _, _ in lines],
        [line.tax.name for _, line, _, _ in lines],
        [line.tax.basis_points for _, line, _, _ in lines],
        [line.tax.tax_minor for _, line, _, _ in lines],
        [line.tax_on_top for _, line, _, _ in lines],
        [position for _, _, _, position in lines],
    )


def _created(
    tx: Tx,
    order_id: OrderId,
    order: OrderPrice,
    terms: Terms,
    currency: str,
    hold_ends_at: datetime,
) -> OrderCreated:
    return OrderCreated(
        order=order_id,
        version=1,
        status="pending_payment",
        payment_status="none",
        fulfilment_status="none",
        deadlines=(Deadline(kind="hold", due_at=hold_ends_at),),
        updated_at=tx.now,
        actor_role=terms.actor_role,
        actor=terms.actor,
        reason="",
        total_minor=order.total_minor,
        currency=currency,
    )

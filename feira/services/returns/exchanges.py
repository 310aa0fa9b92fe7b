"""Exchanges: another order for what the buyer wants instead, paid for by what comes back.

The replacement is an ordinary order that costs nothing. It is placed, with its stock held, when the shop agrees; it
waits for the goods as others wait for their money, and is the shop's to ship once they are back. It never touches the
order it came from, nor that order's siblings.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from feira.platform.domain.errors import Conflict, NotFound, Rejected
from feira.platform.domain.ids import OrderId, VariantId
from feira.platform.domain.money import portion
from feira.platform.domain.order_commands import Cancel, LineQuantity
from feira.platform.domain.order_state import Decision
from feira.platform.domain.orders import decide
from feira.platform.domain.refunds import RefundPrice, Sold, price_units
from feira.platform.domain.return_state import ReturnTerms
from feira.platform.runtime.config import Config
from feira.services.orders.announcements import Move
from feira.services.orders.orders import mark_paid
from feira.services.orders.placement import Terms, order_terms, place_replacement
from feira.services.orders.pricing import PricedItem
from feira.services.orders.rows import lock_order
from feira.services.orders.transitions import apply
from feira.services.orders.views import ShippingAddress
from feira.services.products.catalogue import SellableVariant, load_sellable
from feira.services.products.stock import lock_stock
from feira.services.returns.actors import Actor
from feira.services.returns.rows import SQL, LineRow, ReturnRow
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one

_HOLD_MARGIN: Final = timedelta(days=1)


class _Replaced(msgspec.Struct, frozen=True, kw_only=True):
    items_minor: int


async def require_replacements(con: Connection, row: ReturnRow) -> list[PricedItem]:
    """What the buyer wants instead, at today's prices, if the shop sells it and it costs no more.

    Raises:
        NotFound: `return.unknown_replacement`.
        Conflict: `return.not_sellable`.
        Rejected: `return.exchange_costs_more`: return the thing, and buy the other one.
    """
    wanted = [line.replacement for line in row.lines if line.replacement is not None]
    found = {variant.variant_id: variant for variant in await load_sellable(con, wanted)}
    return [
        _priced(row, index, line, found.get(line.replacement))
        for index, line in enumerate(row.lines)
        if line.replacement is not None
    ]


async def keep_aside(
    tx: Tx, config: Config, terms: ReturnTerms, row: ReturnRow, actor: Actor
) -> OrderId:
    """Place the replacement order, with its stock held until the goods must be back.

    Raises:
        Conflict: `return.out_of_stock`, and what `require_replacements` raises. Nothing was written then.
    """
    items = await require_replacements(tx.con, row)
    await _require_stock(tx, items)
    address = await fetch_one(tx.con, SQL["read_address_of_order"], ShippingAddress, row.order_id)
    assert address is not None, "an order goes somewhere"
    hold = timedelta(seconds=terms.send_s + terms.arrive_s + terms.settle_s) + _HOLD_MARGIN
    return await place_replacement(
        tx,
        Terms(
            buyer_id=row.buyer_id,
            address=address,
            hold_s=int(hold.total_seconds()),
            order=order_terms(config),
            actor=actor.user or row.buyer_id,
            actor_role=actor.role,
        ),
        _merged(items),
    )


async def hand_over(tx: Tx, row: ReturnRow) -> None:
    """The goods are back: the replacement is sold, and the shop's to ship.

    Raises:
        Conflict: `return.replacement_gone`: it was cancelled, or its time was over.
    """
    assert row.replacement_order_id is not None, "an exchange that was agreed on has its order"
    group_id = await tx.con.fetchval(SQL["group_of_order"], row.replacement_order_id)
    if not await mark_paid(tx, group_id):
        raise Conflict(
            "return.replacement_gone",
            "The replacement is not there any more: refund what came back (remedy: refund).",
            field="$.remedy",
        )


async def price_difference(tx: Tx, row: ReturnRow, sold: Sold) -> RefundPrice:
    """What the buyer gets back because the replacement costs less: the same part of what was paid for the goods."""
    replaced = await fetch_one(tx.con, SQL["read_replacement"], _Replaced, row.replacement_order_id)
    assert replaced is not None, "orders are never deleted"
    left = {line.line: line.quantity - line.back for line in sold.lines}
    parts = price_units(
        sold,
        [
            LineQuantity(line=line.line, quantity=min(line.received, left[line.line]))
            for line in row.lines
            if min(line.received, left[line.line])
        ],
    )
    assert isinstance(parts, tuple), "what is left can be priced"
    paid = sum(part.amount_minor for part in parts)
    cost = sum(line.unit_price_minor * line.quantity for line in row.lines)
    kept = portion(paid, min(replaced.items_minor, cost), cost)
    return RefundPrice(amount_minor=min(paid - kept, sold.left_minor))


async def let_go(tx: Tx, row: ReturnRow, actor: Actor) -> None:
    """Nothing comes of the exchange: the replacement goes back on the shelf, unless it is over already."""
    if row.replacement_order_id is None:
        return
    order = await lock_order(tx, row.replacement_order_id)
    if order.row.status != "pending_payment":
        return
    command = Cancel(reason="the exchange did not come about")
    role = "buyer" if actor.role == "buyer" else "seller"
    decision = decide(order.state, command, role, tx.now)
    assert isinstance(decision, Decision), "an order that waits can be cancelled"
    move = Move(order=order, command=command, decision=decision, actor_role=role, actor=actor.user)
    await apply(tx, [move])


def _priced(
    row: ReturnRow, index: int, line: LineRow, variant: SellableVariant | None
) -> PricedItem:
    field = f"$.lines[{index}].replacement"
    if variant is None or variant.shop_id != row.shop_id:
        raise NotFound(
            "return.unknown_replacement",
            "The shop has no such item; choose one of its products.",
            field=field,
        )
    if not variant.sellable or variant.currency != row.currency:
        raise Conflict(
            "return.not_sellable", f"{variant.title} is not for sale right now.", field=field
        )
    same = variant.variant_id == line.variant_id
    price_minor = line.unit_price_minor if same else variant.price_minor
    if price_minor > line.unit_price_minor:
        raise Rejected(
            "return.exchange_costs_more",
            f"{variant.title} costs more than what you give back: return that, and buy this.",
            field=field,
            details={"paid_minor": line.unit_price_minor, "price_minor": price_minor},
        )
    return PricedItem(variant=variant, quantity=line.quantity, unit_price_minor=price_minor)


def _merged(items: list[PricedItem]) -> list[PricedItem]:
    """One item for each variant: an order has one line of each. The lower price counts."""
    merged: dict[VariantId, PricedItem] = {}
    for item in items:
        before = merged.get(item.variant.variant_id)
        merged[item.variant.variant_id] = (
            item
            if before is None
            else PricedItem(
                variant=item.variant,
                quantity=before.quantity + item.quantity,
                unit_price_minor=min(before.unit_price_minor, item.unit_price_minor),
            )
        )
    return list(merged.values())


async def _require_stock(tx: Tx, items: list[PricedItem]) -> None:
    demand: Mapping[VariantId, int] = {
        item.variant.variant_id: item.quantity for item in _merged(items)
    }
    levels = await lock_stock(tx, sorted(demand))
    if any(levels[variant].available < count for variant, count in demand.items()):
        raise Conflict(
            "return.out_of_stock",
            "There is not enough left of what the buyer wants instead; agree on something else.",
        )

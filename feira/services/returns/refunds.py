"""Refunds that people give: the shop out of goodwill or because something is wrong, support for either side."""

from __future__ import annotations

from typing import Final

import msgspec

from feira.platform.domain.errors import Conflict
from feira.platform.domain.ids import OrderId
from feira.platform.domain.jobs import NotifyRefund
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.permissions import Principal, Role, is_privileged, require
from feira.platform.domain.refund_events import Refund, RefundPromised
from feira.platform.domain.refunds import RefundOrder, RefundPrice, RefundRole, price_refund
from feira.platform.domain.topics import order_topic
from feira.services.audit.recording import record
from feira.services.messaging.appending import append_event
from feira.services.messaging.messages import not_a_conversation
from feira.services.orders.access import require_readable
from feira.services.orders.rows import LockedOrder, lock_order
from feira.services.payments.refunds import (
    REFUNDS_SQL,
    Why,
    lock_sold,
    promise_refund,
    rejected,
    show_refund,
    show_refunds,
)
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_one

REFUNDS_MAX: Final = 100


class OrderRefunds(msgspec.Struct, frozen=True, kw_only=True):
    """An order's refunds, oldest first; an order has 100 by people at most. `left_minor` can still be given back."""

    currency: str
    left_minor: int
    items: list[Refund]


class _Left(msgspec.Struct, frozen=True, kw_only=True):
    currency: str
    left_minor: int


async def list_refunds(con: Connection, principal: Principal, order_id: OrderId) -> OrderRefunds:
    """Return what was given back of an order that the caller may see.

    Raises:
        NotFound: `order.not_found`.
    """
    await require_readable(con, order_id, principal)
    left = await fetch_one(con, REFUNDS_SQL["read_left"], _Left, order_id)
    return OrderRefunds(
        currency="" if left is None else left.currency,
        left_minor=0 if left is None else left.left_minor,
        items=await show_refunds(con, order_id),
    )


async def refund_order(
    tx: Tx, principal: Principal, order_id: OrderId, wanted: RefundOrder
) -> Refund:
    """Give money of an order back; the payment provider is asked right after the commit.

    Raises:
        NotFound: `order.not_found`, also for other people's; `conversation.not_found`.
        NotAllowed: `auth.not_allowed`.
        Conflict: `refund.nothing_left`, `refund.charged_back`, `refund.cancel_instead` (all of it, and nothing shipped).
        Rejected: `refund.not_captured`, `refund.exceeds_order` (`details.left_minor` says what is left),
            `refund.amount_or_lines`, `refund.too_many_units`, `refund.too_many`, `order.unknown_line`.
    """
    relations = await require_readable(tx.con, order_id, principal)
    require("order.refund", principal, relations)
    if wanted.conversation is not None and not await tx.con.fetchval(
        REFUNDS_SQL["is_talk_of_order"], order_id, wanted.conversation, principal.user_id
    ):
        raise not_a_conversation()
    order = await lock_order(tx, order_id)
    sold = await lock_sold(tx, order_id)
    price = price_refund(sold, wanted)
    if isinstance(price, Rejection):
        raise rejected(price, sold.left_minor)
    await _require_possible(tx, order, price, sold.left_minor)
    refund_id = await promise_refund(
        tx,
        order_id,
        price,
        Why(
            reason=wanted.reason,
            cause=wanted.cause,
            actor=principal.user_id,
            actor_role=_role(relations),
        ),
    )
    refund = await show_refund(tx.con, order_id, refund_id)
    promised = RefundPromised(refund=refund)
    if wanted.conversation is not None:
        await append_event(tx, wanted.conversation, promised, actor=principal.user_id)
    tx.emit(order_topic(order_id), promised)
    if is_privileged("order.refund", principal, relations):
        await record(
            tx,
            principal,
            "order.refund",
            "order",
            order_id,
            reason=wanted.reason,
            before={"left_minor": sold.left_minor},
            after={
                "refund": refund_id,
                "amount_minor": price.amount_minor,
                "left_minor": sold.left_minor - price.amount_minor,
            },
        )
    tx.enqueue(NotifyRefund(refund=refund_id), dedup=f"refund_promised:{refund_id}")
    return refund


async def _require_possible(
    tx: Tx, order: LockedOrder, price: RefundPrice, left_minor: int
) -> None:
    under_way = order.row.status in {"paid", "accepted"} and order.row.fulfilment_status == "none"
    if under_way and price.amount_minor == left_minor:
        raise Conflict(
            "refund.cancel_instead",
            "Nothing has shipped yet: cancel the order, and all of its money goes back.",
        )
    if await tx.con.fetchval(REFUNDS_SQL["count_refunds"], order.row.id) >= REFUNDS_MAX:
        raise Conflict(
            "refund.too_many", f"An order has {REFUNDS_MAX} refunds at most; give the rest at once."
        )


def _role(relations: frozenset[Role]) -> RefundRole:
    return "support" if relations.isdisjoint({"owner", "staff"}) else "seller"

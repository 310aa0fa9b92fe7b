"""Chargebacks as shops and the market's own people see them. A shop sees its own part."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.chargebacks import ChargebackState
from feira.platform.domain.errors import NotFound
from feira.platform.domain.ids import ChargebackId, OrderId, PaymentId, ShopId
from feira.platform.domain.permissions import Principal, Role, is_allowed, require
from feira.services.chargebacks.rows import SQL, ChargebackRow, load_chargeback, read_shares
from feira.services.payouts.settings import require_of_shop
from feira.services.users.shops import shop_roles
from feira.sql.loader import Connection, fetch_all


class ChargebackOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken for one order, and how much of that the shop bears if it is lost."""

    order: OrderId
    number: int
    shop: ShopId
    amount_minor: int
    shop_minor: int


class ChargebackView(msgspec.Struct, frozen=True, kw_only=True):
    """`amount_minor` is what the bank took of the whole payment; `orders` are those that the caller may see."""

    id: ChargebackId
    payment: PaymentId
    state: ChargebackState
    amount_minor: int
    currency: str
    reason: str
    orders: list[ChargebackOrder]
    evidence_due_at: datetime | None
    evidence_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None


class ChargebackPage(msgspec.Struct, frozen=True, kw_only=True):
    """The latest first; `next_cursor` is null on the last page."""

    items: list[ChargebackView]
    next_cursor: str | None


async def read_view(
    con: Connection, principal: Principal, chargeback_id: ChargebackId
) -> ChargebackView:
    """Show a chargeback to a shop that it concerns, or to the market's own people.

    Raises:
        NotFound: `chargeback.not_found`.
    """
    row = await load_chargeback(con, chargeback_id)
    view = await _view(con, principal, row)
    if not view.orders:
        raise NotFound("chargeback.not_found", "There is no such chargeback.")
    return view


async def relations_to(
    con: Connection, principal: Principal, view: ChargebackView
) -> frozenset[Role]:
    roles: frozenset[Role] = frozenset()
    for shop_id in {order.shop for order in view.orders}:
        roles |= await shop_roles(con, shop_id, principal)
    return roles


async def list_of_shop(
    con: Connection,
    principal: Principal,
    shop_id: ShopId,
    *,
    cursor: ChargebackId | None,
    limit: int,
) -> ChargebackPage:
    await require_of_shop(con, principal, shop_id, "payout.read")
    rows = await fetch_all(con, SQL["list_by_shop"], ChargebackRow, shop_id, cursor, limit + 1)
    return await _page(con, principal, rows, limit)


async def list_all(
    con: Connection,
    principal: Principal,
    *,
    state: ChargebackState | None,
    cursor: ChargebackId | None,
    limit: int,
) -> ChargebackPage:
    require("payout.read_all", principal)
    rows = await fetch_all(con, SQL["list_by_state"], ChargebackRow, state, cursor, limit + 1)
    return await _page(con, principal, rows, limit)


async def _page(
    con: Connection, principal: Principal, rows: list[ChargebackRow], limit: int
) -> ChargebackPage:
    items = [await _view(con, principal, row) for row in rows[:limit]]
    return ChargebackPage(items=items, next_cursor=str(items[-1].id) if len(rows) > limit else None)


async def _view(con: Connection, principal: Principal, row: ChargebackRow) -> ChargebackView:
    orders: list[ChargebackOrder] = []
    for share in await read_shares(con, row.id):
        if not is_allowed(
            "payout.read", principal, await shop_roles(con, share.shop_id, principal)
        ):
            continue
        orders.append(
            ChargebackOrder(
                order=share.order_id,
                number=share.number,
                shop=share.shop_id,
                amount_minor=share.taken_minor,
                shop_minor=share.of(row).part.shop_minor,
            )
        )
    return ChargebackView(
        id=row.id,
        payment=row.payment_id,
        state=row.state,
        amount_minor=row.amount_minor,
        currency=row.currency,
        reason=row.reason,
        orders=orders,
        evidence_due_at=row.evidence_due_at,
        evidence_at=row.evidence_at,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )

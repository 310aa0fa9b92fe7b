"""Returns, exchanges and claims: ask for one, look at it, and take its next step."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NoReturn

import msgspec

from feira.platform.domain.errors import Conflict, NotAllowed, NotFound, Rejected
from feira.platform.domain.ids import ConversationId, OrderId, OrderLineId, ReturnId
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import ActorRole
from feira.platform.domain.permissions import Principal, Role, is_privileged, require
from feira.platform.domain.return_commands import AnyReturnCommand, RequestReturn, ReturnAction
from feira.platform.domain.return_events import Return
from feira.platform.domain.return_requests import (
    ReturnableLine,
    ReturnableOrder,
    check_request,
    returnable_until,
)
from feira.platform.domain.returns import ACTORS, allowed_actions, decide, first_deadline
from feira.platform.runtime.config import Config
from feira.services.audit.recording import record
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.messaging.messages import not_a_conversation
from feira.services.orders.access import actor_roles, require_readable
from feira.services.orders.rows import LockedOrder, lock_order
from feira.services.payments.refunds import REFUNDS_SQL
from feira.services.returns.actors import Actor
from feira.services.returns.exchanges import require_replacements
from feira.services.returns.rows import (
    SQL,
    ReturnRow,
    lock_return,
    no_such_return,
    order_of,
    read_return,
    read_returns,
    terms_of,
)
from feira.services.returns.steps import carry_out, tell
from feira.sql.database import Tx
from feira.sql.loader import Connection, fetch_all, fetch_one

# Where one person is several things to an order, they act as the first of these that may.
_PREFERENCE: Final[tuple[ActorRole, ...]] = ("seller", "buyer", "support")
_CANNOT_TALK: Final = frozenset({"conversation.blocked", "posting.limited"})


class ReturnView(msgspec.Struct, frozen=True, kw_only=True):
    """A return, and what the caller may do about it now."""

    returned: Return
    actions: tuple[ReturnAction, ...]


class LineLeft(msgspec.Struct, frozen=True, kw_only=True):
    """How many units of a line can still be given back or claimed."""

    line: OrderLineId
    quantity: int


class OrderReturns(msgspec.Struct, frozen=True, kw_only=True):
    """An order's returns, oldest first, and the one that it is the replacement of.

    `until` is the end of its window, null before everything has arrived.
    """

    until: datetime | None
    left: list[LineLeft]
    items: list[ReturnView]


class _Window(msgspec.Struct, frozen=True, kw_only=True):
    return_window_s: int
    delivered_at: datetime | None


async def get_return(
    con: Connection, config: Config, principal: Principal, return_id: ReturnId
) -> ReturnView:
    """Return one as the caller sees it.

    Raises:
        NotFound: `return.not_found`, for other people's too.
    """
    relations = await _relations(con, principal, await order_of(con, return_id))
    return _view(await read_return(con, return_id), config, actor_roles(principal, relations))


async def list_returns(
    con: Connection, config: Config, principal: Principal, order_id: OrderId
) -> OrderReturns:
    """Return all of an order that the caller may see, and what may still be asked for.

    Raises:
        NotFound: `order.not_found`.
    """
    relations = await require_readable(con, order_id, principal)
    window = await _read_window(con, order_id)
    lines = await fetch_all(con, SQL["read_returnable_lines"], ReturnableLine, order_id)
    roles = actor_roles(principal, relations)
    return OrderReturns(
        until=returnable_until(
            ReturnableOrder(
                status="delivered",
                delivered_at=window.delivered_at,
                return_window_s=window.return_window_s,
                lines=(),
            )
        ),
        left=[
            LineLeft(line=line.line, quantity=max(0, line.shipped - line.taken)) for line in lines
        ],
        items=[_view(row, config, roles) for row in await read_returns(con, order_id)],
    )


async def request_return(
    tx: Tx, config: Config, principal: Principal, order_id: OrderId, wanted: RequestReturn
) -> ReturnView:
    """Ask for a return, an exchange or a claim's refund.

    Raises:
        NotFound: `order.not_found`, also for other people's; `conversation.not_found`.
        NotAllowed: `auth.not_allowed`.
        Conflict: `return.order_not_ready`, `return.order_closed`, `return.window_closed`.
        Rejected: `return.too_many`, `return.claim_needs_fault`, `return.nothing_to_send`, ...
    """
    relations = await require_readable(tx.con, order_id, principal)
    require("return.request", principal, relations)
    if await tx.con.fetchval(SQL["is_replacement"], order_id):
        raise Rejected(
            "return.of_replacement",
            "Nothing was paid for this order: write to the shop, which can refund the one that it replaces.",
        )
    order = await lock_order(tx, order_id)
    window = await _read_window(tx.con, order_id)
    lines = await fetch_all(tx.con, SQL["read_returnable_lines"], ReturnableLine, order_id)
    returnable = ReturnableOrder(
        status=order.row.status,
        delivered_at=window.delivered_at,
        return_window_s=window.return_window_s,
        lines=tuple(lines),
    )
    rejection = check_request(returnable, wanted, tx.now)
    if rejection is not None:
        _raise(rejection, {"order": order_id})
    conversation = await _conversation(tx, principal, order, wanted.conversation)
    deadline = first_deadline(terms_of(config), tx.now)
    return_id = ReturnId(
        await tx.con.fetchval(
            SQL["insert_return"],
            order_id,
            wanted.kind,
            wanted.remedy,
            wanted.cause,
            wanted.text,
            conversation,
            tx.now,
            [units.line for units in wanted.lines],
            [units.quantity for units in wanted.lines],
            [units.replacement for units in wanted.lines],
            deadline.kind,
            deadline.due_at,
        )
    )
    row = await read_return(tx.con, return_id)
    if wanted.remedy == "exchange":
        await require_replacements(tx.con, row)
    await tell(tx, row, "requested", Actor(role="buyer", user=principal.user_id))
    return _view(row, config, frozenset({"buyer"}))


async def command_return(
    tx: Tx, config: Config, principal: Principal, return_id: ReturnId, command: AnyReturnCommand
) -> ReturnView:
    """Take the next step of a return.

    Raises:
        NotFound: `return.not_found`, also for other people's.
        NotAllowed: `auth.not_allowed`, `return.not_allowed`: the caller sees it, but this is not theirs to do.
        Conflict: `return.version_conflict`, `return.declined`, `return.refunded`, ...: it has moved on;
            `details.return` says where it is now. `refund.charged_back`.
        Rejected: a rule that `field` points at: `return.too_many`, `return.exceeds_price`, ...
    """
    order_id = await order_of(tx.con, return_id)
    relations = await _relations(tx.con, principal, order_id)
    require("return.command", principal, relations)
    await lock_order(tx, order_id)
    row = await lock_return(tx, return_id)
    roles = actor_roles(principal, relations)
    role = _role(roles, command)
    decision = decide(row.state(terms_of(config)), command, role, tx.now)
    if isinstance(decision, Rejection):
        _raise(decision, {"return": row.shown})
    moved = await carry_out(
        tx, config, row, command, decision, Actor(role=role, user=principal.user_id)
    )
    if is_privileged("return.command", principal, relations):
        await record(
            tx,
            principal,
            "return.command",
            "return",
            return_id,
            reason=getattr(command, "reason", ""),
            before=_standing(row),
            after=_standing(moved),
        )
    return _view(moved, config, roles)


async def _relations(con: Connection, principal: Principal, order_id: OrderId) -> frozenset[Role]:
    try:
        return await require_readable(con, order_id, principal)
    except NotFound as stranger:
        raise no_such_return() from stranger


async def _read_window(con: Connection, order_id: OrderId) -> _Window:
    window = await fetch_one(con, SQL["read_returnable"], _Window, order_id)
    assert window is not None, "the order was read before"
    return window


async def _conversation(
    tx: Tx, principal: Principal, order: LockedOrder, named: ConversationId | None
) -> ConversationId | None:
    """The named one, or the order's, opened where there is none; None where the two cannot talk."""
    if named is not None:
        if not await tx.con.fetchval(
            REFUNDS_SQL["is_talk_of_order"], order.row.id, named, principal.user_id
        ):
            raise not_a_conversation()
        return named
    about = OpenConversation(shop=order.row.shop_id, order=order.row.id)
    try:
        return await open_conversation(tx, principal, about)
    except Rejected as silent:
        if silent.code not in _CANNOT_TALK:
            raise
        return None


def _role(roles: frozenset[ActorRole], command: AnyReturnCommand) -> ActorRole:
    held: list[ActorRole] = [role for role in _PREFERENCE if role in roles]
    assert held, "the permission table and the return machine agree"
    may: list[ActorRole] = [role for role in held if role in ACTORS[type(command)]]
    return may[0] if may else held[0]


def _view(row: ReturnRow, config: Config, roles: frozenset[ActorRole]) -> ReturnView:
    return ReturnView(
        returned=row.shown, actions=allowed_actions(row.state(terms_of(config)), roles)
    )


def _standing(row: ReturnRow) -> dict[str, object]:
    shown = row.shown
    return {
        "status": shown.status,
        "version": shown.version,
        "refund_minor": shown.refund_minor,
        "currency": shown.currency,
    }


def _raise(rejection: Rejection, details: dict[str, object]) -> NoReturn:
    kinds = {"conflict": Conflict, "role": NotAllowed, "rule": Rejected}
    raise kinds[rejection.kind](
        rejection.code, rejection.message, field=rejection.field, details=details
    )

"""Commands on orders from people, and news about their money from the payment service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from feira.platform.domain.errors import Conflict, InvalidInput, NotAllowed, Rejected
from feira.platform.domain.ids import OrderGroupId, OrderId
from feira.platform.domain.order_commands import (
    Accept,
    Cancel,
    Complete,
    Decline,
    Deliver,
    Expire,
    OrderCommand,
    Pay,
    Refund,
    Ship,
    Trigger,
)
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_state import ActorRole, Decision
from feira.platform.domain.orders import ACTORS, decide
from feira.platform.domain.permissions import Action, Principal, Role, require
from feira.services.orders.access import actor_roles, require_readable
from feira.services.orders.announcements import Move
from feira.services.orders.rows import SQL, LockedOrder, lock_group_orders, lock_order
from feira.services.orders.transitions import apply
from feira.services.orders.views import OrderView, view_order
from feira.services.payments.refunds import request_refund
from feira.sql.database import Tx

IDEMPOTENCY_KEY_CHARS_MAX: Final = 200
_ACTIONS: Final[dict[type[OrderCommand], Action]] = {
    Accept: "order.accept",
    Ship: "order.ship",
    Deliver: "order.deliver",
    Complete: "order.complete",
    Cancel: "order.cancel",
}
# Where one person is several things to an order, they act as the first of these that may.
_PREFERENCE: Final[tuple[ActorRole, ...]] = ("seller", "buyer", "support")


async def execute(
    tx: Tx,
    principal: Principal,
    order_id: OrderId,
    command: OrderCommand,
    *,
    idempotency_key: str,
) -> OrderView:
    """Do what the caller asks of an order, once for each of their keys, and return the order after it.

    Raises:
        InvalidInput: `idempotency.malformed_key`.
        NotFound: `order.not_found`, also for other people's orders.
        NotAllowed: `auth.not_allowed`: the caller sees the order, but this is not theirs to do.
        Conflict: `order.version_conflict`, `order.not_paid`, `order.already_shipped`, ...; `details` say
            where the order is now.
        Rejected: `idempotency.key_reused`, or a rule that `field` points at (`order.ships_too_many`, ...).
    """
    if not 1 <= len(idempotency_key) <= IDEMPOTENCY_KEY_CHARS_MAX:
        raise InvalidInput(
            "idempotency.malformed_key",
            f"An idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters.",
            field="Idempotency-Key",
        )
    relations = await require_readable(tx.con, order_id, principal)
    require(_ACTIONS[type(command)], principal, relations)
    order = await lock_order(tx, order_id)
    digest = hashlib.sha256(msgspec.json.encode(command)).digest()
    if not await _done_before(tx, principal, order_id, idempotency_key, digest):
        actor_role = _actor_role(principal, relations, command)
        decision = _decide(tx, order, command, actor_role)
        move = Move(
            order=order,
            command=command,
            decision=decision,
            actor_role=actor_role,
            actor=principal.user_id,
        )
        await apply(tx, [move])
        await tx.con.execute(
            SQL["insert_command"],
            order_id,
            principal.user_id,
            idempotency_key,
            _ACTIONS[type(command)],
            digest,
            decision.version,
        )
    return await view_order(tx.con, order_id, principal)


async def mark_paid(tx: Tx, group_id: OrderGroupId) -> bool:
    """Record that the group's payment was captured, and return whether it bought anything.

    False: every order had expired or been cancelled; the caller gives the whole payment back. Where only
    some of them had, their part is given back here. Called after the capture was posted to the ledger,
    since a refund moves what the order holds there. Saying it twice changes nothing.
    """
    orders = await lock_group_orders(tx, group_id)
    moves = _moves(tx, orders, Pay(), "gateway")
    try:
        await apply(tx, moves)
    except Rejected as lost:
        if lost.code != "stock.hold_lost":
            raise
        # The hold was over for so long that its stock went to somebody else: expire what nobody expired.
        await apply(tx, _moves(tx, orders, Expire(), "timer"))
        orders = await lock_group_orders(tx, group_id)
        moves = _moves(tx, orders, Pay(), "gateway")
        await apply(tx, moves)
    bought = any(move.decision.fact == "paid" for move in moves)
    already = any(
        order.state.status not in {"pending_payment", "expired", "cancelled"} for order in orders
    )
    if not bought and not already:
        return False
    for move in moves:
        if move.decision.fact == "paid_late" and move.decision.refund_minor:
            await request_refund(
                tx, move.order.row.id, move.decision.refund_minor, "paid after it was closed"
            )
    return True


async def mark_payment_declined(tx: Tx, group_id: OrderGroupId, decline_code: str) -> None:
    """Tell the group's waiting orders that the gateway refused; the buyer may try again."""
    orders = await lock_group_orders(tx, group_id)
    await apply(tx, _moves(tx, orders, Decline(decline_code=decline_code), "gateway"))


async def mark_refunded(tx: Tx, order_id: OrderId, refunded_minor: int) -> None:
    """Record that the gateway gave back `refunded_minor` of this order in all, up to now.

    Saying it twice, or late, changes nothing.
    """
    order = await lock_order(tx, order_id)
    if refunded_minor > order.row.refunded_minor:
        await apply(tx, _moves(tx, [order], Refund(refunded_minor=refunded_minor), "gateway"))


def _moves(
    tx: Tx, orders: Sequence[LockedOrder], trigger: Trigger, actor_role: ActorRole
) -> list[Move]:
    """Ask the machine about each order; those that the trigger does not concern any more are left out."""
    moves: list[Move] = []
    for order in orders:
        decision = decide(order.state, trigger, actor_role, tx.now)
        if isinstance(decision, Decision):
            moves.append(
                Move(order=order, command=trigger, decision=decision, actor_role=actor_role)
            )
    return moves


async def _done_before(
    tx: Tx, principal: Principal, order_id: OrderId, key: str, digest: bytes
) -> bool:
    known = await tx.con.fetchval(SQL["read_command"], order_id, principal.user_id, key)
    if known is None:
        return False
    if known != digest:
        raise Rejected(
            "idempotency.key_reused",
            "This Idempotency-Key was used for a different command; use a new key for a new command.",
            field="Idempotency-Key",
        )
    return True


def _actor_role(
    principal: Principal, relations: frozenset[Role], command: OrderCommand
) -> ActorRole:
    held = actor_roles(principal, relations)
    may: list[ActorRole] = [
        role for role in _PREFERENCE if role in held and role in ACTORS[type(command)]
    ]
    assert may, "the permission table and the order machine agree"
    return may[0]


def _decide(tx: Tx, order: LockedOrder, command: OrderCommand, actor_role: ActorRole) -> Decision:
    decision = decide(order.state, command, actor_role, tx.now)
    if isinstance(decision, Rejection):
        _raise(order, decision)
    return decision


def _raise(order: LockedOrder, rejection: Rejection) -> NoReturn:
    details: dict[str, object] = {
        "order": order.row.id,
        "version": order.state.version,
        "status": order.state.status,
        "payment_status": order.state.payment_status,
        "fulfilment_status": order.state.fulfilment_status,
    }
    kinds = {"conflict": Conflict, "role": NotAllowed, "rule": Rejected}
    raise kinds[rejection.kind](
        rejection.code, rejection.message, field=rejection.field, details=details
    )

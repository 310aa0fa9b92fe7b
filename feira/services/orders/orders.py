"""Commands on orders from people, and news about their money from the payment service."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from feira.platform.domain.errors import Conflict, InvalidInput, NotAllowed, Rejected
from feira.platform.domain.ids import OrderGroupId, OrderId
from feira.platform.domain.order_commands import Action as OrderAction
from feira.platform.domain.order_commands import (
    ChargeBack,
    Decline,
    LoseChargeback,
    OrderCommand,
    Pay,
    Refund,
    Refuse,
    TimeUp,
    Trigger,
    WinChargeback,
)
from feira.platform.domain.order_rejections import Rejection
from feira.platform.domain.order_rules import action_of, actors_of
from feira.platform.domain.order_state import ActorRole, Decision
from feira.platform.domain.orders import decide
from feira.platform.domain.permissions import Action, Principal, Role, is_privileged, require
from feira.services.audit.recording import record
from feira.services.orders.access import actor_roles, require_readable
from feira.services.orders.announcements import Move
from feira.services.orders.rows import LockedOrder, OrderRow, lock_group_orders, lock_order
from feira.services.orders.states import SQL
from feira.services.orders.transitions import apply
from feira.services.orders.views import OrderView, view_order
from feira.services.payments.refunds import request_refund
from feira.sql.database import Tx

IDEMPOTENCY_KEY_CHARS_MAX: Final = 200
_ACTIONS: Final[dict[OrderAction, Action]] = {
    "accept": "order.accept",
    "ship": "order.ship",
    "deliver": "order.deliver",
    "complete": "order.complete",
    "cancel": "order.cancel",
    "request_cancel": "order.request_cancel",
    "approve_cancel": "order.answer_cancel",
    "decline_cancel": "order.answer_cancel",
    "request_more_time": "order.request_more_time",
    "extend_ship_by": "order.extend_ship_by",
    "open_dispute": "order.open_dispute",
    "add_evidence": "order.add_evidence",
    "propose_settlement": "order.settle",
    "accept_settlement": "order.settle",
    "withdraw_dispute": "order.withdraw_dispute",
    "decide_dispute": "order.decide_dispute",
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
            where the order is now, and `details.current` is the order as the caller sees it.
        Rejected: `idempotency.key_reused`, or a rule that `field` points at (`order.ships_too_many`, ...).
    """
    if not 1 <= len(idempotency_key) <= IDEMPOTENCY_KEY_CHARS_MAX:
        raise InvalidInput(
            "idempotency.malformed_key",
            f"An idempotency key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters.",
            field="Idempotency-Key",
        )
    relations = await require_readable(tx.con, order_id, principal)
    action = _ACTIONS[action_of(command)]
    require(action, principal, relations)
    order = await lock_order(tx, order_id)
    digest = hashlib.sha256(msgspec.json.encode(command)).digest()
    done_now = not await _done_before(tx, principal, order_id, idempotency_key, digest)
    if done_now:
        actor_role = _actor_role(principal, relations, command)
        decision = decide(order.state, command, actor_role, tx.now)
        if isinstance(decision, Rejection):
            _raise(order, decision, await view_order(tx.con, order_id, principal))
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
            action,
            digest,
            decision.version,
        )
    view = await view_order(tx.con, order_id, principal)
    if done_now and is_privileged(action, principal, relations):
        await record(
            tx,
            principal,
            "order.command",
            "order",
            order_id,
            reason=getattr(command, "reason", ""),
            before=_standing(order.row),
            after={"action": action_of(command)} | _standing(view),
        )
    return view


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
        await apply(tx, _moves(tx, orders, TimeUp(deadline="hold"), "timer"))
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


async def mark_payment_refused(tx: Tx, group_id: OrderGroupId, reason: str) -> None:
    """Cancel the group's waiting orders: the gateway will never take their payment. Their stock is free again."""
    orders = await lock_group_orders(tx, group_id)
    await apply(tx, _moves(tx, orders, Refuse(reason=reason), "gateway"))


async def mark_refunded(tx: Tx, order_id: OrderId, refunded_minor: int) -> None:
    """Record that the gateway gave back `refunded_minor` of this order in all, up to now.

    Saying it twice, or late, changes nothing.
    """
    order = await lock_order(tx, order_id)
    if refunded_minor > order.row.refunded_minor:
        await apply(tx, _moves(tx, [order], Refund(refunded_minor=refunded_minor), "gateway"))


async def mark_charged_back(tx: Tx, order_id: OrderId) -> None:
    """Stand still: the buyer's bank took this order's money back for now. Saying it twice changes nothing."""
    await _tell_of_money(tx, order_id, ChargeBack())


async def mark_chargeback_won(tx: Tx, order_id: OrderId) -> None:
    """Go on: the bank gave the money back to the market. Saying it twice changes nothing."""
    await _tell_of_money(tx, order_id, WinChargeback())


async def mark_chargeback_lost(tx: Tx, order_id: OrderId) -> None:
    """End what was under way: the buyer has the money for good. Saying it twice changes nothing.

    Called once the books say so: a closed order holds nothing.
    """
    await _tell_of_money(tx, order_id, LoseChargeback())


async def _tell_of_money(tx: Tx, order_id: OrderId, news: Trigger) -> None:
    order = await lock_order(tx, order_id)
    await apply(tx, _moves(tx, [order], news, "gateway"))


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
        role for role in _PREFERENCE if role in held and role in actors_of(command)
    ]
    assert may, "the permission table and the order machine agree"
    return may[0]


def _standing(order: OrderRow | OrderView) -> dict[str, object]:
    return {
        "status": order.status,
        "payment_status": order.payment_status,
        "fulfilment_status": order.fulfilment_status,
        "version": order.version,
    }


def _raise(order: LockedOrder, rejection: Rejection, current: OrderView) -> NoReturn:
    details: dict[str, object] = {
        "order": order.row.id,
        "version": order.state.version,
        "status": order.state.status,
        "payment_status": order.state.payment_status,
        "fulfilment_status": order.state.fulfilment_status,
    }
    kinds = {"conflict": Conflict, "role": NotAllowed, "rule": Rejected}
    if rejection.kind == "conflict":
        details["current"] = current
    raise kinds[rejection.kind](
        rejection.code, rejection.message, field=rejection.field, details=details
    )

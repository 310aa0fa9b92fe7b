"""Carrying decisions about returns out: money, stock, the row, its deadline and the news, all in one transaction.

Lock order: the order, its return, its payment, SKUs, balances, the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from feira.platform.domain.errors import FeiraError, Rejected
from feira.platform.domain.ids import ConversationId, OrderId, UserId
from feira.platform.domain.jobs import NotifyReturn
from feira.platform.domain.order_commands import LineQuantity
from feira.platform.domain.refund_events import RefundPromised
from feira.platform.domain.refunds import RefundCause, RefundPrice, price_return
from feira.platform.domain.return_commands import (
    AnyReturnCommand,
    DeclineReturn,
    SendReturn,
    SettleReturn,
    TimeUp,
)
from feira.platform.domain.return_events import (
    ReturnApproved,
    ReturnDeclined,
    ReturnEvent,
    ReturnExchanged,
    ReturnExpired,
    ReturnReceived,
    ReturnRefunded,
    ReturnRequested,
    ReturnSent,
    ReturnWithdrawn,
)
from feira.platform.domain.return_state import VOID, ReturnDecision, ReturnFact
from feira.platform.domain.topics import order_topic
from feira.platform.runtime.config import Config
from feira.services.messaging.appending import append_event
from feira.services.messaging.changes import append_change
from feira.services.payments.refunds import Why, lock_sold, promise_refund, show_refund
from feira.services.products import stock
from feira.services.returns.actors import Actor
from feira.services.returns.exchanges import hand_over, keep_aside, let_go, price_difference
from feira.services.returns.rows import SQL, ReturnRow, read_return, terms_of
from feira.sql.database import Tx

_EVENTS: Final[Mapping[ReturnFact, type[ReturnEvent]]] = {
    "requested": ReturnRequested,
    "approved": ReturnApproved,
    "declined": ReturnDeclined,
    "withdrawn": ReturnWithdrawn,
    "expired": ReturnExpired,
    "sent": ReturnSent,
    "received": ReturnReceived,
    "refunded": ReturnRefunded,
    "exchanged": ReturnExchanged,
}


async def carry_out(
    tx: Tx,
    config: Config,
    row: ReturnRow,
    command: AnyReturnCommand | TimeUp,
    decision: ReturnDecision,
    actor: Actor,
) -> ReturnRow:
    """Carry out a decision about a locked return and return it as it is then.

    Raises:
        Rejected: `return.exceeds_price`: more than the buyer paid for what came back; `return.exchange_costs_more`.
        Conflict: `refund.charged_back`, `return.out_of_stock`, `return.not_sellable`, `return.replacement_gone`.
    """
    if decision.status == "approved" and row.remedy == "exchange":
        row = await _agree_on_exchange(tx, config, row, actor)
    row = await _take_in(tx, row, decision)
    promised = None
    if decision.status == "refunded":
        promised = await _refund(tx, row, command, decision, actor)
    elif decision.status == "exchanged":
        promised = await _exchange(tx, row, actor)
    if decision.status in VOID or decision.status == "refunded":
        await let_go(tx, row, actor)
    await _store(tx, row, command, decision)
    stored = await read_return(tx.con, row.id)
    await tell(tx, stored, decision.fact, actor)
    if promised is not None:
        await _post(tx, stored.order_id, stored.conversation_id, promised, actor, stored.buyer_id)
    return stored


async def tell(tx: Tx, row: ReturnRow, fact: ReturnFact, actor: Actor) -> None:
    """Write a step into the order's log and the thread, and have the other side notified."""
    event = _EVENTS[fact](returned=row.shown, actor=actor.user, actor_role=actor.role)
    await _post(tx, row.order_id, row.conversation_id, event, actor, row.buyer_id)
    tx.enqueue(
        NotifyReturn(returned=row.id, fact=fact, actor_role=actor.role),
        dedup=f"return:{row.id}:{row.version}",
    )


async def _post(
    tx: Tx,
    order: OrderId,
    conversation: ConversationId | None,
    event: ReturnEvent | RefundPromised,
    actor: Actor,
    buyer: UserId,
) -> None:
    if conversation is not None:
        if actor.user is not None:
            await append_event(tx, conversation, event, actor=actor.user)
        else:
            # What the timer does, people see; nobody has to read it.
            await append_change(tx, conversation, event, actor=buyer, shown=True)
    tx.emit(order_topic(order), event)


async def _take_in(tx: Tx, row: ReturnRow, decision: ReturnDecision) -> ReturnRow:
    """Write down what came back; what is fit for sale goes back on the shelf."""
    if not decision.arrived:
        return row
    arrived = {units.line: units for units in decision.arrived}
    await tx.con.execute(
        SQL["store_received"],
        row.id,
        list(arrived),
        [units.quantity for units in arrived.values()],
        [units.condition if units.quantity else None for units in arrived.values()],
        [units.restock and units.quantity > 0 for units in arrived.values()],
    )
    shelved = {
        line.variant_id: arrived[line.line].quantity
        for line in row.lines
        if line.line in arrived and arrived[line.line].restock and arrived[line.line].quantity
    }
    if shelved:
        # The payment is locked before SKUs, whoever comes to ask for it later in this transaction.
        await lock_sold(tx, row.order_id)
        await stock.take_back(tx, row.order_id, shelved)
    return await read_return(tx.con, row.id)


async def _agree_on_exchange(tx: Tx, config: Config, row: ReturnRow, actor: Actor) -> ReturnRow:
    """Keep the replacement aside. Where nobody is there to hear that it cannot be had, the buyer gets the money."""
    try:
        order_id = await keep_aside(tx, config, terms_of(config), row, actor)
    except FeiraError:
        if actor.role != "timer":
            raise
        return msgspec.structs.replace(row, remedy="refund")
    return msgspec.structs.replace(row, replacement_order_id=order_id)


async def _exchange(tx: Tx, row: ReturnRow, actor: Actor) -> RefundPromised | None:
    sold = await lock_sold(tx, row.order_id)
    difference = await price_difference(tx, row, sold)
    await hand_over(tx, row)
    if difference.amount_minor == 0:
        return None
    return await _promise(tx, row, difference, "exchange", "the replacement costs less", actor)


async def _refund(
    tx: Tx,
    row: ReturnRow,
    command: AnyReturnCommand | TimeUp,
    decision: ReturnDecision,
    actor: Actor,
) -> RefundPromised | None:
    sold = await lock_sold(tx, row.order_id)
    units = [
        LineQuantity(
            line=line.line, quantity=line.quantity if row.kind == "claim" else line.received
        )
        for line in row.lines
        if row.kind == "claim" or line.received
    ]
    price = price_return(sold, units)
    if decision.refund_minor is not None:
        if decision.refund_minor > price.amount_minor:
            raise Rejected(
                "return.exceeds_price",
                f"The buyer paid {price.amount_minor} minor units for what came back; give that or less.",
                field="$.refund_minor",
                details={"refund_minor": price.amount_minor},
            )
        price = price_return(sold, units, wanted_minor=decision.refund_minor)
    if price.amount_minor == 0:
        return None
    reason = command.reason if isinstance(command, SettleReturn) and command.reason else row.cause
    return await _promise(tx, row, price, row.kind, reason, actor)


async def _promise(
    tx: Tx, row: ReturnRow, price: RefundPrice, cause: RefundCause, reason: str, actor: Actor
) -> RefundPromised:
    why = Why(
        reason=reason,
        cause=cause,
        actor=actor.user,
        actor_role=actor.refund_role,
        return_id=row.id,
    )
    refund_id = await promise_refund(tx, row.order_id, price, why)
    return RefundPromised(refund=await show_refund(tx.con, row.order_id, refund_id))


async def _store(
    tx: Tx, row: ReturnRow, command: AnyReturnCommand | TimeUp, decision: ReturnDecision
) -> None:
    sent = command if isinstance(command, SendReturn) else row
    reason = command.reason if isinstance(command, DeclineReturn | SettleReturn) else ""
    stored = await tx.con.fetchval(
        SQL["store_return"],
        row.id,
        row.version,
        decision.status,
        reason,
        sent.carrier,
        sent.tracking_number,
        row.remedy,
        row.replacement_order_id,
        tx.now,
    )
    assert stored, "a locked return does not change under its holder"
    if decision.deadline is None:
        await tx.con.execute(SQL["clear_deadline"], row.id)
    else:
        await tx.con.execute(
            SQL["put_deadline"], row.id, decision.deadline.kind, decision.deadline.due_at
        )

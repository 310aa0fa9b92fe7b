"""Refunds and returns over the socket: the buttons of a thread. The logs have the whole of what they do."""

from __future__ import annotations

from feira.platform.domain.permissions import Principal
from feira.platform.domain.refund_events import Refund
from feira.services.market import Market
from feira.services.returns.refunds import refund_order
from feira.services.returns.returns import ReturnView, command_return, request_return
from feira.ws.messages import Refunded, ReturnMovedOn
from feira.ws.once import transact_once
from feira.ws.protocol import CommandReturnBy, RefundBy, RequestReturnBy


async def refund(market: Market, principal: Principal, command: RefundBy) -> Refunded:
    """Give money back; see `returns.refunds.refund_order` for what it raises."""
    given = await transact_once(
        market,
        principal,
        command,
        Refund,
        lambda tx: refund_order(tx, principal, command.order, command.refund),
    )
    return Refunded(refund=given.id, amount_minor=given.amount_minor, state=given.state)


async def request(market: Market, principal: Principal, command: RequestReturnBy) -> ReturnMovedOn:
    """Ask for a return; see `returns.returns.request_return` for what it raises."""
    view = await transact_once(
        market,
        principal,
        command,
        ReturnView,
        lambda tx: request_return(tx, market.config, principal, command.order, command.request),
    )
    return _moved_on(view)


async def answer(market: Market, principal: Principal, command: CommandReturnBy) -> ReturnMovedOn:
    """Take a return's next step; see `returns.returns.command_return` for what it raises."""
    view = await transact_once(
        market,
        principal,
        command,
        ReturnView,
        lambda tx: command_return(tx, market.config, principal, command.returned, command.command),
    )
    return _moved_on(view)


def _moved_on(view: ReturnView) -> ReturnMovedOn:
    returned = view.returned
    return ReturnMovedOn(
        returned=returned.id,
        status=returned.status,
        version=returned.version,
        replacement_order=returned.replacement_order,
    )

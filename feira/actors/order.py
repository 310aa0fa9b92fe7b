"""The actor of one order on this node: commands one after the other, then the fan-out of what they did."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from feira.actors.topic import TopicActor
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.ids import OrderId
from feira.platform.domain.orders import OrderCommand
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import order_topic
from feira.services.orders.orders import OrderView, execute

if TYPE_CHECKING:
    from feira.actors.node import Node


@dataclass(frozen=True, slots=True)
class CommandOrder:
    """Mail: a command by somebody. Answered after the commit with the order as it is then."""

    principal: Principal
    command: OrderCommand
    idempotency_key: str
    answer: asyncio.Future[OrderView]


class OrderActor(TopicActor):
    """Orders see few commands: each has its own transaction."""

    __slots__ = ("node", "order")

    def __init__(self, order: OrderId, *, node: Node) -> None:
        super().__init__(order_topic(order), node.around)
        self.order = order
        self.node = node

    async def handle_commands(self, commands: list[object]) -> None:
        for command in commands:
            assert isinstance(command, CommandOrder)
            await self._command(command)

    async def _command(self, mail: CommandOrder) -> None:
        try:
            view = await self.node.database.transact(
                lambda tx: execute(
                    tx,
                    mail.principal,
                    self.order,
                    mail.command,
                    idempotency_key=mail.idempotency_key,
                )
            )
        except FeiraError as error:
            self.reject_command(mail, error)
            return
        if not mail.answer.done():
            mail.answer.set_result(view)

    def reject_command(self, command: object, error: Exception) -> None:
        assert isinstance(command, CommandOrder)
        if not command.answer.done():
            command.answer.set_exception(error)

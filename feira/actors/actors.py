"""The node's actors as the edges see them."""

from __future__ import annotations

from typing import Protocol

from feira.actors.report import NodeReport
from feira.platform.domain.ids import ConversationId, OrderId
from feira.platform.domain.orders import OrderCommand
from feira.platform.domain.permissions import Principal
from feira.services.messaging.messages import NewMessage, PostedMessage, WantedCursor
from feira.services.orders.orders import OrderView


class Actors(Protocol):
    """Commands on an entity go to its actor on this node, which answers after the commit."""

    async def command_order(
        self, principal: Principal, order: OrderId, command: OrderCommand, *, idempotency_key: str
    ) -> OrderView: ...

    async def post_message(
        self, principal: Principal, conversation: ConversationId, message: NewMessage
    ) -> PostedMessage: ...

    async def move_cursor(self, conversation: ConversationId, wanted: WantedCursor) -> None: ...

    def report(self, *, limit: int) -> NodeReport:
        """This node's busiest actors."""
        ...

"""Socket commands that change messages: one transaction each."""

from __future__ import annotations

from feira.platform.domain.ids import ConversationId
from feira.platform.domain.permissions import Principal
from feira.services.market import Market
from feira.services.messaging.changes import LoggedChange
from feira.services.messaging.edits import delete_message, edit_message
from feira.services.messaging.reactions import react
from feira.sql.database import Tx
from feira.ws.protocol import Delete, Edit, ReactTo


async def change_message(
    market: Market,
    principal: Principal,
    conversation: ConversationId,
    command: Edit | Delete | ReactTo,
) -> LoggedChange:
    """Carry out a command on a message; returns after the commit. See the services for what it raises."""

    async def work(tx: Tx) -> LoggedChange:
        match command:
            case Edit():
                return await edit_message(tx, principal, conversation, command.message, command)
            case Delete():
                return await delete_message(tx, principal, conversation, command.message)
            case ReactTo():
                return await react(tx, principal, conversation, command.message, command)

    return await market.database.transact(work)

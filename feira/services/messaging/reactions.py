"""Reactions: who answers a message with which emoji."""

from __future__ import annotations

from uuid import UUID

import msgspec

from feira.platform.domain.errors import Rejected
from feira.platform.domain.ids import ConversationId
from feira.platform.domain.messages import (
    REACTIONS_PER_USER_MAX,
    Emoji,
    require_changeable,
    require_emoji,
)
from feira.platform.domain.messaging_events import ReactionAdded, ReactionRemoved
from feira.platform.domain.permissions import Principal
from feira.services.messaging.changes import (
    SQL,
    LoggedChange,
    append_change,
    find_change,
    lock_message,
    require_calm,
)
from feira.services.messaging.conversations import is_member
from feira.services.messaging.hearing import require_heard
from feira.services.messaging.messages import not_a_conversation
from feira.sql.database import Tx
from feira.sql.loader import Connection


class React(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Add one's own reaction, or `remove` it. `client_id` is made once per tap by the device, a UUID."""

    client_id: UUID
    emoji: Emoji
    remove: bool = False


async def react(
    tx: Tx, principal: Principal, conversation: ConversationId, message: int, wanted: React
) -> LoggedChange:
    """Add or remove a reaction, once per client id. What stands already, or not any more, is written down all the same.

    Were it not, a repeat of it would count as new after the next tap had changed its mind.

    Raises:
        InvalidInput: `reaction.not_an_emoji`.
        NotFound: `conversation.not_found`, `message.not_found`.
        Rejected: `message.deleted`, `message.not_text`, `reaction.too_many`, `conversation.blocked`, `posting.limited`.
        TooMany: `message.too_many_changes`.
    """
    user = principal.user_id
    if not await is_member(tx.con, conversation, user):
        raise not_a_conversation()
    require_emoji(wanted.emoji)
    found = await lock_message(tx, conversation, message)
    known = await find_change(tx.con, conversation, user, wanted.client_id)
    if known is not None:
        return known
    require_changeable(found.state)
    await require_calm(tx.con, conversation, user)
    if not wanted.remove:
        await require_heard(tx.con, conversation, user)
        await _require_room(tx.con, principal, conversation, message, wanted.emoji)
    kind = ReactionRemoved if wanted.remove else ReactionAdded
    event = kind(message=message, by=user, client_id=wanted.client_id, emoji=wanted.emoji)
    change = await append_change(tx, conversation, event, actor=user, client_id=wanted.client_id)
    place = (conversation, message, user, wanted.emoji)
    if wanted.remove:
        await tx.con.execute(SQL["remove_reaction"], *place)
    else:
        await tx.con.execute(SQL["add_reaction"], *place, change.seq)
    return change


async def _require_room(
    con: Connection, principal: Principal, conversation: ConversationId, message: int, emoji: str
) -> None:
    others = await con.fetchval(
        SQL["count_reactions"], conversation, message, principal.user_id, emoji
    )
    if others >= REACTIONS_PER_USER_MAX:
        raise Rejected(
            "reaction.too_many",
            f"{REACTIONS_PER_USER_MAX} reactions of one person to a message are the most; remove one first.",
            field="$.emoji",
        )

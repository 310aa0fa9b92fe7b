"""Who is heard: not who is blocked by another member of a conversation, nor who the moderators keep from posting.

Posting itself asks within its own statement (`post_messages`); here the sender is told why, and whoever edits, reacts or
opens a conversation is asked beforehand.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from feira.platform.domain.errors import FeiraError, Rejected, Unavailable
from feira.platform.domain.ids import ConversationId, ShopId, UserId
from feira.services.messaging.blocks import SQL
from feira.services.messaging.messages import Outgoing, not_a_conversation
from feira.sql.loader import Connection, fetch_all


class _Hearing(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a conversation, who may have been silenced in it."""

    conversation_id: ConversationId
    sender_id: UserId
    limited_until: datetime | None
    is_blocked: bool

    @property
    def refusal(self) -> FeiraError | None:
        if self.limited_until is not None:
            return _is_limited(self.limited_until)
        return _is_blocked() if self.is_blocked else None


async def refusals_of(con: Connection, batch: list[Outgoing]) -> list[FeiraError]:
    """Return why each message of a batch was not posted, in the batch's order."""
    rows = await fetch_all(
        con,
        SQL["list_hearings"],
        _Hearing,
        [outgoing.conversation for outgoing in batch],
        [outgoing.sender for outgoing in batch],
    )
    members = {(row.conversation_id, row.sender_id): row for row in rows}
    refusals: list[FeiraError] = []
    for outgoing in batch:
        member = members.get((outgoing.conversation, outgoing.sender))
        refusals.append(
            not_a_conversation() if member is None else member.refusal or _was_silenced()
        )
    return refusals


async def require_heard(con: Connection, conversation: ConversationId, user: UserId) -> None:
    """Pass for a member whom no other member has blocked, and who may post.

    Raises:
        Rejected: `conversation.blocked`, `posting.limited`.
    """
    for row in await fetch_all(con, SQL["list_hearings"], _Hearing, [conversation], [user]):
        if (refusal := row.refusal) is not None:
            raise refusal


async def require_may_open(con: Connection, shop: ShopId, user: UserId) -> None:
    """Pass for somebody who may post, and whom nobody of a shop's team has blocked.

    Raises:
        Rejected: `conversation.blocked`, `posting.limited`.
    """
    until: datetime | None = await con.fetchval(SQL["read_posting_limit"], user)
    if until is not None:
        raise _is_limited(until)
    if await con.fetchval(SQL["is_blocked_by_team"], shop, user):
        raise _is_blocked()


def _is_blocked() -> Rejected:
    return Rejected(
        "conversation.blocked",
        "Somebody here does not take messages from you; support can help with an order.",
    )


def _is_limited(until: datetime) -> Rejected:
    return Rejected(
        "posting.limited",
        f"Moderators keep you from posting until {until:%Y-%m-%d %H:%M} UTC; support can tell you more.",
        details={"until": until.astimezone(UTC).isoformat()},
    )


def _was_silenced() -> Unavailable:
    """What stood in the way ended this very moment."""
    return Unavailable(
        "message.not_posted", "You may say this again: please send it once more.", retry_after_s=0.1
    )

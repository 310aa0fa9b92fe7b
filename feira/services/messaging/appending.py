"""Entries of a conversation's log that are no messages, but to be read like them: steps that people take in it.

Each is appended inside the transaction that makes it true. What nobody has to read is a change: see `changes`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from feira.platform.domain.events import Event, LoggedEvent, TopicBatch
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.jobs import NotifyUnreadMessages
from feira.platform.domain.topics import conversation_topic
from feira.services.messaging.messages import REMINDER_KIND, SQL, UNREAD_REMINDER_DELAY_S
from feira.sql.database import Tx
from feira.sql.loader import fetch_one


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    at: datetime
    epoch: str


async def append_event(tx: Tx, conversation: ConversationId, event: Event, *, actor: UserId) -> int:
    """Append what `actor` did and return its sequence number; watchers are told after the commit.

    Locks the conversation: whatever else this transaction locks, except topics, it has to hold before.
    """
    body = msgspec.Raw(msgspec.json.encode(event))
    place = await fetch_one(
        tx.con,
        SQL["append_event"],
        _Place,
        conversation,
        actor,
        body,
        REMINDER_KIND,
        UNREAD_REMINDER_DELAY_S,
        NotifyUnreadMessages.attempts_max,
    )
    assert place is not None, "conversations are never deleted"
    entry = LoggedEvent(seq=place.seq, at=place.at, body=body)
    tx.appended(
        TopicBatch(topic=conversation_topic(conversation), epoch=place.epoch, events=[entry])
    )
    return place.seq

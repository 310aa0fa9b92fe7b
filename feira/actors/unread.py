"""Unread counts for everybody's inbox, a moment after something was said: read at once for all conversations.

A hint that the next one replaces: the list of conversations has the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from feira.platform.domain.errors import FeiraError
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.topics import Topic, inbox_topic
from feira.platform.runtime.tasks import TaskOwner
from feira.services.messaging.messages import read_unread
from feira.sql.database import Database

log = structlog.get_logger("feira.actors")

WITHIN_S: Final = 0.05


class UnreadCounts:
    """One a node: however lively its conversations are, it asks the database 20 times a second at most."""

    def __init__(
        self,
        database: Database,
        *,
        tasks: TaskOwner,
        push: Callable[[Topic, object, UserId | None], None],
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._push = push
        self._due: set[ConversationId] = set()

    def tell_soon(self, conversation: ConversationId) -> None:
        """Count a conversation's unread messages within `WITHIN_S`; what is said until then is counted too."""
        if not self._due:
            self._tasks.start(self._tell(), name="unread-counts")
        self._due.add(conversation)

    def push(self, user: UserId, conversation: ConversationId, *, seq: int, unread: int) -> None:
        """Tell all devices of a user how much of a conversation is unread."""
        message = {"unread": {"conversation": conversation, "seq": seq, "unread": unread}}
        self._push(inbox_topic(user), message, None)

    async def _tell(self) -> None:
        await asyncio.sleep(WITHIN_S)
        due, self._due = list(self._due), set()
        try:
            async with self._database.connection() as con:
                counts = await read_unread(con, due)
        except FeiraError as error:
            log.warning("unread_not_pushed", conversations=len(due), error=error.code)
            return
        for count in counts:
            self.push(count.user_id, count.conversation_id, seq=count.head_seq, unread=count.unread)

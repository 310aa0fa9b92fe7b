"""Unread counts for everybody's inbox, a moment after something was said: read at once for all conversations.

A hint that the next one replaces: the list of conversations has the truth.
"""

from __future__ import annotations

import asyncio
import time
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

WITHIN_S: Final = 0.2
# Few, because a round holds up everything else on the node: each member's devices are told.
CONVERSATIONS_PER_ROUND: Final = 10
# Counting takes a tenth of the node's time at most, however much is said.
PAUSE_PER_WORK: Final = 9.0


class UnreadCounts:
    """One a node: what becomes due within `WITHIN_S` is told together, and later the more there is to tell."""

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
        # In the order in which they became due.
        self._due: dict[ConversationId, None] = {}
        self._telling = False

    def tell_soon(self, conversation: ConversationId) -> None:
        """Count a conversation's unread messages soon; what is said until then is counted too."""
        self._due[conversation] = None
        if not self._telling:
            self._telling = True
            self._tasks.start(self._tell_all(), name="unread-counts")

    def push(self, user: UserId, conversation: ConversationId, *, seq: int, unread: int) -> None:
        """Tell all devices of a user how much of a conversation is unread."""
        message = {"unread": {"conversation": conversation, "seq": seq, "unread": unread}}
        self._push(inbox_topic(user), message, None)

    async def _tell_all(self) -> None:
        try:
            pause_s = WITHIN_S
            while self._due:
                await asyncio.sleep(pause_s)
                due = list(self._due)[:CONVERSATIONS_PER_ROUND]
                for conversation in due:
                    del self._due[conversation]
                started = time.monotonic()
                await self._tell(due)
                pause_s = PAUSE_PER_WORK * (time.monotonic() - started)
        finally:
            self._telling = False

    async def _tell(self, due: list[ConversationId]) -> None:
        try:
            async with self._database.connection() as con:
                counts = await read_unread(con, due)
        except FeiraError as error:
            log.warning("unread_not_pushed", conversations=len(due), error=error.code)
            return
        for count in counts:
            self.push(count.user_id, count.conversation_id, seq=count.head_seq, unread=count.unread)

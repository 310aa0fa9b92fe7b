"""The top check: compares the positions of all watched topics with their logs, in one query every few seconds.

It finds what the bus lost: a last message has no next one whose number would show the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from feira.actors.mail import CheckHead
from feira.actors.registry import Registry
from feira.platform.domain.errors import FeiraError
from feira.platform.domain.topics import Topic, parse_topic
from feira.platform.runtime.tasks import TaskOwner
from feira.sql.database import Database
from feira.sql.topics import read_heads

log = structlog.get_logger("feira.actors")

EVERY_S: Final = 3.0
# Doubts come in heaps, when a server is back.
SOON_S: Final = 0.02
TOPICS_MAX: Final = 5_000


class TopCheck:
    """One a node."""

    def __init__(self, database: Database, registry: Registry, tasks: TaskOwner) -> None:
        self._database = database
        self._registry = registry
        self._tasks = tasks
        self._doubted: set[Topic] = set()

    def start(self) -> None:
        self._tasks.start(self._check_for_ever(), name="top-check")

    def check_soon(self, topics: Iterable[Topic]) -> None:
        """The bus could not hear these for a while."""
        if not self._doubted:
            self._tasks.start(self._check_doubted(), name="top-check-now")
        self._doubted.update(topics)

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._check([actor.topic for actor in self._registry if actor.watchers])

    async def _check_doubted(self) -> None:
        await asyncio.sleep(SOON_S)
        doubted, self._doubted = self._doubted, set()
        await self._check([topic for topic in doubted if self._is_watched(topic)])

    def _is_watched(self, topic: Topic) -> bool:
        actor = self._registry.get(topic)
        return actor is not None and bool(actor.watchers)

    async def _check(self, watched: list[Topic]) -> None:
        for start in range(0, len(watched), TOPICS_MAX):
            try:
                async with self._database.connection() as con:
                    heads = await read_heads(con, watched[start : start + TOPICS_MAX])
            except FeiraError as error:
                log.warning("top_check_failed", error=error.code)
                return
            for head in heads:
                actor = self._registry.get(parse_topic(head.topic))
                if actor is not None and actor.is_behind(head):
                    actor.hear(CheckHead(head))

"""Who is in a conversation right now, over all nodes.

Changes are collected for a moment, written to Redis together, and rung on the bus as "look again": every node with
watchers reads who is there and tells them the difference to what they were told before. A lost ring and a dead node
are healed by the same reading. Without Redis each node knows its own, and keeps what it last knew of the others'.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from feira.actors.presence_room import Room
from feira.actors.presence_store import PresenceStore
from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic
from feira.platform.runtime.tasks import TaskOwner

# A thousand who come at once are one piece of news, not a thousand.
NEWS_WITHIN_S: Final = 0.1
CROWD_NEWS_EVERY_S: Final = 2.0
# Heals lost rings.
LOOK_AGAIN_EVERY_S: Final = 30.0
NEWCOMER_WAITS_S: Final = 0.5


class Presence:
    """`push(topic, messages)` tells this node's watchers; `ring(topic)` asks the other nodes to look again."""

    def __init__(
        self,
        store: PresenceStore,
        *,
        tasks: TaskOwner,
        push: Callable[[Topic, list[dict[str, Any]]], None],
        ring: Callable[[Topic], None],
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._push = push
        self._ring = ring
        self._rooms: dict[Topic, Room] = {}
        self._stale: set[Topic] = set()
        self._unwritten: dict[tuple[Topic, UserId], bool] = {}
        self._telling = False

    def start(self) -> None:
        """Begin to renew this node's entries, and to notice nodes that died."""
        self._tasks.start(self._store.beat_for_ever(self.look_again), name="presence-beat")
        self._tasks.start(self._look_for_ever(), name="presence-look")

    async def close(self) -> None:
        """Leave with everybody."""
        await self._store.leave()

    def joined(self, topic: Topic, user: UserId) -> None:
        """A local socket of the user watches the topic now."""
        room = self._rooms.get(topic)
        if room is None:
            room = self._rooms[topic] = Room(topic)
        if room.enter(user):
            self._unwritten[topic, user] = True
            self._tell_soon([topic])

    def left(self, topic: Topic, user: UserId) -> None:
        """A local socket of the user does not watch it any more."""
        room = self._rooms.get(topic)
        if room is not None and room.leave(user):
            if room.is_empty:
                del self._rooms[topic]
            self._unwritten[topic, user] = False
            self._tell_soon([topic])

    async def snapshot(self, topic: Topic) -> dict[str, object]:
        """`online`, the users who are here; of a crowd `online_count` alone."""
        room = self._rooms.get(topic) or Room(topic)
        if not room.is_known:
            await self._look([room], within_s=NEWCOMER_WAITS_S)
        return room.snapshot()

    def look_again(self, topic: Topic | None = None) -> None:
        """Another node rang; or, without a topic, rings may have been lost."""
        self._tell_soon(self._rooms if topic is None else self._rooms.keys() & {topic})

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_EVERY_S)
            self.look_again()

    def _tell_soon(self, topics: Iterable[Topic]) -> None:
        self._stale.update(topics)
        if self._stale and not self._telling:
            self._telling = True
            self._tasks.start(self._tell(), name="presence-news")

    async def _tell(self) -> None:
        try:
            while self._stale:
                await asyncio.sleep(NEWS_WITHIN_S)
                await self._write()
                now = time.monotonic()
                self._stale &= self._rooms.keys()
                due = [
                    room
                    for room in map(self._rooms.__getitem__, self._stale)
                    if not room.is_counted or now - room.told_at >= CROWD_NEWS_EVERY_S
                ]
                self._stale.difference_update([room.topic for room in due])
                await self._look(due)
                for room in due:
                    room.told_at = now
                    if news := room.news():
                        self._push(room.topic, news)
        finally:
            self._telling = False

    async def _write(self) -> None:
        changes, self._unwritten = self._unwritten, {}
        if not changes:
            return
        await self._store.write(
            [place for place, is_here in changes.items() if is_here],
            [place for place, is_here in changes.items() if not is_here],
        )
        for topic in {topic for topic, _ in changes}:
            self._ring(topic)

    async def _look(self, rooms: list[Room], **limits: float) -> None:
        found = await self._store.read([room.topic for room in rooms], **limits)
        for room in rooms:
            if room.topic in found:
                elsewhere = found[room.topic]
                # Right after Redis lost everything, the others have not yet written anew who they have.
                room.elsewhere = (
                    elsewhere | room.elsewhere if self._store.is_distrusted else elsewhere
                )
                room.is_known = True

"""Who is in a conversation right now, over all nodes: entries in Redis that live as long as they are renewed.

Without Redis each node knows only its own; when a node dies, its entries run out by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import redis.asyncio as redis
from redis.exceptions import RedisError

from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic
from feira.platform.runtime.redis_client import open_redis
from feira.platform.runtime.tasks import TaskOwner

ENTRY_TTL_S: Final = 60
RENEW_EVERY_S: Final = 20.0
ANSWER_TIMEOUT_S: Final = 0.5

CLIENT_TIMEOUT_S: Final = 2.0
# On a cluster all of them are in the slot of this hash tag.
HOME: Final = "{feira:presence}"

Changed = Callable[[Topic, UserId, bool], None]


def open_presence_client(redis_url: str) -> redis.Redis:
    """The client that `Presence` takes; the caller closes it."""
    return open_redis(redis_url, home=HOME, timeout_s=CLIENT_TIMEOUT_S)


class Presence:
    """`changed(topic, user, online)` is called when a member comes (first socket) or goes (last one)."""

    def __init__(
        self, client: redis.Redis, *, node_name: str, tasks: TaskOwner, changed: Changed
    ) -> None:
        self._redis = client
        self._node_name = node_name
        self._tasks = tasks
        self._changed = changed
        self._here: set[tuple[Topic, UserId]] = set()

    def joined(self, topic: Topic, user: UserId) -> None:
        """A local socket of the user watches the topic now."""
        if (topic, user) not in self._here:
            self._here.add((topic, user))
            self._tasks.start(self._enter(topic, user), name="presence-enter")

    def left(self, topic: Topic, user: UserId) -> None:
        """The user's last local socket stopped watching."""
        if (topic, user) in self._here:
            self._here.discard((topic, user))
            self._tasks.start(self._leave(topic, user), name="presence-leave")

    async def online(self, topic: Topic) -> set[UserId]:
        """Everybody who is here, on any node."""
        users = {user for where, user in self._here if where == topic}
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                entries = await self._redis.zrangebyscore(_key(topic), time.time(), "+inf")
                users |= {UserId(UUID(entry.decode().partition("@")[0])) for entry in entries}
        return users

    async def renew_for_ever(self) -> None:
        """Keep this node's entries alive."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            with contextlib.suppress(RedisError, OSError):
                async with asyncio.timeout(RENEW_EVERY_S):
                    await self._write(list(self._here))

    async def _enter(self, topic: Topic, user: UserId) -> None:
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._write([(topic, user)])
        self._changed(topic, user, True)

    async def _leave(self, topic: Topic, user: UserId) -> None:
        with contextlib.suppress(RedisError, OSError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._redis.zrem(_key(topic), self._entry(user))
        if user not in await self.online(topic):
            self._changed(topic, user, False)

    async def _write(self, here: list[tuple[Topic, UserId]]) -> None:
        expires_at = time.time() + ENTRY_TTL_S
        pipeline = self._redis.pipeline(transaction=False)
        for topic, user in here:
            pipeline.zadd(_key(topic), {self._entry(user): expires_at})
            pipeline.expire(_key(topic), ENTRY_TTL_S)
        if here:
            await pipeline.execute()

    def _entry(self, user: UserId) -> str:
        return f"{user}@{self._node_name}"


def _key(topic: Topic) -> str:
    return f"{HOME}:{topic}"

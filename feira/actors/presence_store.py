"""Presence in Redis: who is where, and which nodes live.

    {feira:presence}:nodes              the names of nodes, also of some that died
    {feira:presence}:node:NODE          there while the node lives: it renews the key before it runs out
    {feira:presence}:conversation:ID    `USER@NODE` for everybody who is there; counts while NODE lives

Renewing costs a node one command however many are on it, and when it dies they are all gone with its key. Redis's
own clock decides, so the nodes' clocks need not agree. Whatever Redis did not take (it was away, or it restarted
empty, or this node was silent too long) would stay wrong: the node then gives itself a new name, which makes
everything under the old one void, and writes all anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, cast
from uuid import UUID

import redis.asyncio as redis
import structlog
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from feira.platform.domain.ids import UserId
from feira.platform.domain.topics import Topic
from feira.platform.runtime.redis_client import open_redis

log = structlog.get_logger("feira.actors")

BEAT_EVERY_S: Final = 4.0
NODE_TTL_S: Final = 12.0
# What nobody renews for so long is of dead nodes only.
ROOM_TTL_S: Final = 3_600
RENEW_EVERY_S: Final = 1_200.0
ANSWER_TIMEOUT_S: Final = 2.0
AWAY_FOR_S: Final = 1.0
PIPELINE_MAX: Final = 500
CLIENT_TIMEOUT_S: Final = 2.0
# On a cluster all keys are in the slot of this hash tag.
HOME: Final = "{feira:presence}"
_NODES: Final = f"{HOME}:nodes"

Here = Iterable[tuple[Topic, UserId]]


def open_presence_client(redis_url: str) -> redis.Redis:
    """The client that `PresenceStore` takes; the caller closes it."""
    return open_redis(redis_url, home=HOME, timeout_s=CLIENT_TIMEOUT_S)


class PresenceStore:
    """One a node; `node_name` must be no other's."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        node_name: str,
        beat_every_s: float = BEAT_EVERY_S,
        node_ttl_s: float = NODE_TTL_S,
    ) -> None:
        self._redis = client
        self._node_name = node_name
        self._beat_every_s = beat_every_s
        self._node_ttl_s = node_ttl_s
        self._incarnation = 0
        self._is_registered = False
        self._here: set[tuple[Topic, UserId]] = set()
        self._live_nodes: set[str] = set()
        # One writer at a time: a leaving must not be overtaken by a rewriting that still counts it in.
        self._writing = asyncio.Lock()
        self._renewed_at = 0.0
        self._distrusted_until = 0.0
        self._away_until = 0.0

    async def write(self, came: Here, went: Here) -> None:
        """Record who came to this node and went from it; while Redis is away, it learns of them later."""
        async with self._writing:
            self._here.update(came)
            self._here.difference_update(went)
            if self._is_registered:
                await self._write(came, went)
            else:
                await self._register()

    async def read(
        self, topics: list[Topic], *, within_s: float = ANSWER_TIMEOUT_S
    ) -> dict[Topic, frozenset[UserId]]:
        """Who is there from other nodes; topics are missing when Redis is away."""
        found: dict[Topic, frozenset[UserId]] = {}
        for start in range(0, len(topics), PIPELINE_MAX):
            chunk = topics[start : start + PIPELINE_MAX]
            answers = await self._ask(
                lambda pipe, chunk=chunk: [
                    pipe.exists(_node_key(self._name)),
                    *(pipe.smembers(_room_key(topic)) for topic in chunk),
                ],
                within_s=within_s,
            )
            if answers is None:
                break
            if not answers[0]:
                self._was_forgotten()
            rooms = [[_parse(entry) for entry in answer] for answer in answers[1:]]
            await self._meet({node for entries in rooms for _, node in entries})
            for topic, entries in zip(chunk, rooms, strict=True):
                found[topic] = frozenset(
                    user
                    for user, node in entries
                    if node in self._live_nodes and node != self._name
                )
                await self._sweep(topic, [one for one in entries if one[1] not in self._live_nodes])
        return found

    @property
    def is_distrusted(self) -> bool:
        """Redis lost this node's own entries a moment ago: the others' may be missing only until they are back."""
        return time.monotonic() < self._distrusted_until

    async def beat_for_ever(self, changed: Callable[[], None]) -> None:
        """Say that this node lives; `changed()` when others came to life or died."""
        before: object = None
        while True:
            await self._beat()
            now = (self._live_nodes, self.is_distrusted)
            if now != before:
                changed()
            before = now
            await asyncio.sleep(self._beat_every_s)

    async def leave(self) -> None:
        """Be gone at once instead of in a while."""
        if self._is_registered:
            await self._ask(lambda pipe: [pipe.delete(_node_key(self._name))])

    async def _beat(self) -> None:
        answers = await self._ask(
            lambda pipe: [
                pipe.pexpire(_node_key(self._name), int(self._node_ttl_s * 1000)),
                pipe.smembers(_NODES),
            ]
        )
        if answers is None:
            return
        if not answers[0]:
            self._was_forgotten()
        async with self._writing:
            if not self._is_registered and not await self._register():
                return
            if time.monotonic() - self._renewed_at > RENEW_EVERY_S:
                self._renewed_at = time.monotonic()
                await self._write(self._here, ())
        if not self.is_distrusted:
            await self._look_round(self._live_nodes | {node.decode() for node in answers[1]})

    def _was_forgotten(self) -> None:
        if self._is_registered:
            log.warning("presence_forgotten", node=self._name)
            self._is_registered = False
            self._distrusted_until = time.monotonic() + self._node_ttl_s

    async def _look_round(self, known: set[str]) -> None:
        alive = await self._alive(known)
        if alive is not None:
            self._live_nodes = alive
            if dead := known - alive:
                await self._ask(lambda pipe: [pipe.srem(_NODES, *dead)])

    async def _meet(self, nodes: set[str]) -> None:
        unknown = nodes - self._live_nodes
        if unknown:
            # While Redis says nothing nobody is declared dead.
            alive = await self._alive(unknown)
            self._live_nodes = self._live_nodes | (unknown if alive is None else alive)

    async def _alive(self, nodes: set[str]) -> set[str] | None:
        ordered = sorted(nodes)
        answers = await self._ask(lambda pipe: [pipe.exists(_node_key(node)) for node in ordered])
        if answers is None:
            return None
        return {node for node, lives in zip(ordered, answers, strict=True) if lives}

    async def _sweep(self, topic: Topic, dead: list[tuple[UserId, str]]) -> None:
        entries = [_entry(user, node) for user, node in dead]
        if entries:
            await self._ask(lambda pipe: [pipe.srem(_room_key(topic), *entries)])

    async def _register(self) -> bool:
        old = self._name
        self._incarnation += 1
        answers = await self._ask(
            lambda pipe: [
                pipe.delete(_node_key(old)),
                pipe.srem(_NODES, old),
                pipe.set(_node_key(self._name), 1, px=int(self._node_ttl_s * 1000)),
                pipe.sadd(_NODES, self._name),
            ]
        )
        if answers is None:
            return False
        self._live_nodes = (self._live_nodes - {old}) | {self._name}
        self._is_registered = True
        self._renewed_at = time.monotonic()
        return await self._write(self._here, ())

    async def _write(self, came: Here, went: Here) -> bool:
        changes: dict[Topic, tuple[list[str], list[str]]] = {}
        for topic, user in came:
            changes.setdefault(topic, ([], []))[0].append(_entry(user, self._name))
        for topic, user in went:
            changes.setdefault(topic, ([], []))[1].append(_entry(user, self._name))
        topics = list(changes)
        for start in range(0, len(topics), PIPELINE_MAX):
            chunk = topics[start : start + PIPELINE_MAX]
            answers = await self._ask(
                lambda pipe, chunk=chunk: [
                    command
                    for topic in chunk
                    for command in _commands(pipe, _room_key(topic), *changes[topic])
                ]
            )
            if answers is None:
                self._is_registered = False
                return False
        return True

    async def _ask(
        self, commands: Callable[[Pipeline], list[Any]], *, within_s: float = ANSWER_TIMEOUT_S
    ) -> list[Any] | None:
        """Have commands carried out in one round trip; None when Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            # Left in whatever way, it gives its connection back.
            async with (
                asyncio.timeout(within_s),
                self._redis.pipeline(transaction=False) as pipeline,
            ):
                commands(pipeline)
                return await cast("Awaitable[list[Any]]", pipeline.execute())
        except (RedisError, OSError) as error:
            log.warning("presence_unknown", error=type(error).__name__)
            self._away_until = time.monotonic() + AWAY_FOR_S
            return None

    @property
    def _name(self) -> str:
        return f"{self._node_name}.{self._incarnation}"


def _commands(pipe: Pipeline, key: str, came: list[str], went: list[str]) -> list[Any]:
    commands: list[Any] = []
    if came:
        commands += [pipe.sadd(key, *came), pipe.expire(key, ROOM_TTL_S)]
    if went:
        commands.append(pipe.srem(key, *went))
    return commands


def _entry(user: UserId, node: str) -> str:
    return f"{user}@{node}"


def _parse(entry: bytes) -> tuple[UserId, str]:
    user, _, node = entry.decode().partition("@")
    return UserId(UUID(user)), node


def _room_key(topic: Topic) -> str:
    return f"{HOME}:{topic}"


def _node_key(node: str) -> str:
    return f"{HOME}:node:{node}"

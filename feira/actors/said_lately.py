"""What each person said lately, counted in Redis over all nodes: the same text everywhere, or too much of anything.

A message that was committed is counted a moment later, together with others; nothing waits for that. Where a limit is
passed, this node refuses what would pass it further. So a few messages more get through than the limits say, once; and
while Redis is away everything does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, cast

import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from feira.actors.presence_store import HOME
from feira.platform.domain.ids import ConversationId, UserId
from feira.platform.domain.spam import (
    MESSAGES_WITHIN_S,
    SAME_TEXT_WITHIN_S,
    fingerprint_of,
    is_same_text_spam,
    is_too_fast,
    require_few_links,
    same_text,
    too_fast,
)
from feira.platform.runtime.tasks import TaskOwner

log = structlog.get_logger("feira.actors")

# In the slot of the client that presence uses.
_KEYS: Final = f"{HOME}:said"
WITHIN_S: Final = 0.25
ANSWER_TIMEOUT_S: Final = 2.0
AWAY_FOR_S: Final = 5.0
# Beyond, what was said is not counted: memory has a bound, and the sockets' own limits hold.
WAITING_MAX: Final = 20_000
AT_ONCE_MAX: Final = 250
FORGET_EVERY_S: Final = 60.0

# In one call, because a client in Python pays for each command more than the server does.
# Keys: a counter for each user, then a set of conversations for each text of a user. Arguments: how many users, how long
# both kinds are kept, then what to add to each key. It answers with the totals.
_COUNT: Final = """
local totals = {}
for place, key in ipairs(KEYS) do
    local keep
    if place <= tonumber(ARGV[1]) then
        totals[place] = redis.call('INCRBY', key, ARGV[place + 3])
        keep = ARGV[2]
    else
        redis.call('SADD', key, ARGV[place + 3])
        totals[place] = redis.call('SCARD', key)
        keep = ARGV[3]
    end
    redis.call('EXPIRE', key, keep)
end
return totals
"""

Same = tuple[UserId, bytes]


class SaidLately:
    """One a node."""

    def __init__(self, client: redis.Redis, *, tasks: TaskOwner) -> None:
        self._redis = client
        self._tasks = tasks
        self._said: dict[UserId, int] = {}
        self._same: set[tuple[Same, ConversationId]] = set()
        # Until when, by the monotonic clock.
        self._too_fast: dict[UserId, float] = {}
        self._everywhere: dict[Same, float] = {}
        self._counting = False
        self._away_until = 0.0
        self._forgotten_at = time.monotonic()

    def require_sane(self, user: UserId, text: str | None) -> None:
        """Pass for what is within the limits as far as this node knows.

        Raises:
            Rejected: `message.too_many_links`.
            TooMany: `message.too_fast`, `message.same_text`.
        """
        now = time.monotonic()
        if (left_s := self._too_fast.get(user, now) - now) > 0:
            raise too_fast(left_s)
        if text is None:
            return
        require_few_links(text)
        # Only of those who repeat themselves is every text looked at.
        if self._everywhere and (mark := fingerprint_of(text)) is not None:
            left_s = self._everywhere.get((user, mark), now) - now
            if left_s > 0:
                raise same_text(left_s)

    def said(self, user: UserId, conversation: ConversationId, text: str | None) -> None:
        """Count a message that was committed, soon."""
        if len(self._same) + len(self._said) >= WAITING_MAX or time.monotonic() < self._away_until:
            return
        self._said[user] = self._said.get(user, 0) + 1
        if text is not None and (mark := fingerprint_of(text)) is not None:
            self._same.add(((user, mark), conversation))
        if not self._counting:
            self._counting = True
            self._tasks.start(self._count_all(), name="said-lately")

    async def _count_all(self) -> None:
        try:
            while self._said or self._same:
                await asyncio.sleep(WITHIN_S)
                await self._count()
        finally:
            self._counting = False

    async def _count(self) -> None:
        said = list(self._said.items())[:AT_ONCE_MAX]
        same = list(self._same)[:AT_ONCE_MAX]
        for user, _ in said:
            del self._said[user]
        self._same.difference_update(same)
        slot = int(time.time() // MESSAGES_WITHIN_S)
        keys = [f"{_KEYS}:{user}:{slot}" for user, _ in said]
        keys += [f"{_KEYS}:{user}:{mark.hex()}" for (user, mark), _ in same]
        numbers = [len(said), 2 * MESSAGES_WITHIN_S, SAME_TEXT_WITHIN_S]
        numbers += [count for _, count in said]
        arguments = [*map(str, numbers), *(str(conversation) for _, conversation in same)]
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                counting = self._redis.eval(_COUNT, len(keys), *keys, *arguments)
                totals = await cast("Awaitable[list[int]]", counting)
        except (RedisError, OSError) as error:
            log.warning("said_lately_unknown", error=type(error).__name__)
            self._away_until = time.monotonic() + AWAY_FOR_S
            return
        self._refuse(said, same, totals, ends_at=(slot + 1) * MESSAGES_WITHIN_S)

    def _refuse(
        self,
        said: list[tuple[UserId, int]],
        same: list[tuple[Same, ConversationId]],
        totals: list[int],
        *,
        ends_at: float,
    ) -> None:
        now = time.monotonic()
        for (user, _), messages in zip(said, totals[: len(said)], strict=True):
            if is_too_fast(messages):
                self._too_fast[user] = now + ends_at - time.time()
        for (mark, _), conversations in zip(same, totals[len(said) :], strict=True):
            if is_same_text_spam(conversations):
                self._everywhere[mark] = now + SAME_TEXT_WITHIN_S
        if now - self._forgotten_at > FORGET_EVERY_S:
            self._forgotten_at = now
            self._too_fast = {key: until for key, until in self._too_fast.items() if until > now}
            self._everywhere = {key: end for key, end in self._everywhere.items() if end > now}

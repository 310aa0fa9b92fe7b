r"""The actor: a bounded mailbox with one reader, no task while idle.

    idle --tell--> draining --mailbox empty--> idle
                      \--a turn raised or took too long--> state discarded, backing off --> draining

The reader takes everything that waits and handles it as one batch, its turn. A crash costs the actor its cache and
its batch an error, and nobody else anything; one that keeps crashing rests longer each time, so that mail which
makes it crash, and watchers who come back for more, cannot spin.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import structlog

from feira.actors import metrics
from feira.platform.domain.errors import FeiraError, Unavailable
from feira.platform.domain.topics import TopicKind
from feira.platform.runtime.tasks import TaskOwner

log = structlog.get_logger("feira.actors")

Mail = TypeVar("Mail")
T = TypeVar("T")

MAILBOX_MAX: Final = 1_024
# Passing things go first: they get this much of the box, so that they never crowd out what is answered.
EPHEMERALS_MAX: Final = 256
BATCH_MAX: Final = 256
TURN_TIMEOUT_S: Final = 30.0
ASK_TIMEOUT_S: Final = 10.0
CRASH_BACKOFF_MIN_S: Final = 0.02
CRASH_BACKOFF_MAX_S: Final = 5.0
CRASH_FORGIVEN_AFTER_S: Final = 60.0
RATE_OVER_S: Final = 10.0


class Actor(ABC, Generic[Mail]):
    """Subclasses handle batches, and forget what they cached when `reset` says so."""

    __slots__ = (
        "_crashed_at",
        "_crashes_lately",
        "_draining",
        "_mailbox",
        "_rate",
        "_rated_at",
        "_tasks",
        "_waiting_since",
        "crashes",
        "kind",
        "metrics",
        "turns",
        "used_at",
    )

    def __init__(self, kind: TopicKind, tasks: TaskOwner) -> None:
        self.kind: TopicKind = kind
        self.metrics = metrics.of_kind(kind)
        self.used_at = time.monotonic()
        self.turns = 0
        self.crashes = 0
        self._rate = 0.0
        self._rated_at = self.used_at
        self._tasks = tasks
        # A list, not a deque: that reserves 600 bytes, and nearly all actors are idle nearly always.
        self._mailbox: list[Mail] = []
        self._waiting_since = 0.0
        self._draining = False
        self._crashes_lately = 0
        self._crashed_at = 0.0

    @property
    def is_idle(self) -> bool:
        return not self._draining and not self._mailbox

    @property
    def mailbox_depth(self) -> int:
        return len(self._mailbox)

    @property
    def oldest_mail_age_s(self) -> float:
        """How long the oldest mail in the box waits; at least, since a turn that leaves mail starts it anew."""
        return time.monotonic() - self._waiting_since if self._mailbox else 0.0

    @property
    def mail_per_s(self) -> float:
        """Of the last `RATE_OVER_S` or so, the latest weighing most."""
        return self._rate * math.exp((self._rated_at - time.monotonic()) / RATE_OVER_S)

    def tell(self, mail: Mail) -> None:
        """Put mail into the box; it is handled in order.

        Raises:
            Unavailable: `actor.overloaded`: the box is full, nothing was accepted.
        """
        if len(self._mailbox) >= MAILBOX_MAX:
            self.metrics.overflows.inc()
            raise Unavailable(
                "actor.overloaded",
                "Too much is happening here at once; please try again.",
                retry_after_s=1,
            )
        self._put(mail)

    def offer(self, mail: Mail) -> None:
        """Put mail that may get lost into the box, while there is plenty of room."""
        if len(self._mailbox) >= EPHEMERALS_MAX:
            self.metrics.dropped.inc()
        else:
            self._put(mail)

    async def ask(
        self, mail: Callable[[asyncio.Future[T]], Mail], *, within_s: float = ASK_TIMEOUT_S
    ) -> T:
        """Tell the mail that `mail(answer)` makes, and wait for its answer.

        Raises:
            Unavailable: `actor.overloaded`, or `actor.timeout`: it may still happen.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.tell(mail(answer))
        return await answered(answer, within_s=within_s)

    @abstractmethod
    async def handle(self, batch: list[Mail]) -> None:
        """Handle mail in order. Expected failures are answered here; whatever is raised is a crash."""

    @abstractmethod
    def reset(self, batch: list[Mail], error: Exception) -> None:
        """Forget all cached state and answer the batch that crashed with `error`."""

    def woke(self) -> None:
        """There is something to do."""

    def rested(self) -> None:
        """There is nothing to do any more."""

    def crash(self, batch: list[Mail], error: Exception) -> None:
        """Discard the state and rest for a while; mail waits meanwhile."""
        rest_s = self._forget(batch, error)
        if not self._draining:
            self._start(rest_s)

    def _count(self, mail: int, now: float) -> None:
        """A turn with so much mail."""
        self.turns += 1
        decay = math.exp((self._rated_at - now) / RATE_OVER_S)
        self._rate = self._rate * decay + mail / RATE_OVER_S
        self._rated_at = self.used_at = now

    def _put(self, mail: Mail) -> None:
        now = time.monotonic()
        if not self._mailbox:
            self._waiting_since = now
        self._mailbox.append(mail)
        self.used_at = now
        if not self._draining:
            self._start(0.0)

    def _start(self, rest_s: float) -> None:
        self._draining = True
        self.woke()
        self._tasks.start(self._drain(rest_s), name=f"actor-{self.kind}")

    async def _drain(self, rest_s: float) -> None:
        try:
            if rest_s:
                await asyncio.sleep(rest_s)
            while self._mailbox:
                await self._turn()
        finally:
            self._draining = False
            self.rested()

    async def _turn(self) -> None:
        began = time.monotonic()
        batch = self._mailbox[:BATCH_MAX]
        del self._mailbox[:BATCH_MAX]
        self.metrics.mail_age.observe(began - self._waiting_since)
        self.metrics.batch_size.observe(len(batch))
        self._waiting_since = began
        self._count(len(batch), began)
        try:
            # A time-out around a commit means unknown: the state is dropped, a resend finds out.
            async with asyncio.timeout(TURN_TIMEOUT_S):
                await self.handle(batch)
        except Exception as error:
            log.exception("actor_crashed", kind=self.kind, crashes=self.crashes + 1)
            await asyncio.sleep(self._forget(batch, error))
        self.metrics.turn_duration.observe(time.monotonic() - began)

    def _forget(self, batch: list[Mail], error: Exception) -> float:
        """Returns how long to rest."""
        now = time.monotonic()
        if now - self._crashed_at > CRASH_FORGIVEN_AFTER_S:
            self._crashes_lately = 0
        self._crashed_at = now
        self._crashes_lately += 1
        self.crashes += 1
        self.metrics.restarts.inc()
        self.reset(batch, error)
        return min(CRASH_BACKOFF_MIN_S * 2 ** min(self._crashes_lately, 10), CRASH_BACKOFF_MAX_S)


async def answered(answer: asyncio.Future[T], *, within_s: float = ASK_TIMEOUT_S) -> T:
    """Wait for an actor's answer.

    Raises:
        Unavailable: `actor.timeout`: it may still happen.
    """
    try:
        async with asyncio.timeout(within_s):
            return await answer
    except TimeoutError:
        raise Unavailable(
            "actor.timeout",
            "This took too long and may still happen; repeat it with the same key.",
            retry_after_s=1,
        ) from None


def as_answer(error: Exception) -> FeiraError:
    """What those hear whose mail was handled when an actor crashed."""
    if isinstance(error, FeiraError):
        return error
    return Unavailable(
        "actor.restarted", "Something went wrong here; it starts afresh, please try again."
    )

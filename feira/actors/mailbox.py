r"""The actor: a bounded mailbox with one reader, no task while idle.

    idle --tell--> draining --mailbox empty--> idle
                      \--handle raised--> state discarded, backing off --> draining

The reader takes everything that waits and handles it as one batch: that is what group commit lives from.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

import structlog

from feira.actors import metrics
from feira.platform.domain.errors import Unavailable
from feira.platform.runtime.tasks import TaskOwner

log = structlog.get_logger("feira.actors")

Mail = TypeVar("Mail")

MAILBOX_MAX: Final = 1_024
BATCH_MAX: Final = 256
CRASH_BACKOFF_MIN_S: Final = 0.02
CRASH_BACKOFF_MAX_S: Final = 2.0


class Actor(ABC, Generic[Mail]):
    """Subclasses handle batches, and forget what they cached when `reset` says so."""

    kind: str = "actor"

    def __init__(self, tasks: TaskOwner) -> None:
        self._tasks = tasks
        # A list, not a deque: that reserves 600 bytes, and nearly all actors are idle nearly always.
        self._mailbox: list[Mail] = []
        self._draining = False
        self._crashes = 0
        self.used_at = time.monotonic()

    @property
    def is_idle(self) -> bool:
        return not self._draining and not self._mailbox

    @property
    def mailbox_depth(self) -> int:
        return len(self._mailbox)

    def tell(self, mail: Mail) -> None:
        """Put mail into the box; it is handled in order.

        Raises:
            Unavailable: `actor.overloaded`: the box is full, nothing was accepted.
        """
        if len(self._mailbox) >= MAILBOX_MAX:
            metrics.OVERFLOWS.labels(self.kind).inc()
            raise Unavailable(
                "actor.overloaded",
                "Too much is happening here at once; please try again.",
                retry_after_s=1,
            )
        self._mailbox.append(mail)
        self.used_at = time.monotonic()
        if not self._draining:
            self._draining = True
            self._tasks.start(self._drain(), name=f"actor-{self.kind}")

    @abstractmethod
    async def handle(self, batch: list[Mail]) -> None:
        """Handle mail in order. Expected failures are answered here; whatever is raised is a crash."""

    @abstractmethod
    def reset(self, batch: list[Mail], error: Exception) -> None:
        """Forget all cached state and answer the batch that crashed with `error`."""

    async def _drain(self) -> None:
        try:
            while self._mailbox:
                batch = self._mailbox[:BATCH_MAX]
                del self._mailbox[:BATCH_MAX]
                metrics.BATCH_SIZE.labels(self.kind).observe(len(batch))
                await self._handle_or_reset(batch)
        finally:
            self._draining = False

    async def _handle_or_reset(self, batch: list[Mail]) -> None:
        try:
            await self.handle(batch)
            self._crashes = 0
        except Exception as error:
            # Crash isolation: this actor's cache is worthless now, its neighbours and the log are untouched.
            metrics.RESTARTS.labels(self.kind).inc()
            self._crashes += 1
            log.exception("actor_crashed", kind=self.kind, crashes=self._crashes)
            self.reset(batch, error)
            await asyncio.sleep(min(CRASH_BACKOFF_MIN_S * 2**self._crashes, CRASH_BACKOFF_MAX_S))

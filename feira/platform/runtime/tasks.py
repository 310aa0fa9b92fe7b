"""Every task has an owner and a name; its failure is logged, its end is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

log = structlog.get_logger("feira.tasks")

CANCEL_AGAIN_S: Final = 0.5


class TaskOwner:
    """Keeps tasks alive, logs those that fail, and ends all at `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run `work` in a task of this owner."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Let tasks finish for `grace_s`, then cancel and await what is left."""
        if grace_s and self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # Until Python 3.12, `asyncio.wait_for` (redis-py writes through it) may swallow a cancellation.
            await asyncio.wait(self._tasks, timeout=CANCEL_AGAIN_S)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", task=task.get_name(), exc_info=error)

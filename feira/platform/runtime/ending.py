"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

CANCEL_AGAIN_S: Final = 1.0


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> list[BaseException]:
    """Cancel tasks, wait until all have ended, and return what they raised meanwhile or before.

    redis-py loses a cancellation that meets the end of a command: such a task is cancelled again.
    """
    ending = list(tasks)
    pending = {task for task in ending if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    errors = (None if task.cancelled() else task.exception() for task in ending)
    return [error for error in errors if error is not None]

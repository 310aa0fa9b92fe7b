"""One look at the end of a turn of the loop for all who queued something in it, instead of a callback each."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Queueing(Protocol):
    """Somebody who has something to write."""

    def flush(self) -> None:
        """Write it."""


class Turn:
    """The lines of a process that have something to write when this turn of the loop ends."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: list[Queueing] = []

    def add(self, line: Queueing) -> None:
        if not self._lines:
            self._loop.call_soon(self._end)
        self._lines.append(line)

    def _end(self) -> None:
        lines, self._lines = self._lines, []
        for line in lines:
            line.flush()

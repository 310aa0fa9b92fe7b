"""Keeps processes running: what ends unasked comes back, later each time it ends soon again.

running --ends--> waiting (backoff) --start--> running
any --stop--> stopped
"""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol

_BACKOFF_MIN_S = 0.2
_BACKOFF_MAX_S = 10.0
# Who ran this long gets a fresh start.
_STABLE_S = 20.0


class Unit(Protocol):
    """Something that runs: a Python child or an embedded server."""

    @property
    def name(self) -> str: ...
    async def start(self) -> None: ...
    async def exited(self) -> int: ...
    async def stop(self) -> None: ...
    def kill(self) -> None: ...


class Supervisor:
    """Owns one task for each unit. Units are started by the caller, once, before `watch`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._units: list[Unit] = []

    def watch(self, unit: Unit) -> None:
        """Bring it back from now on."""
        self._units.append(unit)
        self._watches[unit.name] = asyncio.create_task(
            self._keep_running(unit), name=f"watch-{unit.name}"
        )

    async def stop(self, units: Sequence[Unit]) -> None:
        """Stop these at the same time, and no longer bring them back."""
        for unit in units:
            watch = self._watches.pop(unit.name, None)
            if watch is not None:
                watch.cancel()
                await asyncio.wait({watch})
        async with asyncio.TaskGroup() as group:
            for unit in units:
                group.create_task(unit.stop(), name=f"stop-{unit.name}")

    def kill_all(self) -> None:
        """No order, no patience. `stop` afterwards returns quickly."""
        for watch in self._watches.values():
            watch.cancel()
        for unit in self._units:
            unit.kill()

    async def _keep_running(self, unit: Unit) -> None:
        backoff_s = _BACKOFF_MIN_S
        while True:
            since = time.monotonic()
            code = await unit.exited()
            if time.monotonic() - since > _STABLE_S:
                backoff_s = _BACKOFF_MIN_S
            self._say(f"{unit.name} {describe_exit(code)}; it is started again in {backoff_s:g} s")
            await asyncio.sleep(backoff_s)
            while not await self._started(unit):
                backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)
                await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    async def _started(self, unit: Unit) -> bool:
        try:
            await unit.start()
        except Exception as error:  # noqa: BLE001 - whatever hinders it now may pass
            self._say(f"{unit.name} does not start: {error}")
            await unit.stop()
            return False
        self._say(f"{unit.name} runs again")
        return True


def describe_exit(code: int) -> str:
    """Popen's exit code in words: a negative one is the signal that ended the process."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"

"""What processes use, as /proc tells it: CPU time, memory, and which are whose."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Cpu(NamedTuple):
    """Seconds in a program's own code, and in the kernel on its behalf."""

    user_s: float = 0.0
    system_s: float = 0.0

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.user_s - before.user_s, self.system_s - before.system_s)


def cpu_of(pids: Iterable[int]) -> Cpu:
    """CPU time of processes and all that they started, those that ended included."""
    user = system = 0
    for parent in pids:
        for pid in (parent, *descendants(parent)):
            fields = _stat(pid)
            if fields is not None:
                # proc(5): 14 to 17 are the user and system time of itself and of children waited for.
                user += int(fields[11]) + int(fields[13])
                system += int(fields[12]) + int(fields[14])
    return Cpu(user / _TICKS_PER_S, system / _TICKS_PER_S)


def rss_kib(pid: int) -> int:
    """Resident memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


def descendants(pid: int) -> dict[int, str]:
    """All processes below this one, with when each was born: a number alone may be another's by now."""
    found: dict[int, str] = {}
    parents = [pid]
    while parents:
        parent = parents.pop()
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in map(int, task.read_text(encoding="ascii").split()):
                    if (born := birth_of(child)) is not None:
                        found[child] = born
                        parents.append(child)
    return found


def birth_of(pid: int) -> str | None:
    """When a process was born, in ticks since boot; None where it is gone."""
    fields = _stat(pid)
    return None if fields is None else fields[19]


def command_line(pid: int) -> bytes:
    """The words it was started with, each ended by a NUL; nothing where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on; the second, the name, may hold spaces."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()

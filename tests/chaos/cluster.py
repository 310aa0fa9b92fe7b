"""Freezing a PostgreSQL: neither it nor its sessions do anything, and nobody is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from feira.platform.runtime.embedded.postgres import PostgresServer


@contextmanager
def frozen(server: PostgresServer) -> Generator[None]:
    """As a machine that hangs, or a network that swallows: connections stay open, nothing comes back."""
    postmaster = server.process.pid
    assert postmaster is not None
    # The postmaster first: it starts nobody any more.
    _signal([postmaster], signal.SIGSTOP)
    children = _children(postmaster)
    _signal(children, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal([*children, postmaster], signal.SIGCONT)


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                # pid (name) state ppid ...; the name may hold anything.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent:
                    found.append(int(entry.name))
    return found


def _signal(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)

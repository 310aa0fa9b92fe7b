"""Who computes where: the servers with their stores on one core, the load client on another."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import Final

_ALL: Final = sorted(os.sched_getaffinity(0))

SERVER_CORES: Final = frozenset(_ALL[:1])
CLIENT_CORES: Final = frozenset(_ALL[-1:])
ALL_CORES: Final = frozenset(_ALL)


@contextlib.contextmanager
def children_on(cores: frozenset[int]) -> Generator[None]:
    """Let processes that this thread starts run on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def described() -> str:
    """As a remark of the results."""
    if SERVER_CORES == CLIENT_CORES:
        return "one core for everything: servers and client slow each other down"
    return (
        f"core {min(SERVER_CORES)}: the server, and with it PostgreSQL and Valkey;"
        f" core {min(CLIENT_CORES)}: the load client"
    )

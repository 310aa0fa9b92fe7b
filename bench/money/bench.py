"""What a scenario is given, and databases beside each other for its peers."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.live.kit import Kit
from feira.platform.runtime.config import Config


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Stores that are migrated and empty; `versions` takes what each peer says it is."""

    stores: Config
    kit: Kit
    is_quick: bool = False
    with_peers: bool = True
    versions: list[str] = field(default_factory=list[str])


async def make_database(dsn: str, name: str) -> str:
    """Create an empty database on the same server; returns its address."""
    con = await asyncpg.connect(dsn)
    try:
        await con.execute(f'CREATE DATABASE "{name}"')
    finally:
        await con.close()
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))

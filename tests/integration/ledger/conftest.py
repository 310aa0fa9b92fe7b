"""A database of its own: seen by the application, as a node signs in, and by its owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from feira.platform.runtime.embedded import Endpoints
from feira.sql.database import Database, open_pool
from feira.sql.loader import Connection
from feira.sql.pulse import Pulse, asking


@pytest.fixture
def node_dsn(fresh_database_dsn: str, servers: Endpoints) -> str:
    """The same database by the login that `feira up` gives to its nodes."""
    path = urlsplit(fresh_database_dsn).path
    return urlsplit(servers.postgres_node_dsn)._replace(path=path).geturl()


@pytest.fixture
async def database(node_dsn: str) -> AsyncIterator[Database]:
    pool = await open_pool(node_dsn, size_min=0, size_max=20)
    database = Database(
        pool,
        on_events=lambda _: None,
        on_jobs=lambda: None,
        pulse=Pulse(asking(node_dsn)),
    )
    yield database
    await database.close()


@pytest.fixture
async def owner(fresh_database_dsn: str) -> AsyncIterator[Connection]:
    """Whoever may do anything to this database."""
    con = await asyncpg.connect(fresh_database_dsn)
    yield con
    await con.close()


@pytest.fixture
async def login(node_dsn: str) -> AsyncIterator[Connection]:
    """A node's login with nothing set, as an intruder would have it."""
    con = await asyncpg.connect(node_dsn)
    yield con
    await con.close()

"""A node with everybody on it, and its door."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from feira.platform.runtime.config import Config
from tests.integration.bad_input.door import Door
from tests.integration.cast import assemble
from tests.integration.sound_requests import bodies


@pytest.fixture
def node_config(node_config: Config, fresh_database_dsn: str) -> Config:
    """A database of its own: some of what is tried is allowed, and changes the whole market's commission."""
    return msgspec.structs.replace(node_config, postgres_dsn=fresh_database_dsn)


@pytest.fixture
async def door(node: RunningNode) -> AsyncIterator[Door]:
    cast = await assemble(node.market)
    async with ClientSession() as session:
        origin = f"http://127.0.0.1:{node.port}"
        yield Door(cast=cast, origin=origin, session=session, bodies=bodies(cast))

"""A node with everybody on it, and its door."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from tests.integration.bad_input.door import Door
from tests.integration.cast import assemble
from tests.integration.sound_requests import bodies


@pytest.fixture
async def door(node: RunningNode) -> AsyncIterator[Door]:
    cast = await assemble(node.market)
    async with ClientSession() as session:
        origin = f"http://127.0.0.1:{node.port}"
        yield Door(cast=cast, origin=origin, session=session, bodies=bodies(cast))

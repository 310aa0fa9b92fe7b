"""A chat on two nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from feira.platform.runtime.config import Config
from tests.integration.live import live_node, open_talk
from tests.integration.messaging.stage import Chat


@pytest.fixture
async def chat(config: Config) -> AsyncIterator[Chat]:
    async with live_node(config, "node-a") as one, live_node(config, "node-b") as other:
        yield Chat(nodes=(one, other), talk=await open_talk(one.database))

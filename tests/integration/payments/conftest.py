"""A served node on a database of its own, so that the invariants of the whole ledger can be asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from feira.app import open_node
from feira.platform.runtime.config import Config
from tests.integration.payments.floor import Floor


@pytest.fixture
async def floor(node_config: Config, fresh_database_dsn: str) -> AsyncIterator[Floor]:
    """Ends with the books checked: whatever a test did, no invariant may be broken."""
    config = msgspec.structs.replace(node_config, postgres_dsn=fresh_database_dsn)
    async with open_node(config) as running, aiohttp.ClientSession() as session:
        floor = Floor(market=running.market, session=session)
        yield floor
        if not floor.broken_on_purpose:
            assert await floor.findings() == []

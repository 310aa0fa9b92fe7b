"""A served node on a database of its own, so that the invariants of the whole ledger can be asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from feira.app import open_node
from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded import Endpoints
from tests.integration.payments.floor import Floor


@pytest.fixture
async def floor(
    node_config: Config, fresh_database_dsn: str, servers: Endpoints
) -> AsyncIterator[Floor]:
    """Ends with the books checked: whatever a test did, no invariant may be broken.

    The node signs in as those of `feira up` do, with no right to change what the ledger says.
    """
    path = urlsplit(fresh_database_dsn).path
    node_dsn = urlsplit(servers.postgres_node_dsn)._replace(path=path).geturl()
    config = msgspec.structs.replace(node_config, postgres_dsn=node_dsn)
    async with open_node(config) as running, aiohttp.ClientSession() as session:
        floor = Floor(market=running.market, session=session)
        yield floor
        if not floor.broken_on_purpose:
            assert await floor.findings() == []

"""One stage a test: throttles and jobs of other tests would get in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, DummyCookieJar

from feira.app import open_node
from feira.platform.runtime.config import Config
from tests.integration.conftest import free_port
from tests.integration.users.stage import Stage


@pytest.fixture
async def stage(config: Config, fresh_database_dsn: str, tmp_path: Path) -> AsyncIterator[Stage]:
    port = free_port()
    own = msgspec.structs.replace(
        config,
        postgres_dsn=fresh_database_dsn,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        mail_dir=tmp_path / "mail",
        drain_s=0.1,
    )
    (tmp_path / "mail").mkdir()
    async with open_node(own) as node, ClientSession(cookie_jar=DummyCookieJar()) as http:
        yield Stage(market=node.market, url=f"http://127.0.0.1:{node.port}", http=http)

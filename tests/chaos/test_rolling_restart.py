"""Both servers are restarted one after the other while people talk: all move on, and nobody misses anything."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from feira.platform.runtime.config import Config
from tests.chaos.rollout import rollout


@pytest.mark.timeout(240)
async def test_a_rolling_restart_loses_nothing(
    config: Config, fresh_database_dsn: str, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    await _restart_both(settings, tmp_path, talks=5, listeners=150, say_every_s=0.2)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_rolling_restart_under_two_thousand_sockets_loses_nothing(
    config: Config, fresh_database_dsn: str, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(config, postgres_dsn=fresh_database_dsn)
    await _restart_both(settings, tmp_path, talks=20, listeners=2_000, say_every_s=1.0)


async def _restart_both(
    config: Config, folder: Path, *, talks: int, listeners: int, say_every_s: float
) -> None:
    async with rollout(
        config, folder, talks=talks, listeners=listeners, say_every_s=say_every_s
    ) as scene:
        async with scene.talking():
            for server in scene.servers:
                await scene.restart(server)
        await scene.require_nothing_lost()
        # Those on the first server moved twice.
        assert sum(listener.farewells_due for listener in scene.listeners) == listeners * 3 // 2

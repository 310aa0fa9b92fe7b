"""Everything goes wrong in a random order while people talk: nothing is lost, doubled or out of order."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

import pytest

from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded.postgres import PostgresServer
from feira.platform.runtime.embedded.valkey import ValkeyServer
from tests.chaos.storm import require_promises, storm

SOAK_S: Final = float(os.environ.get("SOAK_S", "600"))


async def _weather(
    config: Config,
    postgres: PostgresServer,
    valkey: ValkeyServer,
    folder: Path,
    *,
    seconds: float,
    freeze_s: float,
) -> None:
    seed = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(2**32))
    print(f"STORM_SEED={seed}")
    async with storm(config, postgres, valkey, folder, seed) as scene:
        await scene.rage(seconds, freeze_s)
        print("; ".join(scene.happened))
        await require_promises(scene)
        for process in (*scene.servers, scene.worker):
            assert process.errors() == []


@pytest.mark.timeout(240)
async def test_a_short_storm_takes_nothing(
    config: Config, postgres: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    await _weather(config, postgres, valkey, tmp_path, seconds=1, freeze_s=1.5)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 600)
async def test_a_long_storm_takes_nothing(
    config: Config, postgres: PostgresServer, valkey: ValkeyServer, tmp_path: Path
) -> None:
    await _weather(config, postgres, valkey, tmp_path, seconds=SOAK_S, freeze_s=30)

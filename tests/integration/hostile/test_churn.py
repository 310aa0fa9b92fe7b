"""Sockets come and vanish by the thousand: when they are gone, nothing of them is."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from bench.stage import Stage, allow_many_sockets, free_port, make_talkers, open_stage
from feira.platform.runtime.config import Config
from tests.integration.hostile.churn import Churn, Visitor
from tests.integration.hostile.scene import require_nothing_referenced, scene_on
from tests.integration.hostile.soaking import ROUND_S, SOAK_S, chosen_seed

# An allocator settles at some height; what leaks has none.
GROWTH_KIB_MAX: Final = 12 * 1024


async def test_nothing_is_left_of_sockets_that_came_and_vanished(node_config: Config) -> None:
    async with scene_on(node_config) as scene:
        visitors = [
            Visitor(token=token, topic=scene.topic) for token in (scene.buyer, scene.seller)
        ]
        churn = Churn(port=scene.port, seed=chosen_seed())
        await churn.run(visitors, for_s=3)
        assert churn.visits > 20
        assert churn.said > 0
        await scene.require_all_gone()
        scene.node.node.passivate(older_than_s=0)
        await require_nothing_referenced()


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 120)
async def test_a_server_does_not_grow_with_those_who_were_there(
    config: Config, fresh_database_dsn: str
) -> None:
    port = free_port()
    changed: dict[str, Any] = {
        "postgres_dsn": fresh_database_dsn,
        "port": port,
        "public_url": f"http://127.0.0.1:{port}",
    }
    allow_many_sockets()
    async with open_stage(msgspec.structs.replace(config, **changed)) as stage:
        churn = Churn(port=port, seed=chosen_seed())
        await _rounds(stage, churn, SOAK_S / 3)
        files, before = await _settled(stage)
        warm = churn.visits
        await _rounds(stage, churn, SOAK_S * 2 / 3)
        files_after, after = await _settled(stage)
        print(
            f"{churn.visits - warm:,} sockets after {warm:,}: {before:,} KiB, then {after:,} KiB;"
            f" {files} files, then {files_after}"
        )
    assert after - before < GROWTH_KIB_MAX
    assert files_after <= files + 5


async def _rounds(stage: Stage, churn: Churn, for_s: float) -> None:
    """Tokens live for minutes, so every round has people of its own."""
    until = time.monotonic() + for_s
    while (left := until - time.monotonic()) > 1:
        talkers = await make_talkers(stage, 20)
        visitors = [
            Visitor(token=one.token, topic=f"conversation:{one.conversation}") for one in talkers
        ]
        await churn.run(visitors, for_s=min(ROUND_S, left))


async def _settled(stage: Stage) -> tuple[int, int]:
    """Open files and resident KiB of the server, when all have gone and nobody is active."""
    async with aiohttp.ClientSession(stage.url) as session, asyncio.timeout(60):
        while True:
            async with session.get("/metrics") as answer:
                if "\nfeira_sockets_open 0.0\n" in await answer.text():
                    break
            await asyncio.sleep(0.2)
    await asyncio.sleep(3)
    process = Path(f"/proc/{stage.server_pid}")
    status = (process / "status").read_text(encoding="utf-8")
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return sum(1 for _ in (process / "fd").iterdir()), int(resident.split()[1])

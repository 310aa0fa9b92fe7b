"""Random hostility against a live node: nothing fails that is not meant to, nothing is left, and the chat goes on."""

from __future__ import annotations

import time

import pytest

from feira.platform.runtime.config import Config
from feira.ws.limits import SocketLimits
from tests.integration.hostile.assault import Assault
from tests.integration.hostile.scene import Scene, require_nothing_referenced, scene_on, set_scene
from tests.integration.hostile.soaking import ROUND_S, SOAK_S, chosen_seed

LIMITS = SocketLimits(tick_s=0.1, close_within_s=0.5, connect_within_s=1.0)


async def assault(config: Config, *, for_s: float) -> None:
    async with scene_on(config, LIMITS) as scene:
        seed = chosen_seed()
        until = time.monotonic() + for_s
        while (left := until - time.monotonic()) > 1:
            await _under_assault(await set_scene(scene.node), seed, for_s=min(ROUND_S, left))
            seed += 1
        await scene.require_all_gone()
        await require_nothing_referenced()


async def _under_assault(scene: Scene, seed: int, *, for_s: float) -> None:
    assault = Assault(scene=scene, seed=seed)
    async with scene.chatting() as chat:
        before = chat.said
        await assault.run(for_s=for_s)
        await chat.goes_on()
        print(f"{assault.sockets} sockets, {assault.pieces} pieces, {chat.said - before} messages")
    # It got through to the commands, and was refused there.
    assert {"connect", "error"} <= assault.said


async def test_a_node_under_assault_fails_nowhere_and_serves_its_people(
    node_config: Config,
) -> None:
    await assault(node_config, for_s=3)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S + 120)
async def test_a_long_assault(node_config: Config) -> None:
    await assault(node_config, for_s=SOAK_S)

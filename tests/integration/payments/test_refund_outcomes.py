"""However an answer of the provider is lost, it gives a refund once, and we learn what came of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feira.platform.domain.errors import Unavailable
from feira.platform.domain.ids import RefundId
from feira.platform.runtime.config import to_environment
from feira.services.payments.refund_asking import ask_provider
from tests.integration.conftest import free_port
from tests.integration.payments.floor import Floor, Purchase

ROOT = Path(__file__).parents[3]


async def promised(floor: Floor) -> tuple[Purchase, RefundId]:
    bought = await floor.paid()
    return bought, await floor.refund(bought.order, 2_500)


async def until_given(floor: Floor, bought: Purchase, refund: RefundId) -> None:
    """Have the job tried again at once until it is over: then the provider gave it once."""

    async def is_over() -> bool:
        await floor.value("UPDATE jobs SET run_at = now() WHERE state = 'ready' RETURNING 1")
        return await floor.refund_state(refund) == "succeeded"

    await floor.until(is_over)
    assert await floor.provider_refunded(bought.payment) == 2_500
    assert len(await given(floor)) == 1


async def given(floor: Floor) -> list[dict[str, Any]]:
    _, answer = await floor.sandbox("GET", "/v1/test/effects")
    return [effect for effect in answer["effects"] if effect["kind"] == "refund"]


async def attempt(floor: Floor, refund: RefundId) -> int:
    return await floor.value("SELECT attempt FROM refunds WHERE id = $1", refund)


@pytest.mark.parametrize("fault", ["apply_then_hang_up", "saved_500"])
async def test_a_refund_that_was_carried_out_unheard_is_found_in_the_list(
    floor: Floor, fault: str
) -> None:
    bought, refund = await promised(floor)
    await floor.fault("refunds.create", fault)
    with pytest.raises(Unavailable):
        await ask_provider(floor.market, refund)
    answer = await ask_provider(floor.market, refund)
    (effect,) = await given(floor)
    assert (answer.reference, answer.client_reference) == (effect["id"], str(refund))
    assert await attempt(floor, refund) == 1
    await until_given(floor, bought, refund)


async def test_a_key_that_the_provider_has_forgotten_is_used_again_only_after_a_look(
    floor: Floor,
) -> None:
    bought, refund = await promised(floor)
    await floor.fault("refunds.create", "apply_then_hang_up")
    with pytest.raises(Unavailable):
        await ask_provider(floor.market, refund)
    await forget(floor, refund)
    await ask_provider(floor.market, refund)
    assert await attempt(floor, refund) == 1
    await until_given(floor, bought, refund)


async def test_only_where_nothing_is_found_a_forgotten_key_makes_room_for_a_new_one(
    floor: Floor,
) -> None:
    bought, refund = await promised(floor)
    await floor.fault("refunds.create", "refuse")
    with pytest.raises(Unavailable):
        await ask_provider(floor.market, refund)
    await forget(floor, refund)
    await asyncio.gather(*(ask_provider(floor.market, refund) for _ in range(4)))
    assert await attempt(floor, refund) == 2
    await until_given(floor, bought, refund)


async def forget(floor: Floor, refund: RefundId) -> None:
    """Two days pass."""
    await floor.value(
        "UPDATE refunds SET asked_at = now() - interval '2 days' WHERE id = $1 RETURNING 1", refund
    )
    await floor.value(
        "UPDATE sandbox.idempotency_keys SET created_at = now() - interval '2 days' RETURNING 1"
    )


@pytest.mark.parametrize("point", ["payments.refund.before_call", "payments.refund.after_call"])
async def test_a_worker_that_dies_around_the_call_leaves_one_refund(
    floor: Floor, point: str, tmp_path: Path
) -> None:
    bought, refund = await promised(floor)
    config = msgspec.structs.replace(floor.market.config, node_name="victim", port=free_port())
    with (tmp_path / "victim.log").open("wb") as log:
        victim = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.killed_at", point, "work"],
            cwd=ROOT,
            env={**os.environ, **to_environment(config)},
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(60):
            while victim.poll() is None:
                await asyncio.sleep(0.05)
    finally:
        victim.kill()
        victim.wait(10)
    said = (tmp_path / "victim.log").read_text()
    assert victim.returncode == -signal.SIGKILL, said
    assert len(await given(floor)) == (point == "payments.refund.after_call")
    # As the sweeper does once the lease of the dead is over.
    await floor.value(
        "UPDATE jobs SET state = 'ready', lease_until = NULL WHERE state IN ('queued', 'running') RETURNING 1"
    )
    await until_given(floor, bought, refund)

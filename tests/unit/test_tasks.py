"""Tasks end with their owner."""

from __future__ import annotations

import asyncio

from feira.platform.runtime.tasks import TaskOwner


async def test_a_task_that_swallows_its_first_cancellation_ends_all_the_same() -> None:
    owner = TaskOwner()

    async def deaf_once() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)

    task = owner.start(deaf_once(), name="deaf-once")
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await owner.close()
    assert task.cancelled()
    assert len(owner) == 0


async def test_tasks_get_their_grace_to_finish() -> None:
    owner = TaskOwner()
    done = asyncio.Event()

    async def finish() -> None:
        await asyncio.sleep(0.01)
        done.set()

    owner.start(finish(), name="finish")
    await owner.close(grace_s=10)
    assert done.is_set()

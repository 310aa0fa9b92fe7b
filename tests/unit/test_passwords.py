"""Hashing: its cost, its threads, and the letters of all keyboards."""

import asyncio
import threading

import pytest

from feira.platform.domain.errors import Unavailable
from feira.services.users.passwords import (
    HashingThreads,
    hash_password,
    is_outdated,
    is_password,
)


async def test_a_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    first, second = await hash_password("correct horse"), await hash_password("correct horse")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert await is_password(first, "correct horse")
    assert not await is_password(first, "correct horse ")
    assert not is_outdated(first)


async def test_nobody_s_hash_and_a_broken_one_match_nothing() -> None:
    assert not await is_password(None, "correct horse")
    assert not await is_password("$argon2id$broken", "correct horse")


async def test_an_accent_is_the_same_composed_or_not() -> None:
    hashed = await hash_password("caf\u00e9 com leite")
    assert await is_password(hashed, "cafe\u0301 com leite")


async def test_a_full_queue_says_come_back_and_a_cancelled_caller_leaves_it() -> None:
    threads, gate = HashingThreads(1, 2), threading.Event()
    running = asyncio.create_task(threads.run(gate.wait))
    waiting = asyncio.create_task(threads.run(lambda: True))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match=r"auth\.busy"):
        await threads.run(lambda: True)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    after = asyncio.create_task(threads.run(lambda: "after"))
    gate.set()
    assert await running
    assert await after == "after"

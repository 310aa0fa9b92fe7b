"""How much a user may say: each socket has its bucket, and all of a user's sockets on a node share one more."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

from feira.app import open_node
from feira.platform.domain.ids import UserId
from feira.platform.runtime.config import Config
from feira.ws.limits import SocketLimits, UserRates
from tests.integration.sockets import Client, connected, meet, opened

# Slow enough that a busy machine refills next to nothing meanwhile.
LIMITS = SocketLimits(user_messages_per_s=0.01, user_messages_burst=30)


async def ask_many(client: Client, count: int) -> list[dict[str, Any]]:
    return [await client.ask(ping={}) for _ in range(count)]


async def test_all_tabs_of_a_user_share_one_allowance_and_others_have_theirs(
    node_config: Config,
) -> None:
    async with open_node(node_config, socket_limits=LIMITS) as node:
        meeting = await meet(node)
        async with (
            opened(node) as first,
            opened(node) as second,
            opened(node) as other,
        ):
            await connected(first, meeting.buyer)
            await connected(second, meeting.buyer)
            await connected(other, meeting.seller)
            answers = [
                answer
                for asked in await asyncio.gather(ask_many(first, 20), ask_many(second, 20))
                for answer in asked
            ]
            granted = [answer for answer in answers if "ok" in answer]
            refused = [answer["error"] for answer in answers if "error" in answer]
            assert len(granted) == 30
            assert {error["code"] for error in refused} == {"socket.rate_limited"}
            assert all(error["retry_after"] > 0 for error in refused)
            # A new tab begins with nothing left either.
            async with opened(node) as third:
                await connected(third, meeting.buyer)
                assert "error" in await third.ask(ping={})
            assert all("ok" in answer for answer in await ask_many(other, 20))


async def test_who_goes_on_after_the_users_refusals_is_closed(node_config: Config) -> None:
    async with open_node(node_config, socket_limits=LIMITS) as node:
        meeting = await meet(node)
        async with opened(node) as flood:
            await connected(flood, meeting.buyer)
            for _ in range(6):
                await flood.socket.send_str("\n".join(['{"id":1,"ping":{}}'] * 50))
            assert await flood.closed() == 3013


def test_a_bucket_is_forgotten_only_when_it_is_as_good_as_new() -> None:
    rates, user = UserRates(LIMITS), UserId(uuid4())
    bucket = rates.of(user)
    assert all(bucket.take() for _ in range(30))
    assert not bucket.take()
    now = time.monotonic()
    rates.tick(now)
    assert rates.of(user) is bucket
    rates.tick(now + 30 / LIMITS.user_messages_per_s)
    assert rates.of(user) is not bucket
    assert rates.of(user).take()

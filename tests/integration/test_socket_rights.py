"""Rights that end while a socket is open: the subscription or the socket ends with them, on every node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec

from feira.app import open_node
from feira.platform.domain.topics import inbox_topic
from feira.platform.domain.user_events import RightsChanged
from feira.platform.runtime.config import Config
from feira.platform.runtime.tokens import ACCESS_TOKEN_S
from feira.sql.database import Tx
from feira.ws.close_codes import CloseCode
from feira.ws.limits import SocketLimits
from tests.integration.conftest import free_port
from tests.integration.sockets import Meeting, connected, meet, opened


def leave_team(meeting: Meeting) -> Callable[[Tx], Awaitable[str]]:
    async def work(tx: Tx) -> str:
        return await tx.con.execute(
            "DELETE FROM shop_members WHERE user_id = $1", meeting.seller.user
        )

    return work


async def test_who_leaves_a_team_stops_watching_its_shop_at_once_on_another_node(
    node_config: Config,
) -> None:
    other_config = msgspec.structs.replace(node_config, port=free_port(), node_name="other")
    async with open_node(node_config) as node, open_node(other_config) as other:
        meeting = await meet(node)
        topic = f"shop:{meeting.talk.shop}"
        async with opened(other) as seller:
            await connected(seller, meeting.seller)
            assert "subscribe" in await seller.ask(subscribe={"topic": topic})

            async def leave(tx: Tx) -> None:
                await leave_team(meeting)(tx)
                tx.emit(inbox_topic(meeting.seller.user), RightsChanged())

            await node.market.database.transact(leave)
            lost = await seller.until(lambda message: "unsubscribed" in message)
            assert lost["unsubscribed"] == {"topic": topic, "reason": "rights lost"}
            assert "error" in await seller.ask(subscribe={"topic": topic})


async def test_a_change_that_nobody_told_is_found_by_the_next_round(node_config: Config) -> None:
    limits = SocketLimits(recheck_every_s=0.2)
    async with open_node(node_config, socket_limits=limits) as node:
        meeting = await meet(node)
        topic = f"shop:{meeting.talk.shop}"
        async with opened(node) as seller, opened(node) as buyer:
            await connected(seller, meeting.seller)
            await connected(buyer, meeting.buyer)
            await seller.ask(subscribe={"topic": topic})
            await node.market.database.transact(leave_team(meeting))
            lost = await seller.until(lambda message: "unsubscribed" in message)
            assert lost["unsubscribed"]["topic"] == topic

            async def suspend(tx: Tx) -> str:
                return await tx.con.execute(
                    "UPDATE users SET status = 'suspended' WHERE id = $1", meeting.buyer.user
                )

            await node.market.database.transact(suspend)
            assert await buyer.closed() == CloseCode.SESSION_ENDED
            assert "ok" in await seller.ask(ping={})


async def test_a_refresh_takes_a_token_of_the_same_session_only_also_when_the_old_one_is_over(
    node_config: Config,
) -> None:
    async with open_node(node_config) as node:
        meeting = await meet(node)
        buyer, tokens = meeting.buyer, node.market.tokens
        almost_over = datetime.now(UTC) - timedelta(seconds=ACCESS_TOKEN_S - 1)
        token, ends_at = tokens.issue(buyer.user, buyer.session, almost_over)
        async with opened(node) as client:
            await client.ask(connect={"token": token})
            while datetime.now(UTC) < ends_at + timedelta(seconds=1):
                await asyncio.sleep(0.1)
            refused = await client.ask(refresh={"token": meeting.seller.token})
            assert refused["error"]["code"] == "auth.other_session"
            renewed = await client.ask(refresh={"token": buyer.token})
            assert datetime.fromisoformat(renewed["ok"]["expires_at"]) > ends_at

"""Several tabs of one user, on two nodes: each hears everything, also what the others of them said."""

from __future__ import annotations

import msgspec

from feira.app import open_node
from feira.platform.runtime.config import Config
from tests.integration.conftest import free_port
from tests.integration.sockets import connected, meet, opened, text_message


async def test_what_one_tab_says_and_reads_reaches_the_others_and_the_user_is_there_once(
    node_config: Config,
) -> None:
    other_config = msgspec.structs.replace(node_config, port=free_port(), node_name="other")
    async with open_node(node_config) as node, open_node(other_config) as other:
        meeting = await meet(node)
        async with (
            opened(node) as first,
            opened(node, "msgpack") as second,
            opened(other) as third,
            opened(other) as seller,
        ):
            tabs = (first, second, third)
            for tab in tabs:
                await connected(tab, meeting.buyer)
                await tab.ask(subscribe={"topic": meeting.topic})
            await connected(seller, meeting.seller)
            state = (await seller.ask(subscribe={"topic": meeting.topic}))["subscribe"]["state"]
            assert state["online"].count(str(meeting.buyer.user)) == 1
            assert (await first.ask(send=text_message(meeting.topic, "Bom dia")))["ok"]["seq"] == 1
            echoes = [await tab.event(1) for tab in tabs]
            assert echoes[0] == echoes[1] == echoes[2]
            assert (await seller.ask(send=text_message(meeting.topic, "Olá")))["ok"]["seq"] == 2
            for tab in tabs:
                await tab.event(2)
            await second.ask(read={"topic": meeting.topic, "seq": 2})
            for tab in tabs:
                moved = await tab.until(
                    lambda message: (
                        message.get("cursor", {}).get("user") == str(meeting.buyer.user)
                        and message["cursor"]["read_seq"] == 2
                    )
                )
                assert moved["cursor"]["topic"] == meeting.topic

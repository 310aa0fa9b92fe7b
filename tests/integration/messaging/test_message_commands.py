"""Edits, deletions, replies, reactions and search as clients ask for them: over sockets and over REST."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from feira.app import RunningNode
from feira.client.api import ApiProblem
from feira.client.socket import SocketProblem
from feira.client.thread import Thread
from feira.platform.domain.messages import TEXT_CHARS_MAX
from tests.integration.live import eventually
from tests.integration.test_client_socket import Person, signed_in, start_talk
from tests.integration.test_conversations import People, people, say

__all__ = ["people"]


@pytest.fixture
async def conversation(people: People) -> str:
    return (await people.buyer.post("/v1/conversations", {"shop": people.shop}))["id"]


async def test_sockets_that_break_change_everything_once(node: RunningNode) -> None:
    talk = await start_talk(node)
    url = f"http://127.0.0.1:{node.port}"
    async with (
        aiohttp.ClientSession() as http,
        signed_in(url, http, talk.buyer_mail) as buyer,
        signed_in(url, http, talk.seller_mail, "msgpack") as seller,
        asyncio.timeout(60),
    ):
        threads: dict[Person, Thread] = {buyer: Thread(), seller: Thread()}
        for person, thread in threads.items():
            await person.socket.watch(talk.topic, thread.apply)
        message = (await buyer.socket.send(talk.topic, "It is blue")).seq
        answer = (await seller.socket.send(talk.topic, "Really?", reply_to=message)).seq

        async def dropping(who: Person, asking: Any) -> None:
            task = asyncio.create_task(asking)
            await asyncio.sleep(0)
            who.socket.drop()
            await task

        await dropping(buyer, buyer.socket.edit(talk.topic, message, "It is green"))
        await dropping(seller, seller.socket.react(talk.topic, message, "👍"))
        await dropping(buyer, buyer.socket.react(talk.topic, answer, "🙏"))
        await dropping(buyer, buyer.socket.react(talk.topic, answer, "🙏", remove=True))
        last = await seller.socket.delete(talk.topic, answer)
        assert last == 7
        page = await buyer.api.get(f"/v1/conversations/{talk.conversation}/messages")
        assert page["seq"] == last
        await eventually(lambda: all(thread.items == page["items"] for thread in threads.values()))
        green, gone = page["items"]
    assert (green["body"]["text"], gone["reply"]) == ("It is green", None)
    assert green["reactions"] == [{"emoji": "👍", "users": [seller.api.user]}]
    assert buyer.socket.reconnects > 0


async def test_sockets_say_what_is_wrong_and_live_on(node: RunningNode) -> None:
    mine, others = await start_talk(node), await start_talk(node)
    url = f"http://127.0.0.1:{node.port}"
    async with aiohttp.ClientSession() as http, signed_in(url, http, mine.buyer_mail) as buyer:
        message = (await buyer.socket.send(mine.topic, "Bom dia")).seq
        wrong = {
            "conversation.not_found": buyer.socket.edit(others.topic, 1, "Hi"),
            "message.not_found": buyer.socket.edit(mine.topic, 99, "Hi"),
            "request.invalid": buyer.socket.edit(mine.topic, message, "x" * (TEXT_CHARS_MAX + 1)),
            "reaction.not_an_emoji": buyer.socket.react(mine.topic, message, "<script>"),
            "topic.not_a_conversation": buyer.socket.delete("ops", message),
        }
        for code, asking in wrong.items():
            with pytest.raises(SocketProblem) as refused:
                await asking
            assert refused.value.code == code
        for topic, code in (
            (mine.topic, "message.not_found"),
            (others.topic, "conversation.not_found"),
        ):
            with pytest.raises(SocketProblem) as refused:
                await buyer.socket.send(topic, "Hm?", reply_to=99)
            assert refused.value.code == code
        assert (await buyer.socket.send(mine.topic, "Still here", reply_to=message)).seq == 2


async def test_a_reply_may_only_quote_what_was_said_here(people: People, conversation: str) -> None:
    first = (await say(people.buyer, conversation, "Bom dia"))["seq"]
    path = f"/v1/conversations/{conversation}/messages"
    reply = {"client_id": str(uuid4()), "text": "Olá", "reply_to": first}
    assert (await people.seller.post(path, reply))["seq"] == first + 1
    await people.buyer.post(f"{path}/{first}/reactions", {"client_id": str(uuid4()), "emoji": "👍"})
    for other in (first + 2, first + 3, 2**53):
        with pytest.raises(ApiProblem) as caught:
            await people.seller.post(
                path, {"client_id": str(uuid4()), "text": "Olá", "reply_to": other}
            )
        assert (caught.value.status, caught.value.code) == (404, "message.not_found")
    entry = await people.buyer.get(f"{path}/{first + 1}")
    assert entry["reply"] == {
        "seq": first,
        "sender": people.buyer.user,
        "text": "Bom dia",
        "deleted": False,
    }


async def test_lists_show_the_last_message_as_it_reads_now(
    people: People, conversation: str
) -> None:
    first = (await say(people.buyer, conversation, "One"))["seq"]
    last = (await say(people.buyer, conversation, "Two"))["seq"]
    path = f"/v1/conversations/{conversation}/messages"
    await people.seller.post(
        f"{path}/{first}/reactions", {"client_id": str(uuid4()), "emoji": "👍"}
    )

    async def shown() -> tuple[dict[str, Any], int]:
        [listed] = (await people.seller.get("/v1/conversations"))["items"]
        return listed["last_message"], listed["unread"]

    assert (await shown())[0]["text"] == "Two"
    await people.buyer.patch(f"{path}/{last}", {"client_id": str(uuid4()), "text": "Three"})
    assert (await shown())[0]["text"] == "Three"
    await people.buyer.delete(f"{path}/{last}")
    message, unread = await shown()
    assert "text" not in message
    assert "deleted_at" in message
    assert unread == 2


async def test_search_finds_words_as_they_read_now_newest_first(
    people: People, conversation: str
) -> None:
    path = f"/v1/conversations/{conversation}"
    said = [
        (await say(people.buyer, conversation, text))["seq"]
        for text in (
            "Ainda tem a MÁQUINA de café?",
            "A máquina está vendida",
            "maquinaria pesada, ligue 10% mais",
            "nothing to see",
            "mAq <b>uina</b>",
        )
    ]

    async def found(words: str, **more: Any) -> list[int]:
        page = await people.seller.get(f"{path}/search", q=words, **more)
        return [item["seq"] for item in page["items"]]

    assert await found("maquina") == [said[2], said[1], said[0]]
    assert await found("Máquina, CAFÉ!") == [said[0]]
    assert await found("10%") == [said[2]]
    assert await found("de & café | !x:*") == []
    await people.buyer.delete(f"{path}/messages/{said[2]}")
    await people.buyer.patch(
        f"{path}/messages/{said[3]}", {"client_id": str(uuid4()), "text": "outra máquina"}
    )
    assert await found("maquina") == [said[3], said[1], said[0]]
    assert await found("nothing") == []
    pages: list[int] = []
    before: int | None = None
    while True:
        page = await people.seller.get(f"{path}/search", q="maquina", limit=1, before=before)
        pages += [item["seq"] for item in page["items"]]
        before = page["next_before"]
        if before is None:
            break
    assert pages == [said[3], said[1], said[0]]
    with pytest.raises(ApiProblem) as caught:
        await found(" -- !?")
    assert caught.value.code == "search.no_words"
    with pytest.raises(ApiProblem) as caught:
        await people.stranger.get(f"{path}/search", q="maquina")
    assert caught.value.code == "conversation.not_found"

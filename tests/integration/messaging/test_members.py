"""Support in a conversation: asked for, seen by everybody when it joins, and gone at once when it leaves."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from feira.app import RunningNode
from feira.platform.domain.errors import FeiraError, NotAllowed, NotFound, Rejected
from feira.platform.domain.ids import UserId
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import OPS, inbox_topic
from feira.services.messaging.conversations import list_conversations, read_members
from feira.services.messaging.history import read_history
from feira.services.messaging.members import (
    AddMember,
    AskForSupport,
    add_member,
    ask_for_support,
    list_support_requests,
    remove_member,
)
from feira.services.users.accounts import create_user
from feira.sql.database import Tx
from tests.integration.cast import assemble
from tests.integration.live import Watching, eventually, open_talk
from tests.integration.messaging.stage import Chat, events_of, followed
from tests.integration.test_sockets import opened

NEEDS_HELP = AskForSupport(reason="It came in pieces.")


async def helper(chat: Chat, name: str = "Helper") -> Principal:
    async def make(tx: Tx) -> UserId:
        email = f"{uuid4().hex}@support.example"
        return await create_user(
            tx, email=email, password_hash="-", display_name=name, roles=frozenset({"support"})
        )

    user = await chat.nodes[0].database.transact(make)
    return msgspec.structs.replace(
        chat.buyer, user_id=user, display_name=name, roles=chat.buyer.roles | {"support"}
    )


async def ask(chat: Chat, who: Principal, *, on: int = 0) -> Any:
    return await chat.nodes[on].database.transact(
        lambda tx: ask_for_support(tx, who, chat.talk.conversation, NEEDS_HELP)
    )


async def add(chat: Chat, who: Principal, user: UserId | None = None, *, on: int = 0) -> Any:
    return await chat.nodes[on].database.transact(
        lambda tx: add_member(tx, who, chat.talk.conversation, AddMember(user=user))
    )


async def remove(chat: Chat, who: Principal, user: UserId, *, on: int = 0) -> None:
    await chat.nodes[on].database.transact(
        lambda tx: remove_member(tx, who, chat.talk.conversation, user)
    )


async def waiting(chat: Chat, who: Principal) -> list[Any]:
    async with chat.nodes[0].database.connection() as con:
        requests = await list_support_requests(con, who, limit=100)
    return [each for each in requests.items if each.conversation_id == chat.talk.conversation]


async def test_support_is_asked_for_joins_in_everybodys_sight_and_reads_what_was_said(
    chat: Chat,
) -> None:
    ana = await helper(chat, "Ana")
    buyer = await chat.watch(chat.buyer, on=1)
    operators, own = Watching(ana.user_id), Watching(ana.user_id)
    await chat.nodes[1].node.subscribe(OPS, operators, None)
    await chat.nodes[1].node.subscribe(inbox_topic(ana.user_id), own, None)
    await chat.say(chat.buyer, "It is broken")
    asked = await ask(chat, chat.buyer)
    assert await ask(chat, chat.seller, on=1) == asked
    assert [each.reason for each in await waiting(chat, ana)] == [NEEDS_HELP.reason]
    joined = await add(chat, ana)
    assert (joined.role, joined.display_name) == ("support", "Ana")
    assert await waiting(chat, ana) == []
    await chat.say(ana, "How can I help?")
    await eventually(lambda: buyer.seqs == [1, 2, 3, 4])
    kinds = [event["body"]["kind"] for event in buyer.of("event")]
    assert kinds == ["message", "support.requested", "member.added", "message"]
    await eventually(
        lambda: any(
            event["body"]["kind"] == "conversation.support_wanted"
            and event["body"]["conversation"] == str(chat.talk.conversation)
            for event in operators.of("event")
        )
    )
    await eventually(
        lambda: [event["body"]["kind"] for event in own.of("event")] == ["conversation.opened"]
    )
    async with chat.nodes[0].database.connection() as con:
        page = await read_history(con, ana.user_id, chat.talk.conversation, before=None, limit=10)
        members = await read_members(con, chat.talk.conversation)
        listed = await list_conversations(con, ana.user_id, cursor=None, limit=10)
    assert [entry.seq for entry in page.items] == [1, 2, 3, 4]
    assert {member.role for member in members} == {"buyer", "shop", "support"}
    assert [view.unread for view in listed.items] == [0]
    assert followed(events_of(buyer, chat.topic)).items == await chat.fresh()


async def test_whoever_joins_has_nothing_unread_but_what_is_said_from_then_on(chat: Chat) -> None:
    ana = await helper(chat)
    for number in range(3):
        await chat.say(chat.buyer, f"{number}")
    await chat.react(chat.seller, 1)
    await add(chat, ana)

    async def unread() -> int:
        async with chat.nodes[0].database.connection() as con:
            listed = await list_conversations(con, ana.user_id, cursor=None, limit=1)
        return listed.items[0].unread

    assert await unread() == 0
    await chat.say(chat.buyer, "Are you there?")
    await chat.react(chat.seller, 1, "🙏")
    assert await unread() == 1


async def test_whoever_is_taken_out_hears_and_says_nothing_from_then_on(chat: Chat) -> None:
    ana, rui = await helper(chat, "Ana"), await helper(chat, "Rui")
    await add(chat, ana)
    await add(chat, ana, rui.user_id)
    seller, removed = await chat.watch(chat.seller), await chat.watch(rui, on=1)
    await chat.say(chat.buyer, "Hello?")
    await remove(chat, ana, rui.user_id)
    await chat.say(chat.buyer, "Only for us")
    await eventually(lambda: removed.lost == [chat.topic])
    await eventually(lambda: seller.seqs == [3, 4, 5])
    # The last thing that they hear is that they are out.
    assert removed.seqs == [3, 4]
    for on in (0, 1):
        with pytest.raises(NotFound):
            await chat.say(rui, "One more thing", on=on)
        with pytest.raises(NotFound):
            await chat.react(rui, 3, on=on)
        # Whoever was let in a moment before is not in all the same.
        with pytest.raises(NotFound):
            await chat.nodes[on].node.subscribe(chat.topic, Watching(rui.user_id), None)
    assert not [each for each in removed.of("event") if each["seq"] > 4]
    async with chat.nodes[0].database.connection() as con:
        with pytest.raises(NotFound):
            await read_history(con, rui.user_id, chat.talk.conversation, before=None, limit=1)
    await remove(chat, ana, ana.user_id)
    assert [item["body"]["kind"] for item in await chat.fresh()] == [
        "member.added", "member.added", "message", "member.removed", "message", "member.removed",
    ]  # fmt: skip


async def test_a_removal_that_the_bus_lost_takes_the_rights_all_the_same(chat: Chat) -> None:
    ana = await helper(chat)
    await add(chat, ana)
    removed = await chat.watch(ana, on=1)
    chat.nodes[1].bus.unwatch([str(chat.topic)])
    await remove(chat, ana, ana.user_id)
    await chat.say(chat.buyer, "Only for us")
    await eventually(lambda: removed.lost == [chat.topic], within_s=20)
    # What was said since was read in one batch with the removal, and is not for them.
    assert removed.seqs == [2]


async def test_many_who_ask_or_join_at_once_are_one(chat: Chat) -> None:
    ana = await helper(chat)
    asked = await asyncio.gather(
        *(ask(chat, who, on=n % 2) for n, who in enumerate((chat.buyer, chat.seller) * 3))
    )
    assert len({each.requested_by for each in asked}) == 1
    await asyncio.gather(*(add(chat, ana, on=n % 2) for n in range(6)))
    kinds = [item["body"]["kind"] for item in await chat.fresh()]
    assert kinds == ["support.requested", "member.added"]


async def test_who_may_not_is_told_why(chat: Chat) -> None:
    ana = await helper(chat)
    stranger = (await open_talk(chat.nodes[0].database)).buyer
    with pytest.raises(NotFound):
        await ask(chat, stranger)
    with pytest.raises(NotAllowed):
        await add(chat, chat.buyer)
    await add(chat, ana)
    refused: dict[str, Any] = {
        "conversation.support_is_here": ask(chat, chat.buyer),
        "conversation.not_support": add(chat, ana, stranger.user_id),
        "conversation.party_stays": remove(chat, ana, chat.buyer.user_id),
        "member.not_found": remove(chat, ana, stranger.user_id),
        "conversation.not_found": remove(chat, stranger, ana.user_id),
        "auth.not_allowed": remove(chat, chat.buyer, ana.user_id),
    }
    for code, asking in refused.items():
        with pytest.raises(FeiraError) as caught:
            await asking
        assert caught.value.code == code
    async with chat.nodes[0].database.connection() as con:
        await con.execute("UPDATE users SET roles = '{admin}' WHERE id = $1", chat.buyer.user_id)
    judge = msgspec.structs.replace(chat.buyer, roles=chat.buyer.roles | {"admin"})
    with pytest.raises(Rejected) as own:
        await add(chat, judge)
    assert own.value.code == "conversation.is_party"


async def test_a_socket_is_told_that_its_right_is_lost_and_lives_on(node: RunningNode) -> None:
    cast = await assemble(node.market)
    topic = f"conversation:{cast.ids['conversation']}"
    ana = cast.people["support"]
    path = f"/v1/conversations/{cast.ids['conversation']}/members"
    import aiohttp

    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{node.port}") as http,
        opened(node) as socket,
    ):
        await socket.ask(connect={"token": ana.token})
        assert "error" in await socket.ask(subscribe={"topic": topic})
        async with http.post(path, json={}, headers=cast.headers("support")) as joined:
            assert joined.status == 201
        assert "subscribe" in await socket.ask(subscribe={"topic": topic})
        async with http.delete(f"{path}/{ana.user}", headers=cast.headers("support")) as left:
            assert left.status == 204
        lost = await socket.until(lambda message: "unsubscribed" in message)
        assert lost["unsubscribed"] == {"topic": topic, "reason": "rights lost"}
        assert "error" in await socket.ask(subscribe={"topic": topic})
        assert "ok" in await socket.ask(ping={})

"""Whoever does not want to be seen is not: in snapshots, in pushes, over REST, and from that moment on."""

from __future__ import annotations

import aiohttp

from feira.app import RunningNode
from tests.integration.sockets import meet, opened


async def test_who_hides_is_online_to_nobody_and_may_come_back(node: RunningNode) -> None:
    meeting = await meet(node)
    buyer = str(meeting.buyer.user)
    headers = {"Authorization": f"Bearer {meeting.buyer.token}"}
    me = f"http://127.0.0.1:{node.port}/v1/me"

    async def set_visible(visible: bool) -> None:  # noqa: FBT001
        async with aiohttp.ClientSession(headers=headers) as http:
            async with http.get(me) as answer:
                version = (await answer.json())["version"]
            change = {"version": version, "last_seen_visible": visible}
            async with http.patch(me, json=change) as answer:
                assert (await answer.json())["last_seen_visible"] is visible

    async with opened(node) as seller, opened(node) as hidden:
        await seller.ask(connect={"token": meeting.seller.token})
        await seller.ask(subscribe={"topic": meeting.topic})
        await hidden.ask(connect={"token": meeting.buyer.token})
        await set_visible(visible=False)
        await hidden.ask(subscribe={"topic": meeting.topic})
        async with opened(node) as another:
            await another.ask(connect={"token": meeting.seller.token})
            seen = await another.ask(subscribe={"topic": meeting.topic})
        state = seen["subscribe"]["state"]
        assert buyer not in state["online"]
        hides = {member["user_id"]: member["last_seen_visible"] for member in state["members"]}
        assert hides[buyer] is False
        # Visible again, and hidden again, while watching: the others are told at once.
        for visible in (True, False):
            await set_visible(visible=visible)
            news = await seller.until(
                lambda message: message.get("presence", {}).get("user") == buyer
            )
            assert news["presence"]["online"] is visible


async def test_last_seen_is_shown_only_of_those_who_want_it(node: RunningNode) -> None:
    meeting = await meet(node)
    async with node.market.database.connection() as con:
        await con.execute(
            "UPDATE users SET last_seen_at = now(), last_seen_visible = id <> $1 WHERE id = ANY ($2)",
            meeting.buyer.user,
            [meeting.buyer.user, meeting.seller.user],
        )
    path = f"/v1/conversations/{meeting.talk.conversation}/members"
    url = f"http://127.0.0.1:{node.port}{path}"
    headers = {"Authorization": f"Bearer {meeting.seller.token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
        members = {member["user_id"]: member for member in (await answer.json())["items"]}
    assert members[str(meeting.buyer.user)]["last_seen_at"] is None
    assert members[str(meeting.seller.user)]["last_seen_at"] is not None

"""Reports: members tell, moderators decide once, and everybody concerned learns of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from feira.app import RunningNode
from feira.platform.domain.ids import ReportId
from feira.services.messaging.moderation import notices_of_report
from tests.integration.cast import Cast, Part, assemble
from tests.integration.sockets import opened


@dataclass(frozen=True)
class Room:
    """The buyer and the owner talk; support and an admin moderate."""

    cast: Cast
    node: RunningNode
    http: aiohttp.ClientSession

    async def ask(
        self, part: Part, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, Any]:
        headers = self.cast.headers(part)
        async with self.http.request(method, path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def done(
        self, part: Part, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        status, answer = await self.ask(part, method, path, body)
        assert status < 300, answer
        return answer

    async def say(self, part: Part, text: str, client_id: str | None = None) -> tuple[int, Any]:
        path = f"/v1/conversations/{self.cast.ids['conversation']}/messages"
        body = {"client_id": client_id or str(uuid4()), "text": text}
        return await self.ask(part, "POST", path, body)

    async def report(self, part: Part = "owner", **what: Any) -> Any:
        wanted = {"conversation": self.cast.ids["conversation"], "reason": "fraud"} | what
        return await self.done(part, "POST", "/v1/reports", wanted)

    async def decide(self, part: Part, report: str, **decision: Any) -> tuple[int, Any]:
        path = f"/v1/admin/reports/{report}/decision"
        return await self.ask(part, "POST", path, {"why": "Seen it."} | decision)

    @property
    def message(self) -> int:
        """One of the buyer's."""
        return int(self.cast.ids["message"])


@pytest.fixture
async def room(node: RunningNode) -> AsyncIterator[Room]:
    cast = await assemble(node.market)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{node.port}") as http:
        yield Room(cast, node, http)


async def test_the_same_thing_is_reported_once_by_each(room: Room) -> None:
    first = await room.report(message=room.message, text="They want me to pay elsewhere.")
    again = await room.report(message=room.message, reason="spam")
    assert again == first
    assert first["state"] == "open"
    whole = await room.report()
    assert (whole["id"], whole["message_seq"]) != (first["id"], None)
    other = await room.report("staff", message=room.message)
    assert other["id"] != first["id"]
    page = await room.done("owner", "GET", "/v1/reports?limit=1")
    assert [item["id"] for item in page["items"]] == [whole["id"]]
    rest = await room.done("owner", "GET", f"/v1/reports?cursor={page['next_cursor']}")
    assert first["id"] in [item["id"] for item in rest["items"]]
    assert other["id"] not in [item["id"] for item in rest["items"]]


async def test_at_once_from_two_devices_it_is_still_one_report(room: Room) -> None:
    made = await asyncio.gather(*[room.report(message=room.message) for _ in range(4)])
    assert len({report["id"] for report in made}) == 1


@pytest.mark.parametrize(
    ("part", "message", "code"),
    [
        ("other_buyer", None, "conversation.not_found"),
        ("buyer", 0, "report.own_message"),
        ("owner", 9_999, "message.not_found"),
    ],
)
async def test_one_reports_what_others_said_where_one_belongs(
    room: Room, part: Part, message: int | None, code: str
) -> None:
    wanted: dict[str, Any] = {
        "conversation": room.cast.ids["conversation"],
        "reason": "spam",
    }
    if message is not None:
        wanted["message"] = message or room.message
    _, problem = await room.ask(part, "POST", "/v1/reports", wanted)
    assert problem["code"] == code


async def test_moderators_see_the_oldest_open_report_first_with_what_was_said(room: Room) -> None:
    oldest = (await room.report(message=room.message))["id"]
    newer = (await room.report())["id"]
    status, _ = await room.decide("support", oldest, action="dismiss")
    assert status == 200
    seen: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await room.done("support", "GET", f"/v1/admin/reports?limit=1{cursor}")
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    states = [item["state"] for item in seen]
    assert states == sorted(states, key=lambda state: state != "open")
    ids = [item["id"] for item in seen]
    assert ids.index(newer) < ids.index(oldest)
    (dismissed,) = [item for item in seen if item["id"] == oldest]
    assert dismissed["message"]["text"] == "Bom dia"
    assert dismissed["decided_by"] == str(room.cast.people["support"].user)
    assert (dismissed["why"], dismissed["sender_id"]) == (
        "Seen it.",
        str(room.cast.people["buyer"].user),
    )
    page = await room.done("admin", "GET", "/v1/admin/reports?state=dismissed&limit=100")
    assert {item["state"] for item in page["items"]} == {"dismissed"}


async def test_what_is_claimed_is_decided_by_who_claimed_it_and_once(room: Room) -> None:
    report = (await room.report(message=room.message))["id"]
    claimed = await room.done("support", "POST", f"/v1/admin/reports/{report}/claim")
    assert claimed["claimed_by"] == str(room.cast.people["support"].user)
    status, problem = await room.ask("admin", "POST", f"/v1/admin/reports/{report}/claim")
    assert (status, problem["code"]) == (409, "report.claimed")
    status, problem = await room.decide("admin", report, action="dismiss")
    assert (status, problem["code"]) == (409, "report.claimed")
    # Half an hour later nobody waits for them any more.
    async with room.cast.market.database.connection() as con:
        await con.execute(
            "UPDATE reports SET claimed_at = claimed_at - interval '31 minutes' WHERE id = $1",
            report,
        )
    answers = await asyncio.gather(
        *[room.decide("admin", report, action="dismiss") for _ in range(3)]
    )
    assert sorted(status for status, _ in answers) == [200, 409, 409]
    assert {body.get("code") for _, body in answers} == {None, "report.decided"}


async def test_a_removed_message_is_a_tombstone_and_the_evidence_stays(room: Room) -> None:
    report = (await room.report(message=room.message))["id"]
    status, decided = await room.decide("support", report, action="remove_message")
    assert (status, decided["state"]) == (200, "message_removed")
    assert decided["message"]["text"] == "Bom dia"
    path = f"/v1/conversations/{room.cast.ids['conversation']}/messages/{room.message}"
    body = (await room.done("owner", "GET", path))["body"]
    assert "text" not in body
    assert body["deleted_at"]
    whole = (await room.report())["id"]
    status, problem = await room.decide("support", whole, action="remove_message")
    assert (status, problem["code"]) == (400, "report.no_message")


async def test_whoever_is_limited_says_nothing_for_so_long_and_is_told_until_when(
    room: Room,
) -> None:
    said = str(uuid4())
    _, before = await room.say("buyer", "Pay me by wire.", said)
    report = (await room.report(message=before["seq"]))["id"]
    buyer = room.cast.people["buyer"]
    async with opened(room.node) as ops, opened(room.node) as sender:
        await ops.ask(connect={"token": room.cast.people["admin"].token})
        await ops.ask(subscribe={"topic": "ops"})
        await sender.ask(connect={"token": buyer.token})
        await sender.ask(subscribe={"topic": f"inbox:{buyer.user}"})
        status, decided = await room.decide("admin", report, action="limit_sender", hours=24)
        assert (status, decided["state"]) == (200, "sender_limited")
        news = await ops.until(
            lambda message: (
                message.get("event", {}).get("body", {}).get("kind") == "report.decided"
                and message["event"]["body"]["report"] == report
            )
        )
        assert news["event"]["body"]["by"] == str(room.cast.people["admin"].user)
        told = await sender.until(
            lambda message: (
                message.get("event", {}).get("body", {}).get("kind") == "posting.limited"
            )
        )
        until = told["event"]["body"]["until"]
        topic = f"conversation:{room.cast.ids['conversation']}"
        refused = await sender.ask(send={"topic": topic, "client_id": str(uuid4()), "text": "Oi"})
        assert refused["error"]["code"] == "posting.limited"
        assert until[:10] in refused["error"]["message"]
    status, problem = await room.say("buyer", "Hello?")
    assert (status, problem["code"]) == (422, "posting.limited")
    assert problem["details"]["until"][:19] == until[:19]
    # What was said before stays acknowledged, but is not reworded; and no new conversation is a way around it.
    assert (await room.say("buyer", "Pay me by wire.", said))[1]["seq"] == before["seq"]
    path = f"/v1/conversations/{room.cast.ids['conversation']}/messages/{before['seq']}"
    edit = {"client_id": str(uuid4()), "text": "Pay me by cheque."}
    assert (await room.ask("buyer", "PATCH", path, edit))[1]["code"] == "posting.limited"
    opening = {"shop": str(room.cast.rival_shop)}
    _, problem = await room.ask("buyer", "POST", "/v1/conversations", opening)
    assert problem["code"] == "posting.limited"
    # The others speak, and so does the limited one once it is over.
    assert (await room.say("owner", "Good."))[0] == 201
    async with room.cast.market.database.connection() as con:
        notices = await notices_of_report(con, ReportId(report))
        await con.execute(
            "UPDATE posting_limits SET until = now() - interval '1 s' WHERE user_id = $1",
            buyer.user,
        )
    assert (await room.say("buyer", "I am sorry."))[0] == 201
    kinds = {user: type(notice).__struct_config__.tag for user, notice in notices.items()}
    assert kinds == {
        room.cast.people["owner"].user: "report.decided",
        buyer.user: "posting.limited",
    }


async def test_where_a_conversation_was_reported_the_moderator_names_whom_to_limit(
    room: Room,
) -> None:
    report = (await room.report())["id"]
    limit = {"action": "limit_sender", "hours": 1}
    people = room.cast.people
    for user in (None, people["other_buyer"].user):
        status, problem = await room.decide(
            "support", report, **limit, user=None if user is None else str(user)
        )
        assert (status, problem["code"]) == (400, "report.whom")
    status, _ = await room.decide("support", report, **limit, user=str(people["buyer"].user))
    assert status == 200
    assert (await room.say("buyer", "Hello?"))[1]["code"] == "posting.limited"

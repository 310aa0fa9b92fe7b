"""Operators over HTTP: what waits, what died, and giving it another chance; and the caller's notifications."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import ClientSession

from feira.app import RunningNode, open_node
from feira.platform.domain.ids import ConversationId
from feira.platform.domain.notices import UnreadMessagesNotice
from feira.platform.domain.permissions import Principal
from feira.platform.domain.topics import OPS
from feira.platform.runtime.config import Config
from feira.services.notifications.notifications import notify
from feira.services.users.accounts import PlatformRole
from feira.services.users.sessions import open_session
from feira.sql.database import Tx
from tests.integration.conftest import free_port
from tests.integration.orders.stage import MemoryGateway, Stage


@dataclass
class Office:
    """A served node on a database of its own, and people who call it."""

    node: RunningNode
    http: ClientSession

    @property
    def stage(self) -> Stage:
        return Stage(market=self.node.market, gateway=MemoryGateway())

    async def sign_in(self, *roles: PlatformRole) -> tuple[Principal, dict[str, str]]:
        who = await self.stage.person(*roles)

        async def open_one(tx: Tx) -> str:
            opened = await open_session(tx, who.user_id, user_agent="test", address=None)
            return self.node.market.tokens.issue(who.user_id, opened.session_id, tx.now)[0]

        token = await self.stage.transact(open_one)
        return who, {"Authorization": f"Bearer {token}"}

    async def ask(
        self, method: str, path: str, headers: dict[str, str], body: Any = None, status: int = 200
    ) -> Any:
        async with self.http.request(method, path, headers=headers, json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    async def dead_job(self, name: str) -> str:
        async with self.node.market.database.connection() as con:
            return str(
                await con.fetchval(
                    "INSERT INTO jobs (kind, args, dedup, state, attempt, finished_at, last_error)"
                    """ VALUES ('test.k', '{"a": 1}', $1, 'dead', 12, clock_timestamp(), 'E: x')"""
                    " RETURNING id",
                    name,
                )
            )


@pytest.fixture
async def office(config: Config, fresh_database_dsn: str) -> AsyncIterator[Office]:
    port = free_port()
    own = msgspec.structs.replace(
        config,
        postgres_dsn=fresh_database_dsn,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        drain_s=0.1,
    )
    async with (
        open_node(own) as node,
        ClientSession(f"http://127.0.0.1:{node.port}") as http,
    ):
        yield Office(node=node, http=http)


async def test_operators_see_what_waits_and_what_died(office: Office) -> None:
    _, support = await office.sign_in("support")
    for number in range(3):
        await office.dead_job(f"d{number}")
    counts = await office.ask("GET", "/v1/admin/jobs", support)
    (dead,) = [item for item in counts["items"] if item["state"] == "dead"]
    assert dead["kind"] == "test.k"
    assert dead["count"] == 3
    assert dead["oldest_age_s"] >= 0
    first = await office.ask("GET", "/v1/admin/jobs/dead?limit=2", support)
    assert [item["last_error"] for item in first["items"]] == ["E: x", "E: x"]
    assert first["items"][0]["args"] == {"a": 1}
    rest = await _after(office, support, first["next_cursor"])
    ids = [item["id"] for item in first["items"] + rest["items"]]
    assert len(set(ids)) == 3
    assert rest["next_cursor"] is None


async def _after(office: Office, headers: dict[str, str], cursor: str) -> Any:
    async with office.http.get(
        "/v1/admin/jobs/dead", params={"limit": "2", "cursor": cursor}, headers=headers
    ) as response:
        assert response.status == 200
        return await response.json()


async def test_a_wrong_cursor_is_named(office: Office) -> None:
    _, admin = await office.sign_in("admin")
    answer = await office.ask("GET", "/v1/admin/jobs/dead?cursor=x", admin, status=400)
    assert answer["code"] == "jobs.cursor"


async def test_an_admin_requeues_a_dead_job_once(office: Office) -> None:
    who, admin = await office.sign_in("admin")
    job = await office.dead_job("again")
    answer = await office.ask("POST", f"/v1/admin/jobs/{job}/requeue", admin)
    assert answer == {"id": job, "kind": "test.k", "state": "ready"}
    async with office.node.market.database.connection() as con:
        row = await con.fetchrow(
            "SELECT state::text, attempt, attempts_max FROM jobs WHERE dedup = 'again'"
        )
    assert row is not None
    # The number goes on, so that an old attempt fits no fence; there are twelve more.
    assert tuple(row) == ("ready", 12, 24)
    refused = await office.ask("POST", f"/v1/admin/jobs/{job}/requeue", admin, status=409)
    assert refused["code"] == "jobs.not_dead"
    unknown = await office.ask("POST", f"/v1/admin/jobs/{uuid4()}/requeue", admin, status=404)
    assert unknown["code"] == "jobs.not_found"
    (event,) = await office.stage.events(OPS)
    body = msgspec.json.decode(event.body)
    assert body["kind"] == "job.requeued"
    assert body["by"] == str(who.user_id)


@pytest.mark.parametrize("roles", [(), ("support",), ("finance",), ("admin",)])
async def test_who_may_look_and_who_may_requeue(
    office: Office, roles: tuple[PlatformRole, ...]
) -> None:
    _, headers = await office.sign_in(*roles)
    job = await office.dead_job("x")
    may_look, may_requeue = bool(roles), roles == ("admin",)
    await office.ask("GET", "/v1/admin/jobs", headers, status=200 if may_look else 403)
    await office.ask("GET", "/v1/admin/jobs/dead", headers, status=200 if may_look else 403)
    await office.ask(
        "POST", f"/v1/admin/jobs/{job}/requeue", headers, status=200 if may_requeue else 403
    )
    await office.ask("GET", "/v1/admin/jobs", {}, status=401)


async def test_the_caller_lists_and_reads_notifications(office: Office) -> None:
    who, headers = await office.sign_in()
    notice = UnreadMessagesNotice(conversation=ConversationId(uuid4()), sender_name="Ana", count=1)
    for number in range(2):
        await office.stage.transact(
            lambda tx, k=number: notify(tx, {who.user_id: notice}, effect=f"n{k}")
        )
    page = await office.ask("GET", "/v1/notifications?limit=1", headers)
    assert page["unread"] == 2
    assert page["items"][0]["kind"] == "messages.unread"
    assert page["items"][0]["data"]["sender_name"] == "Ana"
    rest = await office.ask(
        "GET", f"/v1/notifications?limit=1&cursor={page['next_cursor']}", headers
    )
    assert rest["next_cursor"] is None
    body = {"up_to": rest["items"][0]["id"]}
    key = headers | {"Idempotency-Key": "once"}
    assert await office.ask("POST", "/v1/notifications/read", key, body) == {"unread": 1}
    assert await office.ask("POST", "/v1/notifications/read", key, body) == {"unread": 1}
    unread = await office.ask("GET", "/v1/notifications?unread=true", headers)
    assert [item["id"] for item in unread["items"]] == [page["items"][0]["id"]]
    wrong = await office.ask("POST", "/v1/notifications/read", headers, {}, 400)
    assert wrong["code"] == "notifications.which"
    await office.ask("GET", "/v1/notifications", {}, status=401)

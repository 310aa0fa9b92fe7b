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


async def test_operators_see_each_kind_and_what_died(office: Office) -> None:
    _, support = await office.sign_in("support")
    for number in range(3):
        await office.dead_job(f"d{number}")
    kinds = await office.ask("GET", "/v1/operations/jobs/kinds", support)
    by_name = {item["kind"]: item for item in kinds["items"]}
    assert by_name["test.k"]["dead"] == 3
    assert by_name["test.k"]["oldest_dead_s"] >= 0
    # Kinds without jobs are there too, with what their code declares.
    refund = by_name["payments.refund"]
    assert (refund["priority"], refund["ready"], refund["paused_at"]) == ("high", 0, None)
    first = await office.ask("GET", "/v1/operations/jobs?limit=2", support)
    assert [item["last_error"] for item in first["items"]] == ["E: x", "E: x"]
    assert first["items"][0]["args"] == {"a": 1}
    rest = await _after(office, support, first["next_cursor"])
    ids = [item["id"] for item in first["items"] + rest["items"]]
    assert len(set(ids)) == 3
    assert rest["next_cursor"] is None


async def _after(office: Office, headers: dict[str, str], cursor: str) -> Any:
    async with office.http.get(
        "/v1/operations/jobs", params={"limit": "2", "cursor": cursor}, headers=headers
    ) as response:
        assert response.status == 200
        return await response.json()


async def test_jobs_are_listed_by_state_kind_and_age(office: Office) -> None:
    _, support = await office.sign_in("support")
    async with office.node.market.database.connection() as con:
        await con.execute(
            """
            INSERT INTO jobs (kind, args, dedup, state, run_at, lease_until, started_at, finished_at)
            SELECT kind, '{}', kind || state || age, state::job_state, now() - age * interval '1 min',
                CASE WHEN state IN ('queued', 'running') THEN now() END,
                CASE WHEN state = 'running' THEN now() - age * interval '1 min' END,
                CASE WHEN state IN ('done', 'dead', 'cancelled') THEN now() - age * interval '1 min' END
            FROM unnest(ARRAY['test.a', 'test.b']) AS kind, generate_series(1, 3) AS age,
                unnest(ARRAY['ready', 'queued', 'running', 'done', 'dead', 'cancelled']) AS state
            """
        )
    for state in ("ready", "queued", "running", "done", "dead", "cancelled"):
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"state": state, "limit": "2", "kind": "test.a", "older_than_s": "90"}
            if cursor:
                query["cursor"] = cursor
            async with office.http.get(
                "/v1/operations/jobs", params=query, headers=support
            ) as response:
                assert response.status == 200
                page = await response.json()
            found += page["items"]
            cursor = page["next_cursor"]
        assert [(item["kind"], item["state"]) for item in found] == [("test.a", state)] * 2
        ages = [item["since"] for item in found]
        assert ages == sorted(ages, reverse=state in {"done", "dead", "cancelled"})
    whole = await office.ask("GET", "/v1/operations/jobs?state=done&limit=100", support)
    assert len(whole["items"]) == 6


async def test_a_wrong_cursor_is_named(office: Office) -> None:
    _, admin = await office.sign_in("admin")
    answer = await office.ask("GET", "/v1/operations/jobs?cursor=x", admin, status=400)
    assert answer["code"] == "jobs.cursor"


async def test_an_admin_requeues_a_dead_job_once(office: Office) -> None:
    who, admin = await office.sign_in("admin")
    job = await office.dead_job("again")
    answer = await office.ask("POST", f"/v1/operations/jobs/{job}/requeue", admin)
    assert answer == {"id": job, "kind": "test.k", "state": "ready"}
    whole = await office.ask("GET", f"/v1/operations/jobs/{job}", admin)
    # The number goes on, so that an old attempt fits no fence; there are twelve more.
    assert (whole["state"], whole["attempt"], whole["attempts_max"]) == ("ready", 12, 24)
    refused = await office.ask("POST", f"/v1/operations/jobs/{job}/requeue", admin, status=409)
    assert refused["code"] == "jobs.not_dead"
    for path in ("", "/requeue", "/cancel"):
        method = "POST" if path else "GET"
        address = f"/v1/operations/jobs/{uuid4()}{path}"
        unknown = await office.ask(method, address, admin, status=404)
        assert unknown["code"] == "jobs.not_found"
    (event,) = await office.stage.events(OPS)
    body = msgspec.json.decode(event.body)
    assert body["kind"] == "job.requeued"
    assert body["by"] == str(who.user_id)


async def test_an_admin_requeues_all_dead_jobs_of_a_kind(office: Office) -> None:
    _, admin = await office.sign_in("admin")
    for number in range(3):
        await office.dead_job(f"k{number}")
    answer = await office.ask("POST", "/v1/operations/jobs/kinds/test.k/requeue", admin)
    assert answer == {"kind": "test.k", "requeued": 3, "more": False}
    # This version knows no such kind, and nothing is left of it.
    await office.ask("POST", "/v1/operations/jobs/kinds/test.k/requeue", admin, status=404)
    known = "/v1/operations/jobs/kinds/deals.expire_offers/requeue"
    assert (await office.ask("POST", known, admin))["requeued"] == 0
    ready = await office.ask("GET", "/v1/operations/jobs?state=ready&kind=test.k", admin)
    assert len(ready["items"]) == 3
    (event,) = await office.stage.events(OPS)
    assert msgspec.json.decode(event.body)["count"] == 3


async def test_an_admin_pauses_and_resumes_a_kind(office: Office) -> None:
    who, admin = await office.sign_in("admin")
    path = "/v1/operations/jobs/kinds/users.verify_shop"
    reason = {"reason": "The provider is away."}
    for _ in range(2):
        paused = await office.ask("POST", f"{path}/pause", admin, reason)
        assert paused == {"kind": "users.verify_shop", "paused": True}
    kinds = await office.ask("GET", "/v1/operations/jobs/kinds", admin)
    (kind,) = [item for item in kinds["items"] if item["kind"] == "users.verify_shop"]
    assert kind["pause_reason"] == "The provider is away."
    assert kind["paused_by"] == str(who.user_id)
    for _ in range(2):
        resumed = await office.ask("POST", f"{path}/resume", admin)
        assert resumed == {"kind": "users.verify_shop", "paused": False}
    events = [msgspec.json.decode(event.body)["kind"] for event in await office.stage.events(OPS)]
    assert events == ["job.kind_paused", "job.kind_resumed"]
    unknown = await office.ask(
        "POST", "/v1/operations/jobs/kinds/no.such/pause", admin, reason, status=404
    )
    assert unknown["code"] == "jobs.unknown_kind"


async def test_an_admin_cancels_what_waits_but_not_what_finishes_a_promise_about_money(
    office: Office,
) -> None:
    _, admin = await office.sign_in("admin")
    async with office.node.market.database.connection() as con:
        jobs = {
            kind: await con.fetchval(
                "INSERT INTO jobs (kind, args) VALUES ($1, '{}') RETURNING id::text", kind
            )
            for kind in ("deals.expire_offers", "payments.refund")
        }
    path = f"/v1/operations/jobs/{jobs['deals.expire_offers']}/cancel"
    assert (await office.ask("POST", path, admin))["state"] == "cancelled"
    again = await office.ask("POST", path, admin, status=409)
    assert (again["code"], again["details"]) == ("jobs.finished", {"state": "cancelled"})
    path = f"/v1/operations/jobs/{jobs['payments.refund']}/cancel"
    refused = await office.ask("POST", path, admin, status=409)
    assert refused["code"] == "jobs.not_cancellable"


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

"""Every privileged act leaves one entry: who, what, when, from where, before and after. That none is forgotten is the matrix's to show."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from feira.commands import ledger as ledger_command
from feira.commands.operator import operator
from feira.platform.domain.ids import SessionId
from feira.platform.gateways.payments.objects import Account
from feira.platform.runtime.config import Config
from feira.services.audit.recording import record
from feira.services.users.sessions import revoke_own
from feira.services.users.shop_profiles import ApplyForShop, apply_for_shop
from feira.services.users.shops import record_account
from feira.sql.database import Tx
from tests.integration.audit_log import SUCCEED_ELSEWHERE
from tests.integration.cast import Cast, Part, address_of, assemble
from tests.integration.sockets import opened
from tests.integration.sound_requests import bodies

AGENT = '=cmd|"/c calc"!A1'


@pytest.fixture
def node_config(node_config: Config, fresh_database_dsn: str) -> Config:
    """A database of its own: the log is read as a whole."""
    return msgspec.structs.replace(node_config, postgres_dsn=fresh_database_dsn)


@pytest.fixture
async def cast(node: RunningNode) -> Cast:
    return await assemble(node.market)


@pytest.fixture
async def http(node: RunningNode) -> AsyncIterator[ClientSession]:
    headers = {"User-Agent": AGENT}
    async with ClientSession(f"http://127.0.0.1:{node.port}", headers=headers) as session:
        yield session


async def ask(
    http: ClientSession,
    cast: Cast,
    part: Part,
    method: str,
    path: str,
    body: Any = None,
    **headers: str,
) -> tuple[int, Any]:
    headers = cast.headers(part) | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    async with http.request(method, path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


async def entries(http: ClientSession, cast: Cast, query: str = "") -> list[dict[str, Any]]:
    status, page = await ask(http, cast, "admin", "GET", f"/v1/operations/audit{query}")
    assert status == 200, page
    return page["items"]


async def test_an_entry_says_who_did_what_when_from_where_and_what_it_changed(
    http: ClientSession, cast: Cast
) -> None:
    shop = cast.ids["shop"]
    status, _ = await ask(
        http, cast, "admin", "POST", f"/v1/admin/shops/{shop}/suspend", {"reason": "Looks odd."},
        X_Request_ID="seen-in-the-logs",
    )  # fmt: skip
    assert status == 200
    (entry,) = await entries(http, cast, f"?object={shop}&object_kind=shop&act=shop.suspend")
    admin = cast.people["admin"].principal
    expected = {
        "actor_kind": "user",
        "actor_id": str(admin.user_id),
        "actor_name": "Somebody",
        "actor_roles": ["admin"],
        "session_id": str(admin.session_id),
        "act": "shop.suspend",
        "object_id": shop,
        "reason": "Looks odd.",
        "before": {"status": "approved"},
        "after": {"status": "suspended"},
        "address": "127.0.0.1",
        "user_agent": AGENT,
        "request_id": "seen-in-the-logs",
    }
    assert {name: entry[name] for name in expected} == expected


async def test_what_is_refused_or_repeated_leaves_no_entry(http: ClientSession, cast: Cast) -> None:
    before = len(await entries(http, cast))
    path = f"/v1/admin/shops/{cast.ids['shop']}/suspend"
    assert (await ask(http, cast, "finance", "POST", path, {"reason": "No."}))[0] == 403
    once = {"Idempotency_Key": uuid4().hex}
    for _ in range(2):
        status, _ = await ask(http, cast, "admin", "POST", path, {"reason": "Odd."}, **once)
        assert status == 200
    assert (await ask(http, cast, "admin", "POST", path, {"reason": "Odd."}))[0] == 409
    assert len(await entries(http, cast)) == before + 1


async def test_what_the_matrix_cannot_do_is_audited_as_well(
    http: ClientSession, cast: Cast
) -> None:
    ids = cast.ids | {"job": await cast.transact(_new_job), "order": str(cast.placed_order)}
    wanted: list[tuple[str, Part, dict[str, str], Any]] = [
        ("POST /v1/admin/shops/{shop}/approve", "admin", {"shop": await _applied(cast, verified=True)}, None),
        ("POST /v1/admin/shops/{shop}/reject", "admin", {"shop": await _applied(cast, verified=False)}, None),
        ("POST /v1/chargebacks/{chargeback}/evidence", "finance", {}, None),
        ("POST /v1/operations/jobs/{job}/cancel", "admin", {}, None),
        ("POST /v1/orders/{order}/refunds", "support", {"order": cast.ids["delivered_order"]}, {"amount_minor": 1, "cause": "damaged", "reason": "Scratched."}),
        ("POST /v1/orders/{order}/commands", "support", {}, {"action": "deliver"}),
    ]  # fmt: skip
    for command in (
        {"action": "accept"},
        {"action": "ship", "carrier": "CTT", "tracking_number": "1"},
    ):
        path = f"/v1/orders/{cast.placed_order}/commands"
        key = uuid4().hex
        assert (await ask(http, cast, "owner", "POST", path, command, Idempotency_Key=key))[
            0
        ] == 200
    assert {endpoint for endpoint, *_ in wanted} == SUCCEED_ELSEWHERE
    for endpoint, part, other, body in wanted:
        method, _, path = endpoint.partition(" ")
        request = uuid4().hex
        status, answer = await ask(
            http, cast, part, method, address_of(path, ids | other), body or bodies(cast).get(endpoint),
            X_Request_ID=request, Idempotency_Key=request,
        )  # fmt: skip
        assert status < 400, (endpoint, answer)
        found = [entry for entry in await entries(http, cast) if entry["request_id"] == request]
        assert len(found) == 1, (endpoint, found)
        assert found[0]["actor_id"] == str(cast.people[part].user)


async def test_what_the_shop_itself_may_do_is_no_entry_and_what_only_support_may_is_one(
    http: ClientSession, cast: Cast
) -> None:
    before = len(await entries(http, cast))
    path = f"/v1/orders/{cast.placed_order}/refunds"
    wanted = {"amount_minor": 1, "cause": "damaged", "reason": "Scratched."}
    assert (await ask(http, cast, "owner", "POST", path, wanted))[0] == 201
    assert len(await entries(http, cast)) == before
    assert (await ask(http, cast, "support", "POST", path, wanted))[0] == 201
    newest = (await entries(http, cast))[0]
    assert (newest["act"], newest["actor_roles"]) == ("order.refund", ["support"])
    assert newest["before"]["left_minor"] - newest["after"]["left_minor"] == 1


async def test_an_act_over_a_socket_says_where_the_socket_came_from(
    node: RunningNode, http: ClientSession, cast: Cast
) -> None:
    async with opened(node) as client:
        await client.ask(connect={"token": cast.people["support"].token})
        command = {
            "topic": f"conversation:{cast.ids['conversation']}",
            "message": int(cast.ids["message"]),
        }
        answer = await client.ask(delete=command)
        assert "error" not in answer, answer
    newest = (await entries(http, cast, "?act=message.delete"))[0]
    assert newest["object_id"] == f"{cast.ids['conversation']}/{cast.ids['message']}"
    assert newest["address"] == "127.0.0.1"
    assert newest["request_id"]


async def test_pages_follow_each_other_without_gap_or_repeat(
    http: ClientSession, cast: Cast
) -> None:
    everything = [entry["id"] for entry in await entries(http, cast, "?limit=200")]
    assert len(everything) > 3
    seen: list[int] = []
    cursor = ""
    while True:
        _, page = await ask(http, cast, "admin", "GET", f"/v1/operations/audit?limit=2{cursor}")
        seen += [entry["id"] for entry in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == everything == sorted(everything, reverse=True)


async def test_no_cell_of_the_csv_runs_in_a_spreadsheet(http: ClientSession, cast: Cast) -> None:
    path = f"/v1/admin/shops/{cast.ids['shop']}/suspend"
    await ask(http, cast, "admin", "POST", path, {"reason": "=HYPERLINK(1)"})
    async with http.get(
        "/v1/operations/audit.csv?act=shop.suspend", headers=cast.headers("admin")
    ) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "private, no-store"
        text = (await answer.read()).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["reason"], row["user_agent"]) == ("'=HYPERLINK(1)", "'" + AGENT)
    assert msgspec.json.decode(row["after"]) == {"status": "suspended"}


async def test_everybody_reads_what_happened_to_their_own_account_and_nobody_elses(
    http: ClientSession, cast: Cast
) -> None:
    buyer, session = cast.people["buyer"].principal, await cast.fresh("session")
    await cast.transact(lambda tx: revoke_own(tx, buyer, SessionId(UUID(session))))
    _, page = await ask(http, cast, "buyer", "GET", "/v1/me/security-events")
    (event,) = page["items"]
    assert (event["act"], event["object_id"], event["by_you"]) == ("session.revoked", session, True)
    _, page = await ask(http, cast, "other_buyer", "GET", "/v1/me/security-events")
    assert page == {"items": [], "next_cursor": None}


async def test_an_operator_with_the_command_line_is_named_as_the_system_knows_them(
    http: ClientSession, cast: Cast, node_config: Config
) -> None:
    await ledger_command.check_now(node_config)
    (entry,) = await entries(http, cast, "?act=ledger.check&limit=1")
    assert (entry["actor_kind"], entry["actor_id"], entry["actor_name"]) == (
        "machine",
        None,
        operator().name,
    )
    assert operator().name.endswith(f"@{os.uname().nodename}")


async def test_a_secret_never_gets_into_the_log(cast: Cast) -> None:
    admin = cast.people["admin"].principal

    async def careless(tx: Tx) -> None:
        await record(tx, admin, "shop.approve", "shop", "x", after={"new": {"password_hash": "x"}})

    with pytest.raises(AssertionError):
        await cast.transact(careless)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_entries SET actor_id = NULL",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
    ],
)
async def test_nobody_changes_or_removes_an_entry(
    cast: Cast, change: str, fresh_database_dsn: str
) -> None:
    async with cast.market.database.connection() as con:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await con.execute(change)
    # Whoever owns the tables is stopped by the trigger.
    owner = await asyncpg.connect(fresh_database_dsn)
    try:
        with pytest.raises(asyncpg.RestrictViolationError, match="insert-only"):
            await owner.execute(change)
    finally:
        await owner.close()


async def _applied(cast: Cast, *, verified: bool) -> str:
    owner = cast.people["rival"].principal

    async def apply(tx: Tx) -> str:
        wanted = ApplyForShop(name=f"Shop {uuid4().hex[:8]}", country="PT", currency="EUR")
        shop = await apply_for_shop(tx, owner, wanted)
        if verified:
            account = Account(reference=f"acct_{uuid4()}", status="verified")
            await record_account(tx, shop.id, account)
        return str(shop.id)

    return await cast.transact(apply)


async def _new_job(tx: Tx) -> str:
    return str(
        await tx.con.fetchval(
            "INSERT INTO jobs (kind, args, run_at) VALUES ('test.cast', '{}', now() + interval '1 day') RETURNING id"
        )
    )

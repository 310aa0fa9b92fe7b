"""API keys: they do what their scopes say, for their own shop, and nothing else; whatever is wrong with one, it is refused alike."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from aiohttp import ClientSession

from feira.app import RunningNode
from feira.http.routes import ENDPOINTS
from feira.platform.domain.api_keys import format_key, is_wellformed
from feira.platform.domain.ids import ShopId
from feira.services.users.shops import decide
from feira.sql.database import Tx
from tests.integration.cast import Cast, address_of, assemble
from tests.integration.sound_requests import QUERIES, bodies


@pytest.fixture
async def cast(node: RunningNode) -> Cast:
    return await assemble(node.market)


@pytest.fixture
async def http(node: RunningNode) -> AsyncIterator[ClientSession]:
    async with ClientSession(f"http://127.0.0.1:{node.port}") as session:
        yield session


async def ask(
    http: ClientSession, token: str, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with http.request(method, path, json=body, headers=headers) as answer:
        is_json = "json" in answer.content_type
        return answer.status, await answer.json(content_type=None) if is_json else None


async def make(http: ClientSession, cast: Cast, *scopes: str, **more: Any) -> tuple[str, str]:
    """A key of the owner's, and its id."""
    path, token = f"/v1/shops/{cast.ids['shop']}/api-keys", cast.people["owner"].token
    status, made = await ask(http, token, "POST", path, {"name": "Books", "scopes": scopes, **more})
    assert status == 201, made
    return made["key"], made["shown"]["id"]


async def refused(http: ClientSession, cast: Cast, key: str) -> bool:
    status, answer = await ask(http, key, "GET", f"/v1/shops/{cast.ids['shop']}/orders")
    return (status, answer["code"] if status >= 400 else None) == (401, "auth.api_key_invalid")


async def test_every_endpoint_admits_the_keys_of_its_scope_and_no_others(
    http: ClientSession, cast: Cast
) -> None:
    keys = {
        scope: (await make(http, cast, scope))[0]
        for scope in ("orders:read", "products:read", "products:write", "payouts:read")
    }
    wrong: list[str] = []
    for endpoint in ENDPOINTS:
        name = f"{endpoint.method} {endpoint.path}"
        if "/import" in endpoint.path:
            continue
        path = address_of(endpoint.path, cast.ids) + QUERIES.get(name, "")
        for scope, key in keys.items():
            status, answer = await ask(http, key, endpoint.method, path, bodies(cast).get(name))
            expected = (
                None
                if endpoint.scope == scope
                else ("api_key.not_admitted" if endpoint.scope is None else "api_key.scope_missing")
            )
            if (status < 400) != (expected is None) or (expected and answer["code"] != expected):
                wrong.append(f"{name} with {scope}: {status} {answer}")
    assert not wrong, "\n".join(wrong)


async def test_a_key_is_for_its_own_shop_although_its_maker_owns_another(
    http: ClientSession, cast: Cast
) -> None:
    key, _ = await make(http, cast, "orders:read", "products:write", "payouts:read")

    async def own_another(tx: Tx) -> None:
        await tx.con.execute(
            "INSERT INTO shop_members (shop_id, user_id, role) VALUES ($1, $2, 'owner')",
            cast.rival_shop,
            cast.people["owner"].user,
        )

    await cast.transact(own_another)
    for path in ("orders", "payouts", "orders.csv", "payout-overview"):
        assert (await ask(http, key, "GET", f"/v1/shops/{cast.rival_shop}/{path}"))[0] == 404
        assert (await ask(http, key, "GET", f"/v1/shops/{cast.ids['shop']}/{path}"))[0] == 200


async def test_a_key_that_is_forged_cut_short_or_mistyped_is_refused(
    http: ClientSession, cast: Cast
) -> None:
    key, _ = await make(http, cast, "orders:read")
    assert is_wellformed(key)
    assert not await refused(http, cast, key)
    other = "0" if key[20] != "0" else "1"
    for wrong in (
        key[:-1],
        key + "0",
        key[:20] + other + key[21:],
        key[: len("feira_live_")] + "x",
        format_key(secrets.token_bytes(32)),
    ):
        assert await refused(http, cast, wrong), wrong


async def test_a_revoked_or_expired_key_is_refused_at_once(http: ClientSession, cast: Cast) -> None:
    key, identifier = await make(http, cast, "orders:read")
    late, late_id = await make(http, cast, "orders:read", expires_at="2099-01-01T00:00:00Z")
    assert not await refused(http, cast, late)
    path, token = f"/v1/shops/{cast.ids['shop']}/api-keys/{identifier}", cast.people["owner"].token
    assert (await ask(http, token, "DELETE", path))[0] == 204
    assert await refused(http, cast, key)
    assert (await ask(http, token, "DELETE", path))[0] == 404

    async def expire(tx: Tx) -> None:
        await tx.con.execute(
            "UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = $1", UUID(late_id)
        )

    await cast.transact(expire)
    assert await refused(http, cast, late)


async def test_a_key_ends_with_its_makers_ownership_and_rests_while_its_shop_is_suspended(
    http: ClientSession, cast: Cast
) -> None:
    key, _ = await make(http, cast, "orders:read")
    admin, shop = cast.people["admin"].principal, ShopId(UUID(cast.ids["shop"]))
    await cast.transact(lambda tx: decide(tx, admin, shop, "suspend", "Odd."))
    assert await refused(http, cast, key)
    await cast.transact(lambda tx: decide(tx, admin, shop, "reinstate", ""))
    assert not await refused(http, cast, key)

    async def leave(tx: Tx) -> None:
        await tx.con.execute(
            "DELETE FROM shop_members WHERE user_id = $1", cast.people["owner"].user
        )

    await cast.transact(leave)
    assert await refused(http, cast, key)


async def test_a_key_is_shown_once_kept_as_a_hash_and_says_when_it_was_last_used(
    http: ClientSession, cast: Cast
) -> None:
    key, identifier = await make(http, cast, "orders:read")
    path, token = f"/v1/shops/{cast.ids['shop']}/api-keys", cast.people["owner"].token
    _, listed = await ask(http, token, "GET", path)
    shown = next(item for item in listed["items"] if item["id"] == identifier)
    assert shown["last_used_at"] is None
    assert key not in str(listed)
    assert not await refused(http, cast, key)
    _, listed = await ask(http, token, "GET", path)
    assert next(i for i in listed["items"] if i["id"] == identifier)["last_used_at"] is not None
    async with cast.market.database.connection() as con:
        row = await con.fetchrow(
            "SELECT api_keys::text AS all FROM api_keys WHERE id = $1", UUID(identifier)
        )
        acts = await con.fetch("SELECT act FROM audit_entries WHERE object_id = $1", identifier)
    assert row is not None
    assert key.removeprefix("feira_live_")[:64] not in row["all"]
    assert [entry["act"] for entry in acts] == ["api_key.make"]


async def test_a_shop_has_twenty_keys_at_most(http: ClientSession, cast: Cast) -> None:
    # The cast has made one.
    for _ in range(19):
        await make(http, cast, "orders:read")
    path, token = f"/v1/shops/{cast.ids['shop']}/api-keys", cast.people["owner"].token
    status, problem = await ask(http, token, "POST", path, {"name": "x", "scopes": ["orders:read"]})
    assert (status, problem["code"]) == (409, "api_key.too_many")

"""The REST half of the Python client on a real node, also through a network that cuts answers off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from feira.app import RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.platform.runtime.config import Config
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.chaos.proxy import bad_network
from tests.integration.live import make_user

PASSWORD = "uma palavra segura"
ADDRESS = {
    "name": "Ana", "line1": "Rua 1", "city": "Porto", "postal_code": "4000-001", "country": "PT",
}  # fmt: skip


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def mail(node: RunningNode) -> str:
    password_hash = await hash_password(PASSWORD)

    async def work(tx: Tx) -> str:
        return (await make_user(tx, "Ana", password_hash))[1]

    return await node.market.database.transact(work)


async def test_a_problem_comes_as_an_exception_that_programs_can_read(
    node: RunningNode, node_config: Config, http: aiohttp.ClientSession, mail: str
) -> None:
    api = ApiClient(node_config.public_url, http)
    with pytest.raises(ApiProblem) as wrong_password:
        await api.sign_in(mail, "not this one at all")
    assert wrong_password.value.status == 401
    await api.sign_in(mail, PASSWORD)
    with pytest.raises(ApiProblem) as wrong_address:
        await api.post("/v1/me/addresses", {**ADDRESS, "country": "Portugal"})
    assert (wrong_address.value.status, wrong_address.value.code) == (400, "request.invalid")
    assert wrong_address.value.field == "$.country"
    assert not wrong_address.value.retryable


async def test_a_change_whose_answer_was_cut_off_happens_once(
    node: RunningNode, http: aiohttp.ClientSession, mail: str
) -> None:
    async with bad_network(node.port) as network:
        api = ApiClient(f"http://127.0.0.1:{network.port}", http)
        await api.sign_in(mail, PASSWORD)
        network.answers_to_lose = 3
        async with asyncio.timeout(30):
            added = await api.post("/v1/me/addresses", ADDRESS)
        assert network.answers_lost == 3
        listed = await api.get("/v1/me/addresses")
    assert [address["id"] for address in listed["items"]] == [added["id"]]


async def test_an_explicit_key_makes_two_calls_one_change(
    node: RunningNode, node_config: Config, http: aiohttp.ClientSession, mail: str
) -> None:
    api = ApiClient(node_config.public_url, http)
    await api.sign_in(mail, PASSWORD)
    first, second = await asyncio.gather(
        *(api.post("/v1/me/addresses", ADDRESS, key="move-in") for _ in range(2))
    )
    assert first == second
    assert len((await api.get("/v1/me/addresses"))["items"]) == 1


async def test_a_token_that_is_about_to_end_is_traded_once_however_many_ask(
    node: RunningNode, node_config: Config, http: aiohttp.ClientSession, mail: str
) -> None:
    api = ApiClient(node_config.public_url, http)
    await api.sign_in(mail, PASSWORD)
    held = api._tokens  # pyright: ignore[reportPrivateUsage]
    assert held is not None
    held.expires_at = 0.0
    tokens = await asyncio.gather(*(api.token() for _ in range(10)))
    assert len(set(tokens)) == 1
    # A spent refresh token that came twice would have ended the session.
    assert (await api.get("/v1/me"))["email"] == mail

"""Operators see the busiest actors: over REST, and in their terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from feira.app import RunningNode
from feira.client.api import ApiClient, ApiProblem
from feira.platform.domain.topics import conversation_topic, inbox_topic
from feira.platform.runtime.config import Config
from feira.services.users.accounts import create_user
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.live import Watching, make_user, message, open_talk

PASSWORD = "uma palavra segura"


@pytest.fixture
async def support(node: RunningNode) -> str:
    """A support agent's e-mail address."""
    password_hash = await hash_password(PASSWORD)
    email = f"support-{uuid4()}@example.com"

    async def work(tx: Tx) -> None:
        await create_user(
            tx,
            email=email,
            password_hash=password_hash,
            display_name="S",
            roles=frozenset({"support"}),
        )

    await node.market.database.transact(work)
    return email


async def make_busy(node: RunningNode) -> str:
    talk = await open_talk(node.market.database)
    topic = conversation_topic(talk.conversation)
    await node.node.subscribe(inbox_topic(talk.buyer.user_id), Watching(talk.buyer.user_id), None)
    for principal in (talk.buyer, talk.seller):
        await node.node.subscribe(topic, Watching(principal.user_id), None)
    for number in range(12):
        await node.node.post_message(talk.buyer, talk.conversation, message(f"{number}"))
    return str(topic)


async def test_the_busiest_actor_comes_first_with_what_it_does(
    node: RunningNode, node_config: Config, support: str
) -> None:
    topic = await make_busy(node)
    async with aiohttp.ClientSession() as http:
        api = ApiClient(node_config.public_url, http)
        await api.sign_in(support, PASSWORD)
        shown = await api.get("/v1/operations/actors", limit=1)
        assert (shown["actors"], shown["watchers"]) == (2, 3)
        [busiest] = shown["items"]
        assert (busiest["topic"], busiest["kind"]) == (topic, "conversation")
        assert (busiest["watchers"], busiest["crashes"]) == (2, 0)
        assert busiest["batches"] >= 12
        assert busiest["messages_per_s"] > 0
        assert len((await api.get("/v1/operations/actors"))["items"]) == 2
        with pytest.raises(ApiProblem) as refused:
            await api.get("/v1/operations/actors", limit=201)
        assert refused.value.status == 400


async def test_the_command_prints_a_table_for_scripts(
    node: RunningNode, node_config: Config, support: str
) -> None:
    topic = await make_busy(node)
    ended, said, complained = await run_command(node_config.public_url, support)
    assert ended == 0, complained
    assert topic in said
    assert "2 actors, 3 watches" in said


async def test_the_command_says_why_it_cannot_show_anything(
    node: RunningNode, node_config: Config
) -> None:
    password_hash = await hash_password(PASSWORD)
    buyer = await node.market.database.transact(lambda tx: make_user(tx, "Buyer", password_hash))
    ended, said, _ = await run_command(node_config.public_url, buyer[1])
    assert ended == 1
    assert "auth.not_allowed" in said


async def run_command(url: str, email: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "feira", "actors", url, "--email", email, "--once",
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "200"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        said, complained = await process.communicate(f"{PASSWORD}\n".encode())
    return process.returncode, said.decode(), complained.decode()

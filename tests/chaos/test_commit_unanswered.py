"""PostgreSQL commits, and its answer is lost on the way: whoever repeats the command with its key has one effect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import msgspec
import pytest
from aiohttp import ClientSession

from feira.app import open_node
from feira.jobs.attempts import Attempts
from feira.platform.domain.errors import Unavailable
from feira.platform.runtime.config import Config
from tests.chaos.proxy import BadNetwork, bad_network
from tests.integration.cast import assemble
from tests.integration.conftest import free_port
from tests.integration.jobs_room import Mark, Room, open_room, until


@pytest.fixture
async def network(fresh_database_dsn: str) -> AsyncIterator[BadNetwork]:
    port = urlsplit(fresh_database_dsn).port
    assert port is not None
    async with bad_network(port) as network:
        yield network


@pytest.fixture
def far(config: Config, fresh_database_dsn: str, network: BadNetwork) -> Config:
    """The database beyond the bad network."""
    parts = urlsplit(fresh_database_dsn)
    netloc = parts.netloc.replace(f":{parts.port}", f":{network.port}")
    dsn = urlunsplit(parts._replace(netloc=netloc))
    return msgspec.structs.replace(config, postgres_dsn=dsn)


@pytest.fixture
async def room(far: Config) -> AsyncIterator[Room]:
    async with open_room(far) as room:
        yield room


async def test_a_job_added_again_after_an_unanswered_commit_is_there_once(
    room: Room, network: BadNetwork
) -> None:
    network.commits_to_lose = 1
    with pytest.raises(Unavailable):
        await room.add(Mark(name="twice"), dedup="twice")
    assert network.answers_lost == 1
    await until(lambda: _is_answering(room))
    # It had been committed.
    assert await room.value("SELECT count(*) FROM jobs") == 1
    await room.add(Mark(name="twice"), dedup="twice")
    assert await room.value("SELECT count(*) FROM jobs") == 1


async def test_an_attempt_whose_commit_was_not_answered_is_not_made_again(
    room: Room, network: BadNetwork
) -> None:
    attempt = await room.queue_one(Mark(name="once"), dedup="once")
    network.commits_to_lose = 1
    await Attempts(room.market, room.handlers).perform(attempt.id, 1)
    assert network.answers_lost == 1
    await until(lambda: _is_answering(room))
    # The failure that the handler saw was none: the job is done, and nothing makes it ready again.
    assert await room.state(attempt.id) == "done"
    assert await room.marks("once") == [1]
    assert await room.value("SELECT count(*) FROM job_failures") == 0


async def test_workers_get_through_with_many_commits_unanswered(
    room: Room, network: BadNetwork
) -> None:
    jobs = [await room.add(Mark(name=f"m{n}"), dedup=f"m{n}") for n in range(10)]
    network.commits_to_lose = 6
    undone = "SELECT count(*) FROM jobs WHERE state <> 'done'"

    async def drained() -> bool:
        try:
            return await room.value(undone) == 0
        except Unavailable:
            return False

    # What was taken and not handed over waits for its lease to end.
    async with room.worker(queued_lease_s=2):
        await until(drained, deadline_s=40)
    assert network.commits_to_lose == 0
    assert await room.value("SELECT count(*) FROM marks") == len(jobs)
    assert await room.value("SELECT count(DISTINCT name) FROM marks") == len(jobs)


async def test_a_request_repeated_with_its_key_after_an_unanswered_commit_gets_the_first_answer(
    far: Config, network: BadNetwork
) -> None:
    port = free_port()
    own = msgspec.structs.replace(
        far, port=port, public_url=f"http://127.0.0.1:{port}", drain_s=0.1
    )
    async with open_node(own) as node, ClientSession(f"http://127.0.0.1:{port}") as http:
        cast = await assemble(node.market)
        path = f"/v1/operations/jobs/{cast.ids['job']}/requeue"
        headers = cast.headers("admin") | {"Idempotency-Key": uuid4().hex}
        network.commits_to_lose = 1
        async with http.post(path, headers=headers) as answer:
            assert answer.status == 503
        assert network.answers_lost == 1

        async def repeat(headers: dict[str, str]) -> int:
            async with http.post(path, headers=headers) as answer:
                return answer.status

        statuses: list[int] = []

        async def answered() -> bool:
            statuses.append(await repeat(headers))
            return statuses[-1] != 503

        await until(answered)
        assert statuses[-1] == 200
        # Without the key it is another command, and there is no dead job any more.
        assert await repeat(cast.headers("admin")) == 409


async def _is_answering(room: Room) -> bool:
    try:
        return await room.value("SELECT true")
    except Unavailable:
        return False

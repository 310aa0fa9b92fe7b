"""`feira jobs` in an operator's terminal; and the worker's own port."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from feira.app import RunningNode, open_node, serve_health
from feira.commands.jobs_table import Kind, age, kinds_table
from feira.platform.runtime.config import Config
from feira.services.users.accounts import create_user
from feira.services.users.passwords import hash_password
from feira.sql.database import Tx
from tests.integration.conftest import free_port

PASSWORD = "uma palavra segura"


@pytest.fixture
async def node(config: Config, fresh_database_dsn: str) -> AsyncIterator[RunningNode]:
    port = free_port()
    own = msgspec.structs.replace(
        config,
        postgres_dsn=fresh_database_dsn,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        drain_s=0.1,
    )
    async with open_node(own) as node:
        yield node


async def make_admin(node: RunningNode) -> str:
    password_hash = await hash_password(PASSWORD)
    email = f"admin-{uuid4()}@example.com"

    async def work(tx: Tx) -> None:
        await create_user(
            tx,
            email=email,
            password_hash=password_hash,
            display_name="A",
            roles=frozenset({"admin"}),
        )

    await node.market.database.transact(work)
    return email


async def feira_jobs(node: RunningNode, email: str, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "feira", "jobs", "--email", email,
        "--server", f"http://127.0.0.1:{node.port}", *words,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "200"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate(f"{PASSWORD}\n".encode())
    return process.returncode, said.decode()


async def test_an_operator_watches_and_steers_jobs_from_the_terminal(node: RunningNode) -> None:
    email = await make_admin(node)
    async with node.market.database.connection() as con:
        job = await con.fetchval(
            "INSERT INTO jobs (kind, args, state, attempt, finished_at, last_error) VALUES"
            " ('deals.expire_offers', '{}', 'dead', 12, now(), 'E: x') RETURNING id::text"
        )
        await con.execute(
            "INSERT INTO job_failures (job_id, attempt, outcome, error) VALUES ($1, 12, 'dead', 'E: x')",
            job,
        )
    said = await asyncio.gather(
        feira_jobs(node, email, "--once"),
        feira_jobs(node, email, "list", "--state", "dead"),
        feira_jobs(node, email, "show", job),
    )
    assert [ended for ended, _ in said] == [0, 0, 0], said
    table, listed, shown = (text for _, text in said)
    assert "1 dead" in table
    assert "deals.expire_offers" in table
    assert job in listed
    assert "attempt 12 dead" in shown
    assert await feira_jobs(node, email, "requeue", "--all", "deals.expire_offers") == (
        0,
        "deals.expire_offers: 1 requeued\n",
    )
    steered = await asyncio.gather(
        feira_jobs(node, email, "cancel", job),
        feira_jobs(node, email, "pause", "jobs.purge", "--reason", "Busy hours."),
        feira_jobs(node, email, "show", str(uuid4())),
    )
    assert [ended for ended, _ in steered] == [0, 0, 1], steered
    assert steered[0][1] == f"deals.expire_offers {job} is cancelled\n"
    assert "jobs.not_found" in steered[2][1]
    async with node.market.database.connection() as con:
        assert await con.fetchval("SELECT pause_reason FROM job_kinds WHERE kind = 'jobs.purge'")


def test_kinds_in_trouble_stand_first_and_idle_ones_are_a_number() -> None:
    def kind(name: str, *, ready: int = 0, dead: int = 0, pause_reason: str | None = None) -> Kind:
        return Kind(
            kind=name,
            priority="normal",
            ready=ready,
            queued=0,
            running=1 if ready else 0,
            done_last_minute=0,
            dead=dead,
            oldest_due_s=90.0 if ready else None,
            concurrency_max=4 if ready else None,
            pause_reason=pause_reason,
        )

    kinds = [kind("a.idle"), kind("b.busy", ready=2), kind("c.paused", pause_reason="Away.")]
    head, _, *lines = kinds_table([*kinds, kind("d.dead", dead=3)], columns=120).splitlines()
    assert head == "2 waiting, 1 running, 0.0 done/s, 3 dead; 1 kinds idle"
    assert [line.split()[0] for line in lines] == ["d.dead", "c.paused", "b.busy"]
    assert "1 of 4" in lines[2]
    assert lines[1].endswith("PAUSED: Away.")


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.4, "4 s"), (720, "12 min"), (10_900, "3 h"), (432_000, "5 d")]
)
def test_an_age_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert age(seconds) == said


async def test_a_workers_port_says_how_it_is(config: Config) -> None:
    async with serve_health(config) as (readiness, port), aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{port}"
        for path in ("/livez", "/readyz", "/version", "/metrics"):
            async with http.get(url + path) as answer:
                assert answer.status == 200, path
                text = await answer.text()
        assert "feira_jobs_running" in text
        readiness.drain()
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 503
        async with http.get(f"{url}/livez") as answer:
            assert answer.status == 200

"""Real servers for every test that asks: one set for the whole run, one database for each xdist worker.

The first test that asks starts them, in a process of their own (servers_holder.py); they end with the run.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import secrets
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from aiohttp import web_app

from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded import Endpoints
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook
from feira.platform.runtime.embedded.valkey import ValkeyServer
from feira.platform.runtime.tokens import ensure_signing_key

_TEMPLATE = "feira_template"
_START_TIMEOUT_S = 90.0
_run_dir = pytest.StashKey[Path]()
_owner_pid = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    workerinput: dict[str, Any] | None = getattr(config, "workerinput", None)
    if workerinput is not None:
        config.stash[_run_dir] = Path(workerinput["feira_run_dir"])
        config.stash[_owner_pid] = workerinput["feira_owner_pid"]
        return
    run_dir = Path(tempfile.mkdtemp(prefix="feira-test-"))
    # PostgreSQL's own user passes through where the tests run as root.
    run_dir.chmod(0o711)
    config.stash[_run_dir] = run_dir
    config.stash[_owner_pid] = os.getpid()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["feira_run_dir"] = str(node.config.stash[_run_dir])
    node.workerinput["feira_owner_pid"] = node.config.stash[_owner_pid]


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or _run_dir not in config.stash:
        return
    run_dir = config.stash[_run_dir]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        holder = int((run_dir / "holder.pid").read_text())
        pidfd = os.pidfd_open(holder)
        os.kill(holder, signal.SIGTERM)
        select.select([pidfd], [], [], 15)
        os.close(pidfd)
    shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Endpoints:
    """Endpoints of the run's servers; prefer the fixtures below, which keep workers apart."""
    run_dir = pytestconfig.stash[_run_dir]
    with _turn(run_dir):
        if not (run_dir / "holder.pid").exists():
            _start_holder(run_dir, pytestconfig.stash[_owner_pid])
    return _await_endpoints(run_dir)


@pytest.fixture(scope="session")
def template_database(servers: Endpoints, pytestconfig: pytest.Config) -> str:
    """Name of a database with all migrations applied, to make others from."""
    run_dir = pytestconfig.stash[_run_dir]
    with _turn(run_dir):
        if not (run_dir / "template-made").exists():
            _run(_make_template(servers.postgres_dsn))
            (run_dir / "template-made").touch()
    return _TEMPLATE


@pytest.fixture(scope="session")
def database_dsn(servers: Endpoints, template_database: str, worker_name: str) -> str:
    """This worker's database, migrated; its tests share it."""
    name = f"feira_{worker_name}"
    _run(_create_database(servers.postgres_dsn, name, template_database))
    return _with_database(servers.postgres_dsn, name)


@pytest.fixture
async def fresh_database_dsn(
    servers: Endpoints, template_database: str, worker_name: str
) -> AsyncIterator[str]:
    """A migrated database for one test alone, dropped after it."""
    name = f"feira_{worker_name}_{next(_numbers)}"
    await _create_database(servers.postgres_dsn, name, template_database)
    yield _with_database(servers.postgres_dsn, name)
    await _execute(servers.postgres_dsn, f'drop database "{name}" with (force)')


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """This worker's own Valkey: database numbers do not keep pub/sub apart."""
    folder = DataFolder(tmp_path_factory.mktemp("valkey"))
    valkey = ValkeyServer(folder, PortBook(folder.path / "ports.json"))
    # In this thread, with which the server ends; and without touching the loop of the tests.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(valkey.start())
        yield valkey.url
        valkey.process.kill()
        runner.run(valkey.stop())


@pytest.fixture(scope="session")
def config(
    database_dsn: str,
    redis_url: str,
    servers: Endpoints,
    tmp_path_factory: pytest.TempPathFactory,
) -> Config:
    """Settings of a node on this worker's servers; `msgspec.structs.replace` makes variants."""
    folder = tmp_path_factory.mktemp("node")
    ensure_signing_key(folder / "keys")
    return Config(
        postgres_dsn=database_dsn,
        redis_url=redis_url,
        s3_endpoint_url=servers.s3_endpoint_url,
        s3_region=servers.s3_region,
        s3_bucket=servers.s3_bucket,
        s3_access_key=servers.s3_access_key,
        s3_secret_key=servers.s3_secret_key,
        port=0,
        signing_keys_dir=folder / "keys",
        secret_key=secrets.token_hex(32),
        sandbox_webhook_secret=secrets.token_hex(32),
        mail_dir=folder / "mail",
        log_level="warning",
        drain_s=0.5,
        job_relay_poll_s=0.2,
    )


@pytest.fixture(autouse=True)
def _forget_applications() -> Iterator[None]:
    """aiohttp keeps the last 1,024 handlers with their applications, each of which holds a whole node."""
    yield
    web_app._cached_build_middleware.cache_clear()  # pyright: ignore[reportPrivateUsage]


@pytest.fixture(scope="session")
def worker_name(request: pytest.FixtureRequest) -> str:
    """gw0, gw1, ... under xdist, else `main`."""
    workerinput: dict[str, Any] = getattr(request.config, "workerinput", {})
    return workerinput.get("workerid", "main")


_numbers = itertools.count(1)


@contextlib.contextmanager
def _turn(run_dir: Path) -> Generator[None]:
    """One worker at a time."""
    with (run_dir / "turn").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_holder(run_dir: Path, owner_pid: int) -> None:
    holder_file = Path(__file__).with_name("servers_holder.py")
    log = os.open(run_dir / "holder.log", os.O_WRONLY | os.O_CREAT, 0o600)
    # Not Popen: it would warn of a child that outlives this worker, which is the point.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, str(holder_file), str(run_dir), str(owner_pid)],
        os.environ,
        setsid=True,
        file_actions=[(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)],
    )
    os.close(log)
    (run_dir / "holder.pid").write_text(str(pid))


def _await_endpoints(run_dir: Path) -> Endpoints:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if (run_dir / "endpoints.json").exists():
            return msgspec.json.decode((run_dir / "endpoints.json").read_bytes(), type=Endpoints)
        if (run_dir / "error.txt").exists():
            pytest.fail((run_dir / "error.txt").read_text(), pytrace=False)
        time.sleep(0.02)
    log = (run_dir / "holder.log").read_text()
    pytest.fail(f"the servers of this run did not start:\n{log}", pytrace=False)


async def _make_template(dsn: str) -> None:
    from feira.sql.migrate import migrate

    await _execute(dsn, f"create database {_TEMPLATE}")
    await migrate(_with_database(dsn, _TEMPLATE))


async def _create_database(dsn: str, name: str, template: str) -> None:
    # Copying files beats copying through the log where nothing is flushed.
    await _execute(dsn, f'create database "{name}" template {template} strategy file_copy')


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(dsn: str, name: str) -> str:
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(coroutine)

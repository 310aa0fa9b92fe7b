"""What the measurements run on: embedded servers with fsync on, one `feira serve`, and people with tokens."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import secrets
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import msgspec

from feira.app import Ground, open_ground
from feira.commands.child import Child, foreign_environment, python_argv
from feira.commands.up_config import child_environment, complete
from feira.platform.domain.ids import ConversationId, SessionId, ShopId, UserId
from feira.platform.domain.permissions import Principal, Role
from feira.platform.gateways.payments.objects import Account
from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded import EmbeddedServers
from feira.services.messaging.conversations import OpenConversation, open_conversation
from feira.services.users.accounts import create_user
from feira.services.users.sessions import open_session
from feira.services.users.shop_profiles import ApplyForShop, apply_for_shop
from feira.services.users.shops import decide, record_account
from feira.sql.database import Tx
from feira.sql.migrate import migrate

_READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0
_PEOPLE_PER_TRANSACTION = 100


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A running market of one server, and this process's own way into its stores."""

    config: Config
    ground: Ground
    server_pid: int
    url: str


class Talker(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an access token and a conversation of their own with a shop."""

    token: str
    user: UserId
    conversation: ConversationId


@asynccontextmanager
async def open_servers() -> AsyncGenerator[Config]:
    """Start durable stores in a folder of their own, migrated; they end and are forgotten with the context."""
    with tempfile.TemporaryDirectory(prefix="feira-bench-") as folder:
        data_dir = _passable(Path(folder)) / "data"
        servers = EmbeddedServers(data_dir)
        try:
            endpoints = await servers.start()
            base = Config(log_level="warning", drain_s=0.5)
            config = msgspec.structs.replace(
                complete(base, endpoints, data_dir, "127.0.0.1", free_port()),
                # Measurements make tables of their own, and vacuum.
                postgres_dsn=endpoints.postgres_dsn,
            )
            await migrate(config.postgres_dsn)
            yield config
        finally:
            await servers.stop()


@asynccontextmanager
async def open_stage(config: Config) -> AsyncGenerator[Stage]:
    """Run `feira serve` on these stores, as a process of its own."""
    allow_many_sockets()
    async with run_server(config) as server, open_ground(config) as ground:
        pid = server.pid
        assert pid is not None, "a server that answers runs"
        yield Stage(config=config, ground=ground, server_pid=pid, url=url_of(config))


@asynccontextmanager
async def run_server(config: Config) -> AsyncGenerator[Child]:
    """Run one more `feira serve` at the configuration's port, ready to answer."""
    environment = foreign_environment() | child_environment(config)
    server = Child(
        "serve", python_argv("serve"), environment, print, stop_timeout_s=_STOP_TIMEOUT_S
    )
    await server.start()
    try:
        await _until_ready(server, url_of(config))
        yield server
    finally:
        await server.stop()


def url_of(config: Config) -> str:
    """Where this machine reaches the configuration's server."""
    return f"http://127.0.0.1:{config.port}"


async def make_talkers(stage: Stage, count: int) -> list[Talker]:
    """Create people, each with a session and a conversation, past the password's deliberate slowness."""
    market = stage.ground.market
    shop = await market.database.transact(make_shop)
    talkers: list[Talker] = []

    async def work(tx: Tx, wanted: int) -> list[Talker]:
        return [await _make_talker(stage, tx, shop) for _ in range(wanted)]

    while len(talkers) < count:
        wanted = min(_PEOPLE_PER_TRANSACTION, count - len(talkers))
        talkers += await market.database.transact(lambda tx, n=wanted: work(tx, n))
    return talkers


async def make_principal(tx: Tx) -> Principal:
    """Create a verified user. No password opens this account: sessions are opened directly."""
    user = await create_user(
        tx,
        email=f"person-{secrets.token_hex(8)}@bench.localhost",
        password_hash="-",  # noqa: S106
        display_name="Bench",
    )
    roles: frozenset[Role] = frozenset({"anyone", "user", "verified"})
    return Principal(user_id=user, session_id=SessionId(uuid4()), display_name="Bench", roles=roles)


def allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one, for this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _passable(folder: Path) -> Path:
    """Let PostgreSQL's own user pass through, where this runs as root."""
    folder.chmod(0o711)
    return folder


async def make_shop(tx: Tx) -> ShopId:
    """Open a shop that trades."""
    owner = await make_principal(tx)
    name = f"Bench {secrets.token_hex(4)}"
    shop = await apply_for_shop(tx, owner, ApplyForShop(name=name, country="PT", currency="EUR"))
    await record_account(tx, shop.id, Account(reference=f"acct_{uuid4()}", status="verified"))
    admin = msgspec.structs.replace(owner, roles=owner.roles | {"admin"})
    await decide(tx, admin, shop.id, "approve", "For measuring.")
    return shop.id


async def _make_talker(stage: Stage, tx: Tx, shop: ShopId) -> Talker:
    principal = await make_principal(tx)
    conversation = await open_conversation(tx, principal, OpenConversation(shop=shop))
    session = await open_session(tx, principal.user_id, user_agent="bench", address=None)
    token, _ = stage.ground.market.tokens.issue(principal.user_id, session.session_id, tx.now)
    return Talker(token=token, user=principal.user_id, conversation=conversation)


async def _until_ready(server: Child, url: str) -> None:
    async with aiohttp.ClientSession(url) as session, asyncio.timeout(_READY_TIMEOUT_S):
        while True:
            if server.pid is None:
                raise RuntimeError("feira serve ended before it was ready; its log is above")
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get("/readyz") as answer:
                    if answer.ok:
                        return
            await asyncio.sleep(0.05)

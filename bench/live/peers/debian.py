"""Peers from Debian's packages, unpacked into the cache."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from bench.live.kit import HERE, Kit, Unobtainable, run
from bench.live.load.client import Dialect
from bench.live.peers.peer import Program, Rooms, Running, count_rows
from feira.platform.runtime.config import Config

_SERVERS: Final = HERE / "peers" / "servers"
_DATABASE: Final = "bench_ejabberd"
_NGINX_STATE: Final = Path("/var/lib/nginx")


class Nchan(Program):
    name = "nginx nchan"
    dialect: Dialect = "nchan"

    def __init__(self) -> None:
        self._root = Path()
        self._folder = Path()

    async def obtain(self, kit: Kit) -> str:
        self._root = await kit.debian_root("nchan", ("nginx", "libnginx-mod-nchan"))
        self._folder = kit.folder / "nchan-run"
        self._folder.mkdir(exist_ok=True)
        # With nchan, nginx makes its temporary folders here, whatever its configuration says.
        try:
            _NGINX_STATE.mkdir(exist_ok=True)
        except OSError as error:
            raise Unobtainable(f"needs {_NGINX_STATE}: {error.strerror}") from None
        nginx, nchan = await _version("nginx"), await _version("libnginx-mod-nchan")
        return f"nginx {nginx}, nchan {nchan}"

    def argv(self, stores: Config, port: int) -> list[str]:
        del stores
        conf = self._folder / "nginx.conf"
        text = (_SERVERS / "nchan.conf").read_text(encoding="utf-8")
        conf.write_text(text.format(root=self._root, folder=self._folder, port=port))
        nginx = self._root / "usr" / "sbin" / "nginx"
        return [str(nginx), "-e", "stderr", "-p", str(self._folder), "-c", str(conf)]


class Ejabberd(Program):
    """Each room's messages are archived (XEP-0313) in PostgreSQL before they go out."""

    name = "ejabberd, archiving"
    dialect: Dialect = "xmpp"
    keeps = True
    path = "/ws"

    def __init__(self) -> None:
        self._root = Path()
        self._folder = Path()

    async def obtain(self, kit: Kit) -> str:
        self._root = await kit.debian_root("ejabberd", ("ejabberd", "erlang-p1-pgsql"))
        self._folder = kit.folder / "ejabberd-run"
        return f"ejabberd {await _version('ejabberd')}, Erlang {await _version('erlang-base')}"

    @asynccontextmanager
    async def open(self, stores: Config, rooms: Rooms) -> AsyncGenerator[Running]:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        await self._make_database(stores)
        async with super().open(stores, rooms) as running:
            yield running

    async def count_kept(self, stores: Config) -> int:
        return await count_rows(stores.postgres_dsn, "archive", _DATABASE)

    def argv(self, stores: Config, port: int) -> list[str]:
        database = urlsplit(stores.postgres_dsn)
        configuration = self._folder / "ejabberd.yml"
        text = (_SERVERS / configuration.name).read_text(encoding="utf-8")
        configuration.write_text(
            text.format(
                port=port,
                sql_port=database.port,
                sql_database=_DATABASE,
                sql_username=database.username,
                sql_password=database.password,
            )
        )
        erlang = self._root / "usr" / "lib" / "erlang"
        [runtime] = erlang.glob("erts-*")
        libraries = self._root / "usr" / "lib" / "x86_64-linux-gnu"
        return [
            "env",
            f"ROOTDIR={erlang}",
            f"BINDIR={runtime / 'bin'}",
            "EMU=beam",
            "PROGNAME=erl",
            f"ERL_LIBS={libraries}",
            f"LD_LIBRARY_PATH={libraries}",
            f"HOME={self._folder}",
            f"EJABBERD_CONFIG_PATH={configuration}",
            f"EJABBERD_LOG_PATH={self._folder / 'ejabberd.log'}",
            str(runtime / "bin" / "erlexec"),
            "-noinput",
            # One core, one scheduler.
            *("+S", "1"),
            *("-boot", str(erlang / "bin" / "start_clean")),
            *("-mnesia", "dir", f'"{self._folder / "mnesia"}"'),
            *("-s", "ejabberd"),
        ]

    async def _make_database(self, stores: Config) -> None:
        schema = self._root / "usr" / "share" / "ejabberd" / "sql" / "pg.sql"
        con = await asyncpg.connect(stores.postgres_dsn)
        try:
            await con.execute(f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)")
            await con.execute(f"CREATE DATABASE {_DATABASE}")
        finally:
            await con.close()
        con = await asyncpg.connect(stores.postgres_dsn, database=_DATABASE)
        try:
            await con.execute(schema.read_text(encoding="utf-8"))
        finally:
            await con.close()


async def _version(package: str) -> str:
    """As Debian calls it."""
    lines = (await run("apt-cache", "policy", package)).splitlines()
    return next(line.split()[1] for line in lines if "Candidate:" in line)

"""PostgreSQL: a cluster in the data folder, its server a direct child.

no cluster --initdb beside, renamed--> stopped --start--> running --SIGINT--> stopped
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import asyncpg

from feira.platform.runtime.embedded.binaries import (
    can_enter,
    postgres_bin_dir,
    postgres_user,
    root_state_dir,
)
from feira.platform.runtime.embedded.errors import EmbeddedServerError
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook, is_free
from feira.platform.runtime.embedded.probe import until_ready
from feira.platform.runtime.embedded.process import ServerProcess

# Long: after a crash PostgreSQL replays its log before it accepts anyone.
_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 15.0
_LEFTOVER_TIMEOUT_S = 5.0
_INITDB_TIMEOUT_S = 120.0
_USER = "feira"
_DATABASE = "feira"
# A node's login: a member of the application's role and nothing else, as in production.
_NODE_USER = "feira_node"
_APP_ROLE = "feira_app"
# Nothing of ours: a PGDATA or PGPORT of the caller would reach the server.
_ENV = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class PostgresServer:
    """`start` after `stop`, or after the process died, serves the same data on the same port."""

    name = "postgres"

    def __init__(self, folder: DataFolder, ports: PortBook, *, durable: bool = True) -> None:
        self._folder = folder
        self._ports = ports
        self._durable = durable
        self._password = ""
        self._port = 0
        # SIGINT is PostgreSQL's fast shutdown: sessions are ended, data is written.
        self.process = ServerProcess(
            self.name,
            folder.logs / "postgres.log",
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
        )

    @property
    def dsn(self) -> str:
        """Of the `feira` database, as its superuser."""
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self._port}/{_DATABASE}"

    @property
    def node_dsn(self) -> str:
        """Of the `feira` database, as a node signs in."""
        return f"postgresql://{_NODE_USER}:{self._node_password}@127.0.0.1:{self._port}/{_DATABASE}"

    @property
    def _node_password(self) -> str:
        return hashlib.sha256(f"{_NODE_USER}:{self._password}".encode()).hexdigest()

    async def start(self) -> None:
        """Return when it accepts queries.

        Raises:
            EmbeddedServerError: with what is in the way.
        """
        run_as = await asyncio.to_thread(postgres_user)
        self.process.run_as = run_as
        bin_dir = await asyncio.to_thread(postgres_bin_dir, run_as)
        self._password = self._folder.secrets().postgres_password
        cluster = await asyncio.to_thread(self._prepare_cluster, bin_dir)
        await asyncio.to_thread(_clear_leftover, cluster)
        # After a crash the same port again: others hold the DSN.
        self._port = self._port or self._ports.claim(self.name)
        self.process.spawn(
            [str(bin_dir / "postgres"), "-D", str(cluster), *self._options()], cwd=cluster, env=_ENV
        )
        await until_ready(self.process, self._is_ready, _READY_TIMEOUT_S)
        await self._create_database()
        await self._create_roles()

    async def exited(self) -> int:
        return await self.process.exited()

    def kill(self) -> None:
        self.process.kill()

    def lost_port(self) -> bool:
        """Whether somebody else took the port; then the next `start` chooses another."""
        if self._port == 0 or is_free(self._port):
            return False
        self._ports.forget(self.name)
        self._port = 0
        return True

    async def stop(self) -> None:
        """Fast shutdown: nothing committed is lost."""
        await self.process.stop(_STOP_TIMEOUT_S)

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            # A socket's path is limited to 107 bytes; a data folder's is not.
            "unix_socket_directories": "",
            "max_connections": "200",
            "log_min_messages": "warning",
            "log_checkpoints": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Compiling costs more than our short queries do.
            "jit": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _prepare_cluster(self, bin_dir: Path) -> Path:
        cluster = self._cluster_path()
        if (cluster / "PG_VERSION").exists():
            self._check_version(cluster, bin_dir)
            return cluster
        # Beside and renamed: an interrupted initdb is never taken for a cluster.
        unfinished = cluster.with_name(f"{cluster.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.rmtree(cluster, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        run_as = self.process.run_as
        if run_as is not None:
            os.chown(unfinished, run_as.uid, run_as.gid)
        self._initdb(bin_dir, unfinished)
        unfinished.rename(cluster)
        return cluster

    def _cluster_path(self) -> Path:
        inside = self._folder.path / "postgres"
        run_as = self.process.run_as
        if run_as is None or can_enter(self._folder.path, run_as):
            return inside
        # Root's own folders are closed to PostgreSQL's user: the cluster lies outside, linked from inside.
        digest = hashlib.sha256(str(self._folder.path).encode()).hexdigest()[:16]
        outside = root_state_dir() / f"data-{digest}"
        outside.mkdir(exist_ok=True)
        outside.chmod(0o711)
        if not inside.is_symlink():
            inside.symlink_to(outside / "postgres")
        return outside / "postgres"

    def _initdb(self, bin_dir: Path, cluster: Path) -> None:
        run_as = self.process.run_as
        # A pipe hands the password over: no file with it, nothing on the command line.
        read_fd, write_fd = os.pipe()
        os.write(write_fd, f"{self._password}\n".encode())
        os.close(write_fd)
        if run_as is not None:
            os.fchown(read_fd, run_as.uid, run_as.gid)
        try:
            done = subprocess.run(
                [
                    str(bin_dir / "initdb"),
                    f"--pgdata={cluster}",
                    f"--username={_USER}",
                    f"--pwfile=/dev/fd/{read_fd}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--locale=C.UTF-8",
                    "--no-instructions",
                    *([] if self._durable else ["--no-sync"]),
                ],
                user=run_as.uid if run_as else None,
                group=run_as.gid if run_as else None,
                extra_groups=[] if run_as else None,
                cwd="/",
                env=_ENV,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(read_fd,),
                check=False,
                timeout=_INITDB_TIMEOUT_S,
            )
        finally:
            os.close(read_fd)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            message = f"PostgreSQL cannot create its data in {cluster}:\n{said}"
            raise EmbeddedServerError(message)

    def _check_version(self, cluster: Path, bin_dir: Path) -> None:
        ours = subprocess.run(
            [str(bin_dir / "postgres"), "--version"], capture_output=True, check=True, timeout=10
        )
        version = ours.stdout.decode().split()[-1].partition(".")[0]
        theirs = (cluster / "PG_VERSION").read_text().strip()
        if theirs != version:
            message = (
                f"{cluster} was made by PostgreSQL {theirs} and this is {version}. "
                "Dump it with the old one, or start over with `feira up --reset`"
            )
            raise EmbeddedServerError(message)

    async def _is_ready(self) -> bool:
        try:
            connection = await self._connect("postgres")
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def _create_database(self) -> None:
        try:
            await (await self._connect(_DATABASE)).close()
        except asyncpg.InvalidCatalogNameError:
            connection = await self._connect("postgres")
            await connection.execute(f"create database {_DATABASE}")
            await connection.close()

    async def _create_roles(self) -> None:
        connection = await self._connect("postgres")
        try:
            roles = {
                row["rolname"] for row in await connection.fetch("select rolname from pg_roles")
            }
            if _APP_ROLE not in roles:
                await connection.execute(f"create role {_APP_ROLE} nologin")
            if _NODE_USER not in roles:
                await connection.execute(
                    f"create role {_NODE_USER} login password '{self._node_password}' in role {_APP_ROLE}"
                )
        finally:
            await connection.close()

    async def _connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self._port,
            user=_USER,
            password=self._password,
            database=database,
            ssl=False,
            timeout=5,
        )


def _clear_leftover(cluster: Path) -> None:
    """Make way where a server was not stopped.

    Raises:
        EmbeddedServerError: it lives, and stays.
    """
    if not Path("/proc/self").exists():
        return  # PostgreSQL's own check is all there is.
    deadline = time.monotonic() + _LEFTOVER_TIMEOUT_S
    while pids := _processes_in(cluster):
        if time.monotonic() > deadline:
            message = (
                f"another PostgreSQL (process {pids[0]}) runs on {cluster}. "
                f"Stop it: kill -INT {pids[0]}"
            )
            raise EmbeddedServerError(message)
        # Its parent was killed a moment ago and it is shutting down.
        time.sleep(0.05)
    # Nobody is there, backends included. PostgreSQL would take the file seriously where its number
    # belongs to some other program by now.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _processes_in(cluster: Path) -> list[int]:
    """Servers and backends: the cluster is their working directory. The oldest comes first."""
    found: list[int] = []
    target = cluster.resolve()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == target:
                    found.append(int(entry.name))
    return sorted(found)

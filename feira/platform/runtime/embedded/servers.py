"""The three servers of one data folder, started together and stopped in order."""

import asyncio
from pathlib import Path

import msgspec

from feira.platform.runtime.embedded.errors import EmbeddedServerError
from feira.platform.runtime.embedded.folder import DataFolder
from feira.platform.runtime.embedded.ports import PortBook
from feira.platform.runtime.embedded.postgres import PostgresServer
from feira.platform.runtime.embedded.s3 import BUCKET, REGION, S3Server
from feira.platform.runtime.embedded.valkey import ValkeyServer

_START_TRIES = 3

EmbeddedServer = PostgresServer | ValkeyServer | S3Server


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Where the servers answer: values for the settings of the same names. Holds secrets.

    `postgres_dsn` owns the database; `postgres_node_dsn` may only do what the application's role may.
    """

    postgres_dsn: str
    postgres_node_dsn: str
    redis_url: str
    s3_endpoint_url: str
    s3_region: str
    s3_bucket: str
    s3_access_key: str
    s3_secret_key: str

    def __repr__(self) -> str:
        return f"Endpoints(redis_url={self.redis_url!r}, s3_endpoint_url={self.s3_endpoint_url!r})"


class EmbeddedServers:
    """Owns the data folder and the servers from `start` to `stop`; call both from the main thread.

    `durable=False` lets a power cut destroy the data, for tests that need speed instead.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.folder = DataFolder(data_dir)
        self._durable = durable
        self._running: tuple[EmbeddedServer, ...] = ()

    @property
    def running(self) -> tuple[EmbeddedServer, ...]:
        """The servers in the order of their stopping; each has `start`, `exited`, `stop`."""
        return self._running

    async def start(self) -> Endpoints:
        """Start all, or none.

        Raises:
            EmbeddedServerError: with what is in the way.
        """
        self.folder.take()
        try:
            ports = PortBook(self.folder.path / "ports.json")
            postgres = PostgresServer(self.folder, ports, durable=self._durable)
            valkey = ValkeyServer(self.folder, ports)
            s3 = S3Server(self.folder, ports)
            self._running = (s3, valkey, postgres)
            secrets = self.folder.secrets()
            await _start_all(self._running)
        except BaseException:
            await self.stop()
            raise
        return Endpoints(
            postgres_dsn=postgres.dsn,
            postgres_node_dsn=postgres.node_dsn,
            redis_url=valkey.url,
            s3_endpoint_url=s3.endpoint_url,
            s3_region=REGION,
            s3_bucket=BUCKET,
            s3_access_key=secrets.s3_access_key,
            s3_secret_key=secrets.s3_secret_key,
        )

    async def stop(self) -> None:
        """Stop S3, then Valkey, then PostgreSQL, and let go of the folder. May be called twice."""
        try:
            for server in self._running:
                await server.stop()
        finally:
            self._running = ()
            self.folder.release()

    async def reset(self) -> None:
        """Forget all data, before `start`.

        Raises:
            EmbeddedServerError: another process holds the folder.
        """
        self.folder.take()
        await asyncio.to_thread(self.folder.remove_data)

    def kill(self) -> None:
        """End all at once. PostgreSQL recovers from its log at the next start."""
        for server in self._running:
            server.kill()


async def _start(server: EmbeddedServer) -> None:
    """Once more on another port where somebody was faster: choosing and binding are two moments."""
    for _ in range(_START_TRIES - 1):
        try:
            return await server.start()
        except EmbeddedServerError:
            await server.stop()
            if not server.lost_port():
                raise
    return await server.start()


async def _start_all(servers: tuple[EmbeddedServer, ...]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(_start(server), name=f"start-{server.name}")
    except* EmbeddedServerError as failed:
        raise failed.exceptions[0] from None
    except* OSError as failed:
        problem = failed.exceptions[0]
        message = f"an embedded server cannot start: {problem}"
        raise EmbeddedServerError(message) from None

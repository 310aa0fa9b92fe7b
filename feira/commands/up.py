"""`feira up`: a whole marketplace on this machine, from databases to web servers, until Ctrl-C.

port -> databases -> migrate -> seed (once) -> servers and worker -> ready
Ctrl-C: servers -> worker -> s3 -> valkey -> postgres; a second Ctrl-C kills what is left
"""

import argparse
import asyncio
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec

from feira.commands.banner import banner
from feira.commands.child import Child, foreign_environment, python_argv
from feira.commands.port_hold import PortTakenError, held_port
from feira.commands.supervisor import Supervisor, describe_exit
from feira.commands.up_config import child_environment, complete, local_url
from feira.platform.runtime.config import Config
from feira.platform.runtime.embedded import EmbeddedServerError, EmbeddedServers

_SERVERS_MAX = 16
_READY_TIMEOUT_S = 60.0
_WORKER_STOP_S = 15.0
_DEFAULT_PORT = Config().port


class UpError(Exception):
    """A step failed; the message says which, and its output was printed before."""


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line chose. A port of None leaves the choice to the settings."""

    data_dir: Path = Path(".feira")
    host: str | None = None
    port: int | None = None
    servers: int = 2
    reset: bool = False
    seed: bool = True


class NodeCommands(msgspec.Struct, frozen=True, kw_only=True):
    """Argument lists of the children; tests bring stand-ins."""

    migrate: list[str]
    seed: list[str]
    serve: list[str]
    work: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, default=Path(".feira"), help="where everything is kept"
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port to listen on (8080); 0 takes a free one")
    parser.add_argument("--servers", type=_server_count, default=2, help="web servers (2)")
    parser.add_argument("--reset", action="store_true", help="forget all data first")
    parser.add_argument(
        "--no-seed", dest="seed", action="store_false", help="start without the demo market"
    )


def run(config: Config, args: argparse.Namespace) -> int:
    if config.environment == "production":
        print("feira up is for development; production runs serve and work.", file=sys.stderr)
        return 2
    options = UpOptions(
        data_dir=args.data_dir.absolute(),
        host=args.host,
        port=args.port,
        servers=args.servers,
        reset=args.reset,
        seed=args.seed,
    )
    data_dir = str(options.data_dir)
    commands = NodeCommands(
        migrate=python_argv("migrate"),
        seed=python_argv("seed", "--data-dir", data_dir),
        serve=python_argv("serve"),
        work=python_argv("work"),
    )
    try:
        asyncio.run(Up(config, options, commands, _say).run())
    except (EmbeddedServerError, PortTakenError, UpError) as error:
        print(f"feira: {error}", file=sys.stderr)
        return 1
    return 0


class Up:
    """One run, from nothing to nothing. `run` returns after an orderly stop."""

    def __init__(
        self,
        config: Config,
        options: UpOptions,
        commands: NodeCommands,
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._options = options
        self._commands = commands
        self._say = say
        self._databases = EmbeddedServers(options.data_dir)
        self._supervisor = Supervisor(say)
        self._servers: list[Child] = []
        self._worker: list[Child] = []
        self._signals = 0
        self._stop_asked = asyncio.Event()

    async def run(self) -> None:
        """Raises:
        EmbeddedServerError, PortTakenError, UpError: it could not be opened; all is stopped again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        host = self._options.host or self._config.host
        wished = self._config.port if self._options.port is None else self._options.port
        explicit = self._options.port is not None or self._config.port != _DEFAULT_PORT
        # Held before anything slow: a taken port is said at once.
        with held_port(host, wished, explicit=explicit) as port:
            if wished not in {port, 0}:
                self._say(f"port {wished} is taken, so this market opens at port {port}")
            opening = asyncio.create_task(self._open(host, port), name="open")
            stopping = asyncio.create_task(self._stop_asked.wait(), name="stop-asked")
            try:
                await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if opening.done():
                    opening.result()
                    await stopping
            finally:
                opening.cancel()
                stopping.cancel()
                await asyncio.wait({opening, stopping})
                await self._close()

    def _on_signal(self) -> None:
        self._signals += 1
        self._stop_asked.set()
        if self._signals == 1:
            self._say("stopping; once more to hurry")
        else:
            self._supervisor.kill_all()
            self._databases.kill()

    async def _open(self, host: str, port: int) -> None:
        began = time.monotonic()
        if self._options.reset:
            await self._databases.reset()
        self._say("starting PostgreSQL, Valkey and S3")
        endpoints = await self._databases.start()
        data_dir = self._options.data_dir
        config = complete(self._config, endpoints, data_dir, host, port)
        env = foreign_environment() | child_environment(config)
        # Nobody else signs in as the owner of the tables.
        owner = {"FEIRA_POSTGRES_OWNER_DSN": endpoints.postgres_dsn}
        await self._finish("migrate", self._commands.migrate, env | owner)
        if self._options.seed and not (data_dir / "seeded").exists():
            await self._finish("seed", self._commands.seed, env)
            (data_dir / "seeded").touch()
        for database in self._databases.running:
            self._supervisor.watch(database)
        await self._start_nodes(env, config.drain_s)
        await self._until_ready(local_url(host, port))
        for child in (*self._servers, *self._worker):
            self._supervisor.watch(child)
        self._say(banner(config, data_dir, time.monotonic() - began))

    async def _finish(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        child = Child(name, argv, env, self._say, stop_timeout_s=5)
        await child.start()
        try:
            code = await child.exited()
        finally:
            await child.stop()
        if code != 0:
            raise UpError(f"{name} {describe_exit(code)}")

    async def _start_nodes(self, env: dict[str, str], drain_s: float) -> None:
        stop_timeout_s = drain_s + 5
        for number in range(1, self._options.servers + 1):
            self._servers.append(
                Child(
                    f"serve-{number}",
                    self._commands.serve,
                    env,
                    self._say,
                    stop_timeout_s=stop_timeout_s,
                )
            )
        self._worker.append(
            Child("work", self._commands.work, env, self._say, stop_timeout_s=_WORKER_STOP_S)
        )
        for child in (*self._servers, *self._worker):
            await child.start()

    async def _until_ready(self, url: str) -> None:
        """Who ends before ever being ready would end again: that is said instead of tried."""
        ready = asyncio.create_task(_readiness(url), name="readiness")
        exits = {
            asyncio.create_task(child.exited(), name=f"{child.name}-exit"): child
            for child in (*self._servers, *self._worker)
        }
        try:
            done, _ = await asyncio.wait(
                {ready, *exits}, timeout=_READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (ready, *exits):
                task.cancel()
            await asyncio.wait({ready, *exits})
        for task, child in exits.items():
            if task in done:
                code = describe_exit(task.result())
                raise UpError(f"{child.name} {code} before it was ready; its log is above")
        if ready not in done:
            message = f"the servers are not ready after {_READY_TIMEOUT_S:g} s; their log is above"
            raise UpError(message)

    async def _close(self) -> None:
        await self._supervisor.stop(self._servers)
        await self._supervisor.stop(self._worker)
        for database in self._databases.running:
            await self._supervisor.stop([database])
        await self._databases.stop()
        if self._stop_asked.is_set():
            self._say("stopped")


async def _readiness(url: str) -> None:
    while not await asyncio.to_thread(_answers, f"{url}/readyz"):  # noqa: ASYNC110 - it's polled
        await asyncio.sleep(0.05)


def _answers(url: str) -> bool:
    # Without a proxy from the environment: this is our own loopback port.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _say(line: str) -> None:
    print(line, flush=True)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("should be 0 to 65535")
    return port


def _server_count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _SERVERS_MAX:
        raise argparse.ArgumentTypeError(f"should be 1 to {_SERVERS_MAX}")
    return count

"""A Python child of `feira up`: its own process group, its output prefixed, gone when its parent is."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from feira.platform.runtime.embedded.process import die_with_parent, wait_exit

Say = Callable[[str], None]
_LINE_BYTES_MAX = 256 * 1024


class Child:
    """At most one process at a time; `start` again after it ended."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        say: Say,
        *,
        stop_timeout_s: float,
    ) -> None:
        self.name = name
        self._argv = argv
        self._env = env
        self._say = say
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    async def start(self) -> None:
        assert self.pid is None, f"{self.name} runs already"
        process = subprocess.Popen(  # noqa: ASYNC220 - a fork from the main thread; see die_with_parent
            self._argv,
            env=dict(self._env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal reaches only the supervisor, which stops its children in order.
            start_new_session=True,
            # At once: with the databases going too, there is nothing left to finish.
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - makes two system calls
        )
        self._process = process
        self._pump = asyncio.create_task(self._copy_output(process), name=f"{self.name}-output")

    async def exited(self) -> int:
        """Wait until it ends and its output is copied; returns the exit code."""
        assert self._process is not None, f"{self.name} was never started"
        code = await wait_exit(self._process)
        if self._pump is not None:
            # A grandchild may keep the pipe open: then the rest of the output isn't waited for.
            await asyncio.wait({self._pump}, timeout=1)
        return code

    async def stop(self) -> None:
        """Ask, wait, kill."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._stop_timeout_s):
                    await wait_exit(self._process)
            except TimeoutError:
                self._say(f"{self.name} did not stop in {self._stop_timeout_s:g} s and is killed")
                self._process.kill()
        await self.exited()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})

    def kill(self) -> None:
        """At once; `exited` still has to be awaited."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def _copy_output(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        try:
            unfinished = b""
            while chunk := await reader.read(64 * 1024):
                *lines, unfinished = (unfinished + chunk).split(b"\n")
                if len(unfinished) > _LINE_BYTES_MAX:
                    lines, unfinished = [*lines, unfinished], b""
                for line in lines:
                    self._print(line)
            if unfinished:
                self._print(unfinished)
        finally:
            transport.close()

    def _print(self, line: bytes) -> None:
        self._say(f"{self.name:<8} | {line.decode(errors='replace').rstrip()}")


def python_argv(*words: str) -> list[str]:
    """`python -m feira ...` with this interpreter."""
    return [sys.executable, "-m", "feira", *words]


def foreign_environment() -> dict[str, str]:
    """This process's environment without our settings, which children get from `feira up`."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FEIRA_")}

"""A child process that dies with its parent, writes to a log file and stops when asked.

The loop is never blocked and needs no child watcher: exits are seen through a pidfd, so the same code runs
on asyncio and uvloop.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

_PR_SET_PDEATHSIG = 1
_LOG_BYTES_MAX = 8 * 1024 * 1024
_TAIL_LINES = 12
_TAIL_BYTES = 16 * 1024

# Loaded before any fork: the child between fork and exec must not load libraries.
_libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class RunAs(msgspec.Struct, frozen=True):
    """The user a child runs as."""

    uid: int
    gid: int
    name: str


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """For `preexec_fn`: the kernel sends the signal when the thread that started the child ends.

    Start children from the main thread: the end of a pool thread would otherwise end them too.
    """
    parent = os.getpid()

    def arm() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))
        # The parent may have died between fork and prctl; then nobody would ever send the signal.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return arm


async def wait_exit(process: subprocess.Popen[bytes]) -> int:
    """Wait for the exit without blocking the loop or polling; returns the exit code."""
    while process.poll() is None:
        try:
            pidfd = os.pidfd_open(process.pid)
        except (AttributeError, OSError):  # not Linux, or gone a moment ago
            await asyncio.sleep(0.05)
            continue
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
    return process.returncode


class ServerProcess:
    """One server binary: at most one process at a time."""

    def __init__(
        self,
        name: str,
        log_file: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`death_signal` is what it gets when its parent dies; the default leaves nothing behind at once."""
        self.name = name
        self.log_file = log_file
        self.run_as: RunAs | None = None
        self._stop_signal = stop_signal
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def spawn(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Start it; its output is appended to the log file."""
        assert self.pid is None, f"{self.name} runs already"
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        too_long = self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES_MAX
        with self.log_file.open("wb" if too_long else "ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own session: Ctrl-C in the terminal reaches only the supervisor.
                start_new_session=True,
                user=self.run_as.uid if self.run_as else None,
                group=self.run_as.gid if self.run_as else None,
                extra_groups=[] if self.run_as else None,
                # Linux clears the signal on a change of user, so it's armed after it: Popen's order.
                preexec_fn=die_with_parent(self._death_signal),  # noqa: PLW1509 - makes two system calls
            )

    async def exited(self) -> int:
        """Wait until the process ends; returns its exit code."""
        assert self._process is not None, f"{self.name} was never started"
        return await wait_exit(self._process)

    async def stop(self, timeout_s: float) -> None:
        """Ask, wait, kill. Returns when the process is gone."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
            try:
                async with asyncio.timeout(timeout_s):
                    await wait_exit(self._process)
            except TimeoutError:
                self._process.kill()
                await wait_exit(self._process)
        self._process = None

    def kill(self) -> None:
        """At once, without asking; for the second Ctrl-C."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def log_tail(self) -> str:
        """The last lines it wrote, for an error message."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])

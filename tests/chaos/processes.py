"""Processes of Feira that are killed, frozen and started again at their old address."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec

from feira.platform.runtime.config import Config, to_environment
from tests.integration.conftest import free_port

ROOT: Final = Path(__file__).parents[2]
START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 60.0


class FeiraProcess:
    """`feira serve` or `feira work`, with its output in a file; `killed_at` a failpoint where it names one."""

    def __init__(
        self,
        what: Literal["serve", "work"],
        name: str,
        config: Config,
        log: Path,
        *,
        killed_at: str | None = None,
    ) -> None:
        program = ["feira"] if killed_at is None else ["tests.chaos.killed_at", killed_at]
        self._argv = [sys.executable, "-m", *program, what]
        self.port = free_port()
        self.log = log
        self._config = msgspec.structs.replace(
            config,
            node_name=name,
            port=self.port,
            public_url=f"http://127.0.0.1:{self.port}",
            log_level="warning",
            log_format="json",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert self._process is None
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv,
                cwd=ROOT,
                env={**os.environ, **to_environment(self._config)},
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """As a machine that loses power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    async def stop(self) -> int:
        """With SIGTERM, as whoever rolls out a new version; returns its exit status."""
        process, self._process = self._process, None
        assert process is not None
        process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                while (status := process.poll()) is None:
                    await asyncio.sleep(0.02)
            return status
        finally:
            process.kill()
            process.wait(10)

    def killed(self) -> bool:
        """Whether it ended by SIGKILL, as at its failpoint."""
        return self._process is not None and self._process.poll() == -signal.SIGKILL

    def signal(self, what: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(what)

    async def until_ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until a server answers that it is."""
        async with asyncio.timeout(START_WITHIN_S):
            while True:
                assert self._process is not None
                assert self._process.poll() is None, self.log.read_text()[-2_000:]
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(
                        f"{self.url}/readyz", timeout=aiohttp.ClientTimeout(2)
                    ) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.1)

    def errors(self) -> list[str]:
        """What it logged as an error of its own."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if '"level":"error"' in line or "Traceback" in line]

"""`feira up` as a process of its own, on real databases, with stand-ins for web servers and worker."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

STAND_IN = Path(__file__).with_name("up_stand_in.py")


class Market:
    """One running `up`: its output so far, and the processes below it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = ""

    async def until(self, pattern: str) -> re.Match[str]:
        """Read on until the output matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while (found := re.search(pattern, self.output)) is None:
                line = await self.process.stdout.readline()
                assert line, f"ended without {pattern!r}:\n{self.output}"
                self.output += line.decode()
        return found

    async def end(self) -> int:
        """Read to the end; returns the exit code."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            self.output += (await self.process.stdout.read()).decode()
            return await self.process.wait()

    def children(self) -> dict[int, str]:
        """Command lines of the direct children."""
        file = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found: dict[int, str] = {}
        for pid in file.read_text().split():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                found[int(pid)] = command.replace(b"\0", b" ").decode()
        return found

    def child(self, words: str) -> int:
        return next(pid for pid, command in self.children().items() if words in command)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="feira-up-"))
    parent.chmod(0o711)
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
async def market(data_dir: Path) -> AsyncIterator[Market]:
    started = await up(data_dir, 0)
    yield started
    if started.process.returncode is None:
        children = list(started.children())
        started.process.kill()
        await started.end()
        # PostgreSQL still tidies its folder, which the next fixture removes.
        assert await until_gone(children) == []


async def up(data_dir: Path, *arguments: object) -> Market:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(STAND_IN),
        str(data_dir),
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    return Market(process)


async def until_gone(pids: list[int]) -> list[int]:
    for _ in range(100):
        if not (pids := [pid for pid in pids if Path(f"/proc/{pid}").exists()]):
            break
        await asyncio.sleep(0.1)
    return pids


async def test_ctrl_c_stops_everything(market: Market) -> None:
    await market.until("Stop with")
    children = list(market.children())
    # Two servers, a worker, three databases.
    assert len(children) == 6
    market.process.send_signal(signal.SIGINT)
    assert await market.end() == 0
    assert market.output.rstrip().endswith("stopped")
    assert await until_gone(children) == []


async def test_a_second_ctrl_c_hurries(market: Market) -> None:
    await market.until("Stop with")
    children = list(market.children())
    market.process.send_signal(signal.SIGTERM)
    await market.until("once more to hurry")
    market.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(3):
        assert await market.end() == 0
    assert await until_gone(children) == []


async def test_nothing_outlives_a_killed_supervisor(market: Market) -> None:
    await market.until("Stop with")
    children = list(market.children())
    market.process.send_signal(signal.SIGKILL)
    await market.end()
    assert await until_gone(children) == []


async def test_a_killed_server_and_a_killed_database_come_back(market: Market) -> None:
    await market.until("Stop with")
    os.kill(market.child("up_stand_in.py serve"), signal.SIGKILL)
    await market.until(r"serve-\d runs again")
    os.kill(market.child("bin/postgres"), signal.SIGKILL)
    await market.until("postgres runs again")
    assert len(market.children()) == 6


async def test_the_market_is_seeded_once(data_dir: Path) -> None:
    for expected in (True, False):
        market = await up(data_dir, 0)
        await market.until("Stop with")
        assert ("seed     | done" in market.output) is expected
        market.process.send_signal(signal.SIGTERM)
        await market.end()


async def test_a_taken_port_is_said_before_anything_starts(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        market = await up(data_dir, port)
        assert await market.end() != 0
    assert f"port {port} is taken by another program" in market.output
    assert not data_dir.exists()


async def test_a_server_that_ends_before_it_was_ready_is_said_and_everything_stops(
    data_dir: Path,
) -> None:
    market = await up(data_dir, 0, "finish")
    assert await market.end() != 0
    assert "ended with exit code 0 before it was ready" in market.output


async def test_a_second_market_in_the_same_folder_is_refused(
    market: Market, data_dir: Path
) -> None:
    await market.until("Stop with")
    second = await up(data_dir, 0)
    assert await second.end() != 0
    assert f"in use by another Feira (process {market.process.pid})" in second.output
    assert market.process.returncode is None


async def test_two_markets_in_two_folders_share_nothing(market: Market, data_dir: Path) -> None:
    await market.until("Stop with")
    second = await up(data_dir.with_name("second"), 0)
    await second.until("Stop with")
    address = r"open at (http://\S+)"
    assert (await market.until(address))[1] != (await second.until(address))[1]
    second.process.send_signal(signal.SIGTERM)
    assert await second.end() == 0

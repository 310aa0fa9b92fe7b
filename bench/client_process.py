"""A client in a process of its own, so that it does not steal the server's core: work in on stdin, results out."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import uvloop

from feira.platform.runtime.embedded.process import die_with_parent

Work = TypeVar("Work")
Result = TypeVar("Result")

_LINE_BYTES_MAX = 64 * 1024 * 1024


class Client:
    """The parent's end: whatever the child says is one JSON document a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def hear(self, kind: type[Result]) -> Result:
        """Wait for the child's next line.

        Raises:
            RuntimeError: it ended instead; what it printed stands above.
        """
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client ended with exit code {await self.process.wait()}")
        return msgspec.json.decode(line, type=kind)

    def end(self) -> None:
        """Ask the child to end; it may still say something."""
        assert self.process.stdin is not None
        self.process.stdin.close()


@asynccontextmanager
async def run_client(module: str, work: msgspec.Struct) -> AsyncGenerator[Client]:
    """Start `python -m module` and hand it its work; leaving the context ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    client = Client(process)
    assert process.stdin is not None
    try:
        process.stdin.write(msgspec.json.encode(work) + b"\n")
        await process.stdin.drain()
        yield client
    finally:
        # The end of its input is what it waits for.
        client.end()
        await process.wait()


def serve_parent(
    kind: type[Work], carry_out: Callable[[Work, asyncio.Event], Coroutine[None, None, None]]
) -> None:
    """Be the child: carry out the work; the event is set when the parent wants the end."""

    async def main() -> None:
        reader = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        work = msgspec.json.decode(await reader.readline(), type=kind)
        ended = asyncio.Event()
        watch = asyncio.create_task(_until_end(reader, ended), name="parent-watch")
        try:
            await carry_out(work, ended)
        finally:
            watch.cancel()

    uvloop.run(main())


def tell_parent(result: object) -> None:
    """Say one thing to the parent."""
    print(msgspec.json.encode(result).decode(), flush=True)


async def _until_end(reader: asyncio.StreamReader, ended: asyncio.Event) -> None:
    await reader.read()
    ended.set()

"""Waiting for a starting server, without waiting for a dead one."""

import asyncio
from collections.abc import Awaitable, Callable

from feira.platform.runtime.embedded.errors import EmbeddedServerError
from feira.platform.runtime.embedded.process import ServerProcess

_POLL_S = 0.02


async def until_ready(
    process: ServerProcess, is_ready: Callable[[], Awaitable[bool]], timeout_s: float
) -> None:
    """Ask again and again.

    Raises:
        EmbeddedServerError: the process ended, or is not ready in time; with the end of its log.
    """
    exited = asyncio.create_task(process.exited(), name=f"{process.name}-exit")
    try:
        async with asyncio.timeout(timeout_s):
            while not exited.done():
                if await is_ready():
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        message = f"{process.name} is not ready after {timeout_s:g} s. Its last lines:"
        raise EmbeddedServerError(f"{message}\n{process.log_tail()}") from None
    finally:
        exited.cancel()
        await asyncio.wait({exited})
    message = f"{process.name} ended with exit code {exited.result()}. Its last lines:"
    raise EmbeddedServerError(f"{message}\n{process.log_tail()}")


async def exchange(host: str, port: int, request: bytes, timeout_s: float = 2.0) -> bytes:
    """Send bytes, return what comes back first (4 KiB at most); empty where nobody answers."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            await writer.drain()
            return await reader.read(4096)
    except (OSError, TimeoutError):
        return b""
    finally:
        if writer is not None:
            writer.close()

"""Holds one set of embedded servers for a test run, whichever xdist worker asked for it first.

python tests/servers_holder.py RUN_DIR OWNER_PID: starts the servers in RUN_DIR/servers, writes
RUN_DIR/endpoints.json (or error.txt), and ends them when it gets SIGTERM or the owner is gone, however it went.
"""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import msgspec

from feira.platform.runtime.embedded import EmbeddedServerError, EmbeddedServers


async def hold(run_dir: Path, owner_pid: int) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    owner = os.pidfd_open(owner_pid)
    loop.add_reader(owner, done.set)
    servers = EmbeddedServers(run_dir / "servers", durable=False)
    try:
        endpoints = await servers.start()
    except EmbeddedServerError as error:
        (run_dir / "error.txt").write_text(str(error))
        return
    unfinished = run_dir / "endpoints.json.new"
    unfinished.write_bytes(msgspec.json.encode(endpoints))
    unfinished.rename(run_dir / "endpoints.json")
    await done.wait()
    loop.remove_reader(owner)
    os.close(owner)
    # Nothing here is worth an orderly shutdown.
    servers.kill()
    await servers.stop()
    shutil.rmtree(run_dir, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(hold(Path(sys.argv[1]), int(sys.argv[2])))

"""How long it takes to have a market: from a fresh clone, and again from the data that is there.

`git clone` of this repository into a new folder (what is committed, not what is edited), then `make run` in it, with
the package cache warm, since what the network takes says nothing of Feira. The clock starts with `make run` and is
read as its lines come: "starting PostgreSQL" ends making the environment and installing, "Feira is open" ends the
cold start, with empty data, migrations and the demo market. Then SIGINT goes to the process of `feira up` alone, by
its id, as Ctrl-C would; everything has to end in order and leave no process. The warm restart is `make run` again in
the same folder, to the same line. One clone that is not counted comes first and fills the package cache.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.processes import birth_of, command_line, descendants
from bench.report import REPOSITORY, Figure
from bench.samples import Line, line_of_results
from feira.commands.child import foreign_environment

COLD_GOAL_S: Final = 20.0
WARM_GOAL_S: Final = 5.0
_UP_BEGINS: Final = "starting PostgreSQL"
_OPEN: Final = "Feira is open at"
_READY_TIMEOUT_S: Final = 300.0
_STOP_TIMEOUT_S: Final = 60.0
_GONE_TIMEOUT_S: Final = 10.0


class StartupSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: clones, and restarts of each."""

    clones: int = 3
    restarts: int = 2
    warm_up: bool = True


SMALL: Final = StartupSizes(clones=1, restarts=1, warm_up=False)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One `make run`: seconds from its start to each line, and how long the orderly stop took."""

    up_began_s: float
    open_s: float
    stop_s: float


async def measure(sizes: StartupSizes) -> Figure:
    """Clone, start, stop, start again."""
    if sizes.warm_up:
        await _clone_and_start(restarts=0)
    clones = [await _clone_and_start(restarts=sizes.restarts) for _ in range(sizes.clones)]
    cold = [starts[0] for starts in clones]
    warm = [start for starts in clones for start in starts[1:]]
    lines = [
        _line("cold `make run` to open", [start.open_s for start in cold]),
        _line("  of it environment and install", [start.up_began_s for start in cold]),
        _line("  of it `feira up` with seed", [start.open_s - start.up_began_s for start in cold]),
        _line("warm `make run` to open", [start.open_s for start in warm]),
        _line("stop after SIGINT", [start.stop_s for start in (*cold, *warm)]),
    ]
    cold_s, warm_s = lines[0].median, lines[3].median
    return Figure(
        name="startup",
        what="From a fresh clone to an open market, and from its data to an open market again.",
        goal=f"cold at most {COLD_GOAL_S:g} s, warm at most {WARM_GOAL_S:g} s",
        reached=f"cold {cold_s:.1f} s, warm {warm_s:.1f} s",
        is_met=cold_s <= COLD_GOAL_S and warm_s <= WARM_GOAL_S,
        lines=lines,
        remarks=[
            f"{sizes.clones} clones, {sizes.restarts} restarts of each, package cache warm",
            "installed with "
            + ("uv" if shutil.which("uv") else "what make finds without uv on PATH"),
            "no process was left after any stop",
        ],
    )


def _line(measure: str, results: list[float]) -> Line:
    return line_of_results(measure, "s", results)


async def _clone_and_start(*, restarts: int) -> list[Start]:
    """Start a fresh clone once and then again, in a folder that is gone afterwards."""
    folder = await asyncio.to_thread(_clone)
    try:
        return [await _start_and_stop(folder / "feira") for _ in range(1 + restarts)]
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


def _clone() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="feira-startup-"))
    # PostgreSQL's own user passes through where this runs as root.
    folder.chmod(0o711)
    subprocess.run(
        ["git", "clone", "--quiet", str(REPOSITORY), str(folder / "feira")], check=True, timeout=120
    )
    return folder


async def _start_and_stop(clone: Path) -> Start:
    began = time.monotonic()
    # At a free port, beside whatever else runs here; without the settings of a `make` that runs this.
    environment = {
        name: value
        for name, value in foreign_environment().items()
        if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV"}
    }
    make = await asyncio.create_subprocess_exec(
        "make",
        "run",
        "ARGS=--port 0",
        cwd=clone,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said: list[str] = []
    async with asyncio.timeout(_READY_TIMEOUT_S):
        up_began_s = await _said(make, _UP_BEGINS, said) - began
        open_s = await _said(make, _OPEN, said) - began
    return Start(up_began_s=up_began_s, open_s=open_s, stop_s=await _stop(make))


async def _said(make: asyncio.subprocess.Process, wanted: str, said: list[str]) -> float:
    """Read on to a line and return when it came."""
    assert make.stdout is not None
    while True:
        line = (await make.stdout.readline()).decode(errors="replace")
        if not line:
            raise RuntimeError(f"`make run` ended before {wanted!r}:\n{''.join(said)}")
        said.append(line)
        if wanted in line:
            return time.monotonic()


async def _stop(make: asyncio.subprocess.Process) -> float:
    """Ctrl-C, for `feira up` alone; returns how long the stop took.

    Raises:
        RuntimeError: it did not end well, or left a process.
    """
    assert make.stdout is not None
    family = descendants(make.pid)
    up = next(pid for pid in family if b"feira\0up" in command_line(pid))
    began = time.monotonic()
    os.kill(up, signal.SIGINT)
    async with asyncio.timeout(_STOP_TIMEOUT_S):
        output = (await make.stdout.read()).decode(errors="replace")
        code = await make.wait()
    took = time.monotonic() - began
    if code != 0 or "stopped" not in output:
        raise RuntimeError(f"`make run` ended with exit code {code}:\n{output}")
    deadline = time.monotonic() + _GONE_TIMEOUT_S
    while left := [pid for pid, born in family.items() if birth_of(pid) == born]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {left} outlived `feira up`")
        await asyncio.sleep(0.05)
    return took

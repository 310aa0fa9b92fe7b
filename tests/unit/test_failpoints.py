"""Failpoints do nothing until a test's own process arms one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from feira.platform.runtime.failpoints import failpoint

ROOT = Path(__file__).parents[2]


def run(words: str, passes: str) -> subprocess.CompletedProcess[str]:
    program = (
        "from tests.chaos.killed_at import arm_by\n"
        "from feira.platform.runtime.failpoints import failpoint\n"
        f"arm_by({words!r})\n"
        f"for name, about in {passes}:\n"
        "    failpoint(name, about)\n"
        "    print(name, about, flush=True)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_armed_failpoint_kills_when_it_is_passed_so_often_by_whom_it_is_about() -> None:
    ended = run("a.b=x#2", "[('a.b', 'x'), ('a.b', 'y'), ('a.c', 'x'), ('a.b', 'x'), ('a.b', 'x')]")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.splitlines() == ["a.b x", "a.b y", "a.c x"]
    assert ended.stderr == "failpoint a.b x: SIGKILL\n"


def test_what_nothing_armed_does_nothing() -> None:
    failpoint("a.b", "x")


def test_no_market_can_arm_one() -> None:
    callers = [
        file
        for folder in ("feira", "bench")
        for file in (ROOT / folder).rglob("*.py")
        if re.search(r"import .*\barm\b|failpoints\.arm", file.read_text())
    ]
    assert callers == []

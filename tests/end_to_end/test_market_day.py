"""The busy day in its short version: everything at once, a killed worker and a killed Valkey, every promise checked."""

import re
import secrets
import subprocess
import sys

import pytest


@pytest.mark.timeout(240)
def test_a_busy_day_loses_and_doubles_nothing() -> None:
    seed = secrets.randbelow(2**31)
    words = ["--seconds", "25", "--buyers", "30", "--sellers", "5", "--seed", str(seed)]
    day = subprocess.run(
        [sys.executable, "-m", "feira", "market-day", *words],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    # The seed and everything that was found are in the output.
    print(day.stdout, day.stderr)
    assert day.returncode == 0
    assert "worker killed" in day.stdout
    assert "Valkey killed" in day.stdout
    for what, at_least in (("acknowledged", 50), ("completed", 10), ("sockets dropped", 3)):
        assert counted(day.stdout, what) >= at_least


def counted(table: str, what: str) -> int:
    """A number of the day's table."""
    found = re.search(rf"^    {what} +(\d+)$", table, re.MULTILINE)
    assert found is not None, f"the table has no {what}"
    return int(found[1])

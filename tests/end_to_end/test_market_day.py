"""The busy day in its short version: everything at once, a killed worker and a killed Valkey, every promise checked."""

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

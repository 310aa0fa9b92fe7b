"""Failpoints: the places where a crash would hurt most, named, so that a test can crash a process exactly there.

    failpoint("payments.refund.called")

They stand on both sides of every commit and outside call that a promise depends on, and do nothing. A test
starts a process with one of them armed (`tests/chaos/killed_at.py`); neither a setting nor the environment
can arm one, so no market runs with one. Names are literals, `room.moment`: tests find them in the source.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final


class _Armed:
    def __init__(self, name: str, about: str | None, passes: int, how: signal.Signals) -> None:
        self._name: Final = name
        self._about: Final = about
        self._how: Final = how
        self._passes_left = passes

    def pass_by(self, name: str, about: str) -> None:
        if name != self._name or self._about not in {None, about}:
            return
        self._passes_left -= 1
        if self._passes_left == 0:
            sys.stderr.write(f"failpoint {name} {about}: {self._how.name}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), self._how)


_armed: _Armed | None = None


def failpoint(name: str, about: str = "") -> None:
    """Pass a place where a test may end the process. `about` tells apart who passes, such as a job's kind."""
    if _armed is not None:
        _armed.pass_by(name, about)


def arm(
    name: str,
    *,
    about: str | None = None,
    passes: int = 1,
    how: signal.Signals = signal.SIGKILL,
) -> None:
    """Have this process get a signal the so-manieth time it passes: SIGKILL as by a power cut, SIGSTOP as by a long pause.

    For tests: call it first thing in a process made for it.
    """
    global _armed  # noqa: PLW0603 - a failpoint is wherever the code is: nothing could hand it through
    assert passes >= 1, "passes count from one"
    _armed = _Armed(name, about, passes, how)

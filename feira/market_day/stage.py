"""The market that is played on: a `feira up` of its own in a folder of its own, and the means to hurt it."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Final

import msgspec

OPEN_TIMEOUT_S: Final = 60.0
CLOSE_TIMEOUT_S: Final = 40.0
HOLD_S: Final = 20
_VERIFY: Final = re.compile(r"\?verify=([A-Za-z0-9_-]+)")


class StageError(Exception):
    """The market did not open."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A market that is open at `url`; everything else about it goes through its public API."""

    url: str
    data_dir: Path
    pid: int

    def admin(self) -> tuple[str, str]:
        """The demo admin's e-mail address and password."""
        logins: list[dict[str, str]] = msgspec.json.decode(
            (self.data_dir / "demo.json").read_bytes()
        )
        admin = next(login for login in logins if login["role"] == "admin")
        return admin["email"], admin["password"]

    def verification_tokens(self) -> dict[str, str]:
        """The newest link in the mail box of every address: what people would click."""
        tokens: dict[str, str] = {}
        files = sorted(
            (self.data_dir / "mail").glob("*.eml"), key=lambda file: file.stat().st_mtime
        )
        for file in files:
            mail = message_from_bytes(file.read_bytes(), policy=policy.default)
            body = mail.get_body(("plain",))
            found = _VERIFY.search(body.get_content()) if body is not None else None
            if found is not None:
                tokens[str(mail["To"])] = found[1]
        return tokens

    def kill(self, words: str) -> int | None:
        """`kill -9` the process below this market whose command line holds `words`; returns its pid."""
        for pid in _descendants(self.pid):
            if words in _command_line(pid):
                os.kill(pid, signal.SIGKILL)
                return pid
        return None


@asynccontextmanager
async def open_stage(data_dir: Path) -> AsyncGenerator[Stage]:
    """Run `feira up` until the context ends.

    Raises:
        StageError: it did not open; its output is in the message.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FEIRA_")
    }
    environment |= {"FEIRA_ORDER_HOLD_S": str(HOLD_S), "FEIRA_LOG_LEVEL": "warning"}
    data_dir.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    log = data_dir / "up.log"
    words = ("-m", "feira", "up", "--data-dir", str(data_dir), "--port", "0")
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=output, stderr=output, env=environment
        )
    try:
        url = await _until_open(process, log)
        yield Stage(url=url, data_dir=data_dir, pid=process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await process.wait()


async def _until_open(process: asyncio.subprocess.Process, log: Path) -> str:
    for _ in range(int(OPEN_TIMEOUT_S / 0.1)):
        found = re.search(r"open at (http://\S+)", _text(log))
        if found:
            return found[1]
        if process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise StageError(f"feira up did not open:\n{_text(log)[-3000:]}")


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    found: list[int] = []
    for child in map(int, children):
        found += [child, *_descendants(child)]
    return found


def _command_line(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        return ""


def read_goods() -> tuple[str, list[dict[str, Any]]]:
    """The header and the rows of goods.csv, in order, bad ones included."""
    text = Path(__file__).with_name("goods.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return text.splitlines()[0], rows

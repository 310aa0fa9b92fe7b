"""The load client as the measurements see it: seats in, results out."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar
from uuid import UUID

import msgspec

from bench.live.cores import CLIENT_CORES
from feira.platform.runtime.embedded.process import die_with_parent

Dialect = Literal["plain", "nchan", "feira", "socketio", "xmpp"]

READY_WITHIN_S = 120.0
_SLACK_S = 10.0


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One connection to make: where, into which room, and what its dialect needs besides."""

    port: int
    room: int
    path: str
    credential: str = ""
    topic: str = ""

    def line(self) -> str:
        return f"{self.port}\t{self.room}\t{self.path}\t{self.credential}\t{self.topic}\n"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What to say: `messages_per_s` by the clock, or `window` messages under way in each room; one of them is 0.

    A message is under way until its sender has the answer and every member of its room has it.
    """

    messages_per_s: float = 0
    window: int = 0
    burst: int = 1
    warm_up_s: float = 1.0
    seconds: float = 4.0
    drain_s: float = 10.0
    """What has not arrived so long after the end is missing."""

    def line(self) -> str:
        what = f"{self.messages_per_s} {self.window} {self.burst}"
        return f"run {what} {self.warm_up_s} {self.seconds} {self.drain_s}"


class Latencies(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """All are in."""

    at_ns: int


class Back(msgspec.Struct, frozen=True, tag_field="event", tag="back"):
    """All are in again, by the monotonic clock."""

    first_lost_at_ns: int
    at_ns: int


class Noticed(msgspec.Struct, frozen=True, tag_field="event", tag="noticed"):
    """A client was told of something that happened, by the monotonic clock."""

    id: UUID
    at_ns: int


class Begin(msgspec.Struct, frozen=True, tag_field="event", tag="begin"):
    """What is measured begins."""


class End(msgspec.Struct, frozen=True, tag_field="event", tag="end"):
    """What is measured ends; what is under way still arrives."""


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="result"):
    """What came of a run: counts within `seconds`, latencies of what was said within them."""

    seconds: float
    said: int
    acknowledged: int
    acknowledged_ever: int
    """Since the client's start, warm-ups included."""
    delivered: int
    not_said: int
    """Due, but the sender had too much under way."""
    refused: int
    """Answered with "later", and said again until it was accepted."""
    repeated: int
    late: int
    """Came after a later message of the same sender."""
    missing: int
    """Answers and deliveries that never came."""
    rooms_differing: int
    """Rooms whose members did not all hear the same in the same order, since the client's start."""
    client_cpu_s: float
    ack: Latencies
    delivery: Latencies

    @property
    def sends_per_s(self) -> float:
        return self.acknowledged / self.seconds

    @property
    def deliveries_per_s(self) -> float:
        return self.delivered / self.seconds

    @property
    def lost(self) -> int:
        """How much went wrong: what never came, came again, or came out of turn."""
        return self.missing + self.repeated + self.late

    @property
    def client_core_share(self) -> float:
        return self.client_cpu_s / self.seconds


Event = Ready | Back | Noticed | Begin | End | Result
_T = TypeVar("_T", Ready, Back, Noticed, Begin, End, Result)


class LoadFailed(Exception):
    """The load client gave up; the message is its own."""


class LoadClient:
    """A running client whose connections are all in."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unheard: list[Event] = []
        self.acknowledged = 0
        """Up to the last result, in all."""

    async def run(self, run: Run, at_edge: Callable[[], None] = lambda: None) -> Result:
        """Carry out a run; `at_edge` is called when what is measured begins, and when it ends."""
        self.tell(run.line())
        limit_s = run.warm_up_s + run.seconds + run.drain_s + _SLACK_S
        await self.hear(Begin, within_s=limit_s)
        at_edge()
        await self.hear(End, within_s=limit_s)
        at_edge()
        return await self.hear(Result, within_s=limit_s)

    def stall(self, index: int) -> None:
        """Let a connection read no more; it does not count as a receiver any longer."""
        self.tell(f"stall {index}")

    def come_back_to(self, port: int) -> None:
        """Let whoever loses the connection come back at that port and resume."""
        self.tell(f"back {port}")

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    async def hear(self, kind: type[_T], *, within_s: float) -> _T:
        """Wait for the next thing of this kind; others wait until somebody wants to hear them.

        Raises:
            LoadFailed: it ended instead: the server closed a connection, or said what it must not.
        """
        for event in self._unheard:
            if isinstance(event, kind):
                self._unheard.remove(event)
                return event
        async with asyncio.timeout(within_s):
            while not isinstance(event := await self._next(), kind):
                self._unheard.append(event)
        return event

    async def _next(self) -> Event:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise LoadFailed((await self._process.stderr.read()).decode(errors="replace").strip())
        event: Event = msgspec.json.decode(line, type=Event)
        if isinstance(event, Result):
            self.acknowledged = event.acknowledged_ever
        return event


@asynccontextmanager
async def open_client(
    binary: Path, dialect: Dialect, seats: Sequence[Seat], folder: Path
) -> AsyncGenerator[LoadClient]:
    """Start the client and wait until all seats are taken; leaving the context ends it."""
    file = folder / "seats"
    file.write_text("".join(seat.line() for seat in seats), encoding="ascii")
    dies = die_with_parent(signal.SIGKILL)

    def prepare() -> None:
        os.sched_setaffinity(0, CLIENT_CORES)
        dies()

    process = await asyncio.create_subprocess_exec(
        binary,
        dialect,
        file,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=prepare,
    )
    try:
        client = LoadClient(process)
        await client.hear(Ready, within_s=READY_WITHIN_S)
        yield client
    finally:
        assert process.stdin is not None
        # The end of its input is what it waits for.
        process.stdin.close()
        await process.wait()

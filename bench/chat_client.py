"""The client of the chat figure: messages over sockets and bare INSERTs, by turns, one in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

from bench.client_process import serve_parent, tell_parent
from bench.lean_socket import LeanSocket
from bench.stage import Talker

TEXT = "Is this still available? I could come by on Saturday morning and pick it up myself."
# As wide as a message's row: whose, which, what, when.
_CREATE = """
CREATE TABLE IF NOT EXISTS bench_inserts (
    id uuid PRIMARY KEY, sender_id uuid NOT NULL, body json NOT NULL, at timestamptz NOT NULL DEFAULT now()
)
"""
_INSERT = "INSERT INTO bench_inserts (id, sender_id, body) VALUES ($1::uuid, $2::uuid, $3::json)"


class ChatWork(msgspec.Struct, frozen=True, kw_only=True):
    """Alternate `blocks` blocks of messages with as many of INSERTs, in each of the repetitions."""

    url: str
    postgres_dsn: str
    talkers: list[Talker]
    repetitions: int
    blocks: int
    block: int


class ChatRepetition(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds each."""

    messages_ms: list[float]
    inserts_ms: list[float]


class ChatResult(msgspec.Struct, frozen=True, kw_only=True):
    """`acknowledged` counts all messages, those of the warm-up too, by conversation."""

    repetitions: list[ChatRepetition]
    acknowledged: dict[UUID, int]


class _Voice:
    """One socket with its conversation."""

    def __init__(self, talker: Talker, socket: LeanSocket) -> None:
        self.talker = talker
        self.seq = 0
        self._socket = socket
        self._topic = f"conversation:{talker.conversation}"
        self._next_id = 0

    async def open(self) -> None:
        await self._ask("connect", {"token": self.talker.token})
        await self._ask("subscribe", {"topic": self._topic})

    async def say(self) -> None:
        """Send a message and wait until the server says that it is committed."""
        message = {"topic": self._topic, "client_id": uuid4(), "text": TEXT}
        place = (await self._ask("send", message))["ok"]
        assert place["seq"] == self.seq + 1, "a conversation's numbers have no holes"
        self.seq = place["seq"]

    async def _ask(self, command: str, value: dict[str, Any]) -> dict[str, Any]:
        self._next_id += 1
        self._socket.send(msgspec.json.encode({"id": self._next_id, command: value}))
        while True:
            for piece in (await self._socket.receive()).split(b"\n"):
                answer: dict[str, Any] = msgspec.json.decode(piece)
                if answer.get("id") == self._next_id:
                    if "error" in answer:
                        raise RuntimeError(f"{command}: {answer['error']}")
                    return answer


async def chat(work: ChatWork, _ended: asyncio.Event) -> None:
    """Measure and tell the parent."""
    async with AsyncExitStack() as stack:
        con = await asyncpg.connect(work.postgres_dsn)
        stack.push_async_callback(con.close)
        await con.execute(_CREATE)
        voices: list[_Voice] = []
        for talker in work.talkers:
            socket = await LeanSocket.open(work.url, "/v1/socket", "feira.v1.json")
            stack.callback(socket.close)
            voice = _Voice(talker, socket)
            await voice.open()
            voices.append(voice)
        turns = _Turns(work, con, voices)
        # Uncounted: plans are made and caches filled.
        await turns.repetition()
        results = [await turns.repetition() for _ in range(work.repetitions)]
        tell_parent(
            ChatResult(
                repetitions=results,
                acknowledged={voice.talker.conversation: voice.seq for voice in voices},
            )
        )


class _Turns:
    """Both sides of the comparison."""

    def __init__(
        self,
        work: ChatWork,
        con: asyncpg.Connection[asyncpg.Record],
        voices: Sequence[_Voice],
    ) -> None:
        self._work = work
        self._con = con
        self._voices = voices
        self._said = 0

    async def repetition(self) -> ChatRepetition:
        messages: list[float] = []
        inserts: list[float] = []
        for _ in range(self._work.blocks):
            messages += [await self._timed_message() for _ in range(self._work.block)]
            inserts += await self._timed_inserts()
        return ChatRepetition(messages_ms=messages, inserts_ms=inserts)

    async def _timed_message(self) -> float:
        # By turns, since one socket may only say so much a second.
        voice = self._voices[self._said % len(self._voices)]
        self._said += 1
        began = time.perf_counter()
        await voice.say()
        return (time.perf_counter() - began) * 1000

    async def _timed_inserts(self) -> list[float]:
        statement = await self._con.prepare(_INSERT)
        took: list[float] = []
        for _ in range(self._work.block):
            sender = self._voices[0].talker.user
            body = msgspec.json.encode({"kind": "message.posted", "sender": sender, "text": TEXT})
            began = time.perf_counter()
            await statement.fetch(uuid4(), sender, body.decode())
            took.append((time.perf_counter() - began) * 1000)
        return took


if __name__ == "__main__":
    serve_parent(ChatWork, chat)

"""Sockets that come, sign in, watch, say something and vanish, as fast as the server lets them."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tests.raw_socket import CLOSE, RawSocket, frame, raw_socket, text

_AT_ONCE: Final = 8
_ids = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who comes, and the conversation that they are a member of."""

    token: str
    topic: str


@dataclass
class Churn:
    """`visits` counts the sockets, `said` the messages that were acknowledged."""

    port: int
    seed: int
    visits: int = 0
    said: int = 0

    async def run(self, visitors: Sequence[Visitor], *, for_s: float) -> None:
        until = time.monotonic() + for_s
        await asyncio.gather(
            *(
                self._come_and_go(visitors, random.Random(f"{self.seed}:{number}"), until)
                for number in range(_AT_ONCE)
            )
        )

    async def _come_and_go(
        self, visitors: Sequence[Visitor], dice: random.Random, until: float
    ) -> None:
        while time.monotonic() < until:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                async with raw_socket(self.port) as raw:
                    self.visits += 1
                    await self._visit(raw, dice.choice(visitors), dice)

    async def _visit(self, raw: RawSocket, visitor: Visitor, dice: random.Random) -> None:
        commands = [
            {"connect": {"token": visitor.token}},
            {"subscribe": {"topic": visitor.topic}},
            {"typing": {"topic": visitor.topic}},
            {
                "send": {
                    "topic": visitor.topic,
                    "client_id": str(UUID(int=dice.getrandbits(128))),
                    "text": "Olá",
                }
            },
        ]
        stays = dice.randrange(len(commands) + 1)
        for command in commands[:stays]:
            if "typing" in command:
                raw.send(text(command))
                continue
            answer = await raw.ask(next(_ids), **command)
            if answer.get("error", {}).get("code") == "socket.rate_limited":
                # A few people with very many sockets: as it should be.
                await asyncio.sleep(answer["error"]["retry_after"])
                continue
            assert "error" not in answer, answer
            self.said += "send" in command
        # What is under way when it vanishes is the point.
        for command in commands[stays:]:
            raw.send(text({"id": next(_ids)} | command))
        if dice.random() < 0.3:
            raw.send(frame(CLOSE, b"\x03\xe8"))
        await asyncio.sleep(dice.choice((0, 0, 0.005, 0.05)))

"""Clients that talk while something is away: every message is sent again until it is answered for good."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.integration.sockets import Client


@dataclass
class Talker:
    """Says numbered things in one conversation, and notes what became of each."""

    client: Client
    topic: str
    name: str
    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    """Sequence number by client id."""
    refused: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slowest_s: float = 0.0

    async def say(self, client_id: str | None = None) -> str:
        """Say one thing, once; return its client id."""
        client_id = client_id or str(uuid4())
        started = time.monotonic()
        answer = await self.client.ask(
            send={"topic": self.topic, "client_id": client_id, "text": f"{self.name} {client_id}"}
        )
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        if "ok" in answer:
            self.acknowledged[client_id] = answer["ok"]["seq"]
        else:
            self.refused.append(answer["error"])
        return client_id

    async def insist(self, client_ids: list[str], *, within_s: float = 15.0) -> None:
        """Say those again that were not acknowledged, until all are."""
        async with asyncio.timeout(within_s):
            for client_id in client_ids:
                while client_id not in self.acknowledged:
                    await self.say(client_id)
                    await asyncio.sleep(0.05)

    async def hear(self, seq: int, *, within_s: float = 15.0) -> list[dict[str, Any]]:
        """The conversation's events that this client was pushed, once `seq` has come."""
        async with asyncio.timeout(within_s):
            while not any(event["seq"] >= seq for event in self.events()):
                await self.client.read()
        return self.events()

    def events(self) -> list[dict[str, Any]]:
        return [
            message["event"]
            for message in self.client.received
            if message.get("event", {}).get("topic") == self.topic
        ]


def require_each_once(events: list[dict[str, Any]], client_ids: set[str]) -> None:
    """In order, without holes, and every message exactly once."""
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    heard = [event["body"]["client_id"] for event in events]
    assert sorted(heard) == sorted(client_ids)

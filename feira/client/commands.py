"""What a user may ask for over a socket: each is carried out once, however often the connection breaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """Where a message stands."""

    seq: int
    client_id: UUID


class Commands(ABC):
    """Every command raises `SocketProblem` when it is refused for good, or when too much is unsent."""

    @abstractmethod
    async def ask_durably(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a command until it is answered, and return what its `ok` says."""

    async def send(
        self, topic: str, text: str, *, client_id: UUID | None = None, reply_to: int | None = None
    ) -> Posted:
        """Say something in a conversation; returns once it is committed, after however many reconnects."""
        client_id = client_id or uuid4()
        body: dict[str, Any] = {"topic": topic, "client_id": str(client_id), "text": text}
        if reply_to is not None:
            body["reply_to"] = reply_to
        answer = await self.ask_durably("send", body)
        return Posted(seq=answer["seq"], client_id=client_id)

    async def edit(
        self, topic: str, message: int, text: str, *, client_id: UUID | None = None
    ) -> int:
        """Give a message of one's own a new text; returns where that stands in the log."""
        body = {"topic": topic, "message": message, "client_id": str(client_id or uuid4())}
        return (await self.ask_durably("edit", body | {"text": text}))["seq"]

    async def delete(self, topic: str, message: int) -> int:
        """Leave a tombstone where a message was; returns where that stands in the log."""
        return (await self.ask_durably("delete", {"topic": topic, "message": message}))["seq"]

    async def react(
        self,
        topic: str,
        message: int,
        emoji: str,
        *,
        remove: bool = False,
        client_id: UUID | None = None,
    ) -> int:
        """Add or remove one's reaction to a message; returns where that stands in the log."""
        body = {"topic": topic, "message": message, "client_id": str(client_id or uuid4())}
        answer = await self.ask_durably("react", body | {"emoji": emoji, "remove": remove})
        return answer["seq"]

    async def read(self, topic: str, seq: int) -> None:
        """Say that everything up to `seq` was read."""
        await self.ask_durably("read", {"topic": topic, "seq": seq})

    async def command_order(
        self, order: str, command: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Carry out a command on an order."""
        body = {"order": order, "idempotency_key": key or str(uuid4()), "command": command}
        return await self.ask_durably("order", body)

    async def refund(
        self, order: str, refund: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Give money of an order back; `refund.exceeds_order` and others say why not."""
        body = {"order": order, "idempotency_key": key or str(uuid4()), "refund": refund}
        return await self.ask_durably("refund", body)

    async def request_return(
        self, order: str, request: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Ask for a return, an exchange or a claim's refund."""
        body = {"order": order, "idempotency_key": key or str(uuid4()), "request": request}
        return await self.ask_durably("request_return", body)

    async def command_return(
        self, returned: str, command: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Take the next step of a return; a problem's `details` say where it is by then."""
        body = {"returned": returned, "idempotency_key": key or str(uuid4()), "command": command}
        return await self.ask_durably("command_return", body)

    async def make_offer(
        self, topic: str, offer: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Make an offer in a conversation; `offer.already_open` and others say why not."""
        body = {"topic": topic, "idempotency_key": key or str(uuid4()), "offer": offer}
        return await self.ask_durably("make_offer", body)

    async def command_offer(
        self, offer: str, command: dict[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """Accept, counter, decline or withdraw an offer; a problem's `details` say how one ended that is over."""
        body = {"offer": offer, "idempotency_key": key or str(uuid4()), "command": command}
        return await self.ask_durably("offer", body)

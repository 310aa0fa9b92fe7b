r"""Commands that must reach the server, in their order, on however many connections.

    waiting --transmitted--> under way --answered--> done
       ^----connection lost-----/ \--refused for now--> waiting, after a pause

Nothing is kept on disk. Every command carries a key of the caller's choice (`client_id`, `key`), so a program that
must not forget across its own restarts stores that with what it said, and says it again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from feira.client.problems import SocketEnded, SocketProblem

OUTBOX_MAX: Final = 1_000


@dataclass(kw_only=True)
class _Unsent:
    name: str
    body: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]
    connection: int = 0
    """The connection on which it was transmitted last."""


class Outbox:
    """`transmit(message)` sends a message on the present connection, or loses it with the connection."""

    def __init__(
        self, next_id: Callable[[], int], transmit: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        self._next_id = next_id
        self._transmit = transmit
        # Insertion order is sending order, also after a reconnect.
        self._unsent: dict[int, _Unsent] = {}
        # The number of the connection that stands; None while there is none.
        self._connection: int | None = None
        self._ended: SocketEnded | None = None

    def __len__(self) -> int:
        return len(self._unsent)

    async def ask(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a command until it is answered; returns what its `ok` says.

        Raises:
            SocketProblem: refused for good, or too much is unsent (`client.outbox_full`).
            SocketEnded: the client has ended; whether the command happened is not known.
        """
        while True:
            if self._ended is not None:
                raise self._ended
            if len(self._unsent) >= OUTBOX_MAX:
                full = {"code": "client.outbox_full", "message": "too much is unsent"}
                raise SocketProblem(full | {"retryable": True})
            message = await self._ask_once(name, body)
            if "error" not in message:
                return message["ok"]
            problem = SocketProblem(message["error"])
            if not problem.retryable:
                raise problem
            await asyncio.sleep(jittered(problem.retry_after_s))

    async def _ask_once(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        identifier = self._next_id()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        command = self._unsent[identifier] = _Unsent(name=name, body=body, answer=answer)
        try:
            if self._connection is not None:
                await self._send(identifier, command, self._connection)
            return await answer
        finally:
            self._unsent.pop(identifier, None)

    async def opened(self, connection: int) -> None:
        """Send all that waits on a new connection, and from then on at once."""
        # Also what is asked while this goes on: nothing may fall between the old connection and the new.
        while waiting := [one for one in self._unsent.items() if one[1].connection != connection]:
            for identifier, command in waiting:
                await self._send(identifier, command, connection)
        self._connection = connection

    def lost(self) -> None:
        """The connection is gone; what was not answered waits for the next."""
        self._connection = None

    def answered(self, message: dict[str, Any]) -> bool:
        """Take an answer; False when it belongs to nothing here."""
        command = self._unsent.get(message["id"])
        if command is None:
            return False
        if not command.answer.done():
            command.answer.set_result(message)
        return True

    def end(self, ended: SocketEnded) -> None:
        """Whoever waits, or comes later, learns why there is no answer."""
        self._ended = ended
        for command in self._unsent.values():
            if not command.answer.done():
                command.answer.set_exception(ended)

    async def _send(self, identifier: int, command: _Unsent, connection: int) -> None:
        command.connection = connection
        await self._transmit({"id": identifier, command.name: command.body})


def jittered(seconds: float) -> float:
    """So long or less, so that many who were refused together do not come back together."""
    return random.uniform(0.5, 1.0) * seconds  # noqa: S311

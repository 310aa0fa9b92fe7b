"""Everything that a socket says in a test is held against the types that its documentation is made from."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from feira.ws.messages import ANSWERS, ErrorBody, Push
from feira.ws.protocol import ClientMessage

_COMMANDS = frozenset(field.name for field in msgspec.structs.fields(ClientMessage)) - {"id"}


class Hearing:
    """Knows what `Client` asked under which id, and so what may answer it."""

    def __init__(self) -> None:
        self._asked: dict[Any, str] = {}
        self.kinds: Counter[str] = Counter()
        """How often each kind of message was heard, named as in the document; events also by their `kind`."""

    def asked(self, message: dict[str, Any]) -> None:
        names = _COMMANDS & message.keys()
        if len(names) == 1 and "id" in message:
            [self._asked[message["id"]]] = names

    def require_described(self, message: dict[str, Any]) -> None:
        """Decode strictly: an unknown or missing field, or a wrong type, fails."""
        name = self._asked.get(message.get("id"))
        if name is not None and "error" not in message:
            answer = ANSWERS[name]
            assert answer is not None, f"{name} is not answered: {message}"
            assert message.keys() == {"id", answer[0]}, message
            msgspec.convert(message[answer[0]], answer[1])
            self.kinds[f"answer.{name}"] += 1
            return
        if "id" in message and "error" not in message:
            # To bytes that a test put together itself.
            [key] = message.keys() - {"id"}
            assert key in {"ok", "connect", "subscribe"}, message
            return
        keys = message.keys() - {"id"} if "error" in message else message.keys()
        [key] = keys
        if key == "error":
            msgspec.convert(message["error"], ErrorBody)
        else:
            msgspec.convert(message, Push)
        self.kinds[f"push.{key}"] += 1
        if key == "event":
            self.kinds[message["event"]["body"]["kind"]] += 1

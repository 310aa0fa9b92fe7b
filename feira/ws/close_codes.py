"""Why sockets are closed. 3000-3499 and 4000-4499: reconnect; other 3xxx and 4xxx are final."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """The catalogue; `reason` goes into the close frame."""

    DRAINING = 3001
    CONNECT_TIMEOUT = 3002
    UNAVAILABLE = 3003
    TOKEN_EXPIRED = 3005
    SLOW = 3008
    NO_PONG = 3012
    RATE_LIMITED = 3013
    BAD_TOKEN = 3500
    BAD_REQUEST = 3501
    NOT_SIGNED_IN = 3502
    SESSION_ENDED = 3503

    @property
    def reason(self) -> str:
        return self.name.lower().replace("_", " ")

    @property
    def reconnect(self) -> bool:
        """Whether a client should come back by itself."""
        return self % 1000 < 500  # noqa: PLR2004 - the rule of the module's first line

"""What goes wrong on a socket, as exceptions."""

from __future__ import annotations

from typing import Any


class SocketProblem(Exception):
    """The server answered a command with an error; `retryable` says whether the same may work later."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.code = str(error.get("code", "unknown"))
        self.retryable = bool(error.get("retryable", False))
        self.retry_after_s = float(error.get("retry_after") or 0.5)
        self.details: dict[str, Any] = error.get("details") or {}
        super().__init__(f"{self.code}: {error.get('message', '')}")


class SocketEnded(SocketProblem):
    """The client has ended and does not come back: signed out, refused, or closed by its own side.

    `close_code` is the server's, None where no server said so.
    """

    def __init__(self, code: str, message: str, close_code: int | None = None) -> None:
        super().__init__({"code": code, "message": message})
        self.close_code = close_code

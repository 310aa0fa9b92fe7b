"""What Feira needs of an e-mail provider."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one person."""

    to: str
    subject: str
    text: str
    html: str
    # Names the effect: sending the same key again must not give the person a second copy.
    idempotency_key: str


class MailSender(Protocol):
    """Sends mail. A provider that cannot be reached raises `Unavailable`; the job tries again."""

    async def send(self, mail: Mail) -> None: ...

    async def close(self) -> None: ...

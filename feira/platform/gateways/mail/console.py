"""Mail for a market without a provider: one line on the console, the whole message in an `.eml` file."""

from __future__ import annotations

import asyncio
import hashlib
import os
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Final

from feira.platform.domain.errors import InvalidInput, Unavailable
from feira.platform.gateways.mail.port import Mail


class ConsoleMailSender:
    """Writes each mail into `folder`, named by its idempotency key: sending it again gives the same file."""

    def __init__(self, folder: Path, sender: str) -> None:
        self._folder: Final = folder
        self._sender: Final = sender

    async def send(self, mail: Mail) -> None:
        """Write the file, whole or not at all, and print its place.

        Raises:
            InvalidInput: `mail.bad_header`: a line break in an address or subject.
            Unavailable: `mail.unavailable`: the folder cannot be written.
        """
        name = hashlib.sha256(mail.idempotency_key.encode()).hexdigest()[:32]
        path = self._folder / f"{name}.eml"
        content = self._compose(mail, name)
        try:
            await asyncio.to_thread(_write_whole, path, content)
        except OSError as error:
            raise Unavailable(
                "mail.unavailable", f"The mail folder cannot be written ({error.strerror})."
            ) from error
        print(f"mail to={mail.to} subject={mail.subject!r} file={path}", flush=True)  # noqa: T201 - its purpose

    async def close(self) -> None:
        """Nothing is open between two mails."""

    def _compose(self, mail: Mail, name: str) -> bytes:
        message = EmailMessage(policy=SMTP)
        try:
            message["From"] = self._sender
            message["To"] = mail.to
            message["Subject"] = mail.subject
        except ValueError as error:
            raise InvalidInput(
                "mail.bad_header", f"The mail has a wrong header: {error}."
            ) from error
        message["Date"] = format_datetime(datetime.now(UTC))
        _, _, host = parseaddr(self._sender)[1].rpartition("@")
        # The same effect has the same id, whichever attempt sent it (RFC 5322, 3.6.4).
        message["Message-ID"] = f"<{name}@{host or 'feira.localhost'}>"
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message.as_bytes()


def _write_whole(path: Path, content: bytes) -> None:
    # Mails hold links that sign people in: nobody else on this machine reads them.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)

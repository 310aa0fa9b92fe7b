"""The line to receivers of webhooks: strangers' servers, of which nothing is believed.

No redirects, cookies or proxies; 5 s to connect and 10 s in all; of the answer no more than its beginning is read, and
nothing is unpacked. What goes wrong is the delivery's outcome, never an exception.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final

import aiohttp
import msgspec
from yarl import URL

import feira
from feira.platform.gateways.webhooks.addresses import ForbiddenAddress, open_socket

TOTAL_S: Final = 10.0
CONNECT_S: Final = 5.0
ANSWER_S: Final = 2.0
"""For reading the body of an answer whose status is known."""
ANSWER_BYTES_MAX: Final = 1024
_ERROR_CHARS_MAX: Final = 200


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one try. `status` is None where no answer came; `error` then says why, for the endpoint's owner."""

    status: int | None
    error: str = ""
    answer: str = ""
    duration_ms: int
    retry_after_s: float = 0


class WebhookLine:
    """Connections to receivers. Use `open_line`."""

    def __init__(self, session: aiohttp.ClientSession, *, total_s: float, connect_s: float) -> None:
        self._session: Final = session
        self._total_s: Final = total_s
        self._connect_s: Final = connect_s

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Send one message. Raises nothing but `CancelledError`."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            outcome = await self._post(url, headers, body)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            outcome = Outcome(status=None, error=self._explained(error), duration_ms=0)
        duration_ms = round((loop.time() - started) * 1000)
        return msgspec.structs.replace(outcome, duration_ms=duration_ms)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        async with self._session.post(
            # As it was checked: not written anew.
            URL(url, encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
        ) as response:
            return Outcome(
                status=response.status,
                answer=await _beginning(response),
                duration_ms=0,
                retry_after_s=retry_after_s(
                    response.headers.get("Retry-After", ""), datetime.now(UTC)
                ),
            )

    def _explained(self, error: Exception) -> str:
        """In a sentence that tells nothing of our own network."""
        match error:
            case aiohttp.ClientConnectorError(os_error=ForbiddenAddress()) | ForbiddenAddress():
                return "The name leads to an address that is not on the public Internet."
            case aiohttp.ClientConnectorDNSError():
                return "The name was not found."
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
                return f"The certificate is not trusted: {error}"[:_ERROR_CHARS_MAX]
            case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
                return "TLS could not be agreed on."
            case aiohttp.ConnectionTimeoutError():
                return f"No connection within {self._connect_s:g} s."
            case TimeoutError():
                return f"No answer within {self._total_s:g} s."
            case aiohttp.ClientConnectorError():
                return f"No connection: {error.os_error.strerror or 'refused'}."[:_ERROR_CHARS_MAX]
            case aiohttp.InvalidURL():
                return "The URL cannot be connected to."
            case aiohttp.ServerDisconnectedError() | ConnectionError():
                return "The connection was closed before an answer came."
            case _:
                return "What came back was not an answer by HTTP."


@asynccontextmanager
async def open_line(
    *, to_loopback: bool, total_s: float = TOTAL_S, connect_s: float = CONNECT_S
) -> AsyncGenerator[WebhookLine]:
    """Open connections as they are needed, and close them all at the end.

    `to_loopback` allows receivers on this machine.
    """
    connector = aiohttp.TCPConnector(
        # Each socket's very address is checked, whether it came from a name or stood in the URL.
        socket_factory=partial(open_socket, to_loopback=to_loopback),
        use_dns_cache=False,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=total_s, connect=connect_s),
        headers={
            "User-Agent": f"Feira-Webhooks/{feira.__version__}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        },
        # What says it is packed stays packed: a small answer must not grow.
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield WebhookLine(session, total_s=total_s, connect_s=connect_s)


def retry_after_s(value: str, now: datetime) -> float:
    """Seconds that a `Retry-After` header asks for, in both of its forms (RFC 9110, 10.2.3); 0 for none and for nonsense."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - now).total_seconds(), 0)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first bytes of the body; whatever came in time. The status stands, whatever becomes of the body."""
    got = bytearray()
    with suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while len(got) < ANSWER_BYTES_MAX:
                piece = await response.content.read(ANSWER_BYTES_MAX - len(got))
                if not piece:
                    break
                got += piece
    if not response.content.at_eof():
        # An answer may go on for ever.
        response.close()
    # Postgres keeps no NUL in a text.
    return bytes(got).decode("utf-8", errors="replace").replace("\x00", "\ufffd")

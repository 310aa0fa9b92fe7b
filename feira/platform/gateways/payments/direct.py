"""A provider's HTTP API without an SDK: async, one try a call, bounded in time, no redirects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import aiohttp
import msgspec

from feira.platform.domain.errors import Unavailable

T = TypeVar("T")

TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whatever its status."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return self.status // 100 == 2  # noqa: PLR2004 - RFC 9110, 15.3

    def read(self, kind: type[T]) -> T:
        """Decode it.

        Raises:
            Unavailable: `payment.provider_unavailable`: it is something else.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.DecodeError as problem:
            raise away(f"it answered {self.status} with something else: {problem}") from None


class DirectHttp:
    """Repeating is the jobs' business: a call here is made once."""

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make the call.

        Raises:
            Unavailable: `payment.provider_unavailable`: no answer; it may have been carried out.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.request(
                method,
                self._api_url + path,
                params=query,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                return Answer(status=answer.status, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise away("no answer came, and the outcome is unknown") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def away(what: str) -> Unavailable:
    """Nothing is known to be wrong with the request; the same key may be tried again."""
    return Unavailable(
        "payment.provider_unavailable", f"The payment provider is away: {what}.", retry_after_s=5
    )

"""Calls to PayPal with an access token that is asked for once, however many need it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from feira.platform.gateways.payments.direct import Answer, DirectHttp
from feira.platform.gateways.payments.paypal import wire
from feira.platform.gateways.payments.paypal.errors import port_error

T = TypeVar("T")

LIVE_API: Final = "https://api-m.paypal.com"
# A token is renewed while the old one is still good.
_RENEW_BEFORE_S: Final = 60.0
_BODY: Final = {"Content-Type": "application/json", "Prefer": "return=representation"}


class PayPalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`partner_id` is the market's own merchant id; `webhook_id` names the webhook that events are checked against."""

    client_id: str
    client_secret: str
    partner_id: str = ""
    webhook_id: str = ""
    api_url: str = LIVE_API

    def __repr__(self) -> str:
        return f"PayPalSettings(api_url={self.api_url!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("api_url", self.api_url)]


class PayPalConnection:
    """One HTTP session and one token."""

    def __init__(
        self, settings: PayPalSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._http = DirectHttp(settings.api_url)
        self._clock = clock
        self._token = ""
        self._good_until = 0.0
        self._asking = asyncio.Lock()

    async def get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return _read(await self.send("GET", path, query=query), kind)

    async def post(self, path: str, body: object, kind: type[T], *, key: str = "") -> T:
        """`key` is the PayPal-Request-Id under which a repeat is known."""
        return _read(await self.send("POST", path, body=body, key=key), kind)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        key: str = "",
    ) -> Answer:
        """The answer, whatever it is; with a new token where PayPal no longer knows the old one.

        Raises:
            Unavailable: it did not come, or there is no token to be had.
        """
        token = await self._current()
        answer = await self._send(token, method, path, body, query, key)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # It was not carried out: tokens are looked at first.
            self._forget(token)
            answer = await self._send(await self._current(), method, path, body, query, key)
        return answer

    async def close(self) -> None:
        await self._http.close()

    async def _send(
        self,
        token: str,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, str] | None,
        key: str,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers |= _BODY
        if key:
            headers["PayPal-Request-Id"] = key
        raw = None if body is None else msgspec.json.encode(body)
        return await self._http.send(method, path, headers=headers, body=raw, query=query)

    async def _current(self) -> str:
        async with self._asking:
            if self._clock() >= self._good_until:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        pair = f"{self._settings.client_id}:{self._settings.client_secret}"
        answer = await self._http.send(
            "POST",
            "/v1/oauth2/token",
            headers={
                "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            body=b"grant_type=client_credentials",
        )
        token = _read(answer, wire.Token)
        self._token = token.access_token
        self._good_until = self._clock() + token.expires_in - _RENEW_BEFORE_S

    def _forget(self, token: str) -> None:
        if token == self._token:
            self._good_until = 0.0


def _read(answer: Answer, kind: type[T]) -> T:
    if not answer.is_success:
        raise port_error(answer)
    return answer.read(kind)

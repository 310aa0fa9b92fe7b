"""The official SDK on our terms: async, bounded in time, one try a call, answers decoded into our own structs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, Protocol, TypedDict, TypeVar

import aiohttp
import msgspec
import stripe
from stripe import StripeObject

from feira.platform.domain.errors import Unavailable
from feira.platform.gateways.payments.stripe.errors import port_error
from feira.platform.gateways.payments.stripe.wire import Listing

T = TypeVar("T")


class HasId(Protocol):
    """What a list can be continued after."""

    @property
    def id(self) -> str: ...


Named = TypeVar("Named", bound=HasId)


class StartingAfter(TypedDict, total=False):
    """Where the next page of a list begins."""

    starting_after: str


# What this code was written and tested for: an SDK update must not change what Stripe answers.
API_VERSION: Final = "2026-10-28.endive"
PUBLIC_API: Final = "https://api.stripe.com"
TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0, sock_connect=5.0)


class StripeConnection:
    """A `StripeClient` whose calls end in 20 s. Must be made inside the loop that it serves.

    Retries are ours: a job repeats the call under the same key, after a commit that says so.
    """

    def __init__(self, secret_key: str, *, api_url: str = PUBLIC_API) -> None:
        # It would write an identifier into the home folder and report our machine and timings.
        stripe.enable_telemetry = False
        self._http = _BoundedHttp()
        self.client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_url, "files": api_url, "connect": api_url},
            max_network_retries=0,
            http_client=self._http,
        )
        self.v1 = self.client.v1

    async def ask(self, call: Awaitable[StripeObject], kind: type[T]) -> T:
        """Make the call and decode its answer.

        Raises:
            Unavailable: repeat it with the same key. `payment.outcome_unknown`: that would be in vain.
            GatewayRefused: it will not.
        """
        try:
            answer = await call
        except stripe.StripeError as error:
            raise port_error(error) from None
        response = answer.last_response
        assert response is not None, "an answer that was fetched has its response"
        try:
            return msgspec.json.decode(response.body, type=kind)
        except msgspec.DecodeError as problem:
            raise Unavailable(
                "payment.provider_unavailable", f"Stripe answered something else: {problem}."
            ) from None

    async def all_of(
        self, call: Callable[[StartingAfter], Awaitable[StripeObject]], kind: type[Named]
    ) -> AsyncIterator[Named]:
        """Every object of a list, page by page."""
        page: StartingAfter = {}
        while True:
            listing = await self.ask(call(page), Listing[kind])
            for one in listing.data:
                yield one
            if not listing.has_more:
                return
            page = {"starting_after": listing.data[-1].id}

    async def close(self) -> None:
        await self._http.close_async()


class _BoundedHttp(stripe.AIOHTTPClient):
    """The SDK's client lets errors while reading a body through as they are, and follows redirects with our key."""

    def __init__(self) -> None:
        super().__init__(timeout=TIMEOUT)
        self._opened: aiohttp.ClientSession | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        if self._opened is None:
            self._opened = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with self._opened.request(
                method, url, headers=headers, data=post_data, allow_redirects=False
            ) as answer:
                return await answer.read(), answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise stripe.APIConnectionError(type(error).__name__) from error

    async def close_async(self) -> None:
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

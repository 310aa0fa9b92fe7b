"""The door of a served node, and what is thrown at it: spoiled requests by the hundred, each answered, none a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import msgspec
import structlog
from aiohttp import ClientSession
from yarl import URL

from feira.http.endpoint import Endpoint
from feira.http.routes import ENDPOINTS
from tests.integration.cast import Cast, Part, address_of
from tests.integration.sound_requests import QUERIES, bodies

AT_ONCE: Final = 6
JSON: Final = {"Content-Type": "application/json"}
WITH_BODY: Final = tuple(e for e in ENDPOINTS if e.body_type is not None)
WITH_QUERY: Final = tuple(e for e in ENDPOINTS if e.query_type is not None)
WITH_PATH: Final = tuple(e for e in ENDPOINTS if e.path_types)


def endpoint_of(name: str) -> Endpoint:
    """The endpoint of `GET /v1/me` and the like."""
    (found,) = [endpoint for endpoint in ENDPOINTS if name_of(endpoint) == name]
    return found


def name_of(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


def part_for(endpoint: Endpoint) -> Part:
    """Who gets furthest with a request."""
    if "/auth/" in endpoint.path:
        # Signing out would end what the others need.
        return "anonymous"
    if "/disputes/" in endpoint.path or (
        endpoint.path.endswith("/refunds") and endpoint.method == "POST"
    ):
        return "support"
    if "/admin/" in endpoint.path or "/operations/" in endpoint.path:
        return "admin"
    if endpoint.service == "products" or endpoint.path.startswith(
        ("/v1/shops/", "/v1/promotions/")
    ):
        return "owner"
    if "/members" in endpoint.path and endpoint.method != "GET":
        return "support"
    return "buyer"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A spoiled request and what came back."""

    what: str
    status: int
    body: bytes
    content_type: str

    @property
    def problem(self) -> dict[str, Any]:
        assert self.content_type == "application/problem+json", self
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Door:
    """The node's HTTP door."""

    cast: Cast
    origin: str
    session: ClientSession
    bodies: dict[str, Any]

    async def send(
        self,
        endpoint: Endpoint,
        what: str,
        *,
        body: bytes | BytesIO | None = None,
        query: str = "",
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sent:
        address = path or address_of(endpoint.path, self.cast.ids)
        query = query or QUERIES.get(name_of(endpoint), "")
        url = URL(f"{self.origin}{address}{query}", encoded=True)
        sent = self.cast.headers(part_for(endpoint)) | (JSON if body is not None else {})
        if body is None and name_of(endpoint) in self.bodies:
            body = msgspec.json.encode(self.bodies[name_of(endpoint)])
            sent |= JSON
        async with self.session.request(
            endpoint.method, url, data=body, headers=sent | dict(headers or {})
        ) as answer:
            return Sent(
                what=f"{name_of(endpoint)}: {what}",
                status=answer.status,
                body=await answer.read(),
                content_type=answer.content_type,
            )

    def fresh_body(self, name: str) -> dict[str, Any] | None:
        """Another sound body: what must be unique is new."""
        return bodies(self.cast).get(name)

    async def counts(self) -> dict[str, int]:
        """Rows of every table."""
        async with self.cast.market.database.connection() as con:
            names = [
                record["name"]
                for record in await con.fetch(
                    "SELECT schemaname || '.' || tablename AS name FROM pg_tables"
                    " WHERE schemaname IN ('public', 'sandbox')"
                )
            ]
            return {name: await con.fetchval(f"SELECT count(*) FROM {name}") for name in names}  # noqa: S608


async def all_of(requests: list[Awaitable[Sent]]) -> list[Sent]:
    """Send many, a few at once, and fail on the first bug that any of them found."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: Awaitable[Sent]) -> Sent:
        async with gate:
            return await request

    with structlog.testing.capture_logs() as logs:
        answers = await asyncio.gather(*(one(request) for request in requests))
    crashed = [answer for answer in answers if answer.status >= 500]
    assert not crashed, "\n".join(f"{c.what} -> {c.status} {c.body[:200]!r}" for c in crashed[:20])
    assert [line for line in logs if line["log_level"] == "error"] == []
    return answers


def require_refused(answers: list[Sent], *codes: str) -> None:
    """All were told what is wrong, and where."""
    wrong = [
        f"{answer.what} -> {answer.status} {answer.body[:200]!r}"
        for answer in answers
        if answer.status != 400
        or answer.problem["code"] not in codes
        or not answer.problem.get("field")
    ]
    assert not wrong, "\n".join(wrong[:20])

"""A provider's API on loopback: every request is judged by its published description before it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer


class Refusal(Exception):
    """The provider's own error answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: str
    body: bytes
    headers: Mapping[str, str]


class Provider(Protocol):
    """What stands behind the address."""

    def judge(self, asked: Asked) -> list[str]:
        """What the published description has against the request."""
        ...

    def answer(self, asked: Asked) -> Any:
        """The answer's body; raises `Refusal`."""
        ...


@dataclass(kw_only=True)
class Company:
    """`wrong` is what the description had against our requests: it must stay empty."""

    provider: Provider
    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    wrong: list[str] = field(default_factory=list[str])
    # How the next requests go wrong: an answer that is not the provider's, or none although it was carried out.
    misbehave: list[str] = field(default_factory=list[str])

    # The next such request, as a pattern of method and path, is carried out and not answered.
    lose: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(
            method=request.method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            body=await request.read(),
            headers=request.headers.copy(),
        )
        self.asked.append(asked)
        self.wrong += [
            f"{asked.method} {asked.path} {problem}" for problem in self.provider.judge(asked)
        ]
        fault = self.misbehave.pop(0) if self.misbehave else ""
        if self.lose and re.fullmatch(self.lose, f"{asked.method} {asked.path}"):
            self.lose, fault = "", "hang_up"
        if fault == "502":
            return web.Response(status=HTTPStatus.BAD_GATEWAY, text="<html>bad gateway</html>")
        if fault == "redirect":
            raise web.HTTPFound("/elsewhere")
        try:
            status, body = HTTPStatus.OK, self.provider.answer(asked)
        except Refusal as refusal:
            status, body = HTTPStatus(refusal.status), refusal.body
        if fault == "hang_up":
            assert request.transport is not None
            request.transport.abort()
        if fault == "half":
            return await _half_an_answer(request)
        headers = {"Idempotent-Replayed": "true"} if fault == "saved" else None
        if fault == "saved":
            status, body = HTTPStatus.INTERNAL_SERVER_ERROR, {"error": {"type": "api_error"}}
        return web.Response(
            status=status,
            body=msgspec.json.encode(body),
            content_type="application/json",
            headers=headers,
        )


async def _half_an_answer(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id": ')
    await asyncio.sleep(0)
    assert request.transport is not None
    request.transport.abort()
    return response


@contextlib.asynccontextmanager
async def open_company(provider: Provider) -> AsyncGenerator[Company]:
    company = Company(provider=provider)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", company.handle)
    server = TestServer(app)
    await server.start_server()
    company.url = str(server.make_url("")).rstrip("/")
    try:
        yield company
    finally:
        await server.close()

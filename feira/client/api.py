"""REST for programs: signs in, keeps its token fresh, and repeats what is safe to repeat."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, cast
from uuid import uuid4

import aiohttp
import msgspec

TRIES_MAX: Final = 8
TIMEOUT_S: Final = 20.0
# A token is renewed this long before it ends.
RENEW_BEFORE_S: Final = 60.0


class ApiProblem(Exception):
    """The server's answer was a problem: `code` is for programs, the message for people."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", "unknown"))
        self.field = body.get("field")
        self.details: dict[str, Any] = body.get("details") or {}
        self.retryable = bool(body.get("retryable", False))
        self.retry_after_s = float(body.get("retry_after_s") or 1.0)
        super().__init__(f"{status} {self.code}: {body.get('detail', body.get('title', ''))}")


@dataclass(kw_only=True)
class Tokens:
    """What a login gave."""

    user: str
    access: str
    refresh: str
    expires_at: float


class ApiClient:
    """One person's (or nobody's) view of the API. Many may share one `aiohttp.ClientSession`."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = http
        self._tokens: Tokens | None = None
        self._renewing = asyncio.Lock()

    @property
    def user(self) -> str:
        """The signed-in user's id."""
        assert self._tokens is not None, "sign in first"
        return self._tokens.user

    async def sign_in(self, email: str, password: str) -> None:
        """Open a session.

        Raises:
            ApiProblem: `auth.wrong_credentials`, `auth.throttled` ...
        """
        answer = await self._request(
            "POST", "/v1/auth/login", {"email": email, "password": password}
        )
        self._keep(answer)

    async def token(self) -> str:
        """An access token that is good for a while."""
        assert self._tokens is not None, "sign in first"
        async with self._renewing:
            if self._tokens.expires_at - time.time() < RENEW_BEFORE_S:
                body = {"refresh_token": self._tokens.refresh}
                self._keep(await self._request("POST", "/v1/auth/refresh", body))
            return self._tokens.access

    async def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """GET JSON. Query parameters that are None are left out."""
        given = {name: _query_text(value) for name, value in query.items() if value is not None}
        return await self._request("GET", path, query=given, signed_in=True)

    async def post(self, path: str, body: object = None, *, key: str | None = None) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """POST JSON with an Idempotency-Key (a new one unless given), so that repeating is safe."""
        return await self._request(
            "POST", path, body or {}, key=key or str(uuid4()), signed_in=True
        )

    async def put(self, path: str, body: object) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """PUT JSON."""
        return await self._request("PUT", path, body, key=str(uuid4()), signed_in=True)

    async def patch(self, path: str, body: object) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """PATCH JSON."""
        return await self._request("PATCH", path, body, key=str(uuid4()), signed_in=True)

    async def delete(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """DELETE."""
        return await self._request("DELETE", path, key=str(uuid4()), signed_in=True)

    async def post_bytes(self, path: str, body: bytes, content_type: str) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        """POST a file, such as a product list."""
        return await self._request(
            "POST", path, body, key=str(uuid4()), signed_in=True, content_type=content_type
        )

    async def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, str] | None = None,
        key: str | None = None,
        signed_in: bool = False,
        content_type: str = "application/json",
    ) -> Any:  # noqa: ANN401 - whatever JSON the route answers
        for attempt in range(1, TRIES_MAX + 1):
            headers = {"Content-Type": content_type} if body is not None else {}
            if signed_in and self._tokens is not None:
                headers["Authorization"] = f"Bearer {await self.token()}"
            if key is not None:
                headers["Idempotency-Key"] = key
            try:
                async with self._http.request(
                    method,
                    self.base_url + path,
                    params=query,
                    data=body
                    if isinstance(body, bytes) or body is None
                    else msgspec.json.encode(body),
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                ) as answer:
                    raw = await answer.read()
                    if answer.status < HTTPStatus.BAD_REQUEST:
                        return msgspec.json.decode(raw) if raw else None
                    problem = ApiProblem(answer.status, _problem_body(raw))
            except (aiohttp.ClientConnectionError, TimeoutError):
                # Not known whether it happened: the same key finds out.
                if attempt == TRIES_MAX or (key is None and method != "GET"):
                    raise
                await asyncio.sleep(random.uniform(0, min(2.0, 0.1 * 2**attempt)))  # noqa: S311
                continue
            may_repeat = problem.retryable or problem.code == "idempotency.in_flight"
            if attempt == TRIES_MAX or not may_repeat or (key is None and method != "GET"):
                raise problem
            await asyncio.sleep(random.uniform(0.5, 1.0) * problem.retry_after_s)  # noqa: S311
        raise AssertionError("unreachable: the last try returns or raises")

    def _keep(self, answer: dict[str, Any]) -> None:
        expires_at = datetime.fromisoformat(answer["access_expires_at"])
        self._tokens = Tokens(
            user=answer["user"],
            access=answer["access_token"],
            refresh=answer["refresh_token"],
            expires_at=expires_at.timestamp(),
        )


def _query_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem_body(raw: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {"detail": raw[:200].decode(errors="replace")}
    return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}

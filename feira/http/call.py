"""One HTTP request as a handler sees it: typed, authenticated, and able to commit."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from aiohttp import web

from feira.actors.actors import Actors
from feira.platform.domain.audit import Origin
from feira.platform.domain.errors import Conflict, InvalidInput, NotSignedIn
from feira.platform.domain.permissions import Principal
from feira.platform.runtime.client import origin_of
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.idempotency import once

T = TypeVar("T")

IDEMPOTENCY_KEY_CHARS_MAX = 200


@dataclass(kw_only=True)
class Call:
    """`caller` is None when nobody is signed in; `principal` insists that somebody is."""

    request: web.Request
    market: Market
    actors: Actors
    caller: Principal | None
    raw_body: bytes

    @property
    def principal(self) -> Principal:
        if self.caller is None:
            raise NotSignedIn(
                "auth.required",
                "Sign in to do this: send an access token as Authorization: Bearer.",
            )
        return self.caller

    @property
    def origin(self) -> Origin:
        """From where the request came."""
        return origin_of(self.request)

    @cached_property
    def idempotency_key(self) -> str | None:
        key = self.request.headers.get("Idempotency-Key")
        if key is not None and not (
            1 <= len(key) <= IDEMPOTENCY_KEY_CHARS_MAX and key.isascii() and key.isprintable()
        ):
            raise InvalidInput(
                "idempotency.malformed_key",
                f"Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters.",
                field="Idempotency-Key",
            )
        return key

    @property
    def request_sha256(self) -> bytes:
        """Identifies the request behind an Idempotency-Key: method, path with query, body."""
        key = None if self.caller is None else self.caller.api_key
        # What an API key did is not answered to its maker, nor the other way round.
        asking = "" if key is None else f" {key.id}"
        head = f"{self.request.method} {self.request.path_qs}{asking}\n".encode()
        return hashlib.sha256(head + self.raw_body).digest()

    async def transact(self, returns: type[T], work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in one transaction, at most once per Idempotency-Key of this user.

        A repeat gets what `work` returned the first time. What a handler does after this must be safe to repeat.

        Raises:
            Conflict: `idempotency.in_flight`: the first request with this key is still running.
            Rejected: `idempotency.key_reused`.
        """
        key, caller = self.idempotency_key, self.caller
        if key is None or caller is None:
            return await self.market.database.transact(work)
        digest = self.request_sha256

        async def claimed(tx: Tx) -> T:
            return await once(
                tx, user=caller.user_id, key=key, request_sha256=digest, returns=returns, work=work
            )

        try:
            return await self.market.database.transact(claimed)
        except Conflict as error:
            if error.code != "database.busy":
                raise
            raise Conflict(
                "idempotency.in_flight",
                "A request with this Idempotency-Key is still running; repeat it in a moment.",
                retry_after_s=1,
            ) from error

"""Commands over the socket have the same verbs as over REST, once for each of the sender's idempotency keys."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec

from feira.platform.domain.permissions import Principal
from feira.services.market import Market
from feira.sql.database import Tx
from feira.sql.idempotency import once

T = TypeVar("T")


class Keyed(Protocol):
    """A command that carries its sender's key."""

    @property
    def idempotency_key(self) -> str: ...


async def transact_once(
    market: Market,
    principal: Principal,
    command: Keyed,
    returns: type[T],
    work: Callable[[Tx], Awaitable[T]],
) -> T:
    """Run `work` in one transaction; a repeat of the command gets what it returned the first time.

    Raises:
        Rejected: `idempotency.key_reused`.
    """
    digest = hashlib.sha256(msgspec.json.encode([type(command).__name__, command])).digest()
    return await market.database.transact(
        lambda tx: once(
            tx,
            user=principal.user_id,
            key=command.idempotency_key,
            request_sha256=digest,
            returns=returns,
            work=work,
        )
    )
